//! What is no longer declared, and what `destroy` takes away.

use crate::plan::make::{Maker, Seen, Work, blank, observe_remembered, remembered_connections};
use crate::{
    base::{ActionWord, Address, Diagnostic, Event},
    graph::means,
    kinds::BEING_DELETED,
    lang::Declaration,
    plan::{Moment, Planned, Subject, connect, gone, look::Look, removal},
    world::{Class, ClusterConnection, Failure, Outcome},
};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::collections::{BTreeMap, BTreeSet};

impl<'s> Maker<'s> {
    /// What state remembers and nothing declares any more.
    pub(super) async fn removals(&mut self) {
        let let_go: BTreeSet<Declaration> =
            self.subject.configuration.removed().iter().map(Declaration::from).collect();
        let mut lost: Vec<(Address, removal::Why)> = Vec::new();
        let known: Vec<Address> = self.state.resources.keys().cloned().collect();
        for address in &known {
            let declaration = Declaration::from(address);
            if self.declared.contains(address) || self.patterns.contains(&declaration) {
                continue;
            }
            if self.targets.is_some() && !self.request.targets.iter().any(|t| means(t, address)) {
                continue;
            }
            if self.starts_module(address, true) {
                continue;
            }
            let plain = address.with_color(None);
            // A colour that is neither live nor rolled out now.
            let idle = address.unit().is_some_and(|(unit, color)| {
                let of = self.units.get(&unit);
                of.is_some_and(|of| of.live != Some(color) && of.next != Some(color))
            });
            let why = if idle {
                removal::Why::Retired
            } else if self.off.contains(&plain) {
                removal::Why::Off
            } else if self.subject.configuration.resource(&declaration).is_some() && address.unit().is_none() {
                removal::Why::KeyGone
            } else if address.unit().is_some_and(|(unit, _)| self.subject.configuration.declares(&(&unit).into())) {
                removal::Why::Left
            } else if let_go.contains(&declaration) {
                let mut planned = blank(address, self.state.resources[address].phase.clone(), ActionWord::Forget);
                planned.moment = Moment::Removal;
                planned.identity = self.state.resources[address].identity.clone();
                planned.reasons.push("a removed block lets go of it".to_owned());
                self.nodes.push(planned);
                continue;
            } else {
                removal::Why::NotDeclared
            };
            lost.push((address.clone(), why));
        }
        self.remove(lost).await;
    }

    pub(super) async fn destroy(&mut self) {
        let meant = |a: &Address| self.request.targets.is_empty() || self.request.targets.iter().any(|t| means(t, a));
        let all: Vec<_> =
            self.state.resources.keys().filter(|a| meant(a)).map(|a| (a.clone(), removal::Why::Destroy)).collect();
        self.events.emit(Event::ObserveStarted { total: all.len() });
        self.remove(all).await;
    }

    /// Looks at what is to be destroyed, and plans it in the order of destruction.
    pub(super) async fn remove(&mut self, gone: Vec<(Address, removal::Why)>) {
        let which: BTreeSet<Address> = gone.iter().map(|(a, _)| a.clone()).collect();
        let before = self.nodes.len();
        let jobs: FuturesUnordered<_> =
            gone.into_iter().map(|(address, why)| self.look_at_removal(address, why)).collect();
        let seen: Vec<Seen> = jobs.collect().await;
        for seen in seen {
            self.seen(seen);
        }
        let order = removal::order(&self.state, &self.subject.graph.phases, &which);
        let rank: BTreeMap<&Address, usize> = order.iter().enumerate().map(|(at, a)| (a, at)).collect();
        self.nodes[before..].sort_by_key(|n| rank.get(&n.address).copied());
        self.drains(before).await;
    }

    pub(super) fn look_at_removal(&self, address: Address, why: removal::Why) -> BoxFuture<'s, Seen> {
        let (subject, request, slots) = (self.subject, self.request, self.slots.clone());
        let resource = self.state.resources.get(&address).cloned();
        let lives = resource.as_ref().and_then(|r| remembered_connections(subject, r).cluster);
        Box::pin(async move {
            let _slot = slots.acquire().await;
            let look = match resource {
                Some(resource) => observe_remembered(subject, request, &resource).await,
                None => Ok(Look::default()),
            };
            let look = match look {
                Err(failure) if failure.class == Class::NotFound => gone_along(subject, lives.as_ref(), failure).await,
                other => other,
            };
            Seen { what: Work::Removal { address, why }, look }
        })
    }

    pub(super) fn seen_removal(&mut self, address: &Address, why: &removal::Why, look: Outcome<Look>) {
        self.events.emit(Event::Observed { address: address.clone() });
        let Some(resource) = self.state.resources.get(address) else { return };
        if let Some(problem) = removal::forbidden(resource, why) {
            return self.problems.push(problem);
        }
        match look {
            Ok(look) => {
                let read = self.request.reads(address.kind());
                let place = connect::elsewhere(self.subject, &remembered_connections(self.subject, resource));
                self.held.goes(address, look.observed.as_ref());
                let mut planned = removal::planned(resource, look.observed.as_ref(), why, read);
                if let Some(condition) = planned.condition.as_ref().filter(|c| c.word.starts_with(BEING_DELETED)) {
                    let summary = format!("{address} is being deleted already, and does not go");
                    let mut problem = Diagnostic::warning("namespace_held", summary).because(condition.word.clone());
                    problem.hint = Some("see whether that controller still runs: its deletion waits for it".to_owned());
                    self.problems.push(problem);
                }
                if look.gone_along {
                    planned.reasons = vec!["it is gone with its cluster".to_owned()];
                }
                self.nodes.push(Planned { place, ..planned });
            }
            // Its place is gone: whether the thing is, is seen when its turn comes.
            Err(failure)
                if failure.class == Class::NotFound
                    && remembered_connections(self.subject, resource).cluster.is_none() =>
            {
                self.nodes.push(removal::planned(resource, None, why, false));
            }
            Err(failure) => {
                let lives = remembered_connections(self.subject, resource).cluster;
                self.unread(address, lives.as_ref(), &failure);
            }
        }
    }
}

/// A cluster that is gone took along what was in it; but only the word of whoever makes clusters says that it is gone.
async fn gone_along(subject: &Subject, lives: Option<&ClusterConnection>, failure: Failure) -> Outcome<Look> {
    match lives {
        Some(cluster) if gone::is_gone(subject, cluster).await? => Ok(Look { gone_along: true, ..Look::default() }),
        _ => Err(failure),
    }
}
