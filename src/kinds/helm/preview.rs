//! What a chart would change: rendered, and compared with what was deployed last and with what is live.

use crate::{
    base::{ActionWord, Hidden, Value},
    kinds::{
        ChildChange, Context, Desired, Observed, Preview,
        helm::{
            desired::{chart_of, flag, request},
            live::revisions,
        },
        objects::{self, ThreeWays, live, placed, three_ways},
    },
    world::{ObjectRef, Outcome, Release},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
    token: &str,
) -> Outcome<Option<Preview>> {
    let cluster = context.cluster()?.clone();
    let chart = chart_of(&desired.inputs);
    let chart = context.patiently(|| cluster.helm.resolve(&chart)).await?;
    let request = request(context, desired, token)?;
    let rendered = context.patiently(|| cluster.helm.template(&request)).await?;

    let mut facts: BTreeMap<String, Json> = BTreeMap::new();
    facts.insert("chart".to_owned(), json!({ "name": chart.name, "version": chart.version, "digest": chart.digest }));
    facts.insert("app_version".to_owned(), json!(chart.app_version));
    if chart.made_up {
        facts.insert("made_up".to_owned(), json!("the sandbox has no such chart and made one up"));
    }
    for (name, objects) in [("crds", &rendered.crds), ("hooks", &rendered.hooks)] {
        let names: Vec<String> = objects.iter().filter_map(|o| ObjectRef::of(o).map(|r| r.to_string())).collect();
        if !names.is_empty() {
            facts.insert(name.to_owned(), json!(names));
        }
    }

    let deployed = match observed {
        Some(observed) => revisions(context, &observed.identity).await?.and_then(|r| r.deployed),
        None => None,
    };
    let next = placed_all(context, &rendered.objects, &request.namespace).await?;
    let last = match &deployed {
        Some(release) => placed_all(context, &release.manifest, &release.namespace).await?,
        None => BTreeMap::new(),
    };
    let all: BTreeSet<ObjectRef> = next.keys().chain(last.keys()).cloned().collect();
    let there = live(context, all.iter().cloned().collect()).await?;
    let hidden = Hidden::of([&desired.inputs]);
    let mut children: Vec<ChildChange> = namespace(context, &request.namespace, desired).await?.into_iter().collect();
    children.extend(all.iter().filter_map(|reference| {
        let ways = ThreeWays {
            last: last.get(reference),
            live: there.get(reference),
            next: next.get(reference),
            hidden: &hidden,
        };
        three_ways(reference, &ways)
    }));
    let exports = Value::object([
        ("version", Value::from(chart.version.as_str())),
        ("app_version", chart.app_version.as_str().into()),
        ("digest", chart.digest.as_str().into()),
    ]);
    Ok(Some(Preview { children, facts, attachment: None, nothing: false, exports: Some(exports) }))
}

/// What was changed behind our back in what a release made: a word for each field, without secrets. Part of the fingerprint.
pub(super) async fn drifted(context: &Context, deployed: &Release) -> Outcome<Vec<String>> {
    let last = placed_all(context, &deployed.manifest, &deployed.namespace).await?;
    let there = live(context, last.keys().cloned().collect()).await?;
    let mut words = Vec::new();
    for (reference, object) in &last {
        let ways = ThreeWays {
            last: Some(object),
            live: there.get(reference),
            next: Some(object),
            hidden: &Hidden::default(),
        };
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
    Ok(words)
}

async fn placed_all(context: &Context, items: &[Json], namespace: &str) -> Outcome<BTreeMap<ObjectRef, Json>> {
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

/// The namespace as a part of the change, where it is missing and will be made.
async fn namespace(context: &Context, namespace: &str, desired: &Desired) -> Outcome<Option<ChildChange>> {
    if !flag(&desired.inputs, "create_namespace") {
        return Ok(None);
    }
    let reference = namespace_ref(namespace);
    let found = live(context, vec![reference.clone()]).await?;
    Ok(found.is_empty().then(|| ChildChange {
        name: reference.to_string(),
        kind: objects::type_of(&reference),
        action: ActionWord::Create,
        maybe_replace: false,
        policy: None,
        stateful: false,
        fields: Vec::new(),
    }))
}

/// The namespace of this name.
pub(super) fn namespace_ref(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".to_owned(), kind: "Namespace".to_owned(), namespace: None, name: name.to_owned() }
}
