//! Conditions: whether each holds, fails, or hangs on something unknown.
//!
//! Part of the [`Evaluator`]; used for Conditions, for `Fn::If` and for the assertions of Rules.

use super::{compare::same, evaluate::Evaluator};
use crate::{
    base::Span,
    cfn::{Expr, ExprKind, Function, Node},
};

impl Evaluator<'_> {
    /// Whether a named condition holds; `None` where that hangs on something unknown.
    pub(super) fn condition_named(&mut self, name: &str) -> Option<bool> {
        if let Some(known) = self.conditions.get(name) {
            return *known;
        }
        let expr = self.template.conditions.get(name)?;
        if !self.deciding.insert(name.to_owned()) {
            return None;
        }
        let path = std::mem::take(&mut self.path);
        let references = std::mem::take(&mut self.references);
        let decided = self.decide(expr);
        (self.path, self.references) = (path, references);
        self.deciding.remove(name);
        self.conditions.insert(name.to_owned(), decided);
        decided
    }

    /// Whether a condition's expression holds.
    pub(super) fn decide(&mut self, expr: &Expr) -> Option<bool> {
        match &expr.kind {
            ExprKind::Bool(b) => Some(*b),
            ExprKind::String(s) if s == "true" => Some(true),
            ExprKind::String(s) if s == "false" => Some(false),
            ExprKind::Function(function) => self.decide_function(function, &expr.span),
            _ => {
                self.refuse(&expr.span, "this is no condition");
                None
            }
        }
    }

    pub(super) fn decide_function(&mut self, function: &Function, span: &Span) -> Option<bool> {
        match function {
            Function::Condition(name) => self.condition_named(name),
            Function::Not(inner) => self.decide(inner).map(|b| !b),
            // Every part is decided, so that each problem shows.
            Function::And(parts) => {
                let all: Vec<Option<bool>> = parts.iter().map(|p| self.decide(p)).collect();
                if all.contains(&Some(false)) {
                    Some(false)
                } else {
                    all.into_iter().all(|p| p == Some(true)).then_some(true)
                }
            }
            Function::Or(parts) => {
                let all: Vec<Option<bool>> = parts.iter().map(|p| self.decide(p)).collect();
                if all.contains(&Some(true)) {
                    Some(true)
                } else {
                    all.into_iter().all(|p| p == Some(false)).then_some(false)
                }
            }
            Function::Equals(a, b) => {
                let (a, b) = (self.argument(a), self.argument(b));
                if !a.is_known() || !b.is_known() {
                    return None;
                }
                Some(same(&a, &b))
            }
            Function::Rule(name, arguments) => self.rule(name, arguments),
            _ => {
                let node = self.function(function, span)?;
                match node.scalar().as_deref() {
                    Some("true") => Some(true),
                    Some("false") => Some(false),
                    _ if node.is_unknown() => None,
                    _ => {
                        self.refuse(span, "this is no condition");
                        None
                    }
                }
            }
        }
    }

    /// The functions of Rules that can be decided without asking a service.
    fn rule(&mut self, name: &str, arguments: &[Expr]) -> Option<bool> {
        let values: Vec<Node> = arguments.iter().map(|a| self.argument(a)).collect();
        let [Node::Array(list), second] = values.as_slice() else { return None };
        if !values.iter().all(Node::is_known) {
            return None;
        }
        match (name, second) {
            ("Fn::Contains", value) => Some(list.iter().any(|item| same(item, value))),
            ("Fn::EachMemberEquals", value) => Some(list.iter().all(|item| same(item, value))),
            ("Fn::EachMemberIn", Node::Array(allowed)) => {
                Some(list.iter().all(|item| allowed.iter().any(|a| same(item, a))))
            }
            _ => None,
        }
    }
}
