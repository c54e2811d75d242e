//! What may be written in a `manifest` block.

use crate::{
    kinds::attribute::optional,
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = BlockSchema {
    attributes: &[
        optional("object", Shape::Object, "One Kubernetes object, as it is."),
        optional(
            "yaml",
            Shape::Any,
            "Objects as YAML, any number of documents: a text, the path of a file or folder relative to the project, or a list of paths (`*` matches within a name).",
        ),
        optional(
            "kustomize",
            Shape::String,
            "Objects as kustomize makes them of a folder of the project, by the program `kustomize` or `kubectl`.",
        ),
        optional("namespace", Shape::String, "Namespace of namespaced objects that name none. Default: `default`."),
        optional(
            "force_conflicts",
            Shape::Bool,
            "Whether fields that another manager owns are taken over. Default: false, which fails and names owner and field.",
        ),
        optional("wait", Shape::Bool, "Whether to wait until each object is ready. Default: true."),
    ],
    blocks: &[],
    exactly_one: &["object", "yaml", "kustomize"],
    doc: "Kubernetes objects, applied on the server's side.",
};

/// The schema of `manifest`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "manifest",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[
        optional(
            "objects",
            Shape::Object,
            "Each live object, without status and managed fields, by `Kind namespace/name`.",
        ),
        optional("uid", Shape::String, "The uid of the (first) object."),
        optional("name", Shape::String, "The name of the (first) object."),
        optional("namespace", Shape::String, "The namespace of the (first) object; null for one that has none."),
    ],
    connection: ConnectionNeed::Kubernetes,
    rollout: true,
};
