//! What objects take up in a cluster: names, claims, what they select, what can be selected of them. Two colours of one thing stand side by
//! side only where their footprints keep clear of each other. Holds no content of any object, and so no secret.
//!
//! Sources: "Labels and Selectors", "Persistent Volumes" and "Disruptions" of the Kubernetes documentation.

use crate::{
    kinds::{Context, Part, images::pod_template, objects::live},
    world::{ObjectRef, Outcome},
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What selects pods by `spec.selector` with `matchLabels` and `matchExpressions`.
const SELECTING: [&str; 5] = ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "PodDisruptionBudget"];

/// What a set of objects takes up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Footprint {
    objects: BTreeSet<Part>,
    pods: Vec<Pods>,
    selectors: Vec<Selector>,
    /// Claims by namespace and name: whether several pods on several nodes may use one, as far as that is known.
    claims: BTreeMap<(String, String), Option<bool>>,
    services: BTreeMap<(String, String), Vec<Port>>,
}

/// Pods as a workload makes them.
#[derive(Debug, Clone, PartialEq)]
struct Pods {
    of: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    /// Claims that they use by their own names.
    claims: BTreeSet<String>,
}

/// What selects pods.
#[derive(Debug, Clone, PartialEq)]
struct Selector {
    of: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    expressions: Vec<(String, String, BTreeSet<String>)>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its number.
    pub number: i64,
}

impl Port {
    /// Whether this is what a number or a name means.
    #[must_use]
    pub fn is(&self, meant: &str) -> bool {
        self.name.as_deref() == Some(meant) || meant.parse() == Ok(self.number)
    }
}

/// `80 (http)`.
impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.number)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// Where two sets of objects that are to stand side by side get into each other's way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clash {
    /// Objects that both have: `ConfigMap shop/settings`.
    pub objects: Vec<String>,
    /// Claims that pods of both use, each with what is known of it: `shop/data (only one node may use it)`.
    pub claims: Vec<String>,
    /// What selects pods of the other set: `Service shop/web-green selects the pods of Deployment shop/web-blue`.
    pub selectors: Vec<String>,
}

impl Clash {
    /// Keeps what `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        for said in [&mut self.objects, &mut self.claims, &mut self.selectors] {
            said.retain(|said| keep(said));
        }
    }

    /// True where nothing clashes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.claims.is_empty() && self.selectors.is_empty()
    }
}

impl Footprint {
    /// Of objects that bear their namespaces.
    pub(super) fn of<'o>(objects: impl IntoIterator<Item = (&'o ObjectRef, &'o Json)>) -> Self {
        let mut print = Self::default();
        for (reference, object) in objects {
            print.add(reference, object);
        }
        print
    }

    /// Takes in what another set of objects takes up.
    pub fn merge(&mut self, other: &Self) {
        self.objects.extend(other.objects.iter().cloned());
        self.pods.extend(other.pods.iter().cloned());
        self.selectors.extend(other.selectors.iter().cloned());
        for (claim, known) in &other.claims {
            let entry = self.claims.entry(claim.clone()).or_default();
            *entry = entry.or(*known);
        }
        self.services.extend(other.services.iter().map(|(name, ports)| (name.clone(), ports.clone())));
    }

    fn add(&mut self, reference: &ObjectRef, object: &Json) {
        let of = reference.to_string();
        let namespace = reference.namespace.clone().unwrap_or_default();
        let spec = &object["spec"];
        self.objects.insert(Part::named(&reference.api_version, of.clone()));
        let template = pod_template(&reference.kind, object);
        if template["spec"]["containers"].is_array() {
            let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
            let claims = volumes.filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
            self.pods.push(Pods {
                of: of.clone(),
                namespace: namespace.clone(),
                labels: labels(&template["metadata"]["labels"]),
                claims: claims.map(str::to_owned).collect(),
            });
        }
        let selector = &spec["selector"];
        match reference.kind.as_str() {
            "Service" if reference.api_version == "v1" => {
                let ports = spec["ports"].as_array().into_iter().flatten().filter_map(|port| {
                    Some(Port { name: port["name"].as_str().map(str::to_owned), number: port["port"].as_i64()? })
                });
                self.services.insert((namespace.clone(), reference.name.clone()), ports.collect());
                self.select(of, namespace, labels(selector), &Json::Null);
            }
            "ReplicationController" => self.select(of, namespace, labels(selector), &Json::Null),
            "PersistentVolumeClaim" => {
                self.claims.insert((namespace, reference.name.clone()), Some(is_shared(object)));
            }
            kind if SELECTING.contains(&kind) => {
                self.select(of, namespace, labels(&selector["matchLabels"]), &selector["matchExpressions"]);
            }
            _ => {}
        }
    }

    fn select(&mut self, of: String, namespace: String, labels: BTreeMap<String, String>, expressions: &Json) {
        let expressions = expressions.as_array().into_iter().flatten().filter_map(|expression| {
            let values = expression["values"].as_array().into_iter().flatten().map(text).collect();
            Some((expression["key"].as_str()?.to_owned(), expression["operator"].as_str()?.to_owned(), values))
        });
        let expressions: Vec<_> = expressions.collect();
        // What selects nothing by itself: a service whose endpoints somebody else writes.
        if !labels.is_empty() || !expressions.is_empty() {
            self.selectors.push(Selector { of, namespace, labels, expressions });
        }
    }

    /// Asks the cluster for the claims that pods use and none of the objects is.
    ///
    /// # Errors
    /// A cluster that does not answer.
    pub(super) async fn with_live_claims(mut self, context: &Context) -> Outcome<Self> {
        let used = self.used_claims();
        let unknown: Vec<ObjectRef> = used
            .into_iter()
            .filter(|claim| !self.claims.contains_key(claim))
            .map(|(namespace, name)| ObjectRef {
                api_version: "v1".to_owned(),
                kind: "PersistentVolumeClaim".to_owned(),
                namespace: Some(namespace),
                name,
            })
            .collect();
        if unknown.is_empty() {
            return Ok(self);
        }
        for (reference, object) in live(context, unknown).await? {
            let namespace = reference.namespace.unwrap_or_default();
            self.claims.insert((namespace, reference.name), Some(is_shared(&object)));
        }
        Ok(self)
    }

    fn used_claims(&self) -> BTreeSet<(String, String)> {
        let of = |pods: &Pods| {
            let namespace = pods.namespace.clone();
            pods.claims.iter().map(move |claim| (namespace.clone(), claim.clone())).collect::<Vec<_>>()
        };
        self.pods.iter().flat_map(of).collect()
    }

    /// Whether every object is of a type of Kubernetes itself: what an operator makes of others is not among these.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let own = |group: &str| !group.contains('.') || group.ends_with(".k8s.io");
        self.objects.iter().all(|part| own(&part.group))
    }

    /// Namespace and name of every service.
    pub fn all_services(&self) -> impl Iterator<Item = (&str, &str)> {
        self.services.keys().map(|(namespace, name)| (namespace.as_str(), name.as_str()))
    }

    /// The names of the services in a namespace.
    #[must_use]
    pub fn services(&self, namespace: &str) -> Vec<&str> {
        let here = self.services.keys().filter(|(other, _)| other == namespace);
        here.map(|(_, name)| name.as_str()).collect()
    }

    /// The ports of a service; `None` where it is none of these objects.
    #[must_use]
    pub fn ports(&self, namespace: &str, service: &str) -> Option<&[Port]> {
        self.services.get(&(namespace.to_owned(), service.to_owned())).map(Vec::as_slice)
    }

    /// Where this and another one get into each other's way. A claim of which nothing is known counts where `unknown` says so.
    #[must_use]
    pub fn clash(&self, other: &Self, unknown: bool) -> Clash {
        let objects: Vec<String> = self.objects.intersection(&other.objects).map(|part| part.name.clone()).collect();
        let (ours, theirs) = (self.used_claims(), other.used_claims());
        let claims = ours.intersection(&theirs).filter_map(|claim| {
            let known = self.claims.get(claim).or_else(|| other.claims.get(claim)).copied().flatten();
            let why = match known {
                Some(false) => "the pods of one node only may use it",
                None if unknown => "nothing tells that pods of several nodes may use it",
                Some(true) | None => return None,
            };
            Some(format!("{}/{} ({why})", claim.0, claim.1))
        });
        let claims = claims.collect();
        let mut selectors = Vec::new();
        for (selecting, selected) in [(self, other), (other, self)] {
            for selector in &selecting.selectors {
                // Of what is one object in both that is said already.
                let pods = selected.pods.iter().filter(|pods| !objects.contains(&pods.of) && selector.selects(pods));
                if objects.contains(&selector.of) {
                    continue;
                }
                selectors.extend(pods.map(|pods| format!("{} selects the pods of {}", selector.of, pods.of)));
            }
        }
        Clash { objects, claims, selectors }
    }
}

impl Selector {
    fn selects(&self, pods: &Pods) -> bool {
        let expression = |(key, operator, values): &(String, String, BTreeSet<String>)| {
            let value = pods.labels.get(key);
            match operator.as_str() {
                "In" => value.is_some_and(|value| values.contains(value)),
                "NotIn" => !value.is_some_and(|value| values.contains(value)),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        self.namespace == pods.namespace
            && self.labels.iter().all(|(key, value)| pods.labels.get(key) == Some(value))
            && self.expressions.iter().all(expression)
    }
}

fn labels(json: &Json) -> BTreeMap<String, String> {
    json.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether each of its modes lets pods on several nodes use it.
fn is_shared(claim: &Json) -> bool {
    let modes = claim["spec"]["accessModes"].as_array().map_or(&[][..], Vec::as_slice);
    !modes.is_empty() && modes.iter().all(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn print(objects: &[Json]) -> Footprint {
        let named: Vec<(ObjectRef, Json)> =
            objects.iter().map(|object| (ObjectRef::of(object).unwrap(), object.clone())).collect();
        Footprint::of(named.iter().map(|(reference, object)| (reference, object)))
    }

    fn object(api_version: &str, kind: &str, name: &str, spec: &Json) -> Json {
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": "shop", "name": name}, "spec": spec})
    }

    fn workload(name: &str, labels: &Json, claim: Option<&str>) -> Json {
        let volumes: Vec<Json> =
            claim.iter().map(|c| json!({"name": "d", "persistentVolumeClaim": {"claimName": c}})).collect();
        let template =
            json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a"}], "volumes": volumes}});
        object("apps/v1", "Deployment", name, &json!({"selector": {"matchLabels": labels}, "template": template}))
    }

    fn service(name: &str, selector: &Json) -> Json {
        object("v1", "Service", name, &json!({"selector": selector, "ports": [{"port": 80, "name": "http"}]}))
    }

    #[test]
    fn colours_that_keep_clear_of_each_other_do_not_clash() {
        let color = |color: &str| {
            let labels = json!({"app": "web", "color": color});
            print(&[workload(&format!("web-{color}"), &labels, None), service(&format!("web-{color}"), &labels)])
        };
        assert!(color("blue").clash(&color("green"), true).is_empty());
    }

    #[test]
    fn an_object_of_both_is_one_whatever_version_of_its_api_declares_it() {
        let first = print(&[object("policy/v1", "PodDisruptionBudget", "web", &json!({}))]);
        let second = print(&[object("policy/v1beta1", "PodDisruptionBudget", "web", &json!({}))]);
        assert_eq!(first.clash(&second, true).objects, ["PodDisruptionBudget shop/web"]);
        let other = print(&[object("example.com/v1", "PodDisruptionBudget", "web", &json!({}))]);
        assert!(first.clash(&other, true).is_empty());
    }

    #[test]
    fn a_claim_is_shared_only_where_its_modes_say_so() {
        let of = |mode: &str| object("v1", "PersistentVolumeClaim", "data", &json!({"accessModes": [mode]}));
        let (blue, green) = (json!({"color": "blue"}), json!({"color": "green"}));
        let clash = |first: &[Json], unknown| {
            let first: Vec<Json> = first.iter().cloned().chain([workload("web-blue", &blue, Some("data"))]).collect();
            print(&first).clash(&print(&[workload("web-green", &green, Some("data"))]), unknown).claims
        };
        assert_eq!(clash(&[of("ReadWriteOnce")], false), ["shop/data (the pods of one node only may use it)"]);
        assert_eq!(clash(&[of("ReadWriteMany")], true), Vec::<String>::new());
        assert_eq!(clash(&[], false), Vec::<String>::new());
        assert_eq!(clash(&[], true), ["shop/data (nothing tells that pods of several nodes may use it)"]);
    }

    #[test]
    fn a_selector_that_takes_the_other_colours_pods_is_named_with_both() {
        let blue = print(&[
            workload("web-blue", &json!({"app": "web", "color": "blue"}), None),
            service("web-blue", &json!({"app": "web"})),
        ]);
        let green = print(&[workload("web-green", &json!({"app": "web", "color": "green"}), None)]);
        let said = ["Service shop/web-blue selects the pods of Deployment shop/web-green"];
        assert_eq!(blue.clash(&green, true).selectors, said);
        assert_eq!(green.clash(&blue, true).selectors, said);
        let mut budget = object("policy/v1", "PodDisruptionBudget", "all", &json!({}));
        budget["spec"]["selector"] =
            json!({"matchExpressions": [{"key": "color", "operator": "In", "values": ["blue", "green"]}]});
        let said = ["PodDisruptionBudget shop/all selects the pods of Deployment shop/web-green"];
        assert_eq!(print(&[budget.clone()]).clash(&green, true).selectors, said);
        for (operator, values) in [("NotIn", json!(["green"])), ("DoesNotExist", json!([])), ("In", json!(["blue"]))] {
            budget["spec"]["selector"] =
                json!({"matchExpressions": [{"key": "color", "operator": operator, "values": values}]});
            assert!(print(&[budget.clone()]).clash(&green, true).is_empty(), "{operator}");
        }
    }

    #[test]
    fn what_lives_in_another_namespace_is_selected_by_nobody() {
        let mut pods = workload("web", &json!({"app": "web"}), None);
        pods["metadata"]["namespace"] = json!("other");
        assert!(print(&[service("web", &json!({"app": "web"}))]).clash(&print(&[pods]), true).is_empty());
    }

    #[test]
    fn a_port_is_meant_by_number_or_by_name() {
        let print = print(&[service("web", &json!({"a": "b"}))]);
        let ports = print.ports("shop", "web").unwrap();
        assert!(ports[0].is("80") && ports[0].is("http") && !ports[0].is("8080"));
        assert_eq!((ports[0].to_string().as_str(), print.services("shop")), ("80 (http)", vec!["web"]));
        assert_eq!(print.ports("other", "web"), None);
    }
}
