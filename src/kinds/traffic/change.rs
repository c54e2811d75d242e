//! The difference of a route, whatever its form: pure. How much each side gets is left out everywhere.

use crate::{
    base::{ActionWord, Path, Value},
    kinds::{Cause, Change, Comparison, Difference, FieldChange, Sides, Undo},
};

/// What tells the routes of one form from each other.
pub(super) struct Place {
    /// The block's word.
    pub(super) form: &'static str,
    /// What of the block says where the route is: with another one it is another route.
    pub(super) names: &'static [&'static str],
    /// Why that is so.
    pub(super) because: &'static str,
    /// What a new one exports.
    pub(super) exports: Value,
}

/// What is declared against what was applied last and what is live.
pub(super) fn diff(difference: &Difference<'_>, place: Place) -> Change {
    let desired = &difference.desired.inputs;
    let comparison = Comparison::from(difference);
    let compare = |live: Option<&Value>, prior: Option<&Value>| {
        comparison.fields(&Path::default(), Sides { desired: Some(desired), live, prior })
    };
    let Some(live) = difference.observed else {
        return Change { fields: compare(None, None), ..Change::new(ActionWord::Create, place.exports) };
    };
    let prior = difference.prior.map(|prior| &prior.inputs);
    let mut fields = compare(Some(&live.inputs), prior);
    let block = Path::default().key(place.form);
    let names: Vec<String> = place.names.iter().map(|name| block.clone().key(name).to_string()).collect();
    let mut elsewhere = false;
    for field in fields.iter_mut().filter(|field| names.contains(&field.path)) {
        field.forces_replacement = true;
        elsewhere = true;
    }
    if elsewhere {
        return Change {
            fields,
            reasons: vec![place.because.to_owned()],
            undo: Undo::Partly("the former route is not brought back".to_owned()),
            ..Change::new(ActionWord::Replace, place.exports)
        };
    }
    let declared = !fields.is_empty();
    let path = block.key("others");
    if let Some(others) = live.inputs.get(place.form).and_then(|block| block.get("others"))
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
    let undo =
        if declared { Undo::Full } else { Undo::Partly("what somebody else had it do is not brought back".to_owned()) };
    Change { fields, undo, ..Change::new(ActionWord::Update, live.exports.clone()) }
}
