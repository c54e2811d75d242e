//! Applying, pruning, deleting and putting back objects. Server-side apply is idempotent: made again, it is the same.

use crate::{
    base::{ActionWord, Hidden, Value},
    kinds::{
        Applied, Context, Owner, Recovered, Step,
        manifest::{
            desired::{known_objects, references},
            live::{exports, objects, owner, resolved},
            preview::is_immutable,
            readiness::{self, Readiness},
        },
        objects::{AT_ONCE, MANAGER},
        reason,
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

/// What must be there before the rest, by kind: smaller first.
fn rank(reference: &ObjectRef) -> u8 {
    match reference.kind.as_str() {
        "Namespace" => 0,
        "CustomResourceDefinition" | "StorageClass" | "PriorityClass" => 1,
        "ServiceAccount" | "ClusterRole" | "Role" | "ClusterRoleBinding" | "RoleBinding" => 2,
        "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim" | "Service" => 3,
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => 5,
        _ => 4,
    }
}

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let former = step.identity.map(references).unwrap_or_default();
    let Some(desired) = step.desired.filter(|_| step.action != ActionWord::Delete) else {
        delete_all(context, &former).await?;
        return Ok(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() });
    };
    let wanted = known_objects(&desired.inputs);
    let count = desired.inputs.get("objects").and_then(Value::as_map).map_or(0, |m| m.len());
    if wanted.len() != count {
        let what = "a part of an object is not known, or was kept as a seal only";
        return Err(Failure::new(Class::Invalid, "apply", context.address.to_string(), what));
    }
    let flag = |name: &str| desired.inputs.get(name).and_then(Value::as_bool);
    let force = flag("force_conflicts").unwrap_or(false);
    let replaces: BTreeSet<&str> =
        step.facts.get("replaces").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let mut ranks: BTreeMap<u8, Vec<(ObjectRef, Json)>> = BTreeMap::new();
    for (_, reference, object) in wanted {
        ranks.entry(rank(&reference)).or_default().push((reference, object));
    }
    let declared: BTreeSet<ObjectRef> = ranks.values().flatten().map(|(r, _)| r.clone()).collect();
    let mut made: BTreeMap<ObjectRef, Json> = BTreeMap::new();
    for group in ranks.into_values() {
        let done: Vec<(ObjectRef, Json)> = stream::iter(group)
            .map(|(reference, object)| {
                let replace = replaces.contains(reference.to_string().as_str());
                async move {
                    let object = apply_one(context, &reference, &object, force, replace).await?;
                    Ok::<_, Failure>((reference, object))
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        made.extend(done);
    }
    let dropped: Vec<ObjectRef> = former.into_iter().filter(|r| !declared.contains(r)).collect();
    delete_all(context, &dropped).await?;
    if flag("wait").unwrap_or(true) {
        made = wait(context, made).await?;
    }
    let note = if made.len() == 1 { String::new() } else { format!("{} objects", made.len()) };
    let identity = json!({ "objects": declared });
    let exports = exports(&made, made.values().next(), &Hidden::of([&desired.inputs]));
    Ok(Applied { identity, exports, note })
}

async fn apply_one(
    context: &Context,
    reference: &ObjectRef,
    object: &Json,
    force: bool,
    replace: bool,
) -> Outcome<Json> {
    let kubernetes = &context.cluster()?.kubernetes;
    let found = type_of(context, reference).await?;
    let request = marked(context, object, &found);
    let live = context.patiently(|| kubernetes.get(&found)).await?;
    if live.is_some() && replace {
        delete_one(context, &found).await?;
    }
    // What bears our mark is ours: fields that somebody else took are taken back, as the plan showed.
    let ours = live.as_ref().is_some_and(|l| matches!(owner(context, l), Owner::Ours(_)));
    let options = ApplyOptions { manager: MANAGER.to_owned(), force: force || ours, dry_run: false };
    let done = context.patiently(|| kubernetes.apply(&request, &options)).await;
    done.map_err(|failure| {
        let subject = reference.to_string();
        let failure = if failure.subject.is_empty() { Failure { subject, ..failure } } else { failure };
        if failure.class == Class::Conflict {
            failure.hint("`force_conflicts = true` takes the field over; else leave it out of the declaration")
        } else if is_immutable(&failure.message) {
            failure.hint("plan again: the object must be replaced")
        } else {
            failure
        }
    })
}

/// The reference as the server knows it; a type that is only just defined gets a moment to appear.
async fn type_of(context: &Context, reference: &ObjectRef) -> Outcome<ObjectRef> {
    let kubernetes = &context.cluster()?.kubernetes;
    let until = context.clock.now() + TYPE_TIMEOUT.min(context.time_left());
    loop {
        if let Some(found) = context.patiently(|| resolved(kubernetes, reference)).await? {
            return Ok(found);
        }
        if context.clock.now() >= until {
            let what = format!("the cluster has no {} {}", reference.api_version, reference.kind);
            return Err(Failure::new(Class::NotFound, "apply", reference.to_string(), what)
                .hint("what defines the type must come before: name it in `depends_on`"));
        }
        context.clock.sleep(crate::kinds::FIRST_POLL).await;
    }
}

/// Waits until every object is ready; what is not, says why.
async fn wait(context: &Context, mut made: BTreeMap<ObjectRef, Json>) -> Outcome<BTreeMap<ObjectRef, Json>> {
    let mut waiting: BTreeMap<ObjectRef, String> = BTreeMap::new();
    let mut pace = crate::kinds::FIRST_POLL;
    loop {
        waiting.clear();
        for (reference, object) in &made {
            match readiness::of(object) {
                Readiness::Ready => {}
                Readiness::Pending(why) => drop(waiting.insert(reference.clone(), why)),
                Readiness::Failed(why) => {
                    let why = explained(context, reference, object, &why).await;
                    return Err(Failure::new(Class::Failed, "apply", reference.to_string(), why));
                }
            }
        }
        let Some((first, why)) = waiting.first_key_value() else { return Ok(made) };
        if context.time_left() == Duration::ZERO {
            let object = made.get(first).cloned().unwrap_or_default();
            let why = explained(context, first, &object, why).await;
            return Err(Failure::new(Class::Failed, "apply", first.to_string(), format!("not ready in time: {why}")));
        }
        context.say(&format!("{first}: {why}"));
        context.clock.sleep(pace.min(context.time_left())).await;
        pace = (pace * 3 / 2).min(crate::kinds::SLOWEST_POLL);
        let asked: Vec<ObjectRef> = waiting.keys().cloned().collect();
        for (reference, object) in objects(context, &asked).await? {
            made.insert(reference, object);
        }
    }
}

async fn explained(context: &Context, reference: &ObjectRef, object: &Json, why: &str) -> String {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().map(|labels| {
        labels.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect::<BTreeMap<_, _>>()
    });
    let more = match (labels, &reference.namespace) {
        (Some(labels), Some(namespace)) => reason::of_pods(context, namespace, &labels).await,
        _ => match context.cluster() {
            Ok(cluster) => cluster.kubernetes.events_about(reference).await.ok().and_then(|e| e.first().cloned()),
            Err(_) => None,
        },
    };
    more.map_or_else(|| why.to_owned(), |more| format!("{why}; {more}"))
}

/// Deletes what bears our mark, last made first, and waits until it is gone.
async fn delete_all(context: &Context, wanted: &[ObjectRef]) -> Outcome<()> {
    let there = objects(context, wanted).await?;
    let kubernetes = &context.cluster()?.kubernetes;
    let mut ours: Vec<&ObjectRef> =
        there.iter().filter(|(_, object)| matches!(owner(context, object), Owner::Ours(_))).map(|(r, _)| r).collect();
    ours.sort_by_key(|reference| std::cmp::Reverse(rank(reference)));
    for reference in ours {
        if let Some(found) = context.patiently(|| resolved(kubernetes, reference)).await? {
            delete_one(context, &found).await?;
        }
    }
    Ok(())
}

async fn delete_one(context: &Context, reference: &ObjectRef) -> Outcome<()> {
    let kubernetes = &context.cluster()?.kubernetes;
    context.patiently(|| kubernetes.delete(reference, None)).await?;
    let mut pace = crate::kinds::FIRST_POLL;
    loop {
        let Some(left) = context.patiently(|| kubernetes.get(reference)).await? else { return Ok(()) };
        if context.time_left() == Duration::ZERO {
            let finalizers: Vec<&str> =
                left["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
            let held = if finalizers.is_empty() {
                "it is still there".to_owned()
            } else {
                format!("it is held by {}", finalizers.join(", "))
            };
            return Err(Failure::new(Class::Stuck, "delete", reference.to_string(), held)
                .hint("the controller that set a finalizer clears it; see whether it still runs"));
        }
        context.clock.sleep(pace.min(context.time_left())).await;
        pace = (pace * 3 / 2).min(crate::kinds::SLOWEST_POLL);
    }
}

/// A delete is done where nothing of ours is left; an apply is simply made again.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    if step.action != ActionWord::Delete {
        return Ok(Recovered::NotDone);
    }
    let former = step.identity.map(references).unwrap_or_default();
    let left = objects(context, &former).await?;
    Ok(if left.values().any(|object| matches!(owner(context, object), Owner::Ours(_))) {
        Recovered::NotDone
    } else {
        Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
    })
}

/// Puts back our former fields, and deletes what had none.
pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>) -> Outcome<String> {
    let former = image.and_then(|i| i.get("objects")).and_then(Value::as_map);
    let mut back = Vec::new();
    for (name, object) in former.into_iter().flat_map(|m| m.iter()) {
        let Some(object) = object.to_json() else {
            let what = format!("the former content of {name} was secret and is not known any more");
            return Err(Failure::new(Class::Stuck, "undo", name.to_string(), what));
        };
        if let Some(reference) = ObjectRef::of(&object) {
            back.push((reference, object));
        }
    }
    let kept: BTreeSet<ObjectRef> = back.iter().map(|(reference, _)| reference.clone()).collect();
    let kubernetes = &context.cluster()?.kubernetes;
    let mut created = Vec::new();
    for reference in references(identity) {
        let found = context.patiently(|| resolved(kubernetes, &reference)).await?;
        if found.is_some_and(|found| !kept.contains(&found)) {
            created.push(reference);
        }
    }
    for (reference, object) in &back {
        let request = marked(context, object, reference);
        let options = ApplyOptions { manager: MANAGER.to_owned(), force: true, dry_run: false };
        match context.patiently(|| kubernetes.apply(&request, &options)).await {
            Err(failure) if is_immutable(&failure.message) => {
                delete_one(context, reference).await?;
                context.patiently(|| kubernetes.apply(&request, &options)).await?;
            }
            other => drop(other?),
        }
    }
    delete_all(context, &created).await?;
    Ok(if back.is_empty() { "deleted".to_owned() } else { "put back our former fields".to_owned() })
}
