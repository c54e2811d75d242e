//! What is rolled out by colours has its turn: the new colour is applied and verified, then its traffic moves.

use crate::apply::executor::{Executor, Job, tell};
use crate::{
    apply::{
        rollout::{Behind, Judge, Rollout, Turn, connections_of_color},
        work::End,
    },
    base::{ActionWord, Address, Color, NodeEnd, Value},
    graph::Id,
    kinds::{release_name, under_test},
    lang::{Declaration, configuration::Rollout as Declared},
    plan::{
        Moment, Plan, Planned, Shift,
        backend::{backend, text},
    },
    state::Snapshot,
    world::Backend,
};
use std::{collections::BTreeMap, sync::Arc};

const COLORS: [Color; 4] = [Color::Blue, Color::Green, Color::Stable, Color::Canary];

/// Which colour is meant of each module that is rolled out as a whole: the one that gets the traffic, else the one that has it, else the
/// only one that the plan knows.
pub(super) fn painted(plan: &Plan, state: &Snapshot) -> BTreeMap<Address, Color> {
    let live = state.rollouts.iter().filter(|(unit, _)| unit.is_call());
    let mut painted: BTreeMap<Address, Color> =
        live.filter_map(|(unit, standing)| Some((unit.clone(), standing.live?))).collect();
    let stays = plan.nodes.iter().filter(|node| node.moment == Moment::Phase);
    for (unit, color) in stays.filter_map(|node| node.address.unit()).filter(|(unit, _)| unit.is_call()) {
        painted.entry(unit).or_insert(color);
    }
    let shifts = plan.nodes.iter().filter(|node| node.address.is_call());
    painted.extend(shifts.filter_map(|node| Some((node.address.clone(), node.rollout.as_ref()?.to))));
    painted
}

impl<'r> Executor<'r> {
    /// An instance has its turn: the colour of it that is to be applied, where it is rolled out by colours.
    pub(super) fn start_unit(&mut self, id: Id, declaration: &Declaration, unit: &Address) {
        if self.declares_rollout(declaration)
            && let Some(color) = self.first_color(unit)
        {
            return self.start_instance(id, declaration, &unit.with_color(Some(color)));
        }
        self.start_instance(id, declaration, unit);
    }

    /// Everything in a module is applied and verified. Where its traffic is to move, that begins now.
    pub(super) fn visit_call_end(&mut self, id: Id, path: &[Arc<str>]) {
        let Some((name, outer)) = path.split_last() else { return };
        let call = Declaration { path: outer.to_vec(), kind: Address::CALL.into(), name: name.clone() };
        let of_it = |unit: &&Address| unit.is_call() && Declaration::from(*unit) == call;
        let units: Vec<Address> = self.planned.keys().copied().filter(of_it).cloned().collect();
        self.open.insert(id, units.len());
        for unit in units {
            match self.shift_of(&unit) {
                Some(shift) => self.start_rollout(id, &unit, shift, false),
                None => self.instance_done(id),
            }
        }
        self.close_if_done(id);
    }

    fn declares_rollout(&self, declaration: &Declaration) -> bool {
        self.subject.configuration.resource(declaration).is_some_and(|declared| declared.rollout.is_some())
    }

    /// The colour that the plan works on first: the one that gets the traffic, or, where none moves, the one that has it.
    fn first_color(&self, unit: &Address) -> Option<Color> {
        if let Some(shift) = self.shift_of(unit) {
            return Some(shift.to);
        }
        // Under the rolling strategy it is planned as it is.
        if self.planned.contains_key(unit) {
            return None;
        }
        let planned = |color: &Color| self.planned.contains_key(&unit.with_color(Some(*color)));
        // What is not meant by this run is what state remembers.
        COLORS.into_iter().find(planned).or_else(|| self.desk.store.with(|state| state.live_color(unit)))
    }

    fn shift_of(&self, unit: &Address) -> Option<&'r Shift> {
        self.planned.get(unit).filter(|node| node.action == ActionWord::Shift)?.rollout.as_deref()
    }

    /// Sets what an instance turned out to be, for what refers to it: a colour stands for what it is a colour of.
    pub(super) fn becomes(&mut self, address: &Address, attributes: Value) {
        if address.color().is_some() {
            self.evaluator.set(&address.with_color(None), attributes.clone());
        }
        self.evaluator.set(address, attributes);
    }

    /// An instance is applied and verified. Where its traffic is to move, that begins now.
    pub(super) fn instance_ended(&mut self, id: Id, address: &Address) {
        let unit = address.with_color(None);
        match (address.color(), self.shift_of(&unit)) {
            (Some(color), Some(shift)) if color == shift.to => self.start_rollout(id, &unit, shift, false),
            (Some(Color::Stable), Some(shift)) if shift.to == Color::Canary => {
                self.start_rollout(id, &unit, shift, true);
            }
            _ => self.instance_done(id),
        }
    }

    fn start_rollout(&mut self, id: Id, unit: &Address, shift: &'r Shift, settled: bool) {
        let declaration = Declaration::from(unit);
        let Some(declared) = self.subject.configuration.rollout(&declaration) else { return self.instance_done(id) };
        let Some(planned) = self.planned.get(unit).copied() else { return self.instance_done(id) };
        if !settled {
            self.begin(unit, &planned.phase, ActionWord::Shift);
        }
        match self.rollout(unit, shift, declared, planned, settled) {
            Ok(rollout) => self.waiting.push_back(Job::Rollout(id, Box::new(rollout))),
            Err(why) => self.fail_instance(id, unit, &why),
        }
    }

    fn rollout(
        &mut self,
        unit: &Address,
        shift: &'r Shift,
        declared: &'r Declared,
        planned: &'r Planned,
        settled: bool,
    ) -> Result<Rollout<'r>, String> {
        let there = self.desk.store.with(|state| connections_of_color(self.subject, state, unit, shift.to));
        let release = there.ok_or_else(|| format!("{} is not there", unit.with_color(Some(shift.to))))?;
        let mut backends = BTreeMap::new();
        for color in [shift.from, Some(shift.to)].into_iter().flatten() {
            if let Some(backend) = self.backend(unit, color)? {
                backends.insert(color, backend);
            }
        }
        let mut judges = BTreeMap::new();
        for verify in &declared.verify {
            if !shift.spec.analyses.contains_key(&verify.name) {
                continue;
            }
            let mut seen = |color: Color| {
                let address = unit.with_color(Some(color));
                let probe = self.evaluator.probe(address.module(), Some(&address), verify).map_err(|p| tell(&p))?;
                Ok::<_, String>(self.asked_of(&address, &probe))
            };
            let new = seen(shift.to)?;
            let old = shift.from.map(&mut seen).transpose()?;
            let connections = self.connections_of(&new, &release)?;
            judges.insert(verify.name.clone(), Judge { new, old, connections });
        }
        Ok(Rollout {
            desk: self.desk,
            unit: unit.clone(),
            phase: planned.phase.clone(),
            shift,
            behind: Behind::new(shift.spec.traffic.clone(), release, backends),
            judges,
            interrupt: self.options.interrupt.clone(),
            failing: self.failing.subscribe(),
            settled,
        })
    }

    /// A probe as it is asked of one instance: what it leaves out follows from the thing, and a service by the plain name of the release is that
    /// of the colour under test (rule 37).
    pub(super) fn asked_of(&self, address: &Address, probe: &Value) -> Value {
        let Some(own) = self.evaluator.get(address) else { return probe.clone() };
        let probe = crate::kinds::probe_defaults(probe, own);
        let text = |name: &str| own.get(name).and_then(Value::as_str);
        let Some(name) = text("name") else { return probe };
        let plain = release_name(&address.with_color(None));
        // What went back to the rolling strategy still bears the name of the colour that it was.
        let was = || COLORS.iter().any(|color| release_name(&address.with_color(Some(*color))) == name);
        if address.color().is_none() && !was() {
            return probe;
        }
        // What a chart brings bears the release's name, or that and the chart's.
        let chart = text("chart").and_then(|chart| chart.rsplit('/').next()).unwrap_or_default();
        let names = [(plain.clone(), name.to_owned()), (format!("{plain}-{chart}"), format!("{name}-{chart}"))];
        under_test(&probe, &names)
    }

    /// What receives the traffic of a colour, by its `backend` block.
    fn backend(&mut self, unit: &Address, color: Color) -> Result<Option<Backend>, String> {
        let address = unit.with_color(Some(color));
        let value = self.evaluator.rollout(&address).map_err(|problems| tell(&problems))?;
        let remembered = self.desk.store.with(|state| state.resources.get(&address).cloned());
        let own = |name: &str| {
            let resource = remembered.as_ref()?;
            text(resource.identity.get(name).map(Value::from_json).as_ref()).or_else(|| text(resource.inputs.get(name)))
        };
        backend(value.as_ref(), &address, own)
    }

    /// A rollout came back.
    pub(super) fn shifted(&mut self, id: Id, unit: &Address, phase: &Arc<str>, turn: Result<Turn, End>) {
        match turn {
            Ok(Turn::Done) => {
                self.touched.insert(phase.clone());
                *self.counts.entry(ActionWord::Shift.word().to_owned()).or_default() += 1;
                self.end_node(unit, phase, ActionWord::Shift, NodeEnd::Done);
                self.instance_done(id);
            }
            Ok(Turn::Settle) => {
                let declaration = Declaration::from(unit);
                self.start_instance(id, &declaration, &unit.with_color(Some(Color::Stable)));
            }
            Ok(Turn::Left) => {
                let why = "its traffic stays where it is; `terrace resume` goes on with it".to_owned();
                self.end_node(unit, phase, ActionWord::Shift, NodeEnd::Left { why });
                self.blocked.insert(id, unit.clone());
            }
            Err(end) => self.bad_end(Some(id), unit, phase, ActionWord::Shift, end),
        }
    }

    /// The stable version of a canary could not be updated: the canary's traffic goes back. The rollout hears of the failure as of
    /// any other in its phase.
    pub(super) fn take_back(&mut self, id: Id, address: &Address) {
        let unit = address.with_color(None);
        if let (Some(Color::Stable), Some(shift)) = (address.color(), self.shift_of(&unit))
            && shift.to == Color::Canary
        {
            self.start_rollout(id, &unit, shift, false);
        }
    }

    /// Says in which phase something failed: rollouts that run there go back (rule 34).
    pub(super) fn tell_failing(&self, phase: &Arc<str>, address: &Address) {
        self.failing.send_modify(|failing| {
            failing.entry(phase.clone()).or_insert_with(|| address.clone());
        });
    }
}
