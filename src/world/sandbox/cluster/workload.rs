//! What controllers would make of a workload, told from when it was written and what the time is now: pods and status.
//!
//! Nothing runs in the background. A pod becomes ready a while after its template was written; until then those of the
//! template before are there. Pods stay Pending without nodes or volumes, and crash where a fault says so.

use super::{
    super::Tx,
    record::{self, Former, Record, Rollout},
    volumes,
};
use crate::{base::Digest, world::ObjectRef};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

/// How long until a pod is ready, unless its template says so in this annotation.
pub(super) const READY_AFTER: &str = "sandbox.terrace.dev/ready-after";

/// How the pods of a workload stand.
pub(super) struct Pods {
    /// All of them, those of the template before included.
    pub(super) all: Vec<Json>,
    /// Ready, of any template.
    pub(super) ready: u32,
    /// Of the newest template.
    pub(super) updated: u32,
    /// Ready and of the newest template.
    pub(super) updated_ready: u32,
    /// How many there shall be.
    pub(super) wanted: u32,
}

/// True for what has a pod template that a controller keeps alive.
pub(super) fn is_workload(object: &ObjectRef) -> bool {
    matches!(
        (object.api_version.as_str(), object.kind.as_str()),
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch/v1", "Job") | ("v1", "Pod")
    )
}

/// Notes that a workload was written: new pods where the template or their number is another.
pub(super) fn written(before: Option<&Record>, record: &mut Record, nodes: u32, now: Timestamp) {
    let template = template(&record.object);
    let hash: String = Digest::of_json(&template).map(|d| d.short()[..10].to_owned()).unwrap_or_default();
    let old = before.and_then(|b| b.rollout.as_ref().map(|rollout| (b, rollout)));
    let wanted = wanted(&record.object, nodes);
    record.rollout = Some(match old {
        Some((before, rollout)) if rollout.hash == hash => {
            let was = self::wanted(&before.object, nodes);
            let up = is_up(before, rollout, now);
            if was == wanted {
                rollout.clone()
            } else {
                Rollout { since: now, had: if up { was.min(wanted) } else { 0 }, former: None, ..rollout.clone() }
            }
        }
        // Back to the template before: its pods are still there.
        Some((_, Rollout { former: Some(former), .. })) if former.hash == hash => {
            Rollout { since: now, hash, had: former.ready.min(wanted), former: None, crash: None }
        }
        Some((before, rollout)) => {
            let up = is_up(before, rollout, now);
            let former = if up {
                let ready = self::wanted(&before.object, nodes);
                Some(Former { template: self::template(&before.object), hash: rollout.hash.clone(), ready })
            } else {
                rollout.former.clone()
            };
            Rollout { since: now, hash, had: 0, former, crash: None }
        }
        None => Rollout { since: now, hash, had: 0, former: None, crash: None },
    });
}

fn template(object: &Json) -> Json {
    if object["kind"] == "Pod" {
        json!({"metadata": {"labels": object["metadata"]["labels"], "annotations": object["metadata"]["annotations"]}, "spec": object["spec"]})
    } else {
        object["spec"]["template"].clone()
    }
}

fn wanted(object: &Json, nodes: u32) -> u32 {
    match object["kind"].as_str() {
        Some("DaemonSet") => nodes,
        Some("Pod") => 1,
        Some("Job") => number(&object["spec"]["completions"]).unwrap_or(1),
        _ => number(&object["spec"]["replicas"]).unwrap_or(1),
    }
    .min(500)
}

fn number(value: &Json) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok())
}

fn ready_at(object: &Json, rollout: &Rollout) -> Timestamp {
    let annotations = &template(object)["metadata"]["annotations"];
    let declared = annotations[READY_AFTER].as_str().and_then(|text| crate::base::parse_duration(text).ok());
    let seconds = declared.map_or(
        match object["kind"].as_str() {
            Some("StatefulSet") => 18,
            Some("DaemonSet") => 7,
            Some("Job") => 12,
            _ => 9,
        },
        |duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
    );
    rollout.since.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

fn is_up(record: &Record, rollout: &Rollout, now: Timestamp) -> bool {
    rollout.crash.is_none() && now >= ready_at(&record.object, rollout)
}

/// The pods of a workload now.
pub(super) fn pods(tx: &Tx<'_>, cluster: &str, workload: &Record) -> Pods {
    let nodes = record::server(tx, cluster).map_or(0, |server| server.nodes);
    let wanted = wanted(&workload.object, nodes);
    let mut all = Pods { all: Vec::new(), ready: 0, updated: 0, updated_ready: 0, wanted };
    let Some(rollout) = &workload.rollout else { return all };
    let now = tx.now();
    let up = is_up(workload, rollout, now);
    let unbound = volumes::unbound_claim(tx, cluster, workload);
    let fate = if nodes == 0 {
        Fate::Unschedulable("0/0 nodes are available: no nodes available to schedule pods".to_owned())
    } else if let Some(why) = unbound {
        Fate::Unschedulable(why)
    } else if let Some(crash) = &rollout.crash {
        Fate::Crashing(crash.clone())
    } else if up {
        Fate::Ready
    } else {
        Fate::Starting
    };
    let template = template(&workload.object);
    for ordinal in 0..wanted {
        let old_one = ordinal < rollout.had && nodes > 0;
        let fate = if old_one { Fate::Ready } else { fate.clone() };
        let ready = matches!(fate, Fate::Ready);
        all.updated += 1;
        all.updated_ready += u32::from(ready);
        all.ready += u32::from(ready);
        all.all.push(pod(workload, &template, &rollout.hash, Place { ordinal, nodes, since: rollout.since }, &fate));
    }
    if let (Some(former), false) = (&rollout.former, matches!(fate, Fate::Ready)) {
        let ready = if nodes == 0 { 0 } else { former.ready };
        for ordinal in 0..ready.min(wanted.max(1)) {
            all.ready += 1;
            let place = Place { ordinal, nodes, since: rollout.since };
            all.all.push(pod(workload, &former.template, &former.hash, place, &Fate::Ready));
        }
    }
    all
}

#[derive(Clone)]
enum Fate {
    Ready,
    Starting,
    Unschedulable(String),
    Crashing(String),
}

#[derive(Clone, Copy)]
struct Place {
    ordinal: u32,
    nodes: u32,
    since: Timestamp,
}

/// Five letters as Kubernetes ends names with, the same for the same pod.
fn suffix(seed: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = Digest::of(seed.as_bytes());
    let bytes = digest.short().as_bytes();
    bytes
        .chunks(2)
        .take(5)
        .map(|c| char::from(LETTERS[c.iter().map(|b| usize::from(*b) * 7).sum::<usize>() % LETTERS.len()]))
        .collect()
}

fn pod(workload: &Record, template: &Json, hash: &str, place: Place, fate: &Fate) -> Json {
    let owner = workload.reference();
    let namespace = owner.namespace.clone().unwrap_or_default();
    let seed = format!("{namespace}/{}/{}/{hash}/{}", owner.kind, owner.name, place.ordinal);
    let name = match owner.kind.as_str() {
        "Pod" => owner.name.clone(),
        "StatefulSet" => format!("{}-{}", owner.name, place.ordinal),
        "Deployment" => format!("{}-{hash}-{}", owner.name, suffix(&seed)),
        _ => format!("{}-{}", owner.name, suffix(&seed)),
    };
    let job = owner.kind == "Job";
    let ready = matches!(fate, Fate::Ready);
    let (phase, state, reason) = match fate {
        Fate::Ready if job => ("Succeeded", json!({"terminated": {"exitCode": 0, "reason": "Completed"}}), Json::Null),
        Fate::Ready => ("Running", json!({"running": {"startedAt": super::apply::stamp(place.since)}}), Json::Null),
        Fate::Starting => ("Pending", json!({"waiting": {"reason": "ContainerCreating"}}), Json::Null),
        Fate::Unschedulable(why) => ("Pending", Json::Null, json!({"reason": "Unschedulable", "message": why})),
        Fate::Crashing(why) => (
            "Running",
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": format!("back-off 40s restarting failed container: {why}")}}),
            Json::Null,
        ),
    };
    let scheduled = !matches!(fate, Fate::Unschedulable(_));
    let restarts = if matches!(fate, Fate::Crashing(_)) { 3 } else { 0 };
    let containers = template["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let statuses: Vec<Json> = containers
        .iter()
        .filter(|_| scheduled)
        .map(|c| {
            json!({"name": c["name"], "image": c["image"], "ready": ready && !job, "started": ready,
                   "restartCount": restarts, "state": state})
        })
        .collect();
    let mut condition = json!({"type": "PodScheduled", "status": if scheduled { "True" } else { "False" }});
    if let Some(fields) = reason.as_object() {
        for (key, value) in fields {
            condition[key] = value.clone();
        }
    }
    let is_ready = if ready && !job { "True" } else { "False" };
    let mut metadata = json!({
        "name": name, "namespace": namespace, "uid": uid(&Digest::of(seed.as_bytes())),
        "labels": template["metadata"]["labels"], "creationTimestamp": super::apply::stamp(place.since),
    });
    if template["metadata"]["annotations"].is_object() {
        metadata["annotations"] = template["metadata"]["annotations"].clone();
    }
    if owner.kind == "Pod" {
        metadata = workload.object["metadata"].clone();
    } else {
        metadata["ownerReferences"] = json!([{
            "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "controller": true,
            "uid": workload.object["metadata"]["uid"],
        }]);
    }
    let mut spec = template["spec"].clone();
    if scheduled && spec.is_object() {
        spec["nodeName"] = json!(node_name(place.ordinal % place.nodes.max(1)));
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec,
        "status": {
            "phase": phase, "containerStatuses": statuses,
            "conditions": [condition, {"type": "Ready", "status": is_ready}, {"type": "ContainersReady", "status": is_ready}],
        },
    })
}

/// A node's name.
pub(super) fn node_name(index: u32) -> String {
    format!("ip-10-0-{}-{}.ec2.internal", 48 + index % 3 * 16, 10 + index)
}

/// A UID from a digest.
fn uid(digest: &Digest) -> String {
    let hex = digest.as_str().trim_start_matches("sha256:");
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// True where the pod answers.
pub(super) fn is_ready(pod: &Json) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// What is wrong with a pod, in one line; `None` where nothing is.
pub(super) fn complaint(pod: &Json, crash: Option<&str>) -> Option<String> {
    if is_ready(pod) || pod["status"]["phase"] == "Succeeded" {
        return None;
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    let state = waiting["reason"].as_str().or(pod["status"]["phase"].as_str()).unwrap_or("Pending");
    let mut text = format!("pod {name} is {state}");
    if let Some(message) = pod["status"]["conditions"][0]["message"].as_str() {
        text.push_str(&[": ", message].concat());
    }
    if let Some(crash) = crash {
        text.push_str(&[", restarted 3 times, last log line: ", crash].concat());
    }
    Some(text)
}

/// The status that the workload's controller would write.
pub(super) fn status(tx: &Tx<'_>, cluster: &str, workload: &Record) -> Json {
    let pods = pods(tx, cluster, workload);
    let generation = workload.object["metadata"]["generation"].clone();
    let all_up = pods.updated_ready >= pods.wanted;
    let yes = |yes: bool| if yes { "True" } else { "False" };
    match workload.object["kind"].as_str() {
        Some("Pod") => pods.all.into_iter().next().map(|pod| pod["status"].clone()).unwrap_or_default(),
        Some("Job") => {
            let done = pods.all.iter().all(|pod| pod["status"]["phase"] == "Succeeded");
            let mut status = json!({"succeeded": if done { pods.wanted } else { 0 }, "ready": 0});
            if done {
                status["conditions"] = json!([{"type": "Complete", "status": "True"}]);
            } else {
                status["active"] = json!(pods.wanted);
            }
            status
        }
        Some("DaemonSet") => json!({
            "observedGeneration": generation, "desiredNumberScheduled": pods.wanted, "currentNumberScheduled": pods.wanted,
            "updatedNumberScheduled": pods.updated, "numberReady": pods.ready.min(pods.wanted),
            "numberAvailable": pods.ready.min(pods.wanted), "numberUnavailable": pods.wanted.saturating_sub(pods.ready),
            "numberMisscheduled": 0,
        }),
        Some("StatefulSet") => {
            let hash = workload.rollout.as_ref().map(|r| r.hash.clone()).unwrap_or_default();
            let name = workload.object["metadata"]["name"].as_str().unwrap_or_default();
            let revision = format!("{name}-{hash}");
            let current = if all_up { revision.clone() } else { format!("{name}-before") };
            json!({
                "observedGeneration": generation, "replicas": pods.wanted, "readyReplicas": pods.ready.min(pods.wanted),
                "availableReplicas": pods.ready.min(pods.wanted),
                "currentReplicas": pods.updated_ready, "updatedReplicas": if all_up { pods.wanted } else { pods.updated_ready },
                "currentRevision": current, "updateRevision": revision,
            })
        }
        _ => {
            let replicas = u32::try_from(pods.all.len()).unwrap_or(u32::MAX);
            let deadline = workload.object["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(600);
            let since = workload.rollout.as_ref().map_or(tx.now(), |rollout| rollout.since);
            let late = tx.now().duration_since(since).as_secs() >= deadline;
            let progress = if !all_up && late {
                json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"})
            } else if all_up {
                json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"})
            } else {
                json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"})
            };
            let available = pods.ready >= pods.wanted;
            let reason = if available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" };
            json!({
                "observedGeneration": generation, "replicas": replicas, "updatedReplicas": pods.updated,
                "readyReplicas": pods.ready, "availableReplicas": pods.ready,
                "unavailableReplicas": replicas.saturating_sub(pods.ready),
                "conditions": [{"type": "Available", "status": yes(available), "reason": reason}, progress],
            })
        }
    }
}

/// True where everything that was asked for is there and ready.
pub(super) fn is_settled(tx: &Tx<'_>, cluster: &str, workload: &Record) -> bool {
    let pods = pods(tx, cluster, workload);
    if workload.object["kind"] == "Job" {
        return pods.all.iter().all(|pod| pod["status"]["phase"] == "Succeeded");
    }
    pods.updated_ready >= pods.wanted
}
