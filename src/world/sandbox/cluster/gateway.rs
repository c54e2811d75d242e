//! What a Gateway API controller would say of routes: whether each of its gateways takes it, and whether all that it sends traffic to is
//! there, a moment after the route was written. Of a route to a gateway that is not there nobody says anything.
//!
//! Source: `RouteStatus`, `RouteParentStatus` and the conditions of `Gateway` in the Gateway API.

use super::{
    super::Tx,
    record::{self, Record},
    types::group,
};
use crate::world::ObjectRef;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

const GROUP: &str = "gateway.networking.k8s.io";
const CONTROLLER: &str = "sandbox.terrace.dev/gateway";
/// How long the controller takes to see what was written.
const SEEN_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// True for a route whose status the controller writes.
pub(super) fn is_route(object: &ObjectRef) -> bool {
    group(&object.api_version) == GROUP && object.kind == "HTTPRoute"
}

/// True for a gateway.
pub(super) fn is_gateway(object: &ObjectRef) -> bool {
    group(&object.api_version) == GROUP && object.kind == "Gateway"
}

/// When this generation of a route was written; of anything else nothing is noted.
pub(super) fn written(before: Option<&Record>, object: &Json, now: Timestamp) -> Option<Timestamp> {
    let reference = ObjectRef::of(object).filter(is_route);
    reference.map(|_| {
        let same = |before: &&Record| before.object["metadata"]["generation"] == object["metadata"]["generation"];
        before.filter(same).and_then(|before| before.changed).unwrap_or(now)
    })
}

/// What is said of a gateway: it is there, and it works.
pub(super) fn status(gateway: &Record) -> Json {
    let generation = gateway.object["metadata"]["generation"].as_i64().unwrap_or(1);
    let at = gateway.object["metadata"]["creationTimestamp"].clone();
    let condition = |kind: &str| condition(kind, None, generation, &at);
    json!({ "conditions": [condition("Accepted"), condition("Programmed")] })
}

/// What is said of a route, by each of its gateways that is there.
pub(super) fn route_status(tx: &Tx<'_>, cluster: &str, route: &Record) -> Json {
    let metadata = &route.object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let newest = metadata["generation"].as_i64().unwrap_or(1);
    let written = route.changed.unwrap_or_else(|| tx.now());
    let is_seen = tx.now().duration_since(written) >= SEEN_AFTER;
    let seen = if is_seen { newest } else { newest - 1 };
    // What was said of the generation before is all that is known of it.
    let missing = is_seen.then(|| missing(tx, cluster, route, namespace)).flatten();
    let at = json!(written.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let parents = route.object["spec"]["parentRefs"].as_array().into_iter().flatten().filter(|parent| {
        let gateway = ObjectRef {
            api_version: format!("{GROUP}/v1"),
            kind: "Gateway".to_owned(),
            namespace: Some(parent["namespace"].as_str().unwrap_or(namespace).to_owned()),
            name: parent["name"].as_str().unwrap_or_default().to_owned(),
        };
        seen > 0 && record::exists(tx, cluster, &gateway)
    });
    let told = parents.map(|parent| {
        let resolved = condition("ResolvedRefs", missing.as_deref(), seen, &at);
        json!({
            "parentRef": parent,
            "controllerName": CONTROLLER,
            "conditions": [condition("Accepted", None, seen, &at), resolved],
        })
    });
    json!({ "parents": told.collect::<Vec<_>>() })
}

/// The first service that a route sends traffic to and that is not there.
fn missing(tx: &Tx<'_>, cluster: &str, route: &Record, namespace: &str) -> Option<String> {
    let rules = route.object["spec"]["rules"].as_array().into_iter().flatten();
    let backends = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    let services = backends.map(|backend| ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Some(backend["namespace"].as_str().unwrap_or(namespace).to_owned()),
        name: backend["name"].as_str().unwrap_or_default().to_owned(),
    });
    let mut absent = services.filter(|service| !record::exists(tx, cluster, service));
    absent.next().map(|service| format!("{service} not found"))
}

/// A condition that holds, or the one of a backend that is missing.
fn condition(kind: &str, missing: Option<&str>, seen: i64, at: &Json) -> Json {
    let (status, reason, message) = match missing {
        None => ("True", kind, ""),
        Some(what) => ("False", "BackendNotFound", what),
    };
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "observedGeneration": seen, "lastTransitionTime": at,
    })
}
