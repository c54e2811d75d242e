//! The API server as users of the real one know it.

use super::*;
use crate::world::{
    ApplyOptions, AwsConnection, Class,
    sandbox::{Drift, Options},
};
use std::{collections::BTreeMap, time::Duration};

struct Place {
    sandbox: Arc<Sandbox>,
    cluster: ClusterHandle,
    _folder: tempfile::TempDir,
}

const KEY: &str = "111122223333/us-east-1/dev";

fn place() -> Place {
    let folder = tempfile::Builder::new().tempdir().unwrap();
    let start = Some("2026-01-05T08:00:00Z".parse().unwrap());
    let sandbox = Sandbox::open(folder.path(), Options { speed: f64::INFINITY, start, ..Options::default() }).unwrap();
    let aws =
        AwsConnection { region: "us-east-1".into(), account_id: "111122223333".into(), ..AwsConnection::default() };
    let cluster = crate::world::World::cluster(
        &*sandbox,
        &ClusterConnection::Eks {
            name: "dev".into(),
            aws: Box::new(aws),
            role_arn: None,
            acting_as: crate::world::ActingAs::default(),
        },
    )
    .unwrap();
    Place { sandbox, cluster, _folder: folder }
}

impl Place {
    fn with_nodes(self, nodes: u32) -> Self {
        self.sandbox.transact(|tx| on_cluster_created(tx, KEY, nodes)).unwrap();
        self
    }

    async fn apply_as(&self, manager: &str, object: &Json) -> Outcome<Json> {
        let options = ApplyOptions { manager: manager.into(), force: false, dry_run: false };
        self.cluster.kubernetes.apply(object, &options).await
    }

    async fn apply(&self, object: &Json) -> Outcome<Json> {
        self.apply_as("terrace", object).await
    }

    async fn get(&self, version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Option<Json> {
        self.cluster.kubernetes.get(&reference(version, kind, namespace, name)).await.unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.sandbox.advance(Duration::from_secs(seconds)).unwrap();
    }
}

fn reference(version: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: version.into(),
        kind: kind.into(),
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    }
}

fn web(replicas: u32, image: &str) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 80}]}]},
        }},
    })
}

fn app(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), name.to_owned())])
}

#[tokio::test]
async fn a_cluster_that_is_not_there_yet_says_so() {
    let place = place();
    let error = place.cluster.kubernetes.identity().await.unwrap_err();
    assert_eq!(error.class, Class::NotFound);
    assert_eq!(error.message, "no active cluster found for name: dev");
    let place = place.with_nodes(1);
    assert_eq!(place.cluster.kubernetes.identity().await.unwrap().len(), 36);
}

#[tokio::test]
async fn a_deployment_becomes_available_and_a_second_apply_changes_nothing() {
    let place = place().with_nodes(2);
    let first = place.apply(&web(2, "nginx:1")).await.unwrap();
    assert_eq!(first["status"]["conditions"][0]["status"], "False");
    place.pass(30);
    let live = place.get("apps/v1", "Deployment", Some("default"), "web").await.unwrap();
    assert_eq!(
        live["status"]["conditions"][0],
        json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"})
    );
    assert_eq!(live["status"]["observedGeneration"], live["metadata"]["generation"]);
    let again = place.apply(&web(2, "nginx:1")).await.unwrap();
    assert_eq!(again["metadata"], live["metadata"]);
    let pods = place.cluster.kubernetes.list("v1", "Pod", Some("default"), &app("web")).await.unwrap();
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(workload::is_ready));
}

#[tokio::test]
async fn a_new_image_replaces_pods_while_the_old_ones_serve() {
    let place = place().with_nodes(2);
    place.apply(&web(2, "nginx:1")).await.unwrap();
    place.pass(30);
    place.apply(&web(2, "nginx:2")).await.unwrap();
    let pods = place.cluster.kubernetes.list("v1", "Pod", Some("default"), &app("web")).await.unwrap();
    assert_eq!(pods.iter().filter(|pod| workload::is_ready(pod)).count(), 2);
    assert_eq!(pods.len(), 4);
    place.pass(30);
    let pods = place.cluster.kubernetes.list("v1", "Pod", Some("default"), &app("web")).await.unwrap();
    assert!(pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == "nginx:2"));
    assert_eq!(pods.len(), 2);
}

#[tokio::test]
async fn without_nodes_pods_stay_pending_and_start_once_there_is_one() {
    let place = place().with_nodes(0);
    place.apply(&web(1, "nginx:1")).await.unwrap();
    place.pass(3600);
    let pods = place.cluster.kubernetes.list("v1", "Pod", Some("default"), &app("web")).await.unwrap();
    assert_eq!(pods[0]["status"]["phase"], "Pending");
    let events =
        place.cluster.kubernetes.events_about(&reference("apps/v1", "Deployment", Some("default"), "web")).await;
    assert!(events.unwrap()[0].contains("no nodes available"));
    place.sandbox.transact(|tx| on_nodes_changed(tx, KEY, 1)).unwrap();
    place.pass(30);
    let pods = place.cluster.kubernetes.list("v1", "Pod", Some("default"), &app("web")).await.unwrap();
    assert!(workload::is_ready(&pods[0]));
}

#[tokio::test]
async fn a_custom_resource_needs_its_crd() {
    let place = place().with_nodes(1);
    let policy = json!({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "default"}, "spec": {"mtls": {"mode": "STRICT"}},
    });
    let error = place.apply(&policy).await.unwrap_err();
    assert_eq!(error.class, Class::NotFound);
    assert_eq!(error.message, "no matches for kind \"PeerAuthentication\" in version \"security.istio.io/v1\"");
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "peerauthentications.security.istio.io"},
        "spec": {"group": "security.istio.io", "scope": "Namespaced",
            "names": {"kind": "PeerAuthentication", "plural": "peerauthentications"},
            "versions": [{"name": "v1", "served": true, "storage": true}]},
    });
    place.apply(&crd).await.unwrap();
    assert!(place.apply(&policy).await.is_err(), "it is established only after a moment");
    place.pass(5);
    place.apply(&policy).await.unwrap();
    place.cluster.kubernetes.delete(&ObjectRef::of(&crd).unwrap(), None).await.unwrap();
    assert_eq!(place.get("security.istio.io/v1", "PeerAuthentication", Some("default"), "default").await, None);
}

#[tokio::test]
async fn a_namespace_drains_and_a_finalizer_holds_it() {
    let place = place().with_nodes(1);
    place.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})).await.unwrap();
    let map = |finalizers: Json| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "team", "finalizers": finalizers}});
    place.apply(&map(json!(["example.com/hold"]))).await.unwrap();
    let namespace = reference("v1", "Namespace", None, "team");
    place.cluster.kubernetes.delete(&namespace, None).await.unwrap();
    place.pass(3600);
    let live = place.get("v1", "Namespace", None, "team").await.unwrap();
    assert_eq!(live["status"]["phase"], "Terminating");
    let events = place.cluster.kubernetes.events_about(&namespace).await.unwrap();
    assert!(events[0].contains("ConfigMap team/c"), "{events:?}");
    let refused = place
        .apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d", "namespace": "team"}}))
        .await;
    assert!(refused.unwrap_err().message.contains("because it is being terminated"));
    place.apply(&map(json!([]))).await.unwrap();
    place.pass(30);
    assert_eq!(place.get("v1", "Namespace", None, "team").await, None);
}

#[tokio::test]
async fn a_missing_namespace_and_bad_names_are_refused_in_the_servers_words() {
    let place = place().with_nodes(1);
    let map = |name: &str, namespace: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}});
    let error = place.apply(&map("c", "nowhere")).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (Class::NotFound, "namespaces \"nowhere\" not found"));
    let error = place.apply(&map("Bad_Name", "default")).await.unwrap_err();
    assert!(error.message.starts_with("ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value"), "{error}");
}

#[tokio::test]
async fn immutable_fields_are_refused() {
    let place = place().with_nodes(1);
    place.apply(&web(1, "nginx:1")).await.unwrap();
    let mut other = web(1, "nginx:1");
    other["spec"]["selector"]["matchLabels"]["app"] = json!("api");
    other["spec"]["template"]["metadata"]["labels"]["app"] = json!("api");
    let error = place.apply(&other).await.unwrap_err();
    assert!(error.message.starts_with("Deployment.apps \"web\" is invalid: spec.selector: Invalid value"), "{error}");
    assert!(error.message.ends_with("field is immutable"), "{error}");
}

#[tokio::test]
async fn an_edit_behind_the_back_conflicts_by_name() {
    let place = place().with_nodes(1);
    place.apply(&web(1, "nginx:1")).await.unwrap();
    let drift = Drift {
        target: "object/default/Deployment/web".into(),
        set: vec![("spec.replicas".into(), "3".into())],
        place: Some("dev".into()),
        ..Drift::default()
    };
    place.sandbox.drift(&drift).unwrap();
    let error = place.apply(&web(1, "nginx:1")).await.unwrap_err();
    assert_eq!(error.class, Class::Conflict);
    assert!(error.message.contains("\"kubectl-edit\"") && error.message.ends_with(".spec.replicas"), "{error}");
    place.sandbox.drift(&Drift { set: Vec::new(), delete: true, ..drift }).unwrap();
    place.pass(30);
    assert_eq!(place.get("apps/v1", "Deployment", Some("default"), "web").await, None);
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let place = place().with_nodes(1);
    let options = ApplyOptions { manager: "terrace".into(), force: false, dry_run: true };
    let would = place.cluster.kubernetes.apply(&web(1, "nginx:1"), &options).await.unwrap();
    assert_eq!(would["spec"]["template"]["spec"]["restartPolicy"], "Always");
    assert_eq!(place.get("apps/v1", "Deployment", Some("default"), "web").await, None);
}

#[tokio::test]
async fn the_dns_add_on_brings_two_pods() {
    let place = place().with_nodes(2);
    place.sandbox.transact(|tx| on_addon_changed(tx, KEY, "coredns", Some("v1.12.4-eksbuild.1"))).unwrap();
    place.pass(60);
    let labels = BTreeMap::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
    let pods = place.cluster.kubernetes.list("v1", "Pod", Some("kube-system"), &labels).await.unwrap();
    assert_eq!(pods.iter().filter(|pod| workload::is_ready(pod)).count(), 2);
    place.sandbox.transact(|tx| on_addon_changed(tx, KEY, "coredns", None)).unwrap();
    place.pass(60);
    assert!(place.cluster.kubernetes.list("v1", "Pod", Some("kube-system"), &labels).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_claim_waits_for_its_class_and_driver() {
    let place = place().with_nodes(1);
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp2", "resources": {"requests": {"storage": "1Gi"}}},
    });
    place.apply(&claim).await.unwrap();
    place.pass(60);
    let phase = |claim: Option<Json>| claim.unwrap()["status"]["phase"].clone();
    let get = || place.get("v1", "PersistentVolumeClaim", Some("default"), "data");
    assert_eq!(phase(get().await), "Pending");
    place.sandbox.transact(|tx| on_addon_changed(tx, KEY, "aws-ebs-csi-driver", Some("v1.54.0-eksbuild.1"))).unwrap();
    assert_eq!(phase(get().await), "Bound");
}

#[tokio::test]
async fn a_job_completes_and_a_load_balancer_gets_its_name() {
    let place = place().with_nodes(1);
    place
        .apply(&json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "default"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}},
        }))
        .await
        .unwrap();
    place
        .apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "lb", "namespace": "default"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "web"}},
        }))
        .await
        .unwrap();
    place.pass(60);
    let job = place.get("batch/v1", "Job", Some("default"), "once").await.unwrap();
    assert_eq!(job["status"]["conditions"][0], json!({"type": "Complete", "status": "True"}));
    let service = place.get("v1", "Service", Some("default"), "lb").await.unwrap();
    assert!(service["status"]["loadBalancer"]["ingress"][0]["hostname"].is_string());
}

#[tokio::test]
async fn a_deleted_pod_comes_back() {
    let place = place().with_nodes(1);
    place.apply(&web(1, "nginx:1")).await.unwrap();
    place.pass(30);
    let labels = app("web");
    let list = || place.cluster.kubernetes.list("v1", "Pod", Some("default"), &labels);
    let pods = list().await.unwrap();
    place.cluster.kubernetes.delete(&ObjectRef::of(&pods[0]).unwrap(), None).await.unwrap();
    assert!(!workload::is_ready(&list().await.unwrap()[0]));
    place.pass(30);
    assert!(workload::is_ready(&list().await.unwrap()[0]));
}

fn any_json() -> impl proptest::strategy::Strategy<Value = Json> {
    use proptest::prelude::*;
    let names = prop::sample::select(vec![
        "name",
        "image",
        "spec",
        "template",
        "metadata",
        "labels",
        "annotations",
        "containers",
        "ports",
        "port",
        "selector",
        "matchLabels",
        "app",
        "replicas",
        "volumes",
        "finalizers",
        "type",
        "clusterIP",
        "data",
        "stringData",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0..9).prop_map(Json::from),
        "[a-c]{0,2}".prop_map(Json::from)
    ];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(names.clone(), inner, 0..8)
                .prop_map(|m| Json::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest::proptest! {
    #[test]
    fn the_server_bears_any_object_and_a_second_apply_writes_nothing(
        body in any_json(),
        kind in proptest::sample::select(vec!["v1/Service", "v1/Pod", "v1/Secret", "v1/Namespace", "v1/PersistentVolumeClaim",
            "apps/v1/Deployment", "apps/v1/StatefulSet", "batch/v1/Job", "storage.k8s.io/v1/StorageClass"]),
    ) {
        let mut tables = super::super::tx::Tables::default();
        let mut tx = Tx::new(&mut tables, "2026-01-05T08:00:00Z".parse().unwrap());
        on_cluster_created(&mut tx, KEY, 2);
        let (version, kind) = kind.rsplit_once('/').unwrap();
        let mut object = if body.is_object() { body } else { json!({"spec": body}) };
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        object["metadata"]["name"] = json!("x");
        object["metadata"]["namespace"] = json!("default");
        let write = server::Write { manager: "a", force: false, dry_run: false };
        if let Ok(once) = server::apply(&mut tx, KEY, &object, write) {
            let twice = server::apply(&mut tx, KEY, &object, write).unwrap();
            proptest::prop_assert_eq!(&once, &twice);
            let reference = ObjectRef::of(&once).unwrap();
            server::pods_in(&tx, KEY, None);
            server::events(&tx, KEY, &reference).unwrap();
            inspect::show(&tx);
            removal::delete(&mut tx, KEY, &reference).unwrap();
        }
    }
}
