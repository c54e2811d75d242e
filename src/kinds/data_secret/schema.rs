//! What may be written in a `data "secret"` block.

use crate::{
    kinds::attribute::{optional, secret},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = BlockSchema {
    attributes: &[
        optional("secretsmanager", Shape::String, "Name or ARN of a secret in Secrets Manager."),
        optional("ssm", Shape::String, "Name of a SecureString parameter in SSM."),
        optional("key", Shape::String, "Key in the secret's JSON object. Without it: the whole text."),
    ],
    blocks: &[],
    exactly_one: &["secretsmanager", "ssm"],
    doc: "A secret, read when planning and never shown.",
};

/// The schema of `data "secret"`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "secret",
    role: Role::Data,
    block: &BLOCK,
    exports: &[secret("value", Shape::Any, "The secret.")],
    connection: ConnectionNeed::Aws,
    rollout: false,
};
