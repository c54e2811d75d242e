//! What has to wait, and checks: planned now as far as that can be said.

use crate::plan::make::{Maker, blank};
use crate::{
    base::{ActionWord, Address, Value},
    kinds::kind,
    lang::{Declaration, schema::Role},
    plan::{
        DeferReason, Deferral,
        instance::{self, Instance},
    },
};
use std::collections::BTreeSet;

impl Maker<'_> {
    /// The first thing upstream, directly or not, that will change.
    pub(super) fn pending_upstream(&self, address: &Address) -> Option<Address> {
        let mut todo = self.subject.graph.prerequisites(&address.into());
        let mut seen = BTreeSet::new();
        while let Some(declaration) = todo.pop() {
            if let Some(pending) = self.pending.get(&declaration) {
                return Some(pending.clone());
            }
            if seen.insert(declaration.clone()) {
                todo.extend(self.subject.graph.prerequisites(&declaration));
            }
        }
        None
    }

    pub(super) fn defer(
        &mut self,
        address: &Address,
        reason: DeferReason,
        waits_for: Vec<Address>,
        inputs: &Value,
        controls: Vec<String>,
    ) {
        let declaration = Declaration::from(address);
        let Some(resource) = self.subject.configuration.resource(&declaration) else { return };
        let phase = self.subject.graph.phase.get(&declaration).cloned().unwrap_or_default();
        if resource.role == Role::Check {
            let mut planned = blank(address, phase, ActionWord::Verify);
            planned.controls = controls;
            return self.push(planned);
        }
        if let Some(kind) = kind(&resource.kind) {
            let exports = instance::unknown_exports(kind, address);
            self.evaluator.set(address, instance::attributes(inputs, &exports));
        }
        let known = self.state.resources.contains_key(address);
        let ceiling = match (resource.role, known) {
            (Role::Data, _) => vec![ActionWord::Read],
            (_, true) => vec![ActionWord::Update],
            (_, false) => vec![ActionWord::Create],
        };
        let mut planned = blank(address, phase, ActionWord::Defer);
        planned.deferral = Some(Deferral {
            reason,
            waits_for,
            ceiling,
            declaration: instance::declaration_digest(self.subject, resource),
        });
        planned.moved_from = self.moves.from(address).cloned();
        planned.inputs = self.subject.seal.seal_value(inputs);
        planned.verify = resource.verify.iter().map(|v| v.name.clone()).collect();
        planned.controls = controls;
        self.push(planned);
    }

    pub(super) fn defer_pattern(&mut self, declaration: &Declaration, pattern: &Address, waits_for: Vec<Address>) {
        let Some(resource) = self.subject.configuration.resource(declaration) else { return };
        let phase = self.subject.graph.phase.get(declaration).cloned().unwrap_or_default();
        let known = self.state.resources.keys().any(|a| Declaration::from(a) == *declaration);
        let mut ceiling = vec![if resource.role == Role::Data { ActionWord::Read } else { ActionWord::Create }];
        if known {
            ceiling.push(ActionWord::Update);
        }
        let mut planned = blank(pattern, phase, ActionWord::Defer);
        planned.deferral = Some(Deferral {
            reason: DeferReason::Instances,
            waits_for,
            ceiling,
            declaration: instance::declaration_digest(self.subject, resource),
        });
        self.push(planned);
    }

    /// A check changes nothing. It is due where its last result is not a pass; apply asks it too when anything was changed.
    pub(super) fn check(&mut self, instance: &Instance) {
        let passed = self.passed(&instance.address.to_string(), &instance.declaration);
        let action = if passed { ActionWord::NoOp } else { ActionWord::Verify };
        let mut planned = blank(&instance.address, instance.phase.clone(), action);
        planned.controls.clone_from(&instance.evaluated.controls);
        self.push(planned);
    }
}
