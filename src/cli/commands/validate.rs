//! `terrace validate`: every file of a plan checked, everything that is wrong at once, without asking any world.
#![expect(clippy::disallowed_methods, reason = "plans are tried out in a folder that is thrown away")]

use crate::{
    base::{Diagnostics, NoEvents, Severity, SourceMap},
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::{self, Chosen, Loaded, load},
        place,
        settings::Backend,
        stage,
        style::green,
        variables,
        views::{
            diagnostics::{self, plural},
            json::answer,
        },
    },
    kinds::PlanOutputs,
    plan::{self, Request},
    world::{
        live::FileLedger,
        sandbox::{Options, Sandbox},
    },
};
use serde_json::json;
use std::sync::Arc;

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
}

/// Checks the plan, and each environment that it may be applied to (or only that of `--env`).
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let mut problems = loaded.warnings.clone();
    let mut texts = SourceMap::default();
    if context.global.env.is_some() {
        loaded.environment(context)?;
    }
    for environment in loaded.configuration.environments.values() {
        if context.global.env.as_deref().is_some_and(|wanted| wanted != &*environment.name) {
            continue;
        }
        let chosen = loaded::choose(environment, context.global.sandbox);
        let found = match try_out(context, &loaded, &chosen).await {
            Ok(warnings) => warnings,
            Err(error) => {
                for (file, text) in error.sources.iter() {
                    texts.insert(file.clone(), text.clone());
                }
                error.diagnostics
            }
        };
        problems.extend(found);
    }
    for (file, text) in loaded.texts().iter() {
        texts.insert(file.clone(), text.clone());
    }
    finish(problems, texts, context)
}

/// Makes a plan as if nothing had ever been applied and no world could be asked: everything is evaluated, templates, charts
/// and manifests are read.
async fn try_out(context: &Context, loaded: &Loaded, chosen: &Chosen) -> Result<Diagnostics> {
    let variables = variables::gather(context, loaded, &chosen.environment.name)?;
    let folder =
        tempfile::tempdir().map_err(|e| Error::new("local_failure", format!("no folder to try it in: {e}")))?;
    let world = Sandbox::open(&folder.path().join("world"), Options { speed: f64::INFINITY, ..Options::default() })?;
    let ledger = Arc::new(FileLedger::new(folder.path().join("state")));
    // What other plans remember is looked at where that takes no call.
    let others: PlanOutputs = match place::backend(&loaded.place.project, chosen) {
        Backend::File => stage::other_outputs(context, loaded, chosen).await,
        Backend::S3 => Arc::new(|_| Ok(None)),
    };
    let subject = stage::subject_in(loaded, chosen, variables, world, ledger, others).await?;
    let request = Request { offline: true, change_sets: false, drift: false, ..Request::default() };
    match plan::make(&subject, &request, &NoEvents).await {
        Ok(made) => Ok(Diagnostics(made.plan.notes)),
        Err(error) => Err(Error::from(error).with_sources(loaded.texts())),
    }
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
    if problems.iter().any(|d| d.severity == Severity::Warning) {
        terminal.complain(diagnostics::render(&problems, &texts, terminal.width).trim_end());
    }
    terminal.status(&format!("{}: {} checked", green("valid"), plural(texts.iter().count(), "file")));
    Ok(Exit::Done)
}
