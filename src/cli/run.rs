//! From the process's arguments to its exit code.

use crate::{
    base::Diagnostic,
    cli::{
        args::{Cli, Command},
        commands,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        surroundings::Surroundings,
        terminal::{Terminal, Wishes},
        views::diagnostics,
    },
};
use clap::{Parser as _, error::ErrorKind};
use std::{ffi::OsString, process::ExitCode};

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let surroundings = Surroundings::read();
    start(&Surroundings::arguments(), surroundings).into()
}

fn start(arguments: &[OsString], surroundings: Surroundings) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return wrong_words(&error, arguments, &surroundings),
    };
    // It has no use for a runtime's threads, and its limits come first.
    if let Command::Guard(args) = &cli.command {
        return commands::guard::run(args);
    }
    let global = &cli.global;
    let wishes = Wishes { json: global.json, quiet: global.quiet, no_color: global.no_color };
    let terminal = Terminal::new(&surroundings, wishes);
    let context = Context::new(surroundings, terminal, cli.global.clone());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            return report(&Error::new("local_failure", format!("no threads can be started: {e}")), &context.terminal);
        }
    };
    let end = runtime.block_on(dispatch(cli.command, &context));
    // What still runs in the background (a read that nobody waits for) must not hold up the end.
    runtime.shutdown_background();
    end.unwrap_or_else(|error| report(&error, &context.terminal))
}

async fn dispatch(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Init(args) => commands::init::run(&args, context),
        Command::Validate(args) => commands::validate::run(&args, context).await,
        Command::Fmt(args) => commands::fmt::run(&args, context),
        Command::Console(args) => commands::console::run(&args, context).await,
        Command::Graph(args) => commands::graph::run(&args, context),
        Command::Plan(args) => commands::plan::run(args, context).await,
        Command::Show(args) => Box::pin(commands::show::run(&args, context)).await,
        Command::Comment(args) => commands::comment::run(&args, context).await,
        Command::Review(args) => Box::pin(commands::review::run(&args, context)).await,
        Command::Apply(args) => Box::pin(commands::apply::run(args, context)).await,
        Command::Resume(args) => Box::pin(commands::resume::run(args, context)).await,
        Command::Doctor(args) => commands::doctor::run(args, context).await,
        Command::Destroy(args) => Box::pin(commands::destroy::run(args, context)).await,
        Command::Status(args) => commands::status::run(&args, context).await,
        Command::History(args) => commands::history::run(&args, context).await,
        Command::Audit(args) => commands::audit::run(args, context).await,
        Command::Output(args) => commands::output::run(&args, context).await,
        Command::Drift(args) => Box::pin(commands::drift::run(args, context)).await,
        Command::Import(args) => Box::pin(commands::import::run(args, context)).await,
        Command::Release(args) => commands::release::run(args, context).await,
        Command::Promote(args) => Box::pin(commands::promote::run(args, context)).await,
        Command::Rollback(args) => Box::pin(commands::rollback::run(args, context)).await,
        Command::Rollout(args) => Box::pin(commands::rollout::run(args, context)).await,
        Command::Verify(args) => Box::pin(commands::verify::run(args, context)).await,
        Command::Pipeline(args) => commands::pipeline::run(&args, context).await,
        Command::Approve(args) => commands::approve::run(args, context).await,
        Command::Freeze(args) => commands::decide::freeze(&args, context).await,
        Command::Hold(args) => commands::decide::hold(&args, false, context).await,
        Command::ReleaseHold(args) => commands::decide::hold(&args, true, context).await,
        Command::Revoke(args) => commands::decide::revoke(&args, context).await,
        Command::Policy(args) => Box::pin(commands::policy::run(args, context)).await,
        Command::State(args) => commands::state::run(args, context).await,
        Command::Unlock(args) => commands::unlock::run(&args, context).await,
        Command::Sandbox(args) => commands::sandbox::run(args, context),
        Command::Schema(args) => commands::schema::run(&args, context),
        Command::Completions(args) => commands::completions::run(&args, context),
        Command::Explain(args) => commands::explain::run(&args, context),
        Command::Guard(args) => Ok(commands::guard::run(&args)),
        Command::Later(later) => {
            let message = format!("`terrace {}` is not in this version", later.name());
            Err(Error::usage("not_in_this_version", message).hint("terrace --help lists what is"))
        }
    }
}

/// Shows what a command ended with.
fn report(error: &Error, terminal: &Terminal) -> Exit {
    show(terminal, error);
    error.exit
}

fn show(terminal: &Terminal, error: &Error) {
    if terminal.json {
        for diagnostic in &error.diagnostics {
            terminal.json_line(&diagnostics::json(diagnostic, &error.sources));
        }
    } else if !error.diagnostics.is_empty() {
        let text = diagnostics::render(&error.diagnostics, &error.sources, terminal.width);
        terminal.complain(text.trim_end());
    }
}

/// Help, the version, or words that are no command line.
fn wrong_words(error: &clap::Error, arguments: &[OsString], surroundings: &Surroundings) -> Exit {
    // The flags could not be read, so those that shape output are looked for by hand.
    let has = |flag: &str| arguments.iter().any(|a| a == flag);
    let wishes = Wishes { json: has("--json"), quiet: false, no_color: has("--no-color") };
    let terminal = Terminal::new(surroundings, wishes);
    let text = error.render().ansi().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            terminal.data(&text);
            Exit::Done
        }
        _ if terminal.json => {
            let plain = error.render().to_string();
            let first = plain.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            report(&Error::from(Diagnostic::error("usage", first)).exit(Exit::Usage), &terminal)
        }
        _ => {
            terminal.complain(text.trim_end());
            Exit::Usage
        }
    }
}
