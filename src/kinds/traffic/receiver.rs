//! The service that is to receive a side's traffic, looked at before anything is bound to it: one that is not there would have no targets,
//! and be waited for in vain.

use crate::{
    kinds::{Context, objects},
    world::{Backend, Class, Failure, ObjectRef, Outcome},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The number of its port.
///
/// # Errors
/// [`Class::Invalid`] where there is no such service, or it has no such port: what is rolled out does not bring it. The message says what there is.
pub(super) async fn port(context: &Context, backend: &Backend) -> Outcome<u16> {
    let reference = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Some(backend.namespace.clone()),
        name: backend.service.clone(),
    };
    let failure = |what: String| Failure::new(Class::Invalid, "kubernetes:Get", context.address.to_string(), what);
    let Some(service) = objects::live(context, vec![reference.clone()]).await?.remove(&reference) else {
        let there = others(context, &backend.namespace).await?;
        return Err(failure(format!("there is no {reference} to send traffic to; {there}")));
    };
    let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let number: Option<u64> = backend.port.parse().ok();
    let is_meant =
        |port: &&Json| port["name"] == *backend.port || (number.is_some() && port["port"].as_u64() == number);
    let named = ports.iter().find(is_meant).and_then(|port| u16::try_from(port["port"].as_u64()?).ok());
    named.ok_or_else(|| {
        let has: Vec<String> = ports.iter().map(|port| port["port"].to_string()).collect();
        failure(format!("{reference} has no port {}; it has {}", backend.port, has.join(", ")))
    })
}

async fn others(context: &Context, namespace: &str) -> Outcome<String> {
    let kubernetes = &context.cluster()?.kubernetes;
    let any = BTreeMap::new();
    let all = context.patiently(|| kubernetes.list("v1", "Service", Some(namespace), &any)).await?;
    let names: Vec<&str> = all.iter().filter_map(|service| service["metadata"]["name"].as_str()).collect();
    Ok(match names.as_slice() {
        [] => format!("{namespace} has no service"),
        names => format!("{namespace} has {}", names.join(", ")),
    })
}
