//! `moved` blocks: a thing goes by another address and is not touched.

use crate::{
    base::{Address, Diagnostic, Diagnostics, ModuleStep},
    lang::{
        Configuration,
        configuration::{Module, MoveEnd, Moved},
    },
    state::Snapshot,
};
use std::collections::BTreeMap;

/// Which addresses in state go by another one now.
#[derive(Debug, Clone, Default)]
pub struct Moves {
    /// New address to the one in state.
    back: BTreeMap<Address, Address>,
}

impl Moves {
    /// Finds what moves. A move whose new address is taken is a problem; one whose old address is not there does nothing.
    #[must_use]
    pub fn new(configuration: &Configuration, state: &Snapshot, problems: &mut Diagnostics) -> Self {
        let mut blocks = Vec::new();
        collect(&configuration.root, &mut Vec::new(), &mut blocks);
        let mut moves = Self::default();
        let mut now: BTreeMap<Address, Address> = state.resources.keys().map(|a| (a.clone(), a.clone())).collect();
        for (path, block) in blocks {
            let hits: Vec<(Address, Address)> =
                now.keys().filter_map(|a| renamed(a, &path, block).map(|to| (a.clone(), to))).collect();
            for (from, to) in hits {
                if now.contains_key(&to) {
                    problems.push(
                        Diagnostic::error(
                            "moved_onto_another",
                            format!("{from} cannot become {to}: the state has both"),
                        )
                        .at(&block.span, "moved here")
                        .hint(format!("decide which of the two stays; `terrace state rm {to}` forgets the other")),
                    );
                    continue;
                }
                if let Some(origin) = now.remove(&from) {
                    now.insert(to, origin);
                }
            }
        }
        moves.back = now.into_iter().filter(|(to, from)| to != from).collect();
        moves
    }

    /// The state with the moves made.
    #[must_use]
    pub fn apply(&self, state: &Snapshot) -> Snapshot {
        let mut out = state.clone();
        let moved: Vec<_> = self
            .back
            .iter()
            .filter_map(|(to, from)| out.resources.remove(from).map(|resource| (to.clone(), from.clone(), resource)))
            .collect();
        for (to, from, mut resource) in moved {
            resource.address = to.clone();
            out.resources.insert(to.clone(), resource);
            out.standing_moved(&from, &to);
            let prefix = format!("{from}/");
            let verdicts: Vec<_> = out
                .verdicts
                .iter()
                .filter(|(s, _)| s.starts_with(&prefix))
                .map(|(s, v)| (s.clone(), v.clone()))
                .collect();
            for (subject, verdict) in verdicts {
                out.verdicts.insert(format!("{to}/{}", &subject[prefix.len()..]).into(), verdict);
            }
        }
        out
    }

    /// The former address of what now goes by this one.
    #[must_use]
    pub fn from(&self, to: &Address) -> Option<&Address> {
        self.back.get(to)
    }

    /// Notes one that no block asks for: a strategy with colours takes over what was there without, or the other way round.
    pub fn add(&mut self, from: Address, to: Address) {
        let origin = self.back.remove(&from).unwrap_or(from);
        self.back.insert(to, origin);
    }

    /// Each move: from, to.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, &Address)> {
        self.back.iter().map(|(to, from)| (from, to))
    }
}

fn collect<'m>(
    module: &'m Module,
    path: &mut Vec<std::sync::Arc<str>>,
    out: &mut Vec<(Vec<std::sync::Arc<str>>, &'m Moved)>,
) {
    out.extend(module.moved.iter().map(|m| (path.clone(), m)));
    for call in module.calls.values() {
        path.push(call.name.clone());
        collect(&call.module, path, out);
        path.pop();
    }
}

/// What an address becomes under a block written in the module at `path`, if it is meant by it.
fn renamed(address: &Address, path: &[std::sync::Arc<str>], block: &Moved) -> Option<Address> {
    let outer = address.module().get(..path.len())?;
    if !outer.iter().zip(path).all(|(step, name)| step.name == *name) {
        return None;
    }
    let inner = &address.module()[path.len()..];
    match (&block.from, &block.to) {
        (MoveEnd::Resource(from), MoveEnd::Resource(to)) => {
            let meant = from.module() == inner
                && from.kind() == address.kind()
                && from.name() == address.name()
                && (from.key().is_none() || from.key() == address.key());
            meant.then(|| {
                let module = outer.iter().chain(to.module()).cloned().collect();
                // A block without keys moves every instance; with a key on either side exactly that one.
                let key =
                    if from.key().is_none() && to.key().is_none() { address.key().cloned() } else { to.key().cloned() };
                let lone_key_added = from.key().is_none() && to.key().is_some() && address.key().is_some();
                (!lone_key_added).then(|| Address::new(module, to.kind(), to.name(), key).with_color(address.color()))
            })?
        }
        (MoveEnd::Module(from), MoveEnd::Module(to)) => {
            let (from, to) = (module_step(from)?, module_step(to)?);
            let first = inner.first()?;
            if first.name != from.name || (from.key.is_some() && from.key != first.key) {
                return None;
            }
            let key = if from.key.is_none() && to.key.is_none() { first.key.clone() } else { to.key };
            let module = outer
                .iter()
                .cloned()
                .chain([ModuleStep { name: to.name, key, color: first.color }])
                .chain(inner[1..].iter().cloned())
                .collect();
            let moved = Address::new(module, address.kind(), address.name(), address.key().cloned());
            Some(moved.with_color(address.color()))
        }
        _ => None,
    }
}

/// `module.a["k"]` as a step.
fn module_step(text: &str) -> Option<ModuleStep> {
    let probe: Address = format!("{text}.x.y").parse().ok()?;
    probe.module().first().cloned()
}
