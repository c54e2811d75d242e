//! Phases: their order, and which one a declaration belongs to (rule 15).
//!
//! Called by the loader to check, and by the graph through [`Configuration::phase_of`]. That something depends on a later
//! phase is found by the graph, which knows all edges.

use crate::{
    base::{Diagnostic, Diagnostics},
    lang::{
        configuration::{Configuration, Declaration, Module, Phase, PhaseRef},
        schema::Role,
        suggest,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The name of the one phase of a plan that declares none.
pub const IMPLICIT: &str = "main";

/// Phases so that each comes behind all that it is after, else in the order of their names.
pub(crate) fn ordered(phases: BTreeMap<Arc<str>, Phase>, diagnostics: &mut Diagnostics) -> Vec<Phase> {
    if phases.is_empty() {
        return vec![Phase {
            name: IMPLICIT.into(),
            span: None,
            description: None,
            after: Vec::new(),
            on_failure: crate::lang::configuration::OnFailure::Halt,
            verify: Vec::new(),
        }];
    }
    for phase in phases.values() {
        for (name, span) in &phase.after {
            if !phases.contains_key(name) {
                let mut diagnostic =
                    Diagnostic::error("unknown_reference", format!("there is no phase `{name}`")).at(span, "");
                diagnostic.hint = suggest::hint(name, phases.keys().map(|n| &**n));
                diagnostics.push(diagnostic);
            }
        }
    }
    let mut left = phases;
    let mut order: Vec<Phase> = Vec::with_capacity(left.len());
    let mut done: BTreeSet<Arc<str>> = BTreeSet::new();
    while !left.is_empty() {
        let ready: Vec<Arc<str>> = left
            .values()
            .filter(|p| p.after.iter().all(|(name, _)| done.contains(name) || !left.contains_key(name)))
            .map(|p| p.name.clone())
            .collect();
        if ready.is_empty() {
            diagnostics.push(cycle(&left));
            order.extend(left.into_values());
            return order;
        }
        for name in ready {
            order.extend(left.remove(&name));
            done.insert(name);
        }
    }
    order
}

/// The phases of one cycle, in a sentence.
fn cycle(left: &BTreeMap<Arc<str>, Phase>) -> Diagnostic {
    let mut way: Vec<&Phase> = Vec::new();
    let mut next = left.values().next();
    while let Some(phase) = next {
        if let Some(start) = way.iter().position(|p| p.name == phase.name) {
            way.drain(..start);
            break;
        }
        way.push(phase);
        next = phase.after.iter().find_map(|(name, _)| left.get(name));
    }
    let mut names: Vec<String> = way.iter().map(|p| format!("`{}`", p.name)).collect();
    names.extend(names.first().cloned());
    let mut diagnostic =
        Diagnostic::error("phase_cycle", format!("phases wait for each other: {}", names.join(" after ")))
            .hint("leave out one of the references in `after`");
    for phase in way {
        for (name, span) in phase.after.iter().filter(|(name, _)| left.contains_key(name)) {
            diagnostic = diagnostic.at(span, format!("`{}` is after `{name}`", phase.name));
        }
    }
    diagnostic
}

/// Checks that everything has a phase that exists, once one is declared; and that modules are given the phases they name.
pub(crate) fn check(configuration: &Configuration, diagnostics: &mut Diagnostics) {
    let declared: Vec<&str> = configuration.phases.iter().filter(|p| p.span.is_some()).map(|p| &*p.name).collect();
    let phased = !declared.is_empty();
    let root = &configuration.root;
    let known = |phase: &PhaseRef, diagnostics: &mut Diagnostics| {
        if !declared.contains(&&*phase.name) {
            let mut diagnostic = Diagnostic::error("unknown_reference", format!("there is no phase `{}`", phase.name))
                .at(&phase.span, "");
            diagnostic.hint = suggest::hint(&phase.name, declared.iter().copied());
            diagnostics.push(diagnostic);
        }
    };
    for resource in root.resources.values() {
        match &resource.phase {
            Some(phase) => known(phase, diagnostics),
            None if phased && resource.role == Role::Managed => diagnostics.push(
                Diagnostic::error("missing_phase", format!("`{}.{}` has no phase", resource.kind, resource.name))
                    .at(&resource.span, "")
                    .because("once a phase is declared, everything belongs to one")
                    .hint(format!("write phase = phase.{}", declared.last().copied().unwrap_or(IMPLICIT))),
            ),
            None => {}
        }
    }
    for fixture in configuration.fixtures.values() {
        fixture.phase.iter().for_each(|phase| known(phase, diagnostics));
    }
    for call in root.calls.values() {
        call.phase.iter().chain(call.phases.values()).for_each(|phase| known(phase, diagnostics));
    }
    // A module is checked once for its own calls, however often it is called.
    let mut seen: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut inherits = BTreeMap::new();
    let mut waiting = vec![root.clone()];
    while let Some(module) = waiting.pop() {
        if !seen.insert(module.folder.clone()) {
            continue;
        }
        for call in module.calls.values() {
            let inner = names(&call.module, &mut inherits);
            for (name, first) in &inner.named {
                if !call.phases.contains_key(name) {
                    let mut diagnostic =
                        Diagnostic::error("missing_phase", format!("the module wants a phase `{name}`"))
                            .at(&call.span, "")
                            .at(&first.span, "named here")
                            .hint(format!("write phases = {{ {name} = phase.NAME }}"));
                    if let Some(near) = suggest::nearest(name, call.phases.keys().map(|n| &**n)) {
                        diagnostic = diagnostic.because(format!("it is given one called `{near}`"));
                    }
                    diagnostics.push(diagnostic);
                }
            }
            for (name, phase) in call.phases.iter().filter(|(name, _)| !inner.named.contains_key(*name)) {
                let mut diagnostic = Diagnostic::error("unknown_phase", format!("the module names no phase `{name}`"))
                    .at(&phase.span, "");
                diagnostic.hint = suggest::hint(name, inner.named.keys().map(|n| &**n));
                diagnostics.push(diagnostic);
            }
            // Within a module the default is handed down; at the root there is none to hand.
            let at_root = module.folder == root.folder;
            if at_root && phased && inner.default && call.phase.is_none() {
                diagnostics.push(
                    Diagnostic::error("missing_phase", format!("`module.{}` has no phase", call.name))
                        .at(&call.span, "")
                        .because("some of what is inside names none of its own")
                        .hint(format!("write phase = phase.{}", declared.last().copied().unwrap_or(IMPLICIT))),
                );
            }
            waiting.push(call.module.clone());
        }
    }
}

/// Which phases a module names, and whether anything in it takes the caller's.
struct Names<'m> {
    named: BTreeMap<Arc<str>, &'m PhaseRef>,
    default: bool,
}

/// `inherits` remembers for each folder whether anything in it takes the caller's phase.
fn names<'m>(module: &'m Module, inherits: &mut BTreeMap<Arc<str>, bool>) -> Names<'m> {
    let mut named = BTreeMap::new();
    for resource in module.resources.values() {
        if let Some(phase) = &resource.phase {
            named.entry(phase.name.clone()).or_insert(phase);
        }
    }
    for call in module.calls.values() {
        for phase in call.phase.iter().chain(call.phases.values()) {
            named.entry(phase.name.clone()).or_insert(phase);
        }
    }
    Names { named, default: takes_callers(module, inherits) }
}

fn takes_callers(module: &Module, inherits: &mut BTreeMap<Arc<str>, bool>) -> bool {
    if let Some(known) = inherits.get(&module.folder) {
        return *known;
    }
    let own = module.resources.values().any(|r| r.phase.is_none() && r.role == Role::Managed);
    let takes = own || module.calls.values().any(|call| call.phase.is_none() && takes_callers(&call.module, inherits));
    inherits.insert(module.folder.clone(), takes);
    takes
}

impl Configuration {
    /// The phase of a declaration, by its name at the root. `None` for a data source, which is read whenever what it names
    /// is known; a check that names none is asked in the last phase, or in its module's.
    #[must_use]
    pub fn phase_of(&self, declaration: &Declaration) -> Option<Arc<str>> {
        let resource = self.resource(declaration)?;
        if resource.role == Role::Data {
            return None;
        }
        let last = || self.phases.last().map(|p| p.name.clone());
        let found = self.outer_phase(&declaration.path, resource.phase.as_ref().map(|p| &p.name));
        match resource.role {
            Role::Check if found.is_none() => last(),
            _ => found.or_else(|| self.phases.iter().find(|p| p.span.is_none()).map(|p| p.name.clone())),
        }
    }

    /// What a phase that is named in a module is called at the root; `None` for the caller's own.
    pub fn outer_phase(&self, path: &[Arc<str>], name: Option<&Arc<str>>) -> Option<Arc<str>> {
        let mut name = name.cloned();
        for depth in (0..path.len()).rev() {
            let call = self.module(&path[..depth])?.calls.get(&path[depth])?;
            let outer = match &name {
                Some(inner) => Some(call.phases.get(inner)?),
                None => call.phase.as_ref(),
            };
            name = outer.map(|phase| phase.name.clone());
        }
        name
    }
}
