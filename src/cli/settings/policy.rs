//! `[policy]`: which packs of rules a project has, and how bad single rules are.

use super::{Reader, Spanned};
use crate::{base::Span, plan::Severity};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// `[policy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PolicySettings {
    /// `packs`: folders of the project, each with its place. They judge every plan.
    pub(crate) packs: Vec<(String, Span)>,
    /// `[policy.plan.LABEL]`: packs that judge this plan, beside the others.
    pub(crate) of_plan: BTreeMap<String, Vec<(String, Span)>>,
    /// `[policy.severity]`: how bad a rule is, where that is another than its pack says; each with its place.
    pub(crate) severity: BTreeMap<String, (Severity, Span)>,
}

impl Reader {
    pub(super) fn policy(&mut self, value: &Spanned<DeValue<'_>>) -> PolicySettings {
        let mut policy = PolicySettings::default();
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "packs" => policy.packs = self.packs(value),
                "plan" => {
                    for (label, value) in self.table(value) {
                        for entry @ (key, value) in self.table(value) {
                            match &**key.get_ref() {
                                "packs" => {
                                    policy.of_plan.insert(label.get_ref().to_string(), self.packs(value));
                                }
                                _ => self.unknown(entry, "[policy.plan.LABEL]", &["packs"]),
                            }
                        }
                    }
                }
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
                _ => self.unknown(entry, "[policy]", &["packs", "plan", "severity"]),
            }
        }
        policy
    }

    fn packs(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<(String, Span)> {
        let Some(all) = value.get_ref().as_array() else {
            self.wrong(value, "a list of folders, like [\"policies/own\"]");
            return Vec::new();
        };
        let folder = |pack| {
            let span = self.span(Spanned::span(pack));
            self.string(pack).map(|folder| (folder, span))
        };
        all.iter().filter_map(folder).collect()
    }
}

impl PolicySettings {
    /// How `[policy.plan.LABEL]` names a plan that is called otherwise, as by its folder `eks-platform`; with the place of its first pack.
    pub(crate) fn meant_for(&self, plan: &str) -> Option<(&str, &Span)> {
        let same = |name: &str| name.to_lowercase().replace('-', "_");
        let (written, packs) = self.of_plan.iter().find(|(written, _)| same(written) == same(plan))?;
        Some((written, &packs.first()?.1))
    }

    /// The packs that judge a plan, or any of all plans; each once, in the order in which they are named.
    pub(crate) fn packs_of(&self, plan: Option<&str>) -> Vec<&(String, Span)> {
        let of_plan = self.of_plan.iter().filter(|(label, _)| plan.is_none_or(|plan| plan == label.as_str()));
        let mut seen = std::collections::BTreeSet::new();
        let all = self.packs.iter().chain(of_plan.flat_map(|(_, packs)| packs));
        all.filter(|(folder, _)| seen.insert(folder.trim_end_matches('/'))).collect()
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
        let text = "[policy]\npacks = [\"a\"]\n[policy.plan.shop]\npacks = [\"b\", \"a/\"]\n[policy.plan.x]\npacks = [\"c\"]\n";
        let (settings, problems) = parse(text);
        assert!(problems.is_empty(), "{problems:?}");
        let of = |plan| settings.policy.packs_of(plan).iter().map(|(folder, _)| folder.as_str()).collect::<Vec<_>>();
        assert_eq!((of(Some("shop")), of(Some("other")), of(None)), (vec!["a", "b"], vec!["a"], vec!["a", "b", "c"]));
        for (bad, code) in [
            ("packs = \"a\"", "settings_type"),
            ("packs = [1]", "settings_type"),
            ("pack = []", "settings_unknown"),
            ("plan = { a = { pack = [] } }", "settings_unknown"),
            ("plan = { a = { packs = \"b\" } }", "settings_type"),
            ("severity = { a = \"loud\" }", "settings_type"),
        ] {
            let codes: Vec<String> =
                parse(&format!("[policy]\n{bad}\n")).1.iter().map(|d| d.code.to_string()).collect();
            assert_eq!(codes, [code], "{bad}");
        }
    }
}
