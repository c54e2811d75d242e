//! What a failure means: what is told, what is blocked, and what makes a phase go back.

use crate::apply::executor::{Executor, Stop};
use crate::{
    apply::work::End,
    base::{ActionWord, Address, Event, NodeEnd},
    graph::Id,
    lang::{Declaration, configuration::OnFailure},
    plan::Moment,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

impl Executor<'_> {
    /// An end that is not a success.
    pub(super) fn bad_end(
        &mut self,
        id: Option<Id>,
        address: &Address,
        phase: &Arc<str>,
        planned: ActionWord,
        end: End,
    ) {
        match end {
            End::Done { .. } => {}
            End::Failed(why) => match id {
                Some(id) => self.fail_instance(id, address, &why),
                None => self.fail(address, phase, planned, &why),
            },
            End::Beyond(why) => {
                self.end_node(address, phase, planned, NodeEnd::BeyondPlan { why: why.clone() });
                self.beyond.push((address.clone(), why));
                if let Some(id) = id {
                    self.blocked.insert(id, address.clone());
                }
            }
            End::Stuck { why, command } => {
                self.stuck.push((address.clone(), why.clone(), command));
                match id {
                    Some(id) => self.fail_instance(id, address, &why),
                    None => self.fail(address, phase, planned, &why),
                }
            }
            End::State(error) => self.state_failed(error),
        }
    }

    pub(super) fn state_failed(&mut self, error: crate::state::StateError) {
        self.stop = Some(Stop::State);
        self.state_error.get_or_insert(error);
    }

    pub(super) fn go_beyond(&mut self, id: Id, address: &Address, why: &str) {
        self.beyond.push((address.clone(), why.to_owned()));
        self.blocked.insert(id, address.clone());
    }

    pub(super) fn fail_node(&mut self, id: Id, address: &Address, why: &str) {
        self.open.insert(id, 1);
        self.fail_instance(id, address, why);
    }

    pub(super) fn fail_instance(&mut self, id: Id, address: &Address, why: &str) {
        let phase = self.phase_of(address);
        let action = self.planned.get(address).map_or(ActionWord::Create, |n| n.action);
        self.blocked.insert(id, address.clone());
        self.fail(address, &phase, action, why);
        self.maybe_roll_back(&phase, address);
        self.take_back(id, address);
    }

    pub(super) fn fail_gate(&mut self, id: Id, phase: &Arc<str>, why: &str) {
        let address = Address::root("phase", phase);
        self.blocked.insert(id, address.clone());
        self.fail(&address, phase, ActionWord::Verify, why);
        self.maybe_roll_back(phase, &address);
    }

    pub(super) fn fail(&mut self, address: &Address, phase: &Arc<str>, action: ActionWord, why: &str) {
        if !self.started.contains_key(address) {
            self.begin(address, phase, if action == ActionWord::NoOp { ActionWord::Verify } else { action });
        }
        self.end_node(address, phase, action, NodeEnd::Failed { why: why.to_owned() });
        *self.counts.entry("failed".to_owned()).or_default() += 1;
        self.failures.push((address.clone(), why.to_owned()));
        self.tell_failing(phase, address);
    }

    pub(super) fn maybe_roll_back(&mut self, phase: &Arc<str>, because: &Address) {
        let rolls_back = self.plan.phases.iter().any(|p| p.name == *phase && p.on_failure == OnFailure::Rollback);
        if rolls_back && self.stop.is_none() {
            self.stop = Some(Stop::Rollback { phase: phase.clone(), because: because.clone() });
        }
    }

    /// Says of what was never started why not, the first cause of each.
    pub(super) fn tell_skipped(&mut self) {
        let graph = self.subject.graph.clone();
        let mut cause: BTreeMap<Id, Address> = self.blocked.clone();
        for id in graph.order() {
            if cause.contains_key(&id) {
                continue;
            }
            let first =
                graph.inner.neighbors_directed(id, petgraph::Incoming).filter_map(|b| cause.get(&b)).min().cloned();
            if let Some(first) = first {
                cause.insert(id, first);
            }
        }
        for node in self.plan.nodes.iter().filter(|n| n.moment == Moment::Phase) {
            let works = !matches!(node.action, ActionWord::NoOp | ActionWord::Read);
            let Some(id) = graph.declaration(&Declaration::from(&node.address)).filter(|_| works) else { continue };
            if self.blocked.contains_key(&id) {
                continue;
            }
            if let Some(because) = cause.get(&id) {
                let end = NodeEnd::Skipped { because: because.clone() };
                self.desk.events.emit(Event::NodeEnded {
                    address: node.address.clone(),
                    phase: node.phase.clone(),
                    action: node.action,
                    end,
                    elapsed: Duration::ZERO,
                });
            }
        }
        // What was announced and never got a slot before the run stopped.
        let mut left: Vec<Address> = self.started.keys().cloned().collect();
        left.sort();
        for address in left {
            let action = self.planned.get(&address).map_or(ActionWord::Verify, |n| n.action);
            let phase = self.phase_of(&address);
            self.end_node(&address, &phase, action, NodeEnd::NotStarted);
        }
        self.end_phases();
    }
}
