//! One effect, journaled: intent, call, recovery, outcome. Nothing else in the room touches the world to change it.

use crate::{
    base::{ActionWord, Address, Event, Events, Hidden, Value},
    kinds::{Applied, Context, Kind, REVERT_FIELDS, Recovered, Step, backoff},
    plan::Subject,
    state::{Intent, Outcome as Ended, Purpose, Record, Resource, RunId, StateError, Store},
    world::{Class, Failure},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often an effect is begun again after a failure that may pass.
const TRIES: u32 = 8;

/// What every effect of a run shares.
pub(super) struct Desk<'r> {
    pub subject: &'r Subject,
    pub store: &'r Store,
    pub events: Arc<dyn Events>,
    pub run: RunId,
    /// What kind of plan it applies.
    pub mode: crate::plan::Mode,
    /// The person who may want to stop.
    pub interrupt: crate::apply::Interrupt,
    /// Before-images in clear, by intent: what undoing needs and the journal must not hold (rule 9).
    pub images: Mutex<HashMap<Arc<str>, Value>>,
    /// Secrets among the variables, to be taken out of whatever others say.
    pub hidden: Arc<Hidden>,
    /// What sets this process's intents apart from those of the run's earlier ones; empty in the first.
    pub part: String,
    /// The number of the next intent.
    pub next: AtomicU64,
    /// Phases that are rolled back where something fails.
    pub undoable: BTreeSet<Arc<str>>,
}

/// An effect to be made.
pub(super) struct Effect<'e> {
    pub address: &'e Address,
    pub phase: &'e Arc<str>,
    pub kind: &'static dyn Kind,
    pub context: &'e Context,
    pub connection: &'e Json,
    /// `former` is the resource as state has it before; `image` what is live.
    pub former: Option<&'e Resource>,
    pub image: Option<&'e Value>,
    pub step: Step<'e>,
}

/// Why an effect did not take place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Undone {
    /// It failed; the thing is as it was, as far as its platform can do that.
    Failed(Failure),
    /// A person is needed.
    Stuck { why: String, command: String },
    /// State could not be written: nothing more may be done.
    State(StateError),
}

/// An effect that did not take place, whose end is still to be recorded: see [`Desk::failed`].
#[derive(Debug)]
pub(super) struct Ending {
    /// The intent; `None` where none was written.
    id: Option<Arc<str>>,
    /// What happened.
    pub undone: Undone,
}

impl From<StateError> for Ending {
    fn from(error: StateError) -> Self {
        Self { id: None, undone: error.into() }
    }
}

impl From<StateError> for Undone {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl Desk<'_> {
    pub(super) fn intent_id(&self) -> Arc<str> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        format!("{}{}-{number}", self.run, self.part).into()
    }

    /// Writes the intent, makes the effect, and leaves the outcome to be committed by the caller together with what state
    /// shall remember: see [`Desk::done`].
    pub(super) async fn perform(&self, effect: &Effect<'_>) -> Result<(Arc<str>, Applied), Ending> {
        let id = self.intent_id();
        let step = Step { token: &id, ..effect.step };
        // There is nothing outside the process that a crash could leave half done; an intent serves undoing alone.
        let remembers_only = effect.kind.remembers_only();
        if remembers_only && !self.undoable.contains(effect.phase) {
            let end = |failure| Ending { id: None, undone: Undone::Failed(failure) };
            let applied = effect.kind.apply(effect.context, &step).await.map_err(end)?;
            return Ok((id, applied));
        }
        let start_by = effect.context.deadline;
        let identity = effect.step.identity.or(effect.step.desired.and_then(|d| d.identity.as_ref()));
        let intent = Intent {
            id: id.clone(),
            run: self.run.clone(),
            address: effect.address.clone(),
            phase: effect.phase.clone(),
            action: step.action,
            purpose: if step.facts.contains_key(REVERT_FIELDS) { Purpose::Revert } else { Purpose::Apply },
            identity: identity.cloned().unwrap_or(Json::Null),
            connection: effect.connection.clone(),
            image: effect.image.map(|i| self.subject.seal.seal_value(i)),
            former: effect.former.cloned().map(Box::new),
            start_by,
        };
        if let Some(image) = effect.image {
            self.images.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), image.clone());
        }
        let record = vec![Record::Intent(Box::new(intent))];
        if remembers_only {
            self.store.note(record)?;
        } else {
            self.store.commit(record).await?;
        }
        if effect.context.clock.now() > start_by {
            let why = "its time was over before it could start".to_owned();
            self.store.commit(vec![Record::Outcome { intent: id, outcome: Ended::NotDone }]).await?;
            let failure = Failure::new(Class::TimedOut, "start", effect.address.to_string(), why);
            return Err(Ending { id: None, undone: Undone::Failed(failure) });
        }
        match self.attempt(effect, &step, false).await {
            Ok(applied) => Ok((id, applied)),
            Err(undone) => Err(Ending { id: Some(id), undone }),
        }
    }

    /// Finds out whether an effect whose end was not seen never was; then its intent is closed. What else became of it,
    /// [`Desk::recover`] finds out.
    pub(super) async fn never_was(&self, effect: &Effect<'_>, id: &Arc<str>) -> Result<bool, StateError> {
        let step = Step { token: id, ..effect.step };
        let context = effect.context;
        if !matches!(context.bounded(effect.kind.recover(context, &step)).await, Ok(Recovered::NotDone)) {
            return Ok(false);
        }
        self.store.commit(vec![Record::Outcome { intent: id.clone(), outcome: Ended::NotDone }]).await?;
        Ok(true)
    }

    /// Finds out what became of an effect whose end was not seen, and makes it if it never was.
    pub(super) async fn recover(&self, effect: &Effect<'_>, id: &Arc<str>) -> Result<Applied, Ending> {
        let step = Step { token: id, ..effect.step };
        let result = self.attempt(effect, &step, true).await;
        result.map_err(|undone| Ending { id: Some(id.clone()), undone })
    }

    /// Calls, and after a failure whose effect is not known asks the world before calling again: never twice blindly.
    async fn attempt(&self, effect: &Effect<'_>, step: &Step<'_>, ask_first: bool) -> Result<Applied, Undone> {
        let own = effect.context.former.hidden(step.desired.map(|d| &d.inputs), step.observed.map(|o| &o.inputs));
        let hide = |text: &str| self.hidden.out_of(&own.out_of(text));
        // Whatever a platform or a program answered goes to the journal and the screen from here on: without secrets.
        self.attempt_in_clear(effect, step, ask_first, &hide).await.map_err(|undone| match undone {
            Undone::Failed(failure) => Undone::Failed(Failure { message: hide(&failure.message), ..failure }),
            Undone::Stuck { why, command } => Undone::Stuck { why: hide(&why), command },
            state @ Undone::State(_) => state,
        })
    }

    async fn attempt_in_clear(
        &self,
        effect: &Effect<'_>,
        step: &Step<'_>,
        ask_first: bool,
        hide: &(dyn Fn(&str) -> String + Sync),
    ) -> Result<Applied, Undone> {
        let context = effect.context;
        let mut ask = ask_first;
        let mut tries = 0;
        loop {
            let failure = if ask {
                match context.bounded(effect.kind.recover(context, step)).await {
                    Ok(Recovered::Done(applied)) => return Ok(applied),
                    Ok(Recovered::NotDone) => {
                        ask = false;
                        continue;
                    }
                    Ok(Recovered::Failed(failure)) => return Err(Undone::Failed(failure)),
                    Ok(Recovered::Stuck { why, command }) => return Err(Undone::Stuck { why, command }),
                    Err(failure) => failure,
                }
            } else {
                match context.bounded(effect.kind.apply(context, step)).await {
                    Ok(applied) => return Ok(applied),
                    Err(failure) => failure,
                }
            };
            tries += 1;
            let left = context.time_left();
            if !failure.class.retryable() || tries >= TRIES || left == Duration::ZERO {
                return self.last_word(effect, step, failure).await;
            }
            ask = ask || failure.class.effect_unknown();
            let after = backoff(tries, context.entropy.next()).min(left);
            let why = hide(&failure.to_string());
            self.events.emit(Event::NodeRetried { address: effect.address.clone(), attempt: tries, after, why });
            context.clock.sleep(after).await;
        }
    }

    /// A caller that was denied a look at what it had begun does not know how that ended: the world is asked once more.
    async fn last_word(&self, effect: &Effect<'_>, step: &Step<'_>, failure: Failure) -> Result<Applied, Undone> {
        if !matches!(failure.class, Class::Denied | Class::NotFound) {
            return Err(Undone::Failed(failure));
        }
        match effect.context.bounded(effect.kind.recover(effect.context, step)).await {
            Ok(Recovered::Done(applied)) => Ok(applied),
            Ok(Recovered::NotDone) => Err(Undone::Failed(failure)),
            Ok(Recovered::Failed(failure)) => Err(Undone::Failed(failure)),
            Ok(Recovered::Stuck { why, command }) => Err(Undone::Stuck { why, command }),
            Err(_) => Err(Undone::Failed(Failure { class: Class::Unavailable, ..failure })),
        }
    }

    /// Commits an end that was not a success, with what state remembers of what was left, in one go.
    pub(super) async fn failed(&self, ending: Ending, mut records: Vec<Record>) -> Undone {
        let outcome = match &ending.undone {
            Undone::State(_) => return ending.undone,
            Undone::Failed(failure) => {
                Ended::Failed { why: super::work::tell(failure), unknown: failure.class.effect_unknown() }
            }
            Undone::Stuck { why, command } => Ended::Stuck { why: why.clone(), command: command.clone() },
        };
        records.extend(ending.id.map(|intent| Record::Outcome { intent, outcome }));
        match self.store.commit(records).await {
            Ok(()) => ending.undone,
            Err(error) => Undone::State(error),
        }
    }

    /// Commits that an effect was done, with what state remembers of it now, in one go.
    pub(super) async fn done(
        &self,
        kind: &dyn Kind,
        id: &Arc<str>,
        note: &str,
        mut records: Vec<Record>,
    ) -> Result<(), StateError> {
        let journaled = !kind.remembers_only() || self.store.with(|s| s.journal.entry(id).is_some());
        if journaled {
            records.push(Record::Outcome { intent: id.clone(), outcome: Ended::Done { note: note.to_owned() } });
        }
        if kind.remembers_only() {
            self.store.note(records)?;
            return Ok(());
        }
        self.store.commit(records).await
    }

    /// Undoes one effect, journaled like any other. Idempotent by the token: after a crash the same intent goes on.
    pub(super) async fn undo(&self, undo: &Undo<'_>) -> Result<String, Undone> {
        let id = if let Some(id) = undo.resumed {
            id.clone()
        } else {
            let id = self.intent_id();
            let intent = Intent {
                id: id.clone(),
                run: self.run.clone(),
                address: undo.address.clone(),
                phase: undo.phase.clone(),
                action: if undo.image.is_some() { ActionWord::Update } else { ActionWord::Delete },
                purpose: Purpose::Undo,
                identity: undo.identity.clone(),
                connection: Json::Null,
                image: undo.image.map(|i| self.subject.seal.seal_value(i)),
                former: undo.former.cloned().map(Box::new),
                start_by: undo.context.deadline,
            };
            self.store.commit(vec![Record::Intent(Box::new(intent))]).await?;
            id
        };
        let mut tries = 0;
        let result = loop {
            match undo.context.bounded(undo.kind.undo(undo.context, undo.identity, undo.image, &id)).await {
                Err(failure)
                    if failure.class.retryable() && tries < TRIES && undo.context.time_left() > Duration::ZERO =>
                {
                    tries += 1;
                    let after = backoff(tries, undo.context.entropy.next()).min(undo.context.time_left());
                    let why = failure.to_string();
                    self.events.emit(Event::NodeRetried { address: undo.address.clone(), attempt: tries, after, why });
                    undo.context.clock.sleep(after).await;
                }
                other => break other,
            }
        };
        match result {
            Ok(what) => {
                let state = match undo.former {
                    Some(former) => Record::Resource(Box::new(former.clone())),
                    None => Record::Gone { address: undo.address.clone() },
                };
                let outcome = Record::Outcome { intent: id, outcome: Ended::Done { note: what.clone() } };
                let closed = undo.open.iter().cloned();
                let closed = closed.map(|intent| Record::Outcome { intent, outcome: Ended::NotDone });
                self.store.commit([state].into_iter().chain(closed).chain([outcome]).collect()).await?;
                Ok(what)
            }
            Err(failure) => {
                let command = "terrace doctor".to_owned();
                let why = failure.to_string();
                let outcome = Ended::Stuck { why: why.clone(), command: command.clone() };
                self.store.commit(vec![Record::Outcome { intent: id, outcome }]).await?;
                Err(Undone::Stuck { why, command })
            }
        }
    }
}

/// An effect to be undone.
pub(super) struct Undo<'e> {
    pub address: &'e Address,
    pub phase: &'e Arc<str>,
    pub kind: &'static dyn Kind,
    pub context: &'e Context,
    pub identity: &'e Json,
    pub image: Option<&'e Value>,
    pub former: Option<&'e Resource>,
    /// The intent of an undo that was cut off.
    pub resumed: Option<&'e Arc<str>>,
    /// Intents whose end was never seen: undoing it settles them.
    pub open: &'e [Arc<str>],
}
