//! A state as a whole: out of its storage, into it, and from one storage to another.
#![expect(clippy::disallowed_methods, reason = "reads and writes the state's file")]

use crate::{
    cli::{
        audited,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place,
        settings::Backend,
        style::dim,
        views::{diagnostics::plural, json::answer},
    },
    state::{self, Snapshot, WholeError, audit::Deed},
    world::Ledger,
};
use serde_json::json;
use std::path::Path;

/// A storage, as `--to` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Target {
    /// The project's folder.
    File,
    /// The bucket of [state].
    S3,
}

/// Prints the state, or writes it to a file.
pub(super) fn pull(snapshot: &Snapshot, out: Option<&Path>, context: &Context) -> Result<()> {
    let whole = answer("state", json!({ "state": snapshot }));
    let Some(out) = out else {
        context.terminal.json_line(&whole);
        return Ok(());
    };
    let path = context.surroundings.folder.join(out);
    std::fs::write(&path, format!("{whole}\n"))
        .map_err(|e| Error::new("file_unwritable", format!("{}: {e}", path.display())))?;
    let count = plural(snapshot.resources.len(), "thing");
    context.terminal.status(&format!("{} holds serial {}, {count}", out.display(), snapshot.serial));
    Ok(())
}

/// Puts a file's state in place of what is stored.
pub(super) async fn push(context: &Context, plan: Option<&str>, file: &Path, force: bool) -> Result<()> {
    let path = context.surroundings.folder.join(file);
    let text = std::fs::read(&path).map_err(|e| Error::new("file_unreadable", format!("{}: {e}", path.display())))?;
    let given = state::from_text(&text).map_err(|e| match e {
        state::CodecError::Newer { .. } => Error::new("state_newer", e.to_string()),
        why => Error::new("state_file", format!("{} is no state: {why}", file.display()))
            .hint("push what terrace state pull --out FILE wrote"),
    })?;
    let loaded = load(context, plan)?;
    let chosen = loaded.choose(context).await?;
    let ledger = place::ledger(context, &loaded, &chosen)?;
    let what = format!("state push, serial {}{}", given.serial, if force { ", by force" } else { "" });
    audited::record(context, &loaded, &chosen, &ledger, (Deed::StateSurgery, what)).await?;
    let owner = place::lock_owner(context, "state push");
    let pushed = place::patiently(context, &loaded.place.project, async || {
        state::push(&*ledger, &owner, given.clone(), force).await
    });
    let (serial, kept) = pushed.await.map_err(|e| explained(e, "state push"))?;
    context.terminal.status(&format!("the state in {} is what the file holds, as serial {serial}", ledger.place()));
    if let Some(kept) = kept {
        context.terminal.status(&dim(format!("what was there is kept as objects/{kept}")));
    }
    Ok(())
}

/// Moves the state to the other storage.
pub(super) async fn migrate(context: &Context, plan: Option<&str>, to: Option<Target>) -> Result<()> {
    let loaded = load(context, plan)?;
    let chosen = loaded.choose(context).await?;
    let project = &loaded.place.project;
    if chosen.sandbox {
        return Err(Error::new("state_of_sandbox", "the state of a sandbox stays beside it, in the project's folder")
            .hint("name an environment on AWS with --env"));
    }
    let set = place::backend(project, &chosen);
    let to = match to {
        Some(Target::File) => Backend::File,
        Some(Target::S3) => Backend::S3,
        None => set,
    };
    let label = &loaded.configuration.label;
    let folder = place::folder(project, label, &chosen);
    let bucket = place::bucket(context, project, label, &chosen)?;
    let (from, target): (&dyn Ledger, &dyn Ledger) = match to {
        Backend::File => (&bucket, &folder),
        Backend::S3 => (&folder, &bucket),
    };
    let owner = place::lock_owner(context, "state migrate");
    let moved = place::patiently(context, project, async || state::migrate(from, target, &owner).await);
    let done = moved.await.map_err(|e| explained(e, "state migrate"))?;
    if context.terminal.json {
        let fields = json!({
            "from": from.place(), "to": target.place(), "serial": done.state.serial, "records": done.state.records,
            "compared": done.records, "objects": done.objects,
        });
        context.terminal.json_line(&answer("state_migrated", fields));
    }
    let (records, objects) = (plural(done.records, "record"), plural(done.objects, "object"));
    context.terminal.status(&format!("moved the state from {} to {}", from.place(), target.place()));
    context.terminal.status(&format!(
        "serial {}: the snapshot, {records} and {objects} were read back and are the same",
        done.state.serial
    ));
    if done.torn {
        context.terminal.status(&dim("a last line that a kill had torn was left out; it was never acknowledged"));
    }
    if let Some(kept) = done.kept {
        context.terminal.status(&dim(format!("what was there before is kept as objects/{kept}")));
    }
    if to != set {
        let word = if to == Backend::S3 { "s3" } else { "file" };
        context.terminal.status(&format!("now write backend = \"{word}\" in [state] of terrace.toml"));
    }
    Ok(())
}

/// Why a state was not put in another's place, and what to do.
pub(super) fn explained(error: WholeError, command: &str) -> Error {
    let text = error.to_string();
    match error {
        WholeError::State(error) => error.into(),
        WholeError::Nothing(_) => Error::new("state_missing", text)
            .hint("name plan and environment; terrace status shows where their state is"),
        WholeError::Lineage { .. } => {
            let error = Error::new("state_lineage", text)
                .because("it was begun elsewhere and describes other things, or the same ones under another history");
            if command == "state push" {
                error.hint("look at both with terrace state pull; where the file is the right one, add --force")
            } else {
                error.hint("take away the one that is wrong, or name another prefix in [state]")
            }
        }
        WholeError::Serial { .. } => {
            let error = Error::new("state_serial", text).exit(Exit::Stale);
            if command == "state push" {
                error.hint("somebody has changed it since: pull it again; where the file is the right one, add --force")
            } else {
                error.hint("what is there is newer than what would be moved; look at both with terrace state pull")
            }
        }
        WholeError::RunOpen(_) => Error::new("run_open", text)
            .exit(Exit::Stale)
            .hint("terrace resume goes on with it, terrace resume --rollback takes it back"),
        WholeError::Differs(_) => Error::new("state_differs", text)
            .because("the copy is not used, and what it was made from stays as it is and works on")
            .hint("try it again; where it comes again, the storage does not keep what it is given"),
    }
}
