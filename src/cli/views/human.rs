//! What happens, for a person: on a terminal a bar a phase and a line for each running thing, elsewhere plain lines.
//!
//! Emitting only changes what is to be drawn; a thread of its own draws ten times a second, so that a thousand quick
//! things cost no thousand redraws.
#![expect(clippy::disallowed_methods, reason = "a person waits in real time, whatever clock the world has")]

use super::words;
use crate::{
    base::{ActionWord, Address, Event, Events, format_duration},
    cli::{style, terminal::Terminal},
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often is drawn.
const TICK: Duration = Duration::from_millis(100);
/// So many running things have a line; the rest is counted.
const LINES: usize = 12;
/// Where there is no terminal, a thing's progress is told no more often.
const PLAIN_PACE: Duration = Duration::from_secs(10);
/// The width of a bar.
const BAR: usize = 24;

/// Tells a person what happens.
pub(crate) struct HumanEvents {
    terminal: Terminal,
    shared: Arc<Shared>,
    drawer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Lines that stay, not printed yet.
    lines: Vec<String>,
    /// Phases that have begun and not ended: how many of their things are done, and how many there are.
    phases: BTreeMap<Arc<str>, (usize, usize)>,
    running: BTreeMap<Address, Running>,
    observing: Option<(usize, usize)>,
}

struct Running {
    action: ActionWord,
    since: Instant,
    message: String,
    /// What was told last of it where nothing is drawn, and when.
    said: String,
    told: Instant,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HumanEvents {
    /// A view on this terminal; draws only where the terminal can.
    pub(crate) fn new(terminal: Terminal) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), stopped: AtomicBool::new(false) });
        let drawer = terminal.can_draw.then(|| {
            let (shared, terminal) = (shared.clone(), terminal.clone());
            std::thread::spawn(move || draw(&shared, &terminal))
        });
        Self { terminal, shared, drawer: Mutex::new(drawer) }
    }

    /// Draws what is left and takes the bars away. Later events are told as plain lines.
    pub(crate) fn finish(&self) {
        let drawer = self.drawer.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Some(drawer) = drawer {
            drawer.thread().unpark();
            let _ = drawer.join();
        }
    }

    fn draws(&self) -> bool {
        self.terminal.can_draw && !self.shared.stopped.load(Ordering::SeqCst)
    }
}

impl Drop for HumanEvents {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Events for HumanEvents {
    fn emit(&self, event: Event) {
        let draws = self.draws();
        let mut state = self.shared.lock();
        let plain = if draws { None } else { state.progress_line(&event) };
        let line = words::of(&event, draws);
        state.follow(event);
        match line.or(plain) {
            Some(line) if draws => state.lines.push(line),
            Some(line) => self.terminal.status(&line),
            None => {}
        }
    }
}

impl State {
    /// A running thing's last word, where it is new and the one before was told long enough ago.
    fn progress_line(&mut self, event: &Event) -> Option<String> {
        let Event::NodeProgress { address, message } = event else { return None };
        let running = self.running.get_mut(address)?;
        if running.said == *message || running.told.elapsed() < PLAIN_PACE {
            return None;
        }
        running.told = Instant::now();
        running.said.clone_from(message);
        Some(format!("  {address}: {}", style::clean(message)))
    }

    fn follow(&mut self, event: Event) {
        match event {
            Event::ObserveStarted { total } => self.observing = Some((0, total)),
            Event::Observed { .. } => {
                if let Some((done, _)) = &mut self.observing {
                    *done += 1;
                }
            }
            Event::RunStarted { .. } => self.observing = None,
            Event::PhaseStarted { phase, total } => {
                self.observing = None;
                self.phases.insert(phase, (0, total));
            }
            Event::PhaseEnded { phase, .. } => {
                self.phases.remove(&phase);
            }
            Event::NodeStarted { address, action, .. } => {
                let now = Instant::now();
                self.running.insert(
                    address,
                    Running { action, since: now, message: String::new(), said: String::new(), told: now },
                );
            }
            Event::DrainStarted { address, cluster, total } => {
                let now = Instant::now();
                let message = format!("draining {cluster}: {total} to go");
                self.running.insert(
                    address,
                    Running { action: ActionWord::Delete, since: now, message, said: String::new(), told: now },
                );
            }
            Event::Drained { address, left: 0, .. } => drop(self.running.remove(&address)),
            Event::Drained { address, left, .. } => {
                if let Some(running) = self.running.get_mut(&address) {
                    running.message = format!("draining: {left} to go");
                }
            }
            Event::NodeProgress { address, message } => {
                if let Some(running) = self.running.get_mut(&address) {
                    running.message = message;
                }
            }
            Event::NodeRetried { address, attempt, why, .. } => {
                if let Some(running) = self.running.get_mut(&address) {
                    running.message = format!("trying again ({attempt}): {why}");
                }
            }
            Event::NodeEnded { address, phase, .. } => {
                self.running.remove(&address);
                if let Some((done, _)) = self.phases.get_mut(&phase) {
                    *done += 1;
                }
            }
            Event::UndoStarted { .. } | Event::Undone { .. } | Event::Notice { .. } => {}
            Event::RunEnded { .. } => self.running.clear(),
        }
    }

    /// The lines that are drawn and redrawn.
    fn picture(&self) -> Vec<String> {
        let mut out = Vec::new();
        if let Some((done, total)) = self.observing.filter(|(done, total)| done < total) {
            out.push(format!("{} reading what is live {done}/{total}", bar(done, total)));
        }
        for (phase, (done, total)) in &self.phases {
            out.push(format!("{} {phase} {done}/{total}", bar(*done, *total)));
        }
        for (address, running) in self.running.iter().take(LINES) {
            let elapsed = format_duration(running.since.elapsed());
            let message = style::clean(&running.message).replace('\n', " ");
            let mark = style::of_action(running.action, format!("{:>3}", running.action.sign()));
            out.push(format!("  {mark} {address} {} {message}", style::dim(elapsed)));
        }
        if self.running.len() > LINES {
            out.push(format!("      and {} more", self.running.len() - LINES));
        }
        out
    }
}

fn bar(done: usize, total: usize) -> String {
    let full = (BAR * done).checked_div(total).unwrap_or(BAR).min(BAR);
    format!("[{}{}]", "=".repeat(full), " ".repeat(BAR - full))
}

fn draw(shared: &Shared, terminal: &Terminal) {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let mut rows: Vec<ProgressBar> = Vec::new();
    let plain = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    loop {
        let stopped = shared.stopped.load(Ordering::SeqCst);
        let (lines, picture) = {
            let mut state = shared.lock();
            (std::mem::take(&mut state.lines), if stopped { Vec::new() } else { state.picture() })
        };
        if !lines.is_empty() {
            let text = terminal.paint(&lines.join("\n"));
            let _ = bars.println(text);
        }
        while rows.len() > picture.len() {
            if let Some(row) = rows.pop() {
                row.finish_and_clear();
                bars.remove(&row);
            }
        }
        while rows.len() < picture.len() {
            rows.push(bars.add(ProgressBar::new_spinner().with_style(plain.clone())));
        }
        for (row, text) in rows.iter().zip(picture) {
            row.set_message(terminal.paint(&text));
            row.tick();
        }
        if stopped {
            let _ = bars.clear();
            return;
        }
        std::thread::park_timeout(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_follows_the_events() {
        let mut state = State::default();
        let address = Address::root("stack", "network");
        state.follow(Event::PhaseStarted { phase: "foundation".into(), total: 2 });
        let (phase, action) = (Arc::from("foundation"), ActionWord::Create);
        state.follow(Event::NodeStarted { address: address.clone(), phase, action });
        state.follow(Event::NodeProgress { address: address.clone(), message: "3 of\n12".into() });
        let picture: Vec<String> =
            state.picture().iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect();
        assert_eq!(picture[0], "[                        ] foundation 0/2");
        assert_eq!(picture[1], "    + stack.network 0.0s 3 of 12");
        let end = crate::base::NodeEnd::Done;
        let phase = Arc::from("foundation");
        state.follow(Event::NodeEnded { address, phase, action, end, elapsed: Duration::ZERO });
        assert_eq!(state.picture(), ["[============            ] foundation 1/2"]);
    }
}
