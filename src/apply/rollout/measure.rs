//! What judges a rollout: its `verify` blocks, asked of the new version and compared with the old one; also of the time when nobody looked.

use super::Rollout;
use crate::{
    apply::work::{End, context},
    base::{Finding, Hidden, Value, elapsed},
    kinds::{self, Measurement},
    plan::connect::Connections,
    rollout::{Fact, Going, Part, Stage},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};

/// How long one measurement may take.
const MEASURED_WITHIN: Duration = Duration::from_secs(60);
/// A shorter absence is none.
const ABSENCE: Duration = Duration::from_secs(10);

/// One `verify` block of a rollout, evaluated.
pub(in crate::apply) struct Judge {
    /// The probe, as the new version's colour sees it.
    pub new: Value,
    /// The same for the old one, where there is one.
    pub old: Option<Value>,
    /// Where it is asked.
    pub connections: Connections,
}

impl Rollout<'_> {
    /// Measures these now, side by side.
    pub(super) async fn measure(&self, going: &Going, due: &[Arc<str>]) -> Vec<Fact> {
        let asking =
            due.iter().filter_map(|name| Some((name, self.judges.get(name)?))).map(|(name, judge)| async move {
                let measured = match context(self.desk, &self.unit, &judge.connections, MEASURED_WITHIN).await {
                    Ok(context) => match kinds::compare(&context, &judge.new, beside(going, judge)).await {
                        Ok(measured) => measured,
                        // The probe itself is wrong: no waiting mends that, and it is part of what is rolled out.
                        Err(failure) => {
                            Measurement { finding: Finding::Failed, said: failure.to_string(), value: None }
                        }
                    },
                    Err(end) => Measurement { finding: Finding::Error, said: said_of(&end), value: None },
                };
                self.fact(name, judge, measured)
            });
        futures::future::join_all(asking).await
    }

    fn fact(&self, name: &Arc<str>, judge: &Judge, measured: Measurement) -> Fact {
        let hidden = Hidden::of([&judge.new].into_iter().chain(judge.old.as_ref()));
        let said = self.desk.hidden.out_of(&hidden.out_of(&measured.said));
        let value = measured.value.map(|value| self.desk.hidden.out_of(&hidden.out_of(&value)));
        Fact::Measured { analysis: name.clone(), finding: measured.finding, said, value }
    }

    /// Makes up for the time since somebody last looked (rule 36): it counts where every `verify` can look back over it, and what
    /// they find there is taken in as if it had been measured then. Otherwise it does not count.
    pub(super) async fn catch_up(&self, going: &mut Going) -> Result<(), End> {
        let (from, now) = (going.looked, self.now());
        let gap = elapsed(from, now);
        let watched = matches!(going.stage, Stage::Bake | Stage::Step { part: Part::Judge | Part::Hold, .. });
        if gap < ABSENCE || !watched || going.paused.is_some() {
            return self.take(going, Fact::Looked).await;
        }
        self.tell(&format!("nobody looked for {}", crate::base::format_duration(gap)));
        let Some(mut facts) = self.look_back(going, from, now).await else {
            self.tell("that time does not count: not everything that judges it can look back");
            return self.take(going, Fact::Away { time: gap }).await;
        };
        facts.sort_by_key(|(at, _)| *at);
        facts.push((now, Fact::Looked));
        self.take_at(going, facts).await
    }

    /// What would have been measured between two moments; `None` where that cannot be said of all.
    async fn look_back(&self, going: &Going, from: Timestamp, to: Timestamp) -> Option<Vec<(Timestamp, Fact)>> {
        let mut facts = Vec::new();
        if going.spec.analyses.is_empty() {
            return None;
        }
        for (name, limits) in &going.spec.analyses {
            let judge = self.judges.get(name).filter(|judge| kinds::looks_back(&judge.new))?;
            let context = context(self.desk, &self.unit, &judge.connections, MEASURED_WITHIN).await.ok()?;
            let (new, old) = (&judge.new, beside(going, judge));
            let seen = context.bounded(kinds::look_back(&context, new, old, from, to, limits.every)).await;
            for (at, measured) in seen.ok()?? {
                // A moment of which nothing is known is one at which nobody can say that all was well.
                if measured.finding == Finding::Error {
                    return None;
                }
                facts.push((at, self.fact(name, judge, measured)));
            }
        }
        Some(facts)
    }
}

/// The old one's probe, as long as the old one has traffic that could be compared.
fn beside<'j>(going: &Going, judge: &'j Judge) -> Option<&'j Value> {
    judge.old.as_ref().filter(|_| going.share < 100)
}

fn said_of(end: &End) -> String {
    match end {
        End::Failed(why) | End::Beyond(why) | End::Stuck { why, .. } => why.clone(),
        End::State(error) => error.to_string(),
        End::Done { .. } => "no connection".to_owned(),
    }
}
