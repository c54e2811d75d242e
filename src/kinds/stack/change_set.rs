//! Change sets: made, waited for, described, taken away.

use crate::{
    base::{Digest, Value},
    kinds::{
        ChildChange, ConditionEffect, Context, Desired, Observed, Owner, Pace, Preview,
        stack::{
            children, cluster,
            desired::TEMPLATE,
            exports,
            failure::mend_by_template,
            import, nested,
            request::{change_set_name, of_desired},
        },
    },
    world::{ChangeSet, Class, Failure, Outcome, StackRequest},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Change sets of nested stacks are followed this deep.
const DEEPEST: usize = 8;

/// What a preview with this token leaves, known before it is made: a change set of this name, and where there is no stack
/// yet, one in review. Nothing where no preview is made.
pub(super) fn leaves(desired: &Desired, observed: Option<&Observed>, token: &str) -> Option<Json> {
    let stack = desired.inputs.get("name").and_then(Value::as_str)?;
    let made = !is_made_anew(desired, observed);
    made.then(|| json!({ "name": change_set_name(token), "stack_name": stack, "created_stack": observed.is_none() }))
}

/// True where the stack that is there is no base for a change set: it goes first, it is stuck, or another one is wanted.
fn is_made_anew(desired: &Desired, observed: Option<&Observed>) -> bool {
    let effect = observed.and_then(|o| o.condition.as_ref()).map(|c| c.effect);
    let renamed =
        observed.is_some_and(|o| o.identity["name"].as_str() != desired.inputs.get("name").and_then(Value::as_str));
    matches!(effect, Some(ConditionEffect::MustReplace | ConditionEffect::Blocks)) || renamed
}

/// Makes a change set and says what is in it. It stays, named in the attachment, unless nothing changes.
pub(super) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
    token: &str,
) -> Outcome<Option<Preview>> {
    if is_made_anew(desired, observed) {
        return Ok(None);
    }
    if let Some(refusal) = cluster::refuse_jump(desired, observed) {
        return Err(refusal);
    }
    let mut request = of_desired(context, desired, observed)?;
    let facts = facts(&request);
    import::refuse(desired, observed, &request)?;
    nested::send(context, &desired.documents, &mut request).await?;
    import::refuse_identifiers(context, desired, &request).await?;
    if let Some(observed) = observed {
        exports::refuse_lost(context, desired, observed).await?;
    }
    let change_set = make(context, desired, &request, token).await?;
    let attachment = attachment(&change_set, observed.is_none());
    let empty = change_set.is_empty_change();
    if (!empty && change_set.status == "FAILED") || import::cannot(&request, &change_set) {
        discard(context, &attachment).await?;
        return Err(refused(&request, &change_set, desired));
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
    let mut children = Vec::new();
    rows(context, &change_set, "", &secrets, &mut children, 0).await?;
    Ok(Some(Preview { children, facts, attachment: Some(attachment), ..Preview::default() }))
}

/// The rows of a change set and, under each nested stack, those of its own.
fn rows<'a>(
    context: &'a Context,
    change_set: &'a ChangeSet,
    parent: &'a str,
    secrets: &'a [String],
    out: &'a mut Vec<ChildChange>,
    depth: usize,
) -> futures::future::BoxFuture<'a, Outcome<()>> {
    Box::pin(async move {
        let cloudformation = &context.aws()?.cloudformation;
        for change in &change_set.changes {
            let inner = match &change.nested {
                Some(id) if depth < DEEPEST => Some(
                    context
                        .wait_at(Pace::QUICK, &format!("the change set of {}", change.logical_id), || async {
                            Ok(Some(cloudformation.describe_change_set(id).await?).filter(|set| !set.pending()))
                        })
                        .await?,
                ),
                _ => None,
            };
            let name = format!("{parent}{}", change.logical_id);
            // A nested stack of which nothing changes is listed all the same.
            if inner.as_ref().is_some_and(|set| set.changes.is_empty()) && change.action == "Modify" {
                continue;
            }
            out.extend(children::of_change(change, &name, secrets));
            if let Some(inner) = inner {
                rows(context, &inner, &format!("{name}/"), secrets, out, depth + 1).await?;
            }
        }
        Ok(())
    })
}

/// Why the service made no change set, with the line of our template.
pub(super) fn refused(request: &StackRequest, change_set: &ChangeSet, desired: &Desired) -> Failure {
    let reason = change_set.status_reason.clone();
    let failure = Failure::new(Class::Invalid, "cloudformation:CreateChangeSet", &request.name, reason);
    mend_by_template(import::named(failure, desired, request), desired)
}

/// Why a change set can no longer be executed; `None` where it can.
pub(super) async fn spent(context: &Context, attachment: &Json) -> Outcome<Option<String>> {
    let Some(id) = attachment["change_set"].as_str() else { return Ok(None) };
    let cloudformation = &context.aws()?.cloudformation;
    let stack = attachment["stack"].as_str().unwrap_or(id);
    let sets = match context.patiently(|| cloudformation.list_change_sets(stack)).await {
        // Executing it will tell.
        Err(failure) if failure.class == Class::Unsupported => return Ok(None),
        sets => sets?,
    };
    Ok(match sets.into_iter().find(|set| set.id == id) {
        None => Some("its change set is gone".to_owned()),
        Some(set) => match set.execution_status.as_deref() {
            // Absent means absent: executing it will tell.
            None | Some("AVAILABLE") => None,
            Some(other) => Some(format!("its change set cannot be executed any more ({other})")),
        },
    })
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
    if request.template.len() > nested::BODY_LIMIT {
        facts.insert("template_bytes".to_owned(), json!(request.template.len()));
    }
    facts
}

pub(super) fn attachment(change_set: &ChangeSet, created: bool) -> Json {
    // The name is in the ARN: arn:aws:cloudformation:REGION:ACCOUNT:changeSet/NAME/ID.
    let name = change_set.id.split('/').nth(1).unwrap_or_default();
    let stack = change_set.stack_id.split('/').nth(1).unwrap_or_default();
    json!({
        "name": name,
        "stack_name": stack,
        "change_set": change_set.id,
        "stack": change_set.stack_id,
        "created_stack": created,
        "made": change_set.created.map(|moment| moment.to_string()),
    })
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
        .map_err(|failure| mend_by_template(import::named(failure, desired, request), desired))?;
    described(context, &request.name, &id).await
}

/// Waits until a change set is described whole.
pub(super) async fn described(context: &Context, stack: &str, id: &str) -> Outcome<ChangeSet> {
    let cloudformation = &context.aws()?.cloudformation;
    context
        .wait_at(Pace::QUICK, &format!("the change set of {stack}"), || async {
            Ok(Some(cloudformation.describe_change_set(id).await?).filter(|set| !set.pending()))
        })
        .await
}

/// Deletes a change set, and the stack in review that it made, unless somebody else's change set waits there too. A caller
/// who may only plan may not delete stacks, and CloudFormation cannot allow it for stacks in review alone; then the stack
/// stays, empty, and the next apply takes it over.
pub(super) async fn discard(context: &Context, attachment: &Json) -> Outcome<()> {
    let cloudformation = &context.aws()?.cloudformation;
    let name = attachment["name"].as_str();
    // Noted before it was made: then only its name is known.
    let Some(stack) = attachment["stack"].as_str().or(attachment["stack_name"].as_str()) else { return Ok(()) };
    let created = attachment["created_stack"] == json!(true);
    let mut sets = None;
    let id = if let Some(id) = attachment["change_set"].as_str() {
        Some(id.to_owned())
    } else {
        let found = context.patiently(|| cloudformation.list_change_sets(stack)).await?;
        let own = found.iter().find(|set| Some(set.name.as_str()) == name).map(|set| set.id.clone());
        sets = Some(found);
        own
    };
    if let Some(id) = &id {
        match context.patiently(|| cloudformation.delete_change_set(id)).await {
            Err(failure) if failure.class == Class::NotFound => {}
            other => other?,
        }
    }
    if !created {
        return Ok(());
    }
    let found = context.patiently(|| cloudformation.describe_stack(stack)).await?;
    let Some(found) = found.filter(|stack| stack.status.in_review()) else { return Ok(()) };
    // One that is not ours by its tags was in review before our change set came.
    if !matches!(context.marks.owner_by_tags(&found.tags, &context.address), Owner::Ours(_) | Owner::Nobody) {
        return Ok(());
    }
    let sets = match sets {
        Some(sets) => sets,
        None => context.patiently(|| cloudformation.list_change_sets(&found.id)).await?,
    };
    if sets.iter().all(|set| Some(&set.id) == id.as_ref()) {
        let token = change_set_name(&found.id);
        match context.patiently(|| cloudformation.delete_stack(&found.id, &[], &token)).await {
            Err(failure) if failure.class == Class::Denied => {}
            other => other?,
        }
    }
    Ok(())
}
