//! What was computed once, and what must be computed again when a resource turns out to be something.
//!
//! Locals, module variables, outputs and expansions are computed when first asked for. Whoever reads an item while it is
//! being computed is noted as depending on it, so that [`Memo::forget`] drops exactly what a changed resource reaches.
//! Dropping costs what was noted, once; so the whole stays linear in the number of references.

use super::{
    failure::{Failure, Outcome},
    instances::Instances,
    scope::ScopeId,
};
use crate::base::{Address, Diagnostic, Span, Value};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// How many items may wait for each other; more is a mistake, and would use up the stack.
pub(super) const DEPTH: usize = 128;

/// Something that is computed once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Item {
    /// `var.x` of a module instance.
    Variable(ScopeId, Arc<str>),
    /// `local.x`.
    Local(ScopeId, Arc<str>),
    /// An output.
    Output(ScopeId, Arc<str>),
    /// The instances of a module call.
    Call(ScopeId, Arc<str>),
    /// The instances of a resource in one module instance.
    Declared(ScopeId, Arc<str>, Arc<str>),
    /// All instances of a resource as one value.
    Collected(ScopeId, Arc<str>, Arc<str>),
    /// The arguments of a module instance, all checked.
    Arguments(ScopeId),
    /// A connection's instances.
    Connections(Arc<str>, Arc<str>),
    /// What a resource turned out to be: given from outside, never computed.
    Attributes(Address),
}

impl Item {
    fn label(&self) -> String {
        match self {
            Self::Variable(_, name) => format!("var.{name}"),
            Self::Local(_, name) => format!("local.{name}"),
            Self::Output(_, name) => format!("output.{name}"),
            Self::Call(_, name) => format!("the instances of module.{name}"),
            Self::Declared(_, kind, name) => format!("the instances of {kind}.{name}"),
            Self::Collected(_, kind, name) | Self::Connections(kind, name) => format!("{kind}.{name}"),
            Self::Arguments(_) => "the module's arguments".to_owned(),
            Self::Attributes(address) => address.to_string(),
        }
    }
}

/// What an item turned out to be.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    /// A value.
    Value(Value),
    /// Instances.
    Instances(Arc<Instances>),
}

#[derive(Debug)]
struct Entry {
    outcome: Outcome<Stored>,
    reads: Arc<BTreeSet<Address>>,
}

struct Open {
    item: Item,
    span: Option<Span>,
    reads: BTreeSet<Address>,
}

/// The items that are known, and those being computed.
#[derive(Default)]
pub(super) struct Memo {
    entries: HashMap<Item, Entry>,
    dependents: HashMap<Item, HashSet<Item>>,
    open: Vec<Open>,
    in_progress: HashSet<Item>,
    /// Instances read since the last [`Memo::watch`], outside of any item.
    watched: BTreeSet<Address>,
}

/// How computing an item may begin.
pub(super) enum Begin {
    /// It is known.
    Known(Outcome<Stored>),
    /// Compute it, then say [`Memo::finish`].
    Compute,
}

impl Memo {
    /// Looks an item up, noting that whatever is being computed depends on it.
    pub(super) fn begin(&mut self, item: &Item, span: Option<&Span>) -> Begin {
        self.depend(item);
        if let Some(entry) = self.entries.get(item) {
            let reads = entry.reads.clone();
            let outcome = entry.outcome.clone();
            self.note_all(&reads);
            return Begin::Known(outcome);
        }
        if self.in_progress.contains(item) {
            return Begin::Known(Err(Failure::fatal(self.cycle(item, span))));
        }
        if self.open.len() >= DEPTH {
            let problem = Diagnostic::error("too_deep", format!("more than {DEPTH} references wait for each other"))
                .because("each is computed from the one before it")
                .hint("compute the value in one `for` expression");
            let problem = if let Some(span) = span { problem.at(span, "") } else { problem };
            return Begin::Known(Err(Failure::fatal(problem)));
        }
        self.in_progress.insert(item.clone());
        self.open.push(Open { item: item.clone(), span: span.cloned(), reads: BTreeSet::new() });
        Begin::Compute
    }

    /// Remembers what the item begun last turned out to be.
    pub(super) fn finish(&mut self, outcome: Outcome<Stored>) -> Outcome<Stored> {
        let Some(open) = self.open.pop() else { return outcome };
        self.in_progress.remove(&open.item);
        let reads = Arc::new(open.reads);
        self.note_all(&reads);
        self.entries.insert(open.item, Entry { outcome: outcome.clone(), reads });
        outcome
    }

    /// Notes that what is being computed depends on an item that is not computed.
    pub(super) fn depend(&mut self, item: &Item) {
        if let Some(open) = self.open.last()
            && open.item != *item
        {
            self.dependents.entry(item.clone()).or_default().insert(open.item.clone());
        }
    }

    /// Notes that an instance was referred to.
    pub(super) fn note(&mut self, address: Address) {
        match self.open.last_mut() {
            Some(open) => open.reads.insert(address),
            None => self.watched.insert(address),
        };
    }

    fn note_all(&mut self, reads: &BTreeSet<Address>) {
        let target = match self.open.last_mut() {
            Some(open) => &mut open.reads,
            None => &mut self.watched,
        };
        target.extend(reads.iter().cloned());
    }

    /// The instances referred to since it was last asked.
    pub(super) fn watch(&mut self) -> BTreeSet<Address> {
        std::mem::take(&mut self.watched)
    }

    /// Drops everything that depends on an item, but not the item itself.
    pub(super) fn forget(&mut self, item: &Item) {
        let mut queue: Vec<Item> = self.dependents.remove(item).into_iter().flatten().collect();
        while let Some(item) = queue.pop() {
            self.entries.remove(&item);
            queue.extend(self.dependents.remove(&item).into_iter().flatten());
        }
    }

    /// Changes a known value in place, without copying it where nobody else holds it.
    pub(super) fn patch(&mut self, item: &Item, change: impl FnOnce(&mut Value)) {
        if let Some(Entry { outcome: Ok(Stored::Value(value)), .. }) = self.entries.get_mut(item) {
            change(value);
        }
    }

    fn cycle(&self, item: &Item, span: Option<&Span>) -> Diagnostic {
        let from = self.open.iter().position(|o| o.item == *item).unwrap_or(0);
        let around: Vec<&Open> = self.open[from..].iter().collect();
        let mut names: Vec<String> = around.iter().map(|o| o.item.label()).collect();
        names.push(item.label());
        let mut problem = Diagnostic::error("cycle", format!("`{}` depends on itself", item.label()))
            .because(names.join(" → "))
            .hint("break the circle: one of them must not refer to the next");
        for (at, open) in around.iter().enumerate().skip(1) {
            if let Some(place) = &open.span {
                problem = problem.at(place, format!("`{}` needs `{}`", around[at - 1].item.label(), open.item.label()));
            }
        }
        if let (Some(place), Some(last)) = (span, around.last()) {
            problem = problem.at(place, format!("`{}` needs `{}`", last.item.label(), item.label()));
        }
        problem
    }
}
