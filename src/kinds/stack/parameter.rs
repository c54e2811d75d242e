//! One parameter of a live stack moved, with everything else as it is: how `eks_upgrade` moves a control plane.

use crate::{
    kinds::{
        Context,
        stack::{failure::first_cause, live::find, nested, operation::follow, request::of_live},
    },
    world::{Class, Failure, Outcome},
};
use serde_json::json;
use std::collections::BTreeMap;

/// Updates the stack with this parameter at `value` and every other one as it is, and waits until that has ended. The same
/// token goes on with the same update: nothing is begun twice, and one that failed stays failed.
///
/// # Errors
/// The first cause of an update that failed; [`Class::Conflict`] while somebody else changes the stack.
pub(in crate::kinds) async fn set_parameter(
    context: &Context,
    stack: &str,
    parameter: &str,
    value: &str,
    token: &str,
) -> Outcome<()> {
    let cloudformation = &context.aws()?.cloudformation;
    let which = json!({ "name": stack });
    let found = find(context, &which)
        .await?
        .ok_or_else(|| Failure::new(Class::NotFound, "cloudformation:UpdateStack", stack, "there is no such stack"))?;
    let events = context.patiently(|| cloudformation.stack_events(&found.id, None)).await?;
    let is_ours = |told: Option<&str>| told == Some(token);
    let echoed = is_ours(found.last_token.as_deref()) || events.iter().any(|e| is_ours(e.token.as_deref()));
    let tells = found.last_token.is_some() || events.iter().any(|e| e.token.is_some());
    let there = found.parameters.get(parameter).is_some_and(|live| live == value);
    if found.status.in_progress() {
        if tells && !echoed {
            let message = format!("it is {} by somebody else's hand", found.status.0);
            return Err(Failure::new(Class::Conflict, "cloudformation:UpdateStack", stack, message)
                .hint("apply again once that has ended"));
        }
        return follow(context, &which, None, None, token, None).await.map(drop);
    }
    if echoed && !(there && found.status.succeeded()) {
        return Err(first_cause(context, &found, None, Some(token), None).await);
    }
    if there {
        return Ok(());
    }
    let text = context.patiently(|| cloudformation.get_template(&found.id)).await?;
    let mut request = of_live(&found, &text);
    request.use_previous.retain(|name| name != parameter);
    request.parameters.insert(parameter.to_owned(), value.to_owned());
    nested::send(context, &BTreeMap::new(), &mut request).await?;
    let since = events.first().map(|e| e.id.clone());
    match cloudformation.update_stack(&request, token).await {
        Err(failure) if failure.message.contains("No updates are to be performed") => return Ok(()),
        other => other?,
    }
    follow(context, &which, Some(&found), since, token, None).await.map(drop)
}
