//! Chart files to Kubernetes objects.

use super::{
    super::{request::ANSWERS, workload::READY_AFTER},
    catalogue::Found,
    template::{Scope, plain},
};
use crate::{base::Digest, world::Rendered};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// For whom a chart is rendered.
#[derive(Debug, Clone, Copy)]
pub(super) struct For<'a> {
    /// The release's name.
    pub(super) release: &'a str,
    /// Its namespace.
    pub(super) namespace: &'a str,
    /// Its values.
    pub(super) values: &'a Json,
    /// True for a release of Helm's, whose objects carry Helm's marks.
    pub(super) helm: bool,
}

/// Renders a chart: objects in install order, CRDs apart.
pub(super) fn render(found: &Found, whom: For<'_>) -> Rendered {
    let chart = &found.chart;
    let name = whom.values["nameOverride"].as_str().or(found.file["name"].as_str()).unwrap_or(&chart.name).to_owned();
    let fullname = match whom.values["fullnameOverride"].as_str() {
        Some(name) => name.to_owned(),
        None if whom.release.contains(&name) => whom.release.to_owned(),
        None => format!("{}-{name}", whom.release),
    };
    let words = BTreeMap::from([
        ("release", whom.release.to_owned()),
        ("short", whom.release.strip_prefix("istio-").unwrap_or(whom.release).to_owned()),
        ("namespace", whom.namespace.to_owned()),
        ("name", name),
        ("fullname", fullname),
        ("chart", chart.name.clone()),
        ("version", chart.version.clone()),
        ("app_version", chart.app_version.clone()),
    ]);
    let scope = Scope { words, values: whom.values };
    let list = |name: &str| found.file[name].as_array().cloned().unwrap_or_default();
    let live = |entry: &Json| {
        scope.holds(entry.get("when")) && (entry.get("unless").is_none() || !scope.holds(entry.get("unless")))
    };
    let mut objects = Vec::new();
    if whom.helm && found.file["settings"] != false {
        let digest = Digest::of_json(whom.values).map(|d| d.to_string()).unwrap_or_default();
        objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": scope.text("${fullname}-settings")},
            "data": {"values": digest, "version": chart.version},
        }));
    }
    for account in list("accounts").iter().filter(|entry| live(entry)) {
        let annotations = scope.fill(&account["annotations"]);
        let mut metadata = json!({"name": scope.fill(&account["name"])});
        if annotations.is_object() {
            metadata["annotations"] = annotations;
        }
        objects.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
    }
    for entry in list("objects").iter().filter(|entry| entry.is_object() && live(entry)) {
        let mut object = scope.fill(entry);
        if let Some(fields) = object.as_object_mut() {
            fields.remove("when");
            fields.remove("unless");
        }
        objects.push(object);
    }
    for entry in list("services").iter().filter(|entry| live(entry)) {
        objects.push(placed(&scope, entry, service(&scope, entry)));
    }
    for entry in list("workloads").iter().filter(|entry| live(entry)) {
        objects.extend(workload(&scope, entry).into_iter().map(|object| placed(&scope, entry, object)));
    }
    for object in &mut objects {
        mark(&scope, object, whom);
    }
    objects.sort_by_key(|object| install_order(object["kind"].as_str().unwrap_or_default()));
    let crds = if scope.holds(found.file.get("crds_when")) { crds(&found.file["crds"]) } else { Vec::new() };
    Rendered { objects, crds, hooks: Vec::new() }
}

/// In the namespace that its entry names, if it names one.
fn placed(scope: &Scope<'_>, entry: &Json, mut object: Json) -> Json {
    let namespace = scope.fill(&entry["namespace"]);
    if namespace.is_string() {
        object["metadata"]["namespace"] = namespace;
    }
    object
}

/// Labels and annotations that every object of a release bears, and its namespace.
fn mark(scope: &Scope<'_>, object: &mut Json, whom: For<'_>) {
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let cluster_wide = super::super::types::built_in(&api_version, &kind).is_some_and(|kind| !kind.namespaced);
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let metadata = &mut object["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    if !cluster_wide && metadata["namespace"].is_null() {
        metadata["namespace"] = whom.namespace.into();
    }
    if cluster_wide && let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("namespace");
    }
    let mut labels = json!({
        "app.kubernetes.io/name": scope.words["name"], "app.kubernetes.io/instance": whom.release,
    });
    if whom.helm {
        labels["app.kubernetes.io/managed-by"] = "Helm".into();
        labels["app.kubernetes.io/version"] = scope.words["app_version"].clone().into();
        labels["helm.sh/chart"] = format!("{}-{}", scope.words["chart"], scope.words["version"]).into();
        metadata["annotations"]["meta.helm.sh/release-name"] = whom.release.into();
        metadata["annotations"]["meta.helm.sh/release-namespace"] = whom.namespace.into();
    }
    if let Some(own) = metadata["labels"].as_object() {
        for (key, value) in own {
            labels[key] = value.clone();
        }
    }
    metadata["labels"] = labels;
}

/// The order in which Helm installs kinds.
fn install_order(kind: &str) -> usize {
    const ORDER: [&str; 22] = [
        "PriorityClass",
        "Namespace",
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "PodDisruptionBudget",
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "StorageClass",
        "PersistentVolumeClaim",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "Service",
        "DaemonSet",
        "Deployment",
        "StatefulSet",
        "Job",
        "CronJob",
    ];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

fn selector(scope: &Scope<'_>, entry: &Json) -> Json {
    if let Some(selector) = entry.get("selector") {
        return scope.fill(selector);
    }
    let mut labels =
        json!({"app.kubernetes.io/name": scope.words["name"], "app.kubernetes.io/instance": scope.words["release"]});
    if let Some(component) = entry["component"].as_str() {
        labels["app.kubernetes.io/component"] = component.into();
    }
    labels
}

fn service(scope: &Scope<'_>, entry: &Json) -> Json {
    let ports: Vec<Json> = entry["ports"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, numbers)| {
            let numbers = scope.fill(numbers);
            let (port, target) = match numbers.as_array().map(Vec::as_slice) {
                Some([port, target]) => (port.clone(), target.clone()),
                _ => (numbers.clone(), numbers),
            };
            json!({"name": name, "port": whole(port), "targetPort": whole(target), "protocol": "TCP"})
        })
        .collect();
    let mut spec = json!({"ports": ports, "selector": selector(scope, entry)});
    for (field, name) in [("type", "type"), ("clusterIP", "cluster_ip")] {
        let value = scope.fill(&entry[name]);
        if !value.is_null() {
            spec[field] = value;
        }
    }
    let mut metadata = json!({"name": scope.fill(&entry["name"])});
    for name in ["labels", "annotations"] {
        let value = scope.fill(&entry[name]);
        if value.is_object() {
            metadata[name] = value;
        }
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

/// A number that came as text.
fn whole(value: Json) -> Json {
    value.as_str().and_then(|text| text.parse::<u16>().ok()).map_or(value, Json::from)
}

/// The object of a workload, and the claims of its volumes.
fn workload(scope: &Scope<'_>, entry: &Json) -> Vec<Json> {
    const KINDS: [(&str, &str, &str); 5] = [
        ("deployment", "apps/v1", "Deployment"),
        ("statefulset", "apps/v1", "StatefulSet"),
        ("daemonset", "apps/v1", "DaemonSet"),
        ("job", "batch/v1", "Job"),
        ("cronjob", "batch/v1", "CronJob"),
    ];
    let Some((field, api_version, kind)) = KINDS.iter().find(|(field, ..)| entry.get(field).is_some()) else {
        return Vec::new();
    };
    let name = plain(&scope.fill(&entry[*field]));
    let selector = selector(scope, entry);
    let mut labels = selector.as_object().cloned().unwrap_or_default();
    if let Json::Object(more) = scope.fill(&entry["labels"]) {
        labels.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    let mut annotations = Map::new();
    if let Json::Object(more) = scope.fill(&entry["annotations"]) {
        annotations.extend(more);
    }
    if let Json::Object(answers) = scope.fill(&entry["answers"]) {
        let text: Vec<String> = answers
            .iter()
            .map(|(port, paths)| {
                let paths: Vec<String> = paths.as_array().into_iter().flatten().map(plain).collect();
                format!("{port}={}", paths.join(","))
            })
            .collect();
        annotations.insert(ANSWERS.into(), text.join(" ").into());
    }
    if let Some(after) = entry["ready_after"].as_str() {
        annotations.insert(READY_AFTER.into(), after.into());
    }
    let mut containers =
        vec![container(scope, entry, &plain(&scope.fill(entry.get("container").unwrap_or(&json!("${chart}")))))];
    for sidecar in entry["sidecars"].as_array().into_iter().flatten().filter(|s| scope.holds(s.get("when"))) {
        containers.push(container(scope, sidecar, &plain(&scope.fill(&sidecar["name"]))));
    }
    let mut pod = json!({"containers": containers});
    let account = scope.fill(&entry["account"]);
    if !account.is_null() {
        pod["serviceAccountName"] = account;
    }
    let mut template = json!({"metadata": {"labels": labels}, "spec": pod});
    if !annotations.is_empty() {
        template["metadata"]["annotations"] = Json::Object(annotations);
    }
    let mut claims = Vec::new();
    for claim in entry["claims"].as_array().into_iter().flatten().filter(|claim| scope.holds(claim.get("when"))) {
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": scope.fill(claim.get("size").unwrap_or(&json!("10Gi")))}},
        });
        let class = scope.fill(&claim["class"]);
        if class.as_str().is_some_and(|class| !class.is_empty()) {
            spec["storageClassName"] = class;
        }
        claims.push((plain(&scope.fill(&claim["name"])), spec));
    }
    let mut spec = json!({"selector": {"matchLabels": selector}, "template": template});
    let mut objects = Vec::new();
    if *field == "statefulset" {
        let templates: Vec<Json> =
            claims.iter().map(|(name, spec)| json!({"metadata": {"name": name}, "spec": spec})).collect();
        if !templates.is_empty() {
            spec["volumeClaimTemplates"] = Json::Array(templates);
        }
        spec["serviceName"] = scope.fill(entry.get("headless").unwrap_or(&json!(name)));
    } else if !claims.is_empty() {
        let volumes: Vec<Json> = claims
            .iter()
            .map(|(name, _)| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
            .collect();
        spec["template"]["spec"]["volumes"] = Json::Array(volumes);
        objects.extend(claims.into_iter().map(|(name, spec)| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
        }));
    }
    match *field {
        "deployment" | "statefulset" => {
            let replicas = scope.fill(entry.get("replicas").unwrap_or(&json!(1)));
            spec["replicas"] = if replicas.is_u64() { replicas } else { json!(1) };
        }
        "job" => {
            spec = json!({"template": spec["template"]});
            spec["template"]["spec"]["restartPolicy"] = "OnFailure".into();
        }
        "cronjob" => {
            spec = json!({"schedule": scope.fill(&entry["schedule"]), "jobTemplate": {"spec": {"template": spec["template"]}}});
        }
        _ => {}
    }
    objects.push(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}));
    objects
}

fn container(scope: &Scope<'_>, entry: &Json, name: &str) -> Json {
    let mut container = json!({"name": name, "image": scope.fill(&entry["image"])});
    if let Json::Object(ports) = scope.fill(&entry["ports"]) {
        let ports: Vec<Json> = ports
            .into_iter()
            .map(|(name, port)| json!({"name": name, "containerPort": whole(port), "protocol": "TCP"}))
            .collect();
        container["ports"] = Json::Array(ports);
    }
    for (field, probe) in [("ready", "readinessProbe"), ("alive", "livenessProbe")] {
        let get = scope.fill(&entry[field]);
        if get.is_object() {
            container[probe] = json!({"httpGet": get});
        }
    }
    let resources = scope.fill(&entry["resources"]);
    if resources.as_object().is_some_and(|r| !r.is_empty()) {
        container["resources"] = resources;
    }
    if container["image"].is_null() {
        container["image"] = format!("{name}:latest").into();
    }
    container
}

/// CRDs from `GROUP/VERSION: [Kind, !ClusterWideKind]`.
fn crds(file: &Json) -> Vec<Json> {
    let mut crds = Vec::new();
    for (api_version, kinds) in file.as_object().into_iter().flatten() {
        let Some((group, version)) = api_version.split_once('/') else { continue };
        for entry in kinds.as_array().into_iter().flatten().filter_map(Json::as_str) {
            let (scope, kind) = entry.strip_prefix('!').map_or(("Namespaced", entry), |kind| ("Cluster", kind));
            let (kind, given) = kind.split_once('/').map_or((kind, None), |(kind, plural)| (kind, Some(plural)));
            let singular = kind.to_lowercase();
            let plural = given.map_or_else(|| plural(&singular), str::to_owned);
            // One CRD serves the versions of its group that were listed before, too.
            let name = format!("{plural}.{group}");
            let served = json!({
                "name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            });
            if let Some(known) = crds.iter_mut().find(|crd: &&mut Json| crd["metadata"]["name"] == name.as_str()) {
                for older in known["spec"]["versions"].as_array_mut().into_iter().flatten() {
                    older["storage"] = false.into();
                }
                if let Some(versions) = known["spec"]["versions"].as_array_mut() {
                    versions.push(served);
                }
                continue;
            }
            crds.push(json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
                "spec": {
                    "group": group, "scope": scope, "versions": [served],
                    "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular},
                },
            }));
        }
    }
    crds
}

fn plural(singular: &str) -> String {
    let vowel_y = ["ay", "ey", "oy", "uy"].iter().any(|end| singular.ends_with(end));
    if let Some(stem) = singular.strip_suffix('y').filter(|_| !vowel_y) {
        format!("{stem}ies")
    } else if ["s", "x", "ch", "sh"].iter().any(|end| singular.ends_with(end)) {
        format!("{singular}es")
    } else {
        format!("{singular}s")
    }
}
