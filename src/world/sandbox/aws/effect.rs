//! What resources of stacks do to the rest of the world: names that are taken, clusters, nodes, add-ons, secrets,
//! parameters.

use super::{
    eks::{self, AddonRecord, ClusterRecord},
    engine::Change,
    physical::{self, scalar},
    record::{ResourceRecord, StackRecord},
    secrets::{self, ParameterRecord, SecretRecord},
};
use crate::{
    cfn::ResolvedResource,
    world::sandbox::{Tx, cluster},
};
use serde_json::Value as Json;
use std::time::Duration;

/// Why the service would refuse this resource.
pub(super) fn refuse(
    tx: &Tx<'_>,
    stack: &StackRecord,
    record: &ResourceRecord,
    before: Option<&ResourceRecord>,
    change: Change,
) -> Option<String> {
    if before.is_some_and(|b| b.gone) && change == Change::Update {
        let id = &record.physical;
        return Some(format!("Resource of type '{}' with identifier '{id}' was not found.", record.resource_type));
    }
    let properties = &record.properties;
    if record.resource_type == "AWS::SSM::Parameter" {
        let given = scalar(&properties["Type"]).unwrap_or_default();
        if !["String", "StringList", "SecureString"].contains(&given.as_str()) {
            return Some(format!(
                "1 validation error detected: Value '{given}' at 'type' failed to satisfy constraint: Member must satisfy \
                 enum value set: [SecureString, StringList, String]"
            ));
        }
    }
    let of_cluster = ["AWS::EKS::Nodegroup", "AWS::EKS::Addon", "AWS::EKS::FargateProfile", "AWS::EKS::AccessEntry"];
    if of_cluster.contains(&record.resource_type.as_str()) {
        let name = scalar(&properties["ClusterName"]).unwrap_or_default();
        if !tx.has("cluster", &stack.scope.key(&name)) {
            return Some(format!("No cluster found for name: {name}."));
        }
    }
    if change == Change::Update {
        return None;
    }
    let name = taken_name(stack, record)?;
    let owner: String = tx.get("taken", &name)?;
    let mine = format!("{}|{}", stack.id, record.logical);
    let given = physical::given_name(&record.resource_type, properties).unwrap_or_default();
    if owner == mine && before.is_some_and(|b| b.gone) {
        return None;
    }
    if owner == mine && before.is_some() {
        return Some(format!(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {given} and \
             update the stack again."
        ));
    }
    let owner = owner.split('|').next().unwrap_or_default();
    Some(format!("{given} already exists in stack {owner}"))
}

/// Under which key a name that the template gives is taken; buckets are unique in the world, IAM's names in an account.
fn taken_name(stack: &StackRecord, record: &ResourceRecord) -> Option<String> {
    let name = physical::given_name(&record.resource_type, &record.properties)?;
    let scope = match record.resource_type.as_str() {
        "AWS::S3::Bucket" => String::new(),
        kind if kind.starts_with("AWS::IAM::") => stack.scope.account.clone(),
        // A node group's name is taken within its cluster.
        kind if kind.starts_with("AWS::EKS::") => {
            stack.scope.key(&scalar(&record.properties["ClusterName"]).unwrap_or_default())
        }
        _ => stack.scope.to_string(),
    };
    Some(format!("{scope}|{}|{name}", record.resource_type))
}

/// How long a wait condition waits, since nobody will signal it.
pub(super) fn wait_condition(resource: Option<&ResolvedResource>) -> Option<Duration> {
    let resource = resource.filter(|r| r.resource_type == "AWS::CloudFormation::WaitCondition")?;
    let seconds = resource.properties.get("Timeout").and_then(crate::cfn::Node::scalar)?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A resource begins to be made or updated.
pub(super) fn begin(tx: &mut Tx<'_>, stack: &StackRecord, record: &ResourceRecord, change: Change) {
    if change != Change::Update
        && let Some(name) = taken_name(stack, record)
    {
        tx.put("taken", &name, &format!("{}|{}", stack.id, record.logical));
    }
    if record.resource_type == "AWS::EKS::Cluster" {
        let key = stack.scope.key(&record.physical);
        let former: Option<ClusterRecord> = tx.get("cluster", &key);
        let status = if former.is_some() { "UPDATING" } else { "CREATING" };
        let record = cluster_record(stack, record, status, former.map_or(0, |f| f.nodes));
        tx.put("cluster", &key, &record);
    }
}

fn cluster_record(stack: &StackRecord, record: &ResourceRecord, status: &str, nodes: u32) -> ClusterRecord {
    let thing = stack.thing(record);
    let text = |name: &str| scalar(&thing.attribute(name)).unwrap_or_default();
    ClusterRecord {
        name: record.physical.clone(),
        arn: text("Arn"),
        status: status.to_owned(),
        version: scalar(&record.properties["Version"]).unwrap_or_else(|| "1.34".to_owned()),
        endpoint: text("Endpoint"),
        certificate_authority: text("CertificateAuthorityData"),
        nodes,
    }
}

/// A resource is made, updated or restored.
pub(super) fn done(tx: &mut Tx<'_>, stack: &StackRecord, record: &ResourceRecord) {
    let (scope, properties) = (&stack.scope, &record.properties);
    match record.resource_type.as_str() {
        "AWS::EKS::Cluster" => {
            let key = scope.key(&record.physical);
            let former: Option<ClusterRecord> = tx.get("cluster", &key);
            let known = tx.has("cluster-up", &key);
            let auto = scalar(&properties["ComputeConfig"]["Enabled"]).is_some_and(|v| v == "true");
            let nodes = former.map_or(0, |f| f.nodes).max(if auto { 2 } else { 0 });
            tx.put("cluster", &key, &cluster_record(stack, record, "ACTIVE", nodes));
            if !known {
                tx.put("cluster-up", &key, &true);
                cluster::on_cluster_created(tx, &key, nodes);
            }
        }
        "AWS::EKS::Nodegroup" | "AWS::EKS::FargateProfile" => {
            let count = scalar(&properties["ScalingConfig"]["DesiredSize"]).and_then(|n| n.parse().ok()).unwrap_or(2);
            count_nodes(tx, stack, record, count);
        }
        "AWS::EKS::Addon" => {
            let cluster = scalar(&properties["ClusterName"]).unwrap_or_default();
            let name = scalar(&properties["AddonName"]).unwrap_or_default();
            let key = scope.key(&format!("{cluster}/{name}"));
            let kubernetes = tx.get::<ClusterRecord>("cluster", &scope.key(&cluster)).map(|c| c.version);
            let version = scalar(&properties["AddonVersion"])
                .or_else(|| super::versions::default_version(&name, &kubernetes.unwrap_or_default()))
                .unwrap_or_else(|| "v1.0.0-eksbuild.1".to_owned());
            let addon = AddonRecord {
                arn: scalar(&stack.thing(record).attribute("Arn")).unwrap_or_default(),
                cluster: cluster.clone(),
                name: name.clone(),
                status: "ACTIVE".to_owned(),
                version: version.clone(),
                configuration: scalar(&properties["ConfigurationValues"]).unwrap_or_default(),
                role: scalar(&properties["ServiceAccountRoleArn"]),
                ..AddonRecord::default()
            };
            tx.put("addon", &key, &addon);
            cluster::on_addon_changed(tx, &scope.key(&cluster), &name, Some(&version));
        }
        "AWS::SecretsManager::Secret" => {
            let key = scope.key(&secret_name(record));
            let former: Option<SecretRecord> = tx.get("secret", &key);
            let generated = properties["SecretString"].is_null();
            let value = match former.as_ref().filter(|f| generated && f.arn == record.physical) {
                Some(former) => former.value.clone(),
                None => secrets::value_of(tx, &record.physical, properties),
            };
            let version = former.map_or(1, |f| if f.value == value { f.version } else { f.version + 1 });
            tx.put("secret", &key, &SecretRecord { arn: record.physical.clone(), value, version });
        }
        "AWS::SSM::Parameter" => {
            let key = scope.key(&record.physical);
            let version = tx.get::<ParameterRecord>("parameter", &key).map_or(1, |p| p.version + 1);
            let value = scalar(&properties["Value"]).unwrap_or_default();
            let secure = properties["Type"] == "SecureString";
            tx.put("parameter", &key, &ParameterRecord { value, secure, version });
        }
        _ => {}
    }
}

fn secret_name(record: &ResourceRecord) -> String {
    let tail = record.physical.split(":secret:").nth(1).unwrap_or(&record.physical);
    tail.rsplit_once('-').map_or(tail, |(name, _)| name).to_owned()
}

fn count_nodes(tx: &mut Tx<'_>, stack: &StackRecord, record: &ResourceRecord, count: u32) {
    let key = stack.scope.key(&scalar(&record.properties["ClusterName"]).unwrap_or_default());
    let group = format!("{key}|{}|{}", stack.id, record.physical);
    if count == 0 {
        tx.delete("nodegroup", &group);
    } else {
        tx.put("nodegroup", &group, &count);
    }
    let nodes: u32 = tx.scan::<u32>("nodegroup", &format!("{key}|")).into_iter().map(|(_, n)| n).sum();
    if let Some(mut cluster) = tx.get::<ClusterRecord>("cluster", &key) {
        cluster.nodes = nodes;
        tx.put("cluster", &key, &cluster);
        cluster::on_nodes_changed(tx, &key, nodes);
    }
}

/// A physical thing is deleted.
pub(super) fn deleted(tx: &mut Tx<'_>, stack: &StackRecord, record: &ResourceRecord) {
    let scope = &stack.scope;
    if let Some(name) = taken_name(stack, record)
        && tx.get::<String>("taken", &name) == Some(format!("{}|{}", stack.id, record.logical))
    {
        tx.delete("taken", &name);
    }
    match record.resource_type.as_str() {
        "AWS::EKS::Cluster" => eks::remove_cluster(tx, &scope.key(&record.physical)),
        "AWS::EKS::Nodegroup" | "AWS::EKS::FargateProfile" => count_nodes(tx, stack, record, 0),
        "AWS::EKS::Addon" => {
            let text = |property: &str| scalar(&record.properties[property]).unwrap_or_default();
            let (cluster, name) = (text("ClusterName"), text("AddonName"));
            if tx.delete("addon", &scope.key(&format!("{cluster}/{name}"))) {
                cluster::on_addon_changed(tx, &scope.key(&cluster), &name, None);
            }
        }
        "AWS::SecretsManager::Secret" => {
            let key = scope.key(&secret_name(record));
            if tx.get::<SecretRecord>("secret", &key).is_some_and(|s| s.arn == record.physical) {
                tx.delete("secret", &key);
            }
        }
        "AWS::SSM::Parameter" => {
            tx.delete("parameter", &scope.key(&record.physical));
        }
        _ => {}
    }
}

/// The properties of a resource as they are now.
pub(super) fn live(record: &ResourceRecord) -> &Json {
    record.live.as_ref().unwrap_or(&record.properties)
}
