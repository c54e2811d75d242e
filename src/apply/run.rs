//! A run from its first record to its last: apply, destroy, resume.

use crate::{
    apply::{
        Error, Options, Report,
        executor::{Executor, Stop},
        journal::Desk,
        rollback, trail, warrant,
    },
    base::{Address, Event, Events, Hidden, NoEvents, RunEnd, Value, elapsed},
    lang::configuration::OnFailure,
    plan::{self, Mode, Moment, Request, Saved, Subject, connect::Connections},
    policy::coverage::Account,
    rollout::Fault,
    state::{Record, Run, RunId, Store},
    world::Caller,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

/// How long asking who is calling may take.
const CALLER_TIMEOUT: Duration = Duration::from_secs(120);

/// Applies a plan. Whatever the end, the store is closed and its lock given back; a run that was interrupted stays open.
///
/// # Errors
/// Whatever kept the run from beginning, or from being recorded. What failed in the run is in the report.
pub async fn run(
    mut subject: Subject,
    saved: Saved,
    store: Store,
    options: Options,
    events: Arc<dyn Events>,
) -> Result<Report, Error> {
    let result = begin(&mut subject, &saved, &store, &options).await;
    let run = match result {
        Ok(run) => run,
        Err(error) => {
            let _ = store.close().await;
            return Err(error);
        }
    };
    Box::pin(drive(subject, saved, store, options, events, run, None)).await
}

/// Goes on with a run that was cut off. `roll_back` undoes its unfinished phase instead of finishing it.
///
/// # Errors
/// As [`run`]; [`Error::NothingOpen`] where there is no such run.
pub async fn resume(
    mut subject: Subject,
    store: Store,
    options: Options,
    events: Arc<dyn Events>,
    roll_back: bool,
) -> Result<Report, Error> {
    let prepared = async {
        let Some(run) = store.with(|s| s.open_run().cloned()) else { return Err(Error::NothingOpen) };
        subject.state = store.snapshot();
        let saved = open_plan(&store, &run).await?;
        let (caller, now) = (caller(&subject).await?, subject.world.clock().now());
        trail::resumes(&store, &options, &run, caller, now).await?;
        Ok((run, saved))
    };
    match Box::pin(prepared).await {
        Ok((run, saved)) => {
            let (undoing, fault) = store.with(|s| (s.journal.undoing.clone(), s.journal.fault));
            let way = match undoing {
                Some((phase, because)) => Way::Back(phase, because, fault.unwrap_or(Fault::Sibling)),
                None if roll_back => {
                    unfinished_phase(&store).map_or(Way::Nowhere, |(p, b)| Way::Back(p, b, Fault::Person))
                }
                None => Way::Forward,
            };
            Box::pin(drive(subject, saved, store, options, events, run, Some(way))).await
        }
        Err(error) => {
            let _ = store.close().await;
            Err(error)
        }
    }
}

/// Which way a run goes.
enum Way {
    /// On with the plan.
    Forward,
    /// Undoing a phase, because of this, and by whose fault.
    Back(Arc<str>, Address, Fault),
    /// It is to be rolled back, and there is nothing to undo.
    Nowhere,
}

/// The phase in which the open run last began an effect, unless it has passed: a phase that passed stays.
fn unfinished_phase(store: &Store) -> Option<(Arc<str>, Address)> {
    store.with(|s| {
        let last = s.journal.entries.iter().rev().find(|e| !s.journal.passed.contains(&e.intent.phase))?;
        Some((last.intent.phase.clone(), last.intent.address.clone()))
    })
}

fn plan_name(run: &RunId) -> String {
    format!("runs/{run}/plan.json")
}

/// The plan of an open run, as it was stored when it began.
///
/// # Errors
/// Where it is not there or can't be read.
pub async fn open_plan(store: &Store, run: &Run) -> Result<Saved, Error> {
    let lost = |why: String| Error::PlanLost { run: run.id.clone(), why };
    let bytes = store.ledger().get(&plan_name(&run.id)).await.map_err(|e| lost(e.to_string()))?;
    let bytes = bytes.ok_or_else(|| lost("it was not stored".to_owned()))?;
    plan::read(&bytes).map_err(|e| lost(e.to_string()))
}

async fn begin(subject: &mut Subject, saved: &Saved, store: &Store, options: &Options) -> Result<Run, Error> {
    if let Some(open) = store.with(|s| s.open_run().cloned()) {
        return Err(Error::RunOpen { run: open.id, command: open.command });
    }
    subject.state = store.snapshot();
    let moved = if options.check_fresh {
        let parallelism = options.parallelism.max(16);
        let request = Request { parallelism, ..Request::default() };
        let mut moved = plan::moved(subject, &saved.content, &request).await;
        if moved.is_empty() {
            moved = plan::spent(subject, &saved.attachment, parallelism).await;
        }
        moved
    } else {
        plan::pinned(subject, &saved.content)
    };
    if !moved.is_empty() {
        return Err(Error::Stale(moved));
    }
    let world = &subject.world;
    let caller = caller(subject).await?;
    let started = world.clock().now();
    let id = RunId(format!("{}-{:08x}", started.strftime("%Y%m%dT%H%M%S"), world.entropy().next() >> 32).into());
    let arrival = warrant::ask(&options.warrant, saved, store, &id, started).await?;
    let run = Run {
        id: id.clone(),
        command: options.record.command.clone(),
        started,
        plan: saved.digest.clone(),
        release: saved.content.header.release.clone(),
        configuration: saved.content.header.configuration.clone(),
        caller: caller.arn.clone(),
        person: options.record.person.clone(),
        ci: options.record.ci.clone(),
        commit: options.record.commit.clone(),
        reason: options.record.reason.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        targeted: !saved.content.header.targets.is_empty(),
        end: None,
        counts: BTreeMap::new(),
    };
    trail::begins(store, options, &run, caller).await?;
    store.ledger().put(&plan_name(&id), &plan::write(saved)?).await?;
    // What its plan claims and rules found stays, since the plan does not.
    if let Some(account) = Account::of(&saved.content, &saved.digest, saved.attachment.made) {
        store.ledger().put(&Account::name(&id), &account.write()?).await?;
    }
    let mut records = vec![Record::RunStarted(Box::new(run.clone()))];
    records.extend(arrival.into_iter().map(Record::Delivered));
    let renamed = saved.content.nodes.iter().filter_map(|node| Some((node.moved_from.clone()?, node.address.clone())));
    records.extend(renamed.map(|(from, to)| Record::Moved { from, to }));
    store.commit(records).await?;
    subject.state = store.snapshot();
    Ok(run)
}

/// Who calls.
async fn caller(subject: &Subject) -> Result<Caller, Error> {
    let place = Connections { aws: subject.aws.clone(), cluster: None };
    let asking = Address::root("run", "caller");
    let context = plan::connect::context(subject, &asking, &place, CALLER_TIMEOUT, plan::look::quiet())?;
    let identity = subject.world.aws(&subject.aws)?.identity;
    Ok(context.patiently(|| identity.caller()).await?)
}

/// Drives a run to its end, forward or back; `way` is given where it is resumed.
async fn drive(
    subject: Subject,
    saved: Saved,
    store: Store,
    options: Options,
    events: Arc<dyn Events>,
    run: Run,
    way: Option<Way>,
) -> Result<Report, Error> {
    let clock = subject.world.clock();
    let begun = clock.now();
    let resumed = way.is_some();
    let way = way.unwrap_or(Way::Forward);
    let total = saved
        .content
        .nodes
        .iter()
        .filter(|n| !matches!(n.action, crate::base::ActionWord::NoOp | crate::base::ActionWord::Read));
    events.emit(Event::RunStarted {
        run: run.id.0.clone(),
        command: run.command.as_str().into(),
        total: total.count(),
    });
    let journal = store.with(|s| s.journal.clone());
    // Numbers alone would meet again: not every one that was given out is in the journal.
    let part = if resumed { format!("-{:08x}", subject.world.entropy().next() >> 32) } else { String::new() };
    let desk = Desk {
        subject: &subject,
        store: &store,
        events: events.clone(),
        run: run.id.clone(),
        mode: saved.content.header.mode,
        interrupt: options.interrupt.clone(),
        images: Mutex::new(HashMap::new()),
        hidden: Arc::new(Hidden::of(subject.given.variables.values())),
        part,
        next: AtomicU64::new(1),
        undoable: saved
            .content
            .phases
            .iter()
            .filter(|p| p.on_failure == OnFailure::Rollback)
            .map(|p| p.name.clone())
            .collect(),
    };
    let mut report = Report {
        run: run.id.clone(),
        end: RunEnd::Succeeded,
        failures: Vec::new(),
        beyond: Vec::new(),
        stuck: Vec::new(),
        undone: Vec::new(),
        rest: None,
        outputs: BTreeMap::new(),
        counts: BTreeMap::new(),
        elapsed: Duration::ZERO,
    };
    let result = match way {
        Way::Back(phase, because, fault) => back(&desk, &mut report, &phase, &because, fault).await,
        Way::Forward => forward(&desk, &saved, &options, &journal, &mut report).await,
        Way::Nowhere => {
            report.end = RunEnd::RolledBack;
            Ok(())
        }
    };
    drop(desk);
    let ended = clock.now();
    report.elapsed = elapsed(begun, ended);
    let result = match result {
        Ok(()) if report.end == RunEnd::Interrupted => {
            trail::ended(&store, &*events, &options, &run, (report.end, ended)).await;
            store.flush().await.map_err(Error::from)
        }
        Ok(()) => {
            let record =
                Record::RunEnded { run: run.id.clone(), end: report.end, at: ended, counts: report.counts.clone() };
            let facts = store.with(|s| warrant::settled(&saved.content, &report, s, &run, ended));
            let passed = warrant::passed(&options.warrant, &saved.content, report.end);
            let facts = facts.into_iter().chain(passed).map(Record::Delivered);
            let recorded = store.commit(facts.chain([record]).collect()).await.map_err(Error::from);
            if recorded.is_ok() {
                trail::ended(&store, &*events, &options, &run, (report.end, ended)).await;
                clear(&subject, &store, &saved, &run.id).await;
            }
            recorded
        }
        Err(error) => Err(error),
    };
    let after = store.snapshot();
    let closed = store.close().await;
    result?;
    closed?;
    events.emit(Event::RunEnded { outcome: report.end, elapsed: report.elapsed });
    if report.end == RunEnd::BeyondPlan {
        report.rest = rest(Subject { state: after, ..subject }, &saved).await;
    }
    Ok(report)
}

/// Takes away what a run that has ended leaves: its copy of the plan, and what previews made and nothing executed (rule
/// 11). What cannot be taken away now stays noted, and `doctor` finds it.
async fn clear(subject: &Subject, store: &Store, saved: &Saved, run: &RunId) {
    let _ = store.ledger().delete(&plan_name(run)).await;
    if saved.content.nodes.iter().any(|node| node.rollout.is_some()) {
        let _ = crate::state::Control::clear(&**store.ledger(), &run.0).await;
    }
    let executed: BTreeSet<Address> = store.with(|s| {
        let done = |e: &&crate::state::Entry| matches!(e.outcome, Some(crate::state::Outcome::Done { .. }));
        s.journal.entries.iter().filter(done).map(|e| e.intent.address.clone()).collect()
    });
    let (used, left): (Vec<_>, Vec<_>) = saved.attachment.previews.iter().partition(|(a, _)| executed.contains(*a));
    for (_, preview) in used {
        let _ = plan::look::used(&**store.ledger(), preview).await;
    }
    let _ = plan::discard(subject, left).await;
}

async fn forward(
    desk: &Desk<'_>,
    saved: &Saved,
    options: &Options,
    journal: &crate::state::Journal,
    report: &mut Report,
) -> Result<(), Error> {
    let mut executor = Executor::new(desk, saved, options, journal)?;
    executor.forward().await;
    report.counts = std::mem::take(&mut executor.counts);
    report.failures = std::mem::take(&mut executor.failures);
    report.beyond = std::mem::take(&mut executor.beyond);
    report.stuck = std::mem::take(&mut executor.stuck);
    if let Some(error) = executor.state_error.take() {
        return Err(error.into());
    }
    let (outputs, problems) = executor.outputs();
    match executor.stop.clone() {
        Some(Stop::Rollback { phase, because }) => return back(desk, report, &phase, &because, Fault::Sibling).await,
        Some(Stop::Interrupted) => report.end = RunEnd::Interrupted,
        None if !report.stuck.is_empty() => report.end = RunEnd::Stuck,
        None if !report.failures.is_empty() => report.end = RunEnd::Failed,
        None if !report.beyond.is_empty() => report.end = RunEnd::BeyondPlan,
        Some(Stop::State) | None => {}
    }
    let whole = saved.content.header.targets.is_empty();
    match saved.content.header.mode {
        Mode::Normal if whole && report.end == RunEnd::Succeeded => {
            if problems.has_errors() {
                return Err(problems.into());
            }
            let sealed: BTreeMap<Arc<str>, Value> =
                outputs.iter().map(|(k, v)| (k.clone(), desk.subject.seal.seal_value(v))).collect();
            if desk.store.with(|s| s.outputs != sealed) {
                desk.store.note(vec![Record::Outputs { values: sealed }])?;
            }
            report.outputs = outputs;
        }
        Mode::Destroy if whole && report.end == RunEnd::Succeeded => {
            desk.store.note(vec![Record::Outputs { values: BTreeMap::new() }])?;
        }
        _ => {}
    }
    Ok(())
}

async fn back(
    desk: &Desk<'_>,
    report: &mut Report,
    phase: &Arc<str>,
    because: &Address,
    fault: Fault,
) -> Result<(), Error> {
    let lines = rollback::undo_phase(desk, phase, because, fault).await?;
    // What was stuck on the way forward and could be undone is so no more.
    report.stuck.retain(|(address, ..)| !lines.iter().any(|l| l.ok && l.address == *address));
    let all = lines.iter().all(|l| l.ok) && report.stuck.is_empty();
    report.end = if all { RunEnd::RolledBack } else { RunEnd::Stuck };
    for line in lines {
        if !line.ok {
            report.stuck.push((line.address.clone(), line.what.clone(), "terrace doctor".to_owned()));
        }
        report.undone.push((line.address, line.what, line.ok));
    }
    Ok(())
}

/// A plan for what is left, where something went beyond the approved one (rule 12).
async fn rest(subject: Subject, saved: &Saved) -> Option<Box<Saved>> {
    let header = &saved.content.header;
    let request = Request { mode: header.mode, targets: header.targets.clone(), ..Request::default() };
    let made = plan::make(&subject, &request, &NoEvents).await.ok()?;
    let mut content = made.plan;
    content.sources = saved.content.sources.clone();
    let left = content.nodes.iter().any(|n| n.moment == Moment::Phase || n.moment == Moment::Removal);
    if !left {
        let _ = plan::discard(&subject, &made.attachment.previews).await;
        return None;
    }
    plan::saved(content, made.attachment).ok().map(Box::new)
}
