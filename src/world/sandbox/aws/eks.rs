//! EKS: clusters that stacks made, and their add-ons.

use super::{Scope, physical::uuid, versions};
use crate::world::{
    Addon, AddonRequest, AddonVersion, Class, Cluster, Eks, Failure, Outcome, ResolveConflicts,
    sandbox::{Sandbox, Tx, cluster},
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

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
    fails: Option<(String, String)>,
}

impl AddonRecord {
    fn told(&self) -> Addon {
        Addon {
            name: self.name.clone(),
            cluster: self.cluster.clone(),
            arn: self.arn.clone(),
            status: self.status.clone(),
            version: self.version.clone(),
            configuration: self.configuration.clone(),
            service_account_role_arn: self.role.clone(),
            tags: self.tags.clone(),
            issues: self.issues.clone(),
        }
    }
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
        if !request.configuration.is_empty()
            && !matches!(serde_json::from_str::<Json>(&request.configuration), Ok(Json::Object(_)))
        {
            return fail(
                Class::Invalid,
                "ConfigurationValue provided in request is not supported: it is no JSON object".to_owned(),
            );
        }
        Ok(())
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
                tags: request.tags.clone(),
                token: token.to_owned(),
                next: Some(Next {
                    version,
                    configuration: request.configuration.clone(),
                    role: request.service_account_role_arn.clone(),
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
            let hash: [u8; 32] = Sha256::digest(format!("{key}\n{token}")).into();
            record.update = uuid(&hash);
            token.clone_into(&mut record.token);
            "UPDATING".clone_into(&mut record.status);
            record.issues.clear();
            let fails = commanded(tx, request);
            let version = if request.version.is_empty() { record.version.clone() } else { request.version.clone() };
            record.next = Some(Next {
                version,
                configuration: request.configuration.clone(),
                role: request.service_account_role_arn.clone(),
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
                return Ok(schema(addon));
            }
            let message = format!("No addon version found for name: {addon}, version: {version}");
            Err(Failure::new(Class::NotFound, operation, addon, message))
        };
        self.sandbox.call(operation, addon, read).await
    }
}

/// An open schema with the settings that all add-ons of pods have.
fn schema(addon: &str) -> String {
    let object = serde_json::json!({"type": "object"});
    let number = serde_json::json!({"type": "integer"});
    let list = serde_json::json!({"type": "array"});
    serde_json::json!({
        "$schema": "http://json-schema.org/draft-06/schema#",
        "title": addon,
        "type": "object",
        "additionalProperties": true,
        "properties": {
            "affinity": object, "env": object, "nodeSelector": object, "podAnnotations": object, "podLabels": object,
            "replicaCount": number, "resources": object, "tolerations": list,
        },
    })
    .to_string()
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
    record.issues = fails.into_iter().collect();
    if let (Some(next), "ACTIVE") = (next, end) {
        record.version = next.version;
        record.configuration = next.configuration;
        record.role = next.role;
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
    for addon in tx.keys("addon", &format!("{key}/")) {
        tx.delete("addon", &addon);
    }
    cluster::on_cluster_deleted(tx, key);
}
