//! EKS clusters, their add-ons, node groups, insights and updates. Names and meanings are those of the API reference.

use crate::world::Outcome;
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

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
    /// ARNs of the pod identity associations that the add-on owns.
    #[serde(default)]
    pub pod_identity_associations: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What is wrong with it: code and message.
    pub issues: Vec<(String, String)>,
    /// When it was last changed, where that is told.
    #[serde(default)]
    pub modified: Option<Timestamp>,
}

/// A service account of an add-on and the role that EKS Pod Identity gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PodIdentity {
    /// The service account's name.
    pub service_account: String,
    /// The role.
    pub role_arn: String,
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
    /// Its pod identity associations, all of them; `None` leaves them as they are.
    #[serde(default)]
    pub pod_identity: Option<BTreeSet<PodIdentity>>,
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

/// An asynchronous update of a cluster, a node group or an add-on, as DescribeUpdate tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EksUpdate {
    /// The id.
    pub id: String,
    /// `InProgress`, `Failed`, `Cancelled`, `Successful`.
    pub status: String,
    /// `VersionUpdate`, `VersionRollback`, `AddonUpdate`, ...
    pub kind: String,
    /// Its parameters by type: `Version`, `AddonVersion`, `ConfigurationValues`, ...
    pub params: BTreeMap<String, String>,
    /// When it was begun.
    pub created: Option<Timestamp>,
    /// What went wrong: code, message, the resources that are meant.
    pub errors: Vec<(String, String, Vec<String>)>,
}

/// What an update belongs to; a cluster's own has neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpdateOf<'a> {
    /// The node group.
    pub nodegroup: Option<&'a str>,
    /// The add-on.
    pub addon: Option<&'a str>,
}

/// What an insight is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum InsightCategory {
    /// `UPGRADE_READINESS`.
    Upgrade,
    /// `ROLLBACK_READINESS`.
    Rollback,
}

/// An insight as ListInsights and DescribeInsight tell it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Insight {
    /// The id.
    pub id: String,
    /// Such as `Deprecated APIs removed in Kubernetes v1.33`.
    pub name: String,
    /// The Kubernetes version that it is about; empty where it names none.
    pub kubernetes_version: String,
    /// `PASSING`, `WARNING`, `ERROR`, `UNKNOWN`.
    pub status: String,
    /// Why that status.
    pub reason: String,
    /// What to do about it; told by DescribeInsight only.
    pub recommendation: String,
    /// The resources that are meant, by URI or ARN; told by DescribeInsight only.
    pub resources: Vec<String>,
}

/// A managed node group as DescribeNodegroup tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Nodegroup {
    /// The name.
    pub name: String,
    /// The Kubernetes version of its nodes, like `1.33`.
    pub version: String,
    /// `CREATING`, `ACTIVE`, `UPDATING`, `DELETING`, `CREATE_FAILED`, `DELETE_FAILED`, `DEGRADED`.
    pub status: String,
    /// What is wrong with it: code and message.
    pub issues: Vec<(String, String)>,
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
    /// Updates version, configuration, role and pod identity associations; returns the update's id.
    async fn update_addon(&self, request: &AddonRequest, token: &str) -> Outcome<String>;
    /// Deletes; `preserve` keeps its software on the cluster. An absent one is `NotFound`.
    async fn delete_addon(&self, cluster: &str, addon: &str, preserve: bool) -> Outcome<()>;
    /// The add-on's versions for a Kubernetes version, newest first.
    async fn addon_versions(&self, addon: &str, kubernetes_version: &str) -> Outcome<Vec<AddonVersion>>;
    /// The JSON schema of the configuration of one version, as text.
    async fn addon_configuration_schema(&self, addon: &str, version: &str) -> Outcome<String>;

    /// Adds tags to a thing, or gives those that it has another value. Idempotent.
    async fn tag_resource(&self, arn: &str, tags: &BTreeMap<String, String>) -> Outcome<()>;
    /// Takes tags off a thing. Idempotent.
    async fn untag_resource(&self, arn: &str, keys: &[String]) -> Outcome<()>;
    /// One pod identity association of a cluster, by the ARN or id that the add-on names; `None` where there is none.
    async fn pod_identity_association(&self, cluster: &str, association: &str) -> Outcome<Option<PodIdentity>>;

    /// Insights of a category about moving to this Kubernetes version.
    async fn list_insights(
        &self,
        cluster: &str,
        category: InsightCategory,
        kubernetes_version: &str,
    ) -> Outcome<Vec<Insight>>;
    /// One insight, with recommendation and resources.
    async fn describe_insight(&self, cluster: &str, id: &str) -> Outcome<Insight>;

    /// Moves the control plane by one minor: up, or within 7 days of an upgrade back down. Returns the update's id.
    ///
    /// `rollback_timeout_minutes` (120 to 10080, by default 720) bounds a move down; it is not sent with one up.
    async fn update_cluster_version(
        &self,
        cluster: &str,
        version: &str,
        rollback_timeout_minutes: Option<u32>,
        token: &str,
    ) -> Outcome<String>;
    /// Ids of updates, in the service's order, all pages.
    async fn list_updates(&self, cluster: &str, of: UpdateOf<'_>) -> Outcome<Vec<String>>;
    /// One update.
    async fn describe_update(&self, cluster: &str, id: &str, of: UpdateOf<'_>) -> Outcome<EksUpdate>;
    /// Cancels a running rollback of an Auto Mode cluster, as far as its control plane has not begun.
    async fn cancel_update(&self, cluster: &str, id: &str, token: &str) -> Outcome<()>;

    /// Names of the cluster's managed node groups.
    async fn list_nodegroups(&self, cluster: &str) -> Outcome<Vec<String>>;
    /// A node group; `None` where there is none.
    async fn describe_nodegroup(&self, cluster: &str, nodegroup: &str) -> Outcome<Option<Nodegroup>>;
    /// Moves a node group's nodes to a Kubernetes version, the newest AMI for it. Returns the update's id.
    async fn update_nodegroup_version(
        &self,
        cluster: &str,
        nodegroup: &str,
        version: &str,
        token: &str,
    ) -> Outcome<String>;
}
