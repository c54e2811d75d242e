//! Attributes whose value must stand in the file, since it is needed before anything can be evaluated.

use super::Decoder;
use crate::{
    base::{Diagnostic, Value, parse_duration},
    lang::{
        ast::{Body, Expr, Node},
        configuration::PhaseRef,
        literal::literal,
    },
};
use std::time::Duration;

impl Decoder<'_> {
    /// The value of an attribute; an expression is refused.
    pub(super) fn plain(&mut self, body: &Body, name: &str) -> Option<Value> {
        let expr = &body.attributes.get(name)?.expr;
        let value = literal(expr);
        if value.is_none() {
            self.not_plain(name, expr);
        }
        value.filter(|v| !v.is_null())
    }

    pub(super) fn not_plain(&mut self, name: &str, expr: &Expr) {
        self.diagnostics.push(
            Diagnostic::error("not_literal", format!("`{name}` is a plain value, without references or functions"))
                .at(&expr.span, "")
                .because("it is read before anything is evaluated"),
        );
    }

    pub(super) fn plain_string(&mut self, body: &Body, name: &str) -> Option<String> {
        let value = self.plain(body, name)?;
        value.as_str().map(str::to_owned).or_else(|| value.to_json().map(|json| json.to_string()))
    }

    pub(super) fn plain_bool(&mut self, body: &Body, name: &str) -> Option<bool> {
        let value = self.plain(body, name)?;
        value.as_bool().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    }

    pub(super) fn plain_duration(&mut self, body: &Body, name: &str) -> Option<Duration> {
        // What is no duration was said when the block was held against its schema.
        self.plain(body, name)?.as_str().and_then(|text| parse_duration(text).ok())
    }

    /// A whole number from 0 on.
    pub(super) fn plain_count(&mut self, body: &Body, name: &str) -> Option<u32> {
        let value = self.plain(body, name)?;
        let count = value.as_i64().and_then(|n| u32::try_from(n).ok());
        if count.is_none()
            && let Some(attribute) = body.attributes.get(name)
        {
            self.diagnostics.push(
                Diagnostic::error("wrong_value", format!("`{name}` is a whole number from 0 on"))
                    .at(&attribute.expr.span, ""),
            );
        }
        count
    }

    /// `phase.NAME`.
    pub(super) fn phase_ref(&mut self, expr: &Expr) -> Option<PhaseRef> {
        if let Node::Attribute(of, name) = &expr.node
            && matches!(&of.node, Node::Name(first) if &**first == "phase")
        {
            return Some(PhaseRef { name: name.clone(), span: expr.span.clone() });
        }
        let hint = literal(expr)
            .and_then(|value| value.as_str().map(|name| format!("write phase.{name}")))
            .unwrap_or_else(|| "write phase.NAME".to_owned());
        self.diagnostics.push(
            Diagnostic::error("wrong_type", "this names no phase")
                .at(&expr.span, "")
                .because("phases make the order of the plan, so they are written and not computed")
                .hint(hint),
        );
        None
    }

    /// The elements of a list that is written as one.
    pub(super) fn elements<'e>(&mut self, body: &'e Body, name: &str) -> &'e [Expr] {
        let Some(attribute) = body.attributes.get(name) else { return &[] };
        if let Node::Tuple(elements) = &attribute.expr.node {
            return elements;
        }
        self.diagnostics.push(
            Diagnostic::error("wrong_type", format!("`{name}` is a list"))
                .at(&attribute.expr.span, "")
                .hint(format!("write {name} = [ ... ]")),
        );
        &[]
    }
}
