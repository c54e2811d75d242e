//! What the owner of the lock knows, and how it makes a write certain.

use super::{
    bucket::{Bucket, Created},
    lease::Beats,
    segment::{Header, Kind},
};
use crate::world::{Clock, Failure, LockOwner, Outcome};
use std::time::Duration;

/// How often a write is tried whose end is not known.
const TRIES: u32 = 6;
/// How long it waits before the second try; twice that before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// The lock as its owner holds it.
pub(super) struct Held {
    /// Under which epoch.
    pub(super) epoch: u64,
    /// Who we are.
    pub(super) owner: LockOwner,
    /// How long we may be silent.
    pub(super) lease: Duration,
    /// The number of the next segment. Nobody else writes it while we are the owner.
    pub(super) next: u64,
    /// The snapshot that the log stands on; 0 where there is none yet.
    pub(super) base: u64,
    /// Segments that no compaction may delete.
    pub(super) kept: Vec<u64>,
    /// Why nothing more may be written: a write failed, and it is not known whether it took effect.
    pub(super) doubtful: Option<Failure>,
    /// Tells others that we live.
    pub(super) beats: Option<Beats>,
}

impl Held {
    /// Of a log that has no segment yet.
    pub(super) const fn first(owner: LockOwner, lease: Duration) -> Self {
        Self { epoch: 1, owner, lease, next: 1, base: 0, kept: Vec::new(), doubtful: None, beats: None }
    }

    /// Comes behind the last segment. Where its owner has not given the lock back, our segment stands where that owner
    /// would write next, and has to stay there.
    pub(super) fn follow(&mut self, last: &Header) {
        self.epoch = last.epoch + 1;
        self.next = last.number + 1;
        self.base = last.base;
        self.kept.clone_from(&last.kept);
        if last.owner.is_some() {
            self.kept.push(self.next);
        }
    }

    /// The header of our next segment.
    pub(super) fn header(&self, kind: Kind) -> Header {
        let mut header = Header::new(kind, self.next, self.epoch);
        header.base = if kind == Kind::Snapshot { self.next } else { self.base };
        header.owner = (!matches!(kind, Kind::Unlock | Kind::Break)).then(|| self.owner.clone());
        header.lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        header.kept.clone_from(&self.kept);
        header
    }
}

/// Creates an object and makes sure: after an answer that was lost, or one that says that something is there already, it is
/// read back. `true` where our content is there, `false` where another's is.
///
/// # Errors
/// A storage that fails. After one whose effect is unknown our content may be there.
pub(super) async fn settle(bucket: &dyn Bucket, clock: &dyn Clock, key: &str, content: &[u8]) -> Outcome<bool> {
    let mut pause = PAUSE;
    let mut tries = 0;
    loop {
        let failure = match bucket.create(key, content).await {
            Ok(Created::New) => return Ok(true),
            Ok(Created::Exists) => None,
            Err(failure) if failure.class.retryable() => Some(failure),
            Err(failure) => return Err(failure),
        };
        match (bucket.get(key).await, failure) {
            (Ok(Some(found)), _) => return Ok(found.content == content),
            // It was there, and is gone: only later owners delete.
            (Ok(None), None) => return Ok(false),
            (Err(failure), None) if !failure.class.retryable() => return Err(failure),
            (Ok(None) | Err(_), Some(failure)) | (Err(failure), None) => {
                tries += 1;
                if tries >= TRIES {
                    return Err(failure);
                }
            }
        }
        clock.sleep(pause).await;
        pause *= 2;
    }
}
