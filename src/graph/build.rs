//! Builds the graph in a few passes, each with one idea: nodes and references, module barriers, phase barriers, checks.

use crate::{
    base::{Diagnostic, Diagnostics, Span},
    graph::{CallPath, Graph, Id, Node, Why, cycle},
    lang::{
        Configuration, Declaration,
        ast::{Block, Expr},
        configuration::{Call, Fixture, Module, Resource, Rollout, Verify},
        references, references_of_body,
        schema::{ConnectionNeed, Role, Schema},
        scope::{Reference, Target},
    },
    rollout::Outline,
};
use petgraph::visit::EdgeRef as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Builds the graph of a configuration. With errors among the diagnostics the graph must not be walked.
#[must_use]
pub fn build(configuration: &Configuration, schema: &Schema) -> (Graph, Diagnostics) {
    let mut builder = Builder { configuration, schema, graph: Graph::default(), before: BTreeMap::new() };
    builder.phases();
    for (kind, table) in [("kubernetes", &configuration.kubernetes), ("aws", &configuration.aws)] {
        for connection in table.values() {
            let node = builder.graph.node(Node::Connection(kind.into(), connection.name.clone()));
            let mut refs = references_of_body(&connection.body);
            refs.extend(connection.for_each.iter().flat_map(references));
            builder.refer(&[], node, &refs);
        }
    }
    builder.module(&configuration.root, &mut Vec::new());
    builder.gates();
    builder.late_checks();
    let mut diagnostics = Diagnostics::new();
    for diagnostic in builder.later_phases() {
        diagnostics.push(diagnostic);
    }
    for diagnostic in cycle::cycles(&builder.graph) {
        diagnostics.push(diagnostic);
    }
    diagnostics.normalize();
    (builder.graph, diagnostics)
}

struct Builder<'c> {
    configuration: &'c Configuration,
    schema: &'c Schema,
    graph: Graph,
    /// For each phase: itself and all that come before it.
    before: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Builder<'_> {
    fn edge(&mut self, first: Id, then: Id, why: Why) {
        if first != then || matches!(why, Why::Reference(_) | Why::DependsOn(_)) {
            self.graph.inner.add_edge(first, then, why);
        }
    }

    /// Barrier nodes: a phase starts when those in `after` have ended.
    fn phases(&mut self) {
        for phase in &self.configuration.phases {
            self.graph.phases.push(phase.name.clone());
            let start = self.graph.node(Node::PhaseStart(phase.name.clone()));
            let end = self.graph.node(Node::PhaseEnd(phase.name.clone()));
            self.edge(start, end, Why::Phase);
            let mut before = BTreeSet::from([phase.name.clone()]);
            for (earlier, span) in &phase.after {
                let earlier_end = self.graph.node(Node::PhaseEnd(earlier.clone()));
                self.edge(earlier_end, start, Why::DependsOn(span.clone()));
                before.extend(self.before.get(earlier).into_iter().flatten().cloned());
            }
            self.before.insert(phase.name.clone(), before);
        }
    }

    /// One module: its values, its declarations, its calls, and the barrier nodes around it.
    fn module(&mut self, module: &Arc<Module>, path: &mut CallPath) {
        for (name, expr) in &module.locals {
            let node = self.graph.node(Node::Local(path.clone(), name.clone()));
            self.refer(path, node, &references(expr));
        }
        for output in module.outputs.values() {
            let node = self.graph.node(Node::Output(path.clone(), output.name.clone()));
            self.refer(path, node, &references(&output.value));
        }
        for resource in module.resources.values() {
            self.declaration(resource, path);
        }
        for import in &module.imports {
            let target = Declaration {
                path: path.iter().cloned().chain(import.to.module().iter().map(|s| s.name.clone())).collect(),
                kind: import.to.kind().into(),
                name: import.to.name().into(),
            };
            if let Some(node) = self.graph.declaration(&target) {
                self.refer(path, node, &references(&import.id));
            }
        }
        for call in module.calls.values() {
            self.call(call, path);
        }
    }

    fn declaration(&mut self, resource: &Resource, path: &CallPath) {
        let declaration = Declaration { path: path.clone(), kind: resource.kind.clone(), name: resource.name.clone() };
        let node = self.graph.node(Node::Declaration(declaration.clone()));
        let mut refs = references_of_body(&resource.body);
        let lifecycle = &resource.lifecycle;
        let conditions = lifecycle.preconditions.iter().chain(&lifecycle.postconditions);
        let exprs = [&resource.for_each, &resource.when, &resource.controls, &resource.connection]
            .into_iter()
            .flatten()
            .chain(&lifecycle.replace_triggered_by)
            .chain(conditions.flat_map(|c| [&c.condition, &c.error_message]));
        refs.extend(exprs.flat_map(references));
        // All of a rollout, whatever its strategy is: the route that it moves, what its analysis asks, what receives the traffic.
        refs.extend(resource.rollout.iter().flat_map(|r| references_of_body(&r.block.body)));
        refs.extend(resource.verify.iter().flat_map(|v| references_of_body(&v.probe.body)));
        self.refer(path, node, &refs);
        for expr in &resource.depends_on {
            self.depend(path, node, expr);
        }
        let kind = match resource.role {
            Role::Data => self.schema.data(resource.kind.strip_prefix("data.").unwrap_or(&resource.kind)),
            Role::Managed | Role::Check => self.schema.kind(&resource.kind),
        };
        let outline = resource.rollout.as_ref().and_then(|r| Outline::of(r, !resource.verify.is_empty()));
        self.graph.rollouts.extend(outline.map(|outline| (declaration.clone(), outline)));
        let need = kind.map_or(ConnectionNeed::None, |k| k.connection.of(&resource.body));
        let probes = resource.verify.iter().map(|v| &v.probe).chain(&resource.body.blocks);
        if need == ConnectionNeed::Kubernetes
            || probes.into_iter().any(|probe| probe_needs_cluster(self.configuration, probe))
        {
            self.connect(path, node, resource.connection.as_ref());
        }
        if let Some(phase) = self.configuration.phase_of(&declaration) {
            let start = self.graph.node(Node::PhaseStart(phase.clone()));
            let end = self.graph.node(Node::PhaseEnd(phase.clone()));
            self.edge(start, node, Why::Phase);
            self.edge(node, end, Why::Phase);
            self.graph.phase.insert(declaration, phase);
        }
    }

    /// The cluster connection that a thing uses: its own, else its module's, else the default one (rule 6).
    fn connect(&mut self, path: &[Arc<str>], node: Id, own: Option<&Expr>) {
        if own.is_some() {
            return; // the reference itself made the edge
        }
        for depth in (1..=path.len()).rev() {
            let (outer, name) = (&path[..depth - 1], &path[depth - 1]);
            let call = self.configuration.module(outer).and_then(|m| m.calls.get(name));
            if let Some(expr) = call.and_then(|c| c.connections.get("kubernetes")) {
                self.refer(outer, node, &references(expr));
                return;
            }
        }
        if let Some(name) = self.configuration.default_connection("kubernetes") {
            let connection = self.graph.node(Node::Connection("kubernetes".into(), name));
            self.edge(connection, node, Why::Module);
        }
    }

    fn call(&mut self, call: &Call, path: &mut CallPath) {
        let outer = path.clone();
        path.push(call.name.clone());
        let start = self.graph.node(Node::Call(path.clone()));
        if !outer.is_empty() {
            let around = self.graph.node(Node::Call(outer.clone()));
            self.edge(around, start, Why::Module);
        }
        let mut refs: Vec<Reference> =
            [&call.for_each, &call.when].into_iter().flatten().flat_map(references).collect();
        refs.extend(call.rollout.iter().flat_map(|rollout| references_of_body(&rollout.block.body)));
        self.refer(&outer, start, &refs);
        for (name, expr) in &call.arguments {
            let variable = self.graph.node(Node::Variable(path.clone(), name.clone()));
            self.edge(start, variable, Why::Module);
            self.refer(&outer, variable, &references(expr));
        }
        self.module(&call.module, path);
        let inside = self.inside(path);
        let end = self.graph.node(Node::CallEnd(path.clone()));
        self.edge(start, end, Why::Module);
        for (node, _) in &inside {
            self.edge(start, *node, Why::Module);
            self.edge(*node, end, Why::Module);
        }
        self.call_depends_on(call, &outer, path, &inside);
        if let Some(rollout) = &call.rollout {
            self.rolled_out(rollout, &outer, path, end, &inside);
        }
        path.pop();
    }

    /// Where a module is rolled out as a whole its traffic moves at its end: a phase waits for it, and so does whoever refers to its
    /// outputs.
    fn rolled_out(
        &mut self,
        rollout: &Rollout,
        outer: &CallPath,
        path: &CallPath,
        end: Id,
        inside: &[(Id, Option<Arc<str>>)],
    ) {
        if self.is_spread(path) {
            return;
        }
        let call = self.graph.inner[end].unit().zip(Outline::of(rollout, false));
        self.graph.rollouts.extend(call);
        if let Some(phase) = inside.iter().find_map(|(_, phase)| phase.clone()) {
            for barrier in [Node::PhaseApplied(phase.clone()), Node::PhaseEnd(phase)] {
                let barrier = self.graph.node(barrier);
                self.edge(end, barrier, Why::Phase);
            }
        }
        if !outer.is_empty() {
            let around = self.graph.node(Node::CallEnd(outer.clone()));
            self.edge(end, around, Why::Module);
        }
        let binds = rollout.block.body.blocks.iter().any(|block| &*block.kind == "backend");
        if binds || rollout.verify.iter().any(|v| probe_needs_cluster(self.configuration, &v.probe)) {
            self.connect(path, end, None);
        }
    }

    /// Whether what is in a module lies in several phases. It has no one end then, and is rolled out in place only (rule 38).
    fn is_spread(&self, path: &[Arc<str>]) -> bool {
        let mut phases = BTreeSet::new();
        let mut todo = vec![path.to_vec()];
        while let Some(path) = todo.pop() {
            let Some(module) = self.configuration.module(&path) else { continue };
            for (kind, name) in module.resources.keys() {
                let declaration = Declaration { path: path.clone(), kind: kind.clone(), name: name.clone() };
                phases.extend(self.configuration.phase_of(&declaration));
            }
            todo.extend(module.calls.keys().map(|name| path.iter().chain([name]).cloned().collect()));
        }
        phases.len() > 1
    }

    /// Declarations in a module and in the modules that it calls.
    fn inside(&self, path: &[Arc<str>]) -> Vec<(Id, Option<Arc<str>>)> {
        self.graph
            .index
            .iter()
            .filter_map(|(node, id)| node.declaration().map(|d| (d, *id)))
            .filter(|(d, _)| d.path.starts_with(path))
            .map(|(d, id)| (id, self.graph.phase.get(d).cloned()))
            .collect()
    }

    /// A module's `depends_on` holds for its resources of the same or a later phase (rule 15): one node for each phase of
    /// what it names keeps that linear.
    fn call_depends_on(&mut self, call: &Call, outer: &CallPath, path: &CallPath, inside: &[(Id, Option<Arc<str>>)]) {
        for expr in &call.depends_on {
            for reference in references(expr) {
                let named: Vec<(Id, Option<Arc<str>>)> = match &reference.target {
                    Target::Module { name, .. } => {
                        let mut other = outer.clone();
                        other.push(name.clone());
                        self.inside(&other)
                    }
                    _ => self
                        .target(outer, &reference.target)
                        .into_iter()
                        .map(|id| {
                            let phase = self.graph.inner[id].declaration().and_then(|d| self.graph.phase.get(d));
                            (id, phase.cloned())
                        })
                        .collect(),
                };
                for (target, phase) in named {
                    let label = phase.clone().unwrap_or_default();
                    let gate = Node::CallAfter(path.clone(), label);
                    let is_new = self.graph.id(&gate).is_none();
                    let gate = self.graph.node(gate);
                    self.edge(target, gate, Why::DependsOn(reference.span.clone()));
                    if is_new {
                        for (node, own) in inside {
                            if self.may_follow(own.as_ref(), phase.as_ref()) {
                                self.edge(gate, *node, Why::Module);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Whether something in `own` may come after something in `other`.
    fn may_follow(&self, own: Option<&Arc<str>>, other: Option<&Arc<str>>) -> bool {
        match (own, other) {
            (Some(own), Some(other)) => self.before.get(own).is_some_and(|b| b.contains(other)),
            _ => true,
        }
    }

    fn refer(&mut self, path: &[Arc<str>], node: Id, refs: &[Reference]) {
        for reference in refs {
            for target in self.target(path, &reference.target) {
                self.edge(target, node, Why::Reference(reference.span.clone()));
            }
        }
    }

    fn depend(&mut self, path: &[Arc<str>], node: Id, expr: &Expr) {
        for reference in references(expr) {
            if let Target::Module { name, .. } = &reference.target {
                let mut called = path.to_vec();
                called.push(name.clone());
                let end = self.graph.node(Node::CallEnd(called));
                self.edge(end, node, Why::DependsOn(reference.span.clone()));
                continue;
            }
            for target in self.target(path, &reference.target) {
                self.edge(target, node, Why::DependsOn(reference.span.clone()));
            }
        }
    }

    /// The nodes that a reference names, seen from a module. What is not declared was diagnosed by the language.
    fn target(&mut self, path: &[Arc<str>], target: &Target) -> Vec<Id> {
        let at = path.to_vec();
        let node = match target {
            Target::Variable(_) if path.is_empty() => return Vec::new(),
            Target::Variable(name) => Node::Variable(at, name.clone()),
            Target::Local(name) => Node::Local(at, name.clone()),
            Target::Resource { kind, name, .. } => {
                let declaration = Declaration { path: at, kind: kind.clone(), name: name.clone() };
                if self.configuration.resource(&declaration).is_none() {
                    return Vec::new();
                }
                Node::Declaration(declaration)
            }
            Target::Module { name, output, .. } => {
                let mut called = at;
                called.push(name.clone());
                let Some(module) = self.configuration.module(&called).cloned() else { return Vec::new() };
                let outputs: Vec<Arc<str>> = match output {
                    Some(output) => vec![output.clone()],
                    None => module.outputs.keys().cloned().collect(),
                };
                let calling = self.configuration.module(&called[..called.len() - 1]);
                let rolled_out = calling.and_then(|m| m.calls.get(name)).is_some_and(|call| call.rollout.is_some());
                let mut nodes: Vec<Id> =
                    outputs.into_iter().map(|output| self.graph.node(Node::Output(called.clone(), output))).collect();
                if rolled_out && !self.is_spread(&called) {
                    nodes.push(self.graph.node(Node::CallEnd(called)));
                }
                return nodes;
            }
            Target::Connection(kind, name) => Node::Connection(kind.clone(), name.clone()),
            // What such a block refers to is needed by all that refer to the block, and so is the cluster it is asked through.
            Target::Fixture(kind, name) => {
                let configuration = self.configuration;
                let Some(fixture) = configuration.fixtures.get(&(kind.clone(), name.clone())) else {
                    return Vec::new();
                };
                let references = references_of_body(&fixture.body);
                let mut needed: Vec<Id> = references.iter().flat_map(|r| self.target(&[], &r.target)).collect();
                let named = fixture.body.attributes.contains_key("kubernetes");
                if through_a_cluster(fixture)
                    && !named
                    && let Some(default) = configuration.default_connection("kubernetes")
                {
                    needed.push(self.graph.node(Node::Connection("kubernetes".into(), default)));
                }
                return needed;
            }
            Target::Phase(_)
            | Target::Environment(_)
            | Target::Each
            | Target::SelfValue
            | Target::Env(_)
            | Target::Path(_)
            | Target::Unknown(_) => return Vec::new(),
        };
        vec![self.graph.node(node)]
    }

    /// A check that nothing depends on is asked when everything that its phase manages is applied.
    fn late_checks(&mut self) {
        let roles: Vec<(Id, Arc<str>, bool)> = self
            .graph
            .phase
            .iter()
            .filter_map(|(declaration, phase)| {
                let id = self.graph.declaration(declaration)?;
                let role = self.configuration.resource(declaration)?.role;
                Some((id, phase.clone(), role == Role::Check))
            })
            .collect();
        for (id, phase, is_check) in roles {
            let applied = self.graph.node(Node::PhaseApplied(phase.clone()));
            let wanted = is_check && self.only_ends(id);
            if wanted {
                self.edge(applied, id, Why::Phase);
            } else {
                self.edge(id, applied, Why::Phase);
            }
            let end = self.graph.node(Node::PhaseEnd(phase));
            if !self.graph.inner.contains_edge(applied, end) {
                self.edge(applied, end, Why::Phase);
            }
        }
    }

    /// Whether only barriers come after a node.
    fn only_ends(&self, id: Id) -> bool {
        self.graph.inner.neighbors(id).all(|n| matches!(self.graph.inner[n], Node::PhaseEnd(_) | Node::CallEnd(_)))
    }

    /// What the gates of phases refer to, and the cluster that their probes need.
    fn gates(&mut self) {
        for phase in &self.configuration.phases {
            let end = self.graph.node(Node::PhaseEnd(phase.name.clone()));
            for verify in &phase.verify {
                self.gate(end, verify);
            }
        }
    }

    fn gate(&mut self, end: Id, verify: &Verify) {
        self.refer(&[], end, &references_of_body(&verify.probe.body));
        if probe_needs_cluster(self.configuration, &verify.probe) {
            self.connect(&[], end, None);
        }
    }

    /// Depending on a later phase is an error with both places (rule 15). The edges that are wrong are taken out, so that they
    /// are not told again as cycles.
    fn later_phases(&mut self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        for id in self.graph.inner.node_indices() {
            let own = match &self.graph.inner[id] {
                Node::Declaration(d) => self.graph.phase.get(d).cloned(),
                Node::PhaseEnd(name) => Some(name.clone()),
                _ => None,
            };
            let Some(own) = own else { continue };
            for edge in self.graph.inner.edges_directed(id, petgraph::Incoming) {
                let mut seen = BTreeSet::new();
                let Some((other, phase)) = self.later(edge.source(), &own, &mut seen) else { continue };
                wrong.push(edge.id());
                let Some(span) = edge.weight().span() else { continue };
                found.push(self.later_phase(id, &own, &other, &phase, span));
            }
        }
        for edge in wrong.into_iter().rev() {
            self.graph.inner.remove_edge(edge);
        }
        found
    }

    /// A declaration reached from `id` without passing a declaration or a phase, that lies in no phase before `own`.
    fn later(&self, id: Id, own: &Arc<str>, seen: &mut BTreeSet<Id>) -> Option<(Declaration, Arc<str>)> {
        match &self.graph.inner[id] {
            Node::Declaration(d) => {
                if let Some(phase) = self.graph.phase.get(d) {
                    return (!self.may_follow(Some(own), Some(phase))).then(|| (d.clone(), phase.clone()));
                }
            }
            Node::PhaseStart(_) | Node::PhaseApplied(_) | Node::PhaseEnd(_) | Node::CallEnd(_) => return None,
            _ => {}
        }
        if !seen.insert(id) {
            return None;
        }
        self.graph.inner.neighbors_directed(id, petgraph::Incoming).find_map(|n| self.later(n, own, seen))
    }

    fn later_phase(&self, id: Id, own: &str, other: &Declaration, phase: &str, span: &Span) -> Diagnostic {
        let there = self.configuration.resource(other);
        let mut diagnostic = Diagnostic::error(
            "later_phase",
            format!(
                "{} in phase {own} depends on {} in phase {phase}",
                self.graph.inner[id],
                crate::graph::address(other)
            ),
        )
        .at(span, format!("needed here, in phase {own}"))
        .because(format!(
            "phase {own} does not come after phase {phase}, so that would have to exist before its phase starts"
        ))
        .hint(format!("move one of the two to the other's phase, or write `after = [phase.{phase}]` in phase {own}"));
        if let Some(there) = there {
            let at = there.phase.as_ref().map_or(&there.span, |p| &p.span);
            diagnostic = diagnostic.at(at, format!("declared here, in phase {phase}"));
        }
        diagnostic
    }
}

/// Whether a probe is answered by a cluster: by its kind, or because it names a pod or service.
pub fn probe_needs_cluster(configuration: &Configuration, probe: &Block) -> bool {
    match &*probe.kind {
        "pods" | "condition" => true,
        "http" | "tcp" => ["service", "selector", "namespace"].iter().any(|a| probe.body.attributes.contains_key(*a)),
        "prometheus" => references_of_body(&probe.body).iter().any(|reference| match &reference.target {
            Target::Fixture(kind, name) => {
                configuration.fixtures.get(&(kind.clone(), name.clone())).is_some_and(through_a_cluster)
            }
            _ => false,
        }),
        _ => false,
    }
}

/// Whether a server of metrics is a service in a cluster.
fn through_a_cluster(fixture: &Fixture) -> bool {
    &*fixture.kind == "prometheus" && fixture.body.attributes.contains_key("service")
}
