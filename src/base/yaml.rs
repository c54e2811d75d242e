//! YAML as JSON: values files and manifests, many documents in one text.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
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
    let documents = Yaml::load_from_str(text).map_err(|e| e.to_string())?;
    let documents: Vec<Json> = documents.iter().map(|yaml| json(yaml, 0)).collect::<Result<_, _>>()?;
    Ok(documents.into_iter().filter(|d| !d.is_null()).collect())
}

fn json(yaml: &Yaml<'_>, depth: usize) -> Result<Json, String> {
    if depth > DEEPEST {
        return Err(format!("nested deeper than {DEEPEST} levels"));
    }
    Ok(match yaml {
        Yaml::Value(scalar) => scalar_json(scalar),
        Yaml::Sequence(items) => Json::Array(items.iter().map(|v| json(v, depth + 1)).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let key = match key {
                    Yaml::Value(Scalar::String(text)) => text.to_string(),
                    Yaml::Value(scalar) => match scalar_json(scalar) {
                        Json::String(text) => text,
                        other => other.to_string(),
                    },
                    _ => return Err("a key is no scalar".to_owned()),
                };
                map.insert(key, json(value, depth + 1)?);
            }
            Json::Object(map)
        }
        Yaml::Tagged(_, inner) => json(inner, depth + 1)?,
        Yaml::Representation(text, ..) => Json::String(text.to_string()),
        Yaml::Alias(_) => return Err("an alias without its anchor".to_owned()),
        Yaml::BadValue => return Err("a value that cannot be read".to_owned()),
    })
}

fn scalar_json(scalar: &Scalar<'_>) -> Json {
    match scalar {
        Scalar::Null => Json::Null,
        Scalar::Boolean(b) => Json::Bool(*b),
        Scalar::Integer(n) => Json::Number((*n).into()),
        Scalar::FloatingPoint(f) => Number::from_f64(f.into_inner()).map_or(Json::Null, Json::Number),
        Scalar::String(text) => Json::String(text.to_string()),
    }
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
    fn text_that_is_nested_too_deeply_is_refused_and_does_not_panic() {
        assert!(documents(&"[".repeat(5_000)).is_err());
    }
}
