//! The clusters of a stack's template and their Kubernetes versions.

use crate::{
    base::Value,
    cfn::Node,
    kinds::{
        Desired, Observed,
        stack::{
            change::resolve,
            desired::{TEMPLATE, template_of},
        },
    },
    world::{Class, Failure},
};
use std::{collections::BTreeMap, sync::Arc};

/// Clusters by logical id: name and version, as far as they are known.
fn clusters(
    documents: &BTreeMap<String, Arc<str>>,
    inputs: &Value,
    observed: Option<&Observed>,
) -> BTreeMap<String, (Option<String>, Option<String>)> {
    // Parsing a template only to find no cluster in it would cost every plan of many stacks.
    if !documents.get(TEMPLATE).is_some_and(|text| text.contains("AWS::EKS::Cluster")) {
        return BTreeMap::new();
    }
    let Some(template) = template_of(documents, inputs) else { return BTreeMap::new() };
    let resolved = resolve(&template, inputs, observed);
    let clusters = resolved.resources.iter().filter(|(_, r)| r.resource_type == "AWS::EKS::Cluster");
    let text = |node: Option<&Node>| node.filter(|n| n.is_known()).and_then(Node::scalar);
    clusters.map(|(id, r)| (id.clone(), (text(r.properties.get("Name")), text(r.properties.get("Version"))))).collect()
}

/// Clusters by name with the versions that are wanted.
pub(super) fn wanted(desired: &Desired) -> Vec<(String, String)> {
    let found = clusters(&desired.documents, &desired.inputs, None).into_values();
    found.filter_map(|(name, version)| name.zip(version)).collect()
}

fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}

/// The refusal of an update that would move a control plane by more than one minor, which EKS does not do.
pub(super) fn refuse_jump(desired: &Desired, observed: Option<&Observed>) -> Option<Failure> {
    let live = observed?;
    let before = clusters(&live.documents, &live.inputs, observed);
    if before.is_empty() {
        return None;
    }
    let after = clusters(&desired.documents, &desired.inputs, observed);
    after.into_iter().find_map(|(id, (_, to))| {
        let from = before.get(&id)?.1.clone()?;
        let to = to?;
        let (low, high) = (minor(&from)?, minor(&to)?);
        let name = live.identity["name"].as_str().unwrap_or_default();
        (low.abs_diff(high) > 1).then(|| {
            Failure::new(
                Class::Invalid,
                "cloudformation:CreateChangeSet",
                name,
                format!("{id} would move from Kubernetes {from} to {to}, and EKS moves a control plane by one minor"),
            )
            .hint("declare an `eks_upgrade` with this stack and its parameter, which makes the hops between them")
        })
    })
}
