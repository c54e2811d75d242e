//! `terrace promote --auto`: what a scheduled job runs. Whatever is eligible goes where the environment allows it.

use super::{Promotion, Why, promote};
use crate::{
    cli::{
        args::Consent,
        commands::apply::{Fresh, plan_and_apply_on},
        context::Context,
        delivery,
        error::Result,
        exit::Exit,
        loaded::{Loaded, load},
        place, releases, stage, variables,
    },
    gate::{self, Candidate},
    lang::configuration::Environment,
    plan::{Mode, Request},
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
        pay(environment, &loaded, consent, context).await?;
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

/// Retires what rollouts left in an environment and is due: that was approved with them.
async fn pay(environment: &Environment, loaded: &Loaded, consent: &Consent, context: &Context) -> Result<()> {
    let Some(ledger) = delivery::recorded(context, loaded, environment).await.ledger else { return Ok(()) };
    let recorded = place::snapshot(&ledger).await?;
    if recorded.rollouts.values().all(|standing| standing.kept.is_none()) || recorded.open_run().is_some() {
        return Ok(());
    }
    let chosen = loaded.whereabouts(context, environment).await?;
    let now = place::open_world(context, &loaded.place.project, &chosen)?.clock().now();
    if !recorded.rollouts.values().any(|standing| standing.kept.as_ref().is_some_and(|kept| kept.due <= now)) {
        return Ok(());
    }
    context.terminal.status(&format!("{}: what a rollout left there is due to be retired", environment.name));
    let variables = variables::gather(context, loaded, &environment.name)?;
    let project = loaded.place.project.clone();
    let mut stage = stage::set(context, load(context, None)?, chosen, variables).await?;
    let request = Request { mode: Mode::Retire, ..Request::default() };
    let fresh = Fresh { command: "promote --auto", plan: None, release: None, request };
    let consent = Consent { auto_approve: true, ..consent.clone() };
    Box::pin(plan_and_apply_on(&mut stage, &project, fresh, &consent, context)).await?;
    Ok(())
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
