//! From live objects to what the diff compares and undo puts back.

use crate::{
    base::{Digest, Hidden, Value},
    kinds::{
        BEING_DELETED, Condition, ConditionEffect, Context, Desired, Observed, Owner,
        drain::held_by,
        manifest::desired::{known_objects, references},
        objects::{MANAGER, clean, marked_like, normal, value_of},
        ownership::{applied_by, named, owned},
    },
    world::{ObjectRef, Outcome},
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Which types a server has, of those that were asked for; `true` for one whose objects live in namespaces.
#[derive(Debug, Clone, Default)]
pub(super) struct Types(BTreeMap<(String, String), Option<bool>>);

impl Types {
    /// Asks for the types of these objects, each once.
    ///
    /// # Errors
    /// A server that does not answer.
    pub(super) async fn of<'r>(context: &Context, objects: impl Iterator<Item = &'r ObjectRef>) -> Outcome<Self> {
        let mut types = Self::default();
        for object in objects {
            types.ask(context, object).await?;
        }
        Ok(types)
    }

    /// Asks for one more; again for one that was not there.
    pub(super) async fn ask(&mut self, context: &Context, object: &ObjectRef) -> Outcome<Option<bool>> {
        let key = (object.api_version.clone(), object.kind.clone());
        if let Some(Some(known)) = self.0.get(&key) {
            return Ok(Some(*known));
        }
        if let Some(None) = self.0.get(&key) {
            return Ok(None);
        }
        let kubernetes = &context.cluster()?.kubernetes;
        let found = context.patiently(|| kubernetes.resource_type(&object.api_version, &object.kind)).await?;
        let namespaced = found.map(|kind| kind.namespaced);
        self.0.insert(key, namespaced);
        Ok(namespaced)
    }

    /// Forgets that types were missing: their definitions may be there by now.
    pub(super) fn forget_missing(&mut self) {
        self.0.retain(|_, known| known.is_some());
    }

    /// The reference as the server knows it: without a namespace where the type has none. `None` where there is no such type.
    pub(super) fn resolved(&self, object: &ObjectRef) -> Option<ObjectRef> {
        let namespaced = (*self.0.get(&(object.api_version.clone(), object.kind.clone()))?)?;
        Some(ObjectRef { namespace: object.namespace.clone().filter(|_| namespaced), ..object.clone() })
    }
}

/// The live objects by declared reference, in as few requests as that takes. A type the server does not have has no objects.
pub(super) async fn objects(
    context: &Context,
    types: &Types,
    wanted: &[ObjectRef],
) -> Outcome<BTreeMap<ObjectRef, Json>> {
    let kubernetes = &context.cluster()?.kubernetes;
    let known: Vec<(&ObjectRef, ObjectRef)> = wanted.iter().filter_map(|r| Some((r, types.resolved(r)?))).collect();
    let asked: Vec<ObjectRef> = known.iter().map(|(_, found)| found.clone()).collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut there = context.patiently(|| kubernetes.get_all(&asked)).await?;
    Ok(known.into_iter().filter_map(|(declared, found)| Some((declared.clone(), there.remove(&found)?))).collect())
}

/// What reading saw, for the look ahead that follows at once.
pub(super) struct Seen {
    /// The types.
    pub(super) types: Types,
    /// What was asked for.
    pub(super) asked: BTreeSet<ObjectRef>,
    /// What is there.
    pub(super) there: BTreeMap<ObjectRef, Json>,
}

pub(super) async fn read(context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
    let mut wanted: BTreeSet<ObjectRef> = references(identity).into_iter().collect();
    let mut keys: BTreeMap<ObjectRef, String> = BTreeMap::new();
    for (key, reference, _) in desired.map(|d| known_objects(&d.inputs)).unwrap_or_default() {
        keys.insert(reference.clone(), key);
        wanted.insert(reference);
    }
    let types = Types::of(context, wanted.iter()).await?;
    let asked: Vec<ObjectRef> = wanted.iter().cloned().collect();
    let there = objects(context, &types, &asked).await?;
    if there.is_empty() {
        context.seen.keep(Seen { types, asked: wanted, there });
        return Ok(None);
    }
    let key = |reference: &ObjectRef| keys.get(reference).cloned().unwrap_or_else(|| reference.to_string());
    let declared = desired.and_then(|d| d.inputs.get("objects"));
    let plain = there.iter().map(|(r, object)| (key(r), Value::from_json(&clean(object))));
    let plain = Value::object([("objects", Value::object(plain))]);
    let hidden = context.former.hidden(desired.map(|d| &d.inputs), Some(&plain));
    let told = |reference: &ObjectRef, object: &Json| {
        let (key, value) = (key(reference), value_of(object, &hidden));
        let value = declared.and_then(|d| d.get(&key)).map_or_else(|| value.clone(), |like| marked_like(&value, like));
        (key, value)
    };
    let values = there.iter().map(|(r, object)| told(r, &clean(object))).map(|(key, value)| (key, normal(&value)));
    let values = Value::object(values);
    let image = Value::object([("objects", Value::object(there.iter().map(|(r, object)| told(r, &ours(object)))))]);
    let first = there.values().next();
    let owners: Vec<Owner> = there.values().map(|object| owner(context, object)).collect();
    let worst =
        owners.iter().find(|o| matches!(o, Owner::Other(_))).or_else(|| owners.iter().find(|o| **o == Owner::Nobody));
    let whose = worst.or_else(|| owners.first()).cloned().unwrap_or(Owner::Nobody);
    let contents: BTreeMap<String, Json> = there.iter().map(|(r, object)| (r.to_string(), content(object))).collect();
    let observed = Observed {
        held: None,
        identity: json!({ "objects": there.keys().collect::<Vec<_>>() }),
        inputs: Value::object([("objects", values)]),
        documents: BTreeMap::new(),
        exports: exports(&there, first, &hidden),
        owner: whose,
        fingerprint: Digest::of_value(&json!(contents)),
        condition: going(&there),
        image,
    };
    context.seen.keep(Seen { types, asked: wanted, there });
    Ok(Some(observed))
}

/// Says which of the objects are being deleted, and what holds them. In a namespace that goes nothing can be made; any other
/// object is only missed once it is gone.
fn going(there: &BTreeMap<ObjectRef, Json>) -> Option<Condition> {
    let going = there.iter().filter(|(_, object)| !object["metadata"]["deletionTimestamp"].is_null());
    let words: Vec<String> = going
        .clone()
        .map(|(reference, object)| {
            let since = object["metadata"]["deletionTimestamp"].as_str().unwrap_or_default();
            let held = held_by(object).map(|by| format!(", held by {by}")).unwrap_or_default();
            format!("{reference} since {since}{held}")
        })
        .collect();
    let is_namespace = |r: &ObjectRef| r.kind == "Namespace" && r.api_version == "v1";
    let blocks = going.map(|(reference, _)| reference).any(is_namespace);
    (!words.is_empty()).then(|| Condition {
        word: format!("{BEING_DELETED}: {}", words.join("; ")),
        effect: if blocks { ConditionEffect::Blocks } else { ConditionEffect::Note },
        hint: Some("wait until it is gone, or clear what holds it, and plan again".to_owned()),
    })
}

/// What a fingerprint is made of: the object, and of a Secret its version in the place of its content.
fn content(object: &Json) -> Json {
    let mut told = clean(object);
    if object["kind"] == "Secret"
        && let Some(entries) = told.as_object_mut()
    {
        entries.remove("data");
        entries.insert("version".to_owned(), object["metadata"]["resourceVersion"].clone());
    }
    told
}

/// Each object, and of the first its uid, name and namespace.
pub(super) fn exports(there: &BTreeMap<ObjectRef, Json>, first: Option<&Json>, hidden: &Hidden) -> Value {
    let objects = there.iter().map(|(r, object)| (r.to_string(), value_of(&clean(object), hidden)));
    let text = |key: &str| first.map_or(Value::NULL, |o| Value::from_json(&o["metadata"][key]));
    Value::object([
        ("objects", Value::object(objects)),
        ("uid", text("uid")),
        ("name", text("name")),
        ("namespace", text("namespace")),
    ])
}

pub(super) fn owner(context: &Context, object: &Json) -> Owner {
    let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations = annotations.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    context.marks.owner_by_annotations(&annotations, &context.address)
}

/// The fields of an object that we own, by its managed fields; the whole object where it has none of ours. Source:
/// "Server-Side Apply", the format `FieldsV1`.
pub(super) fn ours(object: &Json) -> Json {
    let Some(set) = applied_by(object, MANAGER) else { return clean(object) };
    clean(&named(owned(object, set), object))
}

/// Whether the server's books name us.
pub(super) fn owns(object: &Json) -> bool {
    applied_by(object, MANAGER).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fields_that_we_own_are_put_back() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "a", "labels": {"ours": "1", "theirs": "2"}, "managedFields": [
                {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "terrace", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:ours": {}}},
                    "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}}}]},
            "spec": {"replicas": 5, "template": {"spec": {"containers": [
                {"name": "injected", "image": "proxy"}, {"name": "web", "image": "nginx", "imagePullPolicy": "Always"}]}}}});
        assert_eq!(
            ours(&object),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "x", "namespace": "a", "labels": {"ours": "1"}},
                "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}}}})
        );
    }
}
