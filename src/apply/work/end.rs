//! How the work on an instance ends.

use crate::{
    apply::journal::Undone,
    base::{ActionWord, Value},
    world::Failure,
};

/// How the work on an instance ended.
pub(in crate::apply) enum End {
    /// It is as declared now.
    Done {
        /// What others may refer to, in clear.
        exports: Value,
        /// What was done.
        action: ActionWord,
    },
    /// It failed.
    Failed(String),
    /// What was found goes beyond what was approved.
    Beyond(String),
    /// A person is needed.
    Stuck { why: String, command: String },
    /// State could not be written.
    State(crate::state::StateError),
}

impl From<Undone> for End {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Failed(failure) => Self::Failed(tell(&failure)),
            Undone::Stuck { why, command } => Self::Stuck { why, command },
            Undone::State(error) => Self::State(error),
        }
    }
}

impl From<crate::state::StateError> for End {
    fn from(error: crate::state::StateError) -> Self {
        Self::State(error)
    }
}

/// A failure with its hint.
pub(in crate::apply) fn tell(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}; {hint}"),
        None => failure.to_string(),
    }
}
