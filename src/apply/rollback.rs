//! Undoing what this run did in a phase, in reverse, from before-images (rules 17 and 18).

use crate::{
    apply::{
        journal::{Desk, Undo, Undone},
        rollout,
        unwind::Unwind,
        work,
    },
    base::{ActionWord, Address, Event, Value},
    kinds::{Kind, kind},
    rollout::Fault,
    state::{Entry, Outcome as Ended, Purpose, Record, Resource, Status},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

/// What undoing did to one thing.
pub(super) struct Line {
    pub address: Address,
    pub what: String,
    pub ok: bool,
}

/// What is to be undone about one address.
struct Plan {
    /// The first effect that this run made on it in the phase: its before-image is what we go back to.
    first: Entry,
    identity: Json,
    /// It was destroyed on the way to being replaced.
    replaced: bool,
    /// An undo that was cut off.
    resumed: Option<Arc<str>>,
    /// Intents whose end was never seen.
    open: Vec<Arc<str>>,
    current: Option<Resource>,
}

/// Undoes a phase, by whose fault it is to be undone. Returns a line for each thing; whatever is not ok needs a person.
pub(super) async fn undo_phase(
    desk: &Desk<'_>,
    phase: &Arc<str>,
    because: &Address,
    fault: Fault,
) -> Result<Vec<Line>, crate::state::StateError> {
    let (plans, state) = desk.store.with(|s| (plans(&s.journal.entries, s, phase), s.clone()));
    let already = desk.store.with(|s| s.journal.undoing.is_some());
    if !already {
        let (run, phase, because) = (desk.run.clone(), phase.clone(), because.clone());
        desk.store.commit(vec![Record::UndoStarted { run, phase, because, fault: Some(fault) }]).await?;
    }
    desk.events.emit(Event::UndoStarted { phase: phase.clone(), total: plans.len() });
    let mut lines = switch_back(desk, phase, fault).await?;
    // What may still have the traffic is not touched.
    let held: BTreeSet<Address> = lines.iter().filter(|line| !line.ok).map(|line| line.address.clone()).collect();
    let which: BTreeSet<Address> = plans.keys().cloned().collect();
    let mut unwind = Unwind::new(&state, &which, std::slice::from_ref(phase));
    let mut jobs = FuturesUnordered::new();
    // What something that stays stands on, with that; and whether it stays on purpose.
    let mut stays: BTreeMap<Address, (Address, bool)> = BTreeMap::new();
    loop {
        while let Some(address) = unwind.take() {
            if let Some(plan) = plans.get(&address) {
                let has_traffic = address.unit().is_some_and(|(unit, _)| held.contains(&unit));
                let on_it = stays.get(&address).filter(|_| plan.first.intent.image.is_none()).cloned();
                jobs.push(async move {
                    let result = match on_it {
                        _ if has_traffic => {
                            let why = "kept: its traffic could not be brought back".to_owned();
                            Ok(Undoing::Stays(why, false))
                        }
                        Some((user, ok)) => Ok(Undoing::Stays(format!("kept: {user} stands on it"), ok)),
                        None => undo_one(desk, &address, phase, plan).await,
                    };
                    (address.clone(), result)
                });
            } else {
                unwind.done(&address);
            }
        }
        let Some((address, result)) = jobs.next().await else { break };
        let (what, ok) = match result? {
            Undoing::Undone(what) => (what, true),
            Undoing::Stays(what, ok) => {
                for used in unwind.uses(&address) {
                    stays.entry(used.clone()).and_modify(|(_, all)| *all &= ok).or_insert((address.clone(), ok));
                }
                (what, ok)
            }
        };
        desk.events.emit(Event::Undone { address: address.clone(), what: what.clone(), ok });
        // What could not be undone stays, and so does what it stands on and this run made; everything else goes on.
        unwind.done(&address);
        lines.push(Line { address, what, ok });
    }
    Ok(lines)
}

/// Traffic that this run moved in the phase goes back before anything else does: what gets it back is still there (rule 34).
async fn switch_back(desk: &Desk<'_>, phase: &Arc<str>, fault: Fault) -> Result<Vec<Line>, crate::state::StateError> {
    let units: Vec<Address> = desk.store.with(|state| {
        let in_phase = |unit: &&Address| {
            let live = state.live_color(unit).and_then(|color| state.parts(unit, color).next());
            live.is_some_and(|resource| resource.phase == *phase)
        };
        state.rollouts.keys().filter(in_phase).cloned().collect()
    });
    let mut lines = Vec::new();
    for address in units {
        let (what, ok) = match rollout::switch_back(desk, &address, fault).await {
            Ok(None) | Err(work::End::Done { .. }) => continue,
            Ok(Some(what)) => (what, true),
            Err(work::End::State(error)) => return Err(error),
            Err(work::End::Failed(why) | work::End::Beyond(why) | work::End::Stuck { why, .. }) => (why, false),
        };
        desk.events.emit(Event::Undone { address: address.clone(), what: what.clone(), ok });
        lines.push(Line { address, what, ok });
    }
    Ok(lines)
}

/// What became of undoing one thing.
enum Undoing {
    /// It was.
    Undone(String),
    /// It is still there; false where a person is needed.
    Stays(String, bool),
}

fn plans(entries: &[Entry], state: &crate::state::Snapshot, phase: &Arc<str>) -> BTreeMap<Address, Plan> {
    let mut out: BTreeMap<Address, Plan> = BTreeMap::new();
    for entry in entries.iter().filter(|e| e.intent.phase == *phase) {
        let intent = &entry.intent;
        match (intent.purpose, &entry.outcome) {
            (Purpose::Apply, outcome)
                if took_effect(outcome.as_ref(), state.resources.get(&intent.address))
                    || stayed_part_way(&intent.address, outcome.as_ref()) =>
            {
                let current = state.resources.get(&intent.address).cloned();
                let plan = out.entry(intent.address.clone()).or_insert_with(|| Plan {
                    first: entry.clone(),
                    identity: Json::Null,
                    replaced: false,
                    resumed: None,
                    open: Vec::new(),
                    current: None,
                });
                plan.replaced |= intent.action == ActionWord::Delete;
                if outcome.is_none() {
                    plan.open.push(intent.id.clone());
                }
                plan.identity = current.as_ref().map_or_else(|| intent.identity.clone(), |r| r.identity.clone());
                plan.current = current;
            }
            (Purpose::Undo, Some(Ended::Done { .. })) => drop(out.remove(&intent.address)),
            (Purpose::Undo, None) => {
                if let Some(plan) = out.get_mut(&intent.address) {
                    plan.resumed = Some(intent.id.clone());
                }
            }
            _ => {}
        }
    }
    out
}

/// Whether an effect may have left something to be undone: it was done, or nobody saw its end, or it failed half-way.
fn took_effect(outcome: Option<&Ended>, current: Option<&Resource>) -> bool {
    match outcome {
        None | Some(Ended::Done { .. } | Ended::Stuck { .. } | Ended::Failed { unknown: true, .. }) => true,
        Some(Ended::Failed { .. }) => current.is_some_and(|r| r.status == Status::Tainted),
        Some(Ended::NotDone) => false,
    }
}

/// Whether a failed effect keeps what it did before it failed.
fn stayed_part_way(address: &Address, outcome: Option<&Ended>) -> bool {
    matches!(outcome, Some(Ended::Failed { .. })) && kind(address.kind()).is_some_and(Kind::stays_part_way)
}

async fn undo_one(
    desk: &Desk<'_>,
    address: &Address,
    phase: &Arc<str>,
    plan: &Plan,
) -> Result<Undoing, crate::state::StateError> {
    let stays = |why: &str| Ok(Undoing::Stays(why.to_owned(), false));
    let intent = &plan.first.intent;
    let Some(kind) = kind(address.kind()) else {
        return stays(&format!("cannot be undone: this version does not run `{}`", address.kind()));
    };
    if plan.replaced && !kind.remembers_only() {
        return stays("cannot be undone: the former one was destroyed to replace it, as the plan said");
    }
    let creates = intent.image.is_none();
    if creates && plan.current.as_ref().is_some_and(|r| r.prevent_destroy) {
        return Ok(Undoing::Stays("kept: prevent_destroy".to_owned(), true));
    }
    let image = image(desk, &intent.id, intent.image.as_ref());
    if image.as_ref().is_some_and(Value::has_sealed) {
        let why = "cannot be undone: a former secret is needed for it, and that was only held by the process that was cut off";
        return stays(why);
    }
    let connections = plan.current.as_ref().or(intent.former.as_deref()).map_or_else(
        || serde_json::from_value(intent.connection.clone()).ok(),
        |r| Some(crate::plan::remembered_connections(desk.subject, r)),
    );
    let connections = connections
        .unwrap_or_else(|| crate::plan::connect::Connections { aws: desk.subject.aws.clone(), cluster: None });
    let action = if creates { ActionWord::Delete } else { ActionWord::Update };
    if let Some(current) = plan.current.as_ref()
        && let Err(work::End::State(error)) = rollout::drained(desk, address, current).await
    {
        return Err(error);
    }
    let Ok(context) = work::context(desk, address, &connections, kind.default_timeout(action)).await else {
        return stays("cannot be undone: there is no connection to it");
    };
    if let Some(current) = plan.current.as_ref().filter(|_| creates) {
        match rollout::before_removal(desk, address, current).await {
            Ok(()) => {}
            Err(work::End::State(error)) => return Err(error),
            Err(work::End::Failed(why)) => return stays(&format!("cannot be undone: {why}")),
            Err(_) => return stays("cannot be undone: its route does not answer"),
        }
    }
    let undo = Undo {
        address,
        phase,
        kind,
        context: &context,
        identity: &plan.identity,
        image: image.as_ref(),
        former: intent.former.as_deref(),
        resumed: plan.resumed.as_ref(),
        open: &plan.open,
    };
    match desk.undo(&undo).await {
        Ok(what) => Ok(Undoing::Undone(what)),
        Err(Undone::State(error)) => Err(error),
        Err(Undone::Failed(failure)) => stays(&format!("cannot be undone: {}", work::tell(&failure))),
        Err(Undone::Stuck { why, command }) => stays(&format!("cannot be undone: {why}; run `{command}`")),
    }
}

/// The before-image in clear, where this process still has it.
fn image(desk: &Desk<'_>, intent: &str, stored: Option<&Value>) -> Option<Value> {
    let images = desk.images.lock().unwrap_or_else(PoisonError::into_inner);
    images.get(intent).or(stored).cloned()
}
