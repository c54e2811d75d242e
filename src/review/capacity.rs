//! Whether the nodes of a plan hold what its charts, manifests and add-ons ask for, and the cheapest that would. Pure.
//!
//! Two questions, both of which have to come out well: whether the sum of all requests and the buffer is there, which can be checked by hand, and
//! whether the pods find room side by side, the largest first. What asks for nothing counts as nothing and is named, since nobody knows what it takes.

use super::cost::{Book, Each, Instance, Money, Prices, instance_type, nodes_of, quantity, thousandths};
use crate::{
    base::{ActionWord, Address},
    kinds::{Holding, NOT_KNOWN},
    plan::{Plan, Planned},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops,
};

/// So many per cent are kept free for what starts beside what runs, and for peaks.
pub const BUFFER: u64 = 30;

/// Fewer nodes than these are not proposed: one of them may fail.
const LEAST_NODES: u64 = 2;

/// More nodes than these are not proposed. Source: "Service quotas" of EKS's user guide, nodes in a managed node group.
const MOST_NODES: u64 = 450;

/// So many pods are placed one by one; more are only added up.
const MOST_PLACED: u64 = 5_000;

/// Why nothing is held against anything.
const NO_GROUP: &str = "the plan has no node group";

/// The hours of a month.
const HOURS: u64 = super::cost::HOURS;

/// What pods ask for, or nodes give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Room {
    /// Thousandths of a vCPU.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// Pods.
    pub pods: u64,
}

impl ops::Add for Room {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
            pods: self.pods.saturating_add(other.pods),
        }
    }
}

impl Room {
    /// So many times as much.
    #[must_use]
    pub const fn times(self, many: u64) -> Self {
        Self {
            cpu: self.cpu.saturating_mul(many),
            memory: self.memory.saturating_mul(many),
            pods: self.pods.saturating_mul(many),
        }
    }

    /// With the buffer on top. Pods are counted, and need none.
    #[must_use]
    pub const fn with_buffer(self) -> Self {
        Self {
            cpu: self.cpu.saturating_mul(100 + BUFFER).div_ceil(100),
            memory: self.memory.saturating_mul(100 + BUFFER).div_ceil(100),
            pods: self.pods,
        }
    }

    /// True where it is no more than that.
    #[must_use]
    pub const fn fits(self, there: Self) -> bool {
        self.cpu <= there.cpu && self.memory <= there.memory && self.pods <= there.pods
    }
}

/// What a plan asks of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Capacity {
    /// What all pods ask for, those on every node as often as there are nodes.
    pub asked: Room,
    /// Of that, what each node has to give to pods that run on every node.
    pub on_each_node: Room,
    /// The same with so many per cent on top.
    pub with_buffer: Room,
    /// The buffer in per cent.
    pub buffer: u64,
    /// What the nodes give to pods.
    pub given: Room,
    /// The node groups.
    pub groups: Vec<Group>,
    /// Whether it fits; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fits: Option<bool>,
    /// Why it does not fit, or why that cannot be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// The cheapest that would hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cheapest: Option<Proposal>,
    /// What asks for how much.
    pub workloads: Vec<Workload>,
    /// Of what it is not known, and why.
    pub unknown: Vec<Unknown>,
}

impl Capacity {
    /// Whether the plan has nodes that it can be held against, or would have if more were known.
    #[must_use]
    pub fn has_nodes(&self) -> bool {
        !self.groups.is_empty() || self.because != [NO_GROUP]
    }
}

/// A node group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Group {
    /// The stack that it is in.
    pub address: Address,
    /// Its name there.
    pub part: String,
    /// The type of its instances.
    pub instance: String,
    /// How many it is to have.
    pub nodes: u64,
    /// What each gives to pods.
    pub each: Room,
}

/// Nodes that would hold it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Proposal {
    /// The type of the instances.
    pub instance: String,
    /// How many.
    pub nodes: u64,
    /// The instances of a month, without their volumes.
    pub monthly: Money,
}

/// Something that runs pods.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Workload {
    /// What declares it.
    pub address: Address,
    /// Its name.
    pub part: String,
    /// How many of its pods run; absent for one on every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
    /// What each of its pods asks for.
    pub each: Room,
}

/// Something of which it is not known what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Unknown {
    /// What declares it.
    pub address: Address,
    /// Its name; absent where it is the thing as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Why.
    pub why: String,
}

/// What a node of this type gives to pods: all that it has, without what EKS keeps for its own and what is kept free of memory before pods are evicted.
///
/// Source: awslabs/amazon-eks-ami, `nodeadm/internal/kubelet` (memory 255 MiB and 11 for each pod; cpu 6 % of the first core, 1 % of the second, 0.5 % of the
/// next two, 0.25 % of the rest; `evictionHard` 100 MiB).
#[must_use]
pub fn allocatable(instance: &Instance) -> Room {
    // In ten-thousandths of a vCPU.
    let kept: u64 = (1..=instance.vcpu)
        .map(|core| match core {
            1 => 600,
            2 => 100,
            3 | 4 => 50,
            _ => 25,
        })
        .sum();
    Room {
        cpu: (instance.vcpu * 1000).saturating_sub(kept / 10),
        memory: instance.memory.saturating_sub(255 + 11 * instance.pods + 100),
        pods: instance.pods,
    }
}

/// What a plan asks of its nodes once it is applied; of what is rolled out, both colours. `None` where it runs no pods.
#[must_use]
pub fn capacity(plan: &Plan, book: &Book) -> Option<Capacity> {
    let prices = book.at(&plan.header.world.region);
    let none = Prices::default();
    let mut census = Census::new(plan, prices.unwrap_or(&none));
    for node in &plan.nodes {
        census.node(node, &node.address);
    }
    for debt in &plan.debts {
        // What is kept warm is no node of the plan; it is as large as what took its place.
        let unit = debt.address.unit();
        let mut beside = plan.nodes.iter().filter(|node| {
            let other = node.address.unit();
            other.is_some() && other.as_ref().map(|(u, _)| u) == unit.as_ref().map(|(u, _)| u)
        });
        let first = beside.next();
        for node in first.into_iter().chain(beside) {
            census.node(node, &debt.address);
        }
    }
    if census.workloads.is_empty() {
        return None;
    }
    Some(census.capacity())
}

struct Census<'a> {
    prices: &'a Prices,
    /// Namespaces in which a mesh puts a proxy beside every pod.
    injected: BTreeSet<String>,
    /// The fewest pods that an autoscaler lets something have.
    least: BTreeMap<String, u64>,
    workloads: Vec<Workload>,
    groups: Vec<Group>,
    /// Whether there are node groups of which not all is known.
    dim: Vec<String>,
    arm: bool,
    unknown: BTreeSet<Unknown>,
}

impl<'a> Census<'a> {
    fn new(plan: &Plan, prices: &'a Prices) -> Self {
        let parts = || plan.nodes.iter().flat_map(|node| &node.holdings.after().parts);
        let namespace = |part: &Holding| {
            let injects = part.kind == "Namespace" && part.properties["injects"] == true;
            injects.then(|| part.name.trim_start_matches("Namespace ").to_owned())
        };
        let scaled = |part: &Holding| {
            let least = part.properties["min"].as_u64()?;
            Some((part.properties["target"].as_str()?.to_owned(), least))
        };
        Self {
            prices,
            injected: parts().filter_map(namespace).collect(),
            least: parts().filter(|part| part.kind == "HorizontalPodAutoscaler").filter_map(scaled).collect(),
            workloads: Vec::new(),
            groups: Vec::new(),
            dim: Vec::new(),
            arm: false,
            unknown: BTreeSet::new(),
        }
    }

    fn node(&mut self, node: &Planned, address: &Address) {
        let held = node.holdings.after();
        let runs_pods = matches!(node.address.kind(), "helm" | "manifest" | "eks_addon");
        if let Some(why) = held.unknown.as_ref().filter(|_| runs_pods && node.action != ActionWord::Delete) {
            self.unknown.insert(Unknown { address: address.clone(), part: String::new(), why: why.clone() });
        }
        for part in &held.parts {
            match part.kind.as_str() {
                "AWS::EKS::Nodegroup" => self.group(address, part, &held.parts),
                "eks_addon" => self.addon(address, part),
                _ if part.properties["containers"].is_array() => self.workload(address, part),
                _ => {}
            }
        }
    }

    fn group(&mut self, address: &Address, part: &Holding, siblings: &[Holding]) {
        self.arm |= part.properties["AmiType"].as_str().is_some_and(|ami| ami.contains("ARM_64"));
        let name = format!("{address} {}", part.name);
        let (Some(nodes), Some(kind)) = (nodes_of(part), instance_type(part, siblings)) else {
            return self.dim.push(format!("how many nodes of which type {name} has is not known"));
        };
        let Some(instance) = self.prices.instances.get(&kind) else {
            return self.dim.push(format!("the price file does not say what a {kind} has ({name})"));
        };
        self.arm |= instance.arm;
        let each = allocatable(instance);
        let (address, part) = (address.clone(), part.name.clone());
        self.groups.push(Group { address, part, instance: kind, nodes, each });
    }

    fn addon(&mut self, address: &Address, part: &Holding) {
        let Some(workers) = self.prices.addons.get(&part.name) else {
            let why = "the price file does not say what this add-on asks for".to_owned();
            self.unknown.insert(Unknown { address: address.clone(), part: part.name.clone(), why });
            return;
        };
        for worker in workers {
            let each = Room {
                cpu: milli(&worker.cpu).unwrap_or(0),
                memory: quantity(&worker.memory, 1 << 20).unwrap_or(0),
                pods: 1,
            };
            let replicas = match worker.each {
                Each::Cluster(many) => Some(many),
                Each::Node(_) => None,
            };
            self.workloads.push(Workload { address: address.clone(), part: part.name.clone(), replicas, each });
        }
    }

    fn workload(&mut self, address: &Address, part: &Holding) {
        let mut silent = false;
        let mut asks = |container: &Json, what: &str, read: &dyn Fn(&str) -> Option<u64>| {
            let said = match &container[what] {
                Json::String(text) => Some(text.clone()),
                Json::Number(number) => Some(number.to_string()),
                _ => None,
            };
            let known = said.filter(|text| !text.contains(NOT_KNOWN)).and_then(|text| read(&text));
            silent |= known.is_none() && container["first"] != true;
            known.unwrap_or(0)
        };
        let (mut beside, mut first) = (Room::default(), Room::default());
        for container in part.properties["containers"].as_array().into_iter().flatten() {
            let asked = Room {
                cpu: asks(container, "cpu", &milli),
                memory: asks(container, "memory", &|text| quantity(text, 1 << 20)),
                pods: 0,
            };
            if container["first"] == true {
                first = Room { cpu: first.cpu.max(asked.cpu), memory: first.memory.max(asked.memory), pods: 0 };
            } else {
                beside = beside + asked;
            }
        }
        if self.has_proxy(part)
            && let Some(proxy) = &self.prices.proxy
        {
            let memory = quantity(&proxy.memory, 1 << 20).unwrap_or(0);
            beside = beside + Room { cpu: milli(&proxy.cpu).unwrap_or(0), memory, pods: 0 };
        }
        let each = Room { cpu: beside.cpu.max(first.cpu), memory: beside.memory.max(first.memory), pods: 1 };
        let wanted = &part.properties["replicas"];
        let replicas = match part.kind.as_str() {
            "DaemonSet" => None,
            _ if wanted.as_str().is_some() => {
                silent = true;
                Some(1)
            }
            _ => {
                let least = self.least.get(&part.name).copied();
                let wanted = wanted.as_u64();
                Some(wanted.or(least).unwrap_or(1).max(least.unwrap_or(0)))
            }
        };
        if silent {
            let why = "a container of it does not say what it needs".to_owned();
            self.unknown.insert(Unknown { address: address.clone(), part: part.name.clone(), why });
        }
        self.workloads.push(Workload { address: address.clone(), part: part.name.clone(), replicas, each });
    }

    fn has_proxy(&self, part: &Holding) -> bool {
        let namespace = part.properties["namespace"].as_str().unwrap_or_default();
        match &part.properties["inject"] {
            Json::Bool(wanted) => *wanted,
            Json::String(wanted) => wanted == "true",
            _ => self.injected.contains(namespace),
        }
    }

    fn capacity(self) -> Capacity {
        let nodes: u64 = self.groups.iter().map(|group| group.nodes).sum();
        let sum = |all: &mut dyn Iterator<Item = Room>| all.fold(Room::default(), ops::Add::add);
        let in_all = sum(&mut self.workloads.iter().filter_map(|w| Some(w.each.times(w.replicas?))));
        let on_each_node = sum(&mut self.workloads.iter().filter(|w| w.replicas.is_none()).map(|w| w.each));
        let asked = in_all + on_each_node.times(nodes);
        let given = sum(&mut self.groups.iter().map(|group| group.each.times(group.nodes)));
        let mut pods: Vec<(Room, u64)> = self.workloads.iter().filter_map(|w| Some((w.each, w.replicas?))).collect();
        pods.sort_by_key(|(each, _)| std::cmp::Reverse(*each));
        let demand = Demand { in_all, on_each_node, pods };
        let mut because = self.dim;
        let fits = if self.groups.is_empty() || !because.is_empty() {
            if self.groups.is_empty() && because.is_empty() {
                because.push(NO_GROUP.to_owned());
            }
            None
        } else {
            because = demand.misfits(&self.groups);
            Some(because.is_empty())
        };
        let cheapest = cheapest(&demand, self.prices, self.arm);
        Capacity {
            asked,
            on_each_node,
            with_buffer: asked.with_buffer(),
            buffer: BUFFER,
            given,
            groups: self.groups,
            fits,
            because,
            cheapest,
            workloads: self.workloads,
            unknown: self.unknown.into_iter().collect(),
        }
    }
}

/// What is to be held.
struct Demand {
    in_all: Room,
    on_each_node: Room,
    /// What each pod asks for and how many there are, the largest first.
    pods: Vec<(Room, u64)>,
}

impl Demand {
    fn on(&self, nodes: u64) -> Room {
        (self.in_all + self.on_each_node.times(nodes)).with_buffer()
    }

    /// Why these groups do not hold it; nothing where they do.
    fn misfits(&self, groups: &[Group]) -> Vec<String> {
        let nodes = groups.iter().map(|group| group.nodes).sum();
        let given = groups.iter().map(|group| group.each.times(group.nodes)).fold(Room::default(), ops::Add::add);
        let wanted = self.on(nodes);
        let mut why = Vec::new();
        if wanted.cpu > given.cpu {
            why.push(format!("{} vCPU are missing", vcpu(wanted.cpu - given.cpu)));
        }
        if wanted.memory > given.memory {
            why.push(format!("{} GiB are missing", gib(wanted.memory - given.memory)));
        }
        if wanted.pods > given.pods {
            why.push(format!("{} pods are too many", wanted.pods - given.pods));
        }
        let there = groups.iter().flat_map(|group| (0..group.nodes.min(MOST_NODES)).map(|_| group.each));
        if why.is_empty()
            && let Some(left) = self.place(there.collect(), None).filter(|placed| placed.left > 0)
        {
            why.push(format!("{} of its pods find no node with enough room left", left.left));
        }
        why
    }

    /// Places pods on nodes, each on the first that has room for it; where none has and more may be had of this room, on one more. `None` where
    /// there are too many to be placed.
    fn place(&self, nodes: Vec<Room>, more: Option<Room>) -> Option<Placed> {
        let free = |each: Room| Room {
            cpu: each.cpu.saturating_sub(self.on_each_node.cpu),
            memory: each.memory.saturating_sub(self.on_each_node.memory),
            pods: each.pods.saturating_sub(self.on_each_node.pods),
        };
        let holds_its_own = |each: &Room| self.on_each_node.fits(*each);
        if self.in_all.pods > MOST_PLACED {
            return None;
        }
        let mut free_of: Vec<Room> = nodes.into_iter().filter(holds_its_own).map(free).collect();
        let more = more.filter(holds_its_own).map(free);
        let mut left = 0;
        for (each, many) in &self.pods {
            // What one of them found no room on, the next finds none on either.
            let mut at = 0;
            for _ in 0..*many {
                while free_of.get(at).is_some_and(|free| !each.fits(*free)) {
                    at += 1;
                }
                if at == free_of.len() {
                    match more.filter(|room| each.fits(*room)) {
                        Some(room) if (free_of.len() as u64) < MOST_NODES => free_of.push(room),
                        _ => {
                            left += 1;
                            continue;
                        }
                    }
                }
                let room = &mut free_of[at];
                *room =
                    Room { cpu: room.cpu - each.cpu, memory: room.memory - each.memory, pods: room.pods - each.pods };
            }
        }
        Some(Placed { nodes: free_of.len() as u64, left })
    }
}

/// What became of placing pods.
struct Placed {
    /// How many nodes there are then.
    nodes: u64,
    /// How many pods found no room.
    left: u64,
}

/// The cheapest instances of one type that hold it.
fn cheapest(demand: &Demand, prices: &Prices, arm: bool) -> Option<Proposal> {
    let candidates = prices.instances.iter().filter(|(_, instance)| instance.arm == arm);
    let proposals = candidates.filter_map(|(name, instance)| {
        let each = allocatable(instance);
        let placed = match demand.place(Vec::new(), Some(each)) {
            Some(placed) if placed.left > 0 => return None,
            Some(placed) => placed.nodes,
            None => 0,
        };
        let nodes = fewest(demand, each)?.max(placed);
        let monthly = instance.price.times(HOURS.saturating_mul(nodes));
        Some(Proposal { instance: name.clone(), nodes, monthly })
    });
    proposals.min_by_key(|proposal| (proposal.monthly, proposal.nodes, proposal.instance.clone()))
}

/// The fewest nodes that hold it. More nodes give more of all, as long as what runs on each leaves anything: so the first that hold it are found by halving.
fn fewest(demand: &Demand, each: Room) -> Option<u64> {
    let holds = |nodes: u64| demand.on(nodes).fits(each.times(nodes));
    if !holds(MOST_NODES) {
        return None;
    }
    let (mut low, mut high) = (LEAST_NODES, MOST_NODES);
    while low < high {
        let middle = u64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// Thousandths of a vCPU, the last one begun.
fn milli(text: &str) -> Option<u64> {
    u64::try_from(thousandths(text)?).ok()
}

/// `7.83`: vCPUs to the nearest hundredth.
#[must_use]
pub fn vcpu(milli: u64) -> String {
    let hundredths = milli.saturating_add(5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `15.7`: GiB to the nearest tenth.
#[must_use]
pub fn gib(mebibytes: u64) -> String {
    let tenths = mebibytes.saturating_mul(10).saturating_add(512) / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
