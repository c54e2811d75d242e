//! `TargetGroupBinding`s: what has the AWS Load Balancer Controller register a service's pods as targets of a group. Terrace owns
//! them (rule 37). Source: "TargetGroupBinding" of the controller's documentation.

use crate::{
    base::{Address, Side},
    kinds::{Context, Owner, objects::MANAGER, release_name},
    world::{ApplyOptions, Backend, Class, Failure, ObjectRef, Outcome, TargetGroup},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const VERSION: &str = "elbv2.k8s.aws/v1beta1";
const KIND: &str = "TargetGroupBinding";
/// The label that says which side an object is of.
pub(in crate::kinds::traffic) const SIDE: &str = "terrace.dev/side";

/// What is bound.
pub(super) struct Binding<'a> {
    /// The traffic block.
    pub(super) address: &'a Address,
    pub(super) side: Side,
    pub(super) group: &'a TargetGroup,
    pub(super) backend: &'a Backend,
}

/// Makes the pods of a service the targets of a group. What this block bound to the side elsewhere goes first.
pub(super) async fn bind(release: &Context, binding: &Binding<'_>) -> Outcome<()> {
    let Binding { address, side, group, backend } = *binding;
    let kubernetes = &release.cluster()?.kubernetes;
    let name = format!("{}-{side}", release_name(address));
    let all = list(release, &BTreeMap::new()).await?;
    for other in &all {
        let ours = owner(release, address, other);
        let here = other["metadata"]["name"] == *name && other["metadata"]["namespace"] == *backend.namespace;
        let is_mine = ours == Owner::Ours(address.to_string());
        let same_group = other["spec"]["targetGroupARN"] == *group.arn;
        if (here || same_group) && !is_mine {
            return Err(foreign(other, &ours, same_group));
        }
        let of_side = other["metadata"]["labels"][SIDE] == *side.to_string();
        if is_mine && of_side && (!here || !same_group) {
            delete(release, other).await?;
        }
    }
    let mut labels = release.marks.labels(address);
    labels.insert(SIDE.to_owned(), side.to_string());
    let port = backend.port.parse::<u16>().map_or_else(|_| json!(backend.port), |number| json!(number));
    let object = json!({
        "apiVersion": VERSION, "kind": KIND,
        "metadata": {
            "name": name, "namespace": backend.namespace, "labels": labels,
            "annotations": release.marks.annotations(address),
        },
        "spec": {
            "serviceRef": { "name": backend.service, "port": port },
            "targetGroupARN": group.arn,
            "targetType": if group.target_type.is_empty() { "ip" } else { &group.target_type },
        },
    });
    let options = ApplyOptions { manager: MANAGER.to_owned(), force: true, dry_run: false };
    match kubernetes.apply(&object, &options).await {
        Err(failure) if failure.class == Class::NotFound => Err(failure.hint(
            "the AWS Load Balancer Controller brings the type: apply its chart, aws-load-balancer-controller, before the rollout",
        )),
        other => other.map(drop),
    }
}

/// Deletes what this block bound to a side, in whichever namespace.
pub(super) async fn unbind(release: &Context, address: &Address, side: Side) -> Outcome<()> {
    let mut labels = release.marks.labels(address);
    labels.insert(SIDE.to_owned(), side.to_string());
    for binding in list(release, &labels).await? {
        if owner(release, address, &binding) == Owner::Ours(address.to_string()) {
            delete(release, &binding).await?;
        }
    }
    Ok(())
}

/// The bindings with these labels; none where the cluster does not know the type.
async fn list(release: &Context, labels: &BTreeMap<String, String>) -> Outcome<Vec<Json>> {
    let kubernetes = &release.cluster()?.kubernetes;
    match release.patiently(|| kubernetes.list(VERSION, KIND, None, labels)).await {
        Err(failure) if failure.class == Class::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn owner(release: &Context, address: &Address, object: &Json) -> Owner {
    let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations = annotations.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    release.marks.owner_by_annotations(&annotations, address)
}

/// Deletes this very object, and waits until the controller let go of it.
async fn delete(release: &Context, object: &Json) -> Outcome<()> {
    let kubernetes = &release.cluster()?.kubernetes;
    let Some(reference) = ObjectRef::of(object) else { return Ok(()) };
    release.patiently(|| kubernetes.delete(&reference, object["metadata"]["uid"].as_str())).await?;
    let waiting = format!("{reference} to be gone");
    release
        .wait_until(&waiting, || async {
            let left = kubernetes.get(&reference).await?;
            Ok(left.is_none_or(|left| left["metadata"]["uid"] != object["metadata"]["uid"]).then_some(()))
        })
        .await
}

fn foreign(object: &Json, owner: &Owner, same_group: bool) -> Failure {
    let named = ObjectRef::of(object).map(|reference| reference.to_string()).unwrap_or_default();
    let whose = match owner {
        Owner::Ours(who) | Owner::Other(who) => format!("belongs to {who}"),
        Owner::Nobody => "was not made by terrace".to_owned(),
    };
    let why = if same_group {
        "and binds the same target group: two bindings of one group take each other's targets out"
    } else {
        "and has the name that this one needs"
    };
    Failure::new(Class::Conflict, "kubernetes:Apply", named.clone(), format!("{named} {whose}, {why}"))
        .hint("delete it, or declare another target group")
}
