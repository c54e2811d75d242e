//! `istio`: a `VirtualService` with two weighted destinations. Source: "VirtualService" of Istio's reference.

use super::{
    form::text,
    sides::{Bound, Sides, percent},
};
use crate::world::Weights;
use serde_json::{Value as Json, json};

fn host(bound: &Bound) -> String {
    format!("{}.{}.svc.cluster.local", bound.service, bound.namespace)
}

pub(super) fn spec(block: &Json, sides: &Sides) -> Json {
    let route: Vec<Json> = sides
        .bound()
        .map(|(_, bound, weight)| {
            json!({ "destination": { "host": host(bound), "port": { "number": bound.port } }, "weight": weight })
        })
        .collect();
    // A route without a destination is none for Istio: until something is bound, nobody is there.
    let http =
        if route.is_empty() { json!({ "directResponse": { "status": 503 } }) } else { json!({ "route": route }) };
    let mut spec = json!({ "hosts": block["hosts"], "http": [http] });
    if block["gateways"].is_array() {
        spec["gateways"] = block["gateways"].clone();
    }
    spec
}

pub(super) fn declared(object: &Json) -> (Json, Vec<String>) {
    let (spec, metadata) = (&object["spec"], &object["metadata"]);
    let mut block = json!({ "namespace": metadata["namespace"], "name": metadata["name"], "hosts": spec["hosts"] });
    if !spec["gateways"].is_null() {
        block["gateways"] = spec["gateways"].clone();
    }
    let mut others: Vec<String> =
        ["tcp", "tls"].iter().filter(|name| !spec[**name].is_null()).map(|name| format!("{name} routes")).collect();
    let count = spec["http"].as_array().map_or(0, Vec::len);
    if count > 1 {
        others.push(format!("{count} http routes"));
    }
    (block, others)
}

pub(super) fn weights(object: &Json, sides: &Sides) -> (Weights, Option<String>) {
    let routes = object["spec"]["http"].as_array().map_or(&[][..], Vec::as_slice);
    let destinations = routes.first().and_then(|http| http["route"].as_array()).map_or(&[][..], Vec::as_slice);
    let is_to = |destination: &Json, bound: &Bound| destination["destination"]["host"] == *host(bound);
    let share = |bound: Option<&Bound>| {
        let found = bound.and_then(|bound| destinations.iter().find(|destination| is_to(destination, bound)));
        // A destination that stands alone has everything; among several, none is none.
        found.map_or(0, |found| found["weight"].as_u64().unwrap_or(u64::from(destinations.len() == 1)))
    };
    let known = |d: &Json| [&sides.blue, &sides.green].into_iter().flatten().any(|bound| is_to(d, bound));
    let told = percent(share(sides.blue.as_ref()), share(sides.green.as_ref()));
    let foreign = destinations.iter().find(|destination| !known(destination));
    let why = match (foreign, routes.len(), destinations.len(), told) {
        (Some(other), ..) => {
            let host = text(&other["destination"], "host");
            Some(format!("the route sends traffic to {host}, which is neither blue nor green"))
        }
        (_, routes, ..) if routes != 1 => Some(format!("there are {routes} http routes, and one is ours")),
        (.., there, _) if there < sides.bound().count() => Some("a side is missing among the destinations".to_owned()),
        (.., None) => Some("neither side has any weight".to_owned()),
        _ => None,
    };
    (told.unwrap_or(Sides::NONE.weights), why)
}

/// Istio's control plane says something of an object only where it is told to analyse (`PILOT_ENABLE_STATUS`); what it says counts.
pub(super) fn unproved(object: &Json) -> Option<String> {
    let status = &object["status"];
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    if let Some(seen) =
        status["observedGeneration"].as_i64().or_else(|| status["observedGeneration"].as_str()?.parse().ok())
        && seen != 0
        && seen != generation
    {
        return Some(format!("istiod has seen generation {seen} of the route, and it is at {generation}"));
    }
    let errors = status["validationMessages"].as_array().into_iter().flatten();
    let first = errors
        .filter(|message| message["level"] == "ERROR")
        .map(|message| message["documentationUrl"].to_string())
        .next();
    first.map(|url| format!("istiod finds an error in the route: {url}"))
}
