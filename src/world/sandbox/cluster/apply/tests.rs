//! Server-side apply as users of the real server know it.

use super::*;
use proptest::prelude::*;

fn by(manager: &str) -> Applier<'_> {
    Applier { manager, force: false, now: Timestamp::from_second(1_800_000_000).unwrap() }
}

#[expect(clippy::needless_pass_by_value, reason = "calls read best with the literal itself")]
fn deployment(spec: Json) -> Json {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": spec})
}

#[test]
fn a_conflict_names_owner_and_field() {
    let live = apply(None, &deployment(json!({"replicas": 2})), by("terrace")).unwrap();
    let other = apply(Some(&live), &deployment(json!({"replicas": 3})), by("argocd")).unwrap_err();
    assert_eq!(other.to_string(), "Apply failed with 1 conflict: conflict with \"terrace\": .spec.replicas");
}

#[test]
fn an_edit_takes_the_field_and_says_so_with_version_and_time() {
    let live = apply(None, &deployment(json!({"replicas": 2})), by("terrace")).unwrap();
    let mut edited = live.clone();
    edited["spec"]["replicas"] = json!(5);
    let edited = update(&live, &edited, by("kubectl-edit"));
    let error = apply(Some(&edited), &deployment(json!({"replicas": 2})), by("terrace")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("conflict with \"kubectl-edit\" using apps/v1 at 2027-"), "{text}");
    let forced = apply(Some(&edited), &deployment(json!({"replicas": 2})), Applier { force: true, ..by("terrace") });
    let forced = forced.unwrap();
    assert_eq!(forced["spec"]["replicas"], 2);
    assert_eq!(forced["metadata"]["managedFields"].as_array().unwrap().len(), 1, "{forced}");
}

#[test]
fn the_same_value_is_shared_and_no_conflict() {
    let live = apply(None, &deployment(json!({"replicas": 2})), by("a")).unwrap();
    let both = apply(Some(&live), &deployment(json!({"replicas": 2})), by("b")).unwrap();
    let dropped = apply(Some(&both), &deployment(json!({})), by("a")).unwrap();
    assert_eq!(dropped["spec"]["replicas"], 2, "b still owns it");
    let gone = apply(Some(&dropped), &deployment(json!({})), by("b")).unwrap();
    assert_eq!(gone["spec"], json!({}), "what is still declared stays");
}

#[test]
fn a_field_no_longer_declared_is_removed_and_what_others_added_stays() {
    let map = |data: Json| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
    let live = apply(None, &map(json!({"a": "1", "b": "2"})), by("terrace")).unwrap();
    let mut edited = live.clone();
    edited["data"]["c"] = json!("3");
    let edited = update(&live, &edited, by("kubectl-edit"));
    let after = apply(Some(&edited), &map(json!({"a": "1"})), by("terrace")).unwrap();
    assert_eq!(after["data"], json!({"a": "1", "c": "3"}));
}

#[test]
fn containers_ports_and_env_are_merged_by_their_keys() {
    let pod = |containers: Json| deployment(json!({"template": {"spec": {"containers": containers}}}));
    let first = pod(
        json!([{"name": "web", "image": "a:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}]),
    );
    let live = apply(None, &first, by("terrace")).unwrap();
    let sidecar = pod(json!([{"name": "proxy", "image": "envoy"}]));
    let live = apply(Some(&live), &sidecar, by("mesh")).unwrap();
    let containers = &live["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 2);
    let image = pod(json!([{"name": "web", "image": "a:2"}]));
    let error = apply(Some(&live), &image, by("other")).unwrap_err();
    assert!(error.to_string().ends_with(".spec.template.spec.containers[name=\"web\"].image"), "{error}");
    let live = apply(Some(&live), &deployment(json!({})), by("mesh")).unwrap();
    assert_eq!(live["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 1, "the side car is pruned");
}

#[test]
fn an_atomic_list_is_taken_as_a_whole() {
    let role = |verbs: Json| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": [{"verbs": verbs}]});
    let live = apply(None, &role(json!(["get"])), by("a")).unwrap();
    let error = apply(Some(&live), &role(json!(["list"])), by("b")).unwrap_err();
    assert!(error.to_string().ends_with(": .rules"), "{error}");
}

#[test]
fn managed_fields_read_as_the_server_writes_them() {
    let live = apply(
        None,
        &deployment(json!({"template": {"spec": {"containers": [{"name": "web", "image": "a"}]}}})),
        by("t"),
    );
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!(live.unwrap()["metadata"]["managedFields"], @r#"
    [
      {
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
          "f:spec": {
            "f:template": {
              "f:spec": {
                "f:containers": {
                  "k:{\"name\":\"web\"}": {
                    ".": {},
                    "f:image": {},
                    "f:name": {}
                  }
                }
              }
            }
          }
        },
        "manager": "t",
        "operation": "Apply",
        "time": "2027-01-15T08:00:00Z"
      }
    ]
    "#);
    });
}

fn any_json() -> impl Strategy<Value = Json> {
    let names = prop::sample::select(vec![
        "name",
        "spec",
        "containers",
        "ports",
        "metadata",
        "labels",
        "selector",
        "a",
        "f:x",
        ".",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "[a-c]{0,2}".prop_map(Json::from)
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(names.clone(), inner, 0..5)
                .prop_map(|m| Json::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Json> {
    (
        any_json(),
        prop::sample::select(vec!["Deployment", "Service", "Thing"]),
        prop::sample::select(vec!["v1", "apps/v1", "x.example.com/v1"]),
    )
        .prop_map(|(body, kind, version)| {
            let mut object = if body.is_object() { body } else { json!({"spec": body}) };
            object["apiVersion"] = json!(version);
            object["kind"] = json!(kind);
            if !object["metadata"].is_object() {
                object["metadata"] = json!({"name": "x"});
            }
            object
        })
}

proptest! {
    #[test]
    fn apply_never_panics_and_is_idempotent(a in any_object(), b in any_object(), c in any_json()) {
        let force = Applier { force: true, ..by("b") };
        let live = apply(None, &a, by("a")).unwrap();
        let once = apply(Some(&live), &b, force).unwrap();
        let later = Applier { now: Timestamp::from_second(1_900_000_000).unwrap(), ..force };
        let twice = apply(Some(&once), &b, later).unwrap();
        prop_assert_eq!(&once, &twice);
        let _ = apply(Some(&c), &a, by("x"));
        let _ = apply(Some(&a), &c, by("x"));
        let _ = update(&a, &b, by("x"));
    }
}
