//! The difference of a manifest: pure, from what is wanted, what is live and what the server's dry run said.

use crate::{
    base::{ActionWord, Path, Step, Value},
    kinds::{
        Cause, Change, ChildChange, Comparison, Difference, FieldChange, Prior, Sides, Undo,
        manifest::desired::known_objects,
        objects::{normal, sealed},
        parse_path,
    },
};
use std::sync::Arc;

pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let Difference { desired, observed, preview, seal, .. } = *difference;
    let Some(live) = observed else {
        let mut change = Change::new(ActionWord::Create, new_exports(difference));
        change.children = match preview {
            Some(preview) => sealed(preview.children.clone(), seal),
            None => Vec::new(),
        };
        if change.children.is_empty() {
            change.fields = compare(difference);
        }
        return change;
    };
    let fields = compare(difference);
    let ignores_all = Comparison::from(difference).ignores_all();
    let mut children = preview.map(|p| p.children.clone()).unwrap_or_default();
    for child in &mut children {
        attribute_causes(difference, child);
    }
    let mut children = sealed(children, seal);
    children.retain(|child| child.action != ActionWord::Update || !child.fields.is_empty());
    let idle = match preview {
        Some(_) => children.is_empty(),
        None => fields.is_empty(),
    };
    if ignores_all || idle {
        return Change::new(ActionWord::NoOp, live.exports.clone());
    }
    let wanted = desired.inputs.get("objects").and_then(Value::as_map).map_or(0, |m| m.len());
    let replaced = children.iter().filter(|c| c.action == ActionWord::Replace).count();
    let all = replaced > 0 && replaced == wanted && children.len() == wanted;
    let mut exports = live.exports.as_map().map(|m| (**m).clone()).unwrap_or_default();
    exports.insert("objects".into(), Value::UNKNOWN);
    if replaced > 0 {
        exports.insert("uid".into(), Value::UNKNOWN);
    }
    let mut change = Change::new(if all { ActionWord::Replace } else { ActionWord::Update }, Value::object(exports));
    if replaced > 0 {
        change.reasons.push("a field that cannot be changed makes a new object".to_owned());
        change.undo = Undo::Partly("what is replaced comes back as a new object".to_owned());
    }
    change.stateful =
        children.iter().any(|c| c.stateful && matches!(c.action, ActionWord::Replace | ActionWord::Delete));
    change.fields = if preview.is_some() { Vec::new() } else { fields };
    change.children = children;
    change
}

/// What destroying it means: each of its objects goes.
pub(super) fn removal(prior: Option<&Prior>) -> Change {
    let mut change = Change::new(ActionWord::Delete, Value::NULL);
    change.undo = Undo::None("deleted objects are not brought back".to_owned());
    let kinds = prior.map(|p| super::desired::references(&p.identity)).unwrap_or_default();
    change.stateful = kinds.iter().any(|r| crate::kinds::objects::is_stateful(&r.kind));
    change.children = kinds
        .iter()
        .map(|reference| ChildChange {
            name: reference.to_string(),
            kind: crate::kinds::objects::type_of(reference),
            action: ActionWord::Delete,
            maybe_replace: false,
            policy: None,
            stateful: crate::kinds::objects::is_stateful(&reference.kind),
            fields: Vec::new(),
        })
        .collect();
    change
}

/// Objects compared leaf by leaf, as far as they are known.
fn compare(difference: &Difference<'_>) -> Vec<FieldChange> {
    let of = |inputs: &Value| match inputs.get("objects").map(|o| (o, o.as_map())) {
        Some((_, Some(objects))) => Value::object(objects.iter().map(|(k, v)| (k.clone(), normal(&without_nulls(v))))),
        Some((other, None)) => other.clone(),
        None => Value::object::<&str>([]),
    };
    let desired = of(&difference.desired.inputs);
    let live = difference.observed.map(|o| of(&o.inputs));
    let prior = difference.prior.filter(|_| live.is_some()).map(|p| of(&p.inputs));
    let all = Comparison { ignore: &[], ..Comparison::from(difference) };
    let fields =
        all.fields(&Path::default(), Sides { desired: Some(&desired), live: live.as_ref(), prior: prior.as_ref() });
    let ignores_all = Comparison::from(difference).ignores_all();
    let kept =
        |field: &FieldChange| !ignores_all && !parse_path(&field.path).is_some_and(|p| ignored(difference, &p, true));
    fields.into_iter().filter(kept).collect()
}

fn without_nulls(value: &Value) -> Value {
    match value.as_map() {
        Some(entries) if !value.is_sensitive() => {
            let kept = entries.iter().filter(|(_, v)| !v.is_null());
            Value::object(kept.map(|(k, v)| (k.clone(), without_nulls(v))))
        }
        _ => value.clone(),
    }
}

/// Says of each field of a part whether it is drift, and drops those that are left as they are.
fn attribute_causes(difference: &Difference<'_>, child: &mut ChildChange) {
    let of = |inputs: &Value| {
        let objects = inputs.get("objects")?;
        objects.get(&child.name).map(|o| normal(&without_nulls(o)))
    };
    let desired = of(&difference.desired.inputs);
    let prior = difference.prior.and_then(|p| of(&p.inputs));
    let compare = Comparison::from(difference);
    let of_part =
        |path: &Path| Path([Step::Key(child.name.as_str().into())].into_iter().chain(path.0.clone()).collect());
    let is_left = |path: &Path| ignored(difference, path, false) || compare.ignores(&of_part(path));
    child.fields.retain(|field| parse_path(&field.path).is_none_or(|path| !is_left(&path)));
    for field in &mut child.fields {
        let Some(path) = parse_path(&field.path) else { continue };
        // Where a secret is or was declared, another one that is live is one too.
        let secret = [&desired, &prior].into_iter().flatten().any(|side| is_secret(side, &path));
        for side in [&mut field.before, &mut field.after] {
            *side = side.take().map(|value| value.with_mark(secret));
        }
        let here = |value: &Option<Value>| value.as_ref().and_then(|v| v.at(&path).cloned());
        field.cause = match (here(&desired), here(&prior)) {
            (Some(wanted), Some(applied)) if compare.same(&wanted, &applied) => Cause::Drift,
            _ => Cause::Declared,
        };
        // What is newly declared is our own doing, whoever set it before.
        if field.cause == Cause::Declared {
            field.because = None;
            field.owner = None;
        }
    }
}

/// Whether what lies at a path, or something around it, is sensitive.
fn is_secret(value: &Value, path: &Path) -> bool {
    (0..=path.0.len()).any(|n| value.at(&Path(path.0[..n].to_vec())).is_some_and(Value::is_sensitive))
}

/// `ignore_changes` names a field as the object does (`spec.replicas`), or as the block does (`object.spec.replicas`).
fn ignored(difference: &Difference<'_>, path: &Path, with_key: bool) -> bool {
    let compare = Comparison::from(difference);
    let inside = if with_key { Path(path.0.iter().skip(1).cloned().collect()) } else { path.clone() };
    let mut under: Vec<Step> = vec![Step::Key(Arc::from("object"))];
    under.extend(inside.0.iter().cloned());
    compare.ignores(&inside) || compare.ignores(&Path(under)) || (with_key && compare.ignores(path))
}

fn new_exports(difference: &Difference<'_>) -> Value {
    let known = known_objects(&difference.desired.inputs);
    let first = known.first().map(|(_, reference, _)| reference);
    let whole = difference.desired.identity.is_some();
    let text = |text: Option<&String>| text.map_or(Value::NULL, |t| Value::from(t.as_str()));
    let part = |value: Value| if whole { value } else { Value::UNKNOWN };
    Value::object([
        ("objects", Value::UNKNOWN),
        ("uid", Value::UNKNOWN),
        ("name", part(text(first.map(|r| &r.name)))),
        ("namespace", part(text(first.and_then(|r| r.namespace.as_ref())))),
    ])
}
