//! What a release waits for, told while Helm works, and why it failed: by the objects of its record.

use crate::{
    kinds::{Context, objects, reason},
    world::{ObjectRef, Outcome, Release, ReleaseRequest},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// How often it is told.
const EVERY: Duration = Duration::from_secs(5);
/// How many objects are named.
const MOST: usize = 3;
/// Kinds that start pods.
const WORKLOADS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"];

/// Waits for Helm and says meanwhile what it waits for.
pub(super) async fn told(
    context: &Context,
    request: &ReleaseRequest,
    helm: impl Future<Output = Outcome<Release>> + Send,
) -> Outcome<Release> {
    tokio::pin!(helm);
    loop {
        let look = async {
            context.clock.sleep(EVERY).await;
            missing(context, request).await.unwrap_or_default()
        };
        tokio::select! {
            biased;
            done = &mut helm => return done,
            // Said again even where it is the same: who listens may have passed over it.
            words = look => if !words.is_empty() {
                context.say(&format!("waiting for {words}"));
            },
        }
    }
}

/// Why the pods of a release are not ready; `None` where they say nothing.
pub(super) async fn reason(context: &Context, request: &ReleaseRequest) -> Option<String> {
    let mut said = Vec::new();
    for object in unready(context, request).await?.iter().take(MOST) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&request.namespace);
        let labels = selector(object);
        if let Some(why) = if labels.is_empty() { None } else { reason::of_pods(context, namespace, &labels).await } {
            said.push(why);
        }
    }
    if said.is_empty() {
        return reason::of_release(context, &request.namespace, &request.name).await;
    }
    Some(said.join("; "))
}

/// What is not ready yet, with the reason of the first, on one line.
async fn missing(context: &Context, request: &ReleaseRequest) -> Option<String> {
    let unready = unready(context, request).await?;
    let mut words: Vec<String> = unready.iter().take(MOST).map(progress).collect();
    if unready.len() > MOST {
        words.push(format!("{} more", unready.len() - MOST));
    }
    if words.is_empty() {
        return None;
    }
    let first = unready.first().map(selector).filter(|labels| !labels.is_empty());
    let why = match first {
        Some(labels) => reason::of_pods(context, &request.namespace, &labels).await,
        None => None,
    };
    Some(match why {
        Some(why) => format!("{} ({why})", words.join(", ")),
        None => words.join(", "),
    })
}

/// The workloads of the newest revision that are not as they should be.
async fn unready(context: &Context, request: &ReleaseRequest) -> Option<Vec<Json>> {
    let cluster = context.cluster().ok()?;
    let release = cluster.helm.release(&request.name, &request.namespace).await.ok()??;
    let mut references = Vec::new();
    for object in &release.manifest {
        let reference = ObjectRef::of(object).filter(|r| WORKLOADS.contains(&r.kind.as_str()));
        references.extend(reference.map(|r| {
            let namespace = r.namespace.clone().or_else(|| Some(request.namespace.clone()));
            ObjectRef { namespace, ..r }
        }));
    }
    let live = objects::live(context, references).await.ok()?;
    Some(live.into_values().filter(|object| !is_up(object)).collect())
}

fn counts(object: &Json) -> (i64, i64) {
    let (spec, status) = (&object["spec"], &object["status"]);
    match object["kind"].as_str() {
        Some("DaemonSet") => {
            (status["numberReady"].as_i64().unwrap_or(0), status["desiredNumberScheduled"].as_i64().unwrap_or(0))
        }
        Some("Job") => (status["succeeded"].as_i64().unwrap_or(0), spec["completions"].as_i64().unwrap_or(1)),
        _ => {
            let count = |name: &str| status[name].as_i64().unwrap_or(0);
            let updated = count("updatedReplicas");
            // A pod of the former revision that is still there is ready, and says nothing of the new one.
            let former = (count("replicas") - updated).max(0);
            (updated.min((count("readyReplicas") - former).max(0)), spec["replicas"].as_i64().unwrap_or(1))
        }
    }
}

fn is_up(object: &Json) -> bool {
    let (ready, wanted) = counts(object);
    ready >= wanted
}

fn progress(object: &Json) -> String {
    let name = ObjectRef::of(object).map(|r| format!("{} {}", r.kind, r.name)).unwrap_or_default();
    let (ready, wanted) = counts(object);
    format!("{name} ({ready}/{wanted})")
}

fn selector(object: &Json) -> BTreeMap<String, String> {
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    labels.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_workload_is_up_when_as_many_pods_of_its_newest_form_are_ready_as_it_wants() {
        let deployment = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}},
            "status": {"readyReplicas": 2, "updatedReplicas": 1}});
        assert!(!is_up(&deployment));
        assert_eq!(progress(&deployment), "Deployment web (1/2)");
        assert_eq!(selector(&deployment)["app"], "web");
        // The one pod that is ready is the former one.
        let stuck = json!({"kind": "Deployment", "spec": {"replicas": 1},
            "status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 1}});
        assert!(!is_up(&stuck));
        let up = json!({"kind": "Deployment", "spec": {"replicas": 1},
            "status": {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}});
        assert!(is_up(&up));
        assert!(is_up(&json!({"kind": "DaemonSet", "status": {"numberReady": 1, "desiredNumberScheduled": 1}})));
        assert!(!is_up(&json!({"kind": "Job", "spec": {}, "status": {}})));
    }
}
