//! `for` expressions, and what they and template loops iterate over.

use super::{
    Evaluator,
    expression::{condition_of, key_text},
    failure::{Failures, Outcome},
    scope::{Bound, Frame},
};
use crate::{
    base::{Data, Diagnostic, Number, SequenceKind, Span, Value},
    lang::{ast::ForExpr, convert},
};
use std::{collections::BTreeMap, sync::Arc};

/// The elements of a collection with their keys.
pub(super) enum Items {
    /// Each.
    Known(Vec<(Value, Value)>),
    /// The collection is unknown; this stands for whatever is made of it.
    Unknown(Value),
}

/// What iterating over a value gives.
pub(super) fn items(collection: &Value, span: &Span) -> Outcome<Items> {
    let mark = collection.is_sensitive();
    match collection.data() {
        Data::Unknown(_) => Ok(Items::Unknown(collection.clone())),
        Data::Sealed(_) => Ok(Items::Unknown(Value::UNKNOWN.sensitive())),
        Data::Sequence(SequenceKind::Set, elements) => {
            Ok(Items::Known(elements.iter().map(|e| (e.clone().with_mark(mark), e.clone().with_mark(mark))).collect()))
        }
        Data::Sequence(_, elements) => Ok(Items::Known(
            elements
                .iter()
                .enumerate()
                .map(|(n, e)| (Data::Number(Number::count(n)).into(), e.clone().with_mark(mark)))
                .collect(),
        )),
        Data::Mapping(_, entries) => Ok(Items::Known(
            entries
                .iter()
                .map(|(k, e)| (Value::string(k.clone()).with_mark(mark), e.clone().with_mark(mark)))
                .collect(),
        )),
        Data::Null => Err(Diagnostic::error("null_value", "null cannot be iterated over")
            .at(span, "")
            .hint("write coalesce(x, []) where it may be null")
            .into()),
        _ => {
            let found = convert::word(collection);
            Err(Diagnostic::error("wrong_type", format!("{found} cannot be iterated over"))
                .at(span, "")
                .because("`for` takes a list, a set, a tuple, a map or an object")
                .into())
        }
    }
}

/// What a `for` expression has come to so far.
#[derive(Default)]
struct Gathered {
    elements: Vec<Value>,
    entries: BTreeMap<Arc<str>, Value>,
    groups: BTreeMap<Arc<str>, Vec<Value>>,
    unknown: Option<Value>,
    sensitive: bool,
}

impl Evaluator {
    pub(super) fn for_expression(&mut self, each: &ForExpr, span: &Span, frame: Frame<'_>) -> Outcome<Value> {
        let collection = self.eval(&each.collection, frame)?;
        let found = match items(&collection, &each.collection.span)? {
            Items::Known(found) => found,
            Items::Unknown(unknown) => return Ok(unknown),
        };
        let mut out = Gathered { sensitive: collection.is_sensitive(), ..Gathered::default() };
        let mut failures = Failures::default();
        for (key, value) in found {
            let outer = each.key.as_ref().map(|name| Bound { name, value: key, outer: frame.bound });
            let inner = Bound { name: &each.value, value, outer: outer.as_ref().or(frame.bound) };
            let outcome = self.one(each, span, Frame { bound: Some(&inner), ..frame }, &mut out);
            if let Err(failure) = &outcome
                && failure.is_fatal()
            {
                return Err(failure.clone());
            }
            failures.note(outcome);
        }
        let whole = match out.unknown {
            Some(unknown) => unknown,
            None if each.result_key.is_none() => Value::tuple(out.elements),
            None if each.group => Value::object(out.groups.into_iter().map(|(k, v)| (k, Value::tuple(v)))),
            None => Value::object(out.entries),
        };
        failures.or(whole.with_mark(out.sensitive))
    }

    fn one(&mut self, each: &ForExpr, span: &Span, frame: Frame<'_>, out: &mut Gathered) -> Outcome<()> {
        if let Some(condition) = &each.condition {
            let test = self.eval(condition, frame)?;
            out.sensitive |= test.is_sensitive();
            match condition_of(&test, &condition.span, "the condition")? {
                Some(true) => {}
                Some(false) => return Ok(()),
                None => {
                    out.unknown.get_or_insert(test);
                    return Ok(());
                }
            }
        }
        let Some(key_expr) = &each.result_key else {
            let value = self.eval(&each.result, frame)?;
            out.elements.push(value);
            return Ok(());
        };
        let mut failures = Failures::default();
        let key = failures.note(self.eval(key_expr, frame));
        let value = failures.note(self.eval(&each.result, frame));
        let (Some(key), Some(value)) = (key, value) else { return failures.or(()) };
        out.sensitive |= key.is_sensitive();
        if key.is_unknown() {
            out.unknown.get_or_insert(key);
            return Ok(());
        }
        let name = key_text(&key, &key_expr.span)?;
        if each.group {
            out.groups.entry(name).or_default().push(value);
        } else if out.entries.insert(name.clone(), value).is_some() {
            let which = if key.is_sensitive() {
                "two elements have the same key".to_owned()
            } else {
                format!("two elements have the key {:?}", &*name)
            };
            return Err(Diagnostic::error("duplicate_key", which)
                .at(&key_expr.span, "")
                .at(span, "")
                .hint("make the key distinct, or group the values: put ... behind the value")
                .into());
        }
        Ok(())
    }
}
