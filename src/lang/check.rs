//! Holds a body against its schema: what is unknown, missing, twice, of the wrong type.
//!
//! Called by the decoder for every block. Only values that stand in the file are held against types; what an expression
//! comes to is the evaluator's to check.

use crate::{
    base::{Data, Diagnostic, Diagnostics, Span, Value, parse_duration},
    lang::{
        ast::{Block, Body, Expr, Node},
        literal::{literal, type_word},
        schema::{AttributeSchema, BlockSchema, NestedSchema, Shape},
        suggest,
    },
};

/// What is held against the schema.
#[derive(Clone, Copy)]
pub(crate) struct Checked<'a> {
    /// The block's name in messages: `stack`, `verify`.
    pub(crate) name: &'a str,
    /// Its head.
    pub(crate) header: &'a Span,
    /// Its content.
    pub(crate) body: &'a Body,
    /// What is missing may only be unread.
    pub(crate) broken: bool,
    /// Attributes that it may have beside the schema's.
    pub(crate) attributes: &'a [AttributeSchema],
    /// Blocks that it may have beside the schema's.
    pub(crate) blocks: &'a [NestedSchema],
}

impl<'a> Checked<'a> {
    /// A block that has nothing beside its schema.
    pub(crate) fn block(block: &'a Block) -> Self {
        Self {
            name: &block.kind,
            header: &block.header,
            body: &block.body,
            broken: block.broken,
            attributes: &[],
            blocks: &[],
        }
    }
}

/// Checks a body and all blocks in it.
pub(crate) fn check(checked: Checked<'_>, schema: &BlockSchema, diagnostics: &mut Diagnostics) {
    if std::ptr::eq(schema, &raw const ANYTHING) {
        return;
    }
    let attributes = || schema.attributes.iter().chain(checked.attributes);
    let blocks = || schema.blocks.iter().chain(checked.blocks);
    for (name, attribute) in &checked.body.attributes {
        if let Some(known) = attributes().find(|a| a.name == &**name) {
            check_value(known, &attribute.expr, diagnostics);
            continue;
        }
        let mut diagnostic =
            Diagnostic::error("unknown_attribute", format!("`{}` has no attribute `{name}`", checked.name))
                .at(&attribute.name_span, "");
        diagnostic.hint = if &**name == "count" {
            Some("use `for_each`: instances have keys then, and taking one away leaves the others alone".to_owned())
        } else if blocks().any(|b| b.name == &**name) {
            Some(format!("`{name}` is a block: write {name} {{ ... }} without `=`"))
        } else {
            suggest::hint(name, attributes().map(|a| a.name))
        };
        diagnostics.push(diagnostic);
    }
    for block in &checked.body.blocks {
        check_block(&checked, block, schema, diagnostics);
    }
    if checked.broken {
        return;
    }
    for attribute in attributes().filter(|a| a.required && !checked.body.attributes.contains_key(a.name)) {
        diagnostics.push(
            Diagnostic::error("missing_attribute", format!("`{}` needs `{}`", checked.name, attribute.name))
                .at(checked.header, "")
                .because(attribute.doc),
        );
    }
    for nested in blocks() {
        let mut found = checked.body.blocks.iter().filter(|b| block_name(b) == nested.name);
        match (found.next(), found.next()) {
            (None, _) if nested.required => diagnostics.push(
                Diagnostic::error("missing_block", format!("`{}` needs a block `{}`", checked.name, nested.name))
                    .at(checked.header, "")
                    .because(nested.block.doc),
            ),
            (Some(first), Some(second)) if !nested.repeated => diagnostics.push(
                Diagnostic::error("duplicate_block", format!("`{}` takes one block `{}`", checked.name, nested.name))
                    .at(&second.header, "again here")
                    .at(&first.header, "first here"),
            ),
            _ => {}
        }
    }
    check_exactly_one(&checked, schema.exactly_one, diagnostics);
}

/// The name of a block, or of what a `dynamic` block makes.
fn block_name(block: &Block) -> &str {
    match block.labels.first() {
        Some((label, _)) if &*block.kind == "dynamic" => label,
        _ => &block.kind,
    }
}

/// Checks that exactly one of these is written, where there is something to choose from.
pub(crate) fn check_exactly_one(checked: &Checked<'_>, names: &[&str], diagnostics: &mut Diagnostics) {
    if names.is_empty() {
        return;
    }
    let mut places: Vec<(&str, &Span)> = Vec::new();
    for name in names {
        places.extend(checked.body.attributes.get(*name).map(|a| (*name, &a.name_span)));
        places.extend(checked.body.blocks.iter().find(|b| block_name(b) == *name).map(|b| (*name, &b.header)));
    }
    match places.as_slice() {
        [_] => {}
        [] => diagnostics.push(
            Diagnostic::error("exactly_one", format!("`{}` needs one of {}", checked.name, suggest::list(names)))
                .at(checked.header, ""),
        ),
        [(first, at), rest @ ..] => {
            let all: Vec<&str> = places.iter().map(|(name, _)| *name).collect();
            let mut diagnostic = Diagnostic::error(
                "exactly_one",
                format!("`{}` takes one of {} and not several", checked.name, suggest::list(&all)),
            )
            .at(at, format!("`{first}` is here"));
            for (name, at) in rest {
                diagnostic = diagnostic.at(at, format!("`{name}` is here"));
            }
            diagnostics.push(diagnostic);
        }
    }
}

fn check_block(outer: &Checked<'_>, block: &Block, schema: &BlockSchema, diagnostics: &mut Diagnostics) {
    let blocks = || schema.blocks.iter().chain(outer.blocks);
    if &*block.kind == "dynamic" {
        return check_dynamic(outer, block, schema, diagnostics);
    }
    let Some(nested) = blocks().find(|b| b.name == &*block.kind) else {
        let mut diagnostic =
            Diagnostic::error("unknown_block", format!("`{}` has no block `{}`", outer.name, block.kind))
                .at(&block.header, "");
        let attribute = schema.attributes.iter().chain(outer.attributes).any(|a| a.name == &*block.kind);
        diagnostic.hint = if attribute {
            Some(format!("`{0}` is an attribute: write {0} = {{ ... }}", block.kind))
        } else {
            suggest::hint(&block.kind, blocks().map(|b| b.name))
        };
        diagnostics.push(diagnostic);
        return;
    };
    check_labels(block, nested.labels, diagnostics);
    check(Checked::block(block), nested.block, diagnostics);
}

/// `dynamic "name" { for_each, iterator, labels, content {} }`.
fn check_dynamic(outer: &Checked<'_>, block: &Block, schema: &BlockSchema, diagnostics: &mut Diagnostics) {
    let blocks = || schema.blocks.iter().chain(outer.blocks);
    check_labels(block, 1, diagnostics);
    let Some((label, at)) = block.labels.first() else { return };
    let Some(nested) = blocks().find(|b| b.name == &**label) else {
        let mut diagnostic =
            Diagnostic::error("unknown_block", format!("`{}` has no block `{label}`", outer.name)).at(at, "");
        diagnostic.hint = suggest::hint(label, blocks().map(|b| b.name));
        diagnostics.push(diagnostic);
        return;
    };
    check(Checked { name: "dynamic", ..Checked::block(block) }, &DYNAMIC, diagnostics);
    for content in block.body.blocks.iter().filter(|b| &*b.kind == "content") {
        check(Checked { name: label, ..Checked::block(content) }, nested.block, diagnostics);
    }
}

static DYNAMIC: BlockSchema = BlockSchema {
    attributes: &[
        AttributeSchema {
            name: "for_each",
            shape: Shape::Any,
            required: true,
            sensitive: false,
            one_of: &[],
            doc: "What a block is made for each of.",
            reads: None,
        },
        AttributeSchema {
            name: "iterator",
            shape: Shape::Any,
            required: false,
            sensitive: false,
            one_of: &[],
            doc: "The name under which `content` knows the element. By default the block's name.",
            reads: None,
        },
        AttributeSchema {
            name: "labels",
            shape: Shape::Any,
            required: false,
            sensitive: false,
            one_of: &[],
            doc: "The labels of each block.",
            reads: None,
        },
    ],
    blocks: &[NestedSchema { name: "content", labels: 0, repeated: false, required: true, block: &ANYTHING }],
    exactly_one: &[],
    doc: "Makes a block for each element.",
};

/// Stands for content that is checked elsewhere: nothing in it is looked at.
pub(crate) static ANYTHING: BlockSchema =
    BlockSchema { attributes: &[], blocks: &[], exactly_one: &[], doc: "anything" };

/// Checks how many labels a block has.
pub(crate) fn check_labels(block: &Block, wanted: u8, diagnostics: &mut Diagnostics) -> bool {
    let wanted = usize::from(wanted);
    if block.labels.len() == wanted {
        return true;
    }
    let (what, example) = match wanted {
        0 => ("no label", format!("{} {{ ... }}", block.kind)),
        1 => ("one label", format!("{} \"name\" {{ ... }}", block.kind)),
        _ => ("two labels", format!("{} \"kind\" \"name\" {{ ... }}", block.kind)),
    };
    diagnostics.push(
        Diagnostic::error("wrong_labels", format!("`{}` takes {what}, and has {}", block.kind, block.labels.len()))
            .at(&block.header, "")
            .hint(format!("write {example}")),
    );
    false
}

fn check_value(schema: &AttributeSchema, expr: &Expr, diagnostics: &mut Diagnostics) {
    if schema.shape == Shape::Reference {
        let mut inner = expr;
        while let Node::Attribute(of, _) | Node::Index(of, _) = &inner.node {
            inner = of;
        }
        if !matches!(inner.node, Node::Name(_)) || std::ptr::eq(inner, expr) {
            diagnostics.push(
                Diagnostic::error("wrong_type", format!("`{}` is a reference and not a value", schema.name))
                    .at(&expr.span, "")
                    .because(schema.doc),
            );
        }
        return;
    }
    let Some(value) = literal(expr) else {
        // An object or list of expressions still has a shape.
        let word = match (&expr.node, schema.shape) {
            (
                Node::Tuple(_),
                Shape::Bool | Shape::Number | Shape::String | Shape::Duration | Shape::StringMap | Shape::Object,
            ) => "a list",
            (Node::Object(_), Shape::Bool | Shape::Number | Shape::String | Shape::Duration | Shape::Strings) => {
                "an object"
            }
            (Node::Template(_), Shape::Strings | Shape::StringMap | Shape::Object) => "a string",
            _ => return,
        };
        return wrong(schema, expr, word, diagnostics);
    };
    if value.is_null() {
        if schema.required {
            wrong(schema, expr, "null", diagnostics);
        }
        return;
    }
    if !fits(&value, schema.shape) {
        return wrong(schema, expr, type_word(&value), diagnostics);
    }
    if schema.shape == Shape::Duration
        && let Some(Err(error)) = value.as_str().map(parse_duration)
    {
        diagnostics.push(Diagnostic::error("wrong_value", error.to_string()).at(&expr.span, ""));
    }
    if let Some(reads) = schema.reads
        && let Some(Err(why)) = value.as_str().map(reads)
    {
        let mut diagnostic = Diagnostic::error("wrong_value", format!("`{}` cannot be read", schema.name));
        diagnostic = diagnostic.at(&expr.span, "").because(why);
        diagnostics.push(diagnostic);
    }
    if let Some(text) = value.as_str().filter(|text| !schema.one_of.is_empty() && !schema.one_of.contains(text)) {
        let mut diagnostic =
            Diagnostic::error("wrong_value", format!("`{}` cannot be \"{text}\"", schema.name)).at(&expr.span, "");
        schema.doc.clone_into(&mut diagnostic.detail);
        diagnostic.hint = suggest::hint(text, schema.one_of.iter().copied());
        diagnostics.push(diagnostic);
    }
}

fn wrong(schema: &AttributeSchema, expr: &Expr, found: &str, diagnostics: &mut Diagnostics) {
    let wanted = match schema.shape {
        Shape::Bool => "true or false",
        Shape::Number => "a number",
        Shape::String => "a string",
        Shape::Duration => "a duration like \"5m\"",
        Shape::Strings => "a list of strings",
        Shape::StringMap => "an object of strings",
        Shape::Object => "an object",
        Shape::Any | Shape::Reference => "a value",
    };
    diagnostics.push(
        Diagnostic::error("wrong_type", format!("`{}` is {wanted}, and not {found}", schema.name))
            .at(&expr.span, "")
            .because(schema.doc),
    );
}

/// Whether a value is of a shape, with the conversions that the evaluator makes.
fn fits(value: &Value, shape: Shape) -> bool {
    let text = |value: &Value| matches!(value.data(), Data::String(_) | Data::Number(_) | Data::Bool(_) | Data::Null);
    match shape {
        Shape::Any | Shape::Reference => true,
        Shape::Bool => value.as_bool().is_some() || matches!(value.as_str(), Some("true" | "false")),
        Shape::Number => {
            matches!(value.data(), Data::Number(_))
                || value.as_str().is_some_and(|text| text.parse::<crate::base::Number>().is_ok())
        }
        Shape::String => text(value),
        Shape::Duration => value.as_str().is_some(),
        Shape::Strings => value.as_seq().is_some_and(|elements| elements.iter().all(text)),
        Shape::StringMap => value.as_map().is_some_and(|entries| entries.values().all(text)),
        Shape::Object => value.as_map().is_some(),
    }
}
