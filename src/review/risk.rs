//! How much each change may go wrong: a rank from facts that the plan holds, each with its weight, and never from a guess.
//!
//! A rank is a sum. What weighs in it is listed with it, so that whoever reads it can disagree.

use crate::{
    base::{ActionWord, Address},
    graph,
    kinds::{ChildChange, Undo},
    lang::Declaration,
    plan::{Moment, Plan, Planned},
    policy,
};
use std::collections::{BTreeMap, BTreeSet};

/// How much a change may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// Fewer than 4 points.
    Low,
    /// 4 to 7 points.
    Moderate,
    /// 8 to 11 points.
    High,
    /// 12 points and more.
    Severe,
}

impl Rank {
    const fn of(points: u32) -> Self {
        match points {
            0..4 => Self::Low,
            4..8 => Self::Moderate,
            8..12 => Self::High,
            _ => Self::Severe,
        }
    }

    /// In a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Severe => "severe",
        }
    }
}

impl std::fmt::Display for Rank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A fact that weighs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// How much.
    pub points: u32,
    /// The fact, in words.
    pub what: String,
}

/// The risk of one change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Risk {
    /// Of what.
    pub address: Address,
    /// What is done.
    pub action: ActionWord,
    /// How much.
    pub rank: Rank,
    /// The sum of the reasons' points.
    pub points: u32,
    /// Why, what weighs most first.
    pub reasons: Vec<Reason>,
}

/// The risk of every change of a plan: what may go wrong most first, else in the plan's order.
#[must_use]
pub fn risks(plan: &Plan) -> Vec<Risk> {
    let dependants = Dependants::of(plan);
    let changes = plan.nodes.iter().filter(|node| works(node));
    let mut all: Vec<Risk> = changes.map(|node| risk(plan, node, &dependants)).collect();
    all.sort_by_key(|risk| std::cmp::Reverse(risk.points));
    all
}

fn works(node: &Planned) -> bool {
    !matches!(node.action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify)
}

fn risk(plan: &Plan, node: &Planned, dependants: &Dependants) -> Risk {
    // What is planned later may come to the most that is approved of it.
    let action =
        node.deferral.as_ref().and_then(|deferral| deferral.ceiling.iter().copied().max_by_key(|a| weight(*a)));
    let action = action.unwrap_or(node.action);
    let mut reasons = Reasons::default();
    reasons.add(weight(action), || match action {
        ActionWord::Replace => "it is made anew, and the former one goes".to_owned(),
        ActionWord::Delete => "it is destroyed".to_owned(),
        ActionWord::Shift => "users' traffic moves".to_owned(),
        ActionWord::Forget => "it stays as it is, and nothing looks after it any more".to_owned(),
        ActionWord::Import => "something that is there comes under this plan".to_owned(),
        _ => "it changes in place".to_owned(),
    });
    if node.deferral.is_some() {
        reasons.add(1, || "what it will be is not known before something else is applied".to_owned());
    }
    data(node, action, &mut reasons);
    way_back(node, &mut reasons);
    if takes_away(action) || action == ActionWord::Update {
        let users = dependants.count(&node.address);
        let points = match users {
            0 => 0,
            1..5 => 1,
            5..20 => 2,
            _ => 3,
        };
        let more = if users == MOST_COUNTED { " or more" } else { "" };
        let things = if users == 1 { "1 thing stands".to_owned() } else { format!("{users}{more} things stand") };
        reasons.add(points, || format!("{things} on it"));
    }
    for sort in Sort::ALL {
        if let Some(part) = sort.found(node) {
            reasons.add(sort.points(), || {
                format!("{}{}", sort.words(), part.map_or(String::new(), |p| format!(" ({p})")))
            });
        }
    }
    if plan.header.protected {
        reasons.add(2, || format!("{} is protected", plan.header.env));
    }
    let points = reasons.0.iter().map(|reason| reason.points).sum();
    reasons.0.sort_by_key(|reason| std::cmp::Reverse(reason.points));
    Risk { address: node.address.clone(), action: node.action, rank: Rank::of(points), points, reasons: reasons.0 }
}

#[derive(Default)]
struct Reasons(Vec<Reason>);

impl Reasons {
    fn add(&mut self, points: u32, what: impl FnOnce() -> String) {
        if points > 0 {
            self.0.push(Reason { points, what: what() });
        }
    }
}

/// What an action weighs by itself: what is new takes nothing away from anybody.
const fn weight(action: ActionWord) -> u32 {
    match action {
        ActionWord::Replace | ActionWord::Delete => 5,
        ActionWord::Shift => 3,
        ActionWord::Update | ActionWord::Forget => 2,
        ActionWord::Import => 1,
        ActionWord::Create | ActionWord::Read | ActionWord::Defer | ActionWord::Verify | ActionWord::NoOp => 0,
    }
}

const fn takes_away(action: ActionWord) -> bool {
    matches!(action, ActionWord::Replace | ActionWord::Delete)
}

/// Data that goes with it, or with a part of it.
fn data(node: &Planned, action: ActionWord, reasons: &mut Reasons) {
    let lost = |child: &&ChildChange| child.stateful && takes_away(child.action);
    let parts: Vec<&ChildChange> = node.children.iter().filter(lost).collect();
    let gone: Vec<&str> = parts.iter().filter(|child| !child.is_kept()).map(|child| child.name.as_str()).collect();
    if let [first, more @ ..] = gone.as_slice() {
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        reasons.add(8, || format!("{first}{more} holds data, which is lost"));
    } else if node.stateful && takes_away(action) {
        reasons.add(8, || "it holds data, which is lost".to_owned());
    } else if !parts.is_empty() {
        reasons.add(2, || "a part that holds data goes, and its data is kept".to_owned());
    }
}

fn way_back(node: &Planned, reasons: &mut Reasons) {
    match &node.undo {
        Undo::Full => {}
        Undo::Partly(what) => reasons.add(1, || format!("a failure does not bring all of it back: {what}")),
        Undo::None(why) => reasons.add(2, || format!("a failure does not bring it back: {why}")),
    }
}

/// A sort of thing that weighs, whatever is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    World,
    ControlPlane,
    Access,
    Network,
    Nodes,
}

/// Types of CloudFormation by what they begin with, and kinds of Kubernetes whole.
const ACCESS: &[&str] =
    &["AWS::IAM::", "AWS::EKS::AccessEntry", "AWS::KMS::Key", "AWS::SecretsManager::ResourcePolicy"];
const NETWORK: &[&str] = &[
    "AWS::EC2::VPC",
    "AWS::EC2::Subnet",
    "AWS::EC2::Route",
    "AWS::EC2::NatGateway",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NetworkAcl",
    "AWS::EC2::TransitGateway",
    "AWS::Route53::",
];
const NODES: &[&str] = &["AWS::EKS::Nodegroup", "AWS::AutoScaling::", "AWS::EC2::LaunchTemplate", "AWS::EC2::Instance"];
const RIGHTS: &[&str] = &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
const POLICIES: &[&str] = &["NetworkPolicy", "AuthorizationPolicy", "PeerAuthentication"];

impl Sort {
    const ALL: [Self; 5] = [Self::World, Self::ControlPlane, Self::Access, Self::Network, Self::Nodes];

    const fn points(self) -> u32 {
        match self {
            Self::World | Self::ControlPlane => 4,
            Self::Access => 3,
            Self::Network | Self::Nodes => 2,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::World => "the internet reaches it",
            Self::ControlPlane => "a cluster's control plane changes",
            Self::Access => "it says who may do what",
            Self::Network => "the network changes",
            Self::Nodes => "nodes change, and pods move",
        }
    }

    /// Whether it is of this sort, by which part of it; inside, `None` where that is the thing as a whole.
    #[expect(clippy::option_option, reason = "the whole is something else than nothing")]
    fn found(self, node: &Planned) -> Option<Option<&str>> {
        let whole = match self {
            Self::ControlPlane => node.address.kind() == "eks_upgrade",
            Self::World => node.address.kind() == "traffic" && node.action == ActionWord::Create,
            _ => false,
        };
        if whole {
            return Some(None);
        }
        let of_it = |child: &&ChildChange| {
            let object = child.kind.rsplit(' ').next().unwrap_or_default();
            let begins = |all: &[&str]| all.iter().any(|one| child.kind.starts_with(one));
            match self {
                Self::World => policy::opens(child),
                Self::ControlPlane => child.kind == "AWS::EKS::Cluster" && child.action != ActionWord::Create,
                Self::Access => begins(ACCESS) || RIGHTS.contains(&object),
                Self::Network => begins(NETWORK) || POLICIES.contains(&object),
                Self::Nodes => begins(NODES) && child.action != ActionWord::Create,
            }
        };
        let changes = |child: &&ChildChange| !matches!(child.action, ActionWord::NoOp | ActionWord::Read);
        node.children.iter().filter(changes).find(of_it).map(|child| Some(child.name.as_str()))
    }
}

/// So many dependants are counted; more weigh no more.
const MOST_COUNTED: usize = 50;

/// What stands on what, by declaration.
struct Dependants(BTreeMap<Address, BTreeSet<Address>>);

impl Dependants {
    fn of(plan: &Plan) -> Self {
        let mut users: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
        for node in plan.nodes.iter().filter(|node| node.moment == Moment::Phase) {
            for used in &node.after {
                users.entry(used.clone()).or_default().insert(declared(&node.address));
            }
        }
        Self(users)
    }

    /// How many declarations stand on one, also by way of others; at most [`MOST_COUNTED`].
    fn count(&self, address: &Address) -> usize {
        let own = declared(address);
        let (mut seen, mut todo) = (BTreeSet::new(), vec![&own]);
        while let Some(next) = todo.pop() {
            for user in self.0.get(next).into_iter().flatten().filter(|user| **user != own) {
                if seen.insert(user) {
                    if seen.len() == MOST_COUNTED {
                        return MOST_COUNTED;
                    }
                    todo.push(user);
                }
            }
        }
        seen.len()
    }
}

/// The declaration that an instance is of, as nodes name what they come after.
fn declared(address: &Address) -> Address {
    graph::address(&Declaration::from(address))
}

#[cfg(test)]
#[path = "risk_tests.rs"]
mod tests;
