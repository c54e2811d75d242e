//! Signs of life of the lock's owner, and how others judge them.
//!
//! Safety does not hang on this: whoever is taken over cannot write. It only decides how soon a dead owner's lock is taken,
//! and that a living one's is not. No clock of one machine is compared with another's: the age of a sign is told by the
//! store's own clock, or by watching that nothing changes for the whole lease.

use super::{bucket::Bucket, read::Tail};
use crate::world::{Clock, Outcome};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The least that an owner may be silent beyond its lease: the store's times are in whole seconds, and a beat may be late.
const MARGIN: Duration = Duration::from_secs(2);

/// The object that the owner of an epoch renews.
pub(super) fn key(prefix: &str, epoch: u64) -> String {
    format!("{prefix}lease/{epoch:020}")
}

/// The task that renews a lease, three times in its duration. It ends with this value.
pub(super) struct Beats(tokio::task::JoinHandle<()>);

impl Drop for Beats {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Beats {
    /// Begins to renew. A renewal that fails is tried again at the next turn.
    pub(super) fn start(
        bucket: Arc<dyn Bucket>,
        clock: Arc<dyn Clock>,
        prefix: &str,
        epoch: u64,
        lease: Duration,
    ) -> Self {
        let key = key(prefix, epoch);
        Self(tokio::spawn(async move {
            for beat in 1u64.. {
                clock.sleep(lease / 3).await;
                let content = format!("{{\"version\":1,\"epoch\":{epoch},\"beat\":{beat}}}\n");
                // One that stalls must not keep the next ones from being seen.
                let _ = tokio::time::timeout(lease / 3, bucket.put(&key, content.as_bytes())).await;
            }
        }))
    }
}

/// What was seen of the lock's owner, from one try to take the lock to the next.
#[derive(Default)]
pub(super) struct Watch(Mutex<Option<Seen>>);

struct Seen {
    /// The last segment and the last beat.
    sign: (u64, Option<Vec<u8>>),
    /// Since when nothing changed, by our clock.
    since: jiff::Timestamp,
}

impl Watch {
    /// Whether the owner that the last segment names has been silent for longer than its lease.
    ///
    /// # Errors
    /// A storage that fails.
    pub(super) async fn lapsed(
        &self,
        bucket: &dyn Bucket,
        prefix: &str,
        clock: &dyn Clock,
        tail: &Tail,
    ) -> Outcome<bool> {
        let lease = Duration::from_millis(tail.header.lease);
        let silence = lease + MARGIN.max(lease / 10);
        let beat = bucket.get(&key(prefix, tail.header.epoch)).await?;
        let renewed = beat.as_ref().and_then(|b| b.modified).max(tail.object.modified);
        let server = beat.as_ref().and_then(|b| b.now).or(tail.object.now);
        if let (Some(renewed), Some(server)) = (renewed, server)
            && older(renewed, server, silence)
        {
            return Ok(true);
        }
        let sign = (tail.header.number, beat.map(|b| b.content));
        let now = clock.now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some(same) if same.sign == sign => Ok(older(same.since, now, silence)),
            _ => {
                *seen = Some(Seen { sign, since: now });
                Ok(false)
            }
        }
    }
}

fn older(since: jiff::Timestamp, now: jiff::Timestamp, than: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|age| age > than)
}
