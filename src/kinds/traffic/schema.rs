//! What may be written in a `traffic` block.

use crate::{
    kinds::attribute::{block, nested, optional, required},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const ALB: BlockSchema = BlockSchema {
    exactly_one: &["listener", "rule"],
    ..block(
        &[
            optional(
                "listener",
                Shape::String,
                "ARN of the listener on which Terrace makes a rule of its own. Changing it replaces the rule.",
            ),
            optional(
                "rule",
                Shape::String,
                "ARN of a rule that is there already, in place of one of Terrace's own: its forward is moved, and nothing else of it.",
            ),
            optional("priority", Shape::Number, "Priority of the rule, 1 to 50,000; with `listener`."),
            optional(
                "host",
                Shape::String,
                "Host that the rule answers to; `*` and `?` stand for others. With `listener`.",
            ),
            optional("path", Shape::String, "Path that the rule answers to, like `/shop/*`. With `listener`."),
            required("blue", Shape::String, "ARN of the blue target group."),
            required("green", Shape::String, "ARN of the green target group."),
            optional(
                "stickiness",
                Shape::Duration,
                "How long a client keeps its target group while both get traffic, 1s to 7d. Default: what is set on the rule.",
            ),
        ],
        "A rule of an application load balancer's listener, with two permanent target groups.",
    )
};

/// The schema of `traffic`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "traffic",
    role: Role::Managed,
    block: &BlockSchema {
        blocks: &[nested("alb", &ALB)],
        exactly_one: &["alb"],
        ..block(&[], "A route whose traffic a rollout moves between blue and green.")
    },
    exports: &[optional("id", Shape::String, "The rule's ARN.")],
    connection: ConnectionNeed::Aws,
    rollout: false,
};
