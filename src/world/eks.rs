//! EKS clusters and their add-ons. Names and meanings are those of the API reference.

use crate::world::Outcome;
use async_trait::async_trait;
use std::collections::BTreeMap;

/// A cluster as DescribeCluster tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cluster {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// `CREATING`, `ACTIVE`, `DELETING`, `FAILED`, `UPDATING`.
    pub status: String,
    /// The Kubernetes version, like `1.34`.
    pub version: String,
    /// The API server's URL.
    pub endpoint: String,
    /// The CA bundle, base64.
    pub certificate_authority: String,
}

/// An add-on as DescribeAddon tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Addon {
    /// The add-on's name.
    pub name: String,
    /// The cluster.
    pub cluster: String,
    /// The ARN.
    pub arn: String,
    /// `CREATING`, `ACTIVE`, `UPDATING`, `DEGRADED`, `CREATE_FAILED`, `UPDATE_FAILED`, `DELETING`, `DELETE_FAILED`.
    pub status: String,
    /// The version, like `v1.12.4-eksbuild.1`.
    pub version: String,
    /// The configuration values, JSON or YAML text as given; empty where none.
    pub configuration: String,
    /// The role of its service account.
    pub service_account_role_arn: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What is wrong with it: code and message.
    pub issues: Vec<(String, String)>,
}

/// What to do where a field is owned by somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolveConflicts {
    /// Fail.
    #[default]
    None,
    /// Take it.
    Overwrite,
    /// Leave it (on create it acts like `none`).
    Preserve,
}

/// A request to create or update an add-on.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct AddonRequest {
    /// The cluster's name.
    pub cluster: String,
    /// The add-on's name.
    pub addon: String,
    /// The version.
    pub version: String,
    /// JSON text of the configuration; empty for none.
    pub configuration: String,
    /// The role of its service account.
    pub service_account_role_arn: Option<String>,
    /// About fields that somebody else owns.
    pub resolve_conflicts: ResolveConflicts,
    /// Tags (on create only).
    pub tags: BTreeMap<String, String>,
}

/// One version of an add-on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AddonVersion {
    /// The version.
    pub version: String,
    /// True where it is the default for that Kubernetes version.
    pub default: bool,
}

/// EKS in one account and region. Operations return once accepted; describe tells how they go.
#[async_trait]
pub trait Eks: Send + Sync {
    /// The cluster; `None` where there is none.
    async fn describe_cluster(&self, name: &str) -> Outcome<Option<Cluster>>;
    /// The add-on; `None` where there is none. A missing cluster is `NotFound`.
    async fn describe_addon(&self, cluster: &str, addon: &str) -> Outcome<Option<Addon>>;
    /// Names of the cluster's add-ons.
    async fn list_addons(&self, cluster: &str) -> Outcome<Vec<String>>;
    /// Creates; `token` makes a repeated call the same call.
    async fn create_addon(&self, request: &AddonRequest, token: &str) -> Outcome<Addon>;
    /// Updates version, configuration and role; returns the update's id.
    async fn update_addon(&self, request: &AddonRequest, token: &str) -> Outcome<String>;
    /// Deletes; `preserve` keeps its software on the cluster. An absent one is `NotFound`.
    async fn delete_addon(&self, cluster: &str, addon: &str, preserve: bool) -> Outcome<()>;
    /// The add-on's versions for a Kubernetes version, newest first.
    async fn addon_versions(&self, addon: &str, kubernetes_version: &str) -> Outcome<Vec<AddonVersion>>;
    /// The JSON schema of the configuration of one version, as text.
    async fn addon_configuration_schema(&self, addon: &str, version: &str) -> Outcome<String>;
}
