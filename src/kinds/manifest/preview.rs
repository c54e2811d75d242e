//! What the server would make of the objects: its own dry run, compared with what is live.

use crate::{
    base::{ActionWord, Hidden},
    kinds::{
        ChildChange, Context, Desired, Observed, Owner, Preview,
        manifest::operation::marked,
        manifest::{
            desired::{known_objects, references},
            live::{objects, owner, resolved},
        },
        objects::{self as parts, ThreeWays, three_ways},
    },
    world::{ApplyOptions, Class, ObjectRef, Outcome},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// One object's part of the change, and what the plan must know of it.
enum Seen {
    /// It stays as it is.
    Same,
    /// It changes.
    Changes(ChildChange),
    /// Its type is not there yet.
    NeedsType(ChildChange),
}

pub(super) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
) -> Outcome<Option<Preview>> {
    let wanted = known_objects(&desired.inputs);
    let declared: BTreeSet<ObjectRef> = wanted.iter().map(|(_, reference, _)| reference.clone()).collect();
    let former: Vec<ObjectRef> = observed.map(|o| references(&o.identity)).unwrap_or_default();
    let all: Vec<ObjectRef> =
        declared.iter().chain(former.iter()).cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let there = objects(context, &all).await?;
    let hidden = Hidden::of([&desired.inputs]);
    let force = desired.inputs.get("force_conflicts").and_then(crate::base::Value::as_bool).unwrap_or(false);

    let seen: Vec<Seen> = stream::iter(wanted)
        .map(|(_, reference, object)| {
            let live = there.get(&reference).cloned();
            let tried = Try { reference, object, live, force, hidden: &hidden };
            async move { one(context, &tried).await }
        })
        .buffered(parts::AT_ONCE)
        .try_collect()
        .await?;
    let mut children = Vec::new();
    let mut needs: Vec<String> = Vec::new();
    for seen in seen {
        match seen {
            Seen::Same => {}
            Seen::Changes(child) => children.push(child),
            Seen::NeedsType(child) => {
                needs.push(child.kind.clone());
                children.push(child);
            }
        }
    }
    for reference in former.iter().filter(|r| !declared.contains(*r)) {
        let ways = ThreeWays { last: None, live: there.get(reference), next: None, hidden: &hidden };
        children.extend(three_ways(reference, &ways));
    }
    let replaces: Vec<&str> =
        children.iter().filter(|c| c.action == ActionWord::Replace).map(|c| c.name.as_str()).collect();
    let mut facts: BTreeMap<String, Json> = BTreeMap::new();
    if !replaces.is_empty() {
        facts.insert("replaces".to_owned(), json!(replaces));
    }
    if !needs.is_empty() {
        needs.sort();
        needs.dedup();
        facts.insert("needs_types".to_owned(), json!(needs));
    }
    let nothing = children.is_empty();
    Ok(Some(Preview { children, facts, nothing, ..Preview::default() }))
}

/// One object to try.
struct Try<'a> {
    reference: ObjectRef,
    object: Json,
    live: Option<Json>,
    force: bool,
    hidden: &'a Hidden,
}

async fn one(context: &Context, tried: &Try<'_>) -> Outcome<Seen> {
    let Try { reference, object, live, force, hidden } = tried;
    let kubernetes = &context.cluster()?.kubernetes;
    let created = |next: &Json| {
        let ways = ThreeWays { last: None, live: None, next: Some(next), hidden };
        three_ways(reference, &ways)
    };
    let Some(found) = context.patiently(|| resolved(kubernetes, reference)).await? else {
        return Ok(created(object).map_or(Seen::Same, Seen::NeedsType));
    };
    // An object whose namespace is made by the same run cannot be tried: it is a create.
    let request = marked(context, object, &found);
    let ours = live.as_ref().is_some_and(|l| matches!(owner(context, l), Owner::Ours(_)));
    let options = ApplyOptions { manager: parts::MANAGER.to_owned(), force: *force || ours, dry_run: true };
    match context.patiently(|| kubernetes.apply(&request, &options)).await {
        Ok(next) => {
            let ways = ThreeWays { last: None, live: live.as_ref(), next: Some(&next), hidden };
            Ok(three_ways(reference, &ways).map_or(Seen::Same, Seen::Changes))
        }
        Err(failure) if live.is_none() && failure.class == Class::NotFound => {
            Ok(created(object).map_or(Seen::Same, Seen::Changes))
        }
        Err(failure) if live.is_some() && is_immutable(&failure.message) => {
            let ways = ThreeWays { last: None, live: live.as_ref(), next: Some(&request), hidden };
            Ok(three_ways(reference, &ways).map_or(Seen::Same, |mut child| {
                child.action = ActionWord::Replace;
                for field in &mut child.fields {
                    field.forces_replacement =
                        failure.message.contains(field.path.split('.').next_back().unwrap_or("\u{0}"));
                }
                Seen::Changes(child)
            }))
        }
        Err(failure) if failure.class == Class::Conflict => {
            Err(failure.hint("`force_conflicts = true` takes the field over; else leave it out of the declaration"))
        }
        Err(failure) => Err(failure),
    }
}

/// True for the server's words about a field that cannot be changed.
pub(super) fn is_immutable(message: &str) -> bool {
    message.contains("immutable") || message.contains("updates to statefulset spec for fields other than")
}
