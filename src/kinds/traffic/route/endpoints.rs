//! The health of a side by the endpoints of its service. Source: "EndpointSlices" of Kubernetes' documentation, Conditions.

use super::sides::Bound;
use crate::{
    kinds::Context,
    world::{Outcome, TargetHealth},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

pub(super) async fn health(context: &Context, bound: &Bound) -> Outcome<TargetHealth> {
    let kubernetes = &context.cluster()?.kubernetes;
    let labels = BTreeMap::from([("kubernetes.io/service-name".to_owned(), bound.service.clone())]);
    let list = || kubernetes.list("discovery.k8s.io/v1", "EndpointSlice", Some(&bound.namespace), &labels);
    Ok(of(&context.patiently(list).await?))
}

/// Of all slices of a service. A pod that has addresses of both families is one target.
fn of(slices: &[Json]) -> TargetHealth {
    let mut seen: BTreeMap<String, &Json> = BTreeMap::new();
    for slice in slices {
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let name = endpoint["targetRef"]["name"].as_str().or_else(|| endpoint["addresses"][0].as_str());
            seen.insert(name.unwrap_or_default().to_owned(), &endpoint["conditions"]);
        }
    }
    let mut health = TargetHealth::default();
    for (name, conditions) in seen {
        // An endpoint that says nothing is to be taken for ready.
        match (conditions["ready"] != false, conditions["terminating"] == true) {
            (_, true) => health.draining += 1,
            (true, false) => health.healthy += 1,
            (false, false) => health.unhealthy.push(format!("{name} not ready")),
        }
    }
    health
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_with_two_addresses_is_one_target_and_what_ends_is_draining() {
        let endpoint = |pod: &str, ready: Option<bool>, terminating: bool| json!({"targetRef": {"name": pod}, "conditions": {"ready": ready, "terminating": terminating}});
        let slice = json!({"endpoints": [endpoint("a", Some(true), false), endpoint("b", Some(false), false), endpoint("c", Some(false), true)]});
        let other = json!({"endpoints": [endpoint("a", Some(true), false), endpoint("d", None, false)]});
        assert_eq!(of(&[slice, other]).to_string(), "2 healthy, 1 unhealthy (b not ready), 1 draining");
        assert_eq!(of(&[json!({"endpoints": null})]).to_string(), "no targets");
    }
}
