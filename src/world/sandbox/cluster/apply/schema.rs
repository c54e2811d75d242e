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

const BY_NAME: ListType = ListType::Keyed(&["name"]);

/// Lists of a pod's spec whose items are merged by name.
const POD_LISTS_BY_NAME: [&str; 7] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "imagePullSecrets",
    "schedulingGates",
    "resourceClaims",
];

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
            ["spec", "ports"] if self.service => ListType::Keyed(&["port", "protocol"]),
            ["status", "conditions"] => ListType::Keyed(&["type"]),
            ["webhooks" | "secrets"] => BY_NAME,
            [.., "spec", last] if POD_LISTS_BY_NAME.contains(last) => BY_NAME,
            [.., "spec", "hostAliases"] => ListType::Keyed(&["ip"]),
            [.., "spec", "topologySpreadConstraints"] => ListType::Keyed(&["topologyKey", "whenUnsatisfiable"]),
            [.., "containers" | "initContainers" | "ephemeralContainers", last] => match *last {
                "ports" => ListType::Keyed(&["containerPort", "protocol"]),
                "env" => BY_NAME,
                "volumeMounts" => ListType::Keyed(&["mountPath"]),
                "volumeDevices" => ListType::Keyed(&["devicePath"]),
                _ => ListType::Atomic,
            },
            _ => ListType::Atomic,
        }
    }

    /// True where the map at this path of field names is one piece.
    pub(super) fn is_atomic_map(self, path: &[String]) -> bool {
        const ATOMIC: [&str; 12] = [
            "selector",
            "nodeSelector",
            "labelSelector",
            "namespaceSelector",
            "podSelector",
            "secretKeyRef",
            "configMapKeyRef",
            "fieldRef",
            "resourceFieldRef",
            "roleRef",
            "scopeSelector",
            "claimRef",
        ];
        self.built_in && path.last().is_some_and(|last| ATOMIC.contains(&last.as_str()))
    }
}
