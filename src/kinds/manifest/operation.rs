//! Applying, pruning, deleting and putting back objects. Server-side apply is idempotent: made again, it is the same.

use crate::{
    base::{ActionWord, Hidden, Value},
    kinds::{
        Applied, Context, Owner, Recovered, Step, graft,
        manifest::{
            desired::{known_objects, references},
            fields,
            live::{Types, exports, objects, ours, owner},
            order::{defined, rank},
            preview::{AT_ONCE, conflict_hint, is_going, is_immutable},
            wait,
        },
        objects::{MANAGER, clean},
    },
    world::{ApplyOptions, Class, Failure, ObjectRef, Outcome},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a type may take to appear once its definition is there.
const TYPE_TIMEOUT: Duration = Duration::from_secs(60);
/// How soon it is looked for again.
const TYPE_PACE: Duration = Duration::from_millis(200);

/// The object as it is sent: with our marks, in its namespace.
pub(super) fn marked(context: &Context, object: &Json, reference: &ObjectRef) -> Json {
    let mut object = object.clone();
    let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) else { return object };
    match &reference.namespace {
        Some(namespace) => drop(metadata.insert("namespace".to_owned(), namespace.as_str().into())),
        None => drop(metadata.remove("namespace")),
    }
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.extend(context.marks.annotations(&context.address).into_iter().map(|(k, v)| (k, Json::String(v))));
    }
    object
}

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let former = step.identity.map(references).unwrap_or_default();
    let Some(desired) = step.desired.filter(|_| step.action != ActionWord::Delete) else {
        delete_all(context, &former).await?;
        return Ok(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() });
    };
    if let Some(parts) = graft::asked(step.facts) {
        return fields::put_back(context, step, desired, &parts).await;
    }
    let wanted = known_objects(&desired.inputs);
    let count = desired.inputs.get("objects").and_then(Value::as_map).map_or(0, |m| m.len());
    if wanted.len() != count {
        let what = "a part of an object is not known, or was kept as a seal only";
        return Err(Failure::new(Class::Invalid, "apply", context.address.to_string(), what));
    }
    let flag = |name: &str| desired.inputs.get(name).and_then(Value::as_bool);
    let all: Vec<ObjectRef> = wanted.iter().map(|(_, reference, _)| reference.clone()).collect();
    let mut types = Types::of(context, all.iter()).await?;
    // What is created is not there; of what is updated that is left alone which is as it should be.
    let live = if step.observed.is_some() { objects(context, &types, &all).await? } else { BTreeMap::new() };
    let replaces: BTreeSet<&str> =
        step.facts.get("replaces").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let mut ranks: BTreeMap<u8, Vec<(ObjectRef, Json)>> = BTreeMap::new();
    for (_, reference, object) in wanted {
        ranks.entry(rank(&reference)).or_default().push((reference, object));
    }
    let declared: BTreeSet<ObjectRef> = all.into_iter().collect();
    let mut made: BTreeMap<ObjectRef, Json> = BTreeMap::new();
    for group in ranks.into_values() {
        look_for_types(context, &mut types, &group).await?;
        let sending = Sending { context, types: &types, force: flag("force_conflicts").unwrap_or(false) };
        let jobs: Vec<_> = group
            .iter()
            .map(|(reference, object)| {
                let replace = replaces.contains(reference.to_string().as_str());
                sending.one(reference, object, live.get(reference), replace)
            })
            .collect();
        let done: Vec<(ObjectRef, Json)> = stream::iter(jobs).buffer_unordered(AT_ONCE).try_collect().await?;
        let definitions: BTreeMap<ObjectRef, Json> =
            done.iter().filter(|(_, object)| !defined(object).is_empty()).cloned().collect();
        made.extend(done);
        if !definitions.is_empty() {
            made.extend(wait::ready(context, definitions).await?);
            types.forget_missing();
        }
    }
    let dropped: Vec<ObjectRef> = former.into_iter().filter(|r| !declared.contains(r)).collect();
    delete_all(context, &dropped).await?;
    if flag("wait").unwrap_or(true) {
        made = wait::ready(context, made).await?;
    }
    let note = if made.len() == 1 { String::new() } else { format!("{} objects", made.len()) };
    let identity = json!({ "objects": declared });
    let exports = exports(&made, made.values().next(), &Hidden::of([&desired.inputs]));
    Ok(Applied { identity, exports, note })
}

/// What all objects of one step share.
pub(super) struct Sending<'a> {
    pub(super) context: &'a Context,
    pub(super) types: &'a Types,
    pub(super) force: bool,
}

impl Sending<'_> {
    pub(super) async fn one(
        &self,
        reference: &ObjectRef,
        object: &Json,
        live: Option<&Json>,
        replace: bool,
    ) -> Outcome<(ObjectRef, Json)> {
        let Self { context, types, force } = self;
        let found = types.resolved(reference).ok_or_else(|| no_type(reference))?;
        let request = marked(context, object, &found);
        if let Some(live) = live {
            if replace {
                delete_one(context, &found, live).await?;
            } else if is_same(context, &request, live) {
                return Ok((reference.clone(), live.clone()));
            }
        }
        // What bears our mark is ours: fields that somebody else took are taken back, as the plan showed.
        let ours = live.is_some_and(|l| matches!(owner(context, l), Owner::Ours(_)));
        let options = ApplyOptions { manager: MANAGER.to_owned(), force: *force || ours, dry_run: false };
        let done = send(context, &request, &options).await.map_err(|failure| {
            let subject = reference.to_string();
            let failure = if failure.subject.is_empty() { Failure { subject, ..failure } } else { failure };
            if is_immutable(&failure.message) {
                failure.hint("plan again: the object must be replaced")
            } else {
                conflict_hint(failure)
            }
        })?;
        Ok((reference.clone(), done))
    }
}

/// Sends an object. A namespace that is only just going, and a type that is only just there, get a moment.
async fn send(context: &Context, request: &Json, options: &ApplyOptions) -> Outcome<Json> {
    let kubernetes = &context.cluster()?.kubernetes;
    let until = context.clock.now() + TYPE_TIMEOUT.min(context.time_left());
    loop {
        match context.patiently(|| kubernetes.apply(request, options)).await {
            Err(failure) if passes(&failure) && context.clock.now() < until => context.clock.sleep(TYPE_PACE).await,
            other => return other,
        }
    }
}

/// What a server says of a type that it only just learnt, on the way to serving it.
fn passes(failure: &Failure) -> bool {
    is_going(failure)
        || (failure.class == Class::NotFound && failure.message.contains("could not find the requested resource"))
}

/// True where sending the object would change nothing: our fields are those that are wanted, and have these values.
pub(super) fn is_same(context: &Context, request: &Json, live: &Json) -> bool {
    let annotations = |object: &Json| object["metadata"]["annotations"].clone();
    let (wanted, there) = (annotations(request), annotations(live));
    let marks = context.marks.annotations(&context.address);
    marks.keys().all(|key| wanted[key] == there[key]) && clean(request) == ours(live)
}

/// Waits for types that are only just defined; one that does not come is an error.
async fn look_for_types(context: &Context, types: &mut Types, group: &[(ObjectRef, Json)]) -> Outcome<()> {
    let until = context.clock.now() + TYPE_TIMEOUT.min(context.time_left());
    loop {
        let mut missing = None;
        for (reference, _) in group {
            if types.ask(context, reference).await?.is_none() {
                missing = Some(reference);
                break;
            }
        }
        let Some(reference) = missing else { return Ok(()) };
        if context.clock.now() >= until {
            return Err(no_type(reference));
        }
        context.clock.sleep(TYPE_PACE).await;
        types.forget_missing();
    }
}

pub(super) fn no_type(reference: &ObjectRef) -> Failure {
    let what = format!("the cluster has no {} {}", reference.api_version, reference.kind);
    Failure::new(Class::NotFound, "apply", reference.to_string(), what)
        .hint("what defines the type must come before: name it in `depends_on`")
}

/// The turn of a deletion: types after everything else, and before that what comes last in [`rank`] first.
type Turn = (bool, std::cmp::Reverse<u8>);

/// When an object goes: last made first, and a type only after everything that may be of it.
fn farewell(reference: &ObjectRef) -> Turn {
    (reference.kind == "CustomResourceDefinition", std::cmp::Reverse(rank(reference)))
}

/// Deletes what bears our mark, last made first, and waits until it is gone. That nothing is among it that another declaration
/// took over was seen when it was planned.
async fn delete_all(context: &Context, wanted: &[ObjectRef]) -> Outcome<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let types = Types::of(context, wanted.iter()).await?;
    let there = objects(context, &types, wanted).await?;
    let mut turns: BTreeMap<Turn, Vec<(ObjectRef, &Json)>> = BTreeMap::new();
    for (reference, object) in &there {
        if matches!(owner(context, object), Owner::Ours(_))
            && let Some(found) = types.resolved(reference)
        {
            turns.entry(farewell(reference)).or_default().push((found, object));
        }
    }
    let kubernetes = &context.cluster()?.kubernetes;
    for group in turns.into_values() {
        let jobs: Vec<_> =
            group.iter().map(|(reference, object)| delete(context, &**kubernetes, reference, object)).collect();
        stream::iter(jobs).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let deleted: Vec<ObjectRef> = group.into_iter().map(|(reference, _)| reference).collect();
        wait::gone(context, &deleted).await?;
    }
    Ok(())
}

/// Deletes this very object.
async fn delete(
    context: &Context,
    kubernetes: &dyn crate::world::Kubernetes,
    reference: &ObjectRef,
    object: &Json,
) -> Outcome<()> {
    let uid = object["metadata"]["uid"].as_str();
    context.patiently(|| kubernetes.delete(reference, uid)).await
}

async fn delete_one(context: &Context, reference: &ObjectRef, object: &Json) -> Outcome<()> {
    delete(context, &*context.cluster()?.kubernetes, reference, object).await?;
    wait::gone(context, std::slice::from_ref(reference)).await
}

/// A delete is done where nothing of ours is left; an apply is simply made again.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    if step.action != ActionWord::Delete {
        return Ok(Recovered::NotDone);
    }
    let former = step.identity.map(references).unwrap_or_default();
    let types = Types::of(context, former.iter()).await?;
    let left = objects(context, &types, &former).await?;
    Ok(if left.values().any(|object| matches!(owner(context, object), Owner::Ours(_))) {
        Recovered::NotDone
    } else {
        Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
    })
}

/// Puts back our former fields, and deletes what had none.
pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>) -> Outcome<String> {
    let former = image.and_then(|i| i.get("objects")).and_then(Value::as_map);
    let mut back: BTreeMap<u8, Vec<(ObjectRef, Json)>> = BTreeMap::new();
    for (name, object) in former.into_iter().flat_map(|m| m.iter()) {
        let Some(object) = object.to_json() else {
            let what = format!("the former content of {name} was secret and is not known any more");
            return Err(Failure::new(Class::Stuck, "undo", name.to_string(), what));
        };
        if let Some(reference) = ObjectRef::of(&object) {
            back.entry(rank(&reference)).or_default().push((reference, object));
        }
    }
    let kept: BTreeSet<&ObjectRef> = back.values().flatten().map(|(reference, _)| reference).collect();
    let ours = references(identity);
    let types = Types::of(context, ours.iter()).await?;
    let is_new = |reference: &&ObjectRef| types.resolved(reference).is_some_and(|found| !kept.contains(&found));
    let created: Vec<ObjectRef> = ours.iter().filter(is_new).cloned().collect();
    let nothing = back.is_empty();
    for group in back.values() {
        let jobs: Vec<_> = group.iter().map(|(reference, object)| put_back(context, reference, object)).collect();
        stream::iter(jobs).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    delete_all(context, &created).await?;
    Ok(if nothing { "deleted".to_owned() } else { "put back our former fields".to_owned() })
}

async fn put_back(context: &Context, reference: &ObjectRef, object: &Json) -> Outcome<()> {
    let kubernetes = &context.cluster()?.kubernetes;
    let request = marked(context, object, reference);
    let options = ApplyOptions { manager: MANAGER.to_owned(), force: true, dry_run: false };
    match send(context, &request, &options).await {
        Err(failure) if is_immutable(&failure.message) => {
            if let Some(live) = context.patiently(|| kubernetes.get(reference)).await? {
                delete_one(context, reference, &live).await?;
            }
            send(context, &request, &options).await.map(drop)
        }
        other => other.map(drop),
    }
}
