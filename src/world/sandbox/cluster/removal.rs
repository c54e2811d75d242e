//! Deletion: finalizers hold an object, pods take a while to end, a namespace goes once it is empty.

use super::{
    super::Tx,
    apply,
    record::{self, Record},
    server, workload,
};
use crate::world::{Class, ObjectRef, Outcome};
use serde_json::Value as Json;
use std::time::Duration;

/// How long an empty namespace takes to go.
const NAMESPACE_ENDS_AFTER: Duration = Duration::from_secs(6);
/// How long the pods of a deleted workload take to end.
const PODS_END_AFTER: Duration = Duration::from_secs(4);

/// Refuses where another object than the one that is meant bears the name by now.
///
/// # Errors
/// `Conflict`, in the real server's words.
pub(super) fn check_uid(tx: &Tx<'_>, cluster: &str, object: &ObjectRef, uid: Option<&str>) -> Outcome<()> {
    let Some(uid) = uid else { return Ok(()) };
    let found = record::find(tx, cluster, object);
    let Some(live) = found.as_ref().and_then(|r| r.object["metadata"]["uid"].as_str()) else { return Ok(()) };
    if live == uid {
        return Ok(());
    }
    let message = format!(
        "Operation cannot be fulfilled on {} {:?}: the UID in the precondition ({uid}) does not match the UID in record ({live}). The object might have been deleted and then recreated",
        object.kind, object.name
    );
    Err(server::failure(Class::Conflict, "Delete", object, message))
}

/// Deletes in the foreground. What has finalizers stays, terminating; a namespace takes what is in it along.
///
/// # Errors
/// A cluster that is not there. An absent object is none.
pub(super) fn delete(tx: &mut Tx<'_>, cluster: &str, object: &ObjectRef) -> Outcome<()> {
    server::reach(tx, cluster)?;
    let Some(mut record) = record::find(tx, cluster, object) else {
        if object.api_version == "v1" && object.kind == "Pod" {
            restart_pod(tx, cluster, object);
        }
        return Ok(());
    };
    if record.is_terminating() {
        return Ok(());
    }
    if object.kind == "Namespace" && matches!(object.name.as_str(), "default" | "kube-system" | "kube-public") {
        let message = format!("namespaces {:?} is forbidden: this namespace may not be deleted", object.name);
        return Err(server::failure(Class::Denied, "Delete", object, message));
    }
    let is_namespace = object.kind == "Namespace" && object.api_version == "v1";
    let has_pods = workload::is_workload(object);
    if !is_namespace && !has_pods && !record.has_finalizers() {
        if object.kind == "CustomResourceDefinition" {
            forget_custom(tx, cluster, &record);
        }
        forget(tx, cluster, object);
        return Ok(());
    }
    record.object["metadata"]["deletionTimestamp"] = apply::stamp(tx.now()).into();
    record.object["metadata"]["resourceVersion"] = record::next_version(tx, cluster).into();
    let held = record.has_finalizers();
    record::store(tx, cluster, &record);
    if is_namespace {
        for inside in record::in_namespace(tx, cluster, &object.name) {
            delete(tx, cluster, &inside)?;
        }
        end_namespace_if_empty(tx, cluster, &object.name);
    } else if has_pods && !held {
        tx.schedule(PODS_END_AFTER, "cluster", &format!("gone|{}", record::key(cluster, object)));
    }
    Ok(())
}

/// A pod of a workload is deleted: its controller makes another.
fn restart_pod(tx: &mut Tx<'_>, cluster: &str, pod: &ObjectRef) {
    for mut workload in server::workloads(tx, cluster, pod.namespace.as_deref()) {
        let pods = workload::pods(tx, cluster, &workload);
        let name = Json::from(pod.name.as_str());
        if pods.all.iter().any(|pod| pod["metadata"]["name"] == name) {
            let now = tx.now();
            if let Some(rollout) = &mut workload.rollout {
                rollout.had = pods.updated_ready.saturating_sub(1);
                rollout.since = now;
            }
            record::store(tx, cluster, &workload);
        }
    }
}

/// The objects of a CRD go with it.
fn forget_custom(tx: &mut Tx<'_>, cluster: &str, crd: &Record) {
    let group = crd.object["spec"]["group"].as_str().unwrap_or_default().to_owned();
    let kind = crd.object["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    for record in record::of_type(tx, cluster, &format!("{group}/v1"), &kind, None) {
        forget(tx, cluster, &record.reference());
    }
}

/// Takes an object out of the store, and its namespace with it where that waited for it.
pub(super) fn forget(tx: &mut Tx<'_>, cluster: &str, object: &ObjectRef) {
    record::forget(tx, cluster, object);
    if let Some(namespace) = &object.namespace {
        end_namespace_if_empty(tx, cluster, namespace);
    }
}

fn end_namespace_if_empty(tx: &mut Tx<'_>, cluster: &str, name: &str) {
    let namespace = server::namespace_object(name);
    let waits = record::find(tx, cluster, &namespace).is_some_and(|record| record.is_terminating());
    if waits && record::in_namespace(tx, cluster, name).is_empty() {
        tx.schedule(NAMESPACE_ENDS_AFTER, "cluster", &format!("gone|{}", record::key(cluster, &namespace)));
    }
}

/// What was scheduled is due: an object that was deleted goes.
pub(super) fn wake(tx: &mut Tx<'_>, id: &str) {
    let parts: Vec<&str> = id.split('|').collect();
    let ["gone", cluster, group, kind, namespace, name] = parts.as_slice() else { return };
    let object = ObjectRef {
        api_version: if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") },
        kind: (*kind).to_owned(),
        namespace: (!namespace.is_empty()).then(|| (*namespace).to_owned()),
        name: (*name).to_owned(),
    };
    let Some(record) = record::find(tx, cluster, &object) else { return };
    if record.is_terminating() && !record.has_finalizers() {
        forget(tx, cluster, &object);
    }
}
