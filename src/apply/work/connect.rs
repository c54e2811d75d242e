//! Where an instance lives, and the context in which its kind works there.

use super::end::{End, tell};
use crate::{
    apply::journal::Desk,
    base::{Address, Event, Hidden},
    kinds::Context,
    plan::connect,
};
use serde_json::Value as Json;
use std::{sync::Arc, time::Duration};

/// Where a thing lives, as state keeps it.
pub(super) fn connection(connections: &connect::Connections) -> Json {
    serde_json::to_value(connections).unwrap_or(Json::Null)
}

/// A context whose progress goes to the events.
pub(in crate::apply) fn context(
    desk: &Desk<'_>,
    address: &Address,
    connections: &connect::Connections,
    timeout: Duration,
) -> Result<Context, End> {
    connect::context(
        desk.subject,
        address,
        connections,
        timeout,
        progress(desk.events.clone(), desk.hidden.clone(), address.clone()),
    )
    .map_err(|f| End::Failed(tell(&f)))
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
