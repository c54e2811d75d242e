//! Syntax trees to the blocks of [`crate::lang::configuration`], each held against its schema.
//!
//! Called by the loader with the trees of one folder. It resolves no references: what an expression names is looked up
//! when the whole configuration is there.

mod call;
mod gates;
mod plain;
mod plan;
mod refactoring;
mod resource;
mod rollout;
mod values;

use crate::{
    base::{Diagnostic, Diagnostics, Span},
    lang::{
        ast::{Block, Body},
        builtin,
        check::{ANYTHING, Checked, check, check_labels},
        configuration::{Connection, Environment, Fixture, Module, Phase, Resource},
        schema::{BlockSchema, NestedSchema, Role, Schema},
        suggest,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// What only a root may hold.
#[derive(Debug, Default)]
pub(crate) struct Root {
    pub(crate) plan: Option<Plan>,
    pub(crate) environments: BTreeMap<Arc<str>, Environment>,
    pub(crate) phases: BTreeMap<Arc<str>, Phase>,
    pub(crate) kubernetes: BTreeMap<Arc<str>, Connection>,
    pub(crate) aws: BTreeMap<Arc<str>, Connection>,
    pub(crate) fixtures: BTreeMap<(Arc<str>, Arc<str>), Fixture>,
}

/// The `plan` block.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) label: Arc<str>,
    pub(crate) description: Option<String>,
    pub(crate) requires_terrace: Option<(String, Span)>,
    pub(crate) span: Span,
}

/// Loads what a `module` block names; `None` where it cannot be, which was said.
pub(crate) type LoadModule<'a> = dyn FnMut(&str, &Span, &mut Diagnostics) -> Option<Arc<Module>> + 'a;

/// Decodes the files of one folder.
pub(crate) struct Decoder<'a> {
    pub(crate) schema: &'static Schema,
    pub(crate) is_root: bool,
    pub(crate) diagnostics: &'a mut Diagnostics,
    pub(crate) load: &'a mut LoadModule<'a>,
    pub(crate) module: Module,
    pub(crate) root: Root,
    /// Names that are declared, but not as they should be: references to them are not complained about.
    pub(crate) unsure: std::collections::BTreeSet<(Arc<str>, Arc<str>)>,
    /// Where each local is declared.
    local_spans: BTreeMap<Arc<str>, Span>,
}

impl<'a> Decoder<'a> {
    /// A decoder for a folder.
    pub(crate) fn new(
        schema: &'static Schema,
        folder: &Arc<str>,
        is_root: bool,
        diagnostics: &'a mut Diagnostics,
        load: &'a mut LoadModule<'a>,
    ) -> Self {
        let module = Module { folder: folder.clone(), ..Module::default() };
        Self {
            schema,
            is_root,
            diagnostics,
            load,
            module,
            root: Root::default(),
            unsure: std::collections::BTreeSet::new(),
            local_spans: BTreeMap::new(),
        }
    }

    /// Decodes the content of one file.
    pub(crate) fn file(&mut self, body: &Body) {
        for (name, attribute) in &body.attributes {
            self.diagnostics.push(
                Diagnostic::error("unknown_attribute", format!("`{name}` stands outside of any block"))
                    .at(&attribute.name_span, "")
                    .hint("names for values go into a `locals` block; values of variables into environments/NAME.toml"),
            );
        }
        for block in &body.blocks {
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block) {
        let kind = &*block.kind;
        if !self.is_root
            && matches!(kind, "plan" | "environment" | "phase" | "kubernetes" | "aws" | "prometheus" | "notify")
        {
            let hint = match kind {
                "phase" => {
                    "name it as in phase = phase.NAME; whoever calls the module says phases = { NAME = phase.x }"
                }
                "kubernetes" | "aws" => "the module has its caller's connection, or the one that the caller passes",
                _ => "declare it in the plan that calls the module",
            };
            self.diagnostics.push(
                Diagnostic::error("not_in_module", format!("a module declares no `{kind}`"))
                    .at(&block.header, "")
                    .because("a module is used from several plans, and whoever uses it decides where it runs")
                    .hint(hint),
            );
            return;
        }
        match kind {
            "plan" => self.plan(block),
            "environment" => self.environment(block),
            "phase" => self.phase(block),
            "kubernetes" | "aws" => self.connection(block),
            "prometheus" => self.fixture(block, &builtin::PROMETHEUS),
            "notify" => self.fixture(block, &builtin::NOTIFY),
            "variable" => self.variable(block),
            "locals" => self.locals(block),
            "output" => self.output(block),
            "module" => self.call(block),
            "moved" => self.moved(block),
            "import" => self.import(block),
            "removed" => self.removed(block),
            "data" => self.data(block),
            _ => match self.schema.kind(kind) {
                Some(kind) => self.resource(block, kind),
                None => self.unknown(block),
            },
        }
    }

    fn data(&mut self, block: &Block) {
        let Some((name, at)) = block.labels.first() else {
            check_labels(block, 2, self.diagnostics);
            return;
        };
        if let Some(kind) = self.schema.data(name) {
            return self.resource(block, kind);
        }
        let mut diagnostic = Diagnostic::error("unknown_kind", format!("there is no data source `{name}`")).at(at, "");
        let known = self.schema.kinds.iter().filter(|k| k.role == Role::Data).map(|k| k.name);
        diagnostic.hint = suggest::hint(name, known);
        self.diagnostics.push(diagnostic);
        if let Some((label, _)) = block.labels.get(1) {
            self.unsure.insert((format!("data.{name}").into(), label.clone()));
        }
    }

    fn unknown(&mut self, block: &Block) {
        let kind = &block.kind;
        let mut diagnostic =
            Diagnostic::error("unknown_kind", format!("there is no block `{kind}`")).at(&block.header, "");
        diagnostic.hint = match &**kind {
            "resource" => Some(
                "leave `resource` out: the kind is the block's first word, as in stack \"network\" { ... }".to_owned(),
            ),
            "provider" => Some("write a connection: aws \"NAME\" { ... } or kubernetes \"NAME\" { ... }".to_owned()),
            "terraform" => {
                Some("`terrace.toml` holds the project's settings, `plan \"NAME\" {}` the plan's".to_owned())
            }
            _ => {
                let known = self.schema.kinds.iter().filter(|k| k.role != Role::Data).map(|k| k.name);
                let own = builtin::TOP.iter().map(|(name, ..)| *name);
                suggest::hint(kind, known.chain(own).chain(["locals", "data"]))
            }
        };
        self.diagnostics.push(diagnostic);
        if let Some((label, _)) = block.labels.first() {
            self.unsure.insert((kind.clone(), label.clone()));
        }
    }

    /// Checks labels and content, and gives the label. `None` where there is none.
    fn labelled(&mut self, block: &Block, schema: &BlockSchema) -> Option<(Arc<str>, Span)> {
        self.check_but_verify(block, schema);
        if !check_labels(block, 1, self.diagnostics) && block.labels.is_empty() {
            return None;
        }
        let (name, at) = block.labels.first()?;
        self.check_name(name, at);
        Some((name.clone(), block.header.clone()))
    }

    /// Checks content, `verify` blocks aside: those are checked with their probes where they are decoded.
    fn check_but_verify(&mut self, block: &Block, schema: &BlockSchema) {
        if std::ptr::eq(schema, &raw const ANYTHING) {
            return;
        }
        let unchecked = |nested: &NestedSchema| match nested.name {
            "verify" => NestedSchema { block: &ANYTHING, ..*nested },
            _ => *nested,
        };
        let blocks: Vec<NestedSchema> = schema.blocks.iter().map(unchecked).collect();
        let schema = BlockSchema { blocks: &[], ..*schema };
        check(Checked { blocks: &blocks, ..Checked::block(block) }, &schema, self.diagnostics);
    }

    /// A label is a word, since references name it.
    fn check_name(&mut self, name: &str, at: &Span) {
        use crate::lang::lex::{continues_name, starts_name};
        if !name.starts_with(starts_name) || !name.chars().all(continues_name) {
            self.diagnostics.push(
                Diagnostic::error("wrong_name", format!("`{name}` is no name"))
                    .at(at, "")
                    .because("references name it: it begins with a letter, and holds letters, digits, `_` and `-`"),
            );
        }
    }

    /// Says that something is declared twice.
    fn duplicate(&mut self, what: &str, first: &Span, second: &Span) {
        self.diagnostics.push(
            Diagnostic::error("duplicate", format!("{what} is declared twice"))
                .at(second, "again here")
                .at(first, "first here")
                .hint("give one of them another name"),
        );
    }

    /// Remembers a resource, unless there is one of its name.
    fn insert(&mut self, resource: Resource) {
        let key = (resource.kind.clone(), resource.name.clone());
        if let Some(first) = self.module.resources.get(&key) {
            let first = first.span.clone();
            self.duplicate(&format!("`{}.{}`", key.0, key.1), &first, &resource.span);
            return;
        }
        self.module.resources.insert(key, resource);
    }
}
