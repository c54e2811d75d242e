//! Controls in the words of OSCAL: a component definition, which says what claims them, and assessment results, which say what was seen.
//!
//! Called by `policy coverage --oscal`. Source of the forms: the models of OSCAL 1.2.1, of which nothing is used that 1.1 does not have.
//! What is the same is named by the same UUID: version 5, of what it is, in a namespace of our own. The UUID of a document is of its content.

use super::coverage::{Basis, Claim, Coverage, Covered, Evidence, Id, Outcome, Standing};
use crate::{
    base::{Control, Digest, few, plural},
    plan::{JudgedBy, Waiver},
    state::{Run, RunId},
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use sha1::{Digest as _, Sha1};
use std::collections::{BTreeMap, BTreeSet};

/// The version of OSCAL.
const VERSION: &str = "1.2.1";
/// Where the ids of controls come from.
const CATALOG: &str = "https://raw.githubusercontent.com/usnistgov/oscal-content/main/nist.gov/SP800-53/rev5/json/NIST_SP-800-53_rev5_catalog.json";
/// What our own names are in: properties, and the namespace of UUIDs.
const NAMESPACE: &str = "urn:terrace:oscal";
/// The namespace of URLs, of RFC 9562.
const URLS: [u8; 16] = [0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
/// So many things are named in a sentence; properties have them all.
const NAMED: usize = 5;

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// The coverage.
    pub coverage: &'a Coverage,
    /// What it was made of.
    pub basis: &'a Basis<'a>,
    /// Runs that changed something since, and are not in it.
    pub later: &'a [&'a Run],
    /// When what is exported was last changed: when the plan was judged, unless a check was asked later.
    pub at: Timestamp,
}

/// Both documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents {
    /// A name for both, as a folder may have it.
    pub name: String,
    /// `component-definition`.
    pub components: Json,
    /// `assessment-results`.
    pub results: Json,
    /// Controls that are in no catalog of NIST's, and so are in neither.
    pub left_out: Vec<String>,
}

/// Controls that one component has, each with a sentence and properties.
type Requirements = BTreeMap<Control, (String, Vec<Json>)>;

impl Export<'_> {
    /// Both documents; `None` where no control is claimed or asked about.
    #[must_use]
    pub fn documents(&self) -> Option<Documents> {
        let known: Vec<(Control, &Covered)> = self.nist().collect();
        if known.is_empty() {
            return None;
        }
        let header = self.basis.account;
        let name = format!("{}-{}-{}", header.project, header.plan, header.env);
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        let others = self.coverage.controls.iter().filter(|one| matches!(one.control, Id::Other(_)));
        Some(Documents {
            name: name.chars().map(plain).collect(),
            components: document("component-definition", self.component_definition(&known)),
            results: document("assessment-results", self.assessment_results(&known)),
            left_out: others.map(|one| one.control.to_string()).collect(),
        })
    }

    fn nist(&self) -> impl Iterator<Item = (Control, &Covered)> {
        self.coverage.controls.iter().filter_map(|one| match &one.control {
            Id::Nist(control) => Some((*control, one)),
            Id::Other(_) => None,
        })
    }

    /// What this is about, in the UUIDs of everything in it.
    fn place(&self) -> [&str; 3] {
        let header = self.basis.account;
        [&header.project, &header.plan, &header.env]
    }

    fn uuid(&self, kind: &str, parts: &[&str]) -> String {
        let all: Vec<&str> = std::iter::once(kind).chain(self.place()).chain(parts.iter().copied()).collect();
        uuid(&json!(all).to_string())
    }

    fn metadata(&self, title: &str) -> Json {
        let header = self.basis.account;
        let mut props = vec![property("plan-digest", self.basis.account.digest.as_str())];
        props.extend(header.release.as_ref().map(|release| property("release-digest", release.as_str())));
        json!({
            "title": line(&format!("{title}: {} of {} in {}", header.plan, header.project, header.env)),
            "last-modified": self.at.to_string(),
            "version": self.basis.account.digest.short(),
            "oscal-version": VERSION,
            "props": props,
        })
    }

    fn component_definition(&self, known: &[(Control, &Covered)]) -> Json {
        let header = self.basis.account;
        let mut claimed = Requirements::new();
        let mut rules: BTreeMap<&str, BTreeMap<Control, BTreeSet<&str>>> = BTreeMap::new();
        let mut checks: BTreeMap<Control, BTreeSet<&str>> = BTreeMap::new();
        for (control, covered) in known {
            let addresses: Vec<&str> = covered.claims.iter().map(|claim| claim.address.as_str()).collect();
            if !addresses.is_empty() {
                let said = format!("Claimed by {}.", few(&addresses, NAMED));
                let props = addresses.iter().map(|address| property("address", address)).collect();
                claimed.insert(*control, (said, props));
            }
            for evidence in &covered.evidence {
                match &evidence.by {
                    super::coverage::By::Rule { pack, rule } => {
                        rules.entry(pack).or_default().entry(*control).or_default().insert(rule);
                    }
                    super::coverage::By::Check { check } => {
                        checks.entry(*control).or_default().insert(check);
                    }
                }
            }
        }
        let named = |all: BTreeMap<Control, BTreeSet<&str>>, what: &str, property_name: &str| -> Requirements {
            let sentence = |(control, names): (Control, BTreeSet<&str>)| {
                let names: Vec<&str> = names.into_iter().collect();
                let props = names.iter().map(|name| property(property_name, name)).collect();
                (control, (format!("{what} {}.", few(&names, NAMED)), props))
            };
            all.into_iter().map(sentence).collect()
        };
        let title = format!("{} in {}", header.plan, header.env);
        let about = format!("What the plan {} of {} declares in {}.", header.plan, header.project, header.env);
        let mut components = Vec::new();
        components.extend(self.component("software", &title, &about, &[], claimed));
        for (pack, controls) in rules {
            let judged: Vec<&JudgedBy> = self.coverage.packs.iter().filter(|one| one.pack == pack).collect();
            let props = judged
                .iter()
                .flat_map(|one| [property("version", &one.version), property("pack-digest", one.digest.as_str())]);
            let (title, about) = (format!("Rules: {pack}"), format!("The pack of rules {pack}, which judges plans."));
            let requirements = named(controls, "Asked for by", "rule");
            let props: Vec<Json> = props.collect();
            components.extend(self.component("validation", &title, &about, &props, requirements));
        }
        let about = "Checks and verify blocks, which ask what runs.";
        let requirements = named(checks, "Asked by", "check");
        components.extend(self.component("validation", "Checks", about, &[], requirements));
        json!({ "metadata": self.metadata("Controls"), "components": components })
    }

    fn component(&self, kind: &str, title: &str, about: &str, props: &[Json], all: Requirements) -> Option<Json> {
        if all.is_empty() {
            return None;
        }
        let requirement = |(control, (said, props)): (Control, (String, Vec<Json>))| {
            let id = control.oscal();
            json!({
                "uuid": self.uuid("requirement", &[title, &id]),
                "control-id": id,
                "description": said,
                "props": props,
                "statements": [{
                    "statement-id": format!("{id}_smt"), "uuid": self.uuid("statement", &[title, &id]), "description": said,
                }],
            })
        };
        Some(without_empty(json!({
            "uuid": self.uuid("component", &[title]),
            "type": kind,
            "title": line(title),
            "description": about,
            "props": props,
            "control-implementations": [{
                "uuid": self.uuid("implementation", &[title]),
                "source": CATALOG,
                "description": "Controls of NIST SP 800-53, Revision 5.",
                "implemented-requirements": all.into_iter().map(requirement).collect::<Vec<_>>(),
            }],
        })))
    }

    fn assessment_results(&self, known: &[(Control, &Covered)]) -> Json {
        let plan = self.uuid("assessment-plan", &[]);
        let packs = self.coverage.packs.iter().map(|one| format!("{} {}", one.pack, one.version));
        let packs: Vec<String> = packs.chain(std::iter::once("Terrace's own rules".to_owned())).collect();
        let mut runs: BTreeSet<Option<&RunId>> = BTreeSet::from([self.basis.run.map(|run| &run.id)]);
        let looked = known.iter().flat_map(|(_, covered)| &covered.evidence).filter(|one| one.outcome.looked());
        runs.extend(looked.map(|one| one.run.as_ref()));
        let results: Vec<Json> = runs.into_iter().map(|run| self.result(run, known)).collect();
        json!({
            "metadata": self.metadata("What was seen of controls"),
            "import-ap": { "href": format!("#{plan}") },
            "results": results,
            "back-matter": { "resources": [{
                "uuid": plan,
                "title": "What is assessed, and how",
                "description": format!(
                    "There is no assessment plan in OSCAL. Rules judge what the plan is made of before it is applied ({}); checks and verify blocks of the plan ask what runs afterwards.",
                    packs.join(", ")
                ),
            }] },
        })
    }

    /// What was seen at one run. `None` is a plan that nobody applied, or an answer of which it is not known at which run it was given.
    fn result(&self, id: Option<&RunId>, known: &[(Control, &Covered)]) -> Json {
        let header = self.basis.account;
        let run = id.and_then(|id| self.basis.runs.iter().find(|run| run.id == *id));
        let judged = id == self.basis.run.map(|run| &run.id);
        let name = id.map_or("none", |id| &*id.0);
        let mut seen = Seen { export: self, run: name, ..Seen::new(self) };
        for (control, covered) in known {
            seen.control(*control, covered, id);
        }
        let times = seen.times.clone();
        let start = run.map(|run| run.started).or_else(|| times.first().copied()).unwrap_or(self.at);
        let end = run.and_then(|run| run.end).map(|(_, at)| at).or_else(|| times.last().copied());
        let (title, said) = match run {
            Some(run) => {
                let by = run.person.as_deref().unwrap_or(&run.caller);
                (format!("Run {}", run.id), format!("terrace {} in {}, by {by}.", run.command, header.env))
            }
            None if judged => (
                format!("Plan {}", self.basis.account.digest.short()),
                format!(
                    "A plan for {} that was judged and is not applied: nothing that runs was looked at.",
                    header.env
                ),
            ),
            None => ("Outside of runs".to_owned(), "Answers of which the run is not known any more.".to_owned()),
        };
        let mut props = vec![property("applied", if run.is_some() { "yes" } else { "no" })];
        props.extend(run.map(|run| property("run", &run.id.0)));
        props.extend(run.map(|run| property("plan-digest", run.plan.as_str())));
        let unproved = known.iter().filter(|(_, covered)| covered.standing == Standing::ClaimedNotProved);
        let unproved: Vec<String> = unproved.map(|(control, _)| control.to_string()).collect();
        let mut reviewed: BTreeSet<Control> = seen.reviewed.clone();
        // What is claimed was to be looked at, whether or not anything did.
        if judged {
            let claimed = known.iter().filter(|(_, covered)| !covered.claims.is_empty());
            reviewed.extend(claimed.map(|(control, _)| *control));
        }
        if reviewed.is_empty() {
            reviewed.extend(known.iter().map(|(control, _)| *control));
        }
        let mut remarks = Vec::new();
        if judged && !unproved.is_empty() {
            remarks.push(format!("Claimed, and looked at by no rule and no check: {}.", unproved.join(", ")));
        }
        if judged && self.basis.run.is_none() {
            remarks.push("Nobody has applied this plan: nothing of it need be there.".to_owned());
        }
        if judged && !self.later.is_empty() {
            let runs: Vec<String> = self.later.iter().map(|run| format!("{} ({})", run.id, run.command)).collect();
            remarks.push(format!("Later runs changed something, and are not in this: {}.", runs.join(", ")));
        }
        let remarks = remarks.join(" ");
        let controls: Vec<Json> = reviewed.iter().map(|control| json!({ "control-id": control.oscal() })).collect();
        without_empty(json!({
            "uuid": self.uuid("result", &[name, self.basis.account.digest.as_str()]),
            "title": line(&title),
            "description": said,
            "start": start.to_string(),
            "end": end.unwrap_or(start).max(start).to_string(),
            "props": props,
            "local-definitions": { "components": seen.subjects.into_values().collect::<Vec<_>>() },
            "reviewed-controls": { "control-selections": [{ "include-controls": controls }] },
            "observations": seen.observations.into_values().collect::<Vec<_>>(),
            "risks": seen.risks.into_values().collect::<Vec<_>>(),
            "findings": seen.findings,
            "remarks": remarks,
        }))
    }
}

/// What was seen at one run, as it is gathered.
struct Seen<'a> {
    export: &'a Export<'a>,
    run: &'a str,
    /// The tool, and everything that was looked at, by its name.
    subjects: BTreeMap<String, Json>,
    /// By who observed.
    observations: BTreeMap<String, Json>,
    /// By the waiver's name.
    risks: BTreeMap<String, Json>,
    findings: Vec<Json>,
    reviewed: BTreeSet<Control>,
    times: BTreeSet<Timestamp>,
}

impl<'a> Seen<'a> {
    fn new(export: &'a Export<'a>) -> Self {
        let mut subjects = BTreeMap::new();
        let tool = json!({
            "uuid": export.uuid("tool", &[]),
            "type": "software",
            "title": "Terrace",
            "description": "What judges plans and asks what runs.",
            "status": { "state": "operational" },
            "props": [property("version", env!("CARGO_PKG_VERSION"))],
        });
        subjects.insert(String::new(), tool);
        Self {
            export,
            run: "",
            subjects,
            observations: BTreeMap::new(),
            risks: BTreeMap::new(),
            findings: Vec::new(),
            reviewed: BTreeSet::new(),
            times: BTreeSet::new(),
        }
    }

    fn control(&mut self, control: Control, covered: &Covered, id: Option<&RunId>) {
        let here = covered.evidence.iter().filter(|one| one.outcome.looked() && one.run.as_ref() == id);
        let here: Vec<&Evidence> = here.collect();
        if here.is_empty() {
            return;
        }
        self.reviewed.insert(control);
        self.times.extend(here.iter().filter_map(|one| one.at));
        let observations: Vec<Json> = here
            .iter()
            .map(|one| {
                let uuid = self.observe(one);
                json!({ "observation-uuid": uuid })
            })
            .collect();
        let waivers = here.iter().filter_map(|one| match &one.outcome {
            Outcome::Waived { waivers, said } => Some((waivers, said)),
            _ => None,
        });
        let mut risks: BTreeSet<String> = BTreeSet::new();
        for (waivers, said) in waivers {
            for waiver in waivers {
                risks.insert(self.risk(waiver, said));
            }
        }
        let claims = |of: &dyn Fn(&Claim) -> bool| -> Vec<&str> {
            covered.claims.iter().filter(|claim| of(claim)).map(|claim| claim.address.as_str()).collect()
        };
        let unproved = claims(&|claim| !claim.proved);
        // A run that only verifies asks no rule: what another run looked at still holds, and is said.
        let elsewhere = claims(&|claim| claim.proved && !here.iter().any(|one| one.looked_at(&claim.address)));
        let (state, reason, said) = if here.iter().any(|one| one.outcome.fails()) {
            ("not-satisfied", "fail", "A rule or a check says that it does not hold.".to_owned())
        } else if !risks.is_empty() {
            ("not-satisfied", "other", "What was found is let pass by a waiver.".to_owned())
        } else if !unproved.is_empty() {
            ("not-satisfied", "other", format!("Nothing looked at {}, which claims it.", few(&unproved, NAMED)))
        } else if covered.claims.is_empty() {
            ("satisfied", "pass", "Rules and checks that are for it found nothing; nothing claims it.".to_owned())
        } else {
            ("satisfied", "pass", "Rules and checks that are for it found nothing in what claims it.".to_owned())
        };
        let said = if elsewhere.is_empty() {
            said
        } else {
            format!("{said} Of what claims it, another run looked at {}.", few(&elsewhere, NAMED))
        };
        let id = control.oscal();
        let risks: Vec<Json> = risks.into_iter().map(|uuid| json!({ "risk-uuid": uuid })).collect();
        self.findings.push(without_empty(json!({
            "uuid": self.export.uuid("finding", &[self.run, &id]),
            "title": control.to_string(),
            "description": format!("{said} That is what programs can see; much of a control is done by people."),
            "target": {
                "type": "objective-id",
                "target-id": format!("{id}_obj"),
                "status": { "state": state, "reason": reason },
            },
            "related-observations": observations,
            "related-risks": risks,
        })));
    }

    /// What a rule or a check saw, once for all its controls.
    fn observe(&mut self, evidence: &Evidence) -> String {
        let name = evidence.by.to_string();
        let uuid = self.export.uuid("observation", &[self.run, &name]);
        let addresses: Vec<&str> = evidence.of.iter().map(crate::base::Address::as_str).collect();
        let of = match (addresses.as_slice(), evidence.whole) {
            ([], _) => "the environment as a whole".to_owned(),
            (all, _) => few(all, NAMED),
        };
        let findings = |count: &usize| plural(*count, "finding");
        let said = match &evidence.outcome {
            Outcome::Denied { findings: count, said } => format!("It denies: {}, the first of {said}", findings(count)),
            Outcome::Warned { findings: count, said } => format!("It warns: {}, the first of {said}", findings(count)),
            Outcome::Waived { said, .. } => format!("What it found is let pass: {said}"),
            Outcome::Failed { said } => format!("It did not pass: {said}"),
            Outcome::Passed | Outcome::NothingToLookAt | Outcome::NotAsked => "It passed.".to_owned(),
        };
        let mut subjects = Vec::new();
        for address in &addresses {
            let uuid = self.export.uuid("subject", &[address]);
            subjects.push(json!({ "subject-uuid": uuid, "type": "component", "title": line(address) }));
            self.subjects.entry((*address).to_owned()).or_insert_with(|| {
                json!({
                    "uuid": uuid,
                    "type": "service",
                    "title": line(address),
                    "description": "Declared in the plan.",
                    "status": { "state": "operational" },
                })
            });
        }
        let observation = without_empty(json!({
            "uuid": uuid,
            "title": line(&name),
            "description": format!("{name} looked at {of}. {said}"),
            "methods": ["TEST"],
            "types": ["control-objective"],
            "origins": [{ "actors": [{ "type": "tool", "actor-uuid": self.export.uuid("tool", &[]) }] }],
            "subjects": subjects,
            "collected": evidence.at.unwrap_or(self.export.at).to_string(),
        }));
        self.observations.insert(name, observation);
        uuid
    }

    /// What a waiver lets pass is a risk that people agreed to bear.
    fn risk(&mut self, waiver: &Waiver, said: &str) -> String {
        let uuid = self.export.uuid("risk", &[self.run, &waiver.name]);
        let mut props = vec![property("waiver", &waiver.name), property("asked-by", &waiver.by)];
        props.extend(waiver.approved_by.as_ref().map(|who| property("agreed-by", who)));
        let risk = json!({
            "uuid": uuid,
            "title": line(&format!("Waiver {}", waiver.name)),
            "description": said,
            "statement": waiver.reason,
            "props": props,
            "status": "deviation-approved",
            "deadline": waiver.until.to_string(),
        });
        self.risks.insert(waiver.name.clone(), without_empty(risk));
        uuid
    }
}

/// A document of this kind, with a UUID of what is in it.
fn document(kind: &str, content: Json) -> Json {
    let own = uuid(&format!("{kind} {}", Digest::of_value(&content)));
    let mut whole = json!({ "uuid": own });
    if let (Some(whole), Json::Object(content)) = (whole.as_object_mut(), content) {
        whole.extend(content);
    }
    let mut document = serde_json::Map::new();
    document.insert(kind.to_owned(), whole);
    Json::Object(document)
}

/// Without what is empty: OSCAL wants a list to have something in it, or not to be there.
fn without_empty(mut object: Json) -> Json {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| match value {
            Json::Array(all) => !all.is_empty(),
            Json::String(text) => !text.is_empty(),
            _ => true,
        });
    }
    object
}

fn property(name: &str, value: &str) -> Json {
    let value = line(value);
    json!({ "name": name, "ns": NAMESPACE, "value": if value.is_empty() { "-".to_owned() } else { value } })
}

/// A text in one line, without white space around it.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A UUID of version 5 in our own namespace.
fn uuid(name: &str) -> String {
    version_5(version_5(URLS, NAMESPACE), name).iter().enumerate().fold(String::new(), |mut text, (at, byte)| {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&hex::encode([*byte]));
        text
    })
}

/// RFC 9562, 5.5.
fn version_5(namespace: [u8; 16], name: &str) -> [u8; 16] {
    let mut sha = Sha1::new();
    sha.update(namespace);
    sha.update(name.as_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(sha.finalize()) {
        *to = from;
    }
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

#[cfg(test)]
mod tests;
