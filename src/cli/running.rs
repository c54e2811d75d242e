//! What apply, destroy and resume share: who runs it, how it is interrupted, and what is shown when it has ended.
#![expect(clippy::disallowed_methods, reason = "asks git for the commit that a run is recorded with")]

use crate::{
    apply::{Interrupt, Options, Report, RunFacts, Warrant},
    base::{Event, Events, RunEnd},
    cli::{
        commands::plan::write,
        context::Context,
        error::Result,
        exit::Exit,
        notify::{self, Happening},
        stage::Stage,
        views::{View, json, report},
    },
};
use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

/// How long git may take to say which commit this is.
const GIT_PATIENCE: Duration = Duration::from_secs(2);

/// How a run is made: by whom, from what, and how to stop it.
pub(crate) async fn options(
    context: &Context,
    stage: &Stage,
    command: &str,
    reason: Option<&str>,
    check_fresh: bool,
    warrant: Warrant,
) -> Options {
    let project = &stage.loaded.place.project;
    let person = context.surroundings.person();
    Options {
        parallelism: context.parallelism(project),
        interrupt: Interrupt::new(),
        check_fresh,
        record: RunFacts {
            command: command.to_owned(),
            person: person.map(|p| project.settings.people.get(p).cloned().unwrap_or_else(|| p.to_owned())),
            ci: context.surroundings.ci(),
            commit: commit(&project.folder).await,
            reason: reason.map(str::to_owned),
            from: context.surroundings.origin(),
        },
        warrant,
    }
}

/// The commit of a folder, with `-dirty` where files differ from it; nothing where git does not say.
pub(crate) async fn commit(folder: &Path) -> Option<String> {
    let git = |words: &'static [&'static str]| async move {
        let mut command = tokio::process::Command::new("git");
        command.arg("-C").arg(folder).args(words).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(GIT_PATIENCE, command.output()).await.ok()?.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--verify", "--quiet", "HEAD"]).await.filter(|head| !head.is_empty())?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]).await?;
    Some(if changes.is_empty() { head } else { format!("{head}-dirty") })
}

/// Listens for Ctrl-C (and for being asked to end): the first finishes what runs, the second stops at once.
pub(crate) fn listen(interrupt: &Interrupt, view: &Arc<View>) -> tokio::task::JoinHandle<()> {
    let (interrupt, view) = (interrupt.clone(), view.clone());
    // Made before the run begins and kept: a signal that comes while the one before is told of is not lost.
    let signals = Signals::new();
    tokio::spawn(async move {
        let Some(mut signals) = signals else { return };
        while signals.next().await {
            interrupt.ask();
            let message = match interrupt.asked() {
                1 => "interrupted: what runs is finished, nothing more is started; once more stops at once",
                _ => "stopped; `terrace resume` finds out what became of what was running",
            };
            view.emit(Event::Notice { message: message.to_owned() });
        }
    })
}

/// Ctrl-C, and being asked to end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    /// Waits for the next one; false where none will come any more.
    async fn next(&mut self) -> bool {
        tokio::select! {
            came = self.interrupt.recv() => came.is_some(),
            came = self.terminate.recv() => came.is_some(),
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}

/// Shows what a run left, tells whoever wants to know, and says how the process ends. `rollback` where the run went back.
///
/// # Errors
/// A plan for the rest that cannot be written.
pub(crate) async fn finish(mut ended: Report, rollback: bool, stage: &Stage, context: &Context) -> Result<Exit> {
    let rest = match ended.rest.take() {
        Some(saved) => {
            let path = stage.loaded.place.project.own_folder().join("rest").join(format!("{}.tplan", ended.run));
            write(&path, &saved)?;
            Some(path.strip_prefix(&context.surroundings.folder).unwrap_or(&path).display().to_string())
        }
        None => None,
    };
    if context.terminal.json {
        context.terminal.json_line(&json::answer("report", report::json(&ended, rest.as_deref())));
    } else {
        context.terminal.complain(report::render(&ended, rest.as_deref(), context.terminal.width).trim_end());
        if !ended.outputs.is_empty() && !context.terminal.quiet {
            let listed = crate::cli::commands::output::listed(ended.outputs.iter(), context.terminal.width);
            context.terminal.data(&format!("\n{listed}"));
        }
    }
    if let Some(happening) = Happening::of_run(&ended, rollback) {
        notify::tell(stage, context, &happening).await;
    }
    Ok(match ended.end {
        RunEnd::Succeeded => Exit::Done,
        RunEnd::Failed => Exit::Error,
        RunEnd::RolledBack => Exit::RolledBack,
        RunEnd::Stuck => Exit::Stuck,
        RunEnd::BeyondPlan => Exit::NotEligible,
        RunEnd::Interrupted => Exit::Interrupted,
    })
}
