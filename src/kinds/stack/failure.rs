//! Why a stack's operation failed: the first cause, with what followed from it folded away.

use crate::{
    kinds::{
        Context, Desired,
        stack::{change_set::template_line, desired::template_of},
    },
    world::{Class, CloudFormation, Failure, Outcome, Stack, StackEvent},
};
use std::sync::Arc;

/// Nested stacks are followed this deep; CloudFormation itself allows no more than a few levels in practice.
const DEEPEST: usize = 5;

/// The failure of an operation that ended badly.
pub(super) async fn first_cause(
    context: &Context,
    stack: &Stack,
    since: Option<&str>,
    token: Option<&str>,
    desired: Option<&Desired>,
) -> Failure {
    let ended_stuck = stack.status.0.ends_with("ROLLBACK_FAILED")
        || matches!(stack.status.0.as_str(), "DELETE_FAILED" | "UPDATE_FAILED");
    let class = if ended_stuck { Class::Stuck } else { Class::Failed };
    let fallback = if stack.status_reason.is_empty() {
        format!("the stack ended as {}", stack.status.0)
    } else {
        format!("the stack ended as {}: {}", stack.status.0, stack.status_reason)
    };
    let cause = match context.aws() {
        Ok(aws) => find(&aws.cloudformation, &stack.id, since, token).await.ok().flatten(),
        Err(_) => None,
    };
    let Some((event, folded)) = cause else {
        return hint(Failure::new(class, "cloudformation", stack.name.clone(), fallback), ended_stuck, None);
    };
    let reason = if event.reason.is_empty() { "no reason given" } else { &event.reason };
    let more = if folded > 0 { format!("; {folded} more followed from it") } else { String::new() };
    let message = format!(
        "{} ({}) {}: {reason}{more}; the stack is {}",
        event.logical_id, event.resource_type, event.status, stack.status.0
    );
    let line = desired.and_then(|d| template_line(d, &event.logical_id));
    hint(Failure::new(class, "cloudformation", stack.name.clone(), message), ended_stuck, line)
}

fn hint(failure: Failure, stuck: bool, line: Option<String>) -> Failure {
    match (line, stuck) {
        (Some(line), false) => failure.hint(format!("declared at {line}")),
        (Some(line), true) => failure.hint(format!("declared at {line}; run `terrace doctor` for what is stuck")),
        (None, true) => failure.hint("run `terrace doctor`, which says and does the mend"),
        (None, false) => failure,
    }
}

/// The earliest failed resource of an operation, through nested stacks, and how many more failed.
async fn find(
    cloudformation: &Arc<dyn CloudFormation>,
    stack: &str,
    since: Option<&str>,
    token: Option<&str>,
) -> Outcome<Option<(StackEvent, usize)>> {
    let mut stack = stack.to_owned();
    let mut since = since.map(str::to_owned);
    let mut found: Option<(StackEvent, usize)> = None;
    let mut began = None;
    for _ in 0..DEEPEST {
        let mut events = cloudformation.stack_events(&stack, since.as_deref()).await?;
        events.reverse();
        // Where the service echoes the token, the operation's own events are told apart by it, or by its first moment.
        if let Some(first) = events.iter().position(|e| token.is_some() && e.token.as_deref() == token) {
            events.drain(..first);
        }
        if let Some(moment) = began {
            events.retain(|e| e.at >= moment);
        }
        let failed: Vec<&StackEvent> = events
            .iter()
            .filter(|e| e.status.ends_with("_FAILED") && e.physical_id != stack && !e.status.contains("ROLLBACK"))
            .collect();
        let own = |e: &&&StackEvent| !e.reason.contains("cancelled") && !e.reason.is_empty();
        let Some(cause) = failed.iter().find(own).or_else(|| failed.first()) else { return Ok(found) };
        found = Some(((*cause).clone(), failed.len() - 1));
        if cause.resource_type != "AWS::CloudFormation::Stack" || cause.physical_id.is_empty() {
            return Ok(found);
        }
        began = events.first().map(|e| e.at);
        stack.clone_from(&cause.physical_id);
        since = None;
    }
    Ok(found)
}

/// Adds the line of our template to what the service says of it, where it names a logical id.
pub(super) fn mend_by_template(failure: Failure, desired: &Desired) -> Failure {
    if failure.hint.is_some() {
        return failure;
    }
    let words: Vec<&str> = failure.message.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let template = template_of(&desired.documents, &desired.inputs);
    let named = template.and_then(|t| {
        let ids = t.resources.keys().chain(t.parameters.keys()).chain(t.outputs.keys());
        ids.filter(|id| words.contains(&id.as_str())).max_by_key(|id| id.len()).cloned()
    });
    match named.and_then(|id| template_line(desired, &id)) {
        Some(line) => failure.hint(format!("see {line}")),
        None => failure,
    }
}
