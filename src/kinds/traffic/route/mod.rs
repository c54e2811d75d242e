//! Routes that are objects of a cluster: an `HTTPRoute`, a service, a `VirtualService`. Terrace makes and owns them.
//!
//! What receives the traffic of each side is noted on the object itself, so that any process that moves it knows the sides; the weights are
//! the object's own. Every write is one server-side apply of the whole object.

mod declared;
mod endpoints;
mod form;
mod gateway;
mod istio;
mod moved;
mod operation;
mod service;
mod sides;
#[cfg(test)]
mod tests;

pub(super) use declared::{place, prepare, read};
pub(super) use form::Form;
pub(super) use moved::open;
pub(super) use operation::{apply, preview, recover, undo};

use crate::{
    kinds::{Context, Owner},
    world::{Class, Failure, ObjectRef, Outcome},
};
use serde_json::{Value as Json, json};

/// The identity of an object, as `import` writes it.
fn identity(object: &ObjectRef) -> Json {
    json!({ "objects": [object] })
}

/// The object that an identity names.
fn reference(identity: &Json) -> Option<ObjectRef> {
    serde_json::from_value(identity["objects"].as_array()?.first()?.clone()).ok()
}

/// `gateway.networking.k8s.io/v1 HTTPRoute shop/web`.
pub(super) fn import_identity(id: &str) -> Option<Json> {
    let parts: Vec<&str> = id.split_whitespace().collect();
    let [api_version, kind, name] = parts[..] else { return None };
    let (namespace, name) = name.split_once('/')?;
    let form = Form::ALL.into_iter().find(|form| form.types() == (api_version, kind))?;
    Some(identity(&form.reference(namespace, name)))
}

/// The object; `None` where it, or its type, is not there.
async fn live(context: &Context, object: &ObjectRef) -> Outcome<Option<Json>> {
    let kubernetes = &context.cluster()?.kubernetes;
    match context.patiently(|| kubernetes.get(object)).await {
        Err(failure) if failure.class == Class::NotFound => {
            match kubernetes.resource_type(&object.api_version, &object.kind).await? {
                None => Ok(None),
                Some(_) => Err(failure),
            }
        }
        other => other,
    }
}

fn owner(context: &Context, object: &Json) -> Owner {
    let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations = annotations.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    context.marks.owner_by_annotations(&annotations, &context.address)
}

/// Why an object is not ours to change.
fn foreign(context: &Context, object: &Json) -> Option<Failure> {
    let named = ObjectRef::of(object).map(|object| object.to_string()).unwrap_or_default();
    let whose = match owner(context, object) {
        Owner::Ours(address) if address == context.address.as_str() => return None,
        Owner::Ours(who) | Owner::Other(who) => format!("belongs to {who}"),
        Owner::Nobody => "was not made by terrace".to_owned(),
    };
    Some(
        Failure::new(Class::Conflict, "kubernetes:Apply", named.clone(), format!("{named} exists and {whose}"))
            .hint("give this route another `name`"),
    )
}

fn failure(class: Class, context: &Context, message: impl Into<String>) -> Failure {
    Failure::new(class, "kubernetes:Apply", context.address.to_string(), message)
}
