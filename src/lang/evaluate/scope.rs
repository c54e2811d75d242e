//! Module instances: where names are looked up, and what each expression sees around it.

use crate::{
    base::{Address, Key, ModulePath, Value},
    lang::configuration::Module,
};
use std::sync::Arc;

/// A module instance by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ScopeId(pub(super) usize);

/// A module instance.
#[derive(Debug)]
pub(super) struct Scope {
    /// Its path.
    pub(super) path: ModulePath,
    /// The module.
    pub(super) module: Arc<Module>,
    /// The call that made it: the caller, the call's name and the key; `None` for the root.
    pub(super) caller: Option<(ScopeId, Arc<str>, Option<Key>)>,
}

/// `each.key` and `each.value`.
#[derive(Debug, Clone)]
pub(super) struct Each {
    /// The key; unknown where it stands for instances that are not yet known.
    pub(super) key: Value,
    /// The value.
    pub(super) value: Value,
}

/// Names that an expression has bound: `for` variables, iterators of `dynamic` blocks, a template's variables.
pub(super) struct Bound<'a> {
    pub(super) name: &'a str,
    pub(super) value: Value,
    pub(super) outer: Option<&'a Bound<'a>>,
}

/// What an expression sees around it.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The module instance.
    pub(super) scope: ScopeId,
    /// `each`, where there is one.
    pub(super) each: Option<&'a Each>,
    /// The resource that `self` means.
    pub(super) this: Option<&'a Address>,
    /// Bound names, innermost first.
    pub(super) bound: Option<&'a Bound<'a>>,
    /// Only bound names are to be seen: a template file.
    pub(super) sealed: bool,
}

impl<'a> Frame<'a> {
    /// The plain view from a module instance.
    pub(super) const fn of(scope: ScopeId) -> Self {
        Self { scope, each: None, this: None, bound: None, sealed: false }
    }

    /// The same view with `each`.
    pub(super) const fn with_each(self, each: Option<&'a Each>) -> Self {
        Self { each, ..self }
    }

    /// The value of a bound name.
    pub(super) fn bound(&self, name: &str) -> Option<&'a Value> {
        let mut at = self.bound;
        while let Some(bound) = at {
            if bound.name == name {
                return Some(&bound.value);
            }
            at = bound.outer;
        }
        None
    }
}
