//! Why something is not ready, in Kubernetes' own words: container states and last log lines first, then events.

use crate::{
    kinds::Context,
    world::{LogRequest, ObjectRef},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// How many pods are spoken of.
const MOST: usize = 3;
/// How many log lines of a container are told.
const LINES: u32 = 5;
/// How much of a log is told.
const LOG: usize = 600;
/// How many events are told.
const EVENTS: usize = 2;

/// Of an object that is not ready: what is missing, and why.
pub(super) async fn of_object(context: &Context, reference: &ObjectRef, object: &Json, why: &str) -> String {
    let own = match (reference.kind.as_str(), selector(object), &reference.namespace) {
        ("Pod", _, Some(_)) => of_pod(context, object).await,
        (_, Some(labels), Some(namespace)) => of_pods(context, namespace, &labels).await,
        _ => None,
    };
    let more = match own {
        Some(own) => Some(own),
        None => events(context, reference).await,
    };
    more.filter(|more| !why.contains(more.as_str())).map_or_else(|| why.to_owned(), |more| format!("{why}; {more}"))
}

/// The labels of the pods that an object makes.
fn selector(object: &Json) -> Option<BTreeMap<String, String>> {
    let labels = object["spec"]["selector"]["matchLabels"].as_object()?;
    Some(labels.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
}

/// Of the pods that a release made; `None` where they say nothing.
pub(super) async fn of_release(context: &Context, namespace: &str, release: &str) -> Option<String> {
    of_pods(context, namespace, &[("app.kubernetes.io/instance".to_owned(), release.to_owned())].into()).await
}

/// Of the pods with these labels that are not ready; `None` where they say nothing.
pub(super) async fn of_pods(context: &Context, namespace: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    let kubernetes = &context.cluster().ok()?.kubernetes;
    let pods = kubernetes.list("v1", "Pod", Some(namespace), labels).await.ok()?;
    let mut said = Vec::new();
    for pod in pods.iter().filter(|pod| !is_ready(pod)).take(MOST) {
        let name = pod["metadata"]["name"].as_str().unwrap_or("?");
        said.push(match of_pod(context, pod).await {
            Some(why) => format!("pod {name}: {why}"),
            None => format!("pod {name} is {}", pod["status"]["phase"].as_str().unwrap_or("not ready")),
        });
    }
    (!said.is_empty()).then(|| said.join("; "))
}

async fn of_pod(context: &Context, pod: &Json) -> Option<String> {
    let reference = ObjectRef::of(pod)?;
    let Some((container, why)) = container_reason(pod) else {
        return match unscheduled(pod) {
            Some(why) => Some(why),
            None => events(context, &reference).await,
        };
    };
    match log(context, &reference, pod, &container).await.filter(|log| !why.contains(log.as_str())) {
        Some(log) => Some(format!("{why}; its last lines: {log}")),
        None => Some(why),
    }
}

/// The newest events, those that warn first.
async fn events(context: &Context, reference: &ObjectRef) -> Option<String> {
    let mut events = context.cluster().ok()?.kubernetes.events_about(reference).await.ok()?;
    events.sort_by_key(|event| !event.starts_with("Warning"));
    events.dedup();
    events.truncate(EVENTS);
    (!events.is_empty()).then(|| events.join("; "))
}

/// The last lines of a container that ended, or of the one before its last restart.
async fn log(context: &Context, pod: &ObjectRef, object: &Json, container: &str) -> Option<String> {
    let status = statuses(object).find(|c| c["name"] == container)?;
    let restarted = status["restartCount"].as_u64().unwrap_or(0) > 0;
    let ended = !status["state"]["terminated"].is_null();
    if !restarted && !ended {
        return None; // it never ran
    }
    let request = LogRequest {
        namespace: pod.namespace.clone()?,
        pod: pod.name.clone(),
        container: Some(container.to_owned()),
        previous: restarted && !ended,
        lines: LINES,
    };
    let lines = context.cluster().ok()?.kubernetes.log(&request).await.ok()?;
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let text = lines.join(" | ");
    let from = text.char_indices().rev().nth(LOG).map_or(0, |(at, _)| at);
    (!text.is_empty()).then(|| text[from..].to_owned())
}

/// True for a pod whose condition `Ready` is `True`, or that has ended well.
pub(super) fn is_ready(pod: &Json) -> bool {
    let condition = |c: &Json| c["type"] == "Ready" && c["status"] == "True";
    pod["status"]["phase"] == "Succeeded"
        || pod["status"]["conditions"].as_array().is_some_and(|c| c.iter().any(condition))
}

fn statuses(pod: &Json) -> impl Iterator<Item = &Json> {
    let kinds = ["initContainerStatuses", "containerStatuses"];
    kinds.into_iter().filter_map(|key| pod["status"][key].as_array()).flatten()
}

/// Why no node takes a pod.
fn unscheduled(pod: &Json) -> Option<String> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|c| c["type"] == "PodScheduled" && c["status"] == "False")?;
    Some(found["message"].as_str().or_else(|| found["reason"].as_str())?.to_owned())
}

/// The first container that waits for something, or that ended badly, and why.
fn container_reason(pod: &Json) -> Option<(String, String)> {
    statuses(pod).find_map(|container| {
        let state = &container["state"];
        let ended = state["terminated"]["exitCode"].as_i64().is_some_and(|code| code == 0);
        let last = &container["lastState"]["terminated"];
        let state = if state["waiting"].is_null() { &state["terminated"] } else { &state["waiting"] };
        let reason =
            state["reason"].as_str().filter(|r| !ended && *r != "ContainerCreating" && *r != "PodInitializing")?;
        let message = state["message"].as_str().map(|m| format!(": {m}")).unwrap_or_default();
        let code = state["exitCode"].as_i64().or_else(|| last["exitCode"].as_i64());
        let code = code.filter(|code| *code != 0).map(|code| format!(" (exit code {code})")).unwrap_or_default();
        let name = container["name"].as_str().unwrap_or("?");
        Some((name.to_owned(), format!("container {name} {reason}{code}{message}")))
    })
}
