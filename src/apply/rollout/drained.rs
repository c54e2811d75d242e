//! Requests that a colour still has when it is to go: its targets keep them for a while after its traffic is gone, and until that is over
//! it is left as it is.

use super::route::Behind;
use crate::{
    apply::{
        journal::Desk,
        work::{End, tell},
    },
    base::{Address, Event, elapsed, format_duration, later},
    plan::{Mode, remembered_connections},
    state::Resource,
};
use std::{collections::BTreeMap, time::Duration};

/// How often it is told how long it still takes.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What became of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::apply) enum Left {
    /// No request is left, by the time that the route gives its targets.
    Nothing,
    /// A person asked to stop.
    Interrupted,
}

/// Waits until the requests are over that a colour had when it lost its traffic, by the time that the route gives its targets. Not where
/// everything goes, nor where the thing is no colour that lost its traffic, or its route is gone.
///
/// # Errors
/// A route that does not say how long.
pub(in crate::apply) async fn drained(desk: &Desk<'_>, address: &Address, remembered: &Resource) -> Result<Left, End> {
    let Some((unit, color)) = address.unit().filter(|_| desk.mode != Mode::Destroy) else { return Ok(Left::Nothing) };
    let found = desk.store.with(|state| {
        let standing = state.rollouts.get(&unit)?;
        let kept = standing.kept.as_ref().filter(|kept| kept.color == color && !kept.unused)?;
        let traffic = standing.traffic.clone().filter(|traffic| state.resources.contains_key(traffic))?;
        Some((kept.since, traffic))
    });
    let Some((since, traffic)) = found else { return Ok(Left::Nothing) };
    let behind = Behind::new(traffic, remembered_connections(desk.subject, remembered), BTreeMap::new());
    let route = behind.route(desk, &unit).await?;
    let delay = route.drain(color.side()).await.map_err(|failure| End::Failed(tell(&failure)))?;
    let until = later(since, delay);
    let clock = desk.subject.world.clock();
    loop {
        let left = elapsed(clock.now(), until);
        if left.is_zero() {
            return Ok(Left::Nothing);
        }
        let message =
            format!("it lost its traffic: requests that it still has are given {} more", format_duration(left));
        desk.events.emit(Event::NodeProgress { address: address.clone(), message });
        tokio::select! {
            () = clock.sleep(left.min(TOLD_EVERY)) => {}
            () = desk.interrupt.reached(1) => return Ok(Left::Interrupted),
        }
    }
}
