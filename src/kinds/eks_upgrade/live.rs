//! What is live: the stack's parameter, its cluster, add-ons and node groups, and until when the control plane can go back.

use crate::{
    base::{Digest, Value},
    cfn::{Context as CfnContext, Node, Template},
    kinds::{Context, Desired, Observed, Owner, eks_upgrade::hops::minor},
    world::{Class, Failure, Insight, InsightCategory, Outcome, Stack, UpdateOf},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// How long after an upgrade the control plane can go back. Source: "Rollback cluster to previous Kubernetes version" of the
/// EKS user guide.
const WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A failure of the upgrade of a cluster.
pub(super) fn failure(class: Class, cluster: &str, message: impl Into<String>) -> Failure {
    Failure::new(class, "eks_upgrade", cluster, message)
}

/// Reads the version that the live stack has; where it is to move, the cluster with what moves along as well.
pub(super) async fn read(context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
    let which = desired.and_then(|d| d.identity.as_ref()).unwrap_or(identity);
    let parameter = which["parameter"].as_str().unwrap_or_default();
    let stack = match which["stack"].as_str() {
        Some(name) => {
            let cloudformation = &context.aws()?.cloudformation;
            context.patiently(|| cloudformation.describe_stack(name)).await?
        }
        None => None,
    };
    let there = stack.filter(|s| !s.status.in_review() && s.status.0 != "DELETE_COMPLETE");
    let live = there.as_ref().and_then(|s| s.parameters.get(parameter).cloned());
    let wanted = desired.and_then(|d| d.inputs.get("version")).and_then(Value::as_str);
    let mut image = vec![("version", live.as_deref().map_or(Value::NULL, Value::from))];
    let mut version = live.clone();
    if let (Some(stack), Some(from), Some(to)) = (&there, live.as_deref(), wanted)
        && minor(from) != minor(to)
    {
        let names = desired.map(|d| addons(&d.inputs)).unwrap_or_default();
        let seen = cluster(context, stack, names.keys()).await?;
        version = Some(seen.version.clone());
        image = vec![
            ("version", Value::from(seen.version.as_str())),
            ("cluster", seen.name.as_str().into()),
            ("addons", texts(&seen.addons)),
            ("nodes", texts(&seen.nodes)),
        ];
    }
    let mut full = json!({ "stack": which["stack"], "parameter": parameter });
    let upgraded = &identity["upgraded"];
    if !upgraded.is_null() {
        full["upgraded"] = upgraded.clone();
    }
    let shown = version.as_deref().map_or(Value::NULL, Value::from);
    let until = upgraded["until"].as_str().filter(|_| upgraded["to"].as_str() == version.as_deref());
    let exports =
        Value::object([("version", shown.clone()), ("revertible_until", until.map_or(Value::NULL, Value::from))]);
    Ok(Some(Observed {
        held: None,
        identity: full,
        inputs: Value::UNKNOWN,
        documents: BTreeMap::new(),
        fingerprint: Digest::of_value(&shown.to_json_lossy()),
        exports,
        owner: Owner::Nobody,
        condition: None,
        image: Value::object(image),
    }))
}

fn texts(entries: &BTreeMap<String, String>) -> Value {
    Value::object(entries.iter().map(|(k, v)| (k.as_str(), Value::from(v.as_str()))))
}

/// A map of texts of a value.
pub(super) fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    entries.filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned()))).collect()
}

/// The listed add-ons and the versions that they are to have in the end.
pub(super) fn addons(inputs: &Value) -> BTreeMap<String, String> {
    strings(inputs.get("addons"))
}

/// A cluster with what moves along.
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) addons: BTreeMap<String, String>,
    pub(super) nodes: BTreeMap<String, String>,
}

/// The cluster of a stack.
pub(super) async fn cluster<'a>(
    context: &Context,
    stack: &Stack,
    addons: impl Iterator<Item = &'a String>,
) -> Outcome<Cluster> {
    let aws = context.aws()?;
    let resources = context.patiently(|| aws.cloudformation.stack_resources(&stack.id)).await?;
    let clusters: Vec<_> = resources.into_iter().filter(|r| r.resource_type == "AWS::EKS::Cluster").collect();
    let [only] = clusters.as_slice() else {
        let message = format!("the stack has {} clusters, and an upgrade is of one", clusters.len());
        return Err(failure(Class::Invalid, &stack.name, message).hint("name the stack that holds the cluster"));
    };
    let name = only.physical_id.clone();
    let found = context.patiently(|| aws.eks.describe_cluster(&name)).await?;
    let Some(found) = found else { return Err(failure(Class::NotFound, &name, "the stack's cluster is gone")) };
    let mut out =
        Cluster { name: name.clone(), version: found.version, addons: BTreeMap::new(), nodes: BTreeMap::new() };
    for addon in addons {
        if let Some(live) = context.patiently(|| aws.eks.describe_addon(&name, addon)).await? {
            out.addons.insert(addon.clone(), live.version);
        }
    }
    for group in context.patiently(|| aws.eks.list_nodegroups(&name)).await? {
        if let Some(live) = context.patiently(|| aws.eks.describe_nodegroup(&name, &group)).await? {
            out.nodes.insert(group, live.version);
        }
    }
    Ok(out)
}

/// Node groups of the stack whose version its template takes from the parameter.
pub(super) async fn nodes_with_stack(context: &Context, stack: &Stack, parameter: &str) -> Outcome<BTreeSet<String>> {
    let cloudformation = &context.aws()?.cloudformation;
    let text = context.patiently(|| cloudformation.get_template(&stack.id)).await?;
    if !text.contains("AWS::EKS::Nodegroup") {
        return Ok(BTreeSet::new());
    }
    let template = Template::parse("template", &text).0;
    let versions = |value: &str| -> BTreeMap<String, Option<String>> {
        let mut context = CfnContext::offline("000000000000", "us-east-1", &stack.name);
        context.parameters.clone_from(&stack.parameters);
        context.parameters.insert(parameter.to_owned(), value.to_owned());
        let resolved = template.resolve(&context).0.resources.into_iter();
        let groups = resolved.filter(|(_, r)| r.resource_type == "AWS::EKS::Nodegroup");
        groups.map(|(id, r)| (id, r.properties.get("Version").and_then(Node::scalar))).collect()
    };
    let (one, other) = (versions("1.1"), versions("1.2"));
    let follows: BTreeSet<&String> = one.iter().filter(|(id, v)| other.get(*id) != Some(v)).map(|(id, _)| id).collect();
    if follows.is_empty() {
        return Ok(BTreeSet::new());
    }
    let resources = context.patiently(|| cloudformation.stack_resources(&stack.id)).await?.into_iter();
    let own = resources.filter(|r| follows.contains(&r.logical_id));
    Ok(own.map(|r| r.physical_id.rsplit('/').next().unwrap_or_default().to_owned()).collect())
}

/// Whether a control plane can go back from the version that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// It was upgraded in place, and can go back until then.
    Until(Timestamp),
    /// It could, until then.
    Over(Timestamp),
    /// It was created at this version.
    Never,
    /// The endpoint does not tell its updates.
    Untold,
}

/// Until when the control plane can go back, by the update that brought it to this version. An update tells its beginning
/// only, so the moment is rather too early than too late.
pub(super) async fn window(context: &Context, cluster: &str, version: &str) -> Outcome<Window> {
    let eks = &context.aws()?.eks;
    let of = UpdateOf::default();
    let ids = match context.patiently(|| eks.list_updates(cluster, of)).await {
        Err(failure) if failure.class == Class::Unsupported => return Ok(Window::Untold),
        other => other?,
    };
    let mut newest: Option<Timestamp> = None;
    for id in ids {
        let update = context.patiently(|| eks.describe_update(cluster, &id, of)).await?;
        let brought = update.kind == "VersionUpdate"
            && update.status == "Successful"
            && update.params.get("Version").map(String::as_str) == Some(version);
        newest = newest.max(update.created.filter(|_| brought));
    }
    let Some(until) = newest.and_then(|at| at.checked_add(WINDOW).ok()) else { return Ok(Window::Never) };
    Ok(if until > context.clock.now() { Window::Until(until) } else { Window::Over(until) })
}

/// The insights about a move that do not pass, each with its resources; `None` where the endpoint has no insights.
pub(super) async fn insights(
    context: &Context,
    cluster: &str,
    category: InsightCategory,
    version: &str,
) -> Outcome<Option<Vec<Insight>>> {
    let eks = &context.aws()?.eks;
    let listed = match context.patiently(|| eks.list_insights(cluster, category, version)).await {
        Err(failure) if failure.class == Class::Unsupported => return Ok(None),
        other => other?,
    };
    let mut out = Vec::new();
    for insight in listed.into_iter().filter(|i| i.status == "ERROR" || i.status == "WARNING") {
        let whole = context.patiently(|| eks.describe_insight(cluster, &insight.id)).await?;
        out.push(Insight { reason: insight.reason, ..whole });
    }
    Ok(Some(out))
}

/// An insight in one line: its name, why, and what it is about.
pub(super) fn line(insight: &Insight) -> String {
    let about =
        if insight.resources.is_empty() { String::new() } else { format!(": {}", insight.resources.join(", ")) };
    format!("{} ({}){about}", insight.name, insight.reason)
}

/// Refuses where an insight says ERROR.
pub(super) fn refuse(cluster: &str, to: &str, insights: Option<&Vec<Insight>>) -> Outcome<()> {
    let Some(found) = insights.into_iter().flatten().find(|i| i.status == "ERROR") else { return Ok(()) };
    let failure =
        failure(Class::Invalid, cluster, format!("an insight keeps it from Kubernetes {to}: {}", line(found)));
    let hint = if found.recommendation.is_empty() {
        "mend what it names; EKS looks again once a day, or when asked to"
    } else {
        &found.recommendation
    };
    Err(failure.hint(hint))
}
