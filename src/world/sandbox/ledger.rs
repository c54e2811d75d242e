//! A ledger for whose storage the world's time waits, as it does for a program of the machine.
//!
//! Without it time, which runs fast here or jumps, runs into deadlines of what only waits for a slow disk.

use super::clock::VirtualClock;
use crate::world::{Ledger, Lock, LockOwner, Moved, Outcome, Stored};
use async_trait::async_trait;
use std::sync::Arc;

/// The ledger, and whose time waits for it.
pub(super) struct Waited {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<VirtualClock>,
}

impl Waited {
    async fn held<T>(&self, work: impl Future<Output = Outcome<T>> + Send) -> Outcome<T> {
        let _busy = self.clock.busy();
        work.await
    }
}

#[async_trait]
impl Ledger for Waited {
    async fn load(&self) -> Outcome<Stored> {
        self.held(self.ledger.load()).await
    }

    async fn lock(&self, owner: &LockOwner) -> Outcome<Lock> {
        self.held(self.ledger.lock(owner)).await
    }

    async fn unlock(&self, epoch: u64) -> Outcome<()> {
        self.held(self.ledger.unlock(epoch)).await
    }

    async fn break_lock(&self, id: &str) -> Outcome<bool> {
        self.held(self.ledger.break_lock(id)).await
    }

    async fn holder(&self) -> Outcome<Option<LockOwner>> {
        self.held(self.ledger.holder()).await
    }

    async fn is_driven(&self) -> Outcome<bool> {
        self.held(self.ledger.is_driven()).await
    }

    async fn append(&self, epoch: u64, lines: Arc<[u8]>) -> Outcome<()> {
        self.held(self.ledger.append(epoch, lines)).await
    }

    async fn compact(&self, epoch: u64, snapshot: Arc<[u8]>) -> Outcome<()> {
        self.held(self.ledger.compact(epoch, snapshot)).await
    }

    fn pieces(&self) -> usize {
        self.ledger.pieces()
    }

    async fn mark_moved(&self, epoch: u64, moved: &Moved) -> Outcome<()> {
        self.held(self.ledger.mark_moved(epoch, moved)).await
    }

    fn place(&self) -> String {
        self.ledger.place()
    }

    async fn put(&self, name: &str, content: &[u8]) -> Outcome<()> {
        self.held(self.ledger.put(name, content)).await
    }

    async fn put_new(&self, name: &str, content: &[u8]) -> Outcome<bool> {
        self.held(self.ledger.put_new(name, content)).await
    }

    async fn get(&self, name: &str) -> Outcome<Option<Vec<u8>>> {
        self.held(self.ledger.get(name)).await
    }

    async fn list(&self, prefix: &str) -> Outcome<Vec<String>> {
        self.held(self.ledger.list(prefix)).await
    }

    async fn delete(&self, name: &str) -> Outcome<()> {
        self.held(self.ledger.delete(name)).await
    }
}
