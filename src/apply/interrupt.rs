//! Being asked to stop: once to start nothing more, twice to stop now.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tokio::sync::Notify;

/// A handle to ask a run to stop, shared between whoever listens for signals and the executor.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: AtomicU8,
    changed: Notify,
}

impl Interrupt {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks once more: first what runs is finished and nothing started, then everything is left as it is.
    pub fn ask(&self) {
        let _ = self.0.asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(n.saturating_add(1).min(2)));
        self.0.changed.notify_waiters();
    }

    /// How often it was asked, at most 2.
    #[must_use]
    pub fn asked(&self) -> u8 {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Returns when it has been asked at least this often.
    pub async fn reached(&self, times: u8) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.asked() >= times {
                return;
            }
            changed.await;
        }
    }
}
