//! Server-side apply: several managers write one object, each owns the fields that it set, and nobody takes a field
//! silently.
//!
//! Pure: an object in, an object out. The store, validation and `metadata` that the server sets are not its business.
//! Source: kubernetes.io, Server-Side Apply; structured-merge-diff, `merge.Updater`.

mod field_set;
mod merge;
mod schema;

pub(crate) use schema::Schema;

use field_set::{FieldSet, Meeting, display_path};
use jiff::Timestamp;
use merge::{changed, is_empty_container, is_granular, lookup, merge, remove, without_nulls};
use serde_json::{Map, Value as Json, json};

/// Who applies, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applier<'a> {
    /// The field manager.
    pub(crate) manager: &'a str,
    /// Take fields that others own.
    pub(crate) force: bool,
    /// The moment.
    pub(crate) now: Timestamp,
}

/// Fields that others own and that the apply would change, as the server words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Conflicts(String);

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq)]
struct Owner {
    manager: String,
    operation: String,
    api_version: String,
    time: Json,
    subresource: Option<String>,
    fields: FieldSet,
}

/// Applies `config` over `live` (`None`: it is created). What the manager set before and no longer declares goes, unless
/// somebody else owns it too. Applying the same again changes nothing, not even a time.
///
/// # Errors
/// Where others own what would change, without `force`.
pub(crate) fn apply(live: Option<&Json>, config: &Json, by: Applier<'_>) -> Result<Json, Conflicts> {
    let config = strip(&without_nulls(config));
    let api_version = text(&config["apiVersion"]);
    let schema = Schema::of(&api_version, &text(&config["kind"]));
    let empty = json!({});
    let live = live.unwrap_or(&empty);
    let mut owners = owners(live);
    let wanted = FieldSet::of(&config, schema);
    let mut object = merge(live, &config, schema, &mut Vec::new());

    let own = owners.iter().position(|o| o.manager == by.manager && o.operation == "Apply");
    if let Some(own) = own {
        prune(&mut object, &owners, own, &wanted, schema);
    }

    let mut conflicts: Vec<(usize, Vec<String>)> = Vec::new();
    for (at, other) in owners.iter().enumerate().filter(|(at, _)| Some(*at) != own) {
        for path in other.fields.paths().into_iter().filter(|path| wanted.meet(path) != Meeting::Apart) {
            let (before, after) = (lookup(live, &path, schema), lookup(&object, &path, schema));
            let in_parts = |value: Option<&Json>| value.is_some_and(|value| is_granular(value, &path, schema));
            if before != after && !(in_parts(before) && in_parts(after)) {
                conflicts.push((at, path));
            }
        }
    }
    if !conflicts.is_empty() && !by.force {
        return Err(Conflicts(conflict_message(&owners, &conflicts)));
    }
    for (at, path) in conflicts {
        owners[at].fields.remove(&path);
    }
    let unchanged = own.filter(|own| owners[*own].fields == wanted && owners[*own].api_version == api_version);
    if unchanged.is_none() {
        let entry = Owner {
            manager: by.manager.to_owned(),
            operation: "Apply".to_owned(),
            api_version,
            time: json!(stamp(by.now)),
            subresource: None,
            fields: wanted,
        };
        match own {
            Some(own) => owners[own] = entry,
            None => owners.push(entry),
        }
    }
    record(&mut object, owners, schema);
    Ok(object)
}

/// Takes out what the owner set before and nobody declares any more, and the containers that this leaves empty.
fn prune(object: &mut Json, owners: &[Owner], own: usize, wanted: &FieldSet, schema: Schema) {
    let mut sets: Vec<&FieldSet> =
        owners.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, other)| &other.fields).collect();
    sets.push(wanted);
    for path in owners[own].fields.paths() {
        let kept = sets.iter().any(|set| match set.meet(&path) {
            Meeting::Apart => false,
            Meeting::There => true,
            Meeting::LeafAbove(depth) => {
                lookup(object, &path[..depth], schema).is_some_and(|v| !is_granular(v, &path[..depth], schema))
            }
        });
        if kept {
            continue;
        }
        remove(object, &path, schema, &mut Vec::new());
        for depth in (1..path.len()).rev() {
            let above = &path[..depth];
            let declared = sets.iter().any(|set| set.meet(above) == Meeting::There);
            if declared || !lookup(object, above, schema).is_some_and(is_empty_container) {
                break;
            }
            remove(object, above, schema, &mut Vec::new());
        }
    }
}

/// Records a plain write of `new` over `old`, as `kubectl edit` makes one: the writer takes what it changed, others lose it.
pub(crate) fn update(old: &Json, new: &Json, by: Applier<'_>) -> Json {
    let api_version = text(&new["apiVersion"]);
    let schema = Schema::of(&api_version, &text(&new["kind"]));
    let mut owners = owners(old);
    let taken = changed(old, new, schema);
    for owner in &mut owners {
        for path in taken.paths() {
            owner.fields.remove(&path);
        }
    }
    if !taken.is_empty() {
        let own = owners.iter().position(|o| o.manager == by.manager && o.operation == "Update");
        let mut fields = own.map(|own| owners.remove(own).fields).unwrap_or_default();
        for path in taken.paths() {
            fields.insert(&path);
        }
        owners.push(Owner {
            manager: by.manager.to_owned(),
            operation: "Update".to_owned(),
            api_version,
            time: json!(stamp(by.now)),
            subresource: None,
            fields,
        });
    }
    let mut object = new.clone();
    record(&mut object, owners, schema);
    object
}

/// A time as the API writes it: whole seconds.
pub(crate) fn stamp(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// The config without what only the server sets.
fn strip(config: &Json) -> Json {
    let mut config = config.clone();
    if let Some(fields) = config.as_object_mut() {
        if let Some(metadata) = fields.get_mut("metadata").and_then(Json::as_object_mut) {
            for name in ["creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"] {
                metadata.remove(name);
            }
        }
        return config;
    }
    Json::Object(Map::new())
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn owners(object: &Json) -> Vec<Owner> {
    let entries = object["metadata"]["managedFields"].as_array().map_or(&[][..], Vec::as_slice);
    entries
        .iter()
        .map(|entry| Owner {
            manager: text(&entry["manager"]),
            operation: text(&entry["operation"]),
            api_version: text(&entry["apiVersion"]),
            time: entry["time"].clone(),
            subresource: entry["subresource"].as_str().map(str::to_owned),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        })
        .collect()
}

/// Writes the owners into the object, without members that the object no longer has and owners left with none.
fn record(object: &mut Json, owners: Vec<Owner>, schema: Schema) {
    let mut entries = Vec::new();
    for mut owner in owners {
        for path in owner.fields.paths() {
            if lookup(object, &path, schema).is_none() {
                owner.fields.remove(&path);
            }
        }
        if owner.fields.is_empty() && owner.operation != "Apply" {
            continue;
        }
        let mut entry = json!({
            "manager": owner.manager, "operation": owner.operation, "apiVersion": owner.api_version,
            "time": owner.time, "fieldsType": "FieldsV1", "fieldsV1": owner.fields.to_json(),
        });
        if let (Some(subresource), Some(fields)) = (owner.subresource, entry.as_object_mut()) {
            fields.insert("subresource".into(), subresource.into());
        }
        entries.push(entry);
    }
    entries.sort_by(|a, b| {
        let key = |e: &Json| (text(&e["operation"]), text(&e["time"]), text(&e["manager"]));
        key(a).cmp(&key(b))
    });
    let Some(fields) = object.as_object_mut() else { return };
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("managedFields".into(), Json::Array(entries));
    }
}

fn conflict_message(owners: &[Owner], conflicts: &[(usize, Vec<String>)]) -> String {
    let name = |owner: &Owner| {
        let quoted = format!("{:?}", owner.manager);
        match (owner.operation.as_str(), owner.time.as_str()) {
            ("Update", Some(time)) => format!("{quoted} using {} at {time}", owner.api_version),
            ("Update", None) => format!("{quoted} using {}", owner.api_version),
            _ => quoted,
        }
    };
    if let [(at, path)] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", name(&owners[*at]), display_path(path));
    }
    let mut text = format!("Apply failed with {} conflicts: ", conflicts.len());
    let mut last = None;
    for (at, path) in conflicts {
        if last != Some(at) {
            if last.is_some() {
                text.push('\n');
            }
            text.push_str(&["conflicts with ", &name(&owners[*at]), ":"].concat());
            last = Some(at);
        }
        text.push_str("\n- ");
        text.push_str(&display_path(path));
    }
    text
}

#[cfg(test)]
mod tests;
