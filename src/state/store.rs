//! The store: a ledger, the snapshot it folds to, and a group commit.
//!
//! Many tasks commit at once; one writer takes whatever has gathered and makes it durable with one append. `commit` returns
//! when its records are durable; `note` does not wait, but order is kept: whatever is committed later is durable later.

use crate::{
    state::{
        Record, Snapshot,
        codec::{self, CodecError},
        seal::SealKey,
    },
    world::{Class, Entropy, Failure, Ledger, Lock, LockOwner, Moved, Stored},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// When the log is this many times the snapshot (and over [`COMPACT_FLOOR`]), it is compacted at the end.
const COMPACT_RATIO: usize = 4;
const COMPACT_FLOOR: usize = 256 * 1024;
/// A log in this many pieces is compacted at the end, and one in that many while it is written.
const PIECES_AT_REST: usize = 16;
const PIECES_AT_WORK: usize = 512;

/// Why state could not be read or written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StateError {
    /// The storage failed.
    #[error("{0}")]
    Storage(#[from] Failure),
    /// What is stored can't be read.
    #[error("{0}")]
    Codec(#[from] CodecError),
    /// Somebody holds the lock.
    #[error(
        "the state is locked by {who} on {host} (process {pid}), who has been running `{command}` since {since}; its id is {id}",
        who = .0.who, host = .0.host, pid = .0.pid, command = .0.command, since = .0.since, id = .0.id
    )]
    Locked(Box<LockOwner>),
    /// It lives elsewhere now.
    #[error("the state was moved from {from} to {to} by {by} at {at}", to = .moved.to, by = .moved.by, at = .moved.at)]
    Moved {
        /// Where it was looked for.
        from: String,
        /// Where it is.
        moved: Box<Moved>,
    },
    /// A record could not be encoded: a defect.
    #[error("a record could not be written: {0}")]
    Encoding(String),
}

/// State as it is stored, read without the lock.
///
/// # Errors
/// A storage that fails, a state that was moved, or content that can't be read.
pub async fn load(ledger: &dyn Ledger) -> Result<Snapshot, StateError> {
    let stored = ledger.load().await?;
    not_moved(ledger, &stored)?;
    Ok(fold(&stored)?)
}

/// The state that is stored, moved or not.
///
/// # Errors
/// Content that can't be read.
pub fn fold(stored: &Stored) -> Result<Snapshot, CodecError> {
    if let Some(broken) = &stored.broken {
        return Err(CodecError::Piece(broken.why.clone()));
    }
    let mut snapshot = match &stored.snapshot {
        Some(bytes) => codec::decode_snapshot(bytes)?,
        None => Snapshot::default(),
    };
    codec::replay(&stored.log, &mut snapshot)?;
    Ok(snapshot)
}

pub(super) fn not_moved(ledger: &dyn Ledger, stored: &Stored) -> Result<(), StateError> {
    match &stored.moved {
        Some(moved) => Err(StateError::Moved { from: ledger.place(), moved: Box::new(moved.clone()) }),
        None => Ok(()),
    }
}

/// The name of the object that holds the seal key.
pub(super) const KEY: &str = "seal-key";

/// The seal key of a state; made and stored where there is none yet. Who may not write gets one that is forgotten again where
/// `empty` says that the state holds nothing yet: nothing is sealed with another.
///
/// # Errors
/// A storage that fails, or a key that is damaged.
pub async fn seal_key(ledger: &dyn Ledger, entropy: &dyn Entropy, empty: bool) -> Result<SealKey, StateError> {
    let mut stored = ledger.get(KEY).await?;
    if stored.is_none() {
        let mut bytes = [0u8; 32];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&entropy.next().to_be_bytes());
        }
        let key = SealKey::new(bytes);
        match ledger.put_new(KEY, key.to_hex().as_bytes()).await {
            Ok(true) => return Ok(key),
            Ok(false) => {}
            Err(failure) if failure.class == Class::Denied && empty => return Ok(key),
            Err(failure) => return Err(failure.into()),
        }
        // Somebody else was first.
        stored = ledger.get(KEY).await?;
    }
    stored
        .and_then(|bytes| SealKey::from_hex(&String::from_utf8_lossy(&bytes)))
        .ok_or_else(|| Failure::new(Class::Local, "read state", KEY, "the seal key is damaged").into())
}

/// State that this process may write: it holds the lock.
pub struct Store {
    ledger: Arc<dyn Ledger>,
    epoch: u64,
    taken_from: Option<LockOwner>,
    shared: Arc<Shared>,
    writer: Writer,
}

/// The writing task. It ends with its store, whether that was closed or only dropped.
struct Writer(tokio::task::JoinHandle<()>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    inner: Mutex<Pending>,
    /// There is something to write, or the store closes.
    work: Notify,
    /// Something became durable, or failed.
    done: Notify,
}

struct Pending {
    snapshot: Snapshot,
    /// Encoded lines that are not written yet.
    lines: Vec<u8>,
    /// How many records were ever queued, and how many are durable.
    queued: u64,
    durable: u64,
    /// The first failure; nothing is written after it.
    failed: Option<StateError>,
    /// How much was appended since the last compaction.
    log_bytes: usize,
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Takes the lock and reads the state.
    ///
    /// # Errors
    /// [`StateError::Locked`] where somebody living holds it; [`StateError::Moved`]; a storage that fails; content that
    /// can't be read.
    pub async fn open(ledger: Arc<dyn Ledger>, owner: &LockOwner, lineage: &str) -> Result<Self, StateError> {
        let (epoch, taken_from) = match ledger.lock(owner).await? {
            Lock::Acquired { epoch, taken_from } => (epoch, taken_from),
            Lock::Held(holder) => return Err(StateError::Locked(Box::new(holder))),
        };
        let (snapshot, log_bytes) = match begin(&*ledger, epoch, lineage).await {
            Ok(begun) => begun,
            Err(error) => {
                let _ = ledger.unlock(epoch).await;
                return Err(error);
            }
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(Pending {
                queued: snapshot.records,
                durable: snapshot.records,
                snapshot,
                lines: Vec::new(),
                failed: None,
                log_bytes,
                closing: false,
            }),
            work: Notify::new(),
            done: Notify::new(),
        });
        let writer = Writer(tokio::spawn(write_loop(ledger.clone(), epoch, shared.clone())));
        Ok(Self { ledger, epoch, taken_from, shared, writer })
    }

    /// The owner whose process died without giving the lock back, where there was one.
    #[must_use]
    pub const fn taken_from(&self) -> Option<&LockOwner> {
        self.taken_from.as_ref()
    }

    /// The ledger, for objects beside the log.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Looks at the state as it is now, queued records included. Keep `look` short: it holds a lock.
    pub fn with<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.shared.lock().snapshot)
    }

    /// A copy of the state as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.with(Clone::clone)
    }

    /// Queues records without waiting until they are durable. Whatever is committed later is durable later.
    ///
    /// # Errors
    /// An earlier write that failed, or a record that does not encode.
    pub fn note(&self, records: Vec<Record>) -> Result<u64, StateError> {
        let mut pending = self.shared.lock();
        if let Some(error) = &pending.failed {
            return Err(error.clone());
        }
        for record in records {
            let number = pending.queued + 1;
            let Pending { lines, .. } = &mut *pending;
            codec::encode(number, &record, lines).map_err(|e| StateError::Encoding(e.to_string()))?;
            pending.queued = number;
            pending.snapshot.fold(record);
        }
        let queued = pending.queued;
        drop(pending);
        self.shared.work.notify_one();
        Ok(queued)
    }

    /// Commits records: when it returns they are durable.
    ///
    /// # Errors
    /// A storage that fails, or a lock that is no longer ours: nothing more is written after that.
    pub async fn commit(&self, records: Vec<Record>) -> Result<(), StateError> {
        let number = self.note(records)?;
        self.durable(number).await
    }

    /// Waits until everything noted so far is durable.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn flush(&self) -> Result<(), StateError> {
        let number = self.shared.lock().queued;
        self.durable(number).await
    }

    async fn durable(&self, number: u64) -> Result<(), StateError> {
        loop {
            let notified = self.shared.done.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let pending = self.shared.lock();
                if let Some(error) = &pending.failed {
                    return Err(error.clone());
                }
                if pending.durable >= number {
                    return Ok(());
                }
            }
            notified.await;
        }
    }

    /// Writes what is left, compacts where it pays, and gives the lock back.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn close(mut self) -> Result<(), StateError> {
        let flushed = self.flush().await;
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        let _ = (&mut self.writer.0).await;
        if flushed.is_ok() {
            let compacted = {
                let mut pending = self.shared.lock();
                let log_bytes = pending.log_bytes;
                let scattered = self.ledger.pieces() >= PIECES_AT_REST;
                if scattered || log_bytes > COMPACT_FLOOR {
                    pending.snapshot.prune();
                    let bytes = encode_snapshot(&pending.snapshot)?;
                    (scattered || log_bytes > COMPACT_RATIO * bytes.len() || log_bytes > 8 * COMPACT_FLOOR)
                        .then_some(bytes)
                } else {
                    None
                }
            };
            if let Some(bytes) = compacted {
                self.ledger.compact(self.epoch, bytes).await?;
            }
        }
        self.ledger.unlock(self.epoch).await?;
        flushed
    }
}

/// Reads the state under a lock that was just taken; a new one gets its lineage. Also how long its log is.
async fn begin(ledger: &dyn Ledger, epoch: u64, lineage: &str) -> Result<(Snapshot, usize), StateError> {
    let stored = ledger.load().await?;
    not_moved(ledger, &stored)?;
    let mut snapshot = fold(&stored)?;
    if !snapshot.lineage.is_empty() {
        return Ok((snapshot, stored.log.len()));
    }
    snapshot.lineage = lineage.into();
    ledger.compact(epoch, encode_snapshot(&snapshot)?).await?;
    Ok((snapshot, 0))
}

pub(super) fn encode_snapshot(snapshot: &Snapshot) -> Result<Arc<[u8]>, StateError> {
    codec::encode_snapshot(snapshot).map(Into::into).map_err(|e| StateError::Encoding(e.to_string()))
}

async fn write_loop(ledger: Arc<dyn Ledger>, epoch: u64, shared: Arc<Shared>) {
    loop {
        let scattered = ledger.pieces() >= PIECES_AT_WORK;
        let (lines, upto, closing, whole) = {
            let mut pending = shared.lock();
            let lines = std::mem::take(&mut pending.lines);
            // A snapshot holds what is queued, so it makes that durable as an append would.
            let whole = (scattered && !lines.is_empty()).then(|| encode_snapshot(&pending.snapshot));
            (lines, pending.queued, pending.closing, whole)
        };
        if lines.is_empty() {
            if closing {
                return;
            }
            shared.work.notified().await;
            continue;
        }
        let size = lines.len();
        let result = match whole {
            Some(Ok(snapshot)) => ledger.compact(epoch, snapshot).await.map_err(StateError::from),
            Some(Err(error)) => Err(error),
            None => ledger.append(epoch, lines.into()).await.map_err(StateError::from),
        };
        {
            let mut pending = shared.lock();
            match result {
                Ok(()) => {
                    pending.durable = upto;
                    pending.log_bytes += size;
                }
                Err(error) => {
                    pending.failed.get_or_insert(error);
                }
            }
        }
        shared.done.notify_waiters();
        if shared.lock().failed.is_some() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Address, world::live::FileLedger};

    fn owner() -> LockOwner {
        LockOwner {
            id: "id".to_owned(),
            who: "ada".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            command: "apply".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn verdict(name: &str) -> Record {
        Record::Verdict {
            subject: name.into(),
            verdict: crate::state::Verdict {
                passed: true,
                said: String::new(),
                declaration: crate::base::Digest::of(b""),
                at: jiff::Timestamp::UNIX_EPOCH,
                measurements: Vec::new(),
            },
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_committed_is_read_back_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(FileLedger::new(folder.path())), &owner(), "line").await.unwrap();
        let store = Arc::new(store);
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.commit(vec![verdict(&format!("v{n}"))]).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        // The process dies here: nothing is closed.
        let seen = load(&FileLedger::new(folder.path())).await.unwrap();
        assert_eq!(seen.verdicts.len(), 50);
        assert_eq!(&*seen.lineage, "line");
        assert_eq!(seen.records, 50);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broken_lock_stops_every_later_commit() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(FileLedger::new(folder.path()));
        let store = Store::open(ledger, &owner(), "line").await.unwrap();
        store.commit(vec![verdict("a")]).await.unwrap();
        assert!(FileLedger::new(folder.path()).break_lock("id").await.unwrap());
        assert!(store.commit(vec![verdict("b")]).await.is_err());
        assert!(store.commit(vec![verdict("c")]).await.is_err());
        let seen = load(&FileLedger::new(folder.path())).await.unwrap();
        assert_eq!(seen.verdicts.keys().map(|k| &**k).collect::<Vec<_>>(), ["a"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_what_a_plan_is_made_from_moves_the_serial() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(FileLedger::new(folder.path())), &owner(), "line").await.unwrap();
        store.commit(vec![verdict("a")]).await.unwrap();
        assert_eq!(store.with(|s| s.serial), 0);
        store.commit(vec![Record::Gone { address: Address::root("value", "x") }]).await.unwrap();
        assert_eq!(store.with(|s| s.serial), 1);
        store.close().await.unwrap();
    }
}
