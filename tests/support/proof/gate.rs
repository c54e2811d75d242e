//! What judges a rollout: a server that a `verify` block asks, and that answers when a test says so. What it holds, the rollout waits at, with
//! its weights read back.

use crate::support::web::{Reply, Web};
use jiff::Timestamp;
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

/// How long it holds somebody who asks.
const HELD: Duration = Duration::from_secs(50);

/// The server.
pub(crate) struct Gate {
    web: Web,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What everybody is answered.
    standing: Option<u16>,
    /// What those are answered who ask next, one each.
    words: VecDeque<u16>,
    waiting: usize,
    asked: usize,
    /// How often all were forgotten who waited.
    forgotten: u64,
    /// When it last said that all is not well, by either clock.
    failed: Option<(Instant, Timestamp)>,
}

impl Gate {
    /// One that holds everybody.
    pub(crate) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let answering = Arc::clone(&shared);
        let web = Web::new(move |_| Reply::text(answering.answer(), "by the test"));
        Self { web, shared }
    }

    /// What is to be asked.
    pub(crate) fn url(&self) -> String {
        format!("{}/well", self.web.url)
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.shared.state.lock().unwrap().waiting > 0
    }

    /// How often somebody asked.
    pub(crate) fn asked(&self) -> usize {
        self.shared.state.lock().unwrap().asked
    }

    /// The next one who asks hears that all is well.
    pub(crate) fn pass(&self) {
        self.change(|state| state.words.push_back(200));
    }

    /// The next one who asks hears that all is not well.
    pub(crate) fn fail(&self) {
        self.change(|state| {
            state.failed = None;
            state.words.push_back(500);
        });
    }

    /// Everybody hears from now on that all is well.
    pub(crate) fn open(&self) {
        self.change(|state| state.standing = Some(200));
    }

    /// Everybody is held from now on, and those are forgotten who are not there any more.
    pub(crate) fn shut(&self) {
        self.change(|state| {
            state.standing = None;
            state.forgotten += 1;
        });
    }

    /// When it said that all is not well; waits until it has.
    pub(crate) fn failed(&self) -> (Instant, Timestamp) {
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if let Some(failed) = state.failed {
                return failed;
            }
            let (next, late) = self.shared.changed.wait_timeout(state, HELD).unwrap();
            assert!(!late.timed_out(), "nobody asked");
            state = next;
        }
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.shared.state.lock().unwrap());
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn answer(&self) -> u16 {
        let until = Instant::now() + HELD;
        let mut state = self.state.lock().unwrap();
        let forgotten = state.forgotten;
        (state.waiting, state.asked) = (state.waiting + 1, state.asked + 1);
        let status = loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.forgotten != forgotten || left.is_zero() {
                break 504;
            }
            if let Some(word) = state.words.pop_front().or(state.standing) {
                break word;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        };
        state.waiting -= 1;
        if status == 500 {
            state.failed.get_or_insert_with(|| (Instant::now(), Timestamp::now()));
        }
        drop(state);
        self.changed.notify_all();
        status
    }
}
