//! What may be written in a `helm` block.

use crate::{
    kinds::attribute::{block, optional, required, secret},
    lang::schema::{BlockSchema, ConnectionNeed, KindSchema, Role, Shape},
};

const BLOCK: BlockSchema = block(
    &[
        required(
            "chart",
            Shape::String,
            "A name in `repository`, an `oci://` URL, or a folder of the project (`./charts/app`).",
        ),
        optional("repository", Shape::String, "URL of the chart repository. Not for `oci://` and folders."),
        optional("version", Shape::String, "Exact version of the chart. Required but for a folder."),
        optional(
            "name",
            Shape::String,
            "Name of the release, at most 53 characters. Without it: the block's name and key.",
        ),
        optional(
            "namespace",
            Shape::String,
            "Namespace of the release. Changing it replaces the release. Default: `default`.",
        ),
        optional(
            "create_namespace",
            Shape::Bool,
            "Whether the namespace is made where it is missing, and taken away again when it is ours and empty. Default: true.",
        ),
        optional("values", Shape::Object, "Values, over those of `values_files`."),
        optional(
            "values_files",
            Shape::Strings,
            "Paths of YAML files with values, relative to the project; later ones win, as with `helm -f`.",
        ),
        secret("sensitive_values", Shape::Object, "Values that are never shown, over all others."),
        optional("wait", Shape::Bool, "Whether to wait until what the chart makes is ready. Default: true."),
        optional(
            "timeout",
            Shape::Duration,
            "How long Helm may wait. Default: what `timeouts` leaves, which is `10m` unless told.",
        ),
        optional(
            "atomic",
            Shape::Bool,
            "Whether a failed install is uninstalled and a failed upgrade rolled back. Default: true; false leaves the wreck to be looked at.",
        ),
    ],
    "A release of a Helm chart.",
);

/// The schema of `helm`.
pub(in crate::kinds) const SCHEMA: KindSchema = KindSchema {
    name: "helm",
    role: Role::Managed,
    block: &BLOCK,
    exports: &[
        optional("name", Shape::String, "The release's name."),
        optional("namespace", Shape::String, "The release's namespace."),
        optional("version", Shape::String, "The chart's version."),
        optional("app_version", Shape::String, "The version of what the chart installs."),
        optional("revision", Shape::Number, "The release's newest revision."),
        optional("status", Shape::String, "The newest revision's status."),
        optional("digest", Shape::String, "The digest of the chart."),
    ],
    connection: ConnectionNeed::Kubernetes,
    rollout: true,
};
