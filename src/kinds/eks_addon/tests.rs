//! How add-ons are prepared and compared.

use super::*;
use crate::{
    base::{Address, Digest},
    kinds::{
        Owner,
        testing::{marks, seal},
    },
    lang::MemorySources,
};
use proptest::prelude::*;

fn prepare(inputs: &Json) -> Result<Desired, Diagnostics> {
    let address = Address::root("eks_addon", "dns");
    let inputs = Value::from_json(inputs);
    AddonKind.prepare(&Prepare {
        address: &address,
        inputs: &inputs,
        place: &|_| None,
        sources: &MemorySources::default(),
        marks: &marks(),
        fixed: None,
    })
}

fn observed(version: &str, configuration: &Json) -> Observed {
    Observed {
        held: None,
        identity: json!({ "cluster": "c", "addon": "coredns" }),
        inputs: Value::from_json(&json!({
            "cluster": "c", "addon": "coredns", "version": version, "tags": {}, "configuration": configuration,
        })),
        documents: BTreeMap::new(),
        exports: Value::from_json(&json!({ "id": "c:coredns", "arn": "arn:x", "version": version })),
        owner: Owner::Nobody,
        fingerprint: Digest::of(b""),
        condition: None,
        image: Value::NULL,
    }
}

fn diff(desired: &Desired, observed: Option<&Observed>, pinned: Option<&str>, ignore: &[String]) -> Change {
    let preview =
        pinned.map(|v| Preview { exports: Some(Value::object([("version", v.into())])), ..Preview::default() });
    AddonKind.diff(&Difference { desired, prior: None, observed, preview: preview.as_ref(), ignore, seal: &seal })
}

#[test]
fn a_version_that_is_none_is_refused_before_any_service_is_asked() {
    assert!(prepare(&json!({ "cluster": "c", "addon": "coredns", "version": "1.12" })).is_err());
}

#[test]
fn latest_is_the_version_that_it_was_pinned_to() {
    let desired = prepare(&json!({ "cluster": "c", "addon": "coredns", "version": "latest" })).unwrap();
    let live = observed("v1", &json!({}));
    assert_eq!(diff(&desired, Some(&live), Some("v1"), &[]).action, ActionWord::NoOp);
    let change = diff(&desired, Some(&live), Some("v2"), &[]);
    assert_eq!((change.action, change.fields[0].path.as_str()), (ActionWord::Update, "version"));
    assert_eq!(change.exports.get("version"), Some(&"v2".into()));
    assert_eq!(diff(&desired, Some(&live), Some("v2"), &["version".to_owned()]).action, ActionWord::NoOp);
    assert_eq!(diff(&desired, Some(&live), None, &[]).action, ActionWord::NoOp);
}

#[test]
fn another_cluster_is_another_add_on() {
    let desired = prepare(&json!({ "cluster": "d", "addon": "coredns", "version": "v1" })).unwrap();
    assert_eq!(diff(&desired, Some(&observed("v1", &json!({}))), None, &[]).action, ActionWord::Replace);
}

proptest! {
    #[test]
    fn what_was_applied_is_no_change(version in "v[0-9]", replicas in 0i64..9) {
        let configuration = json!({ "replicaCount": replicas });
        let desired = prepare(&json!({
            "cluster": "c", "addon": "coredns", "version": version, "configuration": configuration, "resolve_conflicts": "preserve",
        })).unwrap();
        let live = observed(&version, &configuration);
        prop_assert_eq!(diff(&desired, Some(&live), Some(&version), &[]).action, ActionWord::NoOp);
    }
}
