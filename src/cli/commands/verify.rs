//! `terrace verify`: what an environment holds is verified again. A release that fails goes no further (rule 31).

use super::apply::{Drive, drive};
use crate::{
    base::Digest,
    cli::{
        args::{Consent, PlanArg},
        context::Context,
        delivery,
        error::{Error, Result},
        exit::Exit,
        loaded::{self, load},
        place, releases, stage, variables,
    },
    plan::{Mode, Request},
    state::{Decision, Fact, Progress, facts, release},
    world::live::OsRandom,
};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    #[command(flatten)]
    consent: Consent,
}

/// Verifies again.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let environment = loaded.environment(context)?.clone();
    let recorded = delivery::recorded(context, &loaded, &environment).await;
    if let Some(why) = &recorded.place.unreadable {
        return Err(Error::new("state_unreadable", why.clone()));
    }
    let held = recorded.place.current.as_ref().and_then(|current| current.held.release().cloned());
    let loaded = match &held {
        // What is there is what its release says, whatever the working folder has become since.
        Some(digest) => of_release(context, digest).await?,
        None => loaded,
    };
    let chosen = loaded.whereabouts(context, &environment).await?;
    let variables = variables::gather(context, &loaded, &environment.name)?;
    let project = loaded.place.project.clone();
    let mut stage = stage::set(context, loaded, chosen.clone(), variables).await?;
    if stage.subject.state.resources.is_empty() {
        return Err(Error::new("nothing_to_verify", format!("{} holds nothing", environment.name))
            .hint("apply or promote something first"));
    }
    let store = place::open_store(context, &project, &stage.ledger, "verify").await?;
    stage.subject.state = store.snapshot();
    let request = Request { mode: Mode::Verify, change_sets: false, drift: false, ..Request::default() };
    let made = async {
        place::no_open_run(&stage.subject.state)?;
        stage::save(stage.make(context, &request).await?)
    };
    let saved = match made.await {
        Ok(saved) => saved,
        Err(error) => {
            let _ = store.close().await;
            return Err(error);
        }
    };
    let how = Drive { command: "verify", reason: args.consent.reason.as_deref(), check_fresh: false, warrant: None };
    let exit = Box::pin(drive(&stage, saved, store, how, context)).await?;
    let after = delivery::recorded(context, &stage.loaded, &environment).await.place;
    let failure = after.current.as_ref().and_then(|current| current.failure.clone());
    if let (Some(digest), Some(why)) = (held, failure)
        && exit != Exit::Done
    {
        let by = delivery::actor(context, &stage.loaded, &chosen, &*stage.subject.world).await?;
        let (env, short) = (&environment.name, digest.short().to_owned());
        let reason = format!("its verification failed: {why}");
        let fact = Fact::new(stage.subject.world.clock().now(), by, reason, Decision::Revoke { release: digest });
        facts::record(&*stage.ledger, &OsRandom, &fact, &context.surroundings.origin()).await?;
        context.terminal.status(&format!("{short} goes no further from {env}: its verification failed"));
    }
    if let Some(Progress::FailedAt(phase)) = after.current.as_ref().map(|current| &current.progress)
        && exit == Exit::Done
    {
        let env = &environment.name;
        context.terminal.status(&format!(
            "{env} is not verified by that: what it holds failed at {phase}, and is not all there. Promote it again, or go back: terrace rollback --env {env}"
        ));
    }
    Ok(exit)
}

async fn of_release(context: &Context, digest: &Digest) -> Result<loaded::Loaded> {
    let project = context.project()?;
    let ledger = releases::store(context, &project)?;
    let found = releases::pick(context, &release::releases(&*ledger).await?, digest.as_str())?;
    releases::load_found(project, &*ledger, &found).await
}
