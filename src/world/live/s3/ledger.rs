//! The ledger over a bucket.

use super::{
    bucket::Bucket,
    lease::{Beats, Watch},
    owner::{Held, settle},
    read,
    sdk::{S3Place, SdkBucket},
    segment::{Header, Kind},
};
use crate::world::{
    AwsConnection, Class, Clock, Failure, Ledger, Lock, LockOwner, Moved, Outcome, Stored, live::aws::Keyring,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How often taking the lock is tried when others append at the same moment.
const TRIES: usize = 16;
/// How many requests of one kind run at once.
pub(super) const AT_ONCE: usize = 32;

/// State under one prefix of a bucket. See the module's description for its objects.
pub struct S3Ledger {
    bucket: Arc<dyn Bucket>,
    /// Ends in `/`.
    prefix: String,
    clock: Arc<dyn Clock>,
    lease: Duration,
    /// What this process holds. The lock is held over a request: appends come one after the other.
    held: tokio::sync::Mutex<Option<Held>>,
    watch: Watch,
    pieces: AtomicUsize,
}

impl S3Ledger {
    /// A ledger under a prefix of a bucket. `lease` is how long this process, when it holds the lock, may be silent before
    /// others take it over. Nothing is called before the first use.
    #[must_use]
    pub fn new(client: aws_sdk_s3::Client, place: S3Place, clock: Arc<dyn Clock>, lease: Duration) -> Self {
        let prefix = place.prefix.clone();
        Self::over(Arc::new(SdkBucket::new(client, place)), &prefix, clock, lease)
    }

    /// The same by a connection, whose client is made at the first use.
    pub(in crate::world::live) fn by(
        connection: AwsConnection,
        keyring: Arc<Keyring>,
        place: S3Place,
        clock: Arc<dyn Clock>,
        lease: Duration,
    ) -> Self {
        let prefix = place.prefix.clone();
        Self::over(Arc::new(SdkBucket::over(connection, keyring, place)), &prefix, clock, lease)
    }

    pub(super) fn over(bucket: Arc<dyn Bucket>, prefix: &str, clock: Arc<dyn Clock>, lease: Duration) -> Self {
        let trimmed = prefix.trim_matches('/');
        Self {
            bucket,
            prefix: if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") },
            clock,
            lease,
            held: tokio::sync::Mutex::default(),
            watch: Watch::default(),
            pieces: AtomicUsize::new(0),
        }
    }

    /// Names of the folders directly under a prefix of this ledger's bucket: the plans that have a state there.
    ///
    /// # Errors
    /// A storage that fails.
    pub async fn folders(&self, prefix: &str) -> Outcome<Vec<String>> {
        self.bucket.folders(&format!("{}/", prefix.trim_matches('/'))).await
    }

    #[cfg(test)]
    pub(super) async fn held_epoch(&self) -> Option<u64> {
        self.held.lock().await.as_ref().map(|held| held.epoch)
    }

    fn object(&self, name: &str) -> String {
        format!("{}objects/{name}", self.prefix)
    }

    /// Sees to it that the store honours conditions: `taken` was created a moment ago, so creating it again must fail.
    async fn probe(&self, taken: &str, content: &[u8]) -> Outcome<()> {
        match self.bucket.create(taken, content).await {
            Ok(super::bucket::Created::New) => Err(Failure::new(
                Class::Unsupported,
                "s3:PutObject",
                format!("s3://{}/{taken}", self.bucket.name()),
                "the store ignores `If-None-Match: *`, so nothing keeps two writers of this state apart",
            )
            .hint("use a store with conditional writes: Amazon S3 has them, and most that are compatible have in newer versions")),
            Ok(super::bucket::Created::Exists) => Ok(()),
            // Whether conditions hold is not known then; the next one to take the lock asks again.
            Err(failure) if failure.class.retryable() => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Appends a segment as the owner.
    async fn write(&self, epoch: u64, kind: Kind, body: &[u8], moved: Option<&Moved>) -> Outcome<()> {
        let mut guard = self.held.lock().await;
        let Some(held) = guard.as_mut().filter(|held| held.epoch == epoch) else {
            return Err(self.lost(None));
        };
        if let Some(failure) = &held.doubtful {
            return Err(failure.clone());
        }
        let mut header = held.header(kind);
        header.moved = moved.cloned();
        let key = read::key(&self.prefix, header.number);
        match settle(&*self.bucket, &*self.clock, &key, &header.encode(body)).await {
            Ok(true) => {
                held.next += 1;
                held.base = header.base;
                self.pieces.store(pieces(held.next, held.base), Ordering::Relaxed);
                Ok(())
            }
            Ok(false) => {
                let failure = self.lost(self.holder_at(header.number).await.as_ref());
                held.doubtful = Some(failure.clone());
                Err(failure)
            }
            Err(failure) => {
                held.doubtful = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// Who wrote in our stead.
    async fn holder_at(&self, number: u64) -> Option<LockOwner> {
        let key = read::key(&self.prefix, number);
        let found = self.bucket.get(&key).await.ok()??;
        super::segment::decode(&key, number, &found.content).ok()?.header.owner
    }

    fn lost(&self, by: Option<&LockOwner>) -> Failure {
        let message = match by {
            Some(o) => format!(
                "the lock was taken over by {} on {} (process {}, `{}`) at {}; nothing was written",
                o.who, o.host, o.pid, o.command, o.since
            ),
            None => "the lock was broken or taken over by somebody else; nothing was written".to_owned(),
        };
        Failure::new(Class::Conflict, "write state", self.place(), message)
    }

    /// Deletes what a snapshot has replaced. It is only tidiness: what cannot be deleted is skipped by every reader.
    async fn tidy(&self, base: u64, kept: &[u64]) {
        let Ok(keys) = self.bucket.list(&read::log(&self.prefix)).await else { return };
        let old: Vec<String> = keys
            .into_iter()
            .filter(|key| read::number(&self.prefix, key).is_some_and(|n| n < base && !kept.contains(&n)))
            .collect();
        let deletions = stream::iter(old).map(|key| async move { self.bucket.delete(&key).await });
        let mut deletions = deletions.buffer_unordered(AT_ONCE);
        while let Some(result) = deletions.next().await {
            if result.is_err() {
                return;
            }
        }
    }
}

fn pieces(next: u64, base: u64) -> usize {
    usize::try_from(next.saturating_sub(base + 1)).unwrap_or(usize::MAX)
}

#[async_trait]
impl Ledger for S3Ledger {
    async fn load(&self) -> Outcome<Stored> {
        read::stored(&*self.bucket, &self.prefix).await
    }

    async fn lock(&self, owner: &LockOwner) -> Outcome<Lock> {
        let mut guard = self.held.lock().await;
        if let Some(held) = &*guard {
            return Ok(Lock::Held(held.owner.clone()));
        }
        for _ in 0..TRIES {
            let tail = read::tail(&*self.bucket, &self.prefix).await?;
            let former = tail.as_ref().and_then(|t| t.header.owner.clone());
            let mut held = Held::first(owner.clone(), self.lease);
            if let Some(tail) = &tail {
                if let Some(former) = &former
                    && !self.watch.lapsed(&*self.bucket, &self.prefix, &*self.clock, tail).await?
                {
                    return Ok(Lock::Held(former.clone()));
                }
                held.follow(&tail.header);
            }
            let header = held.header(Kind::Lock);
            let (key, content) = (read::key(&self.prefix, header.number), header.encode(b""));
            if !settle(&*self.bucket, &*self.clock, &key, &content).await? {
                continue;
            }
            held.next += 1;
            if let Err(failure) = self.probe(&key, &content).await {
                let header = held.header(Kind::Unlock);
                let _ = self.bucket.put(&read::key(&self.prefix, header.number), &header.encode(b"")).await;
                return Err(failure);
            }
            self.pieces.store(pieces(held.next, held.base), Ordering::Relaxed);
            let (epoch, lease) = (held.epoch, self.lease);
            held.beats = Some(Beats::start(self.bucket.clone(), self.clock.clone(), &self.prefix, epoch, lease));
            *guard = Some(held);
            if former.is_some()
                && let Some(tail) = tail
            {
                // Its beats mean nothing any more.
                let _ = self.bucket.delete(&super::lease::key(&self.prefix, tail.header.epoch)).await;
            }
            return Ok(Lock::Acquired { epoch, taken_from: former });
        }
        Err(Failure::new(Class::Unavailable, "lock state", self.place(), "others take the lock again and again"))
    }

    async fn unlock(&self, epoch: u64) -> Outcome<()> {
        let mut guard = self.held.lock().await;
        let Some(mut held) = guard.take_if(|held| held.epoch == epoch) else { return Ok(()) };
        drop(guard);
        held.beats = None;
        // A write of ours whose end we did not learn may stand at the next number: then this goes behind it.
        for _ in 0..2 {
            let header = held.header(Kind::Unlock);
            let key = read::key(&self.prefix, header.number);
            if settle(&*self.bucket, &*self.clock, &key, &header.encode(b"")).await? {
                self.pieces.store(pieces(held.next + 1, held.base), Ordering::Relaxed);
                let _ = self.bucket.delete(&super::lease::key(&self.prefix, epoch)).await;
                return Ok(());
            }
            if self.holder_at(header.number).await.as_ref() != Some(&held.owner) {
                return Ok(());
            }
            held.next += 1;
        }
        Ok(())
    }

    async fn break_lock(&self, id: &str) -> Outcome<bool> {
        for _ in 0..TRIES {
            let Some(tail) = read::tail(&*self.bucket, &self.prefix).await? else { return Ok(false) };
            let Some(holder) = tail.header.owner.clone().filter(|o| o.id == id) else { return Ok(false) };
            let mut held = Held::first(holder, self.lease);
            held.follow(&tail.header);
            let header: Header = held.header(Kind::Break);
            let key = read::key(&self.prefix, header.number);
            if settle(&*self.bucket, &*self.clock, &key, &header.encode(b"")).await? {
                let _ = self.bucket.delete(&super::lease::key(&self.prefix, tail.header.epoch)).await;
                return Ok(true);
            }
        }
        Err(Failure::new(Class::Unavailable, "break the lock", self.place(), "its owner writes all the time"))
    }

    async fn is_driven(&self) -> Outcome<bool> {
        let Some(tail) = read::tail(&*self.bucket, &self.prefix).await? else { return Ok(false) };
        if tail.header.owner.is_none() {
            return Ok(false);
        }
        Ok(!Watch::default().lapsed(&*self.bucket, &self.prefix, &*self.clock, &tail).await?)
    }

    async fn holder(&self) -> Outcome<Option<LockOwner>> {
        Ok(read::tail(&*self.bucket, &self.prefix).await?.and_then(|tail| tail.header.owner))
    }

    async fn append(&self, epoch: u64, lines: Arc<[u8]>) -> Outcome<()> {
        self.write(epoch, Kind::Records, &lines, None).await
    }

    async fn compact(&self, epoch: u64, snapshot: Arc<[u8]>) -> Outcome<()> {
        self.write(epoch, Kind::Snapshot, &snapshot, None).await?;
        let standing = self.held.lock().await.as_ref().map(|held| (held.base, held.kept.clone()));
        if let Some((base, kept)) = standing {
            self.tidy(base, &kept).await;
        }
        Ok(())
    }

    fn pieces(&self) -> usize {
        self.pieces.load(Ordering::Relaxed)
    }

    async fn mark_moved(&self, epoch: u64, moved: &Moved) -> Outcome<()> {
        self.write(epoch, Kind::Moved, b"", Some(moved)).await
    }

    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.prefix.trim_end_matches('/'))
    }

    async fn put(&self, name: &str, content: &[u8]) -> Outcome<()> {
        self.bucket.put(&self.object(name), content).await
    }

    async fn put_new(&self, name: &str, content: &[u8]) -> Outcome<bool> {
        settle(&*self.bucket, &*self.clock, &self.object(name), content).await
    }

    async fn get(&self, name: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.bucket.get(&self.object(name)).await?.map(|object| object.content))
    }

    async fn list(&self, prefix: &str) -> Outcome<Vec<String>> {
        let (root, keys) = (self.object(""), self.bucket.list(&self.object(prefix)).await?);
        Ok(keys.iter().filter_map(|key| key.strip_prefix(&root).map(str::to_owned)).collect())
    }

    async fn delete(&self, name: &str) -> Outcome<()> {
        self.bucket.delete(&self.object(name)).await
    }
}
