//! `data "secret"`: a secret of Secrets Manager or SSM, read when planning and always sensitive.

mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::Value,
    kinds::{
        Context,
        data::{DataSource, text},
    },
    world::{Class, Failure, Outcome},
};
use serde_json::Value as Json;

/// The kind.
pub(super) static SOURCE: DataSource = DataSource {
    schema: &SCHEMA,
    service: "secrets",
    keys: &["secretsmanager", "ssm", "key"],
    read: |context, identity| Box::pin(read(context, identity)),
};

async fn read(context: &Context, identity: &Json) -> Outcome<Option<Value>> {
    let secrets = &context.aws()?.secrets;
    let found = match (text(identity, "secretsmanager"), text(identity, "ssm")) {
        (Some(id), _) => context.patiently(|| secrets.secret(id)).await?,
        (None, Some(name)) => context.patiently(|| secrets.parameter(name)).await?.map(|p| p.value),
        (None, None) => None,
    };
    let Some(found) = found else { return Ok(None) };
    let value = match text(identity, "key") {
        None => Value::from(found.expose().as_str()),
        Some(key) => part(context, found.expose(), key)?,
    };
    Ok(Some(Value::object([("value", value.sensitive())])))
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
