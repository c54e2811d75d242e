//! Files of values in TOML, HCL and JSON, each entry with its place.

use crate::{
    base::{Data, Diagnostic, Diagnostics, Number, Span, Value},
    lang::{literal::literal, parse::parse_file},
};
use std::sync::Arc;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

/// One entry at the top of a file.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) span: Span,
}

pub(super) fn toml(text: &str, file: &Arc<str>) -> (Vec<Entry>, Diagnostics) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut diagnostics = Diagnostics::new();
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        diagnostics
            .push(Diagnostic::error("syntax", error.message().to_owned()).at(&Span::new(file.clone(), range), ""));
    }
    let mut entries = Vec::new();
    for (name, value) in table.get_ref() {
        let span = Span::new(file.clone(), name.span());
        match from_toml(value.get_ref()) {
            Ok(value) => entries.push(Entry { name: name.get_ref().to_string(), value, span }),
            Err(number) => diagnostics.push(
                Diagnostic::error("wrong_value", format!("`{number}` is no number of the language"))
                    .at(&Span::new(file.clone(), value.span()), ""),
            ),
        }
    }
    // The table is in the order of names; a file is read in its own.
    entries.sort_by_key(|entry| entry.span.start);
    (entries, diagnostics)
}

/// # Errors
/// A number that the language does not have: `nan`, `inf`.
fn from_toml(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::string(text.as_ref()),
        DeValue::Boolean(truth) => (*truth).into(),
        DeValue::Integer(number) => integer(number)?,
        DeValue::Float(number) => float(number)?,
        DeValue::Datetime(time) => Value::string(time.to_string()),
        DeValue::Array(elements) => {
            let elements = elements.iter().map(|e| from_toml(e.get_ref())).collect::<Result<Vec<_>, _>>()?;
            Value::tuple(elements)
        }
        DeValue::Table(entries) => {
            let entries = entries
                .iter()
                .map(|(name, value)| Ok((name.get_ref().as_ref(), from_toml(value.get_ref())?)))
                .collect::<Result<Vec<_>, String>>()?;
            Value::object(entries)
        }
    })
}

fn integer(number: &DeInteger<'_>) -> Result<Value, String> {
    let text = number.as_str();
    if number.radix() == 10 {
        return decimal(text);
    }
    i64::from_str_radix(text, number.radix()).map(Value::from).map_err(|_| text.to_owned())
}

fn float(number: &DeFloat<'_>) -> Result<Value, String> {
    decimal(number.as_str())
}

fn decimal(text: &str) -> Result<Value, String> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    plain.parse::<Number>().map(|n| Data::Number(n).into()).map_err(|_| text.to_owned())
}

pub(super) fn hcl(text: &str, file: &Arc<str>) -> (Vec<Entry>, Diagnostics) {
    let (body, mut diagnostics) = parse_file(text, file);
    for block in &body.blocks {
        diagnostics.push(
            Diagnostic::error("unknown_block", "a file of values holds no blocks")
                .at(&block.header, "")
                .hint(format!("to set a variable write {} = {{ ... }}", block.kind)),
        );
    }
    let mut entries = Vec::new();
    for (name, attribute) in &body.attributes {
        match literal(&attribute.expr) {
            Some(value) => entries.push(Entry { name: name.to_string(), value, span: attribute.name_span.clone() }),
            None => diagnostics.push(
                Diagnostic::error("not_literal", format!("`{name}` is a plain value, without references or functions"))
                    .at(&attribute.expr.span, "")
                    .because("variables have their values before anything else is evaluated")
                    .hint("compute it in a `locals` block"),
            ),
        }
    }
    entries.sort_by_key(|entry| entry.span.start);
    (entries, diagnostics)
}

pub(super) fn json(text: &str, file: &Arc<str>) -> (Vec<Entry>, Diagnostics) {
    let fail = |summary: String, range: std::ops::Range<usize>| {
        let diagnostic = Diagnostic::error("syntax", summary).at(&Span::new(file.clone(), range), "");
        (Vec::new(), Diagnostics::from(diagnostic))
    };
    let parsed: serde_json::Value = match serde_json::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
            let mut at = (line + error.column().saturating_sub(1)).min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            // The message names line and column itself, which the place already says.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            return fail(message, at..end);
        }
    };
    let serde_json::Value::Object(entries) = parsed else {
        return fail("a file of values is one JSON object".to_owned(), 0..text.len().min(1));
    };
    let entry = |(name, value): (&String, &serde_json::Value)| {
        let key = serde_json::Value::from(name.as_str()).to_string();
        let at = text.find(&key).map_or(0..0, |at| at..at + key.len());
        Entry { name: name.clone(), value: Value::from_json(value), span: Span::new(file.clone(), at) }
    };
    (entries.iter().map(entry).collect(), Diagnostics::new())
}
