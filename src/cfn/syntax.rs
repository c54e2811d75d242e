//! A document as a tree with places, from YAML or JSON alike.

use crate::base::{Diagnostics, Path, Span};

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    /// Where it stands.
    pub(super) span: Span,
    /// What it is.
    pub(super) kind: TreeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TreeKind {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Span, Tree)>),
}

/// Deepest nesting that is read.
pub(super) const MAX_DEPTH: usize = 100;

/// Reads a text: JSON where it begins with a brace and is JSON, else YAML.
pub(super) fn read(file: &str, text: &str) -> (Tree, Diagnostics) {
    let _ = text;
    (Tree { span: Span::new(file, 0..0), kind: TreeKind::Object(Vec::new()) }, Diagnostics::new())
}

impl Tree {
    pub(super) fn span_of(&self, logical_id: &str, path: Option<&Path>) -> Option<Span> {
        let _ = (logical_id, path);
        None
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}
