//! Properties of values and their triggers.

use super::*;
use crate::{
    base::Address,
    kinds::testing::{any_value, marks, seal},
    lang::MemorySources,
};
use proptest::prelude::*;

fn prepare(input: Value, triggers: Value) -> Desired {
    let address = Address::root("value", "x");
    let inputs = Value::object([("input", input), ("triggers_replace", triggers)]);
    ValueKind
        .prepare(&Prepare {
            address: &address,
            inputs: &inputs,
            place: &|_| None,
            sources: &MemorySources::default(),
            marks: &marks(),
            fixed: None,
        })
        .unwrap()
}

/// What state holds after this was applied.
fn remember(desired: &Desired) -> Prior {
    Prior {
        inputs: desired.inputs.sealed(&seal),
        documents: BTreeMap::new(),
        exports: exports("id-1".into(), desired.inputs.get("input").cloned().unwrap()).sealed(&seal),
        identity: json!({ "id": "id-1" }),
    }
}

fn diff(desired: &Desired, prior: Option<&Prior>, ignore: &[String]) -> Change {
    let observed = prior.map(|p| Observed::remembered(p, Owner::Nobody));
    ValueKind.diff(&Difference { desired, prior, observed: observed.as_ref(), preview: None, ignore, seal: &seal })
}

#[test]
fn a_new_value_knows_its_output_and_not_its_id() {
    let change = diff(&prepare("a".into(), Value::NULL), None, &[]);
    assert_eq!(change.action, ActionWord::Create);
    assert_eq!(change.exports, exports(Value::UNKNOWN, "a".into()));
}

#[test]
fn another_input_updates_and_keeps_the_id_and_another_trigger_replaces() {
    let prior = remember(&prepare("a".into(), 1.into()));
    let change = diff(&prepare("b".into(), 1.into()), Some(&prior), &[]);
    assert_eq!((change.action, change.exports), (ActionWord::Update, exports("id-1".into(), "b".into())));
    let change = diff(&prepare("a".into(), 2.into()), Some(&prior), &[]);
    assert_eq!((change.action, change.exports), (ActionWord::Replace, exports(Value::UNKNOWN, "a".into())));
    assert!(change.fields[0].forces_replacement);
}

#[test]
fn an_ignored_trigger_replaces_nothing() {
    let prior = remember(&prepare("a".into(), 1.into()));
    let change = diff(&prepare("a".into(), 2.into()), Some(&prior), &["triggers_replace".to_owned()]);
    assert_eq!(change.action, ActionWord::NoOp);
}

#[test]
fn an_id_is_a_uuid_and_the_same_for_the_same_token() {
    assert_eq!(id_of("t"), id_of("t"));
    assert_ne!(id_of("t"), id_of("u"));
    let id = id_of("t");
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
}

proptest! {
    #[test]
    fn what_was_applied_is_no_change(input in any_value(false), triggers in any_value(false)) {
        let desired = prepare(input, triggers);
        let change = diff(&desired, Some(&remember(&desired)), &[]);
        prop_assert_eq!(change.action, ActionWord::NoOp);
    }

    #[test]
    fn any_inputs_have_a_difference_and_ignoring_all_is_no_change(
        a in any_value(true), b in any_value(true), c in any_value(false), d in any_value(false),
    ) {
        let desired = prepare(a, b);
        let prior = remember(&prepare(c, d));
        let change = diff(&desired, Some(&prior), &[]);
        prop_assert!(!desired.inputs.has_unknown() || change.action != ActionWord::NoOp);
        prop_assert_eq!(diff(&desired, Some(&prior), &["*".to_owned()]).action, ActionWord::NoOp);
        prop_assert_eq!(diff(&desired, None, &[]).action, ActionWord::Create);
    }
}
