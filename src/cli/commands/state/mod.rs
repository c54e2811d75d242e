//! `terrace state`: what Terrace remembers; looking into it, renaming in it, letting go of things in it.

mod mend;
mod transfer;

use crate::{
    base::Address,
    cli::{
        args::PlanArg,
        audited,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::{Chosen, Loaded, load},
        place,
        style::dim,
        views::{
            json::{self, answer},
            value,
        },
    },
    lang::suggest,
    plan::Selection,
    state::{Record, Resource, Snapshot, Status, audit::Deed},
    world::Ledger,
};
use serde_json::json;
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Arguments of `state`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Every address that is remembered
    List {
        #[command(flatten)]
        plan: PlanArg,
    },
    /// All that is remembered of one
    Show {
        /// The plan, and an address
        #[arg(value_names = ["PLAN", "ADDR"], num_args = 1..=2, required = true)]
        words: Vec<String>,
    },
    /// Remember a thing under another address; the thing itself is not touched
    Mv {
        /// The plan, the former address and the new one
        #[arg(value_names = ["PLAN", "FROM", "TO"], num_args = 2..=3, required = true)]
        words: Vec<String>,
    },
    /// Let go of a thing without destroying it
    Rm {
        /// The plan, and addresses
        #[arg(value_name = "[PLAN] ADDR", num_args = 1.., required = true)]
        words: Vec<String>,
    },
    /// The whole state as JSON, on standard output or in a file
    Pull {
        #[command(flatten)]
        plan: PlanArg,
        /// Write it to this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put a pulled state in place of what is remembered; what was there is kept beside it
    Push {
        /// The plan, and the file
        #[arg(value_names = ["PLAN", "FILE"], num_args = 1..=2, required = true)]
        words: Vec<String>,
        /// Also where the file is older, of another lineage, or a run is open
        #[arg(long)]
        force: bool,
    },
    /// Move the state between the project's folder and the bucket, and compare both before anything counts
    Migrate {
        #[command(flatten)]
        plan: PlanArg,
        /// Where to; as terrace.toml says, where nothing is given
        #[arg(long, value_name = "BACKEND")]
        to: Option<transfer::Target>,
    },
    /// Read everything that is stored and say what is damaged
    Verify {
        #[command(flatten)]
        plan: PlanArg,
    },
    /// Cut a damaged end, keep what is cut, and go on from the last good record
    Repair {
        #[command(flatten)]
        plan: PlanArg,
        /// Ask nobody
        #[arg(long)]
        auto_approve: bool,
    },
}

/// Does it.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.what {
        What::List { plan } => {
            let (.., snapshot) = look(context, plan.plan.as_deref()).await?;
            list(&snapshot, context);
        }
        What::Show { words } => {
            let (plan, words) = split(&words, 1);
            let (.., snapshot) = look(context, plan).await?;
            show(find(&snapshot, &address(&words[0])?)?, &snapshot, context);
        }
        What::Pull { plan, out } => {
            let (.., snapshot) = look(context, plan.plan.as_deref()).await?;
            transfer::pull(&snapshot, out.as_deref(), context)?;
        }
        What::Push { words, force } => {
            let (plan, words) = split(&words, 1);
            transfer::push(context, plan, Path::new(&words[0]), force).await?;
        }
        What::Migrate { plan, to } => transfer::migrate(context, plan.plan.as_deref(), to).await?,
        What::Verify { plan } => return mend::verify(context, plan.plan.as_deref()).await,
        What::Repair { plan, auto_approve } => {
            return mend::repair(context, plan.plan.as_deref(), auto_approve).await;
        }
        What::Mv { words } => {
            let (plan, words) = split(&words, 2);
            rename(context, plan, address(&words[0])?, address(&words[1])?).await?;
        }
        What::Rm { words } => {
            // The first word is a plan where it is no address.
            let (plan, words) = match words.split_first() {
                Some((first, rest)) if !rest.is_empty() && first.parse::<Address>().is_err() => {
                    (Some(first.as_str()), rest)
                }
                _ => (None, words.as_slice()),
            };
            let addresses = words.iter().map(|word| address(word)).collect::<Result<Vec<_>>>()?;
            forget(context, plan, &addresses).await?;
        }
    }
    Ok(Exit::Done)
}

/// The plan, where a word more than needed was given, and the other words.
fn split(words: &[String], needed: usize) -> (Option<&str>, &[String]) {
    let at = words.len().saturating_sub(needed);
    (words[..at].first().map(String::as_str), &words[at..])
}

fn address(text: &str) -> Result<Address> {
    text.parse().map_err(|e| {
        Error::usage("wrong_address", format!("{e}"))
            .hint("addresses read like helm.loki or eks_addon.managed[\"coredns\"]")
    })
}

async fn look(context: &Context, plan: Option<&str>) -> Result<(Loaded, Chosen, Arc<dyn Ledger>, Snapshot)> {
    let loaded = load(context, plan)?;
    let chosen = loaded.choose(context).await?;
    let ledger = place::ledger(context, &loaded, &chosen)?;
    let snapshot = place::snapshot(&ledger).await?;
    Ok((loaded, chosen, ledger, snapshot))
}

fn find<'s>(snapshot: &'s Snapshot, address: &Address) -> Result<&'s Resource> {
    snapshot.resources.get(address).ok_or_else(|| unknown(snapshot, address))
}

fn unknown(snapshot: &Snapshot, address: &Address) -> Error {
    let error = Error::new("not_in_state", format!("nothing is remembered under {address}"));
    match suggest::nearest(address.as_str(), snapshot.resources.keys().map(Address::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("terrace state list shows what there is"),
    }
}

fn list(snapshot: &Snapshot, context: &Context) {
    if context.terminal.json {
        let all: Vec<_> = snapshot
            .resources
            .values()
            .map(|r| json!({ "address": r.address, "phase": r.phase, "status": r.status, "at": r.at }))
            .collect();
        return context.terminal.json_line(&answer("resources", json!({ "resources": all })));
    }
    if snapshot.resources.is_empty() {
        context.terminal.status("nothing is remembered");
    }
    let lines: Vec<String> = snapshot.resources.keys().map(|address| format!("{address}\n")).collect();
    context.terminal.data(&lines.concat());
}

fn show(resource: &Resource, snapshot: &Snapshot, context: &Context) {
    let left = snapshot.ignored_fields.get(&resource.address).map(Vec::as_slice).unwrap_or_default();
    if context.terminal.json {
        return context.terminal.json_line(&json::answer("resource", json!({ "resource": resource, "left": left })));
    }
    let mut rows = vec![
        ("address", resource.address.to_string()),
        ("phase", resource.phase.to_string()),
        ("status", status(resource.status).to_owned()),
        ("identity", resource.identity.to_string()),
        ("applied", format!("{} by run {}", resource.at, resource.run)),
    ];
    if resource.prevent_destroy {
        rows.push(("protected", "prevent_destroy".to_owned()));
    }
    if !resource.controls.is_empty() {
        rows.push(("controls", resource.controls.join(", ")));
    }
    if !resource.dependencies.is_empty() {
        let after: Vec<&str> = resource.dependencies.iter().map(Address::as_str).collect();
        rows.push(("after", after.join(", ")));
    }
    for field in left {
        let select = Selection::of(&resource.address, field.part.as_deref(), Some(&field.path));
        let decision = &field.decision;
        rows.push(("left", format!("{select}: {} ({}, {})", decision.reason, decision.by, decision.at)));
    }
    for (name, digest) in &resource.documents {
        rows.push(("document", format!("{name} {digest}")));
    }
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{} {value}", dim(format!("{name:9}")));
    }
    for (name, whole) in [("inputs", &resource.inputs), ("exports", &resource.exports)] {
        let _ = writeln!(text, "{}", dim(name));
        for (depth, line) in value::block(whole, context.terminal.width.saturating_sub(2)) {
            let _ = writeln!(text, "  {}{line}", "  ".repeat(depth));
        }
    }
    context.terminal.data(&text);
}

/// How far a resource has come, in a word.
pub(crate) const fn status(status: Status) -> &'static str {
    match status {
        Status::Applied => "applied, not verified",
        Status::Verified => "verified",
        Status::Tainted => "tainted",
    }
}

async fn rename(context: &Context, plan: Option<&str>, from: Address, to: Address) -> Result<()> {
    let (loaded, chosen, ledger, _) = look(context, plan).await?;
    let store = place::open_store(context, &loaded.place.project, &ledger, "state mv").await?;
    let checked = store.with(|snapshot| {
        place::no_open_run(snapshot)?;
        find(snapshot, &from)?;
        if from.kind() != to.kind() {
            return Err(Error::new("wrong_address", format!("a {} cannot become a {}", from.kind(), to.kind())));
        }
        if snapshot.resources.contains_key(&to) {
            return Err(Error::new("already_there", format!("{to} is remembered already")));
        }
        Ok(())
    });
    if checked.is_ok() {
        let what = format!("state mv {from} {to}");
        audited::record(context, &loaded, &chosen, &ledger, (Deed::StateSurgery, what)).await?;
        store.commit(vec![Record::Moved { from: from.clone(), to: to.clone() }]).await?;
    }
    store.close().await?;
    checked?;
    context.terminal.status(&format!("{from} is remembered as {to}"));
    context.terminal.status(&dim("for everybody else who applies the plan, write a `moved` block"));
    Ok(())
}

async fn forget(context: &Context, plan: Option<&str>, addresses: &[Address]) -> Result<()> {
    let (loaded, chosen, ledger, _) = look(context, plan).await?;
    let store = place::open_store(context, &loaded.place.project, &ledger, "state rm").await?;
    let checked = store.with(|snapshot| {
        place::no_open_run(snapshot)?;
        addresses.iter().try_for_each(|address| find(snapshot, address).map(|_| ()))
    });
    if checked.is_ok() {
        let names: Vec<&str> = addresses.iter().map(Address::as_str).collect();
        let what = format!("state rm {}", names.join(" "));
        audited::record(context, &loaded, &chosen, &ledger, (Deed::StateSurgery, what)).await?;
        store.commit(addresses.iter().map(|address| Record::Gone { address: address.clone() }).collect()).await?;
    }
    store.close().await?;
    checked?;
    for address in addresses {
        context.terminal.status(&format!("{address} is no longer remembered; the thing itself is still there"));
    }
    Ok(())
}
