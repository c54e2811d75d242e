//! Releases on the sandbox's cluster.

use super::*;
use crate::{
    base::Address,
    kinds::{Cause, testing::Bench},
    world::sandbox::FaultKind,
};

fn release() -> Address {
    Address::root("helm", "pod_info")
}

fn inputs(version: &str, replicas: i64) -> Value {
    Value::from_json(&json!({
        "chart": "podinfo", "repository": "https://stefanprodan.github.io/podinfo", "version": version,
        "namespace": "apps", "values": { "replicaCount": replicas },
    }))
}

#[test]
fn names_versions_and_files_are_checked_before_any_program_runs() {
    let mut bench = Bench::open();
    bench.file("bad.yaml", "- a list");
    for (given, word) in [
        (json!({ "chart": "podinfo", "repository": "https://x" }), "version"),
        (json!({ "chart": "./none" }), "chart"),
        (json!({ "chart": "oci://x/y", "version": "1", "name": "Not_A_Name" }), "Not_A_Name"),
        (json!({ "chart": "oci://x/y", "version": "1", "values_files": ["bad.yaml"] }), "bad.yaml"),
        (json!({ "chart": "oci://x/y", "version": "1", "timeout": "5" }), "5"),
    ] {
        let problems = bench.prepare(&release(), &Value::from_json(&given)).unwrap_err();
        assert!(problems.iter().any(|p| p.summary.contains(word)), "{word}: {problems:?}");
    }
}

#[test]
fn values_are_merged_as_helm_does_and_secrets_stay_marked() {
    let mut bench = Bench::open();
    bench.file("a.yaml", "x: { a: 1, b: 2 }\nlist: [1, 2]\n");
    bench.file("b.yaml", "x: { b: 3 }\nlist: [9]\n");
    let given = Value::from_json(&json!({
        "chart": "oci://x/y", "version": "1", "values_files": ["a.yaml", "b.yaml"],
        "values": { "x": { "c": null } }, "sensitive_values": { "x": { "password": "p" } },
    }));
    let values = bench.prepare(&release(), &given).unwrap().inputs.get("values").unwrap().clone();
    assert_eq!(values.to_json(), Some(json!({ "x": { "a": 1, "b": 3, "c": null, "password": "p" }, "list": [9] })));
    assert!(values.get("x").unwrap().get("password").unwrap().is_sensitive());
}

#[tokio::test]
async fn a_release_is_installed_left_alone_upgraded_put_back_and_uninstalled() {
    let bench = Bench::with_cluster().await;
    let made = bench.apply(&release(), &inputs("6.7.0", 1)).await.unwrap();
    assert_eq!(made.change.action, ActionWord::Create);
    assert!(made.change.children.iter().any(|c| c.name == "Namespace apps"));
    let again = bench.plan(&release(), &inputs("6.7.0", 1)).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp, "{:?} {:?}", again.change.fields, again.change.children);

    let changed = bench.apply(&release(), &inputs("6.8.0", 2)).await.unwrap();
    let paths: Vec<&str> = changed.change.fields.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["values.replicaCount", "version"]);
    assert!(changed.change.children.iter().any(|c| c.kind == "apps/v1 Deployment" && c.action == ActionWord::Update));

    bench.undo(&release(), &changed).await.unwrap();
    let back = bench.plan(&release(), &inputs("6.7.0", 1)).await.unwrap();
    assert_eq!(back.change.action, ActionWord::NoOp, "{:?} {:?}", back.change.fields, back.change.children);
    bench.delete(&release(), &back).await.unwrap();
    let rows = bench.sandbox.show(Some("object")).unwrap().rows;
    assert!(!rows.iter().any(|r| r.name.contains("podinfo") || r.name.contains("Namespace/apps")), "{rows:?}");
}

#[tokio::test]
async fn somebody_elses_change_is_mended_in_place() {
    let bench = Bench::with_cluster().await;
    bench.apply(&release(), &inputs("6.7.0", 2)).await.unwrap();
    let name = bench
        .sandbox
        .show(Some("object"))
        .unwrap()
        .rows
        .into_iter()
        .map(|r| r.name)
        .find(|n| n.contains("Deployment/"))
        .unwrap();
    let name = name.rsplit('/').next().unwrap().to_owned();
    bench.drift(&format!("object/apps/Deployment/{name}"), "spec.replicas", "5");
    let planned = bench.apply(&release(), &inputs("6.7.0", 2)).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Update);
    let fields: Vec<_> = planned.change.children.iter().flat_map(|c| &c.fields).collect();
    assert!(fields.iter().all(|f| f.cause == Cause::Drift && f.path == "spec.replicas"), "{fields:?}");
    assert_eq!(bench.plan(&release(), &inputs("6.7.0", 2)).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn a_failed_upgrade_goes_back_and_a_failed_install_leaves_nothing() {
    let bench = Bench::with_cluster().await;
    bench.fail("helm:Install", None);
    let failure = bench.apply(&release(), &inputs("6.7.0", 1)).await.err().unwrap();
    assert!(failure.message.contains("uninstalled"), "{failure}");
    assert!(bench.plan(&release(), &inputs("6.7.0", 1)).await.unwrap().observed.is_none());

    bench.apply(&release(), &inputs("6.7.0", 1)).await.unwrap();
    bench.fail("helm:Upgrade", None);
    let failure = bench.apply(&release(), &inputs("6.8.0", 1)).await.err().unwrap();
    assert!(failure.message.contains("went back to revision 1"), "{failure}");
    let back = bench.plan(&release(), &inputs("6.7.0", 1)).await.unwrap();
    assert_eq!(back.change.action, ActionWord::NoOp, "{:?}", back.change.fields);
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    for kind in [FaultKind::TimeoutAfter, FaultKind::TimeoutBefore] {
        let bench = Bench::with_cluster().await;
        bench.fault("helm:Install", kind.clone());
        bench.apply(&release(), &inputs("6.7.0", 1)).await.unwrap();
        bench.fault("helm:Upgrade", kind.clone());
        bench.apply(&release(), &inputs("6.8.0", 1)).await.unwrap();
        let again = bench.plan(&release(), &inputs("6.8.0", 1)).await.unwrap();
        assert_eq!(again.change.action, ActionWord::NoOp, "{:?}", again.change.fields);
        let releases = bench.sandbox.show(Some("release")).unwrap().rows;
        assert_eq!(releases.iter().filter(|r| r.name.contains("pod-info")).count(), 1, "{releases:?}");
        bench.fault("helm:Uninstall", kind);
        bench.delete(&release(), &again).await.unwrap();
    }
}

#[tokio::test]
async fn the_live_objects_of_a_release_are_read_once_in_a_look() {
    let bench = Bench::with_cluster().await;
    bench.apply(&release(), &inputs("6.7.0", 1)).await.unwrap();
    let gets = || bench.sandbox.show(None).unwrap().calls.get("kubernetes:Get").copied().unwrap_or_default();
    let before = gets();
    let planned = bench.plan(&release(), &inputs("6.8.0", 1)).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Update);
    let made = bench.sandbox.show(Some("object")).unwrap().rows;
    let made = made.iter().filter(|r| r.name.contains("pod-info") && !r.name.contains("Pod/")).count();
    // Each of its objects, what the new version adds, and the namespace.
    let asked = usize::try_from(gets() - before).unwrap();
    assert!(made > 0 && asked <= made + 2, "{asked} for {made}");
}
