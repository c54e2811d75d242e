//! Things that belong to no stack: kept when they left one, or made by hand. An import brings them into a stack again.

use super::{
    Scope,
    effect::{live, taken_name},
    physical::{Thing, scalar},
    record::{self, Origin, ResourceRecord, StackRecord},
    request::Ask,
    secrets::ParameterRecord,
};
use crate::{
    cfn::{self, Action},
    world::{ImportedResource, Outcome, StackRequest, sandbox::Tx},
};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

fn key(scope: &Scope, resource_type: &str, physical: &str) -> String {
    scope.key(&format!("{resource_type}|{physical}"))
}

/// A resource leaves its stack and stays.
pub(super) fn put(tx: &mut Tx<'_>, stack: &StackRecord, mut record: ResourceRecord) {
    if record.gone {
        return;
    }
    let own = || Origin { stack: stack.name.clone(), logical: record.logical.clone() };
    record.origin = Some(record.origin.clone().unwrap_or_else(own));
    record.properties = live(&record).clone();
    record.live = None;
    if let Some(name) = taken_name(stack, &record) {
        tx.put("taken", &name, &String::new());
    }
    tx.put("loose", &key(&stack.scope, &record.resource_type, &record.physical), &record);
}

/// A resource that somebody made by hand, in this account and region.
pub(super) fn make(tx: &mut Tx<'_>, scope: &Scope, resource_type: &str, physical: &str, properties: Json) {
    let at = key(scope, resource_type, physical);
    let former: Option<ResourceRecord> = tx.get("loose", &at);
    let mut record = former.unwrap_or_else(|| by_hand(resource_type, physical, 1));
    record.properties = properties;
    tx.put("loose", &at, &record);
}

/// The record of a resource that no stack ever had, with no properties yet.
fn by_hand(resource_type: &str, physical: &str, version: u32) -> ResourceRecord {
    ResourceRecord {
        logical: physical.to_owned(),
        resource_type: resource_type.to_owned(),
        physical: physical.to_owned(),
        generation: 1,
        version,
        status: String::new(),
        properties: Json::Null,
        metadata: Json::Null,
        live: None,
        gone: false,
        deletion_policy: None,
        replace_policy: None,
        needs: BTreeSet::new(),
        origin: Some(Origin { stack: "hand".to_owned(), logical: physical.to_owned() }),
    }
}

/// The properties of something that belongs to no stack, where there is such a thing.
pub(super) fn properties(tx: &Tx<'_>, scope: &Scope, resource_type: &str, physical: &str) -> Option<Json> {
    tx.get::<ResourceRecord>("loose", &key(scope, resource_type, physical)).map(|record| record.properties)
}

/// It is gone for good; false where it was not there.
pub(super) fn remove(tx: &mut Tx<'_>, scope: &Scope, resource_type: &str, physical: &str) -> bool {
    tx.delete("loose", &key(scope, resource_type, physical))
}

/// Everything of this account and region that belongs to no stack.
fn all(tx: &Tx<'_>, scope: &Scope) -> Vec<ResourceRecord> {
    tx.scan::<ResourceRecord>("loose", &scope.key("")).into_iter().map(|(_, record)| record).collect()
}

/// True where this is what identifies the resource.
fn is_meant(scope: &Scope, stack: &str, record: &ResourceRecord, import: &ImportedResource) -> bool {
    let thing = thing(scope, stack, record);
    let says = |key: &str, value: &str| {
        let property = live(record).get(key).and_then(scalar);
        property.as_deref() == Some(value)
            || scalar(&thing.attribute(key)).as_deref() == Some(value)
            || (import.identifier.len() == 1 && record.physical == value)
    };
    record.resource_type == import.resource_type && import.identifier.iter().all(|(key, value)| says(key, value))
}

/// What the ids of a resource are made from: where it came into being, wherever it is now.
pub(super) fn thing<'a>(scope: &'a Scope, stack: &'a str, of: &'a ResourceRecord) -> Thing<'a> {
    let origin = of.origin.as_ref();
    Thing {
        scope,
        stack: origin.map_or(stack, |o| &o.stack),
        logical: origin.map_or(&of.logical, |o| &o.logical),
        resource_type: &of.resource_type,
        generation: of.generation,
        version: of.version,
        properties: &of.properties,
    }
}

/// The resource that is to be imported, as it is.
pub(super) fn find(tx: &Tx<'_>, scope: &Scope, import: &ImportedResource) -> Option<ResourceRecord> {
    let loose = all(tx, scope).into_iter().find(|record| is_meant(scope, "", record, import));
    loose.or_else(|| {
        // A parameter that somebody wrote into the store.
        let name = import.identifier.get("Name").filter(|_| import.resource_type == "AWS::SSM::Parameter")?;
        let found: ParameterRecord = tx.get("parameter", &scope.key(name))?;
        let kind = if found.secure { "SecureString" } else { "String" };
        let properties = serde_json::json!({ "Name": name, "Type": kind, "Value": found.value });
        let version = u32::try_from(found.version).unwrap_or(u32::MAX);
        Some(ResourceRecord { properties, ..by_hand(&import.resource_type, name, version) })
    })
}

/// Takes it: it belongs to a stack from now on.
pub(super) fn take(tx: &mut Tx<'_>, stack: &StackRecord, logical: &str, found: &ResourceRecord) {
    tx.delete("loose", &key(&stack.scope, &found.resource_type, &found.physical));
    if let Some(name) = taken_name(stack, found) {
        tx.put("taken", &name, &format!("{}|{logical}", stack.id));
    }
}

/// Why a resource cannot be imported, in the service's words: it belongs to a stack, or there is none.
pub(super) fn refusal(tx: &Tx<'_>, scope: &Scope, import: &ImportedResource) -> Option<String> {
    let value = import.identifier.values().cloned().collect::<Vec<_>>().join("|");
    for (id, stack) in tx.scan::<StackRecord>("stack", "") {
        if stack.scope != *scope || stack.status == "DELETE_COMPLETE" {
            continue;
        }
        let held = record::resources(tx, &id);
        if held.values().any(|record| !record.gone && is_meant(scope, &stack.name, record, import)) {
            return Some(format!("{value} already exists in stack {id}"));
        }
    }
    let there = find(tx, scope, import).is_some();
    (!there).then(|| format!("Resource of type '{}' with identifier '{value}' was not found.", import.resource_type))
}

/// A resource of a stack from what it is and what the template says of it. What differs is drift.
pub(super) fn imported(mut wanted: ResourceRecord, found: &ResourceRecord) -> ResourceRecord {
    wanted.physical.clone_from(&found.physical);
    wanted.generation = found.generation;
    wanted.version = found.version;
    wanted.origin.clone_from(&found.origin);
    let mut now = wanted.properties.as_object().cloned().unwrap_or_default();
    for (name, value) in &mut now {
        if let Some(actual) = found.properties.get(name) {
            value.clone_from(actual);
        }
    }
    let now = Json::Object(now);
    wanted.live = (now != wanted.properties && wanted.properties.is_object()).then_some(now);
    wanted
}

/// Refuses a request that imports and asks for more than that, or not rightly for that, in the service's words.
pub(super) fn accept(
    ask: Ask<'_>,
    request: &StackRequest,
    template: &cfn::Template,
    former: Option<(&cfn::Template, &StackRecord)>,
    diffs: &[cfn::ResourceDiff],
) -> Outcome<()> {
    let refuse = |why: String| -> Outcome<()> { Err(ask.invalid(why)) };
    let outputs = |t: &cfn::Template| t.to_json().get("Outputs").cloned().unwrap_or_else(|| Json::Object(Map::new()));
    let before = former.map_or_else(|| Json::Object(Map::new()), |(t, _)| outputs(t));
    let none = BTreeMap::new();
    let tags = former.map_or(&none, |(_, stack)| &stack.tags);
    for (what, changes) in [("Outputs", outputs(template) != before), ("Tags", request.tags != *tags)] {
        if changes {
            return refuse(format!("As part of the import operation, you cannot modify or add [{what}]"));
        }
    }
    let ids: Vec<&str> = request.imports.iter().map(|i| i.logical_id.as_str()).collect();
    let list = |names: &[&str]| format!("[{}]", names.join(", "));
    let unknown: Vec<&str> = ids.iter().copied().filter(|id| !template.resources.contains_key(*id)).collect();
    if !unknown.is_empty() {
        let unknown = list(&unknown);
        return refuse(format!(
            "The logical resource ids {unknown} provided in ResourceToImport do not exist in the template."
        ));
    }
    for import in &request.imports {
        let kind = &import.resource_type;
        let names = identifiers(kind);
        if !names.is_empty() && import.identifier.keys().ne(names.iter()) {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return refuse(format!("Invalid resource identifier for resource type {kind}. Expected [{names}]"));
        }
    }
    let of = |action: Action| -> Vec<&str> {
        diffs.iter().filter(|d| d.action == action).map(|d| d.logical_id.as_str()).collect()
    };
    let added = of(Action::Add);
    let held: Vec<&str> = ids.iter().copied().filter(|id| !added.contains(id)).collect();
    if !held.is_empty() {
        let held = list(&held);
        return refuse(format!(
            "Resources {held} passed in ResourceToImport are already in a stack and cannot be imported."
        ));
    }
    let new: Vec<&str> = added.into_iter().filter(|id| !ids.contains(id)).collect();
    if !new.is_empty() {
        return refuse(format!("Resources {} is missing from ResourceToImport list", list(&new)));
    }
    let other: Vec<&str> = of(Action::Modify).into_iter().chain(of(Action::Remove)).collect();
    if !other.is_empty() {
        let other = list(&other);
        return refuse(format!(
            "You have modified resources {other} in your template that are not being imported. Update, create or delete \
             operations cannot be executed during import operations."
        ));
    }
    let free = |id: &&str| template.resources.get(*id).is_some_and(|r| r.deletion_policy.is_none());
    let free: Vec<&str> = ids.iter().copied().filter(|id| free(id)).collect();
    if !free.is_empty() {
        let free = list(&free);
        return refuse(format!(
            "The following resources to import {free} must have DeletionPolicy attribute specified in the template."
        ));
    }
    Ok(())
}

/// The properties that identify a resource of this type.
pub(super) fn identifiers(resource_type: &str) -> BTreeSet<String> {
    let schema = cfn::resource_schema(resource_type);
    let paths = schema.into_iter().flat_map(|s| &s.primary_identifier);
    paths.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect()
}
