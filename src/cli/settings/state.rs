//! `[state]`: where what Terrace remembers is kept. An environment's own table overrides it, key by key.

use super::{DeValue, Reader, Spanned};
use crate::base::Diagnostic;
use std::time::Duration;

/// The keys.
const KNOWN: &[&str] =
    &["backend", "bucket", "prefix", "region", "endpoint_url", "profile", "role_arn", "sse", "kms_key_id", "lease"];

/// Where state is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Backend {
    /// In the project's folder.
    #[default]
    File,
    /// In a bucket.
    S3,
}

/// How objects are encrypted at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sse {
    /// "AES256": by the store's own keys.
    Aes256,
    /// "aws:kms": by a key of KMS.
    Kms,
    /// "bucket": as the bucket says.
    Bucket,
}

/// What a table says; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StateSettings {
    /// `backend`.
    pub(crate) backend: Option<Backend>,
    /// `bucket`.
    pub(crate) bucket: Option<String>,
    /// `prefix`: what every key begins with.
    pub(crate) prefix: Option<String>,
    /// `region` of the bucket.
    pub(crate) region: Option<String>,
    /// `endpoint_url` of another store than Amazon's.
    pub(crate) endpoint_url: Option<String>,
    /// `profile` of the shared configuration.
    pub(crate) profile: Option<String>,
    /// `role_arn`: a role to take on.
    pub(crate) role_arn: Option<String>,
    /// `sse`.
    pub(crate) sse: Option<Sse>,
    /// `kms_key_id`: the key for `sse = "aws:kms"`.
    pub(crate) kms_key_id: Option<String>,
    /// `lease`: how long the lock's owner may be silent before others take it over.
    pub(crate) lease: Option<Duration>,
}

impl StateSettings {
    /// These settings with those of an environment above them.
    pub(crate) fn under(&self, own: Option<&Self>) -> Self {
        let Some(own) = own.cloned() else { return self.clone() };
        let below = self.clone();
        Self {
            backend: own.backend.or(below.backend),
            bucket: own.bucket.or(below.bucket),
            prefix: own.prefix.or(below.prefix),
            region: own.region.or(below.region),
            endpoint_url: own.endpoint_url.or(below.endpoint_url),
            profile: own.profile.or(below.profile),
            role_arn: own.role_arn.or(below.role_arn),
            sse: own.sse.or(below.sse),
            kms_key_id: own.kms_key_id.or(below.kms_key_id),
            lease: own.lease.or(below.lease),
        }
    }
}

impl Reader {
    /// Reads a table; `place` is how messages name it.
    pub(super) fn state(&mut self, value: &Spanned<DeValue<'_>>, place: &str) -> StateSettings {
        let mut state = StateSettings::default();
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "backend" => {
                    let known = [("file", Backend::File), ("s3", Backend::S3)];
                    state.backend = self.one_of(value, &known);
                }
                "bucket" => state.bucket = self.filled(value),
                "prefix" => state.prefix = self.string(value),
                "region" => state.region = self.filled(value),
                "endpoint_url" => state.endpoint_url = self.filled(value),
                "profile" => state.profile = self.filled(value),
                "role_arn" => state.role_arn = self.filled(value),
                "sse" => {
                    let known = [("AES256", Sse::Aes256), ("aws:kms", Sse::Kms), ("bucket", Sse::Bucket)];
                    state.sse = self.one_of(value, &known);
                }
                "kms_key_id" => state.kms_key_id = self.filled(value),
                "lease" => {
                    state.lease = self.duration(value);
                    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
                    if state.lease.is_some_and(|lease| !range.contains(&lease)) {
                        self.wrong(value, "a duration between 1s and 1h");
                    }
                }
                _ => self.unknown(entry, place, KNOWN),
            }
        }
        state
    }

    /// Whether what holds for an environment, or for all, makes sense as a whole.
    pub(super) fn check_state(&mut self, whole: &StateSettings, value: &Spanned<DeValue<'_>>, place: &str) {
        let missing = whole.backend == Some(Backend::S3) && whole.bucket.is_none();
        let idle = whole.kms_key_id.is_some() && whole.sse != Some(Sse::Kms);
        let problem = match (missing, idle) {
            (true, _) => Diagnostic::error("settings_missing", format!("{place} needs `bucket` with backend = \"s3\"")),
            (_, true) => {
                Diagnostic::error("settings_missing", format!("{place} has `kms_key_id` without sse = \"aws:kms\""))
                    .hint("the key is used only with sse = \"aws:kms\"")
            }
            _ => return,
        };
        let span = self.span(value.span());
        self.problems.push(problem.at(&span, ""));
    }

    pub(super) fn one_of<T: Copy>(&mut self, value: &Spanned<DeValue<'_>>, known: &[(&str, T)]) -> Option<T> {
        let found = value.get_ref().as_str().and_then(|text| known.iter().find(|(name, _)| *name == text));
        if found.is_none() {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let (last, rest) = names.split_last()?;
            self.wrong(value, &format!("{} or {last}", rest.join(", ")));
        }
        found.map(|(_, what)| *what)
    }

    /// A string with something in it.
    pub(super) fn filled(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.string(value)?;
        if text.is_empty() {
            self.wrong(value, "a string with something in it");
            return None;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn an_environment_has_what_all_have_but_for_what_it_says_itself() {
        let (settings, problems) = parse(
            "[state]\nbackend = \"s3\"\nbucket = \"all\"\nregion = \"eu-west-1\"\nlease = \"45s\"\n\
             [environment.prd.state]\nbucket = \"prd\"\nsse = \"aws:kms\"\nkms_key_id = \"alias/state\"\n\
             [environment.dev.state]\nbackend = \"file\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let (prd, dev, tst) = (settings.state_of("prd"), settings.state_of("dev"), settings.state_of("tst"));
        assert_eq!((prd.backend, prd.bucket.as_deref()), (Some(Backend::S3), Some("prd")));
        assert_eq!((prd.region.as_deref(), prd.sse), (Some("eu-west-1"), Some(Sse::Kms)));
        assert_eq!(dev.backend, Some(Backend::File));
        assert_eq!((tst.bucket.as_deref(), tst.lease), (Some("all"), Some(Duration::from_secs(45))));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("[state]\nbackend = \"s3\"\n", "needs `bucket`"),
            ("[environment.dev.state]\nbackend = \"s3\"\n", "[environment.dev.state] needs `bucket`"),
            ("[state]\nbackend = \"dynamodb\"\n", "expected \"file\" or \"s3\""),
            ("[state]\nsse = \"none\"\n", "expected \"AES256\", \"aws:kms\" or \"bucket\""),
            ("[state]\nkms_key_id = \"k\"\n", "without sse"),
            ("[state]\nlease = \"1d\"\n", "between 1s and 1h"),
            ("[state]\nbukcet = \"b\"\n", "no setting `bukcet`"), // spellchecker:disable-line
            ("[state]\nbucket = \"\"\n", "with something in it"),
        ] {
            let (_, problems) = parse(text);
            let said: Vec<&str> = problems.iter().map(|d| &*d.summary).collect();
            assert!(said.iter().any(|s| s.contains(expected)), "{text}: {said:?}");
        }
    }
}
