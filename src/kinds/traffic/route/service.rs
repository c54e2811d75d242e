//! `service`: one service whose selector and ports are those of the side that has the traffic. One switch, no weights: between the
//! write and the moment when every node knows the new endpoints, requests may still reach the old ones, or none.

use super::sides::{ACTIVE, Sides};
use crate::{base::Side, world::Weights};
use serde_json::{Map, Value as Json, json};

/// A selector that no pod has.
const NOBODY: &str = "terrace.dev/traffic";

/// The selector and ports of a backend, as this service has them.
fn ports(backend: &Json) -> Json {
    let kept = ["name", "port", "targetPort", "protocol", "appProtocol"];
    let of = |port: &Json| -> Json {
        let fields: Map<String, Json> = kept
            .iter()
            .filter(|key| !port[**key].is_null())
            .map(|key| ((*key).to_owned(), port[*key].clone()))
            .collect();
        Json::Object(fields)
    };
    backend["spec"]["ports"].as_array().into_iter().flatten().map(of).collect()
}

pub(super) fn spec(backend: Option<&Json>) -> Json {
    match backend {
        Some(backend) => {
            json!({ "type": "ClusterIP", "selector": backend["spec"]["selector"], "ports": ports(backend) })
        }
        // A service has a port; until something is bound, nobody is behind it.
        None => {
            json!({ "type": "ClusterIP", "selector": { NOBODY: "none" }, "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] })
        }
    }
}

pub(super) fn declared(object: &Json) -> (Json, Vec<String>) {
    let metadata = &object["metadata"];
    let block = json!({ "namespace": metadata["namespace"], "name": metadata["name"] });
    let kind = object["spec"]["type"].as_str().unwrap_or("ClusterIP");
    (block, if kind == "ClusterIP" { Vec::new() } else { vec![format!("type {kind}")] })
}

pub(super) fn weights(object: &Json) -> (Weights, Option<String>) {
    match object["metadata"]["annotations"][ACTIVE].as_str() {
        Some("green") => (Weights::to(Side::Green, 100), None),
        Some("blue") => (Weights::to(Side::Blue, 100), None),
        _ => (Sides::NONE.weights, Some("the service does not say which side it selects".to_owned())),
    }
}

/// The selector must be that of the side's service as it is now.
pub(super) fn unproved(object: &Json, backend: Option<&Json>) -> Option<String> {
    let Some(backend) = backend else {
        return Some("what shall receive the traffic is not there".to_owned());
    };
    let (own, wanted) = (&object["spec"]["selector"], &backend["spec"]["selector"]);
    (own != wanted).then(|| format!("the service selects {own}, and {} selects {wanted}", backend["metadata"]["name"]))
}
