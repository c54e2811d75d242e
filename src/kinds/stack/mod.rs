//! `stack`: a CloudFormation stack, planned and applied by change sets.

mod change;
mod change_set;
mod children;
mod cluster;
mod colored;
mod desired;
mod doctor;
mod drift;
mod exports;
mod failure;
mod generate;
mod import;
mod live;
mod matter;
mod nested;
mod operation;
mod parameter;
mod request;
mod revert;
mod schema;
mod touch;

pub use matter::of_template;
pub(super) use parameter::set_parameter;
pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostics, Value},
    kinds::{
        Applied, Change, ChildChange, Context, Desired, Difference, Finding, Kind, Named, Observed, Prepare, Preview,
        Prior, Recovered, Sole, Step, Written,
    },
    lang::schema::KindSchema,
    world::Outcome,
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The kind.
pub(super) struct StackKind;

#[async_trait]
impl Kind for StackKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "cloudformation"
    }

    fn once(&self, desired: &Desired) -> Vec<Sole> {
        colored::exports(desired)
    }

    fn noun(&self) -> Option<&'static str> {
        Some("stack")
    }

    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 5 * 60 } else { 60 * 60 })
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        desired::prepare(request)
    }

    fn ingredients(&self, desired: &Desired) -> crate::kinds::Ingredients {
        crate::kinds::Ingredients { matters: matter::of(desired), ..crate::kinds::Ingredients::default() }
    }

    async fn read(&self, context: &Context, identity: &Json, _desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        live::read(context, identity).await
    }

    fn asks_ahead(&self, difference: &Difference<'_>) -> bool {
        change::asks_ahead(difference)
    }

    fn leaves(&self, desired: &Desired, observed: Option<&Observed>, token: &str) -> Option<Json> {
        change_set::leaves(desired, observed, token)
    }

    async fn spent(&self, context: &Context, attachment: &Json) -> Outcome<Option<String>> {
        change_set::spent(context, attachment).await
    }

    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        token: &str,
    ) -> Outcome<Option<Preview>> {
        change_set::preview(context, desired, observed, token).await
    }

    fn clusters(&self, desired: &Desired) -> Vec<(String, String)> {
        cluster::wanted(desired)
    }

    async fn discard(&self, context: &Context, attachment: &Json) -> Outcome<()> {
        change_set::discard(context, attachment).await
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        change::diff(difference)
    }

    fn removal(&self, prior: Option<&Prior>, observed: Option<&Observed>) -> Change {
        change::removal(prior, observed)
    }

    async fn drift(&self, context: &Context, identity: &Json) -> Outcome<Vec<ChildChange>> {
        drift::look(context, identity).await
    }

    fn drifts_inside(&self) -> bool {
        true
    }

    fn leaves_revert(&self, identity: &Json, token: &str) -> Vec<Json> {
        revert::leaves(identity, token)
    }

    async fn look_at_revert(&self, context: &Context, identity: &Json, token: &str) -> Outcome<Preview> {
        revert::look(context, identity, token).await
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        if revert::asked(step) {
            return revert::apply(context, step).await;
        }
        operation::apply(context, step).await
    }

    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
        if revert::asked(step) {
            return revert::recover(context, step).await;
        }
        operation::recover(context, step).await
    }

    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
        operation::undo(context, identity, image, token).await
    }

    async fn examine(&self, context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
        doctor::examine(context, identity).await
    }

    async fn mend(&self, context: &Context, identity: &Json, token: &str, named: &Named) -> Outcome<Vec<String>> {
        doctor::mend(context, identity, token, named).await
    }

    async fn written(&self, context: &Context, identity: &Json) -> Outcome<Option<Written>> {
        generate::written(context, identity).await
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        let name = match id.strip_prefix("arn:") {
            Some(_) => id.split('/').nth(1).filter(|_| id.contains(":cloudformation:")),
            None => Some(id).filter(|id| !id.is_empty() && !id.contains([' ', '/', ':'])),
        };
        match name {
            Some(name) if id.starts_with("arn:") => Ok(json!({ "name": name, "id": id })),
            Some(name) => Ok(json!({ "name": name })),
            None => Err("a stack is imported by its name or its ARN".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
