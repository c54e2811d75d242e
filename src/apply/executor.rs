//! The dispatcher: walks the graph, evaluates what has its turn, hands work out within its limits, takes results in, and
//! decides what a failure means. One task holds all mutable state; the work itself runs beside it.

use crate::{
    apply::{
        Options,
        journal::Desk,
        unwind::Unwind,
        verify::{Measure, measure},
        work::{self, End, Removal, Task},
    },
    base::{ActionWord, Address, Diagnostics, Digest, Event, Hidden, NodeEnd, Value},
    graph::{self, Id, Node, Targets, Walk},
    kinds::{Observed, probe_defaults},
    lang::{
        Declaration,
        configuration::{OnFailure, Resource as Declared, Verify},
        evaluate::{Conditions, Evaluator, Expansion},
        schema::Role,
    },
    plan::{
        Mode, Moment, Plan, Planned, Saved, Subject,
        connect::Connections,
        instance::{self, Instance, Prepared},
        look::{How, look},
    },
    state::{Intent, Journal, Outcome as Ended, Purpose, Record, Status, Verdict},
};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long reading one thing may take.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// How many calls of one service run at once, whatever the parallelism: its own rate limits are lower.
const SERVICE_LIMITS: &[(&str, usize)] = &[("cloudformation", 16), ("eks", 16), ("helm", 8), ("kubernetes", 32)];
/// For services that are not listed.
const OTHER_LIMIT: usize = 64;

/// Why no new work is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
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
    Read(Id, Box<Instance>),
    Measures { id: Id, measures: Vec<(Measure, bool)>, connections: Box<Connections>, of: Measured },
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
    Read { id: Id, instance: Box<Instance>, seen: Result<Option<Observed>, String> },
    Measured { id: Id, of: Measured, verdicts: Vec<(Arc<str>, Verdict, bool)> },
    Removed { address: Address, phase: Arc<str>, planned: ActionWord, end: End },
}

/// The run, while it goes forward.
pub(super) struct Executor<'r> {
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
    pub(super) fn new(
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
            stop: None,
            failures: Vec::new(),
            beyond: Vec::new(),
            stuck: Vec::new(),
            counts: BTreeMap::new(),
            state_error: None,
        })
    }

    /// Goes forward until everything is done, or nothing more can be.
    pub(super) async fn forward(&mut self) {
        let mut jobs: FuturesUnordered<BoxFuture<'r, Back>> = FuturesUnordered::new();
        if self.plan.header.mode == Mode::Normal {
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
            if asked >= 1 && self.stop.is_none() {
                self.stop = Some(Stop::Interrupted);
                let message =
                    "stopping: what runs is finished, nothing new is started; interrupt again to stop now".to_owned();
                self.desk.events.emit(Event::Notice { message });
            }
            if asked >= 2 {
                self.stop = Some(Stop::Interrupted);
                self.end_cut_off();
                return None;
            }
            tokio::select! {
                back = jobs.next() => {
                    self.running = self.running.saturating_sub(1);
                    return back;
                }
                () = interrupt.reached(asked + 1) => {}
            }
        }
    }

    /// Says of what was running that it was left as it is.
    fn end_cut_off(&mut self) {
        let mut left: Vec<Address> = self.started.keys().cloned().collect();
        left.sort();
        for address in left {
            let action = self.planned.get(&address).map_or(ActionWord::Verify, |n| n.action);
            let why = "stopped; how it ends is not known, and `terrace resume` finds out".to_owned();
            let phase = self.phase_of(&address);
            self.end_node(&address, &phase, action, NodeEnd::Failed { why });
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
                self.running += 1;
                let future = self.future(job);
                jobs.push(future);
                continue;
            }
            let Some(id) = self.walk.take() else { return };
            self.visit(id);
        }
    }

    /// A node has its turn.
    fn visit(&mut self, id: Id) {
        let graph = self.subject.graph.clone();
        match &graph.inner[id] {
            Node::Declaration(declaration) => self.visit_declaration(id, declaration),
            Node::PhaseStart(phase) => {
                let now = self.now();
                self.phase_started.insert(phase.clone(), now);
                let total = self.work_in(phase);
                self.desk.events.emit(Event::PhaseStarted { phase: phase.clone(), total });
                self.walk.done(&graph, id);
            }
            Node::PhaseEnd(phase) => self.visit_gate(id, phase),
            _ => self.walk.done(&graph, id),
        }
    }

    fn work_in(&self, phase: &str) -> usize {
        let works = |n: &&Planned| !matches!(n.action, ActionWord::NoOp | ActionWord::Read);
        self.plan.nodes.iter().filter(|n| n.moment == Moment::Phase && &*n.phase == phase).filter(works).count()
    }

    fn now(&self) -> jiff::Timestamp {
        self.subject.world.clock().now()
    }

    fn visit_declaration(&mut self, id: Id, declaration: &Declaration) {
        let Expansion { instances, unknown, .. } = match self.evaluator.expand(declaration) {
            Ok(expansion) => expansion,
            Err(problems) => return self.fail_node(id, &graph::address(declaration), &tell(&problems)),
        };
        if let Some(unknown) = unknown.first().filter(|_| self.meant(id, None)) {
            return self.fail_node(id, &unknown.pattern, "its instances are still not known when it has its turn");
        }
        self.open.insert(id, instances.len());
        for address in instances {
            self.start_instance(id, declaration, &address);
        }
        self.close_if_done(id);
    }

    fn meant(&self, id: Id, address: Option<&Address>) -> bool {
        self.targets.as_ref().is_none_or(|t| t.has(id) && address.is_none_or(|a| t.has_instance(a)))
    }

    /// One instance less to wait for.
    fn instance_done(&mut self, id: Id) {
        if let Some(left) = self.open.get_mut(&id) {
            *left = left.saturating_sub(1);
        }
        self.close_if_done(id);
    }

    fn close_if_done(&mut self, id: Id) {
        if self.open.get(&id) == Some(&0) && !self.blocked.contains_key(&id) {
            self.open.remove(&id);
            let graph = self.subject.graph.clone();
            self.walk.done(&graph, id);
        }
    }

    fn start_instance(&mut self, id: Id, declaration: &Declaration, address: &Address) {
        let subject = self.subject;
        let remembered = self.desk.store.with(|s| s.resources.get(address).cloned());
        if !self.meant(id, Some(address)) {
            if let Some(resource) = remembered {
                self.evaluator.set(address, instance::attributes(&resource.inputs, &resource.exports));
            }
            return self.instance_done(id);
        }
        let Some(declared) = subject.configuration.resource(declaration) else { return self.instance_done(id) };
        let pattern = self.patterns.get(declaration).copied();
        let Some(planned) = self.planned.get(address).copied().or(pattern) else {
            return self.go_beyond(id, address, "it is not in the approved plan");
        };
        let fixed = remembered.as_ref().map(|r| &r.identity).or(planned.import.as_ref());
        let prepared = instance::prepare(subject, &mut self.evaluator, address, fixed);
        let instance = match prepared {
            Ok(Prepared::Ready(instance)) => instance,
            Ok(Prepared::Waits { waits_for, .. }) => {
                let names: Vec<String> = waits_for.iter().map(ToString::to_string).collect();
                let why = format!("what it needs is still not known: {}", names.join(", "));
                return self.fail_instance(id, address, &why);
            }
            Err(problems) => return self.fail_instance(id, address, &tell(&problems)),
        };
        match declared.role {
            Role::Data => self.waiting.push_back(Job::Read(id, instance)),
            Role::Check => self.start_check(id, planned, &instance),
            Role::Managed => self.start_managed(id, declared, planned, instance, remembered),
        }
    }

    fn start_managed(
        &mut self,
        id: Id,
        declared: &'r Declared,
        planned: &'r Planned,
        instance: Box<Instance>,
        remembered: Option<crate::state::Resource>,
    ) {
        let address = instance.address.clone();
        let history = self.history(&address);
        if let Some((why, command)) = history.failed {
            // It failed before the run was cut off: the run ends as it would have.
            if let Some(command) = command {
                self.stuck.push((address.clone(), why.clone(), command));
            }
            return self.fail_instance(id, &address, &why);
        }
        // What only state remembers leaves no journal: the run that applied it last tells.
        let applied = history.done
            || remembered.as_ref().is_some_and(|r| r.run == self.desk.run && instance.kind.remembers_only());
        if let Some(resource) = &remembered
            && applied
            && history.owes.is_none()
            && history.open.is_none()
            && !resource.exports.has_sealed()
        {
            // Done before the run was cut off.
            let exports = resource.exports.clone();
            self.evaluator.set(&address, instance::attributes(&instance.evaluated.inputs, &exports));
            self.touched.insert(instance.phase.clone());
            if resource.status == Status::Verified {
                return self.instance_done(id);
            }
            return self.verify(id, declared, &instance.address, instance.connections.clone(), planned.action, false);
        }
        if history.open.is_none()
            && !history.half_replaced
            && let Some(resource) = &remembered
            && matches!(planned.action, ActionWord::NoOp | ActionWord::Verify)
            && planned.moved_from.is_none()
            && !resource.exports.has_sealed()
            && same_inputs(&self.subject.seal.seal_value(&instance.desired.inputs), &planned.inputs)
        {
            let exports = resource.exports.clone();
            self.evaluator.set(&address, instance::attributes(&instance.evaluated.inputs, &exports));
            if planned.action == ActionWord::Verify {
                self.begin(&address, &instance.phase, ActionWord::Verify);
                return self.verify(id, declared, &address, instance.connections.clone(), ActionWord::Verify, false);
            }
            return self.instance_done(id);
        }
        self.begin(&address, &instance.phase, planned.action);
        let dependencies = self.subject.graph.prerequisites(&Declaration::from(&address));
        let task = Task {
            desk: self.desk,
            declared,
            planned,
            remembered,
            dependencies: dependencies.iter().map(graph::address).collect(),
            attachment: self.saved.attachment.previews.get(&address),
            open: history.open,
            half_replaced: history.half_replaced || history.done,
            owes: history.owes,
            read_timeout: READ_TIMEOUT,
            instance,
        };
        self.waiting.push_back(Job::Effect(id, Box::new(task)));
    }

    fn begin(&mut self, address: &Address, phase: &Arc<str>, action: ActionWord) {
        if !matches!(action, ActionWord::NoOp) {
            let now = self.now();
            self.started.insert(address.clone(), now);
            self.desk.events.emit(Event::NodeStarted { address: address.clone(), phase: phase.clone(), action });
        }
    }

    fn history(&self, address: &Address) -> History {
        self.history.get(address).cloned().unwrap_or_default()
    }

    fn future(&mut self, job: Job<'r>) -> BoxFuture<'r, Back> {
        let desk = self.desk;
        match job {
            Job::Effect(id, task) => {
                let slots = self.slots(task.instance.kind.service());
                Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let (address, phase) = (task.instance.address.clone(), task.instance.phase.clone());
                    let planned = task.planned.action;
                    let end = task.run().await;
                    Back::Effect { id, address, phase, planned, end }
                })
            }
            Job::Read(id, instance) => {
                let slots = self.slots(instance.kind.service());
                Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let how = How { offline: false, preview: false, drift: false, timeout: READ_TIMEOUT };
                    let seen = look(desk.subject, &instance, None, None, how).await;
                    let seen = seen.map(|l| l.observed).map_err(|f| work::tell(&f));
                    Back::Read { id, instance, seen }
                })
            }
            Job::Measures { id, measures, connections, of } => Box::pin(async move {
                let verdicts = measure_all(desk, measures, &connections).await;
                Back::Measured { id, of, verdicts }
            }),
        }
    }

    fn slots(&mut self, service: &'static str) -> Arc<Semaphore> {
        let limit = SERVICE_LIMITS.iter().find(|(name, _)| *name == service).map_or(OTHER_LIMIT, |(_, limit)| *limit);
        self.services.entry(service).or_insert_with(|| Arc::new(Semaphore::new(limit))).clone()
    }

    /// Takes a result in.
    fn take(&mut self, back: Back) {
        match back {
            Back::Effect { id, address, phase, planned, end } => match end {
                End::Done { exports, action } => self.applied(id, &address, &phase, action, &exports),
                other => self.bad_end(Some(id), &address, &phase, planned, other),
            },
            Back::Read { id, instance, seen } => self.read(id, &instance, seen),
            Back::Measured { id, of, verdicts } => self.measured(id, &of, verdicts),
            Back::Removed { .. } => {}
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
            return self.instance_done(id);
        };
        let attributes = match self.evaluator.evaluate(address) {
            Ok(evaluated) => instance::attributes(&evaluated.inputs, exports),
            Err(problems) => return self.fail_instance(id, address, &tell(&problems)),
        };
        self.evaluator.set(address, attributes);
        if !declared.lifecycle.postconditions.is_empty() {
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
            return self.instance_done(id);
        }
        self.verify(id, declared, address, connections, action, true);
    }

    /// Runs the `verify` blocks of an instance, or is done with it. `all` where it was just changed.
    fn verify(
        &mut self,
        id: Id,
        declared: &Declared,
        address: &Address,
        connections: Connections,
        action: ActionWord,
        all: bool,
    ) {
        let digest = instance::declaration_digest(self.subject, declared);
        let due = |v: &&Verify| {
            let subject = format!("{address}/{}", v.name);
            all || self
                .desk
                .store
                .with(|s| !s.verdicts.get(subject.as_str()).is_some_and(|v| v.passed && v.declaration == digest))
        };
        let due: Vec<Verify> = declared.verify.iter().filter(due).cloned().collect();
        let mut measures = Vec::new();
        for verify in &due {
            match self.evaluator.probe(address.module(), Some(address), verify) {
                Ok(probe) => {
                    // What the probe leaves out follows from the thing: its namespace.
                    let probe = self.evaluator.get(address).map_or(probe.clone(), |own| probe_defaults(&probe, own));
                    let subject = format!("{address}/{}", verify.name).into();
                    measures.push((one(subject, probe, verify, &digest, address), true));
                }
                Err(problems) => return self.fail_instance(id, address, &tell(&problems)),
            }
        }
        let of = Measured::Instance { address: address.clone(), action };
        if measures.is_empty() {
            return self.measured(id, &of, Vec::new());
        }
        let connections = match self.with_cluster(connections) {
            Ok(connections) => connections,
            Err(why) => return self.fail_instance(id, address, &why),
        };
        self.waiting.push_back(Job::Measures { id, measures, connections: Box::new(connections), of });
    }

    /// The connections of probes: a thing's own, and the default cluster where it has none.
    fn with_cluster(&mut self, mut connections: Connections) -> Result<Connections, String> {
        if connections.cluster.is_none() && self.subject.configuration.default_connection("kubernetes").is_some() {
            let need = crate::lang::schema::ConnectionNeed::None;
            let found = crate::plan::connect::connections(self.subject, &mut self.evaluator, None, need, true);
            connections.cluster = match found {
                Ok(Ok(found)) => found.cluster,
                Ok(Err(_)) => None,
                Err(problems) => return Err(tell(&problems)),
            };
        }
        Ok(connections)
    }

    fn start_check(&mut self, id: Id, planned: &Planned, instance: &Instance) {
        let address = &instance.address;
        let subject: Arc<str> = address.as_str().into();
        let passed = self
            .desk
            .store
            .with(|s| s.verdicts.get(&subject).is_some_and(|v| v.passed && v.declaration == instance.declaration));
        if planned.action == ActionWord::NoOp && passed && self.touched.is_empty() {
            return self.instance_done(id);
        }
        self.begin(address, &instance.phase, ActionWord::Verify);
        let inputs = &instance.desired.inputs;
        let text = |name: &str| inputs.get(name).and_then(Value::as_str).unwrap_or_default();
        let time = |name: &str| crate::base::parse_duration(text(name)).unwrap_or(Duration::ZERO);
        let measure = Measure {
            subject,
            probe: inputs.get("probe").cloned().unwrap_or(Value::NULL),
            every: time("every"),
            within: time("within"),
            consecutive: inputs
                .get("consecutive")
                .and_then(Value::as_i64)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(1),
            declaration: instance.declaration.clone(),
            address: address.clone(),
        };
        let is_error = text("severity") != "warning";
        let connections = match self.with_cluster(instance.connections.clone()) {
            Ok(connections) => connections,
            Err(why) => return self.fail_instance(id, address, &why),
        };
        let of = Measured::Check { address: address.clone() };
        self.waiting.push_back(Job::Measures {
            id,
            measures: vec![(measure, is_error)],
            connections: Box::new(connections),
            of,
        });
    }

    /// The gate of a phase: runs where something in the phase was changed, or where it did not pass last time.
    fn visit_gate(&mut self, id: Id, phase: &Arc<str>) {
        let declared = self.subject.configuration.phases.iter().find(|p| p.name == *phase);
        let Some(declared) = declared.filter(|p| !p.verify.is_empty() && self.targets.is_none()) else {
            return self.phase_passed(id, phase);
        };
        let touched = self.touched.contains(phase);
        let address = Address::root("phase", phase);
        let mut measures = Vec::new();
        for verify in &declared.verify {
            let text = self.subject.configuration.sources.text(&verify.span.file);
            let digest =
                Digest::of(text.and_then(|t| t.get(verify.probe.body.span.range())).unwrap_or_default().as_bytes());
            let subject: Arc<str> = format!("phase.{phase}/{}", verify.name).into();
            let passed =
                self.desk.store.with(|s| s.verdicts.get(&subject).is_some_and(|v| v.passed && v.declaration == digest));
            if passed && !touched {
                continue;
            }
            match self.evaluator.probe(&[], None, verify) {
                Ok(probe) => measures.push((one(subject, probe, verify, &digest, &address), true)),
                Err(problems) => return self.fail_gate(id, phase, &tell(&problems)),
            }
        }
        if measures.is_empty() {
            return self.phase_passed(id, phase);
        }
        let connections = Connections { aws: self.subject.aws.clone(), cluster: None };
        match self.with_cluster(connections) {
            Ok(connections) => {
                self.begin(&address, phase, ActionWord::Verify);
                let of = Measured::Gate { phase: phase.clone() };
                self.waiting.push_back(Job::Measures { id, measures, connections: Box::new(connections), of });
            }
            Err(why) => self.fail_gate(id, phase, &why),
        }
    }

    fn phase_passed(&mut self, id: Id, phase: &Arc<str>) {
        let record = Record::PhasePassed { run: self.desk.run.clone(), phase: phase.clone() };
        if let Err(error) = self.desk.store.note(vec![record]) {
            return self.state_failed(error);
        }
        self.end_phase(phase, true);
        let graph = self.subject.graph.clone();
        self.walk.done(&graph, id);
    }

    fn end_phase(&mut self, phase: &Arc<str>, passed: bool) {
        let elapsed = self.phase_started.remove(phase).map_or(Duration::ZERO, |s| since(s, self.now()));
        self.desk.events.emit(Event::PhaseEnded { phase: phase.clone(), passed, elapsed });
    }

    fn measured(&mut self, id: Id, of: &Measured, verdicts: Vec<(Arc<str>, Verdict, bool)>) {
        let failed = verdicts.iter().find(|(_, v, error)| !v.passed && *error);
        let why = failed.map(|(subject, v, _)| {
            let label = subject.rsplit_once('/').map_or("", |(_, label)| label);
            if label.is_empty() {
                format!("does not hold: {}", v.said)
            } else {
                format!("verify \"{label}\" did not pass: {}", v.said)
            }
        });
        for (subject, verdict, _) in verdicts.iter().filter(|(_, v, error)| !v.passed && !*error) {
            self.desk
                .events
                .emit(Event::Notice { message: format!("warning: {subject} does not hold: {}", verdict.said) });
        }
        let mut records: Vec<Record> =
            verdicts.into_iter().map(|(subject, verdict, _)| Record::Verdict { subject, verdict }).collect();
        if let (Measured::Instance { address, .. }, None) = (of, &why)
            && let Some(mut resource) = self.desk.store.with(|s| s.resources.get(address).cloned())
            && resource.status == Status::Applied
        {
            resource.status = Status::Verified;
            records.push(Record::Resource(Box::new(resource)));
        }
        if !records.is_empty()
            && let Err(error) = self.desk.store.note(records)
        {
            return self.state_failed(error);
        }
        match (of, why) {
            (Measured::Instance { address, action }, None) => {
                let phase = self.phase_of(address);
                self.end_node(address, &phase, *action, NodeEnd::Done);
                self.instance_done(id);
            }
            (Measured::Check { address }, None) => {
                let phase = self.phase_of(address);
                self.end_node(address, &phase, ActionWord::Verify, NodeEnd::Done);
                self.instance_done(id);
            }
            (Measured::Gate { phase }, None) => {
                self.end_node(&Address::root("phase", phase), phase, ActionWord::Verify, NodeEnd::Done);
                self.phase_passed(id, phase);
            }
            (Measured::Instance { address, .. } | Measured::Check { address }, Some(why)) => {
                self.fail_instance(id, address, &why);
            }
            (Measured::Gate { phase }, Some(why)) => self.fail_gate(id, phase, &why),
        }
    }

    fn phase_of(&self, address: &Address) -> Arc<str> {
        self.subject.graph.phase.get(&Declaration::from(address)).cloned().unwrap_or_default()
    }

    fn end_node(&mut self, address: &Address, phase: &Arc<str>, action: ActionWord, end: NodeEnd) {
        let Some(started) = self.started.remove(address) else { return };
        let elapsed = since(started, self.now());
        self.desk.events.emit(Event::NodeEnded {
            address: address.clone(),
            phase: phase.clone(),
            action,
            end,
            elapsed,
        });
    }

    /// An end that is not a success.
    fn bad_end(&mut self, id: Option<Id>, address: &Address, phase: &Arc<str>, planned: ActionWord, end: End) {
        match end {
            End::Done { .. } => {}
            End::Failed(why) => match id {
                Some(id) => self.fail_instance(id, address, &why),
                None => self.fail(address, phase, planned, &why),
            },
            End::Beyond(why) => {
                self.end_node(address, phase, planned, NodeEnd::BeyondPlan { why: why.clone() });
                self.beyond.push((address.clone(), why));
                if let Some(id) = id {
                    self.blocked.insert(id, address.clone());
                }
            }
            End::Stuck { why, command } => {
                self.stuck.push((address.clone(), why.clone(), command));
                match id {
                    Some(id) => self.fail_instance(id, address, &why),
                    None => self.fail(address, phase, planned, &why),
                }
            }
            End::State(error) => self.state_failed(error),
        }
    }

    fn state_failed(&mut self, error: crate::state::StateError) {
        self.stop = Some(Stop::State);
        self.state_error.get_or_insert(error);
    }

    fn go_beyond(&mut self, id: Id, address: &Address, why: &str) {
        self.beyond.push((address.clone(), why.to_owned()));
        self.blocked.insert(id, address.clone());
    }

    fn fail_node(&mut self, id: Id, address: &Address, why: &str) {
        self.open.insert(id, 1);
        self.fail_instance(id, address, why);
    }

    fn fail_instance(&mut self, id: Id, address: &Address, why: &str) {
        let phase = self.phase_of(address);
        let action = self.planned.get(address).map_or(ActionWord::Create, |n| n.action);
        self.blocked.insert(id, address.clone());
        self.fail(address, &phase, action, why);
        self.maybe_roll_back(&phase, address);
    }

    fn fail_gate(&mut self, id: Id, phase: &Arc<str>, why: &str) {
        let address = Address::root("phase", phase);
        self.blocked.insert(id, address.clone());
        self.fail(&address, phase, ActionWord::Verify, why);
        self.maybe_roll_back(phase, &address);
    }

    fn fail(&mut self, address: &Address, phase: &Arc<str>, action: ActionWord, why: &str) {
        if !self.started.contains_key(address) {
            self.begin(address, phase, if action == ActionWord::NoOp { ActionWord::Verify } else { action });
        }
        self.end_node(address, phase, action, NodeEnd::Failed { why: why.to_owned() });
        *self.counts.entry("failed".to_owned()).or_default() += 1;
        self.failures.push((address.clone(), why.to_owned()));
    }

    fn maybe_roll_back(&mut self, phase: &Arc<str>, because: &Address) {
        let rolls_back = self.plan.phases.iter().any(|p| p.name == *phase && p.on_failure == OnFailure::Rollback);
        if rolls_back && self.stop.is_none() {
            self.stop = Some(Stop::Rollback { phase: phase.clone(), because: because.clone() });
        }
    }

    /// Says of what was never started why not, the first cause of each.
    fn tell_skipped(&mut self) {
        let graph = self.subject.graph.clone();
        let mut cause: BTreeMap<Id, Address> = self.blocked.clone();
        for id in graph.order() {
            if cause.contains_key(&id) {
                continue;
            }
            let first =
                graph.inner.neighbors_directed(id, petgraph::Incoming).filter_map(|b| cause.get(&b)).min().cloned();
            if let Some(first) = first {
                cause.insert(id, first);
            }
        }
        for node in self.plan.nodes.iter().filter(|n| n.moment == Moment::Phase) {
            let works = !matches!(node.action, ActionWord::NoOp | ActionWord::Read);
            let Some(id) = graph.declaration(&Declaration::from(&node.address)).filter(|_| works) else { continue };
            if self.blocked.contains_key(&id) {
                continue;
            }
            if let Some(because) = cause.get(&id) {
                let end = NodeEnd::Skipped { because: because.clone() };
                self.desk.events.emit(Event::NodeEnded {
                    address: node.address.clone(),
                    phase: node.phase.clone(),
                    action: node.action,
                    end,
                    elapsed: Duration::ZERO,
                });
            }
        }
        // What was announced and never got a slot before the run stopped.
        let mut left: Vec<Address> = self.started.keys().cloned().collect();
        left.sort();
        for address in left {
            let action = self.planned.get(&address).map_or(ActionWord::Verify, |n| n.action);
            let phase = self.phase_of(&address);
            self.end_node(&address, &phase, action, NodeEnd::NotStarted);
        }
        self.end_phases();
    }

    /// What is no longer declared, or everything: after all phases have passed (rule 13).
    async fn removals(&mut self, jobs: &mut FuturesUnordered<BoxFuture<'r, Back>>) {
        let nodes: BTreeMap<Address, &'r Planned> = self
            .plan
            .nodes
            .iter()
            .filter(|n| n.moment == Moment::Removal || self.plan.header.mode == Mode::RefreshOnly)
            .map(|n| (n.address.clone(), n))
            .collect();
        if nodes.is_empty() {
            return;
        }
        let state = self.desk.store.snapshot();
        let which: BTreeSet<Address> = nodes.keys().filter(|a| state.resources.contains_key(*a)).cloned().collect();
        let mut unwind = Unwind::new(&state, &which, &self.subject.graph.phases);
        let mut done = BTreeSet::new();
        loop {
            while self.stop.is_none() && self.running < self.options.parallelism.max(1) {
                let Some(address) = unwind.take() else { break };
                let (Some(planned), Some(remembered)) = (nodes.get(&address).copied(), state.resources.get(&address))
                else {
                    unwind.done(&address);
                    continue;
                };
                self.begin(&address, &remembered.phase, planned.action);
                self.running += 1;
                let removal = Removal {
                    desk: self.desk,
                    planned,
                    remembered: remembered.clone(),
                    open: self.history(&address).open,
                };
                let slots = self.slots(crate::kinds::kind(address.kind()).map_or("local", |k| k.service()));
                let phase = remembered.phase.clone();
                jobs.push(Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let end = removal.run().await;
                    Back::Removed { address, phase, planned: planned.action, end }
                }));
            }
            if jobs.is_empty() {
                break;
            }
            let Some(back) = self.next(jobs).await else { return };
            let Back::Removed { address, phase, planned, end } = back else { continue };
            if let End::Done { action, .. } = end {
                *self.counts.entry(action.word().to_owned()).or_default() += 1;
                self.end_node(&address, &phase, action, NodeEnd::Done);
                done.insert(address.clone());
                unwind.done(&address);
            } else {
                unwind.failed(&address);
                self.bad_end(None, &address, &phase, planned, end);
            }
        }
        for (address, because) in unwind.skipped(&done) {
            let end = because.map_or(NodeEnd::NotStarted, |because| NodeEnd::Skipped { because });
            let phase = state.resources.get(&address).map(|r| r.phase.clone()).unwrap_or_default();
            let action = nodes.get(&address).map_or(ActionWord::Delete, |n| n.action);
            self.desk.events.emit(Event::NodeEnded { address, phase, action, end, elapsed: Duration::ZERO });
        }
    }

    /// The root's outputs, in clear, with what went wrong.
    pub(super) fn outputs(&mut self) -> (BTreeMap<Arc<str>, Value>, Diagnostics) {
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
    for entry in journal.entries.iter().filter(|e| e.intent.purpose == Purpose::Apply) {
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

/// One measurement of a `verify` block.
fn one(subject: Arc<str>, probe: Value, verify: &Verify, digest: &Digest, address: &Address) -> Measure {
    Measure {
        subject,
        probe,
        every: verify.every,
        within: verify.within,
        consecutive: verify.consecutive,
        declaration: digest.clone(),
        address: address.clone(),
    }
}

/// Measures all, side by side.
async fn measure_all(
    desk: &Desk<'_>,
    measures: Vec<(Measure, bool)>,
    connections: &Connections,
) -> Vec<(Arc<str>, Verdict, bool)> {
    let jobs = measures.into_iter().map(|(one, error)| async move {
        let mut verdict = match work::context(desk, &one.address, connections, one.within) {
            Ok(context) => measure(&one, &context).await,
            Err(end) => {
                let said = if let End::Failed(why) = end { why } else { "no connection".to_owned() };
                let at = desk.subject.world.clock().now();
                Verdict { passed: false, said, declaration: one.declaration.clone(), at }
            }
        };
        verdict.said = desk.hidden.out_of(&Hidden::of([&one.probe]).out_of(&verdict.said));
        (one.subject, verdict, error)
    });
    futures::future::join_all(jobs).await
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

fn since(start: jiff::Timestamp, now: jiff::Timestamp) -> Duration {
    Duration::try_from(now.duration_since(start)).unwrap_or(Duration::ZERO)
}

/// Whether inputs are the planned ones. A plan that was read from a file no longer tells a list from a tuple.
fn same_inputs(now: &Value, planned: &Value) -> bool {
    now == planned || matches!((serde_json::to_value(now), serde_json::to_value(planned)), (Ok(a), Ok(b)) if a == b)
}

fn tell(problems: &Diagnostics) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
