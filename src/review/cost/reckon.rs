//! From a part of a thing to what it costs in a month. Pure; a month has 730 hours, as AWS's own calculator has it.
//!
//! What cannot be told is said to be unpriced, and why: another size than the one that is meant would be a guess.

use super::{
    money::{Money, Price},
    prices::{Hourly, Per, Prices, Single},
};
use crate::kinds::{Holding, NOT_KNOWN};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The hours of a month.
pub const HOURS: u64 = 730;

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// What is paid for: `3 × t3a.xlarge`.
    pub what: String,
    /// A month of it.
    pub monthly: Money,
    /// What was assumed, where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed: Option<String>,
    /// What comes on top by use, and is not reckoned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// Where the price is from, by its name in the price file.
    pub source: String,
}

/// What a part comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reckoned {
    /// What is paid for.
    pub(super) lines: Vec<Line>,
    /// What could not be told, and why.
    pub(super) unpriced: Vec<String>,
    /// What is paid by use, and of which nothing is assumed.
    pub(super) per_use: Vec<String>,
}

/// What parts of a plan have to know of each other.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// The volumes that claims of a storage class get.
    classes: BTreeMap<String, String>,
    /// Groups of ingresses that share a load balancer which was reckoned already.
    groups: BTreeSet<String>,
}

impl Whole {
    /// Of all parts of one side.
    pub(super) fn of<'p>(parts: impl IntoIterator<Item = &'p Holding>) -> Self {
        let class = |part: &Holding| {
            let text = |name: &str| part.properties[name].as_str().map(str::to_owned);
            (part.kind == "StorageClass").then(|| Some((text("name")?, text("type")?)))?
        };
        Self { classes: parts.into_iter().filter_map(class).collect(), groups: BTreeSet::new() }
    }
}

/// What a part costs in a month. `siblings` are the parts that it may refer to.
pub(super) fn reckon(part: &Holding, siblings: &[Holding], prices: &Prices, whole: &mut Whole) -> Reckoned {
    let mut reckoner = Reckoner { part, siblings, prices, found: Reckoned::default() };
    reckoner.part(whole);
    reckoner.found
}

struct Reckoner<'a> {
    part: &'a Holding,
    siblings: &'a [Holding],
    prices: &'a Prices,
    found: Reckoned,
}

impl Reckoner<'_> {
    fn part(&mut self, whole: &mut Whole) {
        match self.part.kind.as_str() {
            "AWS::EKS::Cluster" => self.simple("eks_cluster", "EKS control plane"),
            "AWS::EKS::Nodegroup" => self.node_group(),
            "AWS::AutoScaling::AutoScalingGroup" => self.scaling_group(),
            "AWS::EC2::Instance" => self.instance(),
            "AWS::EC2::Volume" => self.volume(1, &self.part.properties.clone(), "VolumeSize"),
            "AWS::EC2::NatGateway" => self.simple("nat_gateway", "NAT gateway"),
            "AWS::EC2::EIP" => self.simple("public_address", "public IPv4 address"),
            "AWS::EC2::VPCEndpoint" => self.endpoint(),
            "AWS::ElasticLoadBalancing::LoadBalancer" => self.simple("classic_balancer", "classic load balancer"),
            "AWS::ElasticLoadBalancingV2::LoadBalancer" => match self.text("Type").unwrap_or("application") {
                "application" => self.simple("alb", "application load balancer"),
                "network" => self.simple("nlb", "network load balancer"),
                other => self.unpriced(format!("there is no price of a load balancer of the type `{other}`")),
            },
            "AWS::RDS::DBInstance" => self.database(),
            "AWS::ElastiCache::CacheCluster" => {
                let nodes = whole_number(self.property("NumCacheNodes"));
                self.cache(nodes);
            }
            "AWS::ElastiCache::ReplicationGroup" => self.replication_group(),
            "AWS::ECS::Service" => self.service(),
            "AWS::KMS::Key" | "AWS::KMS::ReplicaKey" => self.simple("kms_key", "KMS key"),
            "AWS::SecretsManager::Secret" => self.simple("secret", "secret"),
            "AWS::Logs::LogGroup" => self.simple("log_ingested", "logs"),
            "AWS::CloudWatch::Alarm" => self.simple("alarm", "alarm"),
            "AWS::CloudWatch::Dashboard" => self.simple("dashboard", "dashboard"),
            "AWS::SSM::Parameter" if self.property("Tier").is_string() && self.text("Tier") != Some("Standard") => {
                self.unpriced("there is no price of parameters of this tier");
            }
            "AWS::DynamoDB::Table" if self.text("BillingMode") != Some("PAY_PER_REQUEST") => {
                self.unpriced("there is no price of provisioned capacity");
            }
            "PersistentVolumeClaim" => self.claim(&self.part.properties.clone(), 1, whole),
            "StatefulSet" => {
                let claims = self.property("claims").as_array().cloned().unwrap_or_default();
                let replicas = whole_number(self.property("replicas")).unwrap_or(1);
                for claim in claims {
                    self.claim(&claim, replicas, whole);
                }
            }
            "Service" => match self.text("balancer") {
                Some("nlb") => self.simple("nlb", "network load balancer"),
                _ => self.simple("classic_balancer", "classic load balancer"),
            },
            "Ingress" => {
                let group = self.text("group").map(str::to_owned);
                if group.is_none_or(|group| whole.groups.insert(group)) {
                    self.simple("alb", "application load balancer");
                }
            }
            kind if kind.contains("::") => {
                if let Some(what) = self.prices.use_of(kind) {
                    self.found.per_use.push(what.to_owned());
                } else if !self.prices.is_free(kind) {
                    self.unpriced("the price file says nothing of this type");
                }
            }
            _ => {}
        }
    }

    fn property(&self, name: &str) -> &Json {
        &self.part.properties[name]
    }

    /// A text that is known.
    fn text(&self, name: &str) -> Option<&str> {
        known(self.property(name))
    }

    fn unpriced(&mut self, why: impl Into<String>) {
        self.found.unpriced.push(why.into());
    }

    fn line(&mut self, what: String, monthly: Money, source: &str) {
        self.found.lines.push(Line { what, monthly, assumed: None, beside: None, source: source.to_owned() });
    }

    /// One of something.
    fn simple(&mut self, name: &str, what: &str) {
        self.several(name, 1, what);
    }

    /// So many of something that has a price by its name.
    fn several(&mut self, name: &str, many: u64, what: &str) {
        let Some(Single { price, per, source, beside, assumed, unit }) = self.prices.single(name).cloned() else {
            return self.unpriced(format!("the price file has no `{name}`"));
        };
        let what = if many == 1 { what.to_owned() } else { format!("{many} × {what}") };
        let (each, assumed) = match per {
            Per::Hour => (HOURS, None),
            Per::Month => (1, None),
            Per::Use => match (assumed, unit) {
                (Some(assumed), Some(unit)) => (assumed, Some(format!("{assumed} {unit} a month"))),
                _ => return self.found.per_use.push(what),
            },
        };
        let monthly = price.times(each.saturating_mul(many));
        self.found.lines.push(Line { what, monthly, assumed, beside, source });
    }

    /// So many instances of a type.
    fn instances(&mut self, kind: &str, many: u64) {
        match self.prices.instances.get(kind).cloned() {
            Some(instance) => {
                let what = if many == 1 { kind.to_owned() } else { format!("{many} × {kind}") };
                self.line(what, instance.price.times(HOURS.saturating_mul(many)), &instance.source);
            }
            None => self.unpriced(format!("there is no price of the instance type {kind}")),
        }
    }

    /// The part that a property refers to.
    fn referred(&self, reference: &Json) -> Option<&Holding> {
        let name = reference.as_str()?.strip_prefix("${")?.strip_suffix('}')?;
        let name = name.split('.').next().unwrap_or(name);
        self.siblings.iter().find(|other| other.name == name)
    }

    fn node_group(&mut self) {
        let Some(nodes) = nodes_of(self.part) else {
            return self.unpriced("how many nodes it has is not known");
        };
        let launch = self.property("LaunchTemplate");
        let template = [&launch["Id"], &launch["Name"]].into_iter().find_map(|one| self.referred(one)).cloned();
        let given = !launch.is_null();
        match self.text("CapacityType") {
            Some("SPOT") => self.unpriced("prices of Spot instances move"),
            _ => match instance_type(self.part, self.siblings) {
                Some(kind) => self.instances(&kind, nodes),
                None => self.unpriced("its instance type is not known"),
            },
        }
        let disks = template.as_ref().map(|t| t.properties["LaunchTemplateData/BlockDeviceMappings"].clone());
        match disks {
            Some(Json::Array(all)) => {
                for disk in all {
                    self.volume(nodes, &disk["Ebs"], "VolumeSize");
                }
            }
            _ if given && template.is_none() => self.unpriced("the volumes of its launch template are not known"),
            _ => {
                // Source: CreateNodegroup of EKS's API reference, `diskSize`; the root volume of its images.
                let size = self.property("DiskSize");
                let size = if size.is_null() { Some(20) } else { whole_number(size) };
                let kind = if self.text("AmiType").is_some_and(|ami| ami.starts_with("AL2_")) { "gp2" } else { "gp3" };
                match size {
                    Some(size) => self.disk(nodes, kind, size),
                    None => self.unpriced("the size of its nodes' volumes is not known"),
                }
            }
        }
    }

    fn scaling_group(&mut self) {
        if !self.property("MixedInstancesPolicy").is_null() {
            return self.unpriced("which instances it runs is decided as it runs");
        }
        let wanted = whole_number(self.property("DesiredCapacity")).or_else(|| whole_number(self.property("MinSize")));
        let launch = self.property("LaunchTemplate");
        let template = self.referred(&launch["LaunchTemplateId"]).cloned();
        let (Some(nodes), Some(template)) = (wanted, template) else {
            return self.unpriced("its instances are not known");
        };
        match known(&template.properties["LaunchTemplateData/InstanceType"]).map(str::to_owned) {
            Some(kind) => self.instances(&kind, nodes),
            None => self.unpriced("its instance type is not known"),
        }
        match &template.properties["LaunchTemplateData/BlockDeviceMappings"] {
            Json::Array(all) => all.iter().for_each(|disk| self.volume(nodes, &disk["Ebs"], "VolumeSize")),
            _ => self.unpriced("its image says how large its root volumes are"),
        }
    }

    fn instance(&mut self) {
        match self.text("InstanceType").map(str::to_owned) {
            Some(kind) => self.instances(&kind, 1),
            None => self.unpriced("its instance type is not known"),
        }
        match self.property("BlockDeviceMappings").clone() {
            Json::Array(all) => all.iter().for_each(|disk| self.volume(1, &disk["Ebs"], "VolumeSize")),
            _ => self.unpriced("its image says how large its root volume is"),
        }
    }

    /// So many volumes that are alike. EC2 makes a gp2 one where nothing is written.
    fn volume(&mut self, many: u64, volume: &Json, size: &str) {
        let size = whole_number(&volume[size]).or_else(|| whole_number(&volume["Size"]));
        let kind = if volume["VolumeType"].is_null() { Some("gp2") } else { known(&volume["VolumeType"]) };
        let (Some(size), Some(kind)) = (size, kind) else {
            return self.unpriced("the size or the type of a volume is not known");
        };
        self.disk(many, kind, size);
        let beyond = |name: &str, free: u64| {
            whole_number(&volume[name]).map(|n| n.saturating_sub(free).saturating_mul(many)).filter(|n| *n > 0)
        };
        match kind {
            "gp3" => {
                if let Some(iops) = beyond("Iops", 3_000) {
                    self.several("ebs_gp3_iops", iops, "IOPS beyond 3,000");
                }
                if let Some(more) = beyond("Throughput", 125) {
                    self.several("ebs_gp3_throughput", more, "MiB/s beyond 125");
                }
            }
            "io1" | "io2" => {
                if let Some(iops) = beyond("Iops", 0) {
                    self.several(&format!("ebs_{kind}_iops"), iops, "IOPS");
                }
            }
            _ => {}
        }
    }

    fn disk(&mut self, many: u64, kind: &str, gib: u64) {
        let Some(Single { price, source, .. }) = self.prices.single(&format!("ebs_{kind}")).cloned() else {
            return self.unpriced(format!("there is no price of volumes of the type {kind}"));
        };
        let what = if many == 1 { format!("{gib} GiB {kind}") } else { format!("{many} × {gib} GiB {kind}") };
        self.line(what, price.times(gib.saturating_mul(many)), &source);
    }

    fn endpoint(&mut self) {
        match self.property("VpcEndpointType") {
            Json::Null => {}
            Json::String(kind) if kind == "Gateway" => {}
            Json::String(kind) if kind == "Interface" => match self.property("SubnetIds").as_array().map(Vec::len) {
                Some(zones) => self.several("interface_endpoint", zones as u64, "interface endpoint in a zone"),
                None => self.unpriced("in how many zones it is, is not known"),
            },
            _ => self.unpriced("there is no price of endpoints of this type"),
        }
    }

    fn database(&mut self) {
        let is_aurora = !self.property("DBClusterIdentifier").is_null();
        let (Some(class), Some(engine)) = (self.text("DBInstanceClass"), self.text("Engine")) else {
            return self.unpriced("its class or its engine is not known");
        };
        let zones = match self.property("MultiAZ") {
            _ if is_aurora => 1,
            Json::Null => 1,
            Json::Bool(several) => 1 + u64::from(*several),
            Json::String(text) if text == "true" || text == "false" => 1 + u64::from(text == "true"),
            _ => return self.unpriced("whether it stands in two zones is not known"),
        };
        let (class, engine) = (class.to_owned(), engine.to_owned());
        match self.prices.databases.get(&engine).and_then(|all| all.get(&class)).cloned() {
            Some(Hourly { price, source }) => {
                let what = if zones == 1 { class } else { format!("{class} in two zones") };
                self.line(what, price.times(HOURS * zones), &source);
            }
            None => self.unpriced(format!("there is no price of {engine} on {class}")),
        }
        if is_aurora {
            return;
        }
        // Source: CreateDBInstance of RDS's API reference, `StorageType`.
        let iops = whole_number(self.property("Iops"));
        let kind = self.text("StorageType").map_or(if iops.is_some() { "io1" } else { "gp2" }, |kind| kind).to_owned();
        let Some(gib) = whole_number(self.property("AllocatedStorage")) else {
            return self.unpriced("how large it is, is not known");
        };
        self.several(&format!("rds_{kind}"), gib * zones, &format!("GiB {kind} of a database"));
        if let Some(iops) = iops.filter(|_| kind == "io1") {
            self.several("rds_io1_iops", iops * zones, "IOPS of a database");
        }
    }

    fn cache(&mut self, nodes: Option<u64>) {
        let engine = self.text("Engine").unwrap_or("redis").to_owned();
        let (Some(nodes), Some(kind)) = (nodes, self.text("CacheNodeType").map(str::to_owned)) else {
            return self.unpriced("its nodes are not known");
        };
        match self.prices.caches.get(&engine).and_then(|all| all.get(&kind)).cloned() {
            Some(Hourly { price, source }) => {
                let what = if nodes == 1 { kind } else { format!("{nodes} × {kind}") };
                self.line(what, price.times(HOURS.saturating_mul(nodes)), &source);
            }
            None => self.unpriced(format!("there is no price of {engine} on {kind}")),
        }
    }

    fn replication_group(&mut self) {
        let number = |name: &str| whole_number(self.property(name));
        let by_shard = number("ReplicasPerNodeGroup").map(|replicas| {
            let shards = self.property("NumNodeGroups");
            let shards = if shards.is_null() { Some(1) } else { whole_number(shards) };
            shards.map(|shards| shards.saturating_mul(replicas.saturating_add(1)))
        });
        let nodes = number("NumCacheClusters").or(by_shard.flatten());
        self.cache(nodes);
    }

    /// Tasks on Fargate. What runs on instances is paid with those.
    fn service(&mut self) {
        let Some(task) = self.referred(self.property("TaskDefinition")).cloned() else {
            return self.unpriced("its task is not known");
        };
        let needs = &task.properties["RequiresCompatibilities"];
        let is_fargate = self.text("LaunchType") == Some("FARGATE")
            || needs.as_array().is_some_and(|all| all.iter().any(|one| one == "FARGATE"));
        if !is_fargate {
            return;
        }
        let count = self.property("DesiredCount");
        let count = if count.is_null() { Some(1) } else { whole_number(count) };
        let (cpu, memory) = (whole_number(&task.properties["Cpu"]), whole_number(&task.properties["Memory"]));
        let (Some(count), Some(cpu), Some(memory)) = (count, cpu, memory) else {
            return self.unpriced("the size or the number of its tasks is not known");
        };
        for (name, parts, what) in [("fargate_vcpu", cpu, "vCPU"), ("fargate_gib", memory, "memory")] {
            match self.prices.single(name).cloned() {
                Some(Single { price, source, .. }) => {
                    let monthly = shares(price, parts.saturating_mul(count));
                    self.line(format!("{what} of {count} on Fargate"), monthly, &source);
                }
                None => self.unpriced(format!("the price file has no `{name}`")),
            }
        }
    }

    /// A volume for each of so many pods.
    fn claim(&mut self, claim: &Json, many: u64, whole: &Whole) {
        let size = known(&claim["storage"]).and_then(|text| quantity(text, 1 << 30));
        let class = claim["class"].as_str();
        let kind = class.and_then(|class| {
            let by_name = ["gp2", "gp3"].into_iter().find(|name| *name == class).map(str::to_owned);
            whole.classes.get(class).cloned().or(by_name)
        });
        match (size, kind) {
            (Some(gib), Some(kind)) => self.disk(many, &kind, gib),
            (None, _) => self.unpriced("how much storage it claims is not known"),
            _ => self.unpriced("which volumes its storage class gives is not known"),
        }
    }
}

/// So many of 1,024 parts of something, each hour of a month.
fn shares(price: Price, parts: u64) -> Money {
    price.parts(parts.saturating_mul(HOURS), 1024)
}

/// How many nodes a node group has.
#[must_use]
pub fn nodes_of(group: &Holding) -> Option<u64> {
    let scaling = &group.properties["ScalingConfig"];
    whole_number(&scaling["DesiredSize"]).or_else(|| whole_number(&scaling["MinSize"]))
}

/// The instance type of a node group: the first of those that it may have. EKS takes a t3.medium where none is written (CreateNodegroup
/// of its API reference, `instanceTypes`).
#[must_use]
pub fn instance_type(group: &Holding, siblings: &[Holding]) -> Option<String> {
    let all = &group.properties["InstanceTypes"];
    if let Some(first) = all.as_array().and_then(|all| all.first()) {
        return known(first).map(str::to_owned);
    }
    if !all.is_null() {
        return None;
    }
    let launch = &group.properties["LaunchTemplate"];
    if launch.is_null() {
        return Some("t3.medium".to_owned());
    }
    let reckoner = Reckoner { part: group, siblings, prices: &Prices::default(), found: Reckoned::default() };
    let template = [&launch["Id"], &launch["Name"]].into_iter().find_map(|one| reckoner.referred(one))?;
    known(&template.properties["LaunchTemplateData/InstanceType"]).map(str::to_owned)
}

/// A text in which everything is known.
fn known(value: &Json) -> Option<&str> {
    value.as_str().filter(|text| !text.contains("${") && !text.contains(NOT_KNOWN))
}

/// A whole number, however it is written: parameters of templates are texts.
pub(super) fn whole_number(value: &Json) -> Option<u64> {
    match value {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A quantity of Kubernetes in whole `unit`s, the last one begun: `10Gi`, `500M`, `1.5`. Source: "Quantity" of its API reference.
#[must_use]
pub fn quantity(text: &str, unit: u64) -> Option<u64> {
    let thousandths = thousandths(text)?;
    let unit = u128::from(unit) * 1000;
    u64::try_from(thousandths.div_ceil(unit)).ok()
}

/// A quantity in thousandths of one.
#[must_use]
pub fn thousandths(text: &str) -> Option<u128> {
    const SUFFIXES: &[(&str, u128)] = &[
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
    ];
    let text = text.trim();
    if let Some(number) = text.strip_suffix('m') {
        return number.parse::<u128>().ok();
    }
    let found = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.len() > 9 {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let all = digits(whole)?.checked_mul(scale)?.checked_add(digits(part)?)?;
    all.checked_mul(factor)?.checked_mul(1000)?.checked_add(scale - 1)?.checked_div(scale)
}
