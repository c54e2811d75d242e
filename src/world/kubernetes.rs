//! A Kubernetes API server, as far as Terrace uses it.

use crate::world::Outcome;
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value as Json;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ObjectRef {
    /// `v1`, `apps/v1`, `security.istio.io/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `None` for what is cluster-wide.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectRef {
    /// The reference of an object's own JSON; `None` where a part is missing.
    #[must_use]
    pub fn of(object: &Json) -> Option<Self> {
        let text = |v: &Json| v.as_str().map(str::to_owned);
        Some(Self {
            api_version: text(&object["apiVersion"])?,
            kind: text(&object["kind"])?,
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"])?,
        })
    }
}

/// `Deployment istio-system/istiod`.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(ns) => write!(f, "{} {ns}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// What the server says of a type.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ResourceType {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

/// How to apply.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApplyOptions {
    /// The field manager.
    pub manager: String,
    /// Take fields that others own.
    pub force: bool,
    /// Only say what would be.
    pub dry_run: bool,
}

/// Which objects of a type are watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// In one namespace, or in all.
    pub namespace: Option<String>,
    /// The only one, where it is one.
    pub name: Option<String>,
    /// Labels that they bear.
    pub labels: BTreeMap<String, String>,
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectChange {
    /// The object is there, and like this.
    Is(Json),
    /// It is not there any more.
    Gone(ObjectRef),
    /// All that is there was told by now, so that what was not is not there. Comes again where everything was read again.
    Listed,
}

/// A container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRequest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; the only one where `None`.
    pub container: Option<String>,
    /// Of the container before the last restart.
    pub previous: bool,
    /// How many of the last lines.
    pub lines: u32,
}

/// A selection of pods behind which something listens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Endpoint {
    /// A ready pod of a service, by the service's port.
    Service(String),
    /// A ready pod with these labels.
    Selector(BTreeMap<String, String>),
}

/// An HTTP request to a pod through the API server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PodRequest {
    /// The namespace.
    pub namespace: String,
    /// Which pod.
    pub endpoint: Endpoint,
    /// The port: the service's, or the pod's.
    pub port: u16,
    /// The path; empty for a bare TCP connection.
    pub path: String,
    /// `GET` unless told.
    pub method: String,
    /// Extra headers.
    pub headers: BTreeMap<String, String>,
    /// How long to wait.
    pub timeout: Duration,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HttpAnswer {
    /// The status; 0 for a bare TCP connection that succeeded.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, cut at 1 MiB.
    pub body: String,
}

/// One cluster. A missing object is `None` or no error as said; a cluster that does not answer is always an error,
/// never "everything is gone".
#[async_trait]
pub trait Kubernetes: Send + Sync {
    /// The uid of `kube-system`: which cluster this is.
    async fn identity(&self) -> Outcome<String>;
    /// The type, where the server has it (a CRD that is not there yet is `None`).
    async fn resource_type(&self, api_version: &str, kind: &str) -> Outcome<Option<ResourceType>>;
    /// The object with its managed fields; `None` where there is none.
    async fn get(&self, object: &ObjectRef) -> Outcome<Option<Json>>;
    /// The objects behind these references with their managed fields; those that are not there are left out. In as few requests
    /// as that takes.
    async fn get_all(&self, objects: &[ObjectRef]) -> Outcome<BTreeMap<ObjectRef, Json>>;
    /// All objects of a type with these labels, ordered by namespace and name; in one namespace, or in all.
    async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Outcome<Vec<Json>>;
    /// Server-side apply; returns the object as it is, or would be. A field that another manager owns is `Conflict`, whose
    /// message names manager and field.
    async fn apply(&self, object: &Json, options: &ApplyOptions) -> Outcome<Json>;
    /// Deletes, in the foreground what others depend on; returns once accepted (finalizers may hold it). An absent object is
    /// no error. With a uid only the object of that uid is deleted: another of the same name is `Conflict`.
    async fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Outcome<()>;
    /// Sends a request to a ready pod. No ready pod is `Unavailable` with a message that says so.
    async fn pod_request(&self, request: &PodRequest) -> Outcome<HttpAnswer>;
    /// The last events about an object, newest first, one line each.
    async fn events_about(&self, object: &ObjectRef) -> Outcome<Vec<String>>;
    /// What is there and then each change of it, until the stream is dropped. An object may be told again as it was. Ends with
    /// an error where the server can no longer be asked; a type that the server does not have is `NotFound`.
    fn changes(&self, watched: &Watched) -> BoxStream<'static, Outcome<ObjectChange>>;
    /// The last lines that a container printed; empty where there is no such container, or none yet.
    async fn log(&self, request: &LogRequest) -> Outcome<Vec<String>>;
}
