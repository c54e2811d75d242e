//! A service that is to receive the traffic of a colour and that nothing brings is told before anything is done; where only the cluster
//! can tell, at once when its turn comes.

use super::{
    rollouts::{ONE, TWO, Version, failure, lab, live, objects, text},
    shared::{put, refused_for},
};
use crate::{
    apply::testing::Lab,
    base::{ActionWord, Address, Color, RunEnd},
    rollout::Fault,
    world::World as _,
};
use serde_json::json;

/// With another backend.
fn sent_to(version: Version<'_>, service: &str, port: &str) -> String {
    let own = "service = \"web-${self.color}-headlamp\"\n      port    = 80\n    }\n    verify";
    let text = text(version);
    assert!(text.contains(own));
    text.replace(own, &format!("service = \"{service}\"\n      port    = {port}\n    }}\n    verify"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_the_chart_does_not_bring_is_told_with_those_that_it_brings() {
    let mut lab = lab(ONE);
    lab.applied().await;
    lab.write(&sent_to(TWO, "web-${self.color}", "80"));
    let said = refused_for(&lab, "rollout_backend").await;
    assert_eq!(said, "helm.web: the chart brings no Service web/web-green; it brings web-green-headlamp");
    lab.write(&sent_to(TWO, "web-${self.color}-headlamp", "8080"));
    let said = refused_for(&lab, "rollout_backend").await;
    assert_eq!(said, "helm.web: the Service web/web-green-headlamp has no port 8080; it has 80 (http)");
    lab.write(&sent_to(TWO, "web-${self.color}-headlamp", "\"http\""));
    lab.applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_somebody_else_brings_may_receive_the_traffic() {
    let mut lab = lab(ONE);
    lab.applied().await;
    let other = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "web"},
            "spec": {"selector": {"color": "green"}, "ports": [{"port": 80, "targetPort": 4466}]},
        })
    };
    lab.write(&sent_to(TWO, "theirs-${self.color}", "80"));
    refused_for(&lab, "rollout_backend").await;
    put(&lab, &other("theirs-green")).await;
    assert!(lab.changes().await.contains(&"helm.web: shift".to_owned()));
    // So may one of another manifest of the plan.
    let manifest = "manifest \"services\" {\n  phase = phase.base\n  object = {\n    apiVersion = \"v1\"\n    kind = \"Service\"\n    metadata = { name = \"ours-green\", namespace = \"web\" }\n    spec = { selector = { color = \"green\" }, ports = [{ port = 80, targetPort = 4466 }] }\n  }\n}\n";
    lab.write(&format!("{}{manifest}", sent_to(TWO, "ours-${self.color}", "80")));
    assert!(lab.changes().await.contains(&"helm.web: shift".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_the_service_of_their_colour_are_not_rolled_out() {
    let mut lab = lab(ONE);
    lab.write(&objects("1", "web-${self.color}"));
    lab.applied().await;
    let own = "service   = \"web-${self.color}\"";
    lab.write(&objects("2", "web-${self.color}").replace(own, "service   = \"shop-${self.color}\""));
    let said = refused_for(&lab, "rollout_backend").await;
    assert_eq!(said, "manifest.web: it brings no Service default/shop-green; it brings web-green");
    let shift = async |lab: &Lab| lab.plan().await.plan.node(&Address::root("manifest", "web")).unwrap().action;
    lab.write(&objects("2", "web-${self.color}"));
    assert_eq!(shift(&lab).await, ActionWord::Shift);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_gone_when_it_has_its_turn_is_told_at_once_and_is_the_releases_fault() {
    let mut lab = lab(ONE);
    lab.applied().await;
    let own = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "nobodys-blue", "namespace": "web"},
        "spec": {"selector": {"color": "blue"}, "ports": [{"port": 80, "targetPort": 4466}]},
    });
    put(&lab, &own).await;
    // Something that the plan cannot look through might bring it.
    let command = "command \"bring\" {\n  phase = phase.base\n  create = [\"true\"]\n}\n";
    lab.write(&format!("{}{command}", sent_to(TWO, "nobodys-${self.color}", "80")));
    let before = lab.world.clock().now();
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    let said = failure(&report);
    assert!(said.contains("there is no Service web/nobodys-green to send traffic to; web has"), "{said}");
    let took = lab.world.clock().now().duration_since(before).as_secs();
    assert!(took < 5 * 60, "{took}");
    assert_eq!(live(&lab).await, Some(Color::Blue));
    let last = lab.subject().await.state.rollouts[&super::rollouts::unit()].last.clone().unwrap();
    assert_eq!(last.aborted.unwrap().1, Fault::Release);
}
