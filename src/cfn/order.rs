//! The order in which resources can be made: layers of a dependency graph, and its cycles.

use crate::cfn::Template;
use std::collections::{BTreeMap, BTreeSet};

/// What each name needs. Names that nobody declares are left out by the caller.
pub(super) type Needs = BTreeMap<String, BTreeSet<String>>;

/// Layers, each sorted by name; a layer needs only earlier ones. What lies on or behind a cycle forms one last layer.
pub(super) fn layers(needs: &Needs) -> Vec<Vec<String>> {
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, of) in needs {
        open.insert(name, of.iter().filter(|n| needs.contains_key(*n)).count());
        for need in of {
            users.entry(need).or_default().push(name);
        }
    }
    let mut layers = Vec::new();
    let mut ready: BTreeSet<&str> = open.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
    while !ready.is_empty() {
        let mut next = BTreeSet::new();
        for name in &ready {
            open.remove(name);
            for user in users.get(name).into_iter().flatten() {
                if let Some(count) = open.get_mut(user) {
                    *count -= 1;
                    if *count == 0 {
                        next.insert(*user);
                    }
                }
            }
        }
        layers.push(ready.into_iter().map(str::to_owned).collect());
        ready = next;
    }
    if !open.is_empty() {
        layers.push(open.into_keys().map(str::to_owned).collect());
    }
    layers
}

/// One cycle for each knot in the graph, from its first name on, such as `[A, B]` where A needs B and B needs A.
pub(super) fn cycles(needs: &Needs) -> Vec<Vec<String>> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for start in needs.keys() {
        if done.contains(start.as_str()) {
            continue;
        }
        // An explicit stack, so that a long chain cannot overflow the real one.
        let mut trail: Vec<(&str, Vec<&str>)> = vec![(start, successors(needs, start))];
        let mut on_trail: BTreeSet<&str> = BTreeSet::from([start.as_str()]);
        while let Some((name, rest)) = trail.last_mut() {
            let Some(next) = rest.pop() else {
                done.insert(name);
                on_trail.remove(*name);
                trail.pop();
                continue;
            };
            if on_trail.contains(next) {
                let from = trail.iter().position(|(n, _)| *n == next).unwrap_or(0);
                found.push(trail[from..].iter().map(|(n, _)| (*n).to_owned()).collect::<Vec<_>>());
            } else if !done.contains(next) {
                on_trail.insert(next);
                trail.push((next, successors(needs, next)));
            }
        }
    }
    for cycle in &mut found {
        let first = cycle.iter().enumerate().min_by_key(|(_, n)| n.as_str()).map_or(0, |(at, _)| at);
        cycle.rotate_left(first);
    }
    found.sort();
    found.dedup();
    found
}

fn successors<'a>(needs: &'a Needs, name: &str) -> Vec<&'a str> {
    let mut of: Vec<&str> =
        needs.get(name).into_iter().flatten().filter(|n| needs.contains_key(*n)).map(String::as_str).collect();
    of.reverse();
    of
}

impl Template {
    /// Logical ids in layers, over all resources whatever their conditions: each layer depends only on earlier ones.
    /// The same template gives the same layers. What lies on a cycle (a diagnostic of its own) comes last.
    pub fn order(&self) -> Vec<Vec<String>> {
        layers(&self.dependencies())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &[(&str, &[&str])]) -> Needs {
        text.iter().map(|(n, of)| ((*n).to_owned(), of.iter().map(|o| (*o).to_owned()).collect())).collect()
    }

    #[test]
    fn layers_come_in_order_of_need_and_sorted_within() {
        let graph = needs(&[("c", &["a"]), ("a", &[]), ("b", &[]), ("d", &["b", "c"])]);
        assert_eq!(layers(&graph), [vec!["a", "b"], vec!["c"], vec!["d"]]);
    }

    #[test]
    fn a_cycle_is_found_whole_and_comes_last() {
        let graph = needs(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &[]), ("e", &["c"])]);
        assert_eq!(cycles(&graph), [vec!["a", "b", "c"]]);
        assert_eq!(layers(&graph), [vec!["d"], vec!["a", "b", "c", "e"]]);
    }

    #[test]
    fn what_needs_itself_is_a_cycle_of_one() {
        assert_eq!(cycles(&needs(&[("a", &["a"])])), [vec!["a"]]);
    }

    #[test]
    fn a_very_long_chain_does_not_overflow() {
        let graph: Needs =
            (0..50_000).map(|n| (format!("n{n:05}"), BTreeSet::from([format!("n{:05}", n + 1)]))).collect();
        assert!(cycles(&graph).is_empty());
        assert_eq!(layers(&graph).len(), 50_000);
    }
}
