//! The configuration schemas of add-ons: that of CoreDNS closed as EKS's own is, those of the others open.

use serde_json::{Value as Json, json};

/// The schema of an add-on's configuration values.
fn schema(addon: &str) -> Json {
    let object = json!({"type": ["object", "null"]});
    let strings = json!({"type": ["object", "null"], "additionalProperties": {"type": "string"}});
    let quantities = json!({"type": "object", "additionalProperties": false, "properties": {
        "cpu": {"type": "string"}, "memory": {"type": "string"},
    }});
    let resources = json!({"type": ["object", "null"], "additionalProperties": false, "properties": {
        "limits": quantities, "requests": quantities,
    }});
    let mut properties = json!({
        "affinity": object,
        "env": {"type": "object"},
        "nodeSelector": object,
        "podAnnotations": strings,
        "podLabels": strings,
        "replicaCount": {"type": "integer"},
        "resources": {"type": "object"},
        "tolerations": {"type": ["array", "null"], "items": {"type": "object"}},
    });
    let closed = addon == "coredns";
    if closed && let Some(properties) = properties.as_object_mut() {
        properties.remove("env");
        properties.insert("resources".to_owned(), resources);
        properties.insert("autoScaling".to_owned(), json!({"type": "object", "additionalProperties": false, "properties": {
            "enabled": {"type": "boolean"}, "minReplicas": {"type": "integer", "minimum": 2}, "maxReplicas": {"type": "integer"},
        }}));
        properties.insert("computeType".to_owned(), json!({"type": "string"}));
        properties.insert("corefile".to_owned(), json!({"type": ["string", "null"]}));
        properties.insert("podDisruptionBudget".to_owned(), json!({"type": "object"}));
        properties.insert("topologySpreadConstraints".to_owned(), json!({"type": "array"}));
    }
    json!({
        "$schema": "http://json-schema.org/draft-06/schema#",
        "title": addon,
        "type": "object",
        "additionalProperties": !closed,
        "properties": properties,
    })
}

/// The schema as DescribeAddonConfiguration tells it.
pub(super) fn text(addon: &str) -> String {
    schema(addon).to_string()
}

/// What EKS says of a configuration that does not fit.
pub(super) fn violation(addon: &str, configuration: &Json) -> Option<String> {
    let validator = jsonschema::validator_for(&schema(addon)).ok()?;
    let first = validator.iter_errors(configuration).next()?;
    Some(format!("${}: {first}", first.instance_path()))
}
