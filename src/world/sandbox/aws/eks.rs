//! EKS: clusters that stacks made, and their add-ons. What moves versions is in `updates.rs`, what is found before that in
//! `insights.rs`.

use super::{Scope, addon_schema, insights, physical::uuid, updates, versions};
use crate::world::{
    Addon, AddonRequest, AddonVersion, Class, Cluster, Eks, EksUpdate, Failure, Insight, InsightCategory, Nodegroup,
    Outcome, PodIdentity, ResolveConflicts, UpdateOf,
    sandbox::{Sandbox, Tx, cluster},
};
use jiff::Timestamp;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A cluster, under `SCOPE/NAME` in the table `cluster`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct ClusterRecord {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) status: String,
    pub(super) version: String,
    pub(super) endpoint: String,
    pub(super) certificate_authority: String,
    pub(super) nodes: u32,
    /// The version that a template asked for last.
    #[serde(default)]
    pub(super) declared: String,
    /// Why the running update will fail.
    #[serde(default)]
    pub(super) fails: Option<(String, String)>,
}

/// A managed node group, under `SCOPE/CLUSTER/NAME` in the table `eks-nodegroup`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct NodegroupRecord {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) status: String,
    pub(super) issues: Vec<(String, String)>,
    /// Why the running update will fail.
    pub(super) fails: Option<(String, String)>,
}

/// An insight that somebody seeded, under `SCOPE/CLUSTER/NAME` in the table `insight`.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct InsightRecord {
    pub(super) name: String,
    /// `UPGRADE_READINESS` or `ROLLBACK_READINESS`.
    pub(super) category: String,
    /// The Kubernetes version that it is about; empty for all.
    pub(super) version: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) recommendation: String,
    pub(super) resources: Vec<String>,
}

/// An add-on, under `SCOPE/CLUSTER/NAME` in the table `addon`.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct AddonRecord {
    pub(super) arn: String,
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) version: String,
    pub(super) configuration: String,
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) pod_identity: BTreeSet<PodIdentity>,
    #[serde(default)]
    pub(super) modified: Option<Timestamp>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) issues: Vec<(String, String)>,
    /// Of the newest operation.
    pub(super) token: String,
    pub(super) update: String,
    /// What a running operation leads to.
    pub(super) next: Option<Next>,
}

/// What a running operation leads to.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Next {
    version: String,
    configuration: String,
    role: Option<String>,
    #[serde(default)]
    pod_identity: Option<BTreeSet<PodIdentity>>,
    fails: Option<(String, String)>,
}

impl AddonRecord {
    fn told(&self) -> Addon {
        // An association's id is made of what it is of, so that it can be found again by it.
        let association = |pod: &PodIdentity| {
            let cluster = self.arn.replace(":addon/", ":podidentityassociation/");
            let root = cluster.split(&format!("/{}/", self.name)).next().unwrap_or_default().to_owned();
            format!("{root}/a-{}", association_id(&self.name, &pod.service_account))
        };
        Addon {
            name: self.name.clone(),
            cluster: self.cluster.clone(),
            arn: self.arn.clone(),
            status: self.status.clone(),
            version: self.version.clone(),
            configuration: self.configuration.clone(),
            service_account_role_arn: self.role.clone(),
            pod_identity_associations: self.pod_identity.iter().map(association).collect(),
            tags: self.tags.clone(),
            issues: self.issues.clone(),
            modified: self.modified,
        }
    }
}

fn association_id(addon: &str, service_account: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(format!("{addon}\n{service_account}")).into();
    uuid(&hash).replace('-', "")[..17].to_owned()
}

/// The service in one account and region.
pub(super) struct Clusters {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) scope: Scope,
}

impl Clusters {
    fn addon_key(&self, cluster: &str, addon: &str) -> String {
        self.scope.key(&format!("{cluster}/{addon}"))
    }

    fn cluster(&self, tx: &Tx<'_>, operation: &str, name: &str) -> Outcome<ClusterRecord> {
        tx.get("cluster", &self.scope.key(name)).ok_or_else(|| {
            Failure::new(Class::NotFound, operation, name, format!("No cluster found for name: {name}."))
        })
    }

    fn check(&self, tx: &Tx<'_>, operation: &str, request: &AddonRequest) -> Outcome<()> {
        let fail = |class, message: String| {
            Err(Failure::new(class, operation, format!("{}/{}", request.cluster, request.addon), message))
        };
        let found = self.cluster(tx, operation, &request.cluster)?;
        if found.status != "ACTIVE" {
            let message = format!("Cluster '{}' is not in a valid state: {}", found.name, found.status);
            return fail(Class::Conflict, message);
        }
        if !versions::exists(&request.addon) {
            return fail(Class::Invalid, format!("Addon {} specified is not supported", request.addon));
        }
        let offered = versions::versions(&request.addon, &found.version);
        if !request.version.is_empty() && !offered.iter().any(|v| v.version == request.version) {
            return fail(
                Class::Invalid,
                format!(
                    "Addon version specified is not supported: {} on Kubernetes {}",
                    request.version, found.version
                ),
            );
        }
        if request.configuration.is_empty() {
            return Ok(());
        }
        let Ok(configuration @ Json::Object(_)) = serde_json::from_str::<Json>(&request.configuration) else {
            return fail(
                Class::Invalid,
                "ConfigurationValue provided in request is not supported: it is no JSON object".to_owned(),
            );
        };
        match addon_schema::violation(&request.addon, &configuration) {
            Some(why) => fail(
                Class::Invalid,
                format!(
                    "ConfigurationValue provided in request is not supported: Json schema validation failed with error: [{why}]"
                ),
            ),
            None => Ok(()),
        }
    }

    fn version(&self, tx: &Tx<'_>, request: &AddonRequest) -> String {
        if !request.version.is_empty() {
            return request.version.clone();
        }
        let kubernetes = tx.get::<ClusterRecord>("cluster", &self.scope.key(&request.cluster)).map(|c| c.version);
        versions::default_version(&request.addon, &kubernetes.unwrap_or_default()).unwrap_or_default()
    }
}

/// What a half-way fault makes of an add-on's operation.
fn commanded(tx: &mut Tx<'_>, request: &AddonRequest) -> Option<(String, String)> {
    let how = tx.take_halfway()?;
    Some(match (how.reason, request.resolve_conflicts) {
        (Some(reason), _) => ("InternalFailure".to_owned(), reason),
        (None, ResolveConflicts::Overwrite) => (
            "InsufficientNumberOfReplicas".to_owned(),
            "The add-on is unhealthy because it doesn't have the desired number of replicas.".to_owned(),
        ),
        (None, _) => (
            "ConfigurationConflict".to_owned(),
            format!(
                "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts: DaemonSet.apps {} - .spec.template.spec.containers",
                request.addon
            ),
        ),
    })
}

#[async_trait::async_trait]
impl Eks for Clusters {
    async fn describe_cluster(&self, name: &str) -> Outcome<Option<Cluster>> {
        let read = |tx: &mut Tx<'_>| {
            Ok(tx.get::<ClusterRecord>("cluster", &self.scope.key(name)).map(|found| {
                // The endpoint is there only once the control plane is.
                let up = found.status != "CREATING";
                let when = |text: String| if up { text } else { String::new() };
                Cluster {
                    name: found.name,
                    arn: found.arn,
                    status: found.status,
                    version: found.version,
                    endpoint: when(found.endpoint),
                    certificate_authority: when(found.certificate_authority),
                }
            }))
        };
        self.sandbox.call("eks:DescribeCluster", name, read).await
    }

    async fn describe_addon(&self, cluster: &str, addon: &str) -> Outcome<Option<Addon>> {
        let operation = "eks:DescribeAddon";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            Ok(tx.get::<AddonRecord>("addon", &self.addon_key(cluster, addon)).map(|found| found.told()))
        };
        self.sandbox.call(operation, &format!("{cluster}/{addon}"), read).await
    }

    async fn list_addons(&self, cluster: &str) -> Outcome<Vec<String>> {
        let operation = "eks:ListAddons";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            let found = tx.scan::<AddonRecord>("addon", &self.addon_key(cluster, ""));
            Ok(found.into_iter().map(|(_, addon)| addon.name).collect())
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn create_addon(&self, request: &AddonRequest, token: &str) -> Outcome<Addon> {
        let operation = "eks:CreateAddon";
        let (cluster, addon) = (&request.cluster, &request.addon);
        let subject = format!("{cluster}/{addon}");
        let create = |tx: &mut Tx<'_>| {
            let key = self.addon_key(cluster, addon);
            if let Some(found) = tx.get::<AddonRecord>("addon", &key) {
                if found.token == token {
                    return Ok(found.told());
                }
                return Err(Failure::new(Class::AlreadyExists, operation, &subject, "Addon already exists."));
            }
            self.check(tx, operation, request)?;
            let version = self.version(tx, request);
            let count = tx.random();
            let hash: [u8; 32] = Sha256::digest(format!("{key}\n{count}")).into();
            let Scope { account, region } = &self.scope;
            let partition = crate::cfn::partition_of(region);
            let fails = commanded(tx, request);
            let record = AddonRecord {
                arn: format!("arn:{partition}:eks:{region}:{account}:addon/{cluster}/{addon}/{}", uuid(&hash)),
                cluster: cluster.clone(),
                name: addon.clone(),
                status: "CREATING".to_owned(),
                version: version.clone(),
                configuration: request.configuration.clone(),
                role: request.service_account_role_arn.clone(),
                pod_identity: request.pod_identity.clone().unwrap_or_default(),
                modified: Some(tx.now()),
                tags: request.tags.clone(),
                token: token.to_owned(),
                next: Some(Next {
                    version,
                    configuration: request.configuration.clone(),
                    role: request.service_account_role_arn.clone(),
                    pod_identity: request.pod_identity.clone(),
                    fails,
                }),
                ..AddonRecord::default()
            };
            tx.put("addon", &key, &record);
            tx.schedule(Duration::from_secs(45), "addon", &key);
            Ok(record.told())
        };
        self.sandbox.call(operation, &subject, create).await
    }

    async fn update_addon(&self, request: &AddonRequest, token: &str) -> Outcome<String> {
        let operation = "eks:UpdateAddon";
        let subject = format!("{}/{}", request.cluster, request.addon);
        let update = |tx: &mut Tx<'_>| {
            let key = self.addon_key(&request.cluster, &request.addon);
            let fail = |class, message: String| Failure::new(class, operation, &subject, message);
            self.cluster(tx, operation, &request.cluster)?;
            let mut record = tx.get::<AddonRecord>("addon", &key).ok_or_else(|| {
                let (addon, cluster) = (&request.addon, &request.cluster);
                fail(Class::NotFound, format!("No addon: {addon} found in cluster: {cluster}"))
            })?;
            if record.token == token && !record.update.is_empty() {
                return Ok(record.update.clone());
            }
            if ["CREATING", "UPDATING", "DELETING"].contains(&record.status.as_str()) {
                let status = &record.status;
                return Err(fail(
                    Class::Conflict,
                    format!("Cannot update addon, as it is currently in {status} status"),
                ));
            }
            self.check(tx, operation, request)?;
            token.clone_into(&mut record.token);
            "UPDATING".clone_into(&mut record.status);
            record.issues.clear();
            record.modified = Some(tx.now());
            let fails = commanded(tx, request);
            let version = if request.version.is_empty() { record.version.clone() } else { request.version.clone() };
            let of = UpdateOf { nodegroup: None, addon: Some(&request.addon) };
            let params = [("AddonVersion", version.as_str()), ("ConfigurationValues", &request.configuration)];
            record.update = updates::begin(tx, &self.scope.key(&request.cluster), of, "AddonUpdate", &params, token).1;
            record.next = Some(Next {
                version,
                configuration: request.configuration.clone(),
                role: request.service_account_role_arn.clone(),
                pod_identity: request.pod_identity.clone(),
                fails,
            });
            tx.put("addon", &key, &record);
            tx.schedule(Duration::from_secs(40), "addon", &key);
            Ok(record.update)
        };
        self.sandbox.call(operation, &subject, update).await
    }

    async fn delete_addon(&self, cluster: &str, addon: &str, preserve: bool) -> Outcome<()> {
        let operation = "eks:DeleteAddon";
        let subject = format!("{cluster}/{addon}");
        let delete = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            let key = self.addon_key(cluster, addon);
            let mut record = tx.get::<AddonRecord>("addon", &key).ok_or_else(|| {
                let message = format!("No addon: {addon} found in cluster: {cluster}");
                Failure::new(Class::NotFound, operation, &subject, message)
            })?;
            if record.status == "DELETING" {
                return Ok(());
            }
            "DELETING".clone_into(&mut record.status);
            record.next = tx.take_halfway().map(|how| Next {
                version: String::new(),
                configuration: String::new(),
                role: None,
                pod_identity: None,
                fails: Some((
                    "AddonPermissionFailure".to_owned(),
                    how.reason.unwrap_or_else(|| "The add-on's objects could not be deleted.".to_owned()),
                )),
            });
            tx.put("addon", &key, &record);
            tx.put("addon-preserve", &key, &preserve);
            tx.schedule(Duration::from_secs(20), "addon", &key);
            Ok(())
        };
        self.sandbox.call(operation, &subject, delete).await
    }

    async fn addon_versions(&self, addon: &str, kubernetes_version: &str) -> Outcome<Vec<AddonVersion>> {
        let operation = "eks:DescribeAddonVersions";
        let read = |_: &mut Tx<'_>| {
            if versions::exists(addon) {
                return Ok(versions::versions(addon, kubernetes_version));
            }
            Err(Failure::new(Class::NotFound, operation, addon, format!("No addon found for name: {addon}.")))
        };
        self.sandbox.call(operation, addon, read).await
    }

    async fn addon_configuration_schema(&self, addon: &str, version: &str) -> Outcome<String> {
        let operation = "eks:DescribeAddonConfiguration";
        let read = |_: &mut Tx<'_>| {
            if versions::has(addon, version) {
                return Ok(addon_schema::text(addon));
            }
            let message = format!("No addon version found for name: {addon}, version: {version}");
            Err(Failure::new(Class::NotFound, operation, addon, message))
        };
        self.sandbox.call(operation, addon, read).await
    }

    async fn tag_resource(&self, arn: &str, tags: &BTreeMap<String, String>) -> Outcome<()> {
        self.tags(arn, "eks:TagResource", |own| own.extend(tags.clone())).await
    }

    async fn untag_resource(&self, arn: &str, keys: &[String]) -> Outcome<()> {
        self.tags(arn, "eks:UntagResource", |own| own.retain(|key, _| !keys.contains(key))).await
    }

    async fn pod_identity_association(&self, cluster: &str, association: &str) -> Outcome<Option<PodIdentity>> {
        let operation = "eks:DescribePodIdentityAssociation";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            let wanted = association.rsplit_once("/a-").map_or(association, |(_, id)| id);
            let addons = tx.scan::<AddonRecord>("addon", &self.addon_key(cluster, ""));
            Ok(addons.into_iter().find_map(|(_, addon)| {
                let AddonRecord { name, pod_identity, .. } = addon;
                pod_identity.into_iter().find(|pod| association_id(&name, &pod.service_account) == wanted)
            }))
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn list_insights(
        &self,
        cluster: &str,
        category: InsightCategory,
        kubernetes_version: &str,
    ) -> Outcome<Vec<Insight>> {
        let operation = "eks:ListInsights";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            let found = insights::of(tx, &self.scope.key(cluster), category, kubernetes_version);
            let summary = |i: Insight| Insight { recommendation: String::new(), resources: Vec::new(), ..i };
            Ok(found.into_iter().map(summary).collect())
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn describe_insight(&self, cluster: &str, id: &str) -> Outcome<Insight> {
        let operation = "eks:DescribeInsight";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            insights::find(tx, &self.scope.key(cluster), id).ok_or_else(|| {
                Failure::new(Class::NotFound, operation, cluster, format!("No insight found for id: {id}"))
            })
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn update_cluster_version(
        &self,
        cluster: &str,
        version: &str,
        rollback_timeout_minutes: Option<u32>,
        token: &str,
    ) -> Outcome<String> {
        let operation = "eks:UpdateClusterVersion";
        let update = |tx: &mut Tx<'_>| {
            let fail = |class, message: String| Failure::new(class, operation, cluster, message);
            let key = self.scope.key(cluster);
            let mut record = self.cluster(tx, operation, cluster)?;
            if let Some((_, same)) = updates::all(tx, &key).into_iter().find(|(_, u)| u.token == token) {
                return Ok(same.id);
            }
            if record.status != "ACTIVE" {
                return Err(fail(Class::Conflict, format!("Cluster already has an update in progress: {cluster}")));
            }
            if record.version == version {
                let message = format!("Cluster is already at the desired configuration with version {version}");
                return Err(fail(Class::Invalid, message));
            }
            if rollback_timeout_minutes.is_some_and(|m| !(120..=10_080).contains(&m)) {
                return Err(fail(Class::Invalid, "rollbackConfig.timeoutMinutes must be between 120 and 10080".into()));
            }
            if let Some(why) = updates::refuse_move(tx, &key, &record, version) {
                return Err(fail(Class::Invalid, why));
            }
            record.fails = tx.take_halfway().map(|how| {
                let reason = how.reason.unwrap_or_else(|| "The control plane could not be updated.".to_owned());
                ("Unknown".to_owned(), reason)
            });
            "UPDATING".clone_into(&mut record.status);
            let kind = updates::kind_of_move(&record.version, version);
            tx.put("cluster", &key, &record);
            let (at, id) = updates::begin(tx, &key, UpdateOf::default(), kind, &[("Version", version)], token);
            tx.schedule(Duration::from_secs(420), "eks-update", &at);
            Ok(id)
        };
        self.sandbox.call(operation, cluster, update).await
    }

    async fn list_updates(&self, cluster: &str, of: UpdateOf<'_>) -> Outcome<Vec<String>> {
        let operation = "eks:ListUpdates";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            let found = updates::all(tx, &self.scope.key(cluster)).into_iter();
            Ok(found.filter(|(_, u)| u.is_of(of)).map(|(_, u)| u.id).collect())
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn describe_update(&self, cluster: &str, id: &str, of: UpdateOf<'_>) -> Outcome<EksUpdate> {
        let operation = "eks:DescribeUpdate";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            let mut found = updates::all(tx, &self.scope.key(cluster)).into_iter().map(|(_, u)| u);
            let found = found.find(|u| u.id == id && u.is_of(of));
            found.map(updates::UpdateRecord::told).ok_or_else(|| {
                Failure::new(Class::NotFound, operation, cluster, format!("No update found for ID: {id}"))
            })
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn cancel_update(&self, cluster: &str, id: &str, _token: &str) -> Outcome<()> {
        // The sandbox's clusters have no Auto Mode nodes that go before the control plane.
        let message = format!("Update {id} cannot be cancelled: the control plane has begun to move");
        let refused = |_: &mut Tx<'_>| Err(Failure::new(Class::Invalid, "eks:CancelUpdate", cluster, message));
        self.sandbox.call("eks:CancelUpdate", cluster, refused).await
    }

    async fn list_nodegroups(&self, cluster: &str) -> Outcome<Vec<String>> {
        let operation = "eks:ListNodegroups";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            Ok(updates::nodegroups(tx, &self.scope.key(cluster)).into_iter().map(|g| g.name).collect())
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn describe_nodegroup(&self, cluster: &str, nodegroup: &str) -> Outcome<Option<Nodegroup>> {
        let operation = "eks:DescribeNodegroup";
        let read = |tx: &mut Tx<'_>| {
            self.cluster(tx, operation, cluster)?;
            let found = tx.get::<NodegroupRecord>("eks-nodegroup", &self.addon_key(cluster, nodegroup));
            Ok(found.map(|g| Nodegroup { name: g.name, version: g.version, status: g.status, issues: g.issues }))
        };
        self.sandbox.call(operation, cluster, read).await
    }

    async fn update_nodegroup_version(
        &self,
        cluster: &str,
        nodegroup: &str,
        version: &str,
        token: &str,
    ) -> Outcome<String> {
        let operation = "eks:UpdateNodegroupVersion";
        let subject = format!("{cluster}/{nodegroup}");
        let update = |tx: &mut Tx<'_>| {
            let fail = |class, message: String| Failure::new(class, operation, &subject, message);
            let of = self.scope.key(cluster);
            let plane = self.cluster(tx, operation, cluster)?;
            if let Some((_, same)) = updates::all(tx, &of).into_iter().find(|(_, u)| u.token == token) {
                return Ok(same.id);
            }
            let key = self.addon_key(cluster, nodegroup);
            let mut record = tx
                .get::<NodegroupRecord>("eks-nodegroup", &key)
                .ok_or_else(|| fail(Class::NotFound, format!("No node group found for name: {nodegroup}.")))?;
            if plane.status != "ACTIVE" || !matches!(record.status.as_str(), "ACTIVE" | "DEGRADED") {
                return Err(fail(
                    Class::Conflict,
                    "Nodegroup cannot be updated as it is currently being updated".into(),
                ));
            }
            if let Some(why) = updates::refuse_nodes(&plane.version, version) {
                return Err(fail(Class::Invalid, why));
            }
            record.fails = tx.take_halfway().map(|how| {
                let reason = how.reason.unwrap_or_else(|| "Reached max retries while trying to evict pods".to_owned());
                ("PodEvictionFailure".to_owned(), reason)
            });
            "UPDATING".clone_into(&mut record.status);
            tx.put("eks-nodegroup", &key, &record);
            let which = UpdateOf { nodegroup: Some(nodegroup), addon: None };
            let (at, id) = updates::begin(tx, &of, which, "VersionUpdate", &[("Version", version)], token);
            tx.schedule(Duration::from_secs(150), "eks-update", &at);
            Ok(id)
        };
        self.sandbox.call(operation, &subject, update).await
    }
}

impl Clusters {
    /// Changes the tags of the add-on with this ARN.
    async fn tags(
        &self,
        arn: &str,
        operation: &str,
        change: impl Fn(&mut BTreeMap<String, String>) + Send + Sync,
    ) -> Outcome<()> {
        let edit = |tx: &mut Tx<'_>| {
            let all = tx.scan::<AddonRecord>("addon", &self.scope.key(""));
            let Some((key, mut record)) = all.into_iter().find(|(_, addon)| addon.arn == arn) else {
                return Err(Failure::new(Class::NotFound, operation, arn, "Resource not found."));
            };
            change(&mut record.tags);
            tx.put("addon", &key, &record);
            Ok(())
        };
        self.sandbox.call(operation, arn, edit).await
    }
}

/// An add-on's operation is due.
pub(super) fn finish_addon(tx: &mut Tx<'_>, key: &str) {
    let Some(mut record) = tx.get::<AddonRecord>("addon", key) else { return };
    let Some((scope, _)) = Scope::split(key) else { return };
    let of = scope.key(&record.cluster);
    let next = record.next.take();
    let fails = next.as_ref().and_then(|n| n.fails.clone());
    let end = match (record.status.as_str(), fails.is_some()) {
        ("CREATING", true) => "CREATE_FAILED",
        ("UPDATING", true) => "UPDATE_FAILED",
        ("DELETING", true) => "DELETE_FAILED",
        ("CREATING" | "UPDATING", false) => "ACTIVE",
        ("DELETING", false) => {
            tx.delete("addon", key);
            if tx.get::<bool>("addon-preserve", key) != Some(true) {
                cluster::on_addon_changed(tx, &of, &record.name, None);
            }
            tx.delete("addon-preserve", key);
            return;
        }
        _ => return,
    };
    end.clone_into(&mut record.status);
    updates::end(tx, &of, UpdateOf { nodegroup: None, addon: Some(&record.name) }, fails.as_ref());
    record.issues = fails.into_iter().collect();
    if let (Some(next), "ACTIVE") = (next, end) {
        record.version = next.version;
        record.configuration = next.configuration;
        record.role = next.role;
        record.pod_identity = next.pod_identity.unwrap_or(record.pod_identity);
    }
    tx.put("addon", key, &record);
    if end == "ACTIVE" {
        cluster::on_addon_changed(tx, &of, &record.name, Some(&record.version));
    }
}

/// A cluster is deleted, and its add-ons with it.
pub(super) fn remove_cluster(tx: &mut Tx<'_>, key: &str) {
    tx.delete("cluster", key);
    tx.delete("cluster-up", key);
    tx.delete("eks-updates", key);
    for table in ["addon", "eks-nodegroup", "eks-update", "insight"] {
        for of in tx.keys(table, &format!("{key}/")) {
            tx.delete(table, &of);
        }
    }
    cluster::on_cluster_deleted(tx, key);
}
