//! Resources that exist, brought into stacks by import change sets.

use super::*;
use crate::{kinds::Undo, world::Class};

const BUCKET: &str = "\
Resources:
  Logs:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    Properties: { BucketName: shop-logs }
";
const TOPIC: &str = "Resources:\n  Topic: { Type: AWS::SNS::Topic }\n";

/// A topic, and the bucket with this policy.
fn both(policy: &str) -> String {
    format!("{TOPIC}{}", BUCKET.trim_start_matches("Resources:\n")).replace("    DeletionPolicy: Retain\n", policy)
}

fn with_bucket() -> (Bench, Address) {
    let (mut bench, queue) = bench();
    bench.file("topic.yaml", TOPIC);
    bench.file("bucket.yaml", BUCKET);
    bench.file("both.yaml", &both("    DeletionPolicy: Retain\n"));
    bench.drift("loose/AWS::S3::Bucket/shop-logs", "VersioningConfiguration.Status", "Enabled");
    (bench, queue)
}

fn importing(file: &str) -> Value {
    inputs(&json!({ "template": file, "import_resources": { "Logs": { "BucketName": "shop-logs" } } }))
}

fn loose(bench: &Bench) -> usize {
    bench.sandbox.show(Some("loose")).unwrap().rows.len()
}

#[tokio::test]
async fn what_exists_comes_into_a_stack_that_is_there_and_then_nothing_is_left_to_do() {
    let (bench, queue) = with_bucket();
    bench.apply(&queue, &inputs(&json!({ "template": "topic.yaml", "tags": { "team": "a" } }))).await.unwrap();
    let mut given = importing("both.yaml");
    if let Some(map) = given.as_map() {
        given = Value::object(
            map.iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .chain([("tags".into(), Value::from_json(&json!({ "team": "a" })))]),
        );
    }
    let planned = bench.apply(&queue, &given).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Update);
    let [child] = planned.change.children.as_slice() else { panic!("{:?}", planned.change.children) };
    assert_eq!((child.name.as_str(), child.action), ("Logs", ActionWord::Import));
    assert_eq!(child.fields[0].path, "BucketName");
    assert_eq!(child.fields[0].after.as_ref().and_then(Value::as_str), Some("shop-logs"));
    assert_eq!(planned.change.undo, Undo::Full);
    let stack = &bench.sandbox.show(Some("stack")).unwrap().rows[0];
    assert_eq!(stack.status, "IMPORT_COMPLETE");
    assert_eq!(loose(&bench), 0);
    let row = bench.sandbox.show(Some("resource")).unwrap().rows.into_iter().find(|r| r.name.ends_with("/Logs"));
    assert_eq!(row.unwrap().detail, "AWS::S3::Bucket shop-logs");
    assert_eq!(bench.plan(&queue, &given).await.unwrap().change.action, ActionWord::NoOp);
    // The entry means nothing any more: without it, and with a wrong one, it is the same stack.
    let without = inputs(&json!({ "template": "both.yaml", "tags": { "team": "a" } }));
    assert_eq!(bench.plan(&queue, &without).await.unwrap().change.action, ActionWord::NoOp);

    let said = bench.undo(&queue, &planned).await.unwrap();
    assert!(said.contains("Logs stays, in no stack"), "{said}");
    assert_eq!(loose(&bench), 1);
}

#[tokio::test]
async fn a_stack_can_be_made_of_nothing_but_what_is_imported() {
    let (bench, queue) = with_bucket();
    let planned = bench.apply(&queue, &importing("bucket.yaml")).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Create);
    assert_eq!(planned.change.children[0].action, ActionWord::Import);
    assert_eq!(bench.sandbox.show(Some("stack")).unwrap().rows[0].status, "IMPORT_COMPLETE");
    assert_eq!(bench.plan(&queue, &importing("bucket.yaml")).await.unwrap().change.action, ActionWord::NoOp);
    assert_eq!(bench.undo(&queue, &planned).await.unwrap(), "deleted; Logs stays, in no stack");
    assert_eq!(loose(&bench), 1, "it is where it was");
    // And again, into another stack.
    let other = Address::root("stack", "other");
    bench.apply(&other, &importing("bucket.yaml")).await.unwrap();
    let taken = bench.plan(&queue, &importing("bucket.yaml")).await.err().unwrap();
    assert!(taken.message.contains("already exists in stack arn:aws:cloudformation:"), "{taken}");
    assert!(taken.hint.as_ref().unwrap().contains("Logs (BucketName = shop-logs) at bucket.yaml:2"), "{taken:?}");
    let names: Vec<String> = bench.sandbox.show(Some("stack")).unwrap().rows.into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["platform-dev-other"], "what was refused leaves no stack in review");
}

#[tokio::test]
async fn what_cannot_be_imported_is_said_before_anything_is_changed() {
    let (mut bench, queue) = with_bucket();
    bench.file("free.yaml", &BUCKET.replace("    DeletionPolicy: Retain\n", ""));
    bench.file("outputs.yaml", &format!("{BUCKET}Outputs: {{ Name: {{ Value: !Ref Logs }} }}\n"));
    bench.file("more.yaml", &format!("{BUCKET}  Queue: {{ Type: AWS::SQS::Queue }}\n"));
    bench.file("gone.yaml", &BUCKET.replace("shop-logs", "no-such"));
    for (given, words, hint) in [
        (importing("free.yaml"), "Logs is to be imported and has no DeletionPolicy", "free.yaml:2"),
        (importing("outputs.yaml"), "there are outputs", "two steps"),
        (importing("more.yaml"), "Queue is new (more.yaml:6)", "two steps"),
        (
            inputs(&json!({ "template": "gone.yaml", "import_resources": { "Logs": { "BucketName": "no-such" } } })),
            "Resource of type 'AWS::S3::Bucket' with identifier 'no-such' was not found.",
            "gone.yaml:2",
        ),
    ] {
        let refused = bench.plan(&queue, &given).await.err().unwrap();
        assert_eq!(refused.class, Class::Invalid);
        assert!(refused.message.contains(words), "{refused}");
        assert!(refused.hint.as_ref().is_some_and(|h| h.contains(hint)), "{refused:?}");
        assert!(bench.sandbox.show(Some("stack")).unwrap().rows.is_empty());
    }
    for (import, words) in [
        (json!({ "Lgs": { "BucketName": "shop-logs" } }), "the template has no resource `Lgs`"),
        (json!({ "Logs": { "Name": "shop-logs" } }), "`Logs` is not identified by Name"),
        (json!({ "Logs": {} }), "`Logs` is not identified by nothing"),
        (json!({ "Logs": "shop-logs" }), "the identifier of `Logs` is no object"),
    ] {
        let given = inputs(&json!({ "template": "bucket.yaml", "import_resources": import }));
        let problems = bench.prepare(&queue, &given).unwrap_err();
        let problem = problems.iter().find(|p| p.summary.contains(words)).unwrap_or_else(|| panic!("{problems:?}"));
        assert!(words.contains("Lgs") || problem.hint.as_ref().unwrap().contains("BucketName"), "{problem:?}");
    }
}

#[tokio::test]
async fn an_import_into_a_stack_changes_nothing_else_and_names_what_would() {
    let (mut bench, queue) = with_bucket();
    bench.apply(&queue, &inputs(&json!({ "template": "topic.yaml" }))).await.unwrap();
    let changed = both("    DeletionPolicy: Retain\n")
        .replace("AWS::SNS::Topic }", "AWS::SNS::Topic, Properties: { DisplayName: x } }");
    bench.file("changed.yaml", &changed);
    let refused = bench.plan(&queue, &importing("changed.yaml")).await.err().unwrap();
    assert!(refused.message.contains("beside importing Logs: Topic changes (changed.yaml:2)"), "{refused}");
    let refused = bench.plan(&queue, &importing("bucket.yaml")).await.err().unwrap();
    assert!(refused.message.contains("Topic is no longer declared"), "{refused}");
}

#[tokio::test]
async fn what_would_be_deleted_by_taking_an_import_back_stays() {
    let (mut bench, queue) = with_bucket();
    bench.file("deleted.yaml", &both("    DeletionPolicy: Delete\n"));
    bench.apply(&queue, &inputs(&json!({ "template": "topic.yaml" }))).await.unwrap();
    let planned = bench.apply(&queue, &importing("deleted.yaml")).await.unwrap();
    assert!(matches!(&planned.change.undo, Undo::None(why) if why.contains("Logs")), "{:?}", planned.change.undo);
    let refused = bench.undo(&queue, &planned).await.unwrap_err();
    assert!(refused.message.contains("would delete Logs"), "{refused}");
    assert_eq!(bench.plan(&queue, &importing("deleted.yaml")).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn an_import_that_fails_leaves_everything_as_it_was_and_can_be_made_again() {
    let (bench, queue) = with_bucket();
    bench.apply(&queue, &inputs(&json!({ "template": "topic.yaml" }))).await.unwrap();
    bench.fail("cloudformation:ExecuteChangeSet", Some("Logs"));
    let failure = bench.apply(&queue, &importing("both.yaml")).await.err().unwrap();
    assert!(failure.message.contains("Logs (AWS::S3::Bucket) IMPORT_FAILED"), "{failure}");
    assert_eq!(bench.sandbox.show(Some("stack")).unwrap().rows[0].status, "IMPORT_ROLLBACK_COMPLETE");
    assert_eq!(loose(&bench), 1);
    bench.apply(&queue, &importing("both.yaml")).await.unwrap();
    assert_eq!(
        (bench.sandbox.show(Some("stack")).unwrap().rows[0].status.as_str(), loose(&bench)),
        ("IMPORT_COMPLETE", 0)
    );

    // One that was to make the stack leaves a name without anything, which goes before it is made again.
    bench.drift("loose/AWS::S3::Bucket/other-logs", "Tags", "[]");
    let other = Address::root("stack", "other");
    let (mut bench, given) = (
        bench,
        inputs(&json!({ "template": "new.yaml", "import_resources": { "Logs": { "BucketName": "other-logs" } } })),
    );
    bench.file("new.yaml", &BUCKET.replace("shop-logs", "other-logs"));
    bench.fail("cloudformation:ExecuteChangeSet", None);
    bench.apply(&other, &given).await.err().unwrap();
    let again = bench.apply(&other, &given).await.unwrap();
    assert_eq!(again.change.action, ActionWord::Replace);
    assert_eq!(bench.plan(&other, &given).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn an_answer_that_is_lost_imports_nothing_twice() {
    for fault in [FaultKind::TimeoutAfter, FaultKind::TimeoutBefore] {
        let (bench, queue) = with_bucket();
        bench.fault("cloudformation:ExecuteChangeSet", fault);
        bench.apply(&queue, &importing("bucket.yaml")).await.unwrap();
        assert_eq!(bench.plan(&queue, &importing("bucket.yaml")).await.unwrap().change.action, ActionWord::NoOp);
    }
}

#[tokio::test]
async fn what_left_a_stack_and_was_kept_can_come_into_another() {
    let (mut bench, queue) = bench();
    bench.file(
        "queue-kept.yaml",
        "Resources:\n  Q: { Type: AWS::SQS::Queue, DeletionPolicy: Retain }\n  T: { Type: AWS::SNS::Topic }\n",
    );
    let planned = bench.apply(&queue, &inputs(&json!({ "template": "queue-kept.yaml" }))).await.unwrap();
    let rows = bench.sandbox.show(Some("resource")).unwrap().rows;
    let url = rows.iter().find(|r| r.name.ends_with("/Q")).unwrap().detail.split(' ').nth(1).unwrap().to_owned();
    bench.delete(&queue, &planned).await.unwrap();
    bench.file("in.yaml", "Resources:\n  Mine: { Type: AWS::SQS::Queue, DeletionPolicy: Retain }\n");
    let given = inputs(&json!({ "template": "in.yaml", "import_resources": { "Mine": { "QueueUrl": url } } }));
    let other = Address::root("stack", "other");
    bench.apply(&other, &given).await.unwrap();
    let rows = bench.sandbox.show(Some("resource")).unwrap().rows;
    assert_eq!(rows[0].detail, format!("AWS::SQS::Queue {url}"));
    let attribute = "Outputs: { Name: { Value: !GetAtt Mine.QueueName } }\n";
    bench.file(
        "in.yaml",
        &format!("Resources:\n  Mine: {{ Type: AWS::SQS::Queue, DeletionPolicy: Retain }}\n{attribute}"),
    );
    bench.apply(&other, &given).await.unwrap();
    let outputs = bench.prior(&other).unwrap().exports.get("outputs").cloned().unwrap();
    assert!(url.ends_with(outputs.get("Name").and_then(Value::as_str).unwrap()), "{outputs:?}");
}
