//! Operators: arithmetic, comparison, equality, logic.

use super::{
    Evaluator,
    expression::condition_of,
    failure::{Failures, Outcome},
    scope::Frame,
};
use crate::{
    base::{Data, Diagnostic, Number, NumberError, Span, Value},
    lang::{
        ast::{BinaryOp, Expr, UnaryOp},
        convert,
        types::Type,
    },
};

impl Evaluator {
    pub(super) fn unary(&mut self, op: UnaryOp, inner: &Expr, frame: Frame<'_>) -> Outcome<Value> {
        let value = self.eval(inner, frame)?;
        if value.is_unknown() {
            return Ok(value);
        }
        let mark = value.is_sensitive();
        let result = match op {
            UnaryOp::Neg => Value::from(Data::Number(number(&value, &inner.span, "-")?.neg())),
            UnaryOp::Not => match condition_of(&value, &inner.span, "what `!` negates")? {
                Some(truth) => (!truth).into(),
                None => value,
            },
        };
        Ok(result.with_mark(mark))
    }

    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
        span: &Span,
        frame: Frame<'_>,
    ) -> Outcome<Value> {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            return self.logic(op, left, right, frame);
        }
        let mut failures = Failures::default();
        let a = failures.note(self.eval(left, frame));
        let b = failures.note(self.eval(right, frame));
        let (Some(a), Some(b)) = (a, b) else { return failures.or(Value::NULL) };
        if matches!(op, BinaryOp::Eq | BinaryOp::NotEq) {
            let mark = a.has_sensitive() || b.has_sensitive();
            let equal = equal(&a, &b);
            let equal = if op == BinaryOp::Eq { equal } else { negate(equal) };
            return Ok(equal.with_mark(mark));
        }
        let mark = a.is_sensitive() || b.is_sensitive();
        let x = operand(&a, &left.span, symbol(op), &mut failures);
        let y = operand(&b, &right.span, symbol(op), &mut failures);
        failures.or(())?;
        let (Some(x), Some(y)) = (x, y) else {
            return Ok(if a.is_unknown() { a } else { b }.with_mark(mark));
        };
        let result: Value = match op {
            BinaryOp::Less => (x < y).into(),
            BinaryOp::LessEq => (x <= y).into(),
            BinaryOp::Greater => (x > y).into(),
            BinaryOp::GreaterEq => (x >= y).into(),
            BinaryOp::Add => Data::Number(x.add(&y)).into(),
            BinaryOp::Sub => Data::Number(x.sub(&y)).into(),
            BinaryOp::Mul => Data::Number(x.mul(&y).map_err(|e| arithmetic(&e, span))?).into(),
            BinaryOp::Div => Data::Number(x.div(&y).map_err(|e| arithmetic(&e, &right.span))?).into(),
            _ => Data::Number(x.rem(&y).map_err(|e| arithmetic(&e, &right.span))?).into(),
        };
        Ok(result.with_mark(mark))
    }

    /// The right side is evaluated only where the left one leaves the result open.
    fn logic(&mut self, op: BinaryOp, left: &Expr, right: &Expr, frame: Frame<'_>) -> Outcome<Value> {
        let decides = op == BinaryOp::Or;
        let what = if decides { "an operand of ||" } else { "an operand of &&" };
        let a = self.eval(left, frame)?;
        let first = condition_of(&a, &left.span, what)?;
        if first == Some(decides) {
            return Ok(Value::from(decides).with_mark(a.is_sensitive()));
        }
        let b = self.eval(right, frame)?;
        let second = condition_of(&b, &right.span, what)?;
        let mark = a.is_sensitive() || b.is_sensitive();
        let result = match (first, second) {
            (_, Some(truth)) if truth == decides => decides.into(),
            (None, _) => a,
            (_, None) => b,
            _ => (!decides).into(),
        };
        Ok(result.with_mark(mark))
    }
}

fn negate(value: Value) -> Value {
    match value.as_bool() {
        Some(truth) => (!truth).into(),
        None => value,
    }
}

/// Whether two values are the same, marks aside. Unknown where a part is, and the known parts do not differ.
pub(in crate::lang) fn equal(a: &Value, b: &Value) -> Value {
    match (a.data(), b.data()) {
        (Data::Unknown(_), _) => a.clone(),
        (_, Data::Unknown(_)) => b.clone(),
        (Data::Sealed(x), Data::Sealed(y)) => (x == y).into(),
        (Data::Sealed(_), _) | (_, Data::Sealed(_)) => Value::UNKNOWN.sensitive(),
        (Data::Sequence(ka, x), Data::Sequence(kb, y)) => {
            if ka != kb || x.len() != y.len() {
                return false.into();
            }
            all_equal(x.iter().zip(y.iter()))
        }
        (Data::Mapping(ka, x), Data::Mapping(kb, y)) => {
            if ka != kb || !x.keys().eq(y.keys()) {
                return false.into();
            }
            all_equal(x.values().zip(y.values()))
        }
        (x, y) => (x == y).into(),
    }
}

fn all_equal<'v>(pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Value {
    let mut unknown = None;
    for (a, b) in pairs {
        let same = equal(a, b);
        match same.as_bool() {
            Some(true) => {}
            Some(false) => return false.into(),
            None => {
                unknown.get_or_insert(same);
            }
        }
    }
    unknown.map_or_else(|| true.into(), Value::unmarked)
}

fn operand(value: &Value, span: &Span, symbol: &str, failures: &mut Failures) -> Option<Number> {
    if value.is_unknown() { None } else { failures.note(number(value, span, symbol)) }
}

fn number(value: &Value, span: &Span, symbol: &str) -> Outcome<Number> {
    if value.is_null() {
        return Err(Diagnostic::error("null_value", format!("an operand of {symbol} must not be null"))
            .at(span, "")
            .into());
    }
    if let Ok(Data::Number(number)) = convert::convert(value, &Type::Number).map(Value::into_data) {
        Ok(number)
    } else {
        let found = convert::word(value);
        let problem = Diagnostic::error("wrong_type", format!("an operand of {symbol} must be a number, not {found}"))
            .at(span, "");
        Err(if symbol == "+" && value.as_str().is_some() {
            problem.hint("texts are joined in a template: \"${a}${b}\"").into()
        } else {
            problem.into()
        })
    }
}

fn arithmetic(error: &NumberError, span: &Span) -> Diagnostic {
    Diagnostic::error("arithmetic", error.to_string()).at(span, "")
}

const fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Rem => "%",
        BinaryOp::Eq => "==",
        BinaryOp::NotEq => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessEq => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterEq => ">=",
        BinaryOp::And => "&&",
        BinaryOp::Or => "||",
    }
}
