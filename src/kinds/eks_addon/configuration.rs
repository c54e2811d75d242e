//! Configuration values held to the add-on's own JSON schema while the plan is made.

use crate::{
    base::{Diagnostic, Path},
    kinds::Context,
    world::{Class, Outcome},
};
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value as Json;

/// At most this many violations are told of one add-on.
const MOST: usize = 25;

/// Every violation of the schema by its path, or a note where the schema could not be had.
///
/// # Errors
/// An endpoint that should have the schema and does not answer.
pub(super) async fn check(
    context: &Context,
    addon: &str,
    version: &str,
    configuration: Option<&Json>,
) -> Outcome<Vec<(Path, Diagnostic)>> {
    let Some(configuration) = configuration else { return Ok(Vec::new()) };
    let eks = &context.aws()?.eks;
    let note = |why: String| {
        let note =
            Diagnostic::warning("addon_schema", format!("the configuration of {addon} {version} was not checked"))
                .because(why)
                .hint("EKS itself checks it when it is applied");
        Ok(vec![(root(), note)])
    };
    let text = match context.patiently(|| eks.addon_configuration_schema(addon, version)).await {
        Ok(text) if text.trim().is_empty() => return note("the add-on has no schema".to_owned()),
        Ok(text) => text,
        Err(failure) if matches!(failure.class, Class::Unsupported | Class::NotFound | Class::Denied) => {
            return note(format!("its schema could not be had: {}", failure.message));
        }
        Err(failure) => return Err(failure),
    };
    match serde_json::from_str::<Json>(&text) {
        Ok(schema) => match violations(&schema, configuration) {
            Ok(found) => Ok(found.into_iter().map(|(path, found)| (path, described(found, addon, version))).collect()),
            Err(why) => note(format!("its schema is none: {why}")),
        },
        Err(why) => note(format!("its schema is no JSON: {why}")),
    }
}

fn root() -> Path {
    Path::default().key("configuration")
}

fn described(found: Diagnostic, addon: &str, version: &str) -> Diagnostic {
    let detail = format!("{}; so says the schema of {addon} {version}", found.detail);
    Diagnostic { detail, ..found }
}

/// What in a configuration does not fit a schema. `Err` where the schema itself is none.
fn violations(schema: &Json, configuration: &Json) -> Result<Vec<(Path, Diagnostic)>, String> {
    let validator = jsonschema::validator_for(schema).map_err(|e| e.to_string())?;
    let mut out: Vec<(Path, Diagnostic)> = validator
        .iter_errors(configuration)
        .take(MOST)
        .map(|error| {
            let path = place(error.instance_path().as_str());
            let at = schema.pointer(error.schema_path().as_str()).cloned().unwrap_or(Json::Null);
            let parent = error.schema_path().as_str().rsplit_once('/').and_then(|(up, _)| schema.pointer(up));
            let (why, hint) = expected(error.kind(), &at, parent);
            let shown = path.to_string();
            let what = match error.kind() {
                Kind::AdditionalProperties { unexpected } => {
                    format!("`{shown}` takes no `{}`", unexpected.join("`, `"))
                }
                Kind::Required { property } => {
                    format!("`{shown}` lacks `{}`", property.as_str().unwrap_or_default())
                }
                _ => format!("`{shown}` does not fit"),
            };
            let mut problem = Diagnostic::error("addon_configuration", what).because(why);
            if let Some(hint) = hint {
                problem = problem.hint(hint);
            }
            (path, problem)
        })
        .collect();
    out.sort_by(|a, b| (&a.0, &a.1.summary).cmp(&(&b.0, &b.1.summary)));
    Ok(out)
}

/// What a schema expects there, and what to write.
fn expected(kind: &Kind, at: &Json, parent: Option<&Json>) -> (String, Option<String>) {
    let list = |values: &Json| match values {
        Json::Array(items) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        one => one.to_string(),
    };
    match kind {
        Kind::AdditionalProperties { unexpected } => {
            let mut known: Vec<&str> = parent
                .and_then(|p| p["properties"].as_object())
                .into_iter()
                .flatten()
                .map(|(k, _)| k.as_str())
                .collect();
            known.sort_unstable();
            let near = unexpected.first().and_then(|word| crate::lang::suggest::hint(word, known.iter().copied()));
            let takes = if known.is_empty() {
                "nothing is expected there".to_owned()
            } else {
                format!("it takes {}", known.join(", "))
            };
            (takes, near.or_else(|| Some("take it out".to_owned())))
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            (format!("`{name}` is required"), Some(format!("write {name} = ...")))
        }
        Kind::Type { .. } => {
            let word = list(at).replace('"', "");
            (format!("{word} is expected"), Some(format!("write {}", example(&word))))
        }
        Kind::Enum { options } => (format!("one of {} is expected", list(options)), None),
        Kind::Minimum { limit } => (format!("at least {limit} is expected"), None),
        Kind::Maximum { limit } => (format!("at most {limit} is expected"), None),
        Kind::Pattern { pattern } => (format!("it must match {pattern}"), None),
        _ => (format!("{at} is expected"), None),
    }
}

fn example(word: &str) -> &'static str {
    match word.split(", ").next().unwrap_or_default() {
        "integer" => "a whole number without quotes, like 2",
        "number" => "a number without quotes, like 0.5",
        "boolean" => "true or false, without quotes",
        "string" => "a string in quotes",
        "array" => "a list: [ ... ]",
        _ => "an object: { ... }",
    }
}

/// The path of an input from a JSON pointer into the configuration.
fn place(pointer: &str) -> Path {
    pointer.split('/').skip(1).fold(root(), |path, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        match step.parse::<usize>() {
            Ok(at) => path.index(at),
            Err(_) => path.key(&step),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(schema: &Json, configuration: &Json) -> Vec<String> {
        let found = violations(schema, configuration).unwrap();
        found
            .into_iter()
            .map(|(path, d)| format!("{path} | {} | {} | {}", d.summary, d.detail, d.hint.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn every_violation_says_its_path_what_is_expected_and_what_to_write() {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["mode"], "properties": {
            "replicaCount": {"type": "integer"},
            "mode": {"enum": ["a", "b"]},
            "tolerations": {"type": "array", "items": {"type": "object"}},
        }});
        let configuration = json!({"replicaCounts": 2, "replicaCount": "2", "tolerations": [{}, 7]});
        assert_eq!(
            told(&schema, &configuration),
            [
                "configuration | `configuration` lacks `mode` | `mode` is required | write mode = ...",
                "configuration | `configuration` takes no `replicaCounts` | it takes mode, replicaCount, tolerations | did you mean `replicaCount`?",
                "configuration.replicaCount | `configuration.replicaCount` does not fit | integer is expected | write a whole number without quotes, like 2",
                "configuration.tolerations[1] | `configuration.tolerations[1]` does not fit | object is expected | write an object: { ... }",
            ]
        );
        assert!(told(&schema, &json!({"mode": "a", "replicaCount": 2})).is_empty());
    }

    #[test]
    fn a_schema_that_is_none_is_said_and_not_taken_for_a_violation() {
        assert!(violations(&json!({"type": 7}), &json!({})).is_err());
    }
}
