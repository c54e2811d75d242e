//! `terrace resume`: goes on with a run that was cut off, or takes back what it did.

use crate::{
    apply::{self, Warrant},
    base::Address,
    cli::{
        args::{Consent, PlanArg},
        consent,
        context::Context,
        error::Result,
        exit::Exit,
        loaded::{self, load},
        place, running, stage, variables,
        views::View,
    },
    plan::{Mode, Saved},
    state::{Snapshot, Store},
};
use std::fmt::Write as _;
use std::sync::Arc;

/// Arguments of `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Take back what the run did in the phase where it was cut off
    #[arg(long)]
    rollback: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Resumes.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    // The folder says which state is meant; what is done is in the run's own plan.
    let named = load(context, args.plan.plan.as_deref())?;
    let chosen = named.choose(context).await?;
    let ledger = place::ledger(context, &named, &chosen)?;
    let store = place::open_store(context, &named.place.project, &ledger, "resume").await?;
    let prepared = prepare(&args, &store, context).await;
    let saved = match prepared {
        Ok(saved) => saved,
        Err(error) => {
            let _ = store.close().await;
            return Err(error);
        }
    };
    let staged = async {
        let mut loaded = loaded::from_saved(context, &saved).await?;
        loaded.place.project = named.place.project.clone();
        let chosen = loaded.choose_as_saved(context, &saved).await?;
        let variables = variables::again(context, &loaded, &saved.content.variables)?;
        stage::set(context, loaded, chosen, variables).await
    };
    let stage = match staged.await {
        Ok(stage) => stage,
        Err(error) => {
            let _ = store.close().await;
            return Err(error);
        }
    };
    let options =
        running::options(context, &stage, "resume", args.consent.reason.as_deref(), false, Warrant::default()).await;
    let view = Arc::new(View::new(&context.terminal));
    let listener = running::listen(&options.interrupt, &view);
    let ended = apply::resume(stage.subject.clone(), store, options, view.clone(), args.rollback).await;
    listener.abort();
    view.finish();
    let exit = running::finish(ended.map_err(|e| stage.explained(e))?, false, &stage, context).await?;
    if saved.content.header.mode == Mode::RevertDrift && exit == Exit::Done {
        return super::drift::what_is_left(&saved.content, stage, context).await;
    }
    Ok(exit)
}

/// The plan of the open run, once somebody agreed to go on with it.
async fn prepare(args: &Args, store: &Store, context: &Context) -> Result<Saved> {
    let snapshot = store.snapshot();
    let Some(run) = snapshot.open_run() else { return Err(apply::Error::NothingOpen.into()) };
    let saved = apply::open_plan(store, run).await?;
    context.terminal.status(&tell(&snapshot));
    if !args.consent.auto_approve {
        let what = if args.rollback { "Take back what it did?" } else { "Go on with it?" };
        consent::yes(what, "add --auto-approve", context)?;
    }
    Ok(saved)
}

/// What is known of the open run.
pub(crate) fn tell(snapshot: &Snapshot) -> String {
    let Some(run) = snapshot.open_run() else { return String::new() };
    let journal = &snapshot.journal;
    let done = journal.entries.iter().filter(|e| e.outcome.is_some()).count();
    let open: Vec<&Address> = journal.open().map(|intent| &intent.address).collect();
    let mut text =
        format!("The run {} of `{}` from {} was cut off after {done} effects.", run.id, run.command, run.started);
    if !open.is_empty() {
        let open: Vec<&str> = open.iter().map(|a| a.as_str()).collect();
        let _ = write!(text, "\nIts end is not known of: {}", open.join(", "));
    }
    if let Some((phase, because)) = &journal.undoing {
        let _ = write!(text, "\nIt was undoing phase {phase}, since {because} had failed.");
    }
    text
}
