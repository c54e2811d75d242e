//! `terrace pipeline`: environments and releases, and why each may or may not go on.

use crate::{
    base::{Digest, format_duration},
    cli::{
        args::PlanArg,
        context::Context,
        delivery::{self, Recorded},
        error::Result,
        exit::Exit,
        loaded::{Loaded, load},
        place, releases,
        style::{bold, dim, green, red, yellow},
        views::{json::answer, table},
    },
    gate::{self, Candidate, Docket, Place, Reason, Way},
    promote::stored,
    state::{Held, Progress, StoredRelease, approval, release},
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::{fmt::Write as _, time::Duration};

/// Arguments of `pipeline`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
}

/// One environment as it is shown.
struct Row {
    env: String,
    holds: String,
    age: Option<Duration>,
    health: Health,
    soaked: Option<Duration>,
    /// The release that would come next, with every reason that keeps it.
    next: Option<(Digest, Vec<Reason>)>,
    notes: Vec<String>,
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
    let store = releases::store(context, &loaded.place.project)?;
    let all: Vec<StoredRelease> = release::releases(&*store).await?;
    let all: Vec<StoredRelease> = all.into_iter().filter(|r| r.release.plan == loaded.configuration.label).collect();
    let environments = super::promote::ordered(&loaded);
    let found = futures::future::join_all(environments.iter().map(|e| delivery::recorded(context, &loaded, e))).await;
    let mut rows = Vec::new();
    for recorded in &found {
        rows.push(row(context, &loaded, recorded, &found, &all).await?);
    }
    if context.terminal.json {
        let rows: Vec<Json> = rows.iter().map(as_json).collect();
        context.terminal.json_line(&answer("pipeline", json!({ "environments": rows })));
        return Ok(Exit::Done);
    }
    context.terminal.data(&rendered(&rows));
    Ok(Exit::Done)
}

async fn row(
    context: &Context,
    loaded: &Loaded,
    recorded: &Recorded,
    all: &[Recorded],
    releases: &[StoredRelease],
) -> Result<Row> {
    let place = &recorded.place;
    let now = now(context, loaded, recorded).await?;
    let above = delivery::upstream(loaded, &recorded.environment);
    let upstream: Vec<&Place> =
        above.iter().filter_map(|e| all.iter().find(|r| r.environment.name == e.name).map(|r| &r.place)).collect();
    let candidates = releases.iter().map(|r| Candidate { release: &r.digest, created: r.created() });
    let here = place.current.as_ref().and_then(|c| c.held.release());
    // Where nothing is a candidate, the newest that is on its way is what people ask about.
    let fit = gate::candidate(candidates, place, &upstream, now).map(|c| c.release);
    let meant = fit.or_else(|| releases.first().map(|r| &r.digest)).filter(|release| Some(*release) != here);
    let next = match meant {
        None => None,
        Some(meant) => Some((meant.clone(), judged(recorded, meant, &upstream, releases, now).await?)),
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
    notes.extend(place.standing.hold.iter().map(|f| format!("on hold by {}: {}", f.by.spoken(), f.reason)));
    notes.extend(
        place.standing.revoked.iter().map(|(d, f)| format!("{} revoked by {}: {}", d.short(), f.by.spoken(), f.reason)),
    );
    notes.extend(place.unreviewed.iter().map(|run| format!("the run {run} broke the glass and was not reviewed")));
    Ok(Row {
        env: place.name.to_string(),
        holds,
        age: current.and_then(|c| now.duration_since(c.since).try_into().ok()),
        health,
        soaked: current.filter(|c| c.held.release().is_some()).map(|c| c.soaked(now)),
        next,
        notes,
    })
}

/// Every reason that keeps a release from an environment now, with the approvals of the plan that waits.
async fn judged(
    recorded: &Recorded,
    meant: &Digest,
    upstream: &[&Place],
    releases: &[StoredRelease],
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
    let mut authors = releases.iter().find(|r| r.digest == *meant).map(StoredRelease::authors).unwrap_or_default();
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

async fn now(context: &Context, loaded: &Loaded, recorded: &Recorded) -> Result<Timestamp> {
    match loaded.whereabouts(context, &recorded.environment).await {
        Ok(chosen) => Ok(place::open_world(context, &loaded.place.project, &chosen)?.clock().now()),
        Err(_) => Ok(crate::cli::surroundings::Surroundings::now()),
    }
}

fn rendered(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let health = match &row.health {
            Health::Empty => dim("-"),
            Health::Verified => green("verified"),
            Health::Unverified => yellow("not verified"),
            Health::Failed(_) => red("failed"),
            Health::Unreadable(_) => red("unreadable"),
        };
        let next = match &row.next {
            None => String::new(),
            Some((release, reasons)) if reasons.is_empty() => format!("{} {}", release.short(), green("eligible")),
            Some((release, reasons)) => format!("{} {}", release.short(), yellow(format!("{} against", reasons.len()))),
        };
        let time = |d: Option<Duration>| d.map(format_duration).unwrap_or_default();
        vec![row.env.clone(), row.holds.clone(), time(row.age), health, time(row.soaked), next]
    });
    let cells: Vec<Vec<String>> = cells.collect();
    let mut out = table::render(&["environment", "holds", "for", "health", "soaked", "next"], &cells);
    for row in rows {
        let mut lines: Vec<String> = Vec::new();
        if let Health::Failed(why) | Health::Unreadable(why) = &row.health {
            lines.push(why.clone());
        }
        if let Some((release, reasons)) = &row.next {
            for reason in reasons {
                let lifted = reason.lifted_by(&row.env, release.short());
                lines.push(format!("{}: {} ({lifted})", release.short(), reason.sentence()));
            }
        }
        lines.extend(row.notes.iter().cloned());
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{}", bold(&row.env));
            for line in lines {
                let _ = writeln!(out, "  {}", crate::cli::style::clean(&line));
            }
        }
    }
    out
}

fn as_json(row: &Row) -> Json {
    let (health, why) = match &row.health {
        Health::Empty => ("empty", None),
        Health::Verified => ("verified", None),
        Health::Unverified => ("unverified", None),
        Health::Failed(why) => ("failed", Some(why)),
        Health::Unreadable(why) => ("unreadable", Some(why)),
    };
    let next = row.next.as_ref().map(|(release, reasons)| {
        let reasons: Vec<Json> = reasons
            .iter()
            .map(|r| {
                let lifted = r.lifted_by(&row.env, release.short());
                json!({ "code": r.code(), "reason": r.sentence(), "lifted_by": lifted })
            })
            .collect();
        json!({ "release": release, "eligible": reasons.is_empty(), "reasons": reasons })
    });
    json!({
        "environment": row.env,
        "holds": row.holds,
        "age": row.age.map(|d| d.as_secs()),
        "health": health,
        "why": why,
        "soaked": row.soaked.map(|d| d.as_secs()),
        "next": next,
        "notes": row.notes,
    })
}
