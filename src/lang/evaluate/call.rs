//! Calls of functions. `try`, `can` and `templatefile`, which decide themselves what is evaluated, are here; all others
//! are in the table of [`crate::lang::functions`].

use super::{
    Evaluator,
    failure::{Failures, Outcome},
    scope::{Bound, Frame},
};
use crate::{
    base::{Data, Diagnostic, Span, Value},
    lang::{
        ast::Expr,
        convert,
        functions::{self, Access, Context, Function, Problem},
        parse::parse_template,
        suggest,
    },
};

impl Evaluator {
    pub(super) fn call(
        &mut self,
        name: &str,
        arguments: &[Expr],
        expand: bool,
        span: &Span,
        frame: Frame<'_>,
    ) -> Outcome<Value> {
        match name {
            "try" => return self.try_call(arguments, span, frame),
            "can" => return self.can_call(arguments, span, frame),
            _ => {}
        }
        let Some(function) = functions::find(name) else {
            let mut problem =
                Diagnostic::error("unknown_function", format!("there is no function `{name}`")).at(span, "");
            problem.hint = functions::absent(name)
                .map(str::to_owned)
                .or_else(|| suggest::nearest(name, functions::names()).map(|near| format!("did you mean `{near}`?")));
            return Err(problem.into());
        };
        let mut failures = Failures::default();
        let mut values: Vec<(Value, &Span)> = Vec::with_capacity(arguments.len());
        for argument in arguments {
            if let Some(value) = failures.note(self.eval(argument, frame)) {
                values.push((value, &argument.span));
            }
        }
        failures.or(())?;
        if expand && let Some((last, at)) = values.pop() {
            match last.data() {
                Data::Unknown(_) => return Ok(last),
                Data::Sequence(_, elements) => {
                    let mark = last.is_sensitive();
                    values.extend(elements.iter().map(|v| (v.clone().with_mark(mark), at)));
                }
                _ => {
                    let found = convert::word(&last);
                    return Err(Diagnostic::error("wrong_type", format!("`...` takes a list, not {found}"))
                        .at(at, "")
                        .into());
                }
            }
        }
        if name == "templatefile" {
            return self.template_file(function, &values, span);
        }
        let context = Context { sources: &*self.sources, plan_time: self.plan_time };
        apply(function, &values, &context, span)
    }

    fn try_call(&mut self, arguments: &[Expr], span: &Span, frame: Frame<'_>) -> Outcome<Value> {
        let mut failures = Failures::default();
        for argument in arguments {
            match self.eval(argument, frame) {
                Ok(value) => return Ok(value),
                Err(failure) if failure.is_fatal() => return Err(failure),
                Err(failure) => {
                    failures.note::<()>(Err(failure));
                }
            }
        }
        failures.or(())?;
        Err(Diagnostic::error("wrong_call", "`try` takes at least one argument").at(span, "").into())
    }

    fn can_call(&mut self, arguments: &[Expr], span: &Span, frame: Frame<'_>) -> Outcome<Value> {
        let [argument] = arguments else {
            return Err(Diagnostic::error("wrong_call", "`can` takes one argument").at(span, "").into());
        };
        match self.eval(argument, frame) {
            Ok(value) => Ok(first_unknown(&value).unwrap_or_else(|| true.into())),
            Err(failure) if failure.is_fatal() => Err(failure),
            Err(_) => Ok(false.into()),
        }
    }

    /// Renders a file of the project with the given variables and nothing else in sight.
    fn template_file(&mut self, function: &Function, values: &[(Value, &Span)], span: &Span) -> Outcome<Value> {
        let context = Context { sources: &*self.sources, plan_time: self.plan_time };
        let text = match apply(function, values, &context, span)? {
            text if text.is_unknown() => return Ok(text),
            text => text,
        };
        let [(path, at), (variables, vars_at)] = values else { return Ok(text) };
        let file = path.as_str().unwrap_or_default();
        let template = parse_template(text.as_str().unwrap_or_default(), &file.into()).map_err(|found| {
            found.0.into_iter().next().unwrap_or_else(|| Diagnostic::error("syntax", "").at(at, ""))
        })?;
        let entries = match variables.data() {
            Data::Unknown(_) => return Ok(variables.clone()),
            Data::Mapping(_, entries) => entries.clone(),
            _ => {
                let found = convert::word(variables);
                let problem = format!("the variables of a template are an object, not {found}");
                return Err(Diagnostic::error("wrong_type", problem).at(vars_at, "").into());
            }
        };
        let mark = path.is_sensitive() || variables.is_sensitive();
        let entries: Vec<_> = entries.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.with_names(&entries, None, &template).map(|v| v.with_mark(mark)).map_err(|failure| {
            let mut failures = Failures::default();
            for diagnostic in failure.diagnostics() {
                failures.push(diagnostic.clone().at(at, "rendered from here"));
            }
            failures.or(()).err().unwrap_or(failure)
        })
    }

    fn with_names(
        &mut self,
        entries: &[(std::sync::Arc<str>, Value)],
        outer: Option<&Bound<'_>>,
        template: &Expr,
    ) -> Outcome<Value> {
        // One frame for all names: the list is walked from the last to the first.
        let Some(((name, value), rest)) = entries.split_last() else {
            let frame = Frame { bound: outer, sealed: true, ..Frame::of(super::scope::ScopeId(0)) };
            return self.eval(template, frame);
        };
        let bound = Bound { name, value: value.clone(), outer };
        self.with_names(rest, Some(&bound), template)
    }
}

/// An unknown in place of a result that depends on an unknown part of a value.
fn first_unknown(value: &Value) -> Option<Value> {
    let mut found = None;
    value.each_leaf(&mut crate::base::Path::default(), &mut |_, leaf| {
        if found.is_none() && matches!(leaf.data(), Data::Unknown(_) | Data::Sealed(_)) {
            found = Some(match leaf.data() {
                Data::Unknown(_) => leaf.clone().unmarked(),
                _ => Value::UNKNOWN,
            });
        }
    });
    found
}

/// Calls a function of the table: counts and converts its arguments, and lets the marks through as its parameters say.
fn apply(function: &Function, values: &[(Value, &Span)], context: &Context<'_>, span: &Span) -> Outcome<Value> {
    let least = function.params.len();
    if values.len() < least || (values.len() > least && function.rest.is_none()) {
        let plural = if least == 1 { "" } else { "s" };
        let more = if function.rest.is_some() { "at least " } else { "" };
        let problem = format!("`{}` takes {more}{least} argument{plural}, not {}", function.name, values.len());
        return Err(Diagnostic::error("wrong_call", problem)
            .at(span, "")
            .hint(format!("write {}", function.signature()))
            .into());
    }
    let mut failures = Failures::default();
    let mut unknown: Option<Value> = None;
    let mut mark = false;
    let mut ready = Vec::with_capacity(values.len());
    let params = function.params.iter().chain(function.rest.iter().cycle());
    for ((value, at), param) in values.iter().zip(params) {
        if param.access == Access::Raw {
            ready.push(value.clone());
            continue;
        }
        let sensitive = value.is_sensitive();
        mark |= if param.access == Access::Whole { value.has_sensitive() } else { sensitive };
        if matches!(value.data(), Data::Unknown(_) | Data::Sealed(_)) {
            let stand_in = first_unknown(value);
            unknown = unknown.or(stand_in);
            continue;
        }
        if param.access == Access::Whole
            && let Some(stand_in) = first_unknown(value)
        {
            unknown.get_or_insert(stand_in);
            continue;
        }
        let plain = if param.access == Access::Whole { convert::unmark(value) } else { value.clone().unmarked() };
        match param.fit(plain) {
            Ok(value) => ready.push(value),
            Err(problem) => failures.push(complaint(function, param.name, &problem, at)),
        }
    }
    failures.or(())?;
    if let Some(unknown) = unknown {
        return Ok(unknown.with_mark(mark));
    }
    match function.run(&ready, context) {
        Ok(value) => Ok(value.with_mark(mark)),
        Err(Problem { argument, text }) => {
            let param = argument.and_then(|n| function.params.get(n).or(function.rest.as_ref()));
            let at = argument.and_then(|n| values.get(n)).map_or(span, |(_, at)| *at);
            let text = if mark { "its arguments are not valid (they are sensitive)".to_owned() } else { text };
            Err(complaint(function, param.map_or("", |p| p.name), &text, at).into())
        }
    }
}

fn complaint(function: &Function, param: &str, text: &str, at: &Span) -> Diagnostic {
    let of = if param.is_empty() { String::new() } else { format!(", `{param}`") };
    Diagnostic::error("wrong_call", format!("`{}`{of}: {text}", function.name)).at(at, "").because(format!(
        "{}: {}",
        function.signature(),
        function.doc
    ))
}
