//! One instance: its inputs, its connection, its conditions, its probes, its rollout.

use super::{
    Conditions, ConnectionRef, Evaluated, Evaluator, FailedCondition,
    body::Gathered,
    expression::key_text,
    failure::{Failures, Outcome},
    instances::{Instances, Presence},
    no_such,
    scope::{Each, Frame, ScopeId},
};
use crate::{
    base::{Address, Diagnostic, Diagnostics, Key, Path, Value},
    lang::{
        ast::{Expr, Node},
        builtin,
        configuration::{Module, Resource, Verify},
        controls, convert,
        schema::{ConnectionNeed, KindSchema, NestedSchema},
        suggest,
        types::Type,
    },
};
use std::sync::Arc;

impl Evaluator {
    /// One instance's declaration, evaluated. An instance whose key is `*` stands for those that are not yet known: its
    /// `each` is unknown.
    ///
    /// # Errors
    /// Everything that is wrong with it and with the arguments of the modules around it; an instance that is not there.
    pub fn evaluate(&mut self, address: &Address) -> Result<Evaluated, Diagnostics> {
        let evaluated = self.top(|e| {
            let module = e.module_of(address)?;
            let resource = declared(&module, address)?;
            let mut failures = Failures::default();
            let evaluated = failures.note(e.within(address, |e, frame| e.evaluate_in(resource, frame)));
            let scope = e.scope_at(address.module())?;
            failures.note(e.arguments(scope));
            let (inputs, gathered, controls, connection) = match evaluated {
                Some(evaluated) => failures.or(evaluated)?,
                None => return Err(failures.or(()).err().unwrap_or_else(|| no_such(address.kind(), address.name()))),
            };
            let mut references = e.memo.watch();
            references.remove(address);
            let references = references.into_iter().collect();
            Ok(Evaluated { inputs, places: gathered.places, controls, connection, references })
        });
        evaluated.map_err(|mut diagnostics| {
            diagnostics.normalize();
            diagnostics
        })
    }

    /// The conditions of an instance that do not hold. One that depends on something not yet known is left out.
    ///
    /// # Errors
    /// What is wrong with a condition itself.
    pub fn conditions(&mut self, address: &Address, which: Conditions) -> Result<Vec<FailedCondition>, Diagnostics> {
        self.top(|e| {
            let module = e.module_of(address)?;
            let resource = declared(&module, address)?;
            let conditions = match which {
                Conditions::Before => &resource.lifecycle.preconditions,
                Conditions::After => &resource.lifecycle.postconditions,
            };
            if conditions.is_empty() {
                return Ok(Vec::new());
            }
            e.within(address, |e, frame| {
                let mut failures = Failures::default();
                let mut failed = Vec::new();
                for condition in conditions {
                    if let Some(message) = failures.note(e.broken(condition, frame)).flatten() {
                        failed.push(FailedCondition { message, span: condition.condition.span.clone() });
                    }
                }
                failures.or(failed)
            })
        })
    }

    /// The values of `replace_triggered_by`, in order, as a tuple.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn replacement_triggers(&mut self, address: &Address) -> Result<Value, Diagnostics> {
        self.top(|e| {
            let module = e.module_of(address)?;
            let resource = declared(&module, address)?;
            e.within(address, |e, frame| {
                let mut failures = Failures::default();
                let values: Vec<Value> = resource
                    .lifecycle
                    .replace_triggered_by
                    .iter()
                    .filter_map(|expr| failures.note(e.eval(expr, frame)))
                    .collect();
                failures.or(Value::tuple(values))
            })
        })
    }

    /// The rollout of an instance, or of a module call, as an object, with `strategy` filled in; `None` where it has no `rollout` block.
    /// `backend` is evaluated only under a strategy that has colours, so that `self.color` may be null otherwise, and
    /// the `verify` blocks in it are the caller's to evaluate by [`Evaluator::probe`] when they are due.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn rollout(&mut self, address: &Address) -> Result<Option<Value>, Diagnostics> {
        self.top(|e| {
            let module = e.module_of(address)?;
            let rollout = match module.calls.get(address.name()).filter(|_| address.is_call()) {
                Some(call) => &call.rollout,
                None => &declared(&module, address)?.rollout,
            };
            let Some(rollout) = rollout else { return Ok(None) };
            e.within(address, |e, frame| {
                let strategy = match &rollout.strategy {
                    Some(expr) => e.eval(expr, frame)?,
                    None => "rolling".into(),
                };
                let colours = strategy.as_str().is_some_and(|s| s != "rolling");
                let blocks: Vec<NestedSchema> = builtin::ROLLOUT
                    .blocks
                    .iter()
                    .filter(|b| b.name != "verify" && (b.name != "backend" || colours))
                    .copied()
                    .collect();
                let mut out = Gathered::default();
                let mut body = rollout.block.body.clone();
                body.blocks.retain(|b| {
                    let name = if &*b.kind == "dynamic" { b.labels.first().map(|(l, _)| &**l) } else { Some(&*b.kind) };
                    blocks.iter().any(|known| Some(known.name) == name)
                });
                let value = e.body(&body, &builtin::ROLLOUT, frame, &Path::default(), &mut out);
                let mut entries = value.as_map().map(|m| (**m).clone()).unwrap_or_default();
                if strategy.is_null() {
                    entries.insert("strategy".into(), "rolling".into());
                } else {
                    entries.entry("strategy".into()).or_insert(strategy);
                }
                out.failures.or(Some(super::object(entries)))
            })
        })
    }

    pub(super) fn probe_value(&mut self, verify: &Verify, frame: Frame<'_>) -> Outcome<Value> {
        let kind = &verify.probe.kind;
        let schema = self.schema.probes.iter().find(|p| p.name == &**kind).ok_or_else(|| no_such("probe", kind))?;
        let mut out = Gathered::default();
        let value = self.body(&verify.probe.body, schema.block, frame, &Path::default().key(kind), &mut out);
        out.failures.or(Value::object([(kind.clone(), value)]))
    }

    pub(super) fn connection_value(&mut self, kind: &str, name: &str, key: Option<&str>) -> Outcome<Value> {
        let configuration = self.configuration.clone();
        let (blocks, schema) = match kind {
            "kubernetes" => (&configuration.kubernetes, &builtin::KUBERNETES),
            "aws" => (&configuration.aws, &builtin::AWS),
            _ => return Err(no_such(kind, name)),
        };
        let connection = blocks.get(name).ok_or_else(|| no_such(kind, name))?;
        let instances = self.connection_instances(&kind.into(), &connection.name, connection.for_each.as_ref())?;
        let each = Self::each_of(&instances, key.map(Key::from).as_ref());
        if let (Instances::Keyed(keys), None) = (&*instances, &each) {
            let mut problem = Diagnostic::error(
                "unknown_key",
                match key {
                    Some(key) => format!("{kind}.{name} has no key {key:?}"),
                    None => format!("{kind}.{name} has `for_each`, so it needs a key"),
                },
            )
            .at(&connection.span, "");
            problem.hint = suggest::hint(key.unwrap_or_default(), keys.keys().map(|k| &**k));
            return Err(problem.into());
        }
        let mut out = Gathered::default();
        let mut body = connection.body.clone();
        body.attributes.remove("for_each");
        let frame = Frame::of(ScopeId(0)).with_each(each.as_ref());
        let value = self.body(&body, schema, frame, &Path::default(), &mut out);
        out.failures.or(value)
    }

    fn module_of(&mut self, address: &Address) -> Outcome<Arc<Module>> {
        let scope = self.scope_at(address.module())?;
        Ok(self.scope(scope).module.clone())
    }

    /// Runs something as an instance sees it: in its module instance, with its `each` and `self`.
    pub(super) fn within<T>(
        &mut self,
        address: &Address,
        run: impl FnOnce(&mut Self, Frame<'_>) -> Outcome<T>,
    ) -> Outcome<T> {
        let scope = self.scope_at(address.module())?;
        let instances = if address.is_call() {
            self.call_instances(scope, &address.name().into(), None)?
        } else {
            self.instances(scope, &address.kind().into(), &address.name().into(), None)?
        };
        let gone = |why: String| Diagnostic::error("no_instance", format!("{address} is not there")).because(why);
        match (&*instances, address.key()) {
            (Instances::Keyed(keys), Some(key)) if !address.is_pattern() => match keys.get(key) {
                None => return Err(gone("its key is none of `for_each`".to_owned()).into()),
                Some((_, Presence::Off)) => return Err(gone("its `when` is false".to_owned()).into()),
                Some(_) => {}
            },
            (Instances::Keyed(_), None) => return Err(gone("it has `for_each`, so it needs a key".to_owned()).into()),
            (Instances::Single(_), Some(_)) => return Err(gone("it has no `for_each`".to_owned()).into()),
            (Instances::Single(Presence::Off), None) => return Err(gone("its `when` is false".to_owned()).into()),
            _ => {}
        }
        let each = if address.is_pattern() {
            Some(Each { key: Value::UNKNOWN, value: Value::UNKNOWN })
        } else {
            Self::each_of(&instances, address.key())
        };
        let frame = Frame { this: Some(address), ..Frame::of(scope).with_each(each.as_ref()) };
        run(self, frame)
    }

    fn evaluate_in(
        &mut self,
        resource: &Resource,
        frame: Frame<'_>,
    ) -> Outcome<(Value, Gathered, Vec<String>, Option<ConnectionRef>)> {
        let schema = self.kind_schema(&resource.kind).ok_or_else(|| no_such("kind", &resource.kind))?;
        let mut out = Gathered::default();
        let inputs = self.body(&resource.body, schema.block, frame, &Path::default(), &mut out);
        let controls = match &resource.controls {
            Some(expr) => {
                let outcome = self.controls(expr, frame);
                out.failures.note(outcome).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let connection = self.connection_of(resource, schema, frame);
        let connection = out.failures.note(connection).flatten();
        std::mem::take(&mut out.failures).or((inputs, out, controls, connection))
    }

    fn kind_schema(&self, kind: &str) -> Option<&'static KindSchema> {
        match kind.strip_prefix("data.") {
            Some(kind) => self.schema.data(kind),
            None => self.schema.kind(kind),
        }
    }

    fn controls(&mut self, expr: &Expr, frame: Frame<'_>) -> Outcome<Vec<String>> {
        let value = self.eval(expr, frame)?;
        let refuse = |why: String| {
            Diagnostic::error("wrong_type", format!("`controls` does not fit: {why}"))
                .at(&expr.span, "")
                .hint("write a list of NIST control ids, like [\"SC-28\"]")
        };
        if value.has_unknown() || value.has_sensitive() {
            return Err(refuse("it must be known, and no secret".to_owned()).into());
        }
        let list = convert::convert(&value, &Type::List(Box::new(Type::String)));
        let list = list.map_err(|mismatch| refuse(mismatch.to_string()))?;
        let list = list.as_seq().into_iter().flat_map(|l| l.iter()).filter_map(Value::as_str).map(str::to_owned);
        let list: Vec<String> = list.collect();
        let mut failures = Failures::default();
        for problem in controls::problems(&list, &expr.span).0 {
            failures.push(problem);
        }
        failures.or(list)
    }

    /// Rule 6: what is named, else what the modules around it were given, else the default.
    fn connection_of(
        &mut self,
        resource: &Resource,
        schema: &KindSchema,
        frame: Frame<'_>,
    ) -> Outcome<Option<ConnectionRef>> {
        let kind = match schema.connection.of(&resource.body) {
            ConnectionNeed::None => return Ok(None),
            ConnectionNeed::Kubernetes => "kubernetes",
            ConnectionNeed::Aws | ConnectionNeed::KubernetesWith(_) => "aws",
        };
        if let Some(expr) = &resource.connection {
            return self.connection_named(kind, expr, frame).map(Some);
        }
        let mut scope = frame.scope;
        while let Some((caller, name, key)) = self.scope(scope).caller.clone() {
            let calling = self.scope(caller).module.clone();
            if let Some(expr) = calling.calls.get(&name).and_then(|call| call.connections.get(kind)) {
                let instances = self.call_instances(caller, &name, None)?;
                let each = Self::each_of(&instances, key.as_ref());
                return self.connection_named(kind, expr, Frame::of(caller).with_each(each.as_ref())).map(Some);
            }
            scope = caller;
        }
        if kind == "aws" {
            return Ok(None);
        }
        let known = &self.configuration.kubernetes;
        let single =
            if known.len() == 1 { known.keys().next() } else { known.get_key_value("default").map(|(k, _)| k) };
        match single {
            Some(name) => Ok(Some(ConnectionRef { kind: kind.into(), name: name.clone(), key: None })),
            None if known.is_empty() => Ok(None),
            None => {
                let names: Vec<String> = known.keys().map(|k| format!("kubernetes.{k}")).collect();
                Err(Diagnostic::error("no_connection", "it is open which cluster this is for")
                    .at(&resource.span, "")
                    .because(
                        "with several `kubernetes` blocks, the one named `default` is the default, and there is none",
                    )
                    .hint(format!("write kubernetes = {}", names.join(" or kubernetes = ")))
                    .into())
            }
        }
    }

    fn connection_named(&mut self, kind: &str, expr: &Expr, frame: Frame<'_>) -> Outcome<ConnectionRef> {
        let (whole, key) = match &expr.node {
            Node::Index(inner, key) => (&**inner, Some(&**key)),
            _ => (expr, None),
        };
        let named = match &whole.node {
            Node::Attribute(inner, name) => match &inner.node {
                Node::Name(first) if &**first == kind => Some(name.clone()),
                _ => None,
            },
            _ => None,
        };
        let refuse = |why: String| {
            Diagnostic::error("no_connection", format!("`{kind}` must name a `{kind}` block"))
                .at(&expr.span, "")
                .because(why)
                .hint(format!("write {kind} = {kind}.NAME"))
        };
        let Some(name) = named else { return Err(refuse(String::new()).into()) };
        let blocks = if kind == "aws" { &self.configuration.aws } else { &self.configuration.kubernetes };
        if !blocks.contains_key(&name) {
            let mut problem = refuse(format!("there is no {kind}.{name}"));
            problem.hint = suggest::hint(&name, blocks.keys().map(|k| &**k));
            return Err(problem.into());
        }
        let key = match key {
            Some(key) => {
                let at = self.eval(key, frame)?;
                if at.has_unknown() || at.has_sensitive() {
                    return Err(refuse("the key must be known, and no secret".to_owned()).into());
                }
                Some(key_text(&at, &key.span)?)
            }
            None => None,
        };
        Ok(ConnectionRef { kind: kind.into(), name, key })
    }
}

/// The declaration of an instance.
fn declared<'m>(module: &'m Module, address: &Address) -> Outcome<&'m Resource> {
    let key = (address.kind().into(), address.name().into());
    module.resources.get(&key).ok_or_else(|| no_such(address.kind(), address.name()))
}
