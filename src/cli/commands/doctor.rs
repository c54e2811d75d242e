//! `terrace doctor`: what is stuck, and how to mend it.

use crate::kinds::Named;
use crate::{
    apply::{self, Diagnosis},
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place, stage,
        style::{bold, clean, green, red, yellow},
        variables,
        views::json::answer,
    },
};
use serde_json::json;
use std::fmt::Write as _;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Do the mends that need no person's judgement
    #[arg(long)]
    fix: bool,
    /// With --fix: a resource that the continued rollback of a stack leaves as it is
    #[arg(long, value_name = "LOGICAL_ID", requires = "fix")]
    skip: Vec<String>,
    /// With --fix: a resource that deleting a stack leaves behind
    #[arg(long, value_name = "LOGICAL_ID", requires = "fix")]
    retain: Vec<String>,
}

/// Examines, and with `--fix` mends. Ends with 1 where something is wrong and was not mended.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let chosen = loaded.choose(context).await?;
    let variables = variables::gather(context, &loaded, &chosen.environment.name)?;
    let project = loaded.place.project.clone();
    let stage = stage::set(context, loaded, chosen, variables).await?;
    let diagnosis = apply::doctor(&stage.subject, context.parallelism(&project)).await?;
    if context.terminal.json {
        context.terminal.json_line(&answer("diagnosis", as_json(&diagnosis)));
    } else {
        context.terminal.data(&text(&diagnosis, &stage.subject.state));
    }
    let mendable = !diagnosis.leftovers.is_empty() || diagnosis.findings.iter().any(|(_, f)| f.automatic);
    if !args.fix {
        if mendable {
            context.terminal.status(&format!("Next: {}", bold("terrace doctor --fix")));
        }
        return Ok(if diagnosis.healthy() { Exit::Done } else { Exit::Error });
    }
    if let Some(run) = &diagnosis.open {
        let message = format!("the run {} is open, and mending would get in its way", run.0.id);
        return Err(Error::new("run_open", message).exit(Exit::Stale).hint("terrace resume first"));
    }
    let named = Named { skip: args.skip, retain: args.retain };
    // The lock keeps a run from beginning meanwhile.
    let store = place::open_store(context, &project, &stage.ledger, "doctor").await?;
    let mended = apply::mend(&stage.subject, &diagnosis, &named).await;
    store.close().await?;
    let mended = mended?;
    for (address, what) in &mended {
        context.terminal.status(&format!("{} {address}: {}", green("mended"), clean(what)));
    }
    let left = apply::doctor(&stage.subject, context.parallelism(&project)).await?;
    Ok(if left.healthy() { Exit::Done } else { Exit::Error })
}

fn text(diagnosis: &Diagnosis, state: &crate::state::Snapshot) -> String {
    let mut out = String::new();
    if let Some(owner) = &diagnosis.lock {
        let _ = writeln!(
            out,
            "{} by {} on {} (process {}) since {}, running `{}`; where that process is gone: terrace unlock {}",
            yellow("locked"),
            owner.who,
            owner.host,
            owner.pid,
            owner.since,
            owner.command,
            owner.id
        );
    }
    if diagnosis.open.is_some() {
        let _ = writeln!(out, "{}", super::resume::tell(state));
        out.push_str("terrace resume goes on with it, terrace resume --rollback takes it back\n");
    }
    for (address, finding) in &diagnosis.findings {
        let how = if finding.automatic { "--fix does this" } else { "a person decides" };
        let _ = writeln!(out, "{} {}: {}", red("wrong"), bold(address), clean(&finding.what));
        let _ = writeln!(out, "    mend: {} ({how})", clean(&finding.mend));
    }
    for (address, why) in &diagnosis.unknown {
        let _ = writeln!(out, "{} {}: {}", yellow("not known"), bold(address), clean(why));
    }
    for (address, _) in &diagnosis.leftovers {
        let _ = writeln!(
            out,
            "{} {}: a plan that nobody applied left something (--fix takes it away)",
            yellow("left over"),
            bold(address)
        );
    }
    if diagnosis.healthy() {
        let _ = writeln!(out, "{}: nothing is stuck", green("healthy"));
    }
    out
}

fn as_json(diagnosis: &Diagnosis) -> serde_json::Value {
    let findings: Vec<_> =
        diagnosis.findings.iter().map(|(address, f)| json!({ "address": address, "finding": f })).collect();
    let unknown: Vec<_> = diagnosis.unknown.iter().map(|(a, why)| json!({ "address": a, "why": why })).collect();
    let leftovers: Vec<_> = diagnosis.leftovers.iter().map(|(a, left)| json!({ "address": a, "left": left })).collect();
    let open = diagnosis.open.as_ref().map(|(run, intents)| json!({ "run": run, "intents": intents }));
    json!({
        "healthy": diagnosis.healthy(), "lock": diagnosis.lock, "open": open,
        "findings": findings, "unknown": unknown, "leftovers": leftovers,
    })
}
