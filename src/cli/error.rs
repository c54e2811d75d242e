//! What a command that cannot go on returns: problems to show, and the exit code that they mean.
//!
//! Every problem is a [`Diagnostic`] with a code, so that `terrace explain` knows it. Nothing here prints.

use crate::{
    apply,
    base::{Diagnostic, Diagnostics, SourceMap},
    cli::exit::Exit,
    lang::SourceError,
    plan,
    state::{CodecError, StateError},
    world::{Class, Failure},
};

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct Error {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is shown; may be empty where everything was shown already.
    pub(crate) diagnostics: Diagnostics,
    /// The texts that their places point into.
    pub(crate) sources: SourceMap,
}

/// What commands return.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Ends with 1 and one problem.
    pub(crate) fn new(code: &'static str, summary: impl Into<String>) -> Self {
        Self::from(Diagnostic::error(code, summary))
    }

    /// Ends with 64: the command line is wrong.
    pub(crate) fn usage(code: &'static str, summary: impl Into<String>) -> Self {
        Self::new(code, summary).exit(Exit::Usage)
    }

    /// Ends so, everything having been said already.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, diagnostics: Diagnostics::new(), sources: SourceMap::default() }
    }

    /// The first problem, in a line.
    pub(crate) fn summary(&self) -> String {
        self.diagnostics.0.first().map(|d| d.summary.clone()).unwrap_or_default()
    }

    /// Another exit code.
    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The texts for excerpts.
    #[must_use]
    pub(crate) fn with_sources(mut self, sources: SourceMap) -> Self {
        self.sources = sources;
        self
    }

    /// Says why, of the last problem.
    #[must_use]
    pub(crate) fn because(mut self, detail: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.0.last_mut() {
            last.detail = detail.into();
        }
        self
    }

    /// Says what to do instead, of the last problem.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.0.last_mut() {
            last.hint = Some(hint.into());
        }
        self
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics::from(diagnostic).into()
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Self { exit: Exit::Error, diagnostics, sources: SourceMap::default() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure_diagnostic(&failure).into()
    }
}

/// A failed call to the world as a problem to show.
pub(crate) fn failure_diagnostic(failure: &Failure) -> Diagnostic {
    let code = match failure.class {
        Class::Denied => "access_denied",
        Class::Throttled => "throttled",
        Class::TimedOut => "timed_out",
        Class::Unavailable => "service_unavailable",
        Class::NotFound => "not_found",
        Class::AlreadyExists => "already_exists",
        Class::Conflict => "conflict",
        Class::Invalid => "invalid_request",
        Class::Limit => "limit_reached",
        Class::Failed => "operation_failed",
        Class::Stuck => "operation_stuck",
        Class::Unsupported => "unsupported_operation",
        Class::Local => "local_failure",
    };
    let diagnostic = Diagnostic::error(code, failure.to_string());
    match &failure.hint {
        Some(hint) => diagnostic.hint(hint.as_str()),
        None => diagnostic,
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Storage(failure) => failure.into(),
            StateError::Locked(owner) => {
                let id = owner.id.clone();
                Self::new("state_locked", StateError::Locked(owner).to_string()).exit(Exit::Stale).hint(format!(
                    "wait for it with --lock-timeout 5m; where that process is gone: terrace unlock {id} \
                     (in S3 its lock ends by itself, a lease after its last sign of life)"
                ))
            }
            StateError::Codec(newer @ CodecError::Newer { .. }) => Self::new("state_newer", newer.to_string()),
            StateError::Codec(damaged) => Self::new("state_damaged", damaged.to_string()).hint(
                "terrace state verify says how far it can be read, terrace state repair goes on from there; \
                 docs/state.md says how a former version is put back",
            ),
            moved @ StateError::Moved { .. } => Self::new("state_moved", moved.to_string())
                .because("what stayed behind is kept as it was, and nothing works on with it")
                .hint("set [state] in terrace.toml to the new place, or move it back: terrace state migrate"),
            StateError::Encoding(why) => Self::new("internal_defect", format!("a record could not be written: {why}"))
                .hint("this is a defect of terrace; please report it with what you ran"),
        }
    }
}

impl From<plan::Error> for Error {
    fn from(error: plan::Error) -> Self {
        match error {
            plan::Error::Problems(problems) => problems.into(),
            plan::Error::State(error) => error.into(),
            plan::Error::Encoding(error) => defect(&error),
        }
    }
}

impl From<plan::ReadError> for Error {
    fn from(error: plan::ReadError) -> Self {
        match error {
            plan::ReadError::Newer { .. } => Self::new("plan_newer", error.to_string()),
            plan::ReadError::NotAPlan(_) | plan::ReadError::Altered | plan::ReadError::BeyondItsMode { .. } => {
                Self::new("plan_file", error.to_string()).hint("make the plan again: terrace plan --out FILE")
            }
        }
    }
}

impl From<apply::Error> for Error {
    fn from(error: apply::Error) -> Self {
        match error {
            apply::Error::Refused(refused) => Self::from(Diagnostics(refused)).exit(Exit::NotEligible),
            apply::Error::NotEligible { env, release, reasons } => not_eligible(&env, &release, &reasons),
            apply::Error::Stale(moved) => {
                let lines: Vec<String> = moved.iter().map(ToString::to_string).collect();
                Self::new("plan_stale", "the plan is stale: nothing was changed")
                    .exit(Exit::Stale)
                    .because(lines.join("\n"))
                    .hint("make a new plan, and look at it")
            }
            apply::Error::RunOpen { .. } => Self::new("run_open", error.to_string())
                .exit(Exit::Stale)
                .hint("terrace resume goes on with it, terrace resume --rollback takes it back"),
            apply::Error::NothingOpen => Self::new("nothing_open", error.to_string()),
            apply::Error::PlanLost { .. } => Self::new("plan_lost", error.to_string())
                .exit(Exit::Stuck)
                .hint("terrace doctor shows what the run had begun"),
            apply::Error::Problems(problems) => problems.into(),
            apply::Error::State(error) => error.into(),
            apply::Error::World(failure) => failure.into(),
            apply::Error::Encoding(error) => defect(&error),
        }
    }
}

/// Something that cannot happen, and did.
pub(crate) fn defect(why: &dyn std::fmt::Display) -> Error {
    Error::new("internal_defect", format!("something could not be encoded: {why}"))
        .hint("this is a defect of terrace; please report it with what you ran")
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        let code = match &error {
            SourceError::Missing(_) => "file_missing",
            SourceError::Outside(_) => "file_outside_project",
            SourceError::Unreadable { .. } => "file_unreadable",
        };
        Self::new(code, error.to_string())
    }
}

/// Every reason that keeps something from an environment, with what would lift it.
pub(crate) fn not_eligible(env: &str, release: &str, reasons: &[crate::gate::Reason]) -> Error {
    let what = if release == "RELEASE" { "this".to_owned() } else { format!("release {release}") };
    let said: Vec<String> = reasons.iter().map(crate::gate::Reason::sentence).collect();
    let lifted: Vec<String> = reasons.iter().map(|r| r.lifted_by(env, release)).collect();
    Error::new("not_eligible", format!("{env} does not take {what} now: nothing was changed"))
        .exit(Exit::NotEligible)
        .because(said.join("\n"))
        .hint(lifted.join("\n"))
}
