//! The records of releases, one for each revision, as Helm keeps them in the cluster.

use super::super::super::{Halfway, Tx};
use crate::world::Release;

const TABLE: &str = "release";

/// A revision with what only the sandbox knows of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(in super::super) struct Stored {
    /// The record.
    pub(in super::super) release: Release,
    /// How the operation that made it fails, where a fault commands it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) halfway: Option<Halfway>,
    /// CRDs of the chart's `crds/` folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) crds: Vec<serde_json::Value>,
}

fn prefix(cluster: &str, namespace: &str, name: &str) -> String {
    format!("{cluster}|{namespace}|{name}|")
}

/// All revisions, newest first.
pub(in super::super) fn history(tx: &Tx<'_>, cluster: &str, namespace: &str, name: &str) -> Vec<Stored> {
    let mut all: Vec<Stored> = tx.scan(TABLE, &prefix(cluster, namespace, name)).into_iter().map(|(_, s)| s).collect();
    all.reverse();
    all
}

/// The newest revision of every release of a cluster.
pub(in super::super) fn newest_of_all(tx: &Tx<'_>, cluster: &str) -> Vec<Stored> {
    let mut newest: std::collections::BTreeMap<(String, String), Stored> = std::collections::BTreeMap::new();
    for (_, stored) in tx.scan::<Stored>(TABLE, &format!("{cluster}|")) {
        newest.insert((stored.release.namespace.clone(), stored.release.name.clone()), stored);
    }
    newest.into_values().collect()
}

/// Stores a revision.
pub(in super::super) fn store(tx: &mut Tx<'_>, cluster: &str, stored: &Stored) {
    let release = &stored.release;
    let key = format!("{}{:06}", prefix(cluster, &release.namespace, &release.name), release.revision);
    tx.put(TABLE, &key, stored);
}

/// Forgets all revisions.
pub(in super::super) fn forget(tx: &mut Tx<'_>, cluster: &str, namespace: &str, name: &str) {
    for key in tx.keys(TABLE, &prefix(cluster, namespace, name)) {
        tx.delete(TABLE, &key);
    }
}

/// Forgets all releases of a cluster.
pub(in super::super) fn forget_cluster(tx: &mut Tx<'_>, cluster: &str) {
    for key in tx.keys(TABLE, &format!("{cluster}|")) {
        tx.delete(TABLE, &key);
    }
}

/// Forgets the oldest revisions beyond `keep`, but never the deployed one.
pub(super) fn trim(tx: &mut Tx<'_>, cluster: &str, namespace: &str, name: &str, keep: usize) {
    for old in history(tx, cluster, namespace, name).into_iter().skip(keep) {
        if old.release.status != "deployed" {
            tx.delete(TABLE, &format!("{}{:06}", prefix(cluster, namespace, name), old.release.revision));
        }
    }
}
