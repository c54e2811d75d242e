//! An `HTTPRoute` on the control plane, with a gateway's controller played by the test: it takes up a new generation of the route only after a
//! while, goes by its weights from then on, and says so in its status.

use super::{Route, Split};
use crate::support::cluster::ControlPlane;
use serde_json::{Value, json};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};
use terrace::base::Side;

/// How long the controller takes until a change is in force.
const TAKES: Duration = Duration::from_millis(200);

/// The route.
pub(crate) struct Gateway {
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
}

impl Gateway {
    /// In this namespace of the cluster, which knows the types.
    pub(crate) fn new(cluster: &'static ControlPlane, namespace: &str) -> Self {
        Self { cluster, namespace: namespace.to_owned(), state: Mutex::default() }
    }

    fn path(&self) -> String {
        format!("/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes/web", self.namespace)
    }
}

impl Route for Gateway {
    fn split(&self) -> Split {
        self.state.lock().unwrap().split
    }

    fn moves(&self) -> usize {
        let generation = self.cluster.get(&self.path()).body["metadata"]["generation"].as_u64();
        usize::try_from(generation.unwrap_or_default()).unwrap()
    }

    fn tend(&self, _: &[Vec<String>; 2]) {
        let found = self.cluster.get(&self.path());
        let (true, route) = (found.status == 200, found.body) else { return };
        let generation = route["metadata"]["generation"].as_i64().unwrap();
        let mut state = self.state.lock().unwrap();
        let since = match state.there {
            Some((known, since)) if known == generation => since,
            _ => state.there.insert((generation, Instant::now())).1,
        };
        if state.taken == generation || since.elapsed() < TAKES {
            return;
        }
        let backends = route["spec"]["rules"][0]["backendRefs"].as_array().map_or(&[][..], Vec::as_slice);
        let weight = |side: Side| {
            let found = backends.iter().find(|backend| backend["name"] == *format!("web-{side}"));
            found.map_or(0, |backend| backend["weight"].as_u64().map_or(1, |weight| u32::try_from(weight).unwrap()))
        };
        state.split = Split { weights: [weight(Side::Blue), weight(Side::Green)], sticky: false };
        state.taken = generation;
        drop(state);
        self.cluster.patch(&format!("{}/status", self.path()), &json!({ "status": said(generation) })).ok();
    }

    fn declared(&self) -> String {
        format!(
            "traffic \"web\" {{\n  gateway {{\n    namespace = \"{}\"\n    parent    = \"edge\"\n    hostnames = [\"web.example.com\"]\n  }}\n}}\n",
            self.namespace
        )
    }
}

/// What the controller says of a generation of the route.
fn said(generation: i64) -> Value {
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let reference = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"});
    let conditions = [condition("Accepted"), condition("ResolvedRefs")];
    json!({"parents": [{"controllerName": "example.com/gateway", "parentRef": reference, "conditions": conditions}]})
}
