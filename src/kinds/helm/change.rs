//! The difference of a release: pure, from what is wanted, what is live and what was rendered.

use crate::{
    base::{ActionWord, Path, Value},
    kinds::{
        Cause, Change, ChildChange, Comparison, ConditionEffect, Difference, FieldChange, Observed, Sides, Undo,
        objects::{is_stateful, sealed},
    },
};

/// How Helm goes about it, and no property of a release.
const NOT_COMPARED: [&str; 5] = ["create_namespace", "wait", "atomic", "timeout", "repository"];

pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let Difference { prior, observed, preview, seal, .. } = *difference;
    let children = preview.map(|p| sealed(p.children.clone(), seal)).unwrap_or_default();
    let replaces = observed.and_then(|live| replaces(difference, live));
    let Some(live) = observed.filter(|_| replaces.is_none()) else {
        let mut change = Change::new(ActionWord::Create, exports(difference));
        change.fields = compare(difference, None);
        change.children = children;
        if let Some((reason, undo)) = replaces {
            change.action = ActionWord::Replace;
            change.reasons.push(reason);
            change.undo = undo;
            change.stateful = loses_data(&change.children);
            for field in &mut change.fields {
                let fixed = matches!(field.path.as_str(), "name" | "namespace");
                let was = observed.and_then(|live| live.identity[field.path.as_str()].as_str());
                field.forces_replacement = fixed && was != field.after.as_ref().and_then(Value::as_str);
            }
        } else {
            change.children.retain(|c| c.action != ActionWord::Delete);
        }
        return change;
    };

    let mut fields = compare(difference, Some(live));
    let another_chart = fields.iter().any(|field| field.path == "chart");
    if let Some(field) = another_digest(difference, live).filter(|_| !another_chart) {
        fields.push(field);
    }
    // Of what was taken over nobody knows by which content of its chart it was made: what it renders now tells.
    // Where templates ask the cluster, a plan renders other fields than an apply does, but hardly other objects.
    let (unknown, asks) = (known_digest(difference).is_none(), looks_up(difference));
    let other = |child: &ChildChange| {
        let declared = child.fields.iter().any(|field| field.cause != Cause::Drift);
        child.action == ActionWord::Delete || declared && (!asks || child.action == ActionWord::Create)
    };
    let renders_else = unknown && children.iter().any(other);
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    let ignores_all = Comparison::from(difference).ignores_all();
    let only_drift = fields.is_empty() && !renders_else;
    let children = if only_drift { children.into_iter().filter_map(drifted).collect() } else { children };
    if ignores_all || (fields.is_empty() && children.is_empty()) {
        let digest = prior.and_then(|p| p.exports.get("digest")).filter(|digest| !digest.is_unknown()).cloned();
        let digest = digest.or_else(|| preview.and_then(|p| p.exports.as_ref()?.get("digest").cloned()));
        let mut exports = live.exports.as_map().map(|m| (**m).clone()).unwrap_or_default();
        exports.insert("digest".into(), digest.unwrap_or(Value::UNKNOWN));
        return Change::new(ActionWord::NoOp, Value::object(exports));
    }
    let mut change = Change::new(ActionWord::Update, exports(difference));
    if fields.is_empty() {
        let why = if renders_else {
            "the chart renders something else than the release holds, which Terrace never applied"
        } else {
            "live objects differ from what the release made"
        };
        change.reasons.push(why.to_owned());
    }
    change.stateful = loses_data(&children);
    change.undo = if change.stateful {
        Undo::Partly("what deleted objects held is not brought back".to_owned())
    } else {
        Undo::Full
    };
    change.fields = fields;
    change.children = children;
    change
}

/// What uninstalling takes away: all that the release made and that is live, but what its chart keeps.
pub(super) fn removal(observed: Option<&Observed>) -> Change {
    let objects = observed.and_then(|o| o.image.get("objects")).and_then(Value::as_seq);
    let child = |object: &Value| {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |name: &str| object.get(name).and_then(Value::as_bool).unwrap_or_default();
        ChildChange {
            name: text("name"),
            kind: text("type"),
            action: if flag("kept") { ActionWord::Forget } else { ActionWord::Delete },
            maybe_replace: false,
            policy: flag("kept").then(|| "Retain".to_owned()),
            stateful: is_stateful(text("type").rsplit(' ').next().unwrap_or_default()),
            fields: Vec::new(),
        }
    };
    let mut change = Change::new(ActionWord::Delete, Value::NULL);
    change.undo = Undo::None("an uninstalled release is not brought back; its CRDs stay".to_owned());
    change.children = objects.into_iter().flat_map(|s| s.iter()).map(child).collect();
    change.stateful = loses_data(&change.children);
    change
}

fn loses_data(children: &[ChildChange]) -> bool {
    children.iter().any(|c| c.stateful && c.action == ActionWord::Delete)
}

/// Only what somebody changed behind our back: charts that render something random each time would never come to rest else.
fn drifted(child: ChildChange) -> Option<ChildChange> {
    match child.action {
        // A namespace, or a part that is gone though the release made it.
        ActionWord::Create if child.fields.iter().all(|f| f.cause == Cause::Drift) && !child.fields.is_empty() => {
            Some(child)
        }
        ActionWord::Update => {
            let fields: Vec<FieldChange> = child.fields.into_iter().filter(|f| f.cause == Cause::Drift).collect();
            (!fields.is_empty()).then_some(ChildChange { fields, ..child })
        }
        _ => None,
    }
}

fn replaces(difference: &Difference<'_>, live: &Observed) -> Option<(String, Undo)> {
    if let Some(condition) = live.condition.as_ref().filter(|c| c.effect == ConditionEffect::MustReplace) {
        let reason = format!("the release is {} and was never deployed", condition.word);
        return Some((reason, Undo::Partly("the release that failed is not brought back".to_owned())));
    }
    let moved = ["name", "namespace"].into_iter().find(|name| {
        let wanted = difference.desired.inputs.get(name);
        let ignored = Comparison::from(difference).ignores(&Path::default().key(name));
        !ignored && wanted.is_some() && wanted.and_then(Value::as_str) != live.identity[*name].as_str()
    })?;
    Some((format!("another {moved} is another release"), Undo::None("the former release is uninstalled".to_owned())))
}

fn compare(difference: &Difference<'_>, live: Option<&Observed>) -> Vec<FieldChange> {
    let of = |inputs: &Value| {
        let entries = inputs.as_map().map(|m| (**m).clone()).unwrap_or_default();
        Value::object(entries.into_iter().filter(|(k, _)| !NOT_COMPARED.contains(&&**k)))
    };
    let desired = of(&difference.desired.inputs);
    let (live, prior) =
        (live.map(|l| of(&l.inputs)), difference.prior.filter(|_| live.is_some()).map(|p| of(&p.inputs)));
    Comparison::from(difference)
        .fields(&Path::default(), Sides { desired: Some(&desired), live: live.as_ref(), prior: prior.as_ref() })
}

/// The digest by which the release was made, where Terrace made it.
fn known_digest<'d>(difference: &Difference<'d>) -> Option<&'d str> {
    difference.prior?.exports.get("digest")?.as_str()
}

/// Whether the chart's templates ask the cluster, so that a plan renders something else than an apply does.
fn looks_up(difference: &Difference<'_>) -> bool {
    difference.preview.is_none_or(|preview| preview.facts.contains_key("lookup"))
}

/// A chart that has another content under what is declared: another version in a folder, or other bytes under a version.
fn another_digest(difference: &Difference<'_>, live: &Observed) -> Option<FieldChange> {
    let (former, now) = (&difference.prior?.exports, difference.preview?.exports.as_ref()?);
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let after = text(now, "digest")?;
    let same = text(&difference.prior?.inputs, "version") == text(&difference.desired.inputs, "version");
    let ignored = Comparison::from(difference).ignores(&Path::default().key("chart"));
    let before = known_digest(difference);
    if before == Some(after.as_str()) || !same || ignored {
        return None;
    }
    // What was taken over has the version that its record tells.
    let held = if before.is_some() { text(former, "version") } else { text(&live.inputs, "version") };
    let versions = held.zip(text(now, "version")).filter(|(before, after)| before != after);
    let because = versions.is_none().then(|| "another content under the same version".to_owned());
    let (path, (before, after)) = match versions {
        Some(versions) => ("chart.version", versions),
        None => ("chart.digest", (before?.to_owned(), after)),
    };
    Some(FieldChange {
        path: path.to_owned(),
        before: Some(before.into()),
        after: Some(after.into()),
        cause: Cause::Declared,
        forces_replacement: false,
        because,
        owner: None,
    })
}

fn exports(difference: &Difference<'_>) -> Value {
    let inputs = &difference.desired.inputs;
    let told = difference.preview.and_then(|p| p.exports.as_ref());
    let input = |name: &str| inputs.get(name).cloned().unwrap_or(Value::UNKNOWN);
    let pinned = |name: &str| told.and_then(|t| t.get(name)).cloned();
    Value::object([
        ("name", input("name")),
        ("namespace", input("namespace")),
        ("version", pinned("version").unwrap_or_else(|| input("version"))),
        ("app_version", pinned("app_version").unwrap_or(Value::UNKNOWN)),
        ("revision", Value::UNKNOWN),
        ("status", Value::UNKNOWN),
        ("digest", pinned("digest").unwrap_or(Value::UNKNOWN)),
    ])
}
