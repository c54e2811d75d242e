//! `terrace review`: a model's note on a saved plan, or what would be sent to have one.

use crate::cli::{context::Context, error::Error, error::Result, exit::Exit, note, note::Desk, prices};
use std::path::PathBuf;

/// Arguments of `review`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A saved plan
    #[arg(value_name = "PLANFILE")]
    plan: PathBuf,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask again, although there is a note on this plan
    #[arg(long, conflicts_with = "dry_run")]
    refresh: bool,
}

/// Shows it.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let saved = super::show::read(&context.surroundings.folder.join(&args.plan))?;
    let project = context.project()?;
    let book = prices::read(&project)?;
    let desk = Desk::open(&project, context)?;
    if args.dry_run {
        desk.rehearse(&saved, &book, context);
        return Ok(Exit::Done);
    }
    let written = tokio::select! {
        written = desk.note(&saved, &book, args.refresh, context) => written?,
        _ = tokio::signal::ctrl_c() => return Err(Error::silent(Exit::Interrupted)),
    };
    note::show(&written, context);
    Ok(Exit::Done)
}
