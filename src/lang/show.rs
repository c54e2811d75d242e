//! A value as `terraform console` prints it: for the console and for outputs.
//!
//! Many lines where the value has many parts; what is sensitive and what is not yet known says so in parentheses.

use crate::base::{Data, MappingKind, SequenceKind, Value};
use std::fmt::Write as _;

/// The value as text, without a line end behind it.
pub fn show(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, indent: usize, out: &mut String) {
    if value.is_sensitive() {
        return out.push_str("(sensitive value)");
    }
    match value.data() {
        Data::Null => out.push_str("null"),
        Data::Unknown(_) => out.push_str("(known after apply)"),
        Data::Sealed(_) => out.push_str("(sensitive value)"),
        Data::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Data::Number(n) => {
            let _ = write!(out, "{n}");
        }
        Data::String(text) if text.contains('\n') => heredoc(text, indent, out),
        Data::String(text) => quote(text, out),
        Data::Sequence(kind, elements) => {
            let (open, close) = match kind {
                SequenceKind::Tuple => ("[", "]"),
                SequenceKind::List => ("tolist([", "])"),
                SequenceKind::Set => ("toset([", "])"),
            };
            out.push_str(open);
            for element in elements.iter() {
                line(indent + 2, out);
                write(element, indent + 2, out);
                out.push(',');
            }
            if !elements.is_empty() {
                line(indent, out);
            }
            out.push_str(close);
        }
        Data::Mapping(kind, entries) => {
            let (open, close) = match kind {
                MappingKind::Object => ("{", "}"),
                MappingKind::Map => ("tomap({", "})"),
            };
            out.push_str(open);
            for (key, entry) in entries.iter() {
                line(indent + 2, out);
                quote(key, out);
                out.push_str(" = ");
                write(entry, indent + 2, out);
            }
            if !entries.is_empty() {
                line(indent, out);
            }
            out.push_str(close);
        }
    }
}

fn line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A text of several lines, in the words of a heredoc that would give it.
fn heredoc(text: &str, indent: usize, out: &mut String) {
    let mut word = "EOT".to_owned();
    while text.lines().any(|l| l.trim() == word) {
        word.push('_');
    }
    out.push_str(if indent > 0 { "<<-" } else { "<<" });
    out.push_str(&word);
    for part in text.split('\n').chain([&*word]) {
        line(indent, out);
        out.push_str(part);
    }
}

/// As Go's `%q` quotes a text.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..' ' | '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_and_secrets_are_not() {
        let value = Value::object([
            ("a", Value::UNKNOWN),
            ("b", Value::string("hunter2").sensitive()),
            ("c", Value::tuple(vec![Value::tuple(vec![]), "x\ny".into()])),
        ]);
        let expected = "{\n  \"a\" = (known after apply)\n  \"b\" = (sensitive value)\n  \"c\" = [\n    [],\n    \
                        <<-EOT\n    x\n    y\n    EOT,\n  ]\n}";
        assert_eq!(show(&value), expected);
    }
}
