//! What may be written in an `eks_upgrade` block.

use crate::{
    kinds::attribute::{block, optional, required},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[
        required("stack", Shape::Any, "The stack that holds the cluster: `stack.cluster`."),
        required("parameter", Shape::String, "The stack's parameter that holds the Kubernetes version."),
        optional("addons", Shape::Any, "The add-ons that move with the control plane: `eks_addon.managed`, or a list."),
        optional(
            "bake",
            Shape::Duration,
            "How long cluster and add-ons must be healthy after a hop before the next, or before the nodes follow. Default: `10m`.",
        ),
    ],
    "Moves a cluster's Kubernetes version in hops of one minor: control plane, add-ons, bake, nodes.",
);

/// The schema of `eks_upgrade`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "eks_upgrade",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[
        optional("version", Shape::String, "The Kubernetes version that the stack asks for."),
        optional(
            "revertible_until",
            Shape::String,
            "Until when EKS takes the newest hop back, by RFC 3339; null where none was made.",
        ),
    ],
    connection: ConnectionNeed::Aws,
    rollout: false,
};
