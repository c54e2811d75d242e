//! `terrace history`: the runs so far, newest last.

use crate::{
    base::{RunEnd, format_duration},
    cli::{
        args::PlanArg,
        context::Context,
        error::Result,
        exit::Exit,
        loaded::load,
        place,
        style::{green, red, yellow},
        views::{json::answer, table},
    },
    state::Run,
};
use serde_json::json;

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Only the newest N
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Prints the runs.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let chosen = loaded.choose(context).await?;
    let snapshot = place::snapshot(&place::ledger(context, &loaded, &chosen)?).await?;
    let skip = args.limit.map_or(0, |limit| snapshot.runs.len().saturating_sub(limit));
    let runs = &snapshot.runs[skip..];
    if context.terminal.json {
        context.terminal.json_line(&answer("history", json!({ "runs": runs })));
    } else if runs.is_empty() {
        context.terminal.status("no runs yet");
    } else {
        let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
        context
            .terminal
            .data(&table::render(&["run", "started", "took", "command", "by", "end", "did", "reason"], &rows));
    }
    Ok(Exit::Done)
}

fn row(run: &Run) -> Vec<String> {
    let took = run.end.map_or_else(String::new, |(_, at)| {
        std::time::Duration::try_from(at.duration_since(run.started)).map(format_duration).unwrap_or_default()
    });
    let did: Vec<String> = run.counts.iter().filter(|(_, n)| **n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    vec![
        run.id.to_string(),
        run.started.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        took,
        if run.targeted { format!("{} (targeted)", run.command) } else { run.command.clone() },
        run.person.clone().unwrap_or_else(|| run.caller.clone()),
        end(run.end.map(|(end, _)| end)),
        did.join(", "),
        run.reason.clone().unwrap_or_default(),
    ]
}

/// How a run ended, in a word.
pub(crate) fn end(end: Option<RunEnd>) -> String {
    match end {
        None => yellow("open"),
        Some(RunEnd::Succeeded) => green("succeeded"),
        Some(RunEnd::Failed) => red("failed"),
        Some(RunEnd::RolledBack) => red("failed, rolled back"),
        Some(RunEnd::Stuck) => red("failed, stuck"),
        Some(RunEnd::BeyondPlan) => yellow("stopped beyond the plan"),
        Some(RunEnd::Interrupted) => yellow("interrupted"),
    }
}
