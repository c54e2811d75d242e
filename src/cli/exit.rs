//! Exit codes: one table for all commands, as docs/cli.md lists them.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    #[default]
    Done = 0,
    /// An error.
    Error = 1,
    /// Changes are present, where `--detailed-exitcode` asks.
    Changes = 2,
    /// Denied by policy.
    Denied = 3,
    /// Not eligible, not approved, or beyond the approved plan.
    NotEligible = 4,
    /// The plan is stale, or the state is locked.
    Stale = 5,
    /// Failed, and rolled back.
    RolledBack = 6,
    /// Failed and stuck: a person is needed.
    Stuck = 7,
    /// The command line itself is wrong.
    Usage = 64,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
