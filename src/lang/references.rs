//! What an expression refers to. Called by the checks here and by the graph, which makes an edge of each reference.

use crate::{
    base::{Data, Span},
    lang::{
        ast::{Body, Expr, ForExpr, Node, ObjectKey, SplatStep, TemplatePart},
        scope::{KeyRef, Reference, Target},
    },
};
use std::sync::Arc;

/// Every reference in an expression, keys and object keys included, in the order in which they are written. Names that a
/// `for` binds are none.
pub fn references(expr: &Expr) -> Vec<Reference> {
    references_beside(expr, &[])
}

/// As [`references`], where some first names are bound from outside: the iterators of `dynamic` blocks.
pub fn references_beside(expr: &Expr, bound: &[Arc<str>]) -> Vec<Reference> {
    let mut finder = Finder { bound: bound.to_vec(), found: Vec::new() };
    finder.expr(expr);
    finder.found
}

/// Every reference in a body and the blocks in it. The iterator of a `dynamic` block is none.
pub fn references_of_body(body: &Body) -> Vec<Reference> {
    let mut finder = Finder { bound: Vec::new(), found: Vec::new() };
    finder.body(body);
    finder.found
}

struct Finder {
    bound: Vec<Arc<str>>,
    found: Vec<Reference>,
}

/// A step of a reference behind its first name.
enum Step<'e> {
    Attribute(&'e Arc<str>, &'e Span),
    Index(&'e Expr, &'e Span),
    Splat,
}

impl Finder {
    fn body(&mut self, body: &Body) {
        for attribute in body.attributes.values() {
            self.expr(&attribute.expr);
        }
        for block in &body.blocks {
            let Some((label, _)) = block.labels.first().filter(|_| &*block.kind == "dynamic") else {
                self.body(&block.body);
                continue;
            };
            let iterator = block.body.attributes.get("iterator").and_then(|a| match &a.expr.node {
                Node::Name(name) => Some(name.clone()),
                _ => None,
            });
            if let Some(for_each) = block.body.attributes.get("for_each") {
                self.expr(&for_each.expr);
            }
            self.bound.push(iterator.unwrap_or_else(|| label.clone()));
            if let Some(labels) = block.body.attributes.get("labels") {
                self.expr(&labels.expr);
            }
            for content in &block.body.blocks {
                self.body(&content.body);
            }
            self.bound.pop();
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            Node::Literal(_) => {}
            Node::Name(_) | Node::Attribute(..) | Node::Index(..) | Node::Splat(..) => self.traversal(expr),
            Node::Template(parts) => self.parts(parts),
            Node::Tuple(elements) => elements.iter().for_each(|e| self.expr(e)),
            Node::Object(entries) => {
                for (key, value) in entries {
                    if let ObjectKey::Expr(key) = key {
                        self.expr(key);
                    }
                    self.expr(value);
                }
            }
            Node::Call { arguments, .. } => arguments.iter().for_each(|e| self.expr(e)),
            Node::Unary(_, inner) => self.expr(inner),
            Node::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            Node::Conditional(a, b, c) => {
                self.expr(a);
                self.expr(b);
                self.expr(c);
            }
            Node::For(each) => self.for_expr(each),
        }
    }

    fn for_expr(&mut self, each: &ForExpr) {
        self.expr(&each.collection);
        let outer = self.bound.len();
        self.bound.extend(each.key.iter().cloned());
        self.bound.push(each.value.clone());
        if let Some(key) = &each.result_key {
            self.expr(key);
        }
        self.expr(&each.result);
        if let Some(condition) = &each.condition {
            self.expr(condition);
        }
        self.bound.truncate(outer);
    }

    fn parts(&mut self, parts: &[TemplatePart]) {
        for part in parts {
            match part {
                TemplatePart::Text(_) => {}
                TemplatePart::Interpolation(inner) => self.expr(inner),
                TemplatePart::If { condition, then, otherwise } => {
                    self.expr(condition);
                    self.parts(then);
                    self.parts(otherwise);
                }
                TemplatePart::For { key, value, collection, body } => {
                    self.expr(collection);
                    let outer = self.bound.len();
                    self.bound.extend(key.iter().cloned());
                    self.bound.push(value.clone());
                    self.parts(body);
                    self.bound.truncate(outer);
                }
            }
        }
    }

    fn traversal(&mut self, expr: &Expr) {
        let mut steps = Vec::new();
        let mut inner = expr;
        let first = loop {
            match &inner.node {
                Node::Attribute(of, name) => {
                    steps.push(Step::Attribute(name, &inner.span));
                    inner = of;
                }
                Node::Index(of, index) => {
                    steps.push(Step::Index(index, &inner.span));
                    inner = of;
                }
                Node::Splat(of, behind) => {
                    for step in behind {
                        if let SplatStep::Index(index) = step {
                            self.expr(index);
                        }
                    }
                    steps.push(Step::Splat);
                    inner = of;
                }
                Node::Name(name) => break Some((name, &inner.span)),
                _ => break None,
            }
        };
        steps.reverse();
        match first {
            Some((name, span)) if !self.bound.contains(name) => {
                let reference = classify(name, span, &steps);
                self.found.push(reference);
            }
            Some(_) => {}
            None => self.expr(inner),
        }
        for step in &steps {
            if let Step::Index(index, _) = step {
                self.expr(index);
            }
        }
    }
}

fn classify(first: &Arc<str>, span: &Span, steps: &[Step<'_>]) -> Reference {
    let mut taken = 0;
    let mut end = span;
    let mut attribute = |taken: &mut usize| match steps.get(*taken) {
        Some(Step::Attribute(name, span)) => {
            *taken += 1;
            end = span;
            Some((*name).clone())
        }
        _ => None,
    };
    let unknown = Target::Unknown(first.clone());
    let mut key_allowed = false;
    let mut target = match &**first {
        "var" => attribute(&mut taken).map_or(unknown, Target::Variable),
        "local" => attribute(&mut taken).map_or(unknown, Target::Local),
        "phase" => attribute(&mut taken).map_or(unknown, Target::Phase),
        "environment" => attribute(&mut taken).map_or(unknown, Target::Environment),
        "env" => attribute(&mut taken).map_or(unknown, Target::Env),
        "path" => attribute(&mut taken).map_or(unknown, Target::Path),
        "each" => Target::Each,
        "self" => Target::SelfValue,
        "kubernetes" | "aws" => attribute(&mut taken).map_or(unknown, |name| Target::Connection(first.clone(), name)),
        "prometheus" | "notify" => attribute(&mut taken).map_or(unknown, |name| Target::Fixture(first.clone(), name)),
        "module" => {
            key_allowed = true;
            attribute(&mut taken).map_or(unknown, |name| Target::Module { name, output: None, key: None })
        }
        "data" => {
            key_allowed = true;
            match (attribute(&mut taken), attribute(&mut taken)) {
                (Some(kind), Some(name)) => Target::Resource { kind: format!("data.{kind}").into(), name, key: None },
                _ => unknown,
            }
        }
        _ => {
            key_allowed = true;
            let kind = first.clone();
            attribute(&mut taken).map_or(unknown, |name| Target::Resource { kind, name, key: None })
        }
    };
    if key_allowed && let Some(Step::Index(index, span)) = steps.get(taken) {
        let (Target::Resource { key, .. } | Target::Module { key, .. }) = &mut target else {
            return Reference { target, span: span_between(end, end), rest: Vec::new() };
        };
        *key = Some(key_ref(index));
        taken += 1;
        end = span;
    }
    if let Target::Module { output, .. } = &mut target
        && let Some(Step::Attribute(name, span)) = steps.get(taken)
    {
        *output = Some((*name).clone());
        taken += 1;
        end = span;
    }
    let rest = steps[taken..]
        .iter()
        .map_while(|step| match step {
            Step::Attribute(name, _) => Some((*name).clone()),
            Step::Index(index, _) => match &index.node {
                Node::Literal(value) => match value.data() {
                    Data::String(text) => Some(text.clone()),
                    _ => None,
                },
                _ => None,
            },
            Step::Splat => None,
        })
        .collect();
    Reference { target, span: span_between(span, end), rest }
}

fn span_between(first: &Span, last: &Span) -> Span {
    Span { file: first.file.clone(), start: first.start, end: last.end }
}

fn key_ref(index: &Expr) -> KeyRef {
    match &index.node {
        Node::Literal(value) => match value.data() {
            Data::String(text) => KeyRef::Literal(text.clone()),
            _ => KeyRef::Expr(Box::new(index.clone())),
        },
        Node::Attribute(of, name) if &**name == "key" && matches!(&of.node, Node::Name(n) if &**n == "each") => {
            KeyRef::EachKey
        }
        _ => KeyRef::Expr(Box::new(index.clone())),
    }
}
