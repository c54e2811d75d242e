//! What goes once it has no traffic, and the requests that it had are answered (`drained`): a colour is taken from its side of the route before it is destroyed.

use super::route::Behind;
use crate::{
    apply::{
        journal::Desk,
        work::{End, tell},
    },
    base::Address,
    plan::{Mode, remembered_connections},
    state::Resource,
};
use std::collections::BTreeMap;

/// Before a colour is destroyed: it has no traffic by the route's own word, and is bound to no side. Nothing where the thing is no colour, or its
/// route is gone.
///
/// # Errors
/// A colour that still has traffic is not destroyed, unless everything is.
pub(in crate::apply) async fn first(desk: &Desk<'_>, address: &Address, remembered: &Resource) -> Result<(), End> {
    let Some((unit, color)) = address.unit() else { return Ok(()) };
    let (standing, there, other) = desk.store.with(|state| {
        let standing = state.rollouts.get(&unit).cloned().unwrap_or_default();
        let there = standing.traffic.as_ref().is_some_and(|traffic| state.resources.contains_key(traffic));
        (standing, there, state.parts(&unit, color.other()).next().is_some())
    });
    let Some(traffic) = standing.traffic.filter(|_| there) else { return Ok(()) };
    let release = remembered_connections(desk.subject, remembered);
    let binds = release.cluster.is_some();
    let behind = Behind::new(traffic.clone(), release, BTreeMap::new());
    let route = behind.route(desk, &unit).await?;
    let failed = |failure: crate::world::Failure| End::Failed(tell(&failure));
    // Where the other one is there too, this is not the end of both: it must have no traffic.
    let stays = desk.mode != Mode::Destroy
        && standing.live != Some(color)
        && (other || standing.live.is_some() || standing.was.is_some());
    if stays {
        let routed = route.read().await.map_err(failed)?;
        let share = routed.weights.of(color.side());
        if share > 0 {
            let why = format!("{traffic} still gives it {share} % of the traffic; somebody else moved it");
            return Err(End::Failed(format!("{why}: put it back, and apply again")));
        }
    }
    // What lives in no cluster was never bound: it chose its side itself.
    if !binds {
        return Ok(());
    }
    route.unbind(color.side()).await.map_err(failed)
}
