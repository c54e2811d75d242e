//! JSON and YAML inside strings, so that two of them can be compared by what they say and not by how they are laid out.

use crate::base::{Data, Number, Value};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

/// A longer text is compared line by line.
const TEXT_LIMIT: usize = 256 << 10;
/// A text that is nested deeper is compared line by line.
const DEPTH_LIMIT: usize = 64;

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// YAML, one document or several.
    Yaml,
}

impl Format {
    /// The name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        }
    }
}

/// Both texts, where both hold structure in the same format.
pub(crate) fn both(before: &str, after: &str) -> Option<(Format, Value, Value)> {
    let (format, left) = parse(before)?;
    let (other, right) = parse(after)?;
    (format == other).then_some((format, left, right))
}

fn parse(text: &str) -> Option<(Format, Value)> {
    if text.len() > TEXT_LIMIT {
        return None;
    }
    if text.trim_start().starts_with(['{', '[']) {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        return Some((Format::Json, Value::from_json(&json)));
    }
    if !text.trim_end().contains('\n') || !shallow(text) {
        return None;
    }
    let mut documents = Yaml::load_from_str(text).ok()?;
    let value = match documents.len() {
        1 => convert(&documents.remove(0))?,
        2.. => Value::tuple(documents.iter().map(convert).collect::<Option<_>>()?),
        _ => return None,
    };
    (value.as_map().is_some() || value.as_seq().is_some()).then_some((Format::Yaml, value))
}

/// False for what would nest too deep, or repeat itself by aliases beyond all bounds, in the parser.
fn shallow(text: &str) -> bool {
    let flow = text.chars().filter(|c| matches!(c, '[' | '{')).count();
    flow <= 10_000
        && text.lines().all(|line| {
            let content = line.trim_start_matches([' ', '-', '?']);
            let opened = content.chars().filter(|c| matches!(c, '[' | '{')).count();
            let alias = content.starts_with('*')
                || content.contains(": *")
                || content.contains("[*")
                || content.contains(", *");
            line.len() - content.len() <= 2 * DEPTH_LIMIT && opened <= DEPTH_LIMIT && !alias
        })
        && flow_depth(text) <= DEPTH_LIMIT
}

/// How deep flow collections nest at the most, strings not minded: too much is only cautious.
fn flow_depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    for c in text.chars() {
        match c {
            '[' | '{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn convert(yaml: &Yaml<'_>) -> Option<Value> {
    Some(match yaml {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::NULL,
            Scalar::Boolean(b) => Value::from(*b),
            Scalar::Integer(n) => Value::from(*n),
            Scalar::FloatingPoint(n) => match n.to_string().parse::<Number>() {
                Ok(number) => Data::Number(number).into(),
                Err(_) => Value::string(n.to_string()),
            },
            Scalar::String(text) => Value::string(&**text),
        },
        Yaml::Representation(text, ..) => Value::string(&**text),
        Yaml::Sequence(elements) => Value::tuple(elements.iter().map(convert).collect::<Option<_>>()?),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| Some((key_of(key)?, convert(value)?)));
            Value::object(entries.collect::<Option<Vec<_>>>()?)
        }
        Yaml::Tagged(tag, inner) => Value::object([(format!("!{}", tag.suffix), convert(inner)?)]),
        Yaml::Alias(_) | Yaml::BadValue => return None,
    })
}

fn key_of(key: &Yaml<'_>) -> Option<String> {
    let value = convert(key)?;
    Some(value.as_str().map_or_else(|| super::value::inline(&value), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_found_in_json_and_yaml_and_nothing_else() {
        assert_eq!(both("{\"a\": 1}", "{\n\"a\":1}").map(|(f, a, b)| (f, a == b)), Some((Format::Json, true)));
        assert_eq!(both("a: 1\nb: [x]\n", "b:\n- x\na: 1").map(|(f, a, b)| (f, a == b)), Some((Format::Yaml, true)));
        assert!(both("one\ntwo\n", "three\nfour\n").is_none());
        assert!(both("{\"a\": 1}", "a: 1\nb: 2\n").is_none());
    }

    #[test]
    fn hostile_texts_are_left_to_the_comparison_of_lines() {
        let deep = format!("a:\n  {}", "[".repeat(100_000));
        assert!(parse(&deep).is_none());
        assert!(parse("a: &x [1]\nb: [*x, *x]\n").is_none());
        assert!(parse(&("- ".repeat(100_000) + "\n")).is_none());
        assert!(parse(&"[".repeat(100_000)).is_none());
    }

    #[test]
    fn tags_of_templates_are_kept() {
        let (_, value) = parse("A: !Ref X\nB: !Sub\n  - y\n").unwrap();
        assert_eq!(value.get("A").and_then(|v| v.get("!Ref")).and_then(Value::as_str), Some("X"));
    }
}
