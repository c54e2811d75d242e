//! When an object is ready, as kstatus means it. Source: sigs.k8s.io/cli-utils, pkg/kstatus.

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

pub(super) fn of(object: &Json) -> Readiness {
    use Readiness::{Failed, Pending, Ready};
    let status = &object["status"];
    let spec = &object["spec"];
    let count = |json: &Json| json.as_i64().unwrap_or(0);
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Pending("it is being deleted".to_owned());
    }
    if status["observedGeneration"].as_i64().is_some_and(|seen| seen < count(&object["metadata"]["generation"])) {
        return Pending("its controller has not looked at it yet".to_owned());
    }
    let replicas = spec["replicas"].as_i64().unwrap_or(1);
    let all = |what: &str, have: &Json| {
        let have = count(have);
        if have >= replicas { Ready } else { Pending(format!("{have} of {replicas} replicas are {what}")) }
    };
    match (object["apiVersion"].as_str().unwrap_or_default().split('/').next(), object["kind"].as_str()) {
        (Some("apps"), Some("Deployment")) => {
            if let Some(progress) = condition(object, "Progressing")
                && progress["reason"] == "ProgressDeadlineExceeded"
            {
                return Failed(message(progress));
            }
            if status["observedGeneration"].is_null() {
                return Pending("its controller has not looked at it yet".to_owned());
            }
            match all("updated", &status["updatedReplicas"]) {
                Ready => all("available", &status["availableReplicas"]),
                other => other,
            }
        }
        (Some("apps"), Some("StatefulSet")) => match all("ready", &status["readyReplicas"]) {
            Ready if replicas > 0 && status["updateRevision"] != status["currentRevision"] => {
                all("updated", &status["updatedReplicas"])
            }
            other => other,
        },
        (Some("apps"), Some("ReplicaSet")) => all("ready", &status["readyReplicas"]),
        (Some("apps"), Some("DaemonSet")) => {
            let wanted = count(&status["desiredNumberScheduled"]);
            let have = count(&status["numberAvailable"]).min(count(&status["updatedNumberScheduled"]));
            if status["observedGeneration"].is_null() || have < wanted {
                return Pending(format!("{have} of {wanted} pods are available"));
            }
            Ready
        }
        (Some("batch"), Some("Job")) => match (condition(object, "Failed"), condition(object, "Complete")) {
            (Some(failed), _) if failed["status"] == "True" => Failed(message(failed)),
            (_, Some(complete)) if complete["status"] == "True" => Ready,
            _ => Pending("the job runs".to_owned()),
        },
        (Some("v1"), Some("Pod")) => match status["phase"].as_str() {
            Some("Succeeded") => Ready,
            Some("Failed") => Failed(status["message"].as_str().unwrap_or("the pod failed").to_owned()),
            _ if condition(object, "Ready").is_some_and(|c| c["status"] == "True") => Ready,
            _ => Pending("the pod is not ready".to_owned()),
        },
        (Some("v1"), Some("Service")) if spec["type"] == "LoadBalancer" => {
            let given = status["loadBalancer"]["ingress"].as_array().is_some_and(|i| !i.is_empty());
            if given { Ready } else { Pending("it has no load balancer yet".to_owned()) }
        }
        (Some("apiextensions.k8s.io"), Some("CustomResourceDefinition")) => {
            match (condition(object, "NamesAccepted"), condition(object, "Established")) {
                (Some(names), _) if names["status"] == "False" => Failed(message(names)),
                (_, Some(established)) if established["status"] == "True" => Ready,
                _ => Pending("it is not established".to_owned()),
            }
        }
        _ => match (condition(object, "Stalled"), condition(object, "Ready")) {
            (Some(stalled), _) if stalled["status"] == "True" => Failed(message(stalled)),
            (_, Some(ready)) if ready["status"] != "True" => Pending(message(ready)),
            _ => Ready,
        },
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

    #[test]
    fn a_deployment_is_ready_when_its_controller_saw_it_and_all_replicas_are_there() {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2},
            "spec": {"replicas": 2}, "status": {"observedGeneration": 1}});
        assert!(matches!(of(&object), Readiness::Pending(_)));
        object["status"] = json!({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 1});
        assert_eq!(of(&object), Readiness::Pending("1 of 2 replicas are available".into()));
        object["status"]["availableReplicas"] = json!(2);
        assert_eq!(of(&object), Readiness::Ready);
        object["status"]["conditions"] =
            json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]);
        assert_eq!(of(&object), Readiness::Failed("too slow".into()));
    }

    #[test]
    fn an_object_that_says_nothing_of_itself_is_ready() {
        assert_eq!(of(&json!({"apiVersion": "v1", "kind": "ConfigMap"})), Readiness::Ready);
        let waits = json!({"apiVersion": "x/v1", "kind": "Y", "status": {"conditions": [{"type": "Ready", "status": "False", "message": "soon"}]}});
        assert_eq!(of(&waits), Readiness::Pending("soon".into()));
    }
}
