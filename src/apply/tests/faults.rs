//! Any call of the world fails once, in each way in which one can, while a platform is made, changed and destroyed: what may
//! pass is tried again and done once, and whatever else went wrong is put right by the next apply.

use crate::{
    apply::testing::Lab,
    base::{Address, RunEnd},
    plan,
    world::sandbox::{Fault, FaultKind},
};

/// At how many calls of a run one fails.
const SAMPLES: u64 = 12;

/// A cluster with an add-on, a chart and a manifest on it.
fn platform(lab: &mut Lab, version: &str, replicas: u8, colour: &str) {
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    lab.write(&format!(
        r#"
stack "cluster" {{
  template = "${{path.root}}/cluster.yaml"
  parameters = {{ ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }}
}}
kubernetes "main" {{
  eks {{ name = stack.cluster.outputs.ClusterName }}
}}
eks_addon "dns" {{
  cluster = stack.cluster.outputs.ClusterName
  addon = "coredns"
  version = "{version}"
}}
helm "web" {{
  chart = "podinfo"
  repository = "https://stefanprodan.github.io/podinfo"
  version = "6.7.0"
  namespace = "apps"
  values = {{ replicaCount = {replicas} }}
}}
manifest "settings" {{
  depends_on = [helm.web]
  object = {{
    apiVersion = "v1"
    kind = "ConfigMap"
    metadata = {{ name = "settings", namespace = "apps" }}
    data = {{ colour = "{colour}" }}
  }}
}}
"#
    ));
}

/// What an apply leaves. A chart's revisions and the attempts behind them may be more.
async fn outcome(lab: &Lab) -> (Vec<String>, Vec<String>) {
    // Pods come up after the run has ended.
    lab.world.advance(std::time::Duration::from_secs(3600)).unwrap();
    let state = lab.subject().await.state;
    let remembered = state
        .resources
        .values()
        .map(|r| format!("{} {:?} {}", r.address, r.status, r.inputs.to_json_lossy()))
        .collect();
    let live = lab.live().into_iter().map(|l| l.split(", revision").next().unwrap_or_default().to_owned());
    (live.filter(|l| !l.contains("DELETE_COMPLETE")).collect(), remembered)
}

/// How a run ended, and what failed in it.
type Ended = Result<(RunEnd, Vec<(Address, String)>), crate::apply::Error>;

async fn run(lab: &Lab, mode: plan::Mode, fault: Option<Fault>) -> Ended {
    let request = plan::Request { mode, ..plan::Request::default() };
    let planned = plan::make(&lab.subject().await, &request, &crate::base::NoEvents).await.unwrap();
    if let Some(fault) = fault {
        lab.world.add_fault(&fault).unwrap();
    }
    lab.apply_made(planned).await.map(|report| (report.end, report.failures))
}

async fn one_failure_anywhere(lab: &mut Lab, mode: plan::Mode) {
    let kept = lab.keep();
    let before = lab.calls();
    assert_eq!(run(lab, mode, None).await.unwrap().0, RunEnd::Succeeded);
    let calls = lab.calls() - before;
    let undisturbed = outcome(lab).await;
    for n in (1..=calls).step_by(usize::try_from(1 + calls / SAMPLES).unwrap()) {
        for (kind, passes) in [
            (FaultKind::Throttle, true),
            (FaultKind::TimeoutBefore, true),
            (FaultKind::TimeoutAfter, true),
            (FaultKind::Deny, false),
        ] {
            lab.restore(&kept);
            let what = format!("{kind:?} at call {n} of {calls}");
            let end = run(lab, mode, Some(Fault::new("*", kind).from_call(n))).await;
            lab.world.clear_faults(None).unwrap();
            // Who is calling could not be asked: nothing was begun.
            let unasked = matches!(end, Err(crate::apply::Error::World(_)));
            // A call that Helm itself makes is not ours to try again: the release fails, and is taken back.
            let taken_back = matches!(&end, Ok((RunEnd::Failed, failures)) if failures.iter().all(|(address, why)| {
                address.kind() == "helm" && (why.contains("went back to") || why.contains("uninstalled what was made"))
            }));
            if !matches!(end, Ok((RunEnd::Succeeded, _))) {
                let failed = matches!(end, Ok((RunEnd::Failed | RunEnd::Stuck, _)));
                assert!(unasked || taken_back || (!passes && failed), "{what}: {end:?}");
                assert_eq!(run(lab, mode, None).await.unwrap().0, RunEnd::Succeeded, "{what}, and again");
            }
            assert_eq!(outcome(lab).await, undisturbed, "{what}");
            if mode == plan::Mode::Normal {
                assert_eq!(lab.changes().await, Vec::<String>::new(), "{what}");
            }
        }
    }
}

const FIRST: (&str, u8, &str) = ("v1.12.4-eksbuild.1", 1, "red");
const THEN: (&str, u8, &str) = ("v1.12.3-eksbuild.1", 2, "blue");

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_made_whichever_call_fails_once() {
    let mut lab = Lab::new("");
    platform(&mut lab, FIRST.0, FIRST.1, FIRST.2);
    Box::pin(one_failure_anywhere(&mut lab, plan::Mode::Normal)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_changed_whichever_call_fails_once() {
    let mut lab = Lab::new("");
    platform(&mut lab, FIRST.0, FIRST.1, FIRST.2);
    lab.applied().await;
    platform(&mut lab, THEN.0, THEN.1, THEN.2);
    Box::pin(one_failure_anywhere(&mut lab, plan::Mode::Normal)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_destroyed_whichever_call_fails_once() {
    let mut lab = Lab::new("");
    platform(&mut lab, FIRST.0, FIRST.1, FIRST.2);
    lab.applied().await;
    Box::pin(one_failure_anywhere(&mut lab, plan::Mode::Destroy)).await;
}
