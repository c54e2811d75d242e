//! `manifest`: Kubernetes objects, applied on the server's side and compared by its own dry run.

mod change;
mod desired;
mod fields;
mod generate;
mod ignored;
mod live;
mod operation;
mod order;
mod place;
mod preview;
mod readiness;
mod scaled;
mod schema;
mod wait;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostics, SourceMap, Span, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, FieldChange, FieldName, Footprint, GoesOn, Kind, Observed,
        Prepare, Preview, Prior, Recovered, Sole, Step, Written,
    },
    lang::{ast::Body, schema::KindSchema},
    world::{ObjectRef, Outcome},
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The kind.
pub(super) struct ManifestKind;

#[async_trait]
impl Kind for ManifestKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "kubernetes"
    }

    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 2 * 60 } else { 10 * 60 })
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        desired::prepare(request)
    }

    fn ingredients(&self, desired: &Desired) -> crate::kinds::Ingredients {
        crate::kinds::Ingredients {
            images: desired::images(&desired.inputs),
            matters: desired::matters(&desired.inputs),
            ..crate::kinds::Ingredients::default()
        }
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        live::read(context, identity, desired).await
    }

    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        _token: &str,
    ) -> Outcome<Option<Preview>> {
        preview::preview(context, desired, observed).await
    }

    /// Applying is idempotent, and deleting what is only not ready yet would lose it.
    fn goes_on(&self) -> GoesOn {
        GoesOn::Always
    }

    fn sole(&self, desired: &Desired) -> Vec<Sole> {
        desired::soles(&desired.inputs)
    }

    fn footprint(&self, inputs: &Value) -> Option<Footprint> {
        Some(desired::footprint(inputs))
    }

    fn leave_ignored(&self, desired: &Desired, observed: &Observed, ignore: &[String]) -> Desired {
        ignored::leave(desired, observed, ignore)
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        change::diff(difference)
    }

    fn removal(&self, prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        change::removal(prior)
    }

    fn drifts_by_field(&self) -> bool {
        true
    }

    fn take_over(&self, inputs: &Value, part: &str, field: Option<&FieldChange>) -> Option<Value> {
        fields::take_over(inputs, part, field)
    }

    fn written_at(&self, body: &Body, texts: &SourceMap, field: &FieldName) -> Vec<Span> {
        fields::written_at(body, texts, field)
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        operation::apply(context, step).await
    }

    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
        operation::recover(context, step).await
    }

    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, _token: &str) -> Outcome<String> {
        operation::undo(context, identity, image).await
    }

    async fn written(&self, context: &Context, identity: &Json) -> Outcome<Option<Written>> {
        generate::written(context, identity).await
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        let parts: Vec<&str> = id.split_whitespace().collect();
        let [api_version, kind, name] = parts[..] else {
            return Err("an object is imported by API_VERSION KIND NAMESPACE/NAME, like `apps/v1 Deployment shop/web`"
                .to_owned());
        };
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, name),
        };
        let reference =
            ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace, name: name.to_owned() };
        Ok(json!({ "objects": [reference] }))
    }
}

#[cfg(test)]
mod tests;
