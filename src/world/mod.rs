//! Everything outside the process, as small traits. The live world and the sandbox implement them; the core uses nothing else.
//!
//! Kinds get exactly the handles they need from a [`World`], by connection.

mod advisor;
mod clock;
mod cloudformation;
mod eks;
mod failure;
mod forge;
mod guard;
mod helm;
mod kubernetes;
mod ledger;
pub mod live;
mod load_balancers;
mod machine;
mod metrics;
mod registry;
pub mod sandbox;
mod services;
mod terraform;
mod traffic;

pub use advisor::{Advice, Advisor, Enquiry, Sent, Unadvised};
pub use clock::{Clock, Entropy};
pub use cloudformation::{
    ChangeSet, ChangeSetSummary, CloudFormation, Export, ImportedResource, OnCreateFailure, PropertyDifference,
    ResourceChange, ResourceChangeDetail, ResourceDrift, ResourceIdentifiers, Stack, StackEvent, StackOutput,
    StackRequest, StackResource, StackStatus,
};
pub use eks::{
    Addon, AddonRequest, AddonVersion, Cluster, Eks, EksUpdate, Insight, InsightCategory, Nodegroup, PodIdentity,
    ResolveConflicts, UpdateOf,
};
pub use failure::{Class, Failure, Outcome};
pub use forge::{
    ANNOTATIONS, Annotation, Author, Check, CheckRun, Comment, CommentPage, CommitStatus, Conclusion, Forge, Level,
};
pub use guard::{
    GUARD_DEADLINE, GUARD_MEMORY, Guard, GuardAnswer, GuardFault, GuardJob, GuardRequest, GuardText, Judged, Violation,
};
pub use helm::{Chart, ChartRef, Charts, Helm, Release, ReleaseRequest, Rendered, TOKEN_LABEL};
pub use kubernetes::{
    ApplyOptions, Endpoint, HttpAnswer, Kubernetes, LogRequest, ObjectChange, ObjectRef, PodRequest, ResourceType,
    Watched,
};
pub use ledger::{Broken, Ledger, Lock, LockOwner, Moved, Stored};
pub use load_balancers::{Forward, ListenerRule, LoadBalancers, RuleChange, RuleRequest, TargetGroup, TargetState};
pub use machine::{GUARD_AT, GuardProcess, Machine};
pub use metrics::{Alarm, Datapoint, MetricQuery, Metrics};
pub use registry::{EMPTY_CONFIG, MANIFEST, Registry, artifact_manifest, descriptor};
pub use services::{Caller, Command, Http, Identity, Objects, Parameter, Program, ProgramEnd, Secrets};
pub use terraform::{Kept, Progress, Root, RootAim, RootEnd, RootLock, RootPlan, RootState, Terraform};
pub use traffic::{Backend, Routed, TargetHealth, Traffic, Weights};

use async_trait::async_trait;
use std::{collections::BTreeMap, sync::Arc};

/// An account and region, and how to reach them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct AwsConnection {
    /// The region.
    pub region: String,
    /// The account's 12 digits; `000000000000` on a sandbox that declares none (rule 3). On AWS the caller's account must be
    /// this one; empty where any is right.
    pub account_id: String,
    /// Another endpoint than AWS's own.
    pub endpoint_url: Option<String>,
    /// A profile of the shared configuration.
    pub profile: Option<String>,
    /// A role to assume.
    pub assume_role: Option<AssumeRole>,
    /// The role that a CI job takes on with its OIDC token, in place of `assume_role`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci_role_arn: Option<String>,
    /// The bucket for templates that are too long to be sent, and for those of nested stacks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub template_bucket: Option<String>,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct AssumeRole {
    /// The role.
    pub role_arn: String,
    /// The session's name.
    pub session_name: Option<String>,
    /// The external id.
    pub external_id: Option<String>,
    /// The MFA device.
    pub mfa_serial: Option<String>,
    /// The session's duration in seconds, 900 to 43,200; one hour where `None`.
    pub duration_seconds: Option<u32>,
    /// Session tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub tags: BTreeMap<String, String>,
}

/// A cluster, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterConnection {
    /// An EKS cluster by name, in an account and region.
    Eks {
        /// The cluster's name.
        name: String,
        /// Where it is.
        aws: Box<AwsConnection>,
        /// The role that calls the cluster, where that is another one than the connection's own.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        role_arn: Option<String>,
        /// As whom.
        #[serde(skip_serializing_if = "ActingAs::is_oneself", default)]
        acting_as: ActingAs,
    },
    /// A context of a kubeconfig file.
    Kubeconfig {
        /// The file; empty for those that kubectl reads, `KUBECONFIG` or `~/.kube/config`.
        path: String,
        /// The context; the current one where `None`.
        context: Option<String>,
        /// As whom.
        #[serde(skip_serializing_if = "ActingAs::is_oneself", default)]
        acting_as: ActingAs,
    },
    /// The cluster this process runs in.
    InCluster {
        /// As whom.
        #[serde(skip_serializing_if = "ActingAs::is_oneself", default)]
        acting_as: ActingAs,
    },
}

impl ClusterConnection {
    /// The cluster as a person knows it: its name on EKS, a context, `in_cluster`.
    #[must_use]
    pub fn spoken(&self) -> String {
        match self {
            Self::Eks { name, .. } => name.clone(),
            Self::Kubeconfig { context: Some(context), .. } => context.clone(),
            Self::Kubeconfig { path, .. } if path.is_empty() => "the current context of kubectl".to_owned(),
            Self::Kubeconfig { path, .. } => format!("the current context of {path}"),
            Self::InCluster { .. } => "in_cluster".to_owned(),
        }
    }
}

/// As whom a connection acts, in the place of whom it authenticates. Source: "User impersonation" of Kubernetes'
/// documentation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct ActingAs {
    /// The user; oneself where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// Groups in the place of the user's own; none without a user.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub groups: Vec<String>,
}

impl ActingAs {
    /// True where nobody else is named.
    #[must_use]
    pub const fn is_oneself(&self) -> bool {
        self.user.is_none() && self.groups.is_empty()
    }
}

/// AWS in one account and region.
#[derive(Clone)]
pub struct Aws {
    /// Stacks.
    pub cloudformation: Arc<dyn CloudFormation>,
    /// Clusters and add-ons.
    pub eks: Arc<dyn Eks>,
    /// Application load balancers.
    pub load_balancers: Arc<dyn LoadBalancers>,
    /// Secrets and parameters.
    pub secrets: Arc<dyn Secrets>,
    /// Who calls.
    pub identity: Arc<dyn Identity>,
    /// Buckets.
    pub objects: Arc<dyn Objects>,
    /// Metrics and alarms.
    pub metrics: Arc<dyn Metrics>,
}

/// One cluster.
#[derive(Clone)]
pub struct ClusterHandle {
    /// The API server.
    pub kubernetes: Arc<dyn Kubernetes>,
    /// Releases in it.
    pub helm: Arc<dyn Helm>,
}

/// A world: live, or the sandbox. Handing out a handle makes no call.
#[async_trait]
pub trait World: Send + Sync {
    /// `sandbox` or `aws`: how plans and state keys name it (rules 1 and 2).
    fn name(&self) -> &'static str;
    /// An account and region.
    ///
    /// # Errors
    /// The world has no such account or region.
    fn aws(&self, connection: &AwsConnection) -> Outcome<Aws>;
    /// A cluster. One that does not exist yet is `NotFound` at the first call, not here.
    ///
    /// # Errors
    /// The connection says too little to find a cluster by.
    fn cluster(&self, connection: &ClusterConnection) -> Outcome<ClusterHandle>;
    /// Charts.
    fn charts(&self) -> Arc<dyn Charts>;
    /// A repository of images by its address, `oci://HOST/REPOSITORY`. Nothing is asked yet.
    ///
    /// # Errors
    /// An address that is none.
    fn registry(&self, address: &str) -> Outcome<Arc<dyn Registry>>;
    /// Programs.
    fn command(&self) -> Arc<dyn Command>;
    /// Terraform roots.
    fn terraform(&self) -> Arc<dyn Terraform>;
    /// HTTP.
    fn http(&self) -> Arc<dyn Http>;
    /// Time.
    fn clock(&self) -> Arc<dyn Clock>;
    /// Randomness.
    fn entropy(&self) -> Arc<dyn Entropy>;
    /// A ledger for whose storage this world's time waits: how long a disk takes is real, also where time is made up.
    fn waited(&self, ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        ledger
    }
}
