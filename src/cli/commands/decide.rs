//! `terrace freeze`, `hold`, `release-hold` and `revoke`: what people decide of an environment, without a commit (rule 28).

use crate::{
    cli::{
        context::Context,
        delivery,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place, releases,
    },
    lang::{configuration::Environment, gates::moment},
    state::{Decision, Fact, facts},
    world::live::OsRandom,
};

/// Arguments of `hold` and `release-hold`.
#[derive(Debug, clap::Args)]
pub(crate) struct HoldArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    env_name: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Arguments of `freeze`.
#[derive(Debug, clap::Args)]
pub(crate) struct FreezeArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    env_name: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until when: a date, or RFC 3339; until it is lifted where it is not given
    #[arg(long, value_name = "TIME", conflicts_with = "lift")]
    until: Option<String>,
    /// Things may come again
    #[arg(long)]
    lift: bool,
}

/// Arguments of `revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// The release: its digest, the beginning of it, or `latest`
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Why it must not go on
    #[arg(long, value_name = "TEXT", required_unless_present = "undo")]
    reason: Option<String>,
    /// It may go on again, for this reason
    #[arg(long, value_name = "REASON", conflicts_with = "reason")]
    undo: Option<String>,
}

/// Holds an environment, or lets it go.
pub(crate) async fn hold(args: &HoldArgs, release: bool, context: &Context) -> Result<Exit> {
    let decision = if release { Decision::ReleaseHold } else { Decision::Hold };
    let said = if release { "is no longer held" } else { "is held: promote --auto brings nothing here" };
    decide(&args.env_name, &args.reason, decision, said, context).await
}

/// Freezes an environment, or lifts that.
pub(crate) async fn freeze(args: &FreezeArgs, context: &Context) -> Result<Exit> {
    let until = match &args.until {
        None => None,
        Some(text) => Some(moment(text, &jiff::tz::TimeZone::UTC).ok_or_else(|| {
            Error::usage("wrong_value", format!("--until {text} is no moment"))
                .hint("write a date like 2026-12-20, or 2026-12-20T08:00:00Z")
        })?),
    };
    if args.lift {
        return decide(&args.env_name, &args.reason, Decision::Thaw, "is no longer frozen by anybody's word", context)
            .await;
    }
    decide(&args.env_name, &args.reason, Decision::Freeze { until }, "is frozen: nothing comes here", context).await
}

async fn decide(env: &str, reason: &str, decision: Decision, said: &str, context: &Context) -> Result<Exit> {
    let loaded = load(context, None)?;
    let environment = loaded.named_environment(env)?.clone();
    record(&loaded, &environment, reason, decision, context).await?;
    context.terminal.status(&format!("{env} {said}"));
    Ok(Exit::Done)
}

async fn record(
    loaded: &crate::cli::loaded::Loaded,
    environment: &Environment,
    reason: &str,
    decision: Decision,
    context: &Context,
) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(Error::usage("reason_needed", "say why: the reason is empty").hint("--reason TEXT"));
    }
    let chosen = loaded.whereabouts(context, environment).await?;
    let world = place::open_world(context, &loaded.place.project, &chosen)?;
    let by = delivery::actor(context, loaded, &chosen, &*world).await?;
    let ledger = place::ledger(context, loaded, &chosen)?;
    let fact = Fact::new(world.clock().now(), by, reason.to_owned(), decision);
    Ok(facts::record(&*ledger, &OsRandom, &fact, &context.surroundings.origin()).await?)
}

/// Revokes a release in the environment that is named, or wherever it was.
pub(crate) async fn revoke(args: &RevokeArgs, context: &Context) -> Result<Exit> {
    let loaded = load(context, None)?;
    let store = releases::store(context, &loaded.place.project)?;
    let found = releases::find(context, &*store, &args.release).await?;
    let release = found.digest.clone();
    let undo = args.undo.is_some();
    let reason = args.undo.as_ref().or(args.reason.as_ref()).map(String::as_str).unwrap_or_default();
    let mut revoked = Vec::new();
    for environment in loaded.configuration.environments.values() {
        let named = context.global.env.as_deref();
        if named.is_some_and(|env| env != &*environment.name) {
            continue;
        }
        let place = delivery::recorded(context, &loaded, environment).await.place;
        let (decision, due) = if undo {
            (Decision::UndoRevoke { release: release.clone() }, place.standing.revoked.contains_key(&release))
        } else {
            (Decision::Revoke { release: release.clone() }, place.seen(&release).is_some() || named.is_some())
        };
        if due {
            record(&loaded, environment, reason, decision, context).await?;
            revoked.push(environment.name.to_string());
        }
    }
    let short = found.digest.short();
    if revoked.is_empty() {
        let what = if undo { "is revoked nowhere" } else { "was in no environment yet" };
        return Err(Error::new("nothing_to_revoke", format!("{short} {what}"))
            .hint("name the environment with --env where that is meant all the same"));
    }
    let what = if undo { "may go on again from" } else { "goes no further from" };
    context.terminal.status(&format!("{short} {what} {}", revoked.join(", ")));
    Ok(Exit::Done)
}
