//! What a thing holds that has a price or takes room on nodes: the resources of its templates, and the workloads of its objects, each
//! with no more of its properties than is reckoned with.
//!
//! A plan keeps this of both sides of every thing, so that whoever reviews it needs neither world nor files. Prices and nodes are
//! `review`'s. What is not known stands as its form, as in [`Matter`].

use super::{
    images::{named, pod_template},
    matter::Matter,
};
use serde_json::{Map, Value as Json, json};

/// A part of a thing, with what is reckoned with of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holding {
    /// Its name: a logical id, `Deployment shop/web`.
    pub name: String,
    /// Its type: `AWS::EKS::Nodegroup`, `Deployment`, `eks_addon`.
    pub kind: String,
    /// Those of its properties that its price or its room hangs on.
    #[serde(skip_serializing_if = "Json::is_null", default)]
    pub properties: Json,
    /// True where it stays when what holds it goes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub retained: bool,
}

/// One side of a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// Its parts, in the order of the template or chart.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<Holding>,
    /// Why it is not known what it holds, where it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unknown: Option<String>,
}

/// What a thing holds before a plan is applied, and after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holdings {
    /// Before; the same as after where it is absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    before: Option<Held>,
    /// After.
    #[serde(skip_serializing_if = "Held::is_empty", default)]
    after: Held,
}

impl Held {
    /// These parts.
    #[must_use]
    pub const fn of(parts: Vec<Holding>) -> Self {
        Self { parts, unknown: None }
    }

    /// Nobody knows what.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { parts: Vec::new(), unknown: Some(why.into()) }
    }

    /// True where there is nothing, and that is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.unknown.is_none()
    }

    /// What rules look at, as it is reckoned with.
    #[must_use]
    pub fn of_matters<'m>(matters: impl IntoIterator<Item = &'m Matter>) -> Self {
        let mut parts = Vec::new();
        for matter in matters {
            match matter {
                Matter::Template { document, .. } => parts.extend(of_template(document)),
                Matter::Objects(objects) => parts.extend(of_objects(objects)),
            }
        }
        Self::of(parts)
    }
}

impl Holdings {
    /// Both sides. What the former one held and what stays whatever becomes of it is there afterwards, too.
    #[must_use]
    pub fn new(before: Held, mut after: Held) -> Self {
        let stays = |part: &&Holding| part.retained && !after.parts.iter().any(|other| other.name == part.name);
        let kept: Vec<Holding> = before.parts.iter().filter(stays).cloned().collect();
        after.parts.extend(kept);
        if before == after { Self { before: None, after } } else { Self { before: Some(before), after } }
    }

    /// Before.
    #[must_use]
    pub const fn before(&self) -> &Held {
        match &self.before {
            Some(before) => before,
            None => &self.after,
        }
    }

    /// After.
    #[must_use]
    pub const fn after(&self) -> &Held {
        &self.after
    }

    /// True where it holds nothing on either side.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.before.is_none() && self.after.is_empty()
    }
}

/// The properties that prices hang on, by type. Of other types it is enough that they are there. `A/B` is a property within another.
const PRICED_BY: &[(&str, &[&str])] = &[
    ("AWS::AutoScaling::AutoScalingGroup", &["DesiredCapacity", "MinSize", "LaunchTemplate", "MixedInstancesPolicy"]),
    ("AWS::DynamoDB::Table", &["BillingMode"]),
    ("AWS::EC2::Instance", &["InstanceType", "BlockDeviceMappings", "LaunchTemplate"]),
    ("AWS::EC2::LaunchTemplate", &["LaunchTemplateData/InstanceType", "LaunchTemplateData/BlockDeviceMappings"]),
    ("AWS::EC2::NatGateway", &["ConnectivityType"]),
    ("AWS::EC2::VPCEndpoint", &["VpcEndpointType", "SubnetIds"]),
    ("AWS::EC2::Volume", &["Size", "VolumeType", "Iops", "Throughput"]),
    ("AWS::ECS::Service", &["DesiredCount", "LaunchType", "TaskDefinition"]),
    ("AWS::ECS::TaskDefinition", &["Cpu", "Memory", "RequiresCompatibilities"]),
    (
        "AWS::EKS::Nodegroup",
        &["AmiType", "CapacityType", "DiskSize", "InstanceTypes", "LaunchTemplate", "ScalingConfig"],
    ),
    ("AWS::ElastiCache::CacheCluster", &["CacheNodeType", "Engine", "NumCacheNodes"]),
    (
        "AWS::ElastiCache::ReplicationGroup",
        &["CacheNodeType", "Engine", "NumCacheClusters", "NumNodeGroups", "ReplicasPerNodeGroup"],
    ),
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", &["Type"]),
    (
        "AWS::RDS::DBInstance",
        &["AllocatedStorage", "DBClusterIdentifier", "DBInstanceClass", "Engine", "Iops", "MultiAZ", "StorageType"],
    ),
    ("AWS::SSM::Parameter", &["Tier"]),
];

/// The resources of a template whose parameters and functions are worked out.
#[must_use]
pub fn of_template(document: &Json) -> Vec<Holding> {
    let resources = document["Resources"].as_object().into_iter().flatten();
    let holding = |(id, resource): (&String, &Json)| {
        let kind = resource["Type"].as_str().unwrap_or_default();
        let wanted = PRICED_BY.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, wanted)| wanted);
        let mut properties = Map::new();
        for path in wanted {
            let found = path.split('/').fold(&resource["Properties"], |value, step| &value[step]);
            if !found.is_null() {
                properties.insert((*path).to_owned(), found.clone());
            }
        }
        Holding {
            name: id.clone(),
            kind: kind.to_owned(),
            properties: if properties.is_empty() { Json::Null } else { Json::Object(properties) },
            retained: resource["DeletionPolicy"].as_str().is_some_and(|policy| policy.starts_with("Retain")),
        }
    };
    resources.map(holding).collect()
}

/// What objects hold: workloads with what their pods ask for, claims, and what controllers make load balancers of.
#[must_use]
pub fn of_objects<'o>(objects: impl IntoIterator<Item = &'o Json>) -> Vec<Holding> {
    let mut found = Vec::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        if let Some(items) = object["items"].as_array().filter(|_| kind.ends_with("List")) {
            found.extend(of_objects(items));
        } else if let Some(properties) = of_object(kind, object) {
            let (name, retained) = (named(object), kind == "PersistentVolumeClaim" && keeps(object));
            found.push(Holding { name, kind: kind.to_owned(), properties, retained });
        }
    }
    found
}

/// Whether Helm leaves an object where it is. Source: "Tell Helm Not To Uninstall a Resource".
fn keeps(object: &Json) -> bool {
    object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
}

fn of_object(kind: &str, object: &Json) -> Option<Json> {
    let spec = &object["spec"];
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Rollout" | "Pod" => workload(kind, object),
        "HorizontalPodAutoscaler" => {
            let target = &spec["scaleTargetRef"];
            let of = json!({ "kind": target["kind"], "metadata": {
                "namespace": object["metadata"]["namespace"], "name": target["name"] } });
            Some(json!({ "target": named(&of), "min": spec["minReplicas"] }))
        }
        "PersistentVolumeClaim" => Some(claim(spec)),
        "StorageClass" => Some(json!({ "name": object["metadata"]["name"], "type": object["parameters"]["type"] })),
        "Namespace" => injects(&object["metadata"]["labels"]).then(|| json!({ "injects": true })),
        "Service" if spec["type"] == "LoadBalancer" => Some(json!({ "balancer": balancer(object) })),
        "Ingress" => {
            let notes = &object["metadata"]["annotations"];
            let class = [&spec["ingressClassName"], &notes["kubernetes.io/ingress.class"]];
            let is_alb = class.iter().any(|class| *class == "alb");
            is_alb.then(|| json!({ "group": notes["alb.ingress.kubernetes.io/group.name"] }))
        }
        _ => None,
    }
}

/// Whether a mesh puts a proxy beside every pod of a namespace. Source: "Installing the Sidecar" of Istio's documentation.
fn injects(labels: &Json) -> bool {
    labels["istio-injection"] == "enabled" || labels["istio.io/rev"].is_string() && labels["istio-injection"].is_null()
}

/// Which load balancer a Service gets. Source: the annotations of the AWS Load Balancer Controller; without any of them the
/// provider in the cluster makes a classic one.
fn balancer(object: &Json) -> &'static str {
    let kind = &object["metadata"]["annotations"]["service.beta.kubernetes.io/aws-load-balancer-type"];
    let by_class = object["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb";
    let by_kind = kind.as_str().is_some_and(|kind| kind.starts_with("nlb") || kind == "external");
    if by_class || by_kind { "nlb" } else { "classic" }
}

fn claim(spec: &Json) -> Json {
    json!({ "storage": spec["resources"]["requests"]["storage"], "class": spec["storageClassName"] })
}

/// How often its pods run, and what each asks for. A limit without a request is one, as the API server has it.
fn workload(kind: &str, object: &Json) -> Option<Json> {
    let template = pod_template(kind, object);
    let spec = &template["spec"];
    let each = |list: &str, first: bool| -> Vec<Json> {
        let of = |container: &Json| {
            let asks = |what: &str| {
                let (request, limit) =
                    (&container["resources"]["requests"][what], &container["resources"]["limits"][what]);
                if request.is_null() { limit.clone() } else { request.clone() }
            };
            let mut asked = json!({ "cpu": asks("cpu"), "memory": asks("memory") });
            // What comes first and goes on beside the others is one of them.
            if first && container["restartPolicy"] != "Always" {
                asked["first"] = true.into();
            }
            asked
        };
        spec[list].as_array().into_iter().flatten().map(of).collect()
    };
    let mut containers = each("containers", false);
    if containers.is_empty() && kind != "Pod" {
        return None;
    }
    containers.extend(each("initContainers", true));
    let mut found = json!({ "containers": containers, "namespace": object["metadata"]["namespace"] });
    if !matches!(kind, "DaemonSet" | "Pod") {
        found["replicas"] = object["spec"]["replicas"].clone();
    }
    let said = |place: &str| template["metadata"][place]["sidecar.istio.io/inject"].clone();
    let asked = [said("labels"), said("annotations")].into_iter().find(|said| !said.is_null());
    // A gateway is a proxy itself, and gets none beside it. Source: "Installing Gateways" of Istio's documentation.
    let is_gateway = template["metadata"]["annotations"]["inject.istio.io/templates"] == "gateway";
    let asked = if is_gateway { Some(false.into()) } else { asked };
    if let Some(asked) = asked {
        found["inject"] = asked;
    }
    let claims: Vec<Json> =
        object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten().map(|c| claim(&c["spec"])).collect();
    if !claims.is_empty() {
        found["claims"] = claims.into();
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_resource_only_what_its_price_hangs_on_is_kept() {
        let document = json!({ "Resources": {
            "Nodes": { "Type": "AWS::EC2::LaunchTemplate", "Properties": {
                "LaunchTemplateData": { "InstanceType": "t3a.xlarge", "UserData": "secret" } } },
            "Role": { "Type": "AWS::IAM::Role", "Properties": { "RoleName": "a" }, "DeletionPolicy": "Retain" },
        } });
        let found = of_template(&document);
        assert_eq!(found[0].properties, json!({ "LaunchTemplateData/InstanceType": "t3a.xlarge" }));
        assert_eq!((found[1].properties.clone(), found[1].retained), (Json::Null, true));
    }

    #[test]
    fn a_workload_is_its_replicas_and_what_its_pods_ask_for() {
        let object = json!({ "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" }, "spec": {
            "replicas": 2,
            "template": { "metadata": { "labels": { "sidecar.istio.io/inject": "false" } }, "spec": {
                "containers": [
                    { "resources": { "requests": { "cpu": "100m" }, "limits": { "cpu": "1", "memory": "1Gi" } } },
                    { "image": "b" } ],
                "initContainers": [
                    { "resources": { "requests": { "cpu": "2" } } },
                    { "restartPolicy": "Always", "resources": { "requests": { "cpu": "5m" } } } ] } } } });
        let found = of_objects([&object]);
        assert_eq!(
            found,
            [Holding {
                name: "Deployment shop/web".to_owned(),
                kind: "Deployment".to_owned(),
                properties: json!({ "containers": [
                        { "cpu": "100m", "memory": "1Gi" }, { "cpu": null, "memory": null },
                        { "cpu": "2", "memory": null, "first": true }, { "cpu": "5m", "memory": null } ],
                    "namespace": "shop", "replicas": 2, "inject": "false" }),
                retained: false,
            }]
        );
    }

    #[test]
    fn a_gateway_of_a_mesh_gets_no_proxy_beside_it() {
        let object = json!({ "kind": "Deployment", "metadata": { "name": "gateway" }, "spec": { "template": {
            "metadata": { "labels": { "sidecar.istio.io/inject": "true" },
                "annotations": { "inject.istio.io/templates": "gateway" } },
            "spec": { "containers": [{ "image": "auto" }] } } } });
        assert_eq!(of_objects([&object])[0].properties["inject"], false);
    }

    #[test]
    fn load_balancers_that_controllers_make_are_found_and_others_are_not() {
        let object = |kind: &str, spec: &Json, notes: &Json| json!({ "kind": kind, "metadata": { "name": "a", "annotations": notes }, "spec": spec });
        for (object, found) in [
            (object("Service", &json!({ "type": "ClusterIP" }), &json!({})), None),
            (object("Service", &json!({ "type": "LoadBalancer" }), &json!({})), Some(json!({ "balancer": "classic" }))),
            (
                object(
                    "Service",
                    &json!({ "type": "LoadBalancer" }),
                    &json!({ "service.beta.kubernetes.io/aws-load-balancer-type": "external" }),
                ),
                Some(json!({ "balancer": "nlb" })),
            ),
            (object("Ingress", &json!({ "ingressClassName": "nginx" }), &json!({})), None),
            (object("Ingress", &json!({ "ingressClassName": "alb" }), &json!({})), Some(json!({ "group": null }))),
        ] {
            assert_eq!(of_objects([&object]).first().map(|holding| holding.properties.clone()), found, "{object}");
        }
    }

    #[test]
    fn what_stays_when_it_goes_is_there_afterwards_and_two_sides_that_are_one_are_kept_once() {
        let part = |name: &str, retained| Holding {
            name: name.to_owned(),
            kind: "AWS::S3::Bucket".to_owned(),
            properties: Json::Null,
            retained,
        };
        let both = Held::of(vec![part("a", true), part("b", false)]);
        let gone = Holdings::new(both.clone(), Held::default());
        assert_eq!((gone.before(), gone.after()), (&both, &Held::of(vec![part("a", true)])));
        let same = Holdings::new(both.clone(), both.clone());
        assert_eq!((same.before(), same.before.is_none()), (&both, true));
        assert!(Holdings::default().is_empty() && Holdings::new(Held::default(), Held::default()).is_empty());
    }
}
