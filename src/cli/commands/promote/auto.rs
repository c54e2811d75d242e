//! `terrace promote --auto`: what a scheduled job runs. Whatever is eligible goes where the environment allows it.

use super::{Promotion, Why, promote};
use crate::{
    cli::{
        args::Consent,
        context::Context,
        delivery,
        error::Result,
        exit::Exit,
        loaded::{Loaded, load},
        releases,
    },
    gate::{self, Candidate},
    lang::configuration::Environment,
    state::{Passage, release},
};
use std::{collections::BTreeSet, sync::Arc};

/// Moves candidates, nearest environments first: what one brings along is seen by the next.
pub(super) async fn run(consent: &Consent, context: &Context) -> Result<Exit> {
    let loaded = load(context, None)?;
    let store = releases::store(context, &loaded.place.project)?;
    let all = release::releases(&*store).await?;
    let mut end = Exit::Done;
    for environment in ordered(&loaded) {
        let env = &environment.name;
        if !environment.gates.auto_promotion {
            continue;
        }
        let target = delivery::recorded(context, &loaded, environment).await.place;
        let upstream = delivery::recorded_upstream(context, &loaded, environment).await;
        let chosen = loaded.whereabouts(context, environment).await?;
        let now = crate::cli::place::open_world(context, &loaded.place.project, &chosen)?.clock().now();
        let of_plan = all.iter().filter(|r| r.release.plan == loaded.configuration.label);
        let candidates = of_plan.map(|r| Candidate { release: &r.digest, created: r.created() });
        let Some(candidate) = gate::candidate(candidates, &target, &upstream.iter().collect::<Vec<_>>(), now) else {
            context.terminal.status(&format!("{env}: no release has behind it what it must"));
            continue;
        };
        context.terminal.status(&format!("{env}: {} is the candidate", candidate.release.short()));
        let word = candidate.release.as_str();
        let promotion = Promotion { release: word, to: env, why: Why::Auto, passage: Passage::default(), consent };
        match Box::pin(promote(promotion, context)).await {
            // It is there; or it waits for approvals, and what lies downstream has nothing new to wait for.
            Ok(Exit::Done | Exit::NotEligible) => {}
            Ok(other) => end = other,
            Err(error) if error.exit == Exit::NotEligible => {
                for diagnostic in &error.diagnostics {
                    let why = diagnostic.detail.replace('\n', "; ");
                    context.terminal.status(&format!("{env}: {}: {why}", diagnostic.summary));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(end)
}

/// Environments after all that they come after.
pub(crate) fn ordered(loaded: &Loaded) -> Vec<&Environment> {
    let all = &loaded.configuration.environments;
    let mut done: BTreeSet<&Arc<str>> = BTreeSet::new();
    let mut out: Vec<&Environment> = Vec::new();
    while out.len() < all.len() {
        let before = out.len();
        for environment in all.values() {
            if !done.contains(&environment.name) && environment.after.iter().all(|name| done.contains(name)) {
                done.insert(&environment.name);
                out.push(environment);
            }
        }
        if out.len() == before {
            break; // in a circle, which loading refuses
        }
    }
    out
}
