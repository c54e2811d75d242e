//! Objects: applied, compared, refused, listed, watched and deleted.

use super::place::Place;
use futures::StreamExt as _;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use terrace::world::{Class, ObjectChange, ObjectRef, Watched};

pub(super) async fn types_are_found_by_version_and_kind(place: &Place) {
    let kind = place.api.resource_type("apps/v1", "Deployment").await.unwrap().unwrap();
    assert_eq!((kind.plural.as_str(), kind.namespaced), ("deployments", true));
    assert!(!place.api.resource_type("v1", "Namespace").await.unwrap().unwrap().namespaced);
    for (api_version, kind) in [("apps/v2", "Deployment"), ("v1", "Thing"), ("nobody.example.com/v1", "Thing")] {
        assert_eq!(place.api.resource_type(api_version, kind).await.unwrap(), None, "{api_version} {kind}");
    }
}

pub(super) async fn a_cluster_is_known_by_a_uid_that_stays(place: &Place) {
    let first = place.api.identity().await.unwrap();
    assert_eq!(first.len(), 36, "{first}");
    assert_eq!(place.api.identity().await.unwrap(), first);
}

pub(super) async fn an_object_is_made_and_applying_it_again_changes_nothing(place: &Place) {
    let object = place.map("a", &json!({"k": "v"}));
    let reference = place.named("v1", "ConfigMap", "a");
    assert_eq!(place.api.get(&reference).await.unwrap(), None);
    let would = place.try_out(&object).await.unwrap();
    assert_eq!(would["data"], json!({"k": "v"}));
    assert_eq!(place.api.get(&reference).await.unwrap(), None, "a dry run makes nothing");
    let made = place.apply(&object).await;
    let manager = &made["metadata"]["managedFields"][0];
    assert_eq!((&manager["manager"], &manager["operation"]), (&json!("terrace"), &json!("Apply")));
    assert_eq!(manager["fieldsV1"]["f:data"], json!({"f:k": {}}));
    let again = place.apply(&object).await;
    assert_eq!(again["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    assert_eq!(again["metadata"]["uid"], made["metadata"]["uid"]);
    let less = place.apply(&place.map("a", &json!({"other": "w"}))).await;
    assert_eq!(less["data"], json!({"other": "w"}), "what is no longer applied goes");
}

pub(super) async fn a_field_of_another_manager_is_a_conflict_that_names_both(place: &Place) {
    place.apply(&place.map("a", &json!({"k": "v", "l": "w"}))).await;
    let theirs = place.map("a", &json!({"k": "theirs"}));
    let failure = place.apply_as(&theirs, "somebody", false).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(failure.message.contains("conflict with \"terrace\""), "{failure}");
    assert!(failure.message.contains(".data.k"), "{failure}");
    let forced = place.apply_as(&theirs, "somebody", true).await.unwrap();
    assert_eq!(forced["data"], json!({"k": "theirs", "l": "w"}));
    let failure = place.refusal(&place.map("a", &json!({"k": "v", "l": "w"}))).await;
    assert!(failure.message.contains("conflict with \"somebody\""), "{failure}");
    // The same value is no conflict: both own it.
    place.apply(&place.map("a", &json!({"k": "theirs", "l": "w"}))).await;
}

pub(super) async fn what_is_not_valid_is_refused_with_its_field(place: &Place) {
    let mut object = place.deployment("web", &json!({}));
    object["spec"]["template"]["spec"]["containers"][0]["image"] = Json::Null;
    let failure = place.refusal(&object).await;
    assert_eq!(failure.class, Class::Invalid, "{failure}");
    assert!(failure.message.contains("spec.template.spec.containers[0].image: Required value"), "{failure}");
    let mut object = place.deployment("web", &json!({}));
    object["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    let failure = place.refusal(&object).await;
    assert!(failure.message.contains("`selector` does not match template `labels`"), "{failure}");

    let mut object = place.map("a", &json!({}));
    object["dta"] = json!({"k": "v"});
    let tried = place.try_out(&object).await;
    if place.differs("schema") {
        assert!(tried.is_ok(), "the sandbox knows no schemas: mended?");
    } else {
        let failure = tried.unwrap_err();
        assert_eq!(failure.class, Class::Invalid, "{failure}");
        assert!(failure.message.ends_with(".dta: field not declared in schema"), "{failure}");
    }
}

pub(super) async fn a_field_that_cannot_change_is_refused_as_immutable(place: &Place) {
    place.apply(&place.deployment("web", &json!({}))).await;
    let mut object = place.deployment("web", &json!({}));
    object["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    object["spec"]["template"]["metadata"]["labels"]["app"] = json!("other");
    for failure in [place.try_out(&object).await.unwrap_err(), place.refusal(&object).await] {
        assert_eq!(failure.class, Class::Invalid, "{failure}");
        assert!(failure.message.contains("spec.selector: Invalid value"), "{failure}");
        assert!(failure.message.contains("field is immutable"), "{failure}");
    }
}

pub(super) async fn what_has_no_place_or_no_type_is_not_found(place: &Place) {
    let mut object = place.map("a", &json!({}));
    object["metadata"]["namespace"] = json!("nowhere");
    for failure in [place.try_out(&object).await.unwrap_err(), place.refusal(&object).await] {
        assert_eq!(failure.class, Class::NotFound, "{failure}");
        assert!(failure.message.contains("namespaces \"nowhere\" not found"), "{failure}");
    }
    let thing = json!({"apiVersion": "nobody.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}});
    let failure = place.refusal(&thing).await;
    assert_eq!(failure.class, Class::NotFound, "{failure}");
    let message = "no matches for kind \"Thing\" in version \"nobody.example.com/v1\"";
    assert!(failure.message.contains(message), "{failure}");
    let reference = ObjectRef::of(&thing).unwrap();
    assert_eq!(place.api.get(&reference).await.unwrap(), None);
    place.api.delete(&reference, None).await.unwrap();
}

pub(super) async fn what_the_server_fills_in_is_in_the_dry_run(place: &Place) {
    let object = place.deployment("web", &json!({}));
    let would = place.try_out(&object).await.unwrap();
    let made = place.apply(&object).await;
    for seen in [&would, &made] {
        assert_eq!(seen["spec"]["strategy"]["type"], "RollingUpdate");
        assert_eq!(seen["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    }
    assert_eq!(would["spec"], made["spec"]);
}

pub(super) async fn objects_are_listed_by_label_in_order_and_gathered_by_reference(place: &Place) {
    for (name, tier) in [("c", "x"), ("a", "x"), ("b", "y")] {
        let mut object = place.map(name, &json!({}));
        object["metadata"]["labels"] = json!({"tier": tier});
        place.apply(&object).await;
    }
    let labels: BTreeMap<String, String> = [("tier".to_owned(), "x".to_owned())].into();
    let found = place.api.list("v1", "ConfigMap", Some(&place.namespace), &labels).await.unwrap();
    let names: Vec<&str> = found.iter().filter_map(|o| o["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(found.iter().all(|o| o["kind"] == "ConfigMap" && o["apiVersion"] == "v1"));
    assert_eq!(place.api.list("x.io/v1", "Thing", None, &labels).await.unwrap(), Vec::<Json>::new());
    let wanted: Vec<ObjectRef> =
        ["a", "b", "missing", "1", "2", "3", "4", "5", "6"].map(|name| place.named("v1", "ConfigMap", name)).into();
    let gathered = place.api.get_all(&wanted).await.unwrap();
    let names: Vec<&str> = gathered.keys().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let one = place.api.get(&wanted[0]).await.unwrap().unwrap();
    assert_eq!(gathered[&wanted[0]], one, "the same however it is read");
}

pub(super) async fn deleting_is_for_the_object_that_is_meant(place: &Place) {
    let reference = place.named("v1", "ConfigMap", "a");
    place.api.delete(&reference, None).await.unwrap();
    let made = place.apply(&place.map("a", &json!({}))).await;
    let failure = place.api.delete(&reference, Some("00000000-0000-4000-8000-000000000000")).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(failure.message.contains("does not match the UID in record"), "{failure}");
    place.api.delete(&reference, made["metadata"]["uid"].as_str()).await.unwrap();
    assert_eq!(place.api.get(&reference).await.unwrap(), None);
    // What others depend on goes first.
    place.apply(&place.deployment("web", &json!({}))).await;
    let web = place.named("apps/v1", "Deployment", "web");
    place.until(&web, |o| o.is_some_and(|o| o["status"]["readyReplicas"] == 1)).await;
    place.api.delete(&web, None).await.unwrap();
    place.until(&web, |o| o.is_none()).await;
    let pods = place.api.list("v1", "Pod", Some(&place.namespace), &BTreeMap::new()).await.unwrap();
    assert_eq!(pods, Vec::<Json>::new());
}

pub(super) async fn a_watch_tells_what_is_there_and_then_what_changes(place: &Place) {
    place.apply(&place.map("a", &json!({"k": "1"}))).await;
    let watched = Watched {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: Some(place.namespace.clone()),
        name: Some("a".to_owned()),
        labels: BTreeMap::new(),
    };
    let mut changes = place.api.changes(&watched);
    let ObjectChange::Is(first) = changes.next().await.unwrap().unwrap() else { panic!("what is there comes first") };
    assert_eq!((&first["kind"], &first["data"]["k"]), (&json!("ConfigMap"), &json!("1")));
    assert_eq!(changes.next().await.unwrap().unwrap(), ObjectChange::Listed);
    place.apply(&place.map("b", &json!({}))).await;
    place.apply(&place.map("a", &json!({"k": "2"}))).await;
    let ObjectChange::Is(next) = changes.next().await.unwrap().unwrap() else { panic!("it changed") };
    assert_eq!(next["data"]["k"], "2");
    let reference = place.named("v1", "ConfigMap", "a");
    place.api.delete(&reference, None).await.unwrap();
    assert_eq!(changes.next().await.unwrap().unwrap(), ObjectChange::Gone(reference));
    drop(changes);
    let mut nothing = place.api.changes(&Watched { kind: "Thing".to_owned(), ..watched });
    assert_eq!(nothing.next().await.unwrap().unwrap_err().class, Class::NotFound);
    assert!(nothing.next().await.is_none());
}

pub(super) async fn a_definition_brings_its_type(place: &Place) {
    let kind = format!("Thing{}", place.unique("").replace('-', ""));
    let (group, plural) = ("contract.example.com", format!("{}s", kind.to_lowercase()));
    let name = format!("{plural}.{group}");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]},
    });
    let api_version = format!("{group}/v1");
    assert_eq!(place.api.resource_type(&api_version, &kind).await.unwrap(), None);
    place.apply(&definition).await;
    let reference = ObjectRef::of(&definition).unwrap();
    let is_established = |object: &Json| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Established" && c["status"] == "True"))
    };
    place.until(&reference, |object| object.is_some_and(is_established)).await;
    for _ in 0..100 {
        if place.api.resource_type(&api_version, &kind).await.unwrap().is_some() {
            break;
        }
        place.pause().await;
    }
    let found = place.api.resource_type(&api_version, &kind).await.unwrap().unwrap();
    assert_eq!((found.plural, found.namespaced), (plural, true));
    let thing = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": place.namespace},
        "spec": {"size": 3}});
    assert_eq!(place.apply(&thing).await["spec"]["size"], 3);
    place.api.delete(&reference, None).await.unwrap();
    place.until(&reference, |object| object.is_none()).await;
}

pub(super) async fn nothing_new_is_made_in_a_namespace_that_is_going(place: &Place) {
    let name = place.unique("going");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    place.apply(&namespace).await;
    let mut held = place.map("held", &json!({}));
    held["metadata"]["namespace"] = json!(name);
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    place.apply(&held).await;
    let reference = ObjectRef::of(&namespace).unwrap();
    place.api.delete(&reference, None).await.unwrap();
    let mut other = place.map("other", &json!({}));
    other["metadata"]["namespace"] = json!(name);
    for failure in [place.try_out(&other).await.unwrap_err(), place.refusal(&other).await] {
        assert_eq!(failure.class, Class::Conflict, "{failure}");
        assert!(failure.message.contains("because it is being terminated"), "{failure}");
    }
    held["metadata"]["finalizers"] = json!([]);
    place.apply(&held).await;
    place.until(&reference, |object| object.is_none()).await;
}
