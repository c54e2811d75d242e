//! Routes that are objects, on a real API server that has their types as the Gateway API and Istio bring them. Tests play the
//! controllers: what those say in a route's status is what proves it.

use crate::{
    contract::place::{connection, live},
    kubernetes::project,
    support::{self, Project, cluster::ControlPlane, server::built},
};
use serde_json::{Value as Json, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use terrace::{
    base::{Address, Side, Value},
    kinds::{self, Context, Former, Marks, Outlook, Prepare, Programs, Seen, traffic::open},
    lang::MemorySources,
    world::{Backend, Class, Traffic, Weights, World},
};

/// What `traffic.web` of the plan `app` in `dev` works with, but for its connections.
pub(crate) fn context(world: &dyn World) -> Context {
    let clock = world.clock();
    Context {
        address: Address::root("traffic", "web"),
        aws: None,
        cluster: None,
        command: world.command(),
        terraform: world.terraform(),
        programs: Programs::default(),
        http: world.http(),
        deadline: clock.now() + Duration::from_secs(300),
        clock,
        entropy: world.entropy(),
        written: Value::NULL,
        sources: Arc::new(MemorySources::default()),
        marks: Marks {
            project: "test".into(),
            plan: "app".into(),
            env: "dev".into(),
            world: "aws".into(),
            account: "000000000000".into(),
            region: "us-east-1".into(),
        },
        progress: Arc::new(|_| {}),
        plan_outputs: Arc::new(|_| Ok(None)),
        seen: Seen::default(),
        outlook: Outlook::default(),
        former: Former::new(Value::NULL, Arc::new(|_| "".into())),
        planning: false,
    }
}

/// Makes the types of a file known to the cluster; `None` where the testbed has not made the file, which is said.
pub(crate) fn types(cluster: &ControlPlane, name: &str) -> Option<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let file = built(name)?.to_string_lossy().into_owned();
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.kubectl(&["apply", "--server-side", "-f", &file]);
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &file]);
    Some(())
}

/// A namespace with a blue and a green service and their pods, and a plan that declares a route to them.
struct Shop {
    cluster: &'static ControlPlane,
    namespace: String,
    project: Project,
    form: &'static str,
    block: Json,
    /// Where the route's object is.
    path: String,
}

impl Shop {
    fn new(form: &'static str, crds: Option<&str>, api: &str, block: &Json) -> Option<Self> {
        let (server, cluster) = (support::ministack()?, support::cluster()?);
        if let Some(crds) = crds {
            types(cluster, crds)?;
        }
        let namespace = cluster.namespace("routes");
        let mut block = block.clone();
        block["namespace"] = json!(namespace);
        let path = api.replace("NAMESPACE", &namespace);
        let project = project(&server.account(), cluster, &declared(form, &block));
        let shop = Self { cluster, namespace, project, form, block, path };
        for color in ["blue", "green"] {
            let labels = json!({"app": "web", "color": color});
            shop.make("apps/v1", "deployments", &json!({
                "metadata": {"name": format!("web-{color}")},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": "example.com/web", "ports": [{"name": "web", "containerPort": 8080}]}]}}},
            }));
            shop.make(
                "v1",
                "services",
                &json!({
                    "metadata": {"name": format!("web-{color}")},
                    "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
                }),
            );
        }
        Some(shop)
    }

    fn make(&self, version: &str, plural: &str, object: &Json) {
        let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
        self.cluster.post(&format!("{root}/namespaces/{}/{plural}", self.namespace), object).ok();
    }

    /// The route as a rollout opens it.
    fn open(&self) -> Box<dyn Traffic> {
        let world = live();
        let (address, inputs) = (Address::root("traffic", "web"), Value::from_json(&json!({ self.form: self.block })));
        let connection = connection(self.cluster);
        let handle = world.cluster(&connection).unwrap();
        let context = Context { cluster: Some((connection, handle)), ..context(&*world) };
        let asked = Prepare {
            address: &address,
            inputs: &inputs,
            place: &|_| None,
            sources: &MemorySources::default(),
            marks: &context.marks,
            fixed: None,
        };
        let desired = kinds::kind("traffic").unwrap().prepare(&asked).unwrap();
        open(&context, &desired.inputs, &desired.identity.unwrap(), None).unwrap()
    }

    fn backend(&self, color: &str) -> Backend {
        Backend { service: format!("web-{color}"), namespace: self.namespace.clone(), port: "http".into() }
    }

    async fn bind(&self, route: &dyn Traffic) {
        route.bind(Side::Blue, &self.backend("blue")).await.unwrap();
        route.bind(Side::Green, &self.backend("green")).await.unwrap();
    }

    /// The object as it is.
    fn object(&self) -> Json {
        self.cluster.get(&self.path).ok()
    }

    fn generation(&self) -> i64 {
        self.object()["metadata"]["generation"].as_i64().unwrap()
    }

    /// Says in the object's status what a controller would.
    fn says(&self, status: &Json) {
        self.cluster.patch(&format!("{}/status", self.path), &json!({ "status": status })).ok();
    }

    /// Waits until a service has so many endpoints that are ready.
    fn until_ready(&self, service: &str, count: usize) {
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{service}",
            self.namespace
        );
        self.cluster.until(&path, |answer| {
            let slices = answer.body["items"].as_array().unwrap().iter();
            let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
            let ready: Vec<bool> = endpoints.map(|one| one["conditions"]["ready"] == true).collect();
            ready.len() == count && ready.iter().all(|ready| *ready)
        });
    }

    fn plan_is_empty(&self) {
        let said = self.project.ends(&["plan"], 0).words();
        assert!(said.contains("No changes."), "{said}");
    }

    fn destroys(&self) {
        self.project.ends(&["destroy", "--auto-approve"], 0);
        assert_eq!(self.cluster.get(&self.path).status, 404);
    }
}

fn declared(form: &str, block: &Json) -> String {
    let lines = block.as_object().unwrap().iter().map(|(name, value)| format!("    {name} = {value}\n"));
    format!("traffic \"web\" {{\n  {form} {{\n{}  }}\n}}\n", lines.collect::<String>())
}

const HTTP_ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/NAMESPACE/httproutes/web";

fn gateway() -> Option<Shop> {
    let block = json!({"parent": "edge", "parent_namespace": "infra", "hostnames": ["web.example.com"]});
    Shop::new("gateway", Some("gateway-api-crds"), HTTP_ROUTE, &block)
}

/// What a gateway's controller says of a route.
fn parents(accepted: &str, resolved: (&str, &str), seen: i64) -> Json {
    let condition = |kind: &str, (status, reason): (&str, &str)| {
        json!({"type": kind, "status": status, "reason": reason, "message": "by the test", "observedGeneration": seen,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let reference =
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "infra"});
    let conditions = [condition("Accepted", (accepted, "Accepted")), condition("ResolvedRefs", resolved)];
    json!({"parents": [{"controllerName": "example.com/gateway", "parentRef": reference, "conditions": conditions}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_route_is_proved_when_its_gateway_says_so_of_this_generation_of_it() {
    let Some(shop) = gateway() else { return };
    shop.project.ends(&["apply", "--auto-approve"], 0);
    shop.plan_is_empty();
    let route = shop.open();
    shop.bind(&*route).await;
    let mut seen = None;
    for green in [10, 50, 100, 30] {
        let before = shop.generation();
        route.shift(Weights::to(Side::Green, green)).await.unwrap();
        let now = shop.generation();
        assert_eq!(now, before + 1, "one call moves it");
        let told = route.read().await.unwrap();
        assert_eq!(told.weights.of(Side::Green), green);
        let why = told.unproved.unwrap();
        let wanted = seen.map_or("no controller has taken it up".to_owned(), |seen| {
            format!("has seen generation {seen} of the route, and it is at {now}")
        });
        assert!(why.contains(&wanted), "{why}");
        shop.says(&parents("True", ("True", "ResolvedRefs"), now));
        let told = route.read().await.unwrap();
        assert_eq!((told.weights.of(Side::Green), told.unproved), (green, None));
        seen = Some(now);
    }
    for (status, words) in [
        (parents("False", ("True", "ResolvedRefs"), shop.generation()), "Accepted is not True at the gateway edge"),
        (parents("True", ("False", "BackendNotFound"), shop.generation()), "BackendNotFound: by the test"),
    ] {
        shop.says(&status);
        let why = route.read().await.unwrap().unproved.unwrap();
        assert!(why.contains(words), "{why}");
    }
    shop.plan_is_empty();

    // What is declared changes, and the traffic stays.
    let mut other = shop.block.clone();
    other["path"] = json!("/shop");
    shop.project.edit(|text| text.replace(&declared("gateway", &shop.block), &declared("gateway", &other)));
    shop.project.ends(&["apply", "--auto-approve"], 0);
    let rule = &shop.object()["spec"]["rules"][0];
    let refs = rule["backendRefs"].as_array().unwrap();
    let shares: Vec<_> = refs.iter().map(|one| (one["name"].as_str().unwrap(), one["weight"].as_i64())).collect();
    assert_eq!(shares, [("web-blue", Some(70)), ("web-green", Some(30))]);
    assert_eq!(rule["matches"][0]["path"]["value"], "/shop");
    shop.destroys();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_of_an_http_route_has_the_health_of_its_endpoints_and_goes_without_traffic_only() {
    let Some(shop) = gateway() else { return };
    shop.project.ends(&["apply", "--auto-approve"], 0);
    let route = shop.open();
    let absent = Backend { service: "web-red".into(), ..shop.backend("blue") };
    let refused = route.bind(Side::Blue, &absent).await.unwrap_err();
    assert_eq!(refused.class, Class::Invalid, "{refused}");
    assert!(route.shift(Weights::to(Side::Green, 10)).await.unwrap_err().message.contains("nothing receives"));
    shop.bind(&*route).await;
    shop.until_ready("web-green", 2);
    let health = route.health(Side::Green).await.unwrap();
    assert!(health.is_healthy() && health.to_string() == "2 healthy", "{health}");
    shop.cluster.kubectl(&["scale", "deployment/web-green", "--replicas=0", "-n", &shop.namespace]);
    shop.until_ready("web-green", 0);
    assert!(!route.health(Side::Green).await.unwrap().is_healthy());

    route.shift(Weights::to(Side::Green, 30)).await.unwrap();
    let refused = route.unbind(Side::Green).await.unwrap_err();
    assert!(refused.message.contains("still has 30 percent"), "{refused}");
    route.shift(Weights::to(Side::Blue, 100)).await.unwrap();
    route.unbind(Side::Green).await.unwrap();
    route.unbind(Side::Green).await.unwrap();
    let refs = &shop.object()["spec"]["rules"][0]["backendRefs"];
    assert_eq!((refs[0]["name"].as_str(), refs.as_array().unwrap().len()), (Some("web-blue"), 1));
    assert_eq!(route.health(Side::Green).await.unwrap().to_string(), "no targets");
    assert_eq!(route.read().await.unwrap().weights, Weights::to(Side::Blue, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_of_somebody_else_is_neither_taken_nor_moved() {
    let Some(shop) = gateway() else { return };
    let theirs = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {"parentRefs": [{"name": "theirs"}], "rules": [{"backendRefs": [{"name": "theirs", "port": 80}]}]}});
    let routes = shop.path.trim_end_matches("/web").to_owned();
    shop.cluster.post(&routes, &theirs).ok();
    let said = shop.project.ends(&["apply", "--auto-approve"], 1).words();
    assert!(said.contains("HTTPRoute") && said.contains("exists"), "{said}");
    assert_eq!(shop.object()["spec"]["rules"][0]["backendRefs"][0]["name"], "theirs");
    shop.cluster.delete(&shop.path);

    shop.project.ends(&["apply", "--auto-approve"], 0);
    let route = shop.open();
    shop.bind(&*route).await;
    route.shift(Weights::to(Side::Green, 10)).await.unwrap();

    // Somebody writes into what is ours: that is told, and the next shift takes it back.
    let mut rules = shop.object()["spec"]["rules"].clone();
    rules[0]["backendRefs"].as_array_mut().unwrap().push(json!({"name": "theirs", "port": 80, "weight": 900}));
    shop.cluster.patch(&format!("{}?fieldManager=them", shop.path), &json!({"spec": {"rules": rules}})).ok();
    let why = route.read().await.unwrap().unproved.unwrap();
    assert!(why.contains("theirs, which is neither blue nor green"), "{why}");
    route.shift(Weights::to(Side::Blue, 100)).await.unwrap();
    assert_eq!(shop.object()["spec"]["rules"][0]["backendRefs"].as_array().unwrap().len(), 2);

    // What belongs to another block is not moved.
    let marks = json!({"metadata": {"annotations": {"terrace.dev/address": "traffic.other"}}});
    shop.cluster.patch(&format!("{}?fieldManager=them", shop.path), &marks).ok();
    let before = shop.generation();
    let refused = route.shift(Weights::to(Side::Green, 100)).await.unwrap_err();
    assert!(refused.class == Class::Conflict && refused.message.contains("belongs to traffic.other"), "{refused}");
    assert_eq!(route.bind(Side::Green, &shop.backend("green")).await.unwrap_err().class, Class::Conflict);
    assert_eq!(shop.generation(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_service_moves_by_its_weights_and_what_istiod_says_of_it_counts() {
    let path = "/apis/networking.istio.io/v1/namespaces/NAMESPACE/virtualservices/web";
    let block = json!({"hosts": ["web.example.com"], "gateways": ["istio-ingress/edge"]});
    let Some(shop) = Shop::new("istio", Some("istio-crds"), path, &block) else { return };
    shop.project.ends(&["apply", "--auto-approve"], 0);
    shop.plan_is_empty();
    assert_eq!(shop.object()["spec"]["http"][0]["directResponse"]["status"], 503, "nobody is there yet");
    let route = shop.open();
    shop.bind(&*route).await;
    for green in [25, 100, 10] {
        let before = shop.generation();
        route.shift(Weights::to(Side::Green, green)).await.unwrap();
        assert_eq!(shop.generation(), before + 1, "one call moves it");
        let told = route.read().await.unwrap();
        assert_eq!((told.weights.of(Side::Green), told.unproved), (green, None));
    }
    let host = format!("web-blue.{}.svc.cluster.local", shop.namespace);
    assert_eq!(shop.object()["spec"]["http"][0]["route"][0]["destination"]["host"], host);
    let now = shop.generation();
    let wrong = json!([{"level": "ERROR", "documentationUrl": "https://istio.example/no-such-host"}]);
    for (status, words) in [
        (json!({"observedGeneration": (now - 1).to_string()}), format!("has seen generation {}", now - 1)),
        (
            json!({"observedGeneration": now, "validationMessages": wrong}),
            "https://istio.example/no-such-host".to_owned(),
        ),
    ] {
        shop.says(&status);
        let why = route.read().await.unwrap().unproved.unwrap();
        assert!(why.contains(&words), "{why}");
    }
    shop.says(&json!({"observedGeneration": now, "validationMessages": null}));
    assert_eq!(route.read().await.unwrap().unproved, None);
    shop.until_ready("web-green", 2);
    assert!(route.health(Side::Green).await.unwrap().is_healthy());
    shop.plan_is_empty();
    route.shift(Weights::to(Side::Blue, 100)).await.unwrap();
    route.unbind(Side::Green).await.unwrap();
    assert_eq!(shop.object()["spec"]["http"][0]["route"].as_array().unwrap().len(), 1);
    let why = route.read().await.unwrap().unproved.unwrap();
    assert!(why.contains(&format!("has seen generation {now} of the route")), "{why}");
    shop.says(&json!({"observedGeneration": shop.generation()}));
    assert_eq!(route.read().await.unwrap().unproved, None);
    shop.destroys();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_switched_in_one_call_and_has_the_endpoints_of_its_side() {
    let path = "/api/v1/namespaces/NAMESPACE/services/web";
    let Some(shop) = Shop::new("service", None, path, &json!({"name": "web"})) else { return };
    shop.project.ends(&["apply", "--auto-approve"], 0);
    shop.plan_is_empty();
    let address = shop.object()["spec"]["clusterIP"].clone();
    let route = shop.open();
    shop.bind(&*route).await;
    shop.until_ready("web-green", 2);
    assert_eq!(route.health(Side::Green).await.unwrap().to_string(), "2 healthy");
    let refused = route.shift(Weights::to(Side::Green, 50)).await.unwrap_err();
    assert!(refused.message.contains("takes no weights"), "{refused}");
    for (side, color) in [(Side::Green, "green"), (Side::Blue, "blue"), (Side::Green, "green")] {
        let before = shop.object()["metadata"]["resourceVersion"].clone();
        route.shift(Weights::to(side, 100)).await.unwrap();
        let spec = shop.object()["spec"].clone();
        assert_eq!(spec["selector"], json!({"app": "web", "color": color}));
        assert_eq!((&spec["ports"][0]["targetPort"], &spec["clusterIP"]), (&json!("web"), &address));
        assert_ne!(shop.object()["metadata"]["resourceVersion"], before);
        let told = route.read().await.unwrap();
        assert_eq!((told.weights, told.unproved), (Weights::to(side, 100), None));
    }
    shop.until_ready("web", 2);
    shop.plan_is_empty();

    // What the side's own service selects is what counts, also where that changes.
    let green = format!("/api/v1/namespaces/{}/services/web-green", shop.namespace);
    shop.cluster.patch(&green, &json!({"spec": {"selector": {"version": "2"}}})).ok();
    let why = route.read().await.unwrap().unproved.unwrap();
    assert!(why.contains("the service selects"), "{why}");
    route.shift(Weights::to(Side::Green, 100)).await.unwrap();
    assert_eq!(route.read().await.unwrap().unproved, None);
    assert_eq!(shop.object()["spec"]["selector"]["version"], "2");
    shop.until_ready("web-green", 0);
    assert!(!route.health(Side::Green).await.unwrap().is_healthy());

    // A side whose service is gone gets nothing.
    route.shift(Weights::to(Side::Blue, 100)).await.unwrap();
    shop.cluster.delete(&green);
    let refused = route.shift(Weights::to(Side::Green, 100)).await.unwrap_err();
    assert_eq!(refused.class, Class::NotFound, "{refused}");
    assert_eq!(shop.object()["spec"]["selector"]["color"], "blue");
    route.unbind(Side::Green).await.unwrap();
    assert_eq!(route.health(Side::Green).await.unwrap().to_string(), "no targets");
    shop.destroys();
}
