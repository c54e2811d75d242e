//! How a root is prepared, how its plan is read, and what is made of that.

use super::{children::read, *};
use crate::{
    base::{Address, Digest, Hidden},
    kinds::{
        Cause, Undo,
        testing::{any_value, marks, seal},
    },
    lang::MemorySources,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn address() -> Address {
    Address::root("terraform", "dns")
}

fn prepare(inputs: &Value, fixed: Option<&Json>) -> Result<Desired, Diagnostics> {
    let files = [("infra/main.tf", ""), ("docs/README.md", "")];
    let sources = MemorySources(files.map(|(path, text)| (path.to_owned(), text.as_bytes().into())).into());
    TerraformKind.prepare(&Prepare {
        address: &address(),
        inputs,
        place: &|_| None,
        sources: &sources,
        marks: &marks(),
        fixed,
    })
}

fn root(more: Vec<(&'static str, Value)>) -> Value {
    Value::object([("root", Value::from("infra"))].into_iter().chain(more))
}

fn told(problems: &Diagnostics) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_workspace_of_a_try_on_the_sandbox_is_not_the_environments_own() {
    let desired = prepare(&root(Vec::new()), None).unwrap();
    let world = if &*marks().world == "sandbox" { "-sandbox" } else { "" };
    let wanted = format!("{}{world}", marks().env);
    assert_eq!(desired.identity.unwrap()["workspace"], json!(wanted));
}

#[test]
fn what_is_no_root_and_what_is_given_twice_is_refused() {
    let problems = prepare(&Value::object([("root", Value::from("docs"))]), None).unwrap_err();
    assert!(told(&problems).contains("no .tf file"), "{}", told(&problems));
    let twice = |name| (name, Value::object([("a", Value::from("b"))]));
    let problems = prepare(&root(vec![twice("inputs"), twice("sensitive_inputs")]), None).unwrap_err();
    assert!(told(&problems).contains("`a` is in `inputs` and in `sensitive_inputs`"), "{}", told(&problems));
}

#[test]
fn another_workspace_than_it_was_applied_with_is_another_state_and_refused() {
    let first = prepare(&root(vec![("workspace", "one".into())]), None).unwrap();
    let fixed = first.identity.unwrap();
    assert!(prepare(&root(vec![("workspace", "one".into())]), Some(&fixed)).is_ok());
    let problems = prepare(&root(vec![("workspace", "two".into())]), Some(&fixed)).unwrap_err();
    assert!(told(&problems).contains("another one than it was applied with"), "{}", told(&problems));
}

#[test]
fn no_secret_is_in_the_identity_and_what_was_withheld_is_named() {
    let secret = Value::from("hunter22").sensitive();
    let inputs = root(vec![
        ("sensitive_inputs", Value::object([("password", Value::from("hunter22"))])),
        ("inputs", Value::object([("zone", Value::from("example.com")), ("key", secret)])),
    ]);
    let identity = prepare(&inputs, None).unwrap().identity.unwrap();
    assert!(!identity.to_string().contains("hunter22"));
    assert_eq!(identity["inputs"], json!({ "zone": "example.com" }));
    assert_eq!(identity["withheld"], json!(["password", "key"]));
}

/// A plan with one of everything.
fn plan() -> Json {
    let change = |actions: Json, before: Json, after: Json, more: Json| {
        let mut change = json!({
            "actions": actions, "before": before, "after": after,
            "after_unknown": {}, "before_sensitive": {}, "after_sensitive": {},
        });
        for (key, value) in more.as_object().unwrap() {
            change[key] = value.clone();
        }
        change
    };
    let resource = |address: &str, kind: &str, change: Json| json!({ "address": address, "mode": "managed", "type": kind, "change": change });
    let mut tainted =
        resource("t.tainted", "t", change(json!(["delete", "create"]), json!({"a": 1}), json!({"a": 1}), json!({})));
    tainted["action_reason"] = json!("replace_because_tainted");
    let mut moved = resource("t.new", "t", change(json!(["no-op"]), json!({"a": 1}), json!({"a": 1}), json!({})));
    moved["previous_address"] = json!("t.old");
    json!({
        "format_version": "1.2",
        "resource_changes": [
            resource("t.created", "t", change(json!(["create"]), Json::Null, json!({"name": "n"}), json!({"after_unknown": {"id": true}}))),
            resource("aws_db_instance.main", "aws_db_instance", change(json!(["delete", "create"]),
                json!({"engine": "a", "password": "old", "tags": {"x": "1"}}), json!({"engine": "b", "password": "new", "tags": {"x": "1"}}),
                json!({"replace_paths": [["engine"]], "before_sensitive": {"password": true}, "after_sensitive": {"password": true}}))),
            resource("t.drifted", "t", change(json!(["update"]), json!({"size": 9, "list": [1, 2]}), json!({"size": 3, "list": [1, 5]}), json!({}))),
            resource("t.same", "t", change(json!(["no-op"]), json!({"size": 9}), json!({"size": 9}), json!({}))),
            resource("t.gone", "t", change(json!(["forget"]), json!({"a": 1}), Json::Null, json!({}))),
            tainted,
            moved,
            resource("t.taken", "t", change(json!(["no-op"]), json!({"a": 1}), json!({"a": 1}), json!({"importing": {"id": "i-1"}}))),
            { "address": "data.d.d", "mode": "data", "type": "d", "change": change(json!(["read"]), Json::Null, json!({}), json!({})) },
        ],
        "resource_drift": [
            resource("t.drifted", "t", change(json!(["update"]), json!({"size": 3, "list": [1, 2]}), json!({"size": 9, "list": [1, 2]}), json!({}))),
            resource("t.same", "t", change(json!(["update"]), json!({"size": 8}), json!({"size": 9}), json!({}))),
        ],
        "output_changes": {
            "url": { "actions": ["update"], "before": "a", "after": "b", "after_unknown": false, "after_sensitive": false },
            "id": { "actions": ["create"], "before": null, "after_unknown": true, "after_sensitive": false },
            "token": { "actions": ["create"], "before": null, "after": "s", "after_unknown": false, "after_sensitive": true },
            "old": { "actions": ["delete"], "before": "x", "after": null, "after_unknown": false, "after_sensitive": false },
        },
        "checks": [{ "address": { "to_display": "check.health" }, "status": "fail", "instances": [{ "problems": [{ "message": "it is down" }] }] }],
        "configuration": { "provider_config": { "aws": { "full_name": "registry.terraform.io/hashicorp/aws" } } },
    })
}

#[test]
fn a_plan_is_read_resource_by_resource_with_what_drifted_and_why() {
    let told = read(&plan(), &Hidden::default());
    let rows: Vec<(&str, ActionWord)> = told.children.iter().map(|c| (c.name.as_str(), c.action)).collect();
    assert_eq!(
        rows,
        [
            ("t.created", ActionWord::Create),
            ("aws_db_instance.main", ActionWord::Replace),
            ("t.drifted", ActionWord::Update),
            ("t.gone", ActionWord::Forget),
            ("t.tainted", ActionWord::Replace),
            ("t.new", ActionWord::NoOp),
            ("t.taken", ActionWord::Import),
        ]
    );
    let of = |name: &str| told.children.iter().find(|c| c.name == name).unwrap();
    let created: Vec<_> = of("t.created")
        .fields
        .iter()
        .map(|f| (f.path.as_str(), f.after.as_ref().is_some_and(Value::is_unknown)))
        .collect();
    assert_eq!(created, [("id", true), ("name", false)]);
    let database = of("aws_db_instance.main");
    assert!(database.stateful);
    let fields: Vec<_> = database
        .fields
        .iter()
        .map(|f| (f.path.as_str(), f.forces_replacement, f.after.as_ref().unwrap().is_sensitive()))
        .collect();
    assert_eq!(fields, [("engine", true, false), ("password", false, true)]);
    let drifted: Vec<_> = of("t.drifted").fields.iter().map(|f| (f.path.as_str(), f.cause)).collect();
    assert_eq!(drifted, [("list[1]", Cause::Declared), ("size", Cause::Drift)]);
    assert_eq!(told.left.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["t.same"]);
    assert_eq!(told.reasons, ["t.tainted is made anew: it is tainted, since making it failed before"]);
    assert_eq!(told.failed_checks, ["check.health: it is down"]);
    assert_eq!(told.providers, ["registry.terraform.io/hashicorp/aws"]);
    assert_eq!(told.outputs.get("url"), Some(&"b".into()));
    assert!(told.outputs.get("id").unwrap().is_unknown() && told.outputs.get("token").unwrap().is_sensitive());
    assert!(told.outputs.get("old").is_none());
}

#[test]
fn what_is_given_as_a_secret_is_one_wherever_the_root_puts_it() {
    let hidden = Hidden::of([&Value::object([("x", Value::from("hunter22").sensitive())])]);
    let plan = json!({ "resource_changes": [{ "address": "t.a", "mode": "managed", "type": "t", "change": {
        "actions": ["create"], "before": null, "after": { "url": "https://u:hunter22@host" }, "after_unknown": {},
        "before_sensitive": false, "after_sensitive": {},
    } }] });
    let told = read(&plan, &hidden);
    assert!(told.children[0].fields[0].after.as_ref().unwrap().has_sensitive());
}

fn observed() -> Observed {
    Observed {
        held: None,
        identity: json!({}),
        inputs: Value::object([("inputs", Value::UNKNOWN)]),
        documents: BTreeMap::new(),
        exports: Value::object([("outputs", Value::object([("url", Value::from("a"))]))]),
        owner: crate::kinds::Owner::Nobody,
        fingerprint: Digest::of(b""),
        condition: None,
        image: Value::NULL,
    }
}

#[test]
fn a_change_says_that_it_has_no_undo_and_seals_the_secrets_of_its_parts() {
    let desired = prepare(&root(Vec::new()), None).unwrap();
    let told = read(&plan(), &Hidden::default());
    let children = told.children.into_iter().chain(told.left).collect();
    let preview = Preview { children, exports: Some(Value::object([("outputs", told.outputs)])), ..Preview::default() };
    let live = observed();
    let difference = Difference {
        desired: &desired,
        prior: None,
        observed: Some(&live),
        preview: Some(&preview),
        ignore: &[],
        seal: &seal,
    };
    let change = TerraformKind.diff(&difference);
    assert_eq!(change.action, ActionWord::Update);
    assert!(matches!(&change.undo, Undo::None(why) if why.contains("no way back")));
    assert!(change.stateful);
    assert!(!serde_json::to_string(&change.children).unwrap().contains("\"new\""));
    let left: Vec<_> = change.fields.iter().filter(|f| f.cause == Cause::DriftLeft).map(|f| f.path.as_str()).collect();
    assert_eq!(left, ["t.same.size"]);
    // The world's word that nothing changes is the last.
    let nothing = Preview { nothing: true, ..Preview::default() };
    let change = TerraformKind.diff(&Difference { preview: Some(&nothing), ..difference });
    assert_eq!((change.action, change.exports), (ActionWord::NoOp, live.exports.clone()));
}

#[test]
fn a_state_that_is_not_to_be_found_is_not_a_root_that_is_gone() {
    assert!(live::lost("l", None).unwrap().contains("is not there"));
    assert!(live::lost("l", Some("other")).unwrap().contains("another lineage"));
    assert_eq!(live::lost("l", Some("l")), None);
}

#[test]
fn a_state_is_known_by_root_workspace_and_settings_of_the_backend() {
    let of = |more: Vec<(&'static str, Value)>| TerraformKind.sole(&prepare(&root(more), None).unwrap()).remove(0).key;
    let backend = |path: &str| ("backend", Value::object([("path", Value::from(path).sensitive())]));
    let plain = of(Vec::new());
    assert_eq!(of(vec![("inputs", Value::object([("x", 1.into())])), ("program", "tofu".into())]), plain);
    assert_eq!(of(vec![("backend", Value::object(Vec::<(&str, Value)>::new()))]), plain);
    assert_ne!(of(vec![("workspace", "other".into())]), plain);
    assert_ne!(of(vec![backend("a")]), of(vec![backend("b")]));
    let unknown = prepare(&root(vec![("workspace", Value::UNKNOWN)]), None).unwrap();
    assert!(TerraformKind.sole(&unknown).is_empty());
}

#[test]
fn a_replacement_shows_all_that_the_state_holds_and_that_data_goes_with_it() {
    let held = |name: &str, kind: &str| Value::object([("address", Value::from(name)), ("type", Value::from(kind))]);
    let resources = vec![held("aws_db_instance.main", "aws_db_instance"), held("t.drifted", "t"), held("t.gone", "t")];
    let live = Observed { image: Value::object([("resources", Value::tuple(resources))]), ..observed() };
    let change = TerraformKind.replaced(Change::new(ActionWord::Replace, Value::UNKNOWN), &live);
    assert!(change.stateful && matches!(&change.undo, Undo::None(_)));
    assert!(change.children.len() == 3 && change.children.iter().all(|c| c.action == ActionWord::Replace));
    // What the root's own plan says of them is kept, as far as it still holds.
    let planned = Change { children: read(&plan(), &Hidden::default()).children, ..change };
    let change = TerraformKind.replaced(planned, &live);
    let rows: Vec<_> = change.children.iter().map(|c| (c.name.as_str(), c.action, c.fields.is_empty())).collect();
    assert_eq!(
        rows,
        [
            ("aws_db_instance.main", ActionWord::Replace, false),
            ("t.drifted", ActionWord::Replace, false),
            ("t.gone", ActionWord::Delete, true),
            ("t.created", ActionWord::Create, false),
        ]
    );
}

proptest! {
    #[test]
    fn no_plan_and_no_input_makes_it_panic(a in any_value(true), b in any_value(true)) {
        let inputs = root(vec![("inputs", Value::object([("x", a.clone())]))]);
        let desired = prepare(&inputs, None).unwrap();
        let live = observed();
        let difference = Difference { desired: &desired, prior: None, observed: Some(&live), preview: None, ignore: &[], seal: &seal };
        let _ = TerraformKind.diff(&difference);
        let (a, b) = (a.to_json_lossy(), b.to_json_lossy());
        let change = json!({ "actions": ["update"], "before": a.clone(), "after": b.clone(), "after_unknown": b.clone(), "before_sensitive": a.clone(), "after_sensitive": b.clone() });
        let plan = json!({ "resource_changes": [{ "address": "t.a", "mode": "managed", "type": "t", "change": change }], "resource_drift": a, "output_changes": b });
        let _ = read(&plan, &Hidden::default());
    }
}
