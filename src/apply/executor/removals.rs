//! What is no longer declared, or everything: destroyed after all phases have passed.

use crate::apply::executor::{Back, Executor};
use crate::{
    apply::{
        unwind::Unwind,
        work::{End, Removal},
    },
    base::{ActionWord, Address, Event, NodeEnd},
    plan::{Mode, Moment, Planned},
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
        loop {
            while self.stop.is_none() && self.running < self.options.parallelism.max(1) {
                let Some(address) = unwind.take() else { break };
                let (Some(planned), Some(remembered)) = (nodes.get(&address).copied(), state.resources.get(&address))
                else {
                    unwind.done(&address);
                    continue;
                };
                self.begin(&address, &remembered.phase, planned.action);
                self.running += 1;
                let removal = Removal {
                    desk: self.desk,
                    planned,
                    remembered: remembered.clone(),
                    open: self.history(&address).open,
                };
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
}
