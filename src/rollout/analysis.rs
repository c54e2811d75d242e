//! What a row of measurements comes to: limits, counts and verdicts, with the meanings of Argo Rollouts.
//!
//! A [`Tally`] is kept with the journal and can be written down after each measurement: read again it goes on as if nothing had
//! been. Whoever measures sleeps until [`Tally::due`], asks, and gives what was found to [`Tally::take`]. Source: "Analysis &
//! Progressive Delivery" of Argo Rollouts' documentation, and `assessMetricStatus` there. Where this differs: `within` ends
//! what Argo would measure for ever, and after an error the next try comes after `every` or ten seconds, whichever is less.

use crate::{
    base::{Finding, format_duration, later},
    lang::configuration::Verify,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};

/// How many readings a tally keeps, the last ones.
pub const READINGS_KEPT: usize = 10;

/// After an error it is tried again this soon, or after `every` where that is less. Argo's default.
const AFTER_ERROR: Duration = Duration::from_secs(10);

/// How long measurements go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Until they pass, for a step: `consecutive`, `count` and `within` decide.
    #[default]
    Step,
    /// As long as somebody watches, for a bake: only a crossed limit ends it.
    Watch,
}

/// When measurements have passed, and how much goes wrong before they have failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Before the first measurement.
    pub initial_delay: Duration,
    /// Between measurements.
    pub every: Duration,
    /// In all, from the end of the initial delay. What has not passed by then has failed. Not for [`Mode::Watch`].
    pub within: Duration,
    /// With so many measurements made, errors not counted, and no limit crossed, it has passed. Not for [`Mode::Watch`].
    pub count: Option<u32>,
    /// With so many passes in a row it has passed. Beside a `count`, 1 means that only the count decides. Not for
    /// [`Mode::Watch`].
    pub consecutive: u32,
    /// How many failures are borne; the next one ends it at once.
    pub failure_limit: u32,
    /// How many inconclusive measurements are borne.
    pub inconclusive_limit: u32,
    /// How many errors in a row are borne.
    pub error_limit: u32,
    /// Measured and told, without a say.
    pub dry_run: bool,
    /// How long it goes on.
    pub mode: Mode,
}

impl Limits {
    /// The limits of a step, as a `verify` block of a rollout declares them.
    #[must_use]
    pub const fn of(verify: &Verify) -> Self {
        Self {
            initial_delay: verify.initial_delay,
            every: verify.every,
            within: verify.within,
            count: verify.count,
            consecutive: verify.consecutive,
            failure_limit: verify.failure_limit,
            inconclusive_limit: verify.inconclusive_limit,
            error_limit: verify.error_limit,
            dry_run: verify.dry_run,
            mode: Mode::Step,
        }
    }

    /// The same for a bake: measured at `every` for as long as it takes.
    #[must_use]
    pub const fn watching(mut self) -> Self {
        self.mode = Mode::Watch;
        self
    }

    /// Passes in a row that are asked for, where they decide at all.
    fn in_a_row(&self) -> Option<u32> {
        (self.count.is_none() || self.consecutive > 1).then_some(self.consecutive.max(1))
    }
}

/// One measurement, as it is shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When it was asked.
    pub at: Timestamp,
    /// What was found.
    pub finding: Finding,
    /// In words.
    pub said: String,
    /// The number, where one was asked for, as the server wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

/// What measurements come to so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is not decided yet.
    Running,
    /// It has passed.
    Passed,
    /// It has failed: the release's fault.
    Failed {
        /// Why.
        why: String,
    },
    /// A person has to look.
    Inconclusive {
        /// Why.
        why: String,
    },
    /// It could not be measured: the platform's fault.
    Errored {
        /// Why.
        why: String,
    },
}

impl Verdict {
    /// True where measurements go on.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running)
    }

    /// Why it is what it is; `None` where it runs or has passed.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Running | Self::Passed => None,
            Self::Failed { why } | Self::Inconclusive { why } | Self::Errored { why } => Some(why),
        }
    }
}

/// A row of measurements: how many of each, and the last ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// When it was begun.
    pub started: Timestamp,
    /// How long nobody could look: that long later everything is due (rule 36).
    #[serde(default)]
    pub suspended: Duration,
    /// How many passed.
    pub passed: u32,
    /// How many failed.
    pub failed: u32,
    /// How many were inconclusive.
    pub inconclusive: u32,
    /// How many could not be made.
    pub errors: u32,
    /// Passes in a row, up to the last measurement.
    pub passed_in_a_row: u32,
    /// Errors in a row, up to the last measurement.
    pub errors_in_a_row: u32,
    /// The last [`READINGS_KEPT`], oldest first.
    pub readings: VecDeque<Reading>,
    /// How it ended; what is measured afterwards counts no more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ended: Option<Verdict>,
}

impl Tally {
    /// Nothing measured yet.
    #[must_use]
    pub const fn new(started: Timestamp) -> Self {
        Self {
            started,
            suspended: Duration::ZERO,
            passed: 0,
            failed: 0,
            inconclusive: 0,
            errors: 0,
            passed_in_a_row: 0,
            errors_in_a_row: 0,
            readings: VecDeque::new(),
            ended: None,
        }
    }

    /// Counts one measurement, asked at `at`. Once the verdict is reached nothing is counted any more.
    pub fn take(
        &mut self,
        limits: &Limits,
        at: Timestamp,
        finding: Finding,
        said: impl Into<String>,
        value: Option<String>,
    ) {
        let before = self.opinion(limits, at);
        if !before.is_running() {
            self.ended = Some(before);
            return;
        }
        let count = match finding {
            Finding::Passed => &mut self.passed,
            Finding::Failed => &mut self.failed,
            Finding::Inconclusive => &mut self.inconclusive,
            Finding::Error => &mut self.errors,
        };
        *count = count.saturating_add(1);
        let next = |row: u32, goes_on: bool| if goes_on { row.saturating_add(1) } else { 0 };
        self.passed_in_a_row = next(self.passed_in_a_row, finding == Finding::Passed);
        self.errors_in_a_row = next(self.errors_in_a_row, finding == Finding::Error);
        if self.readings.len() >= READINGS_KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back(Reading { at, finding, said: said.into(), value });
        let now = self.opinion(limits, at);
        if !now.is_running() {
            self.ended = Some(now);
        }
    }

    /// Adds time in which nobody looked, and which does not count: what is due and the deadline come that much later.
    pub fn suspend(&mut self, gap: Duration) {
        self.suspended = self.suspended.saturating_add(gap);
    }

    /// How many measurements were made, errors not counted.
    #[must_use]
    pub const fn measured(&self) -> u32 {
        self.passed.saturating_add(self.failed).saturating_add(self.inconclusive)
    }

    /// What it comes to, as a rollout sees it. A dry run passes whatever was found; what it would have said is
    /// [`Tally::opinion`].
    #[must_use]
    pub fn verdict(&self, limits: &Limits, now: Timestamp) -> Verdict {
        match self.opinion(limits, now) {
            Verdict::Running => Verdict::Running,
            _ if limits.dry_run && limits.mode == Mode::Watch => Verdict::Running,
            _ if limits.dry_run => Verdict::Passed,
            decided => decided,
        }
    }

    /// What it comes to, dry run or not.
    #[must_use]
    pub fn opinion(&self, limits: &Limits, now: Timestamp) -> Verdict {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        if let Some(crossed) = self.crossed(limits) {
            return crossed;
        }
        if limits.mode == Mode::Watch {
            return Verdict::Running;
        }
        let row = limits.in_a_row();
        if row.is_some_and(|row| self.passed_in_a_row >= row) {
            return Verdict::Passed;
        }
        if let Some(count) = limits.count.filter(|count| self.measured() >= (*count).max(1)) {
            return match row {
                Some(row) => Verdict::Inconclusive {
                    why: format!(
                        "{count} measurements are made, and {row} in a row did not pass; no limit was crossed"
                    ),
                },
                None => Verdict::Passed,
            };
        }
        self.late(limits, now).unwrap_or(Verdict::Running)
    }

    /// What it comes to where nobody goes on measuring, as at the end of a bake: it has passed unless a limit was crossed, or
    /// nothing was ever measured.
    #[must_use]
    pub fn concluded(&self, limits: &Limits) -> Verdict {
        let last = self.readings.back();
        match self.opinion(limits, last.map_or(self.started, |reading| reading.at)) {
            _ if limits.dry_run => Verdict::Passed,
            Verdict::Running if self.measured() == 0 => Verdict::Errored { why: self.never(last) },
            Verdict::Running => Verdict::Passed,
            decided => decided,
        }
    }

    /// When the next measurement is due: at once where that is past. The last one of a step is due at its deadline.
    #[must_use]
    pub fn due(&self, limits: &Limits) -> Timestamp {
        let next = match self.readings.back() {
            None => return self.begins(limits),
            Some(last) if last.finding == Finding::Error => later(last.at, limits.every.min(AFTER_ERROR)),
            Some(last) => later(last.at, limits.every),
        };
        self.deadline(limits).map_or(next, |deadline| next.min(deadline))
    }

    /// When it must have passed; `None` for a watch, which has no end of its own.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> Option<Timestamp> {
        (limits.mode == Mode::Step).then(|| later(self.begins(limits), limits.within))
    }

    fn begins(&self, limits: &Limits) -> Timestamp {
        later(later(self.started, self.suspended), limits.initial_delay)
    }

    /// The limit that is crossed.
    fn crossed(&self, limits: &Limits) -> Option<Verdict> {
        let last = |finding: Finding| {
            let said = self.readings.iter().rev().find(|r| r.finding == finding).map(|r| r.said.as_str());
            said.filter(|said| !said.is_empty()).map(|said| format!(": {said}")).unwrap_or_default()
        };
        let over = |found: u32, limit: u32, what: &str| match (found, limit) {
            (1, 0) => format!("one measurement {what}, and none is borne"),
            _ => format!("{found} measurements {what}, and {limit} are borne"),
        };
        if self.errors_in_a_row > limits.error_limit {
            let why = over(self.errors_in_a_row, limits.error_limit, "in a row could not be made");
            return Some(Verdict::Errored { why: why + &last(Finding::Error) });
        }
        if self.failed > limits.failure_limit {
            let why = over(self.failed, limits.failure_limit, "failed");
            return Some(Verdict::Failed { why: why + &last(Finding::Failed) });
        }
        if self.inconclusive > limits.inconclusive_limit {
            let why = over(self.inconclusive, limits.inconclusive_limit, "told nothing");
            return Some(Verdict::Inconclusive { why: why + &last(Finding::Inconclusive) });
        }
        None
    }

    /// What is not decided by its deadline has failed, once the measurement that is due then is made, or is `every` overdue.
    fn late(&self, limits: &Limits, now: Timestamp) -> Option<Verdict> {
        let deadline = self.deadline(limits)?;
        let last = self.readings.back();
        let asked = last.is_some_and(|reading| reading.at >= deadline);
        if now < deadline || !asked && now < later(deadline, limits.every) {
            return None;
        }
        if self.measured() == 0 {
            return Some(Verdict::Errored { why: self.never(last) });
        }
        let said = last.map(|r| r.said.as_str()).filter(|said| !said.is_empty());
        let said = said.map(|said| format!("; the last said: {said}")).unwrap_or_default();
        let (passed, made, within) = (self.passed, self.measured(), format_duration(limits.within));
        Some(Verdict::Failed {
            why: format!("{passed} of {made} measurements passed within {within}, not enough{said}"),
        })
    }

    fn never(&self, last: Option<&Reading>) -> String {
        match last {
            Some(last) => format!("nothing could be measured in {} tries: {}", self.errors, last.said),
            None => "nothing was measured".to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "analysis_tests.rs"]
mod tests;
