//! What a rule found: which, how bad, of what, where, and what to do instead.

use crate::base::Address;
use std::sync::Arc;

/// What a rule that does not hold does to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is not applied.
    Deny,
    /// It is told.
    Warn,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The file, relative to the project.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// The pack that it is of.
    pub pack: String,
    /// What it does to a plan.
    pub severity: Severity,
    /// What declares it; `None` where it is about the environment as a whole.
    pub address: Option<Address>,
    /// What of that it is about: a logical id, `Deployment shop/web`; empty where it is all of it.
    pub part: String,
    /// Where in the part, as Guard writes it; empty where it is all of it.
    pub path: String,
    /// Where it is written, as near as that is known.
    pub place: Option<Place>,
    /// The controls that the rule is for.
    pub controls: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// Why that is wrong.
    pub why: String,
    /// What to write instead.
    pub instead: String,
}

impl Finding {
    /// Denials first, then by what declares it, the part, the rule and the place.
    pub(crate) fn key(&self) -> impl Ord + '_ {
        (self.severity, &self.address, &self.part, &self.rule, &self.path, &self.place, &self.what)
    }
}
