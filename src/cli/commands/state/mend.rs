//! Whether what is stored can be read, and how to go on where it cannot.

use super::transfer::explained;
use crate::{
    cli::{
        consent,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place,
        project::Project,
        views::{diagnostics::plural, json::answer},
    },
    state::{self, Inspection},
    world::Ledger,
};
use serde_json::json;
use std::sync::Arc;

/// Reads everything.
pub(super) async fn verify(context: &Context, plan: Option<&str>) -> Result<Exit> {
    let (ledger, found, _) = inspect(context, plan).await?;
    if context.terminal.json {
        let fields = json!({
            "place": ledger.place(), "serial": found.readable.serial, "records": found.readable.records,
            "in_log": found.records, "objects": found.objects, "torn": found.rest.len(), "sound": found.sound(),
            "damaged": found.damaged.as_ref().map(ToString::to_string), "wrong": found.wrong,
        });
        context.terminal.json_line(&answer("state_verified", fields));
    }
    let (records, objects) = (plural(found.records, "record"), plural(found.objects, "object"));
    if !found.sound() {
        let lines: Vec<String> =
            found.damaged.iter().map(ToString::to_string).chain(found.wrong.iter().cloned()).collect();
        let message = format!("the state in {} is damaged", ledger.place());
        let error = Error::new("state_damaged", message).because(lines.join("\n"));
        return Err(if found.readable.lineage.is_empty() {
            error.hint("nothing of it can be read; docs/state.md says how a former version is put back")
        } else if found.damaged.is_some() {
            error.hint(format!(
                "it can be read up to serial {}: terrace state repair goes on from there",
                found.readable.serial
            ))
        } else {
            error.hint("docs/state.md says what each object is for")
        });
    }
    if !context.terminal.json {
        context.terminal.status(&format!(
            "{}: serial {}; the snapshot, {records} after it and {objects} are whole",
            ledger.place(),
            found.readable.serial
        ));
        if !found.rest.is_empty() {
            let text =
                "the last line of the log is torn, as a kill leaves it: it was never acknowledged, and is skipped";
            context.terminal.status(text);
        }
    }
    Ok(Exit::Done)
}

/// Cuts what cannot be read, once somebody agreed.
pub(super) async fn repair(context: &Context, plan: Option<&str>, auto_approve: bool) -> Result<Exit> {
    let (ledger, found, project) = inspect(context, plan).await?;
    if found.damaged.is_none() && found.rest.is_empty() {
        context.terminal.status("nothing is damaged, nothing was changed");
        return Ok(Exit::Done);
    }
    let why = found.damaged.as_ref().map_or_else(|| "the last line is torn".to_owned(), ToString::to_string);
    context.terminal.status(&format!("{why}; {} bytes follow the last good record", found.rest.len()));
    if !auto_approve {
        let question = format!("Cut them, keep them aside, and go on from serial {}?", found.readable.serial);
        consent::yes(&question, "add --auto-approve", context)?;
    }
    let owner = place::lock_owner(context, "state repair");
    let repaired = place::patiently(context, &project, async || state::repair(&*ledger, &owner).await);
    let cut = repaired.await.map_err(|e| explained(e, "state repair"))?;
    match cut {
        Some(name) => {
            context.terminal.status(&format!("the state goes on from serial {}", found.readable.serial));
            context.terminal.status(&format!("what was cut is kept as objects/{name}"));
            context.terminal.status(
                "what it told of may exist in the world: look with terrace plan, and terrace doctor where a run was open",
            );
        }
        None => context.terminal.status("nothing is damaged any more, nothing was changed"),
    }
    Ok(Exit::Done)
}

async fn inspect(context: &Context, plan: Option<&str>) -> Result<(Arc<dyn Ledger>, Inspection, Project)> {
    let loaded = load(context, plan)?;
    let chosen = loaded.choose(context).await?;
    let ledger = place::ledger(context, &loaded, &chosen)?;
    let found = state::inspect(&*ledger).await?;
    Ok((ledger, found, loaded.place.project))
}
