//! A live stack as a `stack` block would declare it.

use crate::{
    base::Value,
    cfn::Template,
    kinds::{Context, Written, is_own_tag, stack::live::find},
    world::Outcome,
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Reads a stack whole. `None` where there is none.
pub(super) async fn written(context: &Context, identity: &Json) -> Outcome<Option<Written>> {
    let Some(stack) = find(context, identity).await?.filter(|s| !s.status.in_review()) else { return Ok(None) };
    let cloudformation = &context.aws()?.cloudformation;
    let text = context.patiently(|| cloudformation.get_template(&stack.id)).await?;
    let template = Template::parse("template", &text).0;
    let mut notes = Vec::new();
    let mut parameters: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, value) in &stack.parameters {
        let declared = template.parameters.get(name);
        if declared.is_some_and(|p| p.no_echo) {
            notes.push(format!(
                "the parameter {name} is NoEcho: its value is not told, so it is a variable, and the first plan sets it again"
            ));
            parameters.insert(name, Value::UNKNOWN.sensitive());
        } else if declared.and_then(|p| p.default.as_deref()) != Some(value.as_str()) {
            parameters.insert(name, Value::from(value.as_str()));
        }
    }
    let tags: BTreeMap<&str, Value> = stack
        .tags
        .iter()
        .filter(|(key, _)| is_own_tag(key))
        .map(|(key, value)| (key.as_str(), Value::from(value.as_str())))
        .collect();
    let seen: BTreeSet<String> = template.capabilities().iter().map(ToString::to_string).collect();
    let more: Vec<Value> =
        stack.capabilities.iter().filter(|c| !seen.contains(*c)).map(|c| Value::from(c.as_str())).collect();
    let mut attributes: Vec<(&'static str, Value)> = vec![("name", stack.name.as_str().into())];
    if !parameters.is_empty() {
        attributes.push(("parameters", Value::object(parameters)));
    }
    if !tags.is_empty() {
        attributes.push(("tags", Value::object(tags)));
    }
    if !more.is_empty() {
        attributes.push(("capabilities", Value::tuple(more)));
    }
    if let Some(role) = &stack.role_arn {
        attributes.push(("role_arn", role.as_str().into()));
    }
    if stack.termination_protection {
        attributes.push(("termination_protection", true.into()));
    }
    let kind = if text.trim_start().starts_with('{') { "json" } else { "yaml" };
    let file = Some(("template", format!("{}.{kind}", stack.name), text));
    Ok(Some(Written { attributes, file, notes }))
}
