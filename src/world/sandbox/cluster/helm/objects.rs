//! What a release does to objects: takes over only its own, applies, prunes, waits, deletes.

use super::super::{
    super::{Halfway, Tx},
    crash, heal, record, removal, server, workload,
};
use crate::world::{Class, Failure, ObjectRef, Outcome, Release};
use serde_json::Value as Json;

const NAME: &str = "meta.helm.sh/release-name";
const NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Applies CRDs that are not there yet; true where there were any. Helm never upgrades them.
pub(super) fn apply_crds(tx: &mut Tx<'_>, cluster: &str, crds: &[Json]) -> Outcome<bool> {
    let mut new = false;
    for crd in crds {
        let Some(object) = ObjectRef::of(crd) else { continue };
        if !record::exists(tx, cluster, &object) {
            server::apply(tx, cluster, crd, HELM)?;
            new = true;
        }
    }
    Ok(new)
}

const HELM: server::Write<'static> = server::Write { manager: "helm", force: true, dry_run: false };

/// Applies what a revision rendered and deletes what the one before had and this one has not.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    cluster: &str,
    release: &Release,
    before: Option<&Release>,
    halfway: Option<&Halfway>,
) -> Outcome<()> {
    for object in &release.manifest {
        check_owner(tx, cluster, release, object)?;
    }
    let mut workloads = Vec::new();
    for object in &release.manifest {
        let applied = server::apply(tx, cluster, object, HELM).map_err(|failure| in_words(failure, object))?;
        if let Some(reference) = ObjectRef::of(&applied) {
            heal(tx, cluster, &reference);
            if workload::is_workload(&reference) {
                workloads.push(reference);
            }
        }
    }
    for old in before.into_iter().flat_map(|before| before.manifest.iter()).filter_map(ObjectRef::of) {
        let stays = release.manifest.iter().filter_map(ObjectRef::of).any(|new| same(&new, &old));
        if !stays && !is_kept(tx, cluster, &old) {
            removal::delete(tx, cluster, &old)?;
        }
    }
    if let Some(halfway) = halfway {
        let named = |object: &&ObjectRef| {
            halfway.part.as_deref().is_none_or(|part| super::super::super::fault::glob(part, &object.name))
        };
        let struck: Vec<&ObjectRef> = workloads.iter().filter(named).collect();
        if struck.is_empty() {
            // Nothing that could crash: the call itself breaks, after part of what it does.
            let reason = halfway.reason.clone();
            let message =
                reason.unwrap_or_else(|| "failed post-install: the server was unable to return a response".into());
            let subject = format!("{}/{}", release.namespace, release.name);
            return Err(Failure::new(Class::Failed, "helm:Apply", subject, message));
        }
        for object in struck {
            crash(tx, cluster, object, halfway);
        }
    }
    Ok(())
}

fn same(a: &ObjectRef, b: &ObjectRef) -> bool {
    let group = super::super::types::group;
    a.kind == b.kind && a.name == b.name && a.namespace == b.namespace && group(&a.api_version) == group(&b.api_version)
}

fn is_kept(tx: &Tx<'_>, cluster: &str, object: &ObjectRef) -> bool {
    object.kind == "CustomResourceDefinition"
        || record::find(tx, cluster, object)
            .is_some_and(|record| record.object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep")
}

fn in_words(failure: Failure, object: &Json) -> Failure {
    if failure.class != Class::NotFound || !failure.message.starts_with("no matches for kind") {
        return failure;
    }
    let metadata = &object["metadata"];
    let message = format!(
        "unable to build kubernetes objects from release manifest: resource mapping not found for name: {} namespace: {} \
         from \"\": {}\nensure CRDs are installed first",
        metadata["name"],
        if metadata["namespace"].is_null() { "\"\"".to_owned() } else { metadata["namespace"].to_string() },
        failure.message
    );
    Failure { message, ..failure }
}

/// Refuses an object that another release, or nobody, owns.
fn check_owner(tx: &Tx<'_>, cluster: &str, release: &Release, object: &Json) -> Outcome<()> {
    let Some(reference) = ObjectRef::of(object) else { return Ok(()) };
    let Some(live) = record::find(tx, cluster, &reference) else { return Ok(()) };
    let annotations = &live.object["metadata"]["annotations"];
    let mut wrong = Vec::new();
    if live.object["metadata"]["labels"]["app.kubernetes.io/managed-by"] != "Helm" {
        wrong.push(
            "label validation error: missing key \"app.kubernetes.io/managed-by\": must be set to \"Helm\"".to_owned(),
        );
    }
    for (key, wanted) in [(NAME, &release.name), (NAMESPACE, &release.namespace)] {
        match annotations[key].as_str() {
            Some(value) if value == wanted => {}
            Some(value) => wrong.push(format!(
                "annotation validation error: key {key:?} must equal {wanted:?}: current value is {value:?}"
            )),
            None => wrong.push(format!("annotation validation error: missing key {key:?}: must be set to {wanted:?}")),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    let message = format!(
        "{} {:?} in namespace {namespace:?} exists and cannot be imported into the current release: invalid ownership \
         metadata; {}",
        reference.kind,
        reference.name,
        wrong.join("; ")
    );
    Err(Failure::new(Class::Conflict, "helm:Apply", format!("{}/{}", release.namespace, release.name), message))
}

/// What the release still waits for, in words; `None` once all is ready.
pub(super) fn waits_for(tx: &Tx<'_>, cluster: &str, release: &Release) -> Option<String> {
    let mut complaints = Vec::new();
    for reference in release.manifest.iter().filter_map(ObjectRef::of) {
        let Some(record) = record::find(tx, cluster, &reference) else {
            complaints.push(format!("{reference} is gone"));
            continue;
        };
        if workload::is_workload(&reference) {
            if !workload::is_settled(tx, cluster, &record) {
                let pods = workload::pods(tx, cluster, &record);
                let crash = record.rollout.as_ref().and_then(|rollout| rollout.crash.as_deref());
                let pod = pods.all.iter().find_map(|pod| workload::complaint(pod, crash));
                complaints.push(format!(
                    "{reference} has {} of {} ready{}",
                    pods.updated_ready,
                    pods.wanted,
                    pod.map(|pod| format!(": {pod}")).unwrap_or_default()
                ));
            }
        } else if reference.kind == "Service" && record.object["spec"]["type"] == "LoadBalancer" {
            let seen = server::view(tx, cluster, &record);
            if seen["status"]["loadBalancer"]["ingress"].is_null() {
                complaints.push(format!("{reference} has no load balancer yet"));
            }
        }
    }
    (!complaints.is_empty()).then(|| complaints.join("; "))
}

/// Deletes what a release made; CRDs and what asks to be kept stay.
pub(super) fn delete(tx: &mut Tx<'_>, cluster: &str, release: &Release) -> Outcome<()> {
    for object in release.manifest.iter().rev().filter_map(ObjectRef::of) {
        if !is_kept(tx, cluster, &object) {
            removal::delete(tx, cluster, &object)?;
        }
    }
    Ok(())
}

/// An object of the release that is still there, in words.
pub(super) fn still_there(tx: &Tx<'_>, cluster: &str, release: &Release) -> Option<String> {
    let mut objects = release.manifest.iter().filter_map(ObjectRef::of);
    objects.find(|object| record::exists(tx, cluster, object) && !is_kept(tx, cluster, object)).map(|o| o.to_string())
}
