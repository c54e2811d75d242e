//! What the tests of kinds share: values of every mark, and a way to seal.

use crate::{
    base::{Data, Value},
    kinds::Marks,
};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::sync::Arc;

/// Seals by digest; good enough where no key matters.
pub(in crate::kinds) fn seal(json: &Json) -> Arc<str> {
    crate::base::Digest::of(json.to_string().as_bytes()).as_str().into()
}

/// Any value, with sensitive leaves, and with unknown ones where asked.
pub(in crate::kinds) fn any_value(unknown: bool) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::NULL),
        any::<bool>().prop_map(Value::from),
        (-9i64..9).prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
        "[a-c]{1,3}".prop_map(|s| Value::from(s).sensitive()),
        Just(if unknown { Value::UNKNOWN } else { Value::from(true) }),
        Just(if unknown { Value::UNKNOWN.sensitive() } else { Value::from(1) }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::tuple),
            (prop::collection::btree_map("[a-c]", inner, 0..4), any::<bool>()).prop_map(|(map, mark)| {
                let map = map.into_iter().map(|(k, v)| (Arc::from(k), v)).collect();
                Value::from(Data::Mapping(crate::base::MappingKind::Object, Arc::new(map))).with_mark(mark)
            }),
        ]
    })
    .boxed()
}

/// The marks of a plan `platform` in `dev`.
pub(in crate::kinds) fn marks() -> Marks {
    Marks {
        project: "shop".into(),
        plan: "platform".into(),
        env: "dev".into(),
        world: "sandbox".into(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
    }
}
