//! Undoing what holds secrets: a before-image has them only as long as the process lives (rule 9).

use crate::{
    apply::testing::Lab,
    base::RunEnd,
    kinds::Undo,
    world::sandbox::{Fault, FaultKind, Halfway},
};

/// A cluster, a Secret on it, and a chart behind that.
fn platform(lab: &mut Lab, password: &str, replicas: u8) {
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    lab.write(&format!(
        r#"
phase "one" {{ on_failure = "rollback" }}
stack "cluster" {{
  phase = phase.one
  template = "${{path.root}}/cluster.yaml"
  parameters = {{ ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }}
}}
kubernetes "main" {{
  eks {{ name = stack.cluster.outputs.ClusterName }}
}}
manifest "login" {{
  phase = phase.one
  object = {{
    apiVersion = "v1"
    kind = "Secret"
    metadata = {{ name = "login", namespace = "default" }}
    stringData = {{ password = "{password}" }}
  }}
}}
helm "web" {{
  phase = phase.one
  depends_on = [manifest.login]
  chart = "podinfo"
  repository = "https://stefanprodan.github.io/podinfo"
  version = "6.7.0"
  namespace = "default"
  values = {{ replicaCount = {replicas} }}
}}
"#
    ));
}

fn failing_upgrade(lab: &Lab) {
    let fault = Fault::new("helm:Upgrade", FaultKind::FailHalfway(Halfway::default()));
    lab.world.add_fault(&fault.times(None)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_secret_is_put_back_by_the_run_itself_and_after_a_crash_a_person_is_needed_as_the_plan_said() {
    let mut lab = Lab::new("");
    platform(&mut lab, "hunter2", 1);
    lab.applied().await;
    let changes = lab.changes().await;
    assert_eq!(changes, Vec::<String>::new());
    let kept = lab.keep();

    platform(&mut lab, "swordfish", 2);
    let made = lab.plan().await;
    let login = made.plan.nodes.iter().find(|n| n.address.as_str() == "manifest.login").unwrap();
    assert!(matches!(&login.undo, Undo::Partly(why) if why.contains("cut off")), "{:?}", login.undo);
    failing_upgrade(&lab);
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::RolledBack, "{report:#?}");
    lab.world.clear_faults(None).unwrap();
    platform(&mut lab, "hunter2", 1);
    assert_eq!(lab.changes().await, Vec::<String>::new());

    lab.restore(&kept);
    platform(&mut lab, "swordfish", 2);
    let made = lab.plan().await;
    lab.fault("helm:Upgrade", FaultKind::Crash { after: false });
    assert!(lab.until_crash(lab.apply_made(made)).await.is_none());
    lab.reopen();
    failing_upgrade(&lab);
    let report = lab.resumed().await;
    assert_eq!(report.end, RunEnd::Stuck, "{report:#?}");
    let told = format!("{report:?}");
    assert!(told.contains("a former secret is needed for it"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("swordfish"), "{told}");
}
