//! What may be written in a `stack` block.

use crate::{
    kinds::attribute::{block, choice, optional, required},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[
        required(
            "template",
            Shape::String,
            "Path of the template, YAML or JSON, relative to the project: `\"${path.project}/cfn-templates/network.yaml\"`.",
        ),
        optional(
            "parameters",
            Shape::Object,
            "Values of the template's parameters by name. A list is joined with commas; numbers and bools become text. What has a Default may be left out.",
        ),
        optional("tags", Shape::StringMap, "Tags of the stack, which CloudFormation hands on to its resources."),
        optional(
            "capabilities",
            Shape::Strings,
            "Capabilities to acknowledge beside those that the template is seen to need (`CAPABILITY_IAM` and its kin).",
        ),
        optional(
            "role_arn",
            Shape::String,
            "Service role that CloudFormation takes on. Without it: the caller's rights.",
        ),
        optional(
            "name",
            Shape::String,
            "Name of the stack, at most 128 letters, digits and hyphens. Without it: plan, environment and address. Changing it replaces the stack.",
        ),
        optional("stack_policy", Shape::String, "Path of a stack policy (JSON), relative to the project."),
        optional(
            "termination_protection",
            Shape::Bool,
            "Whether CloudFormation refuses to delete the stack. Default: false.",
        ),
        optional("notification_arns", Shape::Strings, "SNS topics that are told of stack events, at most 5."),
        optional(
            "import_resources",
            Shape::Object,
            "Resources that exist and come into the stack by an import change set, by logical id: `{ Logs = { BucketName = \"shop-logs\" } }`. Once the stack holds a resource, its entry means nothing and can be removed.",
        ),
        choice(
            "on_create_failure",
            &["rollback", "delete"],
            "What becomes of a stack that could not be made: `rollback` keeps it, empty, to be looked at; `delete` removes it. Default: `rollback`.",
        ),
    ],
    "A CloudFormation stack.",
);

/// The schema of `stack`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "stack",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[
        optional("outputs", Shape::Object, "The stack's outputs by key, each a string."),
        optional("id", Shape::String, "The stack's ARN."),
        optional("arn", Shape::String, "The stack's ARN."),
        optional("name", Shape::String, "The stack's name."),
    ],
    connection: ConnectionNeed::Aws,
    rollout: true,
};
