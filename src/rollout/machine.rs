//! One rollout under way, as a pure state machine over recorded facts: what is, and what is to be done next.
//!
//! The executor does what [`Going::next`] asks, records what came of it as a [`Fact`], and asks again. A process that was
//! killed goes on where the facts end.

use crate::{
    base::{Color, Finding, elapsed, later},
    rollout::{Kept, Limits, PROVED_WITHIN, Pause, Spec, Strategy, TARGETS_WITHIN, Tally, Verdict},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Something that happened to a rollout, in the order in which it did.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "fact")]
pub enum Fact {
    /// It began.
    Began {
        /// The run that it is part of.
        run: Arc<str>,
        /// What is asked.
        spec: Box<Spec>,
        /// What has the traffic; `None` where nothing had any yet.
        from: Option<Color>,
        /// What is to get it.
        to: Color,
        /// True where it undoes another one of the same run.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        undo: bool,
    },
    /// The load balancer called the targets of the new version healthy.
    TargetsHealthy,
    /// Traffic is about to be moved: the word before the call.
    Moving {
        /// The new version's share, in percent.
        share: u8,
    },
    /// The weights were read back, and are in force.
    Moved {
        /// The new version's share, in percent.
        share: u8,
    },
    /// One measurement.
    Measured {
        /// Which `verify` block.
        analysis: Arc<str>,
        /// What it found.
        finding: Finding,
        /// In words.
        said: String,
        /// The number, where one was asked for.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        value: Option<String>,
    },
    /// Somebody was there, and nothing more.
    Looked,
    /// Nobody was there for so long, and nothing can be said about that time: it does not count.
    Away {
        /// How long.
        time: Duration,
    },
    /// It waits for a person.
    Paused {
        /// Why.
        why: String,
        /// Who asked for it; `None` where it paused by itself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
    },
    /// It goes on. What was not clear is judged anew.
    Resumed {
        /// By whose word.
        by: String,
    },
    /// A person let it go on to the next step, or skip all the rest.
    Promoted {
        /// Who.
        by: String,
        /// All that is left is skipped.
        full: bool,
    },
    /// A word of a person was taken in: it is not taken again.
    Heard {
        /// Which.
        control: Arc<str>,
    },
    /// Everything goes back: the word before the call.
    Aborting {
        /// Why.
        why: String,
        /// Whose fault.
        fault: Fault,
    },
    /// All traffic is back, and that was read back.
    Aborted,
    /// What judges the step passed; from here on it is held.
    Judged,
    /// All steps passed; from here on it bakes.
    Baking,
    /// The stable version of a canary was updated, and verified.
    Settled,
    /// The new version has the traffic and was well as long as it had to be.
    Finished,
}

/// Whose fault a failure is (rule 34).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// What was rolled out: it says something about the release.
    Release,
    /// The platform, or us: it says nothing about the release.
    Platform,
    /// A person wanted it.
    Person,
    /// Something else in the phase failed.
    Sibling,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Stage {
    /// The new version's targets are waited for. No traffic was moved.
    Targets,
    /// A step, by number from 0.
    Step {
        /// Which.
        at: usize,
        /// How far in it.
        part: Part,
    },
    /// All steps are behind it.
    Bake,
    /// The stable version of a canary is updated.
    Settling {
        /// It was updated; now it gets its traffic back.
        settled: bool,
    },
    /// Everything goes back.
    Back {
        /// Why.
        why: String,
        /// Whose fault.
        fault: Fault,
    },
    /// It is over.
    Over,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Its weights are not in force yet.
    Shift,
    /// It is judged.
    Judge,
    /// It passed, and is held.
    Hold,
    /// A person let it go.
    LetGo,
}

/// A pause until a person speaks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Paused {
    /// Why.
    pub why: String,
    /// Who asked for it; `None` where it paused by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Since when.
    pub at: Timestamp,
}

/// A rollout under way.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Going {
    /// The run that it is part of.
    pub run: Arc<str>,
    /// What is asked.
    pub spec: Spec,
    /// What has the traffic until it is finished; `None` where nothing had any.
    pub from: Option<Color>,
    /// What is to get it.
    pub to: Color,
    /// True where it undoes another one of the same run.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub undo: bool,
    /// What the new version's colour was before, where it was kept warm.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Kept>,
    /// When it began.
    pub began: Timestamp,
    /// How far it is.
    pub stage: Stage,
    /// When its stage was entered.
    pub entered: Timestamp,
    /// How much of the stage does not count, since nobody looked, or it was paused.
    pub away: Duration,
    /// When somebody last looked.
    pub looked: Timestamp,
    /// The new version's share that was last proved.
    pub share: u8,
    /// A call that may have moved traffic, whose effect was not read back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub moving: Option<u8>,
    /// What was measured in this stage.
    pub tallies: BTreeMap<Arc<str>, Tally>,
    /// A pause until a person speaks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused: Option<Paused>,
    /// Words of persons that were taken in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub heard: BTreeSet<Arc<str>>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Ask for the health of the new version's targets, until they are healthy or it is too late.
    AwaitTargets {
        /// Too late.
        until: Timestamp,
    },
    /// Move this share to the new version, and prove it.
    Shift {
        /// The share, in percent.
        share: u8,
        /// By when it must be in force.
        within: Duration,
    },
    /// Measure what is due, and look again at the latest at this moment.
    Watch {
        /// What is due by now.
        due: Vec<Arc<str>>,
        /// When to look again.
        until: Timestamp,
    },
    /// Record a pause: a person has to decide.
    Pause {
        /// Why.
        why: String,
    },
    /// A person has to speak.
    AwaitPerson,
    /// Record that it is aborted.
    Abort {
        /// Why.
        why: String,
        /// Whose fault.
        fault: Fault,
    },
    /// Move all traffic back, prove it, and record [`Fact::Aborted`].
    Back,
    /// Record this, which leads on.
    Note(Fact),
    /// Update the stable version of a canary and verify it; then record [`Fact::Settled`].
    Settle,
    /// Record [`Fact::Finished`].
    Finish,
    /// Nothing any more.
    Over,
}

impl Going {
    /// A rollout that begins.
    #[must_use]
    pub fn new(run: Arc<str>, spec: Spec, from: Option<Color>, to: Color, at: Timestamp) -> Self {
        Self {
            run,
            spec,
            from,
            to,
            undo: false,
            before: None,
            began: at,
            stage: Stage::Targets,
            entered: at,
            away: Duration::ZERO,
            looked: at,
            share: 0,
            moving: None,
            tallies: BTreeMap::new(),
            paused: None,
            heard: BTreeSet::new(),
        }
    }

    /// How much of its stage has passed and counts.
    #[must_use]
    pub fn in_stage(&self, now: Timestamp) -> Duration {
        elapsed(self.entered, now).saturating_sub(self.away)
    }

    /// What is to be done now.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        match &self.stage {
            Stage::Over => return Next::Over,
            Stage::Back { .. } => return Next::Back,
            _ => {}
        }
        if self.paused.is_some() {
            return self.paused_now(now);
        }
        match &self.stage {
            Stage::Targets => Next::AwaitTargets { until: later(self.entered, TARGETS_WITHIN + self.away) },
            Stage::Step { at, part: Part::Shift } => {
                let share = self.spec.steps.get(*at).map_or(100, |step| step.weight);
                Next::Shift { share, within: PROVED_WITHIN }
            }
            Stage::Step { part: Part::Judge, .. } => self.judge(now),
            Stage::Step { at, part: Part::Hold } => self.hold(*at, now),
            Stage::Step { at, part: Part::LetGo } => self.step_over(*at),
            Stage::Bake => self.bake(now),
            Stage::Settling { settled: false } => Next::Settle,
            Stage::Settling { settled: true } if self.share > 0 => Next::Shift { share: 0, within: PROVED_WITHIN },
            Stage::Settling { .. } => Next::Finish,
            Stage::Back { .. } | Stage::Over => Next::Over,
        }
    }

    /// Only going on waits for the person: what judges it goes on, and takes all traffic back where it must.
    fn paused_now(&self, now: Timestamp) -> Next {
        if !matches!(self.stage, Stage::Bake | Stage::Step { part: Part::Judge | Part::Hold | Part::LetGo, .. }) {
            return Next::AwaitPerson;
        }
        if let Some(end @ Next::Abort { .. }) = self.crossed(now) {
            return end;
        }
        match self.watch(now, None) {
            Next::Watch { due, .. } if !due.is_empty() => Next::Watch { due, until: now },
            _ => Next::AwaitPerson,
        }
    }

    /// A step whose weights are in force.
    fn judge(&self, now: Timestamp) -> Next {
        if let Some(end) = self.crossed(now) {
            return end;
        }
        let running = |(name, limits): (&Arc<str>, &Limits)| self.tally(name).verdict(limits, now).is_running();
        if self.spec.analyses.iter().any(running) { self.watch(now, None) } else { Next::Note(Fact::Judged) }
    }

    /// A step that passed: watched on for as long as it is held.
    fn hold(&self, at: usize, now: Timestamp) -> Next {
        if let Some(end) = self.crossed(now) {
            return end;
        }
        match self.spec.steps.get(at).and_then(|step| step.pause) {
            None => self.step_over(at),
            Some(Pause::Person) => Next::Pause { why: "this step waits for a person".to_owned() },
            Some(Pause::For(pause)) => match pause.saturating_sub(self.in_stage(now)) {
                Duration::ZERO => self.step_over(at),
                rest => self.watch(now, Some(later(now, rest))),
            },
        }
    }

    fn step_over(&self, at: usize) -> Next {
        match self.spec.steps.get(at + 1) {
            Some(step) => Next::Shift { share: step.weight, within: PROVED_WITHIN },
            None => Next::Note(Fact::Baking),
        }
    }

    fn bake(&self, now: Timestamp) -> Next {
        if let Some(end) = self.crossed(now) {
            return end;
        }
        let rest = self.spec.bake.saturating_sub(self.in_stage(now));
        if !rest.is_zero() {
            return self.watch(now, Some(later(now, rest)));
        }
        if !self.spec.bake.is_zero() {
            for (name, limits) in &self.spec.analyses {
                if let Some(end) = ended(name, self.tally(name).concluded(&limits.clone().watching())) {
                    return end;
                }
            }
        }
        if self.settles() { Next::Settle } else { Next::Finish }
    }

    /// True where the new version is not what stays, but what the stable one is updated to.
    fn settles(&self) -> bool {
        self.spec.strategy == Strategy::Canary && self.to == Color::Canary
    }

    /// What a limit that was crossed means: what failed before what is not clear.
    fn crossed(&self, now: Timestamp) -> Option<Next> {
        let mut ends: Vec<Next> = self
            .spec
            .analyses
            .iter()
            .filter_map(|(name, limits)| ended(name, self.tally(name).verdict(&self.in_force(limits), now)))
            .collect();
        ends.sort_by_key(|end| matches!(end, Next::Pause { .. }));
        ends.into_iter().next()
    }

    /// A step is judged until it has passed; what is held or bakes is watched as long as it takes.
    fn in_force(&self, limits: &Limits) -> Limits {
        match self.stage {
            Stage::Step { part: Part::Judge, .. } => limits.clone(),
            _ => limits.clone().watching(),
        }
    }

    fn watch(&self, now: Timestamp, end: Option<Timestamp>) -> Next {
        let mut due = Vec::new();
        let mut until = end;
        for (name, limits) in &self.spec.analyses {
            let (tally, limits) = (self.tally(name), self.in_force(limits));
            if !tally.verdict(&limits, now).is_running() {
                continue;
            }
            let at = tally.due(&limits);
            if at <= now {
                due.push(name.clone());
            } else {
                until = Some(until.map_or(at, |until| until.min(at)));
            }
        }
        Next::Watch { due, until: until.unwrap_or(now) }
    }

    fn tally(&self, name: &str) -> Tally {
        self.tallies.get(name).cloned().unwrap_or_else(|| Tally::new(self.entered))
    }

    fn enter(&mut self, stage: Stage, at: Timestamp) {
        self.stage = stage;
        self.entered = at;
        self.away = Duration::ZERO;
        self.tallies = self.spec.analyses.keys().map(|name| (name.clone(), Tally::new(at))).collect();
    }

    /// Takes a fact in. Total: one that makes no sense here changes nothing.
    pub fn take(&mut self, at: Timestamp, fact: &Fact) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        let going_back = matches!(self.stage, Stage::Back { .. });
        match fact {
            Fact::TargetsHealthy if self.stage == Stage::Targets => {
                self.enter(Stage::Step { at: 0, part: Part::Shift }, at);
            }
            Fact::Moving { share } => self.moving = Some(*share),
            Fact::Moved { share } => self.moved(*share, at),
            Fact::Measured { analysis, finding, said, value } => {
                let limits = self.spec.analyses.get(analysis).map(|limits| self.in_force(limits));
                if let (Some(limits), Some(tally)) = (limits, self.tallies.get_mut(analysis)) {
                    tally.take(&limits, at, *finding, said.clone(), value.clone());
                }
            }
            Fact::Away { time } => {
                self.away += *time;
                self.tallies.values_mut().for_each(|tally| tally.suspend(*time));
            }
            Fact::Paused { why, by } if !going_back && self.paused.is_none() => {
                self.paused = Some(Paused { why: why.clone(), by: by.clone(), at });
            }
            Fact::Resumed { .. } if !going_back => self.resume(at, false),
            Fact::Promoted { full: false, .. } if !going_back => self.resume(at, true),
            Fact::Promoted { full: true, .. } if !going_back => self.skip(at),
            Fact::Heard { control } => {
                self.heard.insert(control.clone());
            }
            Fact::Aborting { why, fault } if !going_back => {
                self.paused = None;
                self.enter(Stage::Back { why: why.clone(), fault: *fault }, at);
            }
            Fact::Judged => {
                if let Stage::Step { at: step, part: Part::Judge } = self.stage {
                    self.enter(Stage::Step { at: step, part: Part::Hold }, at);
                }
            }
            Fact::Baking if matches!(self.stage, Stage::Step { .. }) => self.enter(Stage::Bake, at),
            Fact::Settled if self.settles() && !going_back => self.enter(Stage::Settling { settled: true }, at),
            Fact::Aborted | Fact::Finished => self.enter(Stage::Over, at),
            _ => {}
        }
        self.looked = self.looked.max(at);
    }

    fn moved(&mut self, share: u8, at: Timestamp) {
        self.share = share;
        self.moving = None;
        let step = match self.stage {
            Stage::Step { at, part: Part::Shift } => at,
            // The step before is over: this call is the word for it.
            Stage::Step { at, part: Part::Hold | Part::LetGo } => at + 1,
            _ => return,
        };
        self.enter(Stage::Step { at: step, part: Part::Judge }, at);
    }

    /// A pause ends, and does not count. What was not clear is judged anew.
    fn resume(&mut self, at: Timestamp, let_go: bool) {
        if let Some(paused) = self.paused.take() {
            self.away += elapsed(paused.at, at);
        }
        for (name, limits) in &self.spec.analyses {
            let limits = self.in_force(limits);
            if let Some(tally) = self.tallies.get_mut(name)
                && matches!(tally.verdict(&limits, at), Verdict::Inconclusive { .. })
            {
                *tally = Tally::new(at);
            }
        }
        if let Stage::Step { at: step, part: Part::Judge | Part::Hold } = self.stage
            && let_go
        {
            self.stage = Stage::Step { at: step, part: Part::LetGo };
        }
    }

    /// All that is left is skipped: the last step's weights, and no bake.
    fn skip(&mut self, at: Timestamp) {
        self.paused = None;
        self.spec.analyses.clear();
        self.spec.bake = Duration::ZERO;
        let last = self.spec.steps.last().map_or(100, |step| step.weight);
        self.spec.steps = vec![crate::rollout::Step { weight: last, pause: None }];
        if matches!(self.stage, Stage::Step { .. } | Stage::Bake) {
            let proved = self.share == last && self.moving.is_none();
            let part = if proved { Part::LetGo } else { Part::Shift };
            self.enter(Stage::Step { at: 0, part }, at);
        }
    }
}

/// What the end of an analysis means; `None` where it goes on or has passed.
fn ended(name: &str, verdict: Verdict) -> Option<Next> {
    let told = |why: String| format!("verify \"{name}\": {why}");
    match verdict {
        Verdict::Running | Verdict::Passed => None,
        Verdict::Failed { why } => Some(Next::Abort { why: told(why), fault: Fault::Release }),
        Verdict::Errored { why } => Some(Next::Abort { why: told(why), fault: Fault::Platform }),
        Verdict::Inconclusive { why } => Some(Next::Pause { why: told(why) }),
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
