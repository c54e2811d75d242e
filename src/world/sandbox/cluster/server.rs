//! The API server over the store: apply and read, with what the server adds to each object.
//!
//! Works inside one transaction and waits for nothing; latency and faults are the caller's.

use super::{
    super::Tx,
    admission,
    apply::{self, Applier},
    endpoints, gateway,
    record::{self, Record, Server},
    removal,
    types::{self, group},
    volumes, workload,
};
use crate::world::{Class, Failure, ObjectRef, Outcome, ResourceType};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// How long a CRD takes until its objects can be made.
const ESTABLISHED_AFTER: i64 = 2;
/// How long a controller takes to make a load balancer.
const LOAD_BALANCER_AFTER: i64 = 25;

/// A write by apply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write<'a> {
    /// The field manager.
    pub(super) manager: &'a str,
    /// Take fields that others own.
    pub(super) force: bool,
    /// Only say what would be.
    pub(super) dry_run: bool,
}

/// A failure of a call on a subject.
pub(super) fn failure(
    class: Class,
    operation: &str,
    subject: &(impl ToString + ?Sized),
    message: impl Into<String>,
) -> Failure {
    Failure::new(class, format!("kubernetes:{operation}"), subject.to_string(), message)
}

/// The API server of a cluster.
///
/// # Errors
/// `NotFound` where there is no cluster of that key, or none that is active yet.
pub(super) fn reach(tx: &Tx<'_>, cluster: &str) -> Outcome<Server> {
    record::server(tx, cluster).ok_or_else(|| {
        let name = cluster.rsplit('/').next().unwrap_or(cluster);
        failure(Class::NotFound, "Connect", cluster, format!("no active cluster found for name: {name}"))
            .hint("the cluster is made by a stack; apply that first, or look with `terrace sandbox show cluster`")
    })
}

/// The type, where the server has it by now.
pub(super) fn resource_type(tx: &Tx<'_>, cluster: &str, api_version: &str, kind: &str) -> Option<ResourceType> {
    if let Some(found) = types::built_in(api_version, kind) {
        return Some(found);
    }
    let (group, version) = api_version.split_once('/')?;
    let crds = record::of_type(tx, cluster, "apiextensions.k8s.io/v1", "CustomResourceDefinition", None);
    crds.into_iter().find_map(|crd| {
        let spec = &crd.object["spec"];
        let serves = spec["versions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|v| v["name"] == version && v["served"] != false));
        let found = spec["group"] == group && spec["names"]["kind"] == kind && serves && is_established(tx, &crd);
        found.then(|| ResourceType {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: spec["names"]["plural"].as_str().unwrap_or_default().to_owned(),
            namespaced: spec["scope"] != "Cluster",
        })
    })
}

fn is_established(tx: &Tx<'_>, crd: &Record) -> bool {
    age(tx, crd).is_some_and(|age| age >= SignedDuration::from_secs(ESTABLISHED_AFTER))
}

/// How long ago the object was made.
fn age(tx: &Tx<'_>, record: &Record) -> Option<SignedDuration> {
    let created: Timestamp = record.object["metadata"]["creationTimestamp"].as_str()?.parse().ok()?;
    Some(tx.now().duration_since(created))
}

/// A namespace's reference.
pub(super) fn namespace_object(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".into(), kind: "Namespace".into(), namespace: None, name: name.to_owned() }
}

/// Applies an object as a manager and returns it as it is, or would be.
///
/// # Errors
/// As the real server refuses: unknown type or namespace (`NotFound`), a field of another manager (`Conflict`), a bad value
/// (`Invalid`).
pub(super) fn apply(tx: &mut Tx<'_>, cluster: &str, config: &Json, write: Write<'_>) -> Outcome<Json> {
    let server = reach(tx, cluster)?;
    let Some(mut object) = ObjectRef::of(config) else {
        let message = "an object needs apiVersion, kind and metadata.name";
        return Err(failure(Class::Invalid, "Apply", "", message));
    };
    let Some(kind) = resource_type(tx, cluster, &object.api_version, &object.kind) else {
        let message = format!("no matches for kind {:?} in version {:?}", object.kind, object.api_version);
        return Err(failure(Class::NotFound, "Apply", &object, message).hint("install the CRDs first"));
    };
    let mut config = admission::read_config(config, types::built_in(&object.api_version, &object.kind).is_none());
    if kind.namespaced {
        let namespace = object.namespace.get_or_insert_with(|| "default".to_owned()).clone();
        config["metadata"]["namespace"] = namespace.into();
    } else {
        object.namespace = None;
        if let Some(metadata) = config["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
    }
    admission::check_name(&object)?;
    let before = record::find(tx, cluster, &object);
    check_namespace(tx, cluster, &object, &kind, before.is_none())?;
    let by = Applier { manager: write.manager, force: write.force, now: tx.now() };
    let merged = apply::apply(before.as_ref().map(|b| &b.object), &config, by)
        .map_err(|conflicts| failure(Class::Conflict, "Apply", &object, conflicts.to_string()))?;
    settle_write(tx, cluster, Written { object, before, merged, nodes: server.nodes, dry_run: write.dry_run })
}

/// Replaces an object as somebody with an editor would. The object must be there.
///
/// # Errors
/// As [`apply()`], but never `Conflict`.
pub(super) fn edit(tx: &mut Tx<'_>, cluster: &str, object: &ObjectRef, new: &Json, manager: &str) -> Outcome<Json> {
    let server = reach(tx, cluster)?;
    let Some(before) = record::find(tx, cluster, object) else {
        return Err(not_found(object));
    };
    if ObjectRef::of(new).as_ref() != Some(object) {
        return Err(failure(Class::Invalid, "Apply", object, "apiVersion, kind, namespace and name cannot be changed"));
    }
    let by = Applier { manager, force: true, now: tx.now() };
    let merged = apply::update(&before.object, new, by);
    let written = Written { object: object.clone(), before: Some(before), merged, nodes: server.nodes, dry_run: false };
    settle_write(tx, cluster, written)
}

struct Written {
    object: ObjectRef,
    before: Option<Record>,
    merged: Json,
    nodes: u32,
    dry_run: bool,
}

/// Checks, fills in and stores what a write made of an object.
fn settle_write(tx: &mut Tx<'_>, cluster: &str, written: Written) -> Outcome<Json> {
    let Written { object, before, mut merged, nodes, dry_run } = written;
    let address = before.as_ref().map_or_else(|| tx.random(), |_| 0);
    admission::fill_in(&object, &mut merged, address);
    admission::check(&object, &merged)?;
    if let Some(before) = &before {
        admission::check_unchanged(&object, &before.object, &merged)?;
        if before.object == merged {
            return Ok(view(tx, cluster, before));
        }
    }
    let mut record = Record {
        object: merged,
        rollout: before.as_ref().and_then(|b| b.rollout.clone()),
        changed: None,
        events: before.as_ref().map(|b| b.events.clone()).unwrap_or_default(),
    };
    stamp_metadata(tx, cluster, before.as_ref(), &mut record.object, dry_run);
    record.changed = gateway::written(before.as_ref(), &record.object, tx.now());
    if workload::is_workload(&object) {
        workload::written(before.as_ref(), &mut record, nodes, tx.now());
    }
    let seen = view(tx, cluster, &record);
    if dry_run {
        return Ok(seen);
    }
    if record.is_terminating() && !record.has_finalizers() {
        removal::forget(tx, cluster, &object);
    } else {
        record::store(tx, cluster, &record);
        if object.kind == "Namespace" && object.api_version == "v1" && before.is_none() {
            seed_namespace(tx, cluster, &object.name)?;
        }
        if object.kind == "StatefulSet" && object.api_version == "apps/v1" {
            make_claims(tx, cluster, &record)?;
        }
    }
    Ok(seen)
}

/// The volume claims of a StatefulSet's pods; they outlive it.
fn make_claims(tx: &mut Tx<'_>, cluster: &str, set: &Record) -> Outcome<()> {
    let write = Write { manager: "kube-controller-manager", force: true, dry_run: false };
    let (spec, name) = (&set.object["spec"], &set.reference().name);
    let replicas = spec["replicas"].as_u64().unwrap_or(1).min(100);
    for template in spec["volumeClaimTemplates"].as_array().into_iter().flatten() {
        for ordinal in 0..replicas {
            let claim = format!("{}-{name}-{ordinal}", template["metadata"]["name"].as_str().unwrap_or_default());
            let object = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": template["spec"],
                "metadata": {
                    "name": claim, "namespace": set.object["metadata"]["namespace"],
                    "labels": spec["selector"]["matchLabels"],
                },
            });
            if ObjectRef::of(&object).is_some_and(|object| !record::exists(tx, cluster, &object)) {
                apply(tx, cluster, &object, write)?;
            }
        }
    }
    Ok(())
}

/// What the server puts into every namespace.
fn seed_namespace(tx: &mut Tx<'_>, cluster: &str, namespace: &str) -> Outcome<()> {
    let write = Write { manager: "kube-controller-manager", force: true, dry_run: false };
    let metadata = |name: &str| json!({"name": name, "namespace": namespace});
    apply(tx, cluster, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("default")}), write)?;
    let roots = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("kube-root-ca.crt"),
        "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\nsandbox\n-----END CERTIFICATE-----\n"},
    });
    apply(tx, cluster, &roots, write).map(|_| ())
}

fn check_namespace(tx: &Tx<'_>, cluster: &str, object: &ObjectRef, kind: &ResourceType, new: bool) -> Outcome<()> {
    let Some(namespace) = object.namespace.as_deref().filter(|_| kind.namespaced) else { return Ok(()) };
    match record::find(tx, cluster, &namespace_object(namespace)) {
        None => {
            let message = format!("namespaces {namespace:?} not found");
            Err(failure(Class::NotFound, "Apply", object, message))
        }
        Some(found) if new && found.is_terminating() => {
            let message = format!(
                "{} {:?} is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
                plural(kind),
                object.name
            );
            Err(failure(Class::Conflict, "Apply", object, message))
        }
        Some(_) => Ok(()),
    }
}

fn plural(kind: &ResourceType) -> String {
    match group(&kind.api_version) {
        "" => kind.plural.clone(),
        group => format!("{}.{group}", kind.plural),
    }
}

fn stamp_metadata(tx: &mut Tx<'_>, cluster: &str, before: Option<&Record>, object: &mut Json, dry_run: bool) {
    let has_spec = object.get("spec").is_some();
    let same_spec = before.is_some_and(|before| before.object["spec"] == object["spec"]);
    let old = before.map(|b| b.object["metadata"].clone()).unwrap_or_default();
    let uid = match old["uid"].as_str() {
        Some(uid) => uid.to_owned(),
        None => new_uid(tx),
    };
    let version = if dry_run { old["resourceVersion"].clone() } else { record::next_version(tx, cluster).into() };
    let now = apply::stamp(tx.now());
    let metadata = &mut object["metadata"];
    metadata["uid"] = uid.into();
    if !version.is_null() {
        metadata["resourceVersion"] = version;
    }
    metadata["creationTimestamp"] =
        if old["creationTimestamp"].is_string() { old["creationTimestamp"].clone() } else { now.into() };
    for kept in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if !old[kept].is_null() {
            metadata[kept] = old[kept].clone();
        }
    }
    if has_spec {
        let generation = old["generation"].as_u64().unwrap_or(0);
        metadata["generation"] = json!(if same_spec { generation } else { generation + 1 });
    }
}

fn new_uid(tx: &mut Tx<'_>) -> String {
    let (a, b) = (tx.random(), tx.random());
    let (a, b) = (format!("{a:016x}"), format!("{b:016x}"));
    format!("{}-{}-4{}-9{}-{}", &a[..8], &a[8..12], &a[13..], &b[1..4], &b[4..])
}

/// The object as a reader sees it, with the status that controllers derive.
pub(super) fn view(tx: &Tx<'_>, cluster: &str, record: &Record) -> Json {
    let mut object = record.object.clone();
    let reference = record.reference();
    let aged = |seconds| age(tx, record).is_some_and(|age| age >= SignedDuration::from_secs(seconds));
    let status = match (reference.api_version.as_str(), reference.kind.as_str()) {
        _ if workload::is_workload(&reference) => workload::status(tx, cluster, record),
        _ if gateway::is_route(&reference) => gateway::route_status(tx, cluster, record),
        _ if gateway::is_gateway(&reference) => gateway::status(record),
        ("v1", "Namespace") => {
            json!({"phase": if record.is_terminating() { "Terminating" } else { "Active" }})
        }
        ("v1", "PersistentVolumeClaim") => volumes::status(tx, cluster, record),
        ("v1", "Service") => {
            let name = record.object["metadata"]["uid"].as_str().unwrap_or_default().replace('-', "");
            if object["spec"]["type"] == "LoadBalancer" && aged(LOAD_BALANCER_AFTER) {
                let host = format!("k8s-{}.elb.us-east-1.amazonaws.com", name.get(..16).unwrap_or(&name));
                json!({"loadBalancer": {"ingress": [{"hostname": host}]}})
            } else {
                json!({"loadBalancer": {}})
            }
        }
        ("networking.k8s.io/v1", "Ingress") => json!({"loadBalancer": {}}),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => {
            let done = if is_established(tx, record) { "True" } else { "False" };
            let conditions =
                json!([{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": done}]);
            json!({"conditions": conditions, "acceptedNames": object["spec"]["names"]})
        }
        _ => return object,
    };
    object["status"] = status;
    object
}

/// The object; pods of workloads included.
pub(super) fn get(tx: &Tx<'_>, cluster: &str, object: &ObjectRef) -> Outcome<Option<Json>> {
    reach(tx, cluster)?;
    if let Some(record) = record::find(tx, cluster, object) {
        return Ok(Some(in_version(view(tx, cluster, &record), &object.api_version)));
    }
    if object.api_version == "v1" && object.kind == "Pod" {
        let pods = pods_in(tx, cluster, object.namespace.as_deref());
        return Ok(pods.into_iter().find(|pod| pod["metadata"]["name"] == object.name.as_str()));
    }
    Ok(None)
}

/// The object in another version of its group; the sandbox converts nothing but the name.
fn in_version(mut object: Json, api_version: &str) -> Json {
    object["apiVersion"] = api_version.into();
    object
}

/// All objects of a type with these labels, in the order of namespace and name.
pub(super) fn list(
    tx: &Tx<'_>,
    cluster: &str,
    (api_version, kind): (&str, &str),
    namespace: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> Outcome<Vec<Json>> {
    reach(tx, cluster)?;
    let mut found: Vec<Json> = if (api_version, kind) == ("v1", "Pod") {
        pods_in(tx, cluster, namespace)
    } else if (api_version, kind) == ("discovery.k8s.io/v1", "EndpointSlice") {
        endpoints::slices(tx, cluster, namespace)
    } else {
        let records = record::of_type(tx, cluster, api_version, kind, namespace);
        records.iter().map(|record| in_version(view(tx, cluster, record), api_version)).collect()
    };
    found.retain(|object| labels.iter().all(|(key, value)| object["metadata"]["labels"][key] == value.as_str()));
    Ok(found)
}

/// The workloads in a namespace, or in all.
pub(super) fn workloads(tx: &Tx<'_>, cluster: &str, namespace: Option<&str>) -> Vec<Record> {
    let kinds = [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("v1", "Pod"),
    ];
    kinds.iter().flat_map(|(version, kind)| record::of_type(tx, cluster, version, kind, namespace)).collect()
}

/// Every pod in a namespace, or in all, in the order of namespace and name.
pub(super) fn pods_in(tx: &Tx<'_>, cluster: &str, namespace: Option<&str>) -> Vec<Json> {
    let mut pods: Vec<Json> = workloads(tx, cluster, namespace)
        .iter()
        .filter(|workload| !workload.is_terminating())
        .flat_map(|workload| workload::pods(tx, cluster, workload).all)
        .collect();
    pods.sort_by_cached_key(|pod| {
        let text = |v: &Json| v.as_str().unwrap_or_default().to_owned();
        (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]))
    });
    pods
}

fn not_found(object: &ObjectRef) -> Failure {
    let plural = types::built_in(&object.api_version, &object.kind)
        .map_or_else(|| format!("{}s", object.kind.to_lowercase()), |kind| plural(&kind));
    failure(Class::NotFound, "Get", object, format!("{plural} {:?} not found", object.name))
}

/// What a container printed: its last words, where a fault made it crash.
pub(super) fn log(tx: &Tx<'_>, cluster: &str, request: &crate::world::LogRequest) -> Vec<String> {
    let name = Json::from(request.pod.as_str());
    let made =
        |workload: &Record| workload::pods(tx, cluster, workload).all.iter().any(|pod| pod["metadata"]["name"] == name);
    let workloads = workloads(tx, cluster, Some(&request.namespace));
    let crash = workloads.into_iter().find(made).and_then(|workload| workload.rollout?.crash);
    let lines: Vec<String> = crash.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    let from = lines.len().saturating_sub(usize::try_from(request.lines).unwrap_or(usize::MAX));
    lines[from..].to_vec()
}

/// The lines about an object, newest first.
pub(super) fn events(tx: &Tx<'_>, cluster: &str, object: &ObjectRef) -> Outcome<Vec<String>> {
    reach(tx, cluster)?;
    let Some(record) = record::find(tx, cluster, object) else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    if workload::is_workload(object) {
        let crash = record.rollout.as_ref().and_then(|r| r.crash.as_deref());
        for pod in workload::pods(tx, cluster, &record).all {
            if let Some(complaint) = workload::complaint(&pod, crash) {
                lines.push(format!("Warning: {complaint}"));
            }
        }
        let count = workload::pods(tx, cluster, &record).wanted;
        lines.push(format!("Normal: ScalingReplicaSet: scaled {} to {count}", object.name));
    }
    if object.kind == "PersistentVolumeClaim"
        && let Some(complaint) = volumes::complaint(tx, cluster, &record)
    {
        lines.push(format!("Warning: ProvisioningFailed: {complaint}"));
    }
    if record.is_terminating() && object.kind == "Namespace" {
        let rest = record::in_namespace(tx, cluster, &object.name);
        if let Some(first) = rest.first() {
            lines.push(format!("Warning: {} objects remain in the namespace, {first} among them", rest.len()));
        }
    }
    lines.extend(record.events.iter().rev().cloned());
    Ok(lines)
}
