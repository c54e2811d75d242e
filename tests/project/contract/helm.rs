//! What the trait `Helm` promises, asked of the sandbox and of the helm program, versions 3 and 4, on a real control plane.

#![expect(clippy::disallowed_methods, reason = "each sandbox has a folder of its own")]

use crate::support::{cluster, cluster::ControlPlane, server::built};
use serde_json::json;
use std::{
    future::{Ready, ready},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use terrace::world::{
    ActingAs, ChartRef, Class, ClusterConnection, ClusterHandle, Failure, Helm, ObjectRef, Release, ReleaseRequest,
    World,
    live::{HelmSettings, Live},
    sandbox::{CrashBy, Drift, Fault, FaultKind, Halfway, Options, Sandbox},
};

/// A cluster with a Helm, and a namespace in it for this test alone.
pub(super) struct HelmBed {
    cluster: ClusterHandle,
    namespace: String,
    behind: Behind,
}

/// How to get at the cluster behind Terrace's back.
enum Behind {
    Sandbox(Arc<Sandbox>, #[expect(dead_code, reason = "is deleted when it is dropped")] tempfile::TempDir),
    Real(&'static ControlPlane),
}

impl HelmBed {
    pub(super) async fn sandbox() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { speed: f64::INFINITY, crash: CrashBy::Halt, ..Options::default() };
        let sandbox = Sandbox::open(folder.path(), options).unwrap();
        let cluster = sandbox.cluster(&ClusterConnection::InCluster { acting_as: ActingAs::default() }).unwrap();
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "apps" } });
        let how = terrace::world::ApplyOptions { manager: "test".into(), force: false, dry_run: false };
        cluster.kubernetes.apply(&object, &how).await.unwrap();
        Some(Self { cluster, namespace: "apps".to_owned(), behind: Behind::Sandbox(sandbox, folder) })
    }

    pub(super) fn helm3() -> Ready<Option<Self>> {
        ready(Self::real("helm3"))
    }

    pub(super) fn helm4() -> Ready<Option<Self>> {
        ready(Self::real("helm4"))
    }

    fn real(program: &str) -> Option<Self> {
        let (control, helm) = (cluster()?, built(program)?);
        let nobody = |_: &str| Err(Failure::new(Class::Denied, "mfa", "", "there is nobody to ask"));
        let live = Live::new(Arc::new(nobody));
        live.use_helm(HelmSettings {
            program: Some(helm.display().to_string()),
            mirrors: Vec::new(),
            archives: Vec::new(),
            cache: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("charts-of-tests")),
        });
        let path = control.kubeconfig().display().to_string();
        let connection = ClusterConnection::Kubeconfig { path, context: None, acting_as: ActingAs::default() };
        let cluster = live.cluster(&connection).unwrap();
        Some(Self { cluster, namespace: control.namespace("helm"), behind: Behind::Real(control) })
    }

    fn helm(&self) -> &dyn Helm {
        &*self.cluster.helm
    }

    fn request(&self, name: &str, token: &str) -> ReleaseRequest {
        ReleaseRequest {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            chart: chart(),
            values: json!({ "replicas": 1 }),
            labels: [("terrace.dev/plan".to_owned(), "app".to_owned())].into(),
            timeout: Duration::from_secs(60),
            wait: true,
            token: token.to_owned(),
            upgrade: false,
        }
    }

    async fn newest(&self, name: &str) -> Option<Release> {
        self.helm().release(name, &self.namespace).await.unwrap()
    }

    async fn statuses(&self, name: &str) -> Vec<(u32, String)> {
        let history = self.helm().history(name, &self.namespace).await.unwrap();
        history.into_iter().map(|release| (release.revision, release.status)).collect()
    }

    async fn there(&self, kind: &str, name: &str) -> bool {
        let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        let (kind, namespace) = (kind.to_owned(), Some(self.namespace.clone()));
        let object = ObjectRef { api_version: api_version.to_owned(), kind, namespace, name: name.to_owned() };
        self.cluster.kubernetes.get(&object).await.unwrap().is_some()
    }

    /// Lets the next upgrade never become ready.
    fn break_pods(&self, request: &mut ReleaseRequest) {
        match &self.behind {
            Behind::Sandbox(sandbox, _) => {
                let fault = Fault::new("helm:Upgrade", FaultKind::FailHalfway(Halfway::default()));
                sandbox.add_fault(&fault).unwrap();
            }
            Behind::Real(_) => {
                request.values["pod"] = json!({ "testbed.terrace/pod": "never-ready" });
                request.timeout = Duration::from_secs(4);
            }
        }
    }

    /// Makes it look as if a helm had died in the middle of an upgrade.
    fn leave_pending(&self, name: &str) {
        match &self.behind {
            Behind::Sandbox(sandbox, _) => {
                let target = format!("release/{}/{name}", self.namespace);
                let set = [("status".to_owned(), "pending-upgrade".to_owned())].into();
                sandbox.drift(&Drift { target, set, delete: false, place: None }).unwrap();
            }
            Behind::Real(control) => {
                control.leave_pending(&self.namespace, name, "pending-upgrade", "2026-01-05T08:00:00.5+01:00");
            }
        }
    }
}

/// The chart of the tests.
fn chart() -> ChartRef {
    ChartRef { chart: format!("{}/tests/charts/web", env!("CARGO_MANIFEST_DIR")), repository: None, version: None }
}

fn named(statuses: &[(u32, &str)]) -> Vec<(u32, String)> {
    statuses.iter().map(|(revision, status)| (*revision, (*status).to_owned())).collect()
}

pub(super) async fn a_chart_is_found_and_renders_its_objects(bed: &HelmBed) {
    let found = bed.helm().resolve(&chart()).await.unwrap();
    assert_eq!((found.name.as_str(), found.version.as_str(), found.app_version.as_str()), ("web", "1.0.0", "7"));
    assert!(found.digest.starts_with("sha256:") && !found.made_up, "{found:?}");
    assert_eq!(bed.helm().resolve(&chart()).await.unwrap().digest, found.digest);
    let mut request = bed.request("web", "t");
    request.values = json!({ "replicas": 3, "text": "1e3" });
    let rendered = bed.helm().template(&request).await.unwrap();
    let mut kinds: Vec<&str> = rendered.objects.iter().filter_map(|o| o["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["ConfigMap", "Deployment"]);
    let of = |kind: &str| rendered.objects.iter().find(|o| o["kind"] == kind).unwrap();
    assert_eq!(of("Deployment")["spec"]["replicas"], 3);
    assert_eq!(of("ConfigMap")["data"]["text"], "1e3");
    assert!(!bed.there("ConfigMap", "web").await, "rendering makes nothing");
}

pub(super) async fn a_release_is_made_upgraded_taken_back_and_uninstalled(bed: &HelmBed) {
    let helm = bed.helm();
    assert_eq!(bed.newest("web").await, None);
    let made = helm.install(&bed.request("web", "run-1")).await.unwrap();
    assert_eq!((made.revision, made.status.as_str(), made.token.as_str()), (1, "deployed", "run-1"));
    assert_eq!((made.chart.as_str(), made.version.as_str(), made.app_version.as_str()), ("web", "1.0.0", "7"));
    assert_eq!((made.values, made.labels.len()), (json!({ "replicas": 1 }), 1));
    assert_eq!((made.manifest.len(), made.description.as_str()), (2, "Install complete"));
    assert!(bed.there("Deployment", "web").await && bed.there("ConfigMap", "web").await);

    let mut request = bed.request("web", "run-2");
    request.values = json!({ "replicas": 2, "text": "other" });
    let upgraded = helm.upgrade(&request).await.unwrap();
    assert_eq!((upgraded.revision, upgraded.token.as_str()), (2, "run-2"));
    assert_eq!(upgraded.description, "Upgrade complete");
    assert_eq!(bed.statuses("web").await, named(&[(2, "deployed"), (1, "superseded")]));

    let back = helm.rollback("web", &bed.namespace, 1, true, Duration::from_secs(60)).await.unwrap();
    assert_eq!((back.revision, back.status.as_str(), back.rolled_back_to()), (3, "deployed", Some(1)));
    assert_eq!((back.values, back.token.as_str()), (json!({ "replicas": 1 }), ""));
    assert_eq!(bed.newest("web").await.map(|r| r.revision), Some(3));
    let missing = helm.rollback("web", &bed.namespace, 9, true, Duration::from_secs(60)).await.unwrap_err();
    assert!(missing.message.contains("release has no 9 version"), "{missing}");

    helm.uninstall("web", &bed.namespace, true, Duration::from_secs(60)).await.unwrap();
    assert_eq!(bed.newest("web").await, None);
    assert!(!bed.there("Deployment", "web").await);
    helm.uninstall("web", &bed.namespace, true, Duration::from_secs(60)).await.unwrap();
}

pub(super) async fn values_that_are_no_longer_given_are_gone(bed: &HelmBed) {
    let mut request = bed.request("web", "one");
    request.values = json!({ "text": "given" });
    bed.helm().install(&request).await.unwrap();
    request.values = json!({});
    let upgraded = bed.helm().upgrade(&request).await.unwrap();
    assert_eq!(upgraded.values, json!({}));
    let config = upgraded.manifest.iter().find(|o| o["kind"] == "ConfigMap").unwrap();
    assert_eq!(config["data"]["text"], "hello");
}

pub(super) async fn a_name_is_used_once_and_what_is_not_there_is_not_upgraded(bed: &HelmBed) {
    bed.helm().install(&bed.request("web", "one")).await.unwrap();
    let again = bed.helm().install(&bed.request("web", "two")).await.unwrap_err();
    assert_eq!(again.class, Class::AlreadyExists, "{again}");
    let none = bed.helm().upgrade(&bed.request("none", "three")).await.unwrap_err();
    assert_eq!(none.class, Class::NotFound, "{none}");
    assert_eq!(bed.statuses("web").await, named(&[(1, "deployed")]));
}

pub(super) async fn an_upgrade_that_never_gets_ready_fails_and_leaves_what_was(bed: &HelmBed) {
    bed.helm().install(&bed.request("web", "one")).await.unwrap();
    let mut request = bed.request("web", "two");
    bed.break_pods(&mut request);
    let failure = bed.helm().upgrade(&request).await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure}");
    assert_eq!(bed.statuses("web").await, named(&[(2, "failed"), (1, "deployed")]));
    let failed = bed.newest("web").await.unwrap();
    assert_eq!((failed.token.as_str(), failed.rolled_back_to()), ("two", None));
    assert!(failed.description.starts_with("Upgrade \"web\" failed: "), "{}", failed.description);
    // The next one begins from what is deployed: what the failed one added, Helm 3 leaves there, and its pods never get ready.
    let next = ReleaseRequest { wait: false, ..bed.request("web", "three") };
    bed.helm().upgrade(&next).await.unwrap();
    assert_eq!(bed.statuses("web").await, named(&[(3, "deployed"), (2, "failed"), (1, "superseded")]));
}

pub(super) async fn a_pending_revision_locks_until_it_is_marked_and_no_history_is_lost(bed: &HelmBed) {
    bed.helm().install(&bed.request("web", "one")).await.unwrap();
    let mut request = bed.request("web", "two");
    request.values = json!({ "text": "two" });
    bed.helm().upgrade(&request).await.unwrap();
    bed.leave_pending("web");
    let pending = bed.newest("web").await.unwrap();
    assert!(pending.is_pending() && pending.token == "two", "{pending:?}");
    let locked = bed.helm().upgrade(&bed.request("web", "three")).await.unwrap_err();
    assert_eq!(locked.class, Class::Stuck, "{locked}");
    bed.helm().mark_failed("web", &bed.namespace, "its helm is gone").await.unwrap();
    let marked = bed.newest("web").await.unwrap();
    assert_eq!((marked.status.as_str(), marked.description.as_str()), ("failed", "its helm is gone"));
    assert_eq!((marked.values, marked.manifest.len()), (json!({ "text": "two" }), 2));
    bed.helm().upgrade(&bed.request("web", "three")).await.unwrap();
    assert_eq!(bed.statuses("web").await[0], (3, "deployed".to_owned()));
    assert_eq!(bed.statuses("web").await.len(), 3);
    // What is not pending is left alone.
    bed.helm().mark_failed("web", &bed.namespace, "for nothing").await.unwrap();
    assert_eq!(bed.newest("web").await.unwrap().status, "deployed");
}

pub(super) async fn an_object_of_another_release_is_refused(bed: &HelmBed) {
    let mut request = bed.request("first", "one");
    request.values = json!({ "config": "shared" });
    bed.helm().install(&request).await.unwrap();
    request.name = "second".to_owned();
    let failure = bed.helm().install(&request).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(failure.message.contains("invalid ownership metadata"), "{failure}");
}

pub(super) async fn a_namespace_that_is_not_there_is_no_place_for_a_release(bed: &HelmBed) {
    let mut request = bed.request("web", "one");
    request.namespace = format!("{}-none", bed.namespace);
    let failure = bed.helm().install(&request).await.unwrap_err();
    assert_eq!(failure.class, Class::NotFound, "{failure}");
    assert_eq!(bed.helm().release("web", &request.namespace).await.unwrap(), None);
}
