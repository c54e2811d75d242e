//! The way back, one minor at a time and the newest first: undoing a phase, and a declaration that asks for a lower version.
//!
//! EKS reverts the control plane only. Nodes must not lead it, so they go before it; add-ons go before it where their former
//! version fits the higher Kubernetes version too, else right after it.

use crate::{
    base::Value,
    kinds::{
        Context,
        eks_upgrade::{
            hops::{minor, way},
            live::{failure, insights, refuse, strings},
            preview::can_go_back,
            run::{Route, active, move_addon, move_nodes},
        },
        stack::set_parameter,
    },
    world::{Class, Failure, InsightCategory, Outcome, UpdateOf},
};
use std::collections::BTreeMap;

/// What it is to be again.
pub(super) struct Former {
    pub(super) version: String,
    pub(super) addons: BTreeMap<String, String>,
    pub(super) nodes: BTreeMap<String, String>,
}

impl Former {
    /// Of a before-image; `None` where nothing was to be moved.
    pub(super) fn of(image: &Value) -> Option<(String, Self)> {
        let cluster = image.get("cluster")?.as_str()?.to_owned();
        let version = image.get("version")?.as_str()?.to_owned();
        let former = Self { version, addons: strings(image.get("addons")), nodes: strings(image.get("nodes")) };
        Some((cluster, former))
    }
}

/// Goes back as far as asked and possible.
///
/// # Errors
/// The first hop that cannot be taken back, with what was.
pub(super) async fn go(context: &Context, route: &Route<'_>, former: &Former) -> Outcome<String> {
    settle(context, route).await?;
    let from = active(context, &route.cluster).await?;
    let mut at = from.clone();
    for (high, low) in way(&from, &former.version) {
        if minor(&low) > minor(&high) {
            break;
        }
        down(context, route, former, &high, &low).await.map_err(|failure| {
            let done = if at == from { String::new() } else { format!(" (it went back from {from} to {at})") };
            Failure { message: format!("Kubernetes {high} stays{done}: {}", failure.message), ..failure }
        })?;
        at = low;
    }
    for (name, version) in &former.addons {
        move_addon(context, route, name, version, &former.version).await?;
    }
    Ok(if at == from { format!("already at Kubernetes {at}") } else { format!("put back to Kubernetes {at}") })
}

async fn down(context: &Context, route: &Route<'_>, former: &Former, high: &str, low: &str) -> Outcome<()> {
    let eks = &context.aws()?.eks;
    let cluster = &route.cluster;
    can_go_back(context, cluster, high, low).await?;
    for name in context.patiently(|| eks.list_nodegroups(cluster)).await? {
        let group = context.patiently(|| eks.describe_nodegroup(cluster, &name)).await?;
        if group.is_some_and(|g| minor(&g.version) > minor(low)) {
            // As far back as it was, but no further than the control plane goes now.
            let was = former.nodes.get(&name).filter(|v| minor(v) <= minor(low)).map_or(low, String::as_str);
            let to = if minor(was) < minor(low) { low } else { was };
            move_nodes(context, route, &name, to, "m").await?;
        }
    }
    let before = fitting(context, route, former, high).await?;
    for (name, version) in &before {
        move_addon(context, route, name, version, high).await?;
    }
    let found = insights(context, cluster, InsightCategory::Rollback, low).await?;
    refuse(cluster, low, found.as_ref())?;
    context.say(&format!("control plane from {high} back to {low}"));
    set_parameter(context, &route.stack, &route.parameter, low, &route.token("b", low)).await?;
    if minor(&active(context, cluster).await?) > minor(low) {
        // The stack was there already; the control plane was moved beside it.
        beside(context, route, low).await?;
    }
    let after = fitting(context, route, former, low).await?;
    for (name, version) in &after {
        move_addon(context, route, name, version, low).await?;
    }
    Ok(())
}

/// Reverts the control plane itself and waits.
async fn beside(context: &Context, route: &Route<'_>, low: &str) -> Outcome<()> {
    let eks = &context.aws()?.eks;
    let cluster = &route.cluster;
    let id = eks.update_cluster_version(cluster, low, None, &route.token("d", low)).await?;
    let of = UpdateOf::default();
    let update = context
        .wait_until(&format!("the control plane of {cluster}"), || async {
            let update = eks.describe_update(cluster, &id, of).await?;
            Ok((update.status != "InProgress").then_some(update))
        })
        .await?;
    if update.status == "Successful" {
        return Ok(());
    }
    let said: Vec<String> = update.errors.iter().map(|(code, message, _)| format!("{code}: {message}")).collect();
    Err(failure(Class::Failed, cluster, format!("its rollback is {}: {}", update.status, said.join("; "))))
}

/// The add-ons that can have their former version at a Kubernetes version and do not have it.
async fn fitting(
    context: &Context,
    route: &Route<'_>,
    former: &Former,
    kubernetes: &str,
) -> Outcome<BTreeMap<String, String>> {
    let eks = &context.aws()?.eks;
    let mut out = BTreeMap::new();
    for (name, version) in &former.addons {
        let Some(live) = context.patiently(|| eks.describe_addon(&route.cluster, name)).await? else { continue };
        let offered = match context.patiently(|| eks.addon_versions(name, kubernetes)).await {
            Err(failure) if failure.class == Class::Unsupported => continue,
            other => other?,
        };
        let offers = |wanted: &str| offered.iter().any(|v| v.version == wanted);
        if live.version != *version && offers(version) {
            out.insert(name.clone(), version.clone());
        } else if !offers(&live.version)
            && let Some(default) = offered.iter().find(|v| v.default)
        {
            out.insert(name.clone(), default.version.clone());
        }
    }
    Ok(out)
}

/// Waits until no operation of the stack runs: a failed hop takes itself back first.
async fn settle(context: &Context, route: &Route<'_>) -> Outcome<()> {
    let cloudformation = &context.aws()?.cloudformation;
    context
        .wait_until(&format!("the stack {}", route.stack), || async {
            let stack = cloudformation.describe_stack(&route.stack).await?;
            Ok(stack.is_none_or(|s| !s.status.in_progress()).then_some(()))
        })
        .await
}
