//! What a rollout will do, as far as its block alone tells: for the graph, which knows no values.

use crate::{
    base::{Value, format_duration},
    lang::{configuration::Rollout, literal},
    rollout::{Pause, Spec, Strategy},
};
use std::{sync::Arc, time::Duration};

/// What is done one after the other, beginning with the new version's own application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// How.
    pub strategy: Strategy,
    /// In order. Whatever depends on the thing has its turn after the last one but [`Leg::Retire`].
    pub legs: Vec<(Leg, Option<Duration>)>,
}

/// One thing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// The new version is applied beside the old one.
    Apply,
    /// Its own `verify` blocks are asked.
    Verify,
    /// It gets this share of the traffic, in percent, and is judged; then held until a person lets it go, or not.
    Shift {
        /// The share.
        weight: u8,
        /// Whether a person has to let it go.
        person: bool,
    },
    /// It gets the traffic by steps that are not written out.
    Shifts,
    /// It has to be well with its last share.
    Bake,
    /// The stable version of a canary is updated and gets the traffic back.
    Settle,
    /// The old version, or the canary, goes once its time has passed.
    Retire,
}

impl Leg {
    /// In a word, for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Verify => "verify",
            Self::Shift { .. } | Self::Shifts => "shift",
            Self::Bake => "bake",
            Self::Settle => "settle",
            Self::Retire => "retire",
        }
    }
}

/// `50 %`, `bake`.
impl std::fmt::Display for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Apply => f.write_str("new version"),
            Self::Verify => f.write_str("verify"),
            Self::Shift { weight, person: false } => write!(f, "{weight} %"),
            Self::Shift { weight, person: true } => write!(f, "{weight} %, until promoted"),
            Self::Shifts => f.write_str("steps"),
            Self::Bake => f.write_str("bake"),
            Self::Settle => f.write_str("stable updated"),
            Self::Retire => f.write_str("old version retired"),
        }
    }
}

impl Outline {
    /// Of a `rollout` block; `None` under the rolling strategy, and where the strategy is not written out. `verified` says whether the thing
    /// has `verify` blocks of its own. What is wrong with the block is for others to tell.
    #[must_use]
    pub fn of(rollout: &Rollout, verified: bool) -> Option<Self> {
        let attributes = &rollout.block.body.attributes;
        let value = |name: &str| attributes.get(name).and_then(|attribute| literal(&attribute.expr));
        let hidden = |name: &str| attributes.contains_key(name) && value(name).is_none();
        let strategy = rollout.strategy.as_ref().and_then(literal)?;
        // Which route it is makes no difference here.
        let mut known: Vec<(Arc<str>, Value)> =
            vec![("strategy".into(), strategy), ("traffic".into(), "traffic.any".into())];
        let names = ["steps", "pause", "bake", "keep"];
        known.extend(names.iter().filter_map(|name| Some(((*name).into(), value(name)?))));
        let stepped = !hidden("steps") && !hidden("pause");
        if !stepped {
            known.retain(|(name, _)| !matches!(&**name, "steps" | "pause"));
            known.push(("steps".into(), Value::tuple(vec![100.into()])));
        }
        let spec = Spec::of(&Value::object(known), rollout).ok().flatten()?;
        let judged = spec.judged();
        let mut legs = vec![(Leg::Apply, None)];
        if verified {
            legs.push((Leg::Verify, None));
        }
        if stepped {
            legs.extend(spec.steps.iter().map(|step| {
                let (person, held) = match step.pause {
                    Some(Pause::Person) => (true, None),
                    Some(Pause::For(pause)) => (false, Some(pause.max(judged))),
                    None => (false, Some(judged)),
                };
                (Leg::Shift { weight: step.weight, person }, held.filter(|time| !time.is_zero()))
            }));
        } else {
            legs.push((Leg::Shifts, None));
        }
        if hidden("bake") {
            legs.push((Leg::Bake, None));
        } else if !spec.bake.is_zero() {
            legs.push((Leg::Bake, Some(spec.bake)));
        }
        match spec.strategy {
            Strategy::Canary => legs.extend([(Leg::Settle, None), (Leg::Retire, None)]),
            Strategy::BlueGreen => legs.push((Leg::Retire, (!hidden("keep")).then_some(spec.keep))),
        }
        Some(Self { strategy: spec.strategy, legs })
    }

    /// Each leg in words, with the time that it takes where that is known: `bake, 15m`.
    pub fn told(&self) -> impl Iterator<Item = (Leg, String)> {
        self.legs.iter().map(|(leg, time)| {
            let time = time.map(format_duration);
            let words = match (leg, time) {
                (Leg::Retire, None) if self.strategy == Strategy::Canary => "canary retired".to_owned(),
                (_, None) => leg.to_string(),
                (Leg::Retire, Some(time)) => format!("{leg} after {time}"),
                (_, Some(time)) => format!("{leg}, {time}"),
            };
            (*leg, words)
        })
    }
}
