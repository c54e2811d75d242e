//! One expression to its value.
//!
//! Unknown and sensitive marks pass through every form, leaf by leaf: what is computed from an unknown part is unknown,
//! for the sake of the same resource; what is computed from a sensitive part is sensitive.

use super::{
    Evaluator,
    failure::{Failure, Failures, Outcome},
    scope::Frame,
};
use crate::{
    base::{Data, Diagnostic, MappingKind, SequenceKind, Span, Value},
    lang::{
        ast::{Expr, Node, ObjectKey, SplatStep},
        convert, suggest,
        types::Type,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// How deep one evaluation may go, references and parentheses together.
const DEPTH: usize = 1_000;
/// Less stack than this left, and the evaluation goes on on a new piece.
const RED_ZONE: usize = 128 << 10;
/// The size of such a piece.
const SEGMENT: usize = 2 << 20;

impl Evaluator {
    /// The value of an expression.
    pub(super) fn eval(&mut self, expr: &Expr, frame: Frame<'_>) -> Outcome<Value> {
        if self.depth >= DEPTH {
            return Err(Failure::fatal(
                Diagnostic::error("too_deep", "the expression is too deep to evaluate").at(&expr.span, ""),
            ));
        }
        self.depth += 1;
        let outcome = stacker::maybe_grow(RED_ZONE, SEGMENT, || self.eval_node(expr, frame));
        self.depth -= 1;
        outcome
    }

    fn eval_node(&mut self, expr: &Expr, frame: Frame<'_>) -> Outcome<Value> {
        match &expr.node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Template(parts) => self.template(parts, &expr.span, frame),
            Node::Tuple(elements) => {
                let mut failures = Failures::default();
                let values = elements.iter().filter_map(|e| failures.note(self.eval(e, frame))).collect();
                failures.or(values).map(Value::tuple)
            }
            Node::Object(entries) => self.object(entries, frame),
            Node::Name(_) | Node::Attribute(..) | Node::Index(..) => self.reference_or_step(expr, frame),
            Node::Splat(inner, steps) => self.splat(inner, steps, frame),
            Node::Call { name, arguments, expand } => self.call(name, arguments, *expand, &expr.span, frame),
            Node::Conditional(condition, then, otherwise) => {
                self.conditional(condition, then, otherwise, &expr.span, frame)
            }
            Node::Unary(op, inner) => self.unary(*op, inner, frame),
            Node::Binary(op, left, right) => self.binary(*op, left, right, &expr.span, frame),
            Node::For(each) => self.for_expression(each, &expr.span, frame),
        }
    }

    fn reference_or_step(&mut self, expr: &Expr, frame: Frame<'_>) -> Outcome<Value> {
        if let Some(outcome) = self.reference(expr, frame) {
            return outcome;
        }
        match &expr.node {
            Node::Attribute(inner, name) => {
                let value = self.eval(inner, frame)?;
                if value.is_unknown() {
                    self.check_attribute(inner, name, &expr.span, frame)?;
                }
                attribute(&value, name, &expr.span)
            }
            Node::Index(inner, index) => {
                let mut failures = Failures::default();
                let value = failures.note(self.eval(inner, frame));
                let at = failures.note(self.eval(index, frame));
                match (value, at) {
                    (Some(value), Some(at)) => self::index(&value, &at, &expr.span),
                    _ => failures.or(Value::NULL),
                }
            }
            Node::Name(name) => Err(self.unknown_name(name, &expr.span, frame)),
            _ => Ok(Value::NULL),
        }
    }

    fn object(&mut self, entries: &[(ObjectKey, Expr)], frame: Frame<'_>) -> Outcome<Value> {
        let mut failures = Failures::default();
        let mut out = BTreeMap::new();
        let mut mark = false;
        let mut unknown = None;
        for (key, value) in entries {
            let name: Option<Arc<str>> = match key {
                ObjectKey::Name(name) => Some(name.clone()),
                ObjectKey::Expr(expr) => {
                    let key = self.eval(expr, frame).and_then(|key| {
                        mark |= key.is_sensitive();
                        if key.is_unknown() {
                            unknown.get_or_insert(key);
                            return Ok(None);
                        }
                        key_text(&key, &expr.span).map(Some)
                    });
                    failures.note(key).flatten()
                }
            };
            let value = failures.note(self.eval(value, frame));
            if let (Some(name), Some(value)) = (name, value) {
                out.insert(name, value);
            }
        }
        let whole = unknown.unwrap_or_else(|| Value::object(out));
        failures.or(whole.with_mark(mark))
    }

    fn splat(&mut self, inner: &Expr, steps: &[SplatStep], frame: Frame<'_>) -> Outcome<Value> {
        let source = self.eval(inner, frame)?;
        let (kind, elements): (_, Vec<Value>) = match source.data() {
            Data::Unknown(_) => return Ok(source),
            Data::Null => (SequenceKind::Tuple, Vec::new()),
            Data::Sequence(SequenceKind::Tuple, elements) => (SequenceKind::Tuple, elements.to_vec()),
            Data::Sequence(_, elements) => (SequenceKind::List, elements.to_vec()),
            _ => (SequenceKind::Tuple, vec![source.clone().unmarked()]),
        };
        let mut failures = Failures::default();
        let mut out = Vec::with_capacity(elements.len());
        for mut element in elements {
            for step in steps {
                let next = match step {
                    SplatStep::Attribute(name) => attribute(&element, name, &inner.span),
                    SplatStep::Index(at) => {
                        self.eval(at, frame).and_then(|at_value| index(&element, &at_value, &at.span))
                    }
                };
                match failures.note(next) {
                    Some(next) => element = next,
                    None => break,
                }
            }
            out.push(element);
        }
        failures.or(Value::from(Data::Sequence(kind, Arc::new(out))).with_mark(source.is_sensitive()))
    }

    fn conditional(
        &mut self,
        condition: &Expr,
        then: &Expr,
        otherwise: &Expr,
        span: &Span,
        frame: Frame<'_>,
    ) -> Outcome<Value> {
        let test = self.eval(condition, frame)?;
        let mark = test.is_sensitive();
        let holds = condition_of(&test, &condition.span, "the condition")?;
        // Both sides are evaluated, since the result has the type that both share; what is wrong with the side that is
        // not taken is no error.
        let then = self.eval(then, frame);
        let otherwise = self.eval(otherwise, frame);
        if let Some(fatal) = [&then, &otherwise].into_iter().filter_map(|o| o.as_ref().err()).find(|f| f.is_fatal()) {
            return Err(fatal.clone());
        }
        let (taken, left) = match holds {
            Some(true) => (then?, otherwise.ok()),
            Some(false) => (otherwise?, then.ok()),
            None => return Ok(test.with_mark(mark)),
        };
        let result = match left {
            Some(left) => share_type(&taken, &left, span)?,
            None => taken,
        };
        Ok(result.with_mark(mark))
    }
}

/// The taken side of a conditional in the type that both sides share.
fn share_type(taken: &Value, left: &Value, span: &Span) -> Outcome<Value> {
    let same_primitive = match (taken.data(), left.data()) {
        (Data::Bool(_), Data::Bool(_))
        | (Data::Number(_), Data::Number(_))
        | (Data::String(_), Data::String(_))
        | (_, Data::Null | Data::Unknown(_) | Data::Sealed(_))
        | (Data::Null | Data::Unknown(_) | Data::Sealed(_), _) => true,
        (Data::Sequence(a, x), Data::Sequence(b, y)) => a == b && Arc::ptr_eq(x, y),
        (Data::Mapping(a, x), Data::Mapping(b, y)) => a == b && Arc::ptr_eq(x, y),
        _ => false,
    };
    if same_primitive {
        return Ok(taken.clone());
    }
    let (a, b) = (convert::type_of(taken), convert::type_of(left));
    if a == b {
        return Ok(taken.clone());
    }
    let shared = convert::unify(&[a.clone(), b.clone()]);
    shared.and_then(|ty| convert::convert(taken, &ty).ok()).ok_or_else(|| {
        Diagnostic::error("wrong_type", "the two sides of a conditional have no type in common")
            .at(span, format!("{} and {}", convert::word(taken), convert::word(left)))
            .because(format!("one is {a}, the other {b}; a conditional has one type, whichever side is taken"))
            .hint("give both sides the same shape, or merge(...) in what only one of them has")
            .into()
    })
}

/// The truth of a condition; `None` where it is unknown.
pub(super) fn condition_of(value: &Value, span: &Span, what: &str) -> Outcome<Option<bool>> {
    if value.is_unknown() {
        return Ok(None);
    }
    let fail = |found: &str| {
        Diagnostic::error("wrong_type", format!("{what} must be true or false, not {found}")).at(span, "").into()
    };
    match convert::convert(value, &Type::Bool) {
        Ok(converted) => match converted.as_bool() {
            Some(truth) => Ok(Some(truth)),
            None => Err(fail(convert::word(value))),
        },
        Err(_) => Err(fail(convert::word(value))),
    }
}

/// A key as text.
pub(super) fn key_text(key: &Value, span: &Span) -> Outcome<Arc<str>> {
    if key.is_null() {
        return Err(Diagnostic::error("null_value", "a key must not be null").at(span, "").into());
    }
    if let Some(Data::String(text)) = convert::convert(key, &Type::String).ok().map(Value::into_data) {
        Ok(text)
    } else {
        let found = convert::word(key);
        Err(Diagnostic::error("wrong_type", format!("a key must be a string, not {found}")).at(span, "").into())
    }
}

/// `value.name`.
pub(super) fn attribute(value: &Value, name: &str, span: &Span) -> Outcome<Value> {
    let mark = value.is_sensitive();
    match value.data() {
        Data::Unknown(_) => Ok(value.clone()),
        Data::Sealed(_) => Ok(Value::UNKNOWN.sensitive()),
        Data::Mapping(kind, entries) => {
            if let Some(entry) = entries.get(name) {
                Ok(entry.clone().with_mark(mark))
            } else {
                let what = match kind {
                    MappingKind::Object => "this object has no attribute",
                    MappingKind::Map => "this map has no element",
                };
                let mut problem = Diagnostic::error("unknown_attribute", format!("{what} `{name}`")).at(span, "");
                if !mark {
                    problem.hint = suggest::hint(name, entries.keys().map(|k| &**k));
                }
                Err(problem.into())
            }
        }
        Data::Null => Err(Diagnostic::error("null_value", format!("null has no attribute `{name}`"))
            .at(span, "")
            .hint("guard it: x == null ? null : x.y, or try(x.y, null)")
            .into()),
        Data::Sequence(..) => {
            Err(Diagnostic::error("wrong_type", format!("{} has no attribute `{name}`", convert::word(value)))
                .at(span, "")
                .hint(format!("take one element, [0].{name}, or that of each: [*].{name}"))
                .into())
        }
        _ => Err(Diagnostic::error("wrong_type", format!("{} has no attribute `{name}`", convert::word(value)))
            .at(span, "")
            .into()),
    }
}

/// `value[at]`.
pub(super) fn index(value: &Value, at: &Value, span: &Span) -> Outcome<Value> {
    let mark = value.is_sensitive() || at.is_sensitive();
    let fail = |code, summary: String| Diagnostic::error(code, summary).at(span, "");
    match value.data() {
        Data::Unknown(_) => return Ok(value.clone().with_mark(mark)),
        Data::Sealed(_) => return Ok(Value::UNKNOWN.sensitive()),
        Data::Null => {
            return Err(fail("null_value", "null has no elements".to_owned())
                .hint("guard it with a condition, or try(...)")
                .into());
        }
        _ => {}
    }
    if at.is_unknown() {
        return Ok(at.clone().with_mark(mark));
    }
    if at.is_null() {
        return Err(fail("null_value", "an index must not be null".to_owned()).into());
    }
    match value.data() {
        Data::Mapping(_, entries) => {
            let key = key_text(at, span)?;
            entries.get(&key).map(|v| v.clone().with_mark(mark)).ok_or_else(|| {
                if mark {
                    return fail("unknown_key", "there is no element with that key".to_owned()).into();
                }
                let mut problem = fail("unknown_key", format!("there is no element with the key {key:?}"));
                problem.hint = suggest::hint(&key, entries.keys().map(|k| &**k));
                problem.into()
            })
        }
        Data::Sequence(SequenceKind::Set, _) => {
            Err(fail("wrong_type", "the elements of a set have no index".to_owned())
                .hint("write tolist(...) around it, or iterate over it")
                .into())
        }
        Data::Sequence(_, elements) => {
            let number = convert::convert(at, &Type::Number).ok();
            let Some(Data::Number(number)) = number.map(Value::into_data) else {
                let found = convert::word(at);
                return Err(fail("wrong_type", format!("an index must be a number, not {found}")).into());
            };
            let found = number.as_i64().and_then(|n| usize::try_from(n).ok()).and_then(|n| elements.get(n));
            found.map(|v| v.clone().with_mark(mark)).ok_or_else(|| {
                let have = match elements.len() {
                    0 => "it is empty".to_owned(),
                    1 => "it has one element, [0]".to_owned(),
                    n => format!("it has {n} elements, [0] to [{}]", n - 1),
                };
                fail("unknown_key", "there is no element at that index".to_owned()).because(have).into()
            })
        }
        _ => Err(fail("wrong_type", format!("{} has no elements", convert::word(value))).into()),
    }
}
