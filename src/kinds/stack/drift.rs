//! Drift inside a stack, as CloudFormation's own detection finds it.

use crate::{
    kinds::{ChildChange, Context, stack::children, stack::live::find},
    world::{Failure, Outcome, ResourceDrift},
};
use serde_json::Value as Json;

/// What drifted inside a stack. Nothing drifts inside one that is gone, or that has only a name.
pub(super) async fn look(context: &Context, identity: &Json) -> Outcome<Vec<ChildChange>> {
    let Some(stack) = find(context, identity).await?.filter(|s| !s.status.in_review()) else {
        return Ok(Vec::new());
    };
    Ok(children::of_drift(&detect(context, &stack.id).await?))
}

/// Every resource that was checked. A stack has one detection at a time: where one runs already, by whosever hand, its end
/// is waited for. `UNKNOWN` and `NOT_CHECKED` are no errors.
pub(super) async fn detect(context: &Context, stack: &str) -> Outcome<Vec<ResourceDrift>> {
    let cloudformation = &context.aws()?.cloudformation;
    context
        .wait_until("the drift detection that runs already", || async {
            match cloudformation.detect_drift(stack, context.time_left()).await {
                Err(failure) if runs_already(&failure) => Ok(None),
                other => other.map(Some),
            }
        })
        .await
}

/// As DetectStackDrift says it.
fn runs_already(failure: &Failure) -> bool {
    let message = failure.message.to_ascii_lowercase();
    message.contains("drift detection") && message.contains("already in progress")
}
