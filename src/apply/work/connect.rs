//! Where an instance lives, and the context in which its kind works there.

use super::end::{End, tell};
use crate::{
    apply::journal::Desk,
    base::{Address, Event, Hidden},
    kinds::Context,
    lang::Declaration,
    plan::{clusters, connect},
    state::Record,
};
use serde_json::Value as Json;
use std::{sync::Arc, time::Duration};

/// Where a thing lives, as state keeps it.
pub(super) fn connection(connections: &connect::Connections) -> Json {
    serde_json::to_value(connections).unwrap_or(Json::Null)
}

/// A context whose progress goes to the events. Its cluster was met: it is the one that state remembers, or is recorded now.
pub(in crate::apply) async fn context(
    desk: &Desk<'_>,
    address: &Address,
    connections: &connect::Connections,
    timeout: Duration,
) -> Result<Context, End> {
    let subject = desk.subject;
    let progress = progress(desk.events.clone(), desk.hidden.clone(), address.clone());
    let failed = |f: crate::world::Failure| End::Failed(tell(&f));
    let context = connect::context(subject, address, connections, timeout, progress).map_err(failed)?;
    let met = context.patiently(|| clusters::meet(subject, &subject.state, address, connections)).await;
    if let Some((connection, identity)) = met.map_err(failed)? {
        let connection: Arc<str> = connection.into();
        let known = desk.store.with(|state| state.clusters.get(&connection) == Some(&identity));
        if !known {
            desk.store.commit(vec![Record::Cluster { connection, identity }]).await?;
        }
    }
    Ok(context)
}

/// The time that `timeouts` of a declaration gives an action; `None` where it gives none, or nothing declares the thing any more.
pub(super) fn declared_timeout(desk: &Desk<'_>, address: &Address, action: &str) -> Option<Duration> {
    let declared = desk.subject.configuration.resource(&Declaration::from(address))?;
    declared.timeouts.get(action).copied()
}

/// Emits what a running node says.
fn progress(
    events: Arc<dyn crate::base::Events>,
    hidden: Arc<Hidden>,
    address: Address,
) -> Arc<dyn Fn(&str) + Send + Sync> {
    Arc::new(move |message| {
        events.emit(Event::NodeProgress { address: address.clone(), message: hidden.out_of(message) });
    })
}
