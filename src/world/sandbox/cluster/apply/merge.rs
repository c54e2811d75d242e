//! The pure parts of server-side apply on values: merge, prune, look up.

use super::{
    field_set::{FieldSet, item_step, keyed_items},
    schema::{ListType, Schema},
};
use serde_json::{Map, Value as Json};

/// `live` with what `config` sets: maps and keyed lists are merged, everything else is replaced.
pub(super) fn merge(live: &Json, config: &Json, schema: Schema, path: &mut Vec<String>) -> Json {
    match (live, config) {
        (Json::Object(old), Json::Object(new)) if !schema.is_atomic_map(path) => {
            let mut merged = old.clone();
            for (name, value) in new {
                path.push(name.clone());
                let value = merge(old.get(name).unwrap_or(&Json::Null), value, schema, path);
                path.pop();
                merged.insert(name.clone(), value);
            }
            Json::Object(merged)
        }
        (Json::Array(old), Json::Array(new)) => {
            let list = schema.list(path);
            let (Some(old_items), Some(new_items)) = (keyed_items(old, list), keyed_items(new, list)) else {
                return config.clone();
            };
            let find = |step: &str| new_items.iter().find(|(other, _)| other == step).map(|(_, item)| *item);
            let mut merged: Vec<Json> = old_items
                .iter()
                .map(|(step, item)| find(step).map_or_else(|| (*item).clone(), |new| merge(item, new, schema, path)))
                .collect();
            let known: std::collections::BTreeSet<&str> = old_items.iter().map(|(step, _)| step.as_str()).collect();
            merged.extend(
                new_items.iter().filter(|(step, _)| !known.contains(step.as_str())).map(|(_, item)| (*item).clone()),
            );
            Json::Array(merged)
        }
        _ => config.clone(),
    }
}

/// Takes a field or list item out.
pub(super) fn remove(value: &mut Json, steps: &[String], schema: Schema, path: &mut Vec<String>) {
    let Some((step, rest)) = steps.split_first() else { return };
    match value {
        Json::Object(fields) => {
            let Some(name) = step.strip_prefix("f:") else { return };
            if rest.is_empty() {
                fields.remove(name);
            } else if let Some(below) = fields.get_mut(name) {
                path.push(name.to_owned());
                remove(below, rest, schema, path);
                path.pop();
            }
        }
        Json::Array(items) => {
            let list = schema.list(path);
            let Some(at) = items.iter().position(|item| item_step(item, list).as_deref() == Some(step)) else { return };
            if rest.is_empty() {
                items.remove(at);
            } else if let Some(item) = items.get_mut(at) {
                remove(item, rest, schema, path);
            }
        }
        _ => {}
    }
}

/// True for a map or list with nothing in it.
pub(super) fn is_empty_container(value: &Json) -> bool {
    match value {
        Json::Object(fields) => fields.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The value at a path of steps.
pub(crate) fn lookup<'a>(value: &'a Json, steps: &[String], schema: Schema) -> Option<&'a Json> {
    let mut path = Vec::new();
    let mut value = value;
    for step in steps {
        value = match value {
            Json::Object(fields) => {
                let name = step.strip_prefix("f:")?;
                path.push(name.to_owned());
                fields.get(name)?
            }
            Json::Array(items) => {
                let list = schema.list(&path);
                items.iter().find(|item| item_step(item, list).as_deref() == Some(step))?
            }
            _ => return None,
        };
    }
    Some(value)
}

/// True where the value at the path is merged rather than replaced, so that a difference lies in its parts.
pub(super) fn is_granular(value: &Json, steps: &[String], schema: Schema) -> bool {
    let names: Vec<String> = steps.iter().filter_map(|s| s.strip_prefix("f:").map(str::to_owned)).collect();
    match value {
        Json::Object(_) => !schema.is_atomic_map(&names) || steps.last().is_some_and(|s| s.starts_with("k:")),
        Json::Array(items) => {
            schema.list(&names) != ListType::Atomic && keyed_items(items, schema.list(&names)).is_some()
        }
        _ => false,
    }
}

/// The fields that `new` adds to `old` or sets otherwise.
pub(super) fn changed(old: &Json, new: &Json, schema: Schema) -> FieldSet {
    let mut set = FieldSet::default();
    for path in FieldSet::of(new, schema).paths() {
        let after = lookup(new, &path, schema);
        let granular = after.is_some_and(|value| is_granular(value, &path, schema));
        let before = lookup(old, &path, schema);
        if if granular { before.is_none() } else { before != after } {
            set.insert(&path);
        }
    }
    set
}

/// The value without nulls in its maps: a null says nothing to the server.
pub(super) fn without_nulls(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let kept: Map<String, Json> =
                fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect();
            Json::Object(kept)
        }
        Json::Array(items) => Json::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
