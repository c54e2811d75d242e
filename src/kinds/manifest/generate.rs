//! A live object as a `manifest` block would declare it: what people and programs gave it, and not what the cluster made of that.
//!
//! An object tells itself what it was given: kubectl's own annotation, where `kubectl apply` made it, else its managed fields, which
//! name who wrote each field. Source: "Server-Side Apply", section "Field management".

use crate::{
    base::Value,
    kinds::{
        Context, Written,
        manifest::{
            desired::{references, secret_marked},
            live::{Types, objects},
        },
        objects::clean,
        ownership::{named, owned},
    },
    world::Outcome,
};
use serde_json::{Map, Value as Json};

/// Where kubectl keeps what it was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Who writes what nobody declares.
const CONTROLLERS: [&str; 3] = ["kube-controller-manager", "kube-scheduler", "kubelet"];

/// Reads an object. `None` where there is none, or no such type.
pub(super) async fn written(context: &Context, identity: &Json) -> Outcome<Option<Written>> {
    let wanted = references(identity);
    let types = Types::of(context, wanted.iter()).await?;
    let there = objects(context, &types, &wanted).await?;
    let Some(object) = there.values().next() else { return Ok(None) };
    let mut notes = Vec::new();
    let declared = given(object).unwrap_or_else(|| {
        notes.push("the object does not say who wrote its fields: leave out what the cluster filled in".to_owned());
        clean(object)
    });
    if object["kind"] == "Secret" {
        notes.push(
            "a Secret's values are variables: given others than those that are live, the first plan changes them"
                .to_owned(),
        );
    }
    let value = secret_marked(&Value::from_json(&declared));
    Ok(Some(Written { attributes: vec![("object", value)], file: None, notes }))
}

/// What an object was given; `None` where it does not tell.
fn given(object: &Json) -> Option<Json> {
    let annotation = object["metadata"]["annotations"][LAST_APPLIED].as_str();
    if let Some(last) = annotation.and_then(|text| serde_json::from_str::<Json>(text).ok()) {
        return Some(clean(&named(like(object, &last), object)));
    }
    let sets = object["metadata"]["managedFields"].as_array()?;
    let people = sets
        .iter()
        .filter(|s| s["subresource"].is_null() && !CONTROLLERS.iter().any(|controller| s["manager"] == *controller));
    let mut all = Map::new();
    for set in people.filter_map(|s| s["fieldsV1"].as_object()) {
        unite(&mut all, set);
    }
    (!all.is_empty()).then(|| clean(&named(owned(object, &all), object)))
}

/// The live values of those fields that a model has.
fn like(live: &Json, model: &Json) -> Json {
    match (live, model) {
        (Json::Object(live), Json::Object(model)) if !model.is_empty() => Json::Object(
            model.iter().filter_map(|(key, model)| Some((key.clone(), like(live.get(key)?, model)))).collect(),
        ),
        (Json::Array(live), Json::Array(model)) if live.len() == model.len() => {
            Json::Array(live.iter().zip(model).map(|(live, model)| like(live, model)).collect())
        }
        _ => live.clone(),
    }
}

/// Fields of both sets. What is owned as a whole in one of them stays whole.
fn unite(all: &mut Map<String, Json>, more: &Map<String, Json>) {
    for (key, more) in more {
        let Some(Json::Object(there)) = all.get_mut(key) else {
            all.insert(key.clone(), more.clone());
            continue;
        };
        match more.as_object().filter(|more| !more.is_empty()) {
            Some(more) if !there.is_empty() => unite(there, more),
            _ => there.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_kubectl_was_given_is_told_with_its_live_values() {
        let last = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "annotations": {}},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}}});
        let live = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "annotations": {LAST_APPLIED: last.to_string()}},
            "spec": {"replicas": 3, "revisionHistoryLimit": 10, "template": {"spec": {"dnsPolicy": "ClusterFirst",
                "containers": [{"name": "web", "image": "web:1", "imagePullPolicy": "IfNotPresent"}]}}}});
        let mut expected = last;
        expected["spec"]["replicas"] = json!(3);
        expected["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(given(&live), Some(expected));
    }

    #[test]
    fn what_controllers_wrote_is_left_out() {
        let live = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "1"},
            "finalizers": ["x"], "managedFields": [
                {"manager": "ada", "fieldsV1": {"f:spec": {"f:type": {}, "f:selector": {"f:app": {}}}}},
                {"manager": "bob", "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:selector": {}}}},
                {"manager": "kube-controller-manager", "fieldsV1": {"f:metadata": {"f:finalizers": {}}}},
                {"manager": "ada", "subresource": "status", "fieldsV1": {"f:status": {"f:loadBalancer": {}}}}]},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "selector": {"app": "web", "tier": "front"}},
            "status": {"loadBalancer": {"ingress": []}}});
        assert_eq!(
            given(&live),
            Some(
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "1"}},
                "spec": {"type": "LoadBalancer", "selector": {"app": "web", "tier": "front"}}})
            )
        );
        assert_eq!(given(&json!({"metadata": {"name": "a"}})), None);
    }
}
