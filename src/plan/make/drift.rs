//! What drifted inside things: looked for in all of them at once, bounded, while the rest of the plan is made.

use crate::plan::make::{Maker, Seen, Work, remembered_connections};
use crate::{
    base::{ActionWord, Address, Diagnostic},
    kinds::{ChildChange, Kind, kind},
    lang::Declaration,
    plan::{
        Drift, Mode, connect,
        look::{self, Look},
    },
    world::Outcome,
};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many detections run at once: each asks the service again and again until it has ended.
const DETECTIONS: usize = 16;

impl<'s> Maker<'s> {
    /// Looks for drift inside everything that is remembered, still declared and meant.
    pub(super) fn detections(&mut self) -> Vec<BoxFuture<'s, Seen>> {
        let graph = &self.subject.graph;
        let meant = |address: &Address| {
            let id = graph.declaration(&Declaration::from(address))?;
            Some(self.targets.as_ref().is_none_or(|t| t.has(id) && t.has_instance(address)))
        };
        let drifting = |a: &&Address| kind(a.kind()).is_some_and(Kind::drifts_inside);
        let all: Vec<Address> = self.state.resources.keys().filter(drifting).cloned().collect();
        if self.request.mode != Mode::Normal || self.request.offline || all.is_empty() {
            return Vec::new();
        }
        if !self.request.drift {
            self.problems.push(
                Diagnostic::warning("drift_not_looked_for", "drift inside stacks was not looked for")
                    .because("--no-drift leaves out what somebody changed or deleted inside of them")
                    .hint("terrace drift looks for it"),
            );
            return Vec::new();
        }
        let slots = Arc::new(Semaphore::new(DETECTIONS));
        let meant: Vec<Address> = all.into_iter().filter(|a| meant(a) == Some(true)).collect();
        meant.into_iter().filter_map(|address| self.detection(address, slots.clone())).collect()
    }

    fn detection(&self, address: Address, slots: Arc<Semaphore>) -> Option<BoxFuture<'s, Seen>> {
        let resource = self.state.resources.get(&address)?.clone();
        let kind = kind(address.kind())?;
        let (subject, timeout) = (self.subject, self.request.read_timeout);
        Some(Box::pin(async move {
            let _slot = slots.acquire().await;
            let connections = remembered_connections(subject, &resource);
            let found = match connect::context(subject, &address, &connections, timeout, look::quiet()) {
                Ok(context) => kind.drift(&context, &resource.identity).await,
                Err(failure) => Err(failure),
            };
            Seen { what: Work::Drift { address, found }, look: Ok(Look::default()) }
        }))
    }

    /// A plan can do without knowing what drifted inside: a failure is told, and keeps nothing back.
    pub(super) fn seen_drift(&mut self, address: &Address, found: Outcome<Vec<ChildChange>>) {
        match found {
            Ok(children) => drop(self.inside.insert(address.clone(), children)),
            Err(failure) => self.problems.push(
                Diagnostic::warning("drift_unknown", format!("drift inside {address} could not be looked for"))
                    .because(failure.to_string()),
            ),
        }
    }

    /// Puts what drifted inside things beside what drifted of themselves, without what somebody accepted.
    pub(super) fn drift_inside(&mut self) {
        for (address, children) in std::mem::take(&mut self.inside) {
            let children = self.unaccepted(&address, children);
            let own = self.drift.iter_mut().find(|d| d.address == address);
            match own {
                _ if children.is_empty() || !self.declared.contains(&address) => {}
                Some(drift) => drift.children = children,
                None => {
                    let ignored = self.state.ignored.get(&address).map(|d| d.reason.clone());
                    self.drift.push(Drift { address, fields: Vec::new(), children, ignored, gone: false });
                }
            }
        }
    }

    /// What drifted inside, without what somebody accepted as it is.
    pub(super) fn unaccepted(&self, address: &Address, children: Vec<ChildChange>) -> Vec<ChildChange> {
        let Some(accepted) = self.state.accepted.get(address) else { return children };
        let known = |seal: &Arc<str>| accepted.what.contains(seal);
        let mut left = Vec::new();
        for mut child in children {
            if child.action == ActionWord::Delete {
                if !known(&accepted_part(&self.subject.seal, &child.name, None)) {
                    left.push(child);
                }
                continue;
            }
            let seal = &self.subject.seal;
            child.fields.retain(|field| !known(&accepted_part(seal, &child.name, Some(field))));
            if !child.fields.is_empty() {
                left.push(child);
            }
        }
        left
    }
}

/// What an acceptance of a drifted part is known by: its name, property, and both values, sealed, so that no value is kept
/// in clear, and another value is another drift. Without a field: that the part is gone.
#[must_use]
pub fn accepted_part(seal: &crate::state::SealKey, part: &str, field: Option<&crate::kinds::FieldChange>) -> Arc<str> {
    let value = |v: &Option<crate::base::Value>| v.as_ref().map(crate::base::Value::to_json_lossy);
    match field {
        Some(field) => seal.seal(&serde_json::json!([part, field.path, value(&field.before), value(&field.after)])),
        None => seal.seal(&serde_json::json!([part, "is gone"])),
    }
}
