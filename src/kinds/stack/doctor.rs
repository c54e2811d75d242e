//! What is stuck about a stack, and the way out of each state.

use crate::{
    kinds::{Context, Finding, stack::live::find},
    world::{Outcome, StackStatus},
};
use serde_json::Value as Json;

/// What is wrong and what would be done. Source: "Troubleshooting CloudFormation" and the API reference of
/// ContinueUpdateRollback and DeleteStack.
pub(super) async fn examine(context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
    let Some(stack) = find(context, identity).await? else { return Ok(Vec::new()) };
    Ok(finding(&stack.name, &stack.status, &stack.status_reason).into_iter().collect())
}

fn finding(name: &str, status: &StackStatus, reason: &str) -> Option<Finding> {
    let (mend, automatic) = match status.0.as_str() {
        "REVIEW_IN_PROGRESS" => ("delete the name that a change set left without a stack".to_owned(), true),
        "UPDATE_ROLLBACK_FAILED" => ("continue the rollback once its cause is mended".to_owned(), true),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => {
            ("apply again: what is left is deleted, and the stack is made again".to_owned(), false)
        }
        "UPDATE_FAILED" => (format!("aws cloudformation rollback-stack --stack-name {name}"), false),
        "DELETE_FAILED" => (
            format!(
                "aws cloudformation delete-stack --stack-name {name} --retain-resources LOGICAL_ID..., for what cannot be deleted"
            ),
            false,
        ),
        "IMPORT_ROLLBACK_FAILED" => ("mend the resource that the import left, then import again".to_owned(), false),
        _ => return None,
    };
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Some(Finding { what: format!("the stack {name} is {}{why}", status.0), mend, automatic })
}

/// Does what needs no judgement: deletes a name in review, continues a rollback without skipping anything.
pub(super) async fn mend(context: &Context, identity: &Json, token: &str) -> Outcome<Vec<String>> {
    let Some(stack) = find(context, identity).await? else { return Ok(Vec::new()) };
    let cloudformation = &context.aws()?.cloudformation;
    match stack.status.0.as_str() {
        "REVIEW_IN_PROGRESS" => {
            cloudformation.delete_stack(&stack.id, &[], token).await?;
            Ok(vec![format!("deleted the name {} that was left in review", stack.name)])
        }
        "UPDATE_ROLLBACK_FAILED" => {
            cloudformation.continue_update_rollback(&stack.name, &[], token).await?;
            let end = context
                .wait_until(&format!("the rollback of {}", stack.name), || async {
                    Ok(cloudformation.describe_stack(&stack.id).await?.filter(|s| !s.status.in_progress()))
                })
                .await?;
            Ok(vec![format!("continued the rollback of {}: {}", stack.name, end.status.0)])
        }
        _ => Ok(Vec::new()),
    }
}
