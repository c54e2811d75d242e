//! What a plan comes to in a month: before, after, and by what it differs, part by part, from the prices of a price file.
//!
//! A pure function of the plan and of prices that are handed in. What has no price is named and counted, never left out or guessed.

mod money;
mod prices;
mod reckon;

pub use money::{Money, Price};
pub use prices::{Book, Each, Hourly, Instance, Per, Prices, Proxy, SHIPPED, Single, Source, Worker};
pub use reckon::{HOURS, Line, instance_type, nodes_of, quantity, thousandths};

use crate::{
    base::Address,
    kinds::{Held, Holding},
    plan::{Plan, Planned},
};
use reckon::{Whole, reckon};
use std::collections::{BTreeMap, BTreeSet};

/// What a plan comes to in a month.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// The environment's region.
    pub region: String,
    /// Always US dollars.
    pub currency: &'static str,
    /// So many hours are a month.
    pub hours: u64,
    /// Where the prices are from that were used, by name.
    pub sources: BTreeMap<String, Source>,
    /// Of everything with a price that is in the plan.
    pub before: Money,
    /// The same, once it is applied.
    pub after: Money,
    /// By what it differs.
    pub delta: Money,
    /// By part: what moves most first.
    pub parts: Vec<PartCost>,
    /// What has no price, and why.
    pub unpriced: Vec<Unpriced>,
    /// What is paid by use, and of which nothing is assumed.
    pub per_use: Vec<Unpriced>,
}

/// What a part comes to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PartCost {
    /// Of which thing it is a part.
    pub address: Address,
    /// Its name.
    pub part: String,
    /// Its type.
    pub kind: String,
    /// Before.
    pub before: Money,
    /// After.
    pub after: Money,
    /// By what it differs.
    pub delta: Money,
    /// What is paid for; of what goes, what was.
    pub lines: Vec<Line>,
}

/// Something without a price.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Unpriced {
    /// Of which thing.
    pub address: Address,
    /// Which part; absent where it is the thing as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Its type.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Why; of what is paid by use, by what.
    pub why: String,
}

/// What a plan comes to, by these prices.
#[must_use]
pub fn cost(plan: &Plan, book: &Book) -> Cost {
    let mut bill = Bill::new(book, plan);
    bill.side(|node| node.holdings.before(), |both| &mut both.before);
    bill.side(|node| node.holdings.after(), |both| &mut both.after);
    for debt in &plan.debts {
        let why = "it is kept warm, and no part of this plan".to_owned();
        let (part, kind) = (String::new(), String::new());
        bill.unpriced.insert(Unpriced { address: debt.address.clone(), part, kind, why });
    }
    bill.cost()
}

#[derive(Default)]
struct Both {
    kind: String,
    before: Vec<Line>,
    after: Vec<Line>,
}

struct Bill<'a> {
    book: &'a Book,
    plan: &'a Plan,
    parts: BTreeMap<(Address, String), Both>,
    unpriced: BTreeSet<Unpriced>,
    per_use: BTreeSet<Unpriced>,
    sources: BTreeMap<String, Source>,
}

impl<'a> Bill<'a> {
    fn new(book: &'a Book, plan: &'a Plan) -> Self {
        let (unpriced, per_use) = (BTreeSet::new(), BTreeSet::new());
        Self { book, plan, parts: BTreeMap::new(), unpriced, per_use, sources: BTreeMap::new() }
    }

    fn side(&mut self, held: impl Fn(&Planned) -> &Held, lines: impl Fn(&mut Both) -> &mut Vec<Line>) {
        let nodes = &self.plan.nodes;
        let mut whole = Whole::of(nodes.iter().flat_map(|node| &held(node).parts));
        for node in nodes {
            let held = held(node);
            if let Some(why) = &held.unknown {
                self.without_price(node, None, why.clone());
            }
            let region = node.place.as_ref().map_or(&*self.plan.header.world.region, |place| &place.region);
            let Some(prices) = self.book.at(region) else {
                if held.parts.iter().any(may_cost) {
                    self.without_price(node, None, format!("there are no prices of the region {region}"));
                }
                continue;
            };
            for part in &held.parts {
                let reckoned = reckon(part, &held.parts, prices, &mut whole);
                for why in &reckoned.unpriced {
                    self.without_price(node, Some(part), why.clone());
                }
                for what in &reckoned.per_use {
                    let (address, part, kind) = (node.address.clone(), part.name.clone(), part.kind.clone());
                    self.per_use.insert(Unpriced { address, part, kind, why: what.clone() });
                }
                for line in &reckoned.lines {
                    if let Some(source) = prices.sources.get(&line.source) {
                        self.sources.insert(line.source.clone(), source.clone());
                    }
                }
                if !reckoned.lines.is_empty() {
                    let both = self.parts.entry((node.address.clone(), part.name.clone())).or_default();
                    both.kind.clone_from(&part.kind);
                    // Templates nested in one stack may each have a part of this name.
                    lines(both).extend(reckoned.lines);
                }
            }
        }
    }

    fn without_price(&mut self, node: &Planned, part: Option<&Holding>, why: String) {
        let (name, kind) = part.map(|part| (part.name.clone(), part.kind.clone())).unwrap_or_default();
        self.unpriced.insert(Unpriced { address: node.address.clone(), part: name, kind, why });
    }

    fn cost(self) -> Cost {
        let part = |((address, part), both): ((Address, String), Both)| {
            let total = |lines: &[Line]| lines.iter().map(|line| line.monthly).sum();
            let (before, after): (Money, Money) = (total(&both.before), total(&both.after));
            let lines = if both.after.is_empty() { both.before } else { both.after };
            PartCost { address, part, kind: both.kind, before, after, delta: after - before, lines }
        };
        let mut parts: Vec<PartCost> = self.parts.into_iter().map(part).collect();
        parts.sort_by_key(|part| std::cmp::Reverse((part.delta.size(), part.after)));
        let (before, after): (Money, Money) =
            (parts.iter().map(|p| p.before).sum(), parts.iter().map(|p| p.after).sum());
        Cost {
            region: self.plan.header.world.region.to_string(),
            currency: "USD",
            hours: HOURS,
            sources: self.sources,
            before,
            after,
            delta: after - before,
            parts,
            unpriced: self.unpriced.into_iter().collect(),
            per_use: self.per_use.into_iter().collect(),
        }
    }
}

/// Whether a part may cost something by itself: what runs on nodes is paid with those.
fn may_cost(part: &Holding) -> bool {
    part.kind.contains("::") || matches!(part.kind.as_str(), "PersistentVolumeClaim" | "Service" | "Ingress")
}

impl Cost {
    /// True where there is nothing to say.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.unpriced.is_empty()
    }

    /// The days on which the prices were read that were used: the first and the last.
    #[must_use]
    pub fn read(&self) -> Option<(&str, &str)> {
        let days = || self.sources.values().map(|source| source.read.as_str());
        days().min().zip(days().max())
    }
}

#[cfg(test)]
mod tests;
