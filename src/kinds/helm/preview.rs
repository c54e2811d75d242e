//! What a chart would change: rendered, and compared with what was deployed last and with what is live.

use crate::{
    base::{ActionWord, Diagnostic, Path, Value},
    kinds::{
        ChildChange, Context, Desired, Footprint, Held, Holdings, Observed, Preview, REVERT_FIELDS, held_by_objects,
        helm::{
            deployed::{Deployed, placed_all},
            desired::{chart_of, flag, is_made_by, request_of},
            live::inputs_of,
        },
        objects::{self, ThreeWays, three_ways},
    },
    world::{Chart, Class, Failure, ObjectRef, Outcome, Release, Rendered},
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
    let chart = match context.patiently(|| cluster.helm.resolve(&chart)).await {
        Ok(chart) => chart,
        Err(failure) => return wrong(failure, desired, "version"),
    };
    let action = if observed.is_some() { ActionWord::Update } else { ActionWord::Create };
    let request = request_of(context, desired, &chart, (token, action))?;
    let Deployed { release, last, mut live } = match observed {
        Some(observed) => Deployed::again(context, &observed.identity).await?,
        None => Deployed::default(),
    };
    let mut facts = facts_of(&chart);
    let exports = Value::object([
        ("version", Value::from(chart.version.as_str())),
        ("app_version", chart.app_version.as_str().into()),
        ("digest", chart.digest.as_str().into()),
    ]);
    let hidden = context.former.hidden(Some(&desired.inputs), release.as_ref().map(inputs_of).as_ref());
    let stays = |release: &Release| release.name == request.name && release.namespace == request.namespace;
    let made = release.as_ref().is_some_and(|release| stays(release) && is_made_by(release, desired, &chart));
    let approved = context.outlook.pinned.get("chart").and_then(|c| c["digest"].as_str());
    let by_field = context.outlook.pinned.contains_key(REVERT_FIELDS);
    if !made && !by_field && observed.is_some() && approved == Some(chart.digest.as_str()) {
        // What was approved was rendered from the same chart and the same values, and nothing that is live has moved since.
        return Ok(Some(Preview { facts, exports: Some(exports), ..Preview::default() }));
    }
    let (made_namespace, remark) = namespace(context, &request.namespace, desired).await?;
    let mut remarks: Vec<(Path, Diagnostic)> = Vec::new();
    remarks.extend(remark.map(|remark| (Path::default().key("namespace"), remark)));
    let mut children: Vec<ChildChange> = made_namespace.into_iter().collect();
    let next = if made {
        // Rendered again it would be the same, so only what changed behind its back is left to see.
        last.clone()
    } else {
        let rendered = match context.patiently(|| cluster.helm.template(&request)).await {
            Ok(rendered) => rendered,
            Err(failure) => {
                let input = if failure.message.contains("specifications of the schema") { "values" } else { "chart" };
                let message = hidden.out_of(&failure.message);
                return wrong(Failure { message, ..failure }, desired, input);
            }
        };
        for (name, objects) in [("crds", &rendered.crds), ("hooks", &rendered.hooks)] {
            let names: Vec<String> = objects.iter().filter_map(|o| ObjectRef::of(o).map(|r| r.to_string())).collect();
            if !names.is_empty() {
                facts.insert(name.to_owned(), json!(names));
            }
        }
        remarks.extend(unknown_types(context, &rendered).await?.map(|remark| (Path::default().key("chart"), remark)));
        placed_all(context, &rendered.objects, &request.namespace).await?
    };
    let mut footprint = Footprint::of(&next);
    let mut standing = None;
    if context.address.unit().is_some() {
        footprint = footprint.with_live_claims(context).await?;
        standing = Some(Footprint::of(&last).with_live_claims(context).await?);
    }
    let all: BTreeSet<ObjectRef> = next.keys().chain(last.keys()).cloned().collect();
    live.extend(objects::live(context, all.iter().filter(|r| !last.contains_key(r)).cloned().collect()).await?);
    children.extend(all.iter().filter_map(|reference| {
        let ways = ThreeWays {
            last: last.get(reference),
            live: live.get(reference),
            next: next.get(reference),
            hidden: &hidden,
        };
        three_ways(reference, &ways)
    }));
    let footprint = Some(footprint);
    let held = |objects: &BTreeMap<ObjectRef, Json>| Held::of(held_by_objects(objects.values()));
    let holdings = Some(Holdings::new(held(&last), held(&next)));
    Ok(Some(Preview {
        children,
        facts,
        exports: Some(exports),
        remarks,
        footprint,
        standing,
        holdings,
        ..Preview::default()
    }))
}

/// Says which types of objects the cluster does not have, and the chart's own definitions do not bring.
async fn unknown_types(context: &Context, rendered: &Rendered) -> Outcome<Option<Diagnostic>> {
    let kubernetes = context.cluster()?.kubernetes.clone();
    let brought: BTreeSet<(&str, &str)> = rendered
        .crds
        .iter()
        .chain(&rendered.objects)
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .filter_map(|crd| Some((crd["spec"]["group"].as_str()?, crd["spec"]["names"]["kind"].as_str()?)))
        .collect();
    let mut wanted: BTreeSet<(&str, &str)> = BTreeSet::new();
    for object in rendered.objects.iter().chain(&rendered.hooks) {
        let (version, kind) = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str());
        let group = version.split_once('/').map_or("", |(group, _)| group);
        wanted.extend(kind.filter(|kind| !brought.contains(&(group, *kind))).map(|kind| (version, kind)));
    }
    let mut missing = Vec::new();
    for (version, kind) in wanted {
        if context.patiently(|| kubernetes.resource_type(version, kind)).await?.is_none() {
            missing.push(format!("{kind} of {version}"));
        }
    }
    if missing.is_empty() {
        return Ok(None);
    }
    let what = format!("the cluster does not have {} yet", missing.join(", "));
    Ok(Some(
        Diagnostic::warning("chart_type", what)
            .because("Helm installs a release only where all types of its objects are there")
            .hint("let what brings their definitions come before: an earlier phase, or depends_on"),
    ))
}

/// What is told of a chart beside its objects.
fn facts_of(chart: &Chart) -> BTreeMap<String, Json> {
    let mut facts: BTreeMap<String, Json> = BTreeMap::new();
    facts.insert("chart".to_owned(), json!({ "name": chart.name, "version": chart.version, "digest": chart.digest }));
    facts.insert("app_version".to_owned(), json!(chart.app_version));
    if chart.made_up {
        facts.insert("made_up".to_owned(), json!("the sandbox has no such chart and made one up"));
    }
    if let Some(mirror) = &chart.mirror {
        facts.insert("mirror".to_owned(), json!(format!("from {mirror}, by [[mirror]] of terrace.toml")));
    }
    if chart.looks_up {
        facts.insert(
            "lookup".to_owned(),
            json!("templates ask the cluster; the plan renders them as if nothing were found"),
        );
    }
    facts
}

/// A failure that lies in what is written is told at the attribute; any other keeps the world from being known.
fn wrong(failure: Failure, desired: &Desired, input: &str) -> Outcome<Option<Preview>> {
    let code = match failure.class {
        Class::NotFound => "chart_missing",
        Class::Invalid if failure.operation == "helm template" => "chart_render",
        Class::Invalid => "chart_broken",
        _ => return Err(failure),
    };
    let input = if desired.inputs.get(input).is_some_and(|v| !v.is_null()) { input } else { "chart" };
    let mut remark = Diagnostic::error(code, failure.message.clone());
    remark.hint = failure.hint;
    Ok(Some(Preview { remarks: vec![(Path::default().key(input), remark)], ..Preview::default() }))
}

/// The namespace as a part of the change, where it is missing and will be made; and what is wrong with it.
async fn namespace(
    context: &Context,
    name: &str,
    desired: &Desired,
) -> Outcome<(Option<ChildChange>, Option<Diagnostic>)> {
    let makes = flag(&desired.inputs, "create_namespace");
    let reference = namespace_ref(name);
    let found = objects::live(context, vec![reference.clone()]).await?.remove(&reference);
    let going = found.as_ref().is_some_and(|found| !found["metadata"]["deletionTimestamp"].is_null());
    let remark = going.then(|| {
        let what = format!("the namespace {name} is going away");
        let remark = if makes {
            Diagnostic::warning("namespace_going", what).because("it is waited for, and made again")
        } else {
            Diagnostic::error("namespace_going", what).because("nothing new is made in it")
        };
        remark.hint(format!("`kubectl get namespace {name} -o yaml` names what holds it"))
    });
    let made = (makes && found.is_none()).then(|| ChildChange {
        name: reference.to_string(),
        kind: objects::type_of(&reference),
        action: ActionWord::Create,
        maybe_replace: false,
        policy: None,
        stateful: false,
        fields: Vec::new(),
    });
    Ok((made, remark))
}

/// The namespace of this name.
pub(super) fn namespace_ref(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".to_owned(), kind: "Namespace".to_owned(), namespace: None, name: name.to_owned() }
}
