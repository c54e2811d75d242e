//! What an environment held, holds, and was seen to be: the facts that promotions are judged by.
//!
//! Only an environment's own runs write them (rule 27). Decisions of people lie beside the log, in [`crate::state::facts`].

use crate::{base::Digest, state::RunId};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How many occupancies that have ended are kept, beside the last of each release.
const KEPT: usize = 500;

/// What is in an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// A release.
    Release(Digest),
    /// What a plain apply made of the working folder.
    Unreleased,
    /// Nothing: it was destroyed.
    Nothing,
}

impl Held {
    /// The release, where it is one.
    #[must_use]
    pub const fn release(&self) -> Option<&Digest> {
        match self {
            Self::Release(digest) => Some(digest),
            Self::Unreleased | Self::Nothing => None,
        }
    }
}

/// How far the run came that brought it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The run goes on, or was cut off.
    Coming,
    /// All of it is there.
    Complete,
    /// Part of it is there: `--target`, or less than the whole plan.
    Partial,
    /// It stopped in this phase; empty where it stopped before any.
    FailedAt(Arc<str>),
}

/// Why something came past a gate.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Passage {
    /// It went back to this release.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// `--hotfix`: past soak and order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<String>,
    /// `--break-glass`: past windows, freezes and approvals. Somebody else must review the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// Whose approvals it had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// What each upstream had to show for it, in a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

/// A time in which it was verified without a break.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stretch {
    /// Since when.
    pub from: Timestamp,
    /// Until when; it lasts where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// One thing in an environment, from its coming to its going.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Occupancy {
    /// What.
    pub held: Held,
    /// Since its run began.
    pub since: Timestamp,
    /// Until the next one came; it is there where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// The run that brought it.
    pub run: RunId,
    /// The digest of the environment's values that it came with: "already there" compares them too (rule 30).
    pub values: Digest,
    /// How far it came.
    pub progress: Progress,
    /// When it was verified.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub verified: Vec<Stretch>,
    /// Why its last verification failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
    /// Who brought it.
    pub by: String,
    /// How it came past the gates.
    #[serde(default)]
    pub passage: Passage,
}

impl Occupancy {
    /// True where it is verified now.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.until.is_none() && self.verified.last().is_some_and(|s| s.until.is_none())
    }

    /// The longest time in which it was verified without a break, up to `now`.
    #[must_use]
    pub fn soaked(&self, now: Timestamp) -> Duration {
        let length = |s: &Stretch| s.until.unwrap_or(now).duration_since(s.from).max(SignedDuration::ZERO);
        self.verified.iter().map(length).max().and_then(|d| d.try_into().ok()).unwrap_or_default()
    }

    fn end_verified(&mut self, at: Timestamp) {
        if let Some(open) = self.verified.last_mut().filter(|s| s.until.is_none()) {
            open.until = Some(at.max(open.from));
        }
    }
}

/// The facts of one environment.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// What was there, in order; the last is there now.
    pub occupancies: Vec<Occupancy>,
    /// Releases that were rolled back here: no candidates until somebody names them again (rule 30).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub rolled_back: BTreeSet<Digest>,
    /// The gates that a run was last made under: a weaker one counts only after a run that passed these (rule 26).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gates: Option<Json>,
    /// The rules that a run was last judged by, an object beside the log: weaker ones count only after a run that passed these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Digest>,
}

/// A fact that a run adds.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "fact")]
pub enum Delivered {
    /// Something came, and what was there before went.
    Came {
        /// What.
        occupancy: Box<Occupancy>,
        /// The gates it came under.
        gates: Json,
    },
    /// A run that changed all of it passed these rules, and did what it was to do.
    Passed {
        /// The rules.
        rules: Digest,
    },
    /// The run that brought it has ended.
    Settled {
        /// When.
        at: Timestamp,
        /// How far it came.
        progress: Progress,
    },
    /// What is there was verified again, or for the first time.
    Verified {
        /// When.
        at: Timestamp,
        /// Why it failed; it passed where `None`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        failure: Option<String>,
    },
    /// A release was rolled back here, or is named again after that.
    RolledBack {
        /// Which.
        release: Digest,
        /// It is named again.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        named_again: bool,
    },
}

impl Delivery {
    /// True where nothing ever came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is there now.
    #[must_use]
    pub fn current(&self) -> Option<&Occupancy> {
        self.occupancies.last().filter(|o| o.until.is_none())
    }

    /// All times that a release was there, in order.
    pub fn of<'a>(&'a self, release: &'a Digest) -> impl Iterator<Item = &'a Occupancy> {
        self.occupancies.iter().filter(move |o| o.held.release() == Some(release))
    }

    /// Folds one fact in. Total: what makes no sense here changes nothing.
    pub fn apply(&mut self, fact: Delivered) {
        match fact {
            Delivered::Came { occupancy, gates } => {
                if let Some(last) = self.occupancies.last_mut().filter(|o| o.until.is_none()) {
                    last.end_verified(occupancy.since);
                    last.until = Some(occupancy.since.max(last.since));
                }
                self.occupancies.push(*occupancy);
                self.gates = Some(gates);
            }
            Delivered::Passed { rules } => self.rules = Some(rules),
            Delivered::Settled { at, progress } => {
                let Some(last) = self.occupancies.last_mut().filter(|o| o.until.is_none()) else { return };
                if progress != Progress::Complete {
                    last.end_verified(at);
                }
                last.progress = progress;
            }
            Delivered::Verified { at, failure } => {
                let Some(last) = self.occupancies.last_mut().filter(|o| o.until.is_none()) else { return };
                if failure.is_some() {
                    last.end_verified(at);
                } else if last.progress == Progress::Complete && !last.is_verified() {
                    last.verified.push(Stretch { from: at, until: None });
                }
                last.failure = failure;
            }
            Delivered::RolledBack { release, named_again } => {
                if named_again {
                    self.rolled_back.remove(&release);
                } else {
                    self.rolled_back.insert(release);
                }
            }
        }
    }

    /// Drops what is only history. The longest soak of each release stays, and whatever is there.
    pub(super) fn prune(&mut self) {
        let surplus = self.occupancies.len().saturating_sub(KEPT);
        if surplus == 0 {
            return;
        }
        let last = self.occupancies.last().map_or(Timestamp::UNIX_EPOCH, |o| o.since);
        let mut at = 0;
        let old: Vec<Occupancy> = self.occupancies.drain(..surplus).collect();
        let mut best: std::collections::BTreeMap<Digest, (usize, Occupancy)> = std::collections::BTreeMap::new();
        for occupancy in old {
            at += 1;
            let Some(release) = occupancy.held.release().cloned() else { continue };
            let better = best.get(&release).is_none_or(|(_, known)| known.soaked(last) <= occupancy.soaked(last));
            if better && !occupancy.verified.is_empty() {
                best.insert(release, (at, occupancy));
            }
        }
        let mut kept: Vec<(usize, Occupancy)> = best.into_values().collect();
        kept.sort_by_key(|(at, _)| *at);
        self.occupancies.splice(..0, kept.into_iter().map(|(_, occupancy)| occupancy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
    }

    fn came(name: &str, minute: i64) -> Delivered {
        Delivered::Came {
            occupancy: Box::new(Occupancy {
                held: Held::Release(Digest::of(name.as_bytes())),
                since: at(minute),
                until: None,
                run: RunId(name.into()),
                values: Digest::of(b""),
                progress: Progress::Coming,
                verified: Vec::new(),
                failure: None,
                by: "someone".into(),
                passage: Passage::default(),
            }),
            gates: Json::Null,
        }
    }

    fn folded(facts: Vec<Delivered>) -> Delivery {
        let mut delivery = Delivery::default();
        for fact in facts {
            delivery.apply(fact);
        }
        delivery
    }

    fn settled(minute: i64) -> Delivered {
        Delivered::Settled { at: at(minute), progress: Progress::Complete }
    }

    fn verified(minute: i64, failure: Option<&str>) -> Delivered {
        Delivered::Verified { at: at(minute), failure: failure.map(str::to_owned) }
    }

    #[test]
    fn soak_is_the_longest_time_without_a_break() {
        let facts = vec![came("a", 0), settled(1), verified(1, None), verified(31, Some("503")), verified(41, None)];
        let delivery = folded(facts);
        let current = delivery.current().unwrap();
        assert_eq!(current.soaked(at(51)), Duration::from_secs(30 * 60));
        assert_eq!(current.soaked(at(101)), Duration::from_secs(60 * 60));
        assert!(current.is_verified());
    }

    #[test]
    fn what_comes_next_ends_what_was_there_and_its_soak() {
        let delivery = folded(vec![came("a", 0), settled(0), verified(0, None), came("b", 10)]);
        assert_eq!(delivery.occupancies[0].until, Some(at(10)));
        assert_eq!(delivery.occupancies[0].soaked(at(500)), Duration::from_secs(600));
        assert!(!delivery.current().unwrap().is_verified());
    }

    #[test]
    fn what_is_not_complete_is_never_verified() {
        let partial = Delivered::Settled { at: at(1), progress: Progress::Partial };
        let delivery = folded(vec![came("a", 0), partial, verified(2, None)]);
        assert!(!delivery.current().unwrap().is_verified());
        let failed = Delivered::Settled { at: at(1), progress: Progress::FailedAt("services".into()) };
        let delivery = folded(vec![came("a", 0), failed, verified(2, None)]);
        assert_eq!(delivery.current().unwrap().soaked(at(500)), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_soak() {
        let delivery = folded(vec![came("a", 10), settled(10), verified(10, None), came("b", 5)]);
        assert_eq!(delivery.occupancies[0].soaked(at(0)), Duration::ZERO);
    }

    #[test]
    fn history_is_dropped_but_not_what_a_release_has_behind_it() {
        let mut facts = vec![came("old", 0), settled(0), verified(0, None), came("x", 60)];
        facts.extend((0..600).map(|n| came("x", 61 + n)));
        let mut delivery = folded(facts);
        delivery.prune();
        assert!(delivery.occupancies.len() <= KEPT + 1);
        let old = Digest::of(b"old");
        assert_eq!(delivery.of(&old).map(|o| o.soaked(at(9999))).max(), Some(Duration::from_secs(3600)));
        assert!(delivery.current().is_some());
    }
}
