//! What a rule shall be, and the fewest calls that make it so. Weights are kept; only a rule that has none for our groups yet, or
//! forwards to somebody else's, gets some.

use super::{CONDITIONS, failure, text};
use crate::{
    base::{Side, Value},
    kinds::Context,
    world::{Class, Forward, ListenerRule, Outcome, RuleChange, Weights},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The target groups of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Groups {
    pub(super) blue: String,
    pub(super) green: String,
}

impl Groups {
    /// Of inputs, where both are known.
    pub(super) fn of(inputs: &Value) -> Option<Self> {
        Some(Self { blue: text(inputs, "blue")?.to_owned(), green: text(inputs, "green")?.to_owned() })
    }

    /// As state remembers them.
    pub(super) fn remembered(identity: &Json) -> Option<Self> {
        Some(Self { blue: identity["blue"].as_str()?.to_owned(), green: identity["green"].as_str()?.to_owned() })
    }

    pub(super) fn on(&self, side: Side) -> &str {
        match side {
            Side::Blue => &self.blue,
            Side::Green => &self.green,
        }
    }

    /// A forward to both.
    pub(super) fn forward(&self, weights: Weights, stickiness: Option<std::time::Duration>) -> Forward {
        let groups = [Side::Blue, Side::Green].map(|side| (self.on(side).to_owned(), u32::from(weights.of(side))));
        Forward { groups: BTreeMap::from(groups), stickiness }
    }

    /// The shares that a forward gives to the sides, by these groups or those that were the sides' before. `None` where neither
    /// gets anything.
    pub(super) fn shares(&self, before: Option<&Self>, forward: &Forward) -> Option<Weights> {
        let share = |side: Side| -> u32 {
            let own = forward.groups.get(self.on(side));
            let former = before.and_then(|before| forward.groups.get(before.on(side)));
            own.or(former).copied().unwrap_or_default()
        };
        let (blue, green) = (share(Side::Blue), share(Side::Green));
        let all = blue + green;
        // Rounded to the nearest percent.
        (all > 0).then(|| Weights::to(Side::Green, u8::try_from((green * 200 + all) / (all * 2)).unwrap_or(100)))
    }
}

/// What a rule shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `None` for a rule that was taken: it keeps its own.
    pub(super) priority: Option<u32>,
    /// `None` for a rule that was taken.
    pub(super) conditions: Option<BTreeMap<String, Vec<String>>>,
    /// The sides.
    pub(super) groups: Groups,
    /// What the sides were before, so that the traffic stays where it is.
    pub(super) before: Option<Groups>,
}

impl Wanted {
    /// Of known inputs.
    pub(super) fn of(context: &Context, inputs: &Value, identity: Option<&Json>) -> Outcome<Self> {
        let unknown = || failure(Class::Invalid, "ModifyRule", context, "a target group is not known yet");
        let number = inputs.get("alb").and_then(|alb| alb.get("priority")).and_then(Value::as_i64);
        let listener = text(inputs, "listener").is_some();
        let conditions = CONDITIONS
            .into_iter()
            .filter_map(|(name, field)| Some((field.to_owned(), vec![text(inputs, name)?.to_owned()])));
        Ok(Self {
            priority: number.and_then(|number| u32::try_from(number).ok()).filter(|_| listener),
            conditions: listener.then(|| conditions.collect()),
            groups: Groups::of(inputs).ok_or_else(unknown)?,
            before: identity.and_then(Groups::remembered),
        })
    }

    /// The forward that the rule needs; `None` where what it has is right, whatever its weights are.
    pub(super) async fn forward(&self, context: &Context, rule: &ListenerRule) -> Outcome<Option<Forward>> {
        let live = rule.forward.clone().unwrap_or_default();
        let only_forwards = rule.actions == ["forward"];
        if only_forwards && live.groups.keys().eq(self.groups.forward(Weights::to(Side::Blue, 100), None).groups.keys())
        {
            return Ok(None);
        }
        let weights = match self.groups.shares(self.before.as_ref(), &live) {
            Some(weights) => weights,
            None => start(context, &self.groups).await?,
        };
        Ok(Some(self.groups.forward(weights, live.stickiness)))
    }

    /// Whether nothing is left to do, as far as the rule tells.
    pub(super) fn is_met(&self, rule: &ListenerRule) -> bool {
        let groups = rule.forward.iter().flat_map(|forward| forward.groups.keys());
        let both = self.groups.forward(Weights::to(Side::Blue, 100), None);
        rule.actions == ["forward"]
            && groups.eq(both.groups.keys())
            && self.priority.is_none_or(|priority| rule.priority == Some(priority))
            && self.conditions.as_ref().is_none_or(|conditions| rule.conditions == *conditions)
    }

    /// Brings a rule there.
    pub(super) async fn reach(&self, context: &Context, rule: &ListenerRule) -> Outcome<()> {
        let balancers = &context.aws()?.load_balancers;
        if let Some(priority) = self.priority.filter(|priority| rule.priority != Some(*priority)) {
            balancers.set_rule_priority(&rule.arn, priority).await?;
        }
        let conditions = self.conditions.clone().filter(|conditions| rule.conditions != *conditions);
        if conditions.is_some() {
            balancers.modify_rule(&rule.arn, &RuleChange { conditions, forward: None }).await?;
        }
        if let Some(forward) = self.forward(context, rule).await? {
            balancers.modify_rule(&rule.arn, &RuleChange { conditions: None, forward: Some(forward) }).await?;
        }
        Ok(())
    }
}

/// Where the traffic goes that no rule moved yet: to blue, unless only green has targets that are well.
pub(super) async fn start(context: &Context, groups: &Groups) -> Outcome<Weights> {
    let balancers = &context.aws()?.load_balancers;
    let mut well = [false; 2];
    for (at, side) in [Side::Blue, Side::Green].into_iter().enumerate() {
        let group = groups.on(side);
        let targets = context.patiently(|| balancers.describe_target_health(group)).await?;
        well[at] = targets.iter().any(|target| target.state == "healthy");
    }
    Ok(Weights::to(if well == [false, true] { Side::Green } else { Side::Blue }, 100))
}
