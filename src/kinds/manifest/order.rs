//! In which order objects are made, and the other way round deleted. Pure.

use crate::world::ObjectRef;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// What must be there before the rest, by kind: smaller first.
pub(super) fn rank(reference: &ObjectRef) -> u8 {
    match reference.kind.as_str() {
        "Namespace" => 0,
        "CustomResourceDefinition" | "StorageClass" | "PriorityClass" | "IngressClass" | "RuntimeClass" => 1,
        "ServiceAccount" | "ClusterRole" | "Role" | "ClusterRoleBinding" | "RoleBinding" => 2,
        "ConfigMap"
        | "Secret"
        | "PersistentVolume"
        | "PersistentVolumeClaim"
        | "Service"
        | "ResourceQuota"
        | "LimitRange" => 3,
        // They would judge, and maybe refuse, what is made beside them.
        "ValidatingWebhookConfiguration"
        | "MutatingWebhookConfiguration"
        | "ValidatingAdmissionPolicy"
        | "ValidatingAdmissionPolicyBinding"
        | "APIService" => 5,
        _ => 4,
    }
}

/// The types that a definition brings: `apiVersion` and kind each.
pub(super) fn defined(object: &Json) -> BTreeSet<(String, String)> {
    if object["kind"] != "CustomResourceDefinition" {
        return BTreeSet::new();
    }
    let spec = &object["spec"];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]));
    let versions = spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] != false);
    versions.map(|v| (format!("{group}/{}", text(&v["name"])), kind.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_definition_comes_before_what_it_defines_and_a_webhook_last() {
        let rank = |kind: &str| {
            rank(&ObjectRef { api_version: "v1".into(), kind: kind.into(), namespace: None, name: "x".into() })
        };
        let order = ["Namespace", "CustomResourceDefinition", "ServiceAccount", "ConfigMap", "Deployment"];
        assert!(order.windows(2).all(|two| rank(two[0]) < rank(two[1])));
        assert!(rank("ValidatingWebhookConfiguration") > rank("Thing"));
    }

    #[test]
    fn only_served_versions_are_defined() {
        let object = json!({"kind": "CustomResourceDefinition", "spec": {"group": "x.io", "names": {"kind": "Thing"},
            "versions": [{"name": "v1"}, {"name": "v1beta1", "served": false}]}});
        assert_eq!(defined(&object), [("x.io/v1".to_owned(), "Thing".to_owned())].into());
        assert!(defined(&json!({"kind": "ConfigMap"})).is_empty());
    }
}
