//! By which names secrets are known that nobody declared as such.

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
    // The end of another word is no word: a bypass is none.
    let is_word = |end: &str| {
        let before = name.len().checked_sub(end.len()).and_then(|at| name.get(..at)).unwrap_or_default();
        let begins = name.get(before.len()..).is_some_and(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
        begins || !before.ends_with(|c: char| c.is_ascii_alphabetic())
    };
    SECRETS.iter().any(|end| plain.ends_with(end) && (*end != "pass" || is_word(end)))
}

/// Whether a text only says where a secret is.
#[must_use]
pub fn says_where_a_secret_is(text: &str) -> bool {
    text.starts_with("{{resolve:") || text.starts_with("arn:") || text.starts_with("${")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_secrets_are_known_and_those_of_other_things_are_not() {
        for name in ["password", "adminPassword", "DB_PASSWORD", "api-key", "token", "clientSecret", "DB_PASS"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in [
            "passwordPolicy",
            "secretName",
            "tokenExpiry",
            "keyArn",
            "bypass",
            "existingSecretKeyRef",
            "existingSecret",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
