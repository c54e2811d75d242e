//! Values as people read them: on one line where they fit, else indented. Secrets never show.

use crate::base::{Data, Value};
use std::fmt::Write as _;

/// A value on one line, as an expression would write it.
pub(crate) fn inline(value: &Value) -> String {
    let mut out = String::new();
    write_inline(value, &mut out);
    out
}

fn write_inline(value: &Value, out: &mut String) {
    if let Some(word) = hidden(value) {
        out.push_str(&word);
        return;
    }
    match value.data() {
        Data::Null | Data::Unknown(_) | Data::Sealed(_) => out.push_str("null"),
        Data::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Data::Number(n) => {
            let _ = write!(out, "{n}");
        }
        Data::String(text) => out.push_str(&quote(text)),
        Data::Sequence(_, elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_inline(element, out);
            }
            out.push(']');
        }
        Data::Mapping(_, entries) if entries.is_empty() => out.push_str("{}"),
        Data::Mapping(_, entries) => {
            for (at, (key, entry)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "{ " });
                out.push_str(&name(key));
                out.push_str(" = ");
                write_inline(entry, out);
            }
            out.push_str(" }");
        }
    }
}

/// What stands in the place of a value that cannot or must not be shown.
pub(crate) fn hidden(value: &Value) -> Option<String> {
    match value.data() {
        Data::Unknown(Some(address)) => Some(format!("(known after {address})")),
        Data::Unknown(None) => Some("(known after apply)".to_owned()),
        Data::Sealed(_) => Some("(sensitive)".to_owned()),
        _ if value.is_sensitive() => Some("(sensitive)".to_owned()),
        _ => None,
    }
}

/// A value over as many lines as it takes, each without its indentation but with its depth.
pub(crate) fn block(value: &Value, room: usize) -> Vec<(usize, String)> {
    let mut lines = vec![(0, String::new())];
    write_block(value, 0, room, &mut lines);
    lines
}

fn write_block(value: &Value, depth: usize, room: usize, lines: &mut Vec<(usize, String)>) {
    let append = |lines: &mut Vec<(usize, String)>, text: &str| {
        if let Some(last) = lines.last_mut() {
            last.1.push_str(text);
        }
    };
    let used = lines.last().map_or(0, |(depth, text)| depth * 2 + text.chars().count());
    let short = fits(value).then(|| inline(value)).filter(|text| used + text.chars().count() <= room);
    if let Some(text) = short {
        append(lines, &text);
        return;
    }
    match value.data() {
        _ if hidden(value).is_some() => append(lines, &inline(value)),
        Data::Sequence(_, elements) if !elements.is_empty() => {
            append(lines, "[");
            for element in elements.iter() {
                lines.push((depth + 1, String::new()));
                write_block(element, depth + 1, room, lines);
                append(lines, ",");
            }
            lines.push((depth, "]".to_owned()));
        }
        Data::Mapping(_, entries) if !entries.is_empty() => {
            append(lines, "{");
            let longest = entries.keys().map(|k| name(k).chars().count()).max().unwrap_or(0).min(30);
            for (key, entry) in entries.iter() {
                lines.push((depth + 1, format!("{:longest$} = ", name(key))));
                write_block(entry, depth + 1, room, lines);
            }
            lines.push((depth, "}".to_owned()));
        }
        Data::String(text) if text.contains('\n') => {
            append(lines, &format!("({} lines)", text.lines().count()));
            for line in text.lines() {
                lines.push((depth + 1, format!("| {}", crate::cli::style::clean(line))));
            }
        }
        _ => append(lines, &inline(value)),
    }
}

/// True where a value may stand on one line: a text of several lines may not.
fn fits(value: &Value) -> bool {
    !value.any(&|v| hidden(v).is_none() && v.as_str().is_some_and(|s| s.trim_end().contains('\n')))
}

/// A key as an expression writes it.
pub(crate) fn name(key: &str) -> String {
    let plain = key.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { key.to_owned() } else { quote(key) }
}

/// A text in quotes, with what cannot stand in them escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Address;

    #[test]
    fn values_read_like_expressions_and_secrets_do_not_show() {
        let value = Value::object([
            ("a b", Value::from(1)),
            ("list", Value::tuple(vec![true.into(), Value::NULL, Value::string("x\n\u{1b}\"")])),
            ("later", Value::unknown_until(Address::root("stack", "net"))),
            ("secret", Value::string("hunter2").sensitive()),
        ]);
        assert_eq!(
            inline(&value),
            r#"{ "a b" = 1, later = (known after stack.net), list = [true, null, "x\n\u001b\""], secret = (sensitive) }"#
        );
    }

    #[test]
    fn what_is_too_wide_goes_on_lines_of_its_own() {
        let value = Value::object([
            ("short", Value::from(1)),
            ("text", Value::string("one\ntwo\n")),
            ("inner", Value::object([("key", Value::string("a rather long value"))])),
        ]);
        let lines: Vec<String> = block(&value, 24).iter().map(|(d, l)| format!("{}{l}", "  ".repeat(*d))).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {
          inner = {
            key = "a rather long value"
          }
          short = 1
          text  = (2 lines)
            | one
            | two
        }
        "#);
    }
}
