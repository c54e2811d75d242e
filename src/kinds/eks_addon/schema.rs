//! What may be written in an `eks_addon` block.

use crate::{
    kinds::attribute::{block, choice, optional, repeated, required},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const POD_IDENTITY: BlockSchema = block(
    &[
        required("service_account", Shape::String, "Name of the service account in the add-on's namespace."),
        required("role_arn", Shape::String, "Role that its pods get by EKS Pod Identity."),
    ],
    "A service account of the add-on and the role that EKS Pod Identity gives it.",
);

const BLOCK: BlockSchema = BlockSchema { blocks: &[repeated("pod_identity", &POD_IDENTITY)], ..ATTRIBUTES };

const ATTRIBUTES: BlockSchema = block(
    &[
        required("cluster", Shape::String, "Name of the EKS cluster. Changing it replaces the add-on."),
        required("addon", Shape::String, "Name of the add-on, like `coredns`. Changing it replaces the add-on."),
        optional(
            "version",
            Shape::String,
            "Exact version, like `v1.12.4-eksbuild.1`; or `latest` or `default`, which the plan turns into the one version it means for the cluster's Kubernetes version. Default: `default`.",
        ),
        optional(
            "configuration",
            Shape::Object,
            "Configuration values, by the add-on's own schema (`aws eks describe-addon-configuration`).",
        ),
        optional(
            "service_account_role_arn",
            Shape::String,
            "IAM role of the add-on's service account. Without it: the nodes' role, or pod identity.",
        ),
        choice(
            "resolve_conflicts",
            &["none", "overwrite", "preserve"],
            "What to do about fields of the add-on that somebody else changed: fail, take them back, or leave them. Default: `none`.",
        ),
        optional("tags", Shape::StringMap, "Tags of the add-on. Tags that others put on it are left alone."),
        optional(
            "preserve",
            Shape::Bool,
            "Whether destroying leaves the add-on's software running on the cluster. Default: false.",
        ),
    ],
    "An add-on that EKS manages on a cluster.",
);

/// The schema of `eks_addon`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "eks_addon",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[
        optional("id", Shape::String, "`CLUSTER:ADDON`."),
        optional("arn", Shape::String, "The add-on's ARN."),
        optional("version", Shape::String, "The version that runs."),
    ],
    connection: ConnectionNeed::Aws,
    rollout: false,
};
