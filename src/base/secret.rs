//! A value that must not be shown.

use crate::base::{Data, Value};
use base64::Engine as _;
use std::{collections::BTreeSet, fmt};

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
/// answered, what a chart rendered. Never stored.
///
/// A text that is nothing but a secret is hidden however short the secret is: it stands alone there, and hiding it costs that
/// one text. Inside a longer text only what has at least four characters is taken out. Below that chance hits are the
/// rule: with a secret `1`, `192.168.0.1` would read `(sensitive)92.(sensitive)68.0.(sensitive)`, which nobody can review and
/// which tells the secret all the same to whoever knows what stood there. From four characters on a chance hit is rare, and
/// what is lost to one is a word of a message or a field of a plan, never a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden {
    /// What is hidden where it is the whole text.
    whole: BTreeSet<String>,
    /// What is taken out of texts, the longest first.
    parts: Vec<String>,
}

/// How many characters a secret must have to be taken out of a longer text.
const SHORTEST: usize = 4;

impl Hidden {
    /// Every sensitive text and number in these values, in the forms in which it may come back: as it is, its lines, as a
    /// JSON string, base64 (with or without padding, and of the text with a line break behind it).
    #[must_use]
    pub fn of<'v>(values: impl IntoIterator<Item = &'v Value>) -> Self {
        let mut found = BTreeSet::new();
        for value in values {
            collect(value, false, &mut found);
        }
        let (mut whole, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for secret in found {
            parts.extend(secret.lines().map(|line| line.trim().to_owned()));
            let json = serde_json::Value::from(secret.as_str()).to_string();
            parts.insert(json.trim_matches('"').to_owned());
            let coded = base64::engine::general_purpose::STANDARD.encode(&secret);
            // Without its padding it is also the beginning of what `echo SECRET | base64` prints.
            parts.insert(coded.trim_end_matches('=').to_owned());
            parts.insert(coded.clone());
            parts.insert(secret.clone());
            whole.extend([secret.trim().to_owned(), coded, secret]);
        }
        whole.remove("");
        let mut parts: Vec<String> = parts.into_iter().filter(|form| form.chars().count() >= SHORTEST).collect();
        // The longest first, so that no part of one stays behind.
        parts.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { whole, parts }
    }

    /// The text with `(sensitive)` in the place of every secret.
    #[must_use]
    pub fn out_of(&self, text: &str) -> String {
        if self.is(text) {
            return "(sensitive)".to_owned();
        }
        self.parts.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), "(sensitive)") } else { text }
        })
    }

    /// Whether the text is one of the secrets, or has one in it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.is(text) || self.parts.iter().any(|secret| text.contains(secret.as_str()))
    }

    fn is(&self, text: &str) -> bool {
        self.whole.contains(text) || self.whole.contains(text.trim())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} hidden)", self.whole.len())
    }
}

fn collect(value: &Value, marked: bool, found: &mut BTreeSet<String>) {
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

    #[test]
    fn a_secret_is_taken_out_in_every_form_in_which_it_may_come_back() {
        let key = "-----BEGIN-----\nabcdef\"gh\n-----END-----";
        let value = Value::object([("env", Value::object([("KEY", Value::string(key).sensitive())]))]);
        let hidden = Hidden::of([&value]);
        for text in [key.to_owned(), "cannot read abcdef\"gh".to_owned(), serde_json::json!({ "k": key }).to_string()] {
            let out = hidden.out_of(&text);
            assert!(!out.contains("abcdef"), "{out}");
            assert!(hidden.is_in(&text));
        }
        assert_eq!(hidden.out_of("nothing secret"), "nothing secret");
        assert!(!hidden.is_in("nothing secret"));
    }

    #[test]
    fn base64_is_hidden_with_and_without_its_padding_and_with_a_line_break_inside() {
        let hidden = Hidden::of([&Value::string("hunter2").sensitive()]);
        for (text, shown) in [
            ("k: aHVudGVyMg==", "k: (sensitive)"),
            ("k: aHVudGVyMg, l", "k: (sensitive), l"),
            ("k: aHVudGVyMgo=", "k: (sensitive)o="),
        ] {
            assert_eq!(hidden.out_of(text), shown);
        }
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_stands_alone_and_spoils_no_other_text() {
        for secret in [Value::string("7"), Value::from(7), Value::string("abc")] {
            let text = secret.as_str().map_or_else(|| "7".to_owned(), str::to_owned);
            let hidden = Hidden::of([&secret.sensitive()]);
            assert_eq!(hidden.out_of(&text), "(sensitive)");
            assert_eq!(hidden.out_of(&format!("{text}\n")), "(sensitive)");
            let longer = format!("node-{text}.example ended with {text}");
            assert_eq!(hidden.out_of(&longer), longer);
            assert!(hidden.is_in(&text) && !hidden.is_in(&longer));
        }
        let four = Hidden::of([&Value::string("abcd").sensitive()]);
        assert_eq!(four.out_of("x-abcd-y"), "x-(sensitive)-y");
    }

    #[test]
    fn what_is_empty_or_not_marked_hides_nothing() {
        let hidden = Hidden::of([&Value::string("").sensitive(), &Value::string("plain text")]);
        assert_eq!(hidden.out_of(""), "");
        assert_eq!(hidden.out_of("plain text"), "plain text");
    }
}
