//! `terrace validate`: every file of a plan checked, everything that is wrong at once, without asking any world.

use crate::{
    base::{Diagnostics, SourceMap},
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::{self, Loaded},
        style::green,
        variables,
        views::{
            diagnostics::{self, plural},
            json::answer,
        },
    },
    graph, kinds,
};
use serde_json::json;

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
}

/// Checks the plan.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    let place = context.plan(args.plan.plan.as_deref())?;
    let read = loaded::read(&place);
    let texts = read.texts();
    let mut problems = read.diagnostics.clone();
    if let Some(configuration) = &read.configuration
        && !problems.has_errors()
    {
        let (_, found) = graph::build(configuration, kinds::schema());
        problems.extend(found);
        let loaded = Loaded {
            place,
            configuration: configuration.clone(),
            sources: read.sources.clone(),
            warnings: Diagnostics::new(),
        };
        let (found, more) = environments(context, &loaded);
        problems.extend(found);
        return finish(problems, merged(&read, texts, &more), context);
    }
    finish(problems, texts, context)
}

/// What was read meanwhile, too: files of variables.
fn merged(read: &loaded::Read, mut texts: SourceMap, more: &SourceMap) -> SourceMap {
    for (file, text) in read.texts().iter().chain(more.iter()) {
        texts.insert(file.clone(), text.clone());
    }
    texts
}

/// Each environment's variables, or only those of `--env`.
fn environments(context: &Context, loaded: &Loaded) -> (Diagnostics, SourceMap) {
    let mut problems = Diagnostics::new();
    let mut texts = SourceMap::default();
    for environment in loaded.configuration.environments.values() {
        if context.global.env.as_deref().is_some_and(|wanted| wanted != &*environment.name) {
            continue;
        }
        let chosen = loaded::choose(environment, context.global.sandbox);
        if let Err(error) = variables::check(context, loaded, &chosen) {
            for (file, text) in error.sources.iter() {
                texts.insert(file.clone(), text.clone());
            }
            for mut diagnostic in error.diagnostics.0 {
                if loaded.configuration.environments.len() > 1 {
                    diagnostic.summary = format!("in environment {}: {}", environment.name, diagnostic.summary);
                }
                problems.push(diagnostic);
            }
        }
    }
    (problems, texts)
}

fn finish(mut problems: Diagnostics, texts: SourceMap, context: &Context) -> Result<Exit> {
    problems.normalize();
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(texts));
    }
    let terminal = &context.terminal;
    if terminal.json {
        problems.iter().for_each(|d| terminal.json_line(&diagnostics::json(d, &texts)));
        let files: Vec<_> = texts.iter().map(|(file, _)| file).collect();
        terminal.json_line(&answer("valid", json!({ "files": files })));
        return Ok(Exit::Done);
    }
    if !problems.is_empty() {
        terminal.complain(diagnostics::render(&problems, &texts, terminal.width).trim_end());
    }
    terminal.status(&format!("{}: {} checked", green("valid"), plural(texts.iter().count(), "file")));
    Ok(Exit::Done)
}
