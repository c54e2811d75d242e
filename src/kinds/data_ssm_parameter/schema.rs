//! What may be written in a `data "ssm_parameter"` block.

use crate::{
    kinds::attribute::{block, optional, required},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[required("name", Shape::String, "Name of the parameter.")],
    "A parameter of the SSM Parameter Store, read when planning.",
);

/// The schema of `data "ssm_parameter"`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "ssm_parameter",
    role: Role::Data,
    block: &BLOCK,
    exports: &[
        optional("value", Shape::String, "The value; sensitive where the parameter is a SecureString."),
        optional("version", Shape::Number, "The parameter's version."),
    ],
    connection: ConnectionNeed::Aws,
    rollout: false,
};
