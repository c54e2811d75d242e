//! Terrace's own rules: over what a plan does, which no rule over templates or objects can see.
//!
//! They are strict in a protected environment; elsewhere they say nothing, or warn. None of them judges a plan that only destroys.

use super::material::{Material, place_of};
use crate::{
    base::{ActionWord, Address, Image, Path, SourceMap, Step, Value, few},
    graph,
    kinds::{ChildChange, FieldChange, images_of_objects},
    lang::Declaration,
    plan::{Finding, Mode, Moment, Plan, Planned, Severity},
};
use std::collections::BTreeSet;

/// The name that these rules have as a pack.
pub const OWN: &str = "terrace";
/// So many are named in a sentence.
const NAMED: usize = 3;
/// What a name of a field ends with that holds a secret, in small letters and without separators.
const SECRETS: &[&str] =
    &["password", "passwd", "secret", "token", "apikey", "privatekey", "secretkey", "secretaccesskey"];

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
];

/// What the rules look at.
struct Look<'a> {
    plan: &'a Plan,
    material: Option<&'a Material>,
    /// Whether the release that it is of has digests for all tags.
    resolved: bool,
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

/// What Terrace's own rules find in a plan. What is looked at of charts and manifests is in `material`, where there is any.
#[must_use]
pub fn own(
    plan: &Plan,
    material: Option<&Material>,
    resolved: bool,
    texts: &SourceMap,
    strictness: &super::Strictness,
) -> Vec<Finding> {
    if plan.header.mode != Mode::Normal {
        return Vec::new();
    }
    let look = Look { plan, material, resolved };
    let mut findings = Vec::new();
    for rule in RULES {
        let asked = if plan.header.protected { Some(rule.protected) } else { rule.elsewhere };
        let Some(severity) = strictness.get(rule.name).copied().or(asked) else { continue };
        let mut found = Vec::new();
        (rule.find)(&look, &mut Found(&mut found));
        findings.extend(found.into_iter().map(|(address, part, what, mild)| {
            let span = address.as_ref().zip(material).and_then(|(address, material)| material.places.get(address));
            Finding {
                rule: rule.name.to_owned(),
                pack: OWN.to_owned(),
                severity: if mild { Severity::Warn } else { severity },
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

const fn goes(action: ActionWord) -> bool {
    matches!(action, ActionWord::Replace | ActionWord::Delete)
}

fn data_stays(look: &Look<'_>, found: &mut Found<'_>) {
    for node in &look.plan.nodes {
        let kept = |child: &ChildChange| matches!(child.policy.as_deref(), Some("Retain" | "Snapshot"));
        let lost = node.children.iter().filter(|child| child.stateful && goes(child.action));
        let lost: Vec<&ChildChange> = lost.filter(|child| !kept(child)).collect();
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
    let Some(material) = look.material.filter(|_| !look.resolved) else { return };
    let mut floating: BTreeSet<(&Address, String)> = BTreeSet::new();
    for object in &material.objects {
        let runs = images_of_objects(std::iter::once(&object.object), &crate::base::Hidden::default());
        let images = runs.into_iter().filter_map(|runs| Image::parse(&runs.image.ok()?).ok());
        floating.extend(images.filter(|image| image.floats_by().is_some()).map(|i| (&object.address, i.to_string())));
    }
    for (address, image) in floating {
        found.add(address, &image, "the image is named by a tag".to_owned());
    }
}

fn rights_stay_narrow(look: &Look<'_>, found: &mut Found<'_>) {
    for (node, child) in updated(look.plan).filter(|(_, child)| child.kind.starts_with("AWS::IAM::")) {
        for field in &child.fields {
            let more: Vec<String> =
                granted(field.after.as_ref()).difference(&granted(field.before.as_ref())).cloned().collect();
            if !more.is_empty() {
                found.add(&node.address, &child.name, format!("{} grants {} now", field.path, few(&more, NAMED)));
            }
        }
    }
}

/// Everything with a star that statements of a policy allow.
fn granted(value: Option<&Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Some(json) = value.map(Value::to_json_lossy) else { return found };
    gather(&json, &mut found);
    // A managed policy that allows everything.
    found
}

fn gather(json: &serde_json::Value, found: &mut BTreeSet<String>) {
    match json {
        serde_json::Value::Array(all) => all.iter().for_each(|one| gather(one, found)),
        serde_json::Value::Object(fields) => {
            let denies = fields.get("Effect").is_some_and(|effect| effect == "Deny");
            for (_, value) in fields.iter().filter(|_| !denies) {
                gather(value, found);
            }
        }
        serde_json::Value::String(text) => {
            // A document that a property holds as text.
            if let Some(inner) = text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten() {
                return gather(&inner, found);
            }
            let everything = text == "*" || text.ends_with(":*") && !text.starts_with("arn:");
            if everything || text.contains(":policy/AdministratorAccess") || text.contains(":policy/PowerUserAccess") {
                found.insert(text.clone());
            }
        }
        _ => {}
    }
}

/// Parts that change in place or are made anew, each with its node.
fn updated(plan: &Plan) -> impl Iterator<Item = (&Planned, &ChildChange)> {
    let nodes = plan.nodes.iter();
    nodes
        .flat_map(|node| node.children.iter().map(move |child| (node, child)))
        .filter(|(_, child)| matches!(child.action, ActionWord::Update | ActionWord::Replace))
}

fn no_new_way_in(look: &Look<'_>, found: &mut Found<'_>) {
    for node in &look.plan.nodes {
        for child in node.children.iter().filter(|child| opens(child)) {
            match child.action {
                // What comes up open is what the templates' own rules are about.
                ActionWord::Create if node.action == ActionWord::Create => {}
                ActionWord::Create => {
                    found.mild(
                        &node.address,
                        &child.name,
                        format!("{} comes, and is open to the internet", child.kind),
                    );
                }
                _ => found.add(&node.address, &child.name, format!("{} opens to the internet", child.kind)),
            }
        }
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
    let everybody = |field: &FieldChange| {
        let text = after(field).map(|json| json.to_string()).unwrap_or_default();
        !field.path.contains("Egress") && (text.contains("0.0.0.0/0") || text.contains("::/0"))
    };
    match child.kind.as_str() {
        "AWS::EC2::SecurityGroup" | "AWS::EC2::SecurityGroupIngress" => child.fields.iter().any(everybody),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => says("Scheme", "internet-facing"),
        "AWS::EKS::Cluster" => child.fields.iter().any(|field| {
            field.path.contains("PublicAccessCidrs") && everybody(field)
                || field.path.ends_with("EndpointPublicAccess") && after(field).is_some_and(|json| json == true)
        }),
        "v1 Service" => says("type", "LoadBalancer"),
        kind => child.action == ActionWord::Create && matches!(kind.rsplit(' ').next(), Some("Ingress" | "Gateway")),
    }
}

fn no_secret_in_clear(look: &Look<'_>, found: &mut Found<'_>) {
    let nodes = look.plan.nodes.iter().filter(|node| !goes(node.action) && node.action != ActionWord::Read);
    for node in nodes {
        let mut places: Vec<String> = Vec::new();
        node.inputs.each_leaf(&mut Path::default(), &mut |path, value| {
            let Some(Step::Key(name)) = path.0.last() else { return };
            let clear = value.as_str().is_some_and(|text| !text.is_empty() && !is_reference(text));
            if clear && !value.is_sensitive() && names_a_secret(name) {
                places.push(path.to_string());
            }
        });
        for place in places {
            found.add(&node.address, &place, "a secret stands in the clear".to_owned());
        }
    }
}

fn names_a_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRETS.iter().any(|end| plain.ends_with(end))
}

/// Whether a text only says where a secret is.
fn is_reference(text: &str) -> bool {
    text.starts_with("{{resolve:") || text.starts_with("arn:") || text.starts_with("${") || text.starts_with('/')
}

#[cfg(test)]
mod tests;
