//! What a plan is made of in an environment, as commands that apply nothing ask for it.

use crate::{
    base::Value,
    cli::{
        context::Context,
        error::{Error, Result},
        loaded::{Loaded, choose},
        surroundings::Surroundings,
        variables,
    },
    graph,
    kinds::{self, Marks},
    lang::{Sources, configuration::Environment},
    plan,
};
use std::sync::Arc;

/// What a plan is made of in an environment. A variable without a value is unknown: no file may hang on it.
pub(crate) fn of_environment(
    context: &Context,
    loaded: &Loaded,
    environment: &Environment,
) -> Result<plan::Ingredients> {
    let mut given = variables::gather(context, loaded, &environment.name)?;
    for (name, variable) in loaded.configuration.root.variables.iter().filter(|(_, v)| v.default.is_none()) {
        given.entry(name.clone()).or_insert_with(|| Value::UNKNOWN.with_mark(variable.sensitive));
    }
    let chosen = choose(environment, context.global.sandbox);
    let (graph, problems) = graph::build(&loaded.configuration, kinds::schema());
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(loaded.texts()));
    }
    let marks = Marks {
        project: loaded.place.project.name.clone(),
        plan: loaded.configuration.label.clone(),
        env: environment.name.clone(),
        world: if chosen.sandbox { "sandbox" } else { "aws" }.into(),
        account: chosen.connection.account_id.as_str().into(),
        region: chosen.connection.region.as_str().into(),
    };
    let given = variables::given(&chosen, given, Surroundings::now());
    let sources: Arc<dyn Sources> = loaded.sources.clone();
    plan::ingredients(&loaded.configuration, &graph, given, &sources, &marks)
        .map_err(|problems| Error::from(problems).with_sources(loaded.texts()))
}
