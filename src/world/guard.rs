//! Documents judged by rules of CloudFormation Guard, in a process of its own (rule 41): a request goes in, an answer comes out,
//! and whatever the rules do to that process does nothing to this one.

use crate::world::Outcome;
use std::time::Duration;

/// How long all rules may take over all documents.
pub const GUARD_DEADLINE: Duration = Duration::from_secs(120);
/// How much address space the process that judges may have, in bytes.
pub const GUARD_MEMORY: u64 = 4 << 30;

/// Whoever judges documents by rules.
#[async_trait::async_trait]
pub trait Guard: Send + Sync {
    /// Judges every document of every job by every rule of the job.
    ///
    /// # Errors
    /// `TimedOut` past the deadline, `Limit` beyond the memory or the size of an answer, `Invalid` where rules end the process (they
    /// name each other, or Guard gives up with them), `Local` where it cannot be started.
    async fn judge(&self, request: &GuardRequest) -> Outcome<GuardAnswer>;
}

/// What is to be judged, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GuardRequest {
    /// Rules, each set with the documents that are its own.
    pub jobs: Vec<GuardJob>,
    /// How long it may take altogether.
    #[serde(skip, default = "deadline")]
    pub deadline: Duration,
    /// The address space that the process may have, in bytes.
    #[serde(skip, default = "memory")]
    pub memory: u64,
}

const fn deadline() -> Duration {
    GUARD_DEADLINE
}

const fn memory() -> u64 {
    GUARD_MEMORY
}

impl GuardRequest {
    /// Jobs within the usual limits.
    #[must_use]
    pub const fn new(jobs: Vec<GuardJob>) -> Self {
        Self { jobs, deadline: GUARD_DEADLINE, memory: GUARD_MEMORY }
    }
}

/// Files of rules, and the documents that they judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GuardJob {
    /// Files of rules.
    pub rules: Vec<GuardText>,
    /// Documents, in JSON or YAML.
    pub data: Vec<GuardText>,
}

/// A text with a name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GuardText {
    /// What it is called in messages: a file's path, an address.
    pub name: String,
    /// The text.
    pub text: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GuardAnswer {
    /// Files of rules and documents that could not be read or judged by. Where there are any, nothing was judged.
    pub faults: Vec<GuardFault>,
    /// What each document of each job came to, in the order of the request.
    pub jobs: Vec<Vec<Judged>>,
}

/// A file of rules, or a document, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GuardFault {
    /// Its name.
    pub name: String,
    /// Guard's own words.
    pub why: String,
}

/// What a document came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Judged {
    /// Rules that hold.
    pub passed: Vec<String>,
    /// Rules that ask for nothing here.
    pub skipped: Vec<String>,
    /// Rules that do not hold.
    pub failed: Vec<String>,
    /// Each place where one does not; a rule that does not hold has at least one.
    pub violations: Vec<Violation>,
}

/// A place in a document where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Violation {
    /// The rule.
    pub rule: String,
    /// The path in the document as Guard writes it, `/Resources/Bucket/Properties`: the value that is wrong, or where the one that is
    /// missing would be. Empty where that is the document as a whole.
    pub path: String,
    /// The line in the document's text, from 1, where Guard knows it.
    pub line: Option<usize>,
    /// What the rule itself says about it; empty where it says nothing.
    pub message: String,
}
