//! Where the traffic of load balancers goes, as `sandbox show` tells it: rules with their weights, target groups with the health of their
//! targets.

use super::{Scope, load_balancers, record::StackRecord};
use crate::world::{
    ListenerRule, TargetState,
    sandbox::{Row, Tx},
};
use std::collections::{BTreeMap, BTreeSet};

/// A rule of a listener.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rule {
    /// `ACCOUNT/REGION`.
    pub place: String,
    /// Its ARN.
    pub arn: String,
    /// Its listener's ARN.
    pub listener: String,
    /// 1 to 50,000.
    pub priority: Option<u32>,
    /// What a request must be like: the values of each field.
    pub conditions: BTreeMap<String, Vec<String>>,
    /// The weight of each target group that it forwards to, by its ARN.
    pub weights: BTreeMap<String, u32>,
    /// For how many seconds a client keeps its target group; `None` where it does not.
    pub sticky_seconds: Option<u64>,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TargetGroup {
    /// `ACCOUNT/REGION`.
    pub place: String,
    /// Its ARN.
    pub arn: String,
    /// What is registered with it.
    pub targets: Vec<Target>,
}

/// A target of a group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Target {
    /// An address with its port, or an instance.
    pub target: String,
    /// `initial`, `healthy` or `unhealthy`.
    pub state: String,
    /// Why, where it is not healthy.
    pub reason: String,
}

/// All rules and target groups of all accounts and regions.
pub(in crate::world::sandbox) fn show(tx: &Tx<'_>) -> (Vec<Rule>, Vec<TargetGroup>) {
    let stacks = tx.scan::<StackRecord>("stack", "").into_iter();
    let scopes: BTreeMap<String, Scope> = stacks.map(|(_, stack)| (stack.scope.to_string(), stack.scope)).collect();
    let (mut rules, mut groups) = (Vec::new(), Vec::new());
    for (place, scope) in &scopes {
        let (found, arns) = load_balancers::routes(tx, scope);
        rules.extend(found.into_iter().map(|rule| told(place, rule)));
        groups.extend(arns.into_iter().map(|arn| {
            let targets = load_balancers::health(tx, scope, &arn).into_iter();
            let target = |TargetState { target, state, reason }| Target { target, state, reason };
            TargetGroup { place: place.clone(), targets: targets.map(target).collect(), arn }
        }));
    }
    (rules, groups)
}

fn told(place: &str, rule: ListenerRule) -> Rule {
    let forward = rule.forward.unwrap_or_default();
    Rule {
        place: place.to_owned(),
        listener: ListenerRule::listener(&rule.arn).unwrap_or_default(),
        arn: rule.arn,
        priority: rule.priority,
        conditions: rule.conditions,
        weights: forward.groups,
        sticky_seconds: forward.stickiness.map(|time| time.as_secs()),
    }
}

impl Rule {
    /// As a line of the table: `web/100`, and where it sends what.
    pub(in crate::world::sandbox) fn row(&self) -> Row {
        let priority = self.priority.map_or_else(|| "default".to_owned(), |priority| priority.to_string());
        let conditions = self.conditions.values().map(|values| values.join(" or ")).collect::<Vec<_>>().join(", ");
        let weights: Vec<String> =
            self.weights.iter().map(|(group, weight)| format!("{} {weight}", short(group))).collect();
        let sticky = self.sticky_seconds.map(|time| format!(", sticky for {time}s")).unwrap_or_default();
        Row {
            kind: "rule".to_owned(),
            place: self.place.clone(),
            name: format!("{}/{priority}", short(&self.listener)),
            status: String::new(),
            detail: format!("{conditions} -> {}{sticky}", weights.join(", ")),
        }
    }
}

impl TargetGroup {
    /// As a line of the table: how many targets are well, and which.
    pub(in crate::world::sandbox) fn row(&self) -> Row {
        let states: BTreeSet<&str> = self.targets.iter().map(|target| target.state.as_str()).collect();
        let count = |state: &str| self.targets.iter().filter(|target| target.state == state).count();
        let counts: Vec<String> = states.iter().map(|state| format!("{} {state}", count(state))).collect();
        let targets: Vec<String> = self
            .targets
            .iter()
            .map(|target| match target.reason.as_str() {
                "" => target.target.clone(),
                reason => format!("{} ({reason})", target.target),
            })
            .collect();
        Row {
            kind: "target-group".to_owned(),
            place: self.place.clone(),
            name: short(&self.arn).to_owned(),
            status: if counts.is_empty() { "no targets".to_owned() } else { counts.join(", ") },
            detail: targets.join(", "),
        }
    }
}

/// The part of an ARN that tells things of a type apart.
fn short(arn: &str) -> &str {
    let last = arn.rsplit(':').next().unwrap_or(arn);
    last.split_once('/').map_or(last, |(_, name)| name)
}
