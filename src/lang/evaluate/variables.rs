//! Variables: the root's as they were given, a module's as its call gives them; converted, defaulted, validated.

use super::{
    Evaluator,
    expression::condition_of,
    failure::{Failures, Outcome},
    memo::{Begin, Item, Stored},
    scope::{Each, Frame, ScopeId},
};
use crate::{
    base::{Address, Data, Diagnostic, Diagnostics, Span, Value},
    lang::{
        ast::Expr,
        configuration::{Condition, Variable},
        convert, literal,
        parse::parse_expression,
        suggest,
        types::Type,
    },
};
use std::{collections::BTreeMap, sync::Arc};

impl Evaluator {
    /// Takes the root's variables.
    pub(super) fn take_root_variables(&mut self, given: &BTreeMap<Arc<str>, Value>) -> Diagnostics {
        let root = self.configuration.root.clone();
        let mut failures = Failures::default();
        for name in given.keys().filter(|name| !root.variables.contains_key(*name)) {
            let mut problem = Diagnostic::error("unknown_variable", format!("the plan has no variable `{name}`"))
                .because("a value was given for it");
            problem.hint = suggest::hint(name, root.variables.keys().map(|k| &**k));
            failures.push(problem);
        }
        for (name, variable) in &root.variables {
            let outcome = self.root_variable(variable, given.get(name));
            let value = failures.note(outcome).unwrap_or(Value::UNKNOWN);
            self.variables.insert(name.clone(), value.with_mark(variable.sensitive));
        }
        for variable in root.variables.values() {
            failures.note(self.validate(ScopeId(0), variable, &variable.span));
        }
        match failures.or(()) {
            Ok(()) => Diagnostics::new(),
            Err(failure) => failure.into(),
        }
    }

    fn root_variable(&mut self, variable: &Variable, given: Option<&Value>) -> Outcome<Value> {
        let read;
        let given = match given {
            Some(value) if structured(&variable.ty) && value.as_str().is_some() => {
                read = from_text(value, variable)?;
                Some(&read)
            }
            other => other,
        };
        match given {
            Some(value) if variable.nullable || !value.is_null() => {
                fit(value, variable, &variable.span, "the value given for")
            }
            _ => self.default_of(variable, ScopeId(0))?.ok_or_else(|| {
                let name = &variable.name;
                Diagnostic::error("missing_variable", format!("the variable `{name}` has no value"))
                    .at(&variable.span, "it has no default")
                    .hint(format!("set {name} in the environment's file, or give --var {name}=VALUE"))
                    .into()
            }),
        }
    }

    /// `var.x` of a module instance.
    pub(super) fn variable(&mut self, scope: ScopeId, name: &Arc<str>, span: &Span) -> Outcome<Value> {
        let Some((caller, call_name, key)) = self.scope(scope).caller.clone() else {
            return self.variables.get(name).cloned().ok_or_else(|| {
                let mut problem =
                    Diagnostic::error("unknown_reference", format!("there is no var.{name}")).at(span, "");
                problem.hint = suggest::hint(name, self.variables.keys().map(|k| &**k));
                problem.into()
            });
        };
        let item = Item::Variable(scope, name.clone());
        let stored = match self.memo.begin(&item, Some(span)) {
            Begin::Known(outcome) => outcome,
            Begin::Compute => {
                let outcome = self.call_instances(caller, &call_name, None).and_then(|instances| {
                    let each = Self::each_of(&instances, key.as_ref());
                    self.argument(scope, caller, &call_name, name, each.as_ref(), span)
                });
                self.memo.finish(outcome.map(Stored::Value))
            }
        };
        stored.map(into_value)
    }

    fn argument(
        &mut self,
        scope: ScopeId,
        caller: ScopeId,
        call_name: &Arc<str>,
        name: &Arc<str>,
        each: Option<&Each>,
        span: &Span,
    ) -> Outcome<Value> {
        let module = self.scope(scope).module.clone();
        let Some(variable) = module.variables.get(name) else {
            let mut problem = Diagnostic::error("unknown_reference", format!("there is no var.{name}")).at(span, "");
            problem.hint = suggest::hint(name, module.variables.keys().map(|k| &**k));
            return Err(problem.into());
        };
        let calling = self.scope(caller).module.clone();
        let Some(call) = calling.calls.get(call_name) else { return Ok(Value::NULL) };
        if let Some(expr) = call.arguments.get(name) {
            // An argument sees the colour that the module is called for.
            let unit = call.rollout.as_ref().and_then(|_| Address::call(&self.scope(scope).path));
            let frame = Frame { this: unit.as_ref(), ..Frame::of(caller).with_each(each) };
            let value = self.eval(expr, frame)?;
            if variable.nullable || !value.is_null() {
                let value = fit(&value, variable, &expr.span, "the value of")?;
                return Ok(value.with_mark(variable.sensitive));
            }
        }
        let default = self.default_of(variable, scope)?.ok_or_else(|| {
            Diagnostic::error("missing_variable", format!("module `{call_name}` needs a value for `{name}`"))
                .at(&call.span, "")
                .at(&variable.span, "declared here, without a default")
        })?;
        Ok(default.with_mark(variable.sensitive))
    }

    fn default_of(&mut self, variable: &Variable, scope: ScopeId) -> Outcome<Option<Value>> {
        let Some(default) = &variable.default else { return Ok(None) };
        let value = self.eval(default, Frame { sealed: true, ..Frame::of(scope) })?;
        fit(&value, variable, &default.span, "the default of").map(Some)
    }

    /// Checks every argument of a module instance, once.
    pub(super) fn arguments(&mut self, scope: ScopeId) -> Outcome<()> {
        let Some((caller, call_name, _)) = self.scope(scope).caller.clone() else { return Ok(()) };
        let item = Item::Arguments(scope);
        if let Begin::Known(outcome) = self.memo.begin(&item, None) {
            return outcome.map(|_| ());
        }
        let mut failures = Failures::default();
        failures.note(self.arguments(caller));
        let module = self.scope(scope).module.clone();
        let calling = self.scope(caller).module.clone();
        for (name, variable) in &module.variables {
            let written = calling.calls.get(&call_name).and_then(|c| c.arguments.get(name));
            let span = written.map_or(&variable.span, |expr| &expr.span);
            if failures.note(self.variable(scope, name, span)).is_some() {
                failures.note(self.validate(scope, variable, span));
            }
        }
        let outcome = failures.or(Stored::Value(Value::NULL));
        self.memo.finish(outcome).map(|_| ())
    }

    fn validate(&mut self, scope: ScopeId, variable: &Variable, given: &Span) -> Outcome<()> {
        let mut failures = Failures::default();
        for validation in &variable.validations {
            let Some(message) = failures.note(self.broken(validation, Frame::of(scope))).flatten() else { continue };
            failures.push(
                Diagnostic::error("invalid_variable", format!("the value of `{}` is not valid", variable.name))
                    .at(given, "")
                    .at(&validation.condition.span, "this must hold")
                    .because(message),
            );
        }
        failures.or(())
    }

    /// The message of a condition that does not hold; `None` where it holds or is not yet known.
    pub(super) fn broken(&mut self, condition: &Condition, frame: Frame<'_>) -> Outcome<Option<String>> {
        let value = self.eval(&condition.condition, frame)?;
        if condition_of(&value, &condition.condition.span, "the condition")? != Some(false) {
            return Ok(None);
        }
        self.message(&condition.error_message, frame).map(Some)
    }

    fn message(&mut self, expr: &Expr, frame: Frame<'_>) -> Outcome<String> {
        let message = self.eval(expr, frame)?;
        if message.has_sensitive() {
            return Ok("(the message holds a sensitive value)".to_owned());
        }
        let text = convert::convert(&message, &Type::String).ok().map(Value::into_data);
        Ok(match text {
            Some(Data::String(text)) => text.to_string(),
            _ => "(the message is not yet known)".to_owned(),
        })
    }
}

pub(super) fn into_value(stored: Stored) -> Value {
    match stored {
        Stored::Value(value) => value,
        Stored::Instances(_) => Value::NULL,
    }
}

fn structured(ty: &Type) -> bool {
    !matches!(ty, Type::Any | Type::Bool | Type::Number | Type::String)
}

/// A text given for a list, map or object is an expression, as in Terraform.
fn from_text(value: &Value, variable: &Variable) -> Outcome<Value> {
    let text = value.as_str().unwrap_or_default();
    let file: Arc<str> = format!("<value of {}>", variable.name).into();
    let parsed = parse_expression(text, &file).ok().and_then(|expr| literal(&expr));
    parsed.map(|v| v.with_mark(value.is_sensitive())).ok_or_else(|| {
        Diagnostic::error("invalid_variable", format!("the text given for `{}` is no {}", variable.name, variable.ty))
            .at(&variable.span, "")
            .because(
                "a text from a command line or the process's environment is read as an expression without references",
            )
            .hint("write a list as '[\"a\", \"b\"]' and an object as '{ a = 1 }'")
            .into()
    })
}

/// The value in the variable's type.
fn fit(value: &Value, variable: &Variable, span: &Span, what: &str) -> Outcome<Value> {
    if value.is_null() && !variable.nullable {
        return Err(Diagnostic::error("null_value", format!("{what} `{}` must not be null", variable.name))
            .at(span, "")
            .into());
    }
    convert::convert(value, &variable.ty).map_err(|mismatch| {
        let problem = Diagnostic::error("wrong_type", format!("{what} `{}` does not fit: {mismatch}", variable.name))
            .at(span, "");
        let problem = problem.because(format!("its type is {}", variable.ty));
        let problem = if *span == variable.span { problem } else { problem.at(&variable.span, "declared here") };
        problem.into()
    })
}
