//! Probes on the sandbox, as rollouts ask them.

use super::*;
use crate::{
    base::Address,
    kinds::{
        compare, look_back,
        testing::{Bench, CLUSTER},
    },
    world::{World as _, sandbox::FaultKind},
};
use serde_json::{Value as Json, json};

fn probe_of_json(json: &Json) -> Value {
    Value::from_json(json)
}

fn metric(color: &str, more: &Json) -> Value {
    let mut body = json!({"namespace": "web", "metric": "errors", "dimensions": {"color": color}});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Value::from_json(&json!({ "cloudwatch": body }))
}

/// A bench whose metric of a colour has had a value for a while.
fn set(bench: &Bench, color: &str, value: &str) {
    bench.drift(&format!("metric/color=\"{color}\""), "value", value);
}

fn minutes(bench: &Bench, count: u64) {
    bench.sandbox.advance(Duration::from_secs(count * 60)).unwrap();
}

#[tokio::test]
async fn a_metric_of_cloudwatch_is_held_against_bounds_and_the_old_colour() {
    let bench = Bench::open();
    let context = bench.context(&Address::root("helm", "web"));
    let ask = async |new: Value, old: Option<Value>| compare(&context, &new, old.as_ref()).await.unwrap();
    let nothing = ask(metric("green", &json!({"max": 1})), None).await;
    assert_eq!((nothing.finding, nothing.said.as_str()), (Finding::Failed, "the query has no result"));
    assert_eq!(ask(metric("green", &json!({"max": 1, "empty": "pass"})), None).await.finding, Finding::Passed);

    set(&bench, "green", "3");
    set(&bench, "blue", "1");
    minutes(&bench, 3);
    assert_eq!(ask(metric("green", &json!({"max": 2})), None).await.finding, Finding::Failed);
    assert_eq!(ask(metric("blue", &json!({"max": 2})), None).await.finding, Finding::Passed);
    let more = json!({"max_ratio": 2});
    let beside = ask(metric("green", &more), Some(metric("blue", &more))).await;
    assert_eq!(beside.said, "3; the old colour has 1, of which it is 3.00 times as much, more than 2");
    assert_eq!(beside.finding, Finding::Failed);
    set(&bench, "green", "");
    minutes(&bench, 9);
    assert_eq!(
        ask(metric("green", &json!({"empty": "error"})), None).await.finding,
        Finding::Error,
        "too old to count"
    );
}

#[tokio::test]
async fn a_metric_is_looked_back_at_minute_by_minute() {
    let bench = Bench::open();
    let context = bench.context(&Address::root("helm", "web"));
    let clock = bench.sandbox.clock();
    for value in ["1", "9", "", "1"] {
        set(&bench, "green", value);
        minutes(&bench, 10);
    }
    let now = clock.now();
    let probe = metric("green", &json!({"max": 5}));
    let (from, every) = (now - Duration::from_secs(34 * 60), Duration::from_secs(120));
    let found = look_back(&context, &probe, None, from, now, every).await.unwrap().unwrap();
    assert_eq!(found.len(), 18);
    let said: Vec<&str> = found.iter().map(|(_, m)| m.said.as_str()).collect();
    assert!(
        said[0] == "1" && said.contains(&"9 is more than 5") && said.contains(&"the query has no result"),
        "{said:?}"
    );
    assert_eq!(said[17], "1");
    let alarm = probe_of_json(&json!({"cloudwatch": {"alarm": "high"}}));
    assert_eq!(look_back(&context, &alarm, None, from, now, every).await.unwrap(), None);
}

#[tokio::test]
async fn an_alarm_passes_fails_or_tells_nothing_by_its_state() {
    let bench = Bench::open();
    let context = bench.context(&Address::root("helm", "web"));
    let probe = probe_of_json(&json!({"cloudwatch": {"alarm": "high"}}));
    let missing = compare(&context, &probe, None).await.unwrap();
    assert_eq!(missing.finding, Finding::Error);
    assert!(missing.said.contains("there is no alarm \"high\""), "{}", missing.said);
    let states = [("OK", Finding::Passed), ("ALARM", Finding::Failed), ("INSUFFICIENT_DATA", Finding::Inconclusive)];
    for (state, finding) in states {
        bench.drift("alarm/high", "state", state);
        let found = compare(&context, &probe, None).await.unwrap();
        assert_eq!((found.finding, found.said), (finding, format!("the alarm high is {state}")));
    }
    let wrong = probe_of_json(&json!({"cloudwatch": {"alarm": "high", "max": 1}}));
    let failure = compare(&context, &wrong, None).await.unwrap_err();
    assert!(failure.message.contains("`max` is for a metric"), "{failure}");
}

#[tokio::test]
async fn what_keeps_a_rollout_from_asking_is_an_error_and_no_failure() {
    let bench = Bench::with_cluster().await;
    let context = bench.context(&Address::root("helm", "web"));
    let ask = async |json: Json| compare(&context, &probe_of_json(&json), None).await;
    bench.fault("cloudwatch:GetMetricData", FaultKind::Deny);
    let denied = compare(&context, &metric("green", &json!({"max": 1})), None).await.unwrap();
    assert_eq!(denied.finding, Finding::Error, "{denied:?}");
    let missing = ask(json!({"command": {"program": ["there-is-no-such-program-here"]}})).await.unwrap();
    assert_eq!(missing.finding, Finding::Error, "{missing:?}");
    let killed = ask(json!({"command": {"program": ["/bin/sh", "-c", "kill -9 $$"]}})).await.unwrap();
    assert_eq!(killed.finding, Finding::Error, "{killed:?}");
    let failed = ask(json!({"command": {"program": ["false"]}})).await.unwrap();
    assert_eq!(failed.finding, Finding::Failed);
    // What is rolled out and does not answer has failed: it is no platform's fault.
    let refused = ask(json!({"tcp": {"host": "127.0.0.1", "port": 9, "timeout": "1s"}})).await.unwrap();
    assert_eq!(refused.finding, Finding::Failed, "{refused:?}");
    let none = ask(json!({"pods": {"selector": {"none": "such"}}})).await.unwrap();
    assert_eq!(none.finding, Finding::Failed, "{CLUSTER}: {none:?}");
    let invalid =
        ask(json!({"condition": {"api_version": "v1", "kind": "Namespace", "name": "default", "cel": "object.x ="}}))
            .await;
    assert_eq!(invalid.unwrap_err().class, Class::Invalid);
}
