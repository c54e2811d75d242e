//! Configuration to one dependency graph.
//!
//! The unit is the declaration, not the instance: `for_each` is expanded when a walk reaches its node, so nothing here depends
//! on values and nothing is quadratic in the number of instances. Phases are pairs of barrier nodes; locals, variables, module
//! outputs and connections are nodes of their own, so that a value that a thousand things share costs a thousand edges.

mod build;
mod cycle;
mod export;
mod target;
#[cfg(test)]
mod tests;
mod walk;

pub use build::{build, probe_needs_cluster};
pub use export::{dot, json, mermaid, svg};
pub use target::{Targets, means, names};
pub use walk::Walk;

use crate::{
    base::{Address, Span},
    lang::Declaration,
    rollout::Outline,
};
use petgraph::graph::{DiGraph, NodeIndex};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The place of a node in its graph.
pub type Id = NodeIndex<u32>;

/// A path of module calls, by their names.
pub type CallPath = Vec<Arc<str>>;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A resource, data source or check.
    Declaration(Declaration),
    /// A phase may start.
    PhaseStart(Arc<str>),
    /// Everything that a phase manages is applied: checks that nothing depends on are asked from here on.
    PhaseApplied(Arc<str>),
    /// Everything in a phase is applied and its gate has passed.
    PhaseEnd(Arc<str>),
    /// A local value.
    Local(CallPath, Arc<str>),
    /// A module's variable, as its caller gives it.
    Variable(CallPath, Arc<str>),
    /// A module's output; the root's where the path is empty.
    Output(CallPath, Arc<str>),
    /// A `kubernetes` or `aws` block.
    Connection(Arc<str>, Arc<str>),
    /// A module call may be expanded: its `for_each` and `when` are known.
    Call(CallPath),
    /// What a module's `depends_on` names in one phase is done.
    CallAfter(CallPath, Arc<str>),
    /// Everything in a module is done, for whoever depends on the module as a whole.
    CallEnd(CallPath),
}

impl Node {
    /// The declaration, where it is one.
    #[must_use]
    pub const fn declaration(&self) -> Option<&Declaration> {
        match self {
            Self::Declaration(declaration) => Some(declaration),
            _ => None,
        }
    }

    /// What a plan may have a node for here: a declaration, or a module call as a whole where it ends.
    #[must_use]
    pub fn unit(&self) -> Option<Declaration> {
        match self {
            Self::Declaration(declaration) => Some(declaration.clone()),
            Self::CallEnd(path) => {
                let (name, path) = path.split_last()?;
                Some(Declaration { path: path.to_vec(), kind: Address::CALL.into(), name: name.clone() })
            }
            _ => None,
        }
    }
}

fn path(f: &mut fmt::Formatter<'_>, path: &[Arc<str>]) -> fmt::Result {
    path.iter().try_for_each(|name| write!(f, "module.{name}."))
}

/// As a plan file would refer to it.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declaration(d) => write!(f, "{}", address(d)),
            Self::PhaseStart(name) => write!(f, "phase.{name} (start)"),
            Self::PhaseApplied(name) => write!(f, "phase.{name} (applied)"),
            Self::PhaseEnd(name) => write!(f, "phase.{name}"),
            Self::Local(p, name) => path(f, p).and_then(|()| write!(f, "local.{name}")),
            Self::Variable(p, name) => path(f, p).and_then(|()| write!(f, "var.{name}")),
            Self::Output(p, name) => path(f, p).and_then(|()| write!(f, "output.{name}")),
            Self::Connection(kind, name) => write!(f, "{kind}.{name}"),
            Self::Call(p) | Self::CallEnd(p) | Self::CallAfter(p, _) => {
                let (last, outer) = p.split_last().ok_or(fmt::Error)?;
                path(f, outer)?;
                write!(f, "module.{last}")
            }
        }
    }
}

/// The address of a declaration: without any keys.
#[must_use]
pub fn address(declaration: &Declaration) -> Address {
    let module = declaration.path.iter().map(|name| crate::base::ModuleStep::new(name.clone(), None)).collect();
    Address::new(module, &declaration.kind, &declaration.name, None)
}

/// Why one node comes after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// An expression refers to it.
    Reference(Span),
    /// `depends_on`.
    DependsOn(Span),
    /// The barrier of a phase.
    Phase,
    /// It lies in a module.
    Module,
}

impl Why {
    /// Where that is written.
    #[must_use]
    pub const fn span(&self) -> Option<&Span> {
        match self {
            Self::Reference(span) | Self::DependsOn(span) => Some(span),
            Self::Phase | Self::Module => None,
        }
    }
}

/// The graph. An edge goes from what comes first to what comes after it.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Nodes and edges.
    pub inner: DiGraph<Node, Why>,
    /// Where each node is.
    pub index: BTreeMap<Node, Id>,
    /// The root phase of each declaration that has one.
    pub phase: BTreeMap<Declaration, Arc<str>>,
    /// Phases in order.
    pub phases: Vec<Arc<str>>,
    /// What is rolled out by colours, and by which steps, as far as that is written out: for its export only, a walk knows one node for each.
    pub rollouts: BTreeMap<Declaration, Outline>,
}

impl Graph {
    /// The place of a node.
    #[must_use]
    pub fn id(&self, node: &Node) -> Option<Id> {
        self.index.get(node).copied()
    }

    /// The place of a declaration; of a module call as a whole, where it ends.
    #[must_use]
    pub fn declaration(&self, declaration: &Declaration) -> Option<Id> {
        if declaration.is_call() {
            let path = declaration.path.iter().chain([&declaration.name]).cloned().collect();
            return self.id(&Node::CallEnd(path));
        }
        self.id(&Node::Declaration(declaration.clone()))
    }

    /// The phase of a declaration, or of what is in a module call; empty where there is none.
    #[must_use]
    pub fn phase_of(&self, declaration: &Declaration) -> Arc<str> {
        if !declaration.is_call() {
            return self.phase.get(declaration).cloned().unwrap_or_default();
        }
        let mut path = declaration.path.clone();
        path.push(declaration.name.clone());
        let inside = self.phase.iter().find(|(inner, _)| inner.path.starts_with(&path));
        inside.map(|(_, phase)| phase.clone()).unwrap_or_default()
    }

    fn node(&mut self, node: Node) -> Id {
        if let Some(id) = self.index.get(&node) {
            return *id;
        }
        let id = self.inner.add_node(node.clone());
        self.index.insert(node, id);
        id
    }

    /// Nodes in an order in which whatever comes first stands first; among equals in order of their names.
    ///
    /// Meaningful only where [`build()`] found no cycle.
    #[must_use]
    pub fn order(&self) -> Vec<Id> {
        use std::{cmp::Reverse, collections::BinaryHeap};
        let mut waiting: Vec<usize> =
            self.inner.node_indices().map(|n| self.inner.neighbors_directed(n, petgraph::Incoming).count()).collect();
        let rank: Vec<usize> = {
            let mut rank = vec![0; self.inner.node_count()];
            for (at, id) in self.index.values().enumerate() {
                rank[id.index()] = at;
            }
            rank
        };
        let mut ready: BinaryHeap<Reverse<(usize, Id)>> = self
            .inner
            .node_indices()
            .filter(|n| waiting[n.index()] == 0)
            .map(|n| Reverse((rank[n.index()], n)))
            .collect();
        let mut out = Vec::with_capacity(waiting.len());
        while let Some(Reverse((_, id))) = ready.pop() {
            out.push(id);
            for next in self.inner.neighbors(id) {
                waiting[next.index()] -= 1;
                if waiting[next.index()] == 0 {
                    ready.push(Reverse((rank[next.index()], next)));
                }
            }
        }
        out
    }

    /// Declarations that this one comes directly after, through locals, variables, outputs and connections, but not through
    /// phases; and the calls of modules that are rolled out as a whole. In order.
    #[must_use]
    pub fn prerequisites(&self, declaration: &Declaration) -> Vec<Declaration> {
        let Some(start) = self.declaration(declaration) else { return Vec::new() };
        let mut out = std::collections::BTreeSet::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut todo = vec![start];
        while let Some(id) = todo.pop() {
            for before in self.inner.neighbors_directed(id, petgraph::Incoming) {
                match &self.inner[before] {
                    Node::Declaration(d) => {
                        out.insert(d.clone());
                    }
                    Node::PhaseStart(_) | Node::PhaseApplied(_) | Node::PhaseEnd(_) => {}
                    end @ Node::CallEnd(_) if seen.insert(before) => {
                        out.extend(end.unit().filter(|call| self.rollouts.contains_key(call)));
                        todo.push(before);
                    }
                    _ if seen.insert(before) => todo.push(before),
                    _ => {}
                }
            }
        }
        out.into_iter().collect()
    }
}
