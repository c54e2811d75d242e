//! YAML as JSON: values files and manifests, many documents in one text. What a plain scalar means is what it means to helm and kubectl,
//! which are of YAML 1.1 there: `yes`, `on` and `n` are booleans, `0644` is octal. Source: `resolve.go` of sigs.k8s.io/yaml/goyaml.v2.

use saphyr::{ScalarStyle, Yaml, YamlLoader};
use serde_json::{Map, Number, Value as Json};

/// Nesting deeper than this is refused, as is a text bigger than [`BIGGEST`].
const DEEPEST: usize = 100;
/// The biggest text that is read, in bytes.
const BIGGEST: usize = 16 * 1024 * 1024;

/// Every document of a text; empty ones are left out.
///
/// # Errors
/// The reader's own words, with line and column.
pub fn documents(text: &str) -> Result<Vec<Json>, String> {
    if text.len() > BIGGEST {
        return Err(format!("bigger than {BIGGEST} bytes"));
    }
    let mut loader = YamlLoader::<Yaml<'_>>::default();
    loader.early_parse(false);
    saphyr_parser::Parser::new_from_str(text).load(&mut loader, true).map_err(|e| e.to_string())?;
    if let Some(error) = loader.error() {
        return Err(error.to_string());
    }
    let documents: Vec<Json> = loader.into_documents().iter().map(|yaml| json(yaml, 0)).collect::<Result<_, _>>()?;
    Ok(documents.into_iter().filter(|d| !d.is_null()).collect())
}

fn json(yaml: &Yaml<'_>, depth: usize) -> Result<Json, String> {
    if depth > DEEPEST {
        return Err(format!("nested deeper than {DEEPEST} levels"));
    }
    Ok(match yaml {
        Yaml::Sequence(items) => Json::Array(items.iter().map(|v| json(v, depth + 1)).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                if matches!(key, Yaml::Representation(text, ScalarStyle::Plain, None) if text == "<<") {
                    merge(&json(value, depth + 1)?, &mut map)?;
                    continue;
                }
                let key = match json(key, depth + 1)? {
                    Json::String(text) => text,
                    Json::Array(_) | Json::Object(_) => return Err("a key is no scalar".to_owned()),
                    other => other.to_string(),
                };
                map.insert(key, json(value, depth + 1)?);
            }
            Json::Object(map)
        }
        Yaml::Tagged(_, inner) => json(inner, depth + 1)?,
        Yaml::Representation(text, style, tag) => match tag.as_ref().filter(|tag| tag.is_yaml_core_schema()) {
            Some(tag) if tag.suffix == "str" || tag.suffix == "binary" => Json::String(text.to_string()),
            Some(_) => plain(text),
            None if *style == ScalarStyle::Plain => plain(text),
            None => Json::String(text.to_string()),
        },
        Yaml::Alias(_) => return Err("an alias without its anchor".to_owned()),
        // Scalars come as they are written, see `early_parse`.
        Yaml::Value(_) | Yaml::BadValue => return Err("a value that cannot be read".to_owned()),
    })
}

/// What `<<` brings: the keys of a mapping, or of several, that are not there; those that follow take their place.
fn merge(from: &Json, into: &mut Map<String, Json>) -> Result<(), String> {
    match from {
        Json::Object(entries) => {
            for (key, value) in entries {
                into.entry(key).or_insert_with(|| value.clone());
            }
            Ok(())
        }
        Json::Array(all) if all.iter().all(Json::is_object) => all.iter().try_for_each(|one| merge(one, into)),
        _ => Err("`<<` merges mappings, and this is none".to_owned()),
    }
}

/// What a scalar without quotes means.
fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Json::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Json::Bool(false);
        }
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Json::String(text.to_owned());
    }
    if let Some(number) = integer(&text.replace('_', "")) {
        return Json::Number(number);
    }
    let is_float =
        text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)) && text.contains(|c: char| c.is_ascii_digit());
    match text.parse::<f64>().ok().filter(|f| is_float && f.is_finite()) {
        // As Go writes it: a whole number has no point.
        #[expect(clippy::cast_possible_truncation, reason = "below 2^53 nothing is lost")]
        Some(f) if f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0 => Json::Number((f as i64).into()),
        Some(f) => Number::from_f64(f).map_or(Json::Null, Json::Number),
        None => Json::String(text.to_owned()),
    }
}

/// An integer as Go's `ParseInt` takes it: decimal, or `0x`, `0o`, `0b`, and octal with a leading zero.
fn integer(text: &str) -> Option<Number> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let low = digits.to_ascii_lowercase();
    let (radix, digits) = match low.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        None => (10, low.as_str()),
        Some(rest) => match rest.as_bytes()[0] {
            b'x' => (16, &rest[1..]),
            b'o' => (8, &rest[1..]),
            b'b' => (2, &rest[1..]),
            _ => (8, rest),
        },
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let signed = i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().map(Number::from);
    signed.or_else(|| u64::from_str_radix(digits, radix).ok().filter(|_| sign.is_empty()).map(Number::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn many_documents_are_read_and_empty_ones_left_out() {
        let found = documents("a: 1\n---\n---\nb: [x, 1.5, true, null]\nc: \"1\"\n").unwrap();
        assert_eq!(found, [json!({"a": 1}), json!({"b": ["x", 1.5, true, null], "c": "1"})]);
        assert_eq!(documents("").unwrap(), Vec::<Json>::new());
        assert!(documents("a: [").is_err());
    }

    #[test]
    fn plain_scalars_mean_what_they_mean_to_helm_and_kubectl() {
        let text = "a: no\nb: 'no'\nc: 0644\nd: \"0644\"\ne: 0o17\nf: 1_000\ng: 08\nh: 1.5\ni: 1.0\nj: 0x1F\nk: -3\n\
                    l: on\nm: 1.2.3\nn: ~\no: !!str yes\np: 2026-01-01\nq: 1e3\nr: 18446744073709551615\ns: .5\nt: +\nu: 10Gi\nyes: v";
        assert_eq!(
            documents(text).unwrap(),
            [
                json!({"a": false, "b": "no", "c": 420, "d": "0644", "e": 15, "f": 1000, "g": 8, "h": 1.5, "i": 1, "j": 31, "k": -3,
                "l": true, "m": "1.2.3", "false": null, "o": "yes", "p": "2026-01-01", "q": 1000, "r": 18_446_744_073_709_551_615_u64,
                "s": 0.5, "t": "+", "u": "10Gi", "true": "v"})
            ]
        );
    }

    #[test]
    fn a_merge_brings_what_is_not_there() {
        let found = documents("base: &b { x: 1, y1: 2 }\nown:\n  x: 9\n  <<: *b\nlater:\n  <<: *b\n  x: 8\n").unwrap();
        assert_eq!(found[0]["own"], json!({"x": 9, "y1": 2}));
        assert_eq!(found[0]["later"], json!({"x": 8, "y1": 2}));
    }

    #[test]
    fn text_that_is_nested_too_deeply_is_refused_and_does_not_panic() {
        assert!(documents(&"[".repeat(5_000)).is_err());
    }
}
