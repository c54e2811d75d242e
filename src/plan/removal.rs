//! What is no longer declared, and what destroying everything means: in reverse order of dependencies, after all phases
//! (rules 13 and 14).

use crate::{
    base::{ActionWord, Address, Diagnostic},
    kinds::{Observed, kind},
    plan::{Moment, Planned, decide},
    state::{Resource, Snapshot},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Addresses in the order in which they may be destroyed: each before what it depends on; and what lies in a later phase
/// before what lies in an earlier one.
#[must_use]
pub fn order(state: &Snapshot, phases: &[Arc<str>], which: &BTreeSet<Address>) -> Vec<Address> {
    let users = users(state, which);
    let phase_rank: BTreeMap<&str, usize> = phases.iter().enumerate().map(|(at, p)| (&**p, at)).collect();
    let rank = |a: &Address| {
        let phase = state.resources.get(a).map_or("", |r| &*r.phase);
        // A phase that is no longer declared is taken to be the latest.
        std::cmp::Reverse(phase_rank.get(phase).copied().unwrap_or(if phase.is_empty() { 0 } else { usize::MAX }))
    };
    let mut waiting: BTreeMap<&Address, usize> =
        which.iter().map(|a| (a, users.get(a).map_or(0, BTreeSet::len))).collect();
    let mut ready: BTreeSet<_> = which.iter().filter(|a| waiting[a] == 0).map(|a| (rank(a), a)).collect();
    let mut out = Vec::with_capacity(which.len());
    let dependencies = dependencies(state, which);
    while let Some((_, address)) = ready.pop_first() {
        out.push(address.clone());
        for used in dependencies.get(address).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(used) {
                *count -= 1;
                if *count == 0 {
                    ready.insert((rank(used), *used));
                }
            }
        }
    }
    // A circle in what state remembers cannot come from a plan; whatever is left still has its turn.
    let done: BTreeSet<&Address> = out.iter().collect();
    let left: Vec<Address> = which.iter().filter(|a| !done.contains(a)).cloned().collect();
    out.extend(left);
    out
}

/// For each address what it depends on, within `which`. State remembers declarations; their instances stand for them.
#[must_use]
pub fn dependencies<'w>(
    state: &Snapshot,
    which: &'w BTreeSet<Address>,
) -> BTreeMap<&'w Address, BTreeSet<&'w Address>> {
    let mut instances: BTreeMap<String, Vec<&'w Address>> = BTreeMap::new();
    for address in which {
        instances.entry(declaration_text(address)).or_default().push(address);
    }
    let mut out: BTreeMap<&Address, BTreeSet<&Address>> = BTreeMap::new();
    for address in which {
        let Some(resource) = state.resources.get(address) else { continue };
        for dependency in &resource.dependencies {
            let found = instances.get(&declaration_text(dependency)).into_iter().flatten();
            out.entry(address).or_default().extend(found.filter(|d| **d != address));
        }
    }
    out
}

fn users<'w>(state: &Snapshot, which: &'w BTreeSet<Address>) -> BTreeMap<&'w Address, BTreeSet<&'w Address>> {
    let mut out: BTreeMap<&Address, BTreeSet<&Address>> = BTreeMap::new();
    for (user, used) in dependencies(state, which) {
        for address in used {
            out.entry(address).or_default().insert(user);
        }
    }
    out
}

/// An address with all keys left out.
fn declaration_text(address: &Address) -> String {
    crate::graph::address(&address.into()).to_string()
}

/// The fact of a node that retires a colour: a debt of a rollout that was approved (rule 35).
const RETIRES: &str = "retires";

/// True for a node that only pays what an approved rollout owes, and loses no data by it: it needs no word of its own.
#[must_use]
pub fn is_owed(node: &Planned) -> bool {
    node.facts.contains_key(RETIRES) && !node.stateful
}

/// Why something is destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its block is gone.
    NotDeclared,
    /// Its `for_each` has no such key any more.
    KeyGone,
    /// `when` is false.
    Off,
    /// It has no traffic any more, and was kept as long as its rollout asks for.
    Retired,
    /// It has no traffic any more, and somebody asks for it to go before its time has passed.
    RetiredEarly,
    /// It is rolled out by colours no more, and the other one had the traffic.
    Left,
    /// `destroy`.
    Destroy,
}

impl Why {
    const fn text(&self) -> Option<&'static str> {
        match self {
            Self::NotDeclared => Some("it is no longer declared"),
            Self::KeyGone => Some("for_each no longer has its key"),
            Self::Off => Some("when is false"),
            Self::Retired => Some("its traffic is on the other colour, and it was kept as long as `keep` asks for"),
            Self::RetiredEarly => Some(
                "its traffic is on the other colour, and it is to go before it was kept as long as `keep` asks for",
            ),
            Self::Left => Some("it is rolled out by colours no more, and the other one has the traffic"),
            Self::Destroy => None,
        }
    }
}

/// The node of a removal. `observed` is `None` where it is gone already: then it is only forgotten.
#[must_use]
pub fn planned(resource: &Resource, observed: Option<&Observed>, why: &Why, read: bool) -> Planned {
    let change = kind(resource.address.kind()).map(|k| k.removal(Some(&decide::prior(resource)), observed));
    let gone = read && observed.is_none();
    let mut reasons: Vec<String> = why.text().map(str::to_owned).into_iter().collect();
    if gone {
        reasons.push("it is gone already".to_owned());
    }
    let undo = change
        .as_ref()
        .map_or_else(|| crate::kinds::Undo::None("destroying it is not undone".to_owned()), |c| c.undo.clone());
    let debt = (*why == Why::Retired).then(|| (RETIRES.to_owned(), true.into()));
    Planned {
        address: resource.address.clone(),
        phase: resource.phase.clone(),
        moment: Moment::Removal,
        action: if gone { ActionWord::Forget } else { ActionWord::Delete },
        reasons,
        fields: Vec::new(),
        children: change.as_ref().map(|c| c.children.clone()).unwrap_or_default(),
        facts: debt.into_iter().collect(),
        undo,
        stateful: change.is_some_and(|c| c.stateful) && !gone,
        condition: observed.and_then(|o| o.condition.clone()),
        fingerprint: observed.map(|o| o.fingerprint.clone()),
        deferral: None,
        place: None,
        moved_from: None,
        import: None,
        inputs: crate::base::Value::NULL,
        documents: BTreeMap::new(),
        identity: resource.identity.clone(),
        verify: Vec::new(),
        controls: Vec::new(),
        proves: BTreeMap::new(),
        rollout: None,
        after: Vec::new(),
        holdings: crate::kinds::Holdings::default(),
    }
}

/// What forbids a removal.
#[must_use]
pub fn forbidden(resource: &Resource, why: &Why) -> Option<Diagnostic> {
    if !resource.prevent_destroy {
        return None;
    }
    let address = &resource.address;
    let problem =
        Diagnostic::error("prevent_destroy", format!("{address} would be destroyed, and prevent_destroy forbids that"));
    Some(match why {
        Why::Destroy => problem
            .because("the last apply put it under prevent_destroy")
            .hint("lift prevent_destroy by an apply of its own first, or let go of it with `removed { from = .. }`"),
        _ => problem
            .because(format!("{}, but the last apply put it under prevent_destroy", why.text().unwrap_or_default()))
            .hint(format!(
                "declare it again and lift prevent_destroy by an apply first, or let go of it without destroying it:\n\nremoved {{\n  from = {address}\n}}"
            )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::Value,
        state::{RunId, Status},
    };

    fn resource(name: &str, phase: &str, dependencies: &[&str]) -> Resource {
        Resource {
            address: name.parse().unwrap(),
            identity: serde_json::Value::Null,
            connection: serde_json::Value::Null,
            inputs: Value::NULL,
            documents: BTreeMap::new(),
            exports: Value::NULL,
            dependencies: dependencies.iter().map(|d| d.parse().unwrap()).collect(),
            phase: phase.into(),
            prevent_destroy: false,
            status: Status::Verified,
            controls: Vec::new(),
            run: RunId("r".into()),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn things_are_destroyed_before_what_they_stand_on() {
        let mut state = Snapshot::default();
        for r in [
            resource("stack.network", "one", &[]),
            resource("stack.cluster", "two", &["stack.network"]),
            resource("eks_addon.a[\"x\"]", "two", &["stack.cluster"]),
            resource("eks_addon.a[\"y\"]", "two", &["stack.cluster"]),
            resource("stack.alone", "one", &[]),
            resource("helm.h", "three", &["eks_addon.a"]),
        ] {
            state.resources.insert(r.address.clone(), r);
        }
        let which = state.resources.keys().cloned().collect();
        let phases: Vec<Arc<str>> = ["one", "two", "three"].map(Arc::from).to_vec();
        let order: Vec<String> = order(&state, &phases, &which).iter().map(ToString::to_string).collect();
        assert_eq!(
            order,
            ["helm.h", "eks_addon.a[\"x\"]", "eks_addon.a[\"y\"]", "stack.cluster", "stack.alone", "stack.network"]
        );
    }
}
