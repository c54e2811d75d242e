//! `[policy]`: which packs of rules a project has, and how bad single rules are.

use super::{Reader, Spanned};
use crate::{base::Span, policy::Severity};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// `[policy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PolicySettings {
    /// `packs`: folders of the project, each with its place.
    pub(crate) packs: Vec<(String, Span)>,
    /// `[policy.severity]`: how bad a rule is, where that is another than its pack says; each with its place.
    pub(crate) severity: BTreeMap<String, (Severity, Span)>,
}

impl Reader {
    pub(super) fn policy(&mut self, value: &Spanned<DeValue<'_>>) -> PolicySettings {
        let mut policy = PolicySettings::default();
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "packs" => match value.get_ref().as_array() {
                    Some(all) => {
                        for pack in all {
                            let span = self.span(pack.span());
                            policy.packs.extend(self.string(pack).map(|folder| (folder, span)));
                        }
                    }
                    None => self.wrong(value, "a list of folders, like [\"policies/own\"]"),
                },
                "severity" => {
                    for (rule, value) in self.table(value) {
                        let severity = match value.get_ref().as_str() {
                            Some("deny") => Severity::Deny,
                            Some("warn") => Severity::Warn,
                            _ => {
                                self.wrong(value, "\"deny\" or \"warn\"");
                                continue;
                            }
                        };
                        policy.severity.insert(rule.get_ref().to_string(), (severity, self.span(rule.span())));
                    }
                }
                _ => self.unknown(entry, "[policy]", &["packs", "severity"]),
            }
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::parse;

    #[test]
    fn packs_and_severities_are_read_and_all_else_is_refused() {
        let text = "[policy]\npacks = [\"policies/a\", \"b\"]\n[policy.severity]\nno_tags = \"warn\"\n";
        let (settings, problems) = parse(text);
        assert!(problems.is_empty(), "{problems:?}");
        let packs: Vec<&str> = settings.policy.packs.iter().map(|(folder, _)| folder.as_str()).collect();
        assert_eq!(packs, ["policies/a", "b"]);
        assert_eq!(settings.policy.severity["no_tags"].0, Severity::Warn);
        for (bad, code) in [
            ("packs = \"a\"", "settings_type"),
            ("packs = [1]", "settings_type"),
            ("pack = []", "settings_unknown"),
            ("severity = { a = \"loud\" }", "settings_type"),
        ] {
            let codes: Vec<String> =
                parse(&format!("[policy]\n{bad}\n")).1.iter().map(|d| d.code.to_string()).collect();
            assert_eq!(codes, [code], "{bad}");
        }
    }
}
