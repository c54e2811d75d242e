//! A cluster is drained before its stack goes: what is listed, in which order it goes, and what stops a run.

use crate::{
    apply::{run, testing::Lab},
    base::{ActionWord, Event, Events, NoEvents, RunEnd},
    plan::{self, Made, Mode, Planned, Request},
    world::{
        ApplyOptions, ClusterHandle, ObjectRef, World as _,
        sandbox::{Drift, Fault, FaultKind},
    },
};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex};

const PLAN: &str = r#"
stack "cluster" {
  template = "${path.root}/cluster.yaml"
  parameters = { ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }
}
kubernetes "main" {
  eks { name = stack.cluster.outputs.ClusterName }
}
manifest "web" {
  object = {
    apiVersion = "v1"
    kind = "Service"
    metadata = { name = "web", namespace = "default" }
    spec = { type = "LoadBalancer", ports = [{ port = 80 }], selector = { app = "web" } }
  }
  wait = false
}
"#;

async fn lab() -> Lab {
    let mut lab = Lab::new(PLAN);
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    lab.applied().await;
    lab
}

async fn cluster(lab: &Lab) -> ClusterHandle {
    let subject = lab.subject().await;
    let web = &subject.state.resources[&"manifest.web".parse().unwrap()];
    lab.world.cluster(&plan::remembered_connections(&subject, web).cluster.unwrap()).unwrap()
}

/// Somebody else's hand.
async fn put(lab: &Lab, object: Json) {
    let options = ApplyOptions { manager: "hand".to_owned(), force: true, dry_run: false };
    cluster(lab).await.kubernetes.apply(&object, &options).await.unwrap();
}

fn service(name: &str, finalizers: &[&str]) -> Json {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "finalizers": finalizers},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": name}}})
}

fn claim(name: &str, class: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}})
}

async fn has(lab: &Lab, kind: &str, name: &str) -> bool {
    holds(&cluster(lab).await, kind, name).await
}

async fn holds(cluster: &ClusterHandle, kind: &str, name: &str) -> bool {
    let object = ObjectRef {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: Some("default".to_owned()),
        name: name.to_owned(),
    };
    cluster.kubernetes.get(&object).await.unwrap().is_some()
}

async fn destroying(lab: &Lab) -> Made {
    let request = Request { mode: Mode::Destroy, ..Request::default() };
    plan::make(&lab.subject().await, &request, &NoEvents).await.unwrap_or_else(|e| panic!("{e:#?}"))
}

fn node<'m>(made: &'m Made, address: &str) -> &'m Planned {
    made.plan.nodes.iter().find(|n| n.address.as_str() == address).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_controllers_made_is_listed_under_the_stack_of_their_cluster_and_goes_before_it() {
    let lab = lab().await;
    put(&lab, service("foreign", &[])).await;
    put(
        &lab,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "inside", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]}}),
    )
    .await;
    put(
        &lab,
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "kept"},
        "provisioner": "sandbox.terrace.dev/local", "reclaimPolicy": "Retain"}),
    )
    .await;
    put(&lab, claim("data", "kept")).await;
    put(&lab, claim("cache", "gp2")).await;
    let made = destroying(&lab).await;
    let stack = node(&made, "stack.cluster");
    let drained: Vec<_> = stack
        .children
        .iter()
        .filter(|c| c.kind.starts_with("v1 "))
        .map(|c| (c.name.as_str(), c.action, c.policy.as_deref(), c.stateful))
        .collect();
    assert_eq!(
        drained,
        [
            ("Service default/foreign", ActionWord::Delete, None, false),
            ("PersistentVolumeClaim default/cache", ActionWord::Delete, Some("Delete"), true),
            ("PersistentVolumeClaim default/data", ActionWord::Delete, Some("Retain"), true),
        ],
        "what a removal of the plan takes away, and what stands for nothing outside, is not listed"
    );
    assert!(stack.stateful);
    let said = "drains the cluster c first: 1 object that a load balancer stands behind, 2 volume claims; \
                1 volume stays and costs, by the reclaim policy Retain";
    assert!(stack.reasons.iter().any(|r| r == said), "{:?}", stack.reasons);
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (report.failures, report.beyond));
    assert!(lab.subject().await.state.resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_that_its_controller_does_not_clear_keeps_everything_that_stands() {
    let lab = lab().await;
    put(&lab, service("foreign", &["service.k8s.aws/resources"])).await;
    put(&lab, claim("data", "gp2")).await;
    let report = lab.destroy().await;
    assert_eq!(report.end, RunEnd::Failed);
    let why = format!("{:?}", report.failures);
    assert!(why.contains("Service default/foreign") && why.contains("AWS Load Balancer Controller"), "{why}");
    assert!(has(&lab, "Service", "web").await, "ours goes only after what its controllers have to clear");
    assert!(has(&lab, "PersistentVolumeClaim", "data").await);
    assert_eq!(lab.subject().await.state.resources.len(), 2);
    put(&lab, service("foreign", &[])).await;
    let report = lab.destroy().await;
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (report.failures, report.beyond));
    assert!(lab.subject().await.state.resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_appeared_since_the_plan_stops_the_run_before_anything_is_touched() {
    let lab = lab().await;
    let made = destroying(&lab).await;
    put(&lab, service("late", &[])).await;
    let report = lab.apply_made(made).await.unwrap();
    assert!(format!("{:?}", report.beyond).contains("Service default/late; plan again"), "{report:#?}");
    assert!(has(&lab, "Service", "late").await && has(&lab, "Service", "web").await);
    assert_eq!(lab.subject().await.state.resources.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_appeared_since_the_plan_is_seen_before_the_stack_is_touched() {
    let lab = lab().await;
    let made = destroying(&lab).await;
    put(&lab, claim("late", "gp2")).await;
    let cluster = cluster(&lab).await;
    let report = lab.apply_made(made).await.unwrap();
    assert!(format!("{:?}", report.beyond).contains("PersistentVolumeClaim default/late"), "{report:#?}");
    assert!(holds(&cluster, "PersistentVolumeClaim", "late").await);
    let left: Vec<String> = lab.subject().await.state.resources.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["stack.cluster"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    let mut lab = lab().await;
    put(&lab, service("foreign", &[])).await;
    put(&lab, claim("data", "gp2")).await;
    let kept = lab.keep();
    let before = lab.calls();
    assert_eq!(lab.destroy().await.end, RunEnd::Succeeded);
    let calls = lab.calls() - before;
    for at in (1..=calls).step_by(3) {
        lab.restore(&kept);
        let made = destroying(&lab).await;
        lab.crash(at, at % 2 == 0);
        let report = match lab.until_crash(lab.apply_made(made)).await {
            Some(report) => report.unwrap(),
            None if lab.subject().await.state.open_run().is_none() => continue,
            None => lab.resumed().await,
        };
        assert_eq!(report.end, RunEnd::Succeeded, "killed at call {at}: {:#?}", (report.failures, report.beyond));
        assert!(lab.subject().await.state.resources.is_empty(), "killed at call {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lived_in_a_cluster_is_gone_with_it_only_where_the_service_says_so() {
    let lab = lab().await;
    let subject = lab.subject().await;
    let aws = lab.world.aws(&subject.aws).unwrap();
    aws.cloudformation.delete_stack("p-dev-cluster", &[], "token").await.unwrap();
    lab.world.advance(std::time::Duration::from_secs(3600)).unwrap();
    let made = destroying(&lab).await;
    let web = node(&made, "manifest.web");
    assert_eq!(
        (web.action, web.reasons.as_slice()),
        (ActionWord::Forget, &["it is gone with its cluster".to_owned()][..])
    );
    let report = lab.apply_made(made).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (report.failures, report.beyond));
    assert!(lab.subject().await.state.resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_of_others_are_named_before_their_type_takes_them_along() {
    let mut lab = lab().await;
    let kind = |group: &str| {
        format!(
            r#"
manifest "type" {{
  object = {{
    apiVersion = "apiextensions.k8s.io/v1"
    kind = "CustomResourceDefinition"
    metadata = {{ name = "teams.{group}" }}
    spec = {{
      group = "{group}"
      scope = "Namespaced"
      names = {{ plural = "teams", singular = "team", kind = "Team" }}
      versions = [{{ name = "v1", served = true, storage = true,
        schema = {{ openAPIV3Schema = {{ type = "object", "x-kubernetes-preserve-unknown-fields" = true }} }} }}]
    }}
  }}
}}
"#
        )
    };
    lab.write(&format!("{PLAN}{}", kind("example.com")));
    lab.applied().await;
    put(
        &lab,
        json!({"apiVersion": "example.com/v1", "kind": "Team", "metadata": {"name": "a", "namespace": "default"}}),
    )
    .await;
    let made = destroying(&lab).await;
    let definition = node(&made, "manifest.type");
    let children: Vec<_> = definition.children.iter().map(|c| (c.name.as_str(), c.stateful)).collect();
    assert_eq!(children, [("CustomResourceDefinition teams.example.com", true), ("Team default/a", true)]);
    assert!(definition.reasons.iter().any(|r| r.contains("1 custom resources along that others made")));
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
}

/// What a plan that is refused is refused for.
async fn refused(lab: &Lab, request: &Request) -> String {
    format!("{:#?}", plan::make(&lab.subject().await, request, &NoEvents).await.expect_err("it is refused"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_something_in_it_is_not_replaced() {
    let mut lab = lab().await;
    let replacing = Request { replace: vec!["stack.cluster".parse().unwrap()], ..Request::default() };
    let said = refused(&lab, &replacing).await;
    assert!(said.contains("cluster_not_empty") && said.contains("of this plan, manifest.web"), "{said}");
    assert!(said.contains("terrace destroy --target 'manifest.web'"), "{said}");

    put(&lab, service("foreign", &[])).await;
    let alone = PLAN.split("manifest").next().unwrap().to_owned();
    let hand = cluster(&lab).await;
    lab.write(&alone);
    lab.applied().await;
    // A property that replaces the cluster inside the stack is no other thing than replacing the stack.
    let other = alone.replace("ClusterName = \"c\"", "ClusterName = \"d\"");
    lab.write(&other);
    for request in [&replacing, &Request::default()] {
        let said = refused(&lab, request).await;
        assert!(said.contains("cluster_not_empty") && said.contains("Service default/foreign"), "{said}");
        assert!(!said.contains("manifest.web"), "{said}");
    }
    let foreign = ObjectRef::of(&service("foreign", &[])).unwrap();
    hand.kubernetes.delete(&foreign, None).await.unwrap();
    lab.applied().await;
    assert!(lab.changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_gone_only_where_its_stack_says_so_too() {
    let lab = lab().await;
    // Somebody deleted it by hand, or we look into another account: who knows.
    let gone = Drift { target: "stack/p-dev-cluster/Cluster".to_owned(), delete: true, ..Drift::default() };
    lab.world.drift(&gone).unwrap();
    let blind = Fault::new("cloudformation:DetectStackDrift", FaultKind::Deny).times(None);
    lab.world.add_fault(&blind).unwrap();
    let said = refused(&lab, &Request { mode: Mode::Destroy, ..Request::default() }).await;
    let what = "EKS has no such cluster, and its stack p-dev-cluster says that Cluster is CREATE_COMPLETE";
    assert!(said.contains(what), "{said}");
    // Once the stack itself finds out that it is gone, it is.
    lab.world.clear_faults(None).unwrap();
    let made = destroying(&lab).await;
    assert_eq!(node(&made, "manifest.web").action, ActionWord::Forget);
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
}

/// Keeps the lines of what is told.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Events for Lines {
    fn emit(&self, event: Event) {
        let line = match event {
            Event::DrainStarted { address, cluster, total } => format!("{address} drains {total} of {cluster}"),
            Event::Drained { object, left, .. } => format!("{object} drained, {left} left"),
            Event::NodeStarted { address, .. } => format!("{address} begins"),
            Event::NodeEnded { address, .. } => format!("{address} ends"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_drained_is_told_before_what_stood_on_it_is_destroyed() {
    let lab = lab().await;
    put(&lab, service("foreign", &[])).await;
    put(&lab, claim("data", "gp2")).await;
    let made = destroying(&lab).await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let lines = Arc::new(Lines::default());
    let report = run(lab.subject().await, saved, lab.store().await, Lab::options(), lines.clone()).await.unwrap();
    assert_eq!(report.end, RunEnd::Succeeded, "{:#?}", (report.failures, report.beyond));
    let told = lines.0.lock().unwrap().clone();
    assert_eq!(
        told,
        [
            "stack.cluster drains 1 of the cluster c",
            "Service default/foreign drained, 0 left",
            "manifest.web begins",
            "manifest.web ends",
            "stack.cluster drains 1 of the cluster c",
            "PersistentVolumeClaim default/data drained, 0 left",
            "stack.cluster begins",
            "stack.cluster ends",
        ]
    );
}
