//! `data "plan_outputs"`: the outputs of another plan of the project, in the same environment.

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
    service: "local",
    keys: &["plan"],
    read: |context, identity| Box::pin(async move { read(context, identity) }),
};

fn read(context: &Context, identity: &Json) -> Outcome<Option<Value>> {
    let Some(plan) = text(identity, "plan") else {
        return Err(Failure::new(Class::Invalid, "state", context.address.to_string(), "it names no plan"));
    };
    let outputs = (context.plan_outputs)(plan)?;
    Ok(outputs.map(|outputs| Value::object([("outputs", outputs)])))
}
