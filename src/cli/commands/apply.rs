//! `terrace apply`: a saved plan exactly; or plan, show, ask, apply.

use crate::{
    apply::{self, Warrant},
    cli::{
        args::{Consent, Selection},
        consent,
        context::Context,
        delivery,
        error::{Error, Result},
        exit::Exit,
        images,
        loaded::{self, load_meant},
        place, policies, prices,
        project::Project,
        running,
        stage::{self, Stage},
        variables,
        views::View,
    },
    plan::{Request, Saved},
    state::Store,
};
use std::sync::Arc;

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A saved plan, or a plan's folder or name
    #[arg(value_name = "FILE|PLAN")]
    what: Option<String>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    consent: Consent,
    /// Apply this release: nothing of the working folder counts but environments and their values
    #[arg(long, value_name = "DIGEST")]
    release: Option<String>,
    /// Do not look for drift inside stacks
    #[arg(long)]
    no_drift: bool,
}

/// What is asked for where no plan was saved.
pub(crate) struct Fresh<'a> {
    /// The command, for the record.
    pub(crate) command: &'static str,
    /// The plan's folder or name.
    pub(crate) plan: Option<&'a str>,
    /// The release, in the place of the working folder.
    pub(crate) release: Option<&'a str>,
    /// What is asked of the plan.
    pub(crate) request: Request,
}

/// Applies.
#[expect(clippy::disallowed_methods, reason = "what is given is a saved plan where there is a file of that name")]
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    if let Some(file) = args.what.as_ref().map(|what| context.surroundings.folder.join(what))
        && file.is_file()
    {
        let saved = super::show::read(&file)?;
        return Box::pin(apply_saved(saved, &args, context)).await;
    }
    let request = Request {
        targets: args.selection.target,
        replace: args.selection.replace,
        drift: !args.no_drift,
        ..Request::default()
    };
    let fresh = Fresh { command: "apply", plan: args.what.as_deref(), release: args.release.as_deref(), request };
    Box::pin(plan_and_apply(fresh, &args.consent, context)).await
}

/// Applies exactly what was saved, and shown to whoever approved it.
async fn apply_saved(saved: Saved, args: &Args, context: &Context) -> Result<Exit> {
    if args.release.is_some() {
        return Err(Error::usage("flags_with_plan", "a saved plan is of one release, or of none, as it is")
            .hint("leave --release away, or make another plan with it"));
    }
    if !args.selection.target.is_empty() || !args.selection.replace.is_empty() {
        return Err(Error::usage("flags_with_plan", "a saved plan is applied as it is")
            .hint("leave --target and --replace away, or make another plan with them"));
    }
    if context.global.env.as_deref().is_some_and(|env| env != &*saved.content.header.env) {
        let message = format!("the plan is for environment {}", saved.content.header.env);
        return Err(Error::usage("flags_with_plan", message).hint("leave --env away"));
    }
    let loaded = loaded::from_saved(context, &saved).await?;
    let chosen = loaded.choose_as_saved(context, &saved).await?;
    let variables = variables::again(context, &loaded, &saved.content.variables)?;
    let book = prices::read(&loaded.place.project)?;
    let stage = stage::set(context, loaded, chosen, variables).await?;
    // What protects an environment is what the project says of it, and no file.
    if saved.content.header.protected != stage.subject.protected {
        let word = |protected| if protected { "protected" } else { "not protected" };
        let (then, now) = (word(saved.content.header.protected), word(stage.subject.protected));
        let message = format!("the plan says that {} is {then}, and it is {now}", saved.content.header.env);
        return Err(Error::new("plan_stale", message).exit(Exit::Stale).hint("make the plan anew"));
    }
    super::plan::show(&saved, &book, context);
    if !saved.content.has_changes() {
        return Ok(Exit::Done);
    }
    Box::pin(policies::hold_again(&stage, &saved.content, false, context)).await?;
    consent::ask(&saved.content, &args.consent, context)?;
    let store = place::open_store(context, &stage.loaded.place.project, &stage.ledger, "apply").await?;
    let reason = args.consent.reason.as_deref();
    let how = Drive { command: "apply", reason, check_fresh: true, warrant: None };
    drive(&stage, saved, store, how, context).await
}

/// Plans, shows, asks, applies. The state is locked from before the plan is made, so that nothing moves while a person
/// reads.
pub(crate) async fn plan_and_apply(fresh: Fresh<'_>, consent: &Consent, context: &Context) -> Result<Exit> {
    let loaded = load_meant(context, fresh.plan, fresh.release).await?;
    let chosen = loaded.choose(context).await?;
    let variables = variables::gather(context, &loaded, &chosen.environment.name)?;
    let project = loaded.place.project.clone();
    let mut stage = stage::set(context, loaded, chosen, variables).await?;
    Box::pin(images::hold(&stage, false, context)).await?;
    plan_and_apply_on(&mut stage, &project, fresh, consent, context).await
}

/// As [`plan_and_apply`], in a world that is open already.
pub(crate) async fn plan_and_apply_on(
    stage: &mut Stage,
    project: &Project,
    fresh: Fresh<'_>,
    consent: &Consent,
    context: &Context,
) -> Result<Exit> {
    let store = place::open_store(context, project, &stage.ledger, fresh.command).await?;
    stage.subject.state = store.snapshot();
    match prepare(stage, &fresh.request, consent, context).await {
        Ok(Some(saved)) => {
            let reason = consent.reason.as_deref();
            let how = Drive { command: fresh.command, reason, check_fresh: false, warrant: None };
            drive(stage, saved, store, how, context).await
        }
        Ok(None) => {
            store.close().await?;
            Ok(Exit::Done)
        }
        Err(error) => {
            // What went wrong first is what is told.
            let _ = store.close().await;
            Err(error)
        }
    }
}

/// A plan that somebody agreed to; nothing where there is nothing to do.
async fn prepare(stage: &Stage, request: &Request, consent: &Consent, context: &Context) -> Result<Option<Saved>> {
    place::no_open_run(&stage.subject.state)?;
    let book = prices::read(&stage.loaded.place.project)?;
    let saved = stage::save(Box::pin(stage.make_judged(context, request)).await?)?;
    super::plan::show(&saved, &book, context);
    let agreed = if saved.content.has_changes() {
        let held = policies::hold(&saved.content, saved.content.judgement.as_ref(), false, context);
        held.and_then(|()| consent::ask(&saved.content, consent, context)).map(|()| true)
    } else {
        Ok(false)
    };
    if !matches!(agreed, Ok(true)) {
        stage.discard(&saved.attachment, context).await;
    }
    Ok(agreed?.then_some(saved))
}

/// How a plan is driven.
pub(crate) struct Drive<'a> {
    /// The command, for the record.
    pub(crate) command: &'a str,
    /// `--reason`.
    pub(crate) reason: Option<&'a str>,
    /// Whether all that is live is looked at first: for a plan that was saved.
    pub(crate) check_fresh: bool,
    /// By what right; found out where it is not given.
    pub(crate) warrant: Option<Warrant>,
}

/// Applies a plan that was agreed to.
pub(crate) async fn drive(
    stage: &Stage,
    saved: Saved,
    store: Store,
    how: Drive<'_>,
    context: &Context,
) -> Result<Exit> {
    let mut warrant = match how.warrant {
        Some(warrant) => warrant,
        None => match delivery::warrant(context, stage).await {
            Ok(warrant) => Warrant { authors: saved.attachment.author.iter().cloned().collect(), ..warrant },
            Err(error) => {
                let _ = store.close().await;
                return Err(error);
            }
        },
    };
    let rollback = warrant.passage.rollback;
    // Rules only warn on a way back, and are not asked where something is taken away: neither passes them.
    if !rollback && saved.content.header.mode == crate::plan::Mode::Normal {
        warrant.rules = match Box::pin(policies::keep(stage, context)).await {
            Ok(rules) => Some(rules),
            Err(error) => {
                let _ = store.close().await;
                return Err(error);
            }
        };
    }
    // What a tag names may have moved while somebody read the plan.
    if !rollback && let Err(error) = Box::pin(images::hold(stage, false, context)).await {
        let _ = store.close().await;
        if !how.check_fresh {
            stage.discard(&saved.attachment, context).await;
        }
        return Err(error);
    }
    let options = running::options(context, stage, how.command, how.reason, how.check_fresh, warrant).await;
    let view = Arc::new(View::new(&context.terminal));
    let listener = running::listen(&options.interrupt, &view);
    let attachment = saved.attachment.clone();
    let ended = apply::run(stage.subject.clone(), saved, store, options, view.clone()).await;
    listener.abort();
    view.finish();
    if !how.check_fresh && matches!(ended, Err(apply::Error::Refused(_) | apply::Error::NotEligible { .. })) {
        // Nobody can apply this plan, so nothing of it waits for that.
        stage.discard(&attachment, context).await;
    }
    running::finish(ended.map_err(|e| stage.explained(e))?, rollback, stage, context).await
}
