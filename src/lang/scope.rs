//! What an expression may refer to, seen from where it stands.

use crate::base::Span;
use crate::lang::ast::Expr;
use std::sync::Arc;

/// One reference found in an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// What it names.
    pub target: Target,
    /// Where the part is that names it.
    pub span: Span,
    /// The names that follow it, up to the first step that is none: `outputs`, `VpcId`.
    pub rest: Vec<Arc<str>>,
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// `var.x`.
    Variable(Arc<str>),
    /// `local.x`.
    Local(Arc<str>),
    /// `stack.network`, `data.secret.x`; with the key where it is written as `["literal"]`.
    Resource {
        /// The kind as in an address.
        kind: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// A literal or evaluated key.
        key: Option<KeyRef>,
    },
    /// `module.x` or `module.x.output`.
    Module {
        /// The call.
        name: Arc<str>,
        /// The output, where one is named.
        output: Option<Arc<str>>,
        /// A literal or evaluated key.
        key: Option<KeyRef>,
    },
    /// `phase.x`.
    Phase(Arc<str>),
    /// `kubernetes.x`, `aws.x`.
    Connection(Arc<str>, Arc<str>),
    /// `prometheus.x`.
    Fixture(Arc<str>, Arc<str>),
    /// `environment.x`.
    Environment(Arc<str>),
    /// `each.key`, `each.value`.
    Each,
    /// `self.color` and the like.
    SelfValue,
    /// `env.name`, `env.region`, `env.account_id`.
    Env(Arc<str>),
    /// `path.module`, `path.root`, `path.project`.
    Path(Arc<str>),
    /// A first name that is none of these.
    Unknown(Arc<str>),
}

/// The key of a reference to one instance.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyRef {
    /// `["coredns"]`.
    Literal(Arc<str>),
    /// `[each.key]`.
    EachKey,
    /// Any other expression.
    Expr(Box<Expr>),
}
