//! What one measurement of a probe found.

/// What one measurement found. Plain verification knows "passed" and "not yet"; a rollout treats each of the four in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// What was asked for holds.
    Passed,
    /// It does not.
    Failed,
    /// Neither can be said: a person has to look.
    Inconclusive,
    /// It could not be asked: the platform's trouble, not that of what is measured (rule 34).
    Error,
}

impl Finding {
    /// `Passed` or `Failed`.
    #[must_use]
    pub const fn passed_if(held: bool) -> Self {
        if held { Self::Passed } else { Self::Failed }
    }
}
