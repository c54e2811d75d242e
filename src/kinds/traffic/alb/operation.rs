//! Making, taking, changing and deleting a rule.

use super::{
    failure,
    live::{exports, find, full_identity, is_ours, on},
    preview::refusal,
    text,
    wanted::{Groups, Wanted, start},
};
use crate::{
    base::{ActionWord, Value},
    kinds::{Applied, Context, Owner, Recovered, Step, traffic::gone},
    world::{Class, Failure, ListenerRule, Outcome, RuleChange, RuleRequest},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

pub(in crate::kinds::traffic) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let Some(desired) = step.desired.filter(|_| step.action != ActionWord::Delete) else {
        return delete(context, step.identity.unwrap_or(&Json::Null)).await;
    };
    let inputs = &desired.inputs;
    let wanted = Wanted::of(context, inputs, step.identity)?;
    let rule = match (step.action, text(inputs, "rule")) {
        (ActionWord::Create, None) => create(context, inputs, &wanted).await?,
        (ActionWord::Create, Some(rule)) => take(context, rule, &wanted).await?,
        _ => change(context, step, &wanted).await?,
    };
    Ok(applied(&rule, step))
}

/// What was made, with what state remembers of it.
fn applied(rule: &ListenerRule, step: &Step<'_>) -> Applied {
    let inputs = step.desired.map_or(&Value::NULL, |desired| &desired.inputs);
    let mut identity = full_identity(rule, step.identity.unwrap_or(&Json::Null));
    if text(inputs, "rule").is_some() {
        identity["taken"] = json!(true);
    }
    for side in ["blue", "green"] {
        identity[side] = json!(text(inputs, side));
    }
    // What a rule had when we took it is what its owner wants while traffic is split.
    let met = rule.forward.as_ref().and_then(|forward| forward.stickiness);
    if let Some(time) = met.filter(|_| step.action == ActionWord::Create) {
        identity["stickiness"] = json!(time.as_secs());
    }
    let note = rule.priority.map(|priority| format!("priority {priority}")).unwrap_or_default();
    Applied { identity, exports: exports(&rule.arn), note }
}

/// Makes a rule of our own, unless a call whose answer was lost made it already.
async fn create(context: &Context, inputs: &Value, wanted: &Wanted) -> Outcome<ListenerRule> {
    let (Some(listener), Some(priority)) = (text(inputs, "listener"), wanted.priority) else {
        return Err(failure(Class::Invalid, "CreateRule", context, "the listener or the priority is not known yet"));
    };
    let balancers = &context.aws()?.load_balancers;
    let rules = on(context, listener).await?;
    if let Some(rule) = rules.iter().find(|rule| is_ours(context, rule)) {
        wanted.reach(context, rule).await?;
        return again(context, &rule.arn).await;
    }
    if let Some(other) = rules.iter().find(|rule| rule.priority == Some(priority)) {
        return Err(occupied(context, other, priority, &rules));
    }
    let request = RuleRequest {
        listener: listener.to_owned(),
        priority,
        conditions: wanted.conditions.clone().unwrap_or_default(),
        forward: wanted.groups.forward(start(context, &wanted.groups).await?, None),
        tags: context.marks.tags(&context.address),
    };
    context.say(&format!("rule of priority {priority}"));
    match balancers.create_rule(&request).await {
        Err(failure) if failure.class == Class::AlreadyExists => {
            let rules = on(context, listener).await?;
            let other = rules.iter().find(|rule| rule.priority == Some(priority));
            Err(other.map_or(failure, |other| occupied(context, other, priority, &rules)))
        }
        other => other,
    }
}

/// Says who has a priority.
fn occupied(context: &Context, other: &ListenerRule, priority: u32, rules: &[ListenerRule]) -> Failure {
    let whose = match context.marks.owner_by_tags(&other.tags, &context.address) {
        Owner::Ours(address) => format!("of {address}"),
        Owner::Other(who) => format!("of {who}"),
        Owner::Nobody => "that terrace did not make".to_owned(),
    };
    let asks: Vec<String> =
        other.conditions.iter().map(|(field, values)| format!("{field} {}", values.join(", "))).collect();
    let free = (priority..=50_000).find(|number| rules.iter().all(|rule| rule.priority != Some(*number)));
    let free = free.map(|number| format!("; {number} is free")).unwrap_or_default();
    let message = format!(
        "the priority {priority} is taken on the listener by a rule {whose}: {} ({})",
        other.arn,
        if asks.is_empty() { "no conditions".to_owned() } else { asks.join("; ") }
    );
    failure(Class::AlreadyExists, "CreateRule", context, message).hint(format!(
        "give this one another `priority`{free}; or, where that rule is meant, write `rule` with its ARN in place of `listener`"
    ))
}

/// Takes a rule that is there: marks it as ours, and has it forward to both sides. The traffic stays where it is.
async fn take(context: &Context, arn: &str, wanted: &Wanted) -> Outcome<ListenerRule> {
    let balancers = &context.aws()?.load_balancers;
    let rule = again(context, arn).await?;
    if let Some(why) = refusal(context, &rule, &wanted.groups).await? {
        return Err(failure(Class::Conflict, "ModifyRule", context, why.0).hint(why.1));
    }
    balancers.add_tags(arn, &context.marks.tags(&context.address)).await?;
    if let Some(forward) = wanted.forward(context, &rule).await? {
        balancers.modify_rule(arn, &RuleChange { conditions: None, forward: Some(forward) }).await?;
    }
    Ok(ListenerRule { forward: rule.forward, ..again(context, arn).await? })
}

async fn change(context: &Context, step: &Step<'_>, wanted: &Wanted) -> Outcome<ListenerRule> {
    let balancers = &context.aws()?.load_balancers;
    let missing =
        || failure(Class::NotFound, "ModifyRule", context, "the rule is gone; plan again, and it is made anew");
    let identity = step.identity.unwrap_or(&Json::Null);
    let rule = find(context, identity).await?.ok_or_else(missing)?;
    let marks: BTreeMap<String, String> = context.marks.tags(&context.address);
    if marks.iter().any(|(key, value)| rule.tags.get(key) != Some(value)) {
        balancers.add_tags(&rule.arn, &marks).await?;
    }
    match wanted.reach(context, &rule).await {
        Err(failure) if failure.class == Class::AlreadyExists => {
            let rules = on(context, &ListenerRule::listener(&rule.arn).unwrap_or_default()).await?;
            let other = rules.iter().find(|other| other.priority == wanted.priority && other.arn != rule.arn);
            Err(other.map_or(failure, |other| occupied(context, other, wanted.priority.unwrap_or_default(), &rules)))
        }
        done => done.map(|()| rule),
    }
}

async fn again(context: &Context, arn: &str) -> Outcome<ListenerRule> {
    let balancers = &context.aws()?.load_balancers;
    let missing = || failure(Class::NotFound, "DescribeRules", context, format!("there is no rule {arn}"));
    context.patiently(|| balancers.describe_rule(arn)).await?.ok_or_else(missing)
}

/// Deletes a rule of our own; lets go of one that was taken.
async fn delete(context: &Context, identity: &Json) -> Outcome<Applied> {
    let balancers = &context.aws()?.load_balancers;
    let Some(rule) = find(context, identity).await? else { return Ok(gone()) };
    if identity["taken"] == true {
        let keys: Vec<String> = context.marks.tags(&context.address).into_keys().collect();
        if is_ours(context, &rule) {
            balancers.remove_tags(&rule.arn, &keys).await?;
        }
        return Ok(Applied { note: "let go of, and left as it is".to_owned(), ..gone() });
    }
    if let Owner::Other(who) = context.marks.owner_by_tags(&rule.tags, &context.address) {
        return Err(failure(Class::Conflict, "DeleteRule", context, format!("the rule {} belongs to {who}", rule.arn)));
    }
    balancers.delete_rule(&rule.arn).await?;
    Ok(gone())
}

/// There are no tokens: the tags on a rule say whose it is, and the rule itself says how far its change came.
pub(in crate::kinds::traffic) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let identity = step.identity.cloned().or_else(|| step.desired.and_then(|d| d.identity.clone()));
    let identity = identity.unwrap_or(Json::Null);
    let found = find(context, &identity).await?.filter(|rule| is_ours(context, rule));
    let Some(desired) = step.desired.filter(|_| step.action != ActionWord::Delete) else {
        return Ok(if found.is_none() { Recovered::Done(gone()) } else { Recovered::NotDone });
    };
    let wanted = Wanted::of(context, &desired.inputs, step.identity)?;
    Ok(match found.filter(|rule| wanted.is_met(rule)) {
        Some(rule) => Recovered::Done(applied(&rule, step)),
        None => Recovered::NotDone,
    })
}

/// Puts back priority, conditions and sides; the weights stay where they are, with the sides.
pub(in crate::kinds::traffic) async fn undo(
    context: &Context,
    identity: &Json,
    image: Option<&Value>,
) -> Outcome<String> {
    let Some(image) = image.filter(|image| !image.is_null()) else {
        let taken = identity["taken"] == true;
        delete(context, identity).await?;
        return Ok(if taken { "let go of" } else { "deleted" }.to_owned());
    };
    let lost = || failure(Class::NotFound, "ModifyRule", context, "the rule is gone; there is nothing to put back");
    let rule = find(context, identity).await?.ok_or_else(lost)?;
    let side = |name: &str| image.get(name).and_then(Value::as_str).map(str::to_owned);
    let now = Groups::remembered(identity);
    let groups = side("blue").zip(side("green")).map(|(blue, green)| Groups { blue, green });
    let taken = identity["taken"] == true;
    let number = image.get("priority").and_then(Value::as_i64).and_then(|number| u32::try_from(number).ok());
    let conditions =
        image.get("conditions").and_then(Value::to_json).and_then(|json| serde_json::from_value(json).ok());
    let nothing = || failure(Class::Stuck, "ModifyRule", context, "what the rule forwarded to is not known any more");
    let wanted = Wanted {
        priority: number.filter(|_| !taken),
        conditions: conditions.filter(|_| !taken),
        groups: groups.or_else(|| now.clone()).ok_or_else(nothing)?,
        before: now,
    };
    wanted.reach(context, &rule).await?;
    Ok("put back".to_owned())
}
