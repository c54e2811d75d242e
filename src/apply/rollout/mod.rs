//! Driving a rollout: does what its state machine asks for, records what came of it, and asks again.
//!
//! Reading order: here (the loop), `route` (the traffic and what is behind it), `measure` (what judges it, also of the time when nobody looked),
//! `hear` (what people ask for meanwhile), `retire` (what goes once it has no traffic).

mod drained;
mod hear;
mod measure;
mod retire;
mod route;

pub(super) use drained::{Left, drained};
pub(super) use measure::Judge;
pub(super) use retire::first as before_removal;
use route::{ASKED_EVERY, Proof, Route};
pub(super) use route::{Behind, connections_of_color, switch_back};

use crate::{
    apply::{
        Interrupt,
        journal::Desk,
        work::{End, tell},
    },
    base::{Address, Event, elapsed, format_duration, later},
    lang::configuration::OnFailure,
    plan::Shift,
    rollout::{Fact, Fault, Going, Next, PROVED_WITHIN, Stage, TARGETS_WITHIN},
    state::Record,
    world::{Class, Outcome, TargetHealth, Weights},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long it takes at most until a word of a person, or of another thing in the phase, is heard.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// How often it is recorded that somebody looks, where no measurement says so.
const LOOKED_EVERY: Duration = Duration::from_secs(30);
/// How long all traffic may take to be back before a person is needed. It is tried again all the while.
const BACK_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Phases in which something failed, with the first that did.
pub(super) type Failing = BTreeMap<Arc<str>, Address>;

/// One rollout that has its turn.
pub(super) struct Rollout<'r> {
    pub desk: &'r Desk<'r>,
    /// What is rolled out.
    pub unit: Address,
    pub phase: Arc<str>,
    /// As it was approved.
    pub shift: &'r Shift,
    /// What is behind the route, by colour.
    pub behind: Behind,
    /// What judges it.
    pub judges: BTreeMap<Arc<str>, Judge>,
    /// The person who may want to stop.
    pub interrupt: Interrupt,
    /// What fails beside it.
    pub failing: watch::Receiver<Failing>,
    /// The stable version of a canary was just updated, and verified.
    pub settled: bool,
}

/// How far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// The new one has the traffic.
    Done,
    /// The stable version of a canary is to be updated and verified now.
    Settle,
    /// It is as it was: the person asked to stop.
    Left,
}

impl Rollout<'_> {
    /// Goes on until it is over, or somebody else has a turn.
    pub(super) async fn run(self) -> Result<Turn, End> {
        let route = self.behind.route(self.desk, &self.unit).await?;
        let mut going = self.begin().await?;
        self.bind(&route, &mut going).await?;
        loop {
            if self.interrupt.asked() > 0 && !matches!(going.stage, Stage::Back { .. }) {
                return Ok(Turn::Left);
            }
            self.listen(&mut going).await?;
            match going.next(self.now()) {
                Next::AwaitTargets { until } => self.await_targets(&route, &mut going, until).await?,
                Next::Shift { share, within } => self.shift(&route, &mut going, share, within).await?,
                Next::Watch { due, until } => self.watch(&mut going, &due, until).await?,
                Next::Pause { why } => {
                    self.tell(&format!("waits for a person: {why}; `terrace rollout promote`, `resume` or `abort`"));
                    self.take(&mut going, Fact::Paused { why, by: None }).await?;
                }
                Next::AwaitPerson => self.wait(self.later(HEARD_WITHIN)).await,
                Next::Note(fact) => {
                    if fact == Fact::Baking && !going.spec.bake.is_zero() {
                        self.tell(&format!("bakes for {}", format_duration(going.spec.bake)));
                    }
                    self.take(&mut going, fact).await?;
                }
                Next::Abort { why, fault } => self.abort(&mut going, why, fault).await?,
                Next::Back => return Err(self.back(&route, &mut going).await?),
                Next::Settle => return Ok(Turn::Settle),
                Next::Finish => self.take(&mut going, Fact::Finished).await?,
                Next::Over => return Ok(Turn::Done),
            }
        }
    }

    /// Begins it, or goes on where an earlier process of this run left it.
    async fn begin(&self) -> Result<Going, End> {
        let standing = self.desk.store.with(|state| state.rollouts.get(&self.unit).cloned()).unwrap_or_default();
        let run: Arc<str> = self.desk.run.0.clone();
        if let Some(going) = standing.going.as_deref().filter(|going| going.run == run) {
            let mut going = going.clone();
            if self.settled {
                self.take(&mut going, Fact::Settled).await?;
            } else {
                self.catch_up(&mut going).await?;
            }
            return Ok(going);
        }
        let last = standing.last.filter(|last| last.run == run && last.to == self.shift.to);
        if let Some((why, _)) = last.as_ref().and_then(|last| last.aborted.clone()) {
            return Err(End::Failed(why));
        }
        if last.is_some() {
            let mut over = Going::new(run, self.shift.spec.clone(), self.shift.from, self.shift.to, self.now());
            over.take(self.now(), &Fact::Finished);
            return Ok(over);
        }
        let (from, to) = (self.shift.from, self.shift.to);
        let spec = Box::new(self.shift.spec.clone());
        let fact = Fact::Began { run: run.clone(), spec, from, to, undo: false };
        let mut going = Going::new(run, self.shift.spec.clone(), from, to, self.now());
        self.take(&mut going, fact).await?;
        Ok(going)
    }

    /// What is behind each side is bound to it. Of the old one only where it has the traffic and was never bound: it comes from a
    /// rolling strategy.
    async fn bind(&self, route: &Route, going: &mut Going) -> Result<(), End> {
        if matches!(going.stage, Stage::Back { .. } | Stage::Over) {
            return Ok(());
        }
        for color in [going.from, Some(going.to)].into_iter().flatten() {
            let Some(backend) = self.behind.backend(color) else { continue };
            if let Err(failure) = route.bind(color.side(), backend).await {
                let why =
                    format!("{color} could not be bound to its side of {}: {}", self.behind.traffic(), tell(&failure));
                // A service that is not there is what was rolled out; anything else is not.
                let release = failure.class == Class::Invalid;
                self.abort(going, why, if release { Fault::Release } else { Fault::Platform }).await?;
                return Ok(());
            }
        }
        Ok(())
    }

    async fn await_targets(&self, route: &Route, going: &mut Going, until: Timestamp) -> Result<(), End> {
        let to = going.to;
        let said = match route.health(to.side()).await {
            Ok(health) if health.is_healthy() => match self.amiss(route, going).await {
                Ok(None) => {
                    self.tell(&format!("the targets of {to} are healthy: {health}"));
                    return self.take(going, Fact::TargetsHealthy).await;
                }
                Ok(Some(why)) => return self.abort(going, why, Fault::Platform).await,
                Err(failure) => tell(&failure),
            },
            Ok(health) => health.to_string(),
            Err(failure) => tell(&failure),
        };
        if self.now() >= until {
            let why = format!("the targets of {to} did not become healthy in time: {said}");
            return self.abort(going, why, Fault::Release).await;
        }
        self.say(&format!("{to}: {said}"));
        self.wait(self.later(ASKED_EVERY).min(until)).await;
        Ok(())
    }

    /// Why the route is not as state has it before any traffic moves: moving it from there would take it from whoever has it.
    async fn amiss(&self, route: &Route, going: &Going) -> Outcome<Option<String>> {
        let Some(from) = going.from else { return Ok(None) };
        let routed = route.read().await?;
        if routed.weights != Weights::to(from.side(), 100) {
            let share = routed.weights.of(from.side());
            let traffic = self.behind.traffic();
            return Ok(Some(format!(
                "{traffic} gives {from} {share} % of the traffic, and should give it all: put it back"
            )));
        }
        // What is bound to a side is there; what chose its side itself may have chosen the other one.
        let empty = self.behind.backend(from).is_none() && route.health(from.side()).await? == TargetHealth::default();
        Ok(empty.then(|| {
            format!("{from} has no target at all on its side, so those of {} may be its own: a colour has to choose its side", going.to)
        }))
    }

    /// Moves traffic, and goes on only once the weights were read back and are in force.
    async fn shift(&self, route: &Route, going: &mut Going, share: u8, within: Duration) -> Result<(), End> {
        let to = going.to;
        let weights = Weights::to(to.side(), share);
        // Nothing is taken from what has it unless whatever gets it is well.
        let gets = if share == 0 { going.from } else { Some(to) };
        if let Some(gets) = gets {
            match route.health(gets.side()).await {
                Ok(health) if health.is_healthy() => {}
                // The stable one was just updated, and takes its time.
                Ok(health) if share == 0 && self.now() < later(going.entered, TARGETS_WITHIN + going.away) => {
                    self.say(&format!("{gets}: {health}"));
                    self.wait(self.later(ASKED_EVERY)).await;
                    return Ok(());
                }
                Ok(health) => {
                    let why =
                        format!("before it gets {} %, its targets are not healthy: {health}", weights.of(gets.side()));
                    return self.abort(going, why, Fault::Release).await;
                }
                Err(failure) => return self.abort(going, tell(&failure), Fault::Platform).await,
            }
        }
        self.take(going, Fact::Moving { share }).await?;
        let heard: &Going = going;
        let proved =
            route.prove(weights, self.later(within), |until| Box::pin(self.unless_called_back(heard, until))).await;
        match proved {
            // Somebody wants it back by now: that is taken in first. Any other word is heard once the weights are in force.
            Ok(Proof::Left) => Ok(()),
            Ok(Proof::InForce) => {
                self.tell(&format!("{share} % of the traffic is on {to}"));
                self.take(going, Fact::Moved { share }).await
            }
            Err(why) => {
                self.abort(going, format!("{share} % for {to} could not be proved: {why}"), Fault::Platform).await
            }
        }
    }

    async fn watch(&self, going: &mut Going, due: &[Arc<str>], until: Timestamp) -> Result<(), End> {
        if due.is_empty() {
            if going.tallies.is_empty() {
                let rest = elapsed(self.now(), until);
                self.say(&format!("{} left of {}", format_duration(rest), stage(going)));
            }
            self.wait(until.min(self.later(HEARD_WITHIN))).await;
            // What nothing measures is known to have been looked at only by this.
            if elapsed(going.looked, self.now()) >= LOOKED_EVERY {
                self.take(going, Fact::Looked).await?;
            }
            return Ok(());
        }
        let facts = tokio::select! {
            biased;
            facts = self.measure(going, due) => facts,
            // What is measured is measured again once that was taken in.
            () = self.heard(going) => return Ok(()),
        };
        for fact in &facts {
            if let Fact::Measured { analysis, said, .. } = fact {
                self.say(&format!("{}: {analysis}: {said}", stage(going)));
            }
        }
        self.take_all(going, facts).await
    }

    async fn abort(&self, going: &mut Going, why: String, fault: Fault) -> Result<(), End> {
        self.tell(&format!("aborting: {why}"));
        self.take(going, Fact::Aborting { why, fault }).await
    }

    /// All traffic back by one call, proved by reading back; the old one was never touched.
    async fn back(&self, route: &Route, going: &mut Going) -> Result<End, End> {
        let Stage::Back { why, .. } = going.stage.clone() else { return Ok(End::Failed("it is over".to_owned())) };
        let to = going.to;
        // Where nothing was moved there is nothing to move back.
        let moved = going.share > 0 || going.moving.is_some();
        let told = match going.from.filter(|_| moved) {
            None => "no traffic was moved".to_owned(),
            Some(from) => {
                let wait = |until| Box::pin(self.wait(until)) as BoxFuture<'_, ()>;
                if let Some(stays) = route.would_go_dark(from, self.later(PROVED_WITHIN), wait).await {
                    let command = "terrace resume".to_owned();
                    return Ok(End::Stuck { why: format!("{why}; {stays}"), command });
                }
                let until = self.later(BACK_WITHIN);
                let weights = Weights::to(from.side(), 100);
                loop {
                    match route.prove_patiently(weights, self.later(PROVED_WITHIN), wait).await {
                        Ok(_) => break,
                        Err(last) if self.now() >= until => {
                            let command = "terrace resume".to_owned();
                            let why = format!("{why}; and its traffic could not be brought back to {from}: {last}");
                            return Ok(End::Stuck { why, command });
                        }
                        Err(last) => self.say(&format!("bringing all traffic back to {from}: {last}")),
                    }
                }
                format!("all traffic is back on {from}")
            }
        };
        self.take(going, Fact::Aborted).await?;
        let undone = self
            .desk
            .subject
            .configuration
            .phases
            .iter()
            .any(|phase| phase.name == self.phase && phase.on_failure == OnFailure::Rollback);
        let left = if undone {
            format!("{to} is undone with its phase")
        } else {
            format!("{to} is kept for {} to be looked at", format_duration(going.spec.keep))
        };
        Ok(End::Failed(format!("{why}; {told}; {left}")))
    }

    async fn take(&self, going: &mut Going, fact: Fact) -> Result<(), End> {
        self.take_all(going, vec![fact]).await
    }

    /// Records facts, and takes them in.
    async fn take_all(&self, going: &mut Going, facts: Vec<Fact>) -> Result<(), End> {
        let at = self.now();
        self.take_at(going, facts.into_iter().map(|fact| (at, fact)).collect()).await
    }

    async fn take_at(&self, going: &mut Going, facts: Vec<(Timestamp, Fact)>) -> Result<(), End> {
        let record =
            |(at, fact): &(Timestamp, Fact)| Record::Rollout { unit: self.unit.clone(), at: *at, fact: fact.clone() };
        self.desk.store.commit(facts.iter().map(record).collect()).await?;
        for (at, fact) in &facts {
            going.take(*at, fact);
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.desk.subject.world.clock().now()
    }

    fn later(&self, time: Duration) -> Timestamp {
        later(self.now(), time)
    }

    /// Waits until then, or until somebody wants something.
    async fn wait(&self, until: Timestamp) {
        let time = elapsed(self.now(), until);
        let mut failing = self.failing.clone();
        failing.mark_unchanged();
        let clock = self.desk.subject.world.clock();
        tokio::select! {
            () = clock.sleep(time) => {}
            () = self.interrupt.reached(self.interrupt.asked() + 1) => {}
            Ok(()) = failing.changed() => {}
        }
    }

    /// Says what everybody should see, also where nobody watches a terminal.
    fn tell(&self, message: &str) {
        let message = self.desk.hidden.out_of(&format!("{}: {message}", self.unit));
        self.desk.events.emit(Event::Notice { message });
    }

    fn say(&self, message: &str) {
        let message = self.desk.hidden.out_of(message);
        self.desk.events.emit(Event::NodeProgress { address: self.unit.clone(), message });
    }
}

/// Where it is, in few words.
fn stage(going: &Going) -> String {
    match going.stage {
        Stage::Bake => "bake".to_owned(),
        _ => format!("{} %", going.share),
    }
}
