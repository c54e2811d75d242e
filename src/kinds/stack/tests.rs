//! Stacks prepared, compared and carried through the sandbox's CloudFormation.

use super::*;
use crate::{
    base::{Address, Digest},
    kinds::{
        Cause, Owner,
        testing::{Bench, any_value, seal},
    },
    world::sandbox::FaultKind,
};
use proptest::prelude::*;

mod imports;
mod previews;

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

fn inputs(json: &serde_json::Value) -> Value {
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
        let problems = bench.prepare(&queue, &inputs(&given)).unwrap_err();
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
    let first = inputs(&json!({ "parameters": { "Days": 5 }, "tags": { "team": "a" } }));
    let made = bench.apply(&queue, &first).await.unwrap();
    assert_eq!(made.change.action, ActionWord::Create);
    assert_eq!(made.change.children.len(), 2);
    assert!(made.change.exports.get("outputs").unwrap().get("Name").unwrap().is_unknown());

    let again = bench.plan(&queue, &first).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp, "{:?} {:?}", again.change.fields, again.change.children);
    assert!(again.change.exports.get("outputs").unwrap().get("Name").unwrap().as_str().is_some());

    let second = inputs(&json!({ "parameters": { "Days": 6 }, "tags": { "team": "a" } }));
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
            bench.apply(&queue, &inputs(&json!({}))).await.unwrap();
            let again = bench.plan(&queue, &inputs(&json!({}))).await.unwrap();
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
    let failure = bench.apply(&queue, &inputs(&json!({}))).await.err().unwrap();
    assert!(failure.message.contains("Topic"), "{failure}");
    assert!(failure.hint.as_deref().is_some_and(|h| h.contains("queue.yaml:9")), "{:?}", failure.hint);
    let next = bench.apply(&queue, &inputs(&json!({}))).await.unwrap();
    assert_eq!(next.change.action, ActionWord::Replace);
    assert_eq!(bench.plan(&queue, &inputs(&json!({}))).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn a_secret_parameter_is_shown_nowhere_and_its_change_is_seen() {
    let (bench, queue) = bench();
    bench.apply(&queue, &inputs(&json!({ "parameters": { "Secret": "hunter2" } }))).await.unwrap();
    let same = bench.plan(&queue, &inputs(&json!({ "parameters": { "Secret": "hunter2" } }))).await.unwrap();
    assert_eq!(same.change.action, ActionWord::NoOp, "{:?}", same.change.fields);
    let other = bench.plan(&queue, &inputs(&json!({ "parameters": { "Secret": "hunter3" } }))).await.unwrap();
    let text = serde_json::to_string(&(&other.change.fields, &other.change.children)).unwrap();
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test]
async fn what_somebody_changed_is_drift_and_what_is_ignored_stays() {
    let (bench, queue) = bench();
    let wanted = inputs(&json!({ "parameters": { "Days": 5 } }));
    bench.apply(&queue, &wanted).await.unwrap();
    let other = inputs(&json!({ "parameters": { "Days": 7 } }));
    let ignored = bench.plan_ignoring(&queue, &other, &["parameters.Days".to_owned()]).await.unwrap();
    assert!(ignored.change.fields.is_empty());
    bench.drift("stack/platform-dev-queue/Queue", "MessageRetentionPeriod", "9");
    let prior = bench.prior(&queue).unwrap();
    let drift = StackKind.drift(&bench.context(&queue), &prior.identity).await.unwrap();
    assert_eq!((drift.len(), drift[0].name.as_str()), (1, "Queue"));
    assert!(drift[0].fields.iter().all(|f| f.cause == Cause::DriftLeft));
}

#[tokio::test]
async fn a_protected_stack_is_deleted_only_once_its_protection_is_lifted() {
    let (mut bench, queue) = bench();
    bench.file("policy.json", "{}");
    let guarded = inputs(&json!({ "termination_protection": true, "stack_policy": "policy.json" }));
    let made = bench.apply(&queue, &guarded).await.unwrap();
    assert_eq!(bench.plan(&queue, &guarded).await.unwrap().change.action, ActionWord::NoOp);
    let failure = bench.delete(&queue, &made).await.unwrap_err();
    assert!(failure.message.contains("termination protection"), "{failure}");
    let lifted = bench.apply(&queue, &inputs(&json!({ "termination_protection": false }))).await.unwrap();
    assert!(lifted.change.fields.iter().any(|f| f.path == "termination_protection"));
    bench.delete(&queue, &lifted).await.unwrap();
}

#[tokio::test]
async fn what_a_stack_is_made_of_is_told_when_it_is_to_be_destroyed() {
    let (bench, queue) = bench();
    bench.apply(&queue, &inputs(&json!({}))).await.unwrap();
    let live = bench.plan(&queue, &inputs(&json!({}))).await.unwrap().observed;
    let removal = StackKind.removal(bench.prior(&queue).as_ref(), live.as_ref());
    let names: Vec<&str> = removal.children.iter().map(|c| c.name.as_str()).collect();
    assert_eq!((removal.action, names), (ActionWord::Delete, vec!["Queue", "Topic"]));
    assert!(removal.stateful, "a queue holds messages");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_parameters_and_tags_have_a_difference(a in any_value(true), b in any_value(true), seen in any::<bool>()) {
        let (bench, queue) = bench();
        let given = |secret: &Value| Value::object([
            ("template", "queue.yaml".into()),
            ("parameters", Value::object([("Secret", secret.clone())])),
            ("tags", b.clone()),
        ]);
        let (Ok(desired), Ok(former)) = (bench.prepare(&queue, &given(&a)), bench.prepare(&queue, &given(&b))) else {
            return Ok(());
        };
        let observed = Observed {
            held: None,
            identity: json!({ "name": "platform-dev-queue", "id": "arn:aws:cloudformation:r:1:stack/platform-dev-queue/u" }),
            inputs: former.inputs.clone(),
            documents: former.documents.clone(),
            exports: Value::NULL,
            owner: Owner::Nobody,
            fingerprint: Digest::of(b""),
            condition: None,
            image: Value::NULL,
        };
        let diff = |desired: &Desired, observed: Option<&Observed>, ignore: &[String]| {
            StackKind.diff(&Difference { desired, prior: None, observed, preview: None, ignore, seal: &seal })
        };
        for ignore in [&[][..], &["*".to_owned()]] {
            let change = diff(&desired, seen.then_some(&observed), ignore);
            prop_assert!(serde_json::to_string(&change.fields).is_ok());
            prop_assert!(serde_json::to_string(&change.children).is_ok());
            prop_assert!(!seen || ignore.is_empty() || change.action == ActionWord::NoOp);
        }
        if !former.inputs.has_unknown() {
            prop_assert_eq!(diff(&former, Some(&observed), &[]).action, ActionWord::NoOp);
        }
    }
}
