//! What may be written in a `value` block.

use crate::{
    kinds::attribute::{block, optional},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[
        optional("input", Shape::Any, "Any value; it comes back as `output`. Default: null."),
        optional(
            "triggers_replace",
            Shape::Any,
            "Any value; when it changes, the thing is replaced and gets a new id. Default: null.",
        ),
    ],
    "A value that Terrace remembers.",
);

/// The schema of `value`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "value",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[
        optional("id", Shape::String, "A unique id, kept until it is replaced."),
        optional("output", Shape::Any, "The input."),
    ],
    connection: ConnectionNeed::None,
    rollout: false,
};
