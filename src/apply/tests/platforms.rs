//! Lives of small plans on the sandbox.

use crate::apply::testing::Lab;
use crate::base::RunEnd;

#[tokio::test(flavor = "multi_thread")]
async fn values_are_created_changed_replaced_and_destroyed() {
    let mut lab = Lab::new(
        "value \"a\" { input = 1 }\nvalue \"b\" { input = \"${value.a.id}-x\" }\noutput \"b\" { value = value.b.output }\n",
    );
    assert_eq!(lab.changes().await, ["value.a: create", "value.b: create"]);
    let report = lab.applied().await;
    assert!(report.outputs["b"].as_str().unwrap().ends_with("-x"));
    assert!(lab.changes().await.is_empty());
    assert!(!lab.plan().await.plan.has_changes());
    lab.write("value \"a\" { input = 2 }\nvalue \"b\" { input = \"${value.a.id}-x\" }\n");
    assert_eq!(lab.changes().await, ["value.a: update"]);
    lab.applied().await;
    lab.write("value \"a\" {\n  input = 2\n  triggers_replace = 1\n}\nvalue \"b\" { input = \"${value.a.id}-x\" }\n");
    assert_eq!(lab.changes().await, ["value.a: replace", "value.b: update"]);
    lab.applied().await;
    lab.write("value \"b\" { input = 7 }\n");
    assert_eq!(lab.changes().await, ["value.b: update", "value.a: destroy"]);
    lab.applied().await;
    let report = lab.destroy().await;
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (report.failures, report.beyond));
    assert!(lab.subject().await.state.resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_is_applied_and_destroyed() {
    let lab = Lab::shipped("examples/quickstart");

    lab.applied().await;
    let plan = lab.plan().await.plan;
    assert!(
        !plan.has_changes(),
        "{:#?}",
        plan.nodes
            .iter()
            .filter(|n| n.action != crate::base::ActionWord::NoOp)
            .map(|n| (&n.address, n.action, &n.reasons, &n.fields, &n.children))
            .collect::<Vec<_>>()
    );
    let report = lab.destroy().await;
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (report.failures, report.beyond));
    assert!(lab.subject().await.state.resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_eks_platform_is_applied_and_destroyed() {
    let mut lab = Lab::shipped("plans/eks-platform");
    lab.applied().await;
    let plan = lab.plan().await.plan;
    assert!(
        !plan.has_changes(),
        "{:#?}",
        plan.nodes
            .iter()
            .filter(|n| n.action != crate::base::ActionWord::NoOp)
            .map(|n| (&n.address, n.action, &n.reasons, &n.fields, &n.children))
            .collect::<Vec<_>>()
    );
    let file = lab.files.get_mut("plans/eks-platform/foundation.hcl").unwrap();
    *file = file.replace("prevent_destroy = true", "prevent_destroy = false");
    assert_eq!(lab.changes().await, ["stack.backups: update"]);
    lab.applied().await;
    let report = lab.destroy().await;
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (report.failures, report.beyond));
    assert!(lab.subject().await.state.resources.is_empty());
}
