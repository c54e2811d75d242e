//! Routes that are objects, on the sandbox's cluster: made, bound, moved, refused, deleted.

use crate::{
    base::{ActionWord, Address, Side, Value},
    kinds::{Owner, testing::Bench, traffic::open},
    world::{ApplyOptions, Backend, Class, Kubernetes, ObjectRef, Traffic, Weights, World as _},
};
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};

fn web() -> Address {
    Address::root("traffic", "web")
}

struct Shop {
    bench: Bench,
    api: Arc<dyn Kubernetes>,
}

impl Shop {
    /// A cluster that knows the types, with a blue and a green service and their pods.
    async fn new() -> Self {
        let bench = Bench::with_cluster().await;
        let api = bench.context(&web()).cluster.unwrap().1.kubernetes;
        let shop = Self { bench, api };
        for (group, version, kind, plural) in [
            ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            ("networking.istio.io", "v1", "VirtualService", "virtualservices"),
        ] {
            let crd = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}")},
                "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                    "versions": [{"name": version, "served": true, "storage": true}]},
            });
            shop.apply(&crd, "test").await;
        }
        shop.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}), "test").await;
        for color in ["blue", "green"] {
            let labels = json!({"app": "web", "color": color});
            let name = format!("web-{color}");
            let deployment = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": "web", "ports": [{"name": "web", "containerPort": 8080}]}]}}},
            });
            shop.apply(&deployment, "test").await;
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
            });
            shop.apply(&service, "test").await;
        }
        shop.bench.sandbox.clock().sleep(Duration::from_secs(60)).await;
        shop
    }

    async fn apply(&self, object: &Json, manager: &str) -> Json {
        let options = ApplyOptions { manager: manager.into(), force: true, dry_run: false };
        self.api.apply(object, &options).await.unwrap()
    }

    fn open(&self) -> Box<dyn Traffic> {
        let prior = self.bench.prior(&web()).unwrap();
        open(&self.bench.context(&web()), &prior.inputs, &prior.identity, None).unwrap()
    }

    async fn object(&self, form: super::Form) -> Json {
        self.api.get(&form.reference("shop", "web")).await.unwrap().unwrap()
    }
}

fn backend(color: &str) -> Backend {
    Backend { service: format!("web-{color}"), namespace: "shop".into(), port: "http".into() }
}

fn gateway(path: &str) -> Value {
    let block = json!({"namespace": "shop", "parent": "edge", "hostnames": ["web.example.com"], "path": path});
    Value::from_json(&json!({ "gateway": block }))
}

fn istio() -> Value {
    Value::from_json(&json!({"istio": {"namespace": "shop", "hosts": ["web"], "gateways": ["mesh"]}}))
}

fn service() -> Value {
    Value::from_json(&json!({"service": {"namespace": "shop", "name": "web"}}))
}

async fn bind_both(route: &dyn Traffic) {
    route.bind(Side::Blue, &backend("blue")).await.unwrap();
    route.bind(Side::Green, &backend("green")).await.unwrap();
    route.bind(Side::Green, &backend("green")).await.unwrap();
}

#[tokio::test]
async fn an_http_route_moves_by_its_weights_and_a_plan_shows_no_difference_for_them() {
    let shop = Shop::new().await;
    let inputs = gateway("/");
    assert_eq!(shop.bench.apply(&web(), &inputs).await.unwrap().change.action, ActionWord::Create);
    let route = shop.open();
    assert!(route.shift(Weights::to(Side::Blue, 100)).await.unwrap_err().message.contains("nothing receives"));
    bind_both(&*route).await;
    assert!(route.health(Side::Green).await.unwrap().is_healthy());
    let before = shop.bench.plan(&web(), &inputs).await.unwrap();
    for green in [10, 50, 100, 0, 30] {
        route.shift(Weights::to(Side::Green, green)).await.unwrap();
        let told = route.read().await.unwrap();
        assert_eq!(told.weights.of(Side::Green), green);
        // Nobody plays the gateway here, so nothing is proved.
        assert!(told.unproved.unwrap().contains("no controller has taken it up"));
    }
    let after = shop.bench.plan(&web(), &inputs).await.unwrap();
    assert_eq!(
        (after.change.action, before.observed.unwrap().fingerprint),
        (ActionWord::NoOp, after.observed.unwrap().fingerprint)
    );

    // What is declared changes, and the traffic stays.
    shop.bench.apply(&web(), &gateway("/shop")).await.unwrap();
    let object = shop.object(super::Form::Gateway).await;
    let rule = &object["spec"]["rules"][0];
    assert_eq!(rule["matches"][0]["path"]["value"], "/shop");
    assert_eq!((&rule["backendRefs"][0]["weight"], &rule["backendRefs"][1]["weight"]), (&json!(70), &json!(30)));
    assert!(route.unbind(Side::Green).await.unwrap_err().message.contains("still has 30 percent"));
    route.shift(Weights::to(Side::Blue, 100)).await.unwrap();
    route.unbind(Side::Green).await.unwrap();
    route.unbind(Side::Green).await.unwrap();
    assert_eq!(route.health(Side::Green).await.unwrap().to_string(), "no targets");
    let planned = shop.bench.plan(&web(), &gateway("/shop")).await.unwrap();
    shop.bench.delete(&web(), &planned).await.unwrap();
    assert_eq!(shop.api.get(&super::Form::Gateway.reference("shop", "web")).await.unwrap(), None);
}

#[tokio::test]
async fn a_gateway_of_the_sandbox_says_a_moment_later_what_became_of_a_route() {
    let shop = Shop::new().await;
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gateways.gateway.networking.k8s.io"},
        "spec": {"group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": {"kind": "Gateway", "plural": "gateways"},
            "versions": [{"name": "v1", "served": true, "storage": true}]},
    });
    shop.apply(&crd, "test").await;
    shop.bench.apply(&web(), &gateway("/")).await.unwrap();
    let route = shop.open();
    bind_both(&*route).await;
    let pass = async |seconds| shop.bench.sandbox.clock().sleep(Duration::from_secs(seconds)).await;
    let unproved = async || route.read().await.unwrap().unproved;
    pass(10).await;
    assert!(unproved().await.unwrap().contains("no controller has taken it up"), "there is no gateway");
    let edge = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {"gatewayClassName": "any", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    });
    let made = shop.apply(&edge, "test").await;
    assert_eq!(made["status"]["conditions"][1]["type"], "Programmed");
    for green in [10, 50] {
        route.shift(Weights::to(Side::Green, green)).await.unwrap();
        let generation = shop.object(super::Form::Gateway).await["metadata"]["generation"].as_i64().unwrap();
        let why = unproved().await.unwrap();
        assert!(why.contains(&format!("has seen generation {}", generation - 1)), "{why}");
        pass(3).await;
        assert_eq!(unproved().await, None);
    }
    // What it says of a service that is gone is what a controller says.
    let reference = ObjectRef {
        api_version: "v1".into(),
        kind: "Service".into(),
        namespace: Some("shop".into()),
        name: "web-green".into(),
    };
    shop.api.delete(&reference, None).await.unwrap();
    let why = unproved().await.unwrap();
    assert!(
        why.contains("ResolvedRefs is not True at the gateway edge: BackendNotFound: Service shop/web-green"),
        "{why}"
    );
}

#[test]
fn a_route_is_in_force_when_every_parent_says_so_of_this_generation() {
    let told = |accepted: &str, resolved: &str, seen: i64| {
        json!({
            "metadata": {"namespace": "shop", "generation": 3},
            "spec": {"parentRefs": [{"name": "edge", "namespace": "infra"}]},
            "status": {"parents": [{"parentRef": {"name": "edge", "namespace": "infra"}, "conditions": [
                {"type": "Accepted", "status": accepted, "observedGeneration": seen, "reason": "NotAllowed", "message": "no"},
                {"type": "ResolvedRefs", "status": resolved, "observedGeneration": seen, "reason": "BackendNotFound", "message": "m"}]}]},
        })
    };
    assert_eq!(super::gateway::unproved(&told("True", "True", 3)), None);
    for (object, words) in [
        (told("True", "True", 2), "has seen generation 2"),
        (told("False", "True", 3), "Accepted is not True at the gateway edge: NotAllowed: no"),
        (told("True", "False", 3), "BackendNotFound"),
    ] {
        assert!(super::gateway::unproved(&object).unwrap().contains(words));
    }
    let mut other = told("True", "True", 3);
    other["status"]["parents"][0]["parentRef"]["namespace"] = json!("shop");
    assert!(super::gateway::unproved(&other).unwrap().contains("says nothing"));
}

#[tokio::test]
async fn a_virtual_service_moves_by_its_weights_and_a_foreign_destination_is_told() {
    let shop = Shop::new().await;
    shop.bench.apply(&web(), &istio()).await.unwrap();
    let route = shop.open();
    let object = shop.object(super::Form::Istio).await;
    assert_eq!(object["spec"]["http"][0]["directResponse"]["status"], 503, "nobody is there yet");
    bind_both(&*route).await;
    for green in [25, 100, 0] {
        route.shift(Weights::to(Side::Green, green)).await.unwrap();
        let told = route.read().await.unwrap();
        assert_eq!((told.weights.of(Side::Green), told.unproved), (green, None));
    }
    let mut object = shop.object(super::Form::Istio).await;
    assert_eq!(object["spec"]["http"][0]["route"][0]["destination"]["host"], "web-blue.shop.svc.cluster.local");
    object["spec"]["http"][0]["route"][0]["destination"]["host"] = json!("theirs");
    object["metadata"]["managedFields"] = Json::Null;
    shop.apply(&object, "them").await;
    assert!(route.read().await.unwrap().unproved.unwrap().contains("theirs, which is neither blue nor green"));
}

#[tokio::test]
async fn a_service_is_switched_whole_and_selects_what_its_side_selects() {
    let shop = Shop::new().await;
    shop.bench.apply(&web(), &service()).await.unwrap();
    let route = shop.open();
    bind_both(&*route).await;
    route.shift(Weights::to(Side::Blue, 100)).await.unwrap();
    assert_eq!(shop.object(super::Form::Service).await["spec"]["selector"], json!({"app": "web", "color": "blue"}));
    let refused = route.shift(Weights::to(Side::Green, 50)).await.unwrap_err();
    assert!(refused.message.contains("takes no weights"), "{refused}");
    route.shift(Weights::to(Side::Green, 100)).await.unwrap();
    let object = shop.object(super::Form::Service).await;
    assert_eq!(object["spec"]["selector"]["color"], "green");
    assert_eq!(object["spec"]["ports"][0]["targetPort"], "web");
    let told = route.read().await.unwrap();
    assert_eq!((told.weights, told.unproved), (Weights::to(Side::Green, 100), None));
    assert_eq!(shop.bench.plan(&web(), &service()).await.unwrap().change.action, ActionWord::NoOp);
    let itself = Backend { service: "web".into(), ..backend("blue") };
    assert_eq!(route.bind(Side::Blue, &itself).await.unwrap_err().class, Class::Invalid);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_no_route_of_ours() {
    let shop = Shop::new().await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
    });
    let planned = shop.bench.plan(&web(), &service()).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Create);
    shop.apply(&theirs, "them").await;
    let step = crate::kinds::Step {
        action: ActionWord::Create,
        desired: Some(&planned.desired),
        observed: None,
        identity: None,
        token: "t",
        attachment: None,
        facts: &std::collections::BTreeMap::new(),
    };
    let refused = crate::kinds::kind("traffic").unwrap().apply(&shop.bench.context(&web()), &step).await.unwrap_err();
    assert!(refused.message.contains("Service shop/web exists and was not made by terrace"), "{refused}");
    let seen = shop.bench.plan(&web(), &service()).await.unwrap().observed.unwrap();
    assert_eq!(seen.owner, Owner::Nobody);
    let id = "v1 Service shop/web";
    let named = crate::kinds::kind("traffic").unwrap().import_identity(id).unwrap();
    assert_eq!(named, seen.identity);
    let _: ObjectRef = serde_json::from_value(named["objects"][0].clone()).unwrap();
}
