//! What manifests need of their cluster, types and namespaces, that is not there: brought by something else in the plan, or an error. Judged
//! when all is planned, since what brings it may come later in the walk.

use crate::plan::make::Maker;
use crate::{
    base::{ActionWord, Address, Diagnostic, Span},
    kinds::{Preview, WrittenAt},
    lang::Declaration,
    world::ClusterConnection,
};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds that make objects and do not tell which before they did.
const OPAQUE: [&str; 5] = ["helm", "eks_addon", "terraform", "command", "stack"];

/// How many places one problem shows.
const TOLD: usize = 5;

/// What is needed of clusters, and what is brought to them.
#[derive(Default)]
pub(super) struct Needs {
    open: Vec<Open>,
    brought: BTreeSet<(Option<ClusterConnection>, String)>,
}

/// What one manifest needs.
struct Open {
    address: Address,
    cluster: Option<ClusterConnection>,
    needs: BTreeMap<String, Span>,
}

impl Needs {
    pub(super) fn note(
        &mut self,
        address: &Address,
        span: &Span,
        cluster: Option<&ClusterConnection>,
        preview: Option<&Preview>,
        place: &dyn Fn(&WrittenAt) -> Option<Span>,
    ) {
        let Some(preview) = preview else { return };
        self.brought.extend(preview.brings.iter().map(|what| (cluster.cloned(), what.clone())));
        if !preview.needs.is_empty() {
            let at = |written: &WrittenAt| place(written).unwrap_or_else(|| span.clone());
            let needs = preview.needs.iter().map(|(what, written)| (what.clone(), at(written))).collect();
            self.open.push(Open { address: address.clone(), cluster: cluster.cloned(), needs });
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
        for Open { address, cluster, mut needs } in open {
            needs.retain(|what, _| !brought.contains(&(cluster.clone(), what.clone())));
            if needs.is_empty() || self.pending_upstream(&address).is_some() {
                continue;
            }
            let (namespaces, types): (Vec<_>, Vec<_>) =
                needs.iter().partition(|(what, _)| what.starts_with("Namespace "));
            if !types.is_empty() {
                let names: Vec<&str> = types.iter().map(|(what, _)| what.as_str()).collect();
                let what = format!("{address}: the cluster has no {}", names.join(", "));
                let problem = Diagnostic::error("unknown_type", what)
                    .because("neither this manifest nor anything else that is planned defines it")
                    .hint("check apiVersion and kind; a definition that comes from elsewhere has to be there first");
                self.problems.push(placed(problem, &types));
            }
            if !namespaces.is_empty() {
                let names: Vec<&str> =
                    namespaces.iter().filter_map(|(what, _)| what.strip_prefix("Namespace ")).collect();
                let what = format!("{address}: the cluster has no namespace {}", names.join(", "));
                let problem = Diagnostic::error("unknown_namespace", what)
                    .because("neither this manifest nor anything else that is planned makes it")
                    .hint("check the name, or declare the Namespace in a manifest");
                self.problems.push(placed(problem, &namespaces));
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

/// A problem at the first place where each of these is needed.
fn placed(problem: Diagnostic, needed: &[(&String, &Span)]) -> Diagnostic {
    let mut spans: Vec<&Span> = Vec::new();
    for (_, span) in needed {
        if !spans.contains(span) {
            spans.push(span);
        }
    }
    spans.into_iter().take(TOLD).fold(problem, |problem, span| problem.at(span, "needed here"))
}
