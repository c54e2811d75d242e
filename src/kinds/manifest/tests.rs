//! Manifests on the sandbox's cluster.

use super::*;
use crate::{
    base::Address,
    kinds::{Cause, testing::Bench},
    world::sandbox::FaultKind,
};

fn web() -> Address {
    Address::root("manifest", "web")
}

fn inputs(replicas: i64, image: &str) -> Value {
    Value::from_json(&json!({ "object": {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "default" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "web" } }, "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": image, "ports": [{ "containerPort": 80 }] }] },
        } },
    } }))
}

#[test]
fn what_is_no_object_is_refused_and_what_is_not_known_yet_is_not() {
    let mut bench = Bench::open();
    bench.file(
        "two.yaml",
        "kind: A\napiVersion: v1\nmetadata: {name: x}\n---\nkind: A\napiVersion: v1\nmetadata: {name: x}\n",
    );
    for given in [
        json!({ "object": { "kind": "Pod" } }),
        json!({ "yaml": "a: [\n" }),
        json!({ "yaml": "none.yaml" }),
        json!({ "yaml": "two.yaml" }),
        json!({ "yaml": 3 }),
    ] {
        assert!(bench.prepare(&web(), &Value::from_json(&given)).is_err(), "{given}");
    }
    let desired = bench.prepare(&web(), &Value::object([("object", Value::UNKNOWN)])).unwrap();
    assert!(desired.identity.is_none() && desired.inputs.has_unknown());
    let text = json!({ "yaml": "kind: A\napiVersion: v1\nmetadata: {name: x}\n---\nkind: B\napiVersion: v1\nmetadata: {name: z}\n" });
    let desired = bench.prepare(&web(), &Value::from_json(&text)).unwrap();
    assert_eq!(desired.inputs.get("objects").unwrap().as_map().unwrap().len(), 2);
}

#[test]
fn the_content_of_a_secret_is_sensitive_however_it_is_written() {
    let bench = Bench::open();
    let given = json!({ "object": { "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "k": "v" } } });
    let desired = bench.prepare(&web(), &Value::from_json(&given)).unwrap();
    assert!(desired.inputs.has_sensitive());
}

#[tokio::test]
async fn an_object_is_made_left_alone_changed_put_back_and_deleted() {
    let bench = Bench::with_cluster().await;
    let made = bench.apply(&web(), &inputs(1, "nginx:1")).await.unwrap();
    assert_eq!(made.change.action, ActionWord::Create);
    let again = bench.plan(&web(), &inputs(1, "nginx:1")).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp, "{:?} {:?}", again.change.fields, again.change.children);

    let changed = bench.apply(&web(), &inputs(2, "nginx:2")).await.unwrap();
    assert_eq!(changed.change.action, ActionWord::Update);
    let fields: Vec<_> = changed.change.children[0].fields.iter().map(|f| (f.path.as_str(), f.cause)).collect();
    assert_eq!(
        fields,
        [("spec.replicas", Cause::Declared), ("spec.template.spec.containers.web.image", Cause::Declared)]
    );
    bench.undo(&web(), &changed).await.unwrap();
    bench.state.lock().unwrap().get_mut(&web()).unwrap().inputs = made.desired.inputs.clone();
    let back = bench.plan(&web(), &inputs(1, "nginx:1")).await.unwrap();
    assert_eq!(back.change.action, ActionWord::NoOp, "{:?}", back.change.children);
    bench.delete(&web(), &back).await.unwrap();
    assert!(bench.plan(&web(), &inputs(1, "nginx:1")).await.unwrap().observed.is_none());
}

#[tokio::test]
async fn a_field_that_somebody_changed_is_taken_back_and_an_ignored_one_is_left() {
    let bench = Bench::with_cluster().await;
    bench.apply(&web(), &inputs(1, "nginx:1")).await.unwrap();
    bench.drift("object/default/Deployment/web", "spec.replicas", "3");
    let ignored =
        bench.plan_ignoring(&web(), &inputs(1, "nginx:1"), &["object.spec.replicas".to_owned()]).await.unwrap();
    assert_eq!(ignored.change.action, ActionWord::NoOp, "{:?}", ignored.change.children);
    let planned = bench.apply(&web(), &inputs(1, "nginx:1")).await.unwrap();
    let fields: Vec<_> = planned.change.children[0].fields.iter().map(|f| (f.path.as_str(), f.cause)).collect();
    assert_eq!(fields, [("spec.replicas", Cause::Drift)]);
    assert_eq!(bench.plan(&web(), &inputs(1, "nginx:1")).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn objects_that_are_dropped_are_pruned() {
    let bench = Bench::with_cluster().await;
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ a: b }}\n");
    let both = Value::from_json(&json!({ "yaml": format!("{}---\n{}", map("x"), map("z")) }));
    let one = Value::from_json(&json!({ "yaml": map("x") }));
    bench.apply(&web(), &both).await.unwrap();
    let planned = bench.apply(&web(), &one).await.unwrap();
    let children: Vec<_> = planned.change.children.iter().map(|c| (c.name.as_str(), c.action)).collect();
    assert_eq!(children, [("ConfigMap default/z", ActionWord::Delete)]);
    assert_eq!(bench.plan(&web(), &one).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn a_type_that_is_not_there_yet_is_said_and_not_failed() {
    let bench = Bench::with_cluster().await;
    let given =
        json!({ "object": { "apiVersion": "x.io/v1", "kind": "Thing", "metadata": { "name": "t" }, "spec": {} } });
    let planned = bench.plan(&web(), &Value::from_json(&given)).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Create);
    let preview = planned.preview.unwrap();
    assert_eq!(preview.needs.keys().collect::<Vec<_>>(), ["x.io/v1 Thing"]);
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    for kind in [FaultKind::TimeoutAfter, FaultKind::TimeoutBefore] {
        let bench = Bench::with_cluster().await;
        let planned = bench.plan(&web(), &inputs(1, "nginx:1")).await.unwrap();
        assert_eq!(planned.change.action, ActionWord::Create);
        bench.fault("kubernetes:Apply", kind.clone());
        let made = bench.apply(&web(), &inputs(1, "nginx:1")).await.unwrap();
        bench.fault("kubernetes:Delete", kind);
        bench.delete(&web(), &made).await.unwrap();
    }
}

#[tokio::test]
async fn a_secret_in_an_object_of_any_kind_is_in_no_plan_no_state_and_no_before_image() {
    let bench = Bench::with_cluster().await;
    let inputs = |password: &str| {
        let data = Value::object([("password", Value::from(password).sensitive()), ("plain", "p".into())]);
        let metadata = Value::object([("name", "m".into())]);
        let object =
            [("apiVersion", "v1".into()), ("kind", "ConfigMap".into()), ("metadata", metadata), ("data", data)];
        Value::object([("object", Value::object(object))])
    };
    let mut former = None;
    for (password, action) in [("hunter2", ActionWord::Create), ("swordfish", ActionWord::Update)] {
        let planned = bench.apply(&web(), &inputs(password)).await.unwrap();
        assert_eq!(planned.change.action, action);
        let shown = serde_json::to_string(&(&planned.change.fields, &planned.change.children)).unwrap();
        let kept = serde_json::to_string(&bench.prior(&web())).unwrap();
        let image = planned.observed.as_ref().map(|o| o.image.sealed(&crate::kinds::testing::seal));
        let image = serde_json::to_string(&image).unwrap();
        for text in [&shown, &kept, &image] {
            assert!(!text.contains("hunter2") && !text.contains("swordfish"), "{text}");
        }
        assert!(kept.contains("plain"), "{kept}");
        former = Some(planned);
    }
    let again = bench.plan(&web(), &inputs("swordfish")).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp, "{:?}", again.change.children);
    // While the run lives its before-images are in clear, so that undoing needs no seal.
    bench.undo(&web(), &former.unwrap()).await.unwrap();
    assert!(bench.sandbox.show(Some("object/default/ConfigMap/m")).is_ok());
    let back = bench.plan(&web(), &inputs("hunter2")).await.unwrap();
    assert_eq!(back.change.children, Vec::new());
}
