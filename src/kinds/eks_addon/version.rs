//! Which one version is meant, and when it is made so.
//!
//! `latest` and `default` become one version when the plan is made. Where the plan moves the cluster's Kubernetes version
//! first, the version is that for the Kubernetes version which the cluster will have; where an `eks_upgrade` moves the add-on
//! with the cluster, the add-on's own turn leaves the version as it is.

use crate::{
    kinds::{Ahead, Context, Observed, eks_addon::failure},
    world::{AddonVersion, Class, Outcome},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The fact that says which version it will be.
pub(super) const VERSION: &str = "version";
/// The fact that says which version the add-on's own turn makes, where something else moves it later.
pub(super) const OWN: &str = "own_version";
/// The fact that says what moves it later.
pub(super) const MOVED_BY: &str = "moved_by";
/// The fact that says for which Kubernetes version it was resolved, and what makes the cluster have it.
pub(super) const KUBERNETES: &str = "kubernetes";

/// The version as the plan pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pinned {
    /// What it will be.
    pub(super) version: String,
    /// As the plan holds it.
    pub(super) facts: BTreeMap<String, Json>,
}

/// Pins the version, or takes the one that the approved plan pinned.
pub(super) async fn pin(
    context: &Context,
    (cluster, addon): (&str, &str),
    version: &str,
    observed: Option<&Observed>,
) -> Outcome<Pinned> {
    let pinned = &context.outlook.pinned;
    if let Some(version) = pinned.get(VERSION).and_then(Json::as_str) {
        return Ok(Pinned { version: version.to_owned(), facts: pinned.clone() });
    }
    let eks = &context.aws()?.eks;
    let described = context.patiently(|| eks.describe_cluster(cluster)).await?;
    let Some(described) = described else {
        let what = format!("there is no cluster {cluster}");
        return Err(failure(Class::NotFound, "DescribeCluster", cluster, addon, what));
    };
    let ahead = context.outlook.clusters.get(cluster).filter(|ahead| ahead.version != described.version);
    let kubernetes = ahead.map_or(&described.version, |ahead| &ahead.version);
    let found = one(context, (cluster, addon), version, kubernetes).await?;
    let mut facts: BTreeMap<String, Json> = [(VERSION.to_owned(), json!(found))].into();
    if let Some(Ahead { version: kubernetes, by, later }) = ahead {
        facts.insert(KUBERNETES.to_owned(), json!({ "version": kubernetes, "by": by }));
        if *later {
            let live = observed.and_then(|o| o.exports.get("version")?.as_str().map(str::to_owned));
            let own = match live {
                Some(live) => live,
                None => now(context, (cluster, addon), &found, &described.version).await?,
            };
            facts.insert(OWN.to_owned(), json!(own));
            facts.insert(MOVED_BY.to_owned(), json!(by));
        }
    }
    Ok(Pinned { version: found, facts })
}

/// The version for an add-on that is made before its cluster is moved: the pinned one where the cluster can have it already.
async fn now(context: &Context, (cluster, addon): (&str, &str), pinned: &str, kubernetes: &str) -> Outcome<String> {
    let eks = &context.aws()?.eks;
    let offered = match context.patiently(|| eks.addon_versions(addon, kubernetes)).await {
        Err(failure) if failure.class == Class::Unsupported => return Ok(pinned.to_owned()),
        other => other?,
    };
    if offered.iter().any(|v| v.version == pinned) {
        return Ok(pinned.to_owned());
    }
    one(context, (cluster, addon), "default", kubernetes).await
}

/// The one version that is meant, for a Kubernetes version. An endpoint that cannot list versions leaves an exact one as it is.
async fn one(context: &Context, (cluster, addon): (&str, &str), version: &str, kubernetes: &str) -> Outcome<String> {
    let eks = &context.aws()?.eks;
    let word = version == "latest" || version == "default";
    let versions = match context.patiently(|| eks.addon_versions(addon, kubernetes)).await {
        Ok(versions) => versions,
        Err(failure) if failure.class == Class::Unsupported && !word => return Ok(version.to_owned()),
        Err(failure) if failure.class == Class::Unsupported => {
            return Err(failure.hint(format!("write the exact version of {addon} instead of `{version}`")));
        }
        Err(failure) => return Err(failure),
    };
    let invalid = |what: String| failure(Class::Invalid, "DescribeAddonVersions", cluster, addon, what);
    match pick(&versions, version) {
        Some(found) => Ok(found.version.clone()),
        None if versions.is_empty() => Err(invalid(format!("EKS has no add-on {addon} for Kubernetes {kubernetes}"))),
        None => {
            let newest: Vec<&str> = versions.iter().take(5).map(|v| v.version.as_str()).collect();
            let what = format!("EKS has no version {version} of {addon} for Kubernetes {kubernetes}");
            Err(invalid(what).hint(format!("it has {}", newest.join(", "))))
        }
    }
}

/// The version that a word or an exact version means among those that are offered, newest first.
fn pick<'v>(versions: &'v [AddonVersion], version: &str) -> Option<&'v AddonVersion> {
    match version {
        "latest" => versions.first(),
        "default" => versions.iter().find(|v| v.default),
        exact => versions.iter().find(|v| v.version == exact),
    }
}
