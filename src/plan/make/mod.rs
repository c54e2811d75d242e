//! Makes a plan: walks the graph, evaluates each declaration when what it stands on is known, looks at the world for many at
//! once, and decides.
//!
//! One task walks and evaluates; looks run beside it, bounded by the request's parallelism.

mod ahead;
mod backends;
mod drift;
mod finish;

mod gone;
mod held;
mod import;
mod later;
mod modules;
mod needs;
mod refresh;
mod replaced;
mod revert;
mod rolling;
mod rollouts;
mod routes;
mod seen;
mod shared;
mod silent;
mod sole;
mod teardown;
mod twins;

pub use drift::accepted_part;
pub use teardown::DRAIN;

use crate::{
    base::{ActionWord, Address, Diagnostic, Diagnostics, Digest, Event, Events, Value},
    graph::{self, Id, Node, Targets, Walk},
    kinds::{Ahead, ChildChange, Part, REVERT_DRIFT, Undo, kind},
    lang::{
        Declaration,
        evaluate::{Evaluator, Expansion},
        schema::Role,
    },
    plan::{
        Attachment, Debt, DeferReason, Drift, Error, Mode, Moment, Plan, Planned, Request, Subject, connect,
        decide::{self},
        instance::{self, Instance, Prepared},
        look::{self, How, Look, LookAhead, look},
        moves::Moves,
        removal,
    },
    state::{self},
    world::Outcome,
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
    let mut starting = BTreeSet::new();
    loop {
        let mut maker = Maker::new(subject, request, events, starting.clone())?;
        let mut walked = Ok(());
        match request.mode {
            Mode::Normal | Mode::RevertDrift | Mode::Import | Mode::Verify => walked = maker.walk().await,
            Mode::Destroy => maker.destroy().await,
            Mode::Retire => maker.retire().await,
            Mode::RefreshOnly => maker.refresh().await,
        }
        let previews = maker.attachment.previews.clone();
        let again = walked.is_ok() && !maker.starts.is_empty() && !maker.problems.has_errors();
        if again {
            starting.append(&mut maker.starts);
        }
        let made = if again { None } else { Some(walked.and_then(|()| maker.finish())) };
        if !matches!(made, Some(Ok(_))) {
            let _ = look::discard(subject, &previews).await;
        }
        if let Some(made) = made {
            return made;
        }
    }
}

/// What a look came back with.
struct Seen {
    what: Work,
    look: Outcome<Look>,
}

/// What a look was for.
enum Work {
    Instance {
        id: Id,
        instance: Box<Instance>,
        import: Option<Json>,
        /// Its other colour, where it is to come up beside that.
        beside: Option<Box<twins::Beside>>,
    },
    Removal {
        address: Address,
        why: removal::Why,
    },
    /// Drift inside something, looked for apart from everything else.
    Drift {
        address: Address,
        found: Outcome<Vec<ChildChange>>,
    },
    /// What it takes to put back the drift inside something.
    Revert {
        id: Id,
        address: Address,
        found: Box<Outcome<revert::Found>>,
    },
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
    /// What drifted inside things, by address.
    inside: BTreeMap<Address, Vec<ChildChange>>,
    attachment: Attachment,
    problems: Diagnostics,
    /// Declarations of which some instance changes or is deferred, with the first such instance.
    pending: BTreeMap<Declaration, Address>,
    /// Instances that are declared, on or off.
    declared: BTreeSet<Address>,
    off: BTreeSet<Address>,
    /// Declarations whose instances are not all known.
    patterns: BTreeSet<Declaration>,
    /// What only one declaration may have, by cluster, with the first that has it.
    sole: BTreeMap<(String, Digest), Address>,
    /// Objects that manifests declare, by their clusters.
    parts: BTreeMap<(String, Part), Address>,
    /// Imports by address.
    imports: BTreeMap<Address, Json>,
    /// Clusters whose Kubernetes version this plan moves or makes, by name.
    clusters: BTreeMap<String, Ahead>,
    /// What manifests need of their clusters that is not there.
    needs: needs::Needs,
    /// What is rolled out by colours, by its address without one.
    units: BTreeMap<Address, rollouts::Unit>,
    /// What colours take up in their clusters.
    prints: BTreeMap<Address, shared::Prints>,
    /// What leaves its colours for the rolling strategy, by its address without one.
    leaving: BTreeSet<Address>,
    /// What of that was told already, by what is rolled out.
    told: BTreeSet<(Address, String)>,
    /// Modules whose other colour is looked at.
    starting: BTreeSet<Address>,
    /// Modules of which this walk found that their other colour is to be looked at.
    starts: BTreeSet<Address>,
    /// Services that are to receive the traffic of colours.
    backends: backends::Backends,
    /// Colours that are kept warm.
    debts: Vec<Debt>,
    /// Colours that what was seen of the other one asks for, each for a node that is still open.
    more: Vec<(Id, Address)>,
    /// Clusters that could not be asked.
    silent: silent::Silent,
    /// What things hold on both sides, for reviews.
    held: held::Books,
    slots: Arc<Semaphore>,
}

impl<'s> Maker<'s> {
    fn new(
        subject: &'s Subject,
        request: &'s Request,
        events: &'s dyn Events,
        starting: BTreeSet<Address>,
    ) -> Result<Self, Error> {
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
            inside: BTreeMap::new(),
            attachment: Attachment::default(),
            problems,
            pending: BTreeMap::new(),
            declared: BTreeSet::new(),
            off: BTreeSet::new(),
            patterns: BTreeSet::new(),
            sole: BTreeMap::new(),
            parts: BTreeMap::new(),
            imports: BTreeMap::new(),
            clusters: BTreeMap::new(),
            needs: needs::Needs::default(),
            units: BTreeMap::new(),
            prints: BTreeMap::new(),
            leaving: BTreeSet::new(),
            told: BTreeSet::new(),
            starting,
            starts: BTreeSet::new(),
            backends: backends::Backends::default(),
            debts: Vec::new(),
            more: Vec::new(),
            silent: silent::Silent::new(),
            held: held::Books::default(),
            slots: Arc::new(Semaphore::new(request.parallelism.max(1))),
        })
    }

    /// Normal mode: every declaration in order, then what is no longer declared.
    async fn walk(&mut self) -> Result<(), Error> {
        self.find_imports();
        self.paint_modules();
        let graph = self.subject.graph.clone();
        let keep = |id: Id| self.targets.as_ref().is_none_or(|t| t.has(id));
        let total =
            graph.inner.node_indices().filter(|id| graph.inner[*id].declaration().is_some() && keep(*id)).count();
        if !self.request.offline {
            self.events.emit(Event::ObserveStarted { total });
        }
        let mut walk = Walk::new(&graph, &keep, &|_| 1);
        // Nothing waits for what drifted inside things, and finding out is slow: it is begun for all at once.
        let mut jobs: FuturesUnordered<BoxFuture<'s, Seen>> = self.detections().into_iter().collect();
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
            let seen = self.seen(seen);
            for (id, colored) in std::mem::take(&mut self.more) {
                if let Some(job) = self.start_beside(id, &colored) {
                    *open.entry(id).or_default() += 1;
                    jobs.push(job);
                }
            }
            if let Some(id) = seen
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
        self.drift_inside();
        self.undeclared_imports();
        self.unmet_needs();
        self.missing_backends().await;
        if !self.problems.has_errors() {
            self.render_held().await;
        }
        if self.request.mode == Mode::Normal {
            self.removals().await;
        }
        self.replaced_clusters().await;
        Ok(())
    }

    /// Starts a node; the looks it needs, or none where it is done at once.
    fn start(&mut self, id: Id) -> Vec<BoxFuture<'s, Seen>> {
        let graph = self.subject.graph.clone();
        let Some(declaration) = graph.inner[id].declaration() else {
            if matches!(graph.inner[id], Node::CallEnd(_)) {
                self.shift_modules(id);
            }
            return Vec::new();
        };
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
            if self.targets.as_ref().is_none_or(|t| t.has(id)) && !self.request.mode.only_what_it_names() {
                self.defer_pattern(declaration, &pattern.pattern, pattern.waits_for);
            }
        }
        let role = self.subject.configuration.resource(declaration).map(|r| r.role);
        let (wanted, others): (Vec<Address>, Vec<Address>) =
            instances.into_iter().partition(|a| self.means(id, role, a));
        for address in others {
            self.stand_in(&address);
        }
        wanted.into_iter().filter_map(|address| self.start_unit(id, &address)).collect()
    }

    /// Whether an instance is looked at for its own sake.
    fn means(&self, id: Id, role: Option<Role>, address: &Address) -> bool {
        match self.request.mode {
            Mode::RevertDrift | Mode::Import if role == Some(Role::Data) => true,
            Mode::RevertDrift => role == Some(Role::Managed) && self.reverts(address),
            Mode::Import => self.imports.contains_key(address),
            _ => self.targets.as_ref().is_none_or(|t| t.has(id) && t.has_instance(address)),
        }
    }

    /// What is not meant is what state remembers.
    fn stand_in(&mut self, address: &Address) {
        if let Some(resource) = self.state.resources.get(address) {
            let attributes = instance::attributes(&resource.inputs, &resource.exports);
            self.evaluator.set(address, attributes);
        }
    }

    fn start_instance(&mut self, id: Id, address: &Address) -> Option<BoxFuture<'s, Seen>> {
        let subject = self.subject;
        if self.request.mode == Mode::RevertDrift
            && let Some(job) = self.look_at_revert(id, address)
        {
            return Some(job);
        }
        let import = self.imports.get(address).cloned();
        let fixed = self.state.resources.get(address).map(|r| r.identity.clone()).or_else(|| import.clone());
        let prepared = match instance::prepare(subject, &mut self.evaluator, address, fixed.as_ref()) {
            Ok(prepared) => prepared,
            Err(problems) => {
                self.problems.extend(problems);
                return None;
            }
        };
        let Ok(twin) = self.twin(address, &prepared) else { return None };
        match prepared {
            Prepared::Waits { reason, waits_for, evaluated, desired } => {
                if let (Some(kind), DeferReason::Connection { connection }) = (kind(address.kind()), &reason)
                    && let Err(problems) = self.alone(address, kind, &desired, connection)
                {
                    self.problems.extend(problems);
                    return None;
                }
                if let Some(kind) = kind(address.kind()) {
                    self.held.waits(address, kind, &desired, self.state.resources.contains_key(address));
                }
                self.defer(address, reason, waits_for, &evaluated.inputs, evaluated.controls.clone());
                None
            }
            Prepared::Ready(mut instance) => {
                let place = sole::place(&instance.connections);
                if let Err(problems) = self.alone(address, instance.kind, &instance.desired, &place) {
                    self.problems.extend(problems);
                    return None;
                }
                if self.leaves_its_traffic(&instance, fixed.as_ref()) {
                    return None;
                }
                if fixed.is_none() && self.is_of_both(&instance) {
                    return None;
                }
                instance.outlook.clusters = self.clusters_ahead(address);
                instance.heed(&self.state);
                if instance.role == Role::Check {
                    self.check(&instance);
                    return None;
                }
                if instance.desired.identity.is_none() && fixed.is_none() && instance.desired.inputs.has_unknown() {
                    let waits_for = instance.desired.inputs.waits_for();
                    let reason = DeferReason::Identity;
                    if instance.kind.reads(&Json::Null) {
                        let inputs = instance.desired.inputs.clone();
                        self.held.waits(address, instance.kind, &instance.desired, false);
                        self.defer(address, reason, waits_for, &inputs, instance.evaluated.controls.clone());
                        return None;
                    }
                }
                // Nothing of what a change set would tell is done by a mere take-over.
                let taken_over = self.request.mode == Mode::Import && instance.kind.drifts_inside();
                let reads = self.request.reads(address.kind());
                let asks = self.request.change_sets && reads && !taken_over;
                let how = How {
                    offline: !reads,
                    ahead: if asks { LookAhead::Differs } else { LookAhead::Never },
                    timeout: self.request.read_timeout,
                    planning: true,
                };
                let former = twin.as_ref().and_then(|twin| self.state.resources.get(&twin.address).cloned());
                let renders = twin.as_ref().is_some_and(|twin| self.renders(twin));
                let remembered = self.state.resources.get(address).cloned();
                let slots = self.slots.clone();
                Some(Box::pin(async move {
                    let _slot = slots.acquire().await;
                    let look = look(subject, &instance, remembered.as_ref(), import.as_ref(), how).await;
                    let mut beside = twin.map(|instance| Box::new(twins::Beside { instance, look: None, guess: None }));
                    if let Some(beside) = beside.as_mut() {
                        let how = How { ahead: if asks { LookAhead::Always } else { LookAhead::Never }, ..how };
                        if let Some(guess) = twins::guessed(&instance) {
                            beside.guess = Some(look::look(subject, &guess, remembered.as_ref(), None, how).await);
                        }
                        if renders {
                            let guess = twins::guessed(&beside.instance);
                            let twin = guess.as_ref().unwrap_or(&beside.instance);
                            beside.look = Some(look::look(subject, twin, former.as_ref(), None, how).await);
                        }
                    }
                    Seen { what: Work::Instance { id, instance, import, beside }, look }
                }))
            }
        }
    }

    /// Takes in what a look came back with; the node it was for.
    fn seen(&mut self, seen: Seen) -> Option<Id> {
        match seen.what {
            Work::Instance { id, instance, import, beside } => {
                self.seen_instance(&instance, import.as_ref(), beside.as_deref(), seen.look);
                Some(id)
            }
            Work::Removal { address, why } => {
                self.seen_removal(&address, &why, seen.look);
                None
            }
            Work::Drift { address, found } => {
                self.seen_drift(&address, found);
                None
            }
            Work::Revert { id, address, found } => {
                self.seen_revert(&address, *found);
                Some(id)
            }
        }
    }

    fn push(&mut self, planned: Planned) {
        let kept = match self.request.mode {
            Mode::RevertDrift if planned.facts.contains_key(REVERT_DRIFT) => Some(planned),
            Mode::RevertDrift => self.put_back(planned),
            Mode::Import => self.taken_over(planned),
            Mode::Verify => self.asked_again(planned),
            _ => Some(planned),
        };
        let Some(planned) = kept else { return };
        if !matches!(planned.action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify) {
            self.pending.entry(Declaration::from(&planned.address)).or_insert_with(|| planned.address.clone());
        }
        self.nodes.push(planned);
    }
}

impl Maker<'_> {
    /// What is there is asked again, and nothing else of it is done.
    fn asked_again(&self, planned: Planned) -> Option<Planned> {
        // What is read is as it would be read for an apply.
        if planned.action == ActionWord::Read {
            return Some(planned);
        }
        let check = planned.address.kind() == "check";
        if !check && !self.state.resources.contains_key(&planned.address) {
            return None;
        }
        let due = check || !planned.verify.is_empty();
        let action = if due { ActionWord::Verify } else { ActionWord::NoOp };
        let Planned { address, phase, inputs, documents, identity, verify, controls, .. } = planned;
        Some(Planned { inputs, documents, identity, verify, controls, ..blank(&address, phase, action) })
    }
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
    if !request.reads(resource.address.kind()) || !kind.reads(&resource.identity) {
        return Ok(Look { observed: Some(remembered()), ..Look::default() });
    }
    let connections = remembered_connections(subject, resource);
    let context = connect::context(subject, &resource.address, &connections, request.read_timeout, look::quiet())?;
    crate::plan::clusters::meet(subject, &subject.state, &resource.address, &connections).await?;
    let observed = context.patiently(|| kind.read(&context, &resource.identity, None)).await?;
    Ok(Look { observed, ..Look::default() })
}

/// Where state says that a thing lives.
#[must_use]
pub fn remembered_connections(subject: &Subject, resource: &state::Resource) -> connect::Connections {
    serde_json::from_value(resource.connection.clone())
        .unwrap_or_else(|_| connect::Connections { aws: subject.aws.clone(), cluster: None })
}

/// A node about which nothing is said yet.
pub(in crate::plan) fn blank(address: &Address, phase: Arc<str>, action: ActionWord) -> Planned {
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
        place: None,
        moved_from: None,
        import: None,
        inputs: Value::NULL,
        documents: BTreeMap::new(),
        identity: Json::Null,
        verify: Vec::new(),
        controls: Vec::new(),
        proves: BTreeMap::new(),
        rollout: None,
        after: Vec::new(),
        holdings: crate::kinds::Holdings::default(),
    }
}
