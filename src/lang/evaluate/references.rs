//! What names mean: variables, locals, resources, module outputs, `each`, `self`, `env`, `path`.

use super::{
    Evaluator,
    expression::{attribute, index, key_text},
    failure::{Failure, Outcome},
    instances::{Instances, Presence},
    memo::{Begin, Item, Stored},
    modules::{module_call, module_output},
    scope::{Frame, ScopeId},
    variables::into_value,
};
use crate::{
    base::{Address, Diagnostic, Key, Span, Value},
    lang::{
        ast::{Expr, Node},
        suggest,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// First names that are not kinds.
const FIRST_NAMES: [&str; 7] = ["var", "local", "module", "each", "self", "env", "path"];

impl Evaluator {
    /// The value of a reference, where the expression is one; the steps behind it are the caller's.
    pub(super) fn reference(&mut self, expr: &Expr, frame: Frame<'_>) -> Option<Outcome<Value>> {
        if let Node::Name(name) = &expr.node {
            return frame.bound(name).cloned().map(Ok);
        }
        if frame.sealed {
            return None;
        }
        if let Some((call, key, output)) = module_output(expr, frame) {
            return Some(self.module_output(call, key, output, &expr.span, frame));
        }
        match &expr.node {
            Node::Index(inner, key) => {
                if let Some((kind, name)) = self.resource_named(inner, frame) {
                    return Some(self.keyed_resource(&kind, &name, key, &expr.span, frame));
                }
                let call = module_call(inner, frame)?;
                Some(self.keyed_module(call, key, &expr.span, frame))
            }
            Node::Attribute(inner, last) => {
                if let Some((kind, name)) = self.resource_named(expr, frame) {
                    return Some(self.whole_resource(frame.scope, &kind, &name, &expr.span));
                }
                let Node::Name(first) = &inner.node else { return None };
                if frame.bound(first).is_some() {
                    return None;
                }
                self.first_name(first, last, expr, frame)
            }
            _ => None,
        }
    }

    fn first_name(&mut self, first: &str, last: &Arc<str>, expr: &Expr, frame: Frame<'_>) -> Option<Outcome<Value>> {
        let span = &expr.span;
        let fail = |code, summary: String| Diagnostic::error(code, summary).at(span, "");
        Some(match first {
            "var" => self.variable(frame.scope, last, span),
            "local" => self.local(frame.scope, last, span),
            "module" => self.whole_module(frame.scope, last, span),
            "env" => attribute(&self.env.clone(), last, span),
            "path" => self.path_value(frame.scope, last, span),
            "each" => match (frame.each, &**last) {
                (Some(each), "key") => Ok(each.key.clone()),
                (Some(each), "value") => Ok(each.value.clone()),
                (Some(_), _) => Err(fail("unknown_reference", format!("`each` has no `{last}`"))
                    .hint("there is each.key and each.value")
                    .into()),
                (None, _) => Err(fail("unknown_reference", "`each` means nothing here".to_owned())
                    .because("the block it stands in has no `for_each`")
                    .into()),
            },
            "self" => match frame.this {
                Some(address) if &**last == "color" => {
                    Ok(address.color().map_or(Value::NULL, |color| color.word().into()))
                }
                Some(address) if address.is_call() => {
                    let why = format!("`self` of a module call has no `{last}`");
                    Err(fail("unknown_reference", why).hint("there is self.color").into())
                }
                Some(address) => {
                    let address = address.clone();
                    self.memo.depend(&Item::Attributes(address.clone()));
                    let value = self.attributes_of(&address);
                    attribute(&value, last, span)
                }
                None => Err(fail("unknown_reference", "`self` means nothing here".to_owned())
                    .because("`self` is the resource that an expression stands in")
                    .into()),
            },
            "count" => Err(fail("unknown_reference", "there is no `count`".to_owned())
                .hint("use for_each; each.key is the key")
                .into()),
            "terraform" => Err(fail("unknown_reference", "there is no `terraform` here".to_owned())
                .hint("env.name is the environment")
                .into()),
            "phase" | "environment" | "kubernetes" | "aws" | "prometheus" => {
                let why = format!("{first}.{last} names a block and has no value of its own");
                Err(fail("unknown_reference", why).into())
            }
            kind if self.schema.kind(kind).is_some() => Err(self.no_resource(kind, last, span, frame.scope)),
            _ => return None,
        })
    }

    /// What is wrong with a first name that nothing explains.
    pub(super) fn unknown_name(&self, name: &str, span: &Span, frame: Frame<'_>) -> Failure {
        if frame.sealed {
            let mut known = Vec::new();
            let mut at = frame.bound;
            while let Some(bound) = at {
                known.push(bound.name);
                at = bound.outer;
            }
            let mut problem = Diagnostic::error("unknown_reference", format!("there is no `{name}` here")).at(span, "");
            problem.hint = suggest::hint(name, known);
            return problem.into();
        }
        let kinds = self.schema.kinds.iter().map(|k| k.name);
        let known: Vec<&str> = FIRST_NAMES.into_iter().chain(kinds).collect();
        let problem = Diagnostic::error("unknown_reference", format!("`{name}` means nothing here")).at(span, "");
        if known.contains(&name) || name == "data" {
            return problem.because(format!("`{name}` needs to say which: {name}.NAME")).into();
        }
        match suggest::nearest(name, known) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")).into(),
            None => problem.hint(format!("a text is written in quotes: \"{name}\"")).into(),
        }
    }

    fn path_value(&self, scope: ScopeId, name: &str, span: &Span) -> Outcome<Value> {
        match name {
            "module" => Ok(Value::string(self.scope(scope).module.folder.clone())),
            "root" => Ok(Value::string(self.configuration.folder.clone())),
            "project" => Ok(Value::string(".")),
            _ => Err(Diagnostic::error("unknown_reference", format!("there is no path.{name}"))
                .at(span, "")
                .hint("there is path.module, path.root and path.project")
                .into()),
        }
    }

    fn local(&mut self, scope: ScopeId, name: &Arc<str>, span: &Span) -> Outcome<Value> {
        let item = Item::Local(scope, name.clone());
        let stored = match self.memo.begin(&item, Some(span)) {
            Begin::Known(outcome) => outcome,
            Begin::Compute => {
                let module = self.scope(scope).module.clone();
                let outcome = if let Some(expr) = module.locals.get(name) {
                    self.eval(expr, Frame::of(scope))
                } else {
                    let mut problem =
                        Diagnostic::error("unknown_reference", format!("there is no local.{name}")).at(span, "");
                    problem.hint = suggest::hint(name, module.locals.keys().map(|k| &**k));
                    Err(problem.into())
                };
                self.memo.finish(outcome.map(Stored::Value))
            }
        };
        stored.map(into_value)
    }

    /// Which resource an expression names, without its key: `stack.network`, `data.secret.x`.
    pub(super) fn resource_named(&self, expr: &Expr, frame: Frame<'_>) -> Option<(Arc<str>, Arc<str>)> {
        let Node::Attribute(inner, name) = &expr.node else { return None };
        let kind: Arc<str> = match &inner.node {
            Node::Name(kind) if frame.bound(kind).is_none() => kind.clone(),
            Node::Attribute(data, kind) => match &data.node {
                Node::Name(first) if &**first == "data" && frame.bound(first).is_none() => {
                    format!("data.{kind}").into()
                }
                _ => return None,
            },
            _ => return None,
        };
        let key = (kind, name.clone());
        let known = self.scope(frame.scope).module.resources.contains_key(&key);
        (known || key.0.starts_with("data.")).then_some(key)
    }

    /// What an instance was set to, else unknown until it is applied.
    fn attributes_of(&self, address: &Address) -> Value {
        self.attributes.get(address).cloned().unwrap_or_else(|| Value::unknown_until(address.clone()))
    }

    fn read(&mut self, address: Address) -> Value {
        self.memo.depend(&Item::Attributes(address.clone()));
        let value = self.attributes_of(&address);
        self.memo.note(address);
        value
    }

    fn whole_resource(&mut self, scope: ScopeId, kind: &Arc<str>, name: &Arc<str>, span: &Span) -> Outcome<Value> {
        if !self.scope(scope).module.resources.contains_key(&(kind.clone(), name.clone())) {
            return Err(self.no_resource(kind, name, span, scope));
        }
        let instances = self.instances(scope, kind, name, Some(span))?;
        let path = self.scope(scope).path.clone();
        match &*instances {
            Instances::Single(Presence::On) => Ok(self.read(Address::new(path, kind, name, None))),
            Instances::Single(Presence::Off) => Err(switched_off(&Address::new(path, kind, name, None), span)),
            Instances::Single(Presence::Unknown(_)) => {
                let address = Address::new(path, kind, name, None);
                self.memo.note(address.clone());
                Ok(Value::unknown_until(address))
            }
            Instances::Keyed(keys) => self.collected(scope, kind, name, keys, span),
            Instances::Unknown(_) => {
                let pattern = Address::new(path, kind, name, Some("*".into()));
                self.memo.note(pattern.clone());
                Ok(Value::unknown_until(pattern))
            }
        }
    }

    fn collected(
        &mut self,
        scope: ScopeId,
        kind: &Arc<str>,
        name: &Arc<str>,
        keys: &BTreeMap<Key, (Value, Presence)>,
        span: &Span,
    ) -> Outcome<Value> {
        let item = Item::Collected(scope, kind.clone(), name.clone());
        let stored = match self.memo.begin(&item, Some(span)) {
            Begin::Known(outcome) => outcome,
            Begin::Compute => {
                // Where the instances change, so does this. Where an instance's attributes do, `set` patches it.
                self.memo.depend(&Item::Declared(scope, kind.clone(), name.clone()));
                let path = self.scope(scope).path.clone();
                let mut entries = BTreeMap::new();
                for (key, (_, presence)) in keys {
                    if *presence == Presence::Off {
                        continue;
                    }
                    let address = Address::new(path.clone(), kind, name, Some(key.clone()));
                    entries.insert(key.clone(), self.attributes_of(&address));
                    self.memo.note(address);
                }
                self.memo.finish(Ok(Stored::Value(super::object(entries))))
            }
        };
        stored.map(into_value)
    }

    fn keyed_resource(
        &mut self,
        kind: &Arc<str>,
        name: &Arc<str>,
        key: &Expr,
        span: &Span,
        frame: Frame<'_>,
    ) -> Outcome<Value> {
        let scope = frame.scope;
        if !self.scope(scope).module.resources.contains_key(&(kind.clone(), name.clone())) {
            return Err(self.no_resource(kind, name, span, scope));
        }
        let at = self.eval(key, frame)?;
        let instances = self.instances(scope, kind, name, Some(span))?;
        let (Instances::Keyed(keys), false, false) = (&*instances, at.is_unknown(), at.is_null()) else {
            let whole = self.whole_resource(scope, kind, name, span)?;
            return index(&whole, &at, span);
        };
        let key = key_text(&at, span)?;
        let address = Address::new(self.scope(scope).path.clone(), kind, name, Some(key.clone()));
        let value = match keys.get(&key).map(|(_, presence)| presence) {
            Some(Presence::On) => self.read(address),
            Some(Presence::Unknown(_)) => {
                self.memo.note(address.clone());
                Value::unknown_until(address)
            }
            Some(Presence::Off) => return Err(switched_off(&address, span)),
            None => {
                let mut problem =
                    Diagnostic::error("unknown_key", format!("{kind}.{name} has no instance {key:?}")).at(span, "");
                problem.hint = suggest::hint(&key, keys.keys().map(|k| &**k));
                return Err(problem.into());
            }
        };
        Ok(value.with_mark(at.is_sensitive()))
    }

    fn no_resource(&self, kind: &str, name: &str, span: &Span, scope: ScopeId) -> Failure {
        let module = &self.scope(scope).module;
        let names = module.resources.keys().filter(|(k, _)| &**k == kind).map(|(_, n)| &**n);
        let mut problem = Diagnostic::error("unknown_reference", format!("there is no {kind}.{name}")).at(span, "");
        problem.hint = suggest::hint(name, names);
        if problem.hint.is_none()
            && let Some((other, _)) = module.resources.keys().find(|(_, n)| &**n == name)
        {
            problem.hint = Some(format!("did you mean `{other}.{name}`?"));
        }
        problem.into()
    }

    /// Where a resource is not known yet, at least its attributes' names are.
    pub(super) fn check_attribute(&self, inner: &Expr, name: &str, span: &Span, frame: Frame<'_>) -> Outcome<()> {
        let resource = match &inner.node {
            Node::Index(resource, _) => resource,
            _ => inner,
        };
        let Some((kind, label)) = self.resource_named(resource, frame) else { return Ok(()) };
        let schema = match kind.strip_prefix("data.") {
            Some(kind) => self.schema.data(kind),
            None => self.schema.kind(&kind),
        };
        let Some(schema) = schema else { return Ok(()) };
        let written = schema.block.attributes.iter().map(|a| a.name);
        let blocks = schema.block.blocks.iter().map(|b| b.name);
        let mut known = written.chain(blocks).chain(schema.exports.iter().map(|a| a.name));
        if known.any(|known| known == name) {
            return Ok(());
        }
        let exports: Vec<&str> = schema.exports.iter().map(|a| a.name).collect();
        let mut problem =
            Diagnostic::error("unknown_attribute", format!("{kind}.{label} has no attribute `{name}`")).at(span, "");
        problem.hint = suggest::hint(name, exports);
        Err(problem.into())
    }
}

/// Rule 14: what `when` turned off may be referred to only where the reference is guarded.
pub(super) fn switched_off(address: &Address, span: &Span) -> Failure {
    Diagnostic::error("reference_to_disabled", format!("{address} is not there, since its `when` is false"))
        .at(span, "")
        .hint("guard the reference with the same condition, or write try(..., null)")
        .into()
}
