//! What probes make of a real Prometheus that scrapes an exporter of the test's own: now, colour beside colour, and over time
//! that is past.

use crate::support::{
    prometheus::{Prometheus, prometheus},
    server::{Account, REGION, free_port},
    web::{Reply, Web},
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};
use terrace::{
    base::{Address, Digest, Finding, Value},
    kinds::{self, Context, Former, Marks, Measurement, Outlook, Programs, Seen},
    lang::MemorySources,
    world::{Class, World as _},
};

/// The handles of a probe, on this machine.
fn context() -> Context {
    let account = Account { url: "http://127.0.0.1:9".to_owned(), id: "1".repeat(12), region: REGION.to_owned() };
    let world = account.world();
    let text = |text: &str| Arc::<str>::from(text);
    Context {
        address: Address::root("helm", "web"),
        aws: None,
        cluster: None,
        command: world.command(),
        terraform: world.terraform(),
        programs: Programs::default(),
        http: world.http(),
        deadline: world.clock().now() + Duration::from_secs(60),
        clock: world.clock(),
        entropy: world.entropy(),
        written: Value::NULL,
        sources: Arc::new(MemorySources::default()),
        marks: Marks {
            project: text("p"),
            plan: text("p"),
            env: text("dev"),
            world: text("aws"),
            account: text("1"),
            region: text(REGION),
        },
        progress: Arc::new(|_| {}),
        plan_outputs: Arc::new(|_| Ok(None)),
        seen: Seen::default(),
        outlook: Outlook::default(),
        former: Former::new(
            Value::NULL,
            Arc::new(|json: &Json| Digest::of(json.to_string().as_bytes()).as_str().into()),
        ),
        planning: false,
    }
}

/// A probe of this server, with a query and what else there is to it.
fn asking(url: &str, query: &str, more: &Json) -> Value {
    let mut body = json!({"server": {"url": url}, "query": query});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Value::from_json(&json!({"prometheus": body}))
}

/// An exporter whose page can be changed.
fn exporter(page: &str) -> (Web, Arc<Mutex<String>>) {
    let page = Arc::new(Mutex::new(page.to_owned()));
    let shown = Arc::clone(&page);
    (Web::new(move |_| Reply::text(200, shown.lock().unwrap().clone())), page)
}

/// Asks until the server has scraped what is waited for.
async fn once(server: &Prometheus, query: &str, value: &str) {
    let (context, probe) = (context(), asking(server.url(), query, &json!({"empty": "error"})));
    for _ in 0..300 {
        if kinds::compare(&context, &probe, None).await.unwrap().value.as_deref() == Some(value) {
            return;
        }
        context.clock.sleep(Duration::from_millis(100)).await;
    }
    panic!("{query} never is {value}")
}

const PAGE: &str = "errors{color=\"blue\"} 0.01\nerrors{color=\"green\"} 0.03\nbroken NaN\n";

#[tokio::test]
async fn numbers_that_prometheus_scraped_pass_fail_or_tell_nothing() {
    let (exporter, page) = exporter(PAGE);
    let Some(server) = prometheus(Some(&format!("127.0.0.1:{}", exporter.port())), "") else { return };
    once(&server, "errors{color='green'}", "0.03").await;
    let context = context();
    let ask = async |query: &str, more: Json| {
        kinds::compare(&context, &asking(server.url(), query, &more), None).await.unwrap()
    };
    let green = "errors{color='green'}";
    assert_eq!(ask(green, json!({"max": 0.05})).await.finding, Finding::Passed);
    let failed = ask(green, json!({"max": 0.02})).await;
    assert_eq!((failed.finding, failed.value.as_deref()), (Finding::Failed, Some("0.03")));
    assert!(failed.said.contains("color=\"green\"") && failed.said.ends_with("is more than 0.02"), "{}", failed.said);
    assert_eq!(ask(green, json!({"max": 0.02, "fail_above": 0.05})).await.finding, Finding::Inconclusive);
    assert_eq!(ask("errors", json!({"max": 0.02})).await.finding, Finding::Failed, "each series must pass");

    let rules = [
        ("fail", Finding::Failed),
        ("pass", Finding::Passed),
        ("inconclusive", Finding::Inconclusive),
        ("error", Finding::Error),
    ];
    for (rule, finding) in rules {
        let nothing = ask("nothing_of_this_name", json!({"max": 1, "empty": rule})).await;
        assert_eq!((nothing.finding, nothing.said.as_str()), (finding, "the query has no result"));
        assert_eq!(ask("broken", json!({"max": 1, "nan": rule})).await.finding, finding);
        assert_eq!(ask("sum(errors) * 0 / 0", json!({"max": 1, "nan": rule})).await.finding, finding);
    }

    // What is measured is what the exporter says now.
    *page.lock().unwrap() = PAGE.replace("0.03", "0.9");
    once(&server, green, "0.9").await;
    assert_eq!(ask(green, json!({"max": 0.05})).await.finding, Finding::Failed);
}

#[tokio::test]
async fn the_new_colour_is_held_against_the_old_one() {
    let (exporter, _page) = exporter(PAGE);
    let Some(server) = prometheus(Some(&format!("127.0.0.1:{}", exporter.port())), "") else { return };
    once(&server, "errors{color='green'}", "0.03").await;
    let context = context();
    let ask = async |more: Json, old: &str| {
        let new = asking(server.url(), "sum(errors{color='green'})", &more);
        let old = asking(server.url(), old, &more);
        kinds::compare(&context, &new, Some(&old)).await
    };
    let blue = "sum(errors{color='blue'})";
    let more = ask(json!({"max_ratio": 2}), blue).await.unwrap();
    assert_eq!(more.finding, Finding::Failed);
    assert!(more.said.contains("3.00 times") && more.said.contains("0.01"), "{}", more.said);
    assert_eq!(ask(json!({"max_ratio": 4}), blue).await.unwrap().finding, Finding::Passed);
    assert_eq!(ask(json!({"max_increase": 0.01}), blue).await.unwrap().finding, Finding::Failed);
    assert_eq!(ask(json!({"max_increase": 0.03}), blue).await.unwrap().finding, Finding::Passed);
    assert_eq!(
        ask(json!({"max_ratio": 2, "empty": "inconclusive"}), "nothing").await.unwrap().finding,
        Finding::Inconclusive
    );
    assert_eq!(
        ask(json!({"max_ratio": 2, "nan": "inconclusive"}), "broken").await.unwrap().finding,
        Finding::Inconclusive
    );
    assert_eq!(
        ask(json!({"max_ratio": 2}), "errors").await.unwrap_err().class,
        Class::Invalid,
        "two numbers, and not one"
    );

    let first = asking(server.url(), "sum(errors{color='green'})", &json!({"max": 0.05, "max_ratio": 2}));
    let first = kinds::compare(&context, &first, None).await.unwrap();
    assert_eq!(first.finding, Finding::Passed);
    assert!(first.said.contains("nothing is there to compare it with"), "{}", first.said);
}

/// Minutes after the beginning of the past, as a moment.
fn minute(begun: Timestamp, minutes: i64) -> Timestamp {
    Timestamp::from_second(begun.as_second() + minutes * 60).unwrap()
}

/// An hour of two colours, a sample every 15 seconds: none from minute 20 to 40, and green breaks in minute 50.
fn past(begun: Timestamp) -> String {
    let mut text = "# TYPE errors gauge\n".to_owned();
    for color in ["blue", "green"] {
        for second in (0..3_600).step_by(15).filter(|second| !(1_200..2_400).contains(second)) {
            let value = if color == "green" && second >= 3_000 { "0.5" } else { "0.01" };
            writeln!(text, "errors{{color=\"{color}\"}} {value} {}", begun.as_second() + second).unwrap();
        }
    }
    text + "# EOF\n"
}

#[tokio::test]
async fn what_nobody_looked_at_is_looked_at_afterwards_and_a_hole_is_no_pass() {
    let context = context();
    let begun = Timestamp::from_second((context.clock.now().as_second() / 60 - 120) * 60).unwrap();
    let Some(server) = prometheus(None, &past(begun)) else { return };
    let look = async |query: &str, more: Json, old: Option<&str>, from: i64, to: i64| {
        let (probe, old) = (asking(server.url(), query, &more), old.map(|old| asking(server.url(), old, &more)));
        let every = Duration::from_secs(300);
        let found =
            kinds::look_back(&context, &probe, old.as_ref(), minute(begun, from), minute(begun, to), every).await;
        found.unwrap().expect("prometheus looks back")
    };
    let findings = |found: &[(Timestamp, Measurement)]| found.iter().map(|(_, m)| m.finding).collect::<Vec<_>>();
    let (passed, failed) = (Finding::Passed, Finding::Failed);

    let green = "errors{color='green'}";
    let found = look(green, json!({"max": 0.05}), None, 10, 57).await;
    let times: Vec<Timestamp> = found.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (10..57).step_by(5).map(|m| minute(begun, m)).collect::<Vec<_>>());
    let hole = [failed; 3];
    let expected = [&[passed; 3][..], &hole[..], &[passed; 2][..], &[failed; 2][..]].concat();
    assert_eq!(findings(&found), expected, "10, 15, 20; the hole; 40, 45; broken at 50 and 55: {found:?}");
    assert_eq!(found[3].1.said, "the query has no result");
    assert_eq!(found[8].1.value.as_deref(), Some("0.5"));

    let mended = look(green, json!({"max": 0.05, "empty": "pass"}), None, 10, 45).await;
    assert!(mended.iter().all(|(_, m)| m.finding == passed), "where nothing is no harm, a hole is none: {mended:?}");
    let beside = look(green, json!({"max_ratio": 2}), Some("errors{color='blue'}"), 40, 55).await;
    assert_eq!(findings(&beside), [passed, passed, failed, failed]);
    assert!(beside[2].1.said.contains("50.00 times"), "{beside:?}");
    assert_eq!(look(green, json!({"max": 1}), None, 10, 9).await, [], "no time at all");
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_and_a_query_that_is_none_is_final() {
    let (exporter, _page) = exporter(PAGE);
    let Some(server) = prometheus(None, "") else { return };
    let context = context();
    let every = Duration::from_secs(15);
    let now = context.clock.now();
    let from = now - Duration::from_secs(60);

    let nobody = format!("http://127.0.0.1:{}", free_port());
    for elsewhere in [nobody.as_str(), &exporter.url, &format!("{}/no/such/path", server.url())] {
        let probe = asking(elsewhere, "up", &json!({"max": 1}));
        let found = kinds::compare(&context, &probe, None).await.unwrap();
        assert_eq!(found.finding, Finding::Error, "{elsewhere}: {}", found.said);
        // Plain verification tries it again, as any miss.
        assert!(!kinds::probe(&context, &probe).await.unwrap().passed());
        let failure = kinds::look_back(&context, &probe, None, from, now, every).await.unwrap_err();
        assert!(failure.class.retryable(), "{failure:?}");
    }
    for wrong in ["rate(", "up[5m]", "\"text\""] {
        let probe = asking(server.url(), wrong, &json!({"max": 1}));
        let failure = kinds::compare(&context, &probe, None).await.unwrap_err();
        assert_eq!(failure.class, Class::Invalid, "{wrong}: {failure}");
    }
    let probe = asking(server.url(), "rate(", &json!({}));
    let failure = kinds::look_back(&context, &probe, None, from, now, every).await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid);
    assert!(failure.message.contains("parse error"), "{failure}");
    let contradicting = asking(server.url(), "up", &json!({"min": 2, "max": 1}));
    assert_eq!(kinds::compare(&context, &contradicting, None).await.unwrap_err().class, Class::Invalid);
}

#[tokio::test]
async fn a_range_of_many_steps_is_asked_for_in_parts() {
    let context = context();
    let begun = Timestamp::from_second((context.clock.now().as_second() / 60 - 120) * 60).unwrap();
    let Some(server) = prometheus(None, &past(begun)) else { return };
    let probe = asking(server.url(), "errors{color='green'}", &json!({"max": 0.05, "empty": "pass"}));
    let (to, every) = (minute(begun, 59), Duration::from_millis(250));
    let found = kinds::look_back(&context, &probe, None, begun, to, every).await.unwrap().unwrap();
    assert_eq!(found.len(), 59 * 60 * 4 + 1);
    let first_failed = found.iter().find(|(_, m)| m.finding == Finding::Failed).unwrap().0;
    assert_eq!(first_failed, minute(begun, 50));
    let failure = kinds::look_back(&context, &probe, None, begun, to, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(failure.class, Class::Limit, "3.5 million measurements are too many");
}

#[test]
fn only_what_keeps_its_past_looks_back() {
    for (probe, back) in [
        (json!({"prometheus": {"query": "up"}}), true),
        (json!({"cloudwatch": {"metric": "errors", "namespace": "web"}}), true),
        (json!({"cloudwatch": {"alarm": "high"}}), false),
        (json!({"http": {"url": "http://x"}}), false),
        (json!({"command": {"program": ["true"]}}), false),
        (json!({"pods": {"selector": {}}}), false),
        (json!({"tcp": {"port": 1}}), false),
        (json!({"condition": {}}), false),
        (json!({"expression": {"condition": true}}), false),
        (json!(null), false),
    ] {
        assert_eq!(kinds::looks_back(&Value::from_json(&probe)), back, "{probe}");
    }
}

/// Two checks of CloudWatch, one of them in another region, and one that compares.
fn checks(more: &str) -> String {
    let check = |name: &str, more: &str| {
        format!(
            "check \"{name}\" {{\n  cloudwatch {{\n    namespace = \"web\"\n    metric    = \"errors\"\n    max       = 5\n    \
             empty     = \"pass\"\n    {more}\n  }}\n  every  = \"1s\"\n  within = \"3s\"\n}}\n"
        )
    };
    let west = "aws \"west\" {\n  region = \"us-west-2\"\n}\n";
    format!("{west}{}{}", check("here", ""), check("west", &format!("aws       = aws.west\n    {more}")))
}

#[test]
fn a_metric_is_asked_for_in_the_account_and_region_that_the_probe_names() {
    let project = crate::cli::Project::new(&checks(""));
    let drift = ["sandbox", "drift", "metric/web/errors", "--set", "value=9", "--place", "us-west-2"];
    project.stdout(&drift, 0);
    project.stdout(&["sandbox", "advance", "3m"], 0);
    let said = project.stderr(&["apply", "--auto-approve"], 1);
    let failed = |name: &str| said.contains(&format!("check.{name}: failed"));
    assert!(failed("west") && said.contains("9 is more than 5") && !failed("here"), "{said}");
}

#[test]
fn a_check_compares_nothing() {
    let project = crate::cli::Project::new(&checks("max_ratio = 2"));
    let said = project.stderr(&["plan"], 1);
    assert!(said.contains("only_in_rollout") && said.contains("`max_ratio` counts in a `rollout` only"), "{said}");
}
