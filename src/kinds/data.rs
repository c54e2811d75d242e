//! Data sources: they are only read. One kind serves them all; each brings its schema, the inputs that name what is read, and
//! how it is read. Whatever would change a thing is refused.

use crate::{
    base::{ActionWord, Diagnostics, Digest, Value},
    kinds::{Applied, Change, Context, Desired, Difference, Kind, Observed, Owner, Prepare, Recovered, Step},
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome},
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// How long reading one may take unless told.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads what an identity names; its exports, or `None` where nothing is there.
pub(super) type Read = for<'a> fn(&'a Context, &'a Json) -> BoxFuture<'a, Outcome<Option<Value>>>;

/// A data source.
pub(super) struct DataSource {
    /// What may be written.
    pub schema: &'static KindSchema,
    /// Which budget reading it draws on.
    pub service: &'static str,
    /// The inputs that name what is read.
    pub keys: &'static [&'static str],
    /// How it is read.
    pub read: Read,
}

#[async_trait]
impl Kind for DataSource {
    fn schema(&self) -> &'static KindSchema {
        self.schema
    }

    fn service(&self) -> &'static str {
        self.service
    }

    fn default_timeout(&self, _action: ActionWord) -> Duration {
        READ_TIMEOUT
    }

    /// Inputs as they are; the identity is made of the keys, where all of them that are given are known.
    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        let given = |key: &&'static str| Some((*key, request.inputs.get(key).filter(|v| !v.is_null())?));
        let given: Vec<(&str, &Value)> = self.keys.iter().filter_map(given).collect();
        let identity: Option<serde_json::Map<String, Json>> =
            given.iter().map(|(key, value)| Some(((*key).to_owned(), json!(value.as_str()?)))).collect();
        Ok(Desired {
            inputs: Value::object(given.into_iter().map(|(key, value)| (key, value.clone()))),
            documents: BTreeMap::new(),
            identity: identity.map(Json::Object),
        })
    }

    async fn read(&self, context: &Context, identity: &Json, _desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        let exports = (self.read)(context, identity).await?;
        Ok(exports.map(|exports| Observed {
            held: None,
            identity: identity.clone(),
            inputs: Value::UNKNOWN,
            documents: BTreeMap::new(),
            fingerprint: fingerprint(&exports),
            exports,
            owner: Owner::Nobody,
            condition: None,
            image: Value::NULL,
        }))
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        diff(difference)
    }

    async fn apply(&self, context: &Context, _step: &Step<'_>) -> Outcome<Applied> {
        refuse(context)
    }

    async fn recover(&self, _context: &Context, _step: &Step<'_>) -> Outcome<Recovered> {
        Ok(Recovered::NotDone)
    }

    async fn undo(&self, context: &Context, _identity: &Json, _image: Option<&Value>, _token: &str) -> Outcome<String> {
        refuse(context).map(|_| String::new())
    }

    fn import_identity(&self, _id: &str) -> Result<Json, String> {
        Err("a data source is read and never imported".to_owned())
    }
}

/// A fingerprint of what may be shown. A secret leaves no trace in it: a digest without a key could be guessed.
pub(super) fn fingerprint(exports: &Value) -> Digest {
    let told = exports.sealed(&|_| "sensitive".into());
    Digest::of_value(&told.to_json_lossy())
}

/// Reading is all that is ever done.
pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let exports = difference.observed.map_or(Value::UNKNOWN, |o| o.exports.clone());
    Change::new(ActionWord::Read, exports)
}

/// What is only read is never applied.
pub(super) fn refuse(context: &Context) -> Outcome<Applied> {
    let what = "a data source is only read";
    Err(Failure::new(Class::Invalid, "apply", context.address.to_string(), what))
}

/// A text of an identity.
pub(super) fn text<'a>(identity: &'a Json, key: &str) -> Option<&'a str> {
    identity[key].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::Address,
        kinds::{kind, testing::marks},
        lang::{MemorySources, schema::Role},
    };

    fn identity_of(name: &str, inputs: &Value) -> Option<Json> {
        let kind = kind(name).unwrap();
        let address = Address::root(name, "x");
        let request = Prepare {
            address: &address,
            inputs,
            place: &|_| None,
            sources: &MemorySources::default(),
            marks: &marks(),
            fixed: None,
        };
        kind.prepare(&request).unwrap().identity
    }

    #[test]
    fn every_data_source_is_read_and_never_imported() {
        let sources: Vec<_> = crate::kinds::schema().kinds.iter().filter(|k| k.role == Role::Data).collect();
        assert_eq!(sources.len(), 3);
        for schema in sources {
            let kind = kind(&format!("data.{}", schema.name)).unwrap();
            let none = Difference {
                desired: &Desired { inputs: Value::NULL, documents: BTreeMap::new(), identity: None },
                prior: None,
                observed: None,
                preview: None,
                ignore: &[],
                seal: &|_| "".into(),
            };
            assert_eq!(kind.diff(&none).action, ActionWord::Read, "{}", schema.name);
            assert!(kind.import_identity("x").is_err(), "{}", schema.name);
        }
    }

    #[test]
    fn what_is_read_is_named_by_the_keys_of_its_source_alone_and_only_once_they_are_known() {
        let secret = Value::object([("ssm", Value::from("/db")), ("key", "password".into()), ("other", "x".into())]);
        assert_eq!(identity_of("data.secret", &secret), Some(json!({ "ssm": "/db", "key": "password" })));
        let parameter = Value::object([("name", Value::from("/size"))]);
        assert_eq!(identity_of("data.ssm_parameter", &parameter), Some(json!({ "name": "/size" })));
        let outputs = Value::object([("plan", Value::UNKNOWN)]);
        assert_eq!(identity_of("data.plan_outputs", &outputs), None);
    }

    #[test]
    fn a_secret_leaves_no_trace_in_a_fingerprint() {
        let of = |text: &str| fingerprint(&Value::object([("value", Value::from(text).sensitive())]));
        assert_eq!(of("hunter2"), of("another"));
        assert_ne!(fingerprint(&Value::from("a")), fingerprint(&Value::from("b")));
    }
}
