//! The difference of a rule: pure.

use crate::{
    base::{ActionWord, Path, Value},
    kinds::{Cause, Change, Comparison, Difference, FieldChange, Sides, Undo, traffic::alb::text},
};

pub(in crate::kinds::traffic) fn diff(difference: &Difference<'_>) -> Change {
    let desired = &difference.desired.inputs;
    let comparison = Comparison::from(difference);
    let compare = |live: Option<&Value>, prior: Option<&Value>| {
        comparison.fields(&Path::default(), Sides { desired: Some(desired), live, prior })
    };
    let create = |fields: Vec<FieldChange>| {
        let id = text(desired, "rule").map_or(Value::UNKNOWN, Value::from);
        Change { fields, ..Change::new(ActionWord::Create, Value::object([("id", id)])) }
    };
    let Some(live) = difference.observed else { return create(compare(None, None)) };
    let prior = difference.prior.map(|prior| &prior.inputs);
    let mut fields = compare(Some(&live.inputs), prior);
    let moved = |field: &&mut FieldChange| matches!(field.path.as_str(), "alb.listener" | "alb.rule");
    let mut elsewhere = false;
    for field in fields.iter_mut().filter(moved) {
        field.forces_replacement = true;
        elsewhere = true;
    }
    if elsewhere {
        let mut change = create(fields);
        change.action = ActionWord::Replace;
        change.reasons.push("a rule stays on its listener: another one takes its place".to_owned());
        change.undo = Undo::Partly("the former rule is not brought back".to_owned());
        return change;
    }
    let path = Path::default().key("alb").key("others");
    if let Some(others) = live.inputs.get("alb").and_then(|alb| alb.get("others"))
        && !comparison.ignores(&path)
    {
        fields.push(FieldChange {
            path: path.to_string(),
            before: Some(others.clone()),
            after: None,
            cause: Cause::Drift,
            forces_replacement: false,
            because: None,
            owner: None,
        });
        fields.sort_by(|a, b| a.path.cmp(&b.path));
    }
    if fields.is_empty() {
        return Change::new(ActionWord::NoOp, live.exports.clone());
    }
    let undo = if fields.iter().all(|field| field.path == path.to_string()) {
        Undo::Partly("what somebody else had the rule do is not brought back".to_owned())
    } else {
        Undo::Full
    };
    Change { fields, undo, ..Change::new(ActionWord::Update, live.exports.clone()) }
}
