//! What can go wrong outside the process, by class, since the class decides what is done about it.

use std::fmt;

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The caller may not do this.
    Denied,
    /// Too many calls; try again later.
    Throttled,
    /// No answer in time; whether the call took effect is not known.
    TimedOut,
    /// The service could not be reached or broke (5xx); whether the call took effect is not known.
    Unavailable,
    /// The thing does not exist.
    NotFound,
    /// The thing exists already.
    AlreadyExists,
    /// Somebody else is changing it, or owns a field of it.
    Conflict,
    /// The request is wrong and will be wrong again.
    Invalid,
    /// A limit of the account or service.
    Limit,
    /// The operation ran and failed.
    Failed,
    /// The operation ended in a state that needs a person or `doctor`.
    Stuck,
    /// This endpoint does not have the operation.
    Unsupported,
    /// A program is missing, or the local machine refused.
    Local,
}

impl Class {
    /// True where trying the very same call again may succeed.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::TimedOut | Self::Unavailable)
    }

    /// True where the call may have taken effect although it failed, so that the world must be asked first.
    #[must_use]
    pub const fn effect_unknown(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unavailable)
    }
}

/// A failed call: what was asked of whom, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// What to make of it.
    pub class: Class,
    /// The call, as the service names it: `cloudformation:ExecuteChangeSet`, `helm upgrade`.
    pub operation: String,
    /// What it was about: a stack's name, a release; may be empty.
    pub subject: String,
    /// The service's own words.
    pub message: String,
    /// What a person can do, where that is known.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of `operation` on `subject`.
    #[must_use]
    pub fn new(
        class: Class,
        operation: impl Into<String>,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { class, operation: operation.into(), subject: subject.into(), message: message.into(), hint: None }
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.subject.is_empty() {
            write!(f, " ({})", self.operation)
        } else {
            write!(f, " ({} on {})", self.operation, self.subject)
        }
    }
}

impl std::error::Error for Failure {}

/// The result of a call to the world.
pub type Outcome<T> = Result<T, Failure>;
