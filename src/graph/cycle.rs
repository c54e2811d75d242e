//! Cycles, shown whole with the place of each step.

use crate::{
    base::Diagnostic,
    graph::{Graph, Id},
};
use std::collections::{BTreeMap, VecDeque};

/// One diagnostic for each knot of nodes that wait for each other, showing a shortest cycle in it.
pub(super) fn cycles(graph: &Graph) -> Vec<Diagnostic> {
    petgraph::algo::tarjan_scc(&graph.inner)
        .into_iter()
        .filter(|knot| knot.len() > 1 || knot.iter().any(|n| graph.inner.contains_edge(*n, *n)))
        .map(|knot| describe(graph, &shortest(graph, &knot)))
        .collect()
}

/// A shortest way from a node of the knot back to it.
fn shortest(graph: &Graph, knot: &[Id]) -> Vec<Id> {
    let Some(start) = knot.iter().copied().min_by_key(|id| &graph.inner[*id]) else { return Vec::new() };
    let mut from: BTreeMap<Id, Id> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for next in graph.inner.neighbors(at).filter(|n| knot.contains(n)) {
            if next == start {
                let mut way = vec![at];
                while let Some(before) = from.get(way.last().unwrap_or(&start)) {
                    way.push(*before);
                }
                way.reverse();
                return way;
            }
            if next != start && !from.contains_key(&next) {
                from.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}

fn describe(graph: &Graph, way: &[Id]) -> Diagnostic {
    let name = |id: Id| graph.inner[id].to_string();
    // An edge goes from what comes first; "needs" reads the other way round.
    let mut steps: Vec<(Id, Id)> = way.windows(2).map(|w| (w[0], w[1])).collect();
    if let (Some(first), Some(last)) = (way.first(), way.last()) {
        steps.push((*last, *first));
    }
    steps.reverse();
    let mut diagnostic = Diagnostic::error("dependency_cycle", "these wait for each other");
    let mut chain: Vec<String> = Vec::new();
    for (before, after) in &steps {
        if chain.is_empty() {
            chain.push(name(*after));
        }
        chain.push(name(*before));
        let span = graph.inner.edges_connecting(*before, *after).find_map(|e| e.weight().span().cloned());
        if let Some(span) = span {
            diagnostic = diagnostic.at(&span, format!("{} needs {}", name(*after), name(*before)));
        }
    }
    diagnostic
        .because(format!("{}, so none of them can be first", chain.join(" needs ")))
        .hint("take one of these references away, or split one of the things in two")
}
