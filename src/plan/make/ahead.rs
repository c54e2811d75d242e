//! Clusters whose Kubernetes version this plan moves, and which declarations have their turn after that.

use crate::{
    base::Address,
    kinds::Ahead,
    lang::Declaration,
    plan::{instance::Instance, make::Maker, upgrade},
};
use std::collections::{BTreeMap, BTreeSet};

impl Maker<'_> {
    /// Takes note of the clusters that an instance makes or moves.
    pub(super) fn note_clusters(&mut self, instance: &Instance) {
        let clusters = instance.kind.clusters(&instance.desired);
        if clusters.is_empty() {
            return;
        }
        let configuration = self.subject.configuration.clone();
        let upgrade = upgrade::upgrade_of(&configuration, &mut self.evaluator, &instance.address);
        let by = upgrade.unwrap_or_else(|| instance.address.clone());
        for (name, version) in clusters {
            self.clusters.insert(name, Ahead { version, by: by.clone(), later: false });
        }
    }

    /// The clusters that an add-on's turn finds moved, or that its own version is moved with after that.
    pub(super) fn clusters_ahead(&mut self, address: &Address) -> BTreeMap<String, Ahead> {
        if address.kind() != "eks_addon" || self.clusters.is_empty() {
            return BTreeMap::new();
        }
        let configuration = self.subject.configuration.clone();
        let listed = upgrade::upgrade_of(&configuration, &mut self.evaluator, address);
        let upstream = self.upstream(&Declaration::from(address));
        let mut out = BTreeMap::new();
        for (name, ahead) in &self.clusters {
            let later = listed.as_ref() == Some(&ahead.by);
            if later || upstream.contains(&Declaration::from(&ahead.by)) {
                out.insert(name.clone(), Ahead { later, ..ahead.clone() });
            }
        }
        out
    }

    fn upstream(&self, declaration: &Declaration) -> BTreeSet<Declaration> {
        let mut seen = BTreeSet::new();
        let mut todo = self.subject.graph.prerequisites(declaration);
        while let Some(one) = todo.pop() {
            if seen.insert(one.clone()) {
                todo.extend(self.subject.graph.prerequisites(&one));
            }
        }
        seen
    }
}
