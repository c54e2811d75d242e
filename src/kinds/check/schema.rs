//! What may be written in a `check` block.

use crate::{
    kinds::{
        attribute::{choice, optional},
        probe::PROBES,
    },
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = BlockSchema {
    attributes: &[
        choice(
            "severity",
            &["error", "warning"],
            "Whether a check that does not pass makes the run fail or is only said. Default: `error`.",
        ),
        optional("every", Shape::Duration, "Between tries. Default: `5s`."),
        optional("within", Shape::Duration, "In all. Default: `5m`."),
        optional("consecutive", Shape::Number, "How many passes in a row. Default: 1."),
        optional("failure_limit", Shape::Number, "Counts in rollouts only. Default: 0."),
    ],
    blocks: PROBES,
    exactly_one: &["http", "tcp", "pods", "condition", "command", "expression", "prometheus", "cloudwatch"],
    doc: "A question about the whole, asked at every run.",
};

/// The schema of `check`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "check",
    role: Role::Check,
    block: &BLOCK,
    exports: &[optional("passed", Shape::Bool, "Whether it passed.")],
    connection: ConnectionNeed::Kubernetes,
    rollout: false,
};
