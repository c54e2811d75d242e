//! The paths of the API: where objects of a type are, and how names are written in a URL. Source: "Kubernetes API Concepts".

use crate::world::{ObjectRef, ResourceType};
use std::fmt::Write as _;

/// Where the objects of a type are, in one namespace or in all: `/apis/apps/v1/namespaces/shop/deployments`.
pub(super) fn of_type(kind: &ResourceType, namespace: Option<&str>) -> String {
    let root = match kind.api_version.split_once('/') {
        None => format!("/api/{}", kind.api_version),
        Some((group, version)) => format!("/apis/{group}/{version}"),
    };
    match namespace.filter(|_| kind.namespaced) {
        Some(namespace) => format!("{root}/namespaces/{}/{}", segment(namespace), kind.plural),
        None => format!("{root}/{}", kind.plural),
    }
}

/// Where one object is.
pub(super) fn of_object(kind: &ResourceType, object: &ObjectRef) -> String {
    format!("{}/{}", of_type(kind, object.namespace.as_deref()), segment(&object.name))
}

/// A name as a part of a path, or as a value in a query.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let kind = |api_version: &str, plural: &str, namespaced| ResourceType {
            api_version: api_version.into(),
            kind: "X".into(),
            plural: plural.into(),
            namespaced,
        };
        let object = |namespace: Option<&str>, name: &str| ObjectRef {
            api_version: "v1".into(),
            kind: "X".into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        };
        let pods = kind("v1", "pods", true);
        assert_eq!(of_type(&pods, None), "/api/v1/pods");
        assert_eq!(of_object(&pods, &object(Some("a"), "b")), "/api/v1/namespaces/a/pods/b");
        let roles = kind("rbac.authorization.k8s.io/v1", "clusterroles", false);
        let reader = object(Some("a"), "system:node/reader");
        assert_eq!(
            of_object(&roles, &reader),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode%2Freader"
        );
    }
}
