//! What a rollout asks of its route, and the route cannot do: a service takes no weights.

use crate::plan::make::Maker;
use crate::{
    base::{Address, Diagnostic},
    kinds,
    lang::{Declaration, configuration::Rollout},
    rollout::{Spec, Strategy},
};

impl Maker<'_> {
    /// Why the steps of a rollout cannot be made on its route.
    pub(super) fn moves_in_steps(&self, unit: &Address, spec: &Spec, rollout: &Rollout) -> Option<Diagnostic> {
        let route = self.subject.configuration.resource(&Declaration::from(&spec.traffic))?;
        let service = kinds::traffic::one_switch(&route.body)?;
        let (attribute, what) = match spec.strategy {
            Strategy::Canary => ("strategy", "a canary".to_owned()),
            Strategy::BlueGreen => {
                let step = spec.steps.iter().find(|step| step.weight < 100)?;
                ("steps", format!("a step of {} percent", step.weight))
            }
        };
        let at = rollout.block.body.attributes.get(attribute);
        let at = at.map_or_else(|| rollout.block.header.clone(), |attribute| attribute.expr.span.clone());
        let problem =
            Diagnostic::error("rollout_unweighted", format!("{unit}: {} takes no weights for {what}", spec.traffic))
                .at(&at, "asked for here")
                .at(service, "a service's traffic goes from one side to the other in one switch")
                .because(
                    "a service sends its requests to the pods that it selects, and cannot tell one share from another",
                );
        Some(problem.hint("write strategy = \"blue_green\" and leave `steps` out; or give it a route with weights: `alb`, `gateway` or `istio`"))
    }
}
