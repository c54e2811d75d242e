//! The process dies before or after any call of the world, and `resume` ends where an undisturbed run would have ended.

use crate::{apply::testing::Lab, base::RunEnd, plan, world::sandbox::Drift};

/// At how many calls of a run it dies, before and after each.
const SAMPLES: u64 = 9;

/// A stack with a cluster, and one of everything on it.
pub(super) fn everything(lab: &mut Lab, phase: &str, edit: impl Fn(String) -> String) {
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    let folder = lab.folder.path().display();
    let text = r#"
phase "one" { PHASE }
stack "cluster" {
  phase = phase.one
  template = "${path.root}/cluster.yaml"
  parameters = { ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }
}
kubernetes "main" {
  eks { name = stack.cluster.outputs.ClusterName }
}
eks_addon "dns" {
  phase = phase.one
  cluster = stack.cluster.outputs.ClusterName
  addon = "coredns"
  version = "v1.12.4-eksbuild.1"
}
helm "web" {
  phase = phase.one
  chart = "podinfo"
  repository = "https://stefanprodan.github.io/podinfo"
  version = "6.7.0"
  namespace = "apps"
  create_namespace = true
  values = { replicaCount = 1 }
  depends_on = [eks_addon.dns]
}
manifest "settings" {
  phase = phase.one
  depends_on = [helm.web]
  object = {
    apiVersion = "v1"
    kind = "ConfigMap"
    metadata = { name = "settings", namespace = "apps" }
    data = { colour = "red" }
  }
}
value "v" {
  phase = phase.one
  input = "${stack.cluster.outputs.ClusterName}-1"
}
command "note" {
  phase = phase.one
  create = ["/bin/sh", "-c", "echo create >> FOLDER/log; echo ${value.v.output} > FOLDER/note"]
  read = ["/bin/sh", "-c", "test -e FOLDER/note || exit 3; printf '{\"text\":\"%s\"}' $(cat FOLDER/note)"]
  update = ["/bin/sh", "-c", "echo ${value.v.output} > FOLDER/note"]
  delete = ["/bin/sh", "-c", "rm -f FOLDER/note"]
  undo = ["/bin/sh", "-c", "rm -f FOLDER/note"]
}
"#;
    lab.write(&edit(text.replace("PHASE", phase).replace("FOLDER", &folder.to_string())));
}

/// What an apply leaves, ids and times aside.
async fn outcome(lab: &Lab) -> (Vec<String>, Vec<String>, String) {
    let state = lab.subject().await.state;
    let remembered = state
        .resources
        .values()
        .map(|r| format!("{} {:?} {} {:?}", r.address, r.status, r.inputs.to_json_lossy(), r.dependencies))
        .collect();
    let log = std::fs::read_to_string(lab.folder.path().join("log")).unwrap_or_default();
    // A chart's revision that a dead helm left unfinished is followed by another one.
    let live = lab.live().into_iter().map(|l| l.split(", revision").next().unwrap_or_default().to_owned());
    (live.collect(), remembered, log)
}

async fn made(lab: &Lab, mode: plan::Mode, replace: &[&str]) -> plan::Made {
    let replace = replace.iter().map(|a| a.parse().unwrap()).collect();
    let request = plan::Request { mode, replace, ..plan::Request::default() };
    plan::make(&lab.subject().await, &request, &crate::base::NoEvents).await.unwrap_or_else(|e| panic!("{e:#?}"))
}

/// Dies at each of a sample of calls of a run, resumes, and compares with the run that nothing disturbed.
async fn torture(lab: &mut Lab, mode: plan::Mode, replace: &[&str], faults: &dyn Fn(&Lab), end: RunEnd) {
    let kept = lab.keep();
    faults(lab);
    let plan = made(lab, mode, replace).await;
    let before = lab.calls();
    let report = lab.apply_made(plan).await.unwrap();
    assert_eq!(report.end, end, "{report:#?}");
    let calls = lab.calls() - before;
    let undisturbed = outcome(lab).await;
    let changes = lab.changes().await;
    let every = usize::try_from(1 + calls / SAMPLES).unwrap();
    for n in (1..=calls).step_by(every) {
        for after in [false, true] {
            let what = format!("dies at call {n} of {calls}, after its effect: {after}");
            lab.restore(&kept);
            faults(lab);
            let plan = made(lab, mode, replace).await;
            lab.crash(n, after);
            // It dies once more, somewhere in the resumed run.
            lab.crash(n + 1 + n % 7, !after);
            let report = match lab.until_crash(lab.apply_made(plan)).await {
                Some(report) => report.unwrap(),
                None if lab.subject().await.state.open_run().is_none() => continue,
                None => lab.resumed().await,
            };
            assert_eq!(
                report.end,
                end,
                "{what}: {:#?}",
                (&report.failures, &report.beyond, &report.stuck, &report.undone)
            );
            lab.world.clear_faults(None).unwrap();
            assert_eq!(outcome(lab).await, undisturbed, "{what}");
            assert_eq!(lab.changes().await, changes, "{what}");
        }
    }
    lab.world.clear_faults(None).unwrap();
}

fn none(_: &Lab) {}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_anywhere_is_finished_as_if_it_had_not() {
    let mut lab = Lab::new("");
    everything(&mut lab, "", |t| t);
    Box::pin(torture(&mut lab, plan::Mode::Normal, &[], &none, RunEnd::Succeeded)).await;
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_died_anywhere_is_finished_as_if_it_had_not() {
    let mut lab = Lab::new("");
    everything(&mut lab, "", |t| t);
    lab.applied().await;
    everything(&mut lab, "", |t| {
        t.replace("Nodes = \"2\"", "Nodes = \"3\"")
            .replace("replicaCount = 1", "replicaCount = 2")
            .replace("colour = \"red\"", "colour = \"blue\"")
            .replace("ClusterName}-1", "ClusterName}-2")
            .replace("v1.12.4-eksbuild.1", "v1.12.3-eksbuild.1")
    });
    Box::pin(torture(&mut lab, plan::Mode::Normal, &[], &none, RunEnd::Succeeded)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_died_anywhere_is_finished_as_if_it_had_not() {
    let mut lab = Lab::new("");
    everything(&mut lab, "", |t| t);
    lab.applied().await;
    let replaced = ["eks_addon.dns", "helm.web", "manifest.settings", "value.v", "command.note"];
    Box::pin(torture(&mut lab, plan::Mode::Normal, &replaced, &none, RunEnd::Succeeded)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_that_died_anywhere_is_finished_as_if_it_had_not() {
    let mut lab = Lab::new("");
    everything(&mut lab, "", |t| t);
    lab.applied().await;
    Box::pin(torture(&mut lab, plan::Mode::Destroy, &[], &none, RunEnd::Succeeded)).await;
}

/// Somebody changes something in every part of it.
fn meddled(lab: &Lab) {
    let set = |target: &str, path: &str, value: &str| {
        let set = vec![(path.to_owned(), value.to_owned())];
        lab.world.drift(&Drift { target: target.to_owned(), set, ..Drift::default() }).unwrap();
    };
    set("stack/p-dev-cluster/NodeGroup", "ScalingConfig.DesiredSize", "7");
    set("object/apps/Deployment/web-podinfo", "spec.replicas", "5");
    set("object/apps/ConfigMap/settings", "data.colour", "green");
}

/// As [`meddled`], where the service does not know drift-aware change sets.
fn meddled_of_old(lab: &Lab) {
    meddled(lab);
    let set = vec![("revert_drift".to_owned(), "false".to_owned())];
    lab.world.drift(&Drift { target: "service/cloudformation".to_owned(), set, ..Drift::default() }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn putting_back_drift_that_died_anywhere_is_finished_as_if_it_had_not() {
    for meddle in [meddled, meddled_of_old] {
        let mut lab = Lab::new("");
        everything(&mut lab, "", |t| t);
        lab.applied().await;
        let applied = lab.live();
        Box::pin(torture(&mut lab, plan::Mode::RevertDrift, &[], &meddle, RunEnd::Succeeded)).await;
        // Apart from having been updated once more, all is as it was applied.
        let unmarked =
            |l: &String| l.split(", revision").next().unwrap_or_default().replace("UPDATE_COMPLETE", "CREATE_COMPLETE");
        assert_eq!(
            lab.live().iter().map(unmarked).collect::<Vec<_>>(),
            applied.iter().map(unmarked).collect::<Vec<_>>()
        );
        assert!(made(&lab, plan::Mode::Normal, &[]).await.plan.drift.is_empty());
    }
}

/// The chart never comes up.
fn failing_chart(lab: &Lab) {
    for operation in ["helm:Install", "helm:Upgrade"] {
        let fault = crate::world::sandbox::Fault::new(
            operation,
            crate::world::sandbox::FaultKind::FailHalfway(crate::world::sandbox::Halfway::default()),
        );
        lab.world.add_fault(&fault.times(None)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_died_anywhere_leaves_the_world_as_before_the_run() {
    let mut lab = Lab::new("");
    everything(&mut lab, "on_failure = \"rollback\"", |t| t);
    let before = lab.live();
    Box::pin(torture(&mut lab, plan::Mode::Normal, &[], &failing_chart, RunEnd::RolledBack)).await;
    assert_eq!(lab.live(), before);
    assert!(lab.subject().await.state.resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_rolled_back_and_died_anywhere_leaves_the_former_versions() {
    let mut lab = Lab::new("");
    let phase = "on_failure = \"rollback\"";
    everything(&mut lab, phase, |t| t);
    lab.applied().await;
    everything(&mut lab, phase, |t| {
        t.replace("Nodes = \"2\"", "Nodes = \"3\"")
            .replace("replicaCount = 1", "replicaCount = 2")
            .replace("v1.12.4-eksbuild.1", "v1.12.3-eksbuild.1")
            .replace("depends_on = [eks_addon.dns]", "depends_on = [eks_addon.dns, value.v]")
    });
    Box::pin(torture(&mut lab, plan::Mode::Normal, &[], &failing_chart, RunEnd::RolledBack)).await;
    everything(&mut lab, phase, |t| t);
    assert_eq!(lab.changes().await, Vec::<String>::new());
}
