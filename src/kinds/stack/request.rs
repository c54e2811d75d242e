//! The request that a change set, an update or an undo is made of.

use crate::{
    base::{Digest, Value},
    cfn::Template,
    kinds::{
        Context, Desired, Observed, is_given_tag,
        stack::{
            desired::{TEMPLATE, known_parameters},
            import,
        },
    },
    world::{Class, Failure, OnCreateFailure, Outcome, Stack, StackRequest},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a declaration asks for of the stack that is there, marks of ownership included. A sealed or ignored `NoEcho` parameter
/// keeps its value. Where resources are to be imported, the tags are those that the stack has: an import may change none.
pub(super) fn of_desired(context: &Context, desired: &Desired, live: Option<&Observed>) -> Outcome<StackRequest> {
    let exists = live.is_some();
    let inputs = &desired.inputs;
    let text = |name: &str| inputs.get(name).and_then(Value::as_str).map(str::to_owned);
    let missing = |what: &str| {
        Failure::new(Class::Invalid, "cloudformation", context.address.to_string(), format!("{what} is not known yet"))
    };
    let (parameters, later) = known_parameters(inputs);
    if let Some(name) = later.iter().find(|name| !exists || inputs_unknown(inputs, name)) {
        return Err(missing(&format!("the parameter {name}")));
    }
    let imports = import::requested(desired, live).map_err(|what| missing(&what))?;
    let tags = if imports.is_empty() {
        let mut tags = strings(inputs.get("tags"));
        tags.extend(context.marks.tags(&context.address));
        tags
    } else {
        own_tags(live.and_then(|live| live.image.get("tags")))
    };
    Ok(StackRequest {
        name: text("name").ok_or_else(|| missing("the stack's name"))?,
        template: desired.documents.get(TEMPLATE).ok_or_else(|| missing("the template"))?.to_string(),
        parameters,
        use_previous: later.into_iter().collect(),
        tags,
        capabilities: list(inputs.get("capabilities")),
        role_arn: text("role_arn"),
        notification_arns: topics(inputs.get("notification_arns")),
        on_create_failure: match text("on_create_failure").as_deref() {
            Some("delete") => OnCreateFailure::Delete,
            _ => OnCreateFailure::Rollback,
        },
        revert_drift: false,
        template_url: None,
        exists: Some(exists),
        imports,
    })
}

fn inputs_unknown(inputs: &Value, name: &str) -> bool {
    inputs.get("parameters").and_then(|p| p.get(name)).is_some_and(Value::is_unknown)
}

/// What puts a stack back to its before-image.
pub(super) fn of_image(name: &str, image: &Value) -> StackRequest {
    StackRequest {
        name: name.to_owned(),
        template: image.get("template").and_then(Value::as_str).unwrap_or_default().to_owned(),
        parameters: strings(image.get("parameters")),
        use_previous: list(image.get("previous")),
        tags: own_tags(image.get("tags")),
        capabilities: list(image.get("capabilities")),
        role_arn: image.get("role_arn").and_then(Value::as_str).map(str::to_owned),
        notification_arns: topics(image.get("notification_arns")),
        on_create_failure: OnCreateFailure::Rollback,
        revert_drift: false,
        template_url: None,
        exists: Some(true),
        imports: Vec::new(),
    }
}

/// Tags that are not the service's own.
fn own_tags(tags: Option<&Value>) -> BTreeMap<String, String> {
    strings(tags).into_iter().filter(|(key, _)| is_given_tag(key)).collect()
}

/// What a stack was given last, asked for again with this template; its parameters keep what they have.
pub(super) fn of_live(stack: &Stack, template: &str) -> StackRequest {
    StackRequest {
        name: stack.name.clone(),
        capabilities: capabilities(stack, &Template::parse(TEMPLATE, template).0).into_iter().collect(),
        template: template.to_owned(),
        use_previous: stack.parameters.keys().cloned().collect(),
        tags: stack.tags.iter().filter(|(k, _)| is_given_tag(k)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        role_arn: stack.role_arn.clone(),
        ..StackRequest::default()
    }
}

/// What was acknowledged for a stack last, and what its template is seen to need.
pub(super) fn capabilities(stack: &Stack, template: &Template) -> BTreeSet<String> {
    let needed = template.capabilities();
    stack.capabilities.iter().cloned().chain(needed.iter().map(ToString::to_string)).collect()
}

/// The name of the change set of an intent: the same after a crash.
pub(super) fn change_set_name(token: &str) -> String {
    format!("terrace-{}", Digest::of(token.as_bytes()).short())
}

fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    entries.filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned()))).collect()
}

/// Topics where some list is given, an empty one among them.
fn topics(value: Option<&Value>) -> Option<Vec<String>> {
    value.filter(|topics| topics.as_seq().is_some()).map(|topics| list(Some(topics)))
}

fn list(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_seq)
        .into_iter()
        .flat_map(|s| s.iter())
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}
