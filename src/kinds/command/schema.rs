//! What may be written in a `command` block.

use crate::{
    kinds::attribute::{block, optional, required, secret},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[
        required("create", Shape::Strings, "Program and arguments that make the thing. There is no shell between."),
        optional(
            "read",
            Shape::Strings,
            "Prints what is there as one JSON object, or exits with 3 where nothing is. Without it: what state remembers.",
        ),
        optional("update", Shape::Strings, "Changes the thing. Without it: a change replaces it."),
        optional("delete", Shape::Strings, "Destroys the thing. Without it: it is only forgotten."),
        optional(
            "undo",
            Shape::Strings,
            "Takes back what create or update did. Without it: a rollback leaves it as it is, and the plan says so.",
        ),
        optional("input", Shape::Any, "Any value; each program reads it as JSON on its standard input."),
        optional("environment", Shape::StringMap, "Variables beside those that Terrace itself has."),
        secret("sensitive_environment", Shape::StringMap, "Variables whose values are never shown."),
        optional("working_dir", Shape::String, "Folder to run in, relative to the project. Default: the project."),
        optional("triggers_replace", Shape::Any, "Any value; when it changes, the thing is replaced."),
    ],
    "A thing that programs make, read, change and delete.",
);

/// The schema of `command`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "command",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[
        optional("id", Shape::String, "A unique id, kept until it is replaced."),
        optional(
            "result",
            Shape::Any,
            "What `read` printed; without `read`, what the last program printed, where that is JSON.",
        ),
        optional("stdout", Shape::String, "What the last program printed, without the last line break."),
    ],
    connection: ConnectionNeed::None,
    rollout: false,
};
