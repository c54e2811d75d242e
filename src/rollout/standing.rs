//! What stands of one thing that is rolled out: which colour has the traffic, which one is kept warm, and what is under way.

use crate::{
    base::{Address, Color, later},
    rollout::{Fact, Fault, Going, Stage},
};
use jiff::Timestamp;
use std::sync::Arc;

/// What stands of one thing that is rolled out; the fold of its facts.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// What has the traffic; `None` before the first installation is through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<Color>,
    /// The route whose traffic was moved last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traffic: Option<Address>,
    /// The other colour, where it is still there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept: Option<Kept>,
    /// The rollout under way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub going: Option<Box<Going>>,
    /// How the last one ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<Ended>,
    /// Which colour it was when it went back to the rolling strategy: that side of the route has its traffic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<Color>,
}

/// A colour that has no traffic any more: a debt that is paid by retiring it (rule 35).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// Which.
    pub color: Color,
    /// Since when it has no traffic.
    pub since: Timestamp,
    /// When it is due to be retired.
    pub due: Timestamp,
    /// Why it never got to stay, where it is the new version of a rollout that was aborted: it is kept to be looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
    /// True where it never had any traffic, so that no request can be left on it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub unused: bool,
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ended {
    /// The run that it was part of.
    pub run: Arc<str>,
    /// What had the traffic before.
    pub from: Option<Color>,
    /// What was to get it.
    pub to: Color,
    /// When.
    pub at: Timestamp,
    /// What its colour was before, where it was warm: what undoing its phase brings back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Kept>,
    /// Why all traffic went back, and whose fault that was; `None` where it succeeded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub aborted: Option<(String, Fault)>,
}

impl Standing {
    /// Takes a fact in. Total: one that makes no sense here changes nothing.
    pub fn take(&mut self, at: Timestamp, fact: &Fact) {
        if let Fact::Began { run, spec, from, to, undo } = fact {
            self.traffic = Some(spec.traffic.clone());
            // It is no debt any more: it is what is rolled out.
            let warm = self.kept.take_if(|kept| kept.color == *to);
            let before = if *undo { self.last.take().and_then(|last| last.before) } else { warm };
            let going = Going::new(run.clone(), (**spec).clone(), *from, *to, at);
            self.going = Some(Box::new(Going { undo: *undo, before, ..going }));
            return;
        }
        let Some(going) = &mut self.going else { return };
        let back = match &going.stage {
            Stage::Back { why, fault } => Some((why.clone(), *fault)),
            _ => None,
        };
        let moved = going.share > 0 || going.moving.is_some();
        going.take(at, fact);
        if going.stage != Stage::Over {
            return;
        }
        let (from, to, run, before) = (going.from, going.to, going.run.clone(), going.before.take());
        let undo = going.undo;
        let due = later(at, going.spec.keep);
        let aborted = back.filter(|_| *fact == Fact::Aborted);
        self.going = None;
        let kept = |color, due, failed| Kept { color, since: at, due, failed, unused: false };
        self.kept = match (&aborted, from) {
            (Some((why, _)), _) => Some(Kept { unused: !moved, ..kept(to, due, Some(why.clone())) }),
            // The stable version was updated to what the canary was: there is nothing to look at and nothing to go back to.
            (None, Some(Color::Stable)) if to == Color::Canary => Some(kept(Color::Canary, at, None)),
            // What is undone is as long warm as it was to be before.
            (None, Some(from)) => {
                let was = before.as_ref().filter(|before| undo && before.color == from);
                Some(kept(from, was.map_or(due, |was| was.due), None))
            }
            (None, None) => None,
        };
        if aborted.is_none() {
            self.live = Some(if to == Color::Canary { Color::Stable } else { to });
        }
        self.last = Some(Ended { run, from, to, at, before, aborted });
    }

    /// What a run did to a colour was undone: it is again what it was before its rollout, and no failure is held against it.
    pub fn restored(&mut self, run: &str, color: Color) {
        let last = self.last.as_ref().filter(|last| &*last.run == run);
        let before = last.and_then(|last| last.before.clone()).filter(|before| before.color == color);
        if let (Some(before), Some(kept)) = (before, self.kept.as_mut().filter(|kept| kept.color == color)) {
            // Requests that it still has are those of the traffic that it lost just now.
            (kept.due, kept.failed) = (before.due, before.failed);
        }
    }

    /// The last moment that is known of it: no clock that it is told by is before that.
    #[must_use]
    pub fn known_at(&self) -> Option<Timestamp> {
        let going = self.going.as_ref().map(|going| going.looked);
        going.max(self.last.as_ref().map(|last| last.at)).max(self.kept.as_ref().map(|kept| kept.since))
    }

    /// One of the colours is there no more.
    pub fn gone(&mut self, color: Color) {
        if self.kept.as_ref().is_some_and(|kept| kept.color == color) {
            self.kept = None;
        }
        if self.live == Some(color) {
            self.live = None;
        }
        if self.going.as_ref().is_some_and(|going| going.to == color) {
            self.going = None;
        }
    }

    /// True where what was rolled out failed in this run by its own fault, and not the platform's or a person's.
    #[must_use]
    pub fn failed_by_itself(&self, run: &str) -> bool {
        let last = self.last.as_ref().filter(|last| &*last.run == run);
        last.and_then(|last| last.aborted.as_ref()).is_some_and(|(_, fault)| *fault == Fault::Release)
    }

    /// True where nothing of it is left to be known.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.live.is_none() && self.kept.is_none() && self.going.is_none() && self.was.is_none()
    }
}
