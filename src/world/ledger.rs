//! Where state is kept: an append-only log with a lock, and named objects beside it. One ledger per state key.

use crate::world::Outcome;
use async_trait::async_trait;
use std::sync::Arc;

/// Who holds the lock, for the message to whoever meets it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LockOwner {
    /// The lock's id; `terrace unlock ID` takes it.
    pub id: String,
    /// Person or role, as far as known.
    pub who: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The command: `apply`, `destroy`.
    pub command: String,
    /// Since when.
    pub since: jiff::Timestamp,
}

/// What became of asking for the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// Ours, under this epoch. Every commit names it; a later epoch fences us out.
    Acquired {
        /// The epoch.
        epoch: u64,
        /// The owner whose process died without giving it back, where there was one.
        taken_from: Option<LockOwner>,
    },
    /// Somebody else's.
    Held(LockOwner),
}

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The newest compacted state.
    pub snapshot: Option<Vec<u8>>,
    /// What was appended since, in order; the last line may be torn.
    pub log: Vec<u8>,
    /// Where it was moved to, so that nobody works on with what stayed behind.
    pub moved: Option<Moved>,
    /// What could not be read after that, where something is damaged.
    pub broken: Option<Broken>,
}

/// A state that lives elsewhere now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Moved {
    /// Where, as [`Ledger::place`] of the other one says it.
    pub to: String,
    /// Who moved it.
    pub by: String,
    /// When.
    pub at: jiff::Timestamp,
}

/// Damage below the records: a piece of the storage that is missing or not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The piece, and what is wrong with it.
    pub why: String,
    /// The pieces from there on, as they are: `state repair` keeps them aside.
    pub rest: Vec<u8>,
}

/// One state key's storage.
///
/// Guarantees: an append is durable when it returns and atomic against a kill (a torn tail is seen as torn); an append
/// under an epoch that is no longer current fails with [`Class::Conflict`](crate::world::Class::Conflict) and writes
/// nothing that a later reader believes. Reading needs no lock, and sees a prefix of what was appended.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Everything stored; empty where nothing was ever.
    async fn load(&self) -> Outcome<Stored>;
    /// Tries to take the lock once, without waiting.
    async fn lock(&self, owner: &LockOwner) -> Outcome<Lock>;
    /// Gives the lock back. One that is no longer ours is no error.
    async fn unlock(&self, epoch: u64) -> Outcome<()>;
    /// Breaks the lock of this id, whoever holds it; its holder can no longer write. `false` where the id is not the
    /// current one.
    async fn break_lock(&self, id: &str) -> Outcome<bool>;
    /// Who holds the lock now.
    async fn holder(&self) -> Outcome<Option<LockOwner>>;
    /// Whether whoever holds the lock lives, as far as one look tells; false where nobody holds it.
    async fn is_driven(&self) -> Outcome<bool>;
    /// Appends whole lines.
    async fn append(&self, epoch: u64, lines: Arc<[u8]>) -> Outcome<()>;
    /// Replaces snapshot and log by this snapshot, atomically. A mark of [`Ledger::mark_moved`] goes with them.
    async fn compact(&self, epoch: u64, snapshot: Arc<[u8]>) -> Outcome<()>;
    /// In how many pieces the log is since the last compaction, as far as this process knows: what makes reading slow on
    /// a storage where each piece is a request. 0 where pieces cost nothing.
    fn pieces(&self) -> usize {
        0
    }
    /// Marks the state as moved. [`Ledger::load`] tells of it, and whoever opens the state refuses.
    async fn mark_moved(&self, epoch: u64, moved: &Moved) -> Outcome<()>;
    /// Where it is, for messages: a folder, or `s3://bucket/prefix`.
    fn place(&self) -> String;
    /// Stores an object of its own (a run's plan, a change set's record), replacing one of that name. Needs no lock.
    async fn put(&self, name: &str, content: &[u8]) -> Outcome<()>;
    /// Stores an object where there is none of that name; `false` where there is. Of several at once one succeeds.
    async fn put_new(&self, name: &str, content: &[u8]) -> Outcome<bool>;
    /// Reads an object.
    async fn get(&self, name: &str) -> Outcome<Option<Vec<u8>>>;
    /// Names of objects that start so, in order.
    async fn list(&self, prefix: &str) -> Outcome<Vec<String>>;
    /// Deletes an object; an absent one is no error.
    async fn delete(&self, name: &str) -> Outcome<()>;
}
