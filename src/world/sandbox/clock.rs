//! Virtual time. It runs only while a process runs, `speed` times as fast as the machine's, and jumps on command.
//!
//! At infinite speed nothing really waits: once every task that uses the clock sleeps, time jumps to the earliest
//! deadline. That is for tests. While a program or a request of the machine is in flight, time at infinite speed stands
//! still and at any other runs as the machine's does: how long they take, and how long they may, is real time.

#![expect(clippy::disallowed_methods, reason = "the sandbox is the world, and this is where its time comes from")]

use crate::{base::later, world::Clock};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How many turns the first sleeper gives to the other tasks before it lets time jump.
const TURNS: u32 = 24;
/// The longest real wait before a sleeper looks again (another process may have advanced the time).
const GLANCE: Duration = Duration::from_millis(200);

/// Reads what other processes say the time is.
pub(super) type Listener = Box<dyn Fn() + Send + Sync>;

/// The sandbox's clock.
pub(super) struct VirtualClock {
    speed: f64,
    state: Mutex<State>,
    /// Told where time begins to run at another speed.
    paced: Notify,
    sync: std::sync::OnceLock<Listener>,
}

struct State {
    /// Virtual milliseconds at `since`.
    base: i64,
    since: Instant,
    sleepers: BTreeMap<(i64, u64), Arc<Notify>>,
    next_id: u64,
    activity: u64,
    busy: usize,
}

impl VirtualClock {
    /// A clock that stands at `start`.
    pub(super) fn new(start: Timestamp, speed: f64) -> Self {
        let state = State {
            base: start.as_millisecond(),
            since: Instant::now(),
            sleepers: BTreeMap::new(),
            next_id: 0,
            activity: 0,
            busy: 0,
        };
        let speed = if speed.is_nan() || speed <= 0.0 { 1.0 } else { speed };
        Self { speed, state: Mutex::new(state), paced: Notify::new(), sync: std::sync::OnceLock::new() }
    }

    /// Gives it the means to hear of other processes' time.
    pub(super) fn listen(&self, sync: Listener) {
        let _ = self.sync.set(sync);
    }

    /// Takes over a later time than its own; an earlier one is ignored.
    pub(super) fn at_least(&self, other: Timestamp) {
        let mut state = self.state();
        let now = self.millis(&state);
        if other.as_millisecond() > now {
            state.base = other.as_millisecond();
            state.since = Instant::now();
            state.activity += 1;
            wake_first(&state);
        }
    }

    /// Lets time jump.
    pub(super) fn advance(&self, duration: Duration) {
        let to = later(self.now(), duration);
        self.at_least(to);
    }

    /// Says that something happened, so that others may have work.
    pub(super) fn stir(&self) {
        self.state().activity += 1;
    }

    /// Keeps time to the machine's own pace while that does something real; at infinite speed, holds it still.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.pace(|state| state.busy += 1);
        Busy(Arc::clone(self))
    }

    /// Changes what the speed depends on; what has passed until then has passed at the former one.
    fn pace(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        state.base = self.millis(&state);
        state.since = Instant::now();
        change(&mut state);
        state.activity += 1;
        wake_first(&state);
        drop(state);
        self.paced.notify_waiters();
    }

    /// How many virtual seconds pass now in one of the machine's.
    fn rate(&self, state: &State) -> f64 {
        if state.busy > 0 { self.speed.min(1.0) } else { self.speed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::cast_possible_truncation, reason = "virtual milliseconds of one process's life fit")]
    fn millis(&self, state: &State) -> i64 {
        if self.speed.is_infinite() {
            return state.base;
        }
        state.base.saturating_add((state.since.elapsed().as_secs_f64() * self.rate(state) * 1000.0) as i64)
    }

    async fn sleep_scaled(&self, deadline: i64) {
        loop {
            let paced = self.paced.notified();
            tokio::pin!(paced);
            paced.as_mut().enable();
            let (left, rate) = {
                let state = self.state();
                (deadline.saturating_sub(self.millis(&state)), self.rate(&state))
            };
            if left <= 0 {
                return;
            }
            #[expect(clippy::cast_precision_loss, reason = "a wait need not be exact")]
            let real = Duration::try_from_secs_f64(left as f64 / 1000.0 / rate).unwrap_or(GLANCE);
            tokio::select! {
                () = tokio::time::sleep(real.min(GLANCE)) => {}
                () = paced => continue,
            }
            if real > GLANCE
                && let Some(sync) = self.sync.get()
            {
                sync();
            }
        }
    }

    async fn sleep_instant(&self, deadline: i64) {
        let sleeper = self.register(deadline);
        let (mut quiet, mut seen) = (0, 0);
        loop {
            let wait = {
                let mut state = self.state();
                if state.base >= deadline {
                    return;
                }
                let first = state.sleepers.keys().next() == Some(&(deadline, sleeper.id));
                if first && state.busy == 0 {
                    quiet = if state.activity == seen { quiet + 1 } else { 0 };
                    seen = state.activity;
                    if quiet >= TURNS {
                        state.base = deadline;
                        state.activity += 1;
                        return;
                    }
                    false
                } else {
                    quiet = 0;
                    true
                }
            };
            if wait {
                sleeper.notify.notified().await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    fn register(&self, deadline: i64) -> Sleeper<'_> {
        let mut state = self.state();
        state.next_id += 1;
        state.activity += 1;
        let id = state.next_id;
        let notify = Arc::new(Notify::new());
        state.sleepers.insert((deadline, id), Arc::clone(&notify));
        Sleeper { clock: self, deadline, id, notify }
    }
}

fn wake_first(state: &State) {
    if let Some(first) = state.sleepers.values().next() {
        first.notify_one();
    }
}

struct Sleeper<'a> {
    clock: &'a VirtualClock,
    deadline: i64,
    id: u64,
    notify: Arc<Notify>,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.state();
        state.sleepers.remove(&(self.deadline, self.id));
        state.activity += 1;
        wake_first(&state);
    }
}

/// While it lives, time is the machine's own; at infinite speed it stands still.
pub(super) struct Busy(Arc<VirtualClock>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.pace(|state| state.busy -= 1);
    }
}

#[async_trait::async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis(&self.state())).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        let deadline = later(self.now(), duration).as_millisecond();
        if self.speed.is_infinite() { self.sleep_instant(deadline).await } else { self.sleep_scaled(deadline).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    #[tokio::test]
    async fn at_infinite_speed_sleepers_wake_in_the_order_of_their_deadlines() {
        let clock = Arc::new(VirtualClock::new(START, f64::INFINITY));
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [300_u64, 100, 200, 3600]
            .into_iter()
            .map(|seconds| {
                let (clock, order) = (Arc::clone(&clock), Arc::clone(&order));
                tokio::spawn(async move {
                    clock.sleep(Duration::from_secs(seconds)).await;
                    order.lock().unwrap().push((seconds, clock.now().as_second()));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [(100, 100), (200, 200), (300, 300), (3600, 3600)]);
    }

    #[tokio::test]
    async fn a_shorter_deadline_that_comes_later_still_wins() {
        let clock = Arc::new(VirtualClock::new(START, f64::INFINITY));
        let won = tokio::select! {
            () = clock.sleep(Duration::from_secs(60)) => 60,
            () = async { for _ in 0..5 { clock.sleep(Duration::from_secs(2)).await } } => 10,
        };
        assert_eq!((won, clock.now().as_second()), (10, 10));
    }

    #[tokio::test]
    async fn time_stands_still_while_the_machine_is_busy() {
        let clock = Arc::new(VirtualClock::new(START, f64::INFINITY));
        let work = async {
            let _busy = clock.busy();
            tokio::time::sleep(Duration::from_millis(20)).await;
            clock.now().as_second()
        };
        let (seen, ()) = tokio::join!(work, clock.sleep(Duration::from_secs(60)));
        assert_eq!((seen, clock.now().as_second()), (0, 60));
    }

    #[tokio::test]
    async fn scaled_time_runs_fast_and_advancing_ends_a_sleep() {
        let clock = Arc::new(VirtualClock::new(START, 1000.0));
        clock.sleep(Duration::from_secs(10)).await;
        assert!(clock.now().as_second() >= 10);
        let before = Instant::now();
        let (waiter, mover) = (Arc::clone(&clock), Arc::clone(&clock));
        let task = tokio::spawn(async move { waiter.sleep(Duration::from_secs(86_400)).await });
        tokio::task::yield_now().await;
        mover.advance(Duration::from_secs(90_000));
        task.await.unwrap();
        assert!(before.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn while_the_machine_does_something_real_time_runs_as_the_machines() {
        let clock = Arc::new(VirtualClock::new(START, 1_000.0));
        let (begun, real) = (clock.now(), Instant::now());
        let busy = clock.busy();
        clock.sleep(Duration::from_millis(20)).await;
        assert!(real.elapsed() >= Duration::from_millis(19));
        let passed = Duration::try_from(clock.now().duration_since(begun)).unwrap();
        assert!(passed <= real.elapsed() + Duration::from_millis(50), "{passed:?} of {:?}", real.elapsed());
        // A sleeper wakes by the speed of the moment, not by that at which it fell asleep.
        let hour = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        drop(busy);
        hour.await.unwrap();
        assert!(real.elapsed() < Duration::from_secs(20));
    }
}
