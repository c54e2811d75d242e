//! A probe of something that is rolled out by colours: what it names by the plain name of the release is the colour under test.

use crate::base::Value;
use std::sync::Arc;

/// The probe with services that are named by the plain name of the release taken for those of this colour (rule 37): each of `names` is a
/// plain name with the one that takes its place. Services that are named in full, like `headlamp-green`, are left as they are.
#[must_use]
pub fn under_test(probe: &Value, names: &[(String, String)]) -> Value {
    let Some(entries) = probe.as_map() else { return probe.clone() };
    Value::object(entries.iter().map(|(kind, body)| {
        let service = body.get("service").and_then(Value::as_str);
        let actual = names.iter().find(|(plain, _)| service == Some(plain)).map(|(_, actual)| actual.as_str());
        let body = match (body.as_map(), actual) {
            (Some(fields), Some(actual)) if matches!(&**kind, "http" | "tcp") => {
                let mut fields = (**fields).clone();
                fields.insert(Arc::from("service"), actual.into());
                Value::object(fields)
            }
            _ => body.clone(),
        };
        (kind.clone(), body)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_name_is_the_colour_under_test_and_a_full_one_is_not() {
        let probe = |service: &str| Value::object([("http", Value::object([("service", service.into())]))]);
        let names = [("headlamp".to_owned(), "headlamp-green".to_owned())];
        assert_eq!(under_test(&probe("headlamp"), &names), probe("headlamp-green"));
        assert_eq!(under_test(&probe("headlamp-blue"), &names), probe("headlamp-blue"));
        let url = Value::object([("http", Value::object([("url", "http://headlamp/".into())]))]);
        assert_eq!(under_test(&url, &names), url);
    }
}
