//! What the API server checks and fills in when an object is written: required fields, fields that may not change,
//! defaults. Messages are the real server's.

use super::types::group;
use crate::world::{Class, Failure, ObjectRef};
use serde_json::{Map, Value as Json, json};

/// A refused write.
pub(super) fn invalid(object: &ObjectRef, cause: impl std::fmt::Display) -> Failure {
    let group = group(&object.api_version);
    let kind = if group.is_empty() { object.kind.clone() } else { format!("{}.{group}", object.kind) };
    let message = format!("{kind} {:?} is invalid: {cause}", object.name);
    Failure::new(Class::Invalid, "kubernetes:Apply", object.to_string(), message)
}

/// Checks the name's syntax.
pub(super) fn check_name(object: &ObjectRef) -> Result<(), Failure> {
    let name = &object.name;
    if group(&object.api_version) == "rbac.authorization.k8s.io" {
        let bad = name.is_empty() || name.contains(['/', '%', '|']) || name == "." || name == "..";
        return if bad { Err(invalid(object, format!("metadata.name: Invalid value: {name:?}"))) } else { Ok(()) };
    }
    let label = matches!(object.kind.as_str(), "Namespace" | "Service");
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let fine = if label { part(name) } else { name.len() <= 253 && name.split('.').all(part) };
    if fine {
        return Ok(());
    }
    let rule = if label {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with \
         an alphanumeric character"
    } else {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
         end with an alphanumeric character"
    };
    Err(invalid(object, format!("metadata.name: Invalid value: {name:?}: {rule}")))
}

/// Checks what a new or changed object must have.
pub(super) fn check(object: &ObjectRef, value: &Json) -> Result<(), Failure> {
    let spec = &value["spec"];
    for name in ["labels", "annotations"] {
        if let Some(map) = value["metadata"][name].as_object()
            && let Some((key, other)) = map.iter().find(|(_, v)| !v.is_string())
        {
            let message = format!("metadata.{name}.{key}: Invalid value: {other}: must be a string");
            return Err(invalid(object, message));
        }
    }
    let is_workload = matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        && object.api_version == "apps/v1";
    if is_workload {
        let Some(labels) = spec["selector"]["matchLabels"].as_object().filter(|l| !l.is_empty()) else {
            if spec["selector"]["matchExpressions"].is_array() {
                return check_pod(object, &spec["template"]["spec"], "spec.template.spec");
            }
            return Err(invalid(object, "spec.selector: Required value"));
        };
        let template = &spec["template"]["metadata"]["labels"];
        if labels.iter().any(|(key, value)| template.get(key) != Some(value)) {
            let cause = format!(
                "spec.template.metadata.labels: Invalid value: {template}: `selector` does not match template `labels`"
            );
            return Err(invalid(object, cause));
        }
    }
    if is_workload || (object.kind == "Job" && object.api_version == "batch/v1") {
        check_pod(object, &spec["template"]["spec"], "spec.template.spec")?;
    }
    match (object.api_version.as_str(), object.kind.as_str()) {
        ("v1", "Pod") => check_pod(object, spec, "spec"),
        ("v1", "Service")
            if spec["ports"].as_array().is_none_or(Vec::is_empty)
                && spec["type"] != "ExternalName"
                && spec["clusterIP"] != "None" =>
        {
            Err(invalid(object, "spec.ports: Required value"))
        }
        ("storage.k8s.io/v1", "StorageClass") if !value["provisioner"].is_string() => {
            Err(invalid(object, "provisioner: Required value"))
        }
        _ => Ok(()),
    }
}

fn check_pod(object: &ObjectRef, spec: &Json, at: &str) -> Result<(), Failure> {
    let Some(containers) = spec["containers"].as_array().filter(|c| !c.is_empty()) else {
        return Err(invalid(object, format!("{at}.containers: Required value")));
    };
    for (index, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if container[field].as_str().is_none_or(str::is_empty) {
                return Err(invalid(object, format!("{at}.containers[{index}].{field}: Required value")));
            }
        }
    }
    Ok(())
}

/// Checks that what may not change did not.
pub(super) fn check_unchanged(object: &ObjectRef, old: &Json, new: &Json) -> Result<(), Failure> {
    let same = |path: &str| old.pointer(path) == new.pointer(path);
    let dotted = |path: &str| path.trim_start_matches('/').replace('/', ".");
    let immutable = |path: &str| {
        let value = new.pointer(path).unwrap_or(&Json::Null);
        Err(invalid(object, format!("{}: Invalid value: {value}: field is immutable", dotted(path))))
    };
    let first_changed = |paths: &[&'static str]| paths.iter().find(|path| !same(path)).copied();
    match (group(&object.api_version), object.kind.as_str()) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") if !same("/spec/selector") => immutable("/spec/selector"),
        ("apps", "StatefulSet") => {
            let may = [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ];
            let rest = |value: &Json| -> Map<String, Json> {
                let spec = value["spec"].as_object().cloned().unwrap_or_default();
                spec.into_iter().filter(|(name, _)| !may.contains(&name.as_str())).collect()
            };
            if rest(old) == rest(new) {
                return Ok(());
            }
            let cause = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                         'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                         'minReadySeconds' are forbidden";
            Err(invalid(object, cause))
        }
        ("batch", "Job") => {
            first_changed(&["/spec/template", "/spec/selector", "/spec/completions"]).map_or(Ok(()), immutable)
        }
        ("", "Service") if old["spec"]["clusterIP"].is_string() && !same("/spec/clusterIP") => {
            if new["spec"]["type"] == "ExternalName" { Ok(()) } else { immutable("/spec/clusterIP") }
        }
        ("", "PersistentVolumeClaim") => {
            let rest = |value: &Json| {
                let mut spec = value["spec"].clone();
                if let Some(spec) = spec.as_object_mut() {
                    spec.remove("resources");
                }
                spec
            };
            if rest(old) == rest(new) {
                return Ok(());
            }
            let cause = "spec: Forbidden: spec is immutable after creation except resources.requests and \
                         volumeAttributesClassName for bound claims";
            Err(invalid(object, cause))
        }
        ("", "Secret") if !same("/type") => immutable("/type"),
        ("", "Secret" | "ConfigMap") if old["immutable"] == true && !same("/data") => {
            Err(invalid(object, "data: Forbidden: field is immutable when `immutable` is set"))
        }
        ("storage.k8s.io", "StorageClass") => {
            match first_changed(&["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"]) {
                Some(path) => {
                    let field = dotted(path);
                    Err(invalid(object, format!("{field}: Forbidden: updates to {field} are forbidden.")))
                }
                None => Ok(()),
            }
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") if !same("/roleRef") => {
            Err(invalid(object, format!("roleRef: Invalid value: {}: cannot change roleRef", new["roleRef"])))
        }
        _ => Ok(()),
    }
}

/// Sets a field that is not there.
fn default(value: &mut Json, name: &str, to: impl Into<Json>) {
    if let Some(fields) = value.as_object_mut() {
        fields.entry(name).or_insert_with(|| to.into());
    }
}

/// The field below, where there is one. Indexing for writing would panic on what is no map.
fn below<'a>(value: &'a mut Json, path: &[&str]) -> Option<&'a mut Json> {
    path.iter().try_fold(value, |value, name| value.as_object_mut()?.get_mut(*name))
}

/// The items of the list below.
fn items<'a>(value: &'a mut Json, path: &[&str]) -> impl Iterator<Item = &'a mut Json> {
    below(value, path).and_then(Json::as_array_mut).into_iter().flatten()
}

/// Fills in what the server fills in. `address` is a number to make cluster addresses from.
pub(super) fn fill_in(object: &ObjectRef, value: &mut Json, address: u64) {
    match (object.api_version.as_str(), object.kind.as_str()) {
        ("v1", "Namespace") => {
            default(value, "spec", json!({}));
            if let Some(metadata) = below(value, &["metadata"]) {
                default(metadata, "labels", json!({}));
            }
            if let Some(labels) = below(value, &["metadata", "labels"]) {
                default(labels, "kubernetes.io/metadata.name", object.name.clone());
            }
        }
        ("v1", "Secret") => default(value, "type", "Opaque"),
        ("storage.k8s.io/v1", "StorageClass") => {
            default(value, "reclaimPolicy", "Delete");
            default(value, "volumeBindingMode", "Immediate");
        }
        _ => {}
    }
    let Some(spec) = below(value, &["spec"]) else { return };
    match (object.api_version.as_str(), object.kind.as_str()) {
        ("apps/v1", "Deployment") => {
            default(spec, "replicas", 1);
            default(spec, "revisionHistoryLimit", 10);
            default(spec, "progressDeadlineSeconds", 600);
            let rolling =
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
            default(spec, "strategy", rolling);
        }
        ("apps/v1", "StatefulSet") => {
            default(spec, "replicas", 1);
            default(spec, "podManagementPolicy", "OrderedReady");
            default(spec, "updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}));
        }
        ("batch/v1", "Job") => {
            default(spec, "completions", 1);
            default(spec, "parallelism", 1);
            default(spec, "backoffLimit", 6);
        }
        ("v1", "Pod") => fill_in_pod(spec),
        ("v1", "Service") => {
            default(spec, "type", "ClusterIP");
            default(spec, "sessionAffinity", "None");
            if spec["type"] != "ExternalName" {
                default(spec, "clusterIP", format!("10.100.{}.{}", address >> 8 & 0xff, (address & 0xff).max(1)));
            }
            for port in items(spec, &["ports"]) {
                default(port, "protocol", "TCP");
                let number = port["port"].clone();
                default(port, "targetPort", number);
            }
        }
        ("v1", "Namespace") => default(spec, "finalizers", json!(["kubernetes"])),
        ("v1", "PersistentVolumeClaim") => default(spec, "volumeMode", "Filesystem"),
        _ => {}
    }
    if object.api_version == "apps/v1"
        && let Some(pod) = below(spec, &["template", "spec"])
    {
        fill_in_pod(pod);
    }
}

fn fill_in_pod(spec: &mut Json) {
    default(spec, "restartPolicy", "Always");
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "terminationGracePeriodSeconds", 30);
    for container in items(spec, &["containers"]) {
        let floating = container["image"].as_str().is_some_and(|image| image.ends_with(":latest"));
        default(container, "imagePullPolicy", if floating { "Always" } else { "IfNotPresent" });
        for port in items(container, &["ports"]) {
            default(port, "protocol", "TCP");
        }
    }
}

/// The config as the server reads it: `stringData` of a secret becomes `data`, a status is not the writer's to set.
pub(super) fn read_config(config: &Json, custom: bool) -> Json {
    use base64::Engine as _;
    let mut config = config.clone();
    let is_secret = config["kind"] == "Secret" && config["apiVersion"] == "v1";
    let Some(fields) = config.as_object_mut() else { return config };
    if !custom {
        fields.remove("status");
    }
    if is_secret && let Some(Json::Object(plain)) = fields.remove("stringData") {
        let data = fields.entry("data").or_insert_with(|| json!({}));
        if let Some(data) = data.as_object_mut() {
            for (name, value) in plain {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                data.insert(name, base64::engine::general_purpose::STANDARD.encode(text).into());
            }
        }
    }
    config
}
