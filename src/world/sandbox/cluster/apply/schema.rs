//! What the server knows of lists and maps in its own types: which lists are merged by key, which values are one piece.
//!
//! Custom resources are read without their schema, as the server does where a CRD says nothing of list types: every list is
//! atomic. Source: the `x-kubernetes-list-type` and `x-kubernetes-map-type` marks of the API's OpenAPI document.

/// How a list is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListType {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By these fields of each item.
    Keyed(&'static [&'static str]),
}

/// The shape of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schema {
    built_in: bool,
    service: bool,
}

impl Schema {
    /// The shape of a type.
    pub(crate) fn of(api_version: &str, kind: &str) -> Self {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let built_in = !group.contains('.') || group.ends_with(".k8s.io");
        Self { built_in, service: built_in && group.is_empty() && kind == "Service" }
    }

    /// How the list at this path of field names is merged.
    pub(super) fn list(self, path: &[String]) -> ListType {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["metadata", "finalizers"] => return ListType::Set,
            ["metadata", "ownerReferences"] => return ListType::Keyed(&["uid"]),
            _ if !self.built_in => return ListType::Atomic,
            _ => {}
        }
        match names.as_slice() {
            ["webhooks" | "secrets"] => ListType::Keyed(&["name"]),
            ["spec", "ports"] if self.service => ListType::Keyed(&["port", "protocol"]),
            ["status", "conditions"] => ListType::Keyed(&["type"]),
            [.., "spec", "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "imagePullSecrets"] => {
                ListType::Keyed(&["name"])
            }
            [.., "spec", "schedulingGates" | "resourceClaims"] => ListType::Keyed(&["name"]),
            [.., "spec", "hostAliases"] => ListType::Keyed(&["ip"]),
            [.., "spec", "topologySpreadConstraints"] => ListType::Keyed(&["topologyKey", "whenUnsatisfiable"]),
            [.., "containers" | "initContainers" | "ephemeralContainers", last] => match *last {
                "ports" => ListType::Keyed(&["containerPort", "protocol"]),
                "env" => ListType::Keyed(&["name"]),
                "volumeMounts" => ListType::Keyed(&["mountPath"]),
                "volumeDevices" => ListType::Keyed(&["devicePath"]),
                _ => ListType::Atomic,
            },
            _ => ListType::Atomic,
        }
    }

    /// True where the map at this path of field names is one piece.
    pub(super) fn is_atomic_map(self, path: &[String]) -> bool {
        if !self.built_in {
            return false;
        }
        match path.last().map(String::as_str) {
            Some("selector" | "nodeSelector" | "labelSelector" | "namespaceSelector" | "podSelector") => true,
            Some("secretKeyRef" | "configMapKeyRef" | "fieldRef" | "resourceFieldRef" | "roleRef") => true,
            Some("scopeSelector" | "claimRef" | "nodeSelectorTerms") => true,
            _ => false,
        }
    }
}
