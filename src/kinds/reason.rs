//! Why pods are not ready, in Kubernetes' own words: container states first, then events.

use crate::{kinds::Context, world::ObjectRef};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// How many pods are spoken of.
const MOST: usize = 3;

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
        let reference = ObjectRef::of(pod)?;
        let why = match container_reason(pod) {
            Some(why) => Some(why),
            None => kubernetes.events_about(&reference).await.ok().and_then(|events| events.first().cloned()),
        };
        said.push(match why {
            Some(why) => format!("pod {}: {why}", reference.name),
            None => format!("pod {} is {}", reference.name, pod["status"]["phase"].as_str().unwrap_or("not ready")),
        });
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// True for a pod whose condition `Ready` is `True`, or that has ended well.
pub(super) fn is_ready(pod: &Json) -> bool {
    let condition = |c: &Json| c["type"] == "Ready" && c["status"] == "True";
    pod["status"]["phase"] == "Succeeded"
        || pod["status"]["conditions"].as_array().is_some_and(|c| c.iter().any(condition))
}

fn container_reason(pod: &Json) -> Option<String> {
    let statuses = ["initContainerStatuses", "containerStatuses"];
    statuses.iter().filter_map(|key| pod["status"][key].as_array()).flatten().find_map(|container| {
        let state = &container["state"];
        let ended = state["terminated"]["exitCode"].as_i64().is_some_and(|code| code == 0);
        let state = if state["waiting"].is_null() { &state["terminated"] } else { &state["waiting"] };
        let reason =
            state["reason"].as_str().filter(|r| !ended && *r != "ContainerCreating" && *r != "PodInitializing")?;
        let message = state["message"].as_str().map(|m| format!(": {m}")).unwrap_or_default();
        Some(format!("container {} {reason}{message}", container["name"].as_str().unwrap_or("?")))
    })
}
