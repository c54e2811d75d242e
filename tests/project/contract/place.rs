//! A cluster to ask, a namespace in it for this test alone: the sandbox's, and a real control plane.

#![expect(clippy::disallowed_methods, reason = "each sandbox has a folder of its own")]

use crate::support::{
    self,
    cluster::{ControlPlane, pods::Answers},
};
use serde_json::{Value as Json, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use terrace::world::{
    ActingAs, ApplyOptions, Class, ClusterConnection, Failure, Kubernetes, ObjectRef, Outcome, World,
    live::Live,
    sandbox::{CrashBy, Options, Sandbox},
};

/// What differs from a real API server, by the key under which docs/differences.md gives the reason.
const DIFFERENCES: &[(&str, &str)] = &[("sandbox", "schema"), ("sandbox", "pod-answers")];

/// A cluster, and a namespace in it.
pub(super) struct Place {
    /// What the world is called here.
    pub(super) name: &'static str,
    /// The API server.
    pub(super) api: Arc<dyn Kubernetes>,
    /// The test's own namespace.
    pub(super) namespace: String,
    world: Arc<dyn World>,
    control_plane: Option<&'static ControlPlane>,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    pub(super) async fn sandbox() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { speed: f64::INFINITY, crash: CrashBy::Halt, ..Options::default() };
        let sandbox = Sandbox::open(folder.path(), options).unwrap();
        let connection = ClusterConnection::Kubeconfig {
            path: "kubeconfig".to_owned(),
            context: None,
            acting_as: ActingAs::default(),
        };
        let api = sandbox.cluster(&connection).unwrap().kubernetes;
        let namespace = "contract".to_owned();
        let place =
            Self { name: "sandbox", api, namespace, world: sandbox, control_plane: None, _folder: Some(folder) };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace}});
        place.apply(&object).await;
        place
    }

    pub(super) async fn control_plane() -> Option<Self> {
        let cluster = support::cluster()?;
        let world = live();
        let api = world.cluster(&connection(cluster)).unwrap().kubernetes;
        let namespace =
            tokio::task::spawn_blocking(|| support::cluster().unwrap().namespace("contract")).await.unwrap();
        Some(Self { name: "control plane", api, namespace, world, control_plane: Some(cluster), _folder: None })
    }

    /// True where this world differs from a real cluster in what is called so in docs/differences.md.
    pub(super) fn differs(&self, key: &str) -> bool {
        DIFFERENCES.contains(&(self.name, key))
    }

    /// A name that no other test has, for what lives in no namespace.
    pub(super) fn unique(&self, prefix: &str) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        format!("{prefix}-{}-{}", self.namespace, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// What the namespace's pods answer from now on; `None` where nothing can answer.
    pub(super) fn pods_answer(&self, ports: &[u16]) -> Option<Answers> {
        Some(self.control_plane?.pods_answer(&self.namespace, ports))
    }

    /// What the namespace's containers have logged from now on.
    pub(super) fn pods_log(&self, lines: &[&str]) {
        if let Some(cluster) = self.control_plane {
            cluster.pods_log(&self.namespace, lines);
        }
    }

    /// A reference to something in the namespace.
    pub(super) fn named(&self, api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(self.namespace.clone()),
            name: name.to_owned(),
        }
    }

    /// A ConfigMap with this data.
    pub(super) fn map(&self, name: &str, data: &Json) -> Json {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": self.namespace}, "data": data})
    }

    /// A deployment whose pods do what the annotations say.
    pub(super) fn deployment(&self, name: &str, annotations: &Json) -> Json {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": {"containers": [{"name": "web", "image": "example.com/web:1", "ports": [{"containerPort": 8080}]}]},
            }},
        })
    }

    /// Applies as `terrace`; it has to succeed.
    pub(super) async fn apply(&self, object: &Json) -> Json {
        self.apply_as(object, "terrace", false).await.unwrap()
    }

    pub(super) async fn apply_as(&self, object: &Json, manager: &str, force: bool) -> Outcome<Json> {
        self.api.apply(object, &ApplyOptions { manager: manager.to_owned(), force, dry_run: false }).await
    }

    /// What applying as `terrace` would make of it.
    pub(super) async fn try_out(&self, object: &Json) -> Outcome<Json> {
        self.api.apply(object, &ApplyOptions { manager: "terrace".to_owned(), force: false, dry_run: true }).await
    }

    /// How applying as `terrace` is refused.
    pub(super) async fn refusal(&self, object: &Json) -> Failure {
        self.apply_as(object, "terrace", false).await.unwrap_err()
    }

    /// Asks again and again until the object is as wanted.
    pub(super) async fn until(&self, object: &ObjectRef, wanted: impl Fn(Option<&Json>) -> bool) -> Option<Json> {
        for _ in 0..600 {
            let found = self.api.get(object).await.unwrap();
            if wanted(found.as_ref()) {
                return found;
            }
            self.pause().await;
        }
        panic!("{object} is never as wanted")
    }

    /// Lets a little time pass: a jump on the sandbox, a moment on a server.
    pub(super) async fn pause(&self) {
        let time = if self.control_plane.is_some() { Duration::from_millis(100) } else { Duration::from_secs(1) };
        self.world.clock().sleep(time).await;
    }
}

/// The live world, with nobody to ask.
pub(crate) fn live() -> Arc<dyn World> {
    Live::new(Arc::new(|device| Err(Failure::new(Class::Denied, "sts:AssumeRole", device, "nobody is asked"))))
}

/// The control plane as somebody who may do everything.
pub(crate) fn connection(cluster: &ControlPlane) -> ClusterConnection {
    let path = cluster.kubeconfig().to_string_lossy().into_owned();
    ClusterConnection::Kubeconfig { path, context: None, acting_as: ActingAs::default() }
}

#[test]
fn every_difference_of_a_cluster_is_written_down() {
    let page = include_str!("../../../docs/differences.md");
    for (world, key) in DIFFERENCES {
        assert!(page.contains(&format!("| `{key}` |")), "docs/differences.md does not tell of {key} ({world})");
    }
}
