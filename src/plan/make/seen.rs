//! What a look came back with, taken in: an instance, a data source, a world that does not answer.

use super::twins::Beside;
use crate::plan::make::{Maker, blank};
use crate::{
    base::{ActionWord, Address, Diagnostic},
    kinds::WrittenAt,
    lang::{Declaration, configuration::Resource, evaluate::Conditions, schema::Role},
    plan::{
        DeferReason, Drift, Left, connect,
        decide::{self, Decided, Facts},
        instance::{self, Instance},
        look::Look,
    },
    state::Verdict,
    world::{Class, Failure, Outcome},
};
use serde_json::Value as Json;
use std::sync::Arc;

impl Maker<'_> {
    pub(super) fn seen_instance(
        &mut self,
        instance: &Instance,
        import: Option<&Json>,
        beside: Option<&Beside>,
        look: Outcome<Look>,
    ) {
        let address = &instance.address;
        let look = match look {
            Ok(look) => look,
            Err(failure) => return self.unreadable(instance, &failure),
        };
        if instance.role == Role::Data {
            return self.seen_data(instance, beside, look);
        }
        if import.is_some() && look.observed.is_none() && !self.state.resources.contains_key(address) {
            self.problems.push(
                Diagnostic::error("import_absent", format!("{address}: there is nothing to import under this id"))
                    .hint("check the id, the account and the region"),
            );
            return;
        }
        let declaration = Declaration::from(address);
        let Some(resource) = self.subject.configuration.resource(&declaration) else { return };
        let triggered_by = self.trigger(resource, &declaration);
        self.note_clusters(instance);
        let facts = Facts {
            instance,
            header: &resource.span,
            lifecycle: &resource.lifecycle,
            remembered: self.state.resources.get(address),
            observed: look.observed.as_ref(),
            preview: look.preview.as_ref(),
            import,
            moved_from: self.moves.from(address),
            replace_asked: self.request.replace.contains(address),
            triggered_by: triggered_by.as_ref(),
            unverified: self.unverified(address, resource, &instance.declaration),
            verify: resource.verify.iter().map(|v| v.name.clone()).collect(),
            seal: &self.subject.seal,
        };
        let remarks = look.preview.as_ref().map(|p| p.remarks.clone()).unwrap_or_default();
        for (path, remark) in remarks {
            self.problems.push(remark.at(instance.evaluated.place(&path).unwrap_or(&resource.span), ""));
        }
        let cluster = instance.connections.cluster.as_ref();
        let place =
            |written: &WrittenAt| written.span.clone().or_else(|| instance.evaluated.place(&written.path).cloned());
        self.needs.note(address, &resource.span, cluster, look.preview.as_ref(), &place);
        let decided = decide::decide(&facts);
        let preview = look.preview.as_ref();
        self.held.seen(address, instance.kind, &instance.desired, look.observed.as_ref(), preview);
        let clashes = self.clashes(instance, look.preview.as_ref(), beside);
        // What was left in the world is known before anything is refused, so that a refusal takes it away.
        if let Some(attachment) = look.preview.and_then(|p| p.attachment) {
            let left = Left { connections: instance.connections.clone(), attachment };
            self.attachment.previews.insert(address.clone(), left);
        }
        match decided {
            // What is wrong with it alone follows from that.
            _ if clashes => {}
            Err(problems) => self.problems.extend(problems),
            Ok(decided) => {
                let mut planned = decided.planned.clone();
                self.preconditions(address, resource);
                planned.place = connect::elsewhere(self.subject, &instance.connections);
                let changes = self.changes_module(&decided);
                self.starts_module(address, changes);
                if let Some(unit) = self.color_of(address) {
                    return self.seen_color(instance, &unit, Decided { planned, ..decided });
                }
                let exports = decided.exports.waiting_for(address);
                let attributes = instance::attributes(&instance.evaluated.inputs, &exports);
                self.evaluator.set(address, attributes);
                self.own_drift(decided.drift);
                self.push(planned);
            }
        }
    }

    fn seen_data(&mut self, instance: &Instance, beside: Option<&Beside>, look: Look) {
        let address = &instance.address;
        let Some(observed) = look.observed else {
            if let Some(pending) = self.pending_upstream(address) {
                let what = "what it reads is not there yet".to_owned();
                let reason = DeferReason::AbsentPrerequisite { what };
                return self.defer(address, reason, vec![pending], &instance.desired.inputs, Vec::new());
            }
            if !self.request.reads(address.kind()) {
                return self.defer(address, DeferReason::NotAsked, Vec::new(), &instance.desired.inputs, Vec::new());
            }
            let mut problem = Diagnostic::error("absent_data", format!("{address}: what it reads does not exist"));
            if let Some(resource) = self.subject.configuration.resource(&address.into()) {
                problem = problem.at(&resource.span, "read here");
            }
            self.problems.push(problem.hint("check the name, the account and the region"));
            return;
        };
        let attributes = instance::attributes(&instance.evaluated.inputs, &observed.exports);
        // What reads the same in both colours is asked once.
        if let Some(twin) = beside.map(|beside| &beside.instance)
            && twin.desired.inputs == instance.desired.inputs
            && twin.connections == instance.connections
        {
            self.evaluator.set(&twin.address, attributes.clone());
        }
        self.evaluator.set(address, attributes);
        let mut planned = blank(address, instance.phase.clone(), ActionWord::Read);
        planned.inputs = self.subject.seal.seal_value(&instance.desired.inputs);
        planned.fingerprint = Some(observed.fingerprint);
        self.push(planned);
    }

    /// A world that does not have the place yet (a cluster still to be made) defers; any other failure is an error.
    pub(super) fn unreadable(&mut self, instance: &Instance, failure: &Failure) {
        let address = &instance.address;
        if matches!(failure.class, Class::NotFound | Class::Unavailable)
            && let Some(pending) = self.pending_upstream(address)
        {
            let reason = DeferReason::AbsentPrerequisite { what: failure.message.clone() };
            let controls = instance.evaluated.controls.clone();
            let is_there = self.state.resources.contains_key(address);
            self.held.waits(address, instance.kind, &instance.desired, is_there);
            return self.defer(address, reason, vec![pending], &instance.desired.inputs, controls);
        }
        self.unread(address, instance.connections.cluster.as_ref(), failure);
    }

    /// `verify` blocks whose last recorded result is not a pass (rule 20). Nothing is due for what was never applied.
    pub(super) fn unverified(
        &self,
        address: &Address,
        resource: &Resource,
        declaration: &crate::base::Digest,
    ) -> Vec<Arc<str>> {
        if !self.state.resources.contains_key(address) {
            return Vec::new();
        }
        let due = |name: &str| {
            let verdict = self.state.verdicts.get(format!("{address}/{name}").as_str());
            !verdict.is_some_and(|v| v.passed) || !self.passed(&format!("{address}/{name}"), declaration)
        };
        resource.verify.iter().map(|v| v.name.clone()).filter(|name| due(name)).collect()
    }

    pub(super) fn passed(&self, subject: &str, declaration: &crate::base::Digest) -> bool {
        if self.subject.verifies_all(self.request.mode) {
            return false;
        }
        let verdict: Option<&Verdict> = self.state.verdicts.get(subject);
        verdict.is_some_and(|v| v.passed && v.declaration == *declaration)
    }

    /// The first changed thing that `replace_triggered_by` names.
    pub(super) fn trigger(&self, resource: &Resource, declaration: &Declaration) -> Option<Address> {
        use crate::lang::{references, scope::Target};
        let references = resource.lifecycle.replace_triggered_by.iter().flat_map(references);
        references.into_iter().find_map(|reference| match reference.target {
            Target::Resource { kind, name, .. } => {
                let other = Declaration { path: declaration.path.clone(), kind, name };
                self.nodes
                    .iter()
                    .filter(|n| Declaration::from(&n.address) == other)
                    .find(|n| matches!(n.action, ActionWord::Create | ActionWord::Update | ActionWord::Replace))
                    .map(|n| n.address.clone())
            }
            _ => None,
        })
    }

    pub(super) fn preconditions(&mut self, address: &Address, resource: &Resource) {
        if resource.lifecycle.preconditions.is_empty() {
            return;
        }
        match self.evaluator.conditions(address, Conditions::Before) {
            Ok(failed) => failed.into_iter().for_each(|f| self.problems.push(instance::failed_condition(address, &f))),
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// What drifted of the thing itself; what drifted inside it comes in its own time.
    pub(super) fn own_drift(&mut self, own: Option<Drift>) {
        let Some(drift) = own else { return };
        let ignored = self.state.ignored.get(&drift.address).map(|d| d.reason.clone());
        self.drift.push(Drift { ignored, ..drift });
    }
}
