//! When an object is ready: kstatus' rules, with what a person means by "ready" where those stop short. Source:
//! sigs.k8s.io/cli-utils, pkg/kstatus/status (core.go, generic.go). Pure.
//!
//! Departures, each towards waiting for what others will rely on: a Job has to end well and not only to have begun, and a Service
//! of type LoadBalancer has to have its address. A pod that finds no node stays pending until the deadline, since an autoscaler
//! may bring one.

use serde_json::Value as Json;

/// How far an object has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It is as it should be.
    Ready,
    /// It is on its way; what is missing.
    Pending(String),
    /// It will not come right by itself; why.
    Failed(String),
}

use Readiness::{Failed, Pending, Ready};

/// How far it has come.
pub(super) fn of(object: &Json) -> Readiness {
    if let Some(early) = generic(object) {
        return early;
    }
    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "Service") => service(object),
        ("", "PersistentVolumeClaim") => match object["status"]["phase"].as_str() {
            Some("Bound") => Ready,
            Some(phase) => Pending(format!("the claim is {phase}, not Bound")),
            None => Pending("the claim is not bound".to_owned()),
        },
        ("", "Secret" | "ConfigMap") | ("policy", "PodDisruptionBudget") | ("batch", "CronJob") => Ready,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => match condition(object, "Ready") {
            Some(ready) if ready["status"] != "True" => Pending(message(ready)),
            _ => Ready,
        },
    }
}

/// What holds for every type: being deleted, a controller that has not looked yet, the conditions Reconciling and Stalled.
fn generic(object: &Json) -> Option<Readiness> {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Some(Pending("it is being deleted".to_owned()));
    }
    if let (Some(seen), Some(now)) =
        (object["status"]["observedGeneration"].as_i64(), object["metadata"]["generation"].as_i64())
        && seen != now
    {
        return Some(unseen());
    }
    let on = |kind: &str| condition(object, kind).filter(|c| c["status"] == "True");
    if let Some(stalled) = on("Stalled") {
        return Some(Failed(message(stalled)));
    }
    on("Reconciling").map(|reconciling| Pending(message(reconciling)))
}

fn unseen() -> Readiness {
    Pending("its controller has not looked at it yet".to_owned())
}

/// A number of the object, 0 where it says none.
fn number(json: &Json) -> i64 {
    json.as_i64().unwrap_or(0)
}

/// Whether `have` of `want` replicas are what they should be.
fn all(want: i64, have: i64, what: &str) -> Option<Readiness> {
    (have < want).then(|| Pending(format!("{have} of {want} replicas are {what}")))
}

/// Replicas of the former template that still run.
fn extra(want: i64, status: i64) -> Option<Readiness> {
    (status > want).then(|| Pending(format!("{} former replicas still run", status - want)))
}

fn deployment(object: &Json) -> Readiness {
    let (spec, status) = (&object["spec"], &object["status"]);
    let want = spec["replicas"].as_i64().unwrap_or(1);
    let have = |field: &str| number(&status[field]);
    let progressing = condition(object, "Progressing");
    if let Some(progress) = progressing.filter(|c| c["reason"] == "ProgressDeadlineExceeded") {
        return Failed(message(progress));
    }
    if status["observedGeneration"].is_null() {
        return unseen();
    }
    // Without a deadline the controller never says how it goes on.
    let told = spec["progressDeadlineSeconds"].as_i64().is_none_or(|s| s == i64::from(i32::MAX))
        || progressing.is_some_and(|c| c["status"] == "True" && c["reason"] == "NewReplicaSetAvailable");
    all(want, have("replicas"), "there")
        .or_else(|| all(want, have("updatedReplicas"), "updated"))
        .or_else(|| extra(want, have("replicas")))
        .or_else(|| all(have("updatedReplicas"), have("availableReplicas"), "available"))
        .or_else(|| all(want, have("readyReplicas"), "ready"))
        .or_else(|| (!told).then(|| Pending("its new replica set is not available yet".to_owned())))
        .or_else(|| {
            let available = condition(object, "Available").is_some_and(|c| c["status"] == "True");
            (!available).then(|| Pending("it is not available yet".to_owned()))
        })
        .unwrap_or(Ready)
}

fn stateful_set(object: &Json) -> Readiness {
    let (spec, status) = (&object["spec"], &object["status"]);
    if spec["updateStrategy"]["type"] == "OnDelete" {
        return Ready;
    }
    if status["observedGeneration"].is_null() {
        return unseen();
    }
    let want = spec["replicas"].as_i64().unwrap_or(1);
    let have = |field: &str| number(&status[field]);
    let before = all(want, have("replicas"), "there")
        .or_else(|| all(want, have("readyReplicas"), "ready"))
        .or_else(|| extra(want, have("replicas")));
    if let Some(before) = before {
        return before;
    }
    if let Some(partition) = spec["updateStrategy"]["rollingUpdate"]["partition"].as_i64() {
        return all(want - partition, have("updatedReplicas"), "updated").unwrap_or(Ready);
    }
    if status["currentRevision"] != status["updateRevision"] {
        return Pending("its pods are being updated".to_owned());
    }
    all(want, have("currentReplicas"), "of its current revision").unwrap_or(Ready)
}

fn replica_set(object: &Json) -> Readiness {
    let status = &object["status"];
    if let Some(failing) = condition(object, "ReplicaFailure").filter(|c| c["status"] == "True") {
        return Pending(message(failing));
    }
    let want = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let have = |field: &str| number(&status[field]);
    all(want, have("fullyLabeledReplicas"), "labelled")
        .or_else(|| all(want, have("availableReplicas"), "available"))
        .or_else(|| all(want, have("readyReplicas"), "ready"))
        .or_else(|| extra(want, have("replicas")))
        .unwrap_or(Ready)
}

fn daemon_set(object: &Json) -> Readiness {
    let status = &object["status"];
    let (Some(_), Some(want)) = (status["observedGeneration"].as_i64(), status["desiredNumberScheduled"].as_i64())
    else {
        return unseen();
    };
    let short = |field: &str, what: &str| {
        let have = number(&status[field]);
        (have < want).then(|| Pending(format!("{have} of {want} pods are {what}")))
    };
    short("currentNumberScheduled", "there")
        .or_else(|| short("updatedNumberScheduled", "updated"))
        .or_else(|| short("numberAvailable", "available"))
        .or_else(|| short("numberReady", "ready"))
        .unwrap_or(Ready)
}

fn job(object: &Json) -> Readiness {
    let is = |kind: &str| condition(object, kind).filter(|c| c["status"] == "True");
    if let Some(failed) = is("Failed") {
        return Failed(message(failed));
    }
    if is("Complete").is_some() || object["spec"]["suspend"] == true {
        return Ready;
    }
    let (done, want) = (number(&object["status"]["succeeded"]), object["spec"]["completions"].as_i64().unwrap_or(1));
    Pending(format!("the job runs, {done} of {want} pods have ended well"))
}

fn pod(object: &Json) -> Readiness {
    let status = &object["status"];
    match status["phase"].as_str() {
        Some("Succeeded") => Ready,
        Some("Failed") => {
            let why = status["message"].as_str().or_else(|| status["reason"].as_str());
            Failed(why.unwrap_or("the pod failed").to_owned())
        }
        _ if condition(object, "Ready").is_some_and(|c| c["status"] == "True") => Ready,
        _ => match crashing(object) {
            Some(container) => Failed(format!("container {container} crashes again and again")),
            None => match condition(object, "PodScheduled").filter(|c| c["status"] == "False") {
                Some(waiting) => Pending(message(waiting)),
                None => Pending("the pod is not ready".to_owned()),
            },
        },
    }
}

fn crashing(pod: &Json) -> Option<&str> {
    let kinds = ["initContainerStatuses", "containerStatuses"];
    let mut all = kinds.iter().filter_map(|kind| pod["status"][kind].as_array()).flatten();
    all.find(|c| c["state"]["waiting"]["reason"] == "CrashLoopBackOff")?["name"].as_str()
}

fn service(object: &Json) -> Readiness {
    if object["spec"]["type"] != "LoadBalancer" {
        return Ready;
    }
    let given = object["status"]["loadBalancer"]["ingress"].as_array().is_some_and(|i| !i.is_empty());
    if given { Ready } else { Pending("it has no load balancer yet".to_owned()) }
}

fn definition(object: &Json) -> Readiness {
    if let Some(names) = condition(object, "NamesAccepted").filter(|c| c["status"] == "False") {
        return Failed(message(names));
    }
    match condition(object, "Established") {
        Some(established) if established["status"] == "True" => Ready,
        Some(established) if established["status"] == "False" && established["reason"] != "Installing" => {
            // A definition whose names were just accepted says so before it is established.
            Pending(message(established))
        }
        _ => Pending("it is not established".to_owned()),
    }
}

fn condition<'a>(object: &'a Json, kind: &str) -> Option<&'a Json> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

fn message(condition: &Json) -> String {
    let text = condition["message"].as_str().filter(|m| !m.is_empty());
    text.or_else(|| condition["reason"].as_str()).unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An object of a type, with a specification and a status.
    fn object(api_version: &str, kind: &str, spec: &Json, status: &Json) -> Json {
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status})
    }

    fn pending(api_version: &str, kind: &str, spec: &Json, status: &Json) -> String {
        match of(&object(api_version, kind, spec, status)) {
            Pending(why) => why,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_deployment_is_ready_when_all_its_new_replicas_are_available_and_no_former_one_runs() {
        let spec = json!({"replicas": 2, "progressDeadlineSeconds": 600});
        let told = |status: &Json| pending("apps/v1", "Deployment", &spec, status);
        assert!(told(&json!({})).contains("not looked"));
        assert!(told(&json!({"observedGeneration": 1})).contains("not looked"));
        let mut status = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1});
        assert_eq!(told(&status), "1 of 2 replicas are updated");
        status["updatedReplicas"] = json!(2);
        assert_eq!(told(&status), "1 former replicas still run");
        status["replicas"] = json!(2);
        assert_eq!(told(&status), "0 of 2 replicas are available");
        status["availableReplicas"] = json!(2);
        status["readyReplicas"] = json!(2);
        assert_eq!(told(&status), "its new replica set is not available yet");
        let new = json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"});
        status["conditions"] = json!([new]);
        assert_eq!(told(&status), "it is not available yet");
        status["conditions"] = json!([new, {"type": "Available", "status": "True"}]);
        assert_eq!(told(&status), "Ready");
        status["conditions"] =
            json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]);
        assert_eq!(told(&status), "Failed(\"too slow\")");
    }

    #[test]
    fn a_stateful_set_is_updated_down_to_its_partition() {
        let spec = |partition: i64| json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}});
        let status = json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 1});
        assert_eq!(pending("apps/v1", "StatefulSet", &spec(0), &status), "1 of 3 replicas are updated");
        assert_eq!(pending("apps/v1", "StatefulSet", &spec(2), &status), "Ready");
        let by_hand = json!({"updateStrategy": {"type": "OnDelete"}});
        assert_eq!(pending("apps/v1", "StatefulSet", &by_hand, &json!({"observedGeneration": 2})), "Ready");
    }

    #[test]
    fn other_built_in_types_have_their_own_rules() {
        let none = json!({});
        for (api_version, kind, spec, status, expected) in [
            (
                "apps/v1",
                "DaemonSet",
                json!({}),
                json!({"observedGeneration": 2, "desiredNumberScheduled": 2,
                "currentNumberScheduled": 2, "updatedNumberScheduled": 1}),
                "1 of 2 pods are updated",
            ),
            ("apps/v1", "DaemonSet", json!({}), json!({"observedGeneration": 2, "desiredNumberScheduled": 0}), "Ready"),
            ("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Pending"}), "the claim is Pending, not Bound"),
            ("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Bound"}), "Ready"),
            ("policy/v1", "PodDisruptionBudget", json!({}), none.clone(), "Ready"),
            ("batch/v1", "CronJob", json!({}), none.clone(), "Ready"),
            (
                "batch/v1",
                "Job",
                json!({"completions": 3}),
                json!({"succeeded": 1}),
                "the job runs, 1 of 3 pods have ended well",
            ),
            ("v1", "Service", json!({"type": "LoadBalancer"}), none.clone(), "it has no load balancer yet"),
            ("v1", "Service", json!({"type": "ClusterIP"}), none.clone(), "Ready"),
            ("networking.k8s.io/v1", "Ingress", json!({}), json!({"loadBalancer": {}}), "Ready"),
            (
                "v1",
                "Pod",
                json!({}),
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
                "0/3 nodes are available",
            ),
            (
                "v1",
                "Pod",
                json!({}),
                json!({"phase": "Running", "containerStatuses": [{"name": "web",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
                "Failed(\"container web crashes again and again\")",
            ),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                json!({}),
                json!({"conditions": [
                {"type": "NamesAccepted", "status": "False", "message": "taken"}]}),
                "Failed(\"taken\")",
            ),
        ] {
            assert_eq!(pending(api_version, kind, &spec, &status), expected, "{kind}");
        }
    }

    #[test]
    fn types_of_the_clusters_own_say_it_by_their_conditions() {
        let told = |conditions: &Json| pending("x.io/v1", "Thing", &json!({}), &json!({"conditions": conditions}));
        assert_eq!(told(&json!([])), "Ready");
        assert_eq!(told(&json!([{"type": "Ready", "status": "Unknown", "message": "soon"}])), "soon");
        assert_eq!(told(&json!([{"type": "Reconciling", "status": "True", "reason": "Progressing"}])), "Progressing");
        assert_eq!(
            told(&json!([{"type": "Stalled", "status": "True", "message": "no"}, {"type": "Ready", "status": "True"}])),
            "Failed(\"no\")"
        );
        assert_eq!(told(&json!([{"type": "Ready", "status": "True"}])), "Ready");
        assert_eq!(of(&json!({"apiVersion": "v1", "kind": "ConfigMap"})), Ready);
    }
}
