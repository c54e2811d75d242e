//! What runs inside the sandbox's clusters: objects, releases, the catalogue of charts.

use super::{Sandbox, Tx};
use crate::world::{Class, ClusterConnection, ClusterHandle, Failure, Outcome};
use std::sync::Arc;

/// The cluster behind a connection. One that does not exist yet is `NotFound` at the first call, not here.
pub(in crate::world::sandbox) fn cluster_handle(
    sandbox: Arc<Sandbox>,
    connection: &ClusterConnection,
) -> Outcome<ClusterHandle> {
    drop(sandbox);
    Err(Failure::new(Class::Unsupported, "sandbox:Cluster", format!("{connection:?}"), "no clusters yet"))
}

/// A cluster came to be, with this many nodes. `cluster` is its key: `ACCOUNT/REGION/NAME`.
pub(in crate::world::sandbox) fn on_cluster_created(_tx: &mut Tx<'_>, _cluster: &str, _nodes: u32) {}

/// The number of a cluster's nodes changed.
pub(in crate::world::sandbox) fn on_nodes_changed(_tx: &mut Tx<'_>, _cluster: &str, _nodes: u32) {}

/// A cluster is gone, and all in it.
pub(in crate::world::sandbox) fn on_cluster_deleted(_tx: &mut Tx<'_>, _cluster: &str) {}

/// An add-on of a cluster became active with this version, or is gone (`None`).
pub(in crate::world::sandbox) fn on_addon_changed(
    _tx: &mut Tx<'_>,
    _cluster: &str,
    _addon: &str,
    _version: Option<&str>,
) {
}

/// What was scheduled with the part `cluster` is due.
pub(in crate::world::sandbox) fn wake(_tx: &mut Tx<'_>, _id: &str) {}

/// The objects and releases, for `sandbox show`.
pub(in crate::world::sandbox) fn show(_tx: &Tx<'_>) -> Vec<super::Row> {
    Vec::new()
}

/// Changes something in a cluster behind everybody's back. `None` where the target is none of this room's.
pub(in crate::world::sandbox) fn drift(_tx: &mut Tx<'_>, _drift: &super::Drift) -> Option<Outcome<()>> {
    None
}
