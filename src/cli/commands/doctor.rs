//! `terrace doctor`: what is stuck, and how to mend it.

use crate::{
    apply::{self, Diagnosis},
    base::Address,
    cli::{
        args::PlanArg,
        consent,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place, stage,
        style::{bold, clean, green, red, yellow},
        variables,
        views::json::answer,
    },
    kinds::{Finding, Named},
};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write as _};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Do the mends that need no person's judgement
    #[arg(long)]
    fix: bool,
    /// With --fix: a resource that the continued rollback of a stack leaves as it is; the address may be left out where one
    /// stack is stuck so
    #[arg(long, value_name = "[ADDR=]LOGICAL_ID", requires = "fix")]
    skip: Vec<String>,
    /// With --fix: a resource that deleting a stack leaves behind, where somebody agrees to that
    #[arg(long, value_name = "[ADDR=]LOGICAL_ID", requires = "fix")]
    retain: Vec<String>,
    /// With --fix: mend this too, which needs a person's judgement: a release that another helm left pending, once it is known
    /// that this helm is gone
    #[arg(long, value_name = "ADDR", requires = "fix")]
    decide: Vec<String>,
    /// Agree to what --retain leaves behind
    #[arg(long, requires = "retain")]
    auto_approve: bool,
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
    let named = named(&args, &diagnosis)?;
    agree(&named, args.auto_approve, context)?;
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

/// What a person named, by the stack that it is of.
fn named(args: &Args, diagnosis: &Diagnosis) -> Result<BTreeMap<Address, Named>> {
    let mut out: BTreeMap<Address, Named> = BTreeMap::new();
    for (texts, flag, status) in
        [(&args.skip, "--skip", "UPDATE_ROLLBACK_FAILED"), (&args.retain, "--retain", "DELETE_FAILED")]
    {
        let stuck: Vec<&Address> = diagnosis
            .findings
            .iter()
            .filter(|(address, finding)| address.kind() == "stack" && finding.what.contains(status))
            .map(|(address, _)| address)
            .collect();
        let list = stuck.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(", ");
        for text in texts {
            let (address, logical_id) = match (text.rsplit_once('='), stuck.as_slice()) {
                (Some((address, id)), _) => {
                    let Some(found) = stuck.iter().find(|a| a.as_str() == address) else {
                        let why = format!("{flag} {text}: {address} is not in {status}");
                        let hint =
                            if stuck.is_empty() { "no stack is".to_owned() } else { format!("these are: {list}") };
                        return Err(Error::usage("not_stuck", why).hint(hint));
                    };
                    ((*found).clone(), id)
                }
                (None, [one]) => ((*one).clone(), text.as_str()),
                (None, []) => {
                    return Err(Error::usage("not_stuck", format!("{flag} {text}: no stack is in {status}")));
                }
                (None, many) => {
                    let why = format!(
                        "{flag} {text}: {} stacks are in {status}, and the resource of one is meant",
                        many.len()
                    );
                    return Err(Error::usage("not_stuck", why).hint(format!("write {flag} ADDR={text}, of {list}")));
                }
            };
            let of = out.entry(address).or_default();
            let of = if flag == "--skip" { &mut of.skip } else { &mut of.retain };
            of.push(logical_id.to_owned());
        }
    }
    for text in &args.decide {
        let open = |(address, finding): &&(Address, Finding)| address.as_str() == text && !finding.automatic;
        let Some((address, _)) = diagnosis.findings.iter().find(open).filter(|(address, _)| address.kind() == "helm")
        else {
            let why = format!("--decide {text}: nothing of it waits for a person to decide");
            return Err(Error::usage("not_stuck", why).hint("terrace doctor shows what does"));
        };
        out.entry(address.clone()).or_default();
    }
    Ok(out)
}

/// Goes on only where somebody agrees to what is left behind: nobody manages it from then on.
fn agree(named: &BTreeMap<Address, Named>, auto_approve: bool, context: &Context) -> Result<()> {
    let left: Vec<String> = named
        .iter()
        .filter(|(_, named)| !named.retain.is_empty())
        .map(|(address, named)| format!("{} of {address}", named.retain.join(", ")))
        .collect();
    if left.is_empty() || auto_approve {
        return Ok(());
    }
    let question = format!("Delete the rest and leave behind {}?", left.join("; "));
    consent::yes(&question, "add --auto-approve", context)
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
    match (&diagnosis.open, &diagnosis.lock) {
        (Some((run, _)), Some(owner)) => {
            let _ = writeln!(
                out,
                "The run {} of `{}` from {} has not ended: it is at work, or its process is gone; then terrace unlock {}, and \
                 terrace resume",
                run.id, run.command, run.started, owner.id
            );
        }
        (Some(_), None) => {
            let _ = writeln!(out, "{}", super::resume::tell(state));
            out.push_str("terrace resume goes on with it, terrace resume --rollback takes it back\n");
        }
        (None, _) => {}
    }
    for (address, why, command) in &diagnosis.stuck {
        let _ = writeln!(out, "{} {}: {}", red("stuck"), bold(address), clean(why));
        let _ = writeln!(out, "    then: {}", clean(command));
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
    let stuck: Vec<_> = diagnosis
        .stuck
        .iter()
        .map(|(address, why, command)| json!({ "address": address, "why": why, "command": command }))
        .collect();
    let open = diagnosis.open.as_ref().map(|(run, intents)| json!({ "run": run, "intents": intents }));
    json!({
        "healthy": diagnosis.healthy(), "lock": diagnosis.lock, "open": open,
        "stuck": stuck, "findings": findings, "unknown": unknown, "leftovers": leftovers,
    })
}
