//! `gateway`: an `HTTPRoute` with two weighted backends. Source: "HTTPRoute" and "HTTP traffic splitting" of the Gateway API.

use super::{
    form::text,
    sides::{Bound, Sides, percent},
};
use crate::world::Weights;
use serde_json::{Value as Json, json};

/// The conditions of a parent that must hold for the route to be in force.
const CONDITIONS: [&str; 2] = ["Accepted", "ResolvedRefs"];

pub(super) fn spec(block: &Json, sides: &Sides) -> Json {
    let namespace = text(block, "namespace");
    let backend = |bound: &Bound, weight: u8| {
        let mut backend = json!({ "name": bound.service, "port": bound.port, "weight": weight });
        if bound.namespace != namespace {
            backend["namespace"] = json!(bound.namespace);
        }
        backend
    };
    let backends: Vec<Json> = sides.bound().map(|(_, bound, weight)| backend(bound, weight)).collect();
    let mut spec = json!({
        "parentRefs": [{ "name": block["parent"], "namespace": block["parent_namespace"] }],
        "rules": [{ "matches": [{ "path": { "type": "PathPrefix", "value": block["path"] } }], "backendRefs": backends }],
    });
    if block["hostnames"].is_array() {
        spec["hostnames"] = block["hostnames"].clone();
    }
    spec
}

pub(super) fn declared(object: &Json) -> (Json, Vec<String>) {
    let (spec, metadata) = (&object["spec"], &object["metadata"]);
    let parent = &spec["parentRefs"][0];
    let rule = &spec["rules"][0];
    let mut block = json!({
        "namespace": metadata["namespace"], "name": metadata["name"], "parent": parent["name"],
        "parent_namespace": if parent["namespace"].is_null() { &metadata["namespace"] } else { &parent["namespace"] },
        "path": rule["matches"][0]["path"]["value"],
    });
    if !spec["hostnames"].is_null() {
        block["hostnames"] = spec["hostnames"].clone();
    }
    let count = |list: &Json| list.as_array().map_or(0, Vec::len);
    let mut others = Vec::new();
    let lists = [
        (&spec["parentRefs"], "parents"),
        (&spec["rules"], "rules"),
        (&rule["matches"], "matches"),
        (&rule["filters"], "filters"),
    ];
    for ((list, what), most) in lists.into_iter().zip([1, 1, 1, 0]) {
        if count(list) > most {
            others.push(format!("{} {what}", count(list)));
        }
    }
    (block, others)
}

fn is_to(backend: &Json, bound: &Bound, namespace: &Json) -> bool {
    let within = if backend["namespace"].is_null() { namespace } else { &backend["namespace"] };
    backend["name"] == *bound.service && *within == *bound.namespace
}

pub(super) fn weights(object: &Json, sides: &Sides) -> (Weights, Option<String>) {
    let namespace = &object["metadata"]["namespace"];
    let rules = object["spec"]["rules"].as_array().map_or(&[][..], Vec::as_slice);
    let backends = rules.first().and_then(|rule| rule["backendRefs"].as_array()).map_or(&[][..], Vec::as_slice);
    let share = |bound: Option<&Bound>| {
        let found = bound.and_then(|bound| backends.iter().find(|backend| is_to(backend, bound, namespace)));
        found.map_or(0, |backend| backend["weight"].as_u64().unwrap_or(1))
    };
    let known =
        |backend: &Json| [&sides.blue, &sides.green].into_iter().flatten().any(|b| is_to(backend, b, namespace));
    let told = percent(share(sides.blue.as_ref()), share(sides.green.as_ref()));
    let foreign = backends.iter().find(|backend| !known(backend));
    let why = match (foreign, rules.len(), backends.len(), told) {
        (Some(backend), ..) => {
            Some(format!("the route sends traffic to {}, which is neither blue nor green", text(backend, "name")))
        }
        (_, rules, ..) if rules != 1 => Some(format!("the route has {rules} rules, and one is ours")),
        (.., backends, _) if backends < sides.bound().count() => {
            Some("a side is missing among the route's backends".to_owned())
        }
        (.., None) => Some("neither side has any weight".to_owned()),
        _ => None,
    };
    (told.unwrap_or(Sides::NONE.weights), why)
}

/// What the route's parents say of this very generation of it.
pub(super) fn unproved(object: &Json) -> Option<String> {
    let namespace = &object["metadata"]["namespace"];
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    let within = |reference: &Json| {
        if reference["namespace"].is_null() { namespace.clone() } else { reference["namespace"].clone() }
    };
    let told = object["status"]["parents"].as_array().map_or(&[][..], Vec::as_slice);
    for parent in object["spec"]["parentRefs"].as_array().into_iter().flatten() {
        let name = text(parent, "name");
        let same = |told: &&Json| {
            let of = &told["parentRef"];
            of["name"] == parent["name"] && within(of) == within(parent)
        };
        let mut heard = false;
        for entry in told.iter().filter(same) {
            heard = true;
            for wanted in CONDITIONS {
                let conditions = entry["conditions"].as_array().map_or(&[][..], Vec::as_slice);
                let Some(condition) = conditions.iter().find(|condition| condition["type"] == wanted) else {
                    return Some(format!("the gateway {name} does not say {wanted} of the route yet"));
                };
                let seen = condition["observedGeneration"].as_i64().unwrap_or_default();
                if seen != generation {
                    return Some(format!(
                        "the gateway {name} has seen generation {seen} of the route, and it is at {generation}"
                    ));
                }
                if condition["status"] != "True" {
                    let (reason, message) = (text(condition, "reason"), text(condition, "message"));
                    return Some(format!("{wanted} is not True at the gateway {name}: {reason}: {message}"));
                }
            }
        }
        if !heard {
            return Some(format!("the gateway {name} says nothing of the route: no controller has taken it up"));
        }
    }
    None
}
