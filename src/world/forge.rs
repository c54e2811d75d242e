//! Forges: one pull request of one repository, its comments, and what is said of its newest commit.
//!
//! GitLab says merge request, note and pipeline status; the words here are GitHub's and Gitea's. What is to be done with them is
//! decided in `review::forge`.

use crate::world::Outcome;
use async_trait::async_trait;

/// Who wrote a comment, or whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Its name, which others cannot have. An app's ends with `[bot]`, which a person's cannot.
    pub login: String,
    /// Its number, where the forge tells it.
    pub id: Option<u64>,
}

impl Author {
    /// Whether both are one: by number where both have one, else by name, in which case is the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self.id, other.id) {
            (Some(one), Some(two)) => one == two,
            _ => self.login.eq_ignore_ascii_case(&other.login),
        }
    }
}

/// A comment of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its number; older ones have smaller ones.
    pub id: u64,
    /// Who wrote it; nobody that is known where the account is gone.
    pub author: Option<Author>,
    /// Its text.
    pub body: String,
    /// Where people see it, where the forge tells.
    pub url: Option<String>,
}

/// Some of the comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommentPage {
    /// Oldest first.
    pub comments: Vec<Comment>,
    /// What to ask for next; `None` where that was all.
    pub next: Option<String>,
}

/// What becomes of a commit by what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Nothing stands against it.
    Success,
    /// Nothing stands against it, and it should be looked at.
    Neutral,
    /// It must not go on.
    Failure,
}

/// A word on a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// Whose word it is: a later one of the same takes its place.
    pub context: String,
    /// What it says.
    pub conclusion: Conclusion,
    /// In at most 140 characters.
    pub description: String,
    /// Where more of it is.
    pub url: Option<String>,
}

/// How much a note on lines matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It keeps the commit from going on.
    Failure,
    /// It warns.
    Warning,
    /// It is told.
    Notice,
}

/// A note on lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Annotation {
    /// How much it matters.
    pub level: Level,
    /// The file, relative to the repository.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What it is about.
    pub title: String,
    /// What it says.
    pub message: String,
}

/// So many annotations go into one request, by GitHub's reference.
pub const ANNOTATIONS: usize = 50;

/// A check run: a word on a commit, with notes on lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, as people see it and as rules of a branch name it.
    pub name: String,
    /// By what it is found again.
    pub external_id: String,
    /// What it says.
    pub conclusion: Conclusion,
    /// That in a line.
    pub title: String,
    /// That in Markdown, at most 65,535 characters.
    pub summary: String,
    /// Notes on lines.
    pub annotations: Vec<Annotation>,
    /// Where more of it is.
    pub url: Option<String>,
}

/// A check run that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    /// Its number.
    pub id: u64,
    /// By what it is found again.
    pub external_id: String,
}

/// A pull request of a forge. Which one, and with which token, is said when it is opened; nothing is asked before the first call.
///
/// Every call tries again what may pass (a cut connection, 5xx) where doing it twice does no harm, waits where the forge asks for
/// it, and gives up when the time is over that all calls have together.
///
/// # Errors
///
/// `Denied` for a token that is wrong or may not; `NotFound` for what is not there or not seen; `Invalid` for what the forge will
/// not take; `Throttled` where it asks for more patience than there is; `Unavailable` where it does not answer, and what was asked
/// may have been done; `Unsupported` for what this forge, or this token, has not at all.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What people call it: GitHub.
    fn name(&self) -> &'static str;
    /// Whose the token is.
    async fn myself(&self) -> Outcome<Author>;
    /// The newest commit of the pull request.
    async fn head(&self) -> Outcome<String>;
    /// Some of its comments, oldest first: the first ones, or what a page named as its next.
    async fn comments(&self, next: Option<&str>) -> Outcome<CommentPage>;
    /// Writes a comment. Not tried again where it may have been written.
    async fn create(&self, body: &str) -> Outcome<Comment>;
    /// Gives a comment another text. `NotFound` where it is gone.
    async fn edit(&self, id: u64, body: &str) -> Outcome<()>;
    /// Takes a comment away. One that is gone already is no error.
    async fn delete(&self, id: u64) -> Outcome<()>;
    /// Says a word on a commit.
    async fn status(&self, commit: &str, status: &CommitStatus) -> Outcome<()>;
    /// The newest check runs of this name on a commit that the caller may see.
    async fn checks(&self, commit: &str, name: &str) -> Outcome<Vec<CheckRun>>;
    /// The notes that a check run has, as far as they are told; they stay there whatever is added.
    async fn annotations(&self, run: u64) -> Outcome<Vec<Annotation>>;
    /// Makes a check run that has ended, with at most [`ANNOTATIONS`] notes.
    async fn create_check(&self, commit: &str, check: &Check) -> Outcome<CheckRun>;
    /// Has a check run say this, and adds at most [`ANNOTATIONS`] notes to those that it has.
    async fn update_check(&self, run: u64, check: &Check) -> Outcome<()>;
}
