//! Requests to pods through the API server: which pod, which port, and what it answers.
//!
//! A container answers the paths of its own HTTP probes and those in its pod's annotation; on a port of which nothing is
//! known it answers every path.

use super::{super::Tx, prometheus, record, server, workload};
use crate::world::{Class, Endpoint, Failure, HttpAnswer, ObjectRef, Outcome, PodRequest};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Ports and paths that a pod answers beside its probes': `8080=/metrics,/debug 9090=/`.
pub(super) const ANSWERS: &str = "sandbox.terrace.dev/answers";

/// Sends a request to a ready pod.
///
/// # Errors
/// `NotFound` for a service that is not there, `Unavailable` without a ready pod or where nothing listens on the port.
pub(super) fn send(tx: &Tx<'_>, cluster: &str, request: &PodRequest) -> Outcome<HttpAnswer> {
    server::reach(tx, cluster)?;
    let target = target(tx, cluster, request)?;
    let subject = format!("{}/{}", request.namespace, target.what);
    let refuse = |message: String| Failure::new(Class::Unavailable, "kubernetes:PodRequest", &subject, message);
    let pods = server::pods_in(tx, cluster, Some(&request.namespace));
    let chosen: Vec<&Json> = pods
        .iter()
        .filter(|pod| target.selector.iter().all(|(k, v)| pod["metadata"]["labels"][k] == v.as_str()))
        .filter(|pod| pod["status"]["phase"] != "Succeeded")
        .collect();
    let Some(pod) = chosen.iter().find(|pod| workload::is_ready(pod)) else {
        let why = chosen.iter().find_map(|pod| workload::complaint(pod, None));
        return Err(refuse(why.map_or_else(
            || format!("no pod matches {}", target.what),
            |why| format!("no endpoints available for {}: no pod is ready, {why}", target.what),
        )));
    };
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let listening = ports(pod);
    let port = match &target.port {
        Port::Number(number) => Some(*number),
        Port::Named(wanted) => listening.names.get(wanted).copied(),
    };
    let Some(port) = port.filter(|port| listening.paths.contains_key(port)) else {
        let text = match &target.port {
            Port::Number(number) => number.to_string(),
            Port::Named(name) => name.clone(),
        };
        return Err(refuse(format!("dial tcp: connect to pod {name} port {text}: connection refused")));
    };
    let answer = |status: u16, body: &str| HttpAnswer {
        status,
        headers: BTreeMap::from([("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())]),
        body: body.to_owned(),
    };
    if request.path.is_empty() {
        return Ok(HttpAnswer { status: 0, headers: BTreeMap::new(), body: String::new() });
    }
    if let Some(answer) = prometheus::answer(tx, cluster, &request.path) {
        return Ok(answer);
    }
    let path = request.path.split(['?', '#']).next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let known = &listening.paths[&port];
    Ok(if known.is_empty() || known.contains(&path) { answer(200, "ok") } else { answer(404, "404 page not found") })
}

struct Target {
    selector: BTreeMap<String, String>,
    port: Port,
    what: String,
}

enum Port {
    Number(u16),
    Named(String),
}

fn target(tx: &Tx<'_>, cluster: &str, request: &PodRequest) -> Outcome<Target> {
    match &request.endpoint {
        Endpoint::Selector(labels) => {
            let text: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let what = format!("selector {}", text.join(","));
            Ok(Target { selector: labels.clone(), port: Port::Number(request.port), what })
        }
        Endpoint::Service(name) => {
            let object = ObjectRef {
                api_version: "v1".into(),
                kind: "Service".into(),
                namespace: Some(request.namespace.clone()),
                name: name.clone(),
            };
            let fail = |class, message| {
                Failure::new(class, "kubernetes:PodRequest", format!("{}/{name}", request.namespace), message)
            };
            let Some(service) = record::find(tx, cluster, &object) else {
                return Err(fail(Class::NotFound, format!("services {name:?} not found")));
            };
            let spec = &service.object["spec"];
            let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
            let Some(port) = ports.iter().find(|p| p["port"] == request.port) else {
                let message = format!("service {name:?} has no port {}: connection refused", request.port);
                return Err(fail(Class::Unavailable, message));
            };
            let target = match &port["targetPort"] {
                Json::String(name) => Port::Named(name.clone()),
                Json::Number(number) => {
                    Port::Number(number.as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(request.port))
                }
                _ => Port::Number(request.port),
            };
            let labels = spec["selector"].as_object().into_iter().flatten();
            let selector: BTreeMap<_, _> =
                labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
            if selector.is_empty() {
                return Err(fail(Class::Unavailable, format!("service {name:?} selects no pods")));
            }
            Ok(Target { selector, port: target, what: format!("service {name:?}") })
        }
    }
}

struct Listening {
    paths: BTreeMap<u16, BTreeSet<String>>,
    names: BTreeMap<String, u16>,
}

/// The ports of a pod, and the paths known on each.
fn ports(pod: &Json) -> Listening {
    let mut listening = Listening { paths: BTreeMap::new(), names: BTreeMap::new() };
    let number = |value: &Json| value.as_u64().and_then(|n| u16::try_from(n).ok());
    let containers = pod["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
    for container in containers {
        for port in container["ports"].as_array().into_iter().flatten() {
            if let Some(at) = number(&port["containerPort"]) {
                listening.paths.entry(at).or_default();
                if let Some(name) = port["name"].as_str() {
                    listening.names.insert(name.to_owned(), at);
                }
            }
        }
    }
    for container in containers {
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            let get = &container[probe]["httpGet"];
            let at = number(&get["port"]).or_else(|| listening.names.get(get["port"].as_str()?).copied());
            if let (Some(at), Some(path)) = (at, get["path"].as_str()) {
                listening.paths.entry(at).or_default().insert(path.to_owned());
            }
        }
    }
    let answers = pod["metadata"]["annotations"][ANSWERS].as_str().unwrap_or_default();
    for entry in answers.split_whitespace() {
        if let Some((at, paths)) = entry.split_once('=')
            && let Ok(at) = at.parse()
        {
            listening.paths.entry(at).or_default().extend(paths.split(',').map(str::to_owned));
        }
    }
    listening
}
