//! Which types a server has: asked once, and again where one is missing. Source: "API discovery" of Kubernetes' documentation.
//!
//! Aggregated discovery (v2, since 1.27 by default) tells all types in two requests; a server that does not have it is asked
//! group by group.

use super::{
    cluster::{Ask, Cluster},
    failure::Call,
};
use crate::world::{Class, Failure, Outcome, ResourceType};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::Mutex;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// By `apiVersion` and kind.
type Known = BTreeMap<(String, String), ResourceType>;

/// What a server has, as far as it was asked.
#[derive(Default)]
pub(super) struct Types {
    seen: RwLock<Option<Arc<Seen>>>,
    /// Held while the server is asked, so that many who miss a type ask once.
    asking: Mutex<()>,
}

#[derive(Default)]
struct Seen {
    /// How often the server was asked before.
    round: u64,
    known: Known,
    /// Group versions whose own server did not answer.
    stale: Vec<String>,
}

impl Types {
    fn seen(&self) -> Option<Arc<Seen>> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Types {
    /// Every group version and kind that was seen.
    pub(super) fn known(&self) -> Vec<(String, String)> {
        self.seen().map(|seen| seen.known.keys().cloned().collect()).unwrap_or_default()
    }
}

impl Cluster {
    /// The type, where the server has it. One that was not there is asked for again each time.
    ///
    /// # Errors
    /// A server that does not answer, or that cannot say since the one behind it does not.
    pub(super) async fn find_type(&self, api_version: &str, kind: &str) -> Outcome<Option<ResourceType>> {
        let key = (api_version.to_owned(), kind.to_owned());
        let before = self.types.seen();
        if let Some(found) = before.as_ref().and_then(|seen| seen.known.get(&key)) {
            return Ok(Some(found.clone()));
        }
        let round = before.map(|seen| seen.round);
        let _asking = self.types.asking.lock().await;
        // Somebody else who missed a type may have asked after we looked.
        let newer = self.types.seen().filter(|seen| Some(seen.round) != round);
        let now = if let Some(seen) = newer {
            seen
        } else {
            let mut seen = self.discover().await?;
            seen.round = round.map_or(0, |round| round + 1);
            let seen = Arc::new(seen);
            *self.types.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(seen.clone());
            seen
        };
        if let Some(found) = now.known.get(&key) {
            return Ok(Some(found.clone()));
        }
        if now.stale.iter().any(|stale| stale == api_version) {
            let what = format!("the server behind {api_version} does not answer, so its types are not known");
            return Err(Failure::new(Class::Unavailable, "kubernetes:GetType", format!("{api_version} {kind}"), what)
                .hint("see why its APIService is not available: kubectl get apiservices"));
        }
        Ok(None)
    }

    async fn discover(&self) -> Outcome<Seen> {
        let call = Call::new("kubernetes:GetTypes", self.connection.spoken());
        let ask = |path: &str| Ask { accept: Some(ACCEPT), ..Ask::get(path) };
        let (core, groups) = (ask("/api"), ask("/apis"));
        let (core, groups) = futures::try_join!(self.ask(&call, &core), self.ask(&call, &groups))?;
        let mut seen = Seen::default();
        for answer in [&core, &groups] {
            if answer["kind"] == "APIGroupDiscoveryList" {
                aggregated(answer, &mut seen);
            } else {
                self.one_by_one(answer, &mut seen).await?;
            }
        }
        Ok(seen)
    }

    /// Of a server without aggregated discovery.
    async fn one_by_one(&self, answer: &Json, seen: &mut Seen) -> Outcome<()> {
        let core = answer["versions"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let mut versions: Vec<(String, String)> = core.map(|v| (format!("/api/{v}"), v.to_owned())).collect();
        for group in answer["groups"].as_array().into_iter().flatten() {
            let all = group["versions"].as_array().into_iter().flatten();
            let all = all.filter_map(|v| v["groupVersion"].as_str());
            versions.extend(all.map(|version| (format!("/apis/{version}"), version.to_owned())));
        }
        for (path, version) in versions {
            let call = Call::new("kubernetes:GetTypes", version.clone());
            match self.ask(&call, &Ask::get(path)).await {
                Ok(list) => listed(&list, &version, seen),
                Err(failure) if matches!(failure.class, Class::Unavailable | Class::NotFound) => {
                    seen.stale.push(version);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

fn aggregated(answer: &Json, seen: &mut Seen) {
    for group in answer["items"].as_array().into_iter().flatten() {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array().into_iter().flatten() {
            let number = version["version"].as_str().unwrap_or_default();
            let api_version = if name.is_empty() { number.to_owned() } else { format!("{name}/{number}") };
            let resources = version["resources"].as_array().map_or(&[][..], Vec::as_slice);
            if version["freshness"] == "Stale" && resources.is_empty() {
                seen.stale.push(api_version.clone());
            }
            for resource in resources {
                let Some(kind) = resource["responseKind"]["kind"].as_str() else { continue };
                let scope = resource["scope"] != "Cluster";
                add(seen, &api_version, kind, resource["resource"].as_str().unwrap_or_default(), scope);
            }
        }
    }
}

fn listed(list: &Json, api_version: &str, seen: &mut Seen) {
    for resource in list["resources"].as_array().into_iter().flatten() {
        let plural = resource["name"].as_str().unwrap_or_default();
        if let Some(kind) = resource["kind"].as_str().filter(|_| !plural.contains('/')) {
            add(seen, api_version, kind, plural, resource["namespaced"] == true);
        }
    }
}

fn add(seen: &mut Seen, api_version: &str, kind: &str, plural: &str, namespaced: bool) {
    let found = ResourceType {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
    };
    seen.known.entry((api_version.to_owned(), kind.to_owned())).or_insert(found);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_forms_of_discovery_tell_the_same() {
        let mut whole = Seen::default();
        let answer = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
                {"resource": "deployments", "scope": "Namespaced", "responseKind": {"kind": "Deployment"},
                    "subresources": [{"subresource": "scale", "responseKind": {"kind": "Scale"}}]}]}]},
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale"}]}]});
        aggregated(&answer, &mut whole);
        let mut parts = Seen::default();
        let list = json!({"resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": true},
            {"name": "deployments/scale", "kind": "Scale", "namespaced": true}]});
        listed(&list, "apps/v1", &mut parts);
        assert_eq!(whole.known, parts.known);
        assert_eq!(whole.known.len(), 1);
        assert_eq!(whole.stale, ["metrics.k8s.io/v1beta1"]);
    }
}
