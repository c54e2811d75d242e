//! `data "ssm_parameter"`: a parameter of the SSM Parameter Store, read when planning.

mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostics, Value},
    kinds::{Applied, Change, Context, Desired, Difference, Kind, Observed, Prepare, Recovered, Step, data},
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome},
};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::time::Duration;

/// The kind.
pub(super) struct ParameterKind;

#[async_trait]
impl Kind for ParameterKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "secrets"
    }

    fn default_timeout(&self, _action: ActionWord) -> Duration {
        Duration::from_secs(60)
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        data::prepare(request, &["name"])
    }

    async fn read(&self, context: &Context, identity: &Json, _desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        read(context, identity).await
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        data::diff(difference)
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
        Err("a data source is read and never imported".to_owned())
    }
}

async fn read(context: &Context, identity: &Json) -> Outcome<Option<Observed>> {
    let secrets = &context.aws()?.secrets;
    let Some(name) = data::text(identity, "name") else {
        return Err(Failure::new(Class::Invalid, "ssm:GetParameter", context.address.to_string(), "it has no name"));
    };
    let Some(parameter) = context.patiently(|| secrets.parameter(name)).await? else { return Ok(None) };
    let value = Value::from(parameter.value.expose().as_str()).with_mark(parameter.secure);
    let version = i64::try_from(parameter.version).unwrap_or(i64::MAX);
    Ok(Some(data::observed(identity, Value::object([("value", value), ("version", version.into())]))))
}
