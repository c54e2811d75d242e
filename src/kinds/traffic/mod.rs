//! `traffic`: a route that a rollout moves between two permanent sides, blue and green.
//!
//! The kind makes the route and keeps what is declared of it. How much of the traffic each side gets is never part of that: it is
//! the rollouts', which move it through [`open`], and a plan shows no difference for it.

mod alb;
mod change;
mod receiver;
mod route;
mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostics, Span, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, Kind, Observed, Prepare, Preview, Prior, Recovered, Step, Undo,
    },
    lang::{
        ast::{Block, Body},
        schema::KindSchema,
    },
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
    if let Some(form) = route::Form::of(inputs) {
        return route::open(context, form, inputs, identity);
    }
    let what = "this traffic was applied by another version of terrace, or never";
    Err(Failure::new(Class::Invalid, "open", context.address.to_string(), what))
}

/// The target groups of the two sides, blue first, of a `traffic` block with `alb` whose inputs are known.
#[must_use]
pub fn target_groups(inputs: &Value) -> Option<[&str; 2]> {
    alb::target_groups(inputs)
}

/// Where a `traffic` block says that it takes no weights: a service's traffic goes from one side to the other in one switch.
#[must_use]
pub fn one_switch(body: &Body) -> Option<&Span> {
    let is_service = |block: &&Block| {
        let dynamic = block.labels.first().filter(|_| &*block.kind == "dynamic").map(|(label, _)| &**label);
        dynamic.unwrap_or(&block.kind) == route::Form::Service.word()
    };
    body.blocks.iter().find(is_service).map(|block| &block.header)
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
        match route::Form::of(request.inputs) {
            Some(form) => route::prepare(form, request),
            None => alb::prepare(request),
        }
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        if is_object(identity) {
            return route::read(context, identity).await;
        }
        alb::read(context, identity, desired).await
    }

    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        _token: &str,
    ) -> Outcome<Option<Preview>> {
        match route::Form::of(&desired.inputs) {
            Some(_) => route::preview(context, desired).await.map(Some),
            None => alb::preview(context, desired, observed).await.map(Some),
        }
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        let desired = &difference.desired.inputs;
        let form = route::Form::of(desired);
        let was = difference.observed.map(|live| route::Form::of(&live.inputs));
        if was.is_some_and(|was| was != form) {
            return another(difference);
        }
        changed(difference)
    }

    fn removal(&self, prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        let undo = Undo::None("a deleted route is not brought back".to_owned());
        let mut change = Change { undo, ..Change::new(ActionWord::Delete, Value::NULL) };
        change.reasons.extend(prior.and_then(|prior| alb::farewell(&prior.identity)));
        change
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        let form = step.desired.and_then(|desired| route::Form::of(&desired.inputs));
        match (form, step.desired, step.identity) {
            (Some(form), ..) => route::apply(context, Some(form), step).await,
            (None, None, Some(identity)) if is_object(identity) => route::apply(context, None, step).await,
            _ => alb::apply(context, step).await,
        }
    }

    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
        let desired = step.desired.is_some_and(|desired| route::Form::of(&desired.inputs).is_some());
        if desired || (step.desired.is_none() && step.identity.is_some_and(is_object)) {
            return route::recover(context, step).await;
        }
        alb::recover(context, step).await
    }

    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, _token: &str) -> Outcome<String> {
        if is_object(identity) {
            return route::undo(context, identity, image).await;
        }
        alb::undo(context, identity, image).await
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        route::import_identity(id).map_or_else(|| alb::import_identity(id), Ok)
    }
}

/// Whether what has this identity is an object of a cluster.
fn is_object(identity: &Json) -> bool {
    identity.get("objects").is_some()
}

fn changed(difference: &Difference<'_>) -> Change {
    let desired = difference.desired;
    let place = match route::Form::of(&desired.inputs) {
        Some(form) => route::place(form, desired),
        None => alb::place(&desired.inputs),
    };
    change::diff(difference, place)
}

/// Another form of route is another route.
fn another(difference: &Difference<'_>) -> Change {
    let new = Difference { observed: None, prior: None, preview: None, ..*difference };
    Change {
        action: ActionWord::Replace,
        reasons: vec!["another form of route takes its place".to_owned()],
        undo: Undo::Partly("the former route is not brought back".to_owned()),
        ..changed(&new)
    }
}

fn gone() -> Applied {
    Applied { identity: Json::Null, exports: Value::NULL, note: String::new() }
}
