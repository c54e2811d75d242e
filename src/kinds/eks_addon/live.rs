//! From a live add-on to what the diff compares.

use crate::{
    base::{Digest, Value},
    kinds::{Condition, ConditionEffect, Context, Desired, Observed, eks_addon::issue, is_own_tag},
    world::{Addon, Class, Outcome, PodIdentity},
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Describes an add-on. One of a cluster that is gone is gone too, as far as the cluster itself says so.
pub(super) async fn find(context: &Context, identity: &Json) -> Outcome<Option<Addon>> {
    let eks = &context.aws()?.eks;
    let (cluster, addon) = names(identity);
    match context.patiently(|| eks.describe_addon(cluster, addon)).await {
        Err(failure) if failure.class == Class::NotFound => {
            match context.patiently(|| eks.describe_cluster(cluster)).await? {
                None => Ok(None),
                Some(_) => Err(failure),
            }
        }
        other => other,
    }
}

pub(super) fn names(identity: &Json) -> (&str, &str) {
    (identity["cluster"].as_str().unwrap_or_default(), identity["addon"].as_str().unwrap_or_default())
}

/// The service accounts of an add-on and their roles; one that is gone meanwhile is left out.
pub(super) async fn pod_identity(context: &Context, addon: &Addon) -> Outcome<BTreeSet<PodIdentity>> {
    let eks = &context.aws()?.eks;
    let mut out = BTreeSet::new();
    for association in &addon.pod_identity_associations {
        out.extend(context.patiently(|| eks.pod_identity_association(&addon.cluster, association)).await?);
    }
    Ok(out)
}

/// Service accounts by name, as inputs have them.
pub(super) fn pod_identity_value(pods: &BTreeSet<PodIdentity>) -> Value {
    Value::object(pods.iter().map(|pod| (pod.service_account.as_str(), Value::from(pod.role_arn.as_str()))))
}

pub(super) async fn read(context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
    let Some(addon) = find(context, identity).await? else { return Ok(None) };
    let pods = pod_identity(context, &addon).await?;
    let tags: BTreeMap<&str, Value> = addon
        .tags
        .iter()
        .filter(|(key, _)| is_own_tag(key))
        .map(|(key, value)| (key.as_str(), Value::from(value.as_str())))
        .collect();
    let mut inputs = vec![
        ("cluster", Value::from(addon.cluster.as_str())),
        ("addon", addon.name.as_str().into()),
        ("version", addon.version.as_str().into()),
        ("tags", Value::object(tags)),
    ];
    if let Some(configuration) = configuration(&addon) {
        inputs.push(("configuration", configuration));
    }
    if let Some(role) = &addon.service_account_role_arn {
        inputs.push(("service_account_role_arn", role.as_str().into()));
    }
    let ours = identity["pod_identity"] == json!(true);
    if !pods.is_empty() || ours || desired.is_some_and(|d| d.inputs.get("pod_identity").is_some()) {
        inputs.push(("pod_identity", pod_identity_value(&pods)));
    }
    let image = Value::object([
        ("pod_identity", pod_identity_value(&pods)),
        ("tags", Value::object(addon.tags.iter().map(|(k, v)| (k.as_str(), Value::from(v.as_str()))))),
        ("version", Value::from(addon.version.as_str())),
        ("configuration", addon.configuration.as_str().into()),
        ("service_account_role_arn", addon.service_account_role_arn.as_deref().map_or(Value::NULL, Value::from)),
    ]);
    let fingerprint = Digest::of_value(&json!([
        addon.arn,
        addon.status,
        addon.version,
        addon.configuration,
        addon.service_account_role_arn,
        pods,
        addon.tags
    ]));
    Ok(Some(Observed {
        held: None,
        identity: full_identity(&addon, identity),
        inputs: Value::object(inputs),
        documents: BTreeMap::new(),
        exports: exports(&addon),
        owner: context.marks.owner_by_tags(&addon.tags, &context.address),
        fingerprint,
        condition: condition(&addon),
        image,
    }))
}

/// The identity with what state remembers beside it: which tags are ours, whether pod identity is, whether destroying keeps
/// the software.
pub(super) fn full_identity(addon: &Addon, remembered: &Json) -> Json {
    let mut identity = json!({ "cluster": addon.cluster, "addon": addon.name, "arn": addon.arn });
    for name in ["preserve", "tags", "pod_identity"] {
        if let Some(value) = remembered.get(name) {
            identity[name] = value.clone();
        }
    }
    identity
}

/// What others may refer to.
pub(super) fn exports(addon: &Addon) -> Value {
    Value::object([
        ("id", Value::from(format!("{}:{}", addon.cluster, addon.name))),
        ("arn", addon.arn.as_str().into()),
        ("version", addon.version.as_str().into()),
    ])
}

fn configuration(addon: &Addon) -> Option<Value> {
    if addon.configuration.trim().is_empty() {
        return None;
    }
    let json = serde_json::from_str::<Json>(&addon.configuration).ok();
    let json = json.or_else(|| crate::kinds::yaml::documents(&addon.configuration).ok()?.pop());
    Some(json.map_or_else(|| Value::from(addon.configuration.as_str()), |json| Value::from_json(&json)))
}

/// What each status means for a change. Source: Addon of the API reference.
fn condition(addon: &Addon) -> Option<Condition> {
    let wrong = || match issue::way_out(addon) {
        Some(way_out) => format!("{}; {way_out}", issue::told(addon)),
        None => issue::told(addon),
    };
    let (effect, hint) = match addon.status.as_str() {
        "ACTIVE" => return None,
        "CREATE_FAILED" => (ConditionEffect::MustReplace, wrong()),
        "CREATING" | "UPDATING" | "DELETING" => {
            (ConditionEffect::Blocks, "it is being changed; try again once that has ended".to_owned())
        }
        // DEGRADED, UPDATE_FAILED, DELETE_FAILED: an update may mend it.
        _ => (ConditionEffect::Note, wrong()),
    };
    Some(Condition { word: addon.status.clone(), effect, hint: Some(hint) })
}
