//! `terrace status`: what is remembered of each environment, and how it stood when it was last looked at.

use crate::{
    cli::{
        args::PlanArg,
        context::Context,
        error::Result,
        exit::Exit,
        loaded::{self, Chosen, Loaded, load},
        place,
        style::{bold, clean, dim, green, red, yellow},
        views::{
            diagnostics::plural,
            json::answer,
            rollout::{debt, owed},
            table,
        },
    },
    state::{Resource, Snapshot, Status},
    world::LockOwner,
};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
}

/// What is known of one environment.
struct Standing {
    chosen: Chosen,
    snapshot: Snapshot,
    holder: Option<LockOwner>,
    /// Where the state is kept.
    place: String,
}

/// Prints one environment in detail, or all in a table.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let environments = &loaded.configuration.environments;
    if context.global.env.is_some() || environments.len() == 1 {
        let standing = look(context, &loaded, loaded.choose(context).await?).await?;
        if context.terminal.json {
            context.terminal.json_line(&answer("status", as_json(&standing)));
        } else {
            let declared: Vec<Arc<str>> = loaded.configuration.phases.iter().map(|p| p.name.clone()).collect();
            context.terminal.data(&detail(&standing, &declared));
        }
        return Ok(Exit::Done);
    }
    let mut all = Vec::new();
    for environment in environments.values() {
        all.push(look(context, &loaded, loaded::choose(environment, context.global.sandbox)).await?);
    }
    if context.terminal.json {
        for standing in &all {
            context.terminal.json_line(&answer("status", as_json(standing)));
        }
    } else {
        let rows: Vec<Vec<String>> = all.iter().map(row).collect();
        context.terminal.data(&table::render(&["environment", "world", "holds", "state", "last run"], &rows));
    }
    Ok(Exit::Done)
}

async fn look(context: &Context, loaded: &Loaded, chosen: Chosen) -> Result<Standing> {
    let ledger = place::ledger(context, loaded, &chosen)?;
    let snapshot = place::snapshot(&ledger).await?;
    let holder = ledger.holder().await?;
    let (place, project) = (ledger.place(), &loaded.place.project.folder);
    // A folder of the project is named as it is seen from there.
    let place = std::path::Path::new(&place).strip_prefix(project).map_or(place.clone(), |p| p.display().to_string());
    Ok(Standing { chosen, snapshot, holder, place })
}

fn world(chosen: &Chosen) -> String {
    let name = if chosen.sandbox { "sandbox" } else { "aws" };
    format!("{name} {} {}", chosen.connection.account_id, chosen.connection.region)
}

/// The environment in a word, worst first.
fn health(snapshot: &Snapshot) -> String {
    let of = |status| snapshot.resources.values().filter(|r| r.status == status).count();
    let failing = snapshot.verdicts.values().filter(|v| !v.passed).count();
    if snapshot.open_run().is_some() {
        yellow("a run is open")
    } else if of(Status::Tainted) > 0 {
        red(format!("{} tainted", of(Status::Tainted)))
    } else if failing > 0 {
        red(plural(failing, "failing check"))
    } else if of(Status::Applied) > 0 {
        yellow(format!("{} not verified", of(Status::Applied)))
    } else if snapshot.resources.is_empty() {
        dim("empty")
    } else {
        green("verified")
    }
}

fn row(standing: &Standing) -> Vec<String> {
    let snapshot = &standing.snapshot;
    let last = snapshot.runs.last().map_or_else(String::new, |run| {
        format!("{} {}", run.command, super::history::end(run.end.map(|(end, _)| end)))
    });
    vec![
        standing.chosen.environment.name.to_string(),
        world(&standing.chosen),
        format!("{}{}", plural(snapshot.resources.len(), "thing"), warm(snapshot)),
        health(snapshot),
        last,
    ]
}

/// How many colours are kept warm.
fn warm(snapshot: &Snapshot) -> String {
    match snapshot.debts().count() {
        0 => String::new(),
        count => format!(", {count} kept warm"),
    }
}

fn detail(standing: &Standing, declared: &[Arc<str>]) -> String {
    let snapshot = &standing.snapshot;
    let mut out = format!(
        "{}  {}  {}\n",
        bold(&standing.chosen.environment.name),
        dim(world(&standing.chosen)),
        health(snapshot)
    );
    let _ = writeln!(out, "{}", dim(format!("state in {}, serial {}", standing.place, snapshot.serial)));
    if let Some(holder) = &standing.holder {
        let _ = writeln!(
            out,
            "{} by {} on {} since {} (`{}`, id {})",
            yellow("locked"),
            holder.who,
            holder.host,
            holder.since,
            holder.command,
            holder.id
        );
    }
    if let Some(run) = snapshot.open_run() {
        let _ = writeln!(
            out,
            "{} of `{}` since {}: terrace resume goes on with it",
            yellow("open run"),
            run.command,
            run.started
        );
    } else if let Some(run) = snapshot.runs.last() {
        let end = super::history::end(run.end.map(|(end, _)| end));
        let _ = writeln!(out, "last run {} {end}, {}", run.command, run.started);
    }
    let mut phases: BTreeMap<&Arc<str>, Vec<Vec<String>>> = BTreeMap::new();
    for resource in snapshot.resources.values() {
        let prefix = format!("{}/", resource.address);
        let verdicts: Vec<String> = snapshot
            .verdicts
            .iter()
            .filter_map(|(subject, verdict)| {
                let label = subject.strip_prefix(&prefix)?;
                Some(if verdict.passed {
                    green(format!("{label} ok"))
                } else {
                    red(format!("{label} failed: {}", verdict.said))
                })
            })
            .collect();
        let failing = snapshot.verdicts.iter().any(|(s, v)| s.starts_with(&prefix) && !v.passed);
        let status = match resource.status {
            Status::Verified if failing => red("not verified"),
            Status::Verified => green("verified"),
            Status::Applied => yellow("not verified"),
            Status::Tainted => red("tainted"),
        };
        let ignored = snapshot.ignored.get(&resource.address).map(|d| format!("drift ignored: {}", d.reason));
        let mut row = vec![format!("  {}", resource.address), status, verdicts.join(", ")];
        row.extend(ignored);
        let left = snapshot.ignored_fields.get(&resource.address).map(|fields| plural(fields.len(), "field"));
        row.extend(left.map(|fields| format!("{fields} left alone")));
        row.extend(revertible(resource));
        phases.entry(&resource.phase).or_default().push(row);
    }
    // As they are declared, where they still are; then the rest.
    let mut order: Vec<&Arc<str>> = phases.keys().copied().collect();
    order.sort_by_key(|p| declared.iter().position(|d| d == *p).unwrap_or(usize::MAX));
    for phase in order {
        let Some(rows) = phases.get(phase) else { continue };
        let text = table::render(&["", "", ""], rows);
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        let _ = write!(out, "\n{}\n{rest}", bold(format!("Phase {phase}")));
    }
    let debts: Vec<String> = snapshot
        .debts()
        .map(|(address, kept)| format!("  {}\n", clean(&owed(&address, kept.due, kept.failed.as_deref(), None))))
        .collect();
    if !debts.is_empty() {
        let _ = write!(out, "\n{}\n{}", bold("Kept warm"), debts.concat());
    }
    let checks: Vec<String> = snapshot
        .verdicts
        .iter()
        .filter(|(subject, _)| subject.starts_with("check.") || subject.starts_with("phase."))
        .map(|(subject, v)| {
            let word = if v.passed { green("passed") } else { red("failed") };
            format!("  {subject} {word} {}\n", dim(format!("{} ({})", v.said, v.at)))
        })
        .collect();
    if !checks.is_empty() {
        let _ = write!(out, "\n{}\n{}", bold("Gates and checks"), checks.concat());
    }
    out
}

/// Until when the newest hop of a cluster's version can be taken back.
fn revertible(resource: &Resource) -> Option<String> {
    let version = resource.exports.get("version")?.as_str()?;
    let until = resource.exports.get("revertible_until")?.as_str()?;
    Some(format!("Kubernetes {version}, can be taken back until {until}"))
}

fn as_json(standing: &Standing) -> serde_json::Value {
    let snapshot = &standing.snapshot;
    let resources: Vec<_> = snapshot
        .resources
        .values()
        .map(|r| {
            let mut told = json!({ "address": r.address, "phase": r.phase, "status": r.status, "at": r.at });
            if let Some(until) = r.exports.get("revertible_until").and_then(crate::base::Value::as_str) {
                told["revertible_until"] = json!(until);
            }
            told
        })
        .collect();
    let debts: Vec<_> = snapshot.debts().map(|(address, kept)| debt(&address, kept)).collect();
    json!({
        "environment": standing.chosen.environment.name,
        "world": {
            "name": if standing.chosen.sandbox { "sandbox" } else { "aws" },
            "account": standing.chosen.connection.account_id,
            "region": standing.chosen.connection.region,
        },
        "state": standing.place, "serial": snapshot.serial, "resources": resources, "debts": debts, "verdicts": snapshot.verdicts,
        "last_run": snapshot.runs.last(), "lock": standing.holder,
    })
}
