//! From a live add-on to what the diff compares; versions as EKS tells them.

use crate::{
    base::{Digest, Value},
    kinds::{Condition, ConditionEffect, Context, Observed, eks_addon::failure, is_mark},
    world::{Addon, Class, Outcome},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

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

pub(super) async fn read(context: &Context, identity: &Json) -> Outcome<Option<Observed>> {
    let Some(addon) = find(context, identity).await? else { return Ok(None) };
    let tags: BTreeMap<&str, Value> = addon
        .tags
        .iter()
        .filter(|(key, _)| !is_mark(key) && !key.starts_with("aws:"))
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
    let image = Value::object([
        ("version", Value::from(addon.version.as_str())),
        ("configuration", addon.configuration.as_str().into()),
        ("service_account_role_arn", addon.service_account_role_arn.as_deref().map_or(Value::NULL, Value::from)),
    ]);
    let fingerprint = Digest::of(
        json!([
            addon.arn,
            addon.status,
            addon.version,
            addon.configuration,
            addon.service_account_role_arn,
            addon.tags
        ])
        .to_string()
        .as_bytes(),
    );
    Ok(Some(Observed {
        identity: json!({ "cluster": addon.cluster, "addon": addon.name, "arn": addon.arn }),
        inputs: Value::object(inputs),
        documents: BTreeMap::new(),
        exports: exports(&addon),
        owner: context.marks.owner_by_tags(&addon.tags, &context.address),
        fingerprint,
        condition: condition(&addon),
        image,
    }))
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

/// What is wrong with it, in EKS's words.
pub(super) fn issues(addon: &Addon) -> String {
    let said: Vec<String> = addon.issues.iter().map(|(code, message)| format!("{code}: {message}")).collect();
    if said.is_empty() { "it does not say why".to_owned() } else { said.join("; ") }
}

fn condition(addon: &Addon) -> Option<Condition> {
    let (effect, hint) = match addon.status.as_str() {
        "ACTIVE" => return None,
        "CREATE_FAILED" => (ConditionEffect::MustReplace, issues(addon)),
        "CREATING" | "UPDATING" | "DELETING" => {
            (ConditionEffect::Blocks, "it is being changed; try again once that has ended".to_owned())
        }
        // An update may mend it.
        _ => (ConditionEffect::Note, issues(addon)),
    };
    Some(Condition { word: addon.status.clone(), effect, hint: Some(hint) })
}

/// The one version that is meant, for the cluster's Kubernetes version. An endpoint that cannot list versions leaves an exact
/// one as it is.
pub(super) async fn pin(context: &Context, cluster: &str, addon: &str, version: &str) -> Outcome<String> {
    let eks = &context.aws()?.eks;
    let word = version == "latest" || version == "default";
    let described = context.patiently(|| eks.describe_cluster(cluster)).await?;
    let Some(described) = described else {
        return Err(failure(
            Class::NotFound,
            "DescribeCluster",
            cluster,
            addon,
            format!("there is no cluster {cluster}"),
        ));
    };
    let kubernetes = described.version;
    let versions = match context.patiently(|| eks.addon_versions(addon, &kubernetes)).await {
        Ok(versions) => versions,
        Err(failure) if failure.class == Class::Unsupported && !word => return Ok(version.to_owned()),
        Err(failure) => return Err(failure),
    };
    let found = match version {
        "latest" => versions.first(),
        "default" => versions.iter().find(|v| v.default),
        exact => versions.iter().find(|v| v.version == exact),
    };
    match found {
        Some(found) => Ok(found.version.clone()),
        None if versions.is_empty() => {
            let what = format!("EKS has no add-on {addon} for Kubernetes {kubernetes}");
            Err(failure(Class::Invalid, "DescribeAddonVersions", cluster, addon, what))
        }
        None => {
            let newest: Vec<&str> = versions.iter().take(5).map(|v| v.version.as_str()).collect();
            let what = format!("EKS has no version {version} of {addon} for Kubernetes {kubernetes}");
            let failure = failure(Class::Invalid, "DescribeAddonVersions", cluster, addon, what);
            Err(failure.hint(format!("it has {}", newest.join(", "))))
        }
    }
}
