//! What is no longer declared, or everything: destroyed after all phases have passed.

use crate::apply::executor::{Back, Executor};
use crate::{
    apply::{
        unwind::Unwind,
        work::{End, Removal, drain_first},
    },
    base::{ActionWord, Address, Event, NodeEnd},
    plan::{DRAIN, Mode, Moment, Planned},
    state::Snapshot,
};
use futures::{future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

impl<'r> Executor<'r> {
    /// What is no longer declared, or everything: after all phases have passed (rule 13).
    pub(super) async fn removals(&mut self, jobs: &mut FuturesUnordered<BoxFuture<'r, Back>>) {
        let nodes: BTreeMap<Address, &'r Planned> = self
            .plan
            .nodes
            .iter()
            .filter(|n| n.moment == Moment::Removal || self.plan.header.mode == Mode::RefreshOnly)
            .map(|n| (n.address.clone(), n))
            .collect();
        if nodes.is_empty() {
            return;
        }
        let state = self.desk.store.snapshot();
        let which: BTreeSet<Address> = nodes.keys().filter(|a| state.resources.contains_key(*a)).cloned().collect();
        let mut unwind = Unwind::new(&state, &which, &self.subject.graph.phases);
        let mut done = BTreeSet::new();
        let drained = self.drain(&nodes, &state, &mut unwind, jobs).await;
        loop {
            if !drained {
                break;
            }
            while self.stop.is_none() && self.running < self.options.parallelism.max(1) {
                let Some(address) = unwind.take() else { break };
                let (Some(planned), Some(remembered)) = (nodes.get(&address).copied(), state.resources.get(&address))
                else {
                    unwind.done(&address);
                    continue;
                };
                let open = self.history(&address).open;
                // What is drained first says itself when that is over.
                if planned.facts.contains_key(DRAIN) && open.is_none() {
                    let now = self.now();
                    self.started.entry(address.clone()).or_insert(now);
                } else {
                    self.begin(&address, &remembered.phase, planned.action);
                }
                self.running += 1;
                let removal = Removal { desk: self.desk, planned, remembered: remembered.clone(), open };
                let slots = self.slots(crate::kinds::kind(address.kind()).map_or("local", |k| k.service()));
                let phase = remembered.phase.clone();
                jobs.push(Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let end = removal.run().await;
                    Back::Removed { address, phase, planned: planned.action, end }
                }));
            }
            if jobs.is_empty() {
                break;
            }
            let Some(back) = self.next(jobs).await else { return };
            let Back::Removed { address, phase, planned, end } = back else { continue };
            if let End::Done { action, .. } = end {
                *self.counts.entry(action.word().to_owned()).or_default() += 1;
                self.end_node(&address, &phase, action, NodeEnd::Done);
                done.insert(address.clone());
                unwind.done(&address);
            } else {
                unwind.failed(&address);
                self.bad_end(None, &address, &phase, planned, end);
            }
        }
        for (address, because) in unwind.skipped(&done) {
            let end = because.map_or(NodeEnd::NotStarted, |because| NodeEnd::Skipped { because });
            let phase = state.resources.get(&address).map(|r| r.phase.clone()).unwrap_or_default();
            let action = nodes.get(&address).map_or(ActionWord::Delete, |n| n.action);
            self.desk.events.emit(Event::NodeEnded { address, phase, action, end, elapsed: Duration::ZERO });
        }
    }

    /// Drains the clusters of what is to be destroyed before anything else of it goes: what controllers made there they clear
    /// away only while they run. False where nothing more may be destroyed.
    async fn drain(
        &mut self,
        nodes: &BTreeMap<Address, &'r Planned>,
        state: &Snapshot,
        unwind: &mut Unwind,
        jobs: &mut FuturesUnordered<BoxFuture<'r, Back>>,
    ) -> bool {
        let mut waits = 0;
        for (address, planned) in nodes {
            let Some(remembered) = state.resources.get(address).filter(|_| planned.facts.contains_key(DRAIN)) else {
                continue;
            };
            // Once the stack's own deletion has begun there is nothing left to drain.
            if self.stop.is_some() || self.history(address).open.is_some() {
                continue;
            }
            let now = self.now();
            self.started.insert(address.clone(), now);
            self.running += 1;
            waits += 1;
            let (desk, planned, address, remembered) = (self.desk, *planned, address.clone(), remembered.clone());
            jobs.push(Box::pin(async move {
                let end = drain_first(desk, planned, &remembered).await;
                Back::Drained { address, end }
            }));
        }
        let mut all = true;
        while waits > 0 {
            let Some(back) = self.next(jobs).await else { return false };
            let Back::Drained { address, end } = back else { continue };
            waits -= 1;
            let Err(end) = end else { continue };
            all = false;
            unwind.failed(&address);
            let phase = state.resources.get(&address).map(|r| r.phase.clone()).unwrap_or_default();
            self.bad_end(None, &address, &phase, ActionWord::Delete, end);
        }
        all
    }
}
