//! The state at one moment: the fold of all records so far.

use crate::{
    base::{Address, Color, Value},
    rollout,
    state::{
        Delivery,
        record::{
            AcceptedDrift, IgnoredDrift, IgnoredField, Intent, Outcome, Purpose, Record, Resource, Run, RunId, Verdict,
        },
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// How many ended runs are kept in the state; older ones are dropped when it is compacted.
const RUNS_KEPT: usize = 200;

/// The state at one moment.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Snapshot {
    /// The same for all states that descend from one; set at the first commit.
    pub lineage: Arc<str>,
    /// How many commits changed it. A plan pins it.
    pub serial: u64,
    /// How many records were ever folded in: what makes replay after a half-done compaction skip what is known.
    pub records: u64,
    /// Resources by address.
    pub resources: BTreeMap<Address, Resource>,
    /// The root's outputs, sealed.
    pub outputs: BTreeMap<Arc<str>, Value>,
    /// Last results of `verify` and `check`.
    pub verdicts: BTreeMap<Arc<str>, Verdict>,
    /// Drift that somebody decided to leave alone.
    pub ignored: BTreeMap<Address, IgnoredDrift>,
    /// Fields that somebody decided to leave to whoever sets them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub ignored_fields: BTreeMap<Address, Vec<IgnoredField>>,
    /// Drift inside things that somebody took for right.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub accepted: BTreeMap<Address, AcceptedDrift>,
    /// Which cluster each connection met first.
    pub clusters: BTreeMap<Arc<str>, Arc<str>>,
    /// What is rolled out by colours, by its address without one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub rollouts: BTreeMap<Address, rollout::Standing>,
    /// What was and is there of releases.
    #[serde(skip_serializing_if = "Delivery::is_empty", default)]
    pub delivery: Delivery,
    /// Runs in order; at most one is open, the last.
    pub runs: Vec<Run>,
    /// The journal of the open run, or of the last one.
    pub journal: Journal,
}

/// The journal of one run.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Journal {
    /// Intents in order, each with its outcome once it has one.
    pub entries: Vec<Entry>,
    /// Phases that passed.
    pub passed: Vec<Arc<str>>,
    /// The phase that is being undone, and the first cause.
    pub undoing: Option<(Arc<str>, Address)>,
    /// Whose fault that is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<rollout::Fault>,
    /// Where each intent is in `entries`.
    #[serde(skip)]
    index: BTreeMap<Arc<str>, usize>,
}

/// An intent and how it ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// The intent.
    pub intent: Intent,
    /// Its outcome; `None` while it is open.
    pub outcome: Option<Outcome>,
}

impl Journal {
    /// Intents whose end is not known, in order.
    pub fn open(&self) -> impl Iterator<Item = &Intent> {
        self.entries.iter().filter(|e| e.outcome.is_none()).map(|e| &e.intent)
    }

    /// The entry of an intent.
    #[must_use]
    pub fn entry(&self, intent: &str) -> Option<&Entry> {
        self.index.get(intent).and_then(|at| self.entries.get(*at))
    }

    fn reindex(&mut self) {
        self.index = self.entries.iter().enumerate().map(|(at, e)| (e.intent.id.clone(), at)).collect();
    }
}

impl Snapshot {
    /// The run that has not ended, if any.
    #[must_use]
    pub fn open_run(&self) -> Option<&Run> {
        self.runs.last().filter(|r| r.end.is_none())
    }

    /// A run by id.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.iter().rev().find(|r| &r.id == id)
    }

    /// Folds one record in. Total: a record that makes no sense here (an outcome without its intent) changes nothing.
    pub fn fold(&mut self, record: Record) {
        self.records += 1;
        if record.moves_serial() {
            self.serial += 1;
        }
        match record {
            Record::Resource(resource) => {
                self.resources.insert(resource.address.clone(), *resource);
            }
            Record::Gone { address } => {
                self.resources.remove(&address);
                self.color_gone(&address);
                self.ignored.remove(&address);
                self.accepted.remove(&address);
                self.ignored_fields.remove(&address);
                self.take_verdicts(&address);
            }
            Record::Moved { from, to } => {
                for (label, verdict) in self.take_verdicts(&from) {
                    self.verdicts.insert(format!("{to}/{label}").into(), verdict);
                }
                if let Some(decision) = self.ignored.remove(&from) {
                    self.ignored.insert(to.clone(), decision);
                }
                if let Some(fields) = self.ignored_fields.remove(&from) {
                    self.ignored_fields.insert(to.clone(), fields);
                }
                if let Some(accepted) = self.accepted.remove(&from) {
                    self.accepted.insert(to.clone(), accepted);
                }
                self.standing_moved(&from, &to);
                if let Some(mut resource) = self.resources.remove(&from) {
                    resource.address = to.clone();
                    self.resources.insert(to, resource);
                }
            }
            Record::Outputs { values } => self.outputs = values,
            Record::Verdict { subject, verdict } => {
                self.verdicts.insert(subject, verdict);
            }
            Record::Ignored { address, decision: Some(decision) } => {
                self.ignored.insert(address, decision);
            }
            Record::Ignored { address, decision: None } => {
                self.ignored.remove(&address);
            }
            Record::IgnoredFields { address, fields } if fields.is_empty() => {
                self.ignored_fields.remove(&address);
            }
            Record::IgnoredFields { address, fields } => {
                self.ignored_fields.insert(address, fields);
            }
            Record::Accepted { address, drift: Some(drift) } => {
                self.accepted.insert(address, drift);
            }
            Record::Accepted { address, drift: None } => {
                self.accepted.remove(&address);
            }
            Record::Cluster { connection, identity } => {
                self.clusters.insert(connection, identity);
            }
            Record::Delivered(fact) => self.delivery.apply(fact),
            Record::Rollout { unit, at, fact } => self.rollouts.entry(unit).or_default().take(at, &fact),
            Record::RunStarted(run) => {
                self.journal = Journal::default();
                self.runs.push(*run);
            }
            Record::Intent(intent) => {
                self.journal.index.insert(intent.id.clone(), self.journal.entries.len());
                self.journal.entries.push(Entry { intent: *intent, outcome: None });
            }
            Record::Outcome { intent, outcome } => {
                if let Some(entry) = self.journal.index.get(&intent).and_then(|at| self.journal.entries.get_mut(*at)) {
                    let undone = entry.intent.purpose == Purpose::Undo && matches!(outcome, Outcome::Done { .. });
                    entry.outcome = Some(outcome);
                    if let Some((unit, color)) = entry.intent.address.unit().filter(|_| undone)
                        && let Some(standing) = self.rollouts.get_mut(&unit)
                    {
                        standing.restored(&entry.intent.run.0, color);
                    }
                }
            }
            Record::PhasePassed { phase, .. } => self.journal.passed.push(phase),
            Record::UndoStarted { phase, because, fault, .. } => {
                self.journal.undoing = Some((phase, because));
                self.journal.fault = fault;
            }
            Record::RunEnded { run, end, at, counts } => {
                if let Some(run) = self.runs.iter_mut().rev().find(|r| r.id == run) {
                    run.end = Some((end, at));
                    run.counts = counts;
                }
            }
        }
    }

    /// Colours that are kept warm and are still there, by their addresses: debts that are paid by retiring them (rule 35).
    pub fn debts(&self) -> impl Iterator<Item = (Address, &rollout::Kept)> {
        let kept = self.rollouts.iter().filter_map(|(unit, standing)| {
            let kept = standing.kept.as_ref()?;
            Some((unit.with_color(Some(kept.color)), kept))
        });
        kept.filter(|(address, kept)| self.parts(&address.with_color(None), kept.color).next().is_some())
    }

    /// What has the traffic of a unit. `None` also where its first rollout never came through.
    #[must_use]
    pub fn live_color(&self, unit: &Address) -> Option<Color> {
        self.rollouts.get(unit).and_then(|standing| standing.live)
    }

    /// What there is of a colour of a unit: the thing itself, or everything in a module.
    pub fn parts(&self, unit: &Address, color: Color) -> impl Iterator<Item = &Resource> {
        // Whatever is of it begins with its own text.
        let first = unit.with_color(Some(color));
        let prefix = first.to_string();
        let wanted = (unit.clone(), color);
        self.resources
            .range(first..)
            .take_while(move |(address, _)| address.as_str().starts_with(&prefix))
            .filter(move |(address, _)| address.unit().as_ref() == Some(&wanted))
            .map(|(_, resource)| resource)
    }

    fn color_gone(&mut self, address: &Address) {
        let Some((unit, color)) = address.unit() else {
            self.former_color_gone(address);
            return;
        };
        if self.parts(&unit, color).next().is_some() {
            return;
        }
        if let Some(standing) = self.rollouts.get_mut(&unit) {
            standing.gone(color);
            if standing.is_over() {
                self.rollouts.remove(&unit);
            }
        }
    }

    /// What a thing or a module was before it went back to the rolling strategy goes with it, and with its route.
    fn former_color_gone(&mut self, address: &Address) {
        let mut units: Vec<Address> = (1..=address.module().len())
            .filter_map(|depth| Address::call(&address.module()[..depth]))
            .filter(|call| {
                !self.resources.keys().any(|other| other.unit().is_none() && other.painted(call, None).is_some())
            })
            .collect();
        units.push(address.clone());
        units.extend(self.rollouts.iter().filter(|(_, s)| s.traffic.as_ref() == Some(address)).map(|(u, _)| u.clone()));
        for unit in units {
            if let Some(standing) = self.rollouts.get_mut(&unit) {
                standing.was = None;
                if standing.is_over() {
                    self.rollouts.remove(&unit);
                }
            }
        }
    }

    /// What is known of a unit goes with it to its new address. What comes from a rolling strategy has the traffic; what goes back to
    /// it leaves its colours behind.
    pub fn standing_moved(&mut self, from: &Address, to: &Address) {
        let Some((unit, was)) = from.unit() else {
            if let Some((unit, color)) = to.unit() {
                let standing = self.rollouts.entry(unit).or_default();
                standing.live.get_or_insert(color);
                standing.was = None;
            } else if let Some(standing) = self.rollouts.remove(from) {
                self.rollouts.insert(to.clone(), standing);
            }
            return;
        };
        let Some(mut standing) = self.rollouts.remove(&unit) else { return };
        if let Some((unit, color)) = to.unit() {
            if standing.live == Some(was) {
                standing.live = Some(color);
            }
            self.rollouts.entry(unit).or_insert(standing);
        } else {
            let was = standing.live.or(standing.was);
            let rest = rollout::Standing { live: None, going: None, was, ..standing };
            if !rest.is_over() {
                self.rollouts.insert(unit, rest);
            }
        }
    }

    /// Takes out the results of an address, by label.
    fn take_verdicts(&mut self, address: &Address) -> Vec<(String, Verdict)> {
        let prefix = format!("{address}/");
        let from: Arc<str> = prefix.as_str().into();
        let subjects: Vec<Arc<str>> =
            self.verdicts.range(from..).map(|(s, _)| s.clone()).take_while(|s| s.starts_with(&prefix)).collect();
        subjects.iter().filter_map(|s| Some((s[prefix.len()..].to_owned(), self.verdicts.remove(s)?))).collect()
    }

    /// Drops what is only history, before it is written as a whole.
    pub(super) fn prune(&mut self) {
        let surplus = self.runs.len().saturating_sub(RUNS_KEPT);
        self.runs.drain(..surplus);
        self.delivery.prune();
    }

    pub(super) fn after_load(&mut self) {
        self.journal.reindex();
    }
}

impl Record {
    /// True where it changes what a plan was made from. Journal entries and run records do not.
    const fn moves_serial(&self) -> bool {
        matches!(
            self,
            Self::Resource(_)
                | Self::Gone { .. }
                | Self::Moved { .. }
                | Self::Outputs { .. }
                | Self::Ignored { .. }
                | Self::IgnoredFields { .. }
                | Self::Accepted { .. }
                | Self::Rollout { fact: rollout::Fact::Finished | rollout::Fact::Aborted, .. }
        )
    }
}
