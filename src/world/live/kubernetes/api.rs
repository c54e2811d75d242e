//! The Kubernetes trait over requests on JSON, so that every type is alike, the cluster's own included.

use super::{
    cluster::{Ask, Cluster},
    failure::Call,
    forward, gather, paths, watch,
};
use crate::world::{
    ApplyOptions, Class, Failure, HttpAnswer, Kubernetes, LogRequest, ObjectChange, ObjectRef, Outcome, PodRequest,
    ResourceType, Watched,
};
use async_trait::async_trait;
use futures::stream::BoxStream;
use http::Method;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// How many objects a page of a list has.
const PAGE: usize = 500;
/// How often a list is begun anew whose place was forgotten between two pages.
const BEGINNINGS: usize = 3;
/// What apply sends; JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// A cluster's API server; cheap to clone into streams.
pub(in crate::world::live) struct Api(pub(in crate::world::live) Arc<Cluster>);

/// Deleting these leaves no dependants that have to go first, so that waiting for a garbage collector is of no use.
fn is_alone(kind: &ResourceType) -> bool {
    match kind.api_version.split_once('/') {
        None => kind.kind != "ReplicationController",
        Some(("apps" | "batch", _)) => false,
        Some((group, _)) => {
            group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io") || matches!(group, "autoscaling" | "policy")
        }
    }
}

#[async_trait]
impl Kubernetes for Api {
    async fn identity(&self) -> Outcome<String> {
        let call = Call::new("kubernetes:Identity", self.0.connection.spoken());
        let namespace = self.0.ask(&call, &Ask::get("/api/v1/namespaces/kube-system")).await?;
        let uid = namespace["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
        uid.map(str::to_owned).ok_or_else(|| call.failure(Class::Unsupported, "the namespace kube-system has no uid"))
    }

    async fn resource_type(&self, api_version: &str, kind: &str) -> Outcome<Option<ResourceType>> {
        self.0.find_type(api_version, kind).await
    }

    async fn get(&self, object: &ObjectRef) -> Outcome<Option<Json>> {
        let call = Call::new("kubernetes:Get", object.to_string());
        let Some(kind) = self.0.find_type(&object.api_version, &object.kind).await? else { return Ok(None) };
        match self.0.answer(&call, &Ask::get(paths::of_object(&kind, object))).await? {
            Ok(bytes) => json_of(&call, &bytes).map(Some),
            Err(refused) if refused.is_absent() => Ok(None),
            Err(refused) => Err(refused.failure(&call)),
        }
    }

    async fn get_all(&self, objects: &[ObjectRef]) -> Outcome<BTreeMap<ObjectRef, Json>> {
        gather::gather(self, objects).await
    }

    async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Outcome<Vec<Json>> {
        let watched = Watched {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: None,
            labels: labels.clone(),
        };
        let Some(found) = self.0.find_type(api_version, kind).await? else { return Ok(Vec::new()) };
        Ok(list(&self.0, &found, &watched).await?.0)
    }

    async fn apply(&self, object: &Json, options: &ApplyOptions) -> Outcome<Json> {
        let subject = ObjectRef::of(object);
        let named = subject.as_ref().map(ToString::to_string).unwrap_or_default();
        let call = Call::new(if options.dry_run { "kubernetes:DryRun" } else { "kubernetes:Apply" }, named);
        let subject = subject
            .ok_or_else(|| call.failure(Class::Invalid, "an object needs apiVersion, kind and metadata.name"))?;
        let kind = self.0.find_type(&subject.api_version, &subject.kind).await?;
        let kind = kind.ok_or_else(|| {
            let what = format!("no matches for kind {:?} in version {:?}", subject.kind, subject.api_version);
            call.failure(Class::NotFound, what).hint("install the CRDs first")
        })?;
        let subject = ObjectRef { namespace: subject.namespace.or_else(|| Some("default".to_owned())), ..subject };
        let mut path = format!(
            "{}?fieldManager={}&fieldValidation=Strict",
            paths::of_object(&kind, &subject),
            paths::segment(&options.manager)
        );
        if options.force {
            path.push_str("&force=true");
        }
        if options.dry_run {
            path.push_str("&dryRun=All");
        }
        let body = serde_json::to_vec(object).map_err(|e| call.failure(Class::Invalid, e.to_string()))?;
        let ask = Ask { method: Method::PATCH, body: Some((APPLY, body)), ..Ask::get(path) };
        self.0.ask(&call, &ask).await
    }

    async fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Outcome<()> {
        let call = Call::new("kubernetes:Delete", object.to_string());
        let Some(kind) = self.0.find_type(&object.api_version, &object.kind).await? else { return Ok(()) };
        let how = if is_alone(&kind) { "Background" } else { "Foreground" };
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": how});
        if let Some(uid) = uid {
            options["preconditions"] = json!({"uid": uid});
        }
        let body = Some(("application/json", options.to_string().into_bytes()));
        let ask = Ask { method: Method::DELETE, body, ..Ask::get(paths::of_object(&kind, object)) };
        match self.0.answer(&call, &ask).await? {
            Ok(_) => Ok(()),
            Err(refused) if refused.is_absent() => Ok(()),
            Err(refused) => Err(refused.failure(&call)),
        }
    }

    async fn pod_request(&self, request: &PodRequest) -> Outcome<HttpAnswer> {
        forward::send(self, request).await
    }

    async fn events_about(&self, object: &ObjectRef) -> Outcome<Vec<String>> {
        let call = Call::new("kubernetes:ListEvents", object.to_string());
        // Of what lives in no namespace the events are in `default`.
        let namespace = object.namespace.as_deref().unwrap_or("default");
        let mut fields = format!("involvedObject.kind={},involvedObject.name={}", object.kind, object.name);
        if let Some(namespace) = &object.namespace {
            let _ = write!(fields, ",involvedObject.namespace={namespace}");
        }
        let path = format!(
            "/api/v1/namespaces/{}/events?limit={PAGE}&fieldSelector={}",
            paths::segment(namespace),
            paths::segment(&fields)
        );
        let found = self.0.ask(&call, &Ask::get(path)).await?;
        let mut events: Vec<&Json> = found["items"].as_array().into_iter().flatten().collect();
        events.sort_by_key(|event| std::cmp::Reverse(moment(event)));
        Ok(events.into_iter().map(line).collect())
    }

    fn changes(&self, watched: &Watched) -> BoxStream<'static, Outcome<ObjectChange>> {
        watch::changes(self.0.clone(), watched.clone())
    }

    async fn log(&self, request: &LogRequest) -> Outcome<Vec<String>> {
        let call = Call::new("kubernetes:GetPodLog", format!("Pod {}/{}", request.namespace, request.pod));
        let mut path = format!(
            "/api/v1/namespaces/{}/pods/{}/log?tailLines={}&limitBytes=65536",
            paths::segment(&request.namespace),
            paths::segment(&request.pod),
            request.lines
        );
        if let Some(container) = &request.container {
            let _ = write!(path, "&container={}", paths::segment(container));
        }
        if request.previous {
            path.push_str("&previous=true");
        }
        match self.0.answer(&call, &Ask { accept: Some("*/*"), ..Ask::get(path) }).await? {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()),
            // A container that never started, or a pod that is gone.
            Err(refused) if refused.is_absent() || refused.status == http::StatusCode::BAD_REQUEST => Ok(Vec::new()),
            Err(refused) => Err(refused.failure(&call)),
        }
    }
}

/// All objects of a type, page by page, in the order of namespace and name, and the moment of the list.
pub(super) async fn list(cluster: &Cluster, kind: &ResourceType, watched: &Watched) -> Outcome<(Vec<Json>, String)> {
    let call = Call::new("kubernetes:List", format!("{} {}", kind.kind, watched.namespace.as_deref().unwrap_or("*")));
    let base = format!("{}?limit={PAGE}{}", paths::of_type(kind, watched.namespace.as_deref()), selectors(watched));
    for _ in 0..BEGINNINGS {
        if let Some(whole) = pages(cluster, &call, &base, kind).await? {
            return Ok(whole);
        }
    }
    Err(call.failure(Class::Unavailable, "the list changed too fast to be read to its end"))
}

/// `None` where the server forgot its place in the list.
async fn pages(
    cluster: &Cluster,
    call: &Call,
    base: &str,
    kind: &ResourceType,
) -> Outcome<Option<(Vec<Json>, String)>> {
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let path = if next.is_empty() { base.to_owned() } else { format!("{base}&continue={}", paths::segment(&next)) };
        let page = match cluster.answer(call, &Ask::get(path)).await? {
            Ok(bytes) => json_of(call, &bytes)?,
            Err(refused) if refused.is_expired() && !next.is_empty() => return Ok(None),
            // The type went away since it was found.
            Err(refused) if refused.is_absent() => return Ok(Some((found, String::new()))),
            Err(refused) => return Err(refused.failure(call)),
        };
        let (items, metadata) = match page {
            Json::Object(mut page) => (page.remove("items"), page.remove("metadata").unwrap_or_default()),
            _ => (None, Json::Null),
        };
        let Some(Json::Array(items)) = items else {
            return Err(call.failure(Class::Unsupported, "the answer is no list"));
        };
        found.extend(items.into_iter().map(|item| typed(item, kind)));
        metadata["continue"].as_str().unwrap_or_default().clone_into(&mut next);
        if next.is_empty() {
            found.sort_by(|a, b| place(a).cmp(&place(b)));
            return Ok(Some((found, metadata["resourceVersion"].as_str().unwrap_or_default().to_owned())));
        }
    }
}

fn place(object: &Json) -> (&str, &str) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}

/// What a list leaves out: of what type its objects are.
fn typed(mut object: Json, kind: &ResourceType) -> Json {
    if let Some(entries) = object.as_object_mut() {
        entries.entry("apiVersion").or_insert_with(|| kind.api_version.as_str().into());
        entries.entry("kind").or_insert_with(|| kind.kind.as_str().into());
    }
    object
}

/// `&labelSelector=..&fieldSelector=..`.
pub(super) fn selectors(watched: &Watched) -> String {
    let mut out = String::new();
    if !watched.labels.is_empty() {
        let labels: Vec<String> = watched.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let _ = write!(out, "&labelSelector={}", paths::segment(&labels.join(",")));
    }
    if let Some(name) = &watched.name {
        let _ = write!(out, "&fieldSelector={}", paths::segment(&format!("metadata.name={name}")));
    }
    out
}

/// An answer's body.
pub(super) fn json_of(call: &Call, bytes: &[u8]) -> Result<Json, Failure> {
    serde_json::from_slice(bytes).map_err(|e| call.failure(Class::Unsupported, format!("the answer is no JSON: {e}")))
}

/// When an event was last seen.
fn moment(event: &Json) -> Option<jiff::Timestamp> {
    let times = ["lastTimestamp", "eventTime"].map(|key| &event[key]);
    let series = &event["series"]["lastObservedTime"];
    [series, times[0], times[1], &event["metadata"]["creationTimestamp"]]
        .iter()
        .find_map(|time| time.as_str()?.parse().ok())
}

/// `Warning: BackOff: back-off restarting failed container`.
fn line(event: &Json) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let many = event["count"].as_u64().filter(|n| *n > 1).map(|n| format!(" ({n} times)")).unwrap_or_default();
    format!("{}: {}: {}{many}", text("type"), text("reason"), text("message").trim().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_others_is_deleted_in_the_foreground() {
        let alone = |api_version: &str, kind: &str| {
            is_alone(&ResourceType {
                api_version: api_version.into(),
                kind: kind.into(),
                plural: String::new(),
                namespaced: true,
            })
        };
        for (version, kind) in [
            ("v1", "ConfigMap"),
            ("v1", "Namespace"),
            ("rbac.authorization.k8s.io/v1", "Role"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("policy/v1", "PodDisruptionBudget"),
        ] {
            assert!(alone(version, kind), "{version} {kind}");
        }
        for (version, kind) in [
            ("apps/v1", "Deployment"),
            ("batch/v1", "CronJob"),
            ("v1", "ReplicationController"),
            ("cert-manager.io/v1", "Certificate"),
            ("cluster.x-k8s.io/v1beta1", "Cluster"),
        ] {
            assert!(!alone(version, kind), "{version} {kind}");
        }
    }

    #[test]
    fn events_are_lines_with_their_newest_moment() {
        let event = json!({"type": "Warning", "reason": "BackOff", "message": "back-off\n", "count": 3,
            "lastTimestamp": null, "eventTime": "2026-01-01T00:00:00.5Z"});
        assert_eq!(line(&event), "Warning: BackOff: back-off (3 times)");
        assert_eq!(moment(&event), "2026-01-01T00:00:00.5Z".parse().ok());
    }
}
