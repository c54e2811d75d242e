//! `terrace approve`: somebody agrees to a plan, or has looked at a run that broke the glass.

use crate::{
    base::Digest,
    cli::{
        args::PlanArg,
        context::Context,
        delivery,
        error::{Error, Result},
        exit::Exit,
        loaded::{Chosen, Loaded, load},
        place,
        style::bold,
    },
    gate,
    plan::Saved,
    promote::stored,
    state::{Actor, Approval, Decision, Fact, RunId, approval, facts},
    world::{Ledger, World, live::OsRandom},
};
use std::sync::Arc;

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A saved plan, or the digest of one that waits
    #[arg(value_name = "FILE|DIGEST", required_unless_present_any = ["review", "waiver"], conflicts_with_all = ["review", "waiver"])]
    what: Option<String>,
    /// A run that broke the glass, which somebody else made
    #[arg(long, value_name = "RUN")]
    review: Option<String>,
    /// A waiver of a rule of policy, which somebody else asked for
    #[arg(long, value_name = "WAIVER", conflicts_with = "review")]
    waiver: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Where and by whom something is approved.
struct Desk {
    ledger: Arc<dyn Ledger>,
    world: Arc<dyn World>,
    by: Actor,
    env: Arc<str>,
    gates: crate::lang::gates::Gates,
}

impl Desk {
    async fn open(context: &Context, loaded: &Loaded, chosen: Chosen) -> Result<Self> {
        let world = place::open_world(context, &loaded.place.project, &chosen)?;
        let by = delivery::actor(context, loaded, &chosen, &*world).await?;
        let ledger = place::ledger(context, loaded, &chosen)?;
        Ok(Self { ledger, world, by, env: chosen.environment.name.clone(), gates: chosen.environment.gates })
    }
}

/// Records an approval.
#[expect(clippy::disallowed_methods, reason = "what is given is a saved plan where there is a file of that name")]
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    if let Some(waiver) = &args.waiver {
        return super::policy::agree(waiver, args.reason, context).await;
    }
    if let Some(run) = &args.review {
        let loaded = load(context, None)?;
        let chosen = loaded.choose(context).await?;
        return review(&Desk::open(context, &loaded, chosen).await?, run, args.reason, context).await;
    }
    let word = args.what.unwrap_or_default();
    let file = context.surroundings.folder.join(&word);
    if file.is_file() {
        let saved = super::show::read(&file)?;
        let loaded = load(context, Some(&saved.content.header.folder)).or_else(|_| load(context, None))?;
        let environment = loaded.named_environment(&saved.content.header.env)?.clone();
        let chosen = loaded.whereabouts(context, &environment).await?;
        let desk = Desk::open(context, &loaded, chosen).await?;
        // It lies elsewhere than in the state: whoever applies it brings it along.
        return approve(&desk, &saved, args.reason, context).await;
    }
    let loaded = load(context, PlanArg::default().plan.as_deref())?;
    let chosen = loaded.choose(context).await?;
    let desk = Desk::open(context, &loaded, chosen).await?;
    let waiting = stored::waiting(&*desk.ledger).await?;
    let found: Vec<&Saved> = waiting.iter().filter(|saved| saved.digest.begins_with(&word)).collect();
    match found.as_slice() {
        [saved] if word.trim_start_matches("sha256:").len() >= 4 => approve(&desk, saved, args.reason, context).await,
        _ => {
            let env = &desk.env;
            let error = Error::usage("plan_not_waiting", format!("no plan `{word}` waits for approval in {env}"));
            let known: Vec<&str> = waiting.iter().map(|saved| saved.digest.short()).collect();
            Err(if known.is_empty() {
                error.hint(format!("terrace promote RELEASE --to {env} makes one; or name a saved plan's file"))
            } else {
                error.hint(format!("these wait: {}", known.join(", ")))
            })
        }
    }
}

async fn approve(desk: &Desk, saved: &Saved, reason: Option<String>, context: &Context) -> Result<Exit> {
    let header = &saved.content.header;
    if header.offline {
        return Err(Error::usage("plan_not_waiting", "this plan was made offline, and can't be applied"));
    }
    let now = desk.world.clock().now();
    let digest: Digest = saved.digest.clone();
    let approval = Approval::new(digest.clone(), desk.by.clone(), now, reason);
    approval::approve(&*desk.ledger, &OsRandom, &approval, &context.surroundings.origin()).await?;
    let (env, short) = (&desk.env, digest.short());
    let who = desk.by.spoken();
    context.terminal.status(&format!("{who} approves the plan {} for {env}", bold(short)));
    let Some(rule) = &desk.gates.approval else {
        context.terminal.status(&format!("{env} asks for no approval"));
        return Ok(Exit::Done);
    };
    let authors: Vec<Actor> = saved.attachment.author.iter().cloned().collect();
    let all = approval::approvals(&*desk.ledger, &digest).await?;
    let counted = gate::count(rule, &all, &authors, now);
    context.terminal.status(&format!("{} of {} approvals", counted.counted.len(), rule.count));
    for (actor, why) in &counted.ignored {
        context.terminal.status(&format!("does not count: {} {}", actor.spoken(), why.spoken()));
    }
    if counted.counted.len() >= usize::try_from(rule.count).unwrap_or(usize::MAX)
        && let Some(release) = &header.release
    {
        let next = format!("terrace promote {} --to {env}", release.short());
        context.terminal.status(&format!("Next: {}", bold(next)));
    }
    Ok(Exit::Done)
}

async fn review(desk: &Desk, run: &str, reason: Option<String>, context: &Context) -> Result<Exit> {
    let state = crate::state::load(&*desk.ledger).await?;
    let of_run = |o: &&crate::state::Occupancy| &*o.run.0 == run && o.passage.break_glass.is_some();
    let Some(occupancy) = state.delivery.occupancies.iter().find(of_run) else {
        return Err(Error::usage("run_unknown", format!("no run `{run}` broke the glass in {}", desk.env))
            .hint("terrace pipeline names those that are to be reviewed"));
    };
    if occupancy.by == desk.by.spoken() {
        return Err(Error::new("review_own", "whoever broke the glass cannot review it")
            .exit(Exit::NotEligible)
            .hint("ask somebody else"));
    }
    let reason = reason.unwrap_or_else(|| "reviewed".to_owned());
    let decision = Decision::Review { run: RunId(run.into()) };
    let fact = Fact::new(desk.world.clock().now(), desk.by.clone(), reason, decision);
    facts::record(&*desk.ledger, &OsRandom, &fact, &context.surroundings.origin()).await?;
    context.terminal.status(&format!("{} has reviewed the run {run}", desk.by.spoken()));
    Ok(Exit::Done)
}
