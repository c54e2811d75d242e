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
    let connection = ClusterConnection::Kubeconfig {
        path: "kubeconfig".into(),
        context: None,
        acting_as: crate::world::ActingAs::default(),
    };
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
        token: "token".into(),
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
    let back = helm.rollback("podinfo", "apps", 1, true, Duration::from_secs(60)).await.unwrap();
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

/// The values, names and places of the shipped platform plan, as far as they change what is there.
#[tokio::test]
async fn the_platforms_releases_answer_where_its_plan_asks() {
    let place = place();
    let persistent = json!({"persistentVolume": {"storageClass": "standard", "size": "1Gi"}});
    let releases = [
        ("istio-base", "base", "istio-system", json!({})),
        ("istiod", "istiod", "istio-system", json!({"pilot": {"resources": {"requests": {"cpu": "200m"}}}})),
        (
            "istio-ingress",
            "gateway",
            "istio-system",
            json!({"service": {"type": "ClusterIP"}, "autoscaling": {"minReplicas": 2}}),
        ),
        (
            "loki",
            "loki",
            "observability",
            json!({
                "singleBinary": {"replicas": 1, "persistence": {"storageClass": "standard"}}, "read": {"replicas": 0},
                "write": {"replicas": 0}, "backend": {"replicas": 0}, "gateway": {"service": {"port": 3100}},
                "chunksCache": {"enabled": false}, "resultsCache": {"enabled": false}, "lokiCanary": {"enabled": false},
            }),
        ),
        (
            "mimir",
            "mimir-distributed",
            "observability",
            json!({
                "ingester": {"replicas": 2, "persistentVolume": {"storageClass": "standard"}},
                "gateway": {"enabledNonEnterprise": true}, "nginx": {"enabled": false}, "minio": {"enabled": false},
            }),
        ),
        (
            "prometheus",
            "prometheus",
            "observability",
            json!({"server": persistent, "alertmanager": {"enabled": false}}),
        ),
        ("grafana", "grafana", "observability", json!({"service": {"port": 3000}, "adminPassword": "hidden"})),
        ("kiali", "kiali-operator", "istio-system", json!({"cr": {"create": true, "namespace": "istio-system"}})),
        ("trivy-operator", "trivy-operator", "trivy-system", json!({"service": {"metricsPort": 8080}})),
        (
            "velero",
            "velero",
            "velero",
            json!({"deployNodeAgent": true, "schedules": {"daily": {"schedule": "0 2 * * *"}},
            "configuration": {"backupStorageLocation": [{"name": "default", "provider": "aws", "bucket": "b"}]}}),
        ),
        (
            "kubecost",
            "cost-analyzer",
            "kubecost",
            json!({"global": {"prometheus": {"enabled": false}, "grafana": {"enabled": false}}}),
        ),
        ("headlamp-blue", "headlamp", "headlamp", json!({"podLabels": {"color": "blue"}})),
        ("headlamp-green", "headlamp", "headlamp", json!({"podLabels": {"color": "green"}})),
    ];
    for (name, chart, namespace, values) in releases {
        place.namespace(namespace).await;
        let wanted = ReleaseRequest { name: name.into(), namespace: namespace.into(), values, ..request(chart, None) };
        let done = place.cluster.helm.install(&wanted).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!serde_json::to_string(&done.manifest).unwrap().contains("hidden"), "{name} shows a secret");
    }
    let policy = json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "istio-system"}, "spec": {"mtls": {"mode": "STRICT"}}});
    place.apply(policy).await.unwrap();
    let services = [
        ("istio-system", "istio-ingress", 80, ""),
        ("istio-system", "istiod", 15012, ""),
        ("observability", "loki", 3100, "/ready"),
        ("observability", "loki-gateway", 3100, "/"),
        ("observability", "mimir-gateway", 80, "/"),
        ("observability", "prometheus-server", 80, "/-/ready"),
        ("observability", "grafana", 3000, "/api/health"),
        ("istio-system", "kiali", 20001, "/healthz"),
        ("trivy-system", "trivy-operator", 8080, "/metrics"),
        ("velero", "velero", 8085, "/metrics"),
        ("kubecost", "kubecost-cost-analyzer", 9090, "/"),
        ("headlamp", "headlamp-blue", 80, "/"),
        ("headlamp", "headlamp-green", 80, "/"),
    ];
    for (namespace, service, port, path) in services {
        let answer =
            place.ask(namespace, service, port, path).await.unwrap_or_else(|error| panic!("{service}: {error}"));
        assert_eq!(answer.status, if path.is_empty() { 0 } else { 200 }, "{service}");
    }
    let pods = [
        ("istio-system", "app", "istiod", 8080, "/ready"),
        ("istio-system", "app", "istio-ingress", 15021, "/healthz/ready"),
        ("observability", "app.kubernetes.io/name", "prometheus", 9090, "/-/ready"),
        ("trivy-system", "app.kubernetes.io/name", "trivy-operator", 9090, "/readyz"),
        ("kubecost", "app", "cost-analyzer", 9003, "/healthz"),
    ];
    for (namespace, label, value, port, path) in pods {
        let request = PodRequest {
            namespace: namespace.into(),
            endpoint: Endpoint::Selector(BTreeMap::from([(label.to_owned(), value.to_owned())])),
            port,
            path: path.into(),
            method: "GET".into(),
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(5),
        };
        assert_eq!(place.cluster.kubernetes.pod_request(&request).await.unwrap().status, 200, "{value}");
    }
}

#[test]
fn a_project_adds_charts_and_a_folder_is_a_chart() {
    let folder = tempfile::Builder::new().tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test writes its own folder")]
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("mine.yaml", "chart: mine\nversions: {2.0.0: '7', 10.0.0: '8'}\nworkloads: [{deployment: web, image: a}]\n");
    let wanted = ChartRef { chart: "mine".into(), ..ChartRef::default() };
    assert_eq!(catalogue::find(&wanted, Some(folder.path())).unwrap().chart.version, "10.0.0");
    write("Chart.yaml", "name: local\nversion: 0.3.0\nappVersion: '1'\n");
    write("mine.yaml", "no chart: here");
    assert_eq!(catalogue::find(&wanted, Some(folder.path())).unwrap_err().class, Class::Invalid);
    let local = ChartRef { chart: folder.path().display().to_string(), ..ChartRef::default() };
    let found = catalogue::find(&local, None).unwrap().chart;
    assert_eq!((found.name.as_str(), found.version.as_str(), found.made_up), ("local", "0.3.0", true));
    write("values.yaml", "a: 1");
    assert_ne!(catalogue::find(&local, None).unwrap().chart.digest, found.digest, "the digest is of the content");
}

fn any_json() -> impl proptest::strategy::Strategy<Value = Json> {
    use proptest::prelude::*;
    let names = prop::sample::select(vec![
        "replicas",
        "enabled",
        "resources",
        "service",
        "port",
        "server",
        "podLabels",
        "annotations",
        "cr",
        "spec",
        "create",
        "persistence",
        "image",
        "nameOverride",
        "fullnameOverride",
        "serviceAccount",
        "pilot",
        "ingester",
        "singleBinary",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        ".{0,3}".prop_map(Json::from)
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(names.clone(), inner, 0..8)
                .prop_map(|m| Json::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn charts_render_with_any_values(values in any_json()) {
        for chart in catalogue::names() {
            let found = catalogue::find(&ChartRef { chart, ..ChartRef::default() }, None).unwrap();
            let whom = render::For { release: "r", namespace: "n", values: &values, helm: true };
            let once = render::render(&found, whom);
            proptest::prop_assert_eq!(once, render::render(&found, whom));
        }
    }
}

#[tokio::test]
async fn a_fault_strikes_a_chart_without_pods_too() {
    let place = place();
    place.namespace("apps").await;
    place.sandbox.add_fault(&Fault::new("helm:Install", FaultKind::FailHalfway(Halfway::default()))).unwrap();
    let error = place.cluster.helm.install(&request("base", None)).await.unwrap_err();
    assert_eq!((error.class, error.operation.as_str()), (Class::Failed, "helm:Install"));
}

#[tokio::test]
async fn a_process_that_dies_half_way_leaves_a_pending_record() {
    let folder = tempfile::Builder::new().tempdir().unwrap();
    let start = Some("2026-01-05T08:00:00Z".parse().unwrap());
    let crash = crate::world::sandbox::CrashBy::Halt;
    let options = Options { speed: f64::INFINITY, start, crash, ..Options::default() };
    let connection = ClusterConnection::InCluster { acting_as: crate::world::ActingAs::default() };
    let sandbox = Sandbox::open(folder.path(), options.clone()).unwrap();
    let cluster = sandbox.cluster(&connection).unwrap();
    let wanted = ReleaseRequest { namespace: "default".into(), ..request("podinfo", None) };
    sandbox.add_fault(&Fault::new("helm:Install.objects", FaultKind::Crash { after: true })).unwrap();
    tokio::select! {
        _ = cluster.helm.install(&wanted) => panic!("it must not return"),
        () = sandbox.crashed() => {}
    }
    drop((cluster, sandbox));
    let sandbox = Sandbox::open(folder.path(), options).unwrap();
    let cluster = sandbox.cluster(&connection).unwrap();
    let left = cluster.helm.release("podinfo", "default").await.unwrap().unwrap();
    assert_eq!((left.status.as_str(), left.is_pending(), left.token.as_str()), ("pending-install", true, "token"));
    assert_eq!(cluster.helm.upgrade(&wanted).await.unwrap_err().class, Class::Stuck);
    cluster.helm.uninstall("podinfo", "default", true, Duration::from_secs(60)).await.unwrap();
    cluster.helm.install(&wanted).await.unwrap();
}
