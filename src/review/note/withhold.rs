//! A second net under what is sent to a model: what looks like a secret and stands in a plan in clear.
//!
//! The first is the plan itself, in which whatever is declared as sensitive is a seal. This one knows names of fields and the forms of keys, and nothing else: a
//! password in clear under a name that gives nothing away passes it.

use crate::{
    base::{Hidden, names_a_secret},
    review::comment::Line,
};
use regex::Regex;
use serde_json::Value as Json;
use std::sync::LazyLock;

/// What takes the place of what is not sent.
pub(super) const WITHHELD: &str = "(withheld)";
/// So many lines behind the name of a secret its value may stand.
const NEAR: u8 = 3;

/// A name, and what stands behind it: `password = x`, `"token": "x"`, `env["PASSWORD"] = x`, `--password x`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:--([A-Za-z0-9_\-]+)[= ]|([A-Za-z0-9_\-]+)["']?\]?\s*[=:])\s*"#)
        .expect("invariant: it is well formed")
});
/// A name as a value: `name: PASSWORD`.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)\b(?:name|key)["']?\s*[=:]\s*["']?([A-Za-z0-9_\-]+)"#).expect("invariant: it is well formed")
});
/// A value beside a name: `value: x`.
static VALUE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)\bvalue["']?\s*[=:]\s*"#).expect("invariant: it is well formed"));
/// Keys that are known by their form: of AWS, GitHub, GitLab, Slack, Stripe, Google, Anthropic; tokens of JWT, passwords in addresses, keys in PEM.
static KEYS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_\-]{16,}
        | \bxox[abeoprs]-[A-Za-z0-9\-]{10,} | \b[rs]k_(?:live|test)_[A-Za-z0-9]{16,} | \bAIza[0-9A-Za-z_\-]{30,} | \bsk-[A-Za-z0-9_\-]{20,}
        | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]* | ://[^\s/@:]*:[^\s/@]+@
        | -----BEGIN\x20[A-Z\x20]*PRIVATE\x20KEY-----(?s:.*?(?:-----END\x20[A-Z\x20]*PRIVATE\x20KEY-----|$))",
    )
    .expect("invariant: it is well formed")
});

/// What names a thing, and is no text of anybody's.
const NAMES: &[&str] = &["address", "addresses", "drift_of", "after", "from", "action", "rank", "severity"];

/// The texts of an element without these.
pub(super) fn hidden(element: &Json, hidden: &Hidden) -> Json {
    match element {
        Json::String(text) => Json::String(self::text_without(text, hidden)),
        Json::Array(all) => Json::Array(all.iter().map(|one| self::hidden(one, hidden)).collect()),
        Json::Object(all) => {
            let keep =
                |name: &str, one: &Json| if NAMES.contains(&name) { one.clone() } else { self::hidden(one, hidden) };
            Json::Object(all.iter().map(|(name, one)| (name.clone(), keep(name, one))).collect())
        }
        other => other.clone(),
    }
}

fn text_without(text: &str, hidden: &Hidden) -> String {
    if hidden.is_in(text) { hidden.out_of(text).replace("(sensitive)", WITHHELD) } else { text.to_owned() }
}

/// A text without what looks like a secret in it.
pub(super) fn text(text: &str) -> String {
    let mut reader = Reader::default();
    let lines: Vec<String> = KEYS.replace_all(text, WITHHELD).split('\n').map(|line| reader.line(line)).collect();
    lines.join("\n")
}

/// The lines of a change likewise; what belongs to a secret may stand in the lines behind its name.
pub(super) fn lines(all: &[Line]) -> Vec<String> {
    let mut reader = Reader::default();
    all.iter().map(|line| reader.line(&line.text)).collect()
}

/// What is remembered from line to line.
#[derive(Default)]
struct Reader {
    /// Within a key in PEM.
    pem: bool,
    /// Within a block of text: whatever is indented more than this belongs to a secret.
    block: Option<usize>,
    /// A secret was named so many lines ago, less than this.
    near: u8,
}

impl Reader {
    fn line(&mut self, line: &str) -> String {
        let indent = line.len() - line.trim_start().len();
        if let Some(outer) = self.block {
            if indent > outer || line.trim().is_empty() {
                return format!("{}{WITHHELD}", &line[..indent]);
            }
            self.block = None;
        }
        if self.pem || line.contains("PRIVATE KEY-----") {
            self.pem = !line.contains("-----END ") && (self.pem || line.contains("-----BEGIN "));
            return format!("{}{WITHHELD}", &line[..indent]);
        }
        let line = KEYS.replace_all(line, WITHHELD);
        self.near = self.near.saturating_sub(1);
        if let Some(hidden) = self.named(&line, indent) {
            return hidden;
        }
        if NAME.captures(&line).is_some_and(|found| names_a_secret(&found[1])) {
            self.near = NEAR;
        }
        if let Some(value) = VALUE.find(&line).filter(|_| self.near > 0) {
            return hide(&line, value.end());
        }
        line.into_owned()
    }

    /// A line in which something has the name of a secret.
    fn named(&mut self, line: &str, indent: usize) -> Option<String> {
        for found in NAMED.captures_iter(line) {
            let name = found.get(1).or_else(|| found.get(2))?;
            if !names_a_secret(name.as_str()) {
                continue;
            }
            let end = found.get(0)?.end();
            // What is to come stands in the lines below.
            if matches!(line[end..].trim(), "" | "|" | "|-" | "|+" | ">" | ">-" | ">+" | "[" | "{") {
                self.block = Some(indent);
                return None;
            }
            return Some(hide(line, end));
        }
        None
    }
}

/// The line up to there, unless what follows says itself that it cannot be seen.
fn hide(line: &str, end: usize) -> String {
    let (before, behind) = line.split_at(end);
    let beside = behind.replace("(sensitive)", "").replace(", changed", "");
    if beside.len() < behind.len() && !beside.chars().any(char::is_alphanumeric) {
        return line.to_owned();
    }
    format!("{before}{WITHHELD}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::comment::Mark;

    fn of(all: &str) -> String {
        let all: Vec<Line> = all.lines().map(|text| Line { mark: Mark::Same, text: text.to_owned() }).collect();
        lines(&all).join("\n")
    }

    #[test]
    fn what_has_the_name_of_a_secret_or_the_form_of_a_key_is_not_sent() {
        for line in [
            "password = \"canary\"",
            "    adminPassword: canary",
            "env[\"DB_PASSWORD\"] = canary",
            "{\"user\": \"x\", \"token\": \"canary\"}",
            "args: --db-password canary --verbose",
            "args: --db-password=canary",
            "export API_KEY=canary",
            "key = AKIACANARYCANARYCANA",
            "url = https://user:canary@host/x",
            "auth: ghp_canarycanarycanarycanarycanarycanary",
            "jwt eyJcanarycanary.eyJcanarycanary.canary",
            "password:\n  canary\n  more canary",
            "password: |\n    canary",
            "-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----",
            "- name: DB_PASSWORD\n  value: canary",
            "env[0].name = \"API_TOKEN\"\nenv[0].value = \"canary\"",
            "password = (sensitive) -> canary",
        ] {
            let said = of(line).to_lowercase();
            assert!(!said.contains("canary"), "{line}\n{said}");
            let said = text(line).to_lowercase();
            assert!(!said.contains("canary"), "{line}\n{said}");
        }
    }

    #[test]
    fn what_is_no_secret_is_left_as_it_is() {
        for line in [
            "secretName: web-tls",
            "passwordPolicy = strict",
            "password = (sensitive) -> (sensitive), changed",
            "replicas: 3",
            "image: registry.example/web:1.2",
            "url = https://host/x",
            "- name: LEVEL\n  value: info",
            "password:\n  (x)\nsize: 3",
        ] {
            let said = of(line);
            let last = line.lines().last().unwrap();
            assert!(said.ends_with(last), "{line}\n{said}");
        }
    }
}
