//! The body of a block to an object, by its schema; `dynamic` blocks are expanded on the way.

use super::{
    Evaluator, InputPlaces,
    expression::key_text,
    failure::{Failures, Outcome},
    instances::{Instances, Presence},
    iterate::{Items, items},
    references::switched_off,
    scope::{Bound, Frame},
};
use crate::{
    base::{Address, Data, Diagnostic, Key, Path, Value},
    lang::{
        ast::{Block, Body, Expr, Node, ObjectKey},
        convert,
        schema::{AttributeSchema, BlockSchema, NestedSchema, Shape},
        suggest,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Where the evaluation of a body puts what it finds.
#[derive(Default)]
pub(super) struct Gathered {
    /// Where each input is written.
    pub(super) places: InputPlaces,
    /// What is wrong.
    pub(super) failures: Failures,
}

/// A `dynamic` block, or one as it is written, on the way to its values.
struct Nested<'a> {
    schema: &'a NestedSchema,
    /// By label where it has one.
    labelled: BTreeMap<Arc<str>, Value>,
    sequence: Vec<Value>,
    unknown: Option<Value>,
}

impl Evaluator {
    /// The body as an object: what is written and not null.
    pub(super) fn body(
        &mut self,
        body: &Body,
        schema: &BlockSchema,
        frame: Frame<'_>,
        path: &Path,
        out: &mut Gathered,
    ) -> Value {
        let mut entries = BTreeMap::new();
        for attribute in schema.attributes {
            let Some(written) = body.attributes.get(attribute.name) else { continue };
            let at = path.key(attribute.name);
            let value = self.attribute_value(attribute, &written.expr, frame);
            note_places(&written.expr, &at, &mut out.places);
            match out.failures.note(value) {
                Some(value) if value.is_null() && attribute.required => out.failures.push(
                    Diagnostic::error("null_value", format!("`{}` must not be null", attribute.name))
                        .at(&written.expr.span, "this is null"),
                ),
                Some(value) if !value.is_null() => {
                    entries.insert(attribute.name.into(), value);
                }
                _ => {}
            }
        }
        for nested in schema.blocks {
            if let Some(value) = self.nested(body, nested, frame, path, out) {
                entries.insert(nested.name.into(), value);
            }
        }
        super::object(entries)
    }

    /// The value of one attribute, as its schema asks for it.
    fn attribute_value(&mut self, attribute: &AttributeSchema, expr: &Expr, frame: Frame<'_>) -> Outcome<Value> {
        if attribute.shape == Shape::Reference {
            return self.reference_text(expr, frame);
        }
        let value = self.eval(expr, frame)?;
        convert::convert_attribute(&value, attribute).map_err(|mismatch| {
            let span = place_of(expr, &mismatch.path).map_or(&expr.span, |e| &e.span);
            Diagnostic::error("wrong_type", format!("`{}` does not fit: {mismatch}", attribute.name))
                .at(span, if value.has_sensitive() { "" } else { convert::word(&value) })
                .because(attribute.doc)
                .into()
        })
    }

    fn nested(
        &mut self,
        body: &Body,
        schema: &NestedSchema,
        frame: Frame<'_>,
        path: &Path,
        out: &mut Gathered,
    ) -> Option<Value> {
        let mut found = Nested { schema, labelled: BTreeMap::new(), sequence: Vec::new(), unknown: None };
        let mut any = false;
        for block in &body.blocks {
            if &*block.kind == schema.name {
                any = true;
                let label = block.labels.first().map(|(label, _)| label.clone());
                self.one_block(&block.body, label, frame, path, &mut found, out);
                if schema.labels == 0 && !schema.repeated {
                    out.places.insert(path.key(schema.name), block.header.clone());
                }
            } else if &*block.kind == "dynamic" && block.labels.first().is_some_and(|(l, _)| &**l == schema.name) {
                any = true;
                self.dynamic(block, frame, path, &mut found, out);
            }
        }
        if !any {
            return None;
        }
        if let Some(unknown) = found.unknown {
            return Some(unknown);
        }
        if schema.labels > 0 {
            return Some(super::object(found.labelled));
        }
        if schema.repeated {
            return Some(Value::tuple(found.sequence));
        }
        if let (true, Some(second)) = (found.sequence.len() > 1, body.blocks.iter().find(|b| &*b.kind == "dynamic")) {
            out.failures.push(
                Diagnostic::error("duplicate_block", format!("there is more than one `{}` block", schema.name))
                    .at(&second.header, "it is made here"),
            );
        }
        found.sequence.into_iter().next()
    }

    fn one_block(
        &mut self,
        body: &Body,
        label: Option<Arc<str>>,
        frame: Frame<'_>,
        path: &Path,
        found: &mut Nested<'_>,
        out: &mut Gathered,
    ) {
        let at = path.key(found.schema.name);
        let at = match (&label, found.schema.labels, found.schema.repeated) {
            (Some(label), 1.., _) => at.key(label),
            (_, 0, true) => at.index(found.sequence.len()),
            _ => at,
        };
        let value = self.body(body, found.schema.block, frame, &at, out);
        match label {
            Some(label) if found.schema.labels > 0 => {
                found.labelled.insert(label, value);
            }
            _ => found.sequence.push(value),
        }
    }

    fn dynamic(&mut self, block: &Block, frame: Frame<'_>, path: &Path, found: &mut Nested<'_>, out: &mut Gathered) {
        let attribute = |name: &str| block.body.attributes.get(name).map(|a| &a.expr);
        let missing = |what: &str| {
            Diagnostic::error("missing_attribute", format!("a `dynamic` block needs {what}")).at(&block.header, "")
        };
        let Some(for_each) = attribute("for_each") else {
            return out.failures.push(missing("`for_each`"));
        };
        let Some(content) = block.body.blocks.iter().find(|b| &*b.kind == "content") else {
            return out.failures.push(missing("a `content` block"));
        };
        let iterator: Arc<str> = match attribute("iterator").map(|e| &e.node) {
            Some(Node::Name(name)) => name.clone(),
            _ => found.schema.name.into(),
        };
        let Some(collection) = out.failures.note(self.eval(for_each, frame)) else { return };
        let elements = match out.failures.note(items(&collection, &for_each.span)) {
            Some(Items::Known(elements)) => elements,
            Some(Items::Unknown(unknown)) => {
                found.unknown.get_or_insert(unknown);
                return;
            }
            None => return,
        };
        for (key, value) in elements {
            let bound =
                Bound { name: &iterator, value: Value::object([("key", key), ("value", value)]), outer: frame.bound };
            let inner = Frame { bound: Some(&bound), ..frame };
            let label = match attribute("labels") {
                Some(labels) => {
                    let text = self.eval(labels, inner).and_then(|labels_value| {
                        let first = labels_value.as_seq().and_then(|l| l.first()).cloned();
                        key_text(&first.unwrap_or(labels_value), &labels.span)
                    });
                    match out.failures.note(text) {
                        Some(label) => Some(label),
                        None => continue,
                    }
                }
                None => None,
            };
            if label.is_none() && found.schema.labels > 0 {
                return out.failures.push(missing("`labels`, since the block has one"));
            }
            self.one_block(&content.body, label, inner, path, found, out);
        }
    }

    /// What a reference that is no value names: an address, or a block such as `prometheus.main`.
    pub(super) fn reference_text(&mut self, expr: &Expr, frame: Frame<'_>) -> Outcome<Value> {
        let refuse = || {
            Diagnostic::error("wrong_type", "a reference to a declared thing is required")
                .at(&expr.span, "")
                .hint("write KIND.NAME, without quotes")
        };
        if let Node::Literal(value) = &expr.node
            && value.is_null()
        {
            return Ok(Value::NULL);
        }
        let (whole, key) = match &expr.node {
            Node::Index(inner, key) => (&**inner, Some(key)),
            _ => (expr, None),
        };
        let key: Option<Key> = match key {
            Some(key) => {
                let at = self.eval(key, frame)?;
                if at.is_unknown() {
                    return Ok(at);
                }
                Some(key_text(&at, &key.span)?)
            }
            None => None,
        };
        if let Some((kind, name)) = self.resource_named(whole, frame) {
            let path = self.scope(frame.scope).path.clone();
            let instances = self.instances(frame.scope, &kind, &name, Some(&expr.span))?;
            let address = Address::new(path, &kind, &name, key.clone());
            match (&*instances, &key) {
                (Instances::Single(Presence::Off), _) => return Err(switched_off(&address, &expr.span)),
                (Instances::Keyed(keys), Some(key)) => match keys.get(key) {
                    Some((_, Presence::Off)) => return Err(switched_off(&address, &expr.span)),
                    Some(_) => self.memo.note(address.clone()),
                    None => {
                        let mut problem =
                            Diagnostic::error("unknown_key", format!("{kind}.{name} has no instance {key:?}"))
                                .at(&expr.span, "");
                        problem.hint = suggest::hint(key, keys.keys().map(|k| &**k));
                        return Err(problem.into());
                    }
                },
                (Instances::Keyed(keys), None) => {
                    for (key, (_, presence)) in keys {
                        if *presence != Presence::Off {
                            self.memo.note(address.with_key(Some(key.clone())));
                        }
                    }
                }
                (Instances::Unknown(_), _) => self.memo.note(address.with_key(Some("*".into()))),
                (Instances::Single(_), _) => self.memo.note(address.clone()),
            }
            return Ok(Value::string(address.as_str()));
        }
        let Node::Attribute(inner, name) = &whole.node else { return Err(refuse().into()) };
        let Node::Name(kind) = &inner.node else { return Err(refuse().into()) };
        let configuration = &self.configuration;
        let known = match &**kind {
            "kubernetes" => configuration.kubernetes.contains_key(name),
            "aws" => configuration.aws.contains_key(name),
            "phase" => true,
            _ => configuration.fixtures.contains_key(&(kind.clone(), name.clone())),
        };
        if !known {
            return Err(refuse().because(format!("there is no {kind}.{name}")).into());
        }
        // What asks a server of metrics needs all that its block says.
        if &**kind == "prometheus" {
            return self.fixture_value(kind, name);
        }
        Ok(Value::string(match key {
            Some(key) => Address::new(Vec::new(), kind, name, Some(key)).to_string(),
            None => format!("{kind}.{name}"),
        }))
    }
}

/// Notes where an expression, and what is written out in it, stands.
fn note_places(expr: &Expr, path: &Path, places: &mut InputPlaces) {
    match &expr.node {
        Node::Object(entries) => {
            for (key, value) in entries {
                if let Some(name) = static_key(key) {
                    note_places(value, &path.key(name), places);
                }
            }
        }
        Node::Tuple(elements) => {
            for (n, element) in elements.iter().enumerate() {
                note_places(element, &path.index(n), places);
            }
        }
        _ => {}
    }
    places.insert(path.clone(), expr.span.clone());
}

/// The part of an expression that a path leads to, as far as it is written out.
fn place_of<'e>(expr: &'e Expr, path: &Path) -> Option<&'e Expr> {
    use crate::base::Step;
    let mut at = expr;
    for step in &path.0 {
        at = match (&at.node, step) {
            (Node::Object(entries), Step::Key(name)) => {
                &entries.iter().find(|(key, _)| static_key(key) == Some(name))?.1
            }
            (Node::Tuple(elements), Step::Index(n)) => elements.get(*n)?,
            _ => return Some(at),
        };
    }
    Some(at)
}

fn static_key(key: &ObjectKey) -> Option<&str> {
    match key {
        ObjectKey::Name(name) => Some(name),
        ObjectKey::Expr(expr) => match &expr.node {
            Node::Literal(value) => match value.data() {
                Data::String(text) => Some(text),
                _ => None,
            },
            _ => None,
        },
    }
}
