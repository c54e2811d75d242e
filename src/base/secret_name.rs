//! By which names secrets are known that nobody declared as such.

use crate::base::{Data, Value};
use std::sync::Arc;

/// What a name of a field ends with that holds a secret, in small letters and without separators.
/// A bare `secret` is not among them: in charts that is as a rule the name of one.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "pass",
    "passphrase",
    "token",
    "apikey",
    "privatekey",
    "secretkey",
    "secretaccesskey",
    "clientsecret",
];

/// Whether a field of this name holds a secret, as names go.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRETS.iter().any(|end| plain.ends_with(end))
}

/// Whether a text only says where a secret is.
#[must_use]
pub fn says_where_a_secret_is(text: &str) -> bool {
    text.starts_with("{{resolve:") || text.starts_with("arn:") || text.starts_with("${")
}

/// The value that has this name, with every text in it marked sensitive that has the name of a secret, also where the name stands
/// beside the value, as in a list of variables.
#[must_use]
pub fn marked_by_name(name: &str, value: &Value) -> Value {
    let data = match value.data() {
        Data::Mapping(kind, entries) => {
            let beside = entries.get("name").and_then(Value::as_str).is_some_and(names_a_secret);
            // Its value is as if it had the name itself.
            let name = |key: &Arc<str>| if beside && **key == *"value" { SECRETS[0].into() } else { key.clone() };
            let inside = entries.iter().map(|(key, entry)| (key.clone(), marked_by_name(&name(key), entry)));
            Data::Mapping(*kind, Arc::new(inside.collect()))
        }
        Data::Sequence(kind, all) => {
            Data::Sequence(*kind, Arc::new(all.iter().map(|one| marked_by_name(name, one)).collect()))
        }
        _ => {
            let clear = value.as_str().is_some_and(|text| !text.is_empty() && !says_where_a_secret_is(text));
            return value.clone().with_mark(clear && names_a_secret(name));
        }
    };
    Value::from(data).with_mark(value.is_sensitive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_secrets_are_known_and_those_of_other_things_are_not() {
        for name in ["password", "adminPassword", "DB_PASSWORD", "api-key", "token", "clientSecret", "DB_PASS"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["passwordPolicy", "secretName", "tokenExpiry", "keyArn", "existingSecretKeyRef", "existingSecret"]
        {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn what_has_the_name_of_a_secret_is_marked_wherever_it_stands() {
        let json = serde_json::json!({
            "adminPassword": "hunter2", "user": "ada", "password": "{{resolve:secretsmanager:x}}", "replicas": 3,
            "env": [{ "name": "DB_PASSWORD", "value": "hunter3" }, { "name": "PORT", "value": "80" }],
            "tokens": { "token": ["hunter4"] },
        });
        let marked = marked_by_name("values", &Value::from_json(&json));
        let mut secret = Vec::new();
        marked.each_leaf(&mut crate::base::Path::default(), &mut |path, value| {
            if value.is_sensitive() {
                secret.push(path.to_string());
            }
        });
        assert_eq!(secret, ["adminPassword", "env[0].value", "tokens.token[0]"]);
        assert!(marked_by_name("apiKey", &Value::from("x")).is_sensitive());
        assert_eq!(marked.to_json_lossy(), Value::from_json(&json).to_json_lossy());
    }
}
