//! Application load balancers, as far as rules move traffic between target groups. Names and meanings are those of the API
//! reference of Elastic Load Balancing, version 2015-12-01.

use crate::world::Outcome;
use async_trait::async_trait;
use std::{collections::BTreeMap, time::Duration};

/// A rule of a listener, as DescribeRules and DescribeTags tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ListenerRule {
    /// The ARN.
    pub arn: String,
    /// 1 to 50,000; `None` for the listener's default rule.
    pub priority: Option<u32>,
    /// What a request must be like: the values of each field (`host-header`, `path-pattern`, ...).
    pub conditions: BTreeMap<String, Vec<String>>,
    /// The types of its actions, in order: `forward`, `authenticate-oidc`, `redirect`, ...
    pub actions: Vec<String>,
    /// What its `forward` says, where it has one.
    pub forward: Option<Forward>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl ListenerRule {
    /// The listener that a rule is of; a rule's ARN is its listener's and one part more.
    #[must_use]
    pub fn listener(arn: &str) -> Option<String> {
        let (head, _) = arn.rsplit_once('/')?;
        let (before, after) = head.split_once(":listener-rule/")?;
        Some(format!("{before}:listener/{after}"))
    }
}

/// A weighted forward.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Forward {
    /// The weight of each target group, 0 to 999, by its ARN.
    pub groups: BTreeMap<String, u32>,
    /// How long a client keeps its target group; `None` where it does not.
    pub stickiness: Option<Duration>,
}

/// A rule to make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleRequest {
    /// The listener's ARN.
    pub listener: String,
    /// 1 to 50,000, and of no other rule of the listener.
    pub priority: u32,
    /// As in [`ListenerRule::conditions`]; `host-header` and `path-pattern` only.
    pub conditions: BTreeMap<String, Vec<String>>,
    /// Where to.
    pub forward: Forward,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// What ModifyRule changes; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleChange {
    /// All conditions.
    pub conditions: Option<BTreeMap<String, Vec<String>>>,
    /// All actions: this forward, and nothing else.
    pub forward: Option<Forward>,
}

/// A target group, as DescribeTargetGroups and DescribeTargetGroupAttributes tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TargetGroup {
    /// The ARN.
    pub arn: String,
    /// `HTTP`, `HTTPS`.
    pub protocol: String,
    /// `ip`, `instance`, `lambda`, `alb`.
    pub target_type: String,
    /// How long a target that is taken out keeps the requests that it has.
    pub deregistration_delay: Duration,
    /// Whether a client keeps its target.
    pub stickiness: bool,
    /// The path that is asked for to tell whether a target is well; empty where there is none.
    pub health_check_path: String,
}

/// A target and its health, as DescribeTargetHealth tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TargetState {
    /// `10.0.1.7:4466`.
    pub target: String,
    /// `initial`, `healthy`, `unhealthy`, `unhealthy.draining`, `unused`, `draining`, `unavailable`.
    pub state: String,
    /// Why: `Target.Timeout`; empty where it is healthy.
    pub reason: String,
}

/// Elastic Load Balancing in one account and region.
#[async_trait]
pub trait LoadBalancers: Send + Sync {
    /// Every rule of a listener with its tags, by priority, the default one last. A missing listener is `NotFound`.
    async fn describe_rules(&self, listener: &str) -> Outcome<Vec<ListenerRule>>;
    /// The rule with its tags; `None` where there is none.
    async fn describe_rule(&self, rule: &str) -> Outcome<Option<ListenerRule>>;
    /// Makes a rule. There is no token: who asks again looks by tags first. A taken priority is `AlreadyExists`.
    async fn create_rule(&self, request: &RuleRequest) -> Outcome<ListenerRule>;
    /// Changes conditions or forward, in one call. A missing rule is `NotFound`.
    async fn modify_rule(&self, rule: &str, change: &RuleChange) -> Outcome<()>;
    /// Gives a rule another priority. One that is taken is `AlreadyExists`.
    async fn set_rule_priority(&self, rule: &str, priority: u32) -> Outcome<()>;
    /// Deletes a rule. An absent one is no error.
    async fn delete_rule(&self, rule: &str) -> Outcome<()>;
    /// Adds tags, or gives those that it has another value. Idempotent.
    async fn add_tags(&self, rule: &str, tags: &BTreeMap<String, String>) -> Outcome<()>;
    /// Takes tags off. Idempotent.
    async fn remove_tags(&self, rule: &str, keys: &[String]) -> Outcome<()>;
    /// The target group; `None` where there is none.
    async fn describe_target_group(&self, group: &str) -> Outcome<Option<TargetGroup>>;
    /// The targets of a group with their health, ordered. A missing group is `NotFound`.
    async fn describe_target_health(&self, group: &str) -> Outcome<Vec<TargetState>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_tells_its_listener() {
        let rule = "arn:aws:elasticloadbalancing:eu-west-1:1:listener-rule/app/web/50dc/f2f7/9683";
        let listener = ListenerRule::listener(rule);
        assert_eq!(listener.as_deref(), Some("arn:aws:elasticloadbalancing:eu-west-1:1:listener/app/web/50dc/f2f7"));
        assert_eq!(ListenerRule::listener("arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/1"), None);
    }
}
