//! Makes a plan: walks the graph, evaluates each declaration when what it stands on is known, looks at the world for many at
//! once, and decides.
//!
//! One task walks and evaluates; looks run beside it, bounded by the request's parallelism.

use crate::{
    base::{ActionWord, Address, Diagnostic, Diagnostics, Event, Events, Severity, Value},
    graph::{self, Id, Node, Targets, Walk},
    kinds::{Undo, kind},
    lang::{
        Declaration,
        configuration::Resource,
        evaluate::{Conditions, Evaluator, Expansion},
        schema::Role,
    },
    plan::{
        Attachment, DeferReason, Deferral, Drift, Error, FORMAT, Header, Left, Mode, Moment, OutputChange, Plan,
        Planned, PlannedPhase, Request, StateId, Subject, connect,
        decide::{self, Facts},
        instance::{self, Instance, Prepared},
        look::{self, How, Look, look},
        moves::Moves,
        removal,
        subject::world_problem,
    },
    state::{self, Verdict},
    world::{Class, Failure, Outcome},
};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::Semaphore;

/// A plan with what was made on the way.
#[derive(Debug)]
pub struct Made {
    /// The content.
    pub plan: Plan,
    /// The attachment.
    pub attachment: Attachment,
}

/// Makes a plan. Whatever previews left in the world on the way is in the attachment; on an error it is taken away again.
///
/// # Errors
/// Every problem that could be found, at once.
pub async fn make(subject: &Subject, request: &Request, events: &dyn Events) -> Result<Made, Error> {
    let mut maker = Maker::new(subject, request, events)?;
    match request.mode {
        Mode::Normal => maker.walk().await?,
        Mode::Destroy => maker.destroy().await,
        Mode::RefreshOnly => maker.refresh().await,
    }
    if maker.problems.has_errors() {
        maker.problems.normalize();
        let _ = look::discard(subject, &maker.attachment.previews).await;
        return Err(maker.problems.into());
    }
    maker.finish()
}

/// What a look came back with.
struct Seen {
    what: Work,
    look: Outcome<Look>,
}

/// What a look was for.
enum Work {
    Instance { id: Id, instance: Box<Instance>, import: Option<Json> },
    Removal { address: Address, why: removal::Why },
}

struct Maker<'s> {
    subject: &'s Subject,
    request: &'s Request,
    events: &'s dyn Events,
    evaluator: Evaluator,
    targets: Option<Targets>,
    moves: Moves,
    /// State with moves already made.
    state: state::Snapshot,
    nodes: Vec<Planned>,
    drift: Vec<Drift>,
    attachment: Attachment,
    problems: Diagnostics,
    /// Declarations of which some instance changes or is deferred, with the first such instance.
    pending: BTreeMap<Declaration, Address>,
    /// Instances that are declared, on or off.
    declared: BTreeSet<Address>,
    off: BTreeSet<Address>,
    /// Declarations whose instances are not all known.
    patterns: BTreeSet<Declaration>,
    /// Imports by address.
    imports: BTreeMap<Address, Json>,
    slots: Arc<Semaphore>,
}

impl<'s> Maker<'s> {
    fn new(subject: &'s Subject, request: &'s Request, events: &'s dyn Events) -> Result<Self, Error> {
        let (evaluator, mut problems) = Evaluator::new(
            subject.configuration.clone(),
            subject.given.clone(),
            subject.sources.clone(),
            crate::kinds::schema(),
        );
        let moves = Moves::new(&subject.configuration, &subject.state, &mut problems);
        let targets = if request.targets.is_empty() {
            None
        } else {
            match Targets::new(&subject.graph, &request.targets) {
                Ok(targets) => Some(targets),
                Err(unknown) => {
                    for address in unknown {
                        problems.push(
                            Diagnostic::error(
                                "unknown_target",
                                format!("--target {address}: nothing has this address"),
                            )
                            .hint("`terrace state list` and `terrace graph` show the addresses there are"),
                        );
                    }
                    None
                }
            }
        };
        if problems.has_errors() {
            return Err(problems.into());
        }
        let state = moves.apply(&subject.state);
        Ok(Self {
            subject,
            request,
            events,
            evaluator,
            targets,
            moves,
            state,
            nodes: Vec::new(),
            drift: Vec::new(),
            attachment: Attachment::default(),
            problems,
            pending: BTreeMap::new(),
            declared: BTreeSet::new(),
            off: BTreeSet::new(),
            patterns: BTreeSet::new(),
            imports: BTreeMap::new(),
            slots: Arc::new(Semaphore::new(request.parallelism.max(1))),
        })
    }

    /// Normal mode: every declaration in order, then what is no longer declared.
    async fn walk(&mut self) -> Result<(), Error> {
        self.find_imports();
        let graph = self.subject.graph.clone();
        let keep = |id: Id| self.targets.as_ref().is_none_or(|t| t.has(id));
        let total =
            graph.inner.node_indices().filter(|id| graph.inner[*id].declaration().is_some() && keep(*id)).count();
        self.events.emit(Event::ObserveStarted { total });
        let mut walk = Walk::new(&graph, &keep, &|_| 1);
        let mut jobs: FuturesUnordered<BoxFuture<'s, Seen>> = FuturesUnordered::new();
        let mut open: BTreeMap<Id, usize> = BTreeMap::new();
        loop {
            while let Some(id) = walk.take() {
                let started = self.start(id);
                if started.is_empty() {
                    walk.done(&graph, id);
                } else {
                    open.insert(id, started.len());
                    jobs.extend(started);
                }
            }
            let Some(seen) = jobs.next().await else { break };
            if let Some(id) = self.seen(seen)
                && let Some(left) = open.get_mut(&id)
            {
                *left -= 1;
                if *left == 0 {
                    open.remove(&id);
                    self.events.emit(Event::Observed { address: node_address(&graph.inner[id]) });
                    walk.done(&graph, id);
                }
            }
        }
        self.removals().await;
        Ok(())
    }

    /// Starts a node; the looks it needs, or none where it is done at once.
    fn start(&mut self, id: Id) -> Vec<BoxFuture<'s, Seen>> {
        let graph = self.subject.graph.clone();
        let Some(declaration) = graph.inner[id].declaration() else { return Vec::new() };
        let expansion = match self.evaluator.expand(declaration) {
            Ok(expansion) => expansion,
            Err(problems) => {
                self.problems.extend(problems);
                self.patterns.insert(declaration.clone());
                return Vec::new();
            }
        };
        let Expansion { instances, off, unknown } = expansion;
        self.declared.extend(instances.iter().cloned());
        self.off.extend(off);
        for pattern in unknown {
            self.patterns.insert(declaration.clone());
            if self.targets.as_ref().is_none_or(|t| t.has(id)) {
                self.defer_pattern(declaration, &pattern.pattern, pattern.waits_for);
            }
        }
        let meant = |a: &Address| self.targets.as_ref().is_none_or(|t| t.has(id) && t.has_instance(a));
        let (wanted, others): (Vec<Address>, Vec<Address>) = instances.into_iter().partition(|a| meant(a));
        for address in others {
            self.stand_in(&address);
        }
        wanted.into_iter().filter_map(|address| self.start_instance(id, &address)).collect()
    }

    /// What is not meant by `--target` is what state remembers.
    fn stand_in(&mut self, address: &Address) {
        if let Some(resource) = self.state.resources.get(address) {
            let attributes = instance::attributes(&resource.inputs, &resource.exports);
            self.evaluator.set(address, attributes);
        }
    }

    fn start_instance(&mut self, id: Id, address: &Address) -> Option<BoxFuture<'s, Seen>> {
        let subject = self.subject;
        let import = self.imports.get(address).cloned();
        let fixed = self.state.resources.get(address).map(|r| r.identity.clone()).or_else(|| import.clone());
        match instance::prepare(subject, &mut self.evaluator, address, fixed.as_ref()) {
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
            Ok(Prepared::Waits { reason, waits_for, evaluated }) => {
                self.defer(address, reason, waits_for, &evaluated.inputs, evaluated.controls.clone());
                None
            }
            Ok(Prepared::Ready(instance)) => {
                if instance.role == Role::Check {
                    self.check(&instance);
                    return None;
                }
                if instance.desired.identity.is_none() && fixed.is_none() && instance.desired.inputs.has_unknown() {
                    let waits_for = instance.desired.inputs.waits_for();
                    let reason = DeferReason::Identity;
                    if instance.kind.reads(&Json::Null) {
                        let inputs = instance.desired.inputs.clone();
                        self.defer(address, reason, waits_for, &inputs, instance.evaluated.controls.clone());
                        return None;
                    }
                }
                let how = How {
                    offline: self.request.offline,
                    preview: self.request.change_sets && !self.request.offline,
                    drift: self.request.drift && !self.request.offline,
                    timeout: self.request.read_timeout,
                };
                let remembered = self.state.resources.get(address).cloned();
                let slots = self.slots.clone();
                Some(Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let look = look(subject, &instance, remembered.as_ref(), import.as_ref(), how).await;
                    Seen { what: Work::Instance { id, instance, import }, look }
                }))
            }
        }
    }

    /// Takes in what a look came back with; the node it was for.
    fn seen(&mut self, seen: Seen) -> Option<Id> {
        match seen.what {
            Work::Instance { id, instance, import } => {
                self.seen_instance(&instance, import.as_ref(), seen.look);
                Some(id)
            }
            Work::Removal { address, why } => {
                self.seen_removal(&address, &why, seen.look);
                None
            }
        }
    }

    fn seen_instance(&mut self, instance: &Instance, import: Option<&Json>, look: Outcome<Look>) {
        let address = &instance.address;
        let look = match look {
            Ok(look) => look,
            Err(failure) => return self.unreadable(instance, &failure),
        };
        if instance.role == Role::Data {
            return self.seen_data(instance, look);
        }
        if import.is_some() && look.observed.is_none() && !self.state.resources.contains_key(address) {
            self.problems.push(
                Diagnostic::error("import_absent", format!("{address}: there is nothing to import under this id"))
                    .hint("check the id, the account and the region"),
            );
            return;
        }
        let declaration = Declaration::from(address);
        let Some(resource) = self.subject.configuration.resource(&declaration) else { return };
        let triggered_by = self.trigger(resource, &declaration);
        let facts = Facts {
            instance,
            header: &resource.span,
            lifecycle: &resource.lifecycle,
            remembered: self.state.resources.get(address),
            observed: look.observed.as_ref(),
            preview: look.preview.as_ref(),
            import,
            moved_from: self.moves.from(address),
            replace_asked: self.request.replace.contains(address),
            triggered_by: triggered_by.as_ref(),
            unverified: self.unverified(address, resource, &instance.declaration),
            verify: resource.verify.iter().map(|v| v.name.clone()).collect(),
            seal: &self.subject.seal,
        };
        match decide::decide(&facts) {
            Err(problems) => self.problems.extend(problems),
            Ok(decided) => {
                let mut planned = decided.planned;
                self.preconditions(address, resource);
                planned.rollout = self.rollout(address, resource);
                let exports = decided.exports.waiting_for(address);
                let attributes = instance::attributes(&instance.evaluated.inputs, &exports);
                self.evaluator.set(address, attributes);
                self.add_drift(decided.drift, address, look.drift);
                if let Some(attachment) = look.preview.and_then(|p| p.attachment) {
                    let left = Left { connections: instance.connections.clone(), attachment };
                    self.attachment.previews.insert(address.clone(), left);
                }
                self.push(planned);
            }
        }
    }

    fn seen_data(&mut self, instance: &Instance, look: Look) {
        let address = &instance.address;
        let Some(observed) = look.observed else {
            if let Some(pending) = self.pending_upstream(address) {
                let what = "what it reads is not there yet".to_owned();
                let reason = DeferReason::AbsentPrerequisite { what };
                return self.defer(address, reason, vec![pending], &instance.desired.inputs, Vec::new());
            }
            if self.request.offline {
                return self.defer(address, DeferReason::NotAsked, Vec::new(), &instance.desired.inputs, Vec::new());
            }
            let mut problem = Diagnostic::error("absent_data", format!("{address}: what it reads does not exist"));
            if let Some(resource) = self.subject.configuration.resource(&address.into()) {
                problem = problem.at(&resource.span, "read here");
            }
            self.problems.push(problem.hint("check the name, the account and the region"));
            return;
        };
        self.evaluator.set(address, instance::attributes(&instance.evaluated.inputs, &observed.exports));
        let mut planned = blank(address, instance.phase.clone(), ActionWord::Read);
        planned.inputs = self.subject.seal.seal_value(&instance.desired.inputs);
        planned.fingerprint = Some(observed.fingerprint);
        self.push(planned);
    }

    /// A world that does not have the place yet (a cluster still to be made) defers; any other failure is an error.
    fn unreadable(&mut self, instance: &Instance, failure: &Failure) {
        let address = &instance.address;
        if matches!(failure.class, Class::NotFound | Class::Unavailable)
            && let Some(pending) = self.pending_upstream(address)
        {
            let reason = DeferReason::AbsentPrerequisite { what: failure.message.clone() };
            let controls = instance.evaluated.controls.clone();
            return self.defer(address, reason, vec![pending], &instance.desired.inputs, controls);
        }
        let mut problem = world_problem(address, failure);
        if let Some(resource) = self.subject.configuration.resource(&address.into()) {
            problem = problem.at(&resource.span, "declared here");
        }
        self.problems.push(problem);
    }

    /// The first thing upstream, directly or not, that will change.
    fn pending_upstream(&self, address: &Address) -> Option<Address> {
        let mut todo = self.subject.graph.prerequisites(&address.into());
        let mut seen = BTreeSet::new();
        while let Some(declaration) = todo.pop() {
            if let Some(pending) = self.pending.get(&declaration) {
                return Some(pending.clone());
            }
            if seen.insert(declaration.clone()) {
                todo.extend(self.subject.graph.prerequisites(&declaration));
            }
        }
        None
    }

    fn defer(
        &mut self,
        address: &Address,
        reason: DeferReason,
        waits_for: Vec<Address>,
        inputs: &Value,
        controls: Vec<String>,
    ) {
        let declaration = Declaration::from(address);
        let Some(resource) = self.subject.configuration.resource(&declaration) else { return };
        let phase = self.subject.graph.phase.get(&declaration).cloned().unwrap_or_default();
        if resource.role == Role::Check {
            let mut planned = blank(address, phase, ActionWord::Verify);
            planned.controls = controls;
            return self.push(planned);
        }
        if let Some(kind) = kind(&resource.kind) {
            let exports = instance::unknown_exports(kind, address);
            self.evaluator.set(address, instance::attributes(inputs, &exports));
        }
        let known = self.state.resources.contains_key(address);
        let ceiling = match (resource.role, known) {
            (Role::Data, _) => vec![ActionWord::Read],
            (_, true) => vec![ActionWord::Update],
            (_, false) => vec![ActionWord::Create],
        };
        let mut planned = blank(address, phase, ActionWord::Defer);
        planned.deferral = Some(Deferral {
            reason,
            waits_for,
            ceiling,
            declaration: instance::declaration_digest(self.subject, resource),
        });
        planned.moved_from = self.moves.from(address).cloned();
        planned.inputs = self.subject.seal.seal_value(inputs);
        planned.verify = resource.verify.iter().map(|v| v.name.clone()).collect();
        planned.rollout = self.rollout(address, resource);
        planned.controls = controls;
        self.push(planned);
    }

    fn defer_pattern(&mut self, declaration: &Declaration, pattern: &Address, waits_for: Vec<Address>) {
        let Some(resource) = self.subject.configuration.resource(declaration) else { return };
        let phase = self.subject.graph.phase.get(declaration).cloned().unwrap_or_default();
        let known = self.state.resources.keys().any(|a| Declaration::from(a) == *declaration);
        let mut ceiling = vec![if resource.role == Role::Data { ActionWord::Read } else { ActionWord::Create }];
        if known {
            ceiling.push(ActionWord::Update);
        }
        let mut planned = blank(pattern, phase, ActionWord::Defer);
        planned.deferral = Some(Deferral {
            reason: DeferReason::Instances,
            waits_for,
            ceiling,
            declaration: instance::declaration_digest(self.subject, resource),
        });
        self.push(planned);
    }

    /// A check changes nothing. It is due where its last result is not a pass; apply asks it too when anything was changed.
    fn check(&mut self, instance: &Instance) {
        let passed = self.passed(&instance.address.to_string(), &instance.declaration);
        let action = if passed { ActionWord::NoOp } else { ActionWord::Verify };
        let mut planned = blank(&instance.address, instance.phase.clone(), action);
        planned.controls.clone_from(&instance.evaluated.controls);
        self.push(planned);
    }

    fn passed(&self, subject: &str, declaration: &crate::base::Digest) -> bool {
        let verdict: Option<&Verdict> = self.state.verdicts.get(subject);
        verdict.is_some_and(|v| v.passed && v.declaration == *declaration)
    }

    /// `verify` blocks whose last recorded result is not a pass (rule 20). Nothing is due for what was never applied.
    fn unverified(&self, address: &Address, resource: &Resource, declaration: &crate::base::Digest) -> Vec<Arc<str>> {
        if !self.state.resources.contains_key(address) {
            return Vec::new();
        }
        let due = |name: &str| {
            let verdict = self.state.verdicts.get(format!("{address}/{name}").as_str());
            !verdict.is_some_and(|v| v.passed) || !self.passed(&format!("{address}/{name}"), declaration)
        };
        resource.verify.iter().map(|v| v.name.clone()).filter(|name| due(name)).collect()
    }

    /// The first changed thing that `replace_triggered_by` names.
    fn trigger(&self, resource: &Resource, declaration: &Declaration) -> Option<Address> {
        use crate::lang::{references, scope::Target};
        let references = resource.lifecycle.replace_triggered_by.iter().flat_map(references);
        references.into_iter().find_map(|reference| match reference.target {
            Target::Resource { kind, name, .. } => {
                let other = Declaration { path: declaration.path.clone(), kind, name };
                self.nodes
                    .iter()
                    .filter(|n| Declaration::from(&n.address) == other)
                    .find(|n| matches!(n.action, ActionWord::Create | ActionWord::Update | ActionWord::Replace))
                    .map(|n| n.address.clone())
            }
            _ => None,
        })
    }

    fn preconditions(&mut self, address: &Address, resource: &Resource) {
        if resource.lifecycle.preconditions.is_empty() {
            return;
        }
        match self.evaluator.conditions(address, Conditions::Before) {
            Ok(failed) => failed.into_iter().for_each(|f| self.problems.push(instance::failed_condition(address, &f))),
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// A rollout as declared, for display. Under a rolling strategy nothing but the strategy is evaluated.
    fn rollout(&mut self, address: &Address, resource: &Resource) -> Option<Json> {
        let rollout = resource.rollout.as_ref()?;
        let strategy = match &rollout.strategy {
            None => "rolling".to_owned(),
            Some(expr) => match self.evaluator.expression(address.module(), expr) {
                Ok(value) => value.as_str().unwrap_or("rolling").to_owned(),
                Err(problems) => {
                    self.problems.extend(problems);
                    return None;
                }
            },
        };
        let mut shown = BTreeMap::from([("strategy".to_owned(), Json::String(strategy.clone()))]);
        if strategy != "rolling" {
            for name in ["steps", "bake", "keep"] {
                let attribute = rollout.block.body.attributes.get(name);
                if let Some(json) = attribute
                    .and_then(|a| self.evaluator.expression(address.module(), &a.expr).ok())
                    .and_then(|v| v.to_json())
                {
                    shown.insert(name.to_owned(), json);
                }
            }
        }
        serde_json::to_value(shown).ok()
    }

    fn add_drift(
        &mut self,
        own: Option<Drift>,
        address: &Address,
        inside: Option<Outcome<Vec<crate::kinds::ChildChange>>>,
    ) {
        let children = match inside {
            Some(Ok(children)) => children,
            Some(Err(failure)) => {
                self.problems.push(
                    Diagnostic::warning("drift_unknown", format!("drift inside {address} could not be looked for"))
                        .because(failure.to_string()),
                );
                Vec::new()
            }
            None => Vec::new(),
        };
        let ignored = self.state.ignored.get(address).map(|d| d.reason.clone());
        match own {
            Some(drift) => self.drift.push(Drift { children, ignored, ..drift }),
            None if children.is_empty() => {}
            None => {
                let address = address.clone();
                self.drift.push(Drift { address, fields: Vec::new(), children, ignored, gone: false });
            }
        }
    }

    fn push(&mut self, planned: Planned) {
        if !matches!(planned.action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify) {
            self.pending.entry(Declaration::from(&planned.address)).or_insert_with(|| planned.address.clone());
        }
        self.nodes.push(planned);
    }

    fn find_imports(&mut self) {
        for import in &self.subject.configuration.root.imports {
            if self.state.resources.contains_key(&import.to) {
                continue;
            }
            let id = match self.evaluator.expression(&[], &import.id) {
                Ok(value) => value,
                Err(problems) => {
                    self.problems.extend(problems);
                    continue;
                }
            };
            let Some(kind) = kind(import.to.kind()) else { continue };
            let text = id.as_str().unwrap_or_default();
            match kind.import_identity(text) {
                Ok(identity) => drop(self.imports.insert(import.to.clone(), identity)),
                Err(why) => self.problems.push(
                    Diagnostic::error("import_id", format!("{}: this id is of the wrong form", import.to))
                        .at(&import.span, "imported here")
                        .because(why),
                ),
            }
        }
    }

    /// What state remembers and nothing declares any more.
    async fn removals(&mut self) {
        let let_go: BTreeSet<Declaration> =
            self.subject.configuration.removed().iter().map(Declaration::from).collect();
        let mut gone: Vec<(Address, removal::Why)> = Vec::new();
        for address in self.state.resources.keys() {
            let declaration = Declaration::from(address);
            if self.declared.contains(address) || self.patterns.contains(&declaration) {
                continue;
            }
            if self.targets.is_some() && !self.request.targets.iter().any(|t| Declaration::from(t) == declaration) {
                continue;
            }
            let why = if self.off.contains(address) {
                removal::Why::Off
            } else if self.subject.configuration.resource(&declaration).is_some() {
                removal::Why::KeyGone
            } else if let_go.contains(&declaration) {
                let mut planned = blank(address, self.state.resources[address].phase.clone(), ActionWord::Forget);
                planned.moment = Moment::Removal;
                planned.identity = self.state.resources[address].identity.clone();
                planned.reasons.push("a removed block lets go of it".to_owned());
                self.nodes.push(planned);
                continue;
            } else {
                removal::Why::NotDeclared
            };
            gone.push((address.clone(), why));
        }
        self.remove(gone).await;
    }

    async fn destroy(&mut self) {
        let meant = |a: &Address| {
            self.request.targets.is_empty()
                || self.request.targets.iter().any(|t| Declaration::from(t) == Declaration::from(a))
        };
        let all: Vec<_> =
            self.state.resources.keys().filter(|a| meant(a)).map(|a| (a.clone(), removal::Why::Destroy)).collect();
        self.events.emit(Event::ObserveStarted { total: all.len() });
        self.remove(all).await;
    }

    /// Looks at what is to be destroyed, and plans it in the order of destruction.
    async fn remove(&mut self, gone: Vec<(Address, removal::Why)>) {
        let which: BTreeSet<Address> = gone.iter().map(|(a, _)| a.clone()).collect();
        let before = self.nodes.len();
        let jobs: FuturesUnordered<_> =
            gone.into_iter().map(|(address, why)| self.look_at_removal(address, why)).collect();
        let seen: Vec<Seen> = jobs.collect().await;
        for seen in seen {
            self.seen(seen);
        }
        let order = removal::order(&self.state, &self.subject.graph.phases, &which);
        let rank: BTreeMap<&Address, usize> = order.iter().enumerate().map(|(at, a)| (a, at)).collect();
        self.nodes[before..].sort_by_key(|n| rank.get(&n.address).copied());
    }

    fn look_at_removal(&self, address: Address, why: removal::Why) -> BoxFuture<'s, Seen> {
        let (subject, request, slots) = (self.subject, self.request, self.slots.clone());
        let resource = self.state.resources.get(&address).cloned();
        Box::pin(async move {
            let _slot = slots.acquire().await;
            let look = match resource {
                Some(resource) => observe_remembered(subject, request, &resource).await,
                None => Ok(Look::default()),
            };
            Seen { what: Work::Removal { address, why }, look }
        })
    }

    fn seen_removal(&mut self, address: &Address, why: &removal::Why, look: Outcome<Look>) {
        self.events.emit(Event::Observed { address: address.clone() });
        let Some(resource) = self.state.resources.get(address) else { return };
        if let Some(problem) = removal::forbidden(resource, why) {
            return self.problems.push(problem);
        }
        match look {
            Ok(look) => {
                let read = !self.request.offline;
                self.nodes.push(removal::planned(resource, look.observed.as_ref(), why, read));
            }
            // Its place is gone: whether the thing is, is seen when its turn comes.
            Err(failure) if failure.class == Class::NotFound => {
                self.nodes.push(removal::planned(resource, None, why, false));
            }
            Err(failure) => self.problems.push(world_problem(address, &failure)),
        }
    }

    /// Refresh-only: what is live is taken over into state.
    async fn refresh(&mut self) {
        let all: Vec<state::Resource> = self.state.resources.values().cloned().collect();
        self.events.emit(Event::ObserveStarted { total: all.len() });
        let (subject, request, slots) = (self.subject, self.request, self.slots.clone());
        let jobs: FuturesUnordered<_> = all
            .into_iter()
            .map(|resource| {
                let slots = slots.clone();
                async move {
                    let _slot = slots.acquire().await;
                    let look = observe_remembered(subject, request, &resource).await;
                    (resource, look)
                }
            })
            .collect();
        let seen: Vec<_> = jobs.collect().await;
        for (resource, look) in seen {
            self.events.emit(Event::Observed { address: resource.address.clone() });
            match look {
                Err(failure) => self.problems.push(world_problem(&resource.address, &failure)),
                Ok(look) => self.nodes.extend(refreshed(subject, &resource, look.observed)),
            }
        }
        self.nodes.sort_by(|a, b| a.address.cmp(&b.address));
    }

    fn finish(mut self) -> Result<Made, Error> {
        let outputs = self.outputs()?;
        self.order();
        for node in &mut self.nodes {
            let declaration = Declaration::from(&node.address);
            let before = self.subject.graph.prerequisites(&declaration);
            node.after = before.iter().map(graph::address).collect();
        }
        self.drift.sort_by(|a, b| a.address.cmp(&b.address));
        let subject = self.subject;
        let configuration = &subject.configuration;
        let mut notes: Vec<Diagnostic> =
            self.problems.0.into_iter().filter(|d| d.severity == Severity::Warning).collect();
        notes.sort_by(|a, b| (&a.code, &a.summary).cmp(&(&b.code, &b.summary)));
        let plan = Plan {
            header: Header {
                format: FORMAT,
                terrace: env!("CARGO_PKG_VERSION").to_owned(),
                project: subject.project.clone(),
                plan: configuration.label.clone(),
                folder: configuration.folder.clone(),
                env: subject.given.env.name.clone(),
                protected: subject.protected,
                world: subject.world_id(),
                mode: self.request.mode,
                targets: self.request.targets.clone(),
                replace: self.request.replace.clone(),
                offline: self.request.offline,
                configuration: configuration_digest(subject)?,
                state: StateId { lineage: subject.state.lineage.clone(), serial: subject.state.serial },
            },
            phases: configuration
                .phases
                .iter()
                .map(|p| PlannedPhase {
                    name: p.name.clone(),
                    description: p.description.clone(),
                    after: p.after.iter().map(|(name, _)| name.clone()).collect(),
                    on_failure: p.on_failure,
                    gate: p.verify.iter().map(|v| v.name.clone()).collect(),
                })
                .collect(),
            nodes: self.nodes,
            outputs,
            drift: self.drift,
            notes,
            variables: subject.given.variables.iter().map(|(k, v)| (k.clone(), subject.seal.seal_value(v))).collect(),
            sources: BTreeMap::new(),
        };
        self.attachment.made = Some(subject.world.clock().now());
        Ok(Made { plan, attachment: self.attachment })
    }

    /// By phase, then dependencies, then address; removals behind, in the order of destruction.
    fn order(&mut self) {
        let graph = &self.subject.graph;
        let rank: BTreeMap<Declaration, usize> = graph
            .order()
            .into_iter()
            .enumerate()
            .filter_map(|(at, id)| graph.inner[id].declaration().map(|d| (d.clone(), at)))
            .collect();
        let phase: BTreeMap<&str, usize> = graph.phases.iter().enumerate().map(|(at, p)| (&**p, at + 1)).collect();
        self.nodes.sort_by_cached_key(|n| match n.moment {
            Moment::Removal => (1, 0, 0, None),
            Moment::Phase => (
                0,
                phase.get(&*n.phase).copied().unwrap_or(0),
                rank.get(&Declaration::from(&n.address)).copied().unwrap_or(0),
                Some(n.address.clone()),
            ),
        });
    }

    fn outputs(&mut self) -> Result<BTreeMap<Arc<str>, OutputChange>, Diagnostics> {
        let former = &self.state.outputs;
        let mut out = BTreeMap::new();
        match self.request.mode {
            Mode::Destroy if self.request.targets.is_empty() => {
                for (name, before) in former {
                    out.insert(name.clone(), OutputChange { before: Some(before.clone()), after: None });
                }
                return Ok(out);
            }
            Mode::RefreshOnly | Mode::Destroy => return Ok(out),
            Mode::Normal if self.targets.is_some() => return Ok(out),
            Mode::Normal => {}
        }
        let mut problems = Diagnostics::new();
        for name in self.subject.configuration.root.outputs.keys() {
            match self.evaluator.output(name) {
                Ok(value) => {
                    let after = self.subject.seal.seal_value(&value);
                    let before = former.get(name).cloned();
                    if before.as_ref() != Some(&after) {
                        out.insert(name.clone(), OutputChange { before, after: Some(after) });
                    }
                }
                Err(found) => problems.extend(found),
            }
        }
        for (name, before) in former {
            if !self.subject.configuration.root.outputs.contains_key(name) {
                out.insert(name.clone(), OutputChange { before: Some(before.clone()), after: None });
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(out) }
    }
}

/// The digest of every file that was read so far.
fn configuration_digest(subject: &Subject) -> Result<crate::base::Digest, serde_json::Error> {
    let texts: BTreeMap<&str, crate::base::Digest> = subject
        .configuration
        .sources
        .iter()
        .map(|(path, text)| (&**path, crate::base::Digest::of(text.as_bytes())))
        .collect();
    crate::base::Digest::of_json(&texts)
}

fn node_address(node: &Node) -> Address {
    node.declaration().map_or_else(|| Address::root("node", &node.to_string()), graph::address)
}

/// Reads a thing by what state remembers of it.
pub(super) async fn observe_remembered(
    subject: &Subject,
    request: &Request,
    resource: &state::Resource,
) -> Outcome<Look> {
    let Some(kind) = kind(resource.address.kind()) else { return Ok(Look::default()) };
    let remembered = || {
        let owner = crate::kinds::Owner::Ours(resource.address.to_string());
        crate::kinds::Observed::remembered(&decide::prior(resource), owner)
    };
    if request.offline || !kind.reads(&resource.identity) {
        return Ok(Look { observed: Some(remembered()), ..Look::default() });
    }
    let connections = remembered_connections(subject, resource);
    let context = connect::context(subject, &resource.address, &connections, request.read_timeout, look::quiet())?;
    let observed = context.patiently(|| kind.read(&context, &resource.identity, None)).await?;
    Ok(Look { observed, ..Look::default() })
}

/// Where state says that a thing lives.
#[must_use]
pub fn remembered_connections(subject: &Subject, resource: &state::Resource) -> connect::Connections {
    serde_json::from_value(resource.connection.clone())
        .unwrap_or_else(|_| connect::Connections { aws: subject.aws.clone(), cluster: None })
}

fn refreshed(
    subject: &Subject,
    resource: &state::Resource,
    observed: Option<crate::kinds::Observed>,
) -> Option<Planned> {
    let mut planned = match &observed {
        None => {
            let mut planned = blank(&resource.address, resource.phase.clone(), ActionWord::Forget);
            planned.reasons.push("it is gone: somebody destroyed it behind our back".to_owned());
            planned
        }
        Some(live) => {
            let exports = subject.seal.seal_value(&live.exports);
            if exports.has_unknown() || (exports == resource.exports && live.identity == resource.identity) {
                return None;
            }
            let mut planned = blank(&resource.address, resource.phase.clone(), ActionWord::Import);
            planned.reasons.push("what it exports has changed".to_owned());
            planned.fields = vec![crate::kinds::FieldChange {
                path: "exports".to_owned(),
                before: Some(resource.exports.clone()),
                after: Some(exports),
                cause: crate::kinds::Cause::Drift,
                forces_replacement: false,
                because: None,
            }];
            planned.fingerprint = Some(live.fingerprint.clone());
            planned
        }
    };
    planned.identity = observed.map_or_else(|| resource.identity.clone(), |o| o.identity);
    Some(planned)
}

/// A node about which nothing is said yet.
pub(super) fn blank(address: &Address, phase: Arc<str>, action: ActionWord) -> Planned {
    Planned {
        address: address.clone(),
        phase,
        moment: Moment::Phase,
        action,
        reasons: Vec::new(),
        fields: Vec::new(),
        children: Vec::new(),
        facts: BTreeMap::new(),
        undo: Undo::Full,
        stateful: false,
        condition: None,
        fingerprint: None,
        deferral: None,
        moved_from: None,
        import: None,
        inputs: Value::NULL,
        documents: BTreeMap::new(),
        identity: Json::Null,
        verify: Vec::new(),
        controls: Vec::new(),
        rollout: None,
        after: Vec::new(),
    }
}
