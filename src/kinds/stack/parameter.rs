//! One parameter of a live stack moved, with everything else as it is: how `eks_upgrade` moves a control plane.

use crate::{
    cfn::Template,
    kinds::{
        Context,
        stack::{desired::TEMPLATE, failure::first_cause, live::find, nested, operation::follow},
    },
    world::{Class, Failure, Outcome, Stack, StackRequest},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

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
    let mut request = request(&found, text, parameter, value);
    nested::send(context, &BTreeMap::new(), &mut request).await?;
    let since = events.first().map(|e| e.id.clone());
    match cloudformation.update_stack(&request, token).await {
        Err(failure) if failure.message.contains("No updates are to be performed") => return Ok(()),
        other => other?,
    }
    follow(context, &which, Some(&found), since, token, None).await.map(drop)
}

fn request(stack: &Stack, text: String, parameter: &str, value: &str) -> StackRequest {
    let template = Template::parse(TEMPLATE, &text).0;
    let mut capabilities: BTreeSet<String> = stack.capabilities.iter().cloned().collect();
    capabilities.extend(template.capabilities().iter().map(ToString::to_string));
    StackRequest {
        name: stack.name.clone(),
        template: text,
        parameters: [(parameter.to_owned(), value.to_owned())].into(),
        use_previous: stack.parameters.keys().filter(|name| *name != parameter).cloned().collect(),
        tags: stack.tags.iter().filter(|(k, _)| !k.starts_with("aws:")).map(|(k, v)| (k.clone(), v.clone())).collect(),
        capabilities: capabilities.into_iter().collect(),
        role_arn: stack.role_arn.clone(),
        ..StackRequest::default()
    }
}
