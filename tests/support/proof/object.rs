//! An object of the control plane that routes, with its controller played by the test: it takes up a new version of the object only after a while,
//! goes by its weights from then on, and says so in its status where such a controller does.

use super::{Route, Split, side_of_name};
use crate::support::cluster::ControlPlane;
use serde_json::{Value, json};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long the controller takes until a change is in force.
const TAKES: Duration = Duration::from_millis(200);

/// What kind of object it is.
struct Form {
    /// Where it is, in a namespace.
    path: &'static str,
    /// `traffic "web"`, with `NAMESPACE`.
    declared: &'static str,
    /// Its weights, by side.
    weights: fn(&Value) -> [u32; 2],
    /// What its controller says of a generation of it; `None` where it says nothing, and nobody can tell when a change is in force.
    said: Option<fn(i64) -> Value>,
}

const GATEWAY: Form = Form {
    path: "/apis/gateway.networking.k8s.io/v1/namespaces/NAMESPACE/httproutes/web",
    declared: "traffic \"web\" {\n  gateway {\n    namespace = \"NAMESPACE\"\n    parent    = \"edge\"\n    hostnames = [\"web.example.com\"]\n  }\n}\n",
    weights: |route| {
        by_side(&route["spec"]["rules"][0]["backendRefs"], |backend| &backend["name"], |backend| &backend["weight"])
    },
    said: Some(|generation| {
        let condition = |kind: &str| {
            json!({"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let reference = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"});
        let conditions = [condition("Accepted"), condition("ResolvedRefs")];
        json!({"parents": [{"controllerName": "example.com/gateway", "parentRef": reference, "conditions": conditions}]})
    }),
};

const ISTIO: Form = Form {
    path: "/apis/networking.istio.io/v1/namespaces/NAMESPACE/virtualservices/web",
    declared: "traffic \"web\" {\n  istio {\n    namespace = \"NAMESPACE\"\n    hosts     = [\"web.example.com\"]\n  }\n}\n",
    weights: |route| {
        let host =
            |to: &Value| to["destination"]["host"].as_str().and_then(|host| host.split('.').next()).map(Value::from);
        let routes = route["spec"]["http"][0]["route"].as_array().map_or(&[][..], Vec::as_slice);
        let routes: Vec<Value> = routes.iter().map(|to| json!({ "name": host(to), "weight": to["weight"] })).collect();
        by_side(&Value::from(routes), |to| &to["name"], |to| &to["weight"])
    },
    said: None,
};

const SERVICE: Form = Form {
    path: "/api/v1/namespaces/NAMESPACE/services/web",
    declared: "traffic \"web\" {\n  service {\n    namespace = \"NAMESPACE\"\n    name      = \"web\"\n  }\n}\n",
    weights: |service| {
        let selected = service["spec"]["selector"]["app.kubernetes.io/instance"].as_str().and_then(side_of_name);
        let mut weights = [0; 2];
        if let Some(side) = selected {
            weights[side as usize] = 100;
        }
        weights
    },
    said: None,
};

/// The weights of a list of backends.
fn by_side(list: &Value, name: fn(&Value) -> &Value, weight: fn(&Value) -> &Value) -> [u32; 2] {
    let mut weights = [0; 2];
    for backend in list.as_array().map_or(&[][..], Vec::as_slice) {
        if let Some(side) = name(backend).as_str().and_then(side_of_name) {
            weights[side as usize] = weight(backend).as_u64().map_or(1, |weight| u32::try_from(weight).unwrap());
        }
    }
    weights
}

/// The object.
pub(crate) struct Object {
    form: &'static Form,
    cluster: &'static ControlPlane,
    namespace: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The generation that is there, and since when.
    there: Option<(i64, Instant)>,
    /// The generation that is in force.
    taken: i64,
    split: Split,
    /// The weights that were seen last, and how often they were others before.
    seen: [u32; 2],
    changes: usize,
}

impl Object {
    /// An `HTTPRoute` in this namespace of the cluster, which knows the type.
    pub(crate) fn gateway(cluster: &'static ControlPlane, namespace: &str) -> Self {
        Self::new(&GATEWAY, cluster, namespace)
    }

    /// A `VirtualService`.
    pub(crate) fn istio(cluster: &'static ControlPlane, namespace: &str) -> Self {
        Self::new(&ISTIO, cluster, namespace)
    }

    /// A service whose selector is switched.
    pub(crate) fn service(cluster: &'static ControlPlane, namespace: &str) -> Self {
        Self::new(&SERVICE, cluster, namespace)
    }

    fn new(form: &'static Form, cluster: &'static ControlPlane, namespace: &str) -> Self {
        Self { form, cluster, namespace: namespace.to_owned(), state: Mutex::default() }
    }

    fn path(&self) -> String {
        self.form.path.replace("NAMESPACE", &self.namespace)
    }

    fn live(&self) -> Option<Value> {
        let found = self.cluster.get(&self.path());
        let object = (found.status == 200).then_some(found.body)?;
        let (weights, mut state) = ((self.form.weights)(&object), self.state.lock().unwrap());
        if state.seen != weights {
            state.seen = weights;
            state.changes += 1;
        }
        drop(state);
        Some(object)
    }
}

impl Route for Object {
    fn split(&self) -> Split {
        if self.form.said.is_some() {
            return self.state.lock().unwrap().split;
        }
        let weights = self.live().map(|object| (self.form.weights)(&object));
        Split { weights: weights.unwrap_or_default(), sticky: false }
    }

    /// By the generation of its `spec`, or, where it keeps none, by what was seen of its weights, which is looked at again and again.
    fn moves(&self) -> usize {
        let generation = self.live().and_then(|object| object["metadata"]["generation"].as_u64());
        generation.map_or_else(|| self.state.lock().unwrap().changes, |generation| usize::try_from(generation).unwrap())
    }

    fn tend(&self, _: &[Vec<String>; 2]) {
        let (Some(object), Some(said)) = (self.live(), self.form.said) else { return };
        let generation = object["metadata"]["generation"].as_i64().unwrap();
        let mut state = self.state.lock().unwrap();
        let since = match state.there {
            Some((known, since)) if known == generation => since,
            _ => state.there.insert((generation, Instant::now())).1,
        };
        if state.taken == generation || since.elapsed() < TAKES {
            return;
        }
        state.split = Split { weights: (self.form.weights)(&object), sticky: false };
        state.taken = generation;
        drop(state);
        self.cluster.patch(&format!("{}/status", self.path()), &json!({ "status": said(generation) })).ok();
    }

    fn declared(&self) -> String {
        self.form.declared.replace("NAMESPACE", &self.namespace)
    }
}
