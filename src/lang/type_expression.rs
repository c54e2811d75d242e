//! Reads type constraints: the expression behind `type =` of a variable, to a [`Type`].
//!
//! Called by the decoder. Types are written as expressions but never evaluated as such: `string` is a word here and
//! not a reference, and the default of an `optional` field must be a constant.

use crate::{
    base::{Data, Diagnostic, Number, Span, Value},
    lang::{
        ast::{Expr, Node, ObjectKey, UnaryOp},
        types::{Field, Type},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// How deep types may nest; more is a mistake or an attack.
const DEPTH: usize = 64;

const EXAMPLES: &str = "types are string, number, bool, any, list(T), set(T), map(T), tuple([T, U]) and \
                        object({ name = T, other = optional(T, default) })";

impl Type {
    /// The type that an expression such as `list(string)` or `object({ a = optional(number, 1) })` writes.
    ///
    /// # Errors
    /// A diagnostic of code `invalid_type` at the part that is no type.
    pub fn from_expr(expr: &Expr) -> Result<Self, Diagnostic> {
        read(expr, 0)
    }
}

/// The value of an expression that refers to nothing and calls nothing: literals, tuples and objects of them.
pub(crate) fn constant(expr: &Expr) -> Option<Value> {
    match &expr.node {
        Node::Literal(value) => Some(value.clone()),
        Node::Tuple(elements) => elements.iter().map(constant).collect::<Option<Vec<_>>>().map(Value::tuple),
        Node::Object(entries) => {
            let mut map: BTreeMap<Arc<str>, Value> = BTreeMap::new();
            for (key, value) in entries {
                let key = match key {
                    ObjectKey::Name(name) => name.clone(),
                    ObjectKey::Expr(key) => constant(key)?.as_str()?.into(),
                };
                map.insert(key, constant(value)?);
            }
            Some(Value::object(map))
        }
        Node::Unary(UnaryOp::Neg, inner) => match constant(inner)?.into_data() {
            Data::Number(n) => format!("-{n}").parse::<Number>().ok().map(|n| Data::Number(n).into()),
            _ => None,
        },
        _ => None,
    }
}

fn read(expr: &Expr, depth: usize) -> Result<Type, Diagnostic> {
    if depth > DEPTH {
        return Err(invalid(&expr.span, format!("a type nests deeper than {DEPTH} levels")));
    }
    match &expr.node {
        Node::Name(name) => word(name, &expr.span),
        Node::Call { name, arguments, expand: false } => constructor(name, arguments, &expr.span, depth),
        Node::Literal(value) if value.as_str().is_some() => {
            let text = value.as_str().unwrap_or_default();
            Err(invalid(&expr.span, "a type is written without quotes".to_owned()).hint(format!("write {text}")))
        }
        _ => Err(invalid(&expr.span, "this is no type".to_owned())),
    }
}

fn word(name: &str, span: &Span) -> Result<Type, Diagnostic> {
    Ok(match name {
        "any" => Type::Any,
        "bool" => Type::Bool,
        "number" => Type::Number,
        "string" => Type::String,
        // Terraform reads the bare words so, for old files' sake.
        "list" => Type::List(Box::new(Type::Any)),
        "map" => Type::Map(Box::new(Type::Any)),
        "set" => Type::Set(Box::new(Type::Any)),
        "object" | "tuple" => {
            let form = if name == "object" { "object({ name = type })" } else { "tuple([type, type])" };
            return Err(invalid(span, format!("`{name}` needs to say what is in it")).hint(format!("write {form}")));
        }
        other => {
            let fix = match other {
                "str" | "text" => "string",
                "int" | "integer" | "float" => "number",
                "boolean" => "bool",
                "array" => "list(any)",
                "dict" | "hash" => "map(any)",
                _ => "",
            };
            let problem = invalid(span, format!("`{other}` is no type"));
            return Err(if fix.is_empty() { problem } else { problem.hint(format!("write {fix}")) });
        }
    })
}

fn constructor(name: &str, arguments: &[Expr], span: &Span, depth: usize) -> Result<Type, Diagnostic> {
    let [argument] = arguments else {
        let problem = match name {
            "optional" => return Err(misplaced(span)),
            "list" | "set" | "map" | "object" | "tuple" => format!("`{name}` takes exactly one argument"),
            _ => format!("`{name}` is no type"),
        };
        return Err(invalid(span, problem));
    };
    match name {
        "list" => Ok(Type::List(Box::new(read(argument, depth + 1)?))),
        "set" => Ok(Type::Set(Box::new(read(argument, depth + 1)?))),
        "map" => Ok(Type::Map(Box::new(read(argument, depth + 1)?))),
        "tuple" => match &argument.node {
            Node::Tuple(elements) => {
                Ok(Type::Tuple(elements.iter().map(|e| read(e, depth + 1)).collect::<Result<_, _>>()?))
            }
            _ => Err(invalid(&argument.span, "`tuple` takes a list of types".to_owned())
                .hint("write tuple([string, number])")),
        },
        "object" => match &argument.node {
            Node::Object(entries) => object(entries, depth),
            _ => Err(invalid(&argument.span, "`object` takes its fields in braces".to_owned())
                .hint("write object({ name = string })")),
        },
        "optional" => Err(misplaced(span)),
        other => Err(invalid(span, format!("`{other}` is no type"))),
    }
}

fn object(entries: &[(ObjectKey, Expr)], depth: usize) -> Result<Type, Diagnostic> {
    let mut fields = BTreeMap::new();
    for (key, value) in entries {
        let name: Arc<str> = match key {
            ObjectKey::Name(name) => name.clone(),
            ObjectKey::Expr(key) => match constant(key).as_ref().and_then(Value::as_str) {
                Some(text) => text.into(),
                None => return Err(invalid(&key.span, "a field's name is a plain word".to_owned())),
            },
        };
        if fields.insert(name.clone(), field(value, depth)?).is_some() {
            return Err(invalid(&value.span, format!("the field `{name}` is written twice")));
        }
    }
    Ok(Type::Object(fields))
}

fn field(expr: &Expr, depth: usize) -> Result<Field, Diagnostic> {
    let Node::Call { name, arguments, expand: false } = &expr.node else {
        return Ok(Field { ty: read(expr, depth + 1)?, optional: false, default: None });
    };
    if &**name != "optional" {
        return Ok(Field { ty: read(expr, depth + 1)?, optional: false, default: None });
    }
    let (ty, default) = match &arguments[..] {
        [ty] => (ty, None),
        [ty, default] => (ty, Some(default)),
        _ => {
            return Err(invalid(&expr.span, "`optional` takes a type and at most a default".to_owned())
                .hint("write optional(string) or optional(string, \"default\")"));
        }
    };
    let default = match default {
        None => None,
        Some(expr) => Some(constant(expr).ok_or_else(|| {
            invalid(&expr.span, "the default of a field must be a constant".to_owned())
                .because("types are read before anything is evaluated")
        })?),
    };
    Ok(Field { ty: read(ty, depth + 1)?, optional: true, default })
}

fn misplaced(span: &Span) -> Diagnostic {
    invalid(span, "`optional` is only for the fields of an object".to_owned())
        .hint("write object({ name = optional(string) })")
}

fn invalid(span: &Span, summary: String) -> Diagnostic {
    Diagnostic::error("invalid_type", summary).at(span, "").because(EXAMPLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(node: Node) -> Expr {
        Expr { node, span: Span::new("a.hcl", 0..1) }
    }

    fn name(word: &str) -> Expr {
        at(Node::Name(word.into()))
    }

    fn call(function: &str, arguments: Vec<Expr>) -> Expr {
        at(Node::Call { name: function.into(), arguments, expand: false })
    }

    #[test]
    fn an_object_with_optional_fields_is_read() {
        let default = at(Node::Unary(UnaryOp::Neg, Box::new(at(Node::Literal(3.into())))));
        let fields = vec![
            (ObjectKey::Name("a".into()), call("optional", vec![name("number"), default])),
            (ObjectKey::Name("b".into()), call("list", vec![name("string")])),
        ];
        let ty = Type::from_expr(&call("object", vec![at(Node::Object(fields))])).unwrap();
        let Type::Object(fields) = ty else { panic!("{ty:?}") };
        assert_eq!(fields["a"], Field { ty: Type::Number, optional: true, default: Some((-3).into()) });
        assert_eq!(fields["b"].ty, Type::List(Box::new(Type::String)));
    }

    #[test]
    fn what_is_no_type_says_what_to_write() {
        let hint = |expr: &Expr| Type::from_expr(expr).unwrap_err().hint.unwrap_or_default();
        assert_eq!(hint(&name("int")), "write number");
        assert_eq!(hint(&at(Node::Literal("string".into()))), "write string");
        assert_eq!(hint(&call("optional", vec![name("string")])), "write object({ name = optional(string) })");
        assert!(Type::from_expr(&call("list", vec![])).is_err());
        assert!(Type::from_expr(&call("object", vec![name("string")])).is_err());
    }

    #[test]
    fn a_type_that_nests_without_end_is_refused() {
        let deep = (0..200).fold(name("any"), |inner, _| call("list", vec![inner]));
        assert!(Type::from_expr(&deep).unwrap_err().summary.contains("deeper"));
    }
}
