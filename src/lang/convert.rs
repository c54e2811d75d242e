//! Conversions: a value to a type constraint or to the shape that a schema asks for, and the one type that several
//! values can share.
//!
//! Called for variables, conditionals, functions and blocks. Follows Terraform: numbers and bools become strings and
//! back where the text allows, tuples become lists, objects maps. Marks stay on the leaves that carry them; what is
//! unknown stays unknown and is not checked until it is known.

use crate::{
    base::{Data, MappingKind, Path, SequenceKind, Value, parse_duration},
    lang::{
        schema::{AttributeSchema, Shape},
        suggest,
        types::{Field, Type},
    },
};
use std::{cmp::Ordering, collections::BTreeMap, fmt, sync::Arc};

/// Why a value does not fit: at which path in it, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where in the value.
    pub path: Path,
    /// What is wrong, as in `a number is required, not a string`.
    pub problem: String,
}

impl Mismatch {
    fn new(problem: impl Into<String>) -> Self {
        Self { path: Path::default(), problem: problem.into() }
    }

    fn in_key(mut self, key: &str) -> Self {
        self.path.0.insert(0, crate::base::Step::Key(key.into()));
        self
    }

    fn at_index(mut self, index: usize) -> Self {
        self.path.0.insert(0, crate::base::Step::Index(index));
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.0.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

/// The value as this type.
///
/// # Errors
/// Where it does not fit; an unknown part fits anything, and so does null.
pub fn convert(value: &Value, ty: &Type) -> Result<Value, Mismatch> {
    if value.is_unknown() {
        return Ok(value.clone());
    }
    let converted = match (ty, value.data()) {
        (Type::Any, _) | (_, Data::Sealed(_) | Data::Null) => return Ok(value.clone()),
        (Type::Bool, _) => to_bool(value)?,
        (Type::Number, _) => to_number(value)?,
        (Type::String, _) => to_string(value)?,
        (Type::List(element), Data::Sequence(_, elements)) => {
            Data::Sequence(SequenceKind::List, Arc::new(alike(elements, element)?)).into()
        }
        (Type::Set(element), Data::Sequence(_, elements)) => set_of(alike(elements, element)?),
        (Type::Tuple(types), Data::Sequence(_, elements)) => {
            if types.len() != elements.len() {
                let problem = format!("{} elements are required, not {}", types.len(), elements.len());
                return Err(Mismatch::new(problem));
            }
            let pairs = elements.iter().zip(types).enumerate();
            let elements =
                pairs.map(|(n, (v, t))| convert(v, t).map_err(|m| m.at_index(n))).collect::<Result<_, _>>()?;
            Value::tuple(elements)
        }
        (Type::Map(element), Data::Mapping(_, entries)) => {
            let element = common(element, entries.values())?;
            let entries = entries
                .iter()
                .map(|(k, v)| Ok((k.clone(), convert(v, &element).map_err(|m| m.in_key(k))?)))
                .collect::<Result<BTreeMap<_, _>, _>>()?;
            Data::Mapping(MappingKind::Map, Arc::new(entries)).into()
        }
        (Type::Object(fields), Data::Mapping(_, entries)) => object(fields, entries)?,
        _ => return Err(unfit(ty, value)),
    };
    Ok(converted.with_mark(value.is_sensitive()))
}

/// The value as an attribute of a schema asks for it. Null is left as it is.
///
/// # Errors
/// Where it does not fit, a value that is none of `one_of` included.
pub fn convert_attribute(value: &Value, attribute: &AttributeSchema) -> Result<Value, Mismatch> {
    let ty = match attribute.shape {
        Shape::Any | Shape::Object | Shape::Reference => Type::Any,
        Shape::Bool => Type::Bool,
        Shape::Number => Type::Number,
        Shape::String | Shape::Duration => Type::String,
        Shape::Strings => Type::List(Box::new(Type::String)),
        Shape::StringMap => Type::Map(Box::new(Type::String)),
    };
    let value = convert(value, &ty)?;
    if value.is_unknown() || value.is_null() {
        return Ok(value.with_mark(attribute.sensitive));
    }
    if attribute.shape == Shape::Object && value.as_map().is_none() {
        return Err(Mismatch::new(format!("an object is required, not {}", word(&value))));
    }
    if let Some(text) = value.as_str() {
        if attribute.shape == Shape::Duration
            && let Err(error) = parse_duration(text)
        {
            return Err(Mismatch::new(if value.is_sensitive() { "no duration".to_owned() } else { error.to_string() }));
        }
        if !attribute.one_of.is_empty() && !attribute.one_of.contains(&text) {
            let hint = suggest::nearest(text, attribute.one_of.iter().copied());
            let hint = hint.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            let known = attribute.one_of.iter().map(|one| format!("\"{one}\"")).collect::<Vec<_>>().join(", ");
            return Err(Mismatch::new(format!("it must be one of {known}{hint}")));
        }
    }
    Ok(value.with_mark(attribute.sensitive))
}

/// What a value is, in the words of the type system: `a string`, `a tuple`, `null`.
pub fn word(value: &Value) -> &'static str {
    match value.data() {
        Data::Null => "null",
        Data::Bool(_) => "a bool",
        Data::Number(_) => "a number",
        Data::String(_) => "a string",
        Data::Sequence(SequenceKind::Tuple, _) => "a tuple",
        Data::Sequence(SequenceKind::List, _) => "a list",
        Data::Sequence(SequenceKind::Set, _) => "a set",
        Data::Mapping(MappingKind::Object, _) => "an object",
        Data::Mapping(MappingKind::Map, _) => "a map",
        Data::Unknown(_) => "a value known after apply",
        Data::Sealed(_) => "a sealed secret",
    }
}

/// The type of a value. What is null or unknown may be anything.
pub fn type_of(value: &Value) -> Type {
    match value.data() {
        Data::Null | Data::Unknown(_) | Data::Sealed(_) => Type::Any,
        Data::Bool(_) => Type::Bool,
        Data::Number(_) => Type::Number,
        Data::String(_) => Type::String,
        Data::Sequence(SequenceKind::Tuple, elements) => Type::Tuple(elements.iter().map(type_of).collect()),
        Data::Sequence(SequenceKind::List, elements) => Type::List(Box::new(of_elements(elements.iter()))),
        Data::Sequence(SequenceKind::Set, elements) => Type::Set(Box::new(of_elements(elements.iter()))),
        Data::Mapping(MappingKind::Map, entries) => Type::Map(Box::new(of_elements(entries.values()))),
        Data::Mapping(MappingKind::Object, entries) => Type::Object(
            entries
                .iter()
                .map(|(k, v)| (k.clone(), Field { ty: type_of(v), optional: false, default: None }))
                .collect(),
        ),
    }
}

/// Elements of one collection share a type, so the first that tells it tells all.
fn of_elements<'v>(elements: impl Iterator<Item = &'v Value>) -> Type {
    let mut best = Type::Any;
    for element in elements {
        let ty = type_of(element);
        if complete(&ty) {
            return ty;
        }
        if best == Type::Any {
            best = ty;
        }
    }
    best
}

fn complete(ty: &Type) -> bool {
    match ty {
        Type::Any => false,
        Type::Bool | Type::Number | Type::String => true,
        Type::List(inner) | Type::Set(inner) | Type::Map(inner) => complete(inner),
        Type::Tuple(types) => types.iter().all(complete),
        Type::Object(fields) => fields.values().all(|f| complete(&f.ty)),
    }
}

/// The one type that all of these convert to, as Terraform finds it for conditionals, lists and maps; `None` where there
/// is none.
pub fn unify(types: &[Type]) -> Option<Type> {
    let mut known = types.iter().filter(|t| **t != Type::Any);
    let Some(first) = known.next() else { return Some(Type::Any) };
    let known: Vec<&Type> = std::iter::once(first).chain(known).collect();
    if known.iter().all(|t| *t == first) {
        return Some(first.clone());
    }
    let primitive = |t: &Type| matches!(t, Type::Bool | Type::Number | Type::String);
    if known.iter().all(|t| primitive(t)) {
        return known.contains(&&Type::String).then_some(Type::String);
    }
    let owned = |types: Vec<&Type>| unify(&types.into_iter().cloned().collect::<Vec<_>>());
    if known.iter().all(|t| matches!(t, Type::Object(_) | Type::Map(_))) {
        return unify_mappings(&known);
    }
    let length = |t: &Type| if let Type::Tuple(types) = t { Some(types.len()) } else { None };
    if let Some(n) = length(first)
        && known.iter().all(|t| length(t) == Some(n))
    {
        let columns = (0..n).map(|at| {
            owned(known.iter().filter_map(|t| if let Type::Tuple(types) = t { types.get(at) } else { None }).collect())
        });
        return columns.collect::<Option<Vec<_>>>().map(Type::Tuple);
    }
    let mut inner: Vec<&Type> = Vec::new();
    for ty in &known {
        match ty {
            Type::List(element) | Type::Set(element) => inner.push(element),
            Type::Tuple(types) => inner.extend(types),
            _ => return None,
        }
    }
    let inner = Box::new(owned(inner)?);
    if known.iter().all(|t| matches!(t, Type::Set(_) | Type::Tuple(_))) && known.iter().any(|t| length(t).is_none()) {
        return Some(Type::Set(inner));
    }
    Some(Type::List(inner))
}

fn unify_mappings(known: &[&Type]) -> Option<Type> {
    let fields: Option<Vec<&BTreeMap<Arc<str>, Field>>> =
        known.iter().map(|t| if let Type::Object(fields) = t { Some(fields) } else { None }).collect();
    if let Some(objects) = &fields
        && let Some(first) = objects.first()
        && objects.iter().all(|o| o.keys().eq(first.keys()))
    {
        let unified = first.keys().map(|name| {
            let types: Vec<Type> = objects.iter().filter_map(|o| o.get(name)).map(|f| f.ty.clone()).collect();
            Some((name.clone(), Field { ty: unify(&types)?, optional: false, default: None }))
        });
        return unified.collect::<Option<BTreeMap<_, _>>>().map(Type::Object);
    }
    let mut inner: Vec<Type> = Vec::new();
    for ty in known {
        match ty {
            Type::Map(element) => inner.push((**element).clone()),
            Type::Object(fields) => inner.extend(fields.values().map(|f| f.ty.clone())),
            _ => return None,
        }
    }
    unify(&inner).map(|inner| Type::Map(Box::new(inner)))
}

/// A set of these: in order and without repetitions. A mark on an element moves to the set, as in Terraform.
pub fn set_of(mut elements: Vec<Value>) -> Value {
    let marked = elements.iter().any(Value::has_sensitive);
    if marked {
        elements = elements.iter().map(unmark).collect();
    }
    elements.sort_by(compare);
    elements.dedup_by(|a, b| !a.has_unknown() && a == b);
    Value::from(Data::Sequence(SequenceKind::Set, Arc::new(elements))).with_mark(marked)
}

/// The value without any mark in it.
pub fn unmark(value: &Value) -> Value {
    match value.data() {
        Data::Sequence(kind, elements) if value.has_sensitive() => {
            Data::Sequence(*kind, Arc::new(elements.iter().map(unmark).collect())).into()
        }
        Data::Mapping(kind, entries) if value.has_sensitive() => {
            Data::Mapping(*kind, Arc::new(entries.iter().map(|(k, v)| (k.clone(), unmark(v))).collect())).into()
        }
        _ => value.clone().unmarked(),
    }
}

/// The order of a set's elements: bools, numbers and strings by what they are, anything else by its text, null last.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.data(), b.data()) {
        (Data::String(a), Data::String(b)) => a.cmp(b),
        (Data::Number(a), Data::Number(b)) => a.cmp(b),
        (Data::Bool(a), Data::Bool(b)) => a.cmp(b),
        (Data::Null, Data::Null) => Ordering::Equal,
        (Data::Null, _) => Ordering::Greater,
        (_, Data::Null) => Ordering::Less,
        _ => {
            let text = |v: &Value| {
                let mut out = String::new();
                set_text(v, &mut out);
                out
            };
            text(a).cmp(&text(b))
        }
    }
}

/// The text by which Terraform orders what has no order of its own.
fn set_text(value: &Value, out: &mut String) {
    use fmt::Write as _;
    match value.data() {
        Data::Unknown(_) | Data::Sealed(_) => out.push('?'),
        Data::Null => out.push('~'),
        Data::Bool(b) => out.push(if *b { 'T' } else { 'F' }),
        Data::Number(n) => {
            let _ = write!(out, "{n}");
        }
        Data::String(s) => {
            let _ = write!(out, "{s:?}");
        }
        Data::Sequence(kind, elements) => {
            let (open, close) = if *kind == SequenceKind::Tuple { ('<', '>') } else { ('[', ']') };
            out.push(open);
            for element in elements.iter() {
                set_text(element, out);
                out.push(';');
            }
            out.push(close);
        }
        Data::Mapping(MappingKind::Map, entries) => {
            out.push('{');
            for (key, entry) in entries.iter() {
                let _ = write!(out, "{key:?}:");
                set_text(entry, out);
                out.push(';');
            }
            out.push('}');
        }
        Data::Mapping(MappingKind::Object, entries) => {
            out.push('<');
            for entry in entries.values() {
                set_text(entry, out);
                out.push(';');
            }
            out.push('>');
        }
    }
}

fn alike(elements: &[Value], element: &Type) -> Result<Vec<Value>, Mismatch> {
    let element = common(element, elements.iter())?;
    elements.iter().enumerate().map(|(n, v)| convert(v, &element).map_err(|m| m.at_index(n))).collect()
}

/// The element type of a collection: as constrained, or where anything goes, one that all its elements share.
fn common<'v>(element: &Type, values: impl Iterator<Item = &'v Value>) -> Result<Type, Mismatch> {
    if *element != Type::Any {
        return Ok(element.clone());
    }
    let types: Vec<Type> = values.map(type_of).collect();
    unify(&types).ok_or_else(|| Mismatch::new("all elements must have the same type"))
}

fn object(fields: &BTreeMap<Arc<str>, Field>, entries: &BTreeMap<Arc<str>, Value>) -> Result<Value, Mismatch> {
    let mut out = BTreeMap::new();
    for (name, field) in fields {
        let given = entries.get(name).filter(|v| !(field.optional && v.is_null()));
        let value = match (given, &field.default) {
            (Some(value), _) => convert(value, &field.ty).map_err(|m| m.in_key(name))?,
            (None, Some(default)) => convert(default, &field.ty).map_err(|m| m.in_key(name))?,
            (None, None) if field.optional => Value::NULL,
            (None, None) => {
                let extra = entries.keys().map(|k| &**k).filter(|k| !fields.contains_key(*k));
                let near = suggest::nearest(name, extra);
                let near = near.map(|near| format!(" (`{near}` is there)")).unwrap_or_default();
                return Err(Mismatch::new(format!("the field `{name}` is required{near}")));
            }
        };
        out.insert(name.clone(), value);
    }
    Ok(Value::object(out))
}

fn to_bool(value: &Value) -> Result<Value, Mismatch> {
    match value.data() {
        Data::Bool(b) => Ok((*b).into()),
        Data::String(s) => match &**s {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => Err(Mismatch::new("a bool is required: true or false, without quotes")),
        },
        _ => Err(unfit(&Type::Bool, value)),
    }
}

fn to_number(value: &Value) -> Result<Value, Mismatch> {
    match value.data() {
        Data::Number(_) => Ok(value.clone().unmarked()),
        Data::String(s) => {
            s.parse().map(|n| Data::Number(n).into()).map_err(|_| Mismatch::new("a number is required, not a string"))
        }
        _ => Err(unfit(&Type::Number, value)),
    }
}

fn to_string(value: &Value) -> Result<Value, Mismatch> {
    match value.data() {
        Data::String(s) => Ok(Value::string(s.clone())),
        Data::Number(n) => Ok(Value::string(n.to_string())),
        Data::Bool(b) => Ok(Value::string(if *b { "true" } else { "false" })),
        _ => Err(unfit(&Type::String, value)),
    }
}

fn unfit(ty: &Type, value: &Value) -> Mismatch {
    let wanted = match ty {
        Type::Any => "anything",
        Type::Bool => "a bool",
        Type::Number => "a number",
        Type::String => "a string",
        Type::List(_) => "a list",
        Type::Set(_) => "a set",
        Type::Map(_) => "a map",
        Type::Tuple(_) => "a tuple",
        Type::Object(_) => "an object",
    };
    Mismatch::new(format!("{wanted} is required, not {}", word(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(inner: Type) -> Type {
        Type::List(Box::new(inner))
    }

    #[test]
    fn primitives_convert_where_the_text_allows() {
        assert_eq!(convert(&5.into(), &Type::String), Ok("5".into()));
        assert_eq!(convert(&"5".into(), &Type::Number), Ok(5.into()));
        assert_eq!(convert(&"true".into(), &Type::Bool), Ok(true.into()));
        assert!(convert(&"yes".into(), &Type::Bool).is_err());
        assert!(convert(&"x".into(), &Type::Number).is_err());
        assert!(convert(&Value::tuple(vec![]), &Type::String).is_err());
    }

    #[test]
    fn an_optional_field_takes_its_default_where_it_is_left_out_or_null() {
        let field = Field { ty: Type::Number, optional: true, default: Some("3".into()) };
        let ty = Type::Object([(Arc::from("a"), field)].into());
        for given in [Value::object::<&str>([]), Value::object([("a", Value::NULL)])] {
            assert_eq!(convert(&given, &ty), Ok(Value::object([("a", 3.into())])));
        }
    }

    #[test]
    fn a_mismatch_names_the_path() {
        let ty =
            list(Type::Object([("min".into(), Field { ty: Type::Number, optional: false, default: None })].into()));
        let value = Value::tuple(vec![Value::object([("min", Value::tuple(vec![]))])]);
        assert_eq!(convert(&value, &ty).unwrap_err().to_string(), "[0].min: a number is required, not a tuple");
        let value = Value::tuple(vec![Value::object([("mim", 1.into())])]);
        assert_eq!(convert(&value, &ty).unwrap_err().to_string(), "[0]: the field `min` is required (`mim` is there)");
    }

    #[test]
    fn marks_and_unknowns_stay_on_their_leaves() {
        let value = Value::tuple(vec![Value::from(1).sensitive(), Value::UNKNOWN, 2.into()]);
        let converted = convert(&value, &list(Type::String)).unwrap();
        let elements = converted.as_seq().unwrap();
        assert!(elements[0].is_sensitive() && !converted.is_sensitive());
        assert!(elements[1].is_unknown());
        assert_eq!(elements[2], "2".into());
        assert!(convert(&value, &Type::Set(Box::new(Type::Any))).unwrap().is_sensitive());
    }

    #[test]
    fn types_unify_as_terraform_does() {
        let (n, s, b) = (Type::Number, Type::String, Type::Bool);
        assert_eq!(unify(&[n.clone(), s.clone()]), Some(s.clone()));
        assert_eq!(unify(&[n.clone(), b.clone()]), None);
        assert_eq!(unify(&[Type::Any, b.clone()]), Some(b));
        let pair = |a: &Type, b: &Type| Type::Tuple(vec![a.clone(), b.clone()]);
        assert_eq!(unify(&[pair(&n, &n), pair(&s, &s)]), Some(pair(&s, &s)));
        assert_eq!(unify(&[Type::Tuple(vec![n]), pair(&s, &s)]), Some(list(s)));
        let object = |name: &str| type_of(&Value::object([(name, 1.into())]));
        assert_eq!(unify(&[object("a"), object("b")]), Some(Type::Map(Box::new(Type::Number))));
    }
}
