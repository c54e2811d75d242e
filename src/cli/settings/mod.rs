//! terrace.toml: the project's settings, typed. Whatever is unknown or wrong is a diagnostic with its place.

mod cost;
mod images;
mod note;
mod policy;
mod state;

pub(crate) use images::{ImageSettings, SignedImages};
pub(crate) use note::{NoteSettings, Provider, is_here};
pub(crate) use policy::PolicySettings;
pub(crate) use state::{Backend, Sse, StateSettings};

use crate::{
    base::{Diagnostic, Diagnostics, Span, parse_duration},
    lang::suggest,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The file's name.
pub(crate) const FILE: &str = "terrace.toml";

/// What terrace.toml says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings {
    /// `name`: the project's; its folder's name where none is written.
    pub(crate) name: Option<String>,
    /// `parallelism`: how many effects run at once.
    pub(crate) parallelism: Option<usize>,
    /// `lock_timeout`: how long to wait for a held lock.
    pub(crate) lock_timeout: Option<Duration>,
    /// `[sandbox]`.
    pub(crate) sandbox: SandboxSettings,
    /// `[[mirror]]`.
    pub(crate) mirrors: Vec<Mirror>,
    /// `[environment.NAME.kubernetes.LABEL]`, by environment and label.
    pub(crate) kubernetes: BTreeMap<(String, String), KubernetesOverride>,
    /// `[helm] program`, `[terraform] program` and `[tofu] program`: where each lies, by name.
    pub(crate) programs: BTreeMap<String, String>,
    /// `[people]`: a person by each of their identities.
    pub(crate) people: BTreeMap<String, String>,
    /// `[state]`.
    pub(crate) state: StateSettings,
    /// `[releases]`: where releases are kept, where that is not where `[state]` is.
    pub(crate) releases: Option<StateSettings>,
    /// `[signatures] releases`: files of public keys, of which one must have signed a release.
    pub(crate) release_keys: Vec<String>,
    /// `[images]`.
    pub(crate) images: ImageSettings,
    /// `[[signatures.images]]`: whose signature images of which repositories must have.
    pub(crate) signed_images: Vec<SignedImages>,
    /// `[cost] prices`: a price file of the project, with its place.
    pub(crate) prices: Option<(String, Span)>,
    /// `[note]`: a model that is asked for advice; off where there is no such table.
    pub(crate) note: Option<NoteSettings>,
    /// `[policy]`.
    pub(crate) policy: PolicySettings,
    /// `[environment.NAME.state]`, by environment.
    pub(crate) states: BTreeMap<String, StateSettings>,
}

impl Settings {
    /// Where releases are kept: one store for all environments (rule 27).
    pub(crate) fn releases(&self) -> StateSettings {
        self.releases.clone().unwrap_or_else(|| self.state.clone())
    }

    /// Where the state of an environment is kept.
    pub(crate) fn state_of(&self, environment: &str) -> StateSettings {
        self.state.under(self.states.get(environment))
    }
}

/// How the embedded world is opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SandboxSettings {
    /// `speed`: virtual seconds in one of the machine's; infinite for "instant".
    pub(crate) speed: Option<f64>,
    /// `seed`.
    pub(crate) seed: Option<u64>,
    /// `charts`: a folder of the project with charts that add to the catalogue.
    pub(crate) charts: Option<String>,
}

/// Another host for charts or images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// What addresses begin with.
    pub(crate) from: String,
    /// What takes its place.
    pub(crate) to: String,
}

/// Another way to a cluster than the plan's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KubernetesOverride {
    /// `kubeconfig`: the file.
    pub(crate) kubeconfig: String,
    /// `context`; the current one where none is written.
    pub(crate) context: Option<String>,
}

/// Reads settings; what is wrong with them is in the second part.
pub(crate) fn parse(text: &str) -> (Settings, Diagnostics) {
    let mut reader = Reader { file: FILE.into(), problems: Diagnostics::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let diagnostic = Diagnostic::error("settings_syntax", error.message().to_owned());
        reader.problems.push(diagnostic.at(&reader.span(error.span().unwrap_or(0..0)), ""));
    }
    let settings = if reader.problems.has_errors() { Settings::default() } else { reader.settings(table.get_ref()) };
    (settings, reader.problems)
}

/// Reads a speed as terrace.toml and the environment write it: a number over zero, or "instant".
pub(crate) fn parse_speed(text: &str) -> Option<f64> {
    if text == "instant" {
        return Some(f64::INFINITY);
    }
    text.parse().ok().filter(|speed: &f64| speed.is_finite() && *speed > 0.0)
}

type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

struct Reader {
    file: Arc<str>,
    problems: Diagnostics,
}

impl Reader {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.file.clone(), range)
    }

    fn wrong(&mut self, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = value.get_ref().type_str();
        let diagnostic = Diagnostic::error("settings_type", format!("expected {expected}, found {found}"));
        let span = self.span(value.span());
        self.problems.push(diagnostic.at(&span, "here"));
    }

    fn unknown(&mut self, (key, _): Entry<'_, '_>, place: &str, known: &[&str]) {
        let name = key.get_ref();
        let mut diagnostic = Diagnostic::error("settings_unknown", format!("{place} has no setting `{name}`"));
        diagnostic.hint = Some(match suggest::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are: {}", known.join(", ")),
        });
        let span = self.span(key.span());
        self.problems.push(diagnostic.at(&span, ""));
    }

    fn settings(&mut self, table: &DeTable<'_>) -> Settings {
        const KNOWN: &[&str] = &[
            "name",
            "parallelism",
            "lock_timeout",
            "sandbox",
            "mirror",
            "helm",
            "cost",
            "environment",
            "images",
            "note",
            "people",
            "policy",
            "releases",
            "signatures",
            "state",
            "terraform",
            "tofu",
        ];
        let mut settings = Settings::default();
        for entry @ (key, value) in table {
            match &**key.get_ref() {
                "name" => settings.name = self.string(value),
                "parallelism" => {
                    settings.parallelism = self.whole(value, 1..=1000).and_then(|n| usize::try_from(n).ok());
                }
                "lock_timeout" => settings.lock_timeout = self.duration(value),
                "sandbox" => settings.sandbox = self.sandbox(value),
                "mirror" => settings.mirrors = self.mirrors(value),
                "environment" => self.environments(value, &mut settings),
                "state" => {
                    settings.state = self.state(value, "[state]");
                    self.check_state(&settings.state, value, "[state]");
                }
                "releases" => {
                    let releases = self.state(value, "[releases]");
                    self.check_state(&releases, value, "[releases]");
                    settings.releases = Some(releases);
                }
                "people" => settings.people = self.people(value),
                "note" => settings.note = self.note(value),
                "policy" => settings.policy = self.policy(value),
                "images" => settings.images = self.images(value),
                "cost" => settings.prices = self.cost(value),
                "signatures" => self.signatures(value, &mut settings),
                name @ ("helm" | "terraform" | "tofu") => {
                    settings.programs.extend(self.program(value, name).map(|path| (name.to_owned(), path)));
                }
                _ => self.unknown(entry, FILE, KNOWN),
            }
        }
        self.check_environments(table, &settings);
        settings
    }

    fn sandbox(&mut self, value: &Spanned<DeValue<'_>>) -> SandboxSettings {
        let mut sandbox = SandboxSettings::default();
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "speed" => {
                    let text = match value.get_ref() {
                        DeValue::String(text) => text.to_string(),
                        DeValue::Integer(n) if n.radix() == 10 => n.as_str().replace('_', ""),
                        DeValue::Float(n) => n.as_str().replace('_', ""),
                        _ => String::new(),
                    };
                    sandbox.speed = parse_speed(&text);
                    if sandbox.speed.is_none() {
                        self.wrong(value, "a number over zero, or \"instant\"");
                    }
                }
                "seed" => sandbox.seed = self.whole(value, 0..=u64::MAX),
                "charts" => sandbox.charts = self.string(value),
                _ => self.unknown(entry, "[sandbox]", &["speed", "seed", "charts"]),
            }
        }
        sandbox
    }

    fn mirrors(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Mirror> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(value, "[[mirror]] tables");
            return Vec::new();
        };
        let mut mirrors = Vec::new();
        for value in array {
            let mut mirror = Mirror::default();
            for entry @ (key, value) in self.table(value) {
                match &**key.get_ref() {
                    "from" => mirror.from = self.string(value).unwrap_or_default(),
                    "to" => mirror.to = self.string(value).unwrap_or_default(),
                    _ => self.unknown(entry, "[[mirror]]", &["from", "to"]),
                }
            }
            if mirror.from.is_empty() || mirror.to.is_empty() {
                let diagnostic = Diagnostic::error("settings_missing", "[[mirror]] needs both `from` and `to`");
                let span = self.span(value.span());
                self.problems.push(diagnostic.at(&span, ""));
            }
            mirrors.push(mirror);
        }
        mirrors
    }

    /// Whether the state of each environment is said well, now that what holds for all is known.
    fn check_environments(&mut self, table: &DeTable<'_>, settings: &Settings) {
        let environments = table.get("environment").and_then(|e| e.get_ref().as_table());
        for (name, value) in environments.into_iter().flatten() {
            if let Some(state) = value.get_ref().as_table().and_then(|t| t.get("state")) {
                let place = format!("[environment.{}.state]", name.get_ref());
                self.check_state(&settings.state_of(name.get_ref()), state, &place);
            }
        }
    }

    fn environments(&mut self, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        for (environment, value) in self.table(value) {
            let environment = environment.get_ref().to_string();
            for entry @ (key, value) in self.table(value) {
                match &**key.get_ref() {
                    "kubernetes" => {
                        for (label, value) in self.table(value) {
                            let place = (environment.clone(), label.get_ref().to_string());
                            settings.kubernetes.insert(place, self.kubernetes(value));
                        }
                    }
                    "state" => {
                        let place = format!("[environment.{environment}.state]");
                        let own = self.state(value, &place);
                        settings.states.insert(environment.clone(), own);
                    }
                    _ => self.unknown(entry, "[environment.NAME]", &["kubernetes", "state"]),
                }
            }
        }
    }

    fn kubernetes(&mut self, value: &Spanned<DeValue<'_>>) -> KubernetesOverride {
        let mut found = KubernetesOverride::default();
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "kubeconfig" => found.kubeconfig = self.string(value).unwrap_or_default(),
                "context" => found.context = self.string(value),
                _ => self.unknown(entry, "[environment.NAME.kubernetes.LABEL]", &["kubeconfig", "context"]),
            }
        }
        if found.kubeconfig.is_empty() {
            let diagnostic =
                Diagnostic::error("settings_missing", "[environment.NAME.kubernetes.LABEL] needs `kubeconfig`");
            let span = self.span(value.span());
            self.problems.push(diagnostic.at(&span, ""));
        }
        found
    }

    fn signatures(&mut self, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "releases" => settings.release_keys = self.keys(value),
                "images" => settings.signed_images = self.signed_images(value),
                _ => self.unknown(entry, "[signatures]", &["images", "releases"]),
            }
        }
    }

    /// Files of keys. An empty list would ask for nothing, and look as if it did.
    fn keys(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let all = value.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>()).unwrap_or_default();
        if all.is_empty() {
            self.wrong(value, "a list of files with public keys, at least one");
        }
        all.into_iter().filter_map(|file| self.string(file)).collect()
    }

    /// Where a program lies.
    fn program(&mut self, value: &Spanned<DeValue<'_>>, name: &str) -> Option<String> {
        let mut found = None;
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "program" => found = self.string(value),
                _ => self.unknown(entry, &format!("[{name}]"), &["program"]),
            }
        }
        found
    }

    fn people(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for (person, value) in self.table(value) {
            let identities: Vec<&Spanned<DeValue<'_>>> =
                value.get_ref().as_array().map_or_else(|| vec![value], |array| array.iter().collect());
            for identity in identities {
                if let Some(identity) = self.string(identity) {
                    out.insert(identity, person.get_ref().to_string());
                }
            }
        }
        out
    }

    fn table<'a, 'i>(&mut self, value: &'a Spanned<DeValue<'i>>) -> Vec<Entry<'a, 'i>> {
        if let Some(table) = value.get_ref().as_table() {
            return table.iter().collect();
        }
        self.wrong(value, "a table");
        Vec::new()
    }

    fn string(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong(value, "a string");
        }
        text
    }

    fn whole(&mut self, value: &Spanned<DeValue<'_>>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let number = value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        let number = number.filter(|n| range.contains(n));
        if number.is_none() {
            let expected = match *range.end() {
                u64::MAX => "a whole number".to_owned(),
                most => format!("a whole number between {} and {most}", range.start()),
            };
            self.wrong(value, &expected);
        }
        number
    }

    fn duration(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let text = self.string(value)?;
        match parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let span = self.span(value.span());
                self.problems.push(Diagnostic::error("settings_type", error.to_string()).at(&span, ""));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_their_types() {
        let (settings, problems) = parse(
            "name = \"shop\"\nparallelism = 20\nlock_timeout = \"5m\"\n[sandbox]\nspeed = 250\nseed = 7\n\
             [[mirror]]\nfrom = \"a\"\nto = \"b\"\n[environment.dev.kubernetes.main]\nkubeconfig = \"kind.yaml\"\n\
             [people]\nada = [\"arn:1\", \"ada@example.com\"]\n[helm]\nprogram = \"bin/helm\"\n[tofu]\nprogram = \"tools/tofu\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(settings.parallelism, Some(20));
        assert_eq!(settings.lock_timeout, Some(Duration::from_secs(300)));
        assert_eq!(settings.sandbox.speed, Some(250.0));
        assert_eq!(settings.mirrors.len(), 1);
        assert_eq!(settings.kubernetes[&("dev".into(), "main".into())].kubeconfig, "kind.yaml");
        assert_eq!(settings.people["arn:1"], "ada");
        assert_eq!((&*settings.programs["helm"], &*settings.programs["tofu"]), ("bin/helm", "tools/tofu"));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let text = "paralelism = 3\nname = 1\n[sandbox]\nspeed = \"fast\"\nseed = -1\n"; // spellchecker:disable-line
        let (_, problems) = parse(text);
        let said: Vec<(&str, Option<&str>)> = problems.iter().map(|d| (&*d.code, d.hint.as_deref())).collect();
        assert_eq!(
            said,
            [
                ("settings_type", None),
                ("settings_unknown", Some("did you mean `parallelism`?")),
                ("settings_type", None),
                ("settings_type", None)
            ]
        );
    }

    #[test]
    fn a_speed_is_a_positive_number_or_instant() {
        assert_eq!(parse_speed("instant"), Some(f64::INFINITY));
        assert_eq!(parse_speed("1.5"), Some(1.5));
        for bad in ["0", "-1", "inf", "nan", "", "fast"] {
            assert_eq!(parse_speed(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys_are_files_and_an_empty_list_is_no_setting() {
        let (settings, problems) = parse("[signatures]\nreleases = [\"keys/a.pub\", \"b.pub\"]\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(settings.release_keys, ["keys/a.pub", "b.pub"]);
        for bad in ["releases = []", "releases = \"a.pub\"", "releases = [1]", "images = [\"a.pub\"]"] {
            assert!(parse(&format!("[signatures]\n{bad}\n")).1.has_errors(), "{bad}");
        }
    }

    #[test]
    fn broken_syntax_is_a_diagnostic() {
        let (_, problems) = parse("name = \n[sandbox\n");
        assert!(problems.has_errors());
    }
}
