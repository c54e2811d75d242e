//! Operations on a stack: begun with the intent's token, followed by their events, found again after a crash.

use crate::{
    base::{ActionWord, Value},
    cfn::Template,
    kinds::{
        Applied, Context, Desired, Recovered, Step,
        stack::{
            change_set,
            desired::{POLICY, TEMPLATE, known_parameters},
            failure::first_cause,
            live::{exports, find, identity},
            request::{of_desired, of_image},
        },
    },
    world::{Class, Failure, Outcome, Stack, StackEvent},
};
use serde_json::{Value as Json, json};
use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

/// How often a status that is older than the operation is believed to be stale (descriptions are eventually consistent).
const STALE_READS: u32 = 4;

/// Creates or updates by a change set: the one that was planned, or one made now.
pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    if step.action == ActionWord::Delete {
        return delete(context, step.identity.unwrap_or(&Json::Null), step.token).await;
    }
    let Some(desired) = step.desired else {
        return Err(Failure::new(Class::Invalid, "cloudformation", context.address.to_string(), "nothing is wanted"));
    };
    let cloudformation = &context.aws()?.cloudformation;
    let request = of_desired(context, desired, step.action == ActionWord::Update)?;
    let before = find(context, &json!({ "name": request.name })).await?;
    let since = match &before {
        Some(stack) => last_event(context, &stack.id).await?,
        None => None,
    };
    let change_set = if let Some(id) = step.attachment.and_then(|a| a["change_set"].as_str()) {
        Some(id.to_owned())
    } else {
        let made = change_set::make(context, desired, &request, step.token).await?;
        if made.is_empty_change() {
            let created = before.as_ref().is_none_or(|s| s.status.in_review());
            change_set::discard(
                context,
                &json!({ "change_set": made.id, "stack": made.stack_id, "created_stack": created }),
            )
            .await?;
            None
        } else if made.status == "FAILED" {
            return Err(Failure::new(
                Class::Invalid,
                "cloudformation:CreateChangeSet",
                request.name,
                made.status_reason,
            ));
        } else {
            Some(made.id)
        }
    };
    let stack = match change_set {
        Some(id) => {
            context.say("executing the change set");
            cloudformation.execute_change_set(&id, step.token).await?;
            follow(context, &json!({ "name": request.name }), before.as_ref(), since, step.token, Some(desired)).await?
        }
        None => before.ok_or_else(|| {
            Failure::new(Class::Invalid, "cloudformation:CreateChangeSet", request.name.clone(), "nothing to create")
        })?,
    };
    finish(context, desired, &stack).await
}

/// Sets what no change set holds, and says what came of it all.
async fn finish(context: &Context, desired: &Desired, stack: &Stack) -> Outcome<Applied> {
    let cloudformation = &context.aws()?.cloudformation;
    if let Some(wanted) = desired.inputs.get("termination_protection").and_then(Value::as_bool)
        && wanted != stack.termination_protection
    {
        context.patiently(|| cloudformation.set_termination_protection(&stack.name, wanted)).await?;
    }
    if let Some(policy) = desired.documents.get(POLICY) {
        context.patiently(|| cloudformation.set_stack_policy(&stack.name, policy)).await?;
    }
    let template = desired.documents.get(TEMPLATE).map(|text| Template::parse(TEMPLATE, text).0);
    let count = template.as_ref().map_or(0, |t| t.resources.len());
    let exports = template.map_or(Value::NULL, |t| exports(stack, &t));
    let note = if count == 1 { "1 resource".to_owned() } else { format!("{count} resources") };
    Ok(Applied { identity: identity(stack), exports, note })
}

pub(super) async fn last_event(context: &Context, stack: &str) -> Outcome<Option<String>> {
    let cloudformation = &context.aws()?.cloudformation;
    let events = context.patiently(|| cloudformation.stack_events(stack, None)).await?;
    Ok(events.first().map(|e| e.id.clone()))
}

/// Waits until the operation with this token has ended, saying its events as they come.
pub(super) async fn follow(
    context: &Context,
    which: &Json,
    before: Option<&Stack>,
    since: Option<String>,
    token: &str,
    desired: Option<&Desired>,
) -> Outcome<Stack> {
    let cloudformation = &context.aws()?.cloudformation;
    let name = which["name"].as_str().or_else(|| which["id"].as_str()).unwrap_or_default().to_owned();
    let seen = Mutex::new(since.clone());
    let stale = AtomicU32::new(0);
    let stack = context
        .wait_until(&format!("the stack {name}"), || async {
            let Some(stack) = find(context, which).await? else {
                // A create that failed under on_create_failure = "delete" leaves nothing behind.
                return match before {
                    None if stale.fetch_add(1, Ordering::Relaxed) < STALE_READS => Ok(None),
                    _ => Err(Failure::new(
                        Class::Failed,
                        "cloudformation",
                        name.clone(),
                        "the stack could not be made and was deleted",
                    )),
                };
            };
            let last = seen.lock().map(|seen| seen.clone()).unwrap_or_default();
            let events = cloudformation.stack_events(&stack.id, last.as_deref()).await?;
            say(context, &events);
            if let (Some(newest), Ok(mut seen)) = (events.first(), seen.lock()) {
                *seen = Some(newest.id.clone());
            }
            if stack.status.in_progress() {
                return Ok(None);
            }
            // A status that was there before we began may be an old answer.
            let ours = stack.last_token.as_deref() == Some(token);
            let moved =
                before.is_none_or(|b| (&b.status, b.updated, &b.id) != (&stack.status, stack.updated, &stack.id));
            if stack.status.in_review() || !(ours || moved) {
                return Ok((stale.fetch_add(1, Ordering::Relaxed) >= STALE_READS).then_some(stack));
            }
            Ok(Some(stack))
        })
        .await?;
    if stack.status.succeeded() {
        return Ok(stack);
    }
    Err(first_cause(context, &stack, since.as_deref(), Some(token), desired).await)
}

fn say(context: &Context, events: &[StackEvent]) {
    for event in events.iter().rev() {
        let reason = if event.reason.is_empty() { String::new() } else { format!(": {}", event.reason) };
        context.say(&format!("{} {}{reason}", event.logical_id, event.status));
    }
}

/// Deletes a stack and waits until it is gone. One that is gone already is no error.
pub(super) async fn delete(context: &Context, identity: &Json, token: &str) -> Outcome<Applied> {
    let gone = Applied { identity: Json::Null, exports: Value::NULL, note: String::new() };
    let Some(stack) = find(context, identity).await? else { return Ok(gone) };
    if stack.termination_protection {
        return Err(Failure::new(
            Class::Denied,
            "cloudformation:DeleteStack",
            stack.name,
            "termination protection is on",
        )
        .hint("apply `termination_protection = false` first"));
    }
    let cloudformation = &context.aws()?.cloudformation;
    let since = last_event(context, &stack.id).await?;
    cloudformation.delete_stack(&stack.id, &[], token).await?;
    wait_for_deletion(context, &stack, since, token).await?;
    Ok(gone)
}

async fn wait_for_deletion(context: &Context, stack: &Stack, since: Option<String>, token: &str) -> Outcome<()> {
    let cloudformation = &context.aws()?.cloudformation;
    let seen = Mutex::new(since.clone());
    let stale = AtomicU32::new(0);
    let end = context
        .wait_until(&format!("the stack {} to be gone", stack.name), || async {
            let Some(now) = cloudformation.describe_stack(&stack.id).await? else { return Ok(Some(None)) };
            let last = seen.lock().map(|seen| seen.clone()).unwrap_or_default();
            if let Ok(events) = cloudformation.stack_events(&stack.id, last.as_deref()).await {
                say(context, &events);
                if let (Some(newest), Ok(mut seen)) = (events.first(), seen.lock()) {
                    *seen = Some(newest.id.clone());
                }
            }
            match now.status.0.as_str() {
                "DELETE_COMPLETE" => Ok(Some(None)),
                "DELETE_FAILED" if stack.status.0 != "DELETE_FAILED" => Ok(Some(Some(now))),
                _ if now.status.in_progress() => Ok(None),
                _ => Ok((stale.fetch_add(1, Ordering::Relaxed) >= STALE_READS).then_some(Some(now))),
            }
        })
        .await?;
    match end {
        None => Ok(()),
        Some(left) => Err(first_cause(context, &left, since.as_deref(), Some(token), None).await),
    }
}

/// Finds out what became of an operation: by its token in the events, else by what is live.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let wanted = step.desired.and_then(|d| d.identity.clone());
    let which = step.identity.cloned().or(wanted).unwrap_or(Json::Null);
    let found = find(context, &which).await?;
    if step.action == ActionWord::Delete {
        return match found {
            None => Ok(Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })),
            Some(stack) if stack.status.0 == "DELETE_IN_PROGRESS" => {
                Ok(match wait_for_deletion(context, &stack, None, step.token).await {
                    Ok(()) => {
                        Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
                    }
                    Err(failure) if failure.class == Class::TimedOut => return Err(failure),
                    Err(failure) => Recovered::Failed(failure),
                })
            }
            Some(_) => Ok(Recovered::NotDone),
        };
    }
    let (Some(stack), Some(desired)) = (found.filter(|s| !s.status.in_review()), step.desired) else {
        return Ok(Recovered::NotDone);
    };
    let cloudformation = &context.aws()?.cloudformation;
    let events = context.patiently(|| cloudformation.stack_events(&stack.id, None)).await?;
    let echoed = stack.last_token.as_deref() == Some(step.token)
        || events.iter().any(|e| e.token.as_deref() == Some(step.token));
    let tells = stack.last_token.is_some() || events.iter().any(|e| e.token.is_some());
    if stack.status.in_progress() {
        if tells && !echoed {
            return Ok(Recovered::Stuck {
                why: format!("{} is {} by somebody else's hand", stack.name, stack.status.0),
                command: format!("aws cloudformation wait stack-exists --stack-name {}", stack.name),
            });
        }
        context.say("the operation is still running");
        return settle(context, desired, follow(context, &which, None, None, step.token, Some(desired)).await).await;
    }
    if tells && !echoed {
        return Ok(Recovered::NotDone);
    }
    if !tells && !looks_like(context, &stack, desired).await? {
        return Ok(Recovered::NotDone);
    }
    let ended = if stack.status.succeeded() {
        Ok(stack)
    } else {
        Err(first_cause(context, &stack, None, Some(step.token), Some(desired)).await)
    };
    settle(context, desired, ended).await
}

async fn settle(context: &Context, desired: &Desired, ended: Outcome<Stack>) -> Outcome<Recovered> {
    match ended {
        Ok(stack) => Ok(Recovered::Done(finish(context, desired, &stack).await?)),
        Err(failure) if failure.class.effect_unknown() => Err(failure),
        Err(failure) if failure.class == Class::Stuck => {
            Ok(Recovered::Stuck { why: failure.message, command: format!("terrace doctor # {}", context.address) })
        }
        Err(failure) => Ok(Recovered::Failed(failure)),
    }
}

/// Where no token tells: a stack that is as we want it was made so.
async fn looks_like(context: &Context, stack: &Stack, desired: &Desired) -> Outcome<bool> {
    let cloudformation = &context.aws()?.cloudformation;
    let text = context.patiently(|| cloudformation.get_template(&stack.id)).await?;
    let (parameters, _) = known_parameters(&desired.inputs);
    let same = parameters.iter().all(|(k, v)| stack.parameters.get(k).is_none_or(|l| l == v || l.starts_with("****")));
    Ok(same && desired.documents.get(TEMPLATE).is_some_and(|wanted| **wanted == *text))
}

/// Puts a stack back to its former template and parameters, or deletes it where there was none.
pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
    let Some(image) = image else {
        delete(context, identity, token).await?;
        return Ok("deleted".to_owned());
    };
    let Some(mut stack) = find(context, identity).await? else {
        return Err(Failure::new(
            Class::NotFound,
            "cloudformation",
            identity["name"].as_str().unwrap_or_default(),
            "the stack is gone; there is nothing to put back",
        ));
    };
    let cloudformation = &context.aws()?.cloudformation;
    if stack.status.in_progress() {
        let id = stack.id.clone();
        stack = context
            .wait_until(&format!("the stack {}", stack.name), || async {
                Ok(cloudformation.describe_stack(&id).await?.filter(|s| !s.status.in_progress()))
            })
            .await?;
    }
    let request = of_image(&stack.name, image);
    let since = last_event(context, &stack.id).await?;
    let kept = if request.use_previous.is_empty() {
        String::new()
    } else {
        format!("; {} kept what was given last", request.use_previous.join(", "))
    };
    match cloudformation.update_stack(&request, token).await {
        Ok(()) => {}
        Err(failure) if failure.message.contains("No updates are to be performed") => {
            return Ok(format!("already as it was{kept}"));
        }
        // After an answer that was lost, the stack itself tells.
        Err(failure) if failure.class.effect_unknown() => {
            let now = find(context, identity).await?;
            if now.is_none_or(|s| s.last_token.as_deref() != Some(token) && !s.status.in_progress()) {
                return Err(failure);
            }
        }
        Err(failure) => return Err(failure),
    }
    follow(context, identity, Some(&stack), since, token, None).await?;
    if let Some(former) = image.get("termination_protection").and_then(Value::as_bool)
        && former != stack.termination_protection
    {
        context.patiently(|| cloudformation.set_termination_protection(&stack.name, former)).await?;
    }
    Ok(format!("put back to its former template and parameters{kept}"))
}
