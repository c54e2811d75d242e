//! Walking a graph as its nodes are done: what the plan and the executor have in common. A plain state machine.

use crate::graph::{Graph, Id};
use std::collections::BTreeSet;

/// Where a walk stands. Each node is handed out once, when everything before it is done.
#[derive(Debug, Clone)]
pub struct Walk {
    waiting: Vec<usize>,
    ready: BTreeSet<(std::cmp::Reverse<u64>, Id)>,
    weight: Vec<u64>,
    left: usize,
}

impl Walk {
    /// A walk over the nodes that `keep` accepts; edges through others still hold. `cost` tells what a node is expected to
    /// take: among ready nodes the one with the longest way to the end comes first.
    #[must_use]
    pub fn new(graph: &Graph, keep: &dyn Fn(Id) -> bool, cost: &dyn Fn(Id) -> u64) -> Self {
        let count = graph.inner.node_count();
        let mut weight = vec![0u64; count];
        for id in graph.order().into_iter().rev() {
            let after = graph.inner.neighbors(id).map(|n| weight[n.index()]).max().unwrap_or(0);
            weight[id.index()] = after + if keep(id) { cost(id) } else { 0 };
        }
        let mut walk = Self {
            waiting: graph
                .inner
                .node_indices()
                .map(|n| graph.inner.neighbors_directed(n, petgraph::Incoming).count())
                .collect(),
            ready: BTreeSet::new(),
            weight,
            left: count,
        };
        for id in graph.inner.node_indices() {
            if walk.waiting[id.index()] == 0 {
                walk.push(id);
            }
        }
        walk
    }

    fn push(&mut self, id: Id) {
        self.ready.insert((std::cmp::Reverse(self.weight[id.index()]), id));
    }

    /// The next node that may start, the one with the longest way to the end first.
    pub fn take(&mut self) -> Option<Id> {
        self.ready.pop_first().map(|(_, id)| id)
    }

    /// A node is done: what waited only for it becomes ready.
    pub fn done(&mut self, graph: &Graph, id: Id) {
        self.left = self.left.saturating_sub(1);
        for next in graph.inner.neighbors(id) {
            let waiting = &mut self.waiting[next.index()];
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                self.push(next);
            }
        }
    }

    /// True when every node is done.
    #[must_use]
    pub const fn finished(&self) -> bool {
        self.left == 0
    }

    /// How far a node is from the end, by cost.
    #[must_use]
    pub fn weight(&self, id: Id) -> u64 {
        self.weight[id.index()]
    }
}
