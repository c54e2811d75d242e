//! `terrace rollback`: an environment goes back to a release that was there before. A plan like any other, shown first.

use super::promote::{Promotion, Why, promote};
use crate::{
    cli::{
        args::Consent,
        context::Context,
        delivery,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place,
    },
    gate::Place,
    state::{Passage, RunId},
};

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release, or the run that brought it; the last release that was verified here where it is not given
    #[arg(long, value_name = "RELEASE|RUN")]
    to: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

/// Goes back.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, None)?;
    let environment = loaded.environment(context)?.clone();
    let recorded = delivery::recorded(context, &loaded, &environment).await;
    let env = environment.name.clone();
    if let Some(why) = &recorded.place.unreadable {
        return Err(Error::new("state_unreadable", why.clone()));
    }
    let release = match &args.to {
        None => {
            let upstream = delivery::recorded_upstream(context, &loaded, &environment).await;
            let upstream: Vec<&Place> = upstream.iter().collect();
            recorded.place.way_back(&upstream).map(ToString::to_string).ok_or_else(|| {
                let what = format!("there is no release to go back to: none but revoked ones, and those that were gone back from, was verified in {env} before");
                Error::new("rollback_nowhere", what).exit(Exit::NotEligible).hint("name one with --to RELEASE")
            })?
        }
        Some(word) => {
            let chosen = loaded.whereabouts(context, &environment).await?;
            let state = place::snapshot(&place::ledger(context, &loaded, &chosen)?).await?;
            match state.run(&RunId(word.as_str().into())) {
                None => word.clone(),
                Some(run) => run.release.as_ref().map(ToString::to_string).ok_or_else(|| {
                    Error::usage("rollback_nowhere", format!("the run {word} brought no release"))
                        .hint("terrace history shows which did")
                })?,
            }
        }
    };
    let passage = Passage { rollback: true, ..Passage::default() };
    let promotion = Promotion { release: &release, to: &env, why: Why::Named, passage, consent: &args.consent };
    Box::pin(promote(promotion, context)).await
}
