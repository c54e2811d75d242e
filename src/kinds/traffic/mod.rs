//! `traffic`: a route that a rollout moves between two permanent sides, blue and green.
//!
//! The kind makes the route and keeps what is declared of it. How much of the traffic each side gets is never part of that: it is
//! the rollouts', which move it through [`open`], and a plan shows no difference for it.

mod alb;
mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostics, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, Kind, Observed, Prepare, Preview, Prior, Recovered, Step, Undo,
    },
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome, Traffic},
};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::time::Duration;

/// The kind.
pub(super) struct TrafficKind;

/// The route of an applied `traffic` block, for a rollout that moves it.
///
/// `context` is that of the traffic block itself: its account, or its cluster. `inputs` are those that were applied last, `identity`
/// is what state keeps of it. `release` is the context of what is rolled out: an `alb` binds services of its cluster to its
/// target groups; without it [`Traffic::bind`] and [`Traffic::unbind`] are refused there. Makes no call. Reads are tried again until
/// the deadline of `context`; what changes something is called once.
///
/// # Errors
/// Where the block was never applied, or `context` lacks the connection.
pub fn open(
    context: &Context,
    inputs: &Value,
    identity: &Json,
    release: Option<&Context>,
) -> Outcome<Box<dyn Traffic>> {
    if alb::is_meant(inputs) {
        return alb::open(context, inputs, identity, release);
    }
    let what = "this traffic was applied by another version of terrace, or never";
    Err(Failure::new(Class::Invalid, "open", context.address.to_string(), what))
}

#[async_trait]
impl Kind for TrafficKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "elasticloadbalancing"
    }

    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 2 * 60 } else { 5 * 60 })
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        alb::prepare(request)
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        alb::read(context, identity, desired).await
    }

    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        _token: &str,
    ) -> Outcome<Option<Preview>> {
        alb::preview(context, desired, observed).await.map(Some)
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        alb::diff(difference)
    }

    fn removal(&self, prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        let undo = Undo::None("a deleted route is not brought back".to_owned());
        let mut change = Change { undo, ..Change::new(ActionWord::Delete, Value::NULL) };
        change.reasons.extend(prior.and_then(|prior| alb::farewell(&prior.identity)));
        change
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        alb::apply(context, step).await
    }

    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
        alb::recover(context, step).await
    }

    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, _token: &str) -> Outcome<String> {
        alb::undo(context, identity, image).await
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        alb::import_identity(id)
    }
}

fn gone() -> Applied {
    Applied { identity: Json::Null, exports: Value::NULL, note: String::new() }
}
