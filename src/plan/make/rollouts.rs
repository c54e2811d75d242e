//! What is rolled out by colours: which colour is looked at, whether a change starts the other one, and the node that moves the
//! traffic.

use super::modules::canary_refused;
use crate::plan::make::{Maker, Seen, blank};
use crate::{
    base::{ActionWord, Address, Color, Diagnostic, Event, Side, Span},
    graph::Id,
    kinds::Cause,
    lang::{Declaration, configuration::Rollout},
    plan::{
        Debt, Mode, Planned, Shift,
        decide::Decided,
        instance::{self, Instance},
        removal,
    },
    rollout::{Spec, Strategy},
    state::Status,
};
use futures::future::BoxFuture;

/// Something that is rolled out by colours, on the way to its nodes.
pub(super) struct Unit {
    /// The node at which its traffic moves.
    pub(super) id: Id,
    pub(super) spec: Spec,
    /// What has the traffic.
    pub(super) live: Option<Color>,
    /// The colour that is rolled out, once that is known.
    pub(super) next: Option<Color>,
}

impl<'s> Maker<'s> {
    /// Starts an instance: the colour of it that has the traffic, where it is rolled out by colours.
    pub(super) fn start_unit(&mut self, id: Id, unit: &Address) -> Option<BoxFuture<'s, Seen>> {
        let resource = self.subject.configuration.resource(&Declaration::from(unit));
        let declared = resource.and_then(|resource| Some((resource, resource.rollout.as_ref()?)));
        let spec = match declared {
            Some((_, rollout)) => self.spec(unit, rollout)?,
            None => None,
        };
        let (Some(spec), Some((resource, rollout))) = (spec, declared) else {
            self.leave_colors(unit);
            return self.start_instance(id, unit);
        };
        if spec.analyses.is_empty() && resource.verify.is_empty() {
            self.nothing_verifies(unit, &rollout.block.header);
            return None;
        }
        if self.shares_a_route(unit, &spec, &rollout.block.header) {
            return None;
        }
        let first = spec.strategy.on(Side::Blue);
        if !self.take_over(unit, spec.strategy, &rollout.block.header) {
            return None;
        }
        let live = self.state.live_color(unit);
        self.units.insert(unit.clone(), Unit { id, spec, live, next: live.is_none().then_some(first) });
        let colored = unit.with_color(Some(live.unwrap_or(first)));
        self.declared.insert(colored.clone());
        self.keep_warm(unit, None);
        let job = self.start_instance(id, &colored);
        if job.is_none() && live.is_none() {
            self.shift(unit, false);
        }
        job
    }

    /// Refuses a second unit on one route: it would take the first one's traffic.
    pub(super) fn shares_a_route(&mut self, unit: &Address, spec: &Spec, header: &Span) -> bool {
        let same_route = |(_, other): &(&Address, &Unit)| other.spec.traffic == spec.traffic;
        let other = self.units.iter().find(same_route).map(|(other, _)| other.clone()).or_else(|| {
            let recorded = |(other, standing): &(&Address, &crate::rollout::Standing)| {
                *other != unit && standing.live.is_some() && standing.traffic.as_ref() == Some(&spec.traffic)
            };
            self.state.rollouts.iter().find(recorded).map(|(other, _)| other.clone())
        });
        let Some(other) = other else { return false };
        let what = format!("{unit} and {other} are rolled out over {}", spec.traffic);
        let problem = Diagnostic::error("rollout_shared_route", what)
            .at(header, "")
            .because("a route has two sides, and the second would take the traffic of the first");
        let own = "give each a `traffic` block of its own";
        self.problems.push(if self.is_declared(&other) {
            problem.hint(own)
        } else {
            problem.hint(format!("{own}; where it is the same thing under another address, write `moved`"))
        });
        true
    }

    /// Whether a resource or a module call is declared that this is an instance of.
    fn is_declared(&self, unit: &Address) -> bool {
        let (configuration, declaration) = (&self.subject.configuration, Declaration::from(unit));
        if unit.is_call() {
            return configuration.module(&declaration.path).is_some_and(|m| m.calls.contains_key(&declaration.name));
        }
        configuration.resource(&declaration).is_some()
    }

    /// What a `rollout` block asks for; inside, `None` under the rolling strategy. Nothing where it is wrong.
    #[expect(clippy::option_option, reason = "nothing to go on with is something else than nothing to move")]
    pub(super) fn spec(&mut self, unit: &Address, rollout: &Rollout) -> Option<Option<Spec>> {
        // Which colour is asked does not matter: only `backend` tells them apart, and that is not part of it.
        let found = self.evaluator.rollout(&unit.with_color(Some(Color::Blue)));
        let spec = found.and_then(|value| value.map_or(Ok(None), |value| Spec::of(&value, rollout)));
        let spec = match spec {
            Ok(spec) => spec,
            Err(problems) => {
                self.problems.extend(problems);
                return None;
            }
        };
        let refused = spec.as_ref().and_then(|spec| {
            canary_refused(unit, spec, &rollout.block.header).or_else(|| self.sideless(unit, rollout))
        });
        if let Some(problem) = refused {
            self.problems.push(problem);
            return None;
        }
        if let Some(spec) = &spec
            && spec.traffic.kind() != "traffic"
        {
            let what = format!("{} is no route", spec.traffic);
            self.problems.push(Diagnostic::error("rollout_traffic", what).at(&rollout.block.header, ""));
            return None;
        }
        if let Some(problem) = spec.as_ref().and_then(|spec| self.moves_in_steps(unit, spec, rollout)) {
            self.problems.push(problem);
            return None;
        }
        Some(spec)
    }

    /// Refuses traffic that would move to whatever comes up.
    pub(super) fn nothing_verifies(&mut self, unit: &Address, header: &Span) {
        let what = format!("{unit} is rolled out by colours, and nothing verifies the new one");
        let problem = Diagnostic::error("rollout_unverified", what)
            .at(header, "")
            .because("traffic would move to whatever comes up")
            .hint("write a `verify` block in what is rolled out, in its `rollout`, or in both");
        self.problems.push(problem);
    }

    /// What was there without a colour, or in one of another strategy, is a colour of this one now, under its old name and on its side of
    /// the route (rule 37). False where that cannot be, which is told.
    fn take_over(&mut self, unit: &Address, strategy: Strategy, header: &Span) -> bool {
        let standing = self.state.rollouts.get(unit);
        let (from, side) = if self.state.resources.contains_key(unit) {
            (unit.clone(), standing.and_then(|standing| standing.was).map_or(Side::Blue, Color::side))
        } else {
            match self.state.live_color(unit).filter(|live| strategy.on(live.side()) != *live) {
                Some(live) => (unit.with_color(Some(live)), live.side()),
                None => return true,
            }
        };
        let kept = standing.and_then(|standing| standing.kept.as_ref()).filter(|_| from.color().is_some());
        let to = strategy.on(side);
        let problem = |what: String| Diagnostic::error("rollout_strategy", what).at(header, "");
        let problem = if let Some(kept) = kept {
            problem(format!("{unit} goes to another strategy, and its colour {} is still warm", kept.color))
                .because("its side of the route is the one that the new version would come up on")
                .hint(format!("retire it first: terrace rollout finish {unit}"))
        } else if to == Color::Canary {
            problem(format!("{unit} has its traffic on the green side, which is the canary's"))
                .because("the stable one stands on the blue side")
                .hint(
                    "roll it out once more under blue_green, which takes its traffic to blue; then change the strategy",
                )
        } else {
            self.rename(from, unit.with_color(Some(to)));
            return true;
        };
        self.problems.push(problem);
        false
    }

    /// Under the rolling strategy what has the traffic is the thing, and the other colour goes.
    pub(super) fn leave_colors(&mut self, unit: &Address) {
        let Some(live) = self.state.live_color(unit) else { return };
        let parts: Vec<Address> = self.state.parts(unit, live).map(|part| part.address.clone()).collect();
        for part in parts {
            if let Some(to) = part.painted(unit, None).filter(|to| !self.state.resources.contains_key(to)) {
                self.leaving.insert(to.clone());
                self.rename(part, to);
            }
        }
    }

    pub(super) fn rename(&mut self, from: Address, to: Address) {
        self.state.fold(crate::state::Record::Moved { from: from.clone(), to: to.clone() });
        self.moves.add(from, to);
    }

    /// The other colour stays as long as it is kept warm, unless it is what is rolled out now.
    pub(super) fn keep_warm(&mut self, unit: &Address, next: Option<Color>) {
        let Some(kept) = self.state.rollouts.get(unit).and_then(|standing| standing.kept.clone()) else { return };
        let parts: Vec<Address> = self.state.parts(unit, kept.color).map(|part| part.address.clone()).collect();
        let pays = self.request.mode == Mode::Normal && kept.due <= self.subject.world.clock().now();
        if pays || parts.is_empty() || next == Some(kept.color) {
            return;
        }
        self.declared.extend(parts);
        self.debts.push(Debt { address: unit.with_color(Some(kept.color)), due: kept.due, failed: kept.failed });
    }

    /// Only what was kept warm, and has no traffic: what is named, else what is due.
    pub(super) async fn retire(&mut self) {
        let now = self.subject.world.clock().now();
        let mut owed = Vec::new();
        for (unit, standing) in &self.state.rollouts {
            let Some(kept) = standing.kept.as_ref().filter(|_| standing.going.is_none()) else { continue };
            let named = self.request.retire.contains(&unit.with_color(Some(kept.color)));
            let due = kept.due <= now;
            if named || self.request.retire.is_empty() && due {
                let why = if due { removal::Why::Retired } else { removal::Why::RetiredEarly };
                let parts = self.state.parts(unit, kept.color);
                owed.extend(parts.map(|resource| (resource.address.clone(), why.clone())));
            }
        }
        self.events.emit(Event::ObserveStarted { total: owed.len() });
        self.remove(owed).await;
    }

    /// What an address is a colour of, where that is rolled out by colours.
    pub(super) fn color_of(&self, address: &Address) -> Option<Address> {
        address.color()?;
        Some(address.with_color(None)).filter(|unit| self.units.contains_key(unit))
    }

    /// Takes in what was decided of one colour.
    pub(super) fn seen_color(&mut self, instance: &Instance, unit: &Address, decided: Decided) {
        let Some((live, next)) = self.units.get(unit).map(|u| (u.live, u.next)) else { return };
        let address = &instance.address;
        let exports = decided.exports.clone().waiting_for(address);
        let attributes = instance::attributes(&instance.evaluated.inputs, &exports);
        self.evaluator.set(address, attributes.clone());
        self.own_drift(decided.drift.clone());
        // Only a new declaration starts a colour; drift is mended in place.
        let starts = self.request.mode == Mode::Normal && next.is_none() && declares(&decided);
        let Some(color) = live.filter(|_| starts) else {
            let switch = next.is_some() && live.is_some() && self.is_proved(unit, &decided.planned);
            self.evaluator.set(unit, attributes);
            self.push(decided.planned);
            if next.is_some() {
                self.shift(unit, switch);
            }
            return;
        };
        let other = color.other();
        let id = {
            let Some(unit) = self.units.get_mut(unit) else { return };
            unit.next = Some(other);
            unit.id
        };
        if color == Color::Stable {
            // It is updated once the canary has proved what it is updated to.
            self.push(decided.planned);
        } else {
            let mut stays = blank(address, decided.planned.phase.clone(), ActionWord::NoOp);
            stays.identity = decided.planned.identity;
            stays.fingerprint = decided.planned.fingerprint;
            stays.moved_from = decided.planned.moved_from;
            stays.reasons.push(format!("it keeps the traffic until {other} is proved"));
            self.push(stays);
        }
        let beside = unit.with_color(Some(other));
        self.declared.insert(beside.clone());
        self.debts.retain(|debt| debt.address != beside);
        self.more.push((id, beside));
    }

    /// Starts the colour that a change asks for.
    pub(super) fn start_beside(&mut self, id: Id, colored: &Address) -> Option<BoxFuture<'s, Seen>> {
        let job = self.start_instance(id, colored);
        if job.is_none() {
            self.shift(&colored.with_color(None), false);
        }
        job
    }

    /// True where a colour needs nothing, or only to be verified again, and had all the traffic before: it only has to get it back.
    fn is_proved(&self, unit: &Address, planned: &Planned) -> bool {
        let kept = self.state.rollouts.get(unit).and_then(|standing| standing.kept.as_ref());
        let verified = self.state.resources.get(&planned.address).is_some_and(|r| r.status == Status::Verified);
        let kept = kept.is_some_and(|kept| Some(kept.color) == planned.address.color() && kept.failed.is_none());
        matches!(planned.action, ActionWord::NoOp | ActionWord::Verify) && verified && kept
    }

    /// The node that moves the traffic.
    pub(super) fn shift(&mut self, unit: &Address, switch: bool) {
        let Some(Unit { spec, live, next: Some(to), .. }) = self.units.get(unit) else { return };
        let phase = self.subject.graph.phase_of(&Declaration::from(unit));
        let mut planned = blank(unit, phase, ActionWord::Shift);
        let spec = if switch || live.is_none() { spec.at_once() } else { spec.clone() };
        planned.verify = spec.analyses.keys().cloned().collect();
        planned.rollout = Some(Box::new(Shift { from: *live, to: *to, spec, switch }));
        self.push(planned);
    }
}

/// Whether a change is asked for by what is declared, and not only by what somebody did behind our back.
pub(super) fn declares(decided: &Decided) -> bool {
    let planned = &decided.planned;
    let declared = |cause: Cause| cause == Cause::Declared;
    let fields = || planned.fields.iter().chain(planned.children.iter().flat_map(|child| &child.fields));
    match planned.action {
        ActionWord::Update | ActionWord::Replace if decided.own == ActionWord::NoOp => false,
        // Where nothing tells what differs, it is not drift: that is always told.
        ActionWord::Update | ActionWord::Replace => {
            fields().any(|field| declared(field.cause)) || fields().next().is_none()
        }
        _ => false,
    }
}
