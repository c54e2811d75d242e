//! Drift put back and nothing else, and what exists taken over, as plans and runs.

use crate::{
    apply::testing::Lab,
    base::{ActionWord, Address, NoEvents, RunEnd},
    plan::{self, Made, Mode, Request},
    state::Record,
    world::sandbox::Drift,
};
use std::collections::BTreeMap;

const QUEUES: &str = "\
Parameters:
  Days: { Type: Number, Default: 4 }
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: { VisibilityTimeout: 30, MessageRetentionPeriod: !Ref Days }
  Topic:
    Type: AWS::SNS::Topic
    Properties: { DisplayName: fixed }
Outputs:
  Url: { Value: !Ref Queue }
";

fn lab(plan: &str) -> Lab {
    let mut lab = Lab::new(plan);
    lab.files.insert("p/a.yaml".to_owned(), QUEUES.to_owned());
    lab
}

fn set(lab: &Lab, target: &str, path: &str, value: &str) {
    let set = vec![(path.to_owned(), value.to_owned())];
    lab.world.drift(&Drift { target: target.to_owned(), set, ..Drift::default() }).unwrap();
}

fn delete(lab: &Lab, target: &str) {
    lab.world.drift(&Drift { target: target.to_owned(), delete: true, ..Drift::default() }).unwrap();
}

async fn made(lab: &Lab, request: Request) -> Result<Made, plan::Error> {
    plan::make(&lab.subject().await, &request, &NoEvents).await
}

async fn revert(lab: &Lab, revert: &[&str]) -> Made {
    let revert = revert.iter().map(|a| a.parse().unwrap()).collect();
    made(lab, Request { mode: Mode::RevertDrift, revert, ..Request::default() }).await.unwrap()
}

fn words(made: &Made) -> Vec<String> {
    made.plan.nodes.iter().map(|n| format!("{}: {}", n.address, n.action.word())).collect()
}

/// What drifts inside stacks, by a plan.
async fn drifting(lab: &Lab) -> Vec<String> {
    let Made { plan, attachment } = lab.plan().await;
    plan::discard(&lab.subject().await, &attachment.previews).await.unwrap();
    plan.drift.iter().flat_map(|d| &d.children).map(|c| c.name.clone()).collect()
}

const TWO: &str = "stack \"a\" { template = \"${path.root}/a.yaml\" }
stack \"b\" {
  template   = \"${path.root}/a.yaml\"
  parameters = { Days = 5 }
  tags       = { from = stack.a.outputs.Url }
}
";

#[tokio::test(flavor = "multi_thread")]
async fn drift_inside_stacks_is_put_back_and_what_is_newly_declared_is_not_applied() {
    let mut lab = lab(TWO);
    lab.applied().await;
    set(&lab, "stack/p-dev-a/Queue", "VisibilityTimeout", "60");
    delete(&lab, "stack/p-dev-b/Topic");
    assert_eq!(drifting(&lab).await, ["Queue", "Topic"]);
    lab.write(&TWO.replace("Days = 5", "Days = 9"));
    let plan = revert(&lab, &[]).await;
    assert_eq!(words(&plan), ["stack.a: update", "stack.b: update"]);
    let queue = &plan.plan.nodes[0].children[0];
    assert_eq!((queue.name.as_str(), queue.action), ("Queue", ActionWord::Update));
    let field = &queue.fields[0];
    assert_eq!(field.before.as_ref().unwrap().as_str(), Some("60"));
    assert_eq!(field.after.as_ref().unwrap().as_str(), Some("30"));
    assert_eq!(plan.plan.nodes[1].children[0].action, ActionWord::Create);
    let report = lab.apply_made(plan).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{report:#?}");
    assert_eq!(drifting(&lab).await, Vec::<String>::new());
    assert_eq!(lab.changes().await, ["stack.b: update"], "the new parameter still waits for an apply");
    assert!(words(&revert(&lab, &[]).await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_named_is_put_back() {
    let lab = lab(TWO);
    lab.applied().await;
    for stack in ["a", "b"] {
        set(&lab, &format!("stack/p-dev-{stack}/Queue"), "VisibilityTimeout", "60");
    }
    let plan = revert(&lab, &["stack.b"]).await;
    assert_eq!(words(&plan), ["stack.b: update"]);
    assert_eq!(lab.apply_made(plan).await.unwrap().end, RunEnd::Succeeded);
    let Made { plan, attachment } = lab.plan().await;
    plan::discard(&lab.subject().await, &attachment.previews).await.unwrap();
    assert_eq!(plan.drift.iter().map(|d| d.address.as_str()).collect::<Vec<_>>(), ["stack.a"]);
    let unknown =
        made(&lab, Request { mode: Mode::RevertDrift, revert: vec!["stack.c".parse().unwrap()], ..Request::default() });
    assert!(format!("{:?}", unknown.await.unwrap_err()).contains("nothing is remembered under stack.c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_drift_aware_change_sets_is_brought_back_by_updates_that_touch_nothing_else() {
    let lab = lab(TWO);
    lab.applied().await;
    set(&lab, "service/cloudformation", "revert_drift", "false");
    set(&lab, "stack/p-dev-a/Queue", "VisibilityTimeout", "60");
    set(&lab, "stack/p-dev-a/Queue", "MessageRetentionPeriod", "700");
    set(&lab, "stack/p-dev-a/Queue", "DelaySeconds", "9");
    let plan = revert(&lab, &["stack.a"]).await;
    assert_eq!(words(&plan), ["stack.a: update"]);
    assert!(plan.attachment.previews.is_empty());
    let report = lab.apply_made(plan).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{report:#?}");
    assert_eq!(drifting(&lab).await, Vec::<String>::new());
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_update_can_put_back_is_refused_with_a_way_out_and_nothing_is_left() {
    let lab = lab(TWO);
    lab.applied().await;
    set(&lab, "service/cloudformation", "revert_drift", "false");
    delete(&lab, "stack/p-dev-a/Queue");
    let before = lab.live();
    let request = Request { mode: Mode::RevertDrift, ..Request::default() };
    let problem = format!("{:?}", made(&lab, request).await.unwrap_err());
    assert!(problem.contains("Queue (AWS::SQS::Queue) was deleted") && problem.contains("--accept"), "{problem}");
    assert_eq!(lab.live(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_drifts_on_after_the_plan_is_not_put_back_unseen() {
    let lab = lab(TWO);
    lab.applied().await;
    set(&lab, "stack/p-dev-a/Queue", "VisibilityTimeout", "60");
    let plan = revert(&lab, &[]).await;
    set(&lab, "stack/p-dev-a/Topic", "DisplayName", "other");
    let report = lab.apply_made(plan).await.unwrap();
    assert_eq!(report.end, RunEnd::Failed);
    assert!(report.failures[0].1.contains("Topic DisplayName drifted since"), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_drift_is_no_drift_until_it_moves_again() {
    let lab = lab(TWO);
    lab.applied().await;
    set(&lab, "stack/p-dev-a/Queue", "VisibilityTimeout", "60");
    let Made { plan, attachment } = lab.plan().await;
    plan::discard(&lab.subject().await, &attachment.previews).await.unwrap();
    let drift = &plan.drift[0];
    let subject = lab.subject().await;
    let what = drift.children.iter().flat_map(|c| c.fields.iter().map(move |f| (c, f)));
    let what = what.map(|(c, f)| plan::accepted_part(&subject.seal, &c.name, Some(f))).collect();
    let accepted =
        crate::state::AcceptedDrift { what, reason: None, by: "ada".to_owned(), at: jiff::Timestamp::UNIX_EPOCH };
    let store = lab.store().await;
    store.commit(vec![Record::Accepted { address: drift.address.clone(), drift: Some(accepted) }]).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(drifting(&lab).await, Vec::<String>::new());
    assert!(words(&revert(&lab, &[]).await).is_empty());
    set(&lab, "stack/p-dev-a/Queue", "VisibilityTimeout", "61");
    assert_eq!(drifting(&lab).await, ["Queue"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_does_not_look_for_drift_says_so_and_asks_nobody() {
    let lab = lab(TWO);
    lab.applied().await;
    set(&lab, "stack/p-dev-a/Queue", "VisibilityTimeout", "60");
    let before = lab.calls_of("cloudformation:DetectStackDrift");
    let plan = made(&lab, Request { drift: false, ..Request::default() }).await.unwrap().plan;
    assert!(plan.drift.is_empty());
    assert!(plan.notes.iter().any(|n| n.code == "drift_not_looked_for"));
    assert_eq!(lab.calls_of("cloudformation:DetectStackDrift"), before);
}

fn imports(to: &str, id: &str) -> Request {
    let to: Address = to.parse().unwrap();
    Request { mode: Mode::Import, imports: BTreeMap::from([(to, id.to_owned())]), ..Request::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_taken_over_into_state_and_what_differs_is_left_to_the_next_apply() {
    let lab = lab("stack \"a\" { template = \"${path.root}/a.yaml\" }\n");
    lab.applied().await;
    let store = lab.store().await;
    store.commit(vec![Record::Gone { address: "stack.a".parse().unwrap() }]).await.unwrap();
    store.close().await.unwrap();

    let plan = made(&lab, imports("stack.a", "p-dev-a")).await.unwrap();
    assert_eq!(words(&plan), ["stack.a: import"]);
    assert_eq!(lab.apply_made(plan).await.unwrap().end, RunEnd::Succeeded);
    assert!(lab.changes().await.is_empty());
    let again = made(&lab, imports("stack.a", "p-dev-a")).await.unwrap_err();
    assert!(format!("{again:?}").contains("remembered already"));

    let store = lab.store().await;
    store.commit(vec![Record::Gone { address: "stack.a".parse().unwrap() }]).await.unwrap();
    store.close().await.unwrap();
    let mut lab = lab;
    lab.write("stack \"a\" {\n  template = \"${path.root}/a.yaml\"\n  parameters = { Days = 9 }\n}\n");
    let calls = lab.calls_of("cloudformation:CreateChangeSet");
    let plan = made(&lab, imports("stack.a", "p-dev-a")).await.unwrap();
    assert_eq!(words(&plan), ["stack.a: import"]);
    assert_eq!(plan.plan.nodes[0].fields[0].path, "parameters.Days");
    assert_eq!(lab.apply_made(plan).await.unwrap().end, RunEnd::Succeeded);
    assert_eq!(lab.calls_of("cloudformation:CreateChangeSet"), calls, "taking over changes nothing");
    assert_eq!(lab.changes().await, ["stack.a: update"]);
    lab.applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_declared_not_there_or_would_be_replaced_is_not_taken_over() {
    let lab = lab("stack \"a\" { template = \"${path.root}/a.yaml\" }\n");
    for (to, id, word) in [
        ("stack.b", "p-dev-a", "is not declared"),
        ("stack.a", "nobody", "nothing to import"),
        ("stack.a", "no name", "wrong form"),
    ] {
        let problem = format!("{:?}", made(&lab, imports(to, id)).await.unwrap_err());
        assert!(problem.contains(word), "{problem}");
    }
}

#[tokio::test]
async fn a_plan_that_is_killed_while_it_looks_at_drift_leaves_nothing_that_doctor_does_not_know() {
    for after in [false, true] {
        let mut lab = lab("stack \"a\" {\n  template = \"${path.root}/a.yaml\"\n}\n");
        lab.applied().await;
        let stack =
            lab.live().into_iter().find_map(|l| l.split_whitespace().find(|w| w.ends_with("-a")).map(str::to_owned));
        set(&lab, &format!("stack/{}/Queue", stack.unwrap()), "VisibilityTimeout", "5");
        lab.fault("cloudformation:CreateChangeSet", crate::world::sandbox::FaultKind::Crash { after });
        assert!(lab.until_crash(revert(&lab, &[])).await.is_none());
        lab.reopen();
        let diagnosis = crate::apply::doctor(&lab.subject().await, 4).await.unwrap();
        assert!(!diagnosis.leftovers.is_empty());
        crate::apply::mend(&lab.subject().await, &diagnosis, &BTreeMap::new()).await.unwrap();
        assert!(crate::apply::doctor(&lab.subject().await, 4).await.unwrap().healthy());
        let made = revert(&lab, &[]).await;
        assert_eq!(words(&made), ["stack.a: update"]);
    }
}
