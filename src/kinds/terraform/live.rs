//! Which root a declaration or what state remembers is about, and what the root's own state holds.

use crate::{
    base::{Digest, Hidden, Secret, Value},
    kinds::{Context, Desired, Observed, Owner, terraform::children},
    world::{Class, Failure, Outcome, Root, RootState},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// The root as it is declared; as state remembers it where nothing declares it, or where that is not known yet.
pub(super) fn root(context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Root> {
    let remembered = Value::from_json(identity);
    let known = desired.filter(|d| d.identity.is_some()).map(|d| &d.inputs);
    let inputs = known.unwrap_or(&remembered);
    let fail = |what: String| Failure::new(Class::Invalid, "terraform", context.address.to_string(), what);
    let text = |name: &str| {
        let found = inputs.get(name).and_then(Value::as_str).map(str::to_owned);
        found.ok_or_else(|| fail(format!("its `{name}` is not known")))
    };
    let texts = |name: &str| {
        let mut out = BTreeMap::new();
        for (entry, value) in inputs.get(name).and_then(Value::as_map).into_iter().flat_map(|m| m.iter()) {
            let Some(value) = value.as_str() else { return Err(fail(format!("`{name}.{entry}` is not known"))) };
            out.insert(entry.to_string(), Secret::new(value.to_owned()));
        }
        Ok(out)
    };
    let mut variables = serde_json::Map::new();
    for name in ["inputs", "sensitive_inputs"] {
        for (entry, value) in inputs.get(name).and_then(Value::as_map).into_iter().flat_map(|m| m.iter()) {
            // To look at the state no values are needed; to plan they are all known.
            variables.extend(value.to_json().map(|json| (entry.to_string(), json)));
        }
    }
    let key = desired.and_then(|d| d.identity.as_ref()).unwrap_or(identity)["key"].as_str();
    Ok(Root {
        program: context.programs.find(&text("program")?).to_owned(),
        folder: text("root")?,
        key: key.ok_or_else(|| fail("its own folder is not known".to_owned()))?.to_owned(),
        workspace: text("workspace")?,
        backend: texts("backend")?,
        environment: texts("environment")?,
        var_files: inputs
            .get("var_files")
            .and_then(Value::as_seq)
            .into_iter()
            .flat_map(|s| s.iter().filter_map(|f| f.as_str().map(str::to_owned)))
            .collect(),
        variables: Secret::new(Json::Object(variables).to_string()),
    })
}

pub(super) async fn read(context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
    let root = root(context, identity, desired)?;
    let state = context.terraform.state(&root, context.time_left()).await?;
    let was = identity["lineage"].as_str();
    if let Some(why) = was.and_then(|was| lost(was, state.lineage.as_deref())) {
        return Err(lost_failure(context, &root, why));
    }
    // A root that holds nothing leaves no trace; that it was applied is remembered.
    let empty = state.resources.is_empty() && state.outputs.is_empty();
    let remembered = was.is_some() || identity["empty"] == json!(true);
    if state.lineage.is_none() && identity["empty"] != json!(true) || empty && !remembered {
        return Ok(None);
    }
    let mut identity = desired.and_then(|d| d.identity.clone()).unwrap_or_else(|| identity.clone());
    note_state(&mut identity, &state);
    Ok(Some(Observed {
        held: None,
        inputs: told(&identity),
        documents: BTreeMap::new(),
        exports: match desired {
            // What was given as a secret is not known here, so neither is which output gives it away.
            None if !identity["withheld"].is_null() => Value::object([("outputs", Value::UNKNOWN)]),
            desired => {
                let outputs = state.outputs.values().map(|(value, _)| Value::from_json(value.expose()));
                let given = context.former.marked(&Value::tuple(outputs.collect()));
                exports(&state, &Hidden::of(desired.map(|d| &d.inputs).into_iter().chain([&given])))
            }
        },
        owner: Owner::Nobody,
        fingerprint: Digest::of_value(&json!([state.lineage, state.serial])),
        condition: None,
        image: image(&state),
        identity,
    }))
}

/// Why the state that is there is not the one that the root was applied to. One that is not to be found says nothing of what
/// it held: that may be there still.
pub(super) fn lost(was: &str, now: Option<&str>) -> Option<&'static str> {
    match now {
        None => Some(
            "the state that this root left is not there: the backend or the workspace is another one, or it was deleted",
        ),
        Some(now) if now != was => {
            Some("the state that is there is another one than the root was applied to: it has another lineage")
        }
        Some(_) => None,
    }
}

/// That, with what to do.
pub(super) fn lost_failure(context: &Context, root: &Root, why: &str) -> Failure {
    Failure::new(Class::Conflict, "terraform", &root.folder, why).hint(format!(
        "put back what has changed: the root's backend, its settings, the workspace; where the state is gone for good, \
         `terrace state rm {}` lets go of it, and an `import` block takes over what is there",
        context.address
    ))
}

/// What the world tells of what is written: which state it is. Values that were given are remembered, not read.
fn told(identity: &Json) -> Value {
    let known = ["root", "program", "workspace", "backend", "var_files"];
    let known = known.iter().filter_map(|name| Some((*name, Value::from_json(identity.get(*name)?))));
    let unknown = ["inputs", "sensitive_inputs", "environment"].map(|name| (name, Value::UNKNOWN));
    Value::object(known.chain(unknown))
}

/// Adds to an identity which state it is.
pub(super) fn note_state(identity: &mut Json, state: &RootState) {
    match &state.lineage {
        Some(lineage) => {
            identity["lineage"] = json!(lineage);
            identity["serial"] = json!(state.serial);
        }
        None => identity["empty"] = json!(true),
    }
}

/// The root's outputs. Sensitive is what is marked so, and what is or holds one of `hidden`.
pub(super) fn exports(state: &RootState, hidden: &Hidden) -> Value {
    let outputs = state.outputs.iter().map(|(name, (value, sensitive))| {
        (Arc::<str>::from(name.as_str()), children::mark(value.expose(), hidden).with_mark(*sensitive))
    });
    Value::object([("outputs", Value::object(outputs))])
}

/// What recovering and destroying need to know of the state as it was.
fn image(state: &RootState) -> Value {
    let resources = state.resources.iter().map(|(address, kind)| {
        Value::object([("address", Value::from(address.as_str())), ("type", Value::from(kind.as_str()))])
    });
    Value::object([
        ("lineage", state.lineage.as_deref().map_or(Value::NULL, Value::from)),
        ("serial", Value::from(state.serial.to_string().as_str())),
        ("resources", Value::tuple(resources.collect())),
    ])
}
