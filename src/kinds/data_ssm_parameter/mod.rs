//! `data "ssm_parameter"`: a parameter of the SSM Parameter Store, read when planning.

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
    keys: &["name"],
    read: |context, identity| Box::pin(read(context, identity)),
};

async fn read(context: &Context, identity: &Json) -> Outcome<Option<Value>> {
    let secrets = &context.aws()?.secrets;
    let Some(name) = text(identity, "name") else {
        return Err(Failure::new(Class::Invalid, "ssm:GetParameter", context.address.to_string(), "it has no name"));
    };
    let Some(parameter) = context.patiently(|| secrets.parameter(name)).await? else { return Ok(None) };
    let value = Value::from(parameter.value.expose().as_str()).with_mark(parameter.secure);
    let version = i64::try_from(parameter.version).unwrap_or(i64::MAX);
    Ok(Some(Value::object([("value", value), ("version", version.into())])))
}
