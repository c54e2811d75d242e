//! A bucket in memory that fails on command, for tests: answers that get lost, writes that come late, conditions that are
//! ignored. Its clock is its own.

use super::bucket::{Bucket, Created, Object};
use crate::world::{Class, Clock, Failure, Outcome};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::Notify;

/// What happens to one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done and answered.
    Fine,
    /// It is done, and the answer gets lost.
    AnswerLost,
    /// It never arrives.
    Lost,
    /// It is done, and tried again by the client below us: the answer says that something is there.
    Doubled,
}

#[derive(Default)]
pub(super) struct Inside {
    pub(super) objects: BTreeMap<String, (Vec<u8>, jiff::Timestamp)>,
    /// What happens to the next creations; fine after that.
    pub(super) fates: VecDeque<Fate>,
    /// The store ignores conditions.
    pub(super) careless: bool,
    /// The store tells no times.
    pub(super) timeless: bool,
    /// Deletes are not allowed.
    pub(super) no_deletes: bool,
    /// Requests so far.
    pub(super) requests: BTreeMap<&'static str, usize>,
    now: Duration,
    /// Creations by holders of this gate wait here before they take effect.
    gate: Option<Arc<Notify>>,
}

/// The bucket and its clock.
#[derive(Clone, Default)]
pub(super) struct Memory(pub(super) Arc<Mutex<Inside>>, Arc<Notify>);

impl Memory {
    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// Lets time pass, in the store and for everybody who sleeps.
    pub(super) fn pass(&self, time: Duration) {
        self.inside().now += time;
        self.1.notify_waiters();
    }

    /// From now on a creation waits until the gate is opened.
    pub(super) fn close_gate(&self) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        self.inside().gate = Some(gate.clone());
        gate
    }

    pub(super) fn open_gate(&self) {
        self.inside().gate = None;
    }

    fn count(&self, what: &'static str) {
        *self.inside().requests.entry(what).or_default() += 1;
    }

    fn time(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH + self.inside().now
    }

    fn store(&self, key: &str, content: &[u8]) {
        let now = self.time();
        self.inside().objects.insert(key.to_owned(), (content.to_vec(), now));
    }
}

fn lost(key: &str) -> Failure {
    Failure::new(Class::TimedOut, "s3:PutObject", key, "no answer in time")
}

#[async_trait]
impl Bucket for Memory {
    async fn get(&self, key: &str) -> Outcome<Option<Object>> {
        self.count("get");
        let now = Some(self.time());
        let inside = self.inside();
        let timeless = inside.timeless;
        Ok(inside.objects.get(key).map(|(content, modified)| Object {
            content: content.clone(),
            modified: Some(*modified).filter(|_| !timeless),
            now: now.filter(|_| !timeless),
        }))
    }

    async fn put(&self, key: &str, content: &[u8]) -> Outcome<()> {
        self.count("put");
        self.store(key, content);
        Ok(())
    }

    async fn create(&self, key: &str, content: &[u8]) -> Outcome<Created> {
        self.count("create");
        let gate = self.inside().gate.clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        tokio::task::yield_now().await;
        let (fate, free) = {
            let mut inside = self.inside();
            let fate = inside.fates.pop_front().unwrap_or(Fate::Fine);
            (fate, inside.careless || !inside.objects.contains_key(key))
        };
        if free && fate != Fate::Lost {
            self.store(key, content);
        }
        match fate {
            Fate::Fine if free => Ok(Created::New),
            Fate::Fine | Fate::Doubled => Ok(Created::Exists),
            Fate::AnswerLost | Fate::Lost => Err(lost(key)),
        }
    }

    async fn list(&self, prefix: &str) -> Outcome<Vec<String>> {
        self.count("list");
        Ok(self.inside().objects.keys().filter(|k| k.starts_with(prefix)).cloned().collect())
    }

    async fn folders(&self, prefix: &str) -> Outcome<Vec<String>> {
        let mut names: Vec<String> = self.list(prefix).await?.iter().filter_map(|k| first(k, prefix)).collect();
        names.dedup();
        Ok(names)
    }

    async fn delete(&self, key: &str) -> Outcome<()> {
        self.count("delete");
        let mut inside = self.inside();
        if inside.no_deletes {
            return Err(Failure::new(Class::Denied, "s3:DeleteObject", key, "access denied"));
        }
        inside.objects.remove(key);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "memory"
    }
}

fn first(key: &str, prefix: &str) -> Option<String> {
    Some(key.strip_prefix(prefix)?.split_once('/')?.0.to_owned())
}

#[async_trait]
impl Clock for Memory {
    fn now(&self) -> jiff::Timestamp {
        self.time()
    }

    /// A short sleep, as between two tries, takes no time; a longer one ends when somebody lets it pass.
    async fn sleep(&self, duration: Duration) {
        if duration < Duration::from_secs(9) {
            return tokio::task::yield_now().await;
        }
        let end = self.time() + duration;
        loop {
            let passed = self.1.notified();
            tokio::pin!(passed);
            passed.as_mut().enable();
            if self.time() >= end {
                return;
            }
            passed.await;
        }
    }
}
