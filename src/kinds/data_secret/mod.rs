//! `data "secret"`: a secret of Secrets Manager or SSM, read when planning and always sensitive.

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
pub(super) struct SecretKind;

#[async_trait]
impl Kind for SecretKind {
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
        data::prepare(request, &["secretsmanager", "ssm", "key"])
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
    let found = match (data::text(identity, "secretsmanager"), data::text(identity, "ssm")) {
        (Some(id), _) => context.patiently(|| secrets.secret(id)).await?,
        (None, Some(name)) => context.patiently(|| secrets.parameter(name)).await?.map(|p| p.value),
        (None, None) => None,
    };
    let Some(found) = found else { return Ok(None) };
    let value = match data::text(identity, "key") {
        None => Value::from(found.expose().as_str()),
        Some(key) => part(context, found.expose(), key)?,
    };
    Ok(Some(data::observed(identity, Value::object([("value", value.sensitive())]))))
}

/// One key of a secret's JSON object. No message holds any of its content.
fn part(context: &Context, text: &str, key: &str) -> Outcome<Value> {
    let fail =
        |what: String| Failure::new(Class::Invalid, "secretsmanager:GetSecretValue", context.address.to_string(), what);
    let json: Json = serde_json::from_str(text)
        .map_err(|_| fail(format!("the secret is no JSON object, so it has no key `{key}`")))?;
    if let Some(value) = json.get(key) {
        Ok(Value::from_json(value))
    } else {
        let keys: Vec<&str> = json.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        Err(fail(format!("the secret has no key `{key}`; it has {}", keys.join(", "))))
    }
}
