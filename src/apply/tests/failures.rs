//! Calls that are denied, throttled, lost or half done: the first cause is named, nothing is made twice, and what failed is
//! where a next plan can mend it.

use crate::{
    apply::{Report, testing::Lab},
    base::RunEnd,
    world::sandbox::{Fault, FaultKind, Halfway},
};

const TEMPLATE: &str = "Resources:\n  Q: { Type: AWS::SQS::Queue, Properties: { DelaySeconds: 1 } }\n  R: { Type: AWS::SQS::Queue, DependsOn: Q }\n";

fn lab(phase: &str) -> Lab {
    let mut lab = Lab::new(&format!(
        r#"
phase "one" {{ {phase} }}
stack "a" {{
  phase = phase.one
  template = "${{path.root}}/a.yaml"
}}
value "after" {{
  phase = phase.one
  input = stack.a.name
  depends_on = [stack.a]
}}
value "alone" {{
  phase = phase.one
  input = 1
}}
"#
    ));
    lab.files.insert("p/a.yaml".to_owned(), TEMPLATE.to_owned());
    lab
}

fn failure(report: &Report) -> &str {
    &report.failures.first().unwrap_or_else(|| panic!("{report:#?}")).1
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_done_once() {
    for kind in [FaultKind::Throttle, FaultKind::TimeoutBefore, FaultKind::TimeoutAfter] {
        for operation in ["cloudformation:ExecuteChangeSet", "cloudformation:Describe*", "cloudformation:*Events"] {
            let lab = lab("");
            let made = lab.plan().await;
            lab.fault(operation, kind.clone());
            let report = lab.apply_made(made).await.unwrap();
            assert_eq!(report.end, RunEnd::Succeeded, "{operation} {kind:?}: {report:#?}");
            assert_eq!(lab.live().iter().filter(|l| l.starts_with("resource")).count(), 2);
            assert!(lab.changes().await.is_empty(), "{operation} {kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_names_the_action_and_only_what_needs_it_is_skipped() {
    let lab = lab("");
    let made = lab.plan().await;
    lab.fault("cloudformation:ExecuteChangeSet", FaultKind::Deny);
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Failed);
    assert!(failure(&report).contains("not authorized to perform: cloudformation:ExecuteChangeSet"), "{report:#?}");
    let state = lab.subject().await.state;
    let names: Vec<String> = state.resources.keys().map(ToString::to_string).collect();
    assert!(names.contains(&"value.alone".to_owned()) && !names.contains(&"value.after".to_owned()), "{names:?}");
    lab.applied().await;
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_answer_ends_at_the_deadline() {
    let lab = lab("");
    let made = lab.plan().await;
    lab.fault("cloudformation:ExecuteChangeSet", FaultKind::Hang);
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Failed);
    assert!(failure(&report).contains("no answer within"), "{report:#?}");
    lab.applied().await;
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_failed_is_tainted_and_replaced_by_the_next_plan() {
    let lab = lab("");
    let made = lab.plan().await;
    let halfway = Halfway { part: Some("R".to_owned()), reason: Some("no more queues".to_owned()), stuck: false };
    lab.fault("cloudformation:ExecuteChangeSet", FaultKind::FailHalfway(halfway));
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Failed);
    assert!(failure(&report).contains("no more queues"), "{report:#?}");
    let changes = lab.changes().await;
    assert!(
        changes == ["stack.a: replace", "value.after: create"] || changes == ["stack.a: create", "value.after: create"],
        "{changes:?}"
    );
    lab.applied().await;
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn under_rollback_nothing_of_the_phase_is_left() {
    for stage in ["a.yaml", "value"] {
        let lab = lab("on_failure = \"rollback\"");
        let made = lab.plan().await;
        lab.fail("cloudformation:ExecuteChangeSet");
        let report = lab.apply_made(made).await.unwrap();
        assert_eq!(report.end, RunEnd::RolledBack, "{stage}: {report:#?}");
        let state = lab.subject().await.state;
        assert!(state.resources.is_empty(), "{:?}", state.resources.keys());
        assert!(lab.live().iter().all(|l| l.contains("DELETE_COMPLETE")), "{:?}", lab.live());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_needs_a_person() {
    let lab = lab("on_failure = \"rollback\"");
    let made = lab.plan().await;
    lab.fail("cloudformation:ExecuteChangeSet");
    lab.world.add_fault(&Fault::new("cloudformation:DeleteStack", FaultKind::Deny).times(None)).unwrap();
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Stuck, "{report:#?}");
    assert!(
        report.undone.iter().any(|(a, what, ok)| a.to_string() == "stack.a" && !ok && what.contains("DeleteStack"))
    );
    // What is left is remembered, so that the next plan can mend it.
    assert!(lab.subject().await.state.resources.contains_key(&"stack.a".parse().unwrap()));
    lab.world.clear_faults(None).unwrap();
    lab.applied().await;
    assert!(lab.changes().await.is_empty());
}
