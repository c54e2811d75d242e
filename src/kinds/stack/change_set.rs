//! Change sets: made, waited for, described, taken away.

use crate::{
    base::{Digest, Value},
    kinds::{
        ConditionEffect, Context, Desired, Observed, Preview,
        stack::{
            children, cluster,
            desired::{TEMPLATE, template_of},
            failure::mend_by_template,
            request::{change_set_name, of_desired},
        },
    },
    world::{ChangeSet, Class, Failure, Outcome, StackRequest},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Above this a template goes to a bucket, by the API reference of CreateChangeSet.
const BODY_LIMIT: usize = 51_200;

/// Makes a change set and says what is in it. It stays, named in the attachment, unless nothing changes.
pub(super) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
    token: &str,
) -> Outcome<Option<Preview>> {
    let effect = observed.and_then(|o| o.condition.as_ref()).map(|c| c.effect);
    let renamed =
        observed.is_some_and(|o| o.identity["name"].as_str() != desired.inputs.get("name").and_then(Value::as_str));
    if matches!(effect, Some(ConditionEffect::MustReplace | ConditionEffect::Blocks)) || renamed {
        return Ok(None);
    }
    if let Some(refusal) = cluster::refuse_jump(desired, observed) {
        return Err(refusal);
    }
    let request = of_desired(context, desired, observed.is_some())?;
    let change_set = make(context, desired, &request, token).await?;
    let facts = facts(&request);
    let attachment = attachment(&change_set, observed.is_none());
    let empty = change_set.is_empty_change();
    if !empty && change_set.status == "FAILED" {
        discard(context, &attachment).await?;
        let failure = Failure::new(
            Class::Invalid,
            "cloudformation:CreateChangeSet",
            request.name.clone(),
            change_set.status_reason.clone(),
        );
        return Err(mend_by_template(failure, desired));
    }
    // A change set without changes that can be executed changes outputs at most; where the templates and parameters are
    // the same, it changes nothing.
    let idle = change_set.changes.is_empty()
        && observed
            .is_some_and(|o| o.documents.get(TEMPLATE) == desired.documents.get(TEMPLATE) && same_values(o, desired));
    if empty || idle {
        discard(context, &attachment).await?;
        return Ok(Some(Preview { nothing: true, facts, ..Preview::default() }));
    }
    let secrets: Vec<String> = desired
        .inputs
        .get("parameters")
        .and_then(Value::as_map)
        .into_iter()
        .flat_map(|m| m.values())
        .filter(|v| v.is_sensitive())
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    Ok(Some(Preview {
        children: children::of_change_set(&change_set, &secrets),
        facts,
        attachment: Some(attachment),
        ..Preview::default()
    }))
}

fn same_values(observed: &Observed, desired: &Desired) -> bool {
    ["parameters", "tags"].iter().all(|name| {
        let wanted = desired.inputs.get(name).and_then(Value::as_map);
        let live = observed.inputs.get(name);
        wanted.is_none_or(|m| {
            m.iter().all(|(k, v)| live.and_then(|l| l.get(k)).is_some_and(|l| l.as_str() == v.as_str()))
        })
    })
}

fn facts(request: &StackRequest) -> BTreeMap<String, Json> {
    let mut facts: BTreeMap<String, Json> =
        [("template".to_owned(), json!(Digest::of(request.template.as_bytes()).as_str()))].into();
    if !request.capabilities.is_empty() {
        facts.insert("capabilities".to_owned(), json!(request.capabilities));
    }
    if request.template.len() > BODY_LIMIT {
        facts.insert("template_bytes".to_owned(), json!(request.template.len()));
    }
    facts
}

pub(super) fn attachment(change_set: &ChangeSet, created: bool) -> Json {
    json!({ "change_set": change_set.id, "stack": change_set.stack_id, "created_stack": created })
}

/// Makes the change set of an intent, or finds it where it was made before, and waits until it is described whole.
pub(super) async fn make(
    context: &Context,
    desired: &Desired,
    request: &StackRequest,
    token: &str,
) -> Outcome<ChangeSet> {
    let cloudformation = &context.aws()?.cloudformation;
    let name = change_set_name(token);
    // The same token makes the same change set, so trying again is safe.
    let id = context
        .patiently(|| cloudformation.create_change_set(request, &name, token))
        .await
        .map_err(|failure| mend_by_template(failure, desired))?;
    described(context, &request.name, &id).await
}

/// Waits until a change set is described whole.
pub(super) async fn described(context: &Context, stack: &str, id: &str) -> Outcome<ChangeSet> {
    let cloudformation = &context.aws()?.cloudformation;
    context
        .wait_until(&format!("the change set of {stack}"), || async {
            let change_set = cloudformation.describe_change_set(id).await?;
            let pending = change_set.status.ends_with("_PENDING") || change_set.status.ends_with("_IN_PROGRESS");
            Ok((!pending).then_some(change_set))
        })
        .await
}

/// Deletes a change set, and the stack in review that it made.
pub(super) async fn discard(context: &Context, attachment: &Json) -> Outcome<()> {
    let cloudformation = &context.aws()?.cloudformation;
    if let Some(id) = attachment["change_set"].as_str() {
        match context.patiently(|| cloudformation.delete_change_set(id)).await {
            Err(failure) if failure.class == Class::NotFound => {}
            other => other?,
        }
    }
    let Some(stack) = attachment["stack"].as_str().filter(|_| attachment["created_stack"] == json!(true)) else {
        return Ok(());
    };
    let token = change_set_name(stack);
    let found = context.patiently(|| cloudformation.describe_stack(stack)).await?;
    if found.is_some_and(|stack| stack.status.in_review()) {
        context.patiently(|| cloudformation.delete_stack(stack, &[], &token)).await?;
    }
    Ok(())
}

/// The line of our template that a failure speaks of.
pub(super) fn template_line(desired: &Desired, logical_id: &str) -> Option<String> {
    let template = template_of(&desired.documents, &desired.inputs)?;
    let span = template.span_of(logical_id, None)?;
    let text = desired.documents.get(TEMPLATE)?;
    let line = text.get(..span.start as usize)?.matches('\n').count() + 1;
    Some(format!("{}:{line}", template.file))
}
