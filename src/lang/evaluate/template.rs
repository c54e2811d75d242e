//! Templates: text with interpolations, `%{if}` and `%{for}`.

use super::{
    Evaluator,
    expression::condition_of,
    failure::{Failures, Outcome},
    iterate::{Items, items},
    scope::{Bound, Frame},
};
use crate::{
    base::{Data, Diagnostic, Span, Value},
    lang::{
        ast::{Expr, TemplatePart},
        convert,
        types::Type,
    },
};

/// What a template has come to so far.
#[derive(Default)]
struct Text {
    known: String,
    unknown: Option<Value>,
    sensitive: bool,
}

impl Evaluator {
    /// The text of a template; unknown where a part of it is.
    pub(super) fn template(&mut self, parts: &[TemplatePart], _: &Span, frame: Frame<'_>) -> Outcome<Value> {
        let mut text = Text::default();
        let mut failures = Failures::default();
        self.parts(parts, frame, &mut text, &mut failures);
        let value = text.unknown.unwrap_or_else(|| Value::string(text.known));
        failures.or(value.with_mark(text.sensitive))
    }

    fn parts(&mut self, parts: &[TemplatePart], frame: Frame<'_>, out: &mut Text, failures: &mut Failures) {
        for part in parts {
            match part {
                TemplatePart::Text(text) => out.known.push_str(text),
                TemplatePart::Interpolation(expr) => {
                    if let Some(value) = failures.note(self.eval(expr, frame)) {
                        interpolate(&value, expr, out, failures);
                    }
                }
                TemplatePart::If { condition, then, otherwise } => {
                    let Some(test) = failures.note(self.eval(condition, frame)) else { continue };
                    out.sensitive |= test.is_sensitive();
                    match failures.note(condition_of(&test, &condition.span, "the condition")) {
                        Some(Some(true)) => self.parts(then, frame, out, failures),
                        Some(Some(false)) => self.parts(otherwise, frame, out, failures),
                        Some(None) => {
                            out.unknown.get_or_insert(test);
                        }
                        None => {}
                    }
                }
                TemplatePart::For { key, value, collection, body } => {
                    let Some(whole) = failures.note(self.eval(collection, frame)) else { continue };
                    out.sensitive |= whole.is_sensitive();
                    match failures.note(items(&whole, &collection.span)) {
                        Some(Items::Known(found)) => {
                            for (k, v) in found {
                                let outer = key.as_ref().map(|name| Bound { name, value: k, outer: frame.bound });
                                let inner = Bound { name: value, value: v, outer: outer.as_ref().or(frame.bound) };
                                self.parts(body, Frame { bound: Some(&inner), ..frame }, out, failures);
                            }
                        }
                        Some(Items::Unknown(unknown)) => {
                            out.unknown.get_or_insert(unknown);
                        }
                        None => {}
                    }
                }
            }
        }
    }
}

fn interpolate(value: &Value, expr: &Expr, out: &mut Text, failures: &mut Failures) {
    out.sensitive |= value.is_sensitive();
    match value.data() {
        Data::Unknown(_) => {
            out.unknown.get_or_insert_with(|| value.clone());
        }
        Data::Sealed(_) => {
            out.unknown.get_or_insert(Value::UNKNOWN);
        }
        Data::Null => failures.push(
            Diagnostic::error("null_value", "null cannot be put into a text")
                .at(&expr.span, "this is null")
                .hint("guard it with a condition, or give it a default: coalesce(x, \"-\")"),
        ),
        _ => match convert::convert(value, &Type::String) {
            Ok(text) => out.known.push_str(text.as_str().unwrap_or_default()),
            Err(_) => failures.push(
                Diagnostic::error("wrong_type", format!("{} cannot be put into a text", convert::word(value)))
                    .at(&expr.span, "")
                    .because("only strings, numbers and bools have a text of their own")
                    .hint("write jsonencode(...) around it, or join(\",\", ...)"),
            ),
        },
    }
}
