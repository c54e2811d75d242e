//! `helm`: a release of a chart, rendered and compared three ways before it is installed or upgraded.

mod change;
mod deployed;
mod desired;
mod fields;
mod live;
mod namespace;
mod operation;
mod preview;
mod schema;
mod waiting;
mod written;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostics, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, Finding, Kind, Observed, Prepare, Preview, Prior, Recovered,
        Step,
    },
    lang::schema::KindSchema,
    world::Outcome,
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The kind.
pub(super) struct HelmKind;

#[async_trait]
impl Kind for HelmKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "helm"
    }

    fn noun(&self) -> Option<&'static str> {
        Some("release")
    }

    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 5 * 60 } else { 20 * 60 })
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        desired::prepare(request)
    }

    fn ingredients(&self, desired: &Desired) -> crate::kinds::Ingredients {
        desired::ingredients(desired)
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        live::read(context, identity, desired).await
    }

    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        token: &str,
    ) -> Outcome<Option<Preview>> {
        preview::preview(context, desired, observed, token).await
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        change::diff(difference)
    }

    fn removal(&self, _prior: Option<&Prior>, observed: Option<&Observed>) -> Change {
        change::removal(observed)
    }

    fn drifts_by_field(&self) -> bool {
        true
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

    async fn examine(&self, context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
        operation::examine(context, identity).await
    }

    async fn mend(
        &self,
        context: &Context,
        identity: &Json,
        _token: &str,
        _named: &crate::kinds::Named,
    ) -> Outcome<Vec<String>> {
        operation::mend(context, identity).await
    }

    async fn written(&self, context: &Context, identity: &Json) -> Outcome<Option<crate::kinds::Written>> {
        written::written(context, identity).await
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        match id.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(json!({ "namespace": namespace, "name": name }))
            }
            _ => Err("a release is imported by NAMESPACE/NAME".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
