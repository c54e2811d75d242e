//! Type constraints: `string`, `list(number)`, `object({ a = optional(string, "x") })`.

use crate::{
    base::{Diagnostic, Diagnostics, Value},
    lang::{
        ast::{Expr, Node, ObjectKey},
        literal, suggest,
    },
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A type constraint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Type {
    /// Anything.
    #[default]
    Any,
    /// `bool`.
    Bool,
    /// `number`.
    Number,
    /// `string`.
    String,
    /// `list(T)`.
    List(Box<Type>),
    /// `set(T)`.
    Set(Box<Type>),
    /// `map(T)`.
    Map(Box<Type>),
    /// `tuple([A, B])`.
    Tuple(Vec<Type>),
    /// `object({ a = T, b = optional(U, default) })`.
    Object(BTreeMap<Arc<str>, Field>),
}

/// A field of an object type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its type.
    pub ty: Type,
    /// Whether it may be left out.
    pub optional: bool,
    /// What it is where left out; null where none is given.
    pub default: Option<Value>,
}

const SIMPLE: [&str; 4] = ["any", "bool", "number", "string"];
const GENERIC: [&str; 5] = ["list", "map", "object", "set", "tuple"];

impl Type {
    /// Reads a type as it is written behind `type =`.
    ///
    /// # Errors
    /// What is no type, each with its place.
    pub fn from_expr(expr: &Expr) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let ty = read(expr, &mut diagnostics);
        if diagnostics.is_empty() { Ok(ty) } else { Err(diagnostics) }
    }
}

fn read(expr: &Expr, diagnostics: &mut Diagnostics) -> Type {
    match &expr.node {
        Node::Name(name) => match &**name {
            "any" => return Type::Any,
            "bool" => return Type::Bool,
            "number" => return Type::Number,
            "string" => return Type::String,
            "list" => return Type::List(Box::new(Type::Any)),
            "set" => return Type::Set(Box::new(Type::Any)),
            "map" => return Type::Map(Box::new(Type::Any)),
            "object" | "tuple" => {
                let hint = if &**name == "object" { "object({ name = string })" } else { "tuple([string, number])" };
                diagnostics.push(
                    Diagnostic::error("invalid_type", format!("`{name}` needs to know what is in it"))
                        .at(&expr.span, "")
                        .hint(format!("write {hint}")),
                );
            }
            _ => unknown(name, expr, diagnostics),
        },
        Node::Call { name, arguments, expand: false } => match (&**name, arguments.as_slice()) {
            ("list", [inner]) => return Type::List(Box::new(read(inner, diagnostics))),
            ("set", [inner]) => return Type::Set(Box::new(read(inner, diagnostics))),
            ("map", [inner]) => return Type::Map(Box::new(read(inner, diagnostics))),
            ("tuple", [Expr { node: Node::Tuple(elements), .. }]) => {
                return Type::Tuple(elements.iter().map(|e| read(e, diagnostics)).collect());
            }
            ("object", [Expr { node: Node::Object(entries), .. }]) => return object(entries, diagnostics),
            ("optional", _) => diagnostics.push(
                Diagnostic::error("invalid_type", "`optional` stands only in an object's fields").at(&expr.span, ""),
            ),
            (known, _) if GENERIC.contains(&known) => diagnostics.push(
                Diagnostic::error("invalid_type", format!("`{known}` does not take this"))
                    .at(&expr.span, "")
                    .hint("write list(T), set(T), map(T), tuple([T, U]) or object({ name = T })"),
            ),
            _ => unknown(name, expr, diagnostics),
        },
        Node::Literal(value) if value.as_str().is_some() => {
            let name = value.as_str().unwrap_or_default();
            diagnostics.push(
                Diagnostic::error("invalid_type", "a type stands without quotes")
                    .at(&expr.span, "")
                    .hint(format!("write type = {name}")),
            );
        }
        _ => {
            diagnostics.push(Diagnostic::error("invalid_type", "this is no type").at(&expr.span, "").hint(
                "types are string, number, bool, any, list(T), set(T), map(T), tuple([T, U]), object({ name = T })",
            ));
        }
    }
    Type::Any
}

fn unknown(name: &str, expr: &Expr, diagnostics: &mut Diagnostics) {
    let mut diagnostic = Diagnostic::error("invalid_type", format!("there is no type `{name}`")).at(&expr.span, "");
    diagnostic.hint = suggest::hint(name, SIMPLE.into_iter().chain(GENERIC));
    diagnostics.push(diagnostic);
}

fn object(entries: &[(ObjectKey, Expr)], diagnostics: &mut Diagnostics) -> Type {
    let mut fields = BTreeMap::new();
    for (key, value) in entries {
        let ObjectKey::Name(name) = key else {
            diagnostics.push(Diagnostic::error("invalid_type", "a field's name is a plain word").at(&value.span, ""));
            continue;
        };
        let field = match &value.node {
            Node::Call { name: called, arguments, .. } if &**called == "optional" => match arguments.as_slice() {
                [ty] => Field { ty: read(ty, diagnostics), optional: true, default: None },
                [ty, default] => {
                    let ty = read(ty, diagnostics);
                    let value = literal(default);
                    if value.is_none() {
                        diagnostics.push(
                            Diagnostic::error("invalid_type", "a field's default is a plain value")
                                .at(&default.span, "")
                                .because("types are read before anything is evaluated"),
                        );
                    }
                    Field { ty, optional: true, default: value }
                }
                _ => {
                    diagnostics.push(
                        Diagnostic::error("invalid_type", "`optional` takes a type and perhaps a default")
                            .at(&value.span, "")
                            .hint("write optional(string, \"x\")"),
                    );
                    Field { ty: Type::Any, optional: true, default: None }
                }
            },
            _ => Field { ty: read(value, diagnostics), optional: false, default: None },
        };
        if fields.insert(name.clone(), field).is_some() {
            diagnostics.push(
                Diagnostic::error("invalid_type", format!("the field `{name}` is there twice")).at(&value.span, ""),
            );
        }
    }
    Type::Object(fields)
}

/// As it is written in a plan file.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Bool => f.write_str("bool"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::List(inner) => write!(f, "list({inner})"),
            Self::Set(inner) => write!(f, "set({inner})"),
            Self::Map(inner) => write!(f, "map({inner})"),
            Self::Tuple(elements) => {
                let elements: Vec<String> = elements.iter().map(ToString::to_string).collect();
                write!(f, "tuple([{}])", elements.join(", "))
            }
            Self::Object(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, field)| {
                        if field.optional {
                            format!("{name} = optional({})", field.ty)
                        } else {
                            format!("{name} = {}", field.ty)
                        }
                    })
                    .collect();
                write!(f, "object({{ {} }})", fields.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::parse::parse_expression;

    fn read(text: &str) -> Result<Type, Diagnostics> {
        Type::from_expr(&parse_expression(text, &"t".into()).unwrap())
    }

    #[test]
    fn a_type_reads_back_as_it_is_written() {
        for text in
            ["string", "list(map(number))", "tuple([bool, any])", "object({ a = optional(set(string)), b = number })"]
        {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_type_says_what_was_meant() {
        assert_eq!(read("strng").unwrap_err().0[0].hint.as_deref(), Some("did you mean `string`?")); // spellchecker:disable-line
        for text in [
            "\"string\"",
            "list(string, number)",
            "object",
            "optional(string)",
            "1",
            "object({ a = optional(string, var.x) })",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
