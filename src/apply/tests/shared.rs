//! What two colours of one thing may not share is refused when it is planned, and where it can be known before anything is installed.

use super::rollouts::{ONE, TWO, Version, lab, objects, text};
use crate::{
    apply::testing::Lab,
    base::{ActionWord, Address, Diagnostic},
    plan,
    world::{ApplyOptions, World as _},
};
use serde_json::{Value as Json, json};

/// What is refused of a plan.
async fn refused(lab: &Lab) -> Vec<Diagnostic> {
    match lab.try_plan().await {
        Err(plan::Error::Problems(problems)) => problems.iter().cloned().collect(),
        Err(other) => panic!("{other:?}"),
        Ok(made) => panic!("planned: {:?}", made.plan.nodes.iter().map(|n| (&n.address, n.action)).collect::<Vec<_>>()),
    }
}

/// The one problem there is, by its code; what it says.
pub(super) async fn refused_for(lab: &Lab, code: &str) -> String {
    let problems = refused(lab).await;
    let codes: Vec<&str> = problems.iter().map(|p| &*p.code).collect();
    assert_eq!(codes, [code], "{problems:?}");
    // It stands at the block that is meant.
    let text = &lab.files["p/a.hcl"];
    let span = &problems[0].labels[0].span;
    let place = if code == "rollout_backend" { "backend" } else { "rollout" };
    assert_eq!(&text[span.range()], place);
    problems[0].summary.clone()
}

/// A chart whose service account has a name of its own.
fn account(version: Version<'_>, name: &str) -> String {
    text(version).replace("values     = { ", &format!("values     = {{ serviceAccount = {{ name = \"{name}\" }}, "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_that_names_an_object_the_same_in_both_colours_is_not_rolled_out() {
    let mut lab = lab(ONE);
    lab.applied().await;
    lab.write(&account(TWO, "shop"));
    let said = refused_for(&lab, "rollout_shared_object").await;
    assert!(said.contains("helm.web: blue and green both have ServiceAccount web/shop"), "{said}");
    // With the colour in its name it is.
    lab.write(&account(TWO, "shop-${self.color}"));
    lab.applied().await;
    lab.write(&account(Version { tag: "three", ..ONE }, "shop-${self.color}"));
    lab.applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_new_colour_takes_from_what_stands_there_is_refused_too() {
    let mut lab = lab(ONE);
    lab.applied().await;
    // As it is declared now the colours differ; blue stands there with another name, which green would take.
    lab.write(&account(TWO, "web-${self.color == \"green\" ? \"blue\" : \"new\"}-headlamp"));
    let said = refused_for(&lab, "rollout_shared_object").await;
    assert!(said.contains("ServiceAccount web/web-blue-headlamp"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_never_be_rolled_out_is_refused_before_it_is_installed() {
    for strategy in [("blue_green", "[10, 100]"), ("canary", "[10, 50]")] {
        let version = Version { strategy: strategy.0, steps: strategy.1, ..ONE };
        let mut lab = lab(version);
        let whole = text(version);
        let (base, rest) = whole.split_once("helm \"web\"").unwrap();
        let (_, after) = rest.split_once("value \"after\"").unwrap();
        assert!(after.contains("helm.web.name"));
        lab.write(base);
        lab.applied().await;
        lab.write(&account(version, "shop"));
        let said = refused_for(&lab, "rollout_shared_object").await;
        assert!(said.contains("both colours would have ServiceAccount web/shop"), "{said}");
        assert!(said.contains("never be rolled out"), "{said}");
        lab.write(&account(version, "shop-${self.color}"));
        assert!(lab.changes().await.iter().any(|line| line == "helm.web: shift"));
        lab.applied().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_of_both_is_a_shared_object() {
    let mut lab = lab(ONE);
    lab.write(&objects("1", "web-${self.color}"));
    lab.applied().await;
    let space = "    ---\n    apiVersion: v1\n    kind: Namespace\n    metadata: { name: more }\n  EOT";
    lab.write(&objects("2", "web-${self.color}").replace("  EOT", space));
    let said = refused_for(&lab, "rollout_shared_object").await;
    assert!(said.contains("manifest.web: blue and green both have Namespace more"), "{said}");
}

/// Objects whose pods use a claim that is in the cluster already.
fn claiming(tag: &str, claim: &str) -> String {
    let volumes =
        format!("spec: {{ volumes: [ {{ name: d, persistentVolumeClaim: {{ claimName: {claim} }} }} ], containers");
    objects(tag, "web-${self.color}").replace("spec: { containers", &volumes)
}

/// Somebody else makes an object.
pub(super) async fn put(lab: &Lab, object: &Json) {
    let subject = lab.subject().await;
    let remembered = &subject.state.resources[&Address::root("helm", "controller")];
    let connection = plan::remembered_connections(&subject, remembered).cluster.unwrap();
    let kubernetes = lab.world.cluster(&connection).unwrap().kubernetes;
    let options = ApplyOptions { manager: "them".to_owned(), force: false, dry_run: false };
    kubernetes.apply(object, &options).await.unwrap();
}

async fn put_claim(lab: &Lab, name: &str, mode: &str) {
    put(
        lab,
        &json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
            "spec": {"storageClassName": "", "accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_one_node_only_may_use_is_not_used_by_two_colours() {
    let mut lab = lab(ONE);
    let (base, _) =
        objects("1", "x").split_once("manifest \"web\"").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    lab.write(&base);
    lab.applied().await;
    put_claim(&lab, "once", "ReadWriteOnce").await;
    put_claim(&lab, "many", "ReadWriteMany").await;
    lab.write(&claiming("1", "once"));
    let said = refused_for(&lab, "rollout_shared_claim").await;
    assert!(
        said.contains("both colours would use the claim default/once (the pods of one node only may use it)"),
        "{said}"
    );
    for tag in ["1", "2"] {
        lab.write(&claiming(tag, "many"));
        lab.applied().await;
    }
    lab.write(&claiming("3", "once"));
    let said = refused_for(&lab, "rollout_shared_claim").await;
    assert!(said.contains("green and blue both use the claim default/once"), "{said}");
    // Of one that nobody knows nothing is taken for granted once there are two.
    lab.write(&claiming("3", "unknown"));
    let said = refused_for(&lab, "rollout_shared_claim").await;
    assert!(said.contains("nothing tells that pods of several nodes may use it"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_that_takes_the_pods_of_the_other_colour_is_refused() {
    let mut lab = lab(ONE);
    lab.write(&objects("1", "web-${self.color}"));
    lab.applied().await;
    let loose = "selector: { app: web }\n      ports";
    let text = objects("2", "web-${self.color}")
        .replace("selector: { app: web, color: \"${self.color}\" }\n      ports", loose);
    lab.write(&text);
    let said = refused_for(&lab, "rollout_selector").await;
    assert!(said.contains("Service default/web-green selects the pods of Deployment default/web-blue"), "{said}");
    assert_eq!(lab.subject().await.state.rollouts.len(), 1);
    lab.write(&objects("2", "web-${self.color}"));
    let shift = lab.plan().await.plan.node(&Address::root("manifest", "web")).unwrap().action;
    assert_eq!(shift, ActionWord::Shift);
}
