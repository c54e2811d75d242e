//! From a live stack to what the diff compares: parameters, template, tags, owner, condition.

use crate::{
    base::{Digest, Value},
    cfn::{Context as CfnContext, Template},
    kinds::{
        Condition, ConditionEffect, Context, Observed, Owner, is_own_tag,
        stack::{desired::TEMPLATE, nested, request::capabilities},
    },
    world::{Outcome, Stack},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// Describes a stack by its ARN and, where that one is deleted, by its name: somebody may have made it again.
pub(super) async fn find(context: &Context, identity: &Json) -> Outcome<Option<Stack>> {
    let cloudformation = &context.aws()?.cloudformation;
    let there = |stack: &Stack| stack.status.0 != "DELETE_COMPLETE";
    if let Some(id) = identity["id"].as_str() {
        let found = context.patiently(|| cloudformation.describe_stack(id)).await?;
        if let Some(stack) = found.filter(there) {
            return Ok(Some(stack));
        }
    }
    match identity["name"].as_str() {
        Some(name) => Ok(context.patiently(|| cloudformation.describe_stack(name)).await?.filter(there)),
        None => Ok(None),
    }
}

/// Reads a stack whole.
pub(super) async fn read(context: &Context, identity: &Json) -> Outcome<Option<Observed>> {
    let Some(stack) = find(context, identity).await? else { return Ok(None) };
    let owner = context.marks.owner_by_tags(&stack.tags, &context.address);
    if stack.status.in_review() && !matches!(owner, Owner::Other(_)) {
        // A name without a stack, left by a change set that was never executed: a create takes it over.
        return Ok(None);
    }
    let cloudformation = &context.aws()?.cloudformation;
    let text = if stack.status.in_review() {
        String::new()
    } else {
        context.patiently(|| cloudformation.get_template(&stack.id)).await?
    };
    Ok(Some(observed(&stack, &text, owner)))
}

/// What a stack's description and template tell.
pub(super) fn observed(stack: &Stack, text: &str, owner: Owner) -> Observed {
    let template = Template::parse(TEMPLATE, text).0;
    let parameters: BTreeMap<&str, Value> = stack
        .parameters
        .iter()
        .map(|(name, value)| {
            let no_echo = template.parameters.get(name).is_some_and(|p| p.no_echo);
            let masked = value.len() >= 4 && value.chars().all(|c| c == '*');
            let value = if no_echo && masked { Value::UNKNOWN } else { Value::from(value.as_str()) };
            (name.as_str(), value.with_mark(no_echo))
        })
        .collect();
    let tags = Value::object(
        stack
            .tags
            .iter()
            .filter(|(key, _)| is_own_tag(key))
            .map(|(key, value)| (key.as_str(), Value::from(value.as_str()))),
    );
    let mut inputs: Vec<(&str, Value)> = vec![
        ("name", stack.name.as_str().into()),
        ("parameters", Value::object(parameters.clone())),
        ("tags", tags),
        ("termination_protection", stack.termination_protection.into()),
        (
            "notification_arns",
            // Not every endpoint tells them; what was applied last then stands in.
            stack.notification_arns.as_ref().map_or(Value::UNKNOWN, |topics| {
                Value::tuple(topics.iter().map(|arn| Value::from(arn.as_str())).collect())
            }),
        ),
        // DescribeStacks says nothing of it.
        ("stack_policy", Value::UNKNOWN),
    ];
    inputs.extend(stack.role_arn.as_ref().map(|arn| ("role_arn", Value::from(arn.as_str()))));
    let fingerprint = Digest::of_value(&json!([
        stack.id,
        stack.status.0,
        stack
            .parameters
            .iter()
            .filter(|(name, _)| !template.parameters.get(*name).is_some_and(|p| p.no_echo))
            .collect::<BTreeMap<_, _>>(),
        stack.tags,
        stack.outputs.iter().map(|(k, o)| (k, &o.value)).collect::<BTreeMap<_, _>>(),
        stack.role_arn,
        stack.termination_protection,
        Digest::of(text.as_bytes()),
    ]));
    let own_exports = stack
        .outputs
        .values()
        .filter_map(|output| Some((output.export.as_deref()?, Value::from(output.value.as_str()))));
    let topics = stack.notification_arns.as_ref();
    let topics = topics.map(|topics| Value::tuple(topics.iter().map(|arn| Value::from(arn.as_str())).collect()));
    let image = Value::object([
        ("template", Value::from(text)),
        (
            "parameters",
            Value::object(parameters.iter().filter(|(_, v)| !v.is_sensitive()).map(|(k, v)| (*k, v.clone()))),
        ),
        (
            "previous",
            Value::tuple(parameters.iter().filter(|(_, v)| v.is_sensitive()).map(|(k, _)| Value::from(*k)).collect()),
        ),
        ("tags", Value::object(stack.tags.iter().map(|(k, v)| (k.as_str(), Value::from(v.as_str()))))),
        ("capabilities", Value::tuple(capabilities(stack, &template).into_iter().map(Value::from).collect())),
        ("role_arn", stack.role_arn.as_ref().map_or(Value::NULL, |arn| Value::from(arn.as_str()))),
        ("termination_protection", stack.termination_protection.into()),
        ("notification_arns", topics.unwrap_or(Value::NULL)),
        ("exports", Value::object(own_exports)),
        ("status", stack.status.0.as_str().into()),
        ("updated", stack.updated.map_or(Value::NULL, |moment| Value::from(moment.to_string()))),
    ]);
    Observed {
        held: None,
        identity: identity(stack),
        inputs: Value::object(inputs),
        // As it was planned, whatever bucket it was read from.
        documents: [(TEMPLATE.to_owned(), Arc::from(nested::normal(text)))].into(),
        exports: exports(stack, &template),
        owner,
        fingerprint,
        condition: condition(stack),
        image,
    }
}

/// The full identity.
pub(super) fn identity(stack: &Stack) -> Json {
    json!({ "name": stack.name, "id": stack.id })
}

/// Outputs, id, ARN and name of a live stack. An output made of a `NoEcho` parameter or a secret is sensitive.
pub(super) fn exports(stack: &Stack, template: &Template) -> Value {
    let sensitive = {
        let mut context = context_of(&stack.id, &stack.name);
        context.parameters.clone_from(&stack.parameters);
        template.resolve(&context).0
    };
    let outputs = stack.outputs.iter().map(|(key, output)| {
        let mark = sensitive.outputs.get(key).is_some_and(|o| o.sensitive);
        (key.as_str(), Value::from(output.value.as_str()).with_mark(mark))
    });
    Value::object([
        ("outputs", Value::object(outputs)),
        ("id", stack.id.as_str().into()),
        ("arn", stack.id.as_str().into()),
        ("name", stack.name.as_str().into()),
    ])
}

/// A context in which a template is resolved without asking anybody; account and region are the ARN's.
pub(super) fn context_of(id: &str, name: &str) -> CfnContext<'static> {
    let mut parts = id.split(':');
    let region = parts.nth(3).unwrap_or_default();
    let account = parts.next().unwrap_or_default();
    let mut context = CfnContext::offline(account, region, name);
    context.stack_id = (!id.is_empty()).then(|| id.to_owned());
    context
}

/// What a status means for a change. Source: "Stack status codes" of the user guide.
fn condition(stack: &Stack) -> Option<Condition> {
    use ConditionEffect::{Blocks, MustReplace, Note};
    let doctor = "run `terrace doctor`, which says and does the mend";
    let (effect, hint) = match stack.status.0.as_str() {
        status if status.ends_with("_COMPLETE") && stack.status.succeeded() => return None,
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => (Note, "its last change failed and was taken back"),
        "ROLLBACK_COMPLETE" | "CREATE_FAILED" | "ROLLBACK_FAILED" => {
            (MustReplace, "it could not be made; what is left of it is deleted, and it is made again")
        }
        "REVIEW_IN_PROGRESS" => (Blocks, "another plan's change set waits there; execute or delete it first"),
        "UPDATE_ROLLBACK_FAILED" | "UPDATE_FAILED" | "DELETE_FAILED" | "IMPORT_ROLLBACK_FAILED" => (Blocks, doctor),
        _ if stack.status.in_progress() => (Blocks, "somebody is changing it; try again once that has ended"),
        _ => (Note, ""),
    };
    let since = stack.updated.unwrap_or(stack.created);
    let since = if stack.status.in_progress() { format!("; it runs since {since}") } else { String::new() };
    let reason = if stack.status_reason.is_empty() { String::new() } else { format!(" ({})", stack.status_reason) };
    let hint = (!hint.is_empty()).then(|| format!("{hint}{since}{reason}"));
    Some(Condition { word: stack.status.0.clone(), effect, hint })
}
