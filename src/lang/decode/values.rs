//! `variable`, `locals` and `output`.

use super::Decoder;
use crate::{
    base::Diagnostic,
    lang::{
        ast::Block,
        builtin,
        configuration::{Condition, Output, Variable},
        references::references,
        types::Type,
    },
};

impl Decoder<'_> {
    pub(super) fn variable(&mut self, block: &Block) {
        let Some((name, span)) = self.labelled(block, &builtin::VARIABLE) else { return };
        if builtin::RESERVED_VARIABLES.contains(&&*name) {
            self.diagnostics.push(
                Diagnostic::error("reserved_name", format!("a variable cannot be called `{name}`"))
                    .at(&span, "")
                    .because("in a `module` block that name means something else"),
            );
        }
        let body = &block.body;
        let ty = match body.attributes.get("type").map(|a| Type::from_expr(&a.expr)) {
            Some(Ok(ty)) => ty,
            Some(Err(found)) => {
                self.diagnostics.extend(found);
                Type::Any
            }
            None => Type::Any,
        };
        let default = body.attributes.get("default").map(|a| a.expr.clone());
        for reference in default.iter().flat_map(references) {
            self.diagnostics.push(
                Diagnostic::error("not_literal", "a default refers to nothing else")
                    .at(&reference.span, "")
                    .because("variables have their values before anything else is evaluated")
                    .hint("let the default be null, and choose in a local with coalesce(var.x, ...)"),
            );
        }
        let variable = Variable {
            name: name.clone(),
            span: span.clone(),
            ty,
            default,
            description: self.plain_string(body, "description"),
            sensitive: self.plain_bool(body, "sensitive").unwrap_or(false),
            nullable: self.plain_bool(body, "nullable").unwrap_or(true),
            validations: Self::conditions(block, "validation"),
        };
        if let Some(first) = self.module.variables.get(&name) {
            let first = first.span.clone();
            return self.duplicate(&format!("the variable `{name}`"), &first, &span);
        }
        self.module.variables.insert(name, variable);
    }

    /// The conditions in blocks of a name.
    pub(super) fn conditions(block: &Block, name: &str) -> Vec<Condition> {
        let blocks = block.body.blocks.iter().filter(|b| &*b.kind == name);
        blocks
            .filter_map(|b| {
                Some(Condition {
                    condition: b.body.attributes.get("condition")?.expr.clone(),
                    error_message: b.body.attributes.get("error_message")?.expr.clone(),
                    span: b.header.clone(),
                })
            })
            .collect()
    }

    pub(super) fn locals(&mut self, block: &Block) {
        crate::lang::check::check_labels(block, 0, self.diagnostics);
        for nested in &block.body.blocks {
            self.diagnostics.push(
                Diagnostic::error("unknown_block", format!("`locals` has no block `{}`", nested.kind))
                    .at(&nested.header, "")
                    .hint(format!("to make it an object write {} = {{ ... }}", nested.kind)),
            );
        }
        for (name, attribute) in &block.body.attributes {
            if let Some(first) = self.local_spans.get(name) {
                let first = first.clone();
                self.duplicate(&format!("the local `{name}`"), &first, &attribute.name_span);
                continue;
            }
            self.local_spans.insert(name.clone(), attribute.name_span.clone());
            self.module.locals.insert(name.clone(), attribute.expr.clone());
        }
    }

    pub(super) fn output(&mut self, block: &Block) {
        let Some((name, span)) = self.labelled(block, &builtin::OUTPUT) else { return };
        let Some(value) = block.body.attributes.get("value").map(|a| a.expr.clone()) else {
            self.unsure.insert(("output".into(), name));
            return;
        };
        let output = Output {
            name: name.clone(),
            span: span.clone(),
            value,
            description: self.plain_string(&block.body, "description"),
            sensitive: self.plain_bool(&block.body, "sensitive").unwrap_or(false),
        };
        if let Some(first) = self.module.outputs.get(&name) {
            let first = first.span.clone();
            return self.duplicate(&format!("the output `{name}`"), &first, &span);
        }
        self.module.outputs.insert(name, output);
    }
}
