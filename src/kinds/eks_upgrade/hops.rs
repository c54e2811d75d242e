//! The hops between two Kubernetes versions: pure, and part of what is approved.

use std::collections::{BTreeMap, BTreeSet};

/// By how many minors a kubelet may trail the control plane, from 1.28 on. Source: "Version skew policy" of Kubernetes.
pub(super) const SKEW: u32 = 3;

/// One move of the control plane by one minor, and what moves with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Hop {
    /// The version before.
    pub(super) from: String,
    /// The version after.
    pub(super) to: String,
    /// Versions of add-ons after it: those that are moved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) addons: BTreeMap<String, String>,
    /// Node groups that are moved to `from` before it, since they would trail too far.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) nodes_before: BTreeSet<String>,
    /// Node groups that the stack moves with its parameter.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) nodes_with_stack: BTreeSet<String>,
    /// Node groups that are moved to `to` after it: at the end.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) nodes_after: BTreeSet<String>,
}

/// The minor of `1.34`.
pub(super) fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// `1.34` of a minor.
pub(super) fn version(minor: u32) -> String {
    format!("1.{minor}")
}

/// The versions on the way, one minor after the other, the last one included; downwards too. Empty where nothing moves.
pub(super) fn way(from: &str, to: &str) -> Vec<(String, String)> {
    let (Some(low), Some(high)) = (minor(from), minor(to)) else { return Vec::new() };
    if low <= high {
        (low..high).map(|m| (version(m), version(m + 1))).collect()
    } else {
        (high..low).rev().map(|m| (version(m + 1), version(m))).collect()
    }
}

/// What has to be known to say which node groups move when.
pub(super) struct Nodes<'a> {
    /// Versions by name.
    pub(super) groups: &'a BTreeMap<String, String>,
    /// Those that the stack moves with its parameter.
    pub(super) with_stack: &'a BTreeSet<String>,
}

/// Puts the moves of node groups into the hops: with the stack where its template says so, else before a hop that they would
/// trail too far behind, and at the end.
pub(super) fn place_nodes(hops: &mut [Hop], nodes: &Nodes<'_>) {
    let last = hops.len().saturating_sub(1);
    for (name, at) in nodes.groups {
        let mut at = minor(at).unwrap_or_default();
        for (n, hop) in hops.iter_mut().enumerate() {
            let to = minor(&hop.to).unwrap_or_default();
            if nodes.with_stack.contains(name) {
                hop.nodes_with_stack.insert(name.clone());
                continue;
            }
            if at + SKEW < to {
                hop.nodes_before.insert(name.clone());
                at = to.saturating_sub(1);
            }
            if n == last && at < to {
                hop.nodes_after.insert(name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_way_is_made_of_single_minors_in_both_directions() {
        let pairs = |from, to| way(from, to).into_iter().map(|(a, b)| format!("{a}>{b}")).collect::<Vec<_>>();
        assert_eq!(pairs("1.32", "1.34"), ["1.32>1.33", "1.33>1.34"]);
        assert_eq!(pairs("1.34", "1.32"), ["1.34>1.33", "1.33>1.32"]);
        assert!(pairs("1.34", "1.34").is_empty() && pairs("", "1.34").is_empty());
    }

    fn placed(from: u32, to: u32, at: u32, with_stack: bool) -> Vec<Hop> {
        let mut hops: Vec<Hop> = way(&version(from), &version(to))
            .into_iter()
            .map(|(from, to)| Hop { from, to, ..Hop::default() })
            .collect();
        let groups = [("ng".to_owned(), version(at))].into();
        let with: BTreeSet<String> = with_stack.then(|| "ng".to_owned()).into_iter().collect();
        place_nodes(&mut hops, &Nodes { groups: &groups, with_stack: &with });
        hops
    }

    #[test]
    fn nodes_move_at_the_end_and_earlier_only_where_they_would_trail_too_far() {
        let hops = placed(32, 34, 32, false);
        assert!(hops[0].nodes_before.is_empty() && hops[0].nodes_after.is_empty());
        assert!(hops[1].nodes_after.contains("ng"));
        let hops = placed(32, 34, 30, false);
        assert!(hops[1].nodes_before.contains("ng") && hops[1].nodes_after.contains("ng"));
        let hops = placed(32, 34, 32, true);
        assert!(hops.iter().all(|h| h.nodes_with_stack.contains("ng") && h.nodes_after.is_empty()));
    }

    proptest! {
        #[test]
        fn nodes_never_trail_by_more_than_three_and_never_lead(from in 28u32..36, hops in 1u32..6, behind in 0u32..4) {
            let mut at = from - behind;
            let route = placed(from, from + hops, at, false);
            for hop in &route {
                let (before, to) = (minor(&hop.from).unwrap(), minor(&hop.to).unwrap());
                if hop.nodes_before.contains("ng") {
                    at = before;
                }
                prop_assert!(at <= before && at + SKEW >= to, "{hop:?}");
                if hop.nodes_after.contains("ng") {
                    at = to;
                }
            }
            prop_assert_eq!(at, from + hops);
        }
    }
}
