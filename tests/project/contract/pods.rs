//! Pods: what is said of those that fail, and requests to those that are ready.

use super::place::Place;
use crate::support::web::Reply;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use terrace::world::{Class, Endpoint, LogRequest, PodRequest};

fn request(place: &Place, port: u16, path: &str) -> PodRequest {
    PodRequest {
        namespace: place.namespace.clone(),
        endpoint: Endpoint::Service("web".to_owned()),
        port,
        path: path.to_owned(),
        method: "GET".to_owned(),
        headers: BTreeMap::new(),
        timeout: Duration::from_secs(20),
    }
}

pub(super) async fn a_ready_pod_is_asked_by_its_services_port(place: &Place) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": place.namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    let failure = place.api.pod_request(&request(place, 80, "/")).await.unwrap_err();
    assert_eq!(failure.class, Class::NotFound, "{failure}");
    place.apply(&service).await;
    let failure = place.api.pod_request(&request(place, 80, "/")).await.unwrap_err();
    assert_eq!(failure.class, Class::Unavailable, "{failure}");
    place.apply(&place.deployment("web", &json!({}))).await;
    let web = place.named("apps/v1", "Deployment", "web");
    place.until(&web, |o| o.is_some_and(|o| o["status"]["readyReplicas"] == 1)).await;
    let answers = place.pods_answer(&[8080]);
    if place.differs("pod-answers") {
        assert_eq!(place.api.pod_request(&request(place, 80, "/health")).await.unwrap().status, 200);
        return;
    }
    let answers = answers.unwrap();
    answers.set("/health", Reply::text(503, "not yet"));
    let answer = place.api.pod_request(&request(place, 80, "/health?deep=1")).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, "not yet"));
    assert_eq!(answers.asked(), ["/health?deep=1"]);
    let open = place.api.pod_request(&request(place, 80, "")).await.unwrap();
    assert_eq!(open.status, 0);
    let failure = place.api.pod_request(&request(place, 9, "/")).await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid, "{failure}");
    assert_eq!(failure.hint.as_deref(), Some("it has 80"));
}

pub(super) async fn what_fails_says_so_in_events_and_logs(place: &Place) {
    if place.name == "sandbox" {
        return; // its pods fail by faults only: world/sandbox/cluster/tests.rs
    }
    place.pods_log(&["starting", "panic: no configuration"]);
    place.apply(&place.deployment("web", &json!({"testbed.terrace/pod": "crash-loop"}))).await;
    let labels: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
    let mut pod = None;
    for _ in 0..600 {
        let pods = place.api.list("v1", "Pod", Some(&place.namespace), &labels).await.unwrap();
        pod = pods.into_iter().find(|p| p["status"]["containerStatuses"][0]["state"]["waiting"].is_object());
        if pod.is_some() {
            break;
        }
        place.pause().await;
    }
    let name = pod.unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
    let mut events = Vec::new();
    for _ in 0..100 {
        events = place.api.events_about(&place.named("v1", "Pod", &name)).await.unwrap();
        if events.iter().any(|e| e.starts_with("Warning")) {
            break;
        }
        place.pause().await;
    }
    assert!(events.iter().any(|e| e.starts_with("Warning: BackOff")), "{events:?}");
    let log = LogRequest {
        namespace: place.namespace.clone(),
        pod: name,
        container: Some("web".to_owned()),
        previous: false,
        lines: 1,
    };
    let lines = place.api.log(&log).await.unwrap();
    assert_eq!(lines.last().map(String::as_str), Some("panic: no configuration"), "{lines:?}");
    let none = LogRequest { container: Some("nobody".to_owned()), ..log };
    assert_eq!(place.api.log(&none).await.unwrap(), Vec::<String>::new());
}
