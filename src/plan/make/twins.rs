//! The same thing in the other colour, evaluated beside the one that is to come up: what would be one and the same in both is refused before
//! either is made (rules 37 and 38). Of charts and manifests it is rendered, too, for what they take up in the cluster (`shared.rs`).

use super::modules::is_same;
use crate::plan::make::Maker;
use crate::{
    base::{Address, Data, Diagnostic, Digest, Path, Value},
    kinds::{Desired, Difference, Preview, Sole},
    lang::{Declaration, evaluate::Evaluated, schema::Role},
    plan::{
        DeferReason, Mode,
        connect::Connections,
        decide::name_of,
        instance::{self, Instance, Prepared},
        look::Look,
    },
    world::Outcome,
};
use std::{collections::BTreeSet, sync::Arc};

/// Kinds that are rendered in the other colour: of others a look ahead would leave something behind.
const RENDERED: [&str; 2] = ["helm", "manifest"];

/// The other colour of something, and what it would be.
pub(super) struct Beside {
    pub(super) instance: Box<Instance>,
    /// What rendering it told, where it was rendered.
    pub(super) look: Option<Outcome<Look>>,
    /// What rendering the colour told that is to come up, where it is made of values that are not known yet: with others in their place.
    pub(super) guess: Option<Outcome<Look>>,
}

impl Beside {
    /// What the other colour comes to.
    pub(super) fn preview(&self) -> Option<&Preview> {
        self.look.as_ref()?.as_ref().ok()?.preview.as_ref()
    }

    /// What the colour may come to that is to come up.
    pub(super) fn guessed(&self) -> Option<&Preview> {
        self.guess.as_ref()?.as_ref().ok()?.preview.as_ref()
    }
}

/// What was refused of the other colour is told.
pub(super) struct Refused;

impl Maker<'_> {
    /// The colour of what is rolled out that this is, or that this is in, where that is to come up.
    pub(super) fn comes_up(&self, address: &Address) -> Option<Address> {
        let (unit, color) = address.unit()?;
        let next = self.units.get(&unit)?.next;
        (self.request.mode == Mode::Normal && next == Some(color)).then_some(unit)
    }

    /// The other colour of what is to come up, where it can be looked at.
    ///
    /// # Errors
    /// Both would be one and the same.
    pub(super) fn twin(&mut self, address: &Address, prepared: &Prepared) -> Result<Option<Box<Instance>>, Refused> {
        let twin = self.comes_up(address).and_then(|unit| {
            let other = address.painted(&unit, address.unit().map(|(_, color)| color.other()))?;
            Some((unit, other))
        });
        let Some((unit, other)) = twin else { return Ok(None) };
        let fixed = self.state.resources.get(&other).map(|resource| resource.identity.clone());
        // What is wrong with it alone is its own rollout's to tell.
        let Ok(twin) = instance::prepare(self.subject, &mut self.evaluator, &other, fixed.as_ref()) else {
            return Ok(None);
        };
        if self.evaluator.get(&other).is_none() {
            let attributes = self.would_be(&other, &twin);
            self.evaluator.set(&other, attributes);
        }
        if self.are_one(&unit, (address, prepared), (&other, &twin)) {
            return Err(Refused);
        }
        // In a cluster that is not there yet nothing is rendered; objects that are written out are known all the same.
        if let (Prepared::Waits { .. }, Some(kind)) = (prepared, crate::kinds::kind(address.kind()))
            && is_one_place(prepared, &twin)
            && let Some(new) = kind.footprint(&parts(prepared).1.inputs)
            && let Some(other) = kind.footprint(&parts(&twin).1.inputs)
            && self.tell(&unit, Some(address), other.clash(&new, false))
        {
            return Err(Refused);
        }
        Ok(match twin {
            Prepared::Ready(twin) => Some(twin),
            Prepared::Waits { .. } => None,
        })
    }

    /// Whether the other colour is to be rendered: it was not seen yet.
    pub(super) fn renders(&self, twin: &Instance) -> bool {
        RENDERED.contains(&twin.address.kind()) && !self.prints.contains_key(&twin.address)
    }

    /// What others in its colour see of it: as state remembers it, else as new as it would be.
    fn would_be(&self, address: &Address, twin: &Prepared) -> Value {
        let (evaluated, desired) = parts(twin);
        let exports = match (self.state.resources.get(address), crate::kinds::kind(address.kind())) {
            (Some(resource), _) => resource.exports.clone(),
            (None, Some(kind)) if self.role(address) == Some(Role::Managed) => {
                let new = Difference {
                    desired,
                    prior: None,
                    observed: None,
                    preview: None,
                    ignore: &[],
                    seal: &|plain| self.subject.seal.seal(plain),
                };
                kind.diff(&new).exports.waiting_for(address)
            }
            _ => return Value::unknown_until(address.clone()),
        };
        instance::attributes(&evaluated.inputs, &exports)
    }

    fn role(&self, address: &Address) -> Option<Role> {
        self.subject.configuration.resource(&Declaration::from(address)).map(|resource| resource.role)
    }

    /// Refuses what both colours would have under one name, by what they come to and not by how it is written.
    fn are_one(&mut self, unit: &Address, new: (&Address, &Prepared), other: (&Address, &Prepared)) -> bool {
        let ((address, new), (twin, other)) = (new, other);
        let Some(kind) = crate::kinds::kind(address.kind()) else { return false };
        if self.role(address) != Some(Role::Managed) || !is_one_place(new, other) {
            return false;
        }
        let ((evaluated, new), (_, other)) = (parts(new), parts(other));
        let mut problems = Vec::new();
        if let (Some(noun), Some(one), Some(two)) = (kind.noun(), &new.identity, &other.identity)
            && is_same(one, two)
        {
            let plain = address.painted(unit, None).unwrap_or_else(|| address.clone());
            let name = one["name"].as_str().map_or_else(|| name_of(one), |name| format!("`{name}`"));
            let what = format!("{plain}: the {noun} is called {name} in every colour");
            let problem = Diagnostic::error("rollout_name", what)
                .because("two colours stand side by side, and need a name each")
                .hint(write_the_color(unit, "`name`, or leave it out"));
            problems.push(match evaluated.places.get(&Path::default().key("name")) {
                Some(place) => problem.at(place, ""),
                None => problem,
            });
        }
        // What is one thing has all of that in common.
        let named = !problems.is_empty();
        let have = |desired: &Desired| -> Vec<Sole> { kind.once(desired) };
        let theirs: BTreeSet<Digest> = have(other).into_iter().map(|sole| sole.key).collect();
        for Sole { mut problem, .. } in have(new).into_iter().filter(|sole| !named && theirs.contains(&sole.key)) {
            let mut both = [address, twin];
            both.sort();
            problem.summary = format!("{} and {} both {}", both[0], both[1], problem.summary);
            problems.push(problem);
        }
        let refused = !problems.is_empty();
        let span = self.subject.configuration.resource(&Declaration::from(address)).map(|r| r.span.clone());
        for problem in problems {
            let placed = !problem.labels.is_empty();
            self.problems.push(match span.as_ref().filter(|_| !placed) {
                Some(span) => problem.at(span, ""),
                None => problem,
            });
        }
        refused
    }
}

/// A chart whose values are not all known yet, with others in their place that differ between the colours: what is the same in both all
/// the same is so whatever they turn out to be. What cannot be rendered so is not looked through.
pub(super) fn guessed(instance: &Instance) -> Option<Box<Instance>> {
    let inputs = &instance.desired.inputs;
    let (_, color) = instance.address.unit()?;
    if instance.address.kind() != "helm" || !(inputs.has_unknown() || inputs.has_sealed()) {
        return None;
    }
    let stands_in = Value::from(format!("{color}-not-known-yet").as_str());
    let desired = Desired { inputs: filled(inputs, &stands_in), ..instance.desired.clone() };
    Some(Box::new(Instance { desired, ..instance.clone() }))
}

fn filled(value: &Value, stands_in: &Value) -> Value {
    let data = match value.data() {
        Data::Unknown(_) | Data::Sealed(_) => return stands_in.clone().with_mark(value.is_sensitive()),
        Data::Mapping(kind, entries) => {
            let entries = entries.iter().map(|(key, value)| (key.clone(), filled(value, stands_in)));
            Data::Mapping(*kind, Arc::new(entries.collect()))
        }
        Data::Sequence(kind, elements) => {
            Data::Sequence(*kind, Arc::new(elements.iter().map(|value| filled(value, stands_in)).collect()))
        }
        _ => return value.clone(),
    };
    Value::from(data).with_mark(value.is_sensitive())
}

/// Where the colour is to be written, as it is known there: in a module it comes by an argument.
pub(super) fn write_the_color(unit: &Address, into: &str) -> String {
    if unit.is_call() {
        format!("give the module a variable for the colour (color = self.color), and write it into {into}")
    } else {
        format!("write self.color into {into}")
    }
}

/// Both as they are evaluated.
const fn parts(prepared: &Prepared) -> (&Evaluated, &Desired) {
    match prepared {
        Prepared::Ready(instance) => (&instance.evaluated, &instance.desired),
        Prepared::Waits { evaluated, desired, .. } => (evaluated, desired),
    }
}

/// Whether both live in one place, or will: the same connection, or one that both wait for.
fn is_one_place(one: &Prepared, two: &Prepared) -> bool {
    fn place(prepared: &Prepared) -> (Option<&Connections>, Option<&DeferReason>) {
        match prepared {
            Prepared::Ready(instance) => (Some(&instance.connections), None),
            Prepared::Waits { reason, .. } => (None, Some(reason)),
        }
    }
    place(one) == place(two)
}
