//! What may be written in an `eks_upgrade` block.

use crate::{
    kinds::attribute::{block, optional, required},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[
        required("stack", Shape::Any, "The stack that holds the cluster: `stack.cluster`."),
        required("parameter", Shape::String, "The stack's parameter that holds the Kubernetes version."),
        optional("addons", Shape::Reference, "The add-ons that move with the control plane: `eks_addon.managed`."),
        optional(
            "bake",
            Shape::Duration,
            "How long the cluster must be healthy after a hop before the next. Default: `10m`.",
        ),
    ],
    "Turns a move of the Kubernetes version by several minors into hops of one.",
);

/// The schema of `eks_upgrade`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "eks_upgrade",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[optional("version", Shape::String, "The Kubernetes version that the stack asks for.")],
    connection: ConnectionNeed::Aws,
    rollout: false,
};
