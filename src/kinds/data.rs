//! What data sources share: they are only read, so everything that changes a thing is refused.

use crate::{
    base::{ActionWord, Diagnostics, Digest, Value},
    kinds::{Applied, Change, Context, Desired, Difference, Observed, Owner, Prepare},
    world::{Class, Failure, Outcome},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Inputs as they are; the identity is made of `keys`, where all of them that are given are known.
#[expect(clippy::unnecessary_wraps, reason = "the signature of every kind's prepare")]
pub(super) fn prepare(request: &Prepare<'_>, keys: &[&str]) -> Result<Desired, Diagnostics> {
    let given: Vec<(&str, &Value)> =
        keys.iter().filter_map(|key| Some((*key, request.inputs.get(key).filter(|v| !v.is_null())?))).collect();
    let identity: Option<serde_json::Map<String, Json>> =
        given.iter().map(|(key, value)| Some(((*key).to_owned(), json!(value.as_str()?)))).collect();
    Ok(Desired {
        inputs: Value::object(given.into_iter().map(|(key, value)| (key, value.clone()))),
        documents: BTreeMap::new(),
        identity: identity.map(Json::Object),
    })
}

/// What was read, with its exports. A secret leaves no trace in the fingerprint: a digest without a key could be guessed.
pub(super) fn observed(identity: &Json, exports: Value) -> Observed {
    let fingerprint = fingerprint(&exports);
    Observed {
        identity: identity.clone(),
        inputs: Value::UNKNOWN,
        documents: BTreeMap::new(),
        exports,
        owner: Owner::Nobody,
        fingerprint,
        condition: None,
        image: Value::NULL,
    }
}

/// A fingerprint of what may be shown.
pub(super) fn fingerprint(exports: &Value) -> Digest {
    let told = exports.sealed(&|_| "sensitive".into());
    Digest::of(told.to_json_lossy().to_string().as_bytes())
}

/// Reading is all that is ever done.
pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let exports = difference.observed.map_or(Value::UNKNOWN, |o| o.exports.clone());
    Change::new(ActionWord::Read, exports)
}

/// A data source is never applied.
pub(super) fn refuse(context: &Context) -> Outcome<Applied> {
    let what = "a data source is only read";
    Err(Failure::new(Class::Invalid, "apply", context.address.to_string(), what))
}

/// A text of an identity.
pub(super) fn text<'a>(identity: &'a Json, key: &str) -> Option<&'a str> {
    identity[key].as_str()
}
