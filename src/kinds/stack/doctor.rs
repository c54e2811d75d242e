//! What is stuck about a stack, and the way out of each state.
//!
//! Source: "Troubleshooting CloudFormation", and the API references of ContinueUpdateRollback, RollbackStack and DeleteStack.

use crate::{
    kinds::{
        Context, Finding, Named, Owner, Pace,
        stack::{failure::first_cause, live::find},
    },
    world::{Class, Failure, Outcome, Stack},
};
use serde_json::Value as Json;

/// What is wrong and what would be done.
pub(super) async fn examine(context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
    let Some(stack) = ours(context, identity).await? else { return Ok(Vec::new()) };
    let reason = if stack.status_reason.is_empty() { String::new() } else { format!(": {}", stack.status_reason) };
    let what = format!("the stack {} is {}{reason}", stack.name, stack.status.0);
    let address = &context.address;
    let (mend, automatic) = match stack.status.0.as_str() {
        "REVIEW_IN_PROGRESS" => {
            let sets = context.aws()?.cloudformation.list_change_sets(&stack.id).await?;
            if sets.is_empty() {
                ("delete the name that a change set left without a stack".to_owned(), true)
            } else {
                let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
                (format!("execute or delete what waits there first: {}", names.join(", ")), false)
            }
        }
        "UPDATE_ROLLBACK_FAILED" => {
            let failed = names(context, &stack, "UPDATE_FAILED").await?;
            let skip = format!("--skip LOGICAL_ID leaves one of {failed} as it is");
            (format!("continue the rollback once its cause is mended; {skip}"), true)
        }
        "UPDATE_FAILED" => ("roll it back to its last stable state".to_owned(), true),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => {
            ("apply again: what is left is deleted, and the stack is made again".to_owned(), false)
        }
        "DELETE_FAILED" => {
            let failed = names(context, &stack, "DELETE_FAILED").await?;
            let again = format!("terrace destroy --target {address} deletes it once more, when what kept it is gone");
            (
                format!(
                    "{again}; terrace doctor --fix --retain LOGICAL_ID leaves behind what cannot be deleted of {failed}"
                ),
                false,
            )
        }
        "IMPORT_ROLLBACK_FAILED" => (
            format!(
                "mend the resource that the import left, then import again; terrace destroy --target {address} deletes the stack"
            ),
            false,
        ),
        _ if stack.status.in_progress() => {
            let since = stack.updated.unwrap_or(stack.created);
            let what = format!("{what}, since {since}");
            let mend = format!("wait; where no run of {address} is open, it is somebody else's doing");
            return Ok(vec![Finding { what, mend, automatic: false }]);
        }
        _ => return Ok(Vec::new()),
    };
    Ok(vec![Finding { what, mend, automatic }])
}

/// The stack, unless somebody else made one under the name since.
async fn ours(context: &Context, identity: &Json) -> Outcome<Option<Stack>> {
    let others = |s: &Stack| matches!(context.marks.owner_by_tags(&s.tags, &context.address), Owner::Other(_));
    Ok(find(context, identity).await?.filter(|s| !others(s)))
}

/// The resources of this status, by logical id.
async fn names(context: &Context, stack: &Stack, status: &str) -> Outcome<String> {
    let resources = context.aws()?.cloudformation.stack_resources(&stack.id).await?;
    let names: Vec<String> = resources.into_iter().filter(|r| r.status == status).map(|r| r.logical_id).collect();
    Ok(if names.is_empty() { "its resources".to_owned() } else { names.join(", ") })
}

/// Does what needs no judgement, and skips or keeps what a person named.
pub(super) async fn mend(context: &Context, identity: &Json, token: &str, named: &Named) -> Outcome<Vec<String>> {
    let Some(stack) = ours(context, identity).await? else { return Ok(Vec::new()) };
    let cloudformation = &context.aws()?.cloudformation;
    let name = &stack.name;
    match stack.status.0.as_str() {
        "REVIEW_IN_PROGRESS" => {
            if !cloudformation.list_change_sets(&stack.id).await?.is_empty() {
                return Ok(Vec::new());
            }
            cloudformation.delete_stack(&stack.id, &[], token).await?;
            Ok(vec![format!("deleted the name {name} that was left in review")])
        }
        "UPDATE_ROLLBACK_FAILED" => {
            cloudformation.continue_update_rollback(name, &named.skip, token).await?;
            let end = rest(context, &stack, token).await?;
            let skipped = match named.skip.as_slice() {
                [] => String::new(),
                skipped => format!(", leaving {} as it is", skipped.join(", ")),
            };
            Ok(vec![format!("continued the rollback of {name}{skipped}: {}", end.status.0)])
        }
        "UPDATE_FAILED" => {
            cloudformation.rollback_stack(&stack.id, token).await?;
            let end = rest(context, &stack, token).await?;
            Ok(vec![format!("rolled {name} back: {}", end.status.0)])
        }
        "DELETE_FAILED" if !named.retain.is_empty() => {
            cloudformation.delete_stack(&stack.id, &named.retain, token).await?;
            let waiting = format!("the stack {name} to be gone");
            let end = context
                .wait_at(Pace::QUICK, &waiting, || async {
                    let now = cloudformation.describe_stack(&stack.id).await?;
                    Ok(match now {
                        Some(now) if now.status.0 == "DELETE_COMPLETE" => Some(None),
                        Some(now) if now.status.in_progress() => None,
                        other => Some(other),
                    })
                })
                .await?;
            match end {
                Some(left) => Err(first_cause(context, &left, None, Some(token), None).await),
                None => Ok(vec![format!("deleted {name}, and left behind {}", named.retain.join(", "))]),
            }
        }
        _ => Ok(Vec::new()),
    }
}

/// Waits until a stack is at rest, and says why where it is stuck again.
async fn rest(context: &Context, stack: &Stack, token: &str) -> Outcome<Stack> {
    let cloudformation = &context.aws()?.cloudformation;
    let end = context
        .wait_at(Pace::QUICK, &format!("the rollback of {}", stack.name), || async {
            Ok(cloudformation.describe_stack(&stack.id).await?.filter(|s| !s.status.in_progress()))
        })
        .await?;
    if end.status.0.ends_with("_FAILED") {
        let failure: Failure = first_cause(context, &end, None, Some(token), None).await;
        return Err(Failure { class: Class::Stuck, ..failure });
    }
    Ok(end)
}
