//! Elastic Load Balancing: rules of listeners that stacks made, and the health of target groups. Whatever a rule forwards to, no
//! request is sent: targets are what `TargetGroupBinding`s in the sandbox's clusters bind to a group, the instances of a stack's
//! auto scaling groups, and the tasks of its services.

use super::{
    Scope, effect,
    physical::scalar,
    record::{self, ResourceRecord},
};
use crate::world::{
    Class, Failure, Forward, ListenerRule, LoadBalancers, Outcome, RuleChange, RuleRequest, TargetGroup, TargetState,
    sandbox::{Sandbox, Tx, cluster},
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const RULES: &str = "elb-rule";
const LISTENER: &str = "AWS::ElasticLoadBalancingV2::Listener";
const LISTENER_RULE: &str = "AWS::ElasticLoadBalancingV2::ListenerRule";
const TARGET_GROUP: &str = "AWS::ElasticLoadBalancingV2::TargetGroup";
/// How long a new target is looked at before anything is said of it, in seconds.
const INITIAL: i64 = 5;

/// The service in one account and region. A rule that no stack made lies under `SCOPE/RULE-ARN` in the table `elb-rule`.
pub(super) struct Balancers {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) scope: Scope,
}

impl Balancers {
    /// A living thing of a stack, by its ARN.
    fn thing(&self, tx: &Tx<'_>, kind: &str, arn: &str) -> Option<ResourceRecord> {
        record::holder(tx, &self.scope, arn).map(|(_, record)| record).filter(|record| record.resource_type == kind)
    }

    fn listener(&self, tx: &Tx<'_>, operation: &str, arn: &str) -> Outcome<ResourceRecord> {
        self.thing(tx, LISTENER, arn)
            .ok_or_else(|| Failure::new(Class::NotFound, operation, arn, format!("Listener '{arn}' not found")))
    }

    /// A rule, whoever made it, where its listener is there.
    fn rule(&self, tx: &Tx<'_>, arn: &str) -> Option<ListenerRule> {
        if let Some(of_stack) = self.thing(tx, LISTENER_RULE, arn) {
            return Some(declared(arn, effect::live(&of_stack)));
        }
        self.thing(tx, LISTENER, &ListenerRule::listener(arn)?)?;
        tx.get(RULES, &self.scope.key(arn))
    }

    /// All rules of a listener but its default one.
    fn rules(&self, tx: &Tx<'_>, listener: &str) -> Vec<ListenerRule> {
        let own = tx.scan::<ListenerRule>(RULES, &self.scope.key("")).into_iter().map(|(_, rule)| rule);
        let mut rules: Vec<ListenerRule> =
            own.filter(|rule| ListenerRule::listener(&rule.arn).as_deref() == Some(listener)).collect();
        let of_stacks = record::all(tx, &self.scope).into_iter().filter(|record| {
            record.resource_type == LISTENER_RULE
                && scalar(&effect::live(record)["ListenerArn"]).as_deref() == Some(listener)
        });
        rules.extend(of_stacks.map(|record| declared(&record.physical, effect::live(&record))));
        rules.sort_by_key(|rule| rule.priority);
        rules
    }

    fn check_forward(&self, tx: &Tx<'_>, operation: &str, forward: &Forward) -> Outcome<()> {
        if forward.groups.is_empty() || forward.groups.len() > 5 {
            let message = "A forward action must specify 1 to 5 target groups";
            return Err(Failure::new(Class::Invalid, operation, "", message));
        }
        for (group, weight) in &forward.groups {
            if self.thing(tx, TARGET_GROUP, group).is_none() {
                let message = format!("Target group '{group}' not found");
                return Err(Failure::new(Class::NotFound, operation, group, message));
            }
            if *weight > 999 {
                let message = format!("Weight '{weight}' must be between 0 and 999");
                return Err(Failure::new(Class::Invalid, operation, group, message));
            }
        }
        let sticky = forward.stickiness.map(|time| time.as_secs());
        if sticky.is_some_and(|seconds| !(1..=604_800).contains(&seconds)) {
            let message = "The stickiness duration must be between 1 second and 7 days";
            return Err(Failure::new(Class::Invalid, operation, "", message));
        }
        Ok(())
    }

    fn check_priority(&self, tx: &Tx<'_>, operation: &str, rule: Option<&str>, at: (&str, u32)) -> Outcome<()> {
        let (listener, priority) = at;
        if !(1..=50_000).contains(&priority) {
            let message = format!("Priority '{priority}' must be between 1 and 50000");
            return Err(Failure::new(Class::Invalid, operation, listener, message));
        }
        let taken = |other: &ListenerRule| other.priority == Some(priority) && Some(other.arn.as_str()) != rule;
        if self.rules(tx, listener).iter().any(taken) {
            let message = format!("Priority '{priority}' is currently in use");
            return Err(Failure::new(Class::AlreadyExists, operation, listener, message));
        }
        Ok(())
    }

    /// Changes a rule that no stack made.
    async fn edit(
        &self,
        operation: &str,
        arn: &str,
        change: impl Fn(&Tx<'_>, &mut ListenerRule) -> Outcome<()> + Send + Sync,
    ) -> Outcome<()> {
        let edit = |tx: &mut Tx<'_>| {
            let missing = || Failure::new(Class::NotFound, operation, arn, format!("Rule '{arn}' not found"));
            let mut rule = self.rule(tx, arn).ok_or_else(missing)?;
            change(tx, &mut rule)?;
            // A rule of a stack that was changed behind its back stays the stack's: only our own are kept here.
            if tx.has(RULES, &self.scope.key(arn)) {
                tx.put(RULES, &self.scope.key(arn), &rule);
            }
            Ok(())
        };
        self.sandbox.call(operation, arn, edit).await
    }
}

#[async_trait::async_trait]
impl LoadBalancers for Balancers {
    async fn describe_rules(&self, listener: &str) -> Outcome<Vec<ListenerRule>> {
        let operation = "elasticloadbalancing:DescribeRules";
        let read = |tx: &mut Tx<'_>| {
            let found = self.listener(tx, operation, listener)?;
            let mut rules = self.rules(tx, listener);
            let kinds = effect::live(&found)["DefaultActions"].as_array().cloned().unwrap_or_default();
            rules.push(ListenerRule {
                arn: rule_arn(listener, "default"),
                actions: kinds.iter().filter_map(|action| scalar(&action["Type"])).collect(),
                ..ListenerRule::default()
            });
            Ok(rules)
        };
        self.sandbox.call(operation, listener, read).await
    }

    async fn describe_rule(&self, rule: &str) -> Outcome<Option<ListenerRule>> {
        self.sandbox.call("elasticloadbalancing:DescribeRules", rule, |tx| Ok(self.rule(tx, rule))).await
    }

    async fn create_rule(&self, request: &RuleRequest) -> Outcome<ListenerRule> {
        let operation = "elasticloadbalancing:CreateRule";
        let create = |tx: &mut Tx<'_>| {
            self.listener(tx, operation, &request.listener)?;
            self.check_priority(tx, operation, None, (&request.listener, request.priority))?;
            self.check_forward(tx, operation, &request.forward)?;
            if request.conditions.is_empty() {
                let message = "A condition must be specified";
                return Err(Failure::new(Class::Invalid, operation, &request.listener, message));
            }
            let seed = tx.random().to_string();
            let rule = ListenerRule {
                arn: rule_arn(&request.listener, &seed),
                priority: Some(request.priority),
                conditions: request.conditions.clone(),
                actions: vec!["forward".to_owned()],
                forward: Some(request.forward.clone()),
                tags: request.tags.clone(),
            };
            tx.put(RULES, &self.scope.key(&rule.arn), &rule);
            Ok(rule)
        };
        self.sandbox.call(operation, &request.listener, create).await
    }

    async fn modify_rule(&self, rule: &str, change: &RuleChange) -> Outcome<()> {
        let operation = "elasticloadbalancing:ModifyRule";
        self.edit(operation, rule, |tx, rule| {
            if let Some(conditions) = &change.conditions {
                rule.conditions.clone_from(conditions);
            }
            if let Some(forward) = &change.forward {
                self.check_forward(tx, operation, forward)?;
                rule.actions = vec!["forward".to_owned()];
                rule.forward = Some(forward.clone());
            }
            Ok(())
        })
        .await
    }

    async fn set_rule_priority(&self, rule: &str, priority: u32) -> Outcome<()> {
        let operation = "elasticloadbalancing:SetRulePriorities";
        self.edit(operation, rule, |tx, rule| {
            let listener = ListenerRule::listener(&rule.arn).unwrap_or_default();
            self.check_priority(tx, operation, Some(&rule.arn), (&listener, priority))?;
            rule.priority = Some(priority);
            Ok(())
        })
        .await
    }

    async fn delete_rule(&self, rule: &str) -> Outcome<()> {
        let delete = |tx: &mut Tx<'_>| {
            tx.delete(RULES, &self.scope.key(rule));
            Ok(())
        };
        self.sandbox.call("elasticloadbalancing:DeleteRule", rule, delete).await
    }

    async fn add_tags(&self, rule: &str, tags: &BTreeMap<String, String>) -> Outcome<()> {
        let add = |_: &Tx<'_>, rule: &mut ListenerRule| {
            rule.tags.extend(tags.clone());
            Ok(())
        };
        self.edit("elasticloadbalancing:AddTags", rule, add).await
    }

    async fn remove_tags(&self, rule: &str, keys: &[String]) -> Outcome<()> {
        let remove = |_: &Tx<'_>, rule: &mut ListenerRule| {
            rule.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        };
        self.edit("elasticloadbalancing:RemoveTags", rule, remove).await
    }

    async fn describe_target_group(&self, group: &str) -> Outcome<Option<TargetGroup>> {
        let read =
            |tx: &mut Tx<'_>| Ok(self.thing(tx, TARGET_GROUP, group).map(|found| told(group, effect::live(&found))));
        self.sandbox.call("elasticloadbalancing:DescribeTargetGroups", group, read).await
    }

    async fn describe_target_health(&self, group: &str) -> Outcome<Vec<TargetState>> {
        let operation = "elasticloadbalancing:DescribeTargetHealth";
        let read = |tx: &mut Tx<'_>| {
            if self.thing(tx, TARGET_GROUP, group).is_none() {
                let message = format!("Target group '{group}' not found");
                return Err(Failure::new(Class::NotFound, operation, group, message));
            }
            Ok(health(tx, &self.scope, group))
        };
        self.sandbox.call(operation, group, read).await
    }
}

/// What stacks registered with a target group: a stack is complete only once its instances are in service.
fn of_stacks(tx: &Tx<'_>, scope: &Scope, group: &str) -> Vec<TargetState> {
    let mut found = Vec::new();
    for record in record::all(tx, scope) {
        let properties = effect::live(&record);
        let (groups, wanted) = match record.resource_type.as_str() {
            "AWS::AutoScaling::AutoScalingGroup" => (
                properties["TargetGroupARNs"].as_array().map_or(&[][..], Vec::as_slice).iter().collect(),
                [&properties["DesiredCapacity"], &properties["MinSize"]],
            ),
            "AWS::ECS::Service" => {
                let balancers = properties["LoadBalancers"].as_array().map_or(&[][..], Vec::as_slice);
                let groups: Vec<&Json> = balancers.iter().map(|balancer| &balancer["TargetGroupArn"]).collect();
                (groups, [&properties["DesiredCount"], &Json::Null])
            }
            _ => continue,
        };
        if !groups.into_iter().any(|arn| scalar(arn).as_deref() == Some(group)) {
            continue;
        }
        let count = wanted.iter().find_map(|count| scalar(count)?.parse::<usize>().ok()).unwrap_or(1);
        found.extend((0..count.min(100)).map(|at| TargetState {
            target: format!("{}/{at}", record.physical),
            state: "healthy".to_owned(),
            reason: String::new(),
        }));
    }
    found
}

/// The targets of a group by their names, as a health check would find them now.
pub(super) fn health(tx: &Tx<'_>, scope: &Scope, group: &str) -> Vec<TargetState> {
    let state = |target: cluster::Target| {
        let fresh = tx.now().duration_since(target.since).as_secs() < INITIAL;
        let (state, reason) = match (fresh, target.ready) {
            (true, _) => ("initial", "Elb.RegistrationInProgress"),
            (false, true) => ("healthy", ""),
            (false, false) => ("unhealthy", "Target.FailedHealthChecks"),
        };
        TargetState { target: target.address, state: state.to_owned(), reason: reason.to_owned() }
    };
    let mut targets: Vec<TargetState> = cluster::targets(tx, group).into_iter().map(state).collect();
    targets.extend(of_stacks(tx, scope, group));
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    targets
}

/// All rules of a scope but the default ones, whoever made them, by their ARNs; and all target groups.
pub(super) fn routes(tx: &Tx<'_>, scope: &Scope) -> (Vec<ListenerRule>, Vec<String>) {
    let own = tx.scan::<ListenerRule>(RULES, &scope.key("")).into_iter().map(|(_, rule)| rule);
    let mut rules: Vec<ListenerRule> = own.collect();
    let mut groups = Vec::new();
    for record in record::all(tx, scope) {
        match record.resource_type.as_str() {
            LISTENER_RULE => rules.push(declared(&record.physical, effect::live(&record))),
            TARGET_GROUP => groups.push(record.physical),
            _ => {}
        }
    }
    rules.sort_by(|a, b| a.arn.cmp(&b.arn));
    groups.sort();
    (rules, groups)
}

/// A listener is deleted, and its rules with it.
pub(super) fn remove_listener(tx: &mut Tx<'_>, scope: &Scope, listener: &str) {
    for (key, rule) in tx.scan::<ListenerRule>(RULES, &scope.key("")) {
        if ListenerRule::listener(&rule.arn).as_deref() == Some(listener) {
            tx.delete(RULES, &key);
        }
    }
}

fn rule_arn(listener: &str, seed: &str) -> String {
    let hash = hex::encode(Sha256::digest(format!("{listener}\n{seed}")));
    format!("{}/{}", listener.replacen(":listener/", ":listener-rule/", 1), &hash[..16])
}

/// A rule as a template declares it.
fn declared(arn: &str, properties: &Json) -> ListenerRule {
    let list = |json: &Json| -> Vec<Json> { json.as_array().cloned().unwrap_or_default() };
    let texts = |json: &Json| -> Vec<String> { list(json).iter().filter_map(scalar).collect() };
    let condition = |condition: &Json| {
        let values = ["Values", "HostHeaderConfig", "PathPatternConfig"];
        let values = values.iter().flat_map(|name| match *name {
            "Values" => texts(&condition["Values"]),
            config => texts(&condition[config]["Values"]),
        });
        Some((scalar(&condition["Field"])?, values.collect()))
    };
    let actions = list(&properties["Actions"]);
    let number = |json: &Json| scalar(json).and_then(|text| text.parse::<u32>().ok());
    let forward = actions.iter().find(|action| action["Type"] == "forward").map(|action| {
        let groups = list(&action["ForwardConfig"]["TargetGroups"]);
        let mut groups: BTreeMap<String, u32> = groups
            .iter()
            .filter_map(|group| Some((scalar(&group["TargetGroupArn"])?, number(&group["Weight"]).unwrap_or(1))))
            .collect();
        if let Some(only) = scalar(&action["TargetGroupArn"]) {
            groups.entry(only).or_insert(1);
        }
        Forward { groups, stickiness: None }
    });
    ListenerRule {
        arn: arn.to_owned(),
        priority: number(&properties["Priority"]),
        conditions: list(&properties["Conditions"]).iter().filter_map(condition).collect(),
        actions: actions.iter().filter_map(|action| scalar(&action["Type"])).collect(),
        forward,
        tags: BTreeMap::new(),
    }
}

/// A target group as a template declares it.
fn told(arn: &str, properties: &Json) -> TargetGroup {
    let attributes = properties["TargetGroupAttributes"].as_array().map_or(&[][..], Vec::as_slice);
    let attribute = |key: &str| attributes.iter().find(|a| a["Key"] == key).and_then(|a| scalar(&a["Value"]));
    let delay = attribute("deregistration_delay.timeout_seconds").and_then(|seconds| seconds.parse().ok());
    let text = |name: &str, or: &str| scalar(&properties[name]).unwrap_or_else(|| or.to_owned());
    TargetGroup {
        arn: arn.to_owned(),
        protocol: text("Protocol", "HTTP"),
        target_type: text("TargetType", "instance"),
        deregistration_delay: Duration::from_secs(delay.unwrap_or(300)),
        stickiness: attribute("stickiness.enabled").as_deref() == Some("true"),
        health_check_path: text("HealthCheckPath", "/"),
    }
}
