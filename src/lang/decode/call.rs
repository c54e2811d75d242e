//! `module` blocks: calls of modules with their arguments.

use super::Decoder;
use crate::{
    base::{Diagnostic, Span},
    lang::{
        ast::{Block, Expr, Node, ObjectKey},
        builtin,
        check::{ANYTHING, Checked, check},
        configuration::{Call, Module, PhaseRef},
        schema::NestedSchema,
        suggest,
    },
};
use std::{collections::BTreeMap, sync::Arc};

impl Decoder<'_> {
    pub(super) fn call(&mut self, block: &Block) {
        let body = &block.body;
        let meta = |name: &str| builtin::MODULE.attributes.iter().any(|a| a.name == name);
        let rollout = [NestedSchema { block: &ANYTHING, ..builtin::MODULE.blocks[0] }];
        let mut own = block.clone();
        own.body.attributes.retain(|name, _| meta(name) || &**name == "count");
        let schema = crate::lang::schema::BlockSchema { blocks: &[], ..builtin::MODULE };
        check(Checked { blocks: &rollout, ..Checked::block(&own) }, &schema, self.diagnostics);
        if !crate::lang::check::check_labels(block, 1, self.diagnostics) && block.labels.is_empty() {
            return;
        }
        let (name, at) = block.labels[0].clone();
        self.check_name(&name, &at);
        if let Some(first) = self.module.calls.get(&name) {
            let first = first.span.clone();
            return self.duplicate(&format!("the module `{name}`"), &first, &block.header);
        }
        let Some(module) = self.called(block) else {
            self.unsure.insert(("module".into(), name));
            return;
        };
        let expr = |name: &str| body.attributes.get(name).map(|a| a.expr.clone());
        let phase = expr("phase").and_then(|e| self.phase_ref(&e));
        let phases = self.phases(body.attributes.get("phases").map(|a| &a.expr));
        let arguments: BTreeMap<Arc<str>, Expr> = body
            .attributes
            .iter()
            .filter(|(name, _)| !meta(name) && &***name != "count")
            .map(|(name, attribute)| (name.clone(), attribute.expr.clone()))
            .collect();
        self.check_arguments(block, &module);
        let call = Call {
            name: name.clone(),
            span: block.header.clone(),
            for_each: expr("for_each"),
            when: expr("when"),
            depends_on: self.elements(body, "depends_on").to_vec(),
            phase,
            phases,
            connections: ["aws", "kubernetes"].into_iter().filter_map(|n| Some((n.into(), expr(n)?))).collect(),
            arguments,
            rollout: self.rollout(body),
            module,
        };
        self.module.calls.insert(name, call);
    }

    fn called(&mut self, block: &Block) -> Option<Arc<Module>> {
        let source = self.plain_string(&block.body, "source")?;
        let span: Span = block.body.attributes.get("source")?.expr.span.clone();
        if !(source.starts_with("./") || source.starts_with("../") || source == "." || source == "..") {
            let remote = source.contains("://")
                || source.contains("::")
                || source.contains('@')
                || source.split('/').next().is_some_and(|host| host.contains('.'));
            let diagnostic = if remote {
                Diagnostic::error("unsupported_source", format!("the source `{source}` is not supported yet"))
                    .because("modules are taken from folders of the project so far")
                    .hint("copy the module into the project and name its folder")
            } else {
                Diagnostic::error("unsupported_source", format!("`{source}` is no folder of the project"))
                    .hint(format!("a folder begins with ./ or ../: write \"./{}\"", source.trim_start_matches('/')))
            };
            self.diagnostics.push(diagnostic.at(&span, ""));
            return None;
        }
        (self.load)(&source, &span, self.diagnostics)
    }

    fn phases(&mut self, expr: Option<&Expr>) -> BTreeMap<Arc<str>, PhaseRef> {
        let mut phases = BTreeMap::new();
        let Some(expr) = expr else { return phases };
        let Node::Object(entries) = &expr.node else {
            self.diagnostics.push(
                Diagnostic::error("wrong_type", "`phases` is an object")
                    .at(&expr.span, "")
                    .hint("write phases = { storage = phase.foundation }"),
            );
            return phases;
        };
        for (key, value) in entries {
            let ObjectKey::Name(name) = key else {
                self.diagnostics
                    .push(Diagnostic::error("wrong_type", "the name of a phase is a plain word").at(&value.span, ""));
                continue;
            };
            if let Some(phase) = self.phase_ref(value) {
                phases.insert(name.clone(), phase);
            }
        }
        phases
    }

    fn check_arguments(&mut self, block: &Block, module: &Module) {
        let meta = |name: &str| builtin::MODULE.attributes.iter().any(|a| a.name == name);
        for (name, attribute) in block.body.attributes.iter().filter(|(n, _)| !meta(n) && &***n != "count") {
            if module.variables.contains_key(name) {
                continue;
            }
            let mut diagnostic = Diagnostic::error("unknown_attribute", format!("the module has no variable `{name}`"))
                .at(&attribute.name_span, "");
            let known = module.variables.keys().map(|n| &**n).chain(builtin::MODULE.attributes.iter().map(|a| a.name));
            diagnostic.hint = suggest::nearest(name, known).map_or_else(
                || suggest::hint(name, module.variables.keys().map(|n| &**n)),
                |near| Some(format!("did you mean `{near}`?")),
            );
            self.diagnostics.push(diagnostic);
        }
        if block.broken {
            return;
        }
        for variable in module.variables.values().filter(|v| v.default.is_none()) {
            if !block.body.attributes.contains_key(&variable.name) {
                self.diagnostics.push(
                    Diagnostic::error("missing_attribute", format!("the module needs `{}`", variable.name))
                        .at(&block.header, "")
                        .at(&variable.span, "declared here, without a default"),
                );
            }
        }
    }
}
