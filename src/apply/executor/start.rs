//! What has its turn: declarations are expanded, instances prepared, and work is handed out.

use crate::apply::executor::{
    Back, Executor, History, Job, OTHER_LIMIT, READ_TIMEOUT, SERVICE_LIMITS, same_inputs, tell, verify::measure_all,
};
use crate::{
    apply::work::{self, Revert, Task},
    base::{ActionWord, Address, Event},
    graph::{self, Id, Node},
    kinds::REVERT_DRIFT,
    lang::{Declaration, configuration::Resource as Declared, evaluate::Expansion, schema::Role},
    plan::{
        Planned,
        instance::{self, Instance, Prepared},
        look::{How, LookAhead, look},
    },
    state::Status,
};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Semaphore;

impl<'r> Executor<'r> {
    /// A node has its turn.
    pub(super) fn visit(&mut self, id: Id) {
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
            Node::CallEnd(path) => self.visit_call_end(id, path),
            _ => self.walk.done(&graph, id),
        }
    }

    pub(super) fn visit_declaration(&mut self, id: Id, declaration: &Declaration) {
        let Expansion { instances, unknown, .. } = match self.evaluator.expand(declaration) {
            Ok(expansion) => expansion,
            Err(problems) => return self.fail_node(id, &graph::address(declaration), &tell(&problems)),
        };
        let touches_all = !self.plan.header.mode.only_what_it_names();
        if let Some(unknown) = unknown.first().filter(|_| touches_all && self.meant(id, None)) {
            return self.fail_node(id, &unknown.pattern, "its instances are still not known when it has its turn");
        }
        self.open.insert(id, instances.len());
        for address in instances {
            self.start_unit(id, declaration, &address);
        }
        self.close_if_done(id);
    }

    pub(super) fn meant(&self, id: Id, address: Option<&Address>) -> bool {
        if self.plan.header.mode.only_what_it_names() {
            return address.is_none_or(|a| self.planned.contains_key(a));
        }
        self.targets.as_ref().is_none_or(|t| t.has(id) && address.is_none_or(|a| t.has_instance(&a.with_color(None))))
    }

    /// One instance less to wait for.
    pub(super) fn instance_done(&mut self, id: Id) {
        if let Some(left) = self.open.get_mut(&id) {
            *left = left.saturating_sub(1);
        }
        self.close_if_done(id);
    }

    pub(super) fn close_if_done(&mut self, id: Id) {
        if self.open.get(&id) == Some(&0) && !self.blocked.contains_key(&id) {
            self.open.remove(&id);
            let graph = self.subject.graph.clone();
            self.walk.done(&graph, id);
        }
    }

    pub(super) fn start_instance(&mut self, id: Id, declaration: &Declaration, address: &Address) {
        let subject = self.subject;
        let remembered = self.desk.store.with(|s| s.resources.get(address).cloned());
        if !self.meant(id, Some(address)) {
            if let Some(resource) = remembered {
                self.becomes(address, instance::attributes(&resource.inputs, &resource.exports));
            }
            return self.instance_done(id);
        }
        let Some(declared) = subject.configuration.resource(declaration) else { return self.instance_done(id) };
        let pattern = self.patterns.get(declaration).copied();
        let Some(planned) = self.planned.get(address).copied().or(pattern) else {
            return self.go_beyond(id, address, "it is not in the approved plan");
        };
        if planned.facts.contains_key(REVERT_DRIFT) {
            return self.start_revert(id, declared, planned, remembered);
        }
        let fixed = remembered.as_ref().map(|r| &r.identity).or(planned.import.as_ref());
        let prepared = instance::prepare(subject, &mut self.evaluator, address, fixed);
        let instance = match prepared {
            Ok(Prepared::Ready(mut instance)) => {
                self.desk.store.with(|state| instance.heed(state));
                instance
            }
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

    pub(super) fn start_managed(
        &mut self,
        id: Id,
        declared: &'r Declared,
        planned: &'r Planned,
        mut instance: Box<Instance>,
        remembered: Option<crate::state::Resource>,
    ) {
        instance.outlook.pinned.clone_from(&planned.facts);
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
            self.becomes(&address, instance::attributes(&instance.evaluated.inputs, &exports));
            self.touched.insert(instance.phase.clone());
            if resource.status == Status::Verified {
                return self.instance_ended(id, &address);
            }
            return self.verify(id, declared, &instance.address, &instance.connections, planned.action, false);
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
            self.becomes(&address, instance::attributes(&instance.evaluated.inputs, &exports));
            if planned.action == ActionWord::Verify {
                self.begin(&address, &instance.phase, ActionWord::Verify);
                return self.verify(id, declared, &address, &instance.connections, ActionWord::Verify, false);
            }
            return self.instance_ended(id, &address);
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

    /// Puts back what drifted inside: by what state remembers, not by what is declared.
    fn start_revert(
        &mut self,
        id: Id,
        declared: &'r Declared,
        planned: &'r Planned,
        remembered: Option<crate::state::Resource>,
    ) {
        let address = planned.address.clone();
        let (Some(remembered), Some(kind)) = (remembered, crate::kinds::kind(address.kind())) else {
            return self.go_beyond(id, &address, "state no longer remembers it; plan again");
        };
        self.becomes(&address, instance::attributes(&remembered.inputs, &remembered.exports));
        let history = self.history(&address);
        if let Some((why, command)) = history.failed {
            if let Some(command) = command {
                self.stuck.push((address.clone(), why.clone(), command));
            }
            return self.fail_instance(id, &address, &why);
        }
        if history.done && history.open.is_none() {
            self.touched.insert(remembered.phase.clone());
            let connections = crate::plan::remembered_connections(self.subject, &remembered);
            return self.verify(id, declared, &address, &connections, planned.action, false);
        }
        let phase = remembered.phase.clone();
        self.begin(&address, &phase, planned.action);
        let revert = Revert {
            desk: self.desk,
            kind,
            planned,
            remembered,
            verified_after: !declared.verify.is_empty(),
            attachment: self.saved.attachment.previews.get(&address),
            open: history.open,
        };
        self.waiting.push_back(Job::Revert(id, Box::new(revert)));
    }

    pub(super) fn begin(&mut self, address: &Address, phase: &Arc<str>, action: ActionWord) {
        if !matches!(action, ActionWord::NoOp) {
            let now = self.now();
            self.started.insert(address.clone(), now);
            self.desk.events.emit(Event::NodeStarted { address: address.clone(), phase: phase.clone(), action });
        }
    }

    pub(super) fn history(&self, address: &Address) -> History {
        self.history.get(address).cloned().unwrap_or_default()
    }

    pub(super) fn future(&mut self, job: Job<'r>) -> BoxFuture<'r, Back> {
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
            Job::Revert(id, revert) => {
                let slots = self.slots(revert.kind.service());
                Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let (address, phase) = (revert.planned.address.clone(), revert.remembered.phase.clone());
                    let planned = revert.planned.action;
                    let end = revert.run().await;
                    Back::Effect { id, address, phase, planned, end }
                })
            }
            Job::Rollout(id, rollout) => Box::pin(async move {
                let (unit, phase) = (rollout.unit.clone(), rollout.phase.clone());
                let turn = rollout.run().await;
                Back::Shifted { id, unit, phase, turn }
            }),
            Job::Read(id, instance) => {
                let slots = self.slots(instance.kind.service());
                Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let how = How { offline: false, ahead: LookAhead::Never, timeout: READ_TIMEOUT, planning: false };
                    let seen = look(desk.subject, &instance, None, None, how).await;
                    let seen = seen.map(|l| l.observed).map_err(|f| work::tell(&f));
                    Back::Read { id, instance, seen }
                })
            }
            Job::Measures { id, measures, of } => Box::pin(async move {
                let verdicts = measure_all(desk, measures).await;
                Back::Measured { id, of, verdicts }
            }),
        }
    }

    pub(super) fn slots(&mut self, service: &'static str) -> Arc<Semaphore> {
        let limit = SERVICE_LIMITS.iter().find(|(name, _)| *name == service).map_or(OTHER_LIMIT, |(_, limit)| *limit);
        self.services.entry(service).or_insert_with(|| Arc::new(Semaphore::new(limit))).clone()
    }
}
