//! Waiting for objects: until they are ready, or until they are gone. The server tells of changes; nothing is asked in turns.

use crate::{
    kinds::{
        Context,
        drain::held_by,
        manifest::readiness::{self, Readiness},
        reason,
    },
    world::{Class, Failure, ObjectChange, ObjectRef, Outcome, Watched},
};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Namespaces of one type that are watched one by one; where there are more, all are watched at once.
const NAMESPACES: usize = 8;
/// How many of those that are missing are named.
const NAMED: usize = 3;

type Changes = BoxStream<'static, (Watched, Outcome<ObjectChange>)>;
/// The names of one type, by namespace.
type Names<'r> = BTreeMap<Option<&'r str>, Vec<&'r str>>;

/// Waits until every object is ready; the first that fails, or is not ready in time, says why. Returns them as they are then.
///
/// # Errors
/// `Failed` with the reason, events and last log lines; `Denied` where watching is not allowed.
pub(super) async fn ready(
    context: &Context,
    mut made: BTreeMap<ObjectRef, Json>,
) -> Outcome<BTreeMap<ObjectRef, Json>> {
    let mut waiting: BTreeMap<ObjectRef, String> = BTreeMap::new();
    for (reference, object) in &made {
        match judged(context, object).await {
            Readiness::Ready => {}
            Readiness::Pending(why) => drop(waiting.insert(reference.clone(), why)),
            Readiness::Failed(why) => return Err(failed(context, reference, object, &why).await),
        }
    }
    let mut changes = changes(context, waiting.keys())?;
    let mut told = None;
    while let Some((first, why)) = waiting.first_key_value() {
        let left = context.time_left();
        if left == Duration::ZERO {
            return Err(late(context, &made, &waiting).await);
        }
        if told.as_ref() != Some(&(first.clone(), why.clone())) {
            let more = if waiting.len() > 1 { format!(" (and {} more)", waiting.len() - 1) } else { String::new() };
            context.say(&format!("{first}: {why}{more}"));
            told = Some((first.clone(), why.clone()));
        }
        let next = tokio::select! {
            biased;
            next = changes.next() => next,
            () = context.clock.sleep(left) => continue,
        };
        match next {
            Some((_, Ok(ObjectChange::Is(object)))) => {
                let Some(reference) = ObjectRef::of(&object).filter(|r| waiting.contains_key(r)) else { continue };
                match judged(context, &object).await {
                    Readiness::Ready => drop(waiting.remove(&reference)),
                    Readiness::Pending(why) => drop(waiting.insert(reference.clone(), why)),
                    Readiness::Failed(why) => return Err(failed(context, &reference, &object, &why).await),
                }
                made.insert(reference, object);
            }
            Some((_, Ok(ObjectChange::Gone(reference)))) => {
                if waiting.contains_key(&reference) {
                    let what = "somebody deleted it while it was waited for".to_owned();
                    return Err(Failure::new(Class::Failed, "apply", reference.to_string(), what));
                }
            }
            Some((_, Ok(ObjectChange::Listed))) => {}
            Some((_, Err(failure))) => return Err(failure),
            None => {
                let what = "the server tells of no more changes".to_owned();
                return Err(Failure::new(Class::Unavailable, "wait", context.address.to_string(), what));
            }
        }
    }
    Ok(made)
}

/// Waits until these are gone. What holds one is named.
///
/// # Errors
/// `Stuck` with the finalizers that hold the first.
pub(super) async fn gone(context: &Context, deleted: &[ObjectRef]) -> Outcome<()> {
    let mut waiting: BTreeMap<ObjectRef, Option<Json>> = deleted.iter().map(|r| (r.clone(), None)).collect();
    let mut changes = changes(context, waiting.keys())?;
    // What was seen since the beginning of a list, by what is watched: the rest is gone when the list has ended.
    let mut seen: BTreeSet<ObjectRef> = BTreeSet::new();
    while !waiting.is_empty() {
        let left = context.time_left();
        if left == Duration::ZERO {
            return Err(held(&waiting));
        }
        let next = tokio::select! {
            biased;
            next = changes.next() => next,
            () = context.clock.sleep(left) => continue,
        };
        match next {
            Some((_, Ok(ObjectChange::Is(object)))) => {
                let Some(reference) = ObjectRef::of(&object) else { continue };
                if let Some(last) = waiting.get_mut(&reference) {
                    *last = Some(object);
                    seen.insert(reference);
                }
            }
            Some((_, Ok(ObjectChange::Gone(reference)))) => drop(waiting.remove(&reference)),
            Some((watched, Ok(ObjectChange::Listed))) => {
                waiting.retain(|reference, _| !covers(&watched, reference) || seen.contains(reference));
                seen.retain(|reference| !covers(&watched, reference));
            }
            // The type is gone, and what was of it.
            Some((watched, Err(failure))) if failure.class == Class::NotFound => {
                waiting.retain(|reference, _| !covers(&watched, reference));
            }
            Some((_, Err(failure))) => return Err(failure),
            None => break,
        }
    }
    Ok(())
}

/// Whether a watch tells of an object.
fn covers(watched: &Watched, reference: &ObjectRef) -> bool {
    watched.api_version == reference.api_version
        && watched.kind == reference.kind
        && watched.namespace.as_ref().is_none_or(|n| reference.namespace.as_ref() == Some(n))
        && watched.name.as_ref().is_none_or(|n| *n == reference.name)
}

/// One watch for all objects of a type in a namespace; of a single one, one for that.
fn changes<'r>(context: &Context, objects: impl Iterator<Item = &'r ObjectRef>) -> Outcome<stream::SelectAll<Changes>> {
    let kubernetes = context.cluster()?.kubernetes.clone();
    let mut types: BTreeMap<(&str, &str), Names<'_>> = BTreeMap::new();
    for object in objects {
        let of_type = types.entry((&object.api_version, &object.kind)).or_default();
        of_type.entry(object.namespace.as_deref()).or_default().push(&object.name);
    }
    let mut streams: Vec<Changes> = Vec::new();
    for ((api_version, kind), namespaces) in types {
        let mut watch = |namespace: Option<&str>, name: Option<&str>| {
            let watched = Watched {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.map(str::to_owned),
                name: name.map(str::to_owned),
                labels: BTreeMap::new(),
            };
            let told = watched.clone();
            streams.push(kubernetes.changes(&watched).map(move |change| (told.clone(), change)).boxed());
        };
        if namespaces.len() > NAMESPACES {
            watch(None, None);
            continue;
        }
        for (namespace, names) in namespaces {
            match &names[..] {
                [one] => watch(namespace, Some(one)),
                _ => watch(namespace, None),
            }
        }
    }
    Ok(stream::select_all(streams))
}

/// How far an object has come. A claim that waits for its first consumer is as it should be: nothing binds it before.
async fn judged(context: &Context, object: &Json) -> Readiness {
    let judged = readiness::of(object);
    let class = object["spec"]["storageClassName"].as_str().filter(|_| object["kind"] == "PersistentVolumeClaim");
    let (Readiness::Pending(_), Some(class)) = (&judged, class) else { return judged };
    let class = ObjectRef {
        api_version: "storage.k8s.io/v1".to_owned(),
        kind: "StorageClass".to_owned(),
        namespace: None,
        name: class.to_owned(),
    };
    let Ok(cluster) = context.cluster() else { return judged };
    match cluster.kubernetes.get(&class).await {
        Ok(Some(class)) if class["volumeBindingMode"] == "WaitForFirstConsumer" => Readiness::Ready,
        _ => judged,
    }
}

async fn failed(context: &Context, reference: &ObjectRef, object: &Json, why: &str) -> Failure {
    let why = reason::of_object(context, reference, object, why).await;
    Failure::new(Class::Failed, "apply", reference.to_string(), why)
}

/// Those that are not ready in time: why of the first ones, and how many there are.
async fn late(context: &Context, made: &BTreeMap<ObjectRef, Json>, waiting: &BTreeMap<ObjectRef, String>) -> Failure {
    let mut said = Vec::new();
    for (reference, why) in waiting.iter().take(NAMED) {
        let object = made.get(reference).cloned().unwrap_or_default();
        let why = reason::of_object(context, reference, &object, why).await;
        said.push(if said.is_empty() { why } else { format!("{reference}: {why}") });
    }
    if waiting.len() > NAMED {
        said.push(format!("and {} more are not ready", waiting.len() - NAMED));
    }
    let first = waiting.keys().next().map(ToString::to_string).unwrap_or_default();
    Failure::new(Class::Failed, "apply", first, format!("not ready in time: {}", said.join("; ")))
        .hint("`timeouts` gives it longer, `wait = false` does not wait")
}

fn held(waiting: &BTreeMap<ObjectRef, Option<Json>>) -> Failure {
    let (reference, object) = waiting.iter().next().map(|(r, o)| (r.to_string(), o.clone())).unwrap_or_default();
    let mut what = held_by(&object.unwrap_or_default())
        .map_or_else(|| "it is still there".to_owned(), |by| format!("it is held by {by}"));
    if waiting.len() > 1 {
        what = format!("{what}; {} others are not gone either", waiting.len() - 1);
    }
    Failure::new(Class::Stuck, "delete", reference, what)
        .hint("the controller that set a finalizer clears it; see whether it still runs")
}
