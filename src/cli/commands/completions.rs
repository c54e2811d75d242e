//! `terrace completions`: a script that completes commands and flags in a shell.

use crate::cli::{args::Cli, context::Context, error::Result, exit::Exit};
use clap::CommandFactory as _;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// Prints the script.
#[expect(clippy::unnecessary_wraps, reason = "all commands answer alike")]
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "terrace", &mut script);
    context.terminal.bytes(&script);
    Ok(Exit::Done)
}
