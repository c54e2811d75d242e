//! The handles a kind works with: exactly those its connection gives, a clock, files, and a way to say what goes on.

use crate::{
    base::{Address, Hidden, Value, elapsed, later},
    kinds::{Former, Marks, Outlook},
    lang::Sources,
    world::{
        Aws, AwsConnection, Class, Clock, ClusterConnection, ClusterHandle, Command, Entropy, Failure, Http, Outcome,
        Terraform,
    },
};
use std::{
    any::Any,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The handles for the work on one address.
#[derive(Clone)]
pub struct Context {
    /// Whose work it is.
    pub address: Address,
    /// The account and region, for kinds that need one.
    pub aws: Option<(AwsConnection, Aws)>,
    /// The cluster, for kinds that need one.
    pub cluster: Option<(ClusterConnection, ClusterHandle)>,
    /// Programs.
    pub command: Arc<dyn Command>,
    /// Terraform roots.
    pub terraform: Arc<dyn Terraform>,
    /// Where programs lie that terrace.toml names.
    pub programs: Programs,
    /// HTTP.
    pub http: Arc<dyn Http>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for jitter.
    pub entropy: Arc<dyn Entropy>,
    /// The inputs as they are declared, before the kind brings them to its form; null where nothing declares it.
    pub written: Value,
    /// Files of the plan.
    pub sources: Arc<dyn Sources>,
    /// Names and marks.
    pub marks: Marks,
    /// When the work must be done.
    pub deadline: jiff::Timestamp,
    /// Says what goes on, in the platform's words.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
    /// The outputs of another plan of the project in this environment, by the plan's label; `None` where it was never
    /// applied. Sensitive outputs, of which state keeps only a seal, are sealed.
    pub plan_outputs: PlanOutputs,
    /// What the kind keeps from one step of a look to the next.
    pub seen: Seen,
    /// What the plan knows beside the declaration.
    pub outlook: Outlook,
    /// What was applied last, and with it what is live and was given as a secret.
    pub former: Former,
    /// True while a plan is made: nothing depends on it yet, and a person waits.
    pub planning: bool,
}

/// What reading a thing brought to light, kept for the preview of the same look, so that the world is asked once. Empty unless
/// a kind puts something there; taken out, it is gone, so that nothing old is taken for new.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl Seen {
    /// Keeps this, in the place of whatever was kept.
    pub fn keep<T: Send + 'static>(&self, what: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(what));
    }

    /// Takes what was kept, where it is of this type.
    #[must_use]
    pub fn take<T: 'static>(&self) -> Option<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        kept.downcast().ok().map(|kept| *kept)
    }
}

/// Where programs lie, by the names under which kinds know them. One that is not named is looked for on PATH.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs(pub std::collections::BTreeMap<String, String>);

impl Programs {
    /// What is started for a program of this name.
    #[must_use]
    pub fn find<'n>(&'n self, name: &'n str) -> &'n str {
        self.0.get(name).map_or(name, String::as_str)
    }
}

/// Looks up the outputs of another plan; see [`Context::plan_outputs`].
pub type PlanOutputs = Arc<dyn Fn(&str) -> Outcome<Option<Value>> + Send + Sync>;

/// Polls begin at this pace and slow down to [`SLOWEST_POLL`].
pub const FIRST_POLL: Duration = Duration::from_secs(1);
/// The slowest pace of polls.
pub const SLOWEST_POLL: Duration = Duration::from_secs(10);
/// How often something that is waited for is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The first pause; the first question comes at once.
    pub first: Duration,
    /// The longest pause.
    pub slowest: Duration,
}

impl Pace {
    /// For what may be done at once and may as well take an hour: stacks and their change sets.
    pub const QUICK: Self = Self { first: Duration::from_millis(200), slowest: Duration::from_secs(5) };
}

/// What a call gets at least, also where the deadline has passed: asking how something ended must be possible.
const GRACE: Duration = Duration::from_secs(30);
/// The longest pause between tries of a failing call.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Context {
    /// AWS, for kinds whose schema says that they need it.
    ///
    /// # Errors
    /// Where the executor gave none, which is a defect told as [`Class::Invalid`].
    pub fn aws(&self) -> Outcome<&Aws> {
        self.aws.as_ref().map(|(_, aws)| aws).ok_or_else(|| self.missing("an aws connection"))
    }

    /// The cluster, for kinds whose schema says that they need it.
    ///
    /// # Errors
    /// Where no connection is declared.
    pub fn cluster(&self) -> Outcome<&ClusterHandle> {
        self.cluster.as_ref().map(|(_, cluster)| cluster).ok_or_else(|| self.missing("a kubernetes connection"))
    }

    fn missing(&self, what: &str) -> Failure {
        Failure::new(Class::Invalid, "connect", self.address.to_string(), format!("needs {what}, and none is declared"))
    }

    /// What is left until the deadline.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        elapsed(self.clock.now(), self.deadline)
    }

    /// The same, saying nothing of what is hidden.
    #[must_use]
    pub fn hiding(mut self, hidden: Hidden) -> Self {
        let progress = self.progress;
        self.progress = Arc::new(move |message| progress(&hidden.out_of(message)));
        self
    }

    /// Says what goes on.
    pub fn say(&self, message: &str) {
        (self.progress)(message);
    }

    /// Makes a call that may never answer: it is given up at the deadline.
    ///
    /// # Errors
    /// The call's own failure; [`Class::TimedOut`] where the deadline came first.
    pub async fn bounded<T>(&self, call: impl Future<Output = Outcome<T>> + Send) -> Outcome<T> {
        let left = self.time_left().max(GRACE);
        tokio::select! {
            biased;
            done = call => done,
            () = self.clock.sleep(left) => {
                let what = format!("no answer within {}", crate::base::format_duration(left));
                Err(Failure::new(Class::TimedOut, "wait", self.address.to_string(), what))
            }
        }
    }

    /// As [`Context::patiently`], but given up after `limit` while a plan is made.
    ///
    /// # Errors
    /// As [`Context::patiently`].
    pub async fn at_most<T, F, Fut>(&self, limit: Duration, call: F) -> Outcome<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Outcome<T>> + Send,
        T: Send,
    {
        let until = later(self.clock.now(), limit);
        self.again_until(if self.planning { until.min(self.deadline) } else { self.deadline }, call).await
    }

    /// Makes a call that only reads, again and again while it fails in a way that may pass, until the deadline.
    ///
    /// # Errors
    /// The call's own failure where trying again is no use or the time is over.
    pub async fn patiently<T, F, Fut>(&self, call: F) -> Outcome<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Outcome<T>> + Send,
        T: Send,
    {
        self.again_until(self.deadline, call).await
    }

    async fn again_until<T, F, Fut>(&self, until: jiff::Timestamp, mut call: F) -> Outcome<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Outcome<T>> + Send,
        T: Send,
    {
        let left = || elapsed(self.clock.now(), until);
        let mut attempt = 0u32;
        loop {
            match self.bounded(call()).await {
                Err(failure) if failure.class.retryable() && left() > Duration::ZERO => {
                    attempt += 1;
                    self.say(&format!("{failure}; trying again"));
                    self.clock.sleep(backoff(attempt, self.entropy.next()).min(left())).await;
                }
                other => return other,
            }
        }
    }

    /// Asks `poll` at a slowing pace until it answers `Some`, or the deadline passes.
    ///
    /// # Errors
    /// The poll's own failure, or [`Class::TimedOut`] with `waiting_for` in the message.
    pub async fn wait_until<T, F, Fut>(&self, waiting_for: &str, poll: F) -> Outcome<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Outcome<Option<T>>> + Send,
        T: Send,
    {
        self.wait_at(Pace { first: FIRST_POLL, slowest: SLOWEST_POLL }, waiting_for, poll).await
    }

    /// As [`Context::wait_until`], at another pace: each pause is twice the one before, less up to a quarter by chance, so
    /// that many who wait do not ask in the same moment.
    ///
    /// # Errors
    /// As [`Context::wait_until`].
    #[expect(clippy::cast_precision_loss, reason = "below a thousand nothing is lost")]
    pub async fn wait_at<T, F, Fut>(&self, pace: Pace, waiting_for: &str, mut poll: F) -> Outcome<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Outcome<Option<T>>> + Send,
        T: Send,
    {
        let mut pause = pace.first;
        loop {
            if let Some(done) = self.patiently(&mut poll).await? {
                return Ok(done);
            }
            let left = self.time_left();
            if left == Duration::ZERO {
                return Err(Failure::new(
                    Class::TimedOut,
                    "wait",
                    self.address.to_string(),
                    format!("the deadline passed while waiting for {waiting_for}"),
                ));
            }
            let jitter = (self.entropy.next() % 1_000) as f64 / 4_000.0;
            self.clock.sleep(pause.mul_f64(1.0 - jitter).min(left)).await;
            pause = (pause * 2).min(pace.slowest);
        }
    }
}

/// The pause before a try: doubling from half a second, with full jitter in its upper half.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "below a thousand nothing is lost")]
pub fn backoff(attempt: u32, random: u64) -> Duration {
    let ceiling = Duration::from_millis(500 * (1 << attempt.min(6))).min(LONGEST_PAUSE);
    let half = ceiling / 2;
    half + half.mul_f64((random % 1_000) as f64 / 1_000.0)
}
