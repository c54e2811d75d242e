use super::*;
use crate::{
    base::Address,
    kinds::{Cause, testing::Bench},
    world::sandbox::FaultKind,
};

const QUEUE: &str = "\
Parameters:
  Days: { Type: Number, Default: 4, MinValue: 1, MaxValue: 14 }
  Secret: { Type: String, NoEcho: true, Default: none }
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      MessageRetentionPeriod: !Ref Days
  Topic:
    Type: AWS::SNS::Topic
    Properties: { DisplayName: fixed }
Outputs:
  Name: { Value: !GetAtt Queue.QueueName }
  Topic: { Value: !Ref Topic }
  Days: { Value: !Ref Days }
";

fn bench() -> (Bench, Address) {
    let mut bench = Bench::open();
    bench.file("queue.yaml", QUEUE);
    (bench, Address::root("stack", "queue"))
}

fn inputs(json: serde_json::Value) -> Value {
    let mut all = json!({ "template": "./queue.yaml" });
    all.as_object_mut().unwrap().extend(json.as_object().cloned().unwrap());
    Value::from_json(&all)
}

#[test]
fn parameters_are_checked_before_any_service_is_asked() {
    let (bench, queue) = bench();
    for (given, word) in [
        (json!({ "parameters": { "Day": 3 } }), "Day"),
        (json!({ "parameters": { "Days": 99 } }), "Days"),
        (json!({ "parameters": { "Days": {} } }), "Days"),
        (json!({ "template": "none.yaml" }), "template"),
        (json!({ "name": "no name" }), "no name"),
        (json!({ "tags": { "terrace:x": "y" } }), "terrace:x"),
    ] {
        let problems = bench.prepare(&queue, &inputs(given)).unwrap_err();
        assert!(problems.iter().any(|p| p.summary.contains(word)), "{word}: {problems:?}");
    }
    let later = Value::object([
        ("template", "queue.yaml".into()),
        ("parameters", Value::object([("Days", Value::UNKNOWN), ("Secret", Value::UNKNOWN.sensitive())])),
    ]);
    assert!(bench.prepare(&queue, &later).is_ok());
}

#[tokio::test]
async fn a_stack_is_made_left_alone_changed_put_back_and_deleted() {
    let (bench, queue) = bench();
    let first = inputs(json!({ "parameters": { "Days": 5 }, "tags": { "team": "a" } }));
    let made = bench.apply(&queue, &first).await.unwrap();
    assert_eq!(made.change.action, ActionWord::Create);
    assert_eq!(made.change.children.len(), 2);
    assert!(made.change.exports.get("outputs").unwrap().get("Name").unwrap().is_unknown());

    let again = bench.plan(&queue, &first).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp, "{:?} {:?}", again.change.fields, again.change.children);
    assert!(again.change.exports.get("outputs").unwrap().get("Name").unwrap().as_str().is_some());

    let second = inputs(json!({ "parameters": { "Days": 6 }, "tags": { "team": "a" } }));
    let changed = bench.apply(&queue, &second).await.unwrap();
    assert_eq!(changed.change.action, ActionWord::Update);
    assert_eq!(changed.change.fields[0].path, "parameters.Days");
    assert!(changed.change.children.iter().any(|c| c.name == "Queue" && c.action == ActionWord::Update));
    let outputs = changed.change.exports.get("outputs").unwrap();
    assert!(outputs.get("Topic").unwrap().as_str().is_some(), "what nothing touches stays known");
    assert!(outputs.get("Days").unwrap().is_unknown());

    bench.undo(&queue, &changed).await.unwrap();
    let back = bench.plan(&queue, &first).await.unwrap();
    assert_eq!(back.change.action, ActionWord::NoOp, "{:?}", back.change.fields);

    bench.delete(&queue, &back).await.unwrap();
    let gone = bench.plan(&queue, &first).await.unwrap();
    assert!(gone.observed.is_none());
    StackKind.discard(&bench.context(&queue), gone.preview.unwrap().attachment.as_ref().unwrap()).await.unwrap();
    assert!(bench.sandbox.show(Some("stack")).unwrap().rows.iter().all(|r| r.status != "REVIEW_IN_PROGRESS"));
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    for kind in [FaultKind::TimeoutAfter, FaultKind::TimeoutBefore] {
        for operation in ["CreateChangeSet", "ExecuteChangeSet", "DescribeStacks"] {
            let (bench, queue) = bench();
            bench.fault(&format!("cloudformation:{operation}"), kind.clone());
            bench.apply(&queue, &inputs(json!({}))).await.unwrap();
            let again = bench.plan(&queue, &inputs(json!({}))).await.unwrap();
            assert_eq!(again.change.action, ActionWord::NoOp, "{operation}");
            bench.fault("cloudformation:DeleteStack", kind.clone());
            bench.delete(&queue, &again).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_failure_names_the_first_cause_and_the_line_of_our_template() {
    let (bench, queue) = bench();
    bench.fail("cloudformation:ExecuteChangeSet", Some("Topic"));
    let failure = bench.apply(&queue, &inputs(json!({}))).await.err().unwrap();
    assert!(failure.message.contains("Topic"), "{failure}");
    assert!(failure.hint.as_deref().is_some_and(|h| h.contains("queue.yaml:9")), "{:?}", failure.hint);
    let next = bench.apply(&queue, &inputs(json!({}))).await.unwrap();
    assert_eq!(next.change.action, ActionWord::Replace);
    assert_eq!(bench.plan(&queue, &inputs(json!({}))).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn a_secret_parameter_is_shown_nowhere_and_its_change_is_seen() {
    let (bench, queue) = bench();
    bench.apply(&queue, &inputs(json!({ "parameters": { "Secret": "hunter2" } }))).await.unwrap();
    let same = bench.plan(&queue, &inputs(json!({ "parameters": { "Secret": "hunter2" } }))).await.unwrap();
    assert_eq!(same.change.action, ActionWord::NoOp, "{:?}", same.change.fields);
    let other = bench.plan(&queue, &inputs(json!({ "parameters": { "Secret": "hunter3" } }))).await.unwrap();
    let text = serde_json::to_string(&(&other.change.fields, &other.change.children)).unwrap();
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test]
async fn what_somebody_changed_is_drift_and_what_is_ignored_stays() {
    let (bench, queue) = bench();
    let wanted = inputs(json!({ "parameters": { "Days": 5 } }));
    bench.apply(&queue, &wanted).await.unwrap();
    let other = inputs(json!({ "parameters": { "Days": 7 } }));
    let ignored = bench.plan_ignoring(&queue, &other, &["parameters.Days".to_owned()]).await.unwrap();
    assert!(ignored.change.fields.is_empty());
    bench.drift("stack/platform-dev-queue/Queue", "MessageRetentionPeriod", "9");
    let prior = bench.prior(&queue).unwrap();
    let drift = StackKind.drift(&bench.context(&queue), &prior.identity).await.unwrap();
    assert_eq!((drift.len(), drift[0].name.as_str()), (1, "Queue"));
    assert!(drift[0].fields.iter().all(|f| f.cause == Cause::DriftLeft));
}
