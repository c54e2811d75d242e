//! What a release made and what is live of it: read once in a look, for the fingerprint and for the preview.

use crate::{
    base::{Hidden, Value},
    kinds::{
        Context,
        helm::live::revisions,
        objects::{self, ThreeWays, live, placed, three_ways},
    },
    world::{ObjectRef, Outcome, Release},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What a chart says of an object that an uninstall leaves. Source: helm.sh/docs/howto/charts_tips_and_tricks.
const POLICY: &str = "helm.sh/resource-policy";

/// The objects of the revision that was deployed last.
#[derive(Default)]
pub(super) struct Deployed {
    /// The revision; `None` where none was ever deployed.
    pub release: Option<Release>,
    /// As the release made them.
    pub last: BTreeMap<ObjectRef, Json>,
    /// As they are live; what is gone is absent.
    pub live: BTreeMap<ObjectRef, Json>,
}

impl Deployed {
    /// Reads them.
    pub(super) async fn read(context: &Context, deployed: &Release) -> Outcome<Self> {
        let last = placed_all(context, &deployed.manifest, &deployed.namespace).await?;
        let live = live(context, last.keys().cloned().collect()).await?;
        Ok(Self { release: Some(deployed.clone()), last, live })
    }

    /// What reading the release saw in the same look; read where it saw none.
    pub(super) async fn again(context: &Context, identity: &Json) -> Outcome<Self> {
        if let Some(seen) = context.seen.take() {
            return Ok(seen);
        }
        match revisions(context, identity).await?.and_then(|r| r.deployed) {
            Some(release) => Self::read(context, &release).await,
            None => Ok(Self::default()),
        }
    }

    /// What is live of it: name, type, and whether its chart keeps it where the release is uninstalled.
    pub(super) fn parts(&self) -> Vec<Value> {
        let live = self.last.iter().filter(|(reference, _)| self.live.contains_key(reference));
        live.map(|(reference, object)| {
            Value::object([
                ("name", Value::from(reference.to_string().as_str())),
                ("type", objects::type_of(reference).into()),
                ("kept", Value::from(object["metadata"]["annotations"][POLICY] == "keep")),
            ])
        })
        .collect()
    }

    /// What was changed behind our back in what the release made: a word for each field, without secrets. Part of the
    /// fingerprint.
    pub(super) fn drifted(&self) -> Vec<String> {
        let mut words = Vec::new();
        let hidden = Hidden::default();
        for (reference, object) in &self.last {
            let ways =
                ThreeWays { last: Some(object), live: self.live.get(reference), next: Some(object), hidden: &hidden };
            let Some(child) = three_ways(reference, &ways) else { continue };
            if child.fields.is_empty() {
                words.push(format!("{reference}: {}", child.action.word()));
            }
            for field in &child.fields {
                let live = field.before.as_ref().filter(|v| !v.has_sensitive());
                let live = live.map(|v| v.to_json_lossy().to_string()).unwrap_or_default();
                words.push(format!("{reference}: {} = {live}", field.path));
            }
        }
        words
    }
}

/// Objects of a release by reference, each in its namespace.
pub(super) async fn placed_all(
    context: &Context,
    items: &[Json],
    namespace: &str,
) -> Outcome<BTreeMap<ObjectRef, Json>> {
    let kubernetes = context.cluster()?.kubernetes.clone();
    let objects: Vec<Json> = stream::iter(items.to_vec())
        .map(|object| {
            let kubernetes = kubernetes.clone();
            async move { context.patiently(|| placed(&kubernetes, &object, namespace)).await }
        })
        .buffered(objects::AT_ONCE)
        .try_collect()
        .await?;
    Ok(objects.into_iter().filter_map(|object| Some((ObjectRef::of(&object)?, object))).collect())
}
