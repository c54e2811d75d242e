//! The compact syntax tree that plan files are lowered to. `hcl-edit`'s own tree is dropped after each file.

use crate::base::{Span, Value};
use std::{collections::BTreeMap, sync::Arc};

/// An expression with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// Where it is.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `null`, `true`, `5`, `"text without templates"`.
    Literal(Value),
    /// A quoted template or heredoc with at least one interpolation or directive.
    Template(Vec<TemplatePart>),
    /// `[a, b]`.
    Tuple(Vec<Expr>),
    /// `{ a = b, (c) = d }`.
    Object(Vec<(ObjectKey, Expr)>),
    /// The first name of a reference: `var`, `stack`, `each`, a `for` variable.
    Name(Arc<str>),
    /// `a.b`.
    Attribute(Box<Expr>, Arc<str>),
    /// `a[b]`.
    Index(Box<Expr>, Box<Expr>),
    /// `a[*]` or `a.*` followed by steps that are taken on each element.
    Splat(Box<Expr>, Vec<SplatStep>),
    /// `f(a, b...)`.
    Call {
        /// The function's name.
        name: Arc<str>,
        /// The arguments.
        arguments: Vec<Expr>,
        /// True where the last one is followed by `...`.
        expand: bool,
    },
    /// `c ? a : b`.
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `-a`, `!a`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `[for k, v in c : v if x]`, `{for k, v in c : k => v...}`.
    For(Box<ForExpr>),
}

/// A key of an object expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectKey {
    /// A bare word, taken as a string.
    Name(Arc<str>),
    /// Anything else.
    Expr(Expr),
}

/// One step behind a splat.
#[derive(Debug, Clone, PartialEq)]
pub enum SplatStep {
    /// `.name`.
    Attribute(Arc<str>),
    /// `[index]`.
    Index(Expr),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplatePart {
    /// Text as it is, escapes and strip markers already applied.
    Text(Arc<str>),
    /// `${ }`.
    Interpolation(Expr),
    /// `%{if}`.
    If {
        /// The condition.
        condition: Expr,
        /// Where it holds.
        then: Vec<TemplatePart>,
        /// Where not.
        otherwise: Vec<TemplatePart>,
    },
    /// `%{for}`.
    For {
        /// The key variable.
        key: Option<Arc<str>>,
        /// The value variable.
        value: Arc<str>,
        /// What is iterated.
        collection: Expr,
        /// What is repeated.
        body: Vec<TemplatePart>,
    },
}

/// A `for` expression.
#[derive(Debug, Clone, PartialEq)]
pub struct ForExpr {
    /// The key variable.
    pub key: Option<Arc<str>>,
    /// The value variable.
    pub value: Arc<str>,
    /// What is iterated.
    pub collection: Expr,
    /// The key of a result entry: present in the object form.
    pub result_key: Option<Expr>,
    /// The result's element.
    pub result: Expr,
    /// `...`: values of one key are grouped.
    pub group: bool,
    /// The filter.
    pub condition: Option<Expr>,
}

/// A unary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `!`.
    Not,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    And,
    Or,
}

/// The content of a file or block.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// Attributes by name.
    pub attributes: BTreeMap<Arc<str>, Attribute>,
    /// Blocks in order.
    pub blocks: Vec<Block>,
    /// The whole of it.
    pub span: Span,
}

/// `name = expr`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Where the name is.
    pub name_span: Span,
    /// The value.
    pub expr: Expr,
}

/// `kind "label" { }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The first word.
    pub kind: Arc<str>,
    /// Its labels with their places.
    pub labels: Vec<(Arc<str>, Span)>,
    /// What is in it.
    pub body: Body,
    /// The first word and the labels.
    pub header: Span,
    /// A syntax error was found in it: what seems to be missing may only be unread.
    pub broken: bool,
}

impl Expr {
    /// Calls `f` for it and every expression inside it, outermost first.
    pub fn walk<'e>(&'e self, f: &mut dyn FnMut(&'e Self)) {
        f(self);
        match &self.node {
            Node::Literal(_) | Node::Name(_) => {}
            Node::Template(parts) => walk_parts(parts, f),
            Node::Tuple(elements) => elements.iter().for_each(|e| e.walk(f)),
            Node::Object(entries) => {
                for (key, value) in entries {
                    if let ObjectKey::Expr(key) = key {
                        key.walk(f);
                    }
                    value.walk(f);
                }
            }
            Node::Attribute(inner, _) | Node::Unary(_, inner) => inner.walk(f),
            Node::Index(a, b) | Node::Binary(_, a, b) => {
                a.walk(f);
                b.walk(f);
            }
            Node::Splat(inner, steps) => {
                inner.walk(f);
                for step in steps {
                    if let SplatStep::Index(index) = step {
                        index.walk(f);
                    }
                }
            }
            Node::Call { arguments, .. } => arguments.iter().for_each(|e| e.walk(f)),
            Node::Conditional(a, b, c) => {
                a.walk(f);
                b.walk(f);
                c.walk(f);
            }
            Node::For(each) => {
                each.collection.walk(f);
                if let Some(key) = &each.result_key {
                    key.walk(f);
                }
                each.result.walk(f);
                if let Some(condition) = &each.condition {
                    condition.walk(f);
                }
            }
        }
    }
}

fn walk_parts<'e>(parts: &'e [TemplatePart], f: &mut dyn FnMut(&'e Expr)) {
    for part in parts {
        match part {
            TemplatePart::Text(_) => {}
            TemplatePart::Interpolation(e) => e.walk(f),
            TemplatePart::If { condition, then, otherwise } => {
                condition.walk(f);
                walk_parts(then, f);
                walk_parts(otherwise, f);
            }
            TemplatePart::For { collection, body, .. } => {
                collection.walk(f);
                walk_parts(body, f);
            }
        }
    }
}
