//! The hops made: control plane, add-ons, bake, and node groups where their turn is.
//!
//! Nothing here is remembered between two tries. Each step looks at what is live and at the token of what was begun, and does
//! what is left, so that a run that died anywhere goes on where it was. A bake is counted from the moment that the stack's
//! events and the add-ons tell as the end of its hop, and so is not begun anew.

use crate::{
    base::{Value, elapsed, format_duration, later, parse_duration},
    kinds::{
        Applied, Context, Step, eks_addon,
        eks_upgrade::{
            back,
            hops::{Hop, minor},
            live::{Window, failure, insights, refuse, window},
            preview::{CLUSTER, HOPS},
        },
        stack::set_parameter,
    },
    world::{Addon, AddonRequest, Class, InsightCategory, Outcome, ResolveConflicts, UpdateOf},
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// How often a cluster is looked at while it bakes.
const BAKE_PACE: Duration = Duration::from_secs(30);

/// What is moved, and how.
pub(super) struct Route<'a> {
    pub(super) cluster: String,
    pub(super) stack: String,
    pub(super) parameter: String,
    pub(super) token: &'a str,
}

impl<'a> Route<'a> {
    pub(super) fn new(cluster: &str, identity: &Json, token: &'a str) -> Self {
        let text = |name: &str| identity[name].as_str().unwrap_or_default().to_owned();
        Self { cluster: cluster.to_owned(), stack: text("stack"), parameter: text("parameter"), token }
    }

    /// The token of one call: letters, digits and hyphens, as CloudFormation takes them.
    pub(super) fn token(&self, what: &str, version: &str) -> String {
        format!("{}-{what}{}", self.token, minor(version).unwrap_or_default())
    }
}

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let Some(desired) = step.desired else {
        return Ok(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() });
    };
    let identity = desired.identity.clone().or_else(|| step.identity.cloned()).unwrap_or(Json::Null);
    let version = desired.inputs.get("version").cloned().unwrap_or(Value::NULL);
    let hops: Vec<Hop> =
        step.facts.get(HOPS).and_then(|hops| serde_json::from_value(hops.clone()).ok()).unwrap_or_default();
    let cluster = step.facts.get(CLUSTER).and_then(Json::as_str).unwrap_or_default();
    let (Some(first), Some(last)) = (hops.first(), hops.last()) else {
        let exports = Value::object([("version", version), ("revertible_until", Value::NULL)]);
        return Ok(Applied { identity, exports, note: String::new() });
    };
    let route = Route::new(cluster, &identity, step.token);
    let bake = desired.inputs.get("bake").and_then(Value::as_str).and_then(|text| parse_duration(text).ok());
    let bake = bake.unwrap_or_default();
    if minor(&last.to) < minor(&first.from) {
        let to = back::Former { version: last.to.clone(), addons: last_addons(&hops), nodes: BTreeMap::new() };
        back::go(context, &route, &to).await?;
    } else {
        let left = u32::try_from(hops.len()).unwrap_or(u32::MAX);
        if bake.saturating_mul(left) > context.time_left() {
            let message =
                format!("{left} bakes of {} do not fit in the time that this may take", format_duration(bake));
            return Err(
                failure(Class::Invalid, cluster, message).hint("write timeouts { update = ... }, or a shorter bake")
            );
        }
        for hop in &hops {
            up(context, &route, hop, bake).await?;
        }
    }
    let until = match window(context, cluster, &last.to).await? {
        Window::Until(until) => Some(until.to_string()),
        _ => None,
    };
    let mut full = identity;
    full["upgraded"] = json!({ "from": last.from, "to": last.to, "until": until });
    let exports =
        Value::object([("version", version), ("revertible_until", until.as_deref().map_or(Value::NULL, Value::from))]);
    let word = if hops.len() == 1 { "1 hop".to_owned() } else { format!("{} hops", hops.len()) };
    Ok(Applied { identity: full, exports, note: format!("{} to {} in {word}", first.from, last.to) })
}

fn last_addons(hops: &[Hop]) -> BTreeMap<String, String> {
    hops.iter().flat_map(|hop| hop.addons.clone()).collect()
}

/// One hop up.
async fn up(context: &Context, route: &Route<'_>, hop: &Hop, bake: Duration) -> Outcome<()> {
    let now = active(context, &route.cluster).await?;
    let began = minor(&now) >= minor(&hop.to);
    if !began && is_idle(context, route).await? {
        let found = insights(context, &route.cluster, InsightCategory::Upgrade, &hop.to).await?;
        for warning in found.iter().flatten().filter(|i| i.status == "WARNING") {
            context.say(&format!("insight: {}", super::live::line(warning)));
        }
        refuse(&route.cluster, &hop.to, found.as_ref())?;
        for name in &hop.nodes_before {
            move_nodes(context, route, name, &hop.from, "n").await?;
        }
    }
    context.say(&format!("control plane from {} to {}", hop.from, hop.to));
    if minor(&now) <= minor(&hop.to) {
        set_parameter(context, &route.stack, &route.parameter, &hop.to, &route.token("h", &hop.to)).await?;
    }
    let now = active(context, &route.cluster).await?;
    if minor(&now) < minor(&hop.to) {
        let message = format!("the stack's parameter is {}, and the control plane is at {now} still", hop.to);
        return Err(failure(Class::Failed, &route.cluster, message)
            .hint("does the template give the cluster its version by that parameter?"));
    }
    let passed = minor(&now) > minor(&hop.to);
    for (name, version) in hop.addons.iter().filter(|_| !passed) {
        move_addon(context, route, name, version, &hop.to).await?;
    }
    if !passed {
        bake_for(context, route, hop, bake).await?;
    }
    for name in &hop.nodes_after {
        move_nodes(context, route, name, &hop.to, "n").await?;
    }
    Ok(())
}

/// The control plane's version, once it is not being changed.
pub(super) async fn active(context: &Context, cluster: &str) -> Outcome<String> {
    let eks = &context.aws()?.eks;
    context
        .wait_until(&format!("the cluster {cluster}"), || async {
            let Some(found) = eks.describe_cluster(cluster).await? else {
                return Err(failure(Class::NotFound, cluster, "the cluster is gone"));
            };
            match found.status.as_str() {
                "ACTIVE" => Ok(Some(found.version)),
                "UPDATING" | "PENDING" => Ok(None),
                status => Err(failure(Class::Failed, cluster, format!("the cluster is {status}"))),
            }
        })
        .await
}

/// Whether no operation of the stack runs.
async fn is_idle(context: &Context, route: &Route<'_>) -> Outcome<bool> {
    let cloudformation = &context.aws()?.cloudformation;
    let stack = context.patiently(|| cloudformation.describe_stack(&route.stack)).await?;
    Ok(stack.is_none_or(|s| !s.status.in_progress()))
}

/// Moves an add-on to a version and waits; one that is not there is nobody's to move.
pub(super) async fn move_addon(
    context: &Context,
    route: &Route<'_>,
    name: &str,
    version: &str,
    at: &str,
) -> Outcome<()> {
    let eks = &context.aws()?.eks;
    let cluster = &route.cluster;
    let Some(mut live) = context.patiently(|| eks.describe_addon(cluster, name)).await? else { return Ok(()) };
    if matches!(live.status.as_str(), "CREATING" | "UPDATING") {
        live = eks_addon::wait(context, cluster, name).await?;
    }
    if live.version == version && live.status == "ACTIVE" {
        return Ok(());
    }
    context.say(&format!("{name} from {} to {version}", live.version));
    let request = AddonRequest {
        cluster: cluster.clone(),
        addon: name.to_owned(),
        version: version.to_owned(),
        configuration: live.configuration.clone(),
        service_account_role_arn: live.service_account_role_arn.clone(),
        pod_identity: None,
        resolve_conflicts: ResolveConflicts::Preserve,
        tags: BTreeMap::new(),
    };
    eks.update_addon(&request, &format!("{}-{name}", route.token("a", at))).await?;
    eks_addon::wait(context, cluster, name).await.map(drop)
}

/// Moves a node group to a version and waits. Managed node groups drain node by node, which takes its time.
pub(super) async fn move_nodes(
    context: &Context,
    route: &Route<'_>,
    name: &str,
    version: &str,
    what: &str,
) -> Outcome<()> {
    let eks = &context.aws()?.eks;
    let cluster = &route.cluster;
    let settled = || async {
        context
            .wait_until(&format!("the node group {name}"), || async {
                let found = eks.describe_nodegroup(cluster, name).await?;
                Ok(match found {
                    Some(group) if group.status == "UPDATING" => None,
                    other => Some(other),
                })
            })
            .await
    };
    let Some(live) = settled().await? else { return Ok(()) };
    if live.version == version && live.status == "ACTIVE" {
        return Ok(());
    }
    context.say(&format!("node group {name} from {} to {version}", live.version));
    let token = format!("{}-{name}", route.token(what, version));
    let id = eks.update_nodegroup_version(cluster, name, version, &token).await?;
    let of = UpdateOf { nodegroup: Some(name), addon: None };
    let update = context
        .wait_until(&format!("the node group {name}"), || async {
            let update = eks.describe_update(cluster, &id, of).await?;
            Ok((update.status != "InProgress").then_some(update))
        })
        .await?;
    if update.status == "Successful" {
        return Ok(());
    }
    let said: Vec<String> = update.errors.iter().map(|(code, message, _)| format!("{code}: {message}")).collect();
    let message = format!("the node group {name} could not be moved to {version}: {}", said.join("; "));
    Err(failure(Class::Failed, cluster, message)
        .hint("a pod disruption budget that lets no pod go is the usual cause; mend it and apply again"))
}

/// Waits until the cluster was healthy for the time of a bake after a hop.
async fn bake_for(context: &Context, route: &Route<'_>, hop: &Hop, bake: Duration) -> Outcome<()> {
    if bake.is_zero() {
        return Ok(());
    }
    let began = ended(context, route, hop).await?;
    let until = later(began, bake);
    context.say(&format!("baking at {} until {until}", hop.to));
    loop {
        healthy(context, route, hop).await?;
        let left = elapsed(context.clock.now(), until);
        if left.is_zero() {
            return Ok(());
        }
        if context.time_left().is_zero() {
            let message = format!("the deadline passed while it baked at {}", hop.to);
            return Err(failure(Class::TimedOut, &route.cluster, message));
        }
        context.clock.sleep(left.min(BAKE_PACE)).await;
    }
}

/// When a hop's control plane and add-ons were done, by the stack's events and the add-ons; now, where neither tells.
async fn ended(context: &Context, route: &Route<'_>, hop: &Hop) -> Outcome<Timestamp> {
    let aws = context.aws()?;
    let token = route.token("h", &hop.to);
    let events = context.patiently(|| aws.cloudformation.stack_events(&route.stack, None)).await?;
    let own = events.iter().filter(|e| e.token.as_deref() == Some(&token)).map(|e| e.at).max();
    let mut last = own;
    for name in hop.addons.keys() {
        let addon: Option<Addon> = context.patiently(|| aws.eks.describe_addon(&route.cluster, name)).await?;
        last = last.max(addon.and_then(|a| a.modified).filter(|_| own.is_some()));
    }
    Ok(last.unwrap_or_else(|| context.clock.now()))
}

async fn healthy(context: &Context, route: &Route<'_>, hop: &Hop) -> Outcome<()> {
    let eks = &context.aws()?.eks;
    let version = active(context, &route.cluster).await?;
    if minor(&version) != minor(&hop.to) {
        let message = format!("it is at Kubernetes {version} by somebody else's hand while it bakes at {}", hop.to);
        return Err(failure(Class::Conflict, &route.cluster, message));
    }
    for name in hop.addons.keys() {
        let found = context.patiently(|| eks.describe_addon(&route.cluster, name)).await?;
        if let Some(sick) = found.filter(|a| matches!(a.status.as_str(), "DEGRADED" | "UPDATE_FAILED")) {
            let said: Vec<String> = sick.issues.iter().map(|(code, message)| format!("{code}: {message}")).collect();
            let message = format!("{name} is {} while it bakes at {}: {}", sick.status, hop.to, said.join("; "));
            return Err(failure(Class::Failed, &route.cluster, message));
        }
    }
    Ok(())
}
