//! The route whose traffic moves, and what is behind each of its sides.

use crate::{
    apply::{
        journal::Desk,
        work::{End, context, tell},
    },
    base::{Address, Color, Event, Side, elapsed, later},
    kinds::{self, Context},
    plan::{Subject, connect::Connections, remembered_connections},
    rollout::{Ended, Fact, Fault, PROVED_WITHIN, Spec, Strategy},
    state::{Record, Snapshot},
    world::{Backend, Outcome, Routed, TargetHealth, Traffic, Weights},
};
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

/// How long one call to the route is tried again while it fails in a way that may pass.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the health of both sides may take to be told before traffic goes back.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// How often what is waited for at the route is asked about.
pub(super) const ASKED_EVERY: Duration = Duration::from_millis(500);

/// What is behind a route.
#[derive(Debug, Clone)]
pub(in crate::apply) struct Behind {
    /// The route.
    traffic: Address,
    /// Where what is rolled out lives.
    release: Connections,
    /// What gets the traffic of a colour, where something is to be bound.
    backends: BTreeMap<Color, Backend>,
}

impl Behind {
    pub(in crate::apply) const fn new(
        traffic: Address,
        release: Connections,
        backends: BTreeMap<Color, Backend>,
    ) -> Self {
        Self { traffic, release, backends }
    }

    pub(super) const fn traffic(&self) -> &Address {
        &self.traffic
    }

    pub(super) fn backend(&self, color: Color) -> Option<&Backend> {
        self.backends.get(&color)
    }

    /// Opens the route, as it was applied last.
    pub(super) async fn route(&self, desk: &Desk<'_>, unit: &Address) -> Result<Route, End> {
        let resource = desk.store.with(|state| state.resources.get(&self.traffic).cloned());
        let Some(resource) = resource else {
            return Err(End::Failed(format!("{} is not there: nothing could be moved", self.traffic)));
        };
        let connections = remembered_connections(desk.subject, &resource);
        let own = context(desk, &self.traffic, &connections, PATIENCE).await?;
        let release = match &self.release.cluster {
            Some(_) => Some(context(desk, unit, &self.release, PATIENCE).await?),
            None => None,
        };
        let opened = kinds::traffic::open(&own, &resource.inputs, &resource.identity, release.as_ref());
        let traffic = opened.map_err(|failure| End::Failed(tell(&failure)))?;
        Ok(Route { traffic, context: Context { progress: crate::plan::look::quiet(), ..own } })
    }
}

/// How far moving traffic came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It was read back, and is in force.
    InForce,
    /// It was asked for, and nobody waited for it any longer.
    Left,
}

/// A route that is open. Each call is made again while it fails in a way that may pass, for a minute.
pub(super) struct Route {
    traffic: Box<dyn Traffic>,
    context: Context,
}

impl Route {
    pub(super) async fn bind(&self, side: Side, backend: &Backend) -> Outcome<()> {
        self.patiently(|| self.traffic.bind(side, backend)).await
    }

    pub(super) async fn unbind(&self, side: Side) -> Outcome<()> {
        self.patiently(|| self.traffic.unbind(side)).await
    }

    pub(super) async fn health(&self, side: Side) -> Outcome<TargetHealth> {
        self.patiently(|| self.traffic.health(side)).await
    }

    pub(super) async fn drain(&self, side: Side) -> Outcome<Duration> {
        self.patiently(|| self.traffic.drain(side)).await
    }

    pub(super) async fn read(&self) -> Outcome<Routed> {
        self.patiently(|| self.traffic.read()).await
    }

    /// Why traffic does not go back to a colour: nobody would answer it there, and somebody does where it is. What is only coming up there
    /// is waited for until then. Nothing where that cannot be told at once: taking traffic back waits for nothing else.
    pub(super) async fn would_go_dark<'a>(
        &self,
        to: Color,
        until: Timestamp,
        wait: impl Fn(Timestamp) -> BoxFuture<'a, ()> + Send + Sync,
    ) -> Option<String> {
        let from = to.other();
        loop {
            let asking = async {
                Some((self.traffic.health(to.side()).await.ok()?, self.traffic.health(from.side()).await.ok()?))
            };
            let (there, here) = tokio::select! {
                biased;
                told = asking => told?,
                () = self.context.clock.sleep(TOLD_WITHIN) => return None,
            };
            if there.healthy > 0 || here.healthy == 0 {
                return None;
            }
            let now = self.context.clock.now();
            if there.initial == 0 || now >= until {
                return Some(format!(
                    "{to} has no healthy target ({there}) while {from} has ({here}): traffic stays where it is"
                ));
            }
            wait(later(now, ASKED_EVERY).min(until)).await;
        }
    }

    /// Moves traffic by one call, then reads it back until it is in force; `wait` passes the time between two looks, and says whether it is to be
    /// looked at again. In words where it is not in force by then.
    pub(super) async fn prove<'a>(
        &self,
        weights: Weights,
        until: Timestamp,
        wait: impl Fn(Timestamp) -> BoxFuture<'a, bool> + Send + Sync,
    ) -> Result<Proof, String> {
        self.patiently(|| self.traffic.shift(weights)).await.map_err(|failure| tell(&failure))?;
        loop {
            let said = match self.read().await {
                Ok(routed) if routed.weights == weights && routed.unproved.is_none() => return Ok(Proof::InForce),
                Ok(routed) => routed.unproved.unwrap_or_else(|| {
                    let (blue, green) = (routed.weights.of(Side::Blue), routed.weights.of(Side::Green));
                    format!("it says {blue} % blue, {green} % green")
                }),
                Err(failure) => tell(&failure),
            };
            let now = self.context.clock.now();
            if now >= until {
                return Err(said);
            }
            if !wait(later(now, ASKED_EVERY).min(until)).await {
                return Ok(Proof::Left);
            }
        }
    }

    /// The same where nobody may call it back.
    pub(super) async fn prove_patiently<'a>(
        &self,
        weights: Weights,
        until: Timestamp,
        wait: impl Fn(Timestamp) -> BoxFuture<'a, ()> + Send + Sync,
    ) -> Result<Proof, String> {
        self.prove(weights, until, |until| Box::pin(wait(until).map(|()| true))).await
    }

    async fn patiently<T, F, Fut>(&self, call: F) -> Outcome<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Outcome<T>> + Send,
        T: Send,
    {
        let deadline = later(self.context.clock.now(), PATIENCE);
        Context { deadline, ..self.context.clone() }.patiently(call).await
    }
}

/// Where a colour lives: of a module, where its first part that is in a cluster does. `None` where nothing of it is there.
pub(in crate::apply) fn connections_of_color(
    subject: &Subject,
    state: &Snapshot,
    unit: &Address,
    color: Color,
) -> Option<Connections> {
    let parts = || state.parts(unit, color).map(|resource| remembered_connections(subject, resource));
    parts().find(|connections| connections.cluster.is_some()).or_else(|| parts().next())
}

/// How traffic comes back when a phase is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The rollout was under way: it is aborted.
    Aborted,
    /// It had come through.
    Undone,
    /// Undoing it was cut off.
    Resumed,
}

/// Undoes a rollout of this run, however far it came: the switch back to what had the traffic before. Returns what was done; `None` where there was
/// nothing to undo.
pub(in crate::apply) async fn switch_back(
    desk: &Desk<'_>,
    unit: &Address,
    fault: Fault,
) -> Result<Option<String>, End> {
    let standing = desk.store.with(|state| state.rollouts.get(unit).cloned()).unwrap_or_default();
    let run: Arc<str> = desk.run.0.clone();
    let going = standing.going.as_deref().filter(|going| going.run == run);
    let ended = standing.last.filter(|last: &Ended| last.run == run && last.aborted.is_none());
    // What was under way goes back to what had the traffic before it; what came through is undone by a rollout of its own.
    let (back, from, way) = match (going, ended) {
        (Some(going), _) if going.undo => (going.to, going.from.unwrap_or(going.to.other()), Way::Resumed),
        (Some(going), _) => match going.from {
            Some(from) => (from, going.to, Way::Aborted),
            None => return Ok(None),
        },
        (None, Some(Ended { from: Some(from), to, .. })) if standing.live == Some(to) => (from, to, Way::Undone),
        _ => return Ok(None),
    };
    let Some(traffic) = standing.traffic else { return Ok(None) };
    let release = desk.store.with(|state| connections_of_color(desk.subject, state, unit, back));
    let Some(release) = release else { return Ok(None) };
    let behind = Behind::new(traffic.clone(), release, BTreeMap::new());
    let route = behind.route(desk, unit).await?;
    let clock = desk.subject.world.clock();
    let note = |facts: Vec<Fact>| {
        let at = clock.now();
        let record = |fact| Record::Rollout { unit: unit.clone(), at, fact };
        desk.store.commit(facts.into_iter().map(record).collect())
    };
    let stays = |why: String| End::Failed(format!("its traffic could not be brought back to {back}: {why}"));
    let wait = |until| clock.sleep(elapsed(clock.now(), until));
    if let Some(why) = route.would_go_dark(back, later(clock.now(), PROVED_WITHIN), wait).await {
        return Err(stays(why));
    }
    match way {
        Way::Resumed => {}
        Way::Aborted => {
            let why = if fault == Fault::Person { "a person lets its phase be undone" } else { "its phase is undone" };
            note(vec![Fact::Aborting { why: why.to_owned(), fault }]).await?;
        }
        Way::Undone => {
            let spec = Spec {
                strategy: Strategy::BlueGreen,
                traffic,
                steps: Vec::new(),
                bake: Duration::ZERO,
                keep: Duration::ZERO,
                analyses: BTreeMap::new(),
            };
            let spec = Box::new(spec.at_once());
            let began = Fact::Began { run, spec, from: Some(from), to: back, undo: true };
            note(vec![began, Fact::TargetsHealthy, Fact::Moving { share: 100 }]).await?;
        }
    }
    let proved = route.prove_patiently(Weights::to(back.side(), 100), later(clock.now(), PROVED_WITHIN), wait).await;
    proved.map_err(stays)?;
    let facts = match way {
        Way::Aborted => vec![Fact::Aborted],
        Way::Resumed | Way::Undone => vec![Fact::Moved { share: 100 }, Fact::Finished],
    };
    note(facts).await?;
    let what = format!("all traffic is back on {back}");
    desk.events.emit(Event::NodeProgress { address: unit.clone(), message: what.clone() });
    Ok(Some(what))
}
