//! Which instances a declaration has: `for_each` to keys, `when` to present or absent.

use super::{
    Evaluator, Expansion, UnknownInstances,
    failure::{Failures, Outcome},
    memo::{Begin, Item, Stored},
    scope::{Each, Frame, ScopeId},
};
use crate::{
    base::{Address, Data, Diagnostic, Diagnostics, Key, ModulePath, ModuleStep, SequenceKind, Span, Value},
    lang::{Declaration, ast::Expr, convert},
};
use std::{collections::BTreeMap, sync::Arc};

/// Whether an instance is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is.
    On,
    /// `when` is false.
    Off,
    /// `when` is not yet known, for the sake of these.
    Unknown(Vec<Address>),
}

/// The instances of a resource or module call in one module instance.
#[derive(Debug, Clone)]
pub(super) enum Instances {
    /// Without `for_each`.
    Single(Presence),
    /// By key.
    Keyed(BTreeMap<Key, (Value, Presence)>),
    /// The keys are not yet known, for the sake of these.
    Unknown(Vec<Address>),
}

impl Instances {
    /// Calls `f` for each instance; for those that are not yet known, once with the key `*`.
    fn each(&self, mut f: impl FnMut(Option<&Key>, &Presence)) {
        match self {
            Self::Single(presence) => f(None, presence),
            Self::Keyed(keys) => keys.iter().for_each(|(key, (_, presence))| f(Some(key), presence)),
            Self::Unknown(waits_for) => f(Some(&"*".into()), &Presence::Unknown(waits_for.clone())),
        }
    }
}

impl Evaluator {
    /// The instances of a declaration, or of a module call, in every module instance: module `for_each` times its own, less where `when` is
    /// false. Each key costs one evaluation of `when`.
    ///
    /// # Errors
    /// What is wrong with a `for_each` or `when` on the way.
    pub fn expand(&mut self, declaration: &Declaration) -> Result<Expansion, Diagnostics> {
        let mut expansion = Expansion::default();
        let mut failures = Failures::default();
        self.expand_into(ScopeId(0), declaration, 0, &mut expansion, &mut failures);
        self.memo.watch();
        failures.or(expansion).map_err(Diagnostics::from)
    }

    fn expand_into(
        &mut self,
        scope: ScopeId,
        declaration: &Declaration,
        depth: usize,
        out: &mut Expansion,
        failures: &mut Failures,
    ) {
        let Some(call) = declaration.path.get(depth) else {
            let found = if declaration.is_call() {
                self.call_instances(scope, &declaration.name, None)
            } else {
                self.instances(scope, &declaration.kind, &declaration.name, None)
            };
            let Some(instances) = failures.note(found) else { return };
            let path = &self.scope(scope).path;
            instances.each(|key, presence| {
                let address = Address::new(path.clone(), &declaration.kind, &declaration.name, key.cloned());
                match presence {
                    Presence::On => out.instances.push(address),
                    Presence::Off => out.off.push(address),
                    Presence::Unknown(waits_for) => {
                        out.unknown.push(UnknownInstances { pattern: address, waits_for: waits_for.clone() });
                    }
                }
            });
            return;
        };
        let Some(instances) = failures.note(self.call_instances(scope, call, None)) else { return };
        let path = self.scope(scope).path.clone();
        instances.each(|key, presence| match presence {
            Presence::On => {
                if let Some(inner) = failures.note(self.inner_scope(scope, call, key.cloned())) {
                    self.expand_into(inner, declaration, depth + 1, out, failures);
                }
            }
            Presence::Off => out.off.extend(self.unexpanded(&path, key, declaration, depth, true)),
            Presence::Unknown(waits_for) => {
                let pattern = self.unexpanded(&path, key, declaration, depth, false);
                let waits_for = waits_for.clone();
                out.unknown.extend(pattern.map(|pattern| UnknownInstances { pattern, waits_for }));
            }
        });
    }

    /// The address of a declaration inside a call that is not gone into: with `[*]` wherever there is a `for_each`.
    /// Empty where only a whole address will do and there is one.
    fn unexpanded(
        &self,
        path: &ModulePath,
        key: Option<&Key>,
        declaration: &Declaration,
        depth: usize,
        whole: bool,
    ) -> Option<Address> {
        let mut path = path.clone();
        let mut module = self.configuration.module(&declaration.path[..depth])?.clone();
        for (at, name) in declaration.path[depth..].iter().enumerate() {
            let call = module.calls.get(name)?;
            let repeated = call.for_each.is_some();
            if at > 0 && repeated && whole {
                return None;
            }
            let step_key = if at == 0 { key.cloned() } else { repeated.then(|| Key::from("*")) };
            path.push(ModuleStep::new(name.clone(), step_key));
            let inner = call.module.clone();
            module = inner;
        }
        let resource = module.resources.get(&(declaration.kind.clone(), declaration.name.clone()))?;
        let repeated = resource.for_each.is_some();
        if repeated && whole {
            return None;
        }
        Some(Address::new(path, &declaration.kind, &declaration.name, repeated.then(|| Key::from("*"))))
    }

    /// The instances of a resource in one module instance.
    pub(super) fn instances(
        &mut self,
        scope: ScopeId,
        kind: &Arc<str>,
        name: &Arc<str>,
        span: Option<&Span>,
    ) -> Outcome<Arc<Instances>> {
        let item = Item::Declared(scope, kind.clone(), name.clone());
        let stored = match self.memo.begin(&item, span) {
            Begin::Known(outcome) => outcome,
            Begin::Compute => {
                let module = self.scope(scope).module.clone();
                let outcome = match module.resources.get(&(kind.clone(), name.clone())) {
                    Some(resource) => self.count(scope, resource.for_each.as_ref(), resource.when.as_ref()),
                    None => Err(Diagnostic::error("unknown_reference", format!("there is no {kind}.{name}")).into()),
                };
                self.memo.finish(outcome.map(|i| Stored::Instances(Arc::new(i))))
            }
        };
        stored.map(into_instances)
    }

    /// The instances of a module call in one module instance.
    pub(super) fn call_instances(
        &mut self,
        scope: ScopeId,
        name: &Arc<str>,
        span: Option<&Span>,
    ) -> Outcome<Arc<Instances>> {
        let item = Item::Call(scope, name.clone());
        let stored = match self.memo.begin(&item, span) {
            Begin::Known(outcome) => outcome,
            Begin::Compute => {
                let module = self.scope(scope).module.clone();
                let outcome = match module.calls.get(name) {
                    Some(call) => self.count(scope, call.for_each.as_ref(), call.when.as_ref()),
                    None => Err(Diagnostic::error("unknown_reference", format!("there is no module.{name}")).into()),
                };
                self.memo.finish(outcome.map(|i| Stored::Instances(Arc::new(i))))
            }
        };
        stored.map(into_instances)
    }

    /// The instances of a connection.
    pub(super) fn connection_instances(
        &mut self,
        kind: &Arc<str>,
        name: &Arc<str>,
        for_each: Option<&Expr>,
    ) -> Outcome<Arc<Instances>> {
        let item = Item::Connections(kind.clone(), name.clone());
        let stored = match self.memo.begin(&item, None) {
            Begin::Known(outcome) => outcome,
            Begin::Compute => {
                let outcome = self.count(ScopeId(0), for_each, None);
                self.memo.finish(outcome.map(|i| Stored::Instances(Arc::new(i))))
            }
        };
        stored.map(into_instances)
    }

    fn count(&mut self, scope: ScopeId, for_each: Option<&Expr>, when: Option<&Expr>) -> Outcome<Instances> {
        let Some(for_each) = for_each else {
            return Ok(Instances::Single(self.presence(Frame::of(scope), when)?));
        };
        let collection = self.eval(for_each, Frame::of(scope))?;
        let elements = match keys(&collection, &for_each.span)? {
            Keys::Known(elements) => elements,
            Keys::Unknown => return Ok(Instances::Unknown(collection.waits_for())),
        };
        let mut failures = Failures::default();
        let mut keyed = BTreeMap::new();
        for (key, value) in elements {
            let each = Each { key: Value::string(key.clone()), value: value.clone() };
            let frame = Frame::of(scope).with_each(Some(&each));
            if let Some(presence) = failures.note(self.presence(frame, when)) {
                keyed.insert(key, (value, presence));
            }
        }
        failures.or(Instances::Keyed(keyed))
    }

    fn presence(&mut self, frame: Frame<'_>, when: Option<&Expr>) -> Outcome<Presence> {
        let Some(when) = when else { return Ok(Presence::On) };
        let value = self.eval(when, frame)?;
        if value.has_sensitive() {
            return Err(Diagnostic::error("sensitive_condition", "`when` must not be sensitive")
                .at(&when.span, "")
                .because("whether a resource is there shows in every plan")
                .hint("if its truth is no secret, write nonsensitive(...)")
                .into());
        }
        match value.data() {
            Data::Unknown(_) => Ok(Presence::Unknown(value.waits_for())),
            Data::Bool(true) => Ok(Presence::On),
            Data::Bool(false) => Ok(Presence::Off),
            _ => match convert::convert(&value, &crate::lang::types::Type::Bool) {
                Ok(converted) if converted.as_bool() == Some(true) => Ok(Presence::On),
                Ok(converted) if converted.as_bool() == Some(false) => Ok(Presence::Off),
                _ => Err(Diagnostic::error(
                    "wrong_type",
                    format!("`when` must be true or false, not {}", convert::word(&value)),
                )
                .at(&when.span, "")
                .into()),
            },
        }
    }

    /// The module instance behind a call. The caller has made sure that the key is one of the call's.
    pub(super) fn inner_scope(&mut self, scope: ScopeId, name: &Arc<str>, key: Option<Key>) -> Outcome<ScopeId> {
        let mut path = self.scope(scope).path.clone();
        path.push(ModuleStep::new(name.clone(), key));
        let color = Address::call(&path).and_then(|call| self.colors.get(&call).copied());
        if let Some(last) = path.last_mut() {
            last.color = color;
        }
        self.scope_at(&path)
    }

    /// `each` as a module call or resource instance sees it.
    pub(super) fn each_of(instances: &Instances, key: Option<&Key>) -> Option<Each> {
        match (instances, key) {
            (Instances::Keyed(keys), Some(key)) => {
                keys.get(key).map(|(value, _)| Each { key: Value::string(key.clone()), value: value.clone() })
            }
            (Instances::Unknown(waits_for), Some(_)) => {
                let unknown = waits_for.first().cloned().map_or(Value::UNKNOWN, Value::unknown_until);
                Some(Each { key: unknown.clone(), value: unknown })
            }
            _ => None,
        }
    }
}

fn into_instances(stored: Stored) -> Arc<Instances> {
    match stored {
        Stored::Instances(instances) => instances,
        Stored::Value(_) => Arc::new(Instances::Keyed(BTreeMap::new())),
    }
}

/// What `for_each` iterates.
pub(super) enum Keys {
    /// Keys with their values.
    Known(Vec<(Key, Value)>),
    /// Not yet known.
    Unknown,
}

/// The keys of a `for_each`: of a map or object, or the strings of a set.
pub(super) fn keys(collection: &Value, span: &Span) -> Outcome<Keys> {
    let refuse = |summary: String, hint: &str| {
        Diagnostic::error("invalid_for_each", summary)
            .at(span, "")
            .because("`for_each` takes a map, an object or a set of strings: each key becomes part of an address")
            .hint(hint)
    };
    let secret = || {
        refuse("`for_each` must not be sensitive".to_owned(), "iterate over keys that are no secret")
            .because("the keys of instances show in every plan, address and log")
    };
    if collection.is_sensitive() {
        return Err(secret().into());
    }
    match collection.data() {
        Data::Unknown(_) => Ok(Keys::Unknown),
        Data::Mapping(_, entries) => Ok(Keys::Known(entries.iter().map(|(k, v)| (k.clone(), v.clone())).collect())),
        Data::Sequence(SequenceKind::Set, elements) => {
            if elements.iter().any(Value::is_unknown) {
                return Ok(Keys::Unknown);
            }
            let mut known = Vec::with_capacity(elements.len());
            for element in elements.iter() {
                let Data::String(key) = element.data() else {
                    let found = convert::word(element);
                    return Err(refuse(
                        format!("`for_each` is a set with {found} in it"),
                        "make a map whose keys are the names: { for x in THE_SET : x.name => x }",
                    )
                    .into());
                };
                known.push((key.clone(), element.clone()));
            }
            Ok(Keys::Known(known))
        }
        Data::Sequence(..) if collection.has_sensitive() => Err(secret().into()),
        Data::Sequence(..) => {
            let hint = "write toset(...) around it, or { for x in ... : x.name => x }";
            Err(refuse(format!("`for_each` is {}", convert::word(collection)), hint).into())
        }
        Data::Null => Err(refuse("`for_each` is null".to_owned(), "write {} for no instances").into()),
        _ => {
            let found = convert::word(collection);
            Err(refuse(format!("`for_each` is {found}"), "give it a map, or a set of strings").into())
        }
    }
}
