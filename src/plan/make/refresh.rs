//! Refresh-only: what is live is taken over into state.

use crate::plan::make::{Maker, blank, observe_remembered, remembered_connections};
use crate::{
    base::{ActionWord, Event},
    plan::{Planned, Subject},
    state::{self},
};
use futures::{StreamExt as _, stream::FuturesUnordered};

impl Maker<'_> {
    /// Refresh-only: what is live is taken over into state.
    pub(super) async fn refresh(&mut self) {
        let all: Vec<state::Resource> = self.state.resources.values().cloned().collect();
        self.events.emit(Event::ObserveStarted { total: all.len() });
        let (subject, request, slots) = (self.subject, self.request, self.slots.clone());
        let jobs: FuturesUnordered<_> = all
            .into_iter()
            .map(|resource| {
                let slots = slots.clone();
                async move {
                    let _slot = slots.acquire().await;
                    let look = observe_remembered(subject, request, &resource).await;
                    (resource, look)
                }
            })
            .collect();
        let seen: Vec<_> = jobs.collect().await;
        for (resource, look) in seen {
            self.events.emit(Event::Observed { address: resource.address.clone() });
            match look {
                Err(failure) => {
                    let lives = remembered_connections(subject, &resource).cluster;
                    self.unread(&resource.address, lives.as_ref(), &failure);
                }
                Ok(look) => self.nodes.extend(refreshed(subject, &resource, look.observed)),
            }
        }
        self.nodes.sort_by(|a, b| a.address.cmp(&b.address));
    }
}

fn refreshed(
    subject: &Subject,
    resource: &state::Resource,
    observed: Option<crate::kinds::Observed>,
) -> Option<Planned> {
    let mut planned = match &observed {
        None => {
            let mut planned = blank(&resource.address, resource.phase.clone(), ActionWord::Forget);
            planned.reasons.push("it is gone: somebody destroyed it behind our back".to_owned());
            planned
        }
        Some(live) => {
            let exports = subject.seal.seal_value(&live.exports);
            if exports.has_unknown() || (exports == resource.exports && live.identity == resource.identity) {
                return None;
            }
            let mut planned = blank(&resource.address, resource.phase.clone(), ActionWord::Import);
            planned.reasons.push("what it exports has changed".to_owned());
            planned.fields = vec![crate::kinds::FieldChange {
                path: "exports".to_owned(),
                before: Some(resource.exports.clone()),
                after: Some(exports),
                cause: crate::kinds::Cause::Drift,
                forces_replacement: false,
                because: None,
                owner: None,
            }];
            planned.fingerprint = Some(live.fingerprint.clone());
            planned
        }
    };
    planned.identity = observed.map_or_else(|| resource.identity.clone(), |o| o.identity);
    Some(planned)
}
