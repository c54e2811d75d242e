//! Going backwards: what uses a thing has its turn before the thing itself. Used to destroy and to undo.

use crate::{base::Address, plan::removal, state::Snapshot};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Where going backwards stands. With `phases` given, a phase is wholly done before an earlier one begins.
pub(super) struct Unwind {
    /// Users that are not done yet.
    waiting: HashMap<Address, usize>,
    /// What each one stands on.
    uses: HashMap<Address, Vec<Address>>,
    /// By phase, the latest last.
    phases: Vec<BTreeSet<Address>>,
    /// Where each one is among them.
    group: HashMap<Address, usize>,
    ready: BTreeSet<Address>,
    failed: BTreeSet<Address>,
    left_in_phase: usize,
}

impl Unwind {
    pub(super) fn new(state: &Snapshot, which: &BTreeSet<Address>, phases: &[Arc<str>]) -> Self {
        let rank: BTreeMap<&str, usize> = phases.iter().enumerate().map(|(at, p)| (&**p, at)).collect();
        let order = removal::order(state, phases, which);
        let place: HashMap<&Address, usize> = order.iter().enumerate().map(|(at, a)| (a, at)).collect();
        let mut unwind = Self {
            waiting: which.iter().map(|a| (a.clone(), 0)).collect(),
            uses: HashMap::new(),
            phases: vec![BTreeSet::new(); phases.len() + 1],
            group: HashMap::new(),
            ready: BTreeSet::new(),
            failed: BTreeSet::new(),
            left_in_phase: 0,
        };
        for (user, used) in removal::dependencies(state, which) {
            // A circle in what state remembers cannot come from a plan; it is cut so that each still has its turn.
            for address in used.into_iter().filter(|used| place.get(user) < place.get(*used)) {
                *unwind.waiting.entry(address.clone()).or_default() += 1;
                unwind.uses.entry(user.clone()).or_default().push(address.clone());
            }
        }
        for address in &order {
            let phase = state.resources.get(address).map_or("", |r| &*r.phase);
            // A phase that is no longer declared is taken to be the latest. What something in an earlier phase stands on
            // (its block was moved to another phase) has to wait for that.
            let own = rank.get(phase).copied().unwrap_or(phases.len());
            let group = unwind.group.get(address).copied().unwrap_or(own).min(own);
            unwind.group.insert(address.clone(), group);
            unwind.phases[group].insert(address.clone());
            for used in unwind.uses.get(address).cloned().unwrap_or_default() {
                let of_used = unwind.group.entry(used).or_insert(group);
                *of_used = (*of_used).min(group);
            }
        }
        unwind.next_phase();
        unwind
    }

    /// Opens the next phase backwards when the one before is done.
    fn next_phase(&mut self) {
        while self.left_in_phase == 0
            && let Some(group) = self.phases.pop()
        {
            self.left_in_phase = group.len();
            self.ready.extend(group.into_iter().filter(|a| self.waiting.get(a).is_none_or(|count| *count == 0)));
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
            let opened = self.group.get(&used).is_none_or(|group| *group >= self.phases.len());
            if *count == 0 && opened {
                self.ready.insert(used);
            }
        }
        self.next_phase();
    }

    /// What could not be taken away stays, and with it everything that it stands on, and the phases before.
    pub(super) fn failed(&mut self, address: &Address) {
        self.failed.insert(address.clone());
    }

    /// What an address stands on.
    pub(super) fn uses(&self, address: &Address) -> &[Address] {
        self.uses.get(address).map_or(&[], Vec::as_slice)
    }

    /// What was never reached, with the first cause where one is known: the thing in its way that failed, else any.
    pub(super) fn skipped(&self, done: &BTreeSet<Address>) -> Vec<(Address, Option<Address>)> {
        let mut causes: HashMap<&Address, &Address> = HashMap::new();
        for failed in &self.failed {
            let mut todo = vec![failed];
            while let Some(address) = todo.pop() {
                for used in self.uses(address) {
                    if causes.insert(used, failed).is_none() {
                        todo.push(used);
                    }
                }
            }
        }
        let first = self.failed.first();
        let left: BTreeSet<&Address> =
            self.waiting.keys().filter(|a| !done.contains(*a) && !self.failed.contains(*a)).collect();
        left.into_iter().map(|a| (a.clone(), causes.get(a).copied().or(first).cloned())).collect()
    }
}
