//! The dispatcher: walks the graph, evaluates what has its turn, hands work out within its limits, takes results in, and
//! decides what a failure means. One task holds all mutable state; the work itself runs beside it.

mod fail;
mod removals;
mod rollouts;
mod start;
mod verify;

use crate::{
    apply::{
        Options,
        journal::Desk,
        rollout::{Failing, Rollout, Turn},
        verify::Measure,
        work::{End, Revert, Task},
    },
    base::{ActionWord, Address, Diagnostics, Event, NodeEnd, Value, elapsed},
    graph::{Id, Targets, Walk},
    kinds::Observed,
    lang::{
        Declaration,
        evaluate::{Conditions, Evaluator},
    },
    plan::{
        Mode, Moment, Plan, Planned, Saved, Subject,
        connect::Connections,
        instance::{self, Instance},
    },
    state::{Intent, Journal, Outcome as Ended, Purpose, Verdict},
};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// How long reading one thing may take.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// How many calls of one service run at once, whatever the parallelism: its own rate limits are lower.
const SERVICE_LIMITS: &[(&str, usize)] =
    &[("cloudformation", 16), ("eks", 16), ("elasticloadbalancing", 16), ("helm", 8), ("kubernetes", 32)];
/// For services that are not listed.
const OTHER_LIMIT: usize = 64;

/// Why no new work is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::apply) enum Stop {
    /// Something failed in a phase that is rolled back.
    Rollback { phase: Arc<str>, because: Address },
    /// The person asked.
    Interrupted,
    /// State can no longer be written.
    State,
}

/// One unit of work that waits for a slot.
enum Job<'r> {
    Effect(Id, Box<Task<'r>>),
    Revert(Id, Box<Revert<'r>>),
    Rollout(Id, Box<Rollout<'r>>),
    Read(Id, Box<Instance>),
    Measures { id: Id, measures: Vec<(Measure, bool)>, of: Measured },
}

/// What a list of measurements is for.
#[derive(Debug, Clone)]
enum Measured {
    /// `verify` blocks of an instance that was just applied; what is told as its action, and whether all of it is applied.
    Instance {
        address: Address,
        action: ActionWord,
    },
    Check {
        address: Address,
    },
    Gate {
        phase: Arc<str>,
    },
}

/// What a unit of work came back with.
enum Back {
    Effect { id: Id, address: Address, phase: Arc<str>, planned: ActionWord, end: End },
    Shifted { id: Id, unit: Address, phase: Arc<str>, turn: Result<Turn, End> },
    Read { id: Id, instance: Box<Instance>, seen: Result<Option<Observed>, String> },
    Measured { id: Id, of: Measured, verdicts: Vec<(Arc<str>, Verdict, bool)> },
    Removed { address: Address, phase: Arc<str>, planned: ActionWord, end: End },
    Drained { address: Address, end: Result<(), End> },
}

/// The run, while it goes forward.
pub(in crate::apply) struct Executor<'r> {
    desk: &'r Desk<'r>,
    subject: &'r Subject,
    saved: &'r Saved,
    plan: &'r Plan,
    options: &'r Options,
    planned: HashMap<&'r Address, &'r Planned>,
    patterns: BTreeMap<Declaration, &'r Planned>,
    evaluator: Evaluator,
    targets: Option<Targets>,
    walk: Walk,
    /// What this run did before it was cut off, by address.
    history: HashMap<Address, History>,
    waiting: VecDeque<Job<'r>>,
    running: usize,
    services: BTreeMap<&'static str, Arc<Semaphore>>,
    /// Instances of each node that are not done.
    open: BTreeMap<Id, usize>,
    /// Nodes that will never be done, with the first cause.
    pub blocked: BTreeMap<Id, Address>,
    started: HashMap<Address, jiff::Timestamp>,
    phase_started: BTreeMap<Arc<str>, jiff::Timestamp>,
    /// Phases in which this run changed something.
    touched: BTreeSet<Arc<str>>,
    /// Where something failed, for the rollouts that run beside it.
    failing: watch::Sender<Failing>,
    pub stop: Option<Stop>,
    pub failures: Vec<(Address, String)>,
    pub beyond: Vec<(Address, String)>,
    pub stuck: Vec<(Address, String, String)>,
    pub counts: BTreeMap<String, u64>,
    pub state_error: Option<crate::state::StateError>,
}

impl<'r> Executor<'r> {
    /// Gets ready.
    ///
    /// # Errors
    /// What is wrong with the variables.
    pub(in crate::apply) fn new(
        desk: &'r Desk<'r>,
        saved: &'r Saved,
        options: &'r Options,
        journal: &Journal,
    ) -> Result<Self, Diagnostics> {
        let (subject, plan) = (desk.subject, &saved.content);
        let (evaluator, problems) = Evaluator::new(
            subject.configuration.clone(),
            subject.given.clone(),
            subject.sources.clone(),
            crate::kinds::schema(),
        );
        if problems.has_errors() {
            return Err(problems);
        }
        let graph = &subject.graph;
        let targets = match plan.header.targets.as_slice() {
            [] => None,
            targets => Targets::new(graph, targets).ok(),
        };
        let (patterns, planned): (Vec<&Planned>, Vec<&Planned>) =
            plan.nodes.iter().filter(|n| n.moment == Moment::Phase).partition(|n| n.address.is_pattern());
        let planned: HashMap<&Address, &Planned> = planned.into_iter().map(|n| (&n.address, n)).collect();
        let mut cost = vec![0; graph.inner.node_count()];
        for node in plan.nodes.iter().filter(|n| n.moment == Moment::Phase && n.action != ActionWord::NoOp) {
            if let Some(id) = graph.declaration(&Declaration::from(&node.address)) {
                cost[id.index()] = cost[id.index()].max(expected_seconds(node.address.kind()));
            }
        }
        let mut evaluator = evaluator;
        for (unit, color) in rollouts::painted(plan, &desk.store.snapshot()) {
            evaluator.paint(unit, color);
        }
        let walk = Walk::new(graph, &|_| true, &|id| 1 + 10 * cost[id.index()]);
        Ok(Self {
            desk,
            subject,
            saved,
            plan,
            options,
            planned,
            patterns: patterns.into_iter().map(|n| (Declaration::from(&n.address), n)).collect(),
            evaluator,
            targets,
            walk,
            history: histories(journal),
            waiting: VecDeque::new(),
            running: 0,
            services: BTreeMap::new(),
            open: BTreeMap::new(),
            blocked: BTreeMap::new(),
            started: HashMap::new(),
            phase_started: BTreeMap::new(),
            touched: BTreeSet::new(),
            failing: watch::Sender::default(),
            stop: None,
            failures: Vec::new(),
            beyond: Vec::new(),
            stuck: Vec::new(),
            counts: BTreeMap::new(),
            state_error: None,
        })
    }

    /// Goes forward until everything is done, or nothing more can be.
    pub(in crate::apply) async fn forward(&mut self) {
        let mut jobs: FuturesUnordered<BoxFuture<'r, Back>> = FuturesUnordered::new();
        if matches!(self.plan.header.mode, Mode::Normal | Mode::RevertDrift | Mode::Import | Mode::Verify) {
            self.phases(&mut jobs).await;
        }
        if self.stop.is_none() && self.failures.is_empty() && self.beyond.is_empty() && self.stuck.is_empty() {
            self.removals(&mut jobs).await;
        }
    }

    async fn phases(&mut self, jobs: &mut FuturesUnordered<BoxFuture<'r, Back>>) {
        loop {
            self.start(jobs);
            if jobs.is_empty() {
                break;
            }
            let Some(back) = self.next(jobs).await else { return };
            self.take(back);
        }
        self.tell_skipped();
    }

    /// The next result; `None` where the person asked to stop now.
    async fn next(&mut self, jobs: &mut FuturesUnordered<BoxFuture<'r, Back>>) -> Option<Back> {
        let interrupt = self.options.interrupt.clone();
        loop {
            let asked = interrupt.asked();
            self.heed(asked);
            if asked >= 2 {
                self.stop = Some(Stop::Interrupted);
                self.end_cut_off();
                return None;
            }
            tokio::select! {
                back = jobs.next() => {
                    if !matches!(back, Some(Back::Shifted { .. })) {
                        self.running = self.running.saturating_sub(1);
                    }
                    // What came back may have ended since it was asked to: nothing is started after it.
                    self.heed(interrupt.asked());
                    return back;
                }
                () = interrupt.reached(asked + 1) => {}
            }
        }
    }

    /// Takes in that a person asked to stop.
    fn heed(&mut self, asked: u8) {
        if asked >= 1 && self.stop.is_none() {
            self.stop = Some(Stop::Interrupted);
            let message =
                "stopping: what runs is finished, nothing new is started; interrupt again to stop now".to_owned();
            self.desk.events.emit(Event::Notice { message });
        }
    }

    /// Says of what was running that it was left as it is.
    fn end_cut_off(&mut self) {
        let mut left: Vec<Address> = self.started.keys().cloned().collect();
        left.sort();
        for address in left {
            let action = self.planned.get(&address).map_or(ActionWord::Verify, |n| n.action);
            let why = "how it ends is not known, and `terrace resume` finds out".to_owned();
            let phase = self.phase_of(&address);
            self.end_node(&address, &phase, action, NodeEnd::Left { why });
        }
        self.end_phases();
    }

    fn end_phases(&mut self) {
        let open: Vec<Arc<str>> = self.phase_started.keys().cloned().collect();
        for phase in open {
            self.end_phase(&phase, false);
        }
    }

    /// Starts whatever may start.
    fn start(&mut self, jobs: &mut FuturesUnordered<BoxFuture<'r, Back>>) {
        while self.stop.is_none() {
            if self.running >= self.options.parallelism.max(1) {
                return;
            }
            if let Some(job) = self.waiting.pop_front() {
                // A rollout waits far more than it works: it takes nobody's place.
                if !matches!(job, Job::Rollout(..)) {
                    self.running += 1;
                }
                let future = self.future(job);
                jobs.push(future);
                continue;
            }
            let Some(id) = self.walk.take() else { return };
            self.visit(id);
        }
    }

    fn work_in(&self, phase: &str) -> usize {
        let works = |n: &&Planned| !matches!(n.action, ActionWord::NoOp | ActionWord::Read);
        self.plan.nodes.iter().filter(|n| n.moment == Moment::Phase && &*n.phase == phase).filter(works).count()
    }

    fn now(&self) -> jiff::Timestamp {
        self.subject.world.clock().now()
    }

    /// Takes a result in.
    fn take(&mut self, back: Back) {
        match back {
            Back::Effect { id, address, phase, planned, end } => match end {
                End::Done { exports, action } => self.applied(id, &address, &phase, action, &exports),
                other => self.bad_end(Some(id), &address, &phase, planned, other),
            },
            Back::Shifted { id, unit, phase, turn } => self.shifted(id, &unit, &phase, turn),
            Back::Read { id, instance, seen } => self.read(id, &instance, seen),
            Back::Measured { id, of, verdicts } => self.measured(id, &of, verdicts),
            Back::Removed { .. } | Back::Drained { .. } => {}
        }
    }

    fn read(&mut self, id: Id, instance: &Instance, seen: Result<Option<Observed>, String>) {
        match seen {
            Ok(Some(observed)) => {
                let attributes = instance::attributes(&instance.evaluated.inputs, &observed.exports);
                self.evaluator.set(&instance.address, attributes);
                self.instance_done(id);
            }
            Ok(None) => self.fail_instance(id, &instance.address, "what it reads does not exist"),
            Err(why) => self.fail_instance(id, &instance.address, &why),
        }
    }

    fn applied(&mut self, id: Id, address: &Address, phase: &Arc<str>, action: ActionWord, exports: &Value) {
        if !matches!(action, ActionWord::NoOp) {
            self.touched.insert(phase.clone());
            *self.counts.entry(action.word().to_owned()).or_default() += 1;
        }
        let subject = self.subject;
        let Some(declared) = subject.configuration.resource(&Declaration::from(address)) else {
            return self.instance_ended(id, address);
        };
        // What was put back, or taken over as it is, is not held against the rest of its declaration.
        let by_declaration = !self.plan.header.mode.only_what_it_names();
        let attributes = match self.evaluator.evaluate(address) {
            Err(_) if !by_declaration => exports.clone(),
            Ok(evaluated) => instance::attributes(&evaluated.inputs, exports),
            Err(problems) => return self.fail_instance(id, address, &tell(&problems)),
        };
        self.becomes(address, attributes);
        if by_declaration && !declared.lifecycle.postconditions.is_empty() {
            match self.evaluator.conditions(address, Conditions::After) {
                Ok(failed) if failed.is_empty() => {}
                Ok(failed) => {
                    let why: Vec<String> = failed.into_iter().map(|f| f.message).collect();
                    return self.fail_instance(id, address, &why.join("; "));
                }
                Err(problems) => return self.fail_instance(id, address, &tell(&problems)),
            }
        }
        let connections =
            self.desk.store.with(|s| s.resources.get(address).map(|r| crate::plan::remembered_connections(subject, r)));
        let connections = connections.unwrap_or_else(|| Connections { aws: subject.aws.clone(), cluster: None });
        if action == ActionWord::NoOp {
            self.end_node(address, phase, action, NodeEnd::Done);
            return self.instance_ended(id, address);
        }
        self.verify(id, declared, address, &connections, action, true);
    }

    fn phase_of(&self, address: &Address) -> Arc<str> {
        self.subject.graph.phase_of(&Declaration::from(address))
    }

    fn end_node(&mut self, address: &Address, phase: &Arc<str>, action: ActionWord, end: NodeEnd) {
        let Some(started) = self.started.remove(address) else { return };
        let elapsed = elapsed(started, self.now());
        self.desk.events.emit(Event::NodeEnded {
            address: address.clone(),
            phase: phase.clone(),
            action,
            end,
            elapsed,
        });
    }

    /// The root's outputs, in clear, with what went wrong.
    pub(in crate::apply) fn outputs(&mut self) -> (BTreeMap<Arc<str>, Value>, Diagnostics) {
        let mut problems = Diagnostics::new();
        let mut out = BTreeMap::new();
        let names: Vec<Arc<str>> = self.subject.configuration.root.outputs.keys().cloned().collect();
        for name in names {
            match self.evaluator.output(&name) {
                Ok(value) => drop(out.insert(name, value)),
                Err(found) => problems.extend(found),
            }
        }
        (out, problems)
    }
}

/// What this run did to an address before it was cut off.
#[derive(Debug, Clone, Default)]
struct History {
    open: Option<Intent>,
    done: bool,
    half_replaced: bool,
    /// It was made anew, and the former one is still there.
    owes: Option<Box<crate::state::Resource>>,
    /// It failed: why, and the command where a person is needed.
    failed: Option<(String, Option<String>)>,
}

fn histories(journal: &Journal) -> HashMap<Address, History> {
    let mut out: HashMap<Address, History> = HashMap::new();
    for entry in journal.entries.iter().filter(|e| matches!(e.intent.purpose, Purpose::Apply | Purpose::Revert)) {
        let history = out.entry(entry.intent.address.clone()).or_default();
        match &entry.outcome {
            None => history.open = Some(entry.intent.clone()),
            Some(Ended::Done { .. }) => {
                history.owes = entry.intent.former.clone().filter(|_| entry.intent.action == ActionWord::Create);
                history.half_replaced = entry.intent.action == ActionWord::Delete && !history.done;
                history.done = !history.half_replaced;
            }
            Some(Ended::Failed { why, .. }) => history.failed = Some((why.clone(), None)),
            Some(Ended::Stuck { why, command }) => history.failed = Some((why.clone(), Some(command.clone()))),
            Some(Ended::NotDone) => {}
        }
    }
    out
}

/// What a kind is expected to take, for choosing what comes first. Only the order of magnitude matters.
fn expected_seconds(kind: &str) -> u64 {
    match kind {
        "stack" => 300,
        "eks_addon" => 90,
        "helm" => 60,
        "manifest" => 20,
        "command" => 10,
        _ => 1,
    }
}

/// Whether inputs are the planned ones. A plan that was read from a file no longer tells a list from a tuple.
fn same_inputs(now: &Value, planned: &Value) -> bool {
    now == planned || matches!((serde_json::to_value(now), serde_json::to_value(planned)), (Ok(a), Ok(b)) if a == b)
}

fn tell(problems: &Diagnostics) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
