//! Updates of clusters and node groups: what EKS refuses, what runs, and what it remembers of it.

use super::{
    Scope,
    eks::{ClusterRecord, NodegroupRecord},
    insights,
    physical::uuid,
    versions,
};
use crate::world::{EksUpdate, InsightCategory, UpdateOf, sandbox::Tx};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, time::Duration};

/// How long after an upgrade the control plane can go back. Source: "Rollback cluster to previous Kubernetes version" of the
/// EKS user guide.
const WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);
/// By how many minors nodes may trail the control plane, from 1.28 on.
pub(super) const SKEW: u32 = 3;

/// An update, under `SCOPE/CLUSTER/ORDER` in the table `eks-update`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct UpdateRecord {
    pub(super) id: String,
    pub(super) nodegroup: Option<String>,
    pub(super) addon: Option<String>,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) params: BTreeMap<String, String>,
    pub(super) created: Timestamp,
    pub(super) errors: Vec<(String, String, Vec<String>)>,
    pub(super) token: String,
}

impl UpdateRecord {
    /// A cluster's own, or one of a node group or an add-on.
    pub(super) fn is_of(&self, of: UpdateOf<'_>) -> bool {
        self.nodegroup.as_deref() == of.nodegroup && self.addon.as_deref() == of.addon
    }

    pub(super) fn told(self) -> EksUpdate {
        EksUpdate {
            id: self.id,
            status: self.status,
            kind: self.kind,
            params: self.params,
            created: Some(self.created),
            errors: self.errors,
        }
    }
}

/// The minor of `1.34`.
pub(super) fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|m| m.parse().ok()).unwrap_or_default()
}

/// The updates of a cluster, the newest first.
pub(super) fn all(tx: &Tx<'_>, cluster: &str) -> Vec<(String, UpdateRecord)> {
    let mut found = tx.scan::<UpdateRecord>("eks-update", &format!("{cluster}/"));
    found.reverse();
    found
}

/// Begins an update and returns its key and id.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    cluster: &str,
    of: UpdateOf<'_>,
    kind: &str,
    params: &[(&str, &str)],
    token: &str,
) -> (String, String) {
    let count: u64 = tx.get("eks-updates", cluster).unwrap_or_default();
    tx.put("eks-updates", cluster, &(count + 1));
    let key = format!("{cluster}/{count:08}");
    let hash: [u8; 32] = Sha256::digest(format!("{key}\n{token}")).into();
    let record = UpdateRecord {
        id: uuid(&hash),
        nodegroup: of.nodegroup.map(str::to_owned),
        addon: of.addon.map(str::to_owned),
        kind: kind.to_owned(),
        status: "InProgress".to_owned(),
        params: params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        created: tx.now(),
        errors: Vec::new(),
        token: token.to_owned(),
    };
    tx.put("eks-update", &key, &record);
    (key, record.id)
}

/// Ends what runs of a cluster, a node group or an add-on.
pub(super) fn end(tx: &mut Tx<'_>, cluster: &str, of: UpdateOf<'_>, error: Option<&(String, String)>) {
    let running: Vec<_> =
        all(tx, cluster).into_iter().filter(|(_, u)| u.status == "InProgress" && u.is_of(of)).collect();
    for (key, mut update) in running {
        if error.is_some() { "Failed" } else { "Successful" }.clone_into(&mut update.status);
        update.errors = error.map(|(code, message)| (code.clone(), message.clone(), Vec::new())).into_iter().collect();
        tx.put("eks-update", &key, &update);
    }
}

/// Whether a move of the control plane goes up or down.
pub(super) fn kind_of_move(from: &str, to: &str) -> &'static str {
    if minor(to) < minor(from) { "VersionRollback" } else { "VersionUpdate" }
}

/// The node groups of a cluster.
pub(super) fn nodegroups(tx: &Tx<'_>, cluster: &str) -> Vec<NodegroupRecord> {
    tx.scan::<NodegroupRecord>("eks-nodegroup", &format!("{cluster}/")).into_iter().map(|(_, group)| group).collect()
}

/// Why EKS would not move a control plane there. Source: UpdateClusterVersion of the API reference, "Update existing cluster
/// to new Kubernetes version" and "Rollback cluster to previous Kubernetes version" of the user guide.
pub(super) fn refuse_move(tx: &Tx<'_>, key: &str, cluster: &ClusterRecord, to: &str) -> Option<String> {
    let from = &cluster.version;
    let (low, high) = (minor(from), minor(to));
    let unsupported = || format!("Unsupported Kubernetes minor version update from {from} to {to}");
    if from == to {
        return None;
    }
    if !versions::offers(to) || low.abs_diff(high) != 1 {
        return Some(unsupported());
    }
    let names = |groups: Vec<NodegroupRecord>| groups.into_iter().map(|g| g.name).collect::<Vec<_>>().join(", ");
    if high < low {
        let upgraded = all(tx, key)
            .into_iter()
            .map(|(_, u)| u)
            .find(|u| u.kind == "VersionUpdate" && u.status == "Successful" && u.params.get("Version") == Some(from));
        let Some(upgraded) = upgraded else {
            return Some(format!("Cluster was not upgraded to {from} in place, so it cannot be rolled back to {to}"));
        };
        let over = upgraded.created.duration_since(tx.now()).unsigned_abs() > WINDOW;
        if over {
            return Some(format!("Cluster version rollback to {to} is not available: the 7-day window has passed"));
        }
        let leading: Vec<_> = nodegroups(tx, key).into_iter().filter(|g| minor(&g.version) > high).collect();
        if !leading.is_empty() {
            let names = names(leading);
            return Some(format!("Nodegroup(s) [{names}] must be rolled back to {to} before the control plane"));
        }
    } else {
        let behind: Vec<_> = nodegroups(tx, key).into_iter().filter(|g| minor(&g.version) + SKEW < high).collect();
        if !behind.is_empty() {
            let names = names(behind);
            return Some(format!(
                "Nodegroup(s) [{names}] run a version that a control plane at {to} does not support; update them first"
            ));
        }
    }
    let category = if high < low { InsightCategory::Rollback } else { InsightCategory::Upgrade };
    let found = insights::of(tx, key, category, to).into_iter().find(|i| i.status == "ERROR");
    found.map(|insight| format!("Cluster has an insight that blocks the update: {} ({})", insight.name, insight.reason))
}

/// Why EKS would not give nodes this version: they never lead the control plane, and trail it by three minors at most.
pub(super) fn refuse_nodes(plane: &str, version: &str) -> Option<String> {
    if minor(version) > minor(plane) {
        return Some(format!(
            "Requested Nodegroup Kubernetes version {version} is newer than the control plane's version {plane}"
        ));
    }
    (minor(version) + SKEW < minor(plane)).then(|| {
        format!("Requested Nodegroup Kubernetes version {version} is too old for the control plane's version {plane}")
    })
}

/// An update of a control plane or of nodes is due.
pub(super) fn finish(tx: &mut Tx<'_>, key: &str) {
    let Some(update) = tx.get::<UpdateRecord>("eks-update", key).filter(|u| u.status == "InProgress") else { return };
    let Some((cluster, _)) = key.rsplit_once('/') else { return };
    let to = update.params.get("Version").cloned().unwrap_or_default();
    if let Some(name) = &update.nodegroup {
        let group = format!("{cluster}/{name}");
        if let Some(mut record) = tx.get::<NodegroupRecord>("eks-nodegroup", &group) {
            let fails = record.fails.take();
            if fails.is_some() { "DEGRADED" } else { "ACTIVE" }.clone_into(&mut record.status);
            record.issues = fails.iter().cloned().collect();
            if fails.is_none() {
                record.version = to;
            }
            tx.put("eks-nodegroup", &group, &record);
            end(tx, cluster, UpdateOf { nodegroup: Some(name), addon: None }, fails.as_ref());
        }
        return;
    }
    if let Some(mut record) = tx.get::<ClusterRecord>("cluster", cluster) {
        "ACTIVE".clone_into(&mut record.status);
        let fails = record.fails.take();
        if fails.is_none() {
            record.version = to;
        }
        tx.put("cluster", cluster, &record);
        end(tx, cluster, UpdateOf::default(), fails.as_ref());
    }
}

/// A stack made or changed a node group.
pub(super) fn put_nodegroup(tx: &mut Tx<'_>, scope: &Scope, cluster: &str, name: &str, version: Option<String>) {
    let of = scope.key(cluster);
    let key = format!("{of}/{name}");
    let former: Option<NodegroupRecord> = tx.get("eks-nodegroup", &key);
    let own = || tx.get::<ClusterRecord>("cluster", &of).map(|c| c.version).unwrap_or_default();
    let version = version.or_else(|| former.as_ref().map(|f| f.version.clone())).unwrap_or_else(own);
    let record = NodegroupRecord {
        name: name.to_owned(),
        version: version.clone(),
        status: "ACTIVE".to_owned(),
        issues: Vec::new(),
        fails: None,
    };
    if former.is_some_and(|f| f.version != version) {
        let which = UpdateOf { nodegroup: Some(name), addon: None };
        begin(tx, &of, which, "VersionUpdate", &[("Version", &version)], "");
        end(tx, &of, which, None);
    }
    tx.put("eks-nodegroup", &key, &record);
}
