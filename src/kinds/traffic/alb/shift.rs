//! Moving the traffic of a rule: one ModifyRule with both weights, proved by DescribeRules and DescribeTargetHealth.

use super::{binding, failure, stickiness, wanted::Groups};
use crate::{
    base::{Side, Value},
    kinds::{Context, traffic::receiver},
    world::{Backend, Class, Outcome, Routed, RuleChange, TargetHealth, Traffic, Weights},
};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::time::Duration;

/// A rule with its two target groups.
struct Alb {
    context: Context,
    release: Option<Context>,
    rule: String,
    groups: Groups,
    /// While both sides get traffic; `None` leaves what is set on the rule.
    stickiness: Option<Duration>,
}

pub(in crate::kinds::traffic) fn open(
    context: &Context,
    inputs: &Value,
    identity: &Json,
    release: Option<&Context>,
) -> Outcome<Box<dyn Traffic>> {
    context.aws()?;
    let missing = || failure(Class::Invalid, "DescribeRules", context, "the rule was never applied");
    let remembered = identity["stickiness"].as_u64().map(Duration::from_secs);
    Ok(Box::new(Alb {
        rule: identity["rule"].as_str().ok_or_else(missing)?.to_owned(),
        groups: Groups::of(inputs).or_else(|| Groups::remembered(identity)).ok_or_else(missing)?,
        stickiness: stickiness(inputs).or(remembered),
        context: context.clone(),
        release: release.cloned(),
    }))
}

impl Alb {
    fn release(&self) -> Outcome<&Context> {
        let missing = || failure(Class::Invalid, "bind", &self.context, "what is rolled out is in no cluster");
        self.release.as_ref().ok_or_else(missing)
    }
}

#[async_trait]
impl Traffic for Alb {
    async fn bind(&self, side: Side, backend: &Backend) -> Outcome<()> {
        let group = self.groups.on(side);
        let balancers = &self.context.aws()?.load_balancers;
        let missing = || {
            failure(Class::NotFound, "DescribeTargetGroups", &self.context, format!("there is no target group {group}"))
        };
        let found = self.context.patiently(|| balancers.describe_target_group(group)).await?.ok_or_else(missing)?;
        receiver::port(self.release()?, backend).await?;
        let wanted = binding::Binding { address: &self.context.address, side, group: &found, backend };
        binding::bind(self.release()?, &wanted).await
    }

    async fn unbind(&self, side: Side) -> Outcome<()> {
        binding::unbind(self.release()?, &self.context.address, side).await
    }

    async fn shift(&self, weights: Weights) -> Outcome<()> {
        let balancers = &self.context.aws()?.load_balancers;
        let split = [Side::Blue, Side::Green].iter().all(|side| weights.of(*side) > 0);
        let stickiness = match (split, self.stickiness) {
            // A client that kept its group would go on to the side that has nothing any more.
            (false, _) => None,
            (true, Some(time)) => Some(time),
            (true, None) => {
                let rule = self.context.patiently(|| balancers.describe_rule(&self.rule)).await?;
                rule.and_then(|rule| rule.forward?.stickiness)
            }
        };
        let forward = Some(self.groups.forward(weights, stickiness));
        balancers.modify_rule(&self.rule, &RuleChange { conditions: None, forward }).await
    }

    async fn read(&self) -> Outcome<Routed> {
        let balancers = &self.context.aws()?.load_balancers;
        let gone =
            || failure(Class::NotFound, "DescribeRules", &self.context, format!("the rule {} is gone", self.rule));
        let rule = self.context.patiently(|| balancers.describe_rule(&self.rule)).await?.ok_or_else(gone)?;
        let forward = rule.forward.clone().unwrap_or_default();
        let shares = self.groups.shares(None, &forward);
        let other = rule.actions.iter().find(|action| *action != "forward");
        let foreign = forward.groups.keys().find(|group| ![&self.groups.blue, &self.groups.green].contains(group));
        let absent =
            [Side::Blue, Side::Green].into_iter().find(|side| !forward.groups.contains_key(self.groups.on(*side)));
        let unproved = match (other, foreign, absent, shares) {
            (Some(action), ..) => Some(format!("the rule has the action {action} beside or in place of its forward")),
            (_, Some(group), ..) => Some(format!("the rule forwards to {group}, which is neither blue nor green")),
            (_, _, Some(side), _) => Some(format!("the rule does not forward to the {side} target group")),
            (.., None) => Some("neither side has any weight".to_owned()),
            _ => None,
        };
        Ok(Routed { weights: shares.unwrap_or(Weights::to(Side::Blue, 100)), unproved })
    }

    async fn health(&self, side: Side) -> Outcome<TargetHealth> {
        let balancers = &self.context.aws()?.load_balancers;
        let group = self.groups.on(side);
        let mut health = TargetHealth::default();
        for target in self.context.patiently(|| balancers.describe_target_health(group)).await? {
            match target.state.as_str() {
                "healthy" => health.healthy += 1,
                "initial" => health.initial += 1,
                "draining" | "unhealthy.draining" => health.draining += 1,
                state => {
                    let why = if target.reason.is_empty() { state } else { &target.reason };
                    health.unhealthy.push(format!("{} {why}", target.target));
                }
            }
        }
        Ok(health)
    }

    async fn drain(&self, side: Side) -> Outcome<Duration> {
        let balancers = &self.context.aws()?.load_balancers;
        let group = self.groups.on(side);
        let found = self.context.patiently(|| balancers.describe_target_group(group)).await?;
        Ok(found.map(|group| group.deregistration_delay).unwrap_or_default())
    }
}
