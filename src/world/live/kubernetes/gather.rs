//! Many objects by reference in few requests: a list where many of one type are wanted of one namespace, else one by one.

use super::{
    api::{Api, json_of},
    cluster::Ask,
    failure::Call,
    paths,
};
use crate::world::{Class, Kubernetes as _, ObjectRef, Outcome, ResourceType};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// From so many on a list is read.
const MANY: usize = 8;
/// How many others a list may hold for each that is wanted; where there are more, the rest is asked for one by one.
const OTHERS: usize = 8;
/// How many objects a page has.
const PAGE: usize = 500;
/// How many are asked for at once.
const AT_ONCE: usize = 48;

/// The objects that are there.
pub(super) async fn gather(api: &Api, objects: &[ObjectRef]) -> Outcome<BTreeMap<ObjectRef, Json>> {
    let mut groups: BTreeMap<(&str, &str, Option<&str>), Vec<&ObjectRef>> = BTreeMap::new();
    for object in objects {
        let key = (object.api_version.as_str(), object.kind.as_str(), object.namespace.as_deref());
        groups.entry(key).or_default().push(object);
    }
    let mut found = BTreeMap::new();
    let mut single: Vec<&ObjectRef> = Vec::new();
    let mut lists = Vec::new();
    for ((api_version, kind, namespace), wanted) in groups {
        if wanted.len() < MANY {
            single.extend(wanted);
            continue;
        }
        // A type that is not there has no objects.
        let Some(kind) = api.0.find_type(api_version, kind).await? else { continue };
        lists.push((kind, namespace, wanted));
    }
    let jobs: Vec<_> = lists.iter().map(|(kind, namespace, wanted)| list(api, kind, *namespace, wanted)).collect();
    let listed: Vec<(BTreeMap<ObjectRef, Json>, Vec<&ObjectRef>)> =
        stream::iter(jobs).buffer_unordered(AT_ONCE).try_collect().await?;
    for (there, rest) in listed {
        found.extend(there);
        single.extend(rest);
    }
    let jobs: Vec<_> = single.into_iter().map(|object| one(api, object)).collect();
    let one_by_one: Vec<(ObjectRef, Option<Json>)> = stream::iter(jobs).buffer_unordered(AT_ONCE).try_collect().await?;
    found.extend(one_by_one.into_iter().filter_map(|(object, there)| Some((object, there?))));
    Ok(found)
}

async fn one(api: &Api, object: &ObjectRef) -> Outcome<(ObjectRef, Option<Json>)> {
    Ok((object.clone(), api.get(object).await?))
}

/// Those of the wanted that a list holds, and those of which it is not known.
async fn list<'r>(
    api: &Api,
    kind: &ResourceType,
    namespace: Option<&str>,
    wanted: &[&'r ObjectRef],
) -> Outcome<(BTreeMap<ObjectRef, Json>, Vec<&'r ObjectRef>)> {
    let call = Call::new("kubernetes:List", format!("{} {}", kind.kind, namespace.unwrap_or("*")));
    let base = format!("{}?limit={PAGE}", paths::of_type(kind, namespace));
    let mut names: BTreeMap<&str, &'r ObjectRef> = wanted.iter().map(|r| (r.name.as_str(), *r)).collect();
    let room = PAGE.max(wanted.len() * OTHERS);
    let mut found = BTreeMap::new();
    let (mut next, mut read) = (String::new(), 0);
    loop {
        let path = if next.is_empty() { base.clone() } else { format!("{base}&continue={}", paths::segment(&next)) };
        let page = match api.0.answer(&call, &Ask::get(path)).await? {
            Ok(bytes) => json_of(&call, &bytes)?,
            // The rest is asked for one by one where the server forgot its place, or lets nobody list.
            Err(refused) if refused.is_expired() => return Ok((found, names.into_values().collect())),
            Err(refused) => {
                let failure = refused.failure(&call);
                if failure.class == Class::Denied || refused.is_absent() {
                    return Ok((found, names.into_values().collect()));
                }
                return Err(failure);
            }
        };
        let metadata = page["metadata"].clone();
        let Json::Object(mut page) = page else {
            return Err(call.failure(Class::Unsupported, "the answer is no list"));
        };
        let Some(Json::Array(items)) = page.remove("items") else {
            return Err(call.failure(Class::Unsupported, "the answer is no list"));
        };
        read += items.len();
        for mut object in items {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let Some(reference) = names.remove(name) else { continue };
            if let Some(entries) = object.as_object_mut() {
                entries.entry("apiVersion").or_insert_with(|| kind.api_version.as_str().into());
                entries.entry("kind").or_insert_with(|| kind.kind.as_str().into());
            }
            found.insert(reference.clone(), object);
        }
        metadata["continue"].as_str().unwrap_or_default().clone_into(&mut next);
        if next.is_empty() || names.is_empty() {
            return Ok((found, Vec::new()));
        }
        let left = metadata["remainingItemCount"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE);
        if read + left > room {
            return Ok((found, names.into_values().collect()));
        }
    }
}
