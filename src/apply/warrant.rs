//! By what right a run changes an environment: its gates are asked at the instant of apply, under the lock, and fail closed.

use crate::{
    apply::Error,
    base::{ActionWord, Address, Digest, RunEnd},
    gate::{self, Docket, Place, Reason, Way},
    lang::gates::Gates,
    plan::{self, Mode, Plan, Saved},
    state::{
        self, Actor, Approval, Delivered, Held, Occupancy, Passage, Progress, Run, RunId, Snapshot, Standing, Store,
    },
};
use jiff::Timestamp;
use std::sync::Arc;

/// What a run is judged by, as whoever begins it found it. What the environment itself records is read again under the lock.
#[derive(Debug, Clone, Default)]
pub struct Warrant {
    /// All environments that lie upstream of it.
    pub upstream: Vec<Place>,
    /// Which of them it comes after.
    pub after: Vec<Arc<str>>,
    /// The environment's gates as they are declared.
    pub gates: Gates,
    /// Who made the release and the plan.
    pub authors: Vec<Actor>,
    /// Who begins the run.
    pub by: Option<Actor>,
    /// The rules that judged it, by the name under which they are kept; `None` where none did, or they only warned.
    pub rules: Option<Digest>,
    /// How it comes past gates.
    pub way: Way,
    /// Why, where it passes some.
    pub passage: Passage,
}

/// Asks every gate, and says what is to be recorded of the run's arrival when it begins.
///
/// # Errors
/// [`Error::NotEligible`] with every reason; a storage that does not tell.
pub(super) async fn ask(
    warrant: &Warrant,
    saved: &Saved,
    store: &Store,
    run: &RunId,
    now: Timestamp,
) -> Result<Vec<Delivered>, Error> {
    let header = &saved.content.header;
    let state = store.snapshot();
    let standing = Standing::of(state::facts::all(&**store.ledger()).await?);
    let target = Place::new(header.env.clone(), warrant.after.clone(), warrant.gates.clone()).with(&state, standing);
    let approvals = if asks_for_approval(&target) {
        state::approval::approvals(&**store.ledger(), &saved.digest).await?
    } else {
        Vec::new()
    };
    let reasons = reasons(warrant, saved, &target, &approvals, now);
    if !reasons.is_empty() {
        let release = header.release.as_ref().map_or("RELEASE", Digest::short).to_owned();
        return Err(Error::NotEligible { env: header.env.clone(), release, reasons });
    }
    let by = warrant.by.as_ref().map(|by| by.spoken().to_owned()).unwrap_or_default();
    let approved_by = counted(warrant, &target, &approvals, now);
    let passage = Passage { approved_by, ..warrant.passage.clone() };
    arrival(&saved.content, &target, run, by, passage, now)
}

fn reasons(warrant: &Warrant, saved: &Saved, target: &Place, approvals: &[Approval], now: Timestamp) -> Vec<Reason> {
    let header = &saved.content.header;
    // What only reads, or only remembers, brings nothing; and what a rollout leaves goes by the approval of the rollout.
    if matches!(header.mode, Mode::RefreshOnly | Mode::Import | Mode::Verify | Mode::Retire) {
        return Vec::new();
    }
    let nothing = Digest::of(b"");
    // Without a release only the environment's own gates are asked: there is nothing that could be upstream.
    let (release, upstream) = match &header.release {
        Some(release) => (release, warrant.upstream.iter().collect::<Vec<&Place>>()),
        None => (&nothing, Vec::new()),
    };
    let mut all = gate::judge(&Docket {
        release,
        authors: &warrant.authors,
        target,
        upstream: &upstream,
        values: None,
        plan: Some((&saved.digest, approvals)),
        way: &warrant.way,
        now,
    });
    // To apply again what is there mends its drift, and needs no more than the first time.
    all.retain(|reason| *reason != Reason::AlreadyThere);
    if header.release.is_none() {
        all.retain(|reason| match reason {
            // Drift is put back to what was approved when it came.
            Reason::Approvals { .. } => header.mode != Mode::RevertDrift,
            _ => true,
        });
        if header.mode == Mode::Normal && asks_for_approval(target) {
            all.retain(|reason| !matches!(reason, Reason::Approvals { .. }));
            all.push(Reason::ReleaseNeeded);
        }
    }
    all
}

/// Whose approvals counted, for the record: who agreed twice, or might not, is not in it.
fn counted(warrant: &Warrant, target: &Place, approvals: &[Approval], now: Timestamp) -> Vec<String> {
    let rules = target.all_gates().filter_map(|gates| gates.approval.as_ref());
    let counted = rules.flat_map(|rule| gate::count(rule, approvals, &warrant.authors, now).counted);
    let named: std::collections::BTreeSet<String> = counted.map(|by| by.spoken().to_owned()).collect();
    named.into_iter().collect()
}

fn asks_for_approval(target: &Place) -> bool {
    target.all_gates().any(|gates| gates.approval.is_some())
}

/// What comes with a run, and what goes.
fn arrival(
    plan: &Plan,
    target: &Place,
    run: &RunId,
    by: String,
    passage: Passage,
    now: Timestamp,
) -> Result<Vec<Delivered>, Error> {
    let header = &plan.header;
    let held = match (header.mode, &header.release) {
        (Mode::Normal, Some(release)) => Held::Release(release.clone()),
        (Mode::Destroy, _) if header.targets.is_empty() => Held::Nothing,
        (Mode::Normal, None) | (Mode::Destroy, _) => Held::Unreleased,
        (Mode::RefreshOnly | Mode::RevertDrift | Mode::Import | Mode::Verify | Mode::Retire, _) => {
            return Ok(Vec::new());
        }
    };
    let values = plan::values_digest(&plan.variables, &header.world)?;
    let mut facts = Vec::new();
    let current = target.current.as_ref();
    let same = current.is_some_and(|c| c.held == held && c.values == values && c.progress == Progress::Complete);
    let acts = plan.nodes.iter().any(|n| !matches!(n.action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify));
    // The same thing with the same values has not come again, whatever of its drift is mended.
    let keeps = same || (held == Held::Unreleased && !acts && current.is_some());
    if keeps && header.targets.is_empty() {
        return Ok(facts);
    }
    if let Some(release) = held.release().filter(|release| target.rolled_back(release) && !passage.rollback) {
        facts.push(Delivered::RolledBack { release: release.clone(), named_again: true });
    }
    if passage.rollback
        && let Some(former) = current.and_then(|c| c.held.release()).filter(|former| Some(*former) != held.release())
    {
        facts.push(Delivered::RolledBack { release: former.clone(), named_again: false });
    }
    let occupancy = Occupancy {
        held,
        since: now,
        until: None,
        run: run.clone(),
        values,
        progress: Progress::Coming,
        verified: Vec::new(),
        failure: None,
        by,
        passage,
    };
    facts.push(Delivered::Came { occupancy: Box::new(occupancy), gates: serde_json::to_value(&target.gates)? });
    Ok(facts)
}

/// The rules that a run passed: only one that did all that it was to do, of everything that is declared, says anything of them (rule 26).
pub(super) fn passed(warrant: &Warrant, plan: &Plan, end: RunEnd) -> Option<Delivered> {
    let rules = warrant.rules.clone().filter(|_| end == RunEnd::Succeeded && plan.header.targets.is_empty())?;
    Some(Delivered::Passed { rules })
}

/// What is known of an environment once a run in it has ended.
pub(super) fn settled(
    plan: &Plan,
    report: &super::Report,
    state: &Snapshot,
    run: &Run,
    at: Timestamp,
) -> Vec<Delivered> {
    let whole = plan.header.targets.is_empty();
    let phase = |address: &Address| plan.node(address).map(|node| node.phase.clone()).unwrap_or_default();
    let failed = report.failures.first().map(|(address, why)| (phase(address), format!("{address}: {why}")));
    if plan.header.mode == Mode::Verify {
        let asked = state.verdicts.values().any(|verdict| !verdict.passed && verdict.at >= run.started);
        return match (report.end, failed) {
            (RunEnd::Succeeded, _) if whole => vec![Delivered::Verified { at, failure: None }],
            // Who could not ask has learned nothing: that is the platform's fault, and not the release's (rule 31).
            (RunEnd::Failed, Some((_, why))) if asked => vec![Delivered::Verified { at, failure: Some(why) }],
            _ => Vec::new(),
        };
    }
    if matches!(plan.header.mode, Mode::RefreshOnly | Mode::Import | Mode::Retire) {
        return Vec::new();
    }
    match report.end {
        RunEnd::Interrupted => Vec::new(),
        RunEnd::Succeeded if whole => {
            vec![Delivered::Settled { at, progress: Progress::Complete }, Delivered::Verified { at, failure: None }]
        }
        RunEnd::Succeeded | RunEnd::BeyondPlan => vec![Delivered::Settled { at, progress: Progress::Partial }],
        RunEnd::Failed | RunEnd::RolledBack | RunEnd::Stuck => {
            let (phase, why) = failed.unwrap_or_else(|| ("".into(), "the run failed".to_owned()));
            let progress = Progress::FailedAt(phase);
            vec![Delivered::Settled { at, progress }, Delivered::Verified { at, failure: Some(why) }]
        }
    }
}
