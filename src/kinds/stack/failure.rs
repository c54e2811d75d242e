//! Why a stack's operation failed: the first cause, with what followed from it folded away.

use crate::{
    cfn::Template,
    kinds::{
        Context, Desired,
        stack::{nested, operation::Since},
    },
    world::{Class, CloudFormation, Failure, Outcome, Stack, StackEvent},
};
use std::sync::Arc;

/// Nested stacks are followed this deep; CloudFormation itself allows no more than a few levels in practice.
const DEEPEST: usize = 5;

/// The failure of an operation that ended badly. Its own events begin at `since` and, where the service echoes them, bear
/// the token.
pub(super) async fn first_cause(
    context: &Context,
    stack: &Stack,
    since: Option<&Since>,
    token: Option<&str>,
    desired: Option<&Desired>,
) -> Failure {
    let status = &stack.status.0;
    let ended_stuck =
        status.ends_with("ROLLBACK_FAILED") || matches!(status.as_str(), "DELETE_FAILED" | "UPDATE_FAILED");
    let class = if ended_stuck { Class::Stuck } else { Class::Failed };
    let found = match context.aws() {
        Ok(aws) => find(&aws.cloudformation, &stack.id, since.unwrap_or(&Since::Newest), token).await.ok(),
        Err(_) => None,
    };
    let found = found.unwrap_or_default();
    let Some(cause) = &found.cause else {
        let reason = if stack.status_reason.is_empty() { &found.own_reason } else { &stack.status_reason };
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let failure =
            Failure::new(class, "cloudformation", stack.name.clone(), format!("the stack ended as {status}{why}"));
        let failure = desired.map_or(failure.clone(), |desired| mend_by_template(failure, desired));
        return if failure.hint.is_some() { failure } else { hint(failure, ended_stuck, None) };
    };
    let followed = match found.followed {
        0 => String::new(),
        n => format!("; {n} more followed from it"),
    };
    let back = match found.back.as_ref().filter(|back| ended_stuck && back.id != cause.id) {
        Some(back) => format!("; taking it back failed at {}: {}", back.logical_id, reason(back)),
        None => String::new(),
    };
    let path: Vec<&str> = found.path.iter().map(String::as_str).chain([cause.logical_id.as_str()]).collect();
    let message = format!(
        "{} ({}) {}: {}{followed}{back}; the stack is {status}",
        path.join("/"),
        cause.resource_type,
        cause.status,
        reason(cause),
    );
    let line = desired.and_then(|desired| nested::line(desired, &path));
    hint(Failure::new(class, "cloudformation", stack.name.clone(), message), ended_stuck, line)
}

fn reason(event: &StackEvent) -> &str {
    if event.reason.is_empty() { "no reason given" } else { &event.reason }
}

fn hint(failure: Failure, stuck: bool, line: Option<String>) -> Failure {
    match (line, stuck) {
        (Some(line), false) => failure.hint(format!("declared at {line}")),
        (Some(line), true) => failure.hint(format!("declared at {line}; run `terrace doctor` for what is stuck")),
        (None, true) => failure.hint("run `terrace doctor`, which says and does the mend"),
        (None, false) => failure,
    }
}

/// What the events of an operation tell of its failure.
#[derive(Debug, Default)]
struct Found {
    /// The earliest failed resource, in the innermost nested stack.
    cause: Option<StackEvent>,
    /// The nested stacks that lead to it, by logical id.
    path: Vec<String>,
    /// How many more failed, in all of them.
    followed: usize,
    /// What the rollback failed at.
    back: Option<StackEvent>,
    /// What the stack itself says, where none of its resources failed: an export in use.
    own_reason: String,
}

/// The earliest failed resource of an operation, through nested stacks.
async fn find(
    cloudformation: &Arc<dyn CloudFormation>,
    stack: &str,
    since: &Since,
    token: Option<&str>,
) -> Outcome<Found> {
    let mut found = Found::default();
    let mut stack = stack.to_owned();
    let mut since = since.clone();
    for depth in 0..DEEPEST {
        let mut events = match since.read(cloudformation, &stack).await {
            Ok(events) => events,
            // What the outer stack tells is better than nothing.
            Err(_) if depth > 0 => return Ok(found),
            Err(failure) => return Err(failure),
        };
        events.reverse();
        if depth == 0 {
            // Where the service echoes the token, the operation's own events are told apart by it.
            let ours = |event: &StackEvent| token.is_some() && event.token.as_deref() == token;
            if let (Some(first), Some(last)) = (events.iter().position(ours), events.iter().rposition(ours)) {
                events.truncate(last + 1);
                events.drain(..first);
            }
        }
        let began = events.first().map(|event| event.at);
        let failed = |event: &&StackEvent| event.status.ends_with("_FAILED") && event.physical_id != stack;
        let turned = events.iter().position(|event| event.physical_id == stack && event.status.contains("ROLLBACK_IN"));
        let (forward, back) = events.split_at(turned.unwrap_or(events.len()));
        let own = |event: &&StackEvent| event.physical_id == stack && !event.reason.is_empty();
        if depth == 0 {
            found.back = back.iter().find(failed).cloned();
            let said =
                events.iter().filter(own).find(|e| e.status.contains("ROLLBACK") || e.status.ends_with("_FAILED"));
            found.own_reason = said.map(|event| event.reason.clone()).unwrap_or_default();
        }
        let all: Vec<&StackEvent> = forward.iter().filter(failed).collect();
        // Where it began after the turn, such as a rollback that was continued, what failed then is the cause.
        let all = if all.is_empty() { back.iter().filter(failed).collect() } else { all };
        let first =
            |event: &&&StackEvent| !event.reason.to_lowercase().contains("cancelled") && !event.reason.is_empty();
        let Some(cause) = all.iter().find(first).or_else(|| all.first()) else { return Ok(found) };
        if let Some(outer) = found.cause.take() {
            found.path.push(outer.logical_id);
        }
        found.followed += all.len() - 1;
        found.cause = Some((*cause).clone());
        if cause.resource_type != "AWS::CloudFormation::Stack" || cause.physical_id.is_empty() {
            return Ok(found);
        }
        since = began.map_or(Since::Newest, Since::Moment);
        stack.clone_from(&cause.physical_id);
    }
    Ok(found)
}

/// Adds the line of our template to what the service says of it: where it names a line, a logical id, or an export.
pub(super) fn mend_by_template(failure: Failure, desired: &Desired) -> Failure {
    if failure.hint.is_some() {
        return failure;
    }
    let words: Vec<&str> = failure.message.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let mut templates = nested::all(desired);
    let Some((file, text)) = templates.next() else { return failure };
    let of_word = |word: &str| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1)).copied();
    if let Some(line) = of_word("line").and_then(|line| line.parse::<usize>().ok()) {
        return failure.hint(format!("see {file}:{line}"));
    }
    let logical = |file: &str, text: &str| {
        let template = Template::parse(file, text).0;
        let ids = template.resources.keys().chain(template.parameters.keys()).chain(template.outputs.keys());
        let id = ids.filter(|id| words.contains(&id.as_str())).max_by_key(|id| id.len())?;
        let span = template.span_of(id, None)?;
        Some(text.get(..span.start as usize)?.matches('\n').count() + 1)
    };
    // `No export named shop-vpc found`: such a name may hold what no word does.
    let export = failure.message.split_once("export named ").and_then(|(_, rest)| rest.split_whitespace().next());
    let export = export.map(|name| name.trim_end_matches(['.', ',']));
    let quoted = |text: &str| text.lines().position(|line| export.is_some_and(|e| line.contains(e))).map(|at| at + 1);
    // `Unrecognized resource types: [AWS::SNS::Tropic]`: what is listed stands somewhere as it is.
    let listed = failure.message.split_once('[').and_then(|(_, rest)| rest.split(['[', ']', ',']).next());
    let listed = listed.map(str::trim).filter(|word| word.len() > 2);
    let stands = |text: &str| text.lines().position(|line| listed.is_some_and(|w| line.contains(w))).map(|at| at + 1);
    let found = std::iter::once((file, text)).chain(templates).find_map(|(file, text)| {
        let line = quoted(text).or_else(|| logical(file, text)).or_else(|| stands(text))?;
        Some(format!("see {file}:{line}"))
    });
    match found {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
