//! `--target`: the declarations named and what they stand on, by edges and not by whole earlier phases (rule 16). A module that is named
//! is meant with everything in it.

use crate::{
    base::{Address, Key},
    graph::{Graph, Id, Node},
    lang::Declaration,
};
use std::{collections::BTreeSet, sync::Arc};

/// Which nodes and which of their instances are meant.
#[derive(Debug, Clone)]
pub struct Targets {
    nodes: BTreeSet<Id>,
    /// Instances, where a target names a key; a declaration that is not here is meant with all its instances.
    keyed: Vec<Address>,
}

impl Targets {
    /// From the addresses given.
    ///
    /// # Errors
    /// Addresses that no declaration and no module has.
    pub fn new(graph: &Graph, addresses: &[Address]) -> Result<Self, Vec<Address>> {
        let mut unknown = Vec::new();
        let mut todo = Vec::new();
        let mut keyed = Vec::new();
        let mut whole = BTreeSet::new();
        for address in addresses {
            let named = named(graph, address);
            if named.is_empty() {
                unknown.push(address.clone());
            } else if address.key().is_some() || address.module().iter().any(|s| s.key.is_some()) {
                keyed.push(address.clone());
            } else {
                whole.extend(named.iter().copied());
            }
            todo.extend(named);
        }
        if !unknown.is_empty() {
            return Err(unknown);
        }
        keyed.retain(|address| !named(graph, address).iter().all(|id| whole.contains(id)));
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
        let mut named = self.keyed.iter().filter(|target| names(target, address)).peekable();
        named.peek().is_none() || named.any(|target| covers(target, address))
    }

    /// True where single instances in a module are meant, and not all of it.
    #[must_use]
    pub fn names_some_in(&self, module: &[Arc<str>]) -> bool {
        self.keyed.iter().any(|target| Declaration::from(target).path.starts_with(module))
    }
}

/// Whether a target names what an address is an instance of, or a module that it is in.
#[must_use]
pub fn names(target: &Address, address: &Address) -> bool {
    let (target, address) = (Declaration::from(target), Declaration::from(address));
    target == address || target.is_call() && address.path.starts_with(&inside(&target))
}

/// Whether a target means just this: its keys, and its colour where it has one, are those of the address.
#[must_use]
pub fn means(target: &Address, address: &Address) -> bool {
    let colored = target.unit().is_none_or(|unit| address.unit() == Some(unit));
    names(target, address) && covers(target, address) && colored
}

/// The nodes that a target names.
fn named(graph: &Graph, target: &Address) -> Vec<Id> {
    let declaration = Declaration::from(target);
    let Some(own) = graph.declaration(&declaration) else { return Vec::new() };
    if !declaration.is_call() {
        return vec![own];
    }
    let inside = inside(&declaration);
    let all = graph.inner.node_indices();
    let in_it = all.filter(|id| graph.inner[*id].declaration().is_some_and(|d| d.path.starts_with(&inside)));
    in_it.chain([own]).collect()
}

/// The path of what is in a called module.
fn inside(call: &Declaration) -> Vec<Arc<str>> {
    call.path.iter().chain([&call.name]).cloned().collect()
}

/// Whether a target, keys left out meaning all, covers an instance.
fn covers(target: &Address, instance: &Address) -> bool {
    let key = |(target, instance): (Option<&Key>, Option<&Key>)| target.is_none() || target == instance;
    keys(target).into_iter().zip(keys(instance)).all(key)
}

/// The keys on the way to a thing, its own as the last one.
fn keys(address: &Address) -> Vec<Option<&Key>> {
    address.module().iter().map(|step| step.key.as_ref()).chain([address.key()]).collect()
}
