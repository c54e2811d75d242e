//! `--target`: the declarations named and what they stand on, by edges and not by whole earlier phases (rule 16).

use crate::{
    base::Address,
    graph::{Graph, Id, Node},
    lang::Declaration,
};
use std::collections::BTreeSet;

/// Which nodes and which of their instances are meant.
#[derive(Debug, Clone)]
pub struct Targets {
    nodes: BTreeSet<Id>,
    /// Instances, where a target names a key; a declaration that is not here is meant with all its instances.
    keyed: Vec<Address>,
}

impl Targets {
    /// From the addresses given. A module's address is written as one of its resources' prefix and not taken here.
    ///
    /// # Errors
    /// Addresses that no declaration has.
    pub fn new(graph: &Graph, addresses: &[Address]) -> Result<Self, Vec<Address>> {
        let mut unknown = Vec::new();
        let mut todo = Vec::new();
        let mut keyed = Vec::new();
        for address in addresses {
            match graph.declaration(&Declaration::from(address)).filter(|_| !address.is_call()) {
                Some(id) => {
                    todo.push(id);
                    if address.key().is_some() || address.module().iter().any(|s| s.key.is_some()) {
                        keyed.push(address.clone());
                    }
                }
                None => unknown.push(address.clone()),
            }
        }
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let whole: BTreeSet<Id> = addresses
            .iter()
            .filter(|a| !keyed.contains(a))
            .filter_map(|a| graph.declaration(&Declaration::from(a)))
            .collect();
        keyed.retain(|a| graph.declaration(&Declaration::from(a)).is_none_or(|id| !whole.contains(&id)));
        let mut nodes = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if !nodes.insert(id) {
                continue;
            }
            for before in graph.inner.neighbors_directed(id, petgraph::Incoming) {
                if !matches!(graph.inner[before], Node::PhaseStart(_) | Node::PhaseApplied(_) | Node::PhaseEnd(_)) {
                    todo.push(before);
                }
            }
        }
        Ok(Self { nodes, keyed })
    }

    /// True where a node is meant or stood on.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        self.nodes.contains(&id)
    }

    /// True where this instance of a node that is meant is itself meant.
    #[must_use]
    pub fn has_instance(&self, address: &Address) -> bool {
        let mut named = self.keyed.iter().filter(|a| Declaration::from(*a) == Declaration::from(address)).peekable();
        named.peek().is_none() || named.any(|a| covers(a, address))
    }
}

/// Whether a target, keys left out meaning all, covers an instance.
fn covers(target: &Address, instance: &Address) -> bool {
    let key = |t: Option<&std::sync::Arc<str>>, i: Option<&std::sync::Arc<str>>| t.is_none() || t == i;
    key(target.key(), instance.key())
        && target.module().iter().zip(instance.module()).all(|(t, i)| key(t.key.as_ref(), i.key.as_ref()))
}
