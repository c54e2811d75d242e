//! Deleting objects and waiting until they are really gone: their controllers clear what the objects stand for, and let go of
//! them only then.

use super::{CLAIM, Drained, held_by};
use crate::{
    kinds::{Context, FIRST_POLL, SLOWEST_POLL, objects::AT_ONCE},
    world::{Class, Failure, ObjectRef, Outcome},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// Deletes these and waits until they are gone: routes before the services behind them, claims last. Made again after a kill, it
/// goes on where it was. `gone` hears of each that is gone.
///
/// # Errors
/// `Conflict` where one was made anew since it was planned; `Stuck` where the deadline passes, with the finalizer that holds it
/// and who clears that.
pub async fn drain(context: &Context, objects: &[Drained], gone: &(dyn Fn(&ObjectRef) + Sync)) -> Outcome<()> {
    let mut ranks: BTreeMap<u8, Vec<Drained>> = BTreeMap::new();
    for drained in objects {
        let rank = match drained.object.kind.as_str() {
            CLAIM => 2,
            "Service" => 1,
            _ => 0,
        };
        ranks.entry(rank).or_default().push(drained.clone());
    }
    for group in ranks.into_values() {
        stream::iter(group.clone())
            .map(|drained| async move { delete(context, &drained).await })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        stream::iter(group)
            .map(|drained| async move {
                until_gone(context, &drained.object, Some(&drained.uid)).await?;
                gone(&drained.object);
                Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

async fn delete(context: &Context, drained: &Drained) -> Outcome<()> {
    let kubernetes = &context.cluster()?.kubernetes;
    context.say(&format!("draining {}", drained.object));
    let done = context.patiently(|| kubernetes.delete(&drained.object, Some(&drained.uid))).await;
    done.map_err(|failure| match failure.class {
        Class::Conflict => Failure {
            message: format!("it was made anew since the plan was made: {}", failure.message),
            subject: drained.object.to_string(),
            ..failure
        }
        .hint("plan again"),
        _ => failure,
    })
}

/// Waits until an object that was deleted is gone; with a uid, until that one is.
///
/// # Errors
/// `Stuck` where the deadline passes.
pub(in crate::kinds) async fn until_gone(context: &Context, reference: &ObjectRef, uid: Option<&str>) -> Outcome<()> {
    let kubernetes = &context.cluster()?.kubernetes;
    let mut pace = FIRST_POLL;
    loop {
        let Some(left) = context.patiently(|| kubernetes.get(reference)).await? else { return Ok(()) };
        if uid.is_some_and(|uid| left["metadata"]["uid"] != uid) {
            return Ok(());
        }
        if context.time_left() == Duration::ZERO {
            let held =
                held_by(&left).map_or_else(|| "it is still there".to_owned(), |by| format!("it is held by {by}"));
            let users = users(context, reference).await;
            return Err(Failure::new(Class::Stuck, "delete", reference.to_string(), format!("{held}{users}"))
                .hint("see whether that controller still runs; what it did not clear stays in the account"));
        }
        context.clock.sleep(pace.min(context.time_left())).await;
        pace = (pace * 3 / 2).min(SLOWEST_POLL);
    }
}

/// The pods that use a claim, in words.
async fn users(context: &Context, reference: &ObjectRef) -> String {
    let (CLAIM, Ok(cluster)) = (reference.kind.as_str(), context.cluster()) else { return String::new() };
    let pods = cluster.kubernetes.list("v1", "Pod", reference.namespace.as_deref(), &BTreeMap::new()).await;
    let uses = |pod: &Json| {
        let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        volumes.any(|v| v["persistentVolumeClaim"]["claimName"] == reference.name.as_str())
    };
    let pods = pods.unwrap_or_default();
    let names: Vec<&str> = pods.iter().filter(|p| uses(p)).filter_map(|p| p["metadata"]["name"].as_str()).collect();
    if names.is_empty() { String::new() } else { format!("; used by the pods {}", names.join(", ")) }
}
