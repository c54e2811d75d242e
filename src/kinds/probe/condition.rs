//! The probe `condition`: whether something is true of an object, by its status' conditions, by a JSONPath, or by a CEL
//! expression with the object as `object`, as in Kubernetes' admission policies.

use super::{Measurement, json_path, namespace, text};
use crate::{
    base::Value,
    kinds::Context,
    world::{Class, Failure, ObjectRef, Outcome},
};
use cel::{Env, Program};
use serde_json::Value as Json;
use std::{panic::catch_unwind, sync::Arc};

pub(super) async fn measure(context: &Context, body: &Value) -> Outcome<Measurement> {
    let part = |name: &str| text(body, name).unwrap_or_default();
    let kubernetes = &context.cluster()?.kubernetes;
    let (api_version, kind) = (part("api_version"), part("kind"));
    let Some(found) = context.patiently(|| kubernetes.resource_type(&api_version, &kind)).await? else {
        return Ok(Measurement::of(false, format!("the cluster has no {api_version} {kind}")));
    };
    let namespace = found.namespaced.then(|| namespace(body));
    let reference = ObjectRef { api_version, kind, namespace, name: part("name") };
    let Some(object) = context.patiently(|| kubernetes.get(&reference)).await? else {
        return Ok(Measurement::of(false, format!("there is no {reference}")));
    };
    if let Some(expression) = text(body, "cel") {
        let held = holds(&expression, &object).map_err(|why| {
            Failure::new(Class::Invalid, "verify", context.address.to_string(), format!("`{expression}` {why}"))
        })?;
        let said = if held { "holds" } else { "does not hold" };
        return Ok(Measurement::of(held, format!("{reference}: {expression} {said}")));
    }
    if let Some(way) = text(body, "json_path") {
        let wanted = body.get("value").filter(|v| !v.is_null()).and_then(Value::to_json);
        return Ok(match json_path::holds(&object, &way, wanted.as_ref()) {
            Ok(()) => Measurement::of(true, format!("{reference} {way} is as it should be")),
            Err(why) => Measurement::of(false, format!("{reference}: {why}")),
        });
    }
    let (kind, wanted) = (part("type"), text(body, "status").unwrap_or_else(|| "True".to_owned()));
    let conditions = object["status"]["conditions"].as_array();
    let Some(condition) = conditions.and_then(|all| all.iter().find(|c| c["type"] == kind.as_str())) else {
        return Ok(Measurement::of(false, format!("{reference} has no condition {kind} yet")));
    };
    // What a controller said of an earlier generation does not hold of this one.
    let seen = condition["observedGeneration"].as_i64().or_else(|| object["status"]["observedGeneration"].as_i64());
    if seen.is_some_and(|seen| object["metadata"]["generation"].as_i64().is_some_and(|now| seen < now)) {
        return Ok(Measurement::of(false, format!("{reference} {kind} is not yet told of its newest generation")));
    }
    let status = condition["status"].as_str().unwrap_or("Unknown");
    let more = condition["message"].as_str().filter(|m| !m.is_empty()).map(|m| format!(": {m}")).unwrap_or_default();
    Ok(Measurement::of(status == wanted, format!("{reference} {kind} is {status}{more}")))
}

/// Whether a CEL expression holds of an object. A field that is not there yet makes it not hold.
///
/// # Errors
/// An expression that cannot be read, or whose result is neither true nor false; in words that follow it.
fn holds(expression: &str, object: &Json) -> Result<bool, String> {
    use cel::{ExecutionError, Value as Cel};
    let program = compiled(expression)?;
    let mut variables = cel::Context::with_env(Arc::new(Env::stdlib()));
    variables.add_variable("object", object.clone()).map_err(|error| format!("cannot be asked: {error}"))?;
    match program.execute(&variables) {
        Ok(Cel::Bool(held)) => Ok(held),
        Ok(other) => Err(format!("is {other:?}, and neither true nor false")),
        Err(ExecutionError::NoSuchKey(_)) => Ok(false),
        Err(error) => Err(format!("cannot be asked: {error}")),
    }
}

fn compiled(expression: &str) -> Result<Program, String> {
    // A parser that gives up on some text must not take the run with it.
    let compiled = catch_unwind(|| Program::compile(expression)).map_err(|_| "is no CEL expression".to_owned())?;
    compiled.map_err(|error| format!("is no CEL expression: {error}"))
}

/// Reads an expression, without asking anything by it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn is_expression(expression: &str) -> Result<(), String> {
    compiled(expression).map(drop).map_err(|why| format!("`{expression}` {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_expression_is_asked_of_the_object() {
        let object = json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "phase": "Ready"}});
        assert_eq!(holds("object.status.readyReplicas < object.spec.replicas", &object), Ok(true));
        assert_eq!(holds("object.status.phase in ['Ready', 'Done'] && has(object.spec)", &object), Ok(true));
        assert_eq!(holds("object.status.readyReplicas == object.spec.replicas", &object), Ok(false));
    }

    #[test]
    fn a_field_that_is_not_there_yet_does_not_hold() {
        assert_eq!(holds("object.status.phase == 'Ready'", &json!({"status": {}})), Ok(false));
        assert_eq!(holds("object.status.phase == 'Ready'", &json!({})), Ok(false));
    }

    #[test]
    fn what_is_no_expression_or_gives_no_answer_is_said() {
        for (expression, why) in [
            ("object.", "is no CEL expression"),
            ("((((", "is no CEL expression"),
            ("object.a", "neither true nor false"),
            ("nothing == 1", "cannot be asked"),
        ] {
            let said = holds(expression, &json!({"a": 1})).unwrap_err();
            assert!(said.contains(why), "{expression}: {said}");
        }
    }
}
