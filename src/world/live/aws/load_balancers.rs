//! Elastic Load Balancing over its SDK. Source: the API reference of version 2015-12-01, one operation a method.

use super::{failure::failed, session::Session};
use crate::world::{
    Class, Failure, Forward, ListenerRule, LoadBalancers, Outcome, RuleChange, RuleRequest, TargetGroup, TargetState,
};
use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::{Client, types as sdk};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How many things DescribeTags takes at once.
const TAGS_AT_ONCE: usize = 20;

/// Elastic Load Balancing of one connection.
pub(super) struct LiveLoadBalancers(pub(super) Arc<Session>);

impl LiveLoadBalancers {
    async fn client(&self) -> Outcome<&Client> {
        Ok(&self.0.clients().await?.elasticloadbalancing)
    }

    /// The rules with their tags.
    async fn tagged(&self, rules: &[sdk::Rule]) -> Outcome<Vec<ListenerRule>> {
        let mut out: Vec<ListenerRule> = rules.iter().map(rule).collect();
        for some in out.chunks_mut(TAGS_AT_ONCE) {
            let arns: Vec<String> = some.iter().map(|rule| rule.arn.clone()).collect();
            let call = self.client().await?.describe_tags().set_resource_arns(Some(arns));
            let operation = "elasticloadbalancing:DescribeTags";
            let answer = call.send().await.map_err(failed(operation, some.first().map_or("", |rule| &rule.arn)))?;
            for described in answer.tag_descriptions() {
                let tags = described.tags().iter();
                let tags =
                    tags.map(|t| (t.key().unwrap_or_default().to_owned(), t.value().unwrap_or_default().to_owned()));
                if let Some(rule) = some.iter_mut().find(|rule| Some(rule.arn.as_str()) == described.resource_arn()) {
                    rule.tags = tags.collect();
                }
            }
        }
        out.sort_by_key(|rule| (rule.priority.unwrap_or(u32::MAX), rule.arn.clone()));
        Ok(out)
    }
}

#[async_trait]
impl LoadBalancers for LiveLoadBalancers {
    async fn describe_rules(&self, listener: &str) -> Outcome<Vec<ListenerRule>> {
        let mut pages = self.client().await?.describe_rules().listener_arn(listener).into_paginator().send();
        let mut rules = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("elasticloadbalancing:DescribeRules", listener))?;
            rules.extend(page.rules.unwrap_or_default());
        }
        self.tagged(&rules).await
    }

    async fn describe_rule(&self, rule: &str) -> Outcome<Option<ListenerRule>> {
        let call = self.client().await?.describe_rules().rule_arns(rule);
        let answer = match call.send().await.map_err(failed("elasticloadbalancing:DescribeRules", rule)) {
            Err(failure) if failure.class == Class::NotFound => return Ok(None),
            other => other?,
        };
        match self.tagged(answer.rules()).await {
            // It went between the two calls.
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            other => Ok(other?.into_iter().next()),
        }
    }

    async fn create_rule(&self, request: &RuleRequest) -> Outcome<ListenerRule> {
        let operation = "elasticloadbalancing:CreateRule";
        let tag = |(key, value): (&String, &String)| sdk::Tag::builder().key(key).value(value).build();
        let tags: Vec<sdk::Tag> = request.tags.iter().map(tag).collect();
        let call = self
            .client()
            .await?
            .create_rule()
            .listener_arn(&request.listener)
            .priority(number(request.priority))
            .set_conditions(Some(conditions(&request.conditions)))
            .actions(action(&request.forward))
            .set_tags((!tags.is_empty()).then_some(tags));
        let answer = call.send().await.map_err(failed(operation, &request.listener))?;
        let made = answer.rules().first().map(rule);
        let nothing = || Failure::new(Class::Unavailable, operation, &request.listener, "the answer has no rule");
        Ok(ListenerRule { tags: request.tags.clone(), ..made.ok_or_else(nothing)? })
    }

    async fn modify_rule(&self, rule: &str, change: &RuleChange) -> Outcome<()> {
        let call = self
            .client()
            .await?
            .modify_rule()
            .rule_arn(rule)
            .set_conditions(change.conditions.as_ref().map(conditions))
            .set_actions(change.forward.as_ref().map(|forward| vec![action(forward)]));
        call.send().await.map_err(failed("elasticloadbalancing:ModifyRule", rule)).map(drop)
    }

    async fn set_rule_priority(&self, rule: &str, priority: u32) -> Outcome<()> {
        let pair = sdk::RulePriorityPair::builder().rule_arn(rule).priority(number(priority)).build();
        let call = self.client().await?.set_rule_priorities().rule_priorities(pair);
        call.send().await.map_err(failed("elasticloadbalancing:SetRulePriorities", rule)).map(drop)
    }

    async fn delete_rule(&self, rule: &str) -> Outcome<()> {
        let call = self.client().await?.delete_rule().rule_arn(rule);
        match call.send().await.map_err(failed("elasticloadbalancing:DeleteRule", rule)) {
            Err(failure) if failure.class == Class::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    async fn add_tags(&self, rule: &str, tags: &BTreeMap<String, String>) -> Outcome<()> {
        let tags = tags.iter().map(|(key, value)| sdk::Tag::builder().key(key).value(value).build()).collect();
        let call = self.client().await?.add_tags().resource_arns(rule).set_tags(Some(tags));
        call.send().await.map_err(failed("elasticloadbalancing:AddTags", rule)).map(drop)
    }

    async fn remove_tags(&self, rule: &str, keys: &[String]) -> Outcome<()> {
        let call = self.client().await?.remove_tags().resource_arns(rule).set_tag_keys(Some(keys.to_vec()));
        call.send().await.map_err(failed("elasticloadbalancing:RemoveTags", rule)).map(drop)
    }

    async fn describe_target_group(&self, group: &str) -> Outcome<Option<TargetGroup>> {
        let call = self.client().await?.describe_target_groups().target_group_arns(group);
        let answer = match call.send().await.map_err(failed("elasticloadbalancing:DescribeTargetGroups", group)) {
            Err(failure) if failure.class == Class::NotFound => return Ok(None),
            other => other?,
        };
        let Some(found) = answer.target_groups().first() else { return Ok(None) };
        let operation = "elasticloadbalancing:DescribeTargetGroupAttributes";
        let call = self.client().await?.describe_target_group_attributes().target_group_arn(group);
        let answer = call.send().await.map_err(failed(operation, group))?;
        let attribute = |key: &str| answer.attributes().iter().find(|a| a.key() == Some(key))?.value();
        let delay = attribute("deregistration_delay.timeout_seconds").and_then(|seconds| seconds.parse().ok());
        Ok(Some(TargetGroup {
            arn: group.to_owned(),
            protocol: found.protocol().map(|p| p.as_str().to_owned()).unwrap_or_default(),
            target_type: found.target_type().map(|t| t.as_str().to_owned()).unwrap_or_default(),
            // What AWS takes where nothing is said.
            deregistration_delay: Duration::from_secs(delay.unwrap_or(300)),
            stickiness: attribute("stickiness.enabled") == Some("true"),
            health_check_path: found.health_check_path().unwrap_or_default().to_owned(),
        }))
    }

    async fn describe_target_health(&self, group: &str) -> Outcome<Vec<TargetState>> {
        let call = self.client().await?.describe_target_health().target_group_arn(group);
        let answer = call.send().await.map_err(failed("elasticloadbalancing:DescribeTargetHealth", group))?;
        let mut targets: Vec<TargetState> = answer.target_health_descriptions().iter().map(target).collect();
        targets.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(targets)
    }
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn weight(value: Option<i32>) -> u32 {
    // A group that stands alone may come without one, and then has everything.
    value.map_or(1, |weight| u32::try_from(weight).unwrap_or_default())
}

fn conditions(wanted: &BTreeMap<String, Vec<String>>) -> Vec<sdk::RuleCondition> {
    let one = |(field, values): (&String, &Vec<String>)| {
        let condition = sdk::RuleCondition::builder().field(field);
        match field.as_str() {
            "host-header" => {
                let hosts = sdk::HostHeaderConditionConfig::builder().set_values(Some(values.clone())).build();
                condition.host_header_config(hosts).build()
            }
            "path-pattern" => {
                let paths = sdk::PathPatternConditionConfig::builder().set_values(Some(values.clone())).build();
                condition.path_pattern_config(paths).build()
            }
            _ => condition.set_values(Some(values.clone())).build(),
        }
    };
    wanted.iter().map(one).collect()
}

fn action(forward: &Forward) -> sdk::Action {
    let group = |(arn, weight): (&String, &u32)| {
        sdk::TargetGroupTuple::builder().target_group_arn(arn).weight(number(*weight)).build()
    };
    let stickiness = sdk::TargetGroupStickinessConfig::builder().enabled(forward.stickiness.is_some());
    let stickiness = match forward.stickiness {
        Some(time) => stickiness.duration_seconds(i32::try_from(time.as_secs()).unwrap_or(i32::MAX)),
        None => stickiness,
    };
    let config = sdk::ForwardActionConfig::builder()
        .set_target_groups(Some(forward.groups.iter().map(group).collect()))
        .target_group_stickiness_config(stickiness.build());
    sdk::Action::builder().r#type(sdk::ActionTypeEnum::Forward).forward_config(config.build()).build()
}

/// A rule without its tags.
fn rule(told: &sdk::Rule) -> ListenerRule {
    let forward = told.actions().iter().find(|action| action.r#type() == Some(&sdk::ActionTypeEnum::Forward));
    ListenerRule {
        arn: told.rule_arn().unwrap_or_default().to_owned(),
        priority: told.priority().and_then(|priority| priority.parse().ok()),
        conditions: told.conditions().iter().map(condition).collect(),
        actions: told
            .actions()
            .iter()
            .map(|action| action.r#type().map(|kind| kind.as_str().to_owned()).unwrap_or_default())
            .collect(),
        forward: forward.map(forward_of),
        tags: BTreeMap::new(),
    }
}

fn forward_of(action: &sdk::Action) -> Forward {
    let config = action.forward_config();
    let groups = config.map(sdk::ForwardActionConfig::target_groups).unwrap_or_default().iter();
    let mut groups: BTreeMap<String, u32> =
        groups.filter_map(|group| Some((group.target_group_arn()?.to_owned(), weight(group.weight())))).collect();
    if let Some(only) = action.target_group_arn().filter(|_| groups.is_empty()) {
        groups.insert(only.to_owned(), 1);
    }
    let sticky = config.and_then(|config| config.target_group_stickiness_config());
    let sticky = sticky.filter(|sticky| sticky.enabled() == Some(true));
    let stickiness =
        sticky.map(|sticky| Duration::from_secs(sticky.duration_seconds().unwrap_or(0).max(0).unsigned_abs().into()));
    Forward { groups, stickiness }
}

/// The field of a condition and all that it takes, whichever way it is told.
fn condition(told: &sdk::RuleCondition) -> (String, Vec<String>) {
    let mut values: Vec<String> = told.values().to_vec();
    if let Some(config) = told.host_header_config().filter(|_| values.is_empty()) {
        values.extend(config.values().iter().cloned());
    }
    if let Some(config) = told.path_pattern_config().filter(|_| values.is_empty()) {
        values.extend(config.values().iter().cloned());
    }
    if let Some(config) = told.http_header_config() {
        let name = config.http_header_name().unwrap_or_default();
        values.extend(config.values().iter().map(|value| format!("{name}: {value}")));
    }
    if let Some(config) = told.query_string_config() {
        let pair = |pair: &sdk::QueryStringKeyValuePair| {
            format!("{}={}", pair.key().unwrap_or("*"), pair.value().unwrap_or_default())
        };
        values.extend(config.values().iter().map(pair));
    }
    if let Some(config) = told.http_request_method_config() {
        values.extend(config.values().iter().cloned());
    }
    if let Some(config) = told.source_ip_config() {
        values.extend(config.values().iter().cloned());
    }
    values.extend(told.regex_values().iter().map(|regex| format!("regex {regex}")));
    values.dedup();
    (told.field().unwrap_or_default().to_owned(), values)
}

fn target(told: &sdk::TargetHealthDescription) -> TargetState {
    let at = told.target().map(|target| match target.port() {
        Some(port) => format!("{}:{port}", target.id().unwrap_or_default()),
        None => target.id().unwrap_or_default().to_owned(),
    });
    let health = told.target_health();
    let word = |text: Option<&str>| text.unwrap_or_default().to_owned();
    TargetState {
        target: at.unwrap_or_default(),
        state: word(health.and_then(|h| h.state()).map(sdk::TargetHealthStateEnum::as_str)),
        reason: word(health.and_then(|h| h.reason()).map(sdk::TargetHealthReasonEnum::as_str)),
    }
}
