//! The Kubernetes trait over the sandbox: each call is one call of the sandbox, so latency and faults apply.

use super::{super::Sandbox, record, removal, request, server, watch};
use crate::world::{
    ApplyOptions, HttpAnswer, Kubernetes, LogRequest, ObjectChange, ObjectRef, Outcome, PodRequest, ResourceType,
    Watched,
};
use futures::stream::BoxStream;
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// One cluster's API server.
#[derive(Clone)]
pub(super) struct Api {
    /// The world.
    pub(super) sandbox: Arc<Sandbox>,
    /// The cluster's key.
    pub(super) cluster: String,
}

#[async_trait::async_trait]
impl Kubernetes for Api {
    async fn identity(&self) -> Outcome<String> {
        let body = |tx: &mut super::super::Tx<'_>| {
            super::ensure(tx, &self.cluster);
            server::reach(tx, &self.cluster)?;
            let system = ObjectRef {
                api_version: "v1".into(),
                kind: "Namespace".into(),
                namespace: None,
                name: "kube-system".into(),
            };
            let uid = record::find(tx, &self.cluster, &system).map(|ns| ns.object["metadata"]["uid"].clone());
            Ok(uid.and_then(|uid| uid.as_str().map(str::to_owned)).unwrap_or_default())
        };
        self.sandbox.call("kubernetes:Identity", &self.cluster, body).await
    }

    async fn resource_type(&self, api_version: &str, kind: &str) -> Outcome<Option<ResourceType>> {
        let subject = format!("{api_version} {kind}");
        self.sandbox
            .call("kubernetes:GetType", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                Ok(server::resource_type(tx, &self.cluster, api_version, kind))
            })
            .await
    }

    async fn get(&self, object: &ObjectRef) -> Outcome<Option<Json>> {
        self.sandbox
            .call("kubernetes:Get", &object.to_string(), |tx| {
                super::ensure(tx, &self.cluster);
                server::get(tx, &self.cluster, object)
            })
            .await
    }

    async fn get_all(&self, objects: &[ObjectRef]) -> Outcome<BTreeMap<ObjectRef, Json>> {
        let subject = match objects {
            [one] => one.to_string(),
            many => format!("{} objects", many.len()),
        };
        self.sandbox
            .call("kubernetes:Get", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                let mut found = BTreeMap::new();
                for object in objects {
                    if let Some(there) = server::get(tx, &self.cluster, object)? {
                        found.insert(object.clone(), there);
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Outcome<Vec<Json>> {
        let subject = format!("{kind} {}", namespace.unwrap_or("*"));
        self.sandbox
            .call("kubernetes:List", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::list(tx, &self.cluster, (api_version, kind), namespace, labels)
            })
            .await
    }

    async fn apply(&self, object: &Json, options: &ApplyOptions) -> Outcome<Json> {
        let subject = ObjectRef::of(object).map(|o| o.to_string()).unwrap_or_default();
        let write = server::Write { manager: &options.manager, force: options.force, dry_run: options.dry_run };
        // A dry run is an operation of its own, so that a fault on applies does not strike plans.
        let operation = if options.dry_run { "kubernetes:DryRun" } else { "kubernetes:Apply" };
        self.sandbox
            .call(operation, &subject, |tx| {
                super::ensure(tx, &self.cluster);
                let applied = server::apply(tx, &self.cluster, object, write)?;
                if let Some(reference) = ObjectRef::of(&applied).filter(|_| !options.dry_run) {
                    match tx.take_halfway() {
                        Some(halfway) => super::crash(tx, &self.cluster, &reference, &halfway),
                        None => super::heal(tx, &self.cluster, &reference),
                    }
                }
                Ok(applied)
            })
            .await
    }

    async fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Outcome<()> {
        self.sandbox
            .call("kubernetes:Delete", &object.to_string(), |tx| {
                super::ensure(tx, &self.cluster);
                removal::check_uid(tx, &self.cluster, object, uid)?;
                if tx.take_halfway().is_some() {
                    super::hold(tx, &self.cluster, object);
                }
                removal::delete(tx, &self.cluster, object)
            })
            .await
    }

    async fn pod_request(&self, request: &PodRequest) -> Outcome<HttpAnswer> {
        let what = match &request.endpoint {
            crate::world::Endpoint::Service(name) => name.clone(),
            crate::world::Endpoint::Selector(labels) => {
                labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
            }
        };
        let subject = format!("{}/{what}", request.namespace);
        self.sandbox
            .call("kubernetes:GetPodProxy", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                request::send(tx, &self.cluster, request)
            })
            .await
    }

    async fn events_about(&self, object: &ObjectRef) -> Outcome<Vec<String>> {
        self.sandbox
            .call("kubernetes:ListEvents", &object.to_string(), |tx| {
                super::ensure(tx, &self.cluster);
                server::events(tx, &self.cluster, object)
            })
            .await
    }

    fn changes(&self, watched: &Watched) -> BoxStream<'static, Outcome<ObjectChange>> {
        watch::changes(self.clone(), watched.clone())
    }

    async fn log(&self, request: &LogRequest) -> Outcome<Vec<String>> {
        let subject = format!("Pod {}/{}", request.namespace, request.pod);
        self.sandbox
            .call("kubernetes:GetPodLog", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                Ok(server::log(tx, &self.cluster, request))
            })
            .await
    }
}
