//! A stack that makes a cluster goes only after what controllers made in that cluster: what that is, the plan finds and shows.

use crate::plan::make::{Maker, remembered_connections};
use crate::{
    base::{ActionWord, Address, Diagnostic, Value},
    graph::Node,
    kinds::{self, Drain, Removed},
    lang::{Declaration, evaluate::ConnectionRef, schema::ConnectionNeed},
    plan::{Mode, Subject, connect, gone, look, subject::world_problem},
    state::Resource,
    world::{Class, ClusterConnection, Outcome},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The fact of a deletion that says what is drained from its clusters first: a list of [`Drain`].
pub const DRAIN: &str = "drain";

impl Maker<'_> {
    /// Finds what has to be drained before the stacks among the nodes from `from` on are deleted.
    pub(super) async fn drains(&mut self, from: usize) {
        if self.request.offline {
            return;
        }
        let goes = |at: &usize| matches!(self.nodes[*at].action, ActionWord::Delete);
        let going: Vec<(usize, Address)> =
            (from..self.nodes.len()).filter(goes).map(|at| (at, self.nodes[at].address.clone())).collect();
        if going.is_empty() {
            return;
        }
        let lives = self.lives();
        for (at, manifest) in going.iter().filter(|(_, a)| a.kind() == "manifest") {
            self.custom_resources(*at, manifest, &lives).await;
        }
        let declared = self.declared_clusters(&lives);
        for (at, stack) in going.into_iter().filter(|(_, a)| a.kind() == "stack") {
            let Some(resource) = self.state.resources.get(&stack).cloned() else { continue };
            let refers = declared.get(&Declaration::from(&stack)).cloned().unwrap_or_default();
            let clusters = match clusters_of(self.subject, &resource, refers, &lives).await {
                Ok(clusters) => clusters,
                Err(failure) => {
                    self.problems.push(world_problem(&stack, &failure));
                    continue;
                }
            };
            let mut drains: Vec<Drain> = Vec::new();
            for cluster in clusters {
                // One cluster under two names, or as two people, is drained once.
                if drains.iter().any(|drain| same(&drain.cluster, &cluster)) {
                    continue;
                }
                match self.look_into(&stack, &cluster, &lives).await {
                    Ok(drain) => drains.extend(drain),
                    Err(failure) => self.problems.push(
                        Diagnostic::error("cluster_not_drained", format!("{stack}: what is in its cluster cannot be seen"))
                            .because(failure.to_string())
                            .hint("load balancers and volumes that its controllers made would stay in the account: plan from where the cluster answers"),
                    ),
                }
            }
            let node = &mut self.nodes[at];
            for drain in drains.iter().filter(|d| !d.is_empty()) {
                node.reasons.push(drain.words());
                let mut children = drain.children();
                // What a policy keeps is not lost.
                node.stateful |= children.iter().any(|c| c.stateful && c.policy.as_deref() != Some("Retain"));
                children.append(&mut node.children);
                node.children = children;
            }
            if !drains.is_empty()
                && let Ok(fact) = serde_json::to_value(&drains)
            {
                node.facts.insert(DRAIN.to_owned(), fact);
            }
        }
    }

    /// What this plan removes from a cluster.
    fn removed_in(&self, cluster: &ClusterConnection, lives: &BTreeMap<Address, ClusterConnection>) -> Removed {
        let mut removed = Removed::default();
        let leaves = |a: &Address| self.nodes.iter().any(|n| n.address == *a && n.action == ActionWord::Delete);
        for (address, _) in lives.iter().filter(|(a, c)| same(c, cluster) && leaves(a)) {
            removed.note(address.kind(), &self.state.resources[address].identity);
        }
        removed
    }

    /// Names what goes with the types that a manifest defines.
    async fn custom_resources(&mut self, at: usize, manifest: &Address, lives: &BTreeMap<Address, ClusterConnection>) {
        let Some(cluster) = lives.get(manifest) else { return };
        let identity = self.nodes[at].identity.clone();
        if !identity.to_string().contains("CustomResourceDefinition") {
            return;
        }
        let removed = self.removed_in(cluster, lives);
        let connections = connect::Connections { aws: self.subject.aws.clone(), cluster: Some(cluster.clone()) };
        let timeout = self.request.read_timeout;
        let lost = match connect::context(self.subject, manifest, &connections, timeout, look::quiet()) {
            Ok(context) => kinds::lost_with(&context, &identity, &removed).await,
            Err(failure) => Err(failure),
        };
        match lost {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => {
                let node = &mut self.nodes[at];
                let words = format!("the types it defines take {} custom resources along that others made", lost.len());
                node.reasons.push(words);
                node.stateful = true;
                node.children.extend(lost);
            }
            Err(failure) => self.problems.push(world_problem(manifest, &failure)),
        }
    }

    /// By declaration of what its `kubernetes` block refers to, the clusters of that block.
    pub(super) fn declared_clusters(
        &mut self,
        lives: &BTreeMap<Address, ClusterConnection>,
    ) -> BTreeMap<Declaration, BTreeSet<ClusterConnection>> {
        if self.request.mode == Mode::Destroy {
            // Nothing was evaluated: what state remembers says what the blocks refer to.
            let all: Vec<Address> = self.state.resources.keys().cloned().collect();
            for address in &all {
                self.stand_in(address);
            }
        }
        let (subject, graph) = (self.subject, self.subject.graph.clone());
        let mut out: BTreeMap<Declaration, BTreeSet<ClusterConnection>> = BTreeMap::new();
        let names: Vec<Arc<str>> = subject.configuration.kubernetes.keys().cloned().collect();
        for name in names {
            let Some(id) = graph.id(&Node::Connection("kubernetes".into(), name.clone())) else { continue };
            let uses = |address: &Address| {
                let user = graph.declaration(&Declaration::from(address));
                user.is_some_and(|user| graph.inner.find_edge(id, user).is_some())
            };
            let mut clusters: BTreeSet<ClusterConnection> =
                lives.iter().filter(|(a, _)| uses(a)).map(|(_, c)| c.clone()).collect();
            let reference = ConnectionRef { kind: "kubernetes".into(), name, key: None };
            if let Ok(Ok(found)) =
                connect::connections(subject, &mut self.evaluator, Some(&reference), ConnectionNeed::Kubernetes, false)
            {
                clusters.extend(found.cluster);
            }
            for declaration in stands_on(&graph, id) {
                out.entry(declaration).or_default().extend(clusters.iter().cloned());
            }
        }
        out
    }

    /// What is to be drained from a cluster; `None` where the cluster is gone.
    async fn look_into(
        &mut self,
        stack: &Address,
        cluster: &ClusterConnection,
        lives: &BTreeMap<Address, ClusterConnection>,
    ) -> Outcome<Option<Drain>> {
        let subject = self.subject;
        let connections = connect::Connections { aws: subject.aws.clone(), cluster: Some(cluster.clone()) };
        let context = connect::context(subject, stack, &connections, self.request.read_timeout, look::quiet())?;
        let removed = self.removed_in(cluster, lives);
        let found = match kinds::look_at_drain(&context, &removed).await {
            Ok(found) => found,
            Err(failure) if failure.class == Class::NotFound && gone::is_gone(subject, cluster).await? => {
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        for (namespace, why) in &found.held {
            let summary = format!("the namespace {namespace} of {} is going away and does not go", cluster.spoken());
            self.problems.push(
                Diagnostic::warning("namespace_held", summary)
                    .because(why.clone())
                    .hint("see whether that controller still runs: once its chart is removed, nobody clears it"),
            );
        }
        let kinds::Found { first, last, ours, .. } = found;
        Ok(Some(Drain { cluster: cluster.clone(), first, last, ours }))
    }
}

/// Whether two connections lead to one cluster, as far as they say.
pub(super) fn same(one: &ClusterConnection, other: &ClusterConnection) -> bool {
    let place = |c: &ClusterConnection| match c {
        ClusterConnection::Eks { name, aws, .. } => Some((name.clone(), aws.account_id.clone(), aws.region.clone())),
        _ => None,
    };
    one == other || place(one).is_some_and(|a| Some(a) == place(other))
}

/// The clusters that a stack makes, among those that this plan knows how to reach: those that its `kubernetes` blocks lead to, and
/// those that things of it live in.
pub(super) async fn clusters_of(
    subject: &Subject,
    stack: &Resource,
    refers: BTreeSet<ClusterConnection>,
    lives: &BTreeMap<Address, ClusterConnection>,
) -> Outcome<BTreeSet<ClusterConnection>> {
    let outputs = stack.exports.get("outputs").and_then(Value::as_map).into_iter().flat_map(|m| m.values());
    let outputs: BTreeSet<&str> = outputs.filter_map(Value::as_str).collect();
    let tells = |c: &ClusterConnection| match c {
        ClusterConnection::Eks { name, .. } => outputs.contains(name.as_str()),
        _ => false,
    };
    let mut known = refers.clone();
    known.extend(lives.values().filter(|c| tells(c)).cloned());
    if known.is_empty() {
        return Ok(known);
    }
    let aws = subject.world.aws(&remembered_connections(subject, stack).aws)?;
    let parts = aws.cloudformation.stack_resources(stack.identity["name"].as_str().unwrap_or_default()).await?;
    let made = parts.iter().filter(|r| r.resource_type == "AWS::EKS::Cluster");
    let made: BTreeSet<&str> = made.map(|r| r.physical_id.as_str()).collect();
    // A nested stack may make it: then what the block refers to and what the stack tells say so together.
    let nested = parts.iter().any(|r| r.resource_type == "AWS::CloudFormation::Stack");
    known.retain(|cluster| match cluster {
        ClusterConnection::Eks { name, .. } => {
            made.contains(name.as_str()) || (nested && refers.contains(cluster) && tells(cluster))
        }
        // Another cluster in the place of the one that the stack makes.
        _ => !made.is_empty() && refers.contains(cluster),
    });
    Ok(known)
}

/// The declarations that a node comes directly after, through locals, variables and outputs.
fn stands_on(graph: &crate::graph::Graph, id: crate::graph::Id) -> BTreeSet<Declaration> {
    let (mut out, mut seen, mut todo) = (BTreeSet::new(), BTreeSet::new(), vec![id]);
    while let Some(id) = todo.pop() {
        for before in graph.inner.neighbors_directed(id, petgraph::Incoming) {
            match &graph.inner[before] {
                Node::Declaration(declaration) => drop(out.insert(declaration.clone())),
                Node::PhaseStart(_) | Node::PhaseApplied(_) | Node::PhaseEnd(_) => {}
                _ if seen.insert(before) => todo.push(before),
                _ => {}
            }
        }
    }
    out
}
