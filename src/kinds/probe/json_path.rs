//! Looking for something in JSON by a way into it: JSONPath as in RFC 9535, and the shorter spellings `data.items[0]` and
//! kubectl's `{.status.phase}`.

use serde_json::Value as Json;
use serde_json_path::JsonPath;

/// Whether the way leads somewhere and, where something is wanted, whether it is found there: at one place at least.
///
/// # Errors
/// In what it does not hold, in words that follow "but".
pub(super) fn holds(json: &Json, way: &str, wanted: Option<&Json>) -> Result<(), String> {
    let path = parse(way)?;
    let found = path.query(json).all();
    match (found.first(), wanted) {
        (None, _) => Err(format!("there is no {way}")),
        (Some(_), None) => Ok(()),
        (Some(_), Some(wanted)) if found.iter().any(|f| same(f, wanted)) => Ok(()),
        (Some(first), Some(wanted)) => Err(match found.len() {
            1 => format!("{way} is {first} and not {wanted}"),
            many => format!("none of the {many} at {way} is {wanted}; the first is {first}"),
        }),
    }
}

/// Reads a way, without asking anything by it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn is_path(way: &str) -> Result<(), String> {
    parse(way).map(drop)
}

fn parse(way: &str) -> Result<JsonPath, String> {
    JsonPath::parse(&whole(way)).map_err(|error| format!("`{way}` is no JSONPath: {error}"))
}

/// The way as RFC 9535 writes it.
fn whole(way: &str) -> String {
    let way = way.trim();
    let way = way.strip_prefix('{').and_then(|w| w.strip_suffix('}')).unwrap_or(way).trim();
    match way.chars().next() {
        Some('$') => way.to_owned(),
        Some('.' | '[') => format!("${way}"),
        _ => format!("$.{way}"),
    }
}

/// Equal as JSON; a number equals the same number, however it is written.
fn same(found: &Json, wanted: &Json) -> bool {
    found == wanted || found.as_f64().is_some_and(|f| wanted.as_f64() == Some(f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_way_is_found_in_each_of_its_spellings() {
        let json = json!({"status": {"phase": "Ready", "nodes": [{"n": 1}, {"n": 2.0}]}});
        for way in ["status.phase", ".status.phase", "$.status.phase", "{.status.phase}", "{ $.status['phase'] }"] {
            assert_eq!(holds(&json, way, Some(&json!("Ready"))), Ok(()), "{way}");
        }
        assert_eq!(holds(&json, "status.nodes[*].n", Some(&json!(2))), Ok(()));
        assert_eq!(holds(&json, "$.status.nodes[?@.n > 1]", None), Ok(()));
    }

    #[test]
    fn what_is_not_there_or_is_something_else_is_said() {
        let json = json!({"a": {"b": 1}});
        assert_eq!(holds(&json, "a.c", None), Err("there is no a.c".into()));
        assert_eq!(holds(&json, "a.b", Some(&json!("1"))), Err("a.b is 1 and not \"1\"".into()));
        assert!(holds(&json, "a[", None).unwrap_err().contains("is no JSONPath"));
    }
}
