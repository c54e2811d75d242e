//! How commands are prepared and compared.

use super::*;
use crate::{
    base::Address,
    kinds::{
        Owner,
        testing::{any_value, marks, seal},
    },
    lang::MemorySources,
};
use proptest::prelude::*;

fn prepare(inputs: &Value) -> Result<Desired, Diagnostics> {
    let address = Address::root("command", "note");
    CommandKind.prepare(&Prepare {
        address: &address,
        inputs,
        place: &|_| None,
        sources: &MemorySources::default(),
        marks: &marks(),
        fixed: None,
    })
}

fn inputs(input: Value, update: bool) -> Value {
    let argv = |word: &str| Value::tuple(vec!["bin/note".into(), word.into()]);
    let mut entries = vec![("create", argv("write")), ("input", input)];
    if update {
        entries.push(("update", argv("write")));
    }
    Value::object(entries)
}

fn remember(desired: &Desired) -> Prior {
    let exports = Value::object([("id", Value::from("1")), ("result", Value::NULL), ("stdout", "".into())]);
    Prior { inputs: desired.inputs.sealed(&seal), documents: BTreeMap::new(), exports, identity: json!({ "id": "1" }) }
}

fn diff_of(desired: &Desired, prior: Option<&Prior>, ignore: &[String]) -> Change {
    let observed = prior.map(|p| Observed::remembered(p, Owner::Nobody));
    CommandKind.diff(&Difference { desired, prior, observed: observed.as_ref(), preview: None, ignore, seal: &seal })
}

#[test]
fn without_update_a_change_replaces_and_without_undo_the_plan_says_so() {
    let prior = remember(&prepare(&inputs("a".into(), false)).unwrap());
    let change = diff_of(&prepare(&inputs("b".into(), false)).unwrap(), Some(&prior), &[]);
    assert_eq!(change.action, ActionWord::Replace);
    let prior = remember(&prepare(&inputs("a".into(), true)).unwrap());
    let change = diff_of(&prepare(&inputs("b".into(), true)).unwrap(), Some(&prior), &[]);
    assert_eq!(change.action, ActionWord::Update);
    assert!(matches!(change.undo, Undo::None(_)));
}

#[test]
fn a_program_without_words_and_a_folder_outside_are_refused() {
    assert!(prepare(&Value::object([("create", Value::tuple(Vec::new()))])).is_err());
    let outside = Value::object([("create", Value::tuple(vec!["x".into()])), ("working_dir", "../..".into())]);
    assert!(prepare(&outside).is_err());
}

proptest! {
    #[test]
    fn what_was_applied_is_no_change_and_nothing_panics(a in any_value(false), b in any_value(true)) {
        let desired = prepare(&inputs(a, true)).unwrap();
        prop_assert_eq!(diff_of(&desired, Some(&remember(&desired)), &[]).action, ActionWord::NoOp);
        let other = prepare(&inputs(b, true)).unwrap();
        let _ = diff_of(&other, Some(&remember(&desired)), &[]);
        prop_assert_eq!(diff_of(&other, Some(&remember(&desired)), &["*".to_owned()]).action, ActionWord::NoOp);
    }
}
