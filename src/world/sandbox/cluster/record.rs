//! Objects as the store holds them, and their keys.

use super::{super::Tx, types::group};
use crate::world::ObjectRef;
use jiff::Timestamp;
use serde_json::Value as Json;

const OBJECTS: &str = "object";
const CLUSTERS: &str = "kubernetes";

/// A cluster's API server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Server {
    /// How many nodes carry its pods.
    pub(super) nodes: u32,
    /// Counts writes: the next `resourceVersion`.
    pub(super) version: u64,
}

/// An object with what only the sandbox knows of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Record {
    /// The object, without what controllers derive.
    pub(super) object: Json,
    /// How its pods stand, where it has a pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rollout: Option<Rollout>,
    /// When this generation of a route was written, which its controller takes a moment to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) changed: Option<Timestamp>,
    /// Lines about it that no controller derives, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<String>,
}

/// How the pods of a workload came to be: enough to tell at any moment which of them are ready.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Rollout {
    /// When this template or this number of pods was asked for.
    pub(super) since: Timestamp,
    /// The digest of the template: part of its pods' names.
    pub(super) hash: String,
    /// How many pods of this template there were already.
    pub(super) had: u32,
    /// The pods that the new ones replace.
    pub(super) former: Option<Former>,
    /// Why its pods crash, where a fault made them.
    pub(super) crash: Option<String>,
}

/// Pods of the template before.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Former {
    /// The template.
    pub(super) template: Json,
    /// Its digest.
    pub(super) hash: String,
    /// How many there were, all ready.
    pub(super) ready: u32,
}

impl Record {
    /// The object's reference.
    pub(super) fn reference(&self) -> ObjectRef {
        let text = |v: &Json| v.as_str().unwrap_or_default().to_owned();
        let metadata = &self.object["metadata"];
        ObjectRef {
            api_version: text(&self.object["apiVersion"]),
            kind: text(&self.object["kind"]),
            namespace: metadata["namespace"].as_str().map(str::to_owned),
            name: text(&metadata["name"]),
        }
    }

    /// True where it waits for its finalizers.
    pub(super) fn is_terminating(&self) -> bool {
        self.object["metadata"]["deletionTimestamp"].is_string()
    }

    /// True where something holds its deletion.
    pub(super) fn has_finalizers(&self) -> bool {
        self.object["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
    }
}

/// The prefix of a type's keys. Versions of one group share their objects.
pub(super) fn type_prefix(cluster: &str, api_version: &str, kind: &str) -> String {
    format!("{cluster}|{}|{kind}|", group(api_version))
}

/// An object's key.
pub(super) fn key(cluster: &str, object: &ObjectRef) -> String {
    let namespace = object.namespace.as_deref().unwrap_or_default();
    format!("{}{namespace}|{}", type_prefix(cluster, &object.api_version, &object.kind), object.name)
}

/// The object.
pub(super) fn find(tx: &Tx<'_>, cluster: &str, object: &ObjectRef) -> Option<Record> {
    tx.get(OBJECTS, &key(cluster, object))
}

/// True where there is such an object.
pub(super) fn exists(tx: &Tx<'_>, cluster: &str, object: &ObjectRef) -> bool {
    tx.has(OBJECTS, &key(cluster, object))
}

/// Stores it.
pub(super) fn store(tx: &mut Tx<'_>, cluster: &str, record: &Record) {
    tx.put(OBJECTS, &key(cluster, &record.reference()), record);
}

/// Forgets it; false where there was none.
pub(super) fn forget(tx: &mut Tx<'_>, cluster: &str, object: &ObjectRef) -> bool {
    tx.delete(OBJECTS, &key(cluster, object))
}

/// All objects of a type, in one namespace or in all, in the order of namespace and name.
pub(super) fn of_type(
    tx: &Tx<'_>,
    cluster: &str,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Vec<Record> {
    let mut prefix = type_prefix(cluster, api_version, kind);
    if let Some(namespace) = namespace {
        prefix.push_str(namespace);
        prefix.push('|');
    }
    let mut found: Vec<Record> = tx.scan(OBJECTS, &prefix).into_iter().map(|(_, record)| record).collect();
    found.sort_by_cached_key(|record| {
        let object = record.reference();
        (object.namespace, object.name)
    });
    found
}

/// Every object of a cluster.
pub(super) fn all(tx: &Tx<'_>, cluster: &str) -> Vec<Record> {
    tx.scan(OBJECTS, &format!("{cluster}|")).into_iter().map(|(_, record)| record).collect()
}

/// Every object in a namespace.
pub(super) fn in_namespace(tx: &Tx<'_>, cluster: &str, namespace: &str) -> Vec<ObjectRef> {
    let infix = format!("|{namespace}|");
    let keys = tx.keys(OBJECTS, &format!("{cluster}|")).into_iter().filter(|key| key.contains(&infix));
    let records = keys.filter_map(|key| tx.get::<Record>(OBJECTS, &key)).map(|record| record.reference());
    records.filter(|object| object.namespace.as_deref() == Some(namespace)).collect()
}

/// The API server of a cluster; `None` where there is none.
pub(super) fn server(tx: &Tx<'_>, cluster: &str) -> Option<Server> {
    tx.get(CLUSTERS, cluster)
}

/// Stores it.
pub(super) fn store_server(tx: &mut Tx<'_>, cluster: &str, server: &Server) {
    tx.put(CLUSTERS, cluster, server);
}

/// Forgets a cluster and all that is in it.
pub(super) fn forget_cluster(tx: &mut Tx<'_>, cluster: &str) {
    tx.delete(CLUSTERS, cluster);
    for key in tx.keys(OBJECTS, &format!("{cluster}|")) {
        tx.delete(OBJECTS, &key);
    }
}

/// The keys of all clusters.
pub(super) fn clusters(tx: &Tx<'_>) -> Vec<String> {
    tx.keys(CLUSTERS, "")
}

/// The next `resourceVersion`.
pub(super) fn next_version(tx: &mut Tx<'_>, cluster: &str) -> String {
    let mut server = server(tx, cluster).unwrap_or(Server { nodes: 0, version: 0 });
    server.version += 1;
    store_server(tx, cluster, &server);
    server.version.to_string()
}
