//! What changes: by the root's own plan where one was made, by what was given last where not. Pure.

use super::{NO_UNDO, children, preview::REASONS};
use crate::{
    base::{ActionWord, Path, Value},
    kinds::{Cause, Change, ChildChange, Comparison, Difference, FieldChange, Observed, Preview, Prior, Sides, Undo},
};
use serde_json::Value as Json;

pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let Difference { desired, prior, observed, preview, .. } = *difference;
    let fields = Comparison::from(difference).fields(
        &Path::default(),
        Sides { desired: Some(&desired.inputs), live: observed.map(|o| &o.inputs), prior: prior.map(|p| &p.inputs) },
    );
    let unknown = Value::object([("outputs", Value::UNKNOWN)]);
    let all = difference.ignore.iter().any(|path| path == "*" || path == "all");
    let mut change = match (observed, preview) {
        (None, preview) => {
            let exports = preview.and_then(|p| p.exports.clone()).unwrap_or(unknown);
            Change { fields, ..Change::new(ActionWord::Create, exports) }
        }
        (Some(live), _) if all => Change::new(ActionWord::NoOp, live.exports.clone()),
        (Some(live), Some(preview)) if preview.nothing => Change::new(ActionWord::NoOp, live.exports.clone()),
        (Some(live), None) if fields.is_empty() => Change::new(ActionWord::NoOp, live.exports.clone()),
        (Some(_), preview) => {
            let exports = preview.and_then(|p| p.exports.clone()).unwrap_or(unknown);
            Change { fields, ..Change::new(ActionWord::Update, exports) }
        }
    };
    if change.action != ActionWord::NoOp {
        change.undo = Undo::None(NO_UNDO.to_owned());
    }
    change.fields.extend(written_by_others(difference));
    if let Some(preview) = preview {
        take(&mut change, preview, difference);
    }
    change
}

/// Where the root's state was written since it was applied here: somebody else applied it, or moved things in it.
fn written_by_others(difference: &Difference<'_>) -> Option<FieldChange> {
    let (ours, now) = (&difference.prior?.identity["serial"], &difference.observed?.identity["serial"]);
    (ours.is_number() && now.is_number() && ours != now).then(|| FieldChange {
        path: "state.serial".to_owned(),
        before: Some(Value::from_json(now)),
        after: Some(Value::from_json(ours)),
        cause: Cause::DriftLeft,
        forces_replacement: false,
        because: Some("another apply, or a command that writes state".to_owned()),
        owner: None,
    })
}

/// What the root's plan says, with its secrets sealed.
fn take(change: &mut Change, preview: &Preview, difference: &Difference<'_>) {
    let sealed = |value: &Option<Value>| value.as_ref().map(|v| v.sealed(difference.seal));
    let left =
        |child: &ChildChange| !child.fields.is_empty() && child.fields.iter().all(|f| f.cause == Cause::DriftLeft);
    for child in &preview.children {
        if left(child) {
            let inside = child.fields.iter().map(|f| FieldChange {
                path: format!("{}.{}", child.name, f.path),
                before: sealed(&f.before),
                after: sealed(&f.after),
                ..f.clone()
            });
            change.fields.extend(inside);
            continue;
        }
        // What is gone behind the root's back and stays so has no fields.
        if preview.nothing {
            continue;
        }
        let fields = child.fields.iter().map(|f| FieldChange {
            before: sealed(&f.before),
            after: sealed(&f.after),
            ..f.clone()
        });
        change.children.push(ChildChange { fields: fields.collect(), ..child.clone() });
    }
    if change.action == ActionWord::NoOp {
        return;
    }
    let goes = |c: &ChildChange| matches!(c.action, ActionWord::Replace | ActionWord::Delete);
    change.stateful = change.children.iter().any(|c| c.stateful && goes(c));
    let reasons = preview.facts.get(REASONS).and_then(Json::as_array).into_iter().flatten();
    change.reasons.extend(reasons.filter_map(|r| r.as_str().map(str::to_owned)));
}

/// A replacement destroys all that the state holds, whatever the root's own plan would have done with it.
pub(super) fn replaced(mut change: Change, observed: &Observed) -> Change {
    let mut planned = std::mem::take(&mut change.children);
    for mut held in held(observed) {
        let found = planned.iter().position(|c| c.name == held.name).map(|at| planned.remove(at));
        let goes = found.as_ref().is_some_and(|c| matches!(c.action, ActionWord::Delete | ActionWord::Forget));
        held.action = if goes { ActionWord::Delete } else { ActionWord::Replace };
        held.fields = found.map(|c| c.fields).unwrap_or_default();
        change.children.push(held);
    }
    change.children.extend(planned.into_iter().filter(|c| c.action == ActionWord::Create));
    change.stateful = change.children.iter().any(|c| c.stateful && c.action != ActionWord::Create);
    change.undo = Undo::None("what its program destroys is not brought back".to_owned());
    change
}

/// All that a root's state holds, as what is destroyed.
fn held(observed: &Observed) -> Vec<ChildChange> {
    let resources = observed.image.get("resources").and_then(Value::as_seq);
    let of = |resource: &Value| {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        ChildChange {
            name: text("address").to_owned(),
            kind: text("type").to_owned(),
            action: ActionWord::Delete,
            maybe_replace: false,
            policy: None,
            stateful: children::holds_data(text("type")),
            fields: Vec::new(),
        }
    };
    resources.into_iter().flat_map(|s| s.iter()).map(of).collect()
}

/// What destroying it takes away: all that its state holds.
pub(super) fn removal(prior: Option<&Prior>, observed: Option<&Observed>) -> Change {
    let mut change = Change::new(ActionWord::Delete, Value::NULL);
    change.undo = Undo::None("what its program destroys is not brought back".to_owned());
    change.children = observed.map(held).unwrap_or_default();
    change.stateful = change.children.iter().any(|c| c.stateful);
    let withheld = prior.and_then(|p| p.identity["withheld"].as_array().cloned()).unwrap_or_default();
    if !withheld.is_empty() {
        let names: Vec<&str> = withheld.iter().filter_map(Json::as_str).collect();
        change.reasons.push(format!(
            "secrets are not remembered: where the root needs {} to be destroyed, give each as TF_VAR_NAME",
            names.join(", ")
        ));
    }
    change
}
