//! `value`: a value that Terrace remembers. It makes nothing anywhere; state alone knows it.

#[cfg(test)]
mod lifecycle;
mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostics, Digest, Path, Value},
    kinds::{
        Applied, Change, Comparison, Context, Desired, Difference, Kind, Observed, Owner, Prepare, Prior, Recovered,
        Sides, Step, Undo,
    },
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome},
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// The kind.
pub(super) struct ValueKind;

#[async_trait]
impl Kind for ValueKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "local"
    }

    fn default_timeout(&self, _action: ActionWord) -> Duration {
        Duration::from_secs(60)
    }

    fn reads(&self, _identity: &Json) -> bool {
        false
    }

    fn remembers_only(&self) -> bool {
        true
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        let part = |name| request.inputs.get(name).cloned().unwrap_or(Value::NULL);
        Ok(Desired {
            inputs: Value::object([("input", part("input")), ("triggers_replace", part("triggers_replace"))]),
            documents: BTreeMap::new(),
            identity: request.fixed.cloned(),
        })
    }

    /// Says what the identity says; inputs and output are what state remembers.
    async fn read(&self, _context: &Context, identity: &Json, _desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        Ok(Some(Observed {
            held: None,
            identity: identity.clone(),
            inputs: Value::UNKNOWN,
            documents: BTreeMap::new(),
            exports: Value::object([("id", Value::from_json(&identity["id"])), ("output", Value::UNKNOWN)]),
            owner: Owner::Nobody,
            fingerprint: Digest::of_value(identity),
            condition: None,
            image: Value::NULL,
        }))
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        let Difference { desired, prior, observed, .. } = *difference;
        let compare = Comparison::from(difference);
        let mut fields = compare.fields(
            &Path::default(),
            Sides {
                desired: Some(&desired.inputs),
                live: observed.map(|o| &o.inputs),
                prior: prior.map(|p| &p.inputs),
            },
        );
        let input = || desired.inputs.get("input").cloned().unwrap_or(Value::NULL);
        let id = |known: bool| {
            let id = observed.map(|o| Value::from_json(&o.identity["id"])).filter(|id| known && !id.is_null());
            id.unwrap_or(Value::UNKNOWN)
        };
        let action = if observed.is_none() {
            ActionWord::Create
        } else {
            for field in fields.iter_mut().filter(|f| f.path.starts_with("triggers_replace")) {
                field.forces_replacement = true;
            }
            match fields.iter().any(|f| f.forces_replacement) {
                true => ActionWord::Replace,
                false if fields.is_empty() => ActionWord::NoOp,
                false => ActionWord::Update,
            }
        };
        let output = match (action, prior.and_then(|p| p.exports.get("output"))) {
            // Nothing changes, or what would is left as it is. The output is then what it was, known even where only its
            // seal was kept and the input still says what it is.
            (ActionWord::NoOp, Some(former))
                if compare.ignores_all() || compare.ignores(&Path::default().key("input")) =>
            {
                former.clone()
            }
            _ => input(),
        };
        let in_place = matches!(action, ActionWord::NoOp | ActionWord::Update);
        Change { fields, undo: Undo::Full, ..Change::new(action, exports(id(in_place), output)) }
    }

    fn removal(&self, _prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        Change::new(ActionWord::Delete, Value::NULL)
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        let Some(desired) = step.desired else {
            return Ok(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() });
        };
        let identity = match (step.action, step.identity) {
            (ActionWord::Update, Some(identity)) => identity.clone(),
            (ActionWord::Create, _) => json!({ "id": id_of(step.token) }),
            _ => {
                return Err(Failure::new(
                    Class::Invalid,
                    "value",
                    context.address.to_string(),
                    "an update needs the identity that was made before",
                ));
            }
        };
        let output = desired.inputs.get("input").cloned().unwrap_or(Value::NULL);
        let exports = exports(Value::from_json(&identity["id"]), output);
        Ok(Applied { identity, exports, note: String::new() })
    }

    /// Nothing outside the process was touched: the same step with the same token gives the same id.
    async fn recover(&self, _context: &Context, _step: &Step<'_>) -> Outcome<Recovered> {
        Ok(Recovered::NotDone)
    }

    async fn undo(&self, _context: &Context, _identity: &Json, image: Option<&Value>, _token: &str) -> Outcome<String> {
        Ok(if image.is_some() { "put back" } else { "forgotten" }.to_owned())
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        if id.is_empty() {
            Err("a value's id is any text but an empty one".to_owned())
        } else {
            Ok(json!({ "id": id }))
        }
    }
}

fn exports(id: Value, output: Value) -> Value {
    Value::object([("id", id), ("output", output)])
}

/// A UUID (version 8, RFC 9562) made of an intent's token: unique as that is, and the same after a crash.
pub(super) fn id_of(token: &str) -> String {
    let digest = Digest::of(token.as_bytes());
    let hex = digest.as_str().trim_start_matches("sha256:");
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests;
