//! `terraform`: a Terraform or OpenTofu root. Its plan is shown resource by resource, and exactly that plan is applied.
//!
//! Reading order: `desired` (what is written), `live` (which root it is, what its state holds), `children` (a plan in the
//! program's own JSON, read), `preview` (that plan made), `change` (the difference), `operation` (carrying it out, and what
//! became of it).

mod change;
mod children;
mod desired;
mod live;
mod operation;
mod preview;
mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, GoesOn, Kind, Observed, Prepare, Preview, Prior, Recovered,
        Sole, Step,
    },
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome},
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Why there is no undo.
const NO_UNDO: &str = "Terraform has no way back to what was there; put the former code back and apply it";

/// The kind.
pub(super) struct TerraformKind;

#[async_trait]
impl Kind for TerraformKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "local"
    }

    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 30 * 60 } else { 2 * 60 * 60 })
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        desired::prepare(request)
    }

    fn ingredients(&self, desired: &Desired) -> crate::kinds::Ingredients {
        let text = |name: &str| desired.inputs.get(name).and_then(crate::base::Value::as_str).map(str::to_owned);
        let files = desired.inputs.get("var_files").and_then(crate::base::Value::as_seq);
        let files = files.into_iter().flat_map(|f| f.iter().filter_map(|v| v.as_str().map(str::to_owned)));
        crate::kinds::Ingredients {
            folders: text("root").into_iter().collect(),
            programs: files.collect(),
            ..crate::kinds::Ingredients::default()
        }
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        live::read(context, identity, desired).await
    }

    fn leaves(&self, desired: &Desired, _observed: Option<&Observed>, token: &str) -> Option<Json> {
        let key = desired.identity.as_ref()?["key"].as_str()?;
        Some(json!({ "name": token, "key": key }))
    }

    fn only_ahead_tells(&self) -> bool {
        true
    }

    async fn at_hand(&self, context: &Context, attachment: &Json) -> bool {
        preview::at_hand(context, attachment).await
    }

    async fn spent(&self, context: &Context, attachment: &Json) -> Outcome<Option<String>> {
        preview::spent(context, attachment).await
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

    async fn discard(&self, context: &Context, attachment: &Json) -> Outcome<()> {
        let (Some(key), Some(name)) = (attachment["key"].as_str(), attachment["name"].as_str()) else { return Ok(()) };
        context.terraform.discard(key, name).await
    }

    fn goes_on(&self) -> GoesOn {
        GoesOn::WhereItDiffers
    }

    fn stays_part_way(&self) -> bool {
        true
    }

    /// What its root leaves alone is written in the root.
    fn leave_ignored(&self, desired: &Desired, _observed: &Observed, _ignore: &[String]) -> Desired {
        desired.clone()
    }

    fn sole(&self, desired: &Desired) -> Vec<Sole> {
        let alone = |(key, what)| Sole {
            key,
            part: None,
            problem: Diagnostic::error("state_twice", format!("have {what}"))
                .because(
                    "each would take what the other one made for its own, and destroy what is not in its own inputs",
                )
                .hint("give each its own `workspace`, or `backend` settings of its own"),
        };
        desired::state_of(desired).map(alone).into_iter().collect()
    }

    fn replaced(&self, change: Change, observed: &Observed) -> Change {
        change::replaced(change, observed)
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        change::diff(difference)
    }

    fn removal(&self, prior: Option<&Prior>, observed: Option<&Observed>) -> Change {
        change::removal(prior, observed)
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        operation::apply(context, step).await
    }

    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
        operation::recover(context, step).await
    }

    /// Nothing, where it did nothing.
    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, _token: &str) -> Outcome<String> {
        if operation::untouched(context, identity, image).await? {
            return Ok("its state is as it was".to_owned());
        }
        Err(Failure::new(Class::Unsupported, "undo", context.address.to_string(), NO_UNDO))
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        if id.is_empty() || id.contains(['/', ' ']) {
            Err("a root is taken over by the name of its workspace, like `default`".to_owned())
        } else {
            Ok(json!({ "workspace": id }))
        }
    }
}

#[cfg(test)]
mod tests;
