//! What two colours of one thing may not share, since both stand there for a while: objects, claims, pods that the other one selects
//! (rule 37). Held against each other as they are rendered, and as the live one stands there now: each chart and manifest against
//! itself, and all that is in a module against all of its other colour.

use super::twins::{Beside, write_the_color};
use crate::plan::make::{Maker, remembered_connections, sole};
use crate::{
    base::{Address, Diagnostic, few},
    kinds::{Clash, Footprint, Preview, kind},
    lang::Declaration,
    plan::instance::Instance,
};
use std::collections::BTreeMap;

/// How many of what two colours share are named.
const TOLD: usize = 5;

/// What a colour of something takes up in its cluster.
pub(super) struct Prints {
    /// The cluster.
    place: String,
    /// As it is declared now.
    now: Footprint,
    /// As it stands there, where it does.
    standing: Option<Footprint>,
}

/// What all of a colour takes up, by cluster: as it is declared now, and as it stands there.
type Whole = BTreeMap<String, Footprint>;

impl Maker<'_> {
    /// Notes what a colour of something takes up. Where that is to come up it is held against the other colour, which was looked at
    /// before, or beside it. True where they clash, which is told.
    pub(super) fn clashes(&mut self, instance: &Instance, preview: Option<&Preview>, beside: Option<&Beside>) -> bool {
        let address = &instance.address;
        let prints = self.prints(instance, preview.or_else(|| beside?.guessed()));
        if let Some(prints) = &prints {
            self.note_services(instance, &prints.now);
        }
        let Some((unit, color)) = address.unit().filter(|(unit, _)| self.units.contains_key(unit)) else {
            return false;
        };
        let comes_up = self.comes_up(address).is_some();
        if let (true, false, Some(prints)) = (comes_up, unit.is_call(), &prints) {
            self.note_backend(instance, &unit, &prints.now);
        }
        if let Some(beside) = beside
            && beside.look.is_some()
            && let Some(prints) = self.prints(&beside.instance, beside.preview())
        {
            self.prints.insert(beside.instance.address.clone(), prints);
        }
        if let Some(prints) = prints {
            self.prints.insert(address.clone(), prints);
        }
        let other = address.painted(&unit, Some(color.other())).and_then(|twin| self.prints.get(&twin));
        let clash = match self.prints.get(address).zip(other).filter(|_| comes_up) {
            Some((new, other)) if new.place == other.place => {
                let sides = other.standing.iter().chain([&other.now]);
                let unknown = self.units.get(&unit).is_some_and(|of| of.live.is_some());
                sides.map(|side| side.clash(&new.now, unknown)).find(|clash| !clash.is_empty()).unwrap_or_default()
            }
            _ => Clash::default(),
        };
        self.tell(&unit, Some(address), clash)
    }

    /// Everything in a module was seen: holds all of the colour that is to come up against all of the other one.
    pub(super) fn keep_apart(&mut self, unit: &Address) {
        let Some((live, Some(next))) = self.units.get(unit).map(|of| (of.live, of.next)) else { return };
        let mut new = Whole::new();
        let mut other = Whole::new();
        for (address, prints) in &self.prints {
            let Some((_, color)) = address.unit().filter(|(of, _)| of == unit) else { continue };
            if color == next {
                new.entry(prints.place.clone()).or_default().merge(&prints.now);
            } else {
                let whole = other.entry(prints.place.clone()).or_default();
                whole.merge(&prints.now);
                whole.merge(prints.standing.as_ref().unwrap_or(&prints.now));
            }
        }
        // What stands there and is no longer declared is known as far as state tells.
        for resource in live.into_iter().flat_map(|live| self.state.parts(unit, live)) {
            if let (false, Some(kind)) = (self.prints.contains_key(&resource.address), kind(resource.address.kind()))
                && let Some(print) = kind.footprint(&resource.inputs)
            {
                let place = sole::place(&remembered_connections(self.subject, resource));
                other.entry(place).or_default().merge(&print);
            }
        }
        for (place, new) in &new {
            let clash = other.get(place).map(|other| other.clash(new, live.is_some())).unwrap_or_default();
            self.tell(unit, None, clash);
        }
    }

    fn prints(&self, instance: &Instance, preview: Option<&Preview>) -> Option<Prints> {
        let of = |inputs| instance.kind.footprint(inputs);
        let now = preview.and_then(|preview| preview.footprint.clone()).or_else(|| of(&instance.desired.inputs))?;
        let remembered = || self.state.resources.get(&instance.address).and_then(|resource| of(&resource.inputs));
        let standing = preview.and_then(|preview| preview.standing.clone()).or_else(remembered);
        Some(Prints { place: sole::place(&instance.connections), now, standing })
    }

    /// True where there is anything to tell of a thing that is rolled out, or of a part of it. What is told once of the whole is not
    /// told again.
    pub(super) fn tell(&mut self, unit: &Address, part: Option<&Address>, mut clash: Clash) -> bool {
        if clash.is_empty() {
            return false;
        }
        clash.retain(|said| self.told.insert((unit.clone(), said.to_owned())));
        let Some(rollout) = self.subject.configuration.rollout(&Declaration::from(unit)) else { return false };
        let colors = self.units.get(unit).and_then(|of| of.live.zip(of.next));
        let both = match colors {
            Some((from, to)) => format!("{from} and {to} both"),
            None => "both colours would".to_owned(),
        };
        let later = if colors.is_some() { "" } else { ": it could be installed, and never be rolled out" };
        let plain = part.and_then(|part| part.painted(unit, None)).unwrap_or_else(|| unit.clone());
        let name = if plain.kind() == "helm" {
            write_the_color(unit, "what names them: `fullnameOverride` or the chart's own value")
        } else {
            write_the_color(unit, "their names")
        };
        let header = rollout.block.header.clone();
        let span = unit.is_call().then(|| self.subject.configuration.resource(&Declaration::from(&plain))).flatten();
        let span = span.map(|resource| resource.span.clone());
        let here = |problem: Diagnostic| {
            let problem = problem.at(&header, "rolled out by colours here");
            match &span {
                Some(span) => problem.at(span, "a part of that"),
                None => problem,
            }
        };
        if !clash.objects.is_empty() {
            let what = format!("{plain}: {both} have {}{later}", few(&clash.objects, TOLD));
            let problem = here(Diagnostic::error("rollout_shared_object", what))
                .because("two colours stand side by side, and retiring one would take the objects of both")
                .hint(format!("{name}; what both really share is declared once, in a `manifest` of its own"));
            self.problems.push(problem);
        }
        if !clash.claims.is_empty() {
            let what = format!("{plain}: {both} use the claim {}{later}", few(&clash.claims, TOLD));
            let name = write_the_color(unit, "the claim's name, or let it be ReadWriteMany");
            let problem = here(Diagnostic::error("rollout_shared_claim", what))
                .because("the new colour's pods would wait for the volume, or write to it beside the old one's")
                .hint(name);
            self.problems.push(problem);
        }
        if !clash.selectors.is_empty() {
            let both = both.trim_end_matches(" both").trim_end_matches(" would");
            let what = format!("{plain}: {both} are not kept apart: {}{later}", few(&clash.selectors, TOLD));
            let problem = here(Diagnostic::error("rollout_selector", what))
                .because("pods that are not proved yet would get requests, or be counted as another workload's")
                .hint("give the pods and what selects them a label that holds the colour, or the release's name");
            self.problems.push(problem);
        }
        true
    }
}
