//! What every command gets: where it was started, where it prints, and the global flags.

use crate::{
    base::Secret,
    cli::{
        args::Global,
        error::Result,
        project::{self, PlanPlace, Project},
        pull_request::{Guarded, Program},
        surroundings::Surroundings,
        terminal::Terminal,
    },
    world::{
        Class, Failure, Outcome,
        live::{AskMfa, Live},
    },
};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// How many things are worked on at once where nothing else is said.
const PARALLELISM: usize = 10;

/// What every command gets.
#[derive(Clone)]
pub(crate) struct Context {
    /// Where it was started.
    pub(crate) surroundings: Surroundings,
    /// Where it prints.
    pub(crate) terminal: Terminal,
    /// The global flags.
    pub(crate) global: Global,
    /// False where nothing is read that is kept behind credentials: what is planned comes from a fork (rule 42).
    pub(crate) uses_credentials: bool,
    /// False where programs that the project names are not started: what is planned is somebody's proposal (rule 42).
    pub(crate) starts_named: bool,
    /// The live world, opened at its first use.
    live: OnceLock<Arc<Live>>,
}

impl Context {
    /// What a command gets.
    pub(crate) fn new(surroundings: Surroundings, terminal: Terminal, global: Global) -> Self {
        Self { surroundings, terminal, global, uses_credentials: true, starts_named: true, live: OnceLock::new() }
    }

    /// The same for somebody's proposal, without credentials where that comes from a fork.
    pub(crate) fn for_a_proposal(&self, guarded: &Guarded) -> Self {
        if guarded.spared.contains(&Program::Kubeconfig) {
            self.live().spare_logins();
        }
        Self { uses_credentials: !guarded.fork, starts_named: false, ..self.clone() }
    }

    /// The live world; one a process, so that a session is begun once.
    pub(crate) fn live(&self) -> Arc<Live> {
        let open = || Live::new(ask_mfa(self.terminal.clone(), self.global.mfa_code.clone()));
        self.live.get_or_init(open).clone()
    }

    /// The project of the current folder, or of `--project`.
    pub(crate) fn project(&self) -> Result<Project> {
        Project::find(&self.surroundings, self.global.project.as_deref())
    }

    /// The plan that is meant.
    pub(crate) fn plan(&self, plan: Option<&str>) -> Result<PlanPlace> {
        let plan = plan.or(self.global.of_plan.as_deref());
        project::find_plan(&self.surroundings, self.global.project.as_deref(), plan)
    }

    /// True where a word names a plan.
    pub(crate) fn is_plan(&self, word: &str) -> bool {
        project::is_plan(&self.surroundings, self.global.project.as_deref(), word)
    }

    /// How many things are worked on at once: the flag, the project's setting, or ten.
    pub(crate) fn parallelism(&self, project: &Project) -> usize {
        self.global.parallelism.or(project.settings.parallelism).unwrap_or(PARALLELISM)
    }
}

/// Where a role's MFA code comes from: `--mfa-code` once, since a code counts only once; then a person on a terminal.
fn ask_mfa(terminal: Terminal, given: Option<String>) -> AskMfa {
    let used = AtomicBool::new(false);
    Arc::new(move |device: &str| -> Outcome<Secret<String>> {
        if let Some(code) = given.as_ref().filter(|_| !used.swap(true, Ordering::SeqCst)) {
            return Ok(Secret::new(code.clone()));
        }
        let code = terminal.ask(&format!("Code of the MFA device {device}:")).filter(|code| !code.is_empty());
        code.map(Secret::new).ok_or_else(|| {
            let again =
                if given.is_some() { "the session is over, and a code counts only once" } else { "nobody gave one" };
            Failure::new(
                Class::Denied,
                "sts:AssumeRole",
                device,
                format!("the role wants a code of this MFA device: {again}"),
            )
            .hint("give --mfa-code CODE, or run it on a terminal")
        })
    })
}
