//! `alb`: a rule of an application load balancer's listener that forwards to two permanent target groups (rule 39).

mod binding;
mod live;
mod operation;
mod preview;
mod shift;
#[cfg(test)]
mod tests;
mod wanted;

pub(super) use live::read;
pub(super) use operation::{apply, recover, undo};
pub(super) use preview::preview;
pub(super) use shift::open;

use crate::{
    base::{Diagnostic, Diagnostics, Path, Value},
    kinds::{Context, Desired, Prepare, traffic::change::Place},
    world::{Class, Failure},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Everything that may be written in the block.
const NAMES: [&str; 8] = ["listener", "rule", "priority", "host", "path", "blue", "green", "stickiness"];
/// The fields of conditions, by what they are called in the block.
const CONDITIONS: [(&str, &str); 2] = [("host", "host-header"), ("path", "path-pattern")];

/// True where these inputs are of an `alb`.
pub(super) fn is_meant(inputs: &Value) -> bool {
    inputs.get("alb").is_some_and(|block| !block.is_null())
}

/// What tells one rule from another: it stays on its listener.
pub(super) fn place(desired: &Value) -> Place {
    let id = text(desired, "rule").map_or(Value::UNKNOWN, Value::from);
    Place {
        form: "alb",
        names: &["listener", "rule"],
        because: "a rule stays on its listener: another one takes its place",
        exports: Value::object([("id", id)]),
    }
}

/// Checks what is written, and brings it to normal form: what is not given is left out.
pub(super) fn prepare(request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
    let block = request.inputs.get("alb").cloned().unwrap_or(Value::NULL);
    let given = |name: &str| block.get(name).filter(|value| !value.is_null());
    let mut problems = Diagnostics::new();
    let mut wrong = |name: &str, summary: String, why: &str, hint: &str| {
        let place = (request.place)(&Path::default().key("alb").key(name));
        let problem = Diagnostic::error("traffic_rule", summary).because(why).hint(hint);
        problems.push(match place {
            Some(span) => problem.at(&span, ""),
            None => problem,
        });
    };
    if given("rule").is_some() {
        for name in ["priority", "host", "path"].into_iter().filter(|name| given(name).is_some()) {
            let why = "a rule that is there already keeps its priority and its conditions: they are its owner's";
            wrong(
                name,
                format!("`{name}` is not for an existing rule"),
                why,
                "leave it out, or write `listener` in place of `rule`",
            );
        }
    } else if given("listener").is_some() {
        if given("priority").is_none() {
            let why = "a listener asks its rules in the order of their priorities, and no two have the same";
            wrong("listener", "the rule has no `priority`".to_owned(), why, "write priority = 100");
        }
        if given("host").is_none() && given("path").is_none() {
            let why = "a rule without a condition would take all of the listener's traffic";
            wrong(
                "listener",
                "the rule says neither `host` nor `path`".to_owned(),
                why,
                "write host = \"shop.example.com\", path = \"/shop/*\", or both",
            );
        }
    }
    if let Some(priority) = given("priority").filter(|value| !value.is_unknown())
        && !priority.as_i64().is_some_and(|number| (1..=50_000).contains(&number))
    {
        wrong(
            "priority",
            "this is no priority".to_owned(),
            "priorities are whole numbers from 1 to 50000",
            "write another one",
        );
    }
    let text = |name: &str| given(name).and_then(Value::as_str);
    if text("blue").is_some() && text("blue") == text("green") {
        let why = "traffic is moved from one target group to the other";
        wrong("green", "blue and green are the same target group".to_owned(), why, "declare a second target group");
    }
    for (name, part) in
        [("listener", ":listener/"), ("rule", ":listener-rule/"), ("blue", ":targetgroup/"), ("green", ":targetgroup/")]
    {
        if let Some(arn) = text(name).filter(|arn| !arn.contains(part)) {
            let word = part.trim_matches([':', '/']);
            wrong(name, format!("`{arn}` is no ARN of a {word}"), "", "refer to an output of the stack that makes it");
        }
    }
    if let Some(time) = text("stickiness").and_then(|text| crate::base::parse_duration(text).ok())
        && !(1..=604_800).contains(&time.as_secs())
    {
        wrong(
            "stickiness",
            "this is no time to keep a target group".to_owned(),
            "it lasts from one second to 7 days",
            "write another one",
        );
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let entries = NAMES.into_iter().filter_map(|name| Some((Arc::from(name), given(name)?.clone())));
    let identity = match (text("rule"), text("listener"), given("priority").and_then(Value::as_i64)) {
        (Some(rule), ..) => Some(json!({ "rule": rule, "taken": true })),
        (None, Some(listener), Some(priority)) => Some(json!({ "listener": listener, "priority": priority })),
        _ => None,
    };
    let block = Value::object(entries.collect::<BTreeMap<Arc<str>, Value>>());
    Ok(Desired { inputs: Value::object([("alb", block)]), documents: BTreeMap::new(), identity })
}

/// A rule by its ARN.
pub(super) fn import_identity(id: &str) -> Result<Json, String> {
    if id.starts_with("arn:") && id.contains(":listener-rule/") {
        Ok(json!({ "rule": id }))
    } else {
        Err("a rule is imported by its ARN, `arn:aws:elasticloadbalancing:...:listener-rule/app/...`, an object by API_VERSION KIND NAMESPACE/NAME".to_owned())
    }
}

/// The target groups of the two sides, blue first.
pub(super) fn target_groups(inputs: &Value) -> Option<[&str; 2]> {
    Some([text(inputs, "blue")?, text(inputs, "green")?])
}

/// What removing it leaves.
pub(super) fn farewell(identity: &Json) -> Option<String> {
    (identity["taken"] == true)
        .then(|| "the rule stays as it is: terrace did not make it, and only lets go of it".to_owned())
}

/// A text of the block, in inputs of the normal form.
fn text<'v>(inputs: &'v Value, name: &str) -> Option<&'v str> {
    inputs.get("alb")?.get(name)?.as_str()
}

/// How long a client keeps its target group, where that is declared.
fn stickiness(inputs: &Value) -> Option<Duration> {
    text(inputs, "stickiness").and_then(|text| crate::base::parse_duration(text).ok())
}

/// A failure about a rule.
fn failure(class: Class, operation: &str, context: &Context, message: impl Into<String>) -> Failure {
    Failure::new(class, format!("elasticloadbalancing:{operation}"), context.address.to_string(), message)
}
