//! What resources of stacks do to the rest of the world: names that are taken, clusters, nodes, add-ons, secrets,
//! parameters.

use super::{
    eks::{self, AddonRecord, ClusterRecord},
    engine::Change,
    load_balancers,
    physical::{self, scalar},
    record::{ResourceRecord, StackRecord},
    secrets::{self, ParameterRecord, SecretRecord},
    updates,
};
use crate::{
    cfn::ResolvedResource,
    world::{
        UpdateOf,
        sandbox::{Tx, cluster},
    },
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
    if let Some(why) = refuse_version(tx, stack, record, change) {
        return Some(why);
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
    Some(match owner.split('|').next().unwrap_or_default() {
        "" => format!("{given} already exists"),
        owner => format!("{given} already exists in stack {owner}"),
    })
}

/// Why EKS would not give a cluster or its nodes this version.
fn refuse_version(tx: &Tx<'_>, stack: &StackRecord, record: &ResourceRecord, change: Change) -> Option<String> {
    let wanted = scalar(&record.properties["Version"])?;
    match record.resource_type.as_str() {
        "AWS::EKS::Cluster" if change == Change::Update => {
            let key = stack.scope.key(&record.physical);
            let former: ClusterRecord = tx.get("cluster", &key)?;
            if former.declared == wanted {
                return None;
            }
            let why = updates::refuse_move(tx, &key, &former, &wanted)?;
            Some(format!("Resource handler returned message: \"{why} (Service: Eks, Status Code: 400)\""))
        }
        "AWS::EKS::Nodegroup" => {
            let cluster = scalar(&record.properties["ClusterName"]).unwrap_or_default();
            let plane: ClusterRecord = tx.get("cluster", &stack.scope.key(&cluster))?;
            updates::refuse_nodes(&plane.version, &wanted)
        }
        _ => None,
    }
}

/// Under which key a name that the template gives is taken; buckets are unique in the world, IAM's names in an account.
pub(super) fn taken_name(stack: &StackRecord, record: &ResourceRecord) -> Option<String> {
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
        if let Some(mut former) = former {
            let wanted = declared_version(record);
            if former.declared != wanted && former.version != wanted {
                let kind = updates::kind_of_move(&former.version, &wanted);
                updates::begin(tx, &key, UpdateOf::default(), kind, &[("Version", &wanted)], "");
            }
            // The control plane has its former version until the update ends.
            "UPDATING".clone_into(&mut former.status);
            tx.put("cluster", &key, &former);
        } else {
            tx.put("cluster", &key, &cluster_record(stack, record, "CREATING", None));
        }
    }
}

fn declared_version(record: &ResourceRecord) -> String {
    scalar(&record.properties["Version"]).unwrap_or_else(|| "1.34".to_owned())
}

/// The cluster as its template has it. A version that moved beside the template stays.
fn cluster_record(
    stack: &StackRecord,
    record: &ResourceRecord,
    status: &str,
    former: Option<&ClusterRecord>,
) -> ClusterRecord {
    let thing = stack.thing(record);
    let text = |name: &str| scalar(&thing.attribute(name)).unwrap_or_default();
    let declared = declared_version(record);
    let version = former.filter(|f| f.declared == declared).map_or_else(|| declared.clone(), |f| f.version.clone());
    ClusterRecord {
        name: record.physical.clone(),
        arn: text("Arn"),
        status: status.to_owned(),
        version,
        endpoint: text("Endpoint"),
        certificate_authority: text("CertificateAuthorityData"),
        nodes: former.map_or(0, |f| f.nodes),
        declared,
        fails: None,
    }
}

/// A control plane that a stack moves is at its version now, or back at the former one.
fn plane_moved(tx: &mut Tx<'_>, key: &str, former: Option<&ClusterRecord>, now: &ClusterRecord) {
    let open = updates::all(tx, key)
        .into_iter()
        .map(|(_, u)| u)
        .find(|u| u.status == "InProgress" && u.is_of(UpdateOf::default()));
    match open {
        Some(update) if update.params.get("Version") == Some(&now.version) => {
            updates::end(tx, key, UpdateOf::default(), None);
        }
        Some(_) => {
            let why = ("Unknown".to_owned(), "The update was given up.".to_owned());
            updates::end(tx, key, UpdateOf::default(), Some(&why));
        }
        None => {
            if let Some(former) = former.filter(|f| f.version != now.version) {
                let kind = updates::kind_of_move(&former.version, &now.version);
                updates::begin(tx, key, UpdateOf::default(), kind, &[("Version", &now.version)], "");
                updates::end(tx, key, UpdateOf::default(), None);
            }
        }
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
            let mut now = cluster_record(stack, record, "ACTIVE", former.as_ref());
            now.nodes = now.nodes.max(if auto { 2 } else { 0 });
            let nodes = now.nodes;
            tx.put("cluster", &key, &now);
            plane_moved(tx, &key, former.as_ref(), &now);
            if !known {
                tx.put("cluster-up", &key, &true);
                cluster::on_cluster_created(tx, &key, nodes);
            }
        }
        "AWS::EKS::Nodegroup" | "AWS::EKS::FargateProfile" => {
            let count = scalar(&properties["ScalingConfig"]["DesiredSize"]).and_then(|n| n.parse().ok()).unwrap_or(2);
            count_nodes(tx, stack, record, count);
            if record.resource_type == "AWS::EKS::Nodegroup" {
                let cluster = scalar(&properties["ClusterName"]).unwrap_or_default();
                let version = scalar(&properties["Version"]);
                updates::put_nodegroup(tx, scope, &cluster, nodegroup_name(record), version);
            }
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

fn nodegroup_name(record: &ResourceRecord) -> &str {
    record.physical.rsplit('/').next().unwrap_or(&record.physical)
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
        "AWS::ElasticLoadBalancingV2::Listener" => load_balancers::remove_listener(tx, scope, &record.physical),
        "AWS::EKS::Nodegroup" | "AWS::EKS::FargateProfile" => {
            count_nodes(tx, stack, record, 0);
            let cluster = scalar(&record.properties["ClusterName"]).unwrap_or_default();
            tx.delete("eks-nodegroup", &scope.key(&format!("{cluster}/{}", nodegroup_name(record))));
        }
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
