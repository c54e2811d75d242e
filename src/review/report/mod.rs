//! One saved plan as a page of HTML: a single file that asks nobody for anything, for whoever wants to see all of it.
//!
//! Pure, as the comment is: a plan, prices and how differences are told go in, a text comes out. Everything is in the page before any script runs:
//! the script (`report.js`) only searches, filters and draws what waits for what. Its content policy names that script and the style by their digests,
//! so nothing else in the page could run whatever it said; and nothing else is in it, see `html.rs`.

mod changes;
mod graph;
mod html;
mod money;
mod page;
mod policy;
mod provenance;
mod rest;
#[cfg(test)]
mod tests;

use crate::{
    base::{Address, Hidden, Value},
    graph as graphs,
    lang::Declaration,
    plan::{Finding, Plan, Planned, Saved},
    review::{Book, Capacity, Cost, Rank, Risk, capacity, change::is_change, cost, risks, withheld::in_clear},
};
use std::{collections::BTreeMap, sync::Arc};

/// How a row of a difference came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It says what the rows below are of.
    Heading,
    /// It is there for orientation.
    Same,
    /// It came.
    Added,
    /// It went.
    Removed,
    /// It changed.
    Changed,
}

/// A row of a difference: what was beside what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What happened.
    pub mark: Mark,
    /// How far it is indented.
    pub depth: usize,
    /// Where; empty for a line of a text.
    pub path: String,
    /// What was. Line ends in it are the teller's own.
    pub before: Option<String>,
    /// What is.
    pub after: Option<String>,
}

/// How values and their differences are told: the same as on a terminal, which is not known here. No secret is in what it tells.
pub trait Details {
    /// A value on one line.
    fn value(&self, value: &Value) -> String;
    /// The rows that say how one value became another.
    fn rows(&self, path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Row>;
    /// What else there is to say of a change: when it is planned, how traffic moves, what a chart holds. Lines without a sign.
    fn told(&self, plan: &Plan, node: &Planned) -> Vec<String>;
    /// What becomes of colours that are kept warm.
    fn kept(&self, plan: &Plan) -> Vec<String>;
}

/// A plan with all that is reckoned from it.
struct Sheet<'a> {
    saved: &'a Saved,
    plan: &'a Plan,
    details: &'a dyn Details,
    /// What is in clear under the name of a secret.
    hidden: Hidden,
    cost: Cost,
    capacity: Option<Capacity>,
    /// In the plan's order.
    changes: Vec<Change<'a>>,
    /// Changes by place in `changes`: what may go wrong most first, then those without a risk.
    riskiest: Vec<usize>,
    /// Places in `changes` by declaration.
    declared: BTreeMap<Address, Vec<usize>>,
    /// Declarations that come directly after a declaration.
    users: BTreeMap<Address, Vec<Address>>,
}

/// A change with what is said of it elsewhere.
struct Change<'a> {
    node: &'a Planned,
    /// Without instance and colour.
    declaration: Address,
    risk: Option<Risk>,
    /// Shared, for thousands of instances may have thousands of them.
    findings: Arc<[&'a Finding]>,
}

impl Change<'_> {
    fn rank(&self) -> Rank {
        self.risk.as_ref().map_or(Rank::Low, |risk| risk.rank)
    }
}

/// The page.
#[must_use]
pub fn report(saved: &Saved, book: &Book, details: &dyn Details) -> String {
    page::write(&Sheet::new(saved, book, details))
}

/// What is told, as others may read it.
impl Sheet<'_> {
    fn value(&self, value: &Value) -> String {
        self.hidden.out_of(&self.details.value(value))
    }

    fn rows(&self, path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Row> {
        let mut rows = self.details.rows(path, before, after);
        for text in rows.iter_mut().flat_map(|row| [&mut row.before, &mut row.after]).flatten() {
            *text = self.hidden.out_of(text);
        }
        rows
    }

    fn told(&self, node: &Planned) -> Vec<String> {
        self.details.told(self.plan, node).iter().map(|line| self.hidden.out_of(line)).collect()
    }
}

impl<'a> Sheet<'a> {
    fn new(saved: &'a Saved, book: &Book, details: &'a dyn Details) -> Self {
        let plan = &saved.content;
        let mut of: BTreeMap<&Address, Vec<&Finding>> = BTreeMap::new();
        for finding in plan.judgement.iter().flat_map(|judgement| &judgement.findings) {
            if let Some(address) = &finding.address {
                of.entry(address).or_default().push(finding);
            }
        }
        let of: BTreeMap<&Address, Arc<[&Finding]>> = of.into_iter().map(|(of, found)| (of, found.into())).collect();
        let mut risky: BTreeMap<Address, Risk> =
            risks(plan).into_iter().map(|risk| (risk.address.clone(), risk)).collect();
        let changes: Vec<Change> = plan
            .nodes
            .iter()
            .filter(|node| is_change(node))
            .map(|node| {
                let declaration = declaration(&node.address);
                let own = of.get(&node.address);
                // What is found of a declaration is found of each of its instances.
                let found = own.or_else(|| of.get(&declaration)).cloned().unwrap_or_default();
                Change { node, risk: risky.remove(&node.address), findings: found, declaration }
            })
            .collect();
        let mut riskiest: Vec<usize> = (0..changes.len()).collect();
        riskiest.sort_by_key(|at| std::cmp::Reverse(changes[*at].risk.as_ref().map_or(0, |risk| risk.points)));
        let mut declared: BTreeMap<Address, Vec<usize>> = BTreeMap::new();
        for (at, change) in changes.iter().enumerate() {
            declared.entry(change.declaration.clone()).or_default().push(at);
        }
        let mut users: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for node in &plan.nodes {
            let own = declaration(&node.address);
            if seen.insert(own.clone()) {
                for used in node.after.iter().filter(|used| **used != own) {
                    users.entry(used.clone()).or_default().push(own.clone());
                }
            }
        }
        let (cost, capacity) = (cost(plan, book), capacity(plan, book));
        let hidden = in_clear(plan);
        Self { saved, plan, details, hidden, cost, capacity, changes, riskiest, declared, users }
    }

    /// The place of a change among the changes; of a declaration that of its first instance.
    fn place(&self, address: &Address) -> Option<usize> {
        let of = self.declared.get(&declaration(address))?;
        of.iter().copied().find(|at| self.changes[*at].node.address == *address).or_else(|| of.first().copied())
    }
}

/// The declaration that a thing is an instance of, as plans name what something comes after.
fn declaration(address: &Address) -> Address {
    graphs::address(&Declaration::from(address))
}
