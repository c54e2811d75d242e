//! What manifests need of their cluster, types and namespaces, that is not there: brought by something else in the plan, or an error. Judged
//! when all is planned, since what brings it may come later in the walk.

use crate::plan::make::Maker;
use crate::{
    base::{ActionWord, Address, Diagnostic, Span},
    kinds::Preview,
    lang::Declaration,
    world::ClusterConnection,
};
use std::collections::BTreeSet;

/// Kinds that make objects and do not tell which before they did.
const OPAQUE: [&str; 5] = ["helm", "eks_addon", "terraform", "command", "stack"];

/// What is needed of clusters, and what is brought to them.
#[derive(Default)]
pub(super) struct Needs {
    open: Vec<Open>,
    brought: BTreeSet<(Option<ClusterConnection>, String)>,
}

/// What one manifest needs.
struct Open {
    address: Address,
    span: Span,
    cluster: Option<ClusterConnection>,
    needs: BTreeSet<String>,
}

impl Needs {
    pub(super) fn note(
        &mut self,
        address: &Address,
        span: &Span,
        cluster: Option<&ClusterConnection>,
        preview: Option<&Preview>,
    ) {
        let Some(preview) = preview else { return };
        self.brought.extend(preview.brings.iter().map(|what| (cluster.cloned(), what.clone())));
        if !preview.needs.is_empty() {
            let (address, span, cluster) = (address.clone(), span.clone(), cluster.cloned());
            self.open.push(Open { address, span, cluster, needs: preview.needs.clone() });
        }
    }
}

impl Maker<'_> {
    /// Tells what nothing would bring.
    pub(super) fn unmet_needs(&mut self) {
        let Needs { open, brought } = std::mem::take(&mut self.needs);
        if open.is_empty() || self.may_bring_anything() {
            return;
        }
        for Open { address, span, cluster, mut needs } in open {
            needs.retain(|what| !brought.contains(&(cluster.clone(), what.clone())));
            if needs.is_empty() || self.pending_upstream(&address).is_some() {
                continue;
            }
            let (namespaces, types): (Vec<&str>, Vec<&str>) =
                needs.iter().map(String::as_str).partition(|what| what.starts_with("Namespace "));
            if !types.is_empty() {
                let what = format!("{address}: the cluster has no {}", types.join(", "));
                self.problems.push(
                    Diagnostic::error("unknown_type", what)
                        .at(&span, "declared here")
                        .because("neither this manifest nor anything else that is planned defines it")
                        .hint(
                            "check apiVersion and kind; a definition that comes from elsewhere has to be there first",
                        ),
                );
            }
            if !namespaces.is_empty() {
                let names: Vec<&str> = namespaces.iter().filter_map(|n| n.strip_prefix("Namespace ")).collect();
                let what = format!("{address}: the cluster has no namespace {}", names.join(", "));
                self.problems.push(
                    Diagnostic::error("unknown_namespace", what)
                        .at(&span, "declared here")
                        .because("neither this manifest nor anything else that is planned makes it")
                        .hint("check the name, or declare the Namespace in a manifest"),
                );
            }
        }
    }

    /// True where something is still to be made of which nobody knows what it brings: a chart, a manifest that waits for something.
    fn may_bring_anything(&self) -> bool {
        let opaque = |declaration: &Declaration| OPAQUE.contains(&&*declaration.kind);
        self.pending.keys().chain(&self.patterns).any(opaque)
            || self.patterns.iter().any(|declaration| &*declaration.kind == "manifest")
            || self.nodes.iter().any(|n| n.action == ActionWord::Defer && n.address.kind() == "manifest")
    }
}
