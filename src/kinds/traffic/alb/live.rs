//! From a live rule to what the diff compares. How much each side gets is left out everywhere: it is the rollouts'.

use super::{CONDITIONS, text};
use crate::{
    base::{Digest, Value},
    kinds::{Context, Desired, Observed, Owner},
    world::{Class, ListenerRule, Outcome},
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Finds the rule by its ARN, else by our tags on the listener, else by its priority there.
pub(super) async fn find(context: &Context, identity: &Json) -> Outcome<Option<ListenerRule>> {
    let balancers = &context.aws()?.load_balancers;
    if let Some(arn) = identity["rule"].as_str() {
        if let Some(rule) = context.patiently(|| balancers.describe_rule(arn)).await? {
            return Ok(Some(rule));
        }
        return Ok(None);
    }
    let Some(listener) = identity["listener"].as_str() else { return Ok(None) };
    let rules = on(context, listener).await?;
    let ours = rules.iter().find(|rule| is_ours(context, rule)).cloned();
    Ok(ours.or_else(|| rules.into_iter().find(|rule| rule.priority.is_some_and(|p| identity["priority"] == p))))
}

/// The rules of a listener; none where there is no such listener.
pub(super) async fn on(context: &Context, listener: &str) -> Outcome<Vec<ListenerRule>> {
    let balancers = &context.aws()?.load_balancers;
    match context.patiently(|| balancers.describe_rules(listener)).await {
        Err(failure) if failure.class == Class::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// Whether a rule bears the marks of this very block.
pub(super) fn is_ours(context: &Context, rule: &ListenerRule) -> bool {
    context.marks.owner_by_tags(&rule.tags, &context.address) == Owner::Ours(context.address.to_string())
}

/// Reads the rule. One that is to be taken, or whose marks somebody took off, is not there yet as far as the plan is concerned:
/// taking it is what creates it.
pub(in crate::kinds::traffic) async fn read(
    context: &Context,
    identity: &Json,
    desired: Option<&Desired>,
) -> Outcome<Option<Observed>> {
    let Some(rule) = find(context, identity).await? else { return Ok(None) };
    let owner = context.marks.owner_by_tags(&rule.tags, &context.address);
    if identity["taken"] == true && owner == Owner::Nobody {
        return Ok(None);
    }
    Ok(Some(observed(&rule, identity, desired, owner)))
}

fn observed(rule: &ListenerRule, identity: &Json, desired: Option<&Desired>, owner: Owner) -> Observed {
    let taken = identity["taken"] == true;
    let groups = rule.forward.as_ref().map(|forward| &forward.groups);
    let there = |arn: &str| groups.is_some_and(|groups| groups.contains_key(arn));
    let known = |side: &str| -> Vec<String> {
        let wanted = desired.and_then(|d| text(&d.inputs, side)).map(str::to_owned);
        wanted.into_iter().chain(identity[side].as_str().map(str::to_owned)).collect()
    };
    let mut block: BTreeMap<&str, Value> = BTreeMap::new();
    // An endpoint that tells of no group where it forwards does not say which they are; AWS always does.
    let told = rule.actions != ["forward"] || groups.is_some_and(|groups| !groups.is_empty());
    for side in ["blue", "green"] {
        if !told {
            block.insert(side, Value::UNKNOWN);
        } else if let Some(arn) = known(side).into_iter().find(|arn| there(arn)) {
            block.insert(side, arn.into());
        }
    }
    // It goes into effect when traffic is moved next; until then what was applied last says what is wanted.
    block.insert("stickiness", Value::UNKNOWN);
    if taken {
        block.insert("rule", rule.arn.as_str().into());
    } else {
        block.insert("listener", ListenerRule::listener(&rule.arn).unwrap_or_default().into());
        block.extend(rule.priority.map(|priority| ("priority", Value::from(i64::from(priority)))));
        for (name, field) in CONDITIONS {
            block.extend(rule.conditions.get(field).map(|values| (name, Value::from(values.join(", ")))));
        }
    }
    let foreign = foreign(rule, taken, &["blue", "green"].into_iter().flat_map(known).collect());
    if !foreign.is_empty() {
        block.insert("others", Value::tuple(foreign.into_iter().map(Value::from).collect()));
    }
    let conditions = |conditions: &BTreeMap<String, Vec<String>>| Value::from_json(&json!(conditions));
    let side = |side: &str| known(side).into_iter().find(|arn| there(arn)).map_or(Value::NULL, Value::from);
    Observed {
        held: None,
        identity: full_identity(rule, identity),
        inputs: Value::object([("alb", Value::object(block))]),
        documents: BTreeMap::new(),
        exports: exports(&rule.arn),
        owner,
        fingerprint: Digest::of_value(&json!([
            rule.arn,
            rule.priority,
            rule.conditions,
            rule.actions,
            groups.map(|g| g.keys().collect::<Vec<_>>()),
            rule.tags
        ])),
        condition: None,
        image: Value::object([
            ("priority", rule.priority.map_or(Value::NULL, |priority| i64::from(priority).into())),
            ("conditions", conditions(&rule.conditions)),
            ("blue", side("blue")),
            ("green", side("green")),
        ]),
    }
}

/// What a rule does or asks that we never wrote: other target groups, other actions, other conditions.
fn foreign(rule: &ListenerRule, taken: bool, ours: &BTreeSet<String>) -> Vec<String> {
    let groups = rule.forward.iter().flat_map(|forward| forward.groups.keys());
    let groups = groups.filter(|arn| !ours.contains(*arn)).map(|arn| format!("forward to {arn}"));
    let actions = rule.actions.iter().filter(|action| *action != "forward").map(|action| format!("action {action}"));
    let own = |field: &str| CONDITIONS.iter().any(|(_, known)| *known == field);
    let conditions = rule.conditions.iter().filter(|(field, _)| !taken && !own(field));
    let conditions = conditions.map(|(field, values)| format!("condition {field} {}", values.join(", ")));
    groups.chain(actions).chain(conditions).collect()
}

/// The rule, and what state remembers beside it: the sides, and that it was taken.
pub(super) fn full_identity(rule: &ListenerRule, remembered: &Json) -> Json {
    let mut identity = json!({ "rule": rule.arn });
    for name in ["taken", "blue", "green", "stickiness"] {
        if let Some(value) = remembered.get(name) {
            identity[name] = value.clone();
        }
    }
    identity
}

pub(super) fn exports(rule: &str) -> Value {
    Value::object([("id", Value::from(rule))])
}
