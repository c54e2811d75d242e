//! What plan files say, decoded and checked, before anything is evaluated.

use crate::{
    base::{Address, SourceMap, Span},
    lang::{
        ast::{Block, Body, Expr},
        gates::Gates,
        schema::Role,
        types::Type,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A plan: its root module and what only a root may hold.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The plan's label, unique in the project.
    pub label: Arc<str>,
    /// Its description.
    pub description: Option<String>,
    /// The version constraint on terrace.
    pub requires_terrace: Option<(String, Span)>,
    /// The plan's folder, relative to the project.
    pub folder: Arc<str>,
    /// Environments by name.
    pub environments: BTreeMap<Arc<str>, Environment>,
    /// Phases in an order that respects `after`; where none is declared, one implicit phase named `main`.
    pub phases: Vec<Phase>,
    /// `kubernetes` blocks by name.
    pub kubernetes: BTreeMap<Arc<str>, Connection>,
    /// `aws "name"` blocks by name.
    pub aws: BTreeMap<Arc<str>, Connection>,
    /// `prometheus` blocks and whatever else is only read by kinds, by (kind, name).
    pub fixtures: BTreeMap<(Arc<str>, Arc<str>), Fixture>,
    /// The root module.
    pub root: Arc<Module>,
    /// Every file that was read, for excerpts.
    pub sources: SourceMap,
}

/// An `environment` block: literals only.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is declared.
    pub span: Span,
    /// What it is promoted from.
    pub after: Vec<Arc<str>>,
    /// Exactly one world.
    pub world: WorldBlock,
    /// Rule 23.
    pub protected: bool,
    /// What a release must have behind it, and when it may come.
    pub gates: Gates,
    /// `ttl`: idle this long, `terrace reap` destroys it.
    pub ttl: Option<Duration>,
}

/// The world an environment declares (rule 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldBlock {
    /// `aws {}`.
    Aws(AwsBlock),
    /// `sandbox {}`.
    Sandbox {
        /// `region`, by default `us-east-1`.
        region: String,
        /// `account_id`, by default `000000000000` (rule 3).
        account_id: String,
    },
}

/// The literals of an `aws {}` block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AwsBlock {
    /// The region.
    pub region: String,
    /// The account.
    pub account_id: Option<String>,
    /// Another endpoint.
    pub endpoint_url: Option<String>,
    /// A profile.
    pub profile: Option<String>,
    /// The bucket for templates.
    pub template_bucket: Option<String>,
    /// `assume_role {}` and `ci_role_arn`, as written.
    pub rest: BTreeMap<Arc<str>, serde_json::Value>,
}

/// A `phase` block.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is declared; `None` for the implicit one.
    pub span: Option<Span>,
    /// Its description.
    pub description: Option<String>,
    /// Phases that must have passed.
    pub after: Vec<(Arc<str>, Span)>,
    /// What happens when something in it fails (rule 17).
    pub on_failure: OnFailure,
    /// Its gate.
    pub verify: Vec<Verify>,
}

/// What happens when something in a phase fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Independent branches go on, then the run ends.
    #[default]
    Halt,
    /// What this run did in the phase is undone.
    Rollback,
}

/// A `kubernetes` or `aws` block; its expressions are evaluated when it is needed.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its name.
    pub name: Arc<str>,
    /// Where.
    pub span: Span,
    /// `for_each`.
    pub for_each: Option<Expr>,
    /// Its content, checked against the connection's schema.
    pub body: Body,
}

/// A block that is only referred to: `prometheus`.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Its kind.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Where.
    pub span: Span,
    /// Its phase, where it says one.
    pub phase: Option<PhaseRef>,
    /// Its content.
    pub body: Body,
}

/// A module: a folder of files.
#[derive(Debug, Clone, Default)]
pub struct Module {
    /// Its folder, relative to the project.
    pub folder: Arc<str>,
    /// `variable` blocks.
    pub variables: BTreeMap<Arc<str>, Variable>,
    /// Entries of `locals` blocks.
    pub locals: BTreeMap<Arc<str>, Expr>,
    /// `output` blocks.
    pub outputs: BTreeMap<Arc<str>, Output>,
    /// Resources, data sources and checks by (kind as in an address, name): `("stack", "network")`, `("data.secret", "x")`.
    pub resources: BTreeMap<(Arc<str>, Arc<str>), Resource>,
    /// `module` blocks.
    pub calls: BTreeMap<Arc<str>, Call>,
    /// `moved` blocks.
    pub moved: Vec<Moved>,
    /// `import` blocks.
    pub imports: Vec<Import>,
    /// `removed` blocks.
    pub removed: Vec<Removed>,
}

/// A `variable` block.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: Arc<str>,
    /// Where.
    pub span: Span,
    /// Its type; any where none is written.
    pub ty: Type,
    /// Its default.
    pub default: Option<Expr>,
    /// Its description.
    pub description: Option<String>,
    /// Marked sensitive.
    pub sensitive: bool,
    /// `nullable`, by default true.
    pub nullable: bool,
    /// `validation` blocks.
    pub validations: Vec<Condition>,
}

/// A condition with a message: `validation`, `precondition`, `postcondition`.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What must hold.
    pub condition: Expr,
    /// What is said where not.
    pub error_message: Expr,
    /// Where.
    pub span: Span,
}

/// An `output` block.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name.
    pub name: Arc<str>,
    /// Where.
    pub span: Span,
    /// Its value.
    pub value: Expr,
    /// Its description.
    pub description: Option<String>,
    /// Marked sensitive; an output of a sensitive value must be.
    pub sensitive: bool,
}

/// How a resource names its phase.
#[derive(Debug, Clone)]
pub struct PhaseRef {
    /// The phase's name as the module sees it (`phase.storage`).
    pub name: Arc<str>,
    /// Where it is written.
    pub span: Span,
}

/// A resource, data source or check.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The kind as in an address: `stack`, `data.secret`, `check`.
    pub kind: Arc<str>,
    /// Its label.
    pub name: Arc<str>,
    /// Managed, data or check.
    pub role: Role,
    /// The header.
    pub span: Span,
    /// What is written in it, meta-arguments taken out; `dynamic` blocks still in place.
    pub body: Body,
    /// `for_each`.
    pub for_each: Option<Expr>,
    /// `when`.
    pub when: Option<Expr>,
    /// `depends_on`, each as written.
    pub depends_on: Vec<Expr>,
    /// `phase`.
    pub phase: Option<PhaseRef>,
    /// `controls`.
    pub controls: Option<Expr>,
    /// `aws = aws.dr` or `kubernetes = kubernetes.main`.
    pub connection: Option<Expr>,
    /// `lifecycle`.
    pub lifecycle: Lifecycle,
    /// `verify` blocks.
    pub verify: Vec<Verify>,
    /// `timeouts`: `create`, `update`, `delete`, `read`.
    pub timeouts: BTreeMap<Arc<str>, Duration>,
    /// `rollout`, read only as far as its strategy asks (rule: verify and backend only under a strategy that uses them).
    pub rollout: Option<Rollout>,
}

/// A `rollout` block.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// `strategy`; `rolling` where it is not written.
    pub strategy: Option<Expr>,
    /// All of it, as written and schema-checked.
    pub block: Block,
    /// What is measured at each step and while it bakes.
    pub verify: Vec<Verify>,
}

/// A `lifecycle` block.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Refuses what would destroy it.
    pub prevent_destroy: bool,
    /// Paths of inputs that are left as they are; `["*"]` for `all`.
    pub ignore_changes: Vec<String>,
    /// References whose change replaces it.
    pub replace_triggered_by: Vec<Expr>,
    /// Replacement makes the new one first.
    pub create_before_destroy: bool,
    /// Checked before.
    pub preconditions: Vec<Condition>,
    /// Checked after.
    pub postconditions: Vec<Condition>,
}

/// A `verify` block (rule 20).
#[derive(Debug, Clone)]
pub struct Verify {
    /// Its label.
    pub name: Arc<str>,
    /// Where.
    pub span: Span,
    /// The one probe in it: `http`, `pods`, ...
    pub probe: Block,
    /// Between tries; 5 s.
    pub every: Duration,
    /// In all; 5 min.
    pub within: Duration,
    /// How many passes in a row; 1.
    pub consecutive: u32,
    /// Counts in rollouts only; 0.
    pub failure_limit: u32,
    /// How many measurements in all, where that is said; counts in rollouts only.
    pub count: Option<u32>,
    /// Before the first measurement; none. In rollouts only.
    pub initial_delay: Duration,
    /// How many inconclusive measurements are borne; 0. In rollouts only.
    pub inconclusive_limit: u32,
    /// How many measurements in a row may fail to be made; 4. In rollouts only.
    pub error_limit: u32,
    /// Measured and told, without a say. In rollouts only.
    pub dry_run: bool,
    /// Controls that it proves; none in rollouts.
    pub controls: Vec<String>,
}

/// How many measurements in a row may fail to be made where nothing else is said, as in Argo Rollouts.
pub const DEFAULT_ERROR_LIMIT: u32 = 4;

/// A `module` block.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its label.
    pub name: Arc<str>,
    /// Where.
    pub span: Span,
    /// What it calls.
    pub module: Arc<Module>,
    /// `for_each`.
    pub for_each: Option<Expr>,
    /// `when`.
    pub when: Option<Expr>,
    /// `depends_on`.
    pub depends_on: Vec<Expr>,
    /// `phase`: for what says none inside.
    pub phase: Option<PhaseRef>,
    /// `phases`: names inside to phases outside.
    pub phases: BTreeMap<Arc<str>, PhaseRef>,
    /// `kubernetes` and `aws` arguments.
    pub connections: BTreeMap<Arc<str>, Expr>,
    /// The variables' values.
    pub arguments: BTreeMap<Arc<str>, Expr>,
    /// `rollout` (rule 38).
    pub rollout: Option<Rollout>,
}

/// A `moved` block.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The former address, relative to the module it is written in; a module's address is allowed.
    pub from: MoveEnd,
    /// The new one.
    pub to: MoveEnd,
    /// Where.
    pub span: Span,
}

/// One end of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveEnd {
    /// A resource, with or without a key.
    Resource(Address),
    /// A module call: `module.a` or `module.a["k"]`.
    Module(String),
}

/// An `import` block.
#[derive(Debug, Clone)]
pub struct Import {
    /// What it becomes.
    pub to: Address,
    /// The physical id.
    pub id: Expr,
    /// Where.
    pub span: Span,
}

/// A `removed` block.
#[derive(Debug, Clone)]
pub struct Removed {
    /// What is let go of.
    pub from: Address,
    /// Where.
    pub span: Span,
}

/// A declaration in the tree of module calls, without any instance keys: the unit of the dependency graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Declaration {
    /// Names of module calls, outermost first.
    pub path: Vec<Arc<str>>,
    /// The kind as in an address.
    pub kind: Arc<str>,
    /// The label.
    pub name: Arc<str>,
}

impl Declaration {
    /// True for a call of a module as a whole, which is no node of the graph: what a rollout may roll out.
    #[must_use]
    pub fn is_call(&self) -> bool {
        &*self.kind == Address::CALL
    }

    /// True for the call of a module that another declaration lies in.
    #[must_use]
    pub fn calls(&self, other: &Self) -> bool {
        self.is_call() && other.path.strip_prefix(&*self.path).is_some_and(|inner| inner.first() == Some(&self.name))
    }
}

impl Configuration {
    /// Calls of modules that have a `rollout` block, wherever they are written.
    #[must_use]
    pub fn rolled_out_calls(&self) -> Vec<(Declaration, &Call, &Rollout)> {
        let mut found = Vec::new();
        let mut todo: Vec<(Vec<Arc<str>>, &Module)> = vec![(Vec::new(), &self.root)];
        while let Some((path, module)) = todo.pop() {
            for call in module.calls.values() {
                if let Some(rollout) = &call.rollout {
                    let kind = Address::CALL.into();
                    found.push((Declaration { path: path.clone(), kind, name: call.name.clone() }, call, rollout));
                }
                todo.push((path.iter().chain([&call.name]).cloned().collect(), &call.module));
            }
        }
        found
    }

    /// The `rollout` block of a resource, or of a module call.
    #[must_use]
    pub fn rollout(&self, declaration: &Declaration) -> Option<&Rollout> {
        if declaration.is_call() {
            return self.module(&declaration.path)?.calls.get(&declaration.name)?.rollout.as_ref();
        }
        self.resource(declaration)?.rollout.as_ref()
    }

    /// True where there is a block of it: a resource's, or a module's call.
    #[must_use]
    pub fn declares(&self, declaration: &Declaration) -> bool {
        if declaration.is_call() {
            return self.module(&declaration.path).is_some_and(|module| module.calls.contains_key(&declaration.name));
        }
        self.resource(declaration).is_some()
    }

    /// The module at a path of call names.
    #[must_use]
    pub fn module(&self, path: &[Arc<str>]) -> Option<&Arc<Module>> {
        path.iter().try_fold(&self.root, |module, name| module.calls.get(name).map(|call| &call.module))
    }

    /// The resource of a declaration.
    #[must_use]
    pub fn resource(&self, declaration: &Declaration) -> Option<&Resource> {
        self.module(&declaration.path)?.resources.get(&(declaration.kind.clone(), declaration.name.clone()))
    }

    /// Every declaration in the tree of calls, in order.
    #[must_use]
    pub fn declarations(&self) -> Vec<Declaration> {
        fn visit(module: &Module, path: &mut Vec<Arc<str>>, out: &mut Vec<Declaration>) {
            out.extend(module.resources.keys().map(|(kind, name)| Declaration {
                path: path.clone(),
                kind: kind.clone(),
                name: name.clone(),
            }));
            for call in module.calls.values() {
                path.push(call.name.clone());
                visit(&call.module, path, out);
                path.pop();
            }
        }
        let mut out = Vec::new();
        visit(&self.root, &mut Vec::new(), &mut out);
        out
    }
}

impl From<&Address> for Declaration {
    fn from(address: &Address) -> Self {
        Self {
            path: address.module().iter().map(|s| s.name.clone()).collect(),
            kind: address.kind().into(),
            name: address.name().into(),
        }
    }
}

impl Configuration {
    /// The connection block of a kind that serves where none is named: the only one, else the one named `default` (rule 6).
    #[must_use]
    pub fn default_connection(&self, kind: &str) -> Option<Arc<str>> {
        let table = match kind {
            "kubernetes" => &self.kubernetes,
            "aws" => &self.aws,
            _ => return None,
        };
        match table.len() {
            1 => table.keys().next().cloned(),
            _ => table.get_key_value("default").map(|(name, _)| name.clone()),
        }
    }

    /// What `removed` blocks let go of, as whole addresses.
    #[must_use]
    pub fn removed(&self) -> Vec<Address> {
        fn visit(module: &Module, path: &mut Vec<crate::base::ModuleStep>, out: &mut Vec<Address>) {
            for removed in &module.removed {
                let from = &removed.from;
                let steps = path.iter().chain(from.module()).cloned().collect();
                out.push(Address::new(steps, from.kind(), from.name(), from.key().cloned()));
            }
            for call in module.calls.values() {
                path.push(crate::base::ModuleStep::new(call.name.clone(), None));
                visit(&call.module, path, out);
                path.pop();
            }
        }
        let mut out = Vec::new();
        visit(&self.root, &mut Vec::new(), &mut out);
        out
    }
}
