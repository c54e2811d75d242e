//! The life of an add-on on the sandbox.

use super::*;
use crate::{
    base::Address,
    kinds::testing::{Bench, CLUSTER},
    world::sandbox::FaultKind,
};

fn addon() -> Address {
    Address::root("eks_addon", "dns")
}

fn inputs(version: &str, replicas: i64) -> Value {
    Value::from_json(&json!({
        "cluster": CLUSTER, "addon": "coredns", "version": version, "configuration": { "replicaCount": replicas },
    }))
}

#[tokio::test]
async fn an_add_on_is_made_left_alone_changed_put_back_and_deleted() {
    let bench = Bench::with_cluster().await;
    let made = bench.apply(&addon(), &inputs("default", 2)).await.unwrap();
    assert_eq!(made.change.action, ActionWord::Create);
    let pinned = made.change.exports.get("version").unwrap().as_str().unwrap().to_owned();
    assert!(pinned.starts_with('v'));
    let again = bench.plan(&addon(), &inputs("default", 2)).await.unwrap();
    assert_eq!(again.change.action, ActionWord::NoOp, "{:?}", again.change.fields);
    let exact = bench.plan(&addon(), &inputs(&pinned, 2)).await.unwrap();
    assert_eq!(exact.change.action, ActionWord::NoOp, "{:?}", exact.change.fields);

    let changed = bench.apply(&addon(), &inputs("latest", 3)).await.unwrap();
    assert_eq!(changed.change.action, ActionWord::Update);
    bench.undo(&addon(), &changed).await.unwrap();
    let back = bench.plan(&addon(), &inputs(&pinned, 2)).await.unwrap();
    let live = back.observed.as_ref().unwrap().exports.get("version").cloned();
    assert_eq!(live, Some(pinned.as_str().into()));
    bench.delete(&addon(), &back).await.unwrap();
    assert!(bench.plan(&addon(), &inputs("default", 2)).await.unwrap().observed.is_none());
}

#[tokio::test]
async fn a_version_that_the_cluster_cannot_have_is_refused_when_planned() {
    let bench = Bench::with_cluster().await;
    let failure = bench.plan(&addon(), &inputs("v0.0.1-eksbuild.1", 1)).await.err().unwrap();
    assert!(failure.message.contains("v0.0.1-eksbuild.1") && failure.hint.is_some(), "{failure}");
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    for kind in [FaultKind::TimeoutAfter, FaultKind::TimeoutBefore] {
        let bench = Bench::with_cluster().await;
        bench.fault("eks:CreateAddon", kind.clone());
        bench.apply(&addon(), &inputs("default", 2)).await.unwrap();
        bench.fault("eks:UpdateAddon", kind.clone());
        bench.apply(&addon(), &inputs("default", 3)).await.unwrap();
        let again = bench.plan(&addon(), &inputs("default", 3)).await.unwrap();
        assert_eq!(again.change.action, ActionWord::NoOp, "{:?}", again.change.fields);
        bench.fault("eks:DeleteAddon", kind);
        bench.delete(&addon(), &again).await.unwrap();
    }
}

#[tokio::test]
async fn a_failure_says_the_issues_that_eks_tells() {
    let bench = Bench::with_cluster().await;
    bench.fail("eks:CreateAddon", None);
    let failure = bench.apply(&addon(), &inputs("default", 2)).await.err().unwrap();
    assert!(failure.message.contains("FAILED") || failure.message.contains("DEGRADED"), "{failure}");
}
