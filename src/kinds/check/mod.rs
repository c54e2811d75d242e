//! `check`: a question about the whole, asked at every run. It changes nothing; the probe in it passes or fails.

mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Digest, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, Kind, Observed, Owner, Prepare, Recovered, Step, data,
        probe::{probe, probe_of},
    },
    lang::schema::KindSchema,
    world::Outcome,
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// The kind.
pub(super) struct CheckKind;

#[async_trait]
impl Kind for CheckKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "local"
    }

    fn default_timeout(&self, _action: ActionWord) -> Duration {
        Duration::from_secs(5 * 60)
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        let asked = probe_of(request.inputs);
        let body = asked.as_map().and_then(|entries| entries.values().next());
        let compares = |name: &str| body.and_then(|body| body.get(name)).is_some_and(|value| !value.is_null());
        if let Some(name) = ["max_ratio", "max_increase"].into_iter().find(|name| compares(name)) {
            let message = format!("`{name}` counts in a `rollout` only");
            return Err(Diagnostic::error("only_in_rollout", message)
                .because("a check has nothing to compare with")
                .hint("leave it out, or ask in a `verify` of a `rollout`")
                .into());
        }
        let mut inputs = vec![("probe", asked)];
        for (name, default) in [
            ("severity", Value::from("error")),
            ("every", "5s".into()),
            ("within", "5m".into()),
            ("consecutive", 1.into()),
        ] {
            let value = request.inputs.get(name).filter(|v| !v.is_null()).cloned();
            inputs.push((name, value.unwrap_or(default)));
        }
        let identity = Some(json!({ "check": request.address.to_string() }));
        Ok(Desired { inputs: Value::object(inputs), documents: BTreeMap::new(), identity })
    }

    /// Asks once. The loop, its pace and its end are the executor's.
    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        let Some(asked) = desired.and_then(|d| d.inputs.get("probe")) else { return Ok(None) };
        let measured = probe(context, asked).await?;
        let exports = Value::object([("passed", Value::from(measured.passed())), ("said", measured.said.into())]);
        Ok(Some(Observed {
            held: None,
            identity: identity.clone(),
            inputs: Value::UNKNOWN,
            documents: BTreeMap::new(),
            exports,
            owner: Owner::Nobody,
            fingerprint: Digest::of(b""),
            condition: None,
            image: Value::NULL,
        }))
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        Change { action: ActionWord::Verify, ..data::diff(difference) }
    }

    async fn apply(&self, context: &Context, _step: &Step<'_>) -> Outcome<Applied> {
        data::refuse(context)
    }

    async fn recover(&self, _context: &Context, _step: &Step<'_>) -> Outcome<Recovered> {
        Ok(Recovered::NotDone)
    }

    async fn undo(&self, context: &Context, _identity: &Json, _image: Option<&Value>, _token: &str) -> Outcome<String> {
        data::refuse(context).map(|_| String::new())
    }

    fn import_identity(&self, _id: &str) -> Result<Json, String> {
        Err("a check makes nothing that could be imported".to_owned())
    }
}
