//! References to modules: their instances, their outputs.

use super::{
    Evaluator,
    expression::{attribute, index, key_text},
    failure::{Failure, Outcome},
    instances::{Instances, Presence},
    memo::{Begin, Item, Stored},
    scope::{Frame, ScopeId},
    variables::into_value,
};
use crate::{
    base::{Address, Diagnostic, Span, Value},
    lang::{
        ast::{Expr, Node},
        suggest,
    },
};
use std::{collections::BTreeMap, sync::Arc};

impl Evaluator {
    /// An output of a module instance, or of the root.
    pub(super) fn output_value(&mut self, scope: ScopeId, name: &Arc<str>, span: Option<&Span>) -> Outcome<Value> {
        let item = Item::Output(scope, name.clone());
        let stored = match self.memo.begin(&item, span) {
            Begin::Known(outcome) => outcome,
            Begin::Compute => {
                let module = self.scope(scope).module.clone();
                let outcome = if let Some(output) = module.outputs.get(name) {
                    self.eval(&output.value, Frame::of(scope)).map(|v| v.with_mark(output.sensitive))
                } else {
                    let mut problem = Diagnostic::error("unknown_reference", format!("there is no output `{name}`"));
                    if let Some(span) = span {
                        problem = problem.at(span, "");
                    }
                    problem.hint = suggest::hint(name, module.outputs.keys().map(|k| &**k));
                    Err(problem.into())
                };
                self.memo.finish(outcome.map(Stored::Value))
            }
        };
        stored.map(into_value)
    }

    pub(super) fn whole_module(&mut self, scope: ScopeId, name: &Arc<str>, span: &Span) -> Outcome<Value> {
        if !self.scope(scope).module.calls.contains_key(name) {
            return Err(self.no_module(scope, name, span));
        }
        let instances = self.call_instances(scope, name, Some(span))?;
        match &*instances {
            Instances::Single(Presence::On) => {
                let inner = self.inner_scope(scope, name, None)?;
                self.outputs(inner, span)
            }
            Instances::Single(Presence::Off) => Err(module_off(name, None, span)),
            Instances::Single(Presence::Unknown(waits_for)) | Instances::Unknown(waits_for) => Ok(until(waits_for)),
            Instances::Keyed(keys) => {
                let mut entries = BTreeMap::new();
                for (key, (_, presence)) in keys {
                    let value = match presence {
                        Presence::On => {
                            let inner = self.inner_scope(scope, name, Some(key.clone()))?;
                            self.outputs(inner, span)?
                        }
                        Presence::Off => continue,
                        Presence::Unknown(waits_for) => until(waits_for),
                    };
                    entries.insert(key.clone(), value);
                }
                Ok(super::object(entries))
            }
        }
    }

    fn outputs(&mut self, scope: ScopeId, span: &Span) -> Outcome<Value> {
        let module = self.scope(scope).module.clone();
        let mut entries = BTreeMap::new();
        for name in module.outputs.keys() {
            entries.insert(name.clone(), self.output_value(scope, name, Some(span))?);
        }
        Ok(super::object(entries))
    }

    pub(super) fn keyed_module(
        &mut self,
        call: &Arc<str>,
        key: &Expr,
        span: &Span,
        frame: Frame<'_>,
    ) -> Outcome<Value> {
        match self.module_instance(call, Some(key), span, frame)? {
            Ok(inner) => self.outputs(inner, span),
            Err(value) => Ok(value),
        }
    }

    pub(super) fn module_output(
        &mut self,
        call: &Arc<str>,
        key: Option<&Expr>,
        output: &Arc<str>,
        span: &Span,
        frame: Frame<'_>,
    ) -> Outcome<Value> {
        match self.module_instance(call, key, span, frame)? {
            Ok(inner) => self.output_value(inner, output, Some(span)),
            Err(value) if value.is_unknown() => Ok(value),
            Err(value) => attribute(&value, output, span),
        }
    }

    /// The module instance that a reference names, or the value that stands in its place.
    fn module_instance(
        &mut self,
        call: &Arc<str>,
        key: Option<&Expr>,
        span: &Span,
        frame: Frame<'_>,
    ) -> Outcome<Result<ScopeId, Value>> {
        let scope = frame.scope;
        if !self.scope(scope).module.calls.contains_key(call) {
            return Err(self.no_module(scope, call, span));
        }
        let at = key.map(|key| self.eval(key, frame)).transpose()?;
        let instances = self.call_instances(scope, call, Some(span))?;
        match (&*instances, at) {
            (Instances::Unknown(waits_for) | Instances::Single(Presence::Unknown(waits_for)), _) => {
                Ok(Err(until(waits_for)))
            }
            (Instances::Single(Presence::Off), _) => Err(module_off(call, None, span)),
            (Instances::Single(Presence::On), None) => self.inner_scope(scope, call, None).map(Ok),
            (Instances::Single(Presence::On), Some(at)) => {
                let whole = self.whole_module(scope, call, span)?;
                index(&whole, &at, span).map(Err)
            }
            (Instances::Keyed(_), None) => self.whole_module(scope, call, span).map(Err),
            (Instances::Keyed(keys), Some(at)) => {
                if at.is_unknown() {
                    return Ok(Err(at));
                }
                let key = key_text(&at, span)?;
                match keys.get(&key).map(|(_, presence)| presence) {
                    Some(Presence::On) => self.inner_scope(scope, call, Some(key)).map(Ok),
                    Some(Presence::Unknown(waits_for)) => Ok(Err(until(waits_for))),
                    Some(Presence::Off) => Err(module_off(call, Some(&key), span)),
                    None => {
                        let mut problem =
                            Diagnostic::error("unknown_key", format!("module.{call} has no instance {key:?}"))
                                .at(span, "");
                        problem.hint = suggest::hint(&key, keys.keys().map(|k| &**k));
                        Err(problem.into())
                    }
                }
            }
        }
    }

    fn no_module(&self, scope: ScopeId, name: &str, span: &Span) -> Failure {
        let mut problem = Diagnostic::error("unknown_reference", format!("there is no module.{name}")).at(span, "");
        problem.hint = suggest::hint(name, self.scope(scope).module.calls.keys().map(|k| &**k));
        problem.into()
    }
}

/// `module.x` of an expression.
pub(super) fn module_call<'e>(expr: &'e Expr, frame: Frame<'_>) -> Option<&'e Arc<str>> {
    let Node::Attribute(inner, name) = &expr.node else { return None };
    let Node::Name(first) = &inner.node else { return None };
    (&**first == "module" && frame.bound(first).is_none()).then_some(name)
}

/// `module.x.output` or `module.x[key].output` of an expression.
pub(super) fn module_output<'e>(
    expr: &'e Expr,
    frame: Frame<'_>,
) -> Option<(&'e Arc<str>, Option<&'e Expr>, &'e Arc<str>)> {
    let Node::Attribute(inner, output) = &expr.node else { return None };
    if let Node::Index(call, key) = &inner.node {
        return module_call(call, frame).map(|call| (call, Some(&**key), output));
    }
    module_call(inner, frame).map(|call| (call, None, output))
}

fn until(waits_for: &[Address]) -> Value {
    waits_for.first().cloned().map_or(Value::UNKNOWN, Value::unknown_until)
}

fn module_off(name: &str, key: Option<&str>, span: &Span) -> Failure {
    let key = key.map(|key| format!("[{key:?}]")).unwrap_or_default();
    Diagnostic::error("reference_to_disabled", format!("module.{name}{key} is not there, since its `when` is false"))
        .at(span, "")
        .hint("guard the reference with the same condition, or write try(..., null)")
        .into()
}
