//! The command line's words: global flags, commands, and what several commands share.

use crate::{
    base::{Address, parse_duration},
    cli::commands,
};
use clap::{Args, Parser, Subcommand};
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// One declarative executor over CloudFormation, EKS add-ons, Helm, Kubernetes manifests and programs.
///
/// PLAN is a plan's folder, or a plan's name under the project's plans/. Without it: the current folder where it is a plan,
/// else the only plan of the project. Exit codes are described in docs/cli.md.
#[derive(Debug, Parser)]
#[command(name = "terrace", version, max_term_width = 100, arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of all commands.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct Global {
    /// The environment; the plan's only one where it has one
    #[arg(long, short, global = true, value_name = "ENV")]
    pub(crate) env: Option<String>,
    /// The plan, where a project has several and a command takes none by its place
    #[arg(long = "plan", global = true, value_name = "PLAN")]
    pub(crate) of_plan: Option<String>,
    /// Use the embedded world, whatever the environment says
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
    /// Print versioned JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only results and what went wrong
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print without colours (also: NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// A variable's value; may be repeated
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    pub(crate) var: Vec<String>,
    /// A file of variables' values (.toml, .hcl or .json); may be repeated
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) var_file: Vec<PathBuf>,
    /// How many things are worked on at once
    #[arg(long, global = true, value_name = "N", value_parser = parallelism)]
    pub(crate) parallelism: Option<usize>,
    /// How long to wait for a state that somebody else has locked, like 5m
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) lock_timeout: Option<Duration>,
    /// The code of the MFA device that a role asks for
    #[arg(long, global = true, value_name = "CODE", hide_env_values = true)]
    pub(crate) mfa_code: Option<String>,
    /// The project's folder, instead of the nearest that holds terrace.toml
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new project, with a plan that applies at once on the sandbox
    Init(commands::init::Args),
    /// Check every file of a plan, and each environment's variables
    Validate(commands::validate::Args),
    /// Bring plan files to their canonical layout
    Fmt(commands::fmt::Args),
    /// Evaluate expressions from stdin, one a line
    Console(commands::console::Args),
    /// Show the dependency graph
    Graph(commands::graph::Args),
    /// Show what differs between what is declared and what is live
    Plan(commands::plan::Args),
    /// Show a saved plan again
    Show(commands::show::Args),
    /// Say in a comment for a pull request what saved plans do
    Comment(commands::comment::Args),
    /// Have a model say in plain words what a saved plan does; advice, and nothing more
    Review(commands::review::Args),
    /// Apply a saved plan exactly; or plan, show, ask, apply
    Apply(commands::apply::Args),
    /// Go on with a run that was cut off, or roll it back
    Resume(commands::resume::Args),
    /// Find what is stuck, and say or do the mend
    Doctor(commands::doctor::Args),
    /// Destroy everything that a plan made in an environment
    Destroy(commands::destroy::Args),
    /// What runs where, and whether it is healthy
    Status(commands::status::Args),
    /// The runs so far
    History(commands::history::Args),
    /// Who did what, as a chain of records that shows when somebody had a hand in it
    Audit(commands::audit::Args),
    /// The outputs that were applied last
    Output(commands::output::Args),
    /// What changed behind Terrace's back
    Drift(commands::drift::Args),
    /// Take over what exists; or write the block that declares it
    Import(commands::import::Args),
    /// The immutable bundle that goes from one environment to the next
    Release(commands::release::Args),
    /// A release to the next environment, when it is eligible
    Promote(commands::promote::Args),
    /// Back to a release that was there before
    Rollback(commands::rollback::Args),
    /// A rollout, looked at and steered from another terminal
    Rollout(commands::rollout::Args),
    /// Verify again what an environment holds
    Verify(commands::verify::Args),
    /// Environments and releases, and why each may or may not go on
    Pipeline(commands::pipeline::Args),
    /// Agree to a plan
    Approve(commands::approve::Args),
    /// Let nothing come to an environment
    Freeze(commands::decide::FreezeArgs),
    /// Let `promote --auto` bring nothing to an environment
    Hold(commands::decide::HoldArgs),
    /// Let `promote --auto` bring releases to an environment again
    ReleaseHold(commands::decide::HoldArgs),
    /// Keep a release from going on
    Revoke(commands::decide::RevokeArgs),
    /// Rules over what a plan is made of
    Policy(commands::policy::Args),
    /// What Terrace remembers
    State(commands::state::Args),
    /// Break a state's lock
    Unlock(commands::unlock::Args),
    /// The embedded world: look into it, meddle with it
    Sandbox(commands::sandbox::Args),
    /// Describe every block that may be written
    Schema(commands::schema::Args),
    /// Completions for a shell
    Completions(commands::completions::Args),
    /// Explain a code of an error or warning
    Explain(commands::explain::Args),
    /// The process in which rules are judged. Started by the program itself.
    #[command(name = "__guard", hide = true)]
    Guard(commands::guard::Args),
    /// Commands of later versions, known by name.
    #[command(flatten)]
    Later(Later),
}

/// Commands of later versions: refused by name, and no part of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Later {
    #[command(hide = true, disable_help_flag = true)]
    Cfn(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Lsp(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Modules(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Reap(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Test(Anything),
}

impl Later {
    /// The command as it was typed.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Cfn(_) => "cfn",
            Self::Lsp(_) => "lsp",
            Self::Modules(_) => "modules",
            Self::Reap(_) => "reap",
            Self::Test(_) => "test",
        }
    }
}

/// Any words.
#[derive(Debug, Args)]
pub(crate) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

/// The plan, by folder or name.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlanArg {
    /// A plan's folder or name
    #[arg(value_name = "PLAN")]
    pub(crate) plan: Option<String>,
}

/// What changes of a plan are wanted.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Selection {
    /// Only this and what it needs; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) target: Vec<Address>,
    /// Replace this although nothing forces it; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) replace: Vec<Address>,
}

/// What a person agrees to before the world is changed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Consent {
    /// Do not ask
    #[arg(long)]
    pub(crate) auto_approve: bool,
    /// Why, for the record of the run
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// In a protected environment: destroying is meant
    #[arg(long)]
    pub(crate) allow_destroy: bool,
    /// In a protected environment: replacing this, which holds data, is meant; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) allow_replace: Vec<Address>,
    /// In a protected environment: its name, where there is no terminal to type it
    #[arg(long, value_name = "ENV")]
    pub(crate) confirm: Option<String>,
}

/// Reads `NAME=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Reads a duration like `5m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

fn parallelism(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or_else(|| "write a number from 1 to 1000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_declaration_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_of_later_versions_take_any_words() {
        for words in
            [&["terrace", "test", "check", "--frobnicate", "x"][..], &["terrace", "lsp"], &["terrace", "cfn", "--help"]]
        {
            let cli = Cli::try_parse_from(words).unwrap();
            assert!(matches!(cli.command, Command::Later(later) if later.name() == words[1]));
        }
    }
}
