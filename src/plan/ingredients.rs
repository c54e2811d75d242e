//! What a plan is made of in an environment, without asking any world: what a release has to hold.
//!
//! Every declaration is evaluated and prepared as far as that can be said before anything is applied; the files that are read
//! meanwhile are the plan's, and each kind names what it is made of beside them.

use crate::{
    base::{Address, Color, Diagnostic, Diagnostics, Span, Value},
    graph::Graph,
    kinds::{Marks, Matter, Prepare, Rendering, Runs, kind, without_secrets},
    lang::{Configuration, Declaration, Evaluator, Given, Sources, schema::Role},
    plan::instance,
    world::{ChartRef, Charts, Outcome, Rendered},
};
use futures::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How many charts are rendered at once.
const RENDERED_AT_ONCE: usize = 4;

/// What a plan is made of beside the files that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingredients {
    /// Charts from elsewhere.
    pub charts: BTreeSet<ChartRef>,
    /// Folders that programs read.
    pub folders: BTreeSet<String>,
    /// Files that are run or read by programs, where there are such.
    pub programs: BTreeSet<String>,
    /// Container images that are known without rendering anything, by what declares them.
    pub images: Vec<(Address, Runs)>,
    /// Charts whose images are known once they are rendered.
    pub renderings: Vec<(Address, Rendering)>,
    /// What rules look at without rendering anything.
    pub matters: Vec<(Address, Matter)>,
    /// Where each is declared.
    pub places: BTreeMap<Address, Span>,
}

/// Renders charts, several at once, in their order. Nothing but `charts` is asked.
pub fn rendered(
    charts: &dyn Charts,
    renderings: Vec<(Address, Rendering)>,
) -> impl stream::Stream<Item = (Address, Rendering, Outcome<Rendered>)> {
    let jobs = renderings.into_iter().map(move |(address, rendering)| async move {
        let rendered = charts.template(&rendering.request).await;
        (address, rendering, rendered)
    });
    stream::iter(jobs).buffered(RENDERED_AT_ONCE)
}

/// Objects that a chart renders, hooks among them, as rules look at them. Definitions of types are no objects of anybody's.
#[must_use]
pub fn rendered_matter(rendering: &Rendering, rendered: Rendered) -> Matter {
    let all = rendered.objects.into_iter().chain(rendered.hooks);
    Matter::Objects(all.map(|object| without_secrets(object, &rendering.hidden)).collect())
}

/// What a plan is made of in an environment. What cannot be frozen is an error with its place.
///
/// # Errors
/// Everything that is wrong with the plan, and whatever would be chosen anew at each apply.
pub fn ingredients(
    configuration: &Arc<Configuration>,
    graph: &Graph,
    given: Given,
    sources: &Arc<dyn Sources>,
    marks: &Marks,
) -> Result<Ingredients, Diagnostics> {
    let (mut evaluator, mut problems) =
        Evaluator::new(configuration.clone(), given, sources.clone(), crate::kinds::schema());
    let mut found = Ingredients::default();
    paint(configuration, &mut evaluator);
    for id in graph.order() {
        let Some(declaration) = graph.inner[id].declaration() else { continue };
        if let Err(wrong) = of_declaration(declaration, configuration, &mut evaluator, &**sources, marks, &mut found) {
            problems.extend(wrong);
        }
    }
    if problems.has_errors() {
        problems.normalize();
        return Err(problems);
    }
    Ok(found)
}

/// What is rolled out by colours is made of the same in each: the first one stands for both.
fn paint(configuration: &Configuration, evaluator: &mut Evaluator) {
    for (call, ..) in configuration.rolled_out_calls() {
        for unit in evaluator.expand(&call).map(|found| found.instances).unwrap_or_default() {
            if let Some(color) = first_color(evaluator, &unit) {
                evaluator.paint(unit, color);
            }
        }
    }
}

fn first_color(evaluator: &mut Evaluator, unit: &Address) -> Option<Color> {
    let rollout = evaluator.rollout(&unit.with_color(Some(Color::Blue))).ok().flatten()?;
    match rollout.get("strategy").and_then(Value::as_str) {
        Some("blue_green") => Some(Color::Blue),
        Some("canary") => Some(Color::Stable),
        _ => None,
    }
}

fn of_declaration(
    declaration: &Declaration,
    configuration: &Configuration,
    evaluator: &mut Evaluator,
    sources: &dyn Sources,
    marks: &Marks,
    found: &mut Ingredients,
) -> Result<(), Diagnostics> {
    let Some(resource) = configuration.resource(declaration) else { return Ok(()) };
    let Some(kind) = kind(&resource.kind) else { return Ok(()) };
    let mut problems = Diagnostics::new();
    let expansion = evaluator.expand(declaration)?;
    if matches!(&*resource.kind, "helm" | "manifest") {
        for later in expansion.unknown {
            let why = "whether it is there, and how often, is not known before something is applied";
            found.images.push((later.pattern, Runs::unknown("", why)));
        }
    }
    for unit in expansion.instances {
        let address = match resource.rollout {
            Some(_) => unit.with_color(first_color(evaluator, &unit)),
            None => unit.clone(),
        };
        let evaluated = match evaluator.evaluate(&address) {
            Ok(evaluated) => evaluated,
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        let exports = instance::unknown_exports(kind, &address);
        let attributes = instance::attributes(&evaluated.inputs, &exports);
        if unit != address {
            evaluator.set(&unit, attributes.clone());
        }
        evaluator.set(&address, attributes);
        if resource.role != Role::Managed {
            continue;
        }
        let header = resource.span.clone();
        let place = |path: &crate::base::Path| Some(evaluated.place(path).unwrap_or(&header).clone());
        let inputs = &evaluated.inputs;
        let desired = kind.prepare(&Prepare { address: &address, inputs, place: &place, sources, marks, fixed: None });
        let of_it = match desired {
            Ok(desired) => kind.ingredients(&desired),
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        for (what, instead) in of_it.floating {
            problems.push(
                Diagnostic::error("release_floating", format!("{address}: {what}"))
                    .at(&header, "declared here")
                    .because("a release is the same wherever and whenever it is applied")
                    .hint(instead),
            );
        }
        found.images.extend(of_it.images.into_iter().map(|runs| (unit.clone(), runs)));
        found.renderings.extend(of_it.renderings.into_iter().map(|rendering| (unit.clone(), rendering)));
        found.matters.extend(of_it.matters.into_iter().map(|matter| (unit.clone(), matter)));
        found.places.insert(unit.clone(), header);
        found.charts.extend(of_it.charts);
        found.folders.extend(of_it.folders);
        found.programs.extend(of_it.programs);
    }
    if problems.has_errors() { Err(problems) } else { Ok(()) }
}
