//! Modules that are rolled out as a whole (rule 38): which colour of each is looked at, and whether a change of anything in it starts the
//! other one.
//!
//! Everything in a module that is called with a `rollout` bears the colour in its address. A plan looks at the colour that has the traffic
//! first; where something in it is no longer what is declared, the plan is made anew, and looks at the other colour instead. So nothing in
//! a colour ever changes while it has the traffic, and no walk has to look at both.

use super::{rollouts::Unit, twins::write_the_color};
use crate::plan::make::{Maker, blank};
use crate::{
    base::{ActionWord, Address, Color, Diagnostic, Span},
    graph::Id,
    lang::{
        Declaration,
        configuration::{Call, Module, Rollout},
        references, references_of_body,
        scope::{Reference, Target},
    },
    plan::{Mode, Planned, decide::Decided, instance::Instance},
    rollout::{Spec, Strategy},
    state::Status,
};
use serde_json::Value as Json;
use std::{collections::BTreeSet, sync::Arc};

impl Maker<'_> {
    /// Before anything is expanded: every call that is rolled out by colours, and the colour that is meant.
    pub(super) fn paint_modules(&mut self) {
        let configuration = self.subject.configuration.clone();
        for (declaration, call, rollout) in configuration.rolled_out_calls() {
            self.paint_call(&declaration, call, rollout);
        }
    }

    fn paint_call(&mut self, declaration: &Declaration, call: &Call, rollout: &Rollout) {
        let expansion = match self.evaluator.expand(declaration) {
            Ok(expansion) => expansion,
            Err(problems) => return self.problems.extend(problems),
        };
        if let Some(unknown) = expansion.unknown.first() {
            let what = format!("which {} there are is not known before the plan", unknown.pattern);
            let problem = Diagnostic::error("rollout_module", what)
                .at(&rollout.block.header, "")
                .because("what is rolled out as a whole must be known before anything in it is looked at")
                .hint("make `for_each` and `when` of the call depend on variables only");
            return self.problems.push(problem);
        }
        let Some(id) = self.subject.graph.declaration(declaration) else { return };
        let inner: Vec<Arc<str>> = declaration.path.iter().chain([&declaration.name]).cloned().collect();
        for unit in expansion.instances {
            self.paint(&unit, id, &inner, call, rollout);
        }
    }

    fn paint(&mut self, unit: &Address, id: Id, inner: &[Arc<str>], call: &Call, rollout: &Rollout) {
        let spec = self.spec(unit, rollout);
        if matches!(spec, Some(None)) {
            return self.leave_colors(unit);
        }
        // Whatever is refused, what is in it is looked at as a colour: nothing else is wrong with it for that.
        self.evaluator.paint(unit.clone(), self.state.live_color(unit).unwrap_or(Color::Blue));
        let Some(Some(spec)) = spec else { return };
        if !self.may_be_painted(unit, inner, call, rollout, &spec)
            || self.shares_a_route(unit, &spec, &rollout.block.header)
        {
            return;
        }
        let was = self.state.rollouts.get(unit).and_then(|standing| standing.was).unwrap_or(Color::Blue);
        for part in self.parts_without_color(unit) {
            if let Some(to) = part.painted(unit, Some(was)) {
                self.rename(part, to);
            }
        }
        let live = self.state.live_color(unit);
        let next = match live {
            None => Some(Color::Blue),
            Some(live) => self.starting.contains(unit).then(|| live.other()),
        };
        let Some(meant) = next.or(live) else { return };
        self.evaluator.paint(unit.clone(), meant);
        self.keep_warm(unit, next);
        if let (Some(live), Some(next)) = (live, next) {
            self.stays(unit, live, next);
        }
        self.units.insert(unit.clone(), Unit { id, spec, live, next });
    }

    /// Refuses a stack or a module that does not choose its side of the route by its colour: both colours would serve the same one.
    pub(super) fn sideless(&self, unit: &Address, rollout: &Rollout) -> Option<Diagnostic> {
        let configuration = &self.subject.configuration;
        let declaration = Declaration::from(unit);
        let says_color = |references: Vec<Reference>| references.iter().any(|r| r.target == Target::SelfValue);
        let header = &rollout.block.header;
        let binds = rollout.block.body.blocks.iter().any(|block| &*block.kind == "backend");
        let (what, chooses) = if unit.is_call() {
            let call = configuration.module(&declaration.path)?.calls.get(&declaration.name)?;
            ("module", binds || call.arguments.values().any(|argument| says_color(references(argument))))
        } else if unit.kind() == "stack" {
            if binds {
                let problem = Diagnostic::error("rollout_side", format!("{unit} is a stack, which has no `backend`"));
                return Some(problem.at(header, "").because("a stack registers its targets itself").hint(
                    "give it its target group by a parameter, like local.groups[self.color], and leave `backend` out",
                ));
            }
            ("stack", says_color(references_of_body(&configuration.resource(&declaration)?.body)))
        } else {
            return None;
        };
        (!chooses).then(|| {
            Diagnostic::error("rollout_side", format!("{unit} is the same {what} in both colours"))
                .at(header, "")
                .because("it chooses its side of the route itself, and both colours would serve the same one")
                .hint("pass self.color on, for its target group: local.groups[self.color]")
        })
    }

    /// What rule 38 asks of a module that is rolled out as a whole.
    fn may_be_painted(
        &mut self,
        unit: &Address,
        inner: &[Arc<str>],
        call: &Call,
        rollout: &Rollout,
        spec: &Spec,
    ) -> bool {
        let mut refuse = |what: String, because: &str, hint: &str, at: &Span| {
            let problem = Diagnostic::error("rollout_module", what).at(at, "").because(because).hint(hint);
            self.problems.push(problem);
        };
        let header = &rollout.block.header;
        let mut fine = true;
        let graph = &self.subject.graph;
        let phases: BTreeSet<&str> =
            graph.phase.iter().filter(|(d, _)| d.path.starts_with(inner)).map(|(_, phase)| &**phase).collect();
        if phases.len() > 1 {
            let names: Vec<&str> = phases.into_iter().collect();
            refuse(
                format!("{unit} is rolled out as a whole, and lies in the phases {}", names.join(" and ")),
                "its traffic moves when all of it is there, and phases after that stand on it",
                "write `phase` in the call, and no `phases`",
                header,
            );
            fine = false;
        }
        let mut verified = !spec.analyses.is_empty();
        let mut todo: Vec<&Module> = vec![&call.module];
        while let Some(module) = todo.pop() {
            let of_calls = module.calls.values().filter_map(|call| call.rollout.as_ref());
            let of_resources = module.resources.values().filter_map(|resource| resource.rollout.as_ref());
            for inside in of_calls.chain(of_resources) {
                refuse(
                    format!("{unit} is rolled out as a whole, and something in it is rolled out too"),
                    "a colour in a colour would have no traffic of its own",
                    "take one of the two `rollout` blocks out",
                    &inside.block.header,
                );
                fine = false;
            }
            verified |= module.resources.values().any(|resource| !resource.verify.is_empty());
            todo.extend(module.calls.values().map(|call| &*call.module));
        }
        if !verified {
            self.nothing_verifies(unit, header);
            fine = false;
        }
        if let Some(targets) = &self.targets {
            let graph = &self.subject.graph;
            let inside = |id: &Id| graph.inner[*id].declaration().is_some_and(|d| d.path.starts_with(inner));
            // Whoever means the end of a call means all that is in it.
            let end = graph.declaration(&Declaration::from(unit)).is_some_and(|end| targets.has(end));
            let some = !end && graph.inner.node_indices().filter(inside).any(|id| targets.has(id));
            let color = |target: &Address| target.unit().is_some_and(|(of, _)| of == *unit);
            if some || targets.names_some_in(inner) || self.request.targets.iter().any(color) {
                let problem = Diagnostic::error("rollout_module", format!("--target names a part of {unit}"))
                    .at(header, "rolled out as a whole")
                    .because("its traffic moves only when all of it is there")
                    .hint(format!("name all of it: --target {unit}"));
                self.problems.push(problem);
                fine = false;
            }
        }
        fine
    }

    /// What is there of a module and bears no colour.
    fn parts_without_color(&self, unit: &Address) -> Vec<Address> {
        let of_it = |address: &&Address| address.unit().is_none() && address.painted(unit, None).is_some();
        self.state.resources.keys().filter(of_it).cloned().collect()
    }

    /// What has the traffic is not looked at while the other colour is made.
    fn stays(&mut self, unit: &Address, live: Color, next: Color) {
        let parts: Vec<_> = self.state.parts(unit, live).cloned().collect();
        for part in parts {
            let mut stays = blank(&part.address, part.phase.clone(), ActionWord::NoOp);
            stays.identity = part.identity.clone();
            stays.moved_from = self.moves.from(&part.address).cloned();
            stays.reasons.push(format!("it keeps the traffic until {next} is proved"));
            self.declared.insert(part.address);
            self.push(stays);
        }
    }

    /// Refuses a thing that the other colour has already: it would be changed while it has the traffic.
    pub(super) fn is_of_both(&mut self, instance: &Instance) -> bool {
        let address = &instance.address;
        let identity = instance.desired.identity.as_ref().filter(|id| id.is_object());
        let (Some((unit, color)), Some(identity)) = (address.unit(), identity) else { return false };
        // What two colours share of objects is told by name.
        if instance.kind.footprint(&instance.desired.inputs).is_some() {
            return false;
        }
        let there = self.state.parts(&unit, color.other()).find(|other| {
            other.address.painted(&unit, None) == address.painted(&unit, None) && is_same(identity, &other.identity)
        });
        let Some(other) = there.map(|other| other.address.clone()) else { return false };
        let mut problem =
            Diagnostic::error("rollout_name", format!("{address} and {other} would be one and the same thing"))
                .because("two colours stand side by side, and need a name each")
                .hint(write_the_color(&unit, "the name, or leave it out"));
        if let Some(resource) = self.subject.configuration.resource(&Declaration::from(address)) {
            problem = problem.at(&resource.span, "");
        }
        self.problems.push(problem);
        true
    }

    /// Takes note of a module whose live colour is no longer what is declared. True where that is so.
    pub(super) fn starts_module(&mut self, address: &Address, changes: bool) -> bool {
        let Some((unit, color)) = address.unit().filter(|(unit, _)| unit.is_call()) else { return false };
        let live = self.units.get(&unit).is_some_and(|of| of.live == Some(color) && of.next.is_none());
        let starts = live && changes && self.request.mode == Mode::Normal;
        if starts {
            self.starts.insert(unit);
        }
        starts
    }

    /// Whether what was decided of a part of a module is a change of what is declared.
    pub(super) fn changes_module(&self, decided: &Decided) -> bool {
        let planned = &decided.planned;
        let added = planned.action == ActionWord::Create && !self.state.resources.contains_key(&planned.address);
        added || super::rollouts::declares(decided)
    }

    /// Everything in a module had its turn: the nodes that move the traffic of its instances.
    pub(super) fn shift_modules(&mut self, id: Id) {
        let here = |(unit, of): &(&Address, &Unit)| {
            of.id == id && of.next.is_some() && self.targets.as_ref().is_none_or(|targets| targets.has_instance(unit))
        };
        let units: Vec<Address> =
            self.units.iter().filter(here).map(|(unit, _)| unit.clone()).filter(Address::is_call).collect();
        for unit in units {
            self.keep_apart(&unit);
            let switch = self.is_module_proved(&unit);
            self.shift(&unit, switch);
        }
    }

    /// True where nothing in a colour has anything to be done, and it had all the traffic before: it only has to get it back.
    fn is_module_proved(&self, unit: &Address) -> bool {
        let Some(Unit { live: Some(_), next: Some(next), .. }) = self.units.get(unit) else { return false };
        let kept = self.state.rollouts.get(unit).and_then(|standing| standing.kept.as_ref());
        let kept = kept.is_some_and(|kept| kept.color == *next && kept.failed.is_none());
        let of_it =
            |planned: &&Planned| planned.address.unit().is_some_and(|(of, color)| of == *unit && color == *next);
        let idle = |planned: &Planned| {
            let verified = self.state.resources.get(&planned.address).is_none_or(|r| r.status == Status::Verified);
            matches!(planned.action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify) && verified
        };
        kept && self.nodes.iter().filter(of_it).all(idle)
    }
}

/// Whether what is wanted is what another identity tells: all that the first one says is in the second.
pub(super) fn is_same(wanted: &Json, known: &Json) -> bool {
    match (wanted, known) {
        (Json::Object(wanted), Json::Object(known)) => {
            !wanted.is_empty()
                && wanted.iter().all(|(key, value)| known.get(key).is_some_and(|other| is_same(value, other)))
        }
        (Json::Array(wanted), Json::Array(known)) => wanted.iter().any(|one| known.contains(one)),
        (wanted, known) => wanted == known,
    }
}

/// Refuses the strategies that a unit cannot have: a stack and a module know no weights of a canary (rule 38).
pub(super) fn canary_refused(unit: &Address, spec: &Spec, at: &Span) -> Option<Diagnostic> {
    let whole = unit.is_call() || unit.kind() == "stack";
    (whole && spec.strategy == Strategy::Canary).then(|| {
        let what = if unit.is_call() { "module" } else { "stack" };
        Diagnostic::error("rollout_canary", format!("{unit} is a {what}, which has no canary"))
            .at(at, "")
            .because(
                "a canary ends with an update of the stable one in place, which is another change than what was tried",
            )
            .hint("write strategy = \"blue_green\"")
    })
}
