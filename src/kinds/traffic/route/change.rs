//! What a route's block says, what is live, and the difference. How much each side gets is left out everywhere.

use super::{Form, identity, live, owner, reference};
use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Digest, Path, Value},
    kinds::{
        BEING_DELETED, Cause, Change, Comparison, Condition, ConditionEffect, Context, Desired, Difference,
        FieldChange, Observed, Prepare, Sides, Undo, release_name,
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
        identity: identity(&reference),
        inputs: Value::from_json(&seen),
        documents: BTreeMap::new(),
        exports: exports(&reference),
        owner: owner(context, &object),
        fingerprint: Digest::of(
            json!([object["metadata"]["uid"], seen, annotations["terrace.dev/address"], going]).to_string().as_bytes(),
        ),
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

/// Pure.
pub(in crate::kinds::traffic) fn diff(form: Form, difference: &Difference<'_>) -> Change {
    let desired = &difference.desired.inputs;
    let comparison = Comparison::from(difference);
    let compare = |live: Option<&Value>, prior: Option<&Value>| {
        comparison.fields(&Path::default(), Sides { desired: Some(desired), live, prior })
    };
    let create = |fields: Vec<FieldChange>| {
        let known = difference.desired.identity.as_ref().and_then(reference);
        let exports = known.map_or_else(|| Value::object([("id", Value::UNKNOWN)]), |object| exports(&object));
        Change { fields, ..Change::new(ActionWord::Create, exports) }
    };
    let Some(live) = difference.observed else { return create(compare(None, None)) };
    let prior = difference.prior.map(|prior| &prior.inputs);
    let mut fields = compare(Some(&live.inputs), prior);
    let word = form.word();
    let names = [format!("{word}.namespace"), format!("{word}.name")];
    let mut elsewhere = false;
    for field in fields.iter_mut().filter(|field| names.contains(&field.path)) {
        field.forces_replacement = true;
        elsewhere = true;
    }
    if elsewhere {
        let mut change = create(fields);
        change.action = ActionWord::Replace;
        change.reasons.push("another name or namespace is another route".to_owned());
        change.undo = Undo::Partly("the former route is not brought back".to_owned());
        return change;
    }
    let path = Path::default().key(word).key("others");
    if let Some(others) = live.inputs.get(word).and_then(|block| block.get("others"))
        && !comparison.ignores(&path)
    {
        fields.push(FieldChange {
            path: path.to_string(),
            before: Some(others.clone()),
            after: None,
            cause: Cause::Drift,
            forces_replacement: false,
            because: None,
            owner: None,
        });
        fields.sort_by(|a, b| a.path.cmp(&b.path));
    }
    let action = if fields.is_empty() { ActionWord::NoOp } else { ActionWord::Update };
    Change { fields, ..Change::new(action, live.exports.clone()) }
}
