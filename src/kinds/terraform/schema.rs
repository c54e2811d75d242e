//! What may be written in a `terraform` block.

use crate::{
    kinds::attribute::{block, choice, optional, required, secret},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[
        required("root", Shape::String, "Path of the root module's folder, relative to the project."),
        choice(
            "program",
            &["terraform", "tofu"],
            "Which program runs it, as found on PATH or named in terrace.toml. Default: `terraform`.",
        ),
        optional("inputs", Shape::Object, "Values of the root's variables."),
        secret("sensitive_inputs", Shape::Object, "Values of variables that are never shown."),
        optional("var_files", Shape::Strings, "Paths of variable files, relative to the project."),
        optional("backend", Shape::StringMap, "Settings of the backend, as `-backend-config` takes them."),
        optional(
            "workspace",
            Shape::String,
            "The workspace. Default: the environment's name; on the sandbox with `-sandbox` behind it.",
        ),
        optional("environment", Shape::StringMap, "Variables of the program's environment."),
    ],
    "A Terraform or OpenTofu root.",
);

/// The schema of `terraform`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "terraform",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[optional("outputs", Shape::Object, "The root's outputs.")],
    connection: ConnectionNeed::None,
    rollout: false,
};
