//! Releases as users of Helm know them, and the catalogue as a whole.

use super::*;
use crate::world::{
    ClusterConnection, ClusterHandle, Endpoint, HttpAnswer, PodRequest, World as _,
    sandbox::{Drift, Fault, FaultKind, Halfway, Options},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

struct Place {
    sandbox: Arc<Sandbox>,
    cluster: ClusterHandle,
    _folder: tempfile::TempDir,
}

fn place() -> Place {
    let folder = tempfile::Builder::new().tempdir().unwrap();
    let start = Some("2026-01-05T08:00:00Z".parse().unwrap());
    let sandbox = Sandbox::open(folder.path(), Options { speed: f64::INFINITY, start, ..Options::default() }).unwrap();
    let connection = ClusterConnection::Kubeconfig { path: "kubeconfig".into(), context: None };
    let cluster = sandbox.cluster(&connection).unwrap();
    Place { sandbox, cluster, _folder: folder }
}

impl Place {
    async fn namespace(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply(object).await.unwrap();
    }

    async fn apply(&self, object: Json) -> Outcome<Json> {
        let options = crate::world::ApplyOptions { manager: "test".into(), force: false, dry_run: false };
        self.cluster.kubernetes.apply(&object, &options).await
    }

    async fn ask(&self, namespace: &str, service: &str, port: u16, path: &str) -> Outcome<HttpAnswer> {
        let request = PodRequest {
            namespace: namespace.into(),
            endpoint: Endpoint::Service(service.into()),
            port,
            path: path.into(),
            method: "GET".into(),
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(5),
        };
        self.cluster.kubernetes.pod_request(&request).await
    }
}

fn request(chart: &str, version: Option<&str>) -> ReleaseRequest {
    ReleaseRequest {
        name: chart.to_owned(),
        namespace: "apps".into(),
        chart: ChartRef {
            chart: chart.to_owned(),
            repository: Some("https://charts.example.com".into()),
            version: version.map(str::to_owned),
        },
        values: json!({}),
        timeout: Duration::from_secs(300),
        wait: true,
        description: "token".into(),
        ..ReleaseRequest::default()
    }
}

#[test]
fn every_file_of_the_catalogue_reads_and_has_several_versions() {
    assert_eq!(catalogue::names().len(), catalogue::file_count());
    for name in catalogue::names() {
        let wanted = ChartRef { chart: name.clone(), repository: None, version: Some("0.0.0-none".into()) };
        let error = catalogue::find(&wanted, None).unwrap_err();
        assert!(error.message.matches(", ").count() >= 2, "{}", error.message);
    }
}

#[test]
fn the_versions_that_the_shipped_plans_name_are_known() {
    for (chart, version) in [
        ("base", "1.24.2"),
        ("istiod", "1.24.2"),
        ("gateway", "1.24.2"),
        ("headlamp", "0.26.0"),
        ("loki", "6.24.0"),
        ("mimir-distributed", "5.6.0"),
        ("prometheus", "25.30.1"),
        ("grafana", "8.8.2"),
        ("kiali-operator", "2.2.0"),
        ("trivy-operator", "0.26.1"),
        ("velero", "8.2.0"),
        ("cost-analyzer", "2.4.2"),
        ("aws-load-balancer-controller", "1.11.0"),
    ] {
        let wanted = ChartRef { chart: chart.into(), repository: None, version: Some(version.into()) };
        let found = catalogue::find(&wanted, None).unwrap();
        let newest = catalogue::find(&ChartRef { version: None, ..wanted }, None).unwrap();
        assert!(!found.chart.made_up && found.chart.version == version);
        assert_ne!(newest.chart.version, version, "{chart} has nothing newer");
    }
}

#[tokio::test]
async fn every_chart_installs_and_becomes_ready() {
    let place = place();
    for chart in catalogue::names() {
        let namespace = format!("ns-{chart}");
        place.namespace(&namespace).await;
        let request = ReleaseRequest { namespace, ..request(&chart, None) };
        let release = place.cluster.helm.install(&request).await.unwrap_or_else(|error| panic!("{chart}: {error}"));
        assert_eq!(release.status, "deployed", "{chart}");
    }
}

#[tokio::test]
async fn an_installed_chart_answers_at_its_service() {
    let place = place();
    place.namespace("apps").await;
    let values = json!({"podLabels": {"color": "blue", "none": null}, "replicaCount": 2});
    let release = place.cluster.helm.install(&ReleaseRequest { values, ..request("headlamp", Some("0.26.0")) }).await;
    assert_eq!(release.unwrap().revision, 1);
    assert_eq!(place.ask("apps", "headlamp", 80, "/").await.unwrap().status, 200);
    assert_eq!(place.ask("apps", "headlamp", 80, "").await.unwrap().status, 0);
    assert_eq!(place.ask("apps", "headlamp", 80, "/nowhere").await.unwrap().status, 404);
    let refused = place.ask("apps", "headlamp", 81, "/").await.unwrap_err();
    assert!(refused.class == Class::Unavailable && refused.message.contains("refused"), "{refused}");
    let blue = BTreeMap::from([("color".to_owned(), "blue".to_owned())]);
    assert_eq!(place.cluster.kubernetes.list("v1", "Pod", Some("apps"), &blue).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_unknown_chart_is_made_up_and_an_unknown_version_names_the_known() {
    let place = place();
    place.namespace("apps").await;
    let wanted = request("no-such-thing", Some("1.2.3"));
    assert!(place.cluster.helm.resolve(&wanted.chart).await.unwrap().made_up);
    place.cluster.helm.install(&wanted).await.unwrap();
    assert_eq!(place.ask("apps", "no-such-thing", 80, "/").await.unwrap().status, 200);
    let error = place.cluster.helm.resolve(&request("headlamp", Some("9.9.9")).chart).await.unwrap_err();
    assert_eq!(error.class, Class::NotFound);
    assert!(error.message.contains("0.26.0"), "{error}");
}

#[tokio::test]
async fn a_wait_that_times_out_says_which_pod_and_why() {
    let place = place();
    place.namespace("apps").await;
    let halfway = Halfway { reason: Some("panic: no such host db".into()), ..Halfway::default() };
    place.sandbox.add_fault(&Fault::new("helm:Install", FaultKind::FailHalfway(halfway))).unwrap();
    let error = place.cluster.helm.install(&request("podinfo", None)).await.unwrap_err();
    assert_eq!(error.class, Class::Failed);
    for part in ["context deadline exceeded", "pod podinfo-", "CrashLoopBackOff", "panic: no such host db"] {
        assert!(error.message.contains(part), "{error}");
    }
    let release = place.cluster.helm.release("podinfo", "apps").await.unwrap().unwrap();
    assert_eq!(release.status, "failed");
    let again = place.cluster.helm.upgrade(&request("podinfo", None)).await.unwrap();
    assert_eq!((again.revision, again.status.as_str()), (2, "deployed"));
}

#[tokio::test]
async fn a_pending_record_locks_the_release_until_it_is_marked_failed() {
    let place = place();
    place.namespace("apps").await;
    place.cluster.helm.install(&request("podinfo", Some("6.7.0"))).await.unwrap();
    let lock = Drift {
        target: "release/apps/podinfo".into(),
        set: vec![("status".into(), "pending-upgrade".into())],
        ..Drift::default()
    };
    place.sandbox.drift(&lock).unwrap();
    let error = place.cluster.helm.upgrade(&request("podinfo", Some("6.7.1"))).await.unwrap_err();
    assert_eq!(error.class, Class::Stuck);
    assert_eq!(error.message, "another operation (install/upgrade/rollback) is in progress");
    place.cluster.helm.mark_failed("podinfo", "apps", "its process died").await.unwrap();
    assert_eq!(place.cluster.helm.upgrade(&request("podinfo", Some("6.7.1"))).await.unwrap().status, "deployed");
}

#[tokio::test]
async fn a_rollback_is_a_new_revision_and_a_failed_upgrade_leaves_the_old_pods() {
    let place = place();
    place.namespace("apps").await;
    place.cluster.helm.install(&request("podinfo", Some("6.7.0"))).await.unwrap();
    place.sandbox.add_fault(&Fault::new("helm:Upgrade", FaultKind::FailHalfway(Halfway::default()))).unwrap();
    place.cluster.helm.upgrade(&request("podinfo", Some("6.7.1"))).await.unwrap_err();
    assert_eq!(place.ask("apps", "podinfo", 9898, "/readyz").await.unwrap().status, 200, "the old pod serves");
    let helm = &place.cluster.helm;
    let back = helm.rollback("podinfo", "apps", 1, true, Duration::from_secs(60), "").await.unwrap();
    assert_eq!((back.revision, back.version.as_str(), back.description.as_str()), (3, "6.7.0", "Rollback to 1"));
    let statuses: Vec<String> = helm.history("podinfo", "apps").await.unwrap().into_iter().map(|r| r.status).collect();
    assert_eq!(statuses, ["deployed", "failed", "superseded"]);
}

#[tokio::test]
async fn an_object_of_another_release_is_refused() {
    let place = place();
    place.namespace("apps").await;
    place.cluster.helm.install(&request("istiod", Some("1.24.2"))).await.unwrap();
    let other = ReleaseRequest { name: "second".into(), ..request("istiod", Some("1.24.2")) };
    let error = place.cluster.helm.install(&other).await.unwrap_err();
    assert_eq!(error.class, Class::Conflict);
    assert!(error.message.contains("invalid ownership metadata"), "{error}");
    assert!(error.message.contains("must equal \"second\": current value is \"istiod\""), "{error}");
}

#[tokio::test]
async fn an_uninstall_takes_the_objects_and_keeps_crds_and_namespace() {
    let place = place();
    place.namespace("apps").await;
    place.cluster.helm.install(&request("trivy-operator", None)).await.unwrap();
    place.cluster.helm.uninstall("trivy-operator", "apps", true, Duration::from_secs(60)).await.unwrap();
    assert_eq!(place.cluster.helm.release("trivy-operator", "apps").await.unwrap(), None);
    let none = BTreeMap::new();
    let kubernetes = &place.cluster.kubernetes;
    assert!(kubernetes.list("apps/v1", "Deployment", Some("apps"), &none).await.unwrap().is_empty());
    assert!(
        kubernetes.resource_type("aquasecurity.github.io/v1alpha1", "VulnerabilityReport").await.unwrap().is_some()
    );
    place.cluster.helm.uninstall("trivy-operator", "apps", true, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn a_release_needs_its_namespace_and_a_name_of_its_own() {
    let place = place();
    let error = place.cluster.helm.install(&request("podinfo", None)).await.unwrap_err();
    assert_eq!(error.message, "create: failed to create: namespaces \"apps\" not found");
    place.namespace("apps").await;
    place.cluster.helm.install(&request("podinfo", None)).await.unwrap();
    let error = place.cluster.helm.install(&request("podinfo", None)).await.unwrap_err();
    assert_eq!(error.class, Class::AlreadyExists);
}

#[tokio::test]
async fn a_metric_is_zero_until_it_is_said_otherwise() {
    let place = place();
    place.namespace("apps").await;
    place.cluster.helm.install(&request("prometheus", None)).await.unwrap();
    let query = "/api/v1/query?query=sum(rate(errors%7Bcolor%3D%22green%22%7D[2m]))";
    let zero = place.ask("apps", "prometheus-server", 80, query).await.unwrap();
    assert!(zero.body.contains("\"0\""), "{}", zero.body);
    let drift = Drift {
        target: "metric/color=\"green\"".into(),
        set: vec![("value".into(), "0.5".into())],
        ..Drift::default()
    };
    place.sandbox.drift(&drift).unwrap();
    let some = place.ask("apps", "prometheus-server", 80, query).await.unwrap();
    assert!(some.body.contains("\"0.5\""), "{}", some.body);
}
