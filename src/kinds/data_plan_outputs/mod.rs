//! `data "plan_outputs"`: the outputs of another plan of the project, in the same environment.

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
pub(super) struct PlanOutputsKind;

#[async_trait]
impl Kind for PlanOutputsKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "local"
    }

    fn default_timeout(&self, _action: ActionWord) -> Duration {
        Duration::from_secs(60)
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        data::prepare(request, &["plan"])
    }

    async fn read(&self, context: &Context, identity: &Json, _desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        read(context, identity)
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

fn read(context: &Context, identity: &Json) -> Outcome<Option<Observed>> {
    let Some(plan) = data::text(identity, "plan") else {
        return Err(Failure::new(Class::Invalid, "state", context.address.to_string(), "it names no plan"));
    };
    let Some(outputs) = (context.plan_outputs)(plan)? else { return Ok(None) };
    Ok(Some(data::observed(identity, Value::object([("outputs", outputs)]))))
}
