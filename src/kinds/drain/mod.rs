//! What controllers made in a cluster, and what has to go before the cluster does: load balancers, which nobody clears away once
//! their controller is gone, and volumes with their data.

mod definition;
mod finalizer;
mod gone;

pub use definition::lost_with;
pub(super) use definition::served;
pub(super) use finalizer::held_by;
pub use gone::drain;
pub(super) use gone::until_gone;

use crate::{
    base::ActionWord,
    kinds::{ChildChange, Context, objects::type_of},
    world::{ClusterConnection, ObjectRef, Outcome},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Types whose objects stand for something outside of the cluster, in the order in which they go.
const TYPES: [(&str, &str); 4] = [
    ("networking.k8s.io/v1", "Ingress"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
];
const CLAIM: &str = "PersistentVolumeClaim";

/// An object that goes before its cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Drained {
    /// Which.
    pub object: ObjectRef,
    /// Its uid: one that was made anew since is another, which nobody agreed to lose.
    pub uid: String,
    /// What becomes of the volume of a claim: `Delete`, `Retain`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
}

/// What a plan found to be drained from one cluster before the stack that makes it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drain {
    /// The cluster.
    pub cluster: ClusterConnection,
    /// Goes before anything of ours in that cluster: the controllers that clear up still run.
    pub first: Vec<Drained>,
    /// Goes once all of ours is gone: claims, and what belongs to an object of ours.
    pub last: Vec<Drained>,
    /// Goes with a chart or manifest that the plan removes.
    pub ours: BTreeSet<ObjectRef>,
}

/// What removals of the same plan take away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Releases, by namespace and name.
    pub releases: BTreeSet<(String, String)>,
    /// Objects of manifests.
    pub objects: BTreeSet<ObjectRef>,
}

/// What was found in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// To go before ours.
    pub first: Vec<Drained>,
    /// To go after ours.
    pub last: Vec<Drained>,
    /// To go with ours.
    pub ours: BTreeSet<ObjectRef>,
    /// Namespaces that are going away and cannot: which, and what holds them.
    pub held: Vec<(String, String)>,
}

impl Removed {
    /// Notes what the removal of a thing takes away, by its kind and identity.
    pub fn note(&mut self, kind: &str, identity: &Json) {
        let text = |key: &str| identity[key].as_str().unwrap_or_default().to_owned();
        match kind {
            "helm" => drop(self.releases.insert((text("namespace"), text("name")))),
            "manifest" => {
                let objects: Vec<ObjectRef> = serde_json::from_value(identity["objects"].clone()).unwrap_or_default();
                self.objects.extend(objects);
            }
            _ => {}
        }
    }

    fn has(&self, reference: &ObjectRef, object: &Json) -> bool {
        let annotation = |key: &str| object["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned();
        let release = (annotation("meta.helm.sh/release-namespace"), annotation("meta.helm.sh/release-name"));
        self.objects.iter().any(|declared| is_that(declared, reference)) || self.releases.contains(&release)
    }
}

/// Whether a live object is the declared one: in whatever version of its group, and without a namespace where its type has none.
fn is_that(declared: &ObjectRef, live: &ObjectRef) -> bool {
    let group = |r: &ObjectRef| r.api_version.rsplit_once('/').map(|(group, _)| group.to_owned());
    let place = live.namespace.is_none() || declared.namespace == live.namespace;
    place && declared.kind == live.kind && declared.name == live.name && group(declared) == group(live)
}

impl Drain {
    /// The parts of a deletion that it is, in order.
    #[must_use]
    pub fn children(&self) -> Vec<ChildChange> {
        let child = |drained: &Drained| ChildChange {
            name: drained.object.to_string(),
            kind: type_of(&drained.object),
            action: ActionWord::Delete,
            maybe_replace: false,
            policy: drained.policy.clone(),
            stateful: drained.object.kind == CLAIM,
            fields: Vec::new(),
        };
        self.first.iter().chain(&self.last).map(child).collect()
    }

    /// True where nothing stands in the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.last.is_empty()
    }

    /// In words, for the reason of the deletion.
    #[must_use]
    pub fn words(&self) -> String {
        let all = || self.first.iter().chain(&self.last);
        let claims = all().filter(|d| d.object.kind == CLAIM).count();
        let retained = all().filter(|d| d.policy.as_deref() == Some("Retain")).count();
        let balancers = all().count() - claims;
        let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut parts = Vec::new();
        if balancers > 0 {
            parts.push(format!("{} that a load balancer stands behind", many(balancers, "object")));
        }
        if claims > 0 {
            parts.push(many(claims, "volume claim"));
        }
        let mut words = format!("drains {} first: {}", named(&self.cluster), parts.join(", "));
        if retained > 0 {
            let stays = if retained == 1 { "stays and costs" } else { "stay and cost" };
            let _ = write!(words, "; {} {stays}, by the reclaim policy Retain", many(retained, "volume"));
        }
        words
    }
}

/// A cluster in the middle of a sentence.
#[must_use]
pub fn named(cluster: &ClusterConnection) -> String {
    match cluster {
        ClusterConnection::Eks { .. } => format!("the cluster {}", cluster.spoken()),
        _ => format!("the cluster of {}", cluster.spoken()),
    }
}

/// What stands between the cluster of a context and its end, apart from what the same plan removes.
///
/// # Errors
/// A cluster that does not answer.
pub async fn look(context: &Context, removed: &Removed) -> Outcome<Found> {
    let mut found = Found::default();
    let policies = Policies::read(context).await?;
    for (reference, object) in standing(context).await? {
        let drained = Drained {
            uid: object["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            policy: (reference.kind == CLAIM).then(|| policies.of(&object)),
            object: reference.clone(),
        };
        let owners = object["metadata"]["ownerReferences"].as_array();
        let belongs = owners.is_some_and(|owners| owners.iter().any(|o| o["controller"] == true));
        if removed.has(&reference, &object) {
            found.ours.insert(reference);
        } else if reference.kind == CLAIM || belongs {
            found.last.push(drained);
        } else {
            found.first.push(drained);
        }
    }
    for namespace in list(context, "v1", "Namespace").await? {
        let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
        if !namespace["metadata"]["deletionTimestamp"].is_null() {
            let why = held_by(&namespace).unwrap_or_else(|| "what is in it goes first".to_owned());
            found.held.push((name.to_owned(), why));
        }
    }
    Ok(found)
}

/// What is there now and is in none of these, by name: of load balancers only, or of everything.
///
/// # Errors
/// A cluster that does not answer.
pub async fn appeared(context: &Context, known: &BTreeSet<ObjectRef>, claims_too: bool) -> Outcome<Vec<String>> {
    let there = standing(context).await?;
    let counts = |r: &ObjectRef| (claims_too || r.kind != CLAIM) && !known.contains(r);
    Ok(there.into_iter().filter(|(r, _)| counts(r)).map(|(r, _)| r.to_string()).collect())
}

/// Every object that stands for something outside.
async fn standing(context: &Context) -> Outcome<Vec<(ObjectRef, Json)>> {
    let mut out = Vec::new();
    for (api_version, kind) in TYPES {
        for mut object in list(context, api_version, kind).await? {
            if kind == "Service" && object["spec"]["type"] != "LoadBalancer" {
                continue;
            }
            // A list names the type of its elements once, and not in each.
            object["apiVersion"] = api_version.into();
            object["kind"] = kind.into();
            if let Some(reference) = ObjectRef::of(&object) {
                out.push((reference, object));
            }
        }
    }
    Ok(out)
}

/// What stands for something outside and goes with a release.
pub(super) async fn of_release(context: &Context, namespace: &str, name: &str) -> Outcome<Vec<ObjectRef>> {
    let release = Removed { releases: [(namespace.to_owned(), name.to_owned())].into(), ..Removed::default() };
    let kept = |object: &Json| object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
    let there = standing(context).await?;
    Ok(there.into_iter().filter(|(r, object)| release.has(r, object) && !kept(object)).map(|(r, _)| r).collect())
}

/// All objects of a type; none where the server does not have the type.
pub(super) async fn list(context: &Context, api_version: &str, kind: &str) -> Outcome<Vec<Json>> {
    let kubernetes = &context.cluster()?.kubernetes;
    if context.patiently(|| kubernetes.resource_type(api_version, kind)).await?.is_none() {
        return Ok(Vec::new());
    }
    let all = BTreeMap::new();
    context.patiently(|| kubernetes.list(api_version, kind, None, &all)).await
}

/// What becomes of volumes, by volume and by storage class.
struct Policies {
    volumes: BTreeMap<String, String>,
    classes: BTreeMap<String, String>,
}

impl Policies {
    async fn read(context: &Context) -> Outcome<Self> {
        let by_name = |objects: Vec<Json>, policy: fn(&Json) -> &Json| {
            objects
                .iter()
                .filter_map(|o| Some((o["metadata"]["name"].as_str()?.to_owned(), policy(o).as_str()?.to_owned())))
                .collect()
        };
        Ok(Self {
            volumes: by_name(
                list(context, "v1", "PersistentVolume").await?,
                |o| &o["spec"]["persistentVolumeReclaimPolicy"],
            ),
            classes: by_name(list(context, "storage.k8s.io/v1", "StorageClass").await?, |o| &o["reclaimPolicy"]),
        })
    }

    /// Of a claim: as its volume says, else as its class, else what the server takes where neither says.
    fn of(&self, claim: &Json) -> String {
        let volume = claim["spec"]["volumeName"].as_str().and_then(|name| self.volumes.get(name));
        let class = || claim["spec"]["storageClassName"].as_str().and_then(|name| self.classes.get(name));
        volume.or_else(class).map_or_else(|| "Delete".to_owned(), Clone::clone)
    }
}
