//! A value that must not be shown.

use std::fmt;

/// Holds something that no plan, state, log or message may show. Neither `Debug` nor serde reaches what is inside.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; the call is easy to find in a review, which is the point.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// Secrets in clear, so that they can be taken out of texts that others wrote: what a program printed, what a service
/// answered. Never stored.
#[derive(Clone, Default)]
pub struct Hidden(Vec<String>);

/// Shorter texts are left alone: taking out every `1` would hide nothing and spoil everything.
const SHORTEST: usize = 4;

impl Hidden {
    /// Every sensitive text and number in these values, in the forms in which it may come back: as it is, its lines, as a
    /// JSON string, base64.
    #[must_use]
    pub fn of<'v>(values: impl IntoIterator<Item = &'v crate::base::Value>) -> Self {
        use base64::Engine as _;
        let mut found = std::collections::BTreeSet::new();
        for value in values {
            collect(value, false, &mut found);
        }
        let mut forms = std::collections::BTreeSet::new();
        for secret in found {
            forms.extend(secret.lines().map(|line| line.trim().to_owned()));
            let json = serde_json::Value::from(secret.as_str()).to_string();
            forms.insert(json.trim_matches('"').to_owned());
            forms.insert(base64::engine::general_purpose::STANDARD.encode(&secret));
            forms.insert(secret);
        }
        let mut forms: Vec<String> = forms.into_iter().filter(|form| form.chars().count() >= SHORTEST).collect();
        // The longest first, so that no part of one stays behind.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self(forms)
    }

    /// The text with `(sensitive)` in the place of every secret.
    #[must_use]
    pub fn out_of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), "(sensitive)") } else { text }
        })
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} hidden)", self.0.len())
    }
}

fn collect(value: &crate::base::Value, marked: bool, found: &mut std::collections::BTreeSet<String>) {
    use crate::base::Data;
    let marked = marked || value.is_sensitive();
    match value.data() {
        Data::String(text) if marked => drop(found.insert(text.to_string())),
        Data::Number(number) if marked => drop(found.insert(number.to_string())),
        Data::Sequence(_, elements) => elements.iter().for_each(|v| collect(v, marked, found)),
        Data::Mapping(_, entries) => entries.values().for_each(|v| collect(v, marked, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Value;

    #[test]
    fn a_secret_is_taken_out_in_every_form_in_which_it_may_come_back() {
        let key = "-----BEGIN-----\nabcdef\"gh\n-----END-----";
        let value = Value::object([("env", Value::object([("KEY", Value::string(key).sensitive())]))]);
        let hidden = Hidden::of([&value]);
        for text in [key.to_owned(), "cannot read abcdef\"gh".to_owned(), serde_json::json!({ "k": key }).to_string()] {
            let out = hidden.out_of(&text);
            assert!(!out.contains("abcdef"), "{out}");
        }
        assert_eq!(hidden.out_of("nothing secret"), "nothing secret");
    }
}
