//! `[note]`: which model is asked for a note on a plan, and what that may come to. Without this table none is, and nothing is sent anywhere.

use super::{DeValue, Reader, Spanned};
use crate::{base::Diagnostic, review::note::LEAST};
use std::time::Duration;

/// The keys.
const KNOWN: &[&str] = &[
    "provider",
    "model",
    "region",
    "profile",
    "role_arn",
    "account_id",
    "endpoint_url",
    "max_tokens",
    "budget_tokens",
    "timeout",
];
/// Those of an AWS connection.
const OF_BEDROCK: &[&str] = &["region", "profile", "role_arn", "account_id"];
/// What an answer may have where nothing else is said.
const MAX_TOKENS: u32 = 2_000;
/// What a prompt may have where nothing else is said.
const BUDGET_TOKENS: usize = 20_000;
/// How long all of it may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Whose model it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// "bedrock".
    Bedrock,
    /// "anthropic".
    Anthropic,
}

impl Provider {
    /// The word in terrace.toml.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Anthropic => "anthropic",
        }
    }
}

/// `[note]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoteSettings {
    /// `provider`.
    pub(crate) provider: Provider,
    /// `model`: as the provider names it.
    pub(crate) model: String,
    /// `region` of Bedrock.
    pub(crate) region: Option<String>,
    /// `profile` of the shared configuration.
    pub(crate) profile: Option<String>,
    /// `role_arn`: a role to take on.
    pub(crate) role_arn: Option<String>,
    /// `account_id`: the account that must be the caller's.
    pub(crate) account_id: Option<String>,
    /// `endpoint_url` in the place of the provider's own.
    pub(crate) endpoint_url: Option<String>,
    /// `max_tokens` of the answer.
    pub(crate) max_tokens: u32,
    /// `budget_tokens` of the prompt, reckoned.
    pub(crate) budget_tokens: usize,
    /// `timeout` of all of it.
    pub(crate) timeout: Duration,
}

impl Reader {
    pub(super) fn note(&mut self, value: &Spanned<DeValue<'_>>) -> Option<NoteSettings> {
        let (mut provider, mut model) = (None, None);
        let mut note = NoteSettings {
            provider: Provider::Anthropic,
            model: String::new(),
            region: None,
            profile: None,
            role_arn: None,
            account_id: None,
            endpoint_url: None,
            max_tokens: MAX_TOKENS,
            budget_tokens: BUDGET_TOKENS,
            timeout: TIMEOUT,
        };
        let entries = self.table(value);
        for entry @ (key, value) in &entries {
            match &**key.get_ref() {
                "provider" => {
                    provider =
                        self.one_of(value, &[("anthropic", Provider::Anthropic), ("bedrock", Provider::Bedrock)]);
                }
                "model" => model = self.filled(value),
                "region" => note.region = self.filled(value),
                "profile" => note.profile = self.filled(value),
                "role_arn" => note.role_arn = self.filled(value),
                "account_id" => note.account_id = self.filled(value),
                "endpoint_url" => note.endpoint_url = self.endpoint(value),
                "max_tokens" => {
                    let most = self.whole(value, 256..=32_000).and_then(|n| u32::try_from(n).ok());
                    note.max_tokens = most.unwrap_or(MAX_TOKENS);
                }
                "budget_tokens" => {
                    let most = self.whole(value, LEAST as u64..=1_000_000).and_then(|n| usize::try_from(n).ok());
                    note.budget_tokens = most.unwrap_or(BUDGET_TOKENS);
                }
                "timeout" => {
                    let range = Duration::from_millis(100)..=Duration::from_secs(600);
                    match self.duration(value) {
                        Some(timeout) if range.contains(&timeout) => note.timeout = timeout,
                        Some(_) => self.wrong(value, "a duration between 100ms and 10m"),
                        None => {}
                    }
                }
                _ => self.unknown(*entry, "[note]", KNOWN),
            }
        }
        let has = |name: &str| entries.iter().any(|(key, _)| &**key.get_ref() == name);
        let missing = match (has("provider") && has("model"), provider) {
            (false, _) => Some("[note] needs `provider` and `model`".to_owned()),
            (_, Some(Provider::Bedrock)) if !has("region") => {
                Some("[note] needs `region` with provider = \"bedrock\"".to_owned())
            }
            (_, Some(Provider::Anthropic)) => OF_BEDROCK
                .iter()
                .find(|name| has(name))
                .map(|name| format!("[note] has `{name}`, which is for provider = \"bedrock\"")),
            _ => None,
        };
        if let Some(missing) = missing {
            let span = self.span(value.span());
            self.problems.push(Diagnostic::error("settings_missing", missing).at(&span, ""));
            return None;
        }
        note.provider = provider?;
        note.model = model?;
        Some(note)
    }

    /// An address that plans and keys may be sent to: encrypted, or this machine.
    fn endpoint(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.filled(value)?;
        let url = reqwest::Url::parse(&text).ok().filter(|url| url.host_str().is_some());
        let good = url.is_some_and(|url| {
            let alone = url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none();
            alone && (url.scheme() == "https" || url.scheme() == "http" && is_here(&url))
        });
        if !good {
            self.wrong(value, "https://HOST, without a name or password in it; http:// goes only to this machine");
            return None;
        }
        Some(text)
    }
}

/// True for an address of this machine.
pub(crate) fn is_here(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_model_is_named_with_what_it_may_come_to_and_without_the_table_there_is_none() {
        assert_eq!(parse("name = \"shop\"\n").0.note, None);
        let (settings, problems) = parse(
            "[note]\nprovider = \"bedrock\"\nmodel = \"eu.anthropic.claude\"\nregion = \"eu-central-1\"\nprofile = \"ai\"\n\
             max_tokens = 500\nbudget_tokens = 5000\ntimeout = \"20s\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let note = settings.note.unwrap();
        assert_eq!((note.provider, note.region.as_deref()), (Provider::Bedrock, Some("eu-central-1")));
        assert_eq!((note.max_tokens, note.budget_tokens, note.timeout), (500, 5000, Duration::from_secs(20)));
        let note = parse("[note]\nprovider = \"anthropic\"\nmodel = \"m\"\n").0.note.unwrap();
        assert_eq!((note.max_tokens, note.budget_tokens, note.timeout), (MAX_TOKENS, BUDGET_TOKENS, TIMEOUT));
    }

    #[test]
    fn what_is_wrong_with_it_is_said_and_no_model_is_asked() {
        for (lines, code, says) in [
            ("", "settings_missing", "needs `provider` and `model`"),
            ("provider = \"openai\"\nmodel = \"m\"", "settings_type", "\"anthropic\" or \"bedrock\""),
            ("provider = \"anthropic\"", "settings_missing", "needs `provider` and `model`"),
            ("provider = \"bedrock\"\nmodel = \"m\"", "settings_missing", "needs `region`"),
            ("provider = \"anthropic\"\nmodel = \"m\"\nprofile = \"p\"", "settings_missing", "`profile`, which is for"),
            ("provider = \"anthropic\"\nmodel = \"m\"\nkey = \"k\"", "settings_unknown", "no setting `key`"),
            (
                "provider = \"anthropic\"\nmodel = \"m\"\nendpoint_url = \"http://gate.example\"",
                "settings_type",
                "https://HOST",
            ),
            (
                "provider = \"anthropic\"\nmodel = \"m\"\nendpoint_url = \"https://a:b@gate.example\"",
                "settings_type",
                "https://HOST",
            ),
            ("provider = \"anthropic\"\nmodel = \"m\"\nbudget_tokens = 10", "settings_type", "between"),
            ("provider = \"anthropic\"\nmodel = \"m\"\nmax_tokens = 10", "settings_type", "between"),
            ("provider = \"anthropic\"\nmodel = \"m\"\ntimeout = \"1h\"", "settings_type", "100ms and 10m"),
        ] {
            let (_, problems) = parse(&format!("[note]\n{lines}\n"));
            let said: Vec<(&str, &str)> = problems.iter().map(|d| (&*d.code, &*d.summary)).collect();
            assert!(said.iter().any(|(found, what)| *found == code && what.contains(says)), "{lines}: {said:?}");
        }
    }
}
