//! `terrace rollout`: a rollout steered from another terminal: looked at, paused, resumed, let go, aborted; and what it left, retired.

use crate::{
    base::Address,
    cli::{
        args::Consent,
        commands::apply::{Fresh, plan_and_apply},
        context::Context,
        delivery,
        error::{Error, Result, defect},
        exit::Exit,
        loaded::{Loaded, load},
        place,
        views::{json::answer, rollout as view},
    },
    plan::{Mode, Request},
    rollout::Standing,
    state::{Control, Snapshot, Verb},
    world::{Ledger, World, live::OsRandom},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// How often a view that is watched is drawn anew.
const DRAWN_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `rollout`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Weights, the step and its clock, each analysis with its last values
    Status(Watched),
    /// Stay as it is until somebody resumes
    Pause(Word),
    /// Go on after a pause
    Resume(Word),
    /// Let the step go on to the next one
    Promote {
        #[command(flatten)]
        word: Word,
        /// Skip all steps that are left, and the bake
        #[arg(long)]
        full: bool,
    },
    /// All traffic back to what had it before
    Abort(Word),
    /// Retire now what is kept warm
    Finish {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        consent: Consent,
    },
}

/// What is rolled out.
#[derive(Debug, clap::Args)]
struct Which {
    /// Its address, like helm.headlamp; the only one where there is one
    #[arg(value_name = "ADDR")]
    address: Option<Address>,
}

#[derive(Debug, clap::Args)]
struct Watched {
    #[command(flatten)]
    which: Which,
    /// Draw it anew every second until it is over
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, clap::Args)]
struct Word {
    #[command(flatten)]
    which: Which,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Looks at rollouts, or steers one.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.what {
        What::Status(watched) => status(&watched, context).await,
        What::Pause(word) => say(&word, Verb::Pause, "is asked to pause", context).await,
        What::Resume(word) => say(&word, Verb::Resume, "is asked to go on", context).await,
        What::Promote { word, full } => say(&word, Verb::Promote { full }, "is let go", context).await,
        What::Abort(word) => say(&word, Verb::Abort, "is asked to take all traffic back", context).await,
        What::Finish { which, consent } => finish(&which, &consent, context).await,
    }
}

/// An environment's state, and the clock of its world.
struct Here {
    loaded: Loaded,
    chosen: crate::cli::loaded::Chosen,
    ledger: Arc<dyn Ledger>,
    world: Arc<dyn World>,
}

async fn here(context: &Context) -> Result<Here> {
    let loaded = load(context, None)?;
    let chosen = loaded.choose(context).await?;
    let world = place::open_world(context, &loaded.place.project, &chosen)?;
    let ledger = place::ledger(context, &loaded, &chosen)?;
    Ok(Here { loaded, chosen, ledger, world })
}

async fn status(watched: &Watched, context: &Context) -> Result<Exit> {
    let here = here(context).await?;
    let mut last = String::new();
    loop {
        let snapshot = place::snapshot(&here.ledger).await?;
        let units: Vec<(&Address, &Standing)> = match &watched.which.address {
            Some(_) => vec![only(&snapshot, &watched.which, |_| true, "is rolled out by colours")?],
            None => snapshot.rollouts.iter().collect(),
        };
        // A clock that runs only while a process does may be behind that of whoever drives it.
        let known = units.iter().filter_map(|(_, standing)| standing.known_at()).max();
        let now = known.map_or(here.world.clock().now(), |known| known.max(here.world.clock().now()));
        let going = units.iter().any(|(_, standing)| standing.going.is_some());
        if context.terminal.json {
            for (unit, standing) in &units {
                let standing = serde_json::to_value(standing).map_err(|e| defect(&e))?;
                context
                    .terminal
                    .json_line(&answer("rollout", json!({ "address": unit, "at": now, "standing": standing })));
            }
        } else {
            let text = if units.is_empty() {
                format!("Nothing is rolled out by colours in {}.\n", here.chosen.environment.name)
            } else {
                let mut text: String =
                    units.iter().map(|(unit, standing)| view::standing(unit, standing, now)).collect();
                if (going || snapshot.open_run().is_some()) && !here.ledger.is_driven().await? {
                    text.push_str(
                        "No process drives it now: terrace resume goes on, terrace resume --rollback takes it back.\n",
                    );
                }
                text
            };
            if text != last {
                context.terminal.picture(&text, watched.watch && !last.is_empty());
                last = text;
            }
        }
        if !(watched.watch && going) {
            return Ok(Exit::Done);
        }
        here.world.clock().sleep(DRAWN_EVERY).await;
    }
}

/// The one that is meant.
fn only<'s>(
    snapshot: &'s Snapshot,
    which: &Which,
    fits: impl Fn(&Standing) -> bool,
    what: &str,
) -> Result<(&'s Address, &'s Standing)> {
    let all: Vec<_> = snapshot.rollouts.iter().filter(|(_, standing)| fits(standing)).collect();
    if let Some(address) = &which.address {
        let unit = address.with_color(None);
        return all.into_iter().find(|(known, _)| **known == unit).ok_or_else(|| {
            Error::new("no_rollout", format!("{unit}: there is nothing of this address that {what}"))
                .hint("`terrace rollout status` shows what there is")
        });
    }
    match all.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::new("no_rollout", format!("there is nothing that {what}"))
            .hint("`terrace rollout status` shows what there is")),
        several => {
            let names: Vec<&str> = several.iter().map(|(unit, _)| unit.as_str()).collect();
            Err(Error::usage("no_rollout", format!("it is open which one is meant: {}", names.join(", ")))
                .hint("name it"))
        }
    }
}

async fn say(word: &Word, verb: Verb, said: &str, context: &Context) -> Result<Exit> {
    let here = here(context).await?;
    let snapshot = place::snapshot(&here.ledger).await?;
    let (unit, standing) = only(&snapshot, &word.which, |standing| standing.going.is_some(), "is being rolled out")?;
    let Some(going) = &standing.going else { return Ok(Exit::Done) };
    let by = delivery::actor(context, &here.loaded, &here.chosen, &*here.world).await?;
    let now = here.world.clock().now();
    let control = Control::new(unit.clone(), going.run.to_string(), now, by, word.reason.clone(), verb);
    control.record(&*here.ledger, &OsRandom, &context.surroundings.origin()).await?;
    context.terminal.status(&format!("{unit} {said}"));
    if !here.ledger.is_driven().await? {
        context.terminal.status("No process drives it now: `terrace resume` takes the word in.");
    }
    Ok(Exit::Done)
}

async fn finish(which: &Which, consent: &Consent, context: &Context) -> Result<Exit> {
    let here = here(context).await?;
    let snapshot = place::snapshot(&here.ledger).await?;
    let (unit, standing) = only(&snapshot, which, |standing| standing.kept.is_some(), "is kept warm")?;
    let kept = standing.kept.iter().map(|kept| unit.with_color(Some(kept.color))).collect();
    let request = Request { mode: Mode::Retire, retire: kept, ..Request::default() };
    let fresh = Fresh { command: "rollout finish", plan: None, release: None, request };
    Box::pin(plan_and_apply(fresh, consent, context)).await
}
