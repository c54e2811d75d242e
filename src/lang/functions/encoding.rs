//! Encodings: base64, CSV, JSON, URL, YAML.

use super::{Answer, Context, Function, any, blame, function, string, text, yaml};
use crate::base::{Data, Number, Value};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt::Write as _, io::Write as _};

pub(super) const TABLE: &[Function] = &[
    function("base64decode", &[string("string")], "the text that the base64 stands for, which is UTF-8", base64decode),
    function("base64encode", &[string("string")], "the string in base64", |a, _| {
        Ok(STANDARD.encode(text(a, 0)).into())
    }),
    function("base64gzip", &[string("string")], "the string compressed by gzip, in base64", base64gzip),
    function(
        "csvdecode",
        &[string("string")],
        "a list of objects, one a line, by the names in the first line",
        csvdecode,
    ),
    function("jsondecode", &[string("string")], "the value that the JSON stands for", jsondecode),
    function("jsonencode", &[any("value").nullable()], "the value as JSON", |a, _| {
        Ok(json(a.first().unwrap_or(&Value::NULL)).into())
    }),
    function("urlencode", &[string("string")], "the string as part of a URL", urlencode),
    function("yamldecode", &[string("string")], "the value that the YAML stands for", |a, _| {
        yaml::decode(text(a, 0)).or_else(|why| blame(0, why))
    }),
    function("yamlencode", &[any("value").nullable()], "the value as YAML", |a, _| {
        Ok(yaml::encode(a.first().unwrap_or(&Value::NULL)).into())
    }),
];

fn base64decode(arguments: &[Value], _: &Context<'_>) -> Answer {
    match STANDARD.decode(text(arguments, 0)).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(text.into()),
        Ok(Err(_)) => blame(0, "what it stands for is not UTF-8"),
        Err(_) => blame(0, "it is not base64"),
    }
}

fn base64gzip(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::default());
    match encoder.write_all(text(arguments, 0).as_bytes()).and_then(|()| encoder.finish()) {
        Ok(bytes) => Ok(STANDARD.encode(bytes).into()),
        Err(error) => blame(0, error.to_string()),
    }
}

fn jsondecode(arguments: &[Value], _: &Context<'_>) -> Answer {
    match serde_json::from_str::<&RawValue>(text(arguments, 0)).and_then(|raw| exact(raw, 0)) {
        Ok(value) => Ok(value),
        Err(error) => blame(0, format!("it is not JSON: {error}")),
    }
}

/// How deep JSON may nest.
const JSON_DEPTH: usize = 100;

/// The value of JSON with every digit of its numbers, which a double would lose.
fn exact(raw: &RawValue, depth: usize) -> Result<Value, serde_json::Error> {
    if depth > JSON_DEPTH {
        return Err(serde::de::Error::custom(format!("it nests deeper than {JSON_DEPTH} levels")));
    }
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            elements.into_iter().map(|e| exact(e, depth + 1)).collect::<Result<_, _>>().map(Value::tuple)
        }
        Some(b'{') => {
            let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let entries: Result<Vec<_>, _> = entries.into_iter().map(|(k, v)| Ok((k, exact(v, depth + 1)?))).collect();
            entries.map(Value::object)
        }
        Some(b'-' | b'0'..=b'9') => match text.parse::<Number>() {
            Ok(number) => Ok(Data::Number(number).into()),
            Err(error) => Err(serde::de::Error::custom(error)),
        },
        _ => Ok(Value::from_json(&serde_json::from_str(text)?)),
    }
}

fn urlencode(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut out = String::new();
    for byte in text(arguments, 0).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Ok(out.into())
}

/// The value as Terraform writes JSON: keys in order, nothing between, and `<`, `>` and `&` as escapes.
pub(super) fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, &mut out);
    out
}

fn write_json(value: &Value, out: &mut String) {
    match value.data() {
        Data::Null | Data::Unknown(_) | Data::Sealed(_) => out.push_str("null"),
        Data::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Data::Number(n) => {
            let _ = write!(out, "{n}");
        }
        Data::String(s) => quote(s, out),
        Data::Sequence(_, elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(element, out);
            }
            out.push(']');
        }
        Data::Mapping(_, entries) => {
            out.push('{');
            for (at, (key, entry)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                write_json(entry, out);
            }
            out.push('}');
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn csvdecode(arguments: &[Value], _: &Context<'_>) -> Answer {
    let rows = match records(text(arguments, 0)) {
        Ok(rows) => rows,
        Err(why) => return blame(0, why),
    };
    let mut rows = rows.into_iter();
    let Some(names) = rows.next() else { return blame(0, "it has no line with names") };
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return blame(0, format!("the name {:?} is there twice", twice.1));
    }
    let mut out = Vec::new();
    for (at, row) in rows.enumerate() {
        if row.len() != names.len() {
            return blame(0, format!("line {} has {} fields, and {} have a name", at + 2, row.len(), names.len()));
        }
        out.push(Value::object(names.iter().map(String::as_str).zip(row.into_iter().map(Value::from))));
    }
    Ok(super::list_of(out))
}

fn records(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => {
                quoted = false;
                if !matches!(chars.peek(), None | Some(',' | '\n' | '\r')) {
                    return Err("something stands behind a closing quote".to_owned());
                }
            }
            c if quoted => field.push(c),
            '"' if field.is_empty() => quoted = true,
            '"' => return Err("a quote stands within a field that does not begin with one".to_owned()),
            ',' => row.push(std::mem::take(&mut field)),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                if !(row.is_empty() && field.is_empty()) {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
            }
            c => field.push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    if !(row.is_empty() && field.is_empty()) {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}
