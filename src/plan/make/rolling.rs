//! What goes back to the rolling strategy, or went back once, keeps the side of the route and the name that it had as a colour: its traffic is
//! there. `self.color` says neither any more, so what is written by hand is held to that before anything is changed.

use super::modules::is_same;
use crate::plan::make::Maker;
use crate::{
    base::{Address, Color, Diagnostic, Path, Side, Value},
    kinds,
    lang::Declaration,
    plan::{Mode, decide::name_of, instance::Instance},
};
use serde_json::Value as Json;

impl Maker<'_> {
    /// Refuses what would leave the side of the route that has its traffic, or take another name than what has it. True where it is
    /// told.
    pub(super) fn leaves_its_traffic(&mut self, instance: &Instance, fixed: Option<&Json>) -> bool {
        if self.request.mode != Mode::Normal || instance.address.unit().is_some() {
            return false;
        }
        let Some((unit, was, traffic)) = self.was_a_color(&instance.address) else { return false };
        let address = &instance.address;
        let problem = self.another_side(instance, was, &traffic).or_else(|| {
            let (named, fixed) = (instance.desired.identity.as_ref()?, fixed?);
            let noun = instance.kind.noun().filter(|_| self.leaving.contains(address) && !is_same(named, fixed))?;
            let (now, name) = (name_of(fixed), name_of(named));
            let what =
                format!("{address} goes back to the rolling strategy as the {noun} {name}, and {now} has its traffic");
            Some(
                Diagnostic::error("rollout_strategy", what)
                    .because("under another name it would be another one, and what has the traffic would go")
                    .hint(format!("write the name that it has, {now}, or leave `name` out")),
            )
        });
        let Some(mut problem) = problem else { return false };
        if problem.labels.is_empty()
            && let Some(resource) = self.subject.configuration.resource(&Declaration::from(address))
        {
            problem = problem.at(&resource.span, "");
        }
        if let Some(rollout) = self.subject.configuration.rollout(&Declaration::from(&unit)) {
            problem = problem.at(&rollout.block.header, "rolled out by colours before");
        }
        self.problems.push(problem);
        true
    }

    /// What has the traffic of a route since it was a colour: of which unit, which colour, over which route. Only as long as the route is
    /// declared.
    fn was_a_color(&self, address: &Address) -> Option<(Address, Color, Address)> {
        let modules = (1..=address.module().len()).filter_map(|depth| Address::call(&address.module()[..depth]));
        let mut units = modules.chain([address.clone()]);
        let found = units.find_map(|unit| {
            let standing = self.state.rollouts.get(&unit)?;
            Some((standing.was?, standing.traffic.clone()?, unit))
        });
        let (was, traffic, unit) = found?;
        self.subject.configuration.resource(&Declaration::from(&traffic))?;
        Some((unit, was, traffic))
    }

    /// Where it names the target group of the other side, and not its own.
    fn another_side(&self, instance: &Instance, was: Color, traffic: &Address) -> Option<Diagnostic> {
        let [blue, green] = kinds::traffic::target_groups(&self.state.resources.get(traffic)?.inputs)?;
        let (own, other) = match was.side() {
            Side::Blue => (blue, green),
            Side::Green => (green, blue),
        };
        let inputs = &instance.desired.inputs;
        let names = |group: &str, value: &Value| value.as_str().is_some_and(|text| text.contains(group));
        if inputs.any(&|value| names(own, value)) || !inputs.any(&|value| names(other, value)) {
            return None;
        }
        let mut place = None;
        inputs.each_leaf(&mut Path::default(), &mut |path, value| {
            if place.is_none() && names(other, value) {
                place = instance.evaluated.place(path).cloned();
            }
        });
        let (address, side) = (&instance.address, was.side());
        let what = format!(
            "{address} names the target group of the {} side of {traffic}, and its traffic is on {was}",
            was.other().side().word()
        );
        let problem = Diagnostic::error("rollout_strategy", what)
            .because(format!(
                "under the rolling strategy it stays on the side that it had as a colour: its targets would leave the {} side, \
                 which has all the traffic",
                side.word()
            ))
            .hint(format!(
                "write the {} target group, {own}; to have it on {} roll it out once more under blue_green, and then change \
                 the strategy",
                side.word(),
                was.other().side().word()
            ));
        Some(match place {
            Some(place) => problem.at(&place, "this is the other side's"),
            None => problem,
        })
    }
}
