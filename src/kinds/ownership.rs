//! Who set a field of an object, and when, and which fields are whose, by the server's books. Source: "Server-Side Apply", managed fields and the format
//! `FieldsV1`.

use crate::{
    base::{Path, Step},
    kinds::FieldOwner,
};
use serde_json::{Map, Value as Json, json};

/// What owns a field on our behalf.
const OURS: [&str; 2] = [super::objects::MANAGER, "helm"];

/// Who owns what lies at a path of a live object; `None` where only we do, or nobody does by the books.
pub(super) fn set_by(live: &Json, path: &Path) -> Option<FieldOwner> {
    let sets = live["metadata"]["managedFields"].as_array()?;
    let owners: Vec<&Json> =
        sets.iter().filter(|set| set["fieldsV1"].as_object().is_some_and(|fields| holds(fields, &path.0))).collect();
    let is_ours = |set: &&&Json| set["manager"].as_str().is_some_and(|manager| OURS.contains(&manager));
    let ours = owners.iter().any(|set| is_ours(&set));
    // Of several, the last one.
    let last = owners.iter().filter(|set| !is_ours(set)).max_by(|a, b| a["time"].as_str().cmp(&b["time"].as_str()))?;
    let text = |key: &str| last[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some(FieldOwner {
        manager: text("manager").unwrap_or_else(|| "somebody".to_owned()),
        operation: text("operation").unwrap_or_else(|| "Update".to_owned()),
        subresource: text("subresource"),
        time: text("time"),
        ours,
    })
}

/// Whether a set of fields holds what lies at a path: it, or something around it as a whole.
fn holds(set: &Map<String, Json>, steps: &[Step]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    set.iter().filter(|(key, _)| *key != ".").any(|(key, inner)| {
        let names = match (step, key.split_once(':')) {
            (Step::Key(name), Some(("f", field))) => **name == *field,
            // An element of a list, which plans name by its `name`.
            (Step::Key(name), Some(("k", keys))) => {
                serde_json::from_str::<Json>(keys).is_ok_and(|keys| keys["name"] == **name)
            }
            _ => false,
        };
        let whole = |inner: &Json| inner.as_object().is_none_or(|m| m.keys().all(|k| k == "."));
        names && (whole(inner) || inner.as_object().is_some_and(|inner| holds(inner, rest)))
    })
}

/// The set of fields that a manager applied.
pub(super) fn applied_by<'o>(object: &'o Json, manager: &str) -> Option<&'o Map<String, Json>> {
    let own = |s: &&Json| s["manager"] == manager && s["operation"] == "Apply" && s["subresource"].is_null();
    object["metadata"]["managedFields"].as_array()?.iter().find(own)?["fieldsV1"].as_object()
}

/// A part of an object, with what says which object it is.
pub(super) fn named(mut part: Json, object: &Json) -> Json {
    if let Some(top) = part.as_object_mut() {
        for key in ["apiVersion", "kind"] {
            top.insert(key.to_owned(), object[key].clone());
        }
        let metadata = top.entry("metadata").or_insert_with(|| json!({}));
        for key in ["name", "namespace"] {
            if let (Some(metadata), false) = (metadata.as_object_mut(), object["metadata"][key].is_null()) {
                metadata.insert(key.to_owned(), object["metadata"][key].clone());
            }
        }
    }
    part
}

/// The part of a value that a set of managed fields names.
pub(super) fn owned(value: &Json, set: &Map<String, Json>) -> Json {
    let inside = |value: &Json, set: &Json| match set.as_object() {
        Some(set) if set.keys().any(|k| k != ".") => owned(value, set),
        _ => value.clone(),
    };
    match value {
        Json::Object(entries) => Json::Object(
            set.iter()
                .filter_map(|(key, set)| {
                    let name = key.strip_prefix("f:")?;
                    Some((name.to_owned(), inside(entries.get(name)?, set)))
                })
                .collect(),
        ),
        Json::Array(items) => Json::Array(
            items
                .iter()
                .filter_map(|item| {
                    set.iter().find_map(|(key, set)| {
                        if let Some(keys) = key.strip_prefix("k:") {
                            let keys: Map<String, Json> = serde_json::from_str(keys).ok()?;
                            keys.iter().all(|(k, v)| item[k] == *v).then(|| inside(item, set))
                        } else {
                            let value: Json = serde_json::from_str(key.strip_prefix("v:")?).ok()?;
                            (value == *item).then(|| item.clone())
                        }
                    })
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::parse_path;
    use serde_json::json;

    fn says(path: &str) -> Option<String> {
        let live = json!({"metadata": {"managedFields": [
            {"manager": "terrace", "operation": "Apply", "time": "2026-08-01T00:00:00Z", "fieldsV1": {
                "f:spec": {"f:paused": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}}}}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale", "time": "2026-08-02T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubectl-edit", "operation": "Update", "time": "2026-08-03T00:00:00Z", "fieldsV1": {
                "f:metadata": {"f:annotations": {}},
                "f:spec": {"f:paused": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {"f:command": {}}}}}}}}]}});
        set_by(&live, &parse_path(path).unwrap()).map(|owner| owner.to_string())
    }

    #[test]
    fn who_set_a_field_and_when_is_told_by_the_servers_books() {
        assert_eq!(
            says("spec.replicas").as_deref(),
            Some("kube-controller-manager (Update of scale at 2026-08-02T00:00:00Z; we do not own it any more)")
        );
        assert_eq!(
            says("spec.paused").as_deref(),
            Some("kubectl-edit (Update at 2026-08-03T00:00:00Z; we own it too)")
        );
        assert!(says("spec.template.spec.containers.web.command").is_some());
        assert!(says("metadata.annotations.note").is_some(), "a map that is owned as a whole");
    }

    #[test]
    fn what_only_we_own_or_nobody_does_is_told_of_nobody() {
        for path in [
            "spec.template.spec.containers.web.image",
            "spec.template.spec.containers.other.command",
            "spec.minReadySeconds",
        ] {
            assert_eq!(says(path), None, "{path}");
        }
    }
}
