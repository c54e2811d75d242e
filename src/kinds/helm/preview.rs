//! What a chart would change: rendered, and compared with what was deployed last and with what is live.

use crate::{
    base::{ActionWord, Hidden, Value},
    kinds::{
        ChildChange, Context, Desired, Observed, Preview,
        helm::{
            deployed::{Deployed, placed_all},
            desired::{chart_of, flag, request},
        },
        objects::{self, ThreeWays, three_ways},
    },
    world::{ObjectRef, Outcome},
};
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

    let Deployed { last, mut live } = match observed {
        Some(observed) => Deployed::again(context, &observed.identity).await?,
        None => Deployed::default(),
    };
    let next = placed_all(context, &rendered.objects, &request.namespace).await?;
    let all: BTreeSet<ObjectRef> = next.keys().chain(last.keys()).cloned().collect();
    live.extend(objects::live(context, all.iter().filter(|r| !last.contains_key(r)).cloned().collect()).await?);
    let hidden = Hidden::of([&desired.inputs]);
    let mut children: Vec<ChildChange> = namespace(context, &request.namespace, desired).await?.into_iter().collect();
    children.extend(all.iter().filter_map(|reference| {
        let ways = ThreeWays {
            last: last.get(reference),
            live: live.get(reference),
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
    Ok(Some(Preview { children, facts, exports: Some(exports), ..Preview::default() }))
}

/// The namespace as a part of the change, where it is missing and will be made.
async fn namespace(context: &Context, namespace: &str, desired: &Desired) -> Outcome<Option<ChildChange>> {
    if !flag(&desired.inputs, "create_namespace") {
        return Ok(None);
    }
    let reference = namespace_ref(namespace);
    let found = objects::live(context, vec![reference.clone()]).await?;
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
