//! What the rules of packs find in what a plan is made of, and in the plan itself.

use super::{
    material::{Material, as_judged, place_of},
    pack::{On, Pack, Rule},
};
use crate::{
    base::{Address, Diagnostic, Diagnostics, SourceMap},
    kinds::object_named,
    plan::{Finding, Plan, Severity},
    world::{Failure, Guard, GuardAnswer, GuardJob, GuardRequest, GuardText, Violation},
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// How bad rules are, where that is another than their pack says.
pub type Strictness = BTreeMap<String, Severity>;

/// What came of a check.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// What was found, denials first.
    pub findings: Vec<Finding>,
    /// Rules that were asked and looked at something, each with what it looked at.
    pub asked: BTreeMap<String, BTreeSet<Address>>,
    /// How many templates were looked at.
    pub templates: usize,
    /// How many objects were looked at.
    pub objects: usize,
    /// How many rules were not asked, since they look at a plan and there was none.
    pub waiting: usize,
    /// Rules that were asked and had nothing to look at, in the order of packs: there is none of what they are for, or they name it wrong.
    pub idle: Vec<String>,
}

impl Checked {
    /// Whether any finding denies.
    #[must_use]
    pub fn denied(&self) -> bool {
        self.findings.iter().any(Finding::denies)
    }
}

/// Why nothing was found out.
#[derive(Debug, Clone)]
pub enum Error {
    /// The process that judges gave no answer.
    Guard(Failure),
    /// Files of rules that are none, documents that Guard cannot read.
    Problems(Diagnostics),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Guard(failure)
    }
}

/// What a document of a request stands for.
struct Origin<'a> {
    on: On,
    document: Document<'a>,
}

enum Document<'a> {
    Template(&'a super::material::TemplateMatter),
    Object(&'a super::material::ObjectMatter),
    Objects(&'a [super::material::ObjectMatter]),
    Plan(&'a Plan),
}

impl Document<'_> {
    /// What declares it.
    fn addresses(&self) -> BTreeSet<Address> {
        match self {
            Self::Template(template) => BTreeSet::from([template.address.clone()]),
            Self::Object(object) => BTreeSet::from([object.address.clone()]),
            Self::Objects(all) => all.iter().map(|object| object.address.clone()).collect(),
            // It is looked at as a whole.
            Self::Plan(_) => BTreeSet::new(),
        }
    }
}

/// Asks every rule of every pack; those over a plan where there is one.
///
/// # Errors
/// Rules that cannot be judged by: nothing is found then, and nobody may take that for "nothing is wrong".
pub async fn check(
    guard: &dyn Guard,
    packs: &[Pack],
    strictness: &Strictness,
    material: &Material,
    plan: Option<&Plan>,
    texts: &SourceMap,
) -> Result<Checked, Error> {
    let (request, origins) = request(packs, material, plan);
    let answer = if request.jobs.is_empty() { GuardAnswer::default() } else { guard.judge(&request).await? };
    let faults = faults(&answer);
    if faults.has_errors() {
        return Err(Error::Problems(faults));
    }
    let rules: BTreeMap<&str, (&Pack, &Rule)> =
        packs.iter().flat_map(|pack| pack.rules.values().map(move |rule| (rule.name.as_str(), (pack, rule)))).collect();
    let over_plans = rules.values().filter(|(_, rule)| rule.on == On::Plan).count();
    let mut checked = Checked {
        templates: material.templates.len(),
        objects: material.objects.len(),
        waiting: if plan.is_none() { over_plans } else { 0 },
        ..Checked::default()
    };
    for (origins, documents) in origins.iter().zip(&answer.jobs) {
        for (origin, judged) in origins.iter().zip(documents) {
            for rule in judged.passed.iter().chain(&judged.failed) {
                checked.asked.entry(rule.clone()).or_default().extend(origin.document.addresses());
            }
            for violation in &judged.violations {
                let Some((pack, rule)) = rules.get(violation.rule.as_str()).filter(|(_, rule)| rule.on == origin.on)
                else {
                    continue;
                };
                checked.findings.push(finding(violation, pack, rule, &origin.document, strictness, material, texts));
            }
        }
    }
    let looks = |rule: &&Rule| (rule.on != On::Plan || plan.is_some()) && !checked.asked.contains_key(&rule.name);
    checked.idle =
        packs.iter().flat_map(|pack| pack.rules.values()).filter(looks).map(|rule| rule.name.clone()).collect();
    checked.findings.sort_by(|a, b| a.key().cmp(&b.key()));
    checked.findings.dedup();
    Ok(checked)
}

/// Everything that is to be judged, in one request: a job for each thing that rules look at.
fn request<'m>(packs: &[Pack], material: &'m Material, plan: Option<&'m Plan>) -> (GuardRequest, Vec<Vec<Origin<'m>>>) {
    let (mut jobs, mut origins) = (Vec::new(), Vec::new());
    for on in [On::Template, On::Object, On::Objects, On::Plan] {
        let files = packs.iter().flat_map(|pack| &pack.files).filter(|file| file.on == on);
        let rules: Vec<GuardText> =
            files.map(|file| GuardText { name: file.path.clone(), text: file.text.to_string() }).collect();
        if rules.is_empty() {
            continue;
        }
        let (mut data, mut of) = (Vec::new(), Vec::new());
        let mut push = |name: String, text: String, document: Document<'m>| {
            data.push(GuardText { name, text });
            of.push(Origin { on, document });
        };
        match on {
            On::Template => {
                for template in &material.templates {
                    let name = format!("{} ({})", template.address, template.file);
                    push(name, template.document.to_string(), Document::Template(template));
                }
            }
            On::Object => {
                for object in &material.objects {
                    let name = format!("{} ({})", object.address, object_named(&object.object));
                    push(name, as_judged(&object.object).to_string(), Document::Object(object));
                }
            }
            On::Objects => {
                let all = &material.objects;
                let objects: Vec<Json> = all.iter().map(|object| as_judged(&object.object)).collect();
                push("all objects".to_owned(), json!({ "objects": objects }).to_string(), Document::Objects(all));
            }
            On::Plan => {
                if let Some(plan) = plan {
                    push("the plan".to_owned(), plan_as_judged(plan).to_string(), Document::Plan(plan));
                }
            }
        }
        jobs.push(GuardJob { rules, data });
        origins.push(of);
    }
    (GuardRequest::new(jobs), origins)
}

/// A plan as rules look at it: as `plan --json` shows it, without the files that it was made from and without what rules found before.
fn plan_as_judged(plan: &Plan) -> Json {
    let mut judged = serde_json::to_value(plan).expect("invariant: a plan can be written");
    if let Some(fields) = judged.as_object_mut() {
        for field in ["sources", "judgement"] {
            fields.remove(field);
        }
    }
    judged
}

/// The node of a plan that a path of Guard's leads into, its part, and the rest of the path.
fn place_in_plan<'p>(plan: &Plan, path: &'p str) -> Option<(Address, String, &'p str)> {
    let (index, rest) = split(path.strip_prefix("/nodes/")?);
    let node = plan.nodes.get(index.parse::<usize>().ok()?)?;
    let child = rest.strip_prefix("/children/").map(split).and_then(|(index, rest)| {
        let child = node.children.get(index.parse::<usize>().ok()?)?;
        Some((child.name.clone(), rest))
    });
    let (part, rest) = child.unwrap_or((String::new(), rest));
    Some((node.address.clone(), part, rest))
}

/// The first step of a path, and the rest with its slash.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

/// What rules look at as files, for whoever writes rules: each document as they see it, by a path that says what it is.
#[must_use]
pub fn as_files(material: &Material) -> BTreeMap<String, Json> {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
    };
    let mut files = BTreeMap::new();
    for template in &material.templates {
        let name = format!("{} {}", template.address, template.file.rsplit('/').next().unwrap_or_default());
        files.insert(format!("templates/{}.json", plain(&name)), template.document.clone());
    }
    for (index, object) in material.objects.iter().enumerate() {
        let name = format!("{index:04} {} {}", object.address, object_named(&object.object));
        files.insert(format!("objects/{}.json", plain(&name)), as_judged(&object.object));
    }
    let all: Vec<Json> = material.objects.iter().map(|object| as_judged(&object.object)).collect();
    files.insert("objects.json".to_owned(), json!({ "objects": all }));
    files
}

/// What Guard cannot read.
pub(super) fn faults(answer: &GuardAnswer) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for fault in &answer.faults {
        let is_file = fault.name.strip_suffix(".guard").is_some();
        let what = if is_file { "is no file of rules" } else { "cannot be judged" };
        problems.push(
            Diagnostic::error("policy_rules", format!("{} {what}", fault.name))
                .because(fault.why.lines().take(12).collect::<Vec<_>>().join("\n"))
                .hint("docs/policy.md says how rules are written; what is wrong with one is never passed over"),
        );
    }
    problems
}

fn finding(
    violation: &Violation,
    pack: &Pack,
    rule: &Rule,
    document: &Document<'_>,
    strictness: &Strictness,
    material: &Material,
    texts: &SourceMap,
) -> Finding {
    let declared = |address: &Address| material.places.get(address).and_then(|span| place_of(span, texts));
    let (address, part, path, place) = match document {
        Document::Template(template) => {
            let (part, place) = template.place(&violation.path);
            let place = place.or_else(|| declared(&template.address));
            (Some(template.address.clone()), part, violation.path.clone(), place)
        }
        Document::Object(object) => {
            let place = declared(&object.address);
            (Some(object.address.clone()), object_named(&object.object), violation.path.clone(), place)
        }
        Document::Plan(plan) => match place_in_plan(plan, &violation.path) {
            Some((address, part, path)) => {
                let place = declared(&address);
                (Some(address), part, path.to_owned(), place)
            }
            None => (None, String::new(), violation.path.clone(), None),
        },
        Document::Objects(all) => {
            let (index, path) = split(violation.path.strip_prefix("/objects/").unwrap_or_default());
            match index.parse().ok().and_then(|index: usize| all.get(index)) {
                Some(object) => {
                    let place = declared(&object.address);
                    (Some(object.address.clone()), object_named(&object.object), path.to_owned(), place)
                }
                None => (None, String::new(), violation.path.clone(), None),
            }
        }
    };
    let said = violation.message.clone();
    Finding {
        rule: rule.name.clone(),
        pack: pack.name.clone(),
        severity: strictness.get(&rule.name).copied().unwrap_or(rule.severity),
        address,
        part,
        path,
        place,
        controls: rule.controls.clone(),
        what: if said.is_empty() { format!("`{}` does not hold", rule.name) } else { said },
        why: rule.why.clone(),
        instead: rule.instead.clone(),
        waiver: None,
    }
}
