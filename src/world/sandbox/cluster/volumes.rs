//! Volume claims: which are bound, and why one is not.

use super::{
    super::Tx,
    record::{self, Record},
};
use crate::world::ObjectRef;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Why a claim with this spec cannot be bound; `None` where it can.
fn obstacle(tx: &Tx<'_>, cluster: &str, spec: &Json) -> Option<String> {
    let class = match spec["storageClassName"].as_str() {
        Some("") => return None,
        Some(name) => {
            let object = ObjectRef {
                api_version: "storage.k8s.io/v1".into(),
                kind: "StorageClass".into(),
                namespace: None,
                name: name.to_owned(),
            };
            match record::find(tx, cluster, &object) {
                Some(class) => class,
                None => return Some(format!("storageclass.storage.k8s.io {name:?} not found")),
            }
        }
        None => {
            let classes = record::of_type(tx, cluster, "storage.k8s.io/v1", "StorageClass", None);
            match classes.into_iter().find(|c| c.object["metadata"]["annotations"][DEFAULT_CLASS] == "true") {
                Some(class) => class,
                None => {
                    return Some(
                        "no persistent volumes available for this claim and no storage class is set".to_owned(),
                    );
                }
            }
        }
    };
    let provisioner = class.object["provisioner"].as_str().unwrap_or_default().to_owned();
    let driver = ObjectRef {
        api_version: "storage.k8s.io/v1".into(),
        kind: "CSIDriver".into(),
        namespace: None,
        name: provisioner.clone(),
    };
    let in_tree = provisioner == "sandbox.terrace.dev/local";
    (!in_tree && !record::exists(tx, cluster, &driver)).then(|| {
        format!(
            "waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
             administrator; no such driver is installed"
        )
    })
}

/// Why the pods of a workload wait for a volume; `None` where they do not.
pub(super) fn unbound_claim(tx: &Tx<'_>, cluster: &str, workload: &Record) -> Option<String> {
    let words = |why: String| format!("pod has unbound immediate PersistentVolumeClaims: {why}");
    let object = &workload.object;
    let mut templates = object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    if let Some(why) = templates.find_map(|claim| obstacle(tx, cluster, &claim["spec"])) {
        return Some(words(why));
    }
    let pod = if object["kind"] == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
    let namespace = workload.reference().namespace;
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() else { continue };
        let claim = ObjectRef {
            api_version: "v1".into(),
            kind: "PersistentVolumeClaim".into(),
            namespace: namespace.clone(),
            name: name.to_owned(),
        };
        match record::find(tx, cluster, &claim) {
            None => return Some(format!("persistentvolumeclaim {name:?} not found")),
            Some(claim) => {
                if let Some(why) = obstacle(tx, cluster, &claim.object["spec"]) {
                    return Some(words(why));
                }
            }
        }
    }
    None
}

/// The status of a claim.
pub(super) fn status(tx: &Tx<'_>, cluster: &str, claim: &Record) -> Json {
    let spec = &claim.object["spec"];
    let created: Option<Timestamp> =
        claim.object["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse().ok());
    let bound_at = created.and_then(|at| at.checked_add(SignedDuration::from_secs(4)).ok());
    if obstacle(tx, cluster, spec).is_some() || bound_at.is_none_or(|at| tx.now() < at) {
        return json!({"phase": "Pending"});
    }
    json!({
        "phase": "Bound", "accessModes": spec["accessModes"],
        "capacity": {"storage": spec["resources"]["requests"]["storage"]},
    })
}

/// Why the claim waits, for its events.
pub(super) fn complaint(tx: &Tx<'_>, cluster: &str, claim: &Record) -> Option<String> {
    obstacle(tx, cluster, &claim.object["spec"])
}
