//! What two colours of one thing may not share, since both stand there for a while: objects, claims, pods that the other one selects
//! (rule 37). Held against each other as they are rendered, and as the live one stands there now.

use crate::plan::make::{Maker, Seen, Work};
use crate::{
    base::{Address, Color, Diagnostic},
    graph::Id,
    kinds::{Clash, Footprint, Preview},
    lang::Declaration,
    plan::{
        instance::{self, Instance, Prepared},
        look::{How, Look, look},
    },
    world::Outcome,
};
use futures::future::BoxFuture;

/// How many of what two colours share are named.
const TOLD: usize = 5;

/// What a colour takes up in its cluster.
pub(super) struct Prints {
    /// As it is declared now.
    now: Footprint,
    /// As it stands there, where it does.
    standing: Option<Footprint>,
}

impl<'s> Maker<'s> {
    /// Notes what a colour takes up, and holds one that a change starts against the one that has the traffic. True where they clash,
    /// which is told.
    pub(super) fn clashes(&mut self, instance: &Instance, preview: Option<&Preview>) -> bool {
        let address = &instance.address;
        let Some(prints) = self.prints(instance, preview) else { return false };
        self.note_services(instance, &prints.now);
        let Some(unit) = self.unit_of(address) else { return false };
        let (live, next) = self.units.get(&unit).map(|unit| (unit.live, unit.next)).unwrap_or_default();
        let clash = match live.filter(|_| next == address.color()) {
            Some(live) => self.clash(&unit, live, &prints.now, true),
            None => Clash::default(),
        };
        if next == address.color() {
            self.note_backend(instance, &unit, &prints.now);
        }
        self.prints.insert(address.clone(), prints);
        self.tell(&unit, &clash, live.zip(next))
    }

    /// Has the colour rendered that a first installation does not start: what could never be rolled out is refused before it is there.
    pub(super) fn render_beside(&mut self, unit: &Address) {
        let Some((id, Some(first))) = self.units.get(unit).map(|unit| (unit.id, unit.next)) else { return };
        // Of other kinds a look ahead would leave something behind.
        if matches!(unit.kind(), "helm" | "manifest") {
            self.more.push((id, unit.with_color(Some(first.other()))));
        }
    }

    /// Renders it. What is wrong with it alone is its own rollout's to tell.
    pub(super) fn look_beside(&mut self, id: Id, colored: &Address) -> Option<BoxFuture<'s, Seen>> {
        let subject = self.subject;
        let Ok(Prepared::Ready(instance)) = instance::prepare(subject, &mut self.evaluator, colored, None) else {
            return None;
        };
        let how = How {
            offline: self.request.offline,
            preview: self.request.change_sets && !self.request.offline,
            timeout: self.request.read_timeout,
            planning: true,
        };
        let slots = self.slots.clone();
        Some(Box::pin(async move {
            let _slot = slots.acquire().await;
            let look = look(subject, &instance, None, None, how).await;
            Seen { what: Work::Beside { id, instance }, look }
        }))
    }

    /// Takes in what the colour comes to that a first installation does not start.
    pub(super) fn seen_beside(&mut self, instance: &Instance, look: Outcome<Look>) {
        let Some(unit) = self.unit_of(&instance.address) else { return };
        let Some(first) = self.units.get(&unit).and_then(|unit| unit.next) else { return };
        let preview = look.ok().and_then(|look| look.preview);
        let Some(prints) = self.prints(instance, preview.as_ref()) else { return };
        // A claim that is not there yet may be declared elsewhere in this plan.
        let clash = self.clash(&unit, first, &prints.now, false);
        self.tell(&unit, &clash, None);
    }

    fn prints(&self, instance: &Instance, preview: Option<&Preview>) -> Option<Prints> {
        let of = |inputs| instance.kind.footprint(inputs);
        let now = preview.and_then(|preview| preview.footprint.clone()).or_else(|| of(&instance.desired.inputs))?;
        let remembered = || self.state.resources.get(&instance.address).and_then(|resource| of(&resource.inputs));
        Some(Prints { now, standing: preview.and_then(|preview| preview.standing.clone()).or_else(remembered) })
    }

    /// Where what is to come up gets into the way of the other colour: as that stands there, or else as it is declared.
    fn clash(&self, unit: &Address, other: Color, new: &Footprint, unknown: bool) -> Clash {
        let Some(other) = self.prints.get(&unit.with_color(Some(other))) else { return Clash::default() };
        let sides = other.standing.iter().chain([&other.now]);
        sides.map(|side| side.clash(new, unknown)).find(|clash| !clash.is_empty()).unwrap_or_default()
    }

    /// True where there was anything to tell. `colors` are those of a rollout; without them it is the first installation.
    fn tell(&mut self, unit: &Address, clash: &Clash, colors: Option<(Color, Color)>) -> bool {
        let declared = self.subject.configuration.resource(&Declaration::from(unit));
        let Some(rollout) = declared.and_then(|resource| resource.rollout.as_ref()) else { return false };
        let both = match colors {
            Some((from, to)) => format!("{from} and {to} both"),
            None => "both colours would".to_owned(),
        };
        let later = if colors.is_some() { "" } else { ": it could be installed, and never be rolled out" };
        let chart = unit.kind() == "helm";
        let name = if chart {
            "write self.color into what names them: `fullnameOverride` or the chart's own value"
        } else {
            "write self.color into their names"
        };
        let here = |problem: Diagnostic| problem.at(&rollout.block.header, "rolled out by colours here");
        if !clash.objects.is_empty() {
            let what = format!("{unit}: {both} have {}{later}", few(&clash.objects));
            let problem = here(Diagnostic::error("rollout_shared_object", what))
                .because("two colours stand side by side, and retiring one would take the objects of both")
                .hint(format!("{name}; what both really share is declared once, in a `manifest` of its own"));
            self.problems.push(problem);
        }
        if !clash.claims.is_empty() {
            let what = format!("{unit}: {both} use the claim {}{later}", few(&clash.claims));
            let problem = here(Diagnostic::error("rollout_shared_claim", what))
                .because("the new colour's pods would wait for the volume, or write to it beside the old one's")
                .hint("write self.color into the claim's name, or let it be ReadWriteMany");
            self.problems.push(problem);
        }
        if !clash.selectors.is_empty() {
            let both = both.trim_end_matches(" both").trim_end_matches(" would");
            let what = format!("{unit}: {both} are not kept apart: {}{later}", few(&clash.selectors));
            let problem = here(Diagnostic::error("rollout_selector", what))
                .because("pods that are not proved yet would get requests, or be counted as another workload's")
                .hint("give the pods and what selects them a label that holds self.color, or the release's name");
            self.problems.push(problem);
        }
        !clash.is_empty()
    }
}

/// The first few, and how many more there are.
fn few(all: &[String]) -> String {
    let named = all.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(TOLD) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
