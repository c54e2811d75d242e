//! Expressions that are values as they stand: what a block may hold before anything is evaluated.

use crate::{
    base::{Data, Number, Value},
    lang::ast::{Expr, Node, ObjectKey, UnaryOp},
};

/// The value of an expression without references, calls and operators; `None` for any other.
pub fn literal(expr: &Expr) -> Option<Value> {
    match &expr.node {
        Node::Literal(value) => Some(value.clone()),
        Node::Tuple(elements) => elements.iter().map(literal).collect::<Option<Vec<_>>>().map(Value::tuple),
        Node::Object(entries) => {
            let entries: Option<Vec<_>> = entries
                .iter()
                .map(|(key, value)| {
                    let key = match key {
                        ObjectKey::Name(name) => name.clone(),
                        ObjectKey::Expr(key) => match literal(key)?.data() {
                            Data::String(text) => text.clone(),
                            Data::Number(number) => number.to_string().into(),
                            Data::Bool(truth) => truth.to_string().into(),
                            _ => return None,
                        },
                    };
                    Some((key, literal(value)?))
                })
                .collect();
            entries.map(Value::object)
        }
        Node::Unary(UnaryOp::Neg, inner) => match literal(inner)?.data() {
            Data::Number(number) => format!("-{number}").parse::<Number>().ok().map(|n| Data::Number(n).into()),
            _ => None,
        },
        _ => None,
    }
}

/// What a value is, in a word.
pub(crate) fn type_word(value: &Value) -> &'static str {
    match value.data() {
        Data::Null => "null",
        Data::Bool(_) => "a bool",
        Data::Number(_) => "a number",
        Data::String(_) => "a string",
        Data::Sequence(..) => "a list",
        Data::Mapping(..) => "an object",
        Data::Unknown(_) => "a value known after apply",
        Data::Sealed(_) => "a sealed value",
    }
}
