//! YAML of data files as JSON values.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value as Json};

/// Reads the first document.
///
/// # Errors
/// Text that is no YAML, in the parser's words.
pub(super) fn read(text: &str) -> Result<Json, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    Ok(documents.first().map_or(Json::Null, convert))
}

fn convert(yaml: &Yaml<'_>) -> Json {
    match yaml {
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(text)) | Yaml::Representation(text, ..) => text.as_ref().into(),
        Yaml::Sequence(items) => Json::Array(items.iter().map(convert).collect()),
        Yaml::Mapping(entries) => {
            let fields: Map<String, Json> = entries
                .iter()
                .map(|(key, value)| {
                    let key = match convert(key) {
                        Json::String(text) => text,
                        other => other.to_string(),
                    };
                    (key, convert(value))
                })
                .collect();
            Json::Object(fields)
        }
        Yaml::Tagged(_, inner) => convert(inner),
        Yaml::Value(Scalar::Null) | Yaml::Alias(_) | Yaml::BadValue => Json::Null,
    }
}
