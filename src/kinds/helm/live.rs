//! From a live release to what the diff compares.

use crate::{
    base::{Digest, Value, yaml},
    kinds::{
        Condition, ConditionEffect, Context, Desired, Held, Observed, held_by_objects,
        helm::{deployed::Deployed, operation::pending_words},
    },
    world::{Outcome, Release},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// The newest revision, and the newest that was deployed.
pub(super) struct Revisions {
    /// The newest.
    pub newest: Release,
    /// The newest that runs or ran; `None` where none ever did.
    pub deployed: Option<Release>,
}

/// Reads a release with as much history as is needed.
pub(super) async fn revisions(context: &Context, identity: &Json) -> Outcome<Option<Revisions>> {
    let (name, namespace) = names(identity);
    let helm = &context.cluster()?.helm;
    let Some(newest) = context.patiently(|| helm.release(name, namespace)).await? else { return Ok(None) };
    let deployed = if newest.status == "deployed" {
        Some(newest.clone())
    } else {
        let history = context.patiently(|| helm.history(name, namespace)).await?;
        let ran = |status: &str| status == "deployed" || status == "superseded";
        history.iter().find(|r| r.status == "deployed").or_else(|| history.iter().find(|r| ran(&r.status))).cloned()
    };
    Ok(Some(Revisions { newest, deployed }))
}

/// Name and namespace of an identity.
pub(super) fn names(identity: &Json) -> (&str, &str) {
    (identity["name"].as_str().unwrap_or_default(), identity["namespace"].as_str().unwrap_or("default"))
}

pub(super) async fn read(context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
    let Some(Revisions { newest, deployed }) = revisions(context, identity).await? else { return Ok(None) };
    let base = deployed.as_ref().unwrap_or(&newest);
    let inputs_chart = chart_as_declared(context, base, desired);
    let given = context.former.marked(&inputs_of(base));
    let inputs = Value::object([
        ("name", newest.name.as_str().into()),
        ("namespace", newest.namespace.as_str().into()),
        ("chart", inputs_chart),
        ("repository", Value::UNKNOWN),
        ("version", base.version.as_str().into()),
        ("values", given.get("values").cloned().unwrap_or(Value::NULL)),
    ]);
    let (drifted, objects, held) = match &deployed {
        Some(release) if !newest.is_pending() => {
            let deployed = Deployed::read(context, release).await?;
            let held = Held::of(held_by_objects(deployed.last.values()));
            let seen = (deployed.drifted(), deployed.parts(), Some(Box::new(held)));
            context.seen.keep(deployed);
            seen
        }
        _ => (Vec::new(), Vec::new(), None),
    };
    // Values may hold secrets, and none of them changes without a new revision.
    let marks = json!([newest.revision, newest.status, newest.version, newest.labels, drifted]);
    let fingerprint = Digest::of_value(&marks);
    Ok(Some(Observed {
        held,
        identity: json!({ "namespace": newest.namespace, "name": newest.name }),
        inputs,
        documents: BTreeMap::new(),
        exports: exports(&newest, Value::UNKNOWN),
        owner: context.marks.owner_by_labels(&newest.labels, &context.address),
        fingerprint,
        condition: condition(context, &newest, deployed.as_ref()),
        image: deployed.map_or(Value::NULL, |r| {
            Value::object([("revision", Value::from(i64::from(r.revision))), ("objects", Value::tuple(objects))])
        }),
    }))
}

/// What a revision was given, in the shape of the inputs.
pub(super) fn inputs_of(release: &Release) -> Value {
    Value::object([("values", Value::from_json(&release.values))])
}

/// The chart of a record, in the words of the declaration where it is the same: the record has the name in Chart.yaml, and a
/// declaration may name it by folder or registry.
fn chart_as_declared(context: &Context, release: &Release, desired: Option<&Desired>) -> Value {
    let Some(wanted) = desired.and_then(|d| d.inputs.get("chart")).and_then(Value::as_str) else {
        return Value::UNKNOWN;
    };
    let last = wanted.trim_end_matches('/').rsplit('/').next();
    let own = || {
        let file = context.sources.read(&format!("{wanted}/Chart.yaml")).ok()?;
        let documents = yaml::documents(&String::from_utf8_lossy(&file)).ok()?;
        Some(documents.first()?["name"] == release.chart.as_str())
    };
    let in_folder =
        !wanted.starts_with("oci://") && desired.and_then(|d| d.inputs.get("repository")).is_none_or(Value::is_null);
    let same = if in_folder { own() } else { Some(last == Some(release.chart.as_str())) };
    match same {
        Some(true) => wanted.into(),
        Some(false) => release.chart.as_str().into(),
        None => Value::UNKNOWN,
    }
}

/// What others may refer to.
pub(super) fn exports(release: &Release, digest: Value) -> Value {
    Value::object([
        ("name", release.name.as_str().into()),
        ("namespace", release.namespace.as_str().into()),
        ("version", release.version.as_str().into()),
        ("app_version", release.app_version.as_str().into()),
        ("revision", i64::from(release.revision).into()),
        ("status", release.status.as_str().into()),
        ("digest", digest),
    ])
}

/// What helps: `terrace doctor` knows the releases that state remembers, and no stranger's.
fn pending_hint(context: &Context, pending: &Release) -> String {
    if context.former.is_known() {
        return "wait until its helm has ended; where that is gone, `terrace doctor` marks the revision as failed"
            .to_owned();
    }
    let Release { name, namespace, .. } = pending;
    let end = match pending.status.as_str() {
        "pending-install" | "uninstalling" => format!("helm uninstall {name} --namespace {namespace}"),
        _ => format!("helm rollback {name} --namespace {namespace}"),
    };
    format!("Terrace did not make this release: wait until its helm has ended; where that is gone, `{end}` ends it")
}

fn condition(context: &Context, newest: &Release, deployed: Option<&Release>) -> Option<Condition> {
    if newest.is_pending() {
        let age = context.clock.now().duration_since(newest.updated);
        let words = pending_words(newest, Duration::try_from(age).unwrap_or_default());
        return Some(Condition {
            word: words,
            effect: ConditionEffect::Blocks,
            hint: Some(pending_hint(context, newest)),
        });
    }
    match (newest.status.as_str(), deployed) {
        ("failed", None) => Some(Condition {
            word: "failed".to_owned(),
            effect: ConditionEffect::MustReplace,
            hint: Some("it was never deployed; it is uninstalled and installed again".to_owned()),
        }),
        ("failed", Some(former)) => Some(Condition {
            word: "failed".to_owned(),
            effect: ConditionEffect::Note,
            hint: Some(format!("revision {} failed; compared with revision {}", newest.revision, former.revision)),
        }),
        _ => None,
    }
}
