//! The pods behind a service, as endpoints and as targets of load balancers.

use super::{super::Tx, record, server, workload};
use crate::world::ObjectRef;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

/// A pod behind a target group.
pub(in crate::world::sandbox) struct Target {
    /// `10.0.17.4:4466`.
    pub(in crate::world::sandbox) address: String,
    /// True where it answers.
    pub(in crate::world::sandbox) ready: bool,
    /// Since when it is bound.
    pub(in crate::world::sandbox) since: Timestamp,
}

/// What the bindings of all clusters bind to a target group.
pub(in crate::world::sandbox) fn targets(tx: &Tx<'_>, group: &str) -> Vec<Target> {
    let mut found = Vec::new();
    for cluster in record::clusters(tx) {
        for binding in record::of_type(tx, &cluster, "elbv2.k8s.aws/v1beta1", "TargetGroupBinding", None) {
            let spec = &binding.object["spec"];
            if spec["targetGroupARN"] != group || binding.is_terminating() {
                continue;
            }
            let bound = created(&binding.object);
            let reference = ObjectRef {
                api_version: "v1".into(),
                kind: "Service".into(),
                namespace: binding.reference().namespace,
                name: spec["serviceRef"]["name"].as_str().unwrap_or_default().to_owned(),
            };
            let Some(service) = record::find(tx, &cluster, &reference) else { continue };
            let ports = service.object["spec"]["ports"].as_array().cloned().unwrap_or_default();
            let wanted = &spec["serviceRef"]["port"];
            let Some(port) = ports.iter().find(|port| port["port"] == *wanted || port["name"] == *wanted) else {
                continue;
            };
            for pod in pods(tx, &cluster, &service.object) {
                let Some(number) = target_port(&pod, port) else { continue };
                let since = created(&pod).max(bound);
                let address = format!("{}:{number}", address(&pod));
                found.push(Target { address, ready: workload::is_ready(&pod), since });
            }
        }
    }
    found
}

/// The slices that the endpoint controller would make in a namespace, or in all: one a service.
pub(super) fn slices(tx: &Tx<'_>, cluster: &str, namespace: Option<&str>) -> Vec<Json> {
    let services = record::of_type(tx, cluster, "v1", "Service", namespace);
    services
        .iter()
        .filter(|service| service.object["spec"]["selector"].is_object())
        .map(|service| slice(tx, cluster, &service.object))
        .collect()
}

fn slice(tx: &Tx<'_>, cluster: &str, service: &Json) -> Json {
    let (name, namespace) = (&service["metadata"]["name"], &service["metadata"]["namespace"]);
    let endpoint = |pod: &Json| {
        json!({
            "addresses": [address(pod)],
            "conditions": {"ready": workload::is_ready(pod), "serving": workload::is_ready(pod), "terminating": false},
            "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace},
        })
    };
    let pods = pods(tx, cluster, service);
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let number = |port: &Json| pods.first().and_then(|pod| target_port(pod, port));
    let ports: Vec<Json> = ports
        .iter()
        .map(|port| json!({"name": port["name"].as_str().unwrap_or_default(), "port": number(port)}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{}-sandbox", name.as_str().unwrap_or_default()), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(), "ports": ports,
    })
}

/// The pods that a service selects and that did not end.
fn pods(tx: &Tx<'_>, cluster: &str, service: &Json) -> Vec<Json> {
    let Some(selector) = service["spec"]["selector"].as_object().filter(|selector| !selector.is_empty()) else {
        return Vec::new();
    };
    let mut pods = server::pods_in(tx, cluster, service["metadata"]["namespace"].as_str());
    pods.retain(|pod| {
        pod["status"]["phase"] != "Succeeded" && selector.iter().all(|(k, v)| pod["metadata"]["labels"][k] == *v)
    });
    pods
}

/// The number of a pod's port that a service's port leads to.
fn target_port(pod: &Json, port: &Json) -> Option<u64> {
    match &port["targetPort"] {
        Json::String(name) => {
            let containers = pod["spec"]["containers"].as_array()?.iter();
            let mut ports = containers.flat_map(|c| c["ports"].as_array().cloned().unwrap_or_default());
            ports.find(|port| port["name"] == name.as_str())?["containerPort"].as_u64()
        }
        Json::Number(number) => number.as_u64(),
        _ => port["port"].as_u64(),
    }
}

/// A pod's address, made from its uid.
fn address(pod: &Json) -> String {
    let digest = crate::base::Digest::of(pod["metadata"]["uid"].as_str().unwrap_or_default().as_bytes());
    let byte = |at: usize| u8::from_str_radix(&digest.short()[at..at + 2], 16).unwrap_or(1);
    format!("10.0.{}.{}", byte(0), byte(2).clamp(4, 250))
}

fn created(object: &Json) -> Timestamp {
    object["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}
