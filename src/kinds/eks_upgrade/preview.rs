//! The hops as the plan shows and pins them: add-on versions resolved, insights asked, node groups placed.

use crate::{
    base::{Diagnostic, Path, Value},
    kinds::{
        Context, Desired, Observed, Preview,
        eks_upgrade::{
            hops::{Hop, Nodes, minor, place_nodes, way},
            live::{Window, addons, failure, insights, line, nodes_with_stack, strings, window},
        },
    },
    world::{Class, InsightCategory, Outcome},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The fact that holds the hops.
pub(super) const HOPS: &str = "hops";
/// The fact that holds the cluster's name.
pub(super) const CLUSTER: &str = "cluster";

pub(super) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
) -> Outcome<Option<Preview>> {
    let image = observed.map_or(&Value::NULL, |o| &o.image);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(cluster), Some(from), Some(to)) =
        (text(image, "cluster"), text(image, "version"), text(&desired.inputs, "version"))
    else {
        return Ok(Some(Preview::default()));
    };
    let pinned = &context.outlook.pinned;
    let as_approved = pinned.get(HOPS).and_then(|h| h[0]["from"].as_str()) == Some(from.as_str());
    if as_approved {
        return Ok(Some(Preview { facts: pinned.clone(), ..Preview::default() }));
    }
    let mut hops: Vec<Hop> = way(&from, &to).into_iter().map(|(from, to)| Hop { from, to, ..Hop::default() }).collect();
    let mut remarks = Vec::new();
    if minor(&to) < minor(&from) {
        can_go_back(context, &cluster, &from, &to).await?;
    } else {
        remarks = look_ahead(context, &cluster, &hops).await?;
        let name = desired.identity.as_ref().and_then(|i| i["stack"].as_str()).unwrap_or_default();
        let cloudformation = &context.aws()?.cloudformation;
        let stack = context.patiently(|| cloudformation.describe_stack(name)).await?;
        let stack = stack.ok_or_else(|| failure(Class::NotFound, &cluster, format!("the stack {name} is gone")))?;
        let parameter = text(&desired.inputs, "parameter").unwrap_or_default();
        let with_stack = nodes_with_stack(context, &stack, &parameter).await?;
        place_nodes(&mut hops, &Nodes { groups: &strings(image.get("nodes")), with_stack: &with_stack });
    }
    place_addons(context, &mut hops, &strings(image.get("addons")), &addons(&desired.inputs)).await?;
    let facts: BTreeMap<String, Json> = [(HOPS.to_owned(), json!(hops)), (CLUSTER.to_owned(), json!(cluster))].into();
    Ok(Some(Preview { facts, remarks, ..Preview::default() }))
}

/// Each listed add-on goes to its pinned version in the first hop that can have it. Before that it stays where the hop can have
/// what it has, and goes to the hop's default where not.
async fn place_addons(
    context: &Context,
    hops: &mut [Hop],
    live: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> Outcome<()> {
    let eks = &context.aws()?.eks;
    let last = hops.len().saturating_sub(1);
    for (addon, at) in live {
        let Some(target) = wanted.get(addon) else { continue };
        let mut at = at.clone();
        for (n, hop) in hops.iter_mut().enumerate() {
            let offered = match context.patiently(|| eks.addon_versions(addon, &hop.to)).await {
                Err(failure) if failure.class == Class::Unsupported => None,
                other => Some(other?),
            };
            let next = match &offered {
                None if n == last => target.clone(),
                None => at.clone(),
                Some(offered) if offered.iter().any(|v| v.version == *target) => target.clone(),
                Some(offered) if offered.iter().any(|v| v.version == at) => at.clone(),
                Some(offered) => {
                    let default = offered.iter().find(|v| v.default).or_else(|| offered.first());
                    let none = || {
                        failure(Class::Invalid, addon, format!("EKS has no add-on {addon} for Kubernetes {}", hop.to))
                    };
                    default.ok_or_else(none)?.version.clone()
                }
            };
            if next != at {
                hop.addons.insert(addon.clone(), next.clone());
                at = next;
            }
        }
    }
    Ok(())
}

/// What the insights say of each hop: an error of the first one stops the plan, those of later ones are asked again in time.
async fn look_ahead(context: &Context, cluster: &str, hops: &[Hop]) -> Outcome<Vec<(Path, Diagnostic)>> {
    let at = || Path::default().key("parameter");
    let mut out = Vec::new();
    for (n, hop) in hops.iter().enumerate() {
        let to = &hop.to;
        let Some(found) = insights(context, cluster, InsightCategory::Upgrade, to).await? else {
            let note =
                Diagnostic::warning("upgrade_insights", format!("the upgrade of {cluster} is not checked by insights"))
                    .because("this endpoint has no cluster insights")
                    .hint("look for removed APIs yourself before you apply");
            return Ok(vec![(at(), note)]);
        };
        for insight in found {
            let said = line(&insight);
            let remark = match (insight.status.as_str(), n) {
                ("ERROR", 0) => {
                    Diagnostic::error("upgrade_insight", format!("{cluster} is not ready for Kubernetes {to}"))
                        .because(said)
                }
                ("ERROR", _) => {
                    Diagnostic::warning("upgrade_insight", format!("{cluster} is not ready for Kubernetes {to} yet"))
                        .because(format!("{said}; it is asked again before that hop, and stops there if it stays so"))
                }
                _ => Diagnostic::warning("upgrade_insight", format!("an insight about {cluster} at Kubernetes {to}"))
                    .because(said),
            };
            let remark = if insight.recommendation.is_empty() { remark } else { remark.hint(insight.recommendation) };
            out.push((at(), remark));
        }
    }
    Ok(out)
}

/// Refuses a way back that EKS would not go.
pub(super) async fn can_go_back(context: &Context, cluster: &str, from: &str, to: &str) -> Outcome<()> {
    let not = |why: String| {
        Err(failure(Class::Invalid, cluster, format!("not reversible: {why}"))
            .hint(format!("keep Kubernetes {from}; what {to} had is to be mended there")))
    };
    match window(context, cluster, from).await? {
        Window::Until(_) | Window::Untold => Ok(()),
        Window::Over(until) => not(format!("Kubernetes {from} could be taken back within 7 days, until {until}")),
        Window::Never => {
            not(format!("the cluster was created at Kubernetes {from}, or is there for longer than EKS tells"))
        }
    }
}
