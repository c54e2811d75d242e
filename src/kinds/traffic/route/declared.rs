//! What a route's block says, and what is live. How much each side gets is left out everywhere.

use super::{Form, identity, live, owner, reference};
use crate::{
    base::{Diagnostic, Diagnostics, Digest, Path, Value},
    kinds::{
        BEING_DELETED, Condition, ConditionEffect, Context, Desired, Observed, Prepare, release_name,
        traffic::change::Place,
    },
    world::{ObjectRef, Outcome},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// Checks what is written, and fills defaults in.
pub(in crate::kinds::traffic) fn prepare(form: Form, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
    let block = request.inputs.get(form.word()).cloned().unwrap_or(Value::NULL);
    let given = |name: &str| block.get(name).filter(|value| !value.is_null()).cloned();
    let mut entries: BTreeMap<Arc<str>, Value> =
        form.names().iter().filter_map(|name| Some((Arc::from(*name), given(name)?))).collect();
    let name = given("name").unwrap_or_else(|| release_name(request.address).into());
    entries.insert("name".into(), name.clone());
    if form == Form::Gateway {
        let path = given("path").unwrap_or_else(|| "/".into());
        if let Some(text) = path.as_str().filter(|text| !text.starts_with('/')) {
            let problem = Diagnostic::error("traffic_route", format!("`{text}` is no path"))
                .because("a path of a route begins with `/` and means all that begins so")
                .hint(format!("write \"/{text}\""));
            let place = (request.place)(&Path::default().key("gateway").key("path"));
            return Err(match place {
                Some(span) => problem.at(&span, ""),
                None => problem,
            }
            .into());
        }
        entries.insert("path".into(), path);
        let own = given("namespace").unwrap_or(Value::UNKNOWN);
        entries.insert("parent_namespace".into(), given("parent_namespace").unwrap_or(own));
    }
    let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
    let object = text(given("namespace")).zip(text(Some(name))).map(|(space, name)| form.reference(&space, &name));
    Ok(Desired {
        inputs: Value::object([(form.word(), Value::object(entries))]),
        documents: BTreeMap::new(),
        identity: object.map(|object| identity(&object)),
    })
}

pub(in crate::kinds::traffic) async fn read(context: &Context, told: &Json) -> Outcome<Option<Observed>> {
    let Some(reference) = reference(told) else { return Ok(None) };
    let Some(form) = Form::of_object(&reference) else { return Ok(None) };
    let Some(object) = live(context, &reference).await? else { return Ok(None) };
    let (declared, others) = form.declared(&object);
    let inputs = Value::from_json(&json!({ form.word(): declared }));
    let mut seen = json!({ form.word(): declared });
    if !others.is_empty() {
        seen[form.word()]["others"] = json!(others);
    }
    let annotations = &object["metadata"]["annotations"];
    let going = !object["metadata"]["deletionTimestamp"].is_null();
    Ok(Some(Observed {
        held: None,
        identity: identity(&reference),
        inputs: Value::from_json(&seen),
        documents: BTreeMap::new(),
        exports: exports(&reference),
        owner: owner(context, &object),
        fingerprint: Digest::of_value(&json!([
            object["metadata"]["uid"],
            seen,
            annotations["terrace.dev/address"],
            going
        ])),
        condition: going.then(|| Condition {
            word: BEING_DELETED.to_owned(),
            effect: ConditionEffect::Note,
            hint: Some("wait until it is gone, or clear what holds it, and plan again".to_owned()),
        }),
        image: inputs,
    }))
}

/// What others may refer to.
pub(super) fn exports(object: &ObjectRef) -> Value {
    Value::object([("id", Value::from(object.to_string()))])
}

/// What tells one object from another.
pub(in crate::kinds::traffic) fn place(form: Form, desired: &Desired) -> Place {
    let known = desired.identity.as_ref().and_then(reference);
    Place {
        form: form.word(),
        names: &["namespace", "name"],
        because: "another name or namespace is another route",
        exports: known.map_or_else(|| Value::object([("id", Value::UNKNOWN)]), |object| exports(&object)),
    }
}
