//! A pack of rules: a folder with `pack.toml`, files of rules, and a fixture that passes and one that fails for each.
//!
//! Whatever is wrong with a pack is an error, with file and line: a rule that nobody asks is as good as none, and looks like one.

use crate::{
    base::{Diagnostic, Diagnostics, Digest, Span},
    lang::{SourceError, Sources, suggest},
    plan::Severity,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};
use toml::Spanned;

/// The file that says what a pack holds.
const FILE: &str = "pack.toml";

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// A CloudFormation template: `Resources` by logical id.
    Template,
    /// One Kubernetes object.
    Object,
    /// All Kubernetes objects of an environment: `objects`, a list.
    Objects,
    /// The plan itself, as `plan --json` has it under `plan`: what is done, in which order, to what.
    Plan,
}

/// A rule of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the file of rules. No two packs of a project have one of the same name.
    pub name: String,
    /// What it does to a plan where it does not hold.
    pub severity: Severity,
    /// The controls that it is for, like `SC-28`.
    pub controls: Vec<String>,
    /// What it looks at.
    pub on: On,
    /// Why it asks for that.
    pub why: String,
    /// What to write instead of what it finds.
    pub instead: String,
    /// The place of its entry.
    pub span: Span,
}

/// A file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Its path in the project.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
    /// What its rules look at.
    pub on: On,
    /// The names of its rules.
    pub rules: Vec<String>,
}

/// A document that a rule passes or fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixture {
    /// The rule.
    pub rule: String,
    /// Whether the rule has to hold.
    pub passes: bool,
    /// Its path in the project.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Its folder in the project.
    pub folder: String,
    /// Its `pack.toml` as it is written.
    pub entries: Arc<str>,
    /// Its rules by name.
    pub rules: BTreeMap<String, Rule>,
    /// Its files of rules.
    pub files: Vec<RuleFile>,
    /// Its fixtures.
    pub fixtures: Vec<Fixture>,
    /// What is no error, and wants to be looked at: a rule without a fixture.
    pub warnings: Diagnostics,
}

impl Pack {
    /// The digest of what it judges by: its entries and rules, and not the fixtures that prove them.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let entries = self
            .rules
            .values()
            .map(|rule| json!([rule.name, rule.severity, rule.controls, rule.on, rule.why, rule.instead]));
        let files = self.files.iter().map(|file| json!([file.text, file.on]));
        let all = json!([self.name, self.version, entries.collect::<Vec<_>>(), files.collect::<Vec<_>>()]);
        Digest::of_value(&all)
    }

    /// The files that it judges by, with their texts: what a release takes along of it.
    pub fn judging_files(&self) -> impl Iterator<Item = (String, &Arc<str>)> + '_ {
        let entries = (format!("{}/{FILE}", self.folder), &self.entries);
        std::iter::once(entries).chain(self.files.iter().map(|file| (file.path.clone(), &file.text)))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    version: String,
    description: String,
    #[serde(default, rename = "rule")]
    rules: Vec<WrittenRule>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    name: Spanned<String>,
    severity: Severity,
    controls: Vec<String>,
    on: On,
    why: String,
    instead: String,
}

/// Reads a pack.
///
/// # Errors
/// All that is wrong with it.
pub fn read(folder: &str, sources: &dyn Sources) -> Result<Pack, Diagnostics> {
    let folder = folder.trim_end_matches('/');
    let path = format!("{folder}/{FILE}");
    let text = text_of(&path, sources)?;
    let written: Written = toml::from_str(&text).map_err(|error| {
        let what = format!("the pack {folder} cannot be read: {}", error.message());
        let range = error.span().unwrap_or(0..0);
        Diagnostic::error("policy_pack", what).at(&Span::new(path.as_str(), range), "here")
    })?;
    let mut problems = Diagnostics::new();
    let rules = entries(&path, written.rules, &mut problems);
    let (mut files, mut declared) = (Vec::new(), BTreeMap::new());
    for name in sources.list(folder).map_err(|e| unreadable(folder, &e))? {
        if name.strip_suffix(".guard").is_some() {
            let path = format!("{folder}/{name}");
            let text = text_of(&path, sources)?;
            files.extend(file(path, text, &rules, &mut declared, &mut problems));
        }
    }
    for rule in rules.values().filter(|rule| !declared.contains_key(&rule.name)) {
        let what = format!("no file of the pack has the rule `{}`", rule.name);
        let near = suggest::nearest(&rule.name, declared.keys().map(String::as_str));
        let problem = Diagnostic::error("policy_rule_missing", what).at(&rule.span, "this entry has no rule");
        problems.push(match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("write it into a file of the pack that ends with .guard, or take the entry out"),
        });
    }
    let fixtures = fixtures(folder, &rules, sources, &mut problems)?;
    problems.normalize();
    if problems.has_errors() {
        return Err(problems);
    }
    let Written { name, version, description, .. } = written;
    let folder = folder.to_owned();
    Ok(Pack { name, version, description, folder, entries: text, rules, files, fixtures, warnings: problems })
}

fn unreadable(path: &str, error: &SourceError) -> Diagnostic {
    Diagnostic::error("policy_pack", format!("the pack's {path} cannot be read"))
        .because(error.to_string())
        .hint("a pack is a folder of the project with pack.toml, files of rules (*.guard) and tests/")
}

fn text_of(path: &str, sources: &dyn Sources) -> Result<Arc<str>, Diagnostics> {
    let bytes = sources.read(path).map_err(|e| unreadable(path, &e))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Diagnostic::error("not_utf8", format!("{path} is no UTF-8 text")).into()),
    }
}

fn entries(path: &str, written: Vec<WrittenRule>, problems: &mut Diagnostics) -> BTreeMap<String, Rule> {
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    for WrittenRule { name, severity, controls, on, why, instead } in written {
        let span = Span::new(path, name.span());
        let name = name.into_inner();
        if let Some(first) = rules.get(&name) {
            problems.push(
                Diagnostic::error("policy_rule_twice", format!("the rule `{name}` has two entries"))
                    .at(&span, "again here")
                    .at(&first.span, "first here"),
            );
            continue;
        }
        for (field, text) in [("why", &why), ("instead", &instead)] {
            if text.trim().is_empty() {
                let what = format!("the rule `{name}` has an empty `{field}`");
                problems.push(
                    Diagnostic::error("policy_pack", what)
                        .because("whoever is denied by it has nothing else to go by")
                        .at(&span, ""),
                );
            }
        }
        rules.insert(name.clone(), Rule { name, severity, controls, on, why, instead, span });
    }
    rules
}

/// Where rules begin. One that takes parameters is asked by others only, and has no entry.
static HEADS: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(r"(?m)^[ \t]*rule[ \t]+([A-Za-z_][A-Za-z0-9_]*)[ \t]*(\(?)")
        .expect("invariant: the pattern is one")
});

fn file(
    path: String,
    text: Arc<str>,
    rules: &BTreeMap<String, Rule>,
    declared: &mut BTreeMap<String, Span>,
    problems: &mut Diagnostics,
) -> Option<RuleFile> {
    let mut here: Vec<(String, On)> = Vec::new();
    let mut any = false;
    for head in HEADS.captures_iter(&text) {
        let Some(name) = head.get(1).filter(|_| head.get(2).is_none_or(|open| open.is_empty())) else { continue };
        any = true;
        let span = Span::new(path.as_str(), name.range());
        let name = name.as_str().to_owned();
        if let Some(first) = declared.get(&name) {
            problems.push(
                Diagnostic::error("policy_rule_twice", format!("the pack has the rule `{name}` twice"))
                    .at(&span, "again here")
                    .at(first, "first here"),
            );
            continue;
        }
        declared.insert(name.clone(), span.clone());
        let Some(rule) = rules.get(&name) else {
            problems.push(
                Diagnostic::error("policy_rule_missing", format!("pack.toml has no entry for the rule `{name}`"))
                    .at(&span, "this rule")
                    .because("an entry says how bad it is, for which controls, why, and what to write instead")
                    .hint(format!("add [[rule]] with name = \"{name}\"; a rule that only others ask takes parameters")),
            );
            continue;
        };
        if let Some((other, on)) = here.first().filter(|(_, on)| *on != rule.on) {
            let what = format!("`{name}` and `{other}` are in one file, and look at different things");
            problems.push(
                Diagnostic::error("policy_pack", what)
                    .at(&span, format!("on = {:?}, the other {on:?}", rule.on).to_lowercase())
                    .hint("a file holds rules of the same `on`: put them into two files"),
            );
        }
        here.push((name, rule.on));
    }
    if !any {
        let what = format!("{path} has no rule with a name");
        problems.push(Diagnostic::error("policy_pack", what).hint("write `rule NAME { ... }`, or take the file away"));
    }
    let on = here.first()?.1;
    Some(RuleFile { path, text, on, rules: here.into_iter().map(|(name, _)| name).collect() })
}

/// `tests/RULE/pass*` and `fail*`: at least one of each for each rule.
fn fixtures(
    folder: &str,
    rules: &BTreeMap<String, Rule>,
    sources: &dyn Sources,
    problems: &mut Diagnostics,
) -> Result<Vec<Fixture>, Diagnostics> {
    let tests = format!("{folder}/tests");
    let mut found = Vec::new();
    let folders = match sources.list(&tests) {
        Ok(names) => names,
        Err(SourceError::Missing(_)) => Vec::new(),
        Err(error) => return Err(unreadable(&tests, &error).into()),
    };
    for name in folders {
        let name = name.trim_end_matches('/');
        let of = format!("{tests}/{name}");
        if !rules.contains_key(name) {
            let what = format!("{of} is for a rule that the pack does not have");
            problems
                .push(Diagnostic::error("policy_fixture", what).hint("tests/ has a folder for each rule, of its name"));
            continue;
        }
        for file in sources.list(&of).map_err(|e| unreadable(&of, &e))? {
            let path = format!("{of}/{file}");
            let known = [".yaml", ".yml", ".json"].iter().any(|end| file.ends_with(end));
            let passes = file.starts_with("pass");
            if !known || !(passes || file.starts_with("fail")) {
                let what = format!("{path} is no fixture");
                problems.push(
                    Diagnostic::error("policy_fixture", what)
                        .hint("a fixture's name begins with pass or fail, and ends with .yaml or .json"),
                );
                continue;
            }
            found.push(Fixture { rule: name.to_owned(), passes, text: text_of(&path, sources)?, path });
        }
    }
    let have: BTreeSet<(&str, bool)> = found.iter().map(|f| (f.rule.as_str(), f.passes)).collect();
    for rule in rules.values() {
        for (passes, word) in [(true, "passes"), (false, "fails")] {
            if !have.contains(&(rule.name.as_str(), passes)) {
                let what = format!("the rule `{}` has no fixture that {word}", rule.name);
                problems.push(Diagnostic::warning("policy_fixture", what).at(&rule.span, "").hint(format!(
                    "write {tests}/{}/{}.yaml",
                    rule.name,
                    &word[..4]
                )));
            }
        }
    }
    Ok(found)
}

/// Rules of several packs with one name: severities, waivers and reports name a rule by it.
#[must_use]
pub fn clashes(packs: &[Pack]) -> Diagnostics {
    let mut problems = Diagnostics::new();
    let mut seen: BTreeMap<&str, &Rule> = BTreeMap::new();
    for rule in packs.iter().flat_map(|pack| pack.rules.values()) {
        if let Some(first) = seen.insert(&rule.name, rule) {
            problems.push(
                Diagnostic::error("policy_rule_twice", format!("two packs have a rule `{}`", rule.name))
                    .at(&rule.span, "again here")
                    .at(&first.span, "first here"),
            );
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::MemorySources;

    const TOML: &str = "name = \"own\"\nversion = \"1.0.0\"\ndescription = \"x\"\n[[rule]]\nname = \"a\"\nseverity = \"deny\"\ncontrols = [\"AC-6\"]\non = \"template\"\nwhy = \"w\"\ninstead = \"i\"\n";

    fn pack(files: &[(&str, &str)]) -> Result<Pack, Diagnostics> {
        let all = files.iter().map(|(name, text)| (format!("p/{name}"), (*text).to_owned()));
        read("p/", &MemorySources(all.map(|(name, text)| (name, text.into_bytes().into())).collect()))
    }

    fn codes(files: &[(&str, &str)]) -> Vec<String> {
        pack(files)
            .unwrap_err()
            .iter()
            .filter(|d| d.severity == crate::base::Severity::Error)
            .map(|d| d.code.to_string())
            .collect()
    }

    const RULE: &str = "# rule nobody\nrule a {\n  Resources exists\n}\nrule helped(x) {\n  %x exists\n}\n";

    #[test]
    fn a_pack_is_its_entries_with_their_rules_and_fixtures() {
        let found = pack(&[
            ("pack.toml", TOML),
            ("r.guard", RULE),
            ("tests/a/pass.yaml", "{}"),
            ("tests/a/fail-1.json", "{}"),
            ("README.md", ""),
        ])
        .unwrap();
        assert_eq!((&*found.name, found.rules.len(), found.files.len()), ("own", 1, 1));
        assert_eq!(found.files[0].rules, ["a"]);
        let fixtures: Vec<(&str, bool)> = found.fixtures.iter().map(|f| (&*f.path, f.passes)).collect();
        assert_eq!(fixtures, [("p/tests/a/fail-1.json", false), ("p/tests/a/pass.yaml", true)]);
    }

    #[test]
    fn whatever_is_wrong_with_a_pack_is_an_error_with_its_place() {
        assert_eq!(codes(&[("r.guard", RULE)]), ["policy_pack"]);
        assert_eq!(codes(&[("pack.toml", "name = \"x\"\n")]), ["policy_pack"]);
        assert_eq!(codes(&[("pack.toml", &TOML.replace("deny", "loud")), ("r.guard", RULE)]), ["policy_pack"]);
        assert_eq!(codes(&[("pack.toml", TOML)]), ["policy_rule_missing"]);
        assert_eq!(codes(&[("pack.toml", TOML), ("r.guard", "rule b { a exists }")]), ["policy_rule_missing"; 2]);
        assert_eq!(codes(&[("pack.toml", TOML), ("r.guard", RULE), ("s.guard", RULE)]), ["policy_rule_twice"]);
        assert_eq!(codes(&[("pack.toml", TOML), ("r.guard", RULE), ("tests/b/pass.yaml", "")]), ["policy_fixture"]);
        assert_eq!(codes(&[("pack.toml", TOML), ("r.guard", RULE), ("tests/a/other.txt", "")]), ["policy_fixture"]);
        let twice = pack(&[("pack.toml", TOML), ("r.guard", "rule a { x exists }\nrule c { x exists }")]).unwrap_err();
        let place = &twice.iter().find(|d| d.code == "policy_rule_missing").unwrap().labels[0].span;
        assert_eq!((&*place.file, place.start), ("p/r.guard", 25));
    }
}
