//! What runs inside the sandbox's clusters: objects, releases, the catalogue of charts.
//!
//! An EKS cluster's API server is there from the moment its cluster is active. A cluster named by a kubeconfig context is
//! there from the first call on, with three nodes.

mod addon;
mod admission;
mod apply;
mod endpoints;
mod gateway;
mod helm;
mod inspect;
mod kubernetes;
mod prometheus;
mod record;
mod removal;
mod request;
mod server;
mod types;
mod volumes;
mod watch;
mod workload;

pub(in crate::world::sandbox) use endpoints::{Target, targets};

use super::{Halfway, Sandbox, Tx};
use crate::world::{Charts, ClusterConnection, ClusterHandle, ObjectRef, Outcome};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// The field manager of what the platform makes.
const EKS: server::Write<'static> = server::Write { manager: "eks", force: true, dry_run: false };

/// Where clusters lie that no EKS made; the rest of the key is the context's name.
const CONTEXTS: &str = "context/";

#[expect(clippy::unnecessary_wraps, reason = "it is the answer of `World::cluster`")]
/// The cluster behind a connection. One that does not exist yet is `NotFound` at the first call, not here.
pub(in crate::world::sandbox) fn cluster_handle(
    sandbox: Arc<Sandbox>,
    connection: &ClusterConnection,
) -> Outcome<ClusterHandle> {
    let cluster = key(connection);
    let kubernetes = kubernetes::Api { sandbox: Arc::clone(&sandbox), cluster: cluster.clone() };
    let helm = helm::Client { sandbox, cluster };
    Ok(ClusterHandle { kubernetes: Arc::new(kubernetes), helm: Arc::new(helm) })
}

/// The catalogue.
pub(in crate::world::sandbox) fn charts(sandbox: Arc<Sandbox>) -> Arc<dyn Charts> {
    Arc::new(helm::Client { sandbox, cluster: String::new() })
}

fn key(connection: &ClusterConnection) -> String {
    match connection {
        ClusterConnection::Eks { name, aws, .. } => {
            let account = if aws.account_id.is_empty() { "000000000000" } else { &aws.account_id };
            format!("{account}/{}/{name}", aws.region)
        }
        ClusterConnection::Kubeconfig { context, .. } => {
            format!("{CONTEXTS}{}", context.as_deref().unwrap_or("default").replace('|', "_"))
        }
        ClusterConnection::InCluster { .. } => format!("{CONTEXTS}in-cluster"),
    }
}

/// Makes a cluster that no EKS makes, where it is missing.
fn ensure(tx: &mut Tx<'_>, cluster: &str) {
    if cluster.starts_with(CONTEXTS) && record::server(tx, cluster).is_none() {
        on_cluster_created(tx, cluster, 3);
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "sandbox.terrace.dev/local", "volumeBindingMode": "WaitForFirstConsumer",
        });
        platform(tx, cluster, &class);
    }
}

/// Applies an object of the platform's own. Those are well formed, so nothing is refused.
fn platform(tx: &mut Tx<'_>, cluster: &str, object: &Json) {
    let applied = server::apply(tx, cluster, object, EKS);
    debug_assert!(applied.is_ok(), "{applied:?}");
}

/// A cluster came to be, with this many nodes. `cluster` is its key: `ACCOUNT/REGION/NAME`.
pub(in crate::world::sandbox) fn on_cluster_created(tx: &mut Tx<'_>, cluster: &str, nodes: u32) {
    if record::server(tx, cluster).is_some() {
        return on_nodes_changed(tx, cluster, nodes);
    }
    record::store_server(tx, cluster, &record::Server { nodes: 0, version: 0 });
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        platform(tx, cluster, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"clusterIP": "10.100.0.1", "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 443}]},
    });
    platform(tx, cluster, &service);
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp2"},
        "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp2"}, "volumeBindingMode": "WaitForFirstConsumer",
    });
    platform(tx, cluster, &class);
    on_nodes_changed(tx, cluster, nodes);
}

/// The number of a cluster's nodes changed.
pub(in crate::world::sandbox) fn on_nodes_changed(tx: &mut Tx<'_>, cluster: &str, nodes: u32) {
    let Some(server) = record::server(tx, cluster) else { return };
    let now = tx.now();
    let before: Vec<_> = if server.nodes == nodes { Vec::new() } else { server::workloads(tx, cluster, None) };
    record::store_server(tx, cluster, &record::Server { nodes, ..server });
    for index in 0..nodes.max(server.nodes) {
        let name = workload::node_name(index);
        let node = ObjectRef { api_version: "v1".into(), kind: "Node".into(), namespace: None, name: name.clone() };
        if index >= nodes {
            record::forget(tx, cluster, &node);
        } else if !record::exists(tx, cluster, &node) {
            platform(tx, cluster, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
            if let Some(mut record) = record::find(tx, cluster, &node) {
                record.object["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
                record::store(tx, cluster, &record);
            }
        }
    }
    // Pods that waited for a first node start now.
    if server.nodes == 0 {
        for mut record in before {
            if let Some(rollout) = &mut record.rollout {
                rollout.since = now;
                record::store(tx, cluster, &record);
            }
        }
    }
}

/// A cluster is gone, and all in it.
pub(in crate::world::sandbox) fn on_cluster_deleted(tx: &mut Tx<'_>, cluster: &str) {
    record::forget_cluster(tx, cluster);
    helm::release::forget_cluster(tx, cluster);
}

/// An add-on of a cluster became active with this version, or is gone (`None`).
pub(in crate::world::sandbox) fn on_addon_changed(tx: &mut Tx<'_>, cluster: &str, addon: &str, version: Option<&str>) {
    addon::changed(tx, cluster, addon, version);
}

/// What was scheduled with the part `cluster` is due.
pub(in crate::world::sandbox) fn wake(tx: &mut Tx<'_>, id: &str) {
    removal::wake(tx, id);
}

/// The objects and releases, for `sandbox show`.
pub(in crate::world::sandbox) fn show(tx: &Tx<'_>) -> Vec<super::Row> {
    inspect::show(tx)
}

/// Changes something in a cluster behind everybody's back. `None` where the target is none of this room's.
pub(in crate::world::sandbox) fn drift(tx: &mut Tx<'_>, drift: &super::Drift) -> Option<Outcome<()>> {
    inspect::drift(tx, drift)
}

/// Makes the pods of a workload crash, as a fault commands. Other objects cannot.
fn crash(tx: &mut Tx<'_>, cluster: &str, object: &ObjectRef, how: &Halfway) {
    if let Some(mut record) = record::find(tx, cluster, object)
        && let Some(rollout) = &mut record.rollout
    {
        let reason = how.reason.clone();
        rollout.crash =
            Some(reason.unwrap_or_else(|| "panic: cannot load configuration: unexpected end of file".to_owned()));
        record.events.push(format!("Warning: BackOff: back-off restarting failed container of {}", object.name));
        record::store(tx, cluster, &record);
    }
}

/// Makes the deletion of an object hang on a finalizer, as a fault commands.
fn hold(tx: &mut Tx<'_>, cluster: &str, object: &ObjectRef) {
    if let Some(mut record) = record::find(tx, cluster, object) {
        record.object["metadata"]["finalizers"] = json!(["sandbox.terrace.dev/stuck"]);
        record::store(tx, cluster, &record);
    }
}

/// Lets the pods of a workload start again where a fault made them crash.
fn heal(tx: &mut Tx<'_>, cluster: &str, object: &ObjectRef) {
    let now = tx.now();
    if let Some(mut record) = record::find(tx, cluster, object)
        && let Some(rollout) = record.rollout.as_mut().filter(|rollout| rollout.crash.is_some())
    {
        rollout.crash = None;
        rollout.since = now;
        record::store(tx, cluster, &record);
    }
}

#[cfg(test)]
mod tests;
