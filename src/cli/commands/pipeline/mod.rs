//! `terrace pipeline`: environments and releases, and why each may or may not go on.
//!
//! Of the releases only those are read that are shown: one listing tells which there are, and which is a candidate.
#![expect(clippy::disallowed_methods, reason = "writes the picture to a file, and looks again after a while")]

mod picture;
mod shown;

use crate::{
    base::{Address, Digest},
    cli::{
        args::{self, PlanArg},
        context::Context,
        delivery::{self, Recorded},
        error::{Error, Result},
        exit::Exit,
        loaded::{Loaded, load},
        place, releases,
        views::rollout::owed,
    },
    gate::{self, Candidate, Docket, Place, Reason, Way},
    promote::stored,
    rollout::Kept,
    state::{Fact, Held, Mark, Progress, approval, release},
    world::Ledger,
};
use jiff::Timestamp;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Arguments of `pipeline`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Look again and again, and show what changes
    #[arg(long, conflicts_with = "svg")]
    watch: bool,
    /// How long to wait before looking again
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = args::duration, requires = "watch")]
    every: Duration,
    /// Draw it into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// One environment as it is shown.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    env: String,
    after: Vec<String>,
    holds: String,
    age: Option<Duration>,
    health: Health,
    soaked: Option<Duration>,
    /// The release that would come next, with every reason that keeps it.
    next: Option<(Digest, Vec<Reason>)>,
    notes: Vec<String>,
    /// Colours that are kept warm, and whether it is time to retire them.
    debts: Vec<(Address, Kept, bool)>,
}

impl Row {
    /// Each colour that is kept warm, in words.
    fn owed(&self) -> impl Iterator<Item = String> {
        self.debts.iter().map(|(address, kept, is_due)| {
            let words = owed(address, kept.due, kept.failed.as_deref(), is_due.then_some(kept.due));
            if *is_due { words } else { format!("kept warm: {words}") }
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Health {
    Empty,
    Verified,
    Unverified,
    Failed(String),
    Unreadable(String),
}

/// Shows the pipeline.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let look = Look { store: releases::store(context, &loaded.place.project)?, loaded };
    if args.watch {
        return look.again_and_again(args, context).await;
    }
    let rows = look.rows(context).await?;
    if let Some(file) = &args.svg {
        let file = context.surroundings.folder.join(file);
        std::fs::write(&file, picture::svg(&rows))
            .map_err(|e| Error::new("file_unwritable", format!("{}: {e}", file.display())))?;
    }
    if context.terminal.json {
        context.terminal.json_line(&shown::whole(&rows));
    } else if args.svg.is_none() {
        context.terminal.data(&shown::rendered(&rows));
    }
    Ok(Exit::Done)
}

/// What is looked at.
struct Look {
    loaded: Loaded,
    store: Arc<dyn Ledger>,
}

impl Look {
    /// All environments as they are now, each after what it comes after.
    async fn rows(&self, context: &Context) -> Result<Vec<Row>> {
        let loaded = &self.loaded;
        let environments = super::promote::ordered(loaded);
        let all = futures::future::join_all(environments.iter().map(|e| delivery::recorded(context, loaded, e)));
        let (marks, found) = futures::join!(release::marks(&*self.store, &loaded.configuration.label), all);
        let marks = marks?;
        let mut clocks = Clocks::default();
        let mut rows = Vec::new();
        for recorded in &found {
            let now = clocks.now(context, loaded, recorded).await?;
            rows.push(self.row(recorded, &found, &marks, now).await?);
        }
        Ok(rows)
    }

    /// Shows them until somebody ends it: drawn anew on a terminal, elsewhere a line for each change.
    async fn again_and_again(&self, args: &Args, context: &Context) -> Result<Exit> {
        let mut before: Option<Vec<Row>> = None;
        loop {
            let rows = tokio::select! {
                rows = self.rows(context) => rows?,
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
            };
            if context.terminal.json {
                if before.as_ref().is_none_or(|before| !shown::changes(before, &rows).is_empty()) {
                    context.terminal.json_line(&shown::whole(&rows));
                }
            } else if context.surroundings.stdout {
                // The cursor goes home, and what is left below is wiped off.
                context.terminal.data(&format!("\x1b[H\x1b[2J{}", shown::rendered(&rows)));
            } else {
                for line in shown::changes(before.as_deref().unwrap_or_default(), &rows) {
                    context.terminal.data(&format!("{line}\n"));
                }
            }
            before = Some(rows);
            tokio::select! {
                () = tokio::time::sleep(args.every) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
            }
        }
    }

    async fn row(&self, recorded: &Recorded, all: &[Recorded], releases: &[Mark], now: Timestamp) -> Result<Row> {
        let place = &recorded.place;
        let above = delivery::upstream(&self.loaded, &recorded.environment);
        let upstream: Vec<&Place> =
            above.iter().filter_map(|e| all.iter().find(|r| r.environment.name == e.name).map(|r| &r.place)).collect();
        let candidates = releases.iter().map(|r| Candidate { release: &r.digest, created: r.created });
        let here = place.current.as_ref().and_then(|c| c.held.release());
        // Where nothing is a candidate, the newest that is on its way is what people ask about.
        let fit = gate::candidate(candidates, place, &upstream, now).map(|c| c.release);
        let made = releases.iter().find(|r| Some(&r.digest) == here).map(|r| r.created);
        let newest = releases.iter().find(|r| Some(&r.digest) != here && made.is_none_or(|made| r.created >= made));
        let meant = fit.filter(|release| Some(*release) != here).or_else(|| newest.map(|r| &r.digest));
        let next = match meant {
            None => None,
            Some(meant) => Some((meant.clone(), self.judged(recorded, meant, &upstream, now).await?)),
        };
        let current = place.current.as_ref();
        let holds = match current.map(|c| &c.held) {
            None => "nothing".to_owned(),
            Some(Held::Nothing) => "nothing (destroyed)".to_owned(),
            Some(Held::Unreleased) => "unreleased".to_owned(),
            Some(Held::Release(digest)) => digest.short().to_owned(),
        };
        let health = match (&place.unreadable, current) {
            (Some(why), _) => Health::Unreadable(why.clone()),
            (None, None) => Health::Empty,
            (None, Some(c)) if c.is_verified() => Health::Verified,
            (None, Some(c)) => match (&c.progress, &c.failure) {
                (_, Some(why)) => Health::Failed(why.clone()),
                (Progress::FailedAt(phase), None) => Health::Failed(format!("failed at {phase}")),
                _ => Health::Unverified,
            },
        };
        let mut notes: Vec<String> = Vec::new();
        // Where a release would come next, a freeze is among the reasons that keep it.
        let frozen = place.standing.freeze.iter().filter(|_| next.is_none());
        notes.extend(frozen.map(|f| {
            format!("frozen by {}: {} (terrace freeze {} --lift lifts it)", f.by.spoken(), f.reason, place.name)
        }));
        let env = &place.name;
        let lifted =
            |f: &Fact| format!("on hold by {}: {} (terrace release-hold {env} lifts it)", f.by.spoken(), f.reason);
        notes.extend(place.standing.hold.iter().map(lifted));
        notes.extend(
            place
                .standing
                .revoked
                .iter()
                .map(|(d, f)| format!("{} revoked by {}: {}", d.short(), f.by.spoken(), f.reason)),
        );
        notes.extend(place.unreviewed.iter().map(|run| format!("the run {run} broke the glass and was not reviewed")));
        Ok(Row {
            env: place.name.to_string(),
            after: place.after.iter().map(ToString::to_string).collect(),
            holds,
            age: current.and_then(|c| now.duration_since(c.since).try_into().ok()),
            health,
            soaked: current.filter(|c| c.held.release().is_some()).map(|c| c.soaked(now)),
            next,
            notes,
            debts: recorded.debts.iter().map(|(unit, kept)| (unit.clone(), kept.clone(), kept.due <= now)).collect(),
        })
    }

    /// Every reason that keeps a release from an environment now, with the approvals of the plan that waits.
    async fn judged(
        &self,
        recorded: &Recorded,
        meant: &Digest,
        upstream: &[&Place],
        now: Timestamp,
    ) -> Result<Vec<Reason>> {
        let mut waiting = None;
        if let Some(ledger) = &recorded.ledger
            && recorded.environment.gates.approval.is_some()
        {
            for saved in stored::waiting(&**ledger).await? {
                if saved.content.header.release.as_ref() == Some(meant) {
                    let given = approval::approvals(&**ledger, &saved.digest).await?;
                    waiting = Some((saved.digest.clone(), given, saved.attachment.author.clone()));
                }
            }
        }
        // Who made it counts only where somebody has to agree.
        let mut authors = match recorded.environment.gates.approval {
            Some(_) => release::stored(&*self.store, meant).await.map(|found| found.authors())?,
            None => Vec::new(),
        };
        authors.extend(waiting.as_ref().and_then(|(_, _, author)| author.clone()));
        let way = Way::default();
        Ok(gate::judge(&Docket {
            release: meant,
            authors: &authors,
            target: &recorded.place,
            upstream,
            values: None,
            plan: waiting.as_ref().map(|(digest, given, _)| (digest, given.as_slice())),
            way: &way,
            now,
        }))
    }
}

/// What time it is in each world; each is opened once.
#[derive(Default)]
struct Clocks {
    sandbox: Option<Timestamp>,
    live: Option<Timestamp>,
}

impl Clocks {
    async fn now(&mut self, context: &Context, loaded: &Loaded, recorded: &Recorded) -> Result<Timestamp> {
        let Ok(chosen) = loaded.whereabouts(context, &recorded.environment).await else {
            return Ok(crate::cli::surroundings::Surroundings::now());
        };
        let known = if chosen.sandbox { &mut self.sandbox } else { &mut self.live };
        if let Some(now) = *known {
            return Ok(now);
        }
        let now = place::open_world(context, &loaded.place.project, &chosen)?.clock().now();
        Ok(*known.insert(now))
    }
}
