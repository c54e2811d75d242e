//! What may be written in a `data "plan_outputs"` block.

use crate::{
    kinds::attribute::{block, optional, required},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[required("plan", Shape::String, "Label of another plan of the project.")],
    "The outputs of another plan of the project, in the same environment, as its last apply left them.",
);

/// The schema of `data "plan_outputs"`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "plan_outputs",
    role: Role::Data,
    block: &BLOCK,
    exports: &[optional("outputs", Shape::Object, "The outputs by name.")],
    connection: ConnectionNeed::None,
    rollout: false,
};
