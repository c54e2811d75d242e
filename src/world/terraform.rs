//! Terraform roots, by whichever program runs them: what a root's state holds, what a plan of it would do, that plan carried
//! out exactly, and what became of one whose end was not seen.

use crate::{
    base::{Digest, Secret},
    world::Outcome,
};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// A root module, and everything that its program is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Root {
    /// The program: a name that is looked for on PATH, or a path.
    pub program: String,
    /// The root module's folder, relative to the project.
    pub folder: String,
    /// Names the folder of its own that the program works in: its `TF_DATA_DIR`, saved plans, logs.
    pub key: String,
    /// The workspace.
    pub workspace: String,
    /// Settings of the backend, as `-backend-config` takes them.
    pub backend: BTreeMap<String, Secret<String>>,
    /// Variables of the program's environment, beside those that Terrace itself has.
    pub environment: BTreeMap<String, Secret<String>>,
    /// Variable files, relative to the project.
    pub var_files: Vec<String>,
    /// The root's variables, as one JSON object. They win over `var_files`.
    pub variables: Secret<String>,
}

/// What a root's state holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RootState {
    /// Which state it is; `None` where none was written yet.
    pub lineage: Option<String>,
    /// How often it was written.
    pub serial: u64,
    /// Outputs, and whether each is sensitive.
    pub outputs: BTreeMap<String, (Secret<Json>, bool)>,
    /// Managed resources: address and type, in the state's order.
    pub resources: Vec<(String, String)>,
}

/// What a saved plan would do.
#[derive(Debug, Clone, PartialEq)]
pub struct RootPlan {
    /// Whether applying it would do anything.
    pub changes: bool,
    /// `show -json` of it, of a major version of the format that is known. Holds secrets in clear.
    pub shown: Secret<Json>,
    /// The digest of the saved plan's file.
    pub digest: Digest,
    /// Warnings of the program and its providers.
    pub warnings: Vec<String>,
}

/// A saved plan as it lies in the root's own folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is there, and is the one with this digest.
    Whole,
    /// It is there, and is another one.
    Altered,
    /// It is not there: it was made on another machine, or was used up.
    Missing,
}

/// What became of an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootEnd {
    /// It ran to its end.
    Done {
        /// In the program's words: `2 added, 0 changed, 0 destroyed`.
        note: String,
    },
    /// It ended with an error, which the program told.
    Failed(crate::world::Failure),
    /// It was cut off: the program was killed.
    CutOff {
        /// Whether it had begun with any resource.
        begun: bool,
        /// Resources that it was at work on, with what it did: `terraform_data.a (create)`.
        amid: Vec<String>,
        /// Resources that it had made: of those that the state does not know, nobody knows any more.
        made: Vec<String>,
        /// When it was started.
        started: jiff::Timestamp,
    },
    /// Nothing is known of it here: it was never started, or on another machine.
    Unknown,
}

/// A lock on a root's state, as its holder wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootLock {
    /// What `force-unlock` takes.
    pub id: String,
    /// `OperationTypeApply`.
    pub operation: String,
    /// User and host.
    pub who: String,
    /// Since when, as the backend told it.
    pub created: String,
}

/// Which plan is made of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootAim {
    /// What is declared.
    Declared,
    /// That nothing is left.
    Destroyed,
}

/// Says what goes on.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Terraform or OpenTofu on this machine. The state lock is taken by the program itself, and nothing here ever breaks one.
///
/// Failures: [`Class::Local`](crate::world::Class::Local) a program that is missing or too old; `Invalid` a root that is wrong, with
/// file and line; `Conflict` a state lock held by somebody, a stale plan; `Unsupported` a newer format; `TimedOut`, after
/// which a program that writes state is left to end by itself.
#[async_trait]
pub trait Terraform: Send + Sync {
    /// Initialises the root where needed and reads its state. Takes no state lock.
    async fn state(&self, root: &Root, limit: Duration) -> Outcome<RootState>;

    /// Makes a plan and saves it under this name. Whatever is there under the name is replaced.
    async fn plan(&self, root: &Root, aim: RootAim, name: &str, limit: Duration) -> Outcome<RootPlan>;

    /// Whether a saved plan is there.
    async fn kept(&self, key: &str, name: &str, digest: &Digest) -> Outcome<Kept>;

    /// Carries out the saved plan of this name exactly, under a token by which [`Terraform::ended`] finds it again.
    async fn apply(
        &self,
        root: &Root,
        name: &str,
        token: &str,
        progress: Progress<'_>,
        limit: Duration,
    ) -> Outcome<RootEnd>;

    /// What became of an apply with this token. Waits where its program is still at work.
    async fn ended(&self, root: &Root, token: &str, progress: Progress<'_>, limit: Duration) -> Outcome<RootEnd>;

    /// Who holds the state's lock; `None` where nobody does. Changes nothing.
    async fn lock(&self, root: &Root, limit: Duration) -> Outcome<Option<RootLock>>;

    /// Takes away a saved plan. One that is not there is no error.
    async fn discard(&self, key: &str, name: &str) -> Outcome<()>;

    /// How a person calls the program with these words for this root, from the project's folder: with the state and the
    /// workspace that it has here.
    fn by_hand(&self, root: &Root, words: &str) -> String;
}
