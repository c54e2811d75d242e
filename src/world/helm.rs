//! Helm, as far as Terrace uses it: render, install, upgrade, roll back, uninstall.

use crate::world::Outcome;
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// The label on a revision's record that holds the token of the effect that made it, with the number of that revision.
pub const TOKEN_LABEL: &str = "terrace.dev/token";

/// Which chart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct ChartRef {
    /// A name in `repository`, an `oci://` URL, or a folder.
    pub chart: String,
    /// The repository's URL; `None` for OCI and folders.
    pub repository: Option<String>,
    /// The exact version; `None` for a folder.
    pub version: Option<String>,
}

impl ChartRef {
    /// Whether it lies in a folder, and nobody has to be asked for it.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.repository.is_none() && !self.chart.contains("://")
    }
}

/// A chart that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Chart {
    /// Its name in Chart.yaml.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its app version.
    pub app_version: String,
    /// The digest of its archive or content.
    pub digest: String,
    /// True where the sandbox made it up, having no such chart in its catalogue (rule 25).
    pub made_up: bool,
    /// Where it was had from, where a mirror took the place of what is declared.
    pub mirror: Option<String>,
    /// True where its templates ask the cluster (`lookup`): a plan renders it as if nothing were found.
    pub looks_up: bool,
}

/// What a release shall be.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ReleaseRequest {
    /// The release's name.
    pub name: String,
    /// Its namespace; created where it is missing only by [`Helm`]'s caller (rule 22).
    pub namespace: String,
    /// The chart.
    pub chart: ChartRef,
    /// Values, merged already.
    pub values: Json,
    /// Labels on the release record: ownership marks.
    pub labels: BTreeMap<String, String>,
    /// How long the program may take.
    pub timeout: Duration,
    /// Wait until what it made is ready.
    pub wait: bool,
    /// The idempotency token of the effect: a label of the revision's record, from its beginning on.
    pub token: String,
    /// True where a release is there already: templates see an upgrade.
    pub upgrade: bool,
}

/// A rendered chart.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Rendered {
    /// Objects in install order.
    pub objects: Vec<Json>,
    /// Custom resource definitions of the `crds/` folder.
    pub crds: Vec<Json>,
    /// Hooks.
    pub hooks: Vec<Json>,
}

/// A revision of a release as its record tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Release {
    /// The name.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// The revision, from 1.
    pub revision: u32,
    /// `deployed`, `failed`, `superseded`, `pending-install`, `pending-upgrade`, `pending-rollback`, `uninstalling`.
    pub status: String,
    /// The chart's name.
    pub chart: String,
    /// The chart's version.
    pub version: String,
    /// The app version.
    pub app_version: String,
    /// Values as given.
    pub values: Json,
    /// What it rendered.
    pub manifest: Vec<Json>,
    /// Labels, without Helm's own. A rollback bears those of the revision that it went back to.
    pub labels: BTreeMap<String, String>,
    /// The token of the effect that made it ([`TOKEN_LABEL`]), which is no label here; empty where there is none, as of a
    /// rollback and of what another tool made.
    #[serde(default)]
    pub token: String,
    /// What Helm says of it: `Upgrade complete`, `Rollback to 3`, or why it failed.
    pub description: String,
    /// When it was deployed.
    pub updated: Timestamp,
}

impl Release {
    /// True where the record is a lock that a dead process may have left.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.status.starts_with("pending-") || self.status == "uninstalling"
    }

    /// The revision that a rollback went back to, or is on the way to; `None` for what is no rollback, and for one that
    /// failed, whose description says why.
    #[must_use]
    pub fn rolled_back_to(&self) -> Option<u32> {
        self.description.strip_prefix("Rollback to ")?.parse().ok()
    }
}

/// Where charts come from, whatever cluster they go to.
#[async_trait]
pub trait Charts: Send + Sync {
    /// Finds a chart as [`Helm::resolve`] does, with its archive; `None` where the world keeps no archives, as the sandbox's
    /// catalogue does not.
    async fn archive(&self, chart: &ChartRef) -> Outcome<(Chart, Option<Vec<u8>>)>;
    /// Renders as [`Helm::template`] does, for no cluster: the same Kubernetes version and types on every machine.
    async fn template(&self, request: &ReleaseRequest) -> Outcome<Rendered>;
}

/// Helm against one cluster. Install and upgrade return when the program ends; with `wait`, that is when what was made is
/// ready or the timeout passed. Killing the caller leaves a pending record.
#[async_trait]
pub trait Helm: Send + Sync {
    /// Finds the chart and pins it by digest. A version that does not exist is `NotFound` and names those that do.
    async fn resolve(&self, chart: &ChartRef) -> Outcome<Chart>;
    /// Renders without touching the cluster.
    async fn template(&self, request: &ReleaseRequest) -> Outcome<Rendered>;
    /// The newest revision; `None` where there is no release.
    async fn release(&self, name: &str, namespace: &str) -> Outcome<Option<Release>>;
    /// All revisions kept, newest first.
    async fn history(&self, name: &str, namespace: &str) -> Outcome<Vec<Release>>;
    /// Installs. A release of that name is `AlreadyExists`.
    async fn install(&self, request: &ReleaseRequest) -> Outcome<Release>;
    /// Upgrades. A pending newest revision is `Stuck`.
    async fn upgrade(&self, request: &ReleaseRequest) -> Outcome<Release>;
    /// Back to a revision, as a new revision.
    async fn rollback(
        &self,
        name: &str,
        namespace: &str,
        revision: u32,
        wait: bool,
        timeout: Duration,
    ) -> Outcome<Release>;
    /// Uninstalls; CRDs and namespaces stay. An absent release is no error.
    async fn uninstall(&self, name: &str, namespace: &str, wait: bool, timeout: Duration) -> Outcome<()>;
    /// Marks a pending newest revision as failed, so that it no longer locks. Keeps the history.
    async fn mark_failed(&self, name: &str, namespace: &str, why: &str) -> Outcome<()>;
    /// Whether a helm is still at work on a release: the one that holds a pending revision, or any. `None` where that cannot
    /// be known, since it runs, or ran, on another machine.
    async fn at_work(&self, name: &str, namespace: &str, pending: Option<&Release>) -> Outcome<Option<bool>> {
        let _ = (name, namespace, pending);
        Ok(None)
    }
    /// A repository that this machine's helm knows to have a chart at a version; `None` where it knows none.
    async fn known_repository(&self, chart: &str, version: &str) -> Outcome<Option<String>> {
        let _ = (chart, version);
        Ok(None)
    }
}
