//! Clearing a cluster before the stack that makes it is deleted: what controllers made first, while they still run; claims once all of
//! ours in it is gone. Only what the plan listed is deleted, by uid: anything else that is there by then stops the run.

use super::{
    connect::{connection, context, declared_timeout},
    end::{End, tell},
};
use crate::{
    apply::journal::Desk,
    base::{ActionWord, Event},
    kinds::{self, Context, Drain, Drained},
    plan::{DRAIN, Planned, connect::Connections, gone},
    state::{Intent, Outcome as Ended, Purpose, Record, Resource},
    world::{Class, ClusterConnection, Failure, ObjectRef},
};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How long the controllers of a cluster have to clear away what they made, unless `timeouts { delete }` of the stack gives longer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The clusters that are drained before what this node deletes.
fn drains(planned: &Planned) -> Result<Vec<Drain>, End> {
    let Some(fact) = planned.facts.get(DRAIN).filter(|_| planned.action == ActionWord::Delete) else {
        return Ok(Vec::new());
    };
    serde_json::from_value(fact.clone())
        .map_err(|e| End::Failed(format!("the plan's list of what to drain cannot be read: {e}")))
}

/// Drains what is not ours, before anything of ours in the cluster goes.
pub(in crate::apply) async fn first(desk: &Desk<'_>, planned: &Planned, remembered: &Resource) -> Result<(), End> {
    for drain in drains(planned)? {
        let known: BTreeSet<ObjectRef> =
            objects(&drain.first).chain(objects(&drain.last)).chain(drain.ours.clone()).collect();
        clear(desk, planned, remembered, &drain.cluster, &drain.first, (&known, false)).await?;
    }
    Ok(())
}

/// Drains what is left once all of ours is gone.
pub(super) async fn last(desk: &Desk<'_>, planned: &Planned, remembered: &Resource) -> Result<(), End> {
    for drain in drains(planned)? {
        let known: BTreeSet<ObjectRef> = objects(&drain.last).collect();
        clear(desk, planned, remembered, &drain.cluster, &drain.last, (&known, true)).await?;
    }
    Ok(())
}

fn objects(drained: &[Drained]) -> impl Iterator<Item = ObjectRef> + '_ {
    drained.iter().map(|d| d.object.clone())
}

/// Looks for what nobody agreed to lose, then deletes and waits, under an intent of its own. Deleting by uid again is no harm: after a
/// kill it is simply made again.
async fn clear(
    desk: &Desk<'_>,
    planned: &Planned,
    remembered: &Resource,
    cluster: &ClusterConnection,
    wanted: &[Drained],
    (known, claims_too): (&BTreeSet<ObjectRef>, bool),
) -> Result<(), End> {
    let address = &planned.address;
    let connections = Connections { aws: desk.subject.aws.clone(), cluster: Some(cluster.clone()) };
    let timeout = declared_timeout(desk, address, "delete").unwrap_or_default().max(DRAIN_TIMEOUT);
    let context = match context(desk, address, &connections, timeout).await {
        Ok(context) => context,
        Err(end) => return gone_or(desk, cluster, end).await,
    };
    let appeared = match kinds::appeared(&context, known, claims_too).await {
        Ok(appeared) => appeared,
        Err(failure) if failure.class == Class::NotFound => {
            return gone_or(desk, cluster, End::Failed(tell(&failure))).await;
        }
        Err(failure) => return Err(End::Failed(tell(&failure))),
    };
    if !appeared.is_empty() {
        let what = appeared.join(", ");
        return Err(End::Beyond(format!(
            "in {} there is by now what the plan did not list, and would be left behind in the account: {what}; plan again",
            kinds::named(cluster)
        )));
    }
    let open = open(desk, planned);
    if wanted.is_empty() {
        return settle(desk, open, Ended::Done { note: String::new() }).await;
    }
    let intent = match open {
        Some(id) => id,
        None => begin(desk, planned, remembered, &connections, &context).await?,
    };
    let (events, left) = (&desk.events, AtomicUsize::new(wanted.len()));
    events.emit(Event::DrainStarted { address: address.clone(), cluster: kinds::named(cluster), total: wanted.len() });
    let gone = |object: &ObjectRef| {
        let left = left.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        events.emit(Event::Drained { address: address.clone(), object: object.to_string(), left });
    };
    match kinds::drain(&context, wanted, &gone).await {
        Ok(()) => {
            let note = format!("{} objects drained", wanted.len());
            settle(desk, Some(intent), Ended::Done { note }).await
        }
        Err(failure) => {
            settle(desk, Some(intent), Ended::Failed { why: tell(&failure), unknown: false }).await?;
            Err(end_of(&failure))
        }
    }
}

fn end_of(failure: &Failure) -> End {
    match failure.class {
        Class::Conflict => End::Beyond(tell(failure)),
        _ => End::Failed(tell(failure)),
    }
}

/// A cluster that is gone needs no draining; one that cannot be asked is no such cluster.
async fn gone_or(desk: &Desk<'_>, cluster: &ClusterConnection, end: End) -> Result<(), End> {
    match gone::is_gone(desk.subject, cluster).await {
        Ok(true) => Ok(()),
        Err(failure) if failure.class == Class::Conflict => Err(End::Failed(tell(&failure))),
        _ => Err(end),
    }
}

/// The intent of a drain whose end was not seen.
fn open(desk: &Desk<'_>, planned: &Planned) -> Option<std::sync::Arc<str>> {
    desk.store.with(|state| {
        let entries = state.journal.entries.iter();
        let mut mine = entries.filter(|e| e.intent.purpose == Purpose::Drain && e.intent.address == planned.address);
        mine.find(|e| e.outcome.is_none()).map(|e| e.intent.id.clone())
    })
}

async fn begin(
    desk: &Desk<'_>,
    planned: &Planned,
    remembered: &Resource,
    connections: &Connections,
    context: &Context,
) -> Result<std::sync::Arc<str>, End> {
    let id = desk.intent_id();
    let intent = Intent {
        id: id.clone(),
        run: desk.run.clone(),
        address: planned.address.clone(),
        phase: remembered.phase.clone(),
        action: ActionWord::Delete,
        purpose: Purpose::Drain,
        identity: remembered.identity.clone(),
        connection: connection(connections),
        image: None,
        former: None,
        start_by: context.deadline,
    };
    desk.store.commit(vec![Record::Intent(Box::new(intent))]).await?;
    Ok(id)
}

async fn settle(desk: &Desk<'_>, intent: Option<std::sync::Arc<str>>, outcome: Ended) -> Result<(), End> {
    if let Some(intent) = intent {
        desk.store.commit(vec![Record::Outcome { intent, outcome }]).await?;
    }
    Ok(())
}
