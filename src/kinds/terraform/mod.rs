//! `terraform`: a Terraform root. Its schema is known, so that plan files check; running it is not supported yet.

mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Path, Value},
    kinds::{Applied, Change, Context, Desired, Difference, Kind, Observed, Prepare, Recovered, Step, Undo},
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome},
};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::time::Duration;

/// What is said wherever it would do something.
const REFUSAL: &str = "kind terraform is not supported yet";

/// The kind.
pub(super) struct TerraformKind;

fn refuse(context: &Context) -> Failure {
    Failure::new(Class::Unsupported, "terraform", context.address.to_string(), REFUSAL)
}

#[async_trait]
impl Kind for TerraformKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "local"
    }

    fn default_timeout(&self, _action: ActionWord) -> Duration {
        Duration::from_secs(60 * 60)
    }

    /// Refuses, so that nothing of a plan with one begins.
    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        let problem = Diagnostic::error("unsupported_kind", REFUSAL)
            .because(format!("{} would run a Terraform root", request.address))
            .hint("take the block out, or keep it from being planned with `when = false`");
        let span = (request.place)(&Path::default().key("root")).or_else(|| (request.place)(&Path::default()));
        Err(match span {
            Some(span) => problem.at(&span, ""),
            None => problem,
        }
        .into())
    }

    async fn read(&self, context: &Context, _identity: &Json, _desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        Err(refuse(context))
    }

    fn diff(&self, _difference: &Difference<'_>) -> Change {
        Change { undo: Undo::None(REFUSAL.to_owned()), ..Change::new(ActionWord::Create, Value::UNKNOWN) }
    }

    async fn apply(&self, context: &Context, _step: &Step<'_>) -> Outcome<Applied> {
        Err(refuse(context))
    }

    async fn recover(&self, context: &Context, _step: &Step<'_>) -> Outcome<Recovered> {
        Err(refuse(context))
    }

    async fn undo(&self, context: &Context, _identity: &Json, _image: Option<&Value>, _token: &str) -> Outcome<String> {
        Err(refuse(context))
    }

    fn import_identity(&self, _id: &str) -> Result<Json, String> {
        Err(REFUSAL.to_owned())
    }
}
