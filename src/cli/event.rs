//! What a forge tells a CI job of why it runs: GitHub's and Gitea's event, which is a file, and the pull request in it.
//!
//! Source: GitHub's "Webhook events and payloads", `pull_request` and `push`.
#![expect(clippy::disallowed_methods, reason = "reads the event of a CI job")]

use crate::cli::surroundings::Surroundings;
use serde_json::Value as Json;
use std::io::Read as _;

/// Where a job finds it.
pub(crate) const VARIABLE: &str = "GITHUB_EVENT_PATH";
/// The biggest event that GitHub writes has 25 MB.
const MOST: u64 = 32 << 20;

/// Why a job runs.
pub(crate) struct Event(Json);

impl Event {
    /// The job's; nothing where there is no such file.
    ///
    /// # Errors
    /// Why it cannot be read, with the file.
    pub(crate) fn read(surroundings: &Surroundings) -> Result<Option<Self>, String> {
        let Some(path) = surroundings.variable(VARIABLE) else { return Ok(None) };
        let path = surroundings.folder.join(path);
        let unreadable = |why: String| format!("{}: {why}", path.display());
        let file = std::fs::File::open(&path).map_err(|e| unreadable(e.to_string()))?;
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text).map_err(|e| unreadable(e.to_string()))?;
        serde_json::from_slice(&text)
            .map(|event| Some(Self(event)))
            .map_err(|e| unreadable(format!("it is no JSON: {e}")))
    }

    fn pull(&self) -> Option<&Json> {
        Some(&self.0["pull_request"]).filter(|pull| pull.is_object())
    }

    /// The pull request's number.
    pub(crate) fn number(&self) -> Option<u64> {
        self.pull()?["number"].as_u64()
    }

    /// The newest commit that the pull request had then.
    pub(crate) fn head(&self) -> Option<&str> {
        self.pull()?["head"]["sha"].as_str()
    }

    /// Whether the pull request comes from another repository, which a deleted one is (`head.repo` is null then); nothing where it is
    /// not said whose code was checked out. A push is of the repository's own branches.
    pub(crate) fn fork(&self) -> Option<bool> {
        let Some(pull) = self.pull() else {
            return (self.0["ref"].is_string() && self.0["after"].is_string()).then_some(false);
        };
        let name = |side: &str| pull[side]["repo"]["full_name"].as_str();
        Some(name("head").is_none() || name("head") != name("base"))
    }
}
