//! `terrace show`: a saved plan again.
#![expect(clippy::disallowed_methods, reason = "reads the plan's file")]

use crate::{
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        style::dim,
    },
    plan::{self, Saved},
};
use std::path::{Path, PathBuf};

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A saved plan
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Shows it.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    let saved = read(&context.surroundings.folder.join(&args.file))?;
    super::plan::show(&saved, context);
    if !context.terminal.json {
        let made = saved.attachment.made.map(|at| format!(", made {at}")).unwrap_or_default();
        context.terminal.status(&dim(format!("{}{made} by terrace {}", saved.digest, saved.content.header.terrace)));
    }
    Ok(Exit::Done)
}

/// Reads a plan's file.
///
/// # Errors
/// A file that is not there, or is no plan that can be used.
pub(crate) fn read(path: &Path) -> Result<Saved> {
    let bytes = std::fs::read(path).map_err(|e| Error::new("file_unreadable", format!("{}: {e}", path.display())))?;
    Ok(plan::read(&bytes)?)
}
