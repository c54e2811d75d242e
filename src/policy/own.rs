//! Terrace's own rules: over what a plan does, which no rule over templates or objects can see.
//!
//! They are strict in a protected environment; elsewhere they say nothing, or warn. None of them judges a plan that only destroys.

use super::material::{Material, place_of};
use crate::{
    base::{ActionWord, Address, Image, Path, SourceMap, Step, Value, few, names_a_secret, says_where_a_secret_is},
    graph,
    kinds::{ChildChange, FieldChange, exposure::is_everybody, images_of_objects},
    lang::Declaration,
    plan::{Finding, Mode, Moment, Plan, Planned, Severity},
};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// The name that these rules have as a pack.
pub const OWN: &str = "terrace";
/// So many are named in a sentence.
const NAMED: usize = 3;
/// A rule of our own.
#[derive(Debug, Clone, Copy)]
pub struct OwnRule {
    /// Its name.
    pub name: &'static str,
    /// What it does to a plan of a protected environment.
    pub protected: Severity,
    /// What it does elsewhere; `None` where it does not ask there.
    pub elsewhere: Option<Severity>,
    /// The controls that it is for.
    pub controls: &'static [&'static str],
    /// Why it asks for that.
    pub why: &'static str,
    /// What to do instead of what it finds.
    pub instead: &'static str,
    find: fn(&Look<'_>, &mut Found<'_>),
}

/// All of them.
pub const RULES: &[OwnRule] = &[
    OwnRule {
        name: "data_stays",
        protected: Severity::Deny,
        elsewhere: None,
        controls: &["CP-9", "SI-12"],
        why: "what it holds is lost, and no rollback brings it back",
        instead: "DeletionPolicy and UpdateReplacePolicy of Snapshot or Retain, or a change that keeps it; where it is meant, a waiver",
        find: data_stays,
    },
    OwnRule {
        name: "users_stay",
        protected: Severity::Deny,
        elsewhere: None,
        controls: &["CM-3"],
        why: "what stands on it is without it meanwhile, and CloudFormation refuses to take away an export that is imported",
        instead: "a change in place; or the new one beside it, its users moved, and then the old one taken out",
        find: users_stay,
    },
    OwnRule {
        name: "phases_are_gated",
        protected: Severity::Warn,
        elsewhere: None,
        controls: &["CM-3", "CM-4"],
        why: "what comes after it begins although nobody looked whether it is well",
        instead: "gate { verify ... } in the phase",
        find: phases_are_gated,
    },
    OwnRule {
        name: "charts_are_pinned",
        protected: Severity::Warn,
        elsewhere: None,
        controls: &["SI-7", "CM-2"],
        why: "the repository may serve another chart under the same version tomorrow",
        instead: "terrace release create, which pins every chart, and a plan of that release; or a chart's digest",
        find: charts_are_pinned,
    },
    OwnRule {
        name: "images_are_pinned",
        protected: Severity::Warn,
        elsewhere: None,
        controls: &["SI-7", "CM-2"],
        why: "a tag may name another image tomorrow, and two nodes may run two",
        instead: "the image's digest, or [images] resolve = true in terrace.toml and a plan of a release",
        find: images_are_pinned,
    },
    OwnRule {
        name: "rights_stay_narrow",
        protected: Severity::Deny,
        elsewhere: Some(Severity::Warn),
        controls: &["AC-3", "AC-6"],
        why: "it may do more than it could: what has it, or breaks into it, may as well",
        instead: "the actions and resources that are needed, by name",
        find: rights_stay_narrow,
    },
    OwnRule {
        name: "no_new_way_in",
        protected: Severity::Deny,
        elsewhere: Some(Severity::Warn),
        controls: &["SC-7", "AC-4"],
        why: "everybody on the internet reaches what they could not reach",
        instead: "the ranges of those who are meant",
        find: no_new_way_in,
    },
    OwnRule {
        name: "no_secret_in_clear",
        protected: Severity::Deny,
        elsewhere: Some(Severity::Warn),
        controls: &["SC-28", "IA-5"],
        why: "it stands in plan files, in the plan and in the cluster for everybody who may read there",
        instead: "a variable with sensitive = true, data.secret, or the name of a Secret that something else fills",
        find: no_secret_in_clear,
    },
    OwnRule {
        name: "nodes_hold_it",
        protected: Severity::Warn,
        elsewhere: Some(Severity::Warn),
        controls: &["CP-2", "SC-5"],
        why: "pods that find no room stay pending, and what waits for them fails when its time is over",
        instead: "more nodes or larger ones (terrace plan names the cheapest that would do), or smaller requests",
        find: nodes_hold_it,
    },
];

/// What is known beside a plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// What packs look at; `None` where nobody gathered it.
    pub material: Option<&'a Material>,
    /// Whether the release that it is of has digests for all tags.
    pub resolved: bool,
    /// Why its nodes do not hold what runs on them, and which: whoever knows what machines have reckons that.
    pub lacking: &'a [(Option<Address>, String)],
}

/// What the rules look at.
struct Look<'a> {
    plan: &'a Plan,
    beside: Beside<'a>,
}

impl Look<'_> {
    /// A part of a stack as its template has it, with parameters put in; `None` where no template was looked at.
    fn part(&self, node: &Planned, child: &ChildChange) -> Option<&Json> {
        let template = self.beside.material?.templates.iter().find(|template| template.address == node.address)?;
        template.document["Resources"].get(&child.name)
    }
}

/// What a rule finds: of what, which part, what is wrong, and whether that is only worth a warning.
struct Found<'a>(&'a mut Vec<(Option<Address>, String, String, bool)>);

impl Found<'_> {
    fn add(&mut self, address: &Address, part: &str, what: String) {
        self.0.push((Some(address.clone()), part.to_owned(), what, false));
    }

    fn mild(&mut self, address: &Address, part: &str, what: String) {
        self.0.push((Some(address.clone()), part.to_owned(), what, true));
    }
}

/// What Terrace's own rules find in a plan.
#[must_use]
pub fn own(plan: &Plan, beside: Beside<'_>, texts: &SourceMap, strictness: &super::Strictness) -> Vec<Finding> {
    if plan.header.mode != Mode::Normal {
        return Vec::new();
    }
    let look = Look { plan, beside };
    let mut findings = Vec::new();
    for rule in RULES {
        let said = strictness.get(rule.name).copied();
        let Some(severity) = severity(rule, plan, strictness) else { continue };
        let mut found = Vec::new();
        (rule.find)(&look, &mut Found(&mut found));
        findings.extend(found.into_iter().map(|(address, part, what, mild)| {
            let span =
                address.as_ref().zip(beside.material).and_then(|(address, material)| material.places.get(address));
            Finding {
                rule: rule.name.to_owned(),
                pack: OWN.to_owned(),
                severity: if mild { said.unwrap_or(Severity::Warn) } else { severity },
                part,
                path: String::new(),
                place: span.and_then(|span| place_of(span, texts)),
                controls: rule.controls.iter().map(|control| (*control).to_owned()).collect(),
                what,
                why: rule.why.to_owned(),
                instead: rule.instead.to_owned(),
                waiver: None,
                address,
            }
        }));
    }
    findings
}

/// What a rule does to a plan where it does not hold; `None` where it is not asked.
fn severity(rule: &OwnRule, plan: &Plan, strictness: &super::Strictness) -> Option<Severity> {
    let asked = if plan.header.protected { Some(rule.protected) } else { rule.elsewhere };
    strictness.get(rule.name).copied().or(asked)
}

const fn goes(action: ActionWord) -> bool {
    matches!(action, ActionWord::Replace | ActionWord::Delete)
}

fn data_stays(look: &Look<'_>, found: &mut Found<'_>) {
    for node in &look.plan.nodes {
        let lost = node.children.iter().filter(|child| child.stateful && goes(child.action));
        let lost: Vec<&ChildChange> = lost.filter(|child| !child.is_kept()).collect();
        for child in &lost {
            found.add(&node.address, &child.name, format!("{} holds data and {}", child.kind, becomes(child.action)));
        }
        if lost.is_empty() && node.stateful && goes(node.action) && !node.children.iter().any(|child| child.stateful) {
            found.add(&node.address, "", format!("it holds data and {}", becomes(node.action)));
        }
    }
}

const fn becomes(action: ActionWord) -> &'static str {
    match action {
        ActionWord::Replace => "is replaced",
        _ => "is destroyed",
    }
}

fn users_stay(look: &Look<'_>, found: &mut Found<'_>) {
    let nodes = &look.plan.nodes;
    for node in nodes.iter().filter(|node| goes(node.action) && !passes_over(node)) {
        let own = graph::address(&Declaration::from(&node.address));
        let users = nodes.iter().filter(|user| user.moment == Moment::Phase && user.after.contains(&own));
        let users: BTreeSet<&str> = users.filter(|user| stands(user)).map(|user| user.address.as_str()).collect();
        let users: Vec<&str> = users.into_iter().collect();
        if !users.is_empty() {
            let what = format!("it {} under {}", becomes(node.action), few(&users, NAMED));
            found.add(&node.address, "", what);
        }
    }
}

/// What only Terrace remembers, or what goes as its rollout says, takes nothing from anybody.
fn passes_over(node: &Planned) -> bool {
    node.address.kind() == "value" || node.address.unit().is_some()
}

/// Whether something that stands on another thing is there and stays.
const fn stands(user: &Planned) -> bool {
    !matches!(user.action, ActionWord::Create | ActionWord::Delete | ActionWord::Read | ActionWord::Verify)
}

fn phases_are_gated(look: &Look<'_>, found: &mut Found<'_>) {
    let plan = look.plan;
    let changes = |phase: &str| {
        plan.nodes.iter().any(|node| {
            &*node.phase == phase && !matches!(node.action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify)
        })
    };
    let followed = |name: &str| plan.phases.iter().any(|phase| phase.after.iter().any(|after| &**after == name));
    for phase in plan.phases.iter().filter(|phase| phase.gate.is_empty()) {
        if changes(&phase.name) && followed(&phase.name) {
            let part = format!("phase {}", phase.name);
            found.0.push((None, part, "it changes something, and no gate stands at its end".to_owned(), false));
        }
    }
}

fn charts_are_pinned(look: &Look<'_>, found: &mut Found<'_>) {
    if look.plan.header.release.is_some() {
        return;
    }
    let charts = look.plan.nodes.iter().filter(|node| node.address.kind() == "helm" && !goes(node.action));
    for node in charts {
        let text = |field: &str| node.inputs.get(field).and_then(Value::as_str).unwrap_or_default();
        let folder = text("repository").is_empty() && !text("chart").starts_with("oci://");
        if !folder && text("digest").is_empty() && !text("chart").contains("@sha256:") {
            found.add(&node.address, "", format!("the chart {} is named by its version alone", text("chart")));
        }
    }
}

fn images_are_pinned(look: &Look<'_>, found: &mut Found<'_>) {
    let Some(material) = look.beside.material.filter(|_| !look.beside.resolved) else { return };
    let mut floating: BTreeSet<(&Address, String)> = BTreeSet::new();
    for object in &material.objects {
        let runs = images_of_objects(std::iter::once(&object.object), &crate::base::Hidden::default());
        let images = runs.into_iter().filter_map(|runs| Image::parse(&runs.image.ok()?).ok());
        floating.extend(images.filter(|image| image.floats_by().is_some()).map(|i| (&object.address, i.to_string())));
    }
    for (address, image) in floating {
        found.add(address, &image, "the image is named by a tag".to_owned());
    }
    for (address, failure) in &material.unseen {
        found.add(address, "", format!("what it runs could not be looked at: {failure}"));
    }
}

fn nodes_hold_it(look: &Look<'_>, found: &mut Found<'_>) {
    for (address, what) in look.beside.lacking {
        found.0.push((address.clone(), String::new(), what.clone(), false));
    }
}

fn rights_stay_narrow(look: &Look<'_>, found: &mut Found<'_>) {
    let parts = look.plan.nodes.iter().flat_map(|node| node.children.iter().map(move |child| (node, child)));
    for (node, child) in parts.filter(|(_, child)| child.kind.starts_with("AWS::IAM::")) {
        let document = look.part(node, child);
        match child.action {
            // What comes with its stack is the templates' own rules' matter; what comes to a stack that is there widens it.
            ActionWord::Create if node.action != ActionWord::Create => {
                let grants: Vec<String> = granted(document).into_iter().collect();
                if !grants.is_empty() {
                    found.add(&node.address, &child.name, format!("it comes, and grants {}", few(&grants, NAMED)));
                }
            }
            ActionWord::Update | ActionWord::Replace => {
                for field in &child.fields {
                    if let Some(what) = widens(field, document) {
                        found.add(&node.address, &child.name, format!("{} {what}", field.path));
                    }
                }
            }
            _ => {}
        }
    }
}

/// What a field of a policy grants that it did not, in words. `document` is the resource as it will be, where that is known.
fn widens(field: &FieldChange, document: Option<&Json>) -> Option<String> {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_json_lossy);
    let (before, after) = (json(&field.before), json(&field.after));
    // A field by itself does not say whether its statement allows.
    if document.and_then(|document| statement(&field.path, document)).is_some_and(denies) {
        return None;
    }
    if field.path.ends_with("Effect") && after.as_ref().is_some_and(|effect| effect == "Allow") && before.is_some() {
        return Some("allows what it denied".to_owned());
    }
    if field.path.contains("NotAction") || field.path.contains("NotResource") {
        return Some("allows all but what it names".to_owned());
    }
    let more: Vec<String> = granted(after.as_ref()).difference(&granted(before.as_ref())).cloned().collect();
    (!more.is_empty()).then(|| format!("grants {} now", few(&more, NAMED)))
}

fn denies(statement: &Json) -> bool {
    statement["Effect"] == "Deny"
}

/// The statement of a policy that a field is in: the innermost object on the way to it that has an effect.
fn statement<'d>(path: &str, document: &'d Json) -> Option<&'d Json> {
    let mut at = &document["Properties"];
    let mut found = None;
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']').trim_matches('"')) {
        at = match step.parse::<usize>() {
            Ok(index) if at.is_array() => &at[index],
            _ => &at[step],
        };
        if at.get("Effect").is_some() {
            found = Some(at);
        }
    }
    found
}

/// Everything with a star that statements of a policy allow, and policies that allow everything.
fn granted(json: Option<&Json>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Some(json) = json {
        gather(json, &mut found);
    }
    found
}

fn gather(json: &Json, found: &mut BTreeSet<String>) {
    match json {
        Json::Array(all) => all.iter().for_each(|one| gather(one, found)),
        Json::Object(fields) => {
            for (_, value) in fields.iter().filter(|_| !denies(json)) {
                gather(value, found);
            }
        }
        Json::String(text) => {
            // A document, or a list, that a property holds as text.
            let inner = text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok()).flatten();
            if let Some(inner) = inner {
                return gather(&inner, found);
            }
            let action = !text.starts_with("arn:") && text.contains(':') && text.ends_with('*');
            let whole = text.ends_with(":policy/AdministratorAccess") || text.ends_with(":policy/PowerUserAccess");
            if text == "*" || action || whole {
                found.insert(text.clone());
            }
        }
        _ => {}
    }
}

fn no_new_way_in(look: &Look<'_>, found: &mut Found<'_>) {
    for node in &look.plan.nodes {
        for child in &node.children {
            match child.action {
                // What comes up open with its stack is what the templates' own rules are about.
                ActionWord::Create if node.action == ActionWord::Create => {}
                ActionWord::Create if opens(child) => {
                    // A rule of a group lets them in where something stood behind it already.
                    if child.kind.ends_with("SecurityGroupIngress") {
                        let what = format!("{} comes, and opens it to the internet", child.kind);
                        found.add(&node.address, &child.name, what);
                    } else {
                        let what = format!("{} comes, and is open to the internet", child.kind);
                        found.mild(&node.address, &child.name, what);
                    }
                }
                ActionWord::Update | ActionWord::Replace if opens(child) => {
                    found.add(&node.address, &child.name, format!("{} opens to the internet", child.kind));
                }
                _ => {}
            }
        }
    }
}

/// Whether everybody's address is in it, also where it is a text that holds a list or a rule; not where somebody only speaks of it.
fn everybody(json: &Json) -> bool {
    match json {
        Json::String(text) if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str(text).is_ok_and(|inner: Json| everybody(&inner))
        }
        Json::String(text) => is_everybody(text),
        Json::Array(all) => all.iter().any(everybody),
        Json::Object(all) => all.iter().any(|(name, one)| name != "Description" && everybody(one)),
        _ => false,
    }
}

/// Whether a change of a part lets the internet in.
#[must_use]
pub fn opens(child: &ChildChange) -> bool {
    if child.action == ActionWord::Delete {
        return false;
    }
    let after = |field: &FieldChange| field.after.as_ref().map(Value::to_json_lossy);
    let says = |path: &str, text: &str| {
        child.fields.iter().any(|field| field.path.ends_with(path) && after(field).is_some_and(|json| json == text))
    };
    let speaks = |field: &FieldChange| field.path.contains("Egress") || field.path.ends_with("Description");
    let everybody = |field: &FieldChange| !speaks(field) && after(field).is_some_and(|json| everybody(&json));
    match child.kind.as_str() {
        "AWS::EC2::SecurityGroup" | "AWS::EC2::SecurityGroupIngress" => child.fields.iter().any(everybody),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => says("Scheme", "internet-facing"),
        "AWS::EKS::Cluster" => {
            let mut allowed = child.fields.iter().filter(|field| field.path.contains("PublicAccessCidrs")).peekable();
            let is_public = |field: &FieldChange| {
                field.path.ends_with("EndpointPublicAccess")
                    && after(field).is_some_and(|json| json == true || json == "true")
            };
            // Who may ask a public endpoint decides, where that is said.
            if allowed.peek().is_some() { allowed.any(everybody) } else { child.fields.iter().any(is_public) }
        }
        "v1 Service" => says("type", "LoadBalancer"),
        kind => child.action == ActionWord::Create && matches!(kind.rsplit(' ').next(), Some("Ingress" | "Gateway")),
    }
}

fn no_secret_in_clear(look: &Look<'_>, found: &mut Found<'_>) {
    let nodes = look.plan.nodes.iter().filter(|node| !goes(node.action) && node.action != ActionWord::Read);
    for node in nodes {
        for place in secrets_in_clear(&node.inputs) {
            found.add(&node.address, &place, "a secret stands in the clear".to_owned());
        }
    }
}

/// Where something in the clear has the name of a secret.
#[must_use]
pub fn secrets_in_clear(inputs: &Value) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    // A list of variables has its names beside the values.
    let mut named: BTreeSet<String> = BTreeSet::new();
    let clear = |value: &Value| {
        !value.is_sensitive() && value.as_str().is_some_and(|text| !text.is_empty() && !says_where_a_secret_is(text))
    };
    let split = |path: &Path| match path.0.split_last() {
        Some((Step::Key(name), whole)) => Some((name.clone(), Path(whole.to_vec()).to_string())),
        _ => None,
    };
    inputs.each_leaf(&mut Path::default(), &mut |path, value| {
        let Some((name, whole)) = split(path) else { return };
        if &*name == "name" && value.as_str().is_some_and(names_a_secret) {
            named.insert(whole);
        }
        if names_a_secret(&name) && clear(value) {
            places.push(path.to_string());
        }
    });
    inputs.each_leaf(&mut Path::default(), &mut |path, value| {
        let Some((name, whole)) = split(path) else { return };
        if &*name == "value" && named.contains(&whole) && clear(value) {
            places.push(path.to_string());
        }
    });
    places
}

mod looked;
#[cfg(test)]
mod tests;

pub use looked::looked;
