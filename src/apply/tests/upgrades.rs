//! A cluster's Kubernetes version moved hop by hop, with what stands in its way, dies on it, or takes it back.

use crate::{
    apply::testing::Lab,
    base::{RunEnd, Severity},
    kinds::Undo,
    plan,
    world::{AwsConnection, Eks, UpdateOf, World as _, sandbox::Drift},
};
use std::{sync::Arc, time::Duration};

const TEMPLATE: &str = r#"
Parameters:
  Version: { Type: String }
  Queues: { Type: Number, Default: 1 }
Conditions:
  Second: !Equals [!Ref Queues, 2]
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties: { AssumeRolePolicyDocument: { Version: "2012-10-17", Statement: [] } }
  Cluster:
    Type: AWS::EKS::Cluster
    Properties:
      Name: c
      Version: !Ref Version
      RoleArn: !GetAtt Role.Arn
      ResourcesVpcConfig: { SubnetIds: [subnet-1, subnet-2] }
  Nodes:
    Type: AWS::EKS::Nodegroup
    Properties:
      NodegroupName: workers
      ClusterName: !Ref Cluster
      NodeRole: !GetAtt Role.Arn
      Subnets: [subnet-1]
      ScalingConfig: { MinSize: 1, DesiredSize: 2, MaxSize: 3 }
  Queue: { Type: AWS::SQS::Queue, Condition: Second }
Outputs:
  ClusterName: { Value: !Ref Cluster }
"#;

/// What differs between the plans of these tests.
#[derive(Clone, Copy)]
struct Wish {
    version: &'static str,
    coredns: &'static str,
    proxy: &'static str,
    upgrade: bool,
    phase: &'static str,
    more: &'static str,
}

const OLD: Wish = Wish {
    version: "1.32",
    coredns: "v1.11.4-eksbuild.2",
    proxy: "v1.32.6-eksbuild.12",
    upgrade: true,
    phase: "",
    more: "",
};
const NEW: Wish = Wish { version: "1.34", coredns: "v1.13.1-eksbuild.1", proxy: "v1.34.1-eksbuild.2", ..OLD };

fn write(lab: &mut Lab, wish: Wish) {
    lab.files.insert("p/cluster.yaml".to_owned(), TEMPLATE.to_owned());
    let Wish { version, coredns, proxy, upgrade, phase, more } = wish;
    let upgrade = if upgrade {
        "eks_upgrade \"plane\" {\n  phase = phase.one\n  stack = stack.cluster\n  parameter = \"Version\"\n  addons = eks_addon.managed\n  bake = \"10m\"\n}"
    } else {
        ""
    };
    lab.write(&format!(
        r#"
phase "one" {{ {phase} }}
stack "cluster" {{
  phase = phase.one
  template = "${{path.root}}/cluster.yaml"
  parameters = {{ Version = "{version}" }}
}}
eks_addon "managed" {{
  for_each = {{ coredns = "{coredns}", "kube-proxy" = "{proxy}" }}
  phase = phase.one
  cluster = stack.cluster.outputs.ClusterName
  addon = each.key
  version = each.value
}}
{upgrade}
{more}
"#
    ));
}

async fn lab() -> Lab {
    let mut lab = Lab::new("");
    write(&mut lab, OLD);
    lab.applied().await;
    lab
}

fn eks(lab: &Lab) -> Arc<dyn Eks> {
    let account_id = "000000000000".to_owned();
    let connection = AwsConnection { region: "us-east-1".to_owned(), account_id, ..AwsConnection::default() };
    lab.world.aws(&connection).unwrap().eks
}

/// Versions of control plane, add-ons and nodes.
async fn versions(lab: &Lab) -> String {
    let eks = eks(lab);
    let plane = eks.describe_cluster("c").await.unwrap().unwrap().version;
    let coredns = eks.describe_addon("c", "coredns").await.unwrap().unwrap().version;
    let proxy = eks.describe_addon("c", "kube-proxy").await.unwrap().unwrap().version;
    let nodes = eks.describe_nodegroup("c", "workers").await.unwrap().unwrap().version;
    format!("{plane} {coredns} {proxy} {nodes}")
}

const WAS: &str = "1.32 v1.11.4-eksbuild.2 v1.32.6-eksbuild.12 1.32";
const IS: &str = "1.34 v1.13.1-eksbuild.1 v1.34.1-eksbuild.2 1.34";

/// Kinds of the control plane's updates, the oldest first.
async fn updates(lab: &Lab) -> Vec<String> {
    let eks = eks(lab);
    let mut out = Vec::new();
    for id in eks.list_updates("c", UpdateOf::default()).await.unwrap() {
        let update = eks.describe_update("c", &id, UpdateOf::default()).await.unwrap();
        out.push(format!("{} {} {}", update.kind, update.params["Version"], update.status));
    }
    out.reverse();
    out
}

fn insight(lab: &Lab, name: &str, set: &[(&str, &str)]) {
    let set = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    lab.world.drift(&Drift { target: format!("insight/c/{name}"), set, ..Drift::default() }).unwrap();
}

async fn problems(lab: &Lab) -> Vec<String> {
    match lab.try_plan().await {
        Err(plan::Error::Problems(problems)) => problems.iter().map(|p| format!("{p} {:?}", p.hint)).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(made) => panic!("{:#?}", made.plan.nodes),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_minors_are_two_hops_with_add_ons_between_a_bake_each_and_nodes_at_the_end() {
    let mut lab = lab().await;
    assert!(lab.changes().await.is_empty());
    write(&mut lab, NEW);
    assert_eq!(
        lab.changes().await,
        [
            "eks_addon.managed[\"coredns\"]: update",
            "eks_addon.managed[\"kube-proxy\"]: update",
            "eks_upgrade.plane: update"
        ]
    );
    let made = lab.plan().await;
    let node = made.plan.nodes.iter().find(|n| n.address.kind() == "eks_upgrade").unwrap();
    let told: Vec<String> = node
        .children
        .iter()
        .flat_map(|hop| {
            hop.fields.iter().map(|f| {
                let text =
                    |v: &Option<crate::base::Value>| v.as_ref().and_then(|v| v.as_str()).unwrap_or("-").to_owned();
                format!("{}: {} {} > {}", hop.name, f.path, text(&f.before), text(&f.after))
            })
        })
        .collect();
    assert_eq!(
        told,
        [
            "Kubernetes 1.33: control_plane 1.32 > 1.33",
            "Kubernetes 1.33: addons.coredns v1.11.4-eksbuild.2 > v1.12.1-eksbuild.2",
            "Kubernetes 1.33: addons.kube-proxy v1.32.6-eksbuild.12 > v1.33.3-eksbuild.10",
            "Kubernetes 1.33: bake - > 10m",
            "Kubernetes 1.33: revertible - > to 1.32 for 7 days",
            "Kubernetes 1.34: control_plane 1.33 > 1.34",
            "Kubernetes 1.34: addons.coredns v1.12.1-eksbuild.2 > v1.13.1-eksbuild.1",
            "Kubernetes 1.34: addons.kube-proxy v1.33.3-eksbuild.10 > v1.34.1-eksbuild.2",
            "Kubernetes 1.34: nodes.workers 1.32 > 1.34",
            "Kubernetes 1.34: bake - > 10m",
            "Kubernetes 1.34: revertible - > to 1.33 for 7 days",
        ]
    );
    assert!(matches!(node.undo, Undo::Partly(_)));
    let before = lab.world.clock().now();
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (&report.failures, &report.beyond));
    assert_eq!(versions(&lab).await, IS);
    assert_eq!(updates(&lab).await, ["VersionUpdate 1.33 Successful", "VersionUpdate 1.34 Successful"]);
    let took = lab.world.clock().now().duration_since(before);
    assert!(took.as_secs() > 2 * 600 + 2 * 420, "two bakes and two control planes take longer than {took:?}");
    assert!(lab.changes().await.is_empty());
    let state = lab.subject().await.state;
    let upgrade = state.resources.values().find(|r| r.address.kind() == "eks_upgrade").unwrap();
    let until = upgrade.exports.get("revertible_until").unwrap().as_str().unwrap().to_owned();
    let until: jiff::Timestamp = until.parse().unwrap();
    assert!(until > lab.world.clock().now());
    let coredns = state.resources.values().find(|r| r.address.key().is_some_and(|k| &**k == "coredns")).unwrap();
    assert_eq!(coredns.exports.get("version").unwrap().as_str(), Some("v1.13.1-eksbuild.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_died_anywhere_goes_on_and_begins_nothing_twice() {
    let mut lab = lab().await;
    write(&mut lab, NEW);
    let kept = lab.keep();
    let before = lab.calls();
    lab.applied().await;
    let calls = lab.calls() - before;
    let every = usize::try_from(1 + calls / 16).unwrap();
    for n in (1..=calls).step_by(every) {
        for after in [false, true] {
            lab.restore(&kept);
            let made = lab.plan().await;
            lab.crash(n, after);
            let report = match lab.until_crash(lab.apply_made(made)).await {
                Some(report) => report.unwrap(),
                None if lab.subject().await.state.open_run().is_none() => continue,
                None => lab.resumed().await,
            };
            let what = format!("dies at call {n} of {calls}, after its effect: {after}");
            assert_eq!(
                report.end,
                RunEnd::Succeeded,
                "{what}: {:#?}",
                (&report.failures, &report.beyond, &report.stuck)
            );
            lab.world.clear_faults(None).unwrap();
            assert_eq!(versions(&lab).await, IS, "{what}");
            assert_eq!(updates(&lab).await.len(), 2, "{what}: {:?}", updates(&lab).await);
            assert!(lab.changes().await.is_empty(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insight_blocks_the_plan_at_the_first_hop_and_the_apply_at_a_later_one() {
    let mut lab = lab().await;
    write(&mut lab, NEW);
    let error = [("version", "1.33"), ("reason", "flowcontrol v1beta3 is used"), ("resources", "/apis/x, /apis/y")];
    insight(&lab, "Deprecated APIs", &error);
    let told = problems(&lab).await;
    assert!(told.iter().any(|p| p.contains("Deprecated APIs") && p.contains("/apis/x, /apis/y")), "{told:?}");
    insight(&lab, "Deprecated APIs", &[("version", "1.34")]);
    let made = lab.plan().await;
    let note = made.plan.notes.iter().find(|n| n.code == "upgrade_insight").unwrap();
    assert_eq!(note.severity, Severity::Warning);
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Failed);
    assert!(report.failures[0].1.contains("Deprecated APIs"), "{:?}", report.failures);
    assert!(versions(&lab).await.starts_with("1.33 v1.12.1-eksbuild.2 v1.33.3-eksbuild.10"));
    insight(&lab, "Deprecated APIs", &[("status", "WARNING")]);
    lab.applied().await;
    assert_eq!(versions(&lab).await, IS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_without_an_upgrade_is_an_error_of_the_plan_that_says_what_to_write() {
    let mut lab = lab().await;
    write(&mut lab, Wish { upgrade: false, ..NEW });
    let told = problems(&lab).await.join("\n");
    assert!(told.contains("1.32") && told.contains("1.34") && told.contains("eks_upgrade"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_moves_by_one_minor_itself_has_its_add_ons_resolved_for_the_version_to_come() {
    let mut lab = lab().await;
    write(&mut lab, Wish { upgrade: false, version: "1.33", coredns: "default", proxy: "latest", ..OLD });
    let made = lab.plan().await;
    let node = made.plan.nodes.iter().find(|n| n.address.as_str().contains("kube-proxy")).unwrap();
    assert_eq!(node.facts["version"], "v1.33.5-eksbuild.2");
    assert!(node.reasons[0].contains("1.33") && node.reasons[0].contains("stack.cluster"), "{:?}", node.reasons);
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (&report.failures, &report.beyond));
    assert!(versions(&lab).await.starts_with("1.33 v1.12.1-eksbuild.2 v1.33.5-eksbuild.2"));
    assert!(lab.changes().await.is_empty());
}

const BROKEN: &str = r#"
stack "later" {
  phase = phase.one
  template = "${path.root}/broken.yaml"
  depends_on = [eks_upgrade.plane]
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_is_rolled_back_takes_the_hops_back_the_newest_first() {
    let mut lab = lab().await;
    let broken = "Resources:\n  P: { Type: AWS::SSM::Parameter, Properties: { Type: Bogus, Value: x } }\n";
    lab.files.insert("p/broken.yaml".to_owned(), broken.to_owned());
    write(&mut lab, Wish { phase: "on_failure = \"rollback\"", more: BROKEN, ..NEW });
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{report:#?}");
    assert_eq!(versions(&lab).await, WAS);
    assert_eq!(
        updates(&lab).await,
        [
            "VersionUpdate 1.33 Successful",
            "VersionUpdate 1.34 Successful",
            "VersionRollback 1.33 Successful",
            "VersionRollback 1.32 Successful",
        ]
    );
    write(&mut lab, OLD);
    assert!(lab.changes().await.is_empty(), "{:?}", lab.changes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_fails_part_way_in_a_phase_that_is_rolled_back_is_taken_back_too() {
    let mut lab = lab().await;
    write(&mut lab, Wish { phase: "on_failure = \"rollback\"", ..NEW });
    insight(&lab, "Deprecated APIs", &[("version", "1.34"), ("reason", "x")]);
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{report:#?}");
    assert_eq!(versions(&lab).await, WAS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_version_goes_back_within_the_window_and_is_refused_past_it() {
    let mut lab = lab().await;
    write(&mut lab, NEW);
    lab.applied().await;
    let kept = lab.keep();
    let lower = Wish { version: "1.33", coredns: "v1.12.1-eksbuild.2", proxy: "v1.33.3-eksbuild.10", ..OLD };
    write(&mut lab, lower);
    lab.applied().await;
    assert_eq!(versions(&lab).await, "1.33 v1.12.1-eksbuild.2 v1.33.3-eksbuild.10 1.33");
    assert!(lab.changes().await.is_empty());
    lab.restore(&kept);
    lab.world.advance(Duration::from_secs(8 * 24 * 3600)).unwrap();
    let told = problems(&lab).await.join("\n");
    assert!(told.contains("not reversible") && told.contains("7 days"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_created_at_its_version_does_not_go_back() {
    let mut lab = lab().await;
    write(&mut lab, Wish { version: "1.31", coredns: "default", proxy: "default", ..OLD });
    let told = problems(&lab).await.join("\n");
    assert!(told.contains("not reversible") && told.contains("created"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_does_not_fit_is_shown_where_it_is_written() {
    let mut lab = Lab::new("");
    lab.files.insert("p/cluster.yaml".to_owned(), TEMPLATE.to_owned());
    let plan = |configuration: &str| {
        format!(
            "stack \"cluster\" {{\n  template = \"${{path.root}}/cluster.yaml\"\n  parameters = {{ Version = \"1.32\" }}\n}}\n\
             eks_addon \"dns\" {{\n  cluster = stack.cluster.outputs.ClusterName\n  addon = \"coredns\"\n  configuration = {configuration}\n}}\n"
        )
    };
    lab.write(&plan("{ replicaCount = 2 }"));
    lab.applied().await;
    let text = plan("{ replicaCount = \"two\", replicas = 3 }");
    lab.write(&text);
    let Err(plan::Error::Problems(found)) = lab.try_plan().await else { panic!() };
    let told: Vec<(String, String)> = found
        .iter()
        .map(|p| {
            let span = &p.labels[0].span;
            (p.summary.clone(), lab.files["p/a.hcl"][span.range()].to_owned())
        })
        .collect();
    assert_eq!(told.len(), 2, "{found:#?}");
    assert!(told.iter().any(|(what, place)| what.contains("replicaCount") && place == "\"two\""), "{told:?}");
    assert!(told.iter().any(|(what, _)| what.contains("replicas")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_on_that_a_hop_can_keep_as_it_is_never_goes_back_on_the_way() {
    let mut lab = Lab::new("");
    write(&mut lab, Wish { coredns: "v1.12.4-eksbuild.1", ..OLD });
    lab.applied().await;
    write(&mut lab, NEW);
    let made = lab.plan().await;
    let node = made.plan.nodes.iter().find(|n| n.address.kind() == "eks_upgrade").unwrap();
    let moves: Vec<&str> = node
        .children
        .iter()
        .filter(|hop| hop.fields.iter().any(|f| f.path == "addons.coredns"))
        .map(|hop| hop.name.as_str())
        .collect();
    assert_eq!(moves, ["Kubernetes 1.34"]);
}
