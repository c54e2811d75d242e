//! The embedded world: every trait over one persistent, fault-injecting place. Shipped, and the only fake there is.
//!
//! [`Sandbox::open`] opens a project's world. Calls of the traits go through one wrapper (`call.rs`), the world lies in one
//! log (`store.rs`, `tx.rs`), time is virtual (`clock.rs`), faults come on command (`fault.rs`). What lasts (a stack's
//! update, an add-on's) is scheduled in the store and settled by the next call after it is due.

mod aws;
mod call;
mod clock;
mod cluster;
mod fault;
mod inspect;
mod ledger;
mod registry;
mod roots;
mod series;
mod store;
mod tx;

pub use aws::{Rule, Target, TargetGroup};
pub use fault::{Fault, FaultKind, Halfway};
pub use inspect::{Drift, Row, Show};

pub(in crate::world::sandbox) use tx::Tx;

use crate::world::{
    Aws, AwsConnection, Charts, Clock, ClusterConnection, ClusterHandle, Command, Entropy, Http, HttpAnswer, Ledger,
    Machine, Outcome, Program, ProgramEnd, Registry, Terraform, World,
};
use clock::VirtualClock;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::Store;

/// How a sandbox is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many virtual seconds pass in one of the machine's. Infinite: nothing waits, time jumps.
    pub speed: f64,
    /// The seed of its randomness; counts only when the world is made.
    pub seed: u64,
    /// When virtual time starts; counts only when the world is made. The machine's time where `None`.
    pub start: Option<Timestamp>,
    /// A folder with charts that add to the catalogue (rule 25).
    pub charts: Option<PathBuf>,
    /// How a crash on command ends the process.
    pub crash: CrashBy,
}

impl Default for Options {
    fn default() -> Self {
        Self { speed: 250.0, seed: 0, start: None, charts: None, crash: CrashBy::Exit }
    }
}

/// How a crash on command ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CrashBy {
    /// Exits at once with code 137, as if killed.
    #[default]
    Exit,
    /// No call of this handle answers any more, and [`Sandbox::crashed`] returns: a test drops what was running and opens
    /// the folder again.
    Halt,
}

/// One project's embedded world. Handles may be opened by several processes at once.
pub struct Sandbox {
    store: Arc<Store>,
    clock: Arc<VirtualClock>,
    machine: Machine,
    options: Options,
    down: AtomicBool,
    fell: tokio::sync::Notify,
    this: std::sync::Weak<Sandbox>,
}

impl Sandbox {
    /// Opens the world in this folder, making it where it is missing.
    ///
    /// # Errors
    /// `Local`: a disk that refuses, a world written by a newer terrace, a damaged one.
    pub fn open(folder: &Path, options: Options) -> Outcome<Arc<Self>> {
        let store = Arc::new(Store::open(folder)?);
        #[expect(clippy::disallowed_methods, reason = "the sandbox is the world, and a new one starts now")]
        let start = || options.start.unwrap_or_else(Timestamp::now);
        let now = store.transact(Timestamp::UNIX_EPOCH, |tx| begin(tx, options.seed, start))?;
        let clock = Arc::new(VirtualClock::new(now, options.speed));
        let machine = Machine::new();
        let sandbox = Arc::new_cyclic(|this| Self {
            store,
            clock,
            machine,
            options,
            down: AtomicBool::new(false),
            fell: tokio::sync::Notify::new(),
            this: this.clone(),
        });
        let this = sandbox.this.clone();
        sandbox.clock.listen(Box::new(move || {
            if let Some(sandbox) = this.upgrade() {
                let _ = sandbox.transact(|_| ());
            }
        }));
        Ok(sandbox)
    }

    /// Forgets everything in the folder, a world that cannot be read included.
    ///
    /// # Errors
    /// `Local`: a disk that refuses.
    pub fn erase(folder: &Path) -> Outcome<()> {
        Store::erase(folder)
    }

    /// Returns once a crash on command happened under [`CrashBy::Halt`].
    pub async fn crashed(&self) {
        let fell = self.fell.notified();
        if !self.is_down() {
            fell.await;
        }
    }

    /// How it was opened.
    pub(in crate::world::sandbox) fn options(&self) -> &Options {
        &self.options
    }

    /// The virtual clock, as itself.
    pub(in crate::world::sandbox) fn virtual_clock(&self) -> &Arc<VirtualClock> {
        &self.clock
    }

    fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    fn go_down(&self) {
        self.down.store(true, Ordering::SeqCst);
        self.fell.notify_waiters();
    }

    fn arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("invariant: a sandbox lives in the Arc that `open` returned")
    }
}

/// What time it came to is kept, also where nothing happened last: what comes next is never earlier than what this process saw.
impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.is_down() || self.options.speed.is_infinite() {
            return;
        }
        let now = self.clock.now();
        // A disk that refuses now has refused before, or loses a few seconds of a time that is made up.
        let _ = self.store.transact(now, |tx| {
            // A world that was forgotten meanwhile is not begun again.
            if tx.get::<i64>("meta", "clock").is_some_and(|stored| stored < now.as_millisecond()) {
                tx.put("meta", "clock", &now.as_millisecond());
            }
        });
    }
}

/// Makes a world where there is none yet; returns the virtual time.
fn begin(tx: &mut Tx<'_>, seed: u64, start: impl FnOnce() -> Timestamp) -> Timestamp {
    if let Some(ms) = tx.get::<i64>("meta", "clock") {
        return Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    }
    let start = start();
    tx.put("meta", "seed", &seed);
    tx.put("meta", "clock", &start.as_millisecond());
    Timestamp::from_millisecond(start.as_millisecond()).unwrap_or(start)
}

/// Does all that was scheduled and is due by `now`, each at its own moment, in order.
fn settle(tx: &mut Tx<'_>, now: Timestamp) {
    while let Some(key) = tx.first_key("due") {
        let at = key.split_once('/').and_then(|(ms, _)| ms.parse::<i64>().ok()).unwrap_or_default();
        if at > now.as_millisecond() {
            return;
        }
        let due: Option<(String, String)> = tx.get("due", &key);
        tx.delete("due", &key);
        tx.set_now(Timestamp::from_millisecond(at).unwrap_or(now));
        match due {
            Some((part, id)) if part == "cluster" => cluster::wake(tx, &id),
            Some((part, id)) => {
                aws::wake(tx, &part, &id);
            }
            None => {}
        }
    }
}

#[async_trait::async_trait]
impl World for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn aws(&self, connection: &AwsConnection) -> Outcome<Aws> {
        Ok(aws::handles(&self.arc(), connection))
    }

    fn cluster(&self, connection: &ClusterConnection) -> Outcome<ClusterHandle> {
        cluster::cluster_handle(self.arc(), connection)
    }

    fn charts(&self) -> Arc<dyn Charts> {
        cluster::charts(self.arc())
    }

    fn registry(&self, address: &str) -> Outcome<Arc<dyn Registry>> {
        let name = address.strip_prefix("oci://").unwrap_or(address).to_owned();
        Ok(Arc::new(registry::Repository { sandbox: self.arc(), name }))
    }

    fn command(&self) -> Arc<dyn Command> {
        Arc::new(RealTime(self.arc()))
    }

    fn terraform(&self) -> Arc<dyn Terraform> {
        Arc::new(roots::RealRoots(self.arc()))
    }

    fn http(&self) -> Arc<dyn Http> {
        Arc::new(RealTime(self.arc()))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::new(Seeded(self.arc()))
    }

    fn waited(&self, ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        Arc::new(ledger::Waited { ledger, clock: Arc::clone(&self.clock) })
    }
}

fn random(tx: &mut Tx<'_>) -> u64 {
    tx.random()
}

/// The seeded source; its count is persisted, so no two processes draw the same number.
struct Seeded(Arc<Sandbox>);

impl Entropy for Seeded {
    fn next(&self) -> u64 {
        self.0.transact(random).unwrap_or_default()
    }
}

/// The machine's own programs and network; virtual time is real while they are at work.
struct RealTime(Arc<Sandbox>);

#[async_trait::async_trait]
impl Command for RealTime {
    async fn run(&self, program: &Program) -> Outcome<ProgramEnd> {
        let _busy = self.0.clock.busy();
        self.0.machine.run(program).await
    }
}

#[async_trait::async_trait]
impl Http for RealTime {
    async fn request(
        &self,
        method: &str,
        url: &str,
        headers: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Outcome<HttpAnswer> {
        let _busy = self.0.clock.busy();
        self.0.machine.request(method, url, headers, timeout).await
    }

    async fn connect(&self, host: &str, port: u16, timeout: Duration) -> Outcome<()> {
        let _busy = self.0.clock.busy();
        self.0.machine.connect(host, port, timeout).await
    }
}
