//! Going backwards: what uses a thing has its turn before the thing itself. Used to destroy and to undo.

use crate::{base::Address, plan::removal, state::Snapshot};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Where going backwards stands. With `phases` given, a phase is wholly done before an earlier one begins.
pub(super) struct Unwind {
    /// Users that are not done yet.
    waiting: BTreeMap<Address, usize>,
    /// What each one stands on.
    uses: BTreeMap<Address, Vec<Address>>,
    /// By phase, the latest last.
    phases: Vec<BTreeSet<Address>>,
    ready: BTreeSet<Address>,
    failed: BTreeMap<Address, Address>,
    left_in_phase: usize,
}

impl Unwind {
    pub(super) fn new(state: &Snapshot, which: &BTreeSet<Address>, phases: &[Arc<str>]) -> Self {
        let rank: BTreeMap<&str, usize> = phases.iter().enumerate().map(|(at, p)| (&**p, at)).collect();
        let mut groups = vec![BTreeSet::new(); phases.len() + 1];
        for address in which {
            let phase = state.resources.get(address).map_or("", |r| &*r.phase);
            // A phase that is no longer declared is taken to be the latest.
            groups[rank.get(phase).copied().unwrap_or(phases.len())].insert(address.clone());
        }
        let mut waiting: BTreeMap<Address, usize> = which.iter().map(|a| (a.clone(), 0)).collect();
        let mut uses: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
        for (user, used) in removal::dependencies(state, which) {
            for address in used {
                if let Some(count) = waiting.get_mut(address) {
                    *count += 1;
                }
                uses.entry(user.clone()).or_default().push(address.clone());
            }
        }
        let mut unwind =
            Self { waiting, uses, phases: groups, ready: BTreeSet::new(), failed: BTreeMap::new(), left_in_phase: 0 };
        unwind.next_phase();
        unwind
    }

    /// Opens the next phase backwards when the one before is done.
    fn next_phase(&mut self) {
        while self.left_in_phase == 0
            && let Some(group) = self.phases.pop()
        {
            self.left_in_phase = group.len();
            let ready = group.into_iter().filter(|a| self.waiting.get(a).copied().unwrap_or(0) == 0);
            let ready: Vec<Address> = ready.collect();
            self.ready.extend(ready);
            // Whatever else is in the group becomes ready as its users are done; a user in an earlier phase cannot be.
        }
    }

    pub(super) fn take(&mut self) -> Option<Address> {
        self.ready.pop_first()
    }

    pub(super) fn done(&mut self, address: &Address) {
        self.left_in_phase = self.left_in_phase.saturating_sub(1);
        for used in self.uses.get(address).cloned().unwrap_or_default() {
            let Some(count) = self.waiting.get_mut(&used) else { continue };
            *count = count.saturating_sub(1);
            let opened = !self.phases.iter().any(|group| group.contains(&used));
            if *count == 0 && opened {
                self.ready.insert(used);
            }
        }
        self.next_phase();
    }

    /// What stands on nothing that could be taken away stays: everything that `address` uses, directly or not, is skipped.
    pub(super) fn failed(&mut self, address: &Address, because: &Address) {
        self.failed.insert(address.clone(), because.clone());
    }

    /// What was never reached, with the first cause where one is known.
    pub(super) fn skipped(&self, done: &BTreeSet<Address>) -> Vec<(Address, Option<Address>)> {
        let cause = self.failed.values().next().cloned();
        self.waiting
            .keys()
            .filter(|a| !done.contains(*a) && !self.failed.contains_key(*a))
            .map(|a| (a.clone(), cause.clone()))
            .collect()
    }
}
