//! Expressions to values, for a whole plan: the [`Evaluator`].
//!
//! The plan's builder makes one for an environment, asks it for the instances of each declaration and for the inputs of
//! each instance, and tells it with [`Evaluator::set`] what each instance is or will be; references of others read that.
//! Locals, module variables and outputs are computed when first needed and kept until something they depend on changes.
//!
//! It reads files only through [`Sources`], takes the time as a value, and knows nothing of what kinds do.

mod body;
mod call;
mod expression;
mod failure;
mod instances;
mod iterate;
mod memo;
mod modules;
mod operators;
mod references;
mod resource;
mod scope;
mod template;
#[cfg(test)]
mod tests;
mod variables;

pub(in crate::lang) use operators::equal;

use self::{
    failure::{Failure, Outcome},
    memo::{Item, Memo},
    scope::{Frame, Scope, ScopeId},
};
use crate::{
    base::{
        Address, Color, Data, Diagnostic, Diagnostics, Key, MappingKind, ModulePath, ModuleStep, Path, Span, Value,
    },
    lang::{Configuration, Sources, ast::Expr, builtin, configuration::Verify, schema::Schema},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The environment as expressions see it: `env.name`, `env.region`, `env.account_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvValues {
    /// The environment's name.
    pub name: Arc<str>,
    /// The region of its world.
    pub region: Arc<str>,
    /// The declared account (rule 3).
    pub account_id: Arc<str>,
}

/// What an evaluation is made with.
#[derive(Debug, Clone)]
pub struct Given {
    /// The environment.
    pub env: EnvValues,
    /// The root's variables, merged by precedence, as they were given: texts from a command line or the process's
    /// environment are read as expressions where the type asks for a list, map or object.
    pub variables: BTreeMap<Arc<str>, Value>,
    /// What `timestamp()` and `plantimestamp()` return.
    pub plan_time: jiff::Timestamp,
}

/// The instances of one declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// Those that are there, in order of module instance and key.
    pub instances: Vec<Address>,
    /// Those that are not, since `when` is false. Inside a module that is off, only what has no `for_each`.
    pub off: Vec<Address>,
    /// Those of which it is not yet known.
    pub unknown: Vec<UnknownInstances>,
}

/// Instances that are not yet known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownInstances {
    /// With the key `*` where the keys are not known; a whole address where only `when` is not.
    pub pattern: Address,
    /// What has to be known first.
    pub waits_for: Vec<Address>,
}

/// Where each input is written, by its path. The innermost written place of a path is that of its longest prefix here.
pub type InputPlaces = BTreeMap<Path, Span>;

/// A connection that is named, or follows from rule 6.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionRef {
    /// `kubernetes` or `aws`.
    pub kind: Arc<str>,
    /// The block's label.
    pub name: Arc<str>,
    /// The key, where the block has `for_each`.
    pub key: Option<Key>,
}

/// One instance's declaration, evaluated.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// An object of what is written and not null: attributes, single nested blocks as objects, repeated ones as tuples,
    /// labelled ones as objects by label.
    pub inputs: Value,
    /// Where each input is written.
    pub places: InputPlaces,
    /// `controls`.
    pub controls: Vec<String>,
    /// Its connection; `None` for the environment's own, and for kinds that take none.
    pub connection: Option<ConnectionRef>,
    /// The instances that its inputs were computed from, patterns included, in order.
    pub references: Vec<Address>,
}

impl Evaluated {
    /// Where an input is written, or what holds it.
    #[must_use]
    pub fn place(&self, path: &Path) -> Option<&Span> {
        (0..=path.0.len()).rev().find_map(|n| self.places.get(&Path(path.0[..n].to_vec())))
    }
}

/// Which conditions of a `lifecycle` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// `precondition` blocks.
    Before,
    /// `postcondition` blocks, in which `self` is what the instance turned out to be.
    After,
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCondition {
    /// Its `error_message`.
    pub message: String,
    /// The condition.
    pub span: Span,
}

/// Evaluates one plan for one environment.
pub struct Evaluator {
    configuration: Arc<Configuration>,
    env: Value,
    plan_time: jiff::Timestamp,
    variables: BTreeMap<Arc<str>, Value>,
    sources: Arc<dyn Sources>,
    schema: &'static Schema,
    scopes: Vec<Arc<Scope>>,
    scope_ids: HashMap<ModulePath, ScopeId>,
    memo: Memo,
    attributes: HashMap<Address, Value>,
    /// Which colour of a call is meant, where a rollout rolls it out as a whole.
    colors: HashMap<Address, Color>,
    depth: usize,
}

impl Evaluator {
    /// An evaluator for a configuration and an environment. Converts and validates the root's variables; all that is
    /// wrong with them is returned at once, and a variable that is wrong reads as unknown.
    pub fn new(
        configuration: Arc<Configuration>,
        given: Given,
        sources: Arc<dyn Sources>,
        schema: &'static Schema,
    ) -> (Self, Diagnostics) {
        let root = Scope { path: Vec::new(), module: configuration.root.clone(), caller: None };
        let env = Value::object([
            ("name", Value::string(given.env.name)),
            ("region", Value::string(given.env.region)),
            ("account_id", Value::string(given.env.account_id)),
        ]);
        let mut evaluator = Self {
            configuration,
            env,
            plan_time: given.plan_time,
            variables: BTreeMap::new(),
            sources,
            schema,
            scopes: vec![Arc::new(root)],
            scope_ids: [(Vec::new(), ScopeId(0))].into(),
            memo: Memo::default(),
            attributes: HashMap::new(),
            colors: HashMap::new(),
            depth: 0,
        };
        let mut diagnostics = evaluator.take_root_variables(&given.variables);
        diagnostics.normalize();
        (evaluator, diagnostics)
    }

    /// Says what an instance is, or will be: its inputs and what it exports, with unknown leaves where those are not yet
    /// known. Whatever was computed from what it was before is computed again when it is next needed.
    pub fn set(&mut self, address: &Address, attributes: Value) {
        self.attributes.insert(address.clone(), attributes.clone());
        self.memo.forget(&Item::Attributes(address.clone()));
        let Some(scope) = self.scope_ids.get(address.module()).copied() else { return };
        let Some(key) = address.key().cloned() else { return };
        let whole = Item::Collected(scope, address.kind().into(), address.name().into());
        self.memo.patch(&whole, |value| {
            let Data::Mapping(_, entries) = value.data() else { return };
            if !entries.contains_key(&key) {
                return;
            }
            let Data::Mapping(kind, mut entries) = std::mem::replace(value, Value::NULL).into_data() else { return };
            Arc::make_mut(&mut entries).insert(key, attributes);
            *value = Data::Mapping(kind, entries).into();
        });
        self.memo.forget(&whole);
    }

    /// Says which colour of a module call is meant from now on, by whatever is in it and whatever refers to its outputs. To be said
    /// before the call is expanded.
    pub fn paint(&mut self, call: Address, color: Color) {
        self.colors.insert(call, color);
    }

    /// What an instance was set to.
    pub fn get(&self, address: &Address) -> Option<&Value> {
        self.attributes.get(address)
    }

    /// The value of an output of the root.
    ///
    /// # Errors
    /// What is wrong with its expression; a sensitive value where the output is not declared so.
    pub fn output(&mut self, name: &str) -> Result<Value, Diagnostics> {
        self.top(|e| {
            let name: Arc<str> = name.into();
            let value = e.output_value(ScopeId(0), &name, None)?;
            if let Some(output) = e.configuration.root.outputs.get(&name)
                && value.has_sensitive()
                && !output.sensitive
            {
                return Err(Diagnostic::error(
                    "sensitive_output",
                    format!("the output `{name}` holds a sensitive value"),
                )
                .at(&output.value.span, "")
                .because("it would be shown after every apply")
                .hint("write sensitive = true in the output, or nonsensitive(...) around what is no secret")
                .into());
            }
            Ok(value)
        })
    }

    /// The value of an expression as a module instance sees it: for the console, and the ids of `import` blocks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expression(&mut self, module: &[ModuleStep], expr: &Expr) -> Result<Value, Diagnostics> {
        self.top(|e| {
            let scope = e.scope_at(module)?;
            e.eval(expr, Frame::of(scope))
        })
    }

    /// A probe of a `verify` block: an object of one entry, `{ http = { ... } }`, decoded by the schema. `each` is the
    /// resource it is written in, whose `each` and `self` it sees; `None` for the gate of a phase.
    ///
    /// # Errors
    /// What is wrong with it, all at once.
    pub fn probe(
        &mut self,
        module: &[ModuleStep],
        each: Option<&Address>,
        verify: &Verify,
    ) -> Result<Value, Diagnostics> {
        self.top(|e| {
            if let Some(address) = each {
                e.within(address, |e, frame| e.probe_value(verify, frame))
            } else {
                let scope = e.scope_at(module)?;
                e.probe_value(verify, Frame::of(scope))
            }
        })
    }

    /// The body of a `kubernetes` or `aws` block as an object, for one of its keys.
    ///
    /// # Errors
    /// What is wrong with it; a block that is not there, or a key that it does not have.
    pub fn connection(&mut self, kind: &str, name: &str, key: Option<&str>) -> Result<Value, Diagnostics> {
        self.top(|e| e.connection_value(kind, name, key))
    }

    /// The body of a block that is only referred to, `prometheus`, as an object.
    ///
    /// # Errors
    /// What is wrong with it, or that it is not there.
    pub fn fixture(&mut self, kind: &str, name: &str) -> Result<Value, Diagnostics> {
        self.top(|e| e.fixture_value(kind, name))
    }

    fn fixture_value(&mut self, kind: &str, name: &str) -> Outcome<Value> {
        let configuration = self.configuration.clone();
        let found = configuration.fixtures.get(&(kind.into(), name.into()));
        let fixture = found.ok_or_else(|| no_such(kind, name))?;
        let top = builtin::TOP.iter().find(|(word, _, _)| *word == kind);
        let (_, _, schema) = top.ok_or_else(|| no_such(kind, name))?;
        let mut out = body::Gathered::default();
        let value = self.body(&fixture.body, schema, Frame::of(ScopeId(0)), &Path::default(), &mut out);
        out.failures.or(value)
    }

    /// Runs a public question: from a clean watch, with what went wrong as diagnostics.
    fn top<T>(&mut self, ask: impl FnOnce(&mut Self) -> Outcome<T>) -> Result<T, Diagnostics> {
        self.memo.watch();
        ask(self).map_err(Diagnostics::from)
    }

    fn scope(&self, scope: ScopeId) -> &Arc<Scope> {
        &self.scopes[scope.0]
    }

    /// The module instance at a path. Whether the instance exists is not asked.
    fn scope_at(&mut self, path: &[ModuleStep]) -> Outcome<ScopeId> {
        if let Some(known) = self.scope_ids.get(path) {
            return Ok(*known);
        }
        let Some((last, before)) = path.split_last() else { return Ok(ScopeId(0)) };
        let parent = self.scope_at(before)?;
        let call = self.scope(parent).module.calls.get(&last.name).map(|c| c.module.clone());
        let module = call.ok_or_else(|| no_such("module", &last.name))?;
        let id = ScopeId(self.scopes.len());
        let caller = Some((parent, last.name.clone(), last.key.clone()));
        self.scopes.push(Arc::new(Scope { path: path.to_vec(), module, caller }));
        self.scope_ids.insert(path.to_vec(), id);
        Ok(id)
    }
}

fn no_such(kind: &str, name: &str) -> Failure {
    Diagnostic::error("unknown_reference", format!("there is no {kind}.{name}")).into()
}

/// An object of entries.
fn object(entries: BTreeMap<Arc<str>, Value>) -> Value {
    Data::Mapping(MappingKind::Object, Arc::new(entries)).into()
}
