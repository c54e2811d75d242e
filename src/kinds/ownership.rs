//! Who set a field of an object, and when, by the server's books. Source: "Server-Side Apply", managed fields and the format
//! `FieldsV1`.

use crate::base::{Path, Step};
use serde_json::{Map, Value as Json};

/// What owns a field on our behalf.
const OURS: [&str; 2] = [super::objects::MANAGER, "helm"];

/// Who owns what lies at a path of a live object, in words; `None` where only we do, or nobody does by the books.
pub(super) fn set_by(live: &Json, path: &Path) -> Option<String> {
    let sets = live["metadata"]["managedFields"].as_array()?;
    let owners: Vec<&Json> =
        sets.iter().filter(|set| set["fieldsV1"].as_object().is_some_and(|fields| holds(fields, &path.0))).collect();
    let is_ours = |set: &&&Json| set["manager"].as_str().is_some_and(|manager| OURS.contains(&manager));
    let ours = owners.iter().any(|set| is_ours(&set));
    // Of several, the last one.
    let last = owners.iter().filter(|set| !is_ours(set)).max_by(|a, b| a["time"].as_str().cmp(&b["time"].as_str()))?;
    let text = |key: &str| last[key].as_str().filter(|text| !text.is_empty());
    let of = text("subresource").map(|sub| format!(" of {sub}")).unwrap_or_default();
    let at = text("time").map(|time| format!(" at {time}")).unwrap_or_default();
    let owned = if ours { "we own it too" } else { "we do not own it any more" };
    Some(format!(
        "{} ({}{of}{at}; {owned})",
        text("manager").unwrap_or("somebody"),
        text("operation").unwrap_or("Update")
    ))
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
        set_by(&live, &parse_path(path).unwrap())
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
