//! The difference of an add-on: pure.

use crate::{
    base::{ActionWord, Path, Value},
    kinds::{
        Cause, Change, Comparison, ConditionEffect, Difference, FieldChange, Preview, Sides, Undo,
        eks_addon::version::{KUBERNETES, MOVED_BY},
    },
};

/// How it is gone about, and no property of an add-on.
const NOT_COMPARED: [&str; 2] = ["resolve_conflicts", "preserve"];

pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let Difference { observed, preview, .. } = *difference;
    let pinned = preview.and_then(|p| p.exports.as_ref()?.get("version").cloned());
    let compared = |inputs: &Value| {
        let entries = inputs.as_map().map(|m| (**m).clone()).unwrap_or_default();
        Value::object(entries.into_iter().filter(|(k, _)| !NOT_COMPARED.contains(&&**k)))
    };
    let mut desired = compared(&difference.desired.inputs).as_map().map(|m| (**m).clone()).unwrap_or_default();
    // A word such as `latest` is compared by the version it was pinned to; before that, by what was pinned last time.
    let word = is_word(desired.get("version"));
    let version = match (&pinned, word, observed) {
        (Some(pinned), ..) => pinned.clone(),
        (None, true, Some(live)) => live.exports.get("version").cloned().unwrap_or(Value::UNKNOWN),
        (None, true, None) => Value::UNKNOWN,
        (None, false, _) => desired.get("version").cloned().unwrap_or(Value::UNKNOWN),
    };
    desired.insert("version".into(), version.clone());
    let desired = Value::object(desired);
    let compare = |live: Option<&Value>, prior: Option<&Value>| {
        Comparison::from(difference).fields(&Path::default(), Sides { desired: Some(&desired), live, prior })
    };
    let create = |fields: Vec<FieldChange>| {
        let id = desired.get("cluster").and_then(Value::as_str).zip(desired.get("addon").and_then(Value::as_str));
        let id = id.map_or(Value::UNKNOWN, |(cluster, addon)| Value::from(format!("{cluster}:{addon}")));
        let exports = Value::object([("id", id), ("arn", Value::UNKNOWN), ("version", version.clone())]);
        Change { fields, reasons: reasons(preview), ..Change::new(ActionWord::Create, exports) }
    };
    let Some(live) = observed else { return create(compare(None, None)) };
    let mut fields = compare(Some(&compared(&live.inputs)), difference.prior.map(|p| compared(&p.inputs)).as_ref());
    let failed = live.condition.as_ref().filter(|c| c.effect == ConditionEffect::MustReplace);
    let mut moved = false;
    for field in fields.iter_mut().filter(|f| matches!(f.path.as_str(), "cluster" | "addon")) {
        field.forces_replacement = true;
        moved = true;
    }
    if moved || failed.is_some() {
        let mut change = create(fields);
        change.action = ActionWord::Replace;
        change.reasons = match failed {
            Some(condition) => vec![format!("the add-on is {}: it could not be made", condition.word)],
            None => vec!["another cluster or add-on is another thing".to_owned()],
        };
        change.undo = Undo::Partly("the former add-on is not brought back".to_owned());
        return change;
    }
    let again = live.condition.as_ref().filter(|c| matches!(c.word.as_str(), "UPDATE_FAILED" | "DELETE_FAILED"));
    if fields.is_empty() && (again.is_none() || Comparison::from(difference).ignores_all()) {
        return Change::new(ActionWord::NoOp, live.exports.clone());
    }
    let mut reasons = reasons(preview);
    if fields.iter().all(|f| f.path != "version") {
        reasons.clear();
    }
    reasons.extend(again.map(|condition| format!("it is {}: it is updated again", condition.word)));
    if let Some(by) = fact(preview, MOVED_BY) {
        // What is moved later is asked for, also where a run before this one remembered it and did not come that far.
        for field in fields.iter_mut().filter(|f| f.path == "version") {
            field.because = Some(by.clone());
            field.cause = Cause::Declared;
        }
    }
    let mut exports = live.exports.as_map().map(|m| (**m).clone()).unwrap_or_default();
    exports.insert("version".into(), version);
    Change { fields, reasons, ..Change::new(ActionWord::Update, Value::object(exports)) }
}

fn fact(preview: Option<&Preview>, name: &str) -> Option<String> {
    preview?.facts.get(name)?.as_str().map(str::to_owned)
}

/// Why the version is not the one for the Kubernetes version that the cluster has now.
fn reasons(preview: Option<&Preview>) -> Vec<String> {
    let Some(kubernetes) = preview.and_then(|p| p.facts.get(KUBERNETES)) else { return Vec::new() };
    let (version, by) = (&kubernetes["version"], &kubernetes["by"]);
    let (version, by) = (version.as_str().unwrap_or_default(), by.as_str().unwrap_or_default());
    vec![match fact(preview, MOVED_BY) {
        Some(_) => {
            format!("the version is the one for Kubernetes {version}, and {by} moves the add-on with the cluster")
        }
        None => format!("the version is the one for Kubernetes {version}, which {by} gives the cluster first"),
    }]
}

/// True for `latest` and `default`.
pub(super) fn is_word(version: Option<&Value>) -> bool {
    version.and_then(Value::as_str).is_some_and(|v| v == "latest" || v == "default")
}
