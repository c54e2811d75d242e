//! The three forms of a route, and what each is made of.

use super::{gateway, istio, service, sides::Sides};
use crate::{
    base::Value,
    world::{ObjectRef, Weights},
};
use serde_json::Value as Json;

/// A form of route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kinds::traffic) enum Form {
    /// An `HTTPRoute` of the Gateway API.
    Gateway,
    /// A service whose selector is switched.
    Service,
    /// A `VirtualService` of Istio.
    Istio,
}

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::Gateway, Self::Service, Self::Istio];

    /// The form of these inputs.
    pub(in crate::kinds::traffic) fn of(inputs: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|form| inputs.get(form.word()).is_some_and(|block| !block.is_null()))
    }

    /// The block that says it.
    pub(in crate::kinds::traffic) const fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Service => "service",
            Self::Istio => "istio",
        }
    }

    /// What may be written in its block.
    pub(super) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Gateway => &["namespace", "name", "parent", "parent_namespace", "hostnames", "path"],
            Self::Service => &["namespace", "name"],
            Self::Istio => &["namespace", "name", "hosts", "gateways"],
        }
    }

    /// `apiVersion` and `kind`.
    pub(super) const fn types(self) -> (&'static str, &'static str) {
        match self {
            Self::Gateway => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            Self::Service => ("v1", "Service"),
            Self::Istio => ("networking.istio.io/v1", "VirtualService"),
        }
    }

    /// The form of an object.
    pub(super) fn of_object(object: &ObjectRef) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.types() == (object.api_version.as_str(), object.kind.as_str()))
    }

    pub(super) fn reference(self, namespace: &str, name: &str) -> ObjectRef {
        let (api_version, kind) = self.types();
        ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// The object's `spec`. `backend` is the service whose side has the traffic, where it was looked up.
    pub(super) fn spec(self, block: &Json, sides: &Sides, backend: Option<&Json>) -> Json {
        match self {
            Self::Gateway => gateway::spec(block, sides),
            Self::Service => service::spec(backend),
            Self::Istio => istio::spec(block, sides),
        }
    }

    /// What is declared of an object, as its block would say it; and what it has that we never wrote.
    pub(super) fn declared(self, object: &Json) -> (Json, Vec<String>) {
        match self {
            Self::Gateway => gateway::declared(object),
            Self::Service => service::declared(object),
            Self::Istio => istio::declared(object),
        }
    }

    /// The weights that an object has, and why they cannot be told or are not all there is.
    pub(super) fn weights(self, object: &Json, sides: &Sides) -> (Weights, Option<String>) {
        match self {
            Self::Gateway => gateway::weights(object, sides),
            Self::Service => service::weights(object),
            Self::Istio => istio::weights(object, sides),
        }
    }

    /// Why what an object says is not in force yet, by the platform's own word. `backend` as in [`Form::spec`].
    pub(super) fn unproved(self, object: &Json, backend: Option<&Json>) -> Option<String> {
        match self {
            Self::Gateway => gateway::unproved(object),
            Self::Service => service::unproved(object, backend),
            Self::Istio => istio::unproved(object),
        }
    }
}

/// A text of a block.
pub(super) fn text(block: &Json, name: &str) -> String {
    block[name].as_str().unwrap_or_default().to_owned()
}
