//! Looks up every reference of a configuration: what is undeclared, what has no such attribute, what stands where it has
//! no meaning. What the values are is the evaluator's concern.

use crate::{
    base::{Diagnostic, Diagnostics, Span},
    lang::{
        ast::{Body, Expr},
        configuration::{Condition, Configuration, Module, Resource, Verify},
        load::Unsure,
        references::{references, references_of_body},
        schema::{ConnectionNeed, KindSchema, Role, Schema},
        scope::{Reference, Target},
        suggest,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const FIRST_NAMES: &[&str] =
    &["var", "local", "module", "data", "each", "self", "env", "path", "phase", "kubernetes", "aws", "prometheus"];

/// Checks all modules of a configuration, each once.
pub(crate) fn check(
    configuration: &Configuration,
    schema: &'static Schema,
    unsure: &Unsure,
    diagnostics: &mut Diagnostics,
) {
    let none = BTreeSet::new();
    let mut seen: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut waiting = vec![configuration.root.clone()];
    while let Some(module) = waiting.pop() {
        if !seen.insert(module.folder.clone()) {
            continue;
        }
        let unsure = unsure.get(&module.folder).unwrap_or(&none);
        let is_root = Arc::ptr_eq(&module, &configuration.root);
        let mut scope = Scope { configuration, schema, module: &module, is_root, unsure, diagnostics };
        scope.module();
        if is_root {
            scope.root();
        }
        waiting.extend(module.calls.values().map(|call| call.module.clone()));
    }
}

/// What an expression may use where it stands.
#[derive(Clone, Copy, Default)]
struct Place {
    each: bool,
    own: bool,
}

struct Scope<'a> {
    configuration: &'a Configuration,
    schema: &'static Schema,
    module: &'a Module,
    is_root: bool,
    unsure: &'a BTreeSet<(Arc<str>, Arc<str>)>,
    diagnostics: &'a mut Diagnostics,
}

impl Scope<'_> {
    fn module(&mut self) {
        let module = self.module;
        let nowhere = Place::default();
        for variable in module.variables.values() {
            self.conditions(&variable.validations, nowhere);
        }
        for local in module.locals.values() {
            self.expr(local, nowhere);
        }
        self.cycles_of_locals();
        for output in module.outputs.values() {
            self.expr(&output.value, nowhere);
        }
        for resource in module.resources.values() {
            self.resource(resource);
        }
        for call in module.calls.values() {
            let place = Place { each: call.for_each.is_some(), own: call.rollout.is_some() };
            call.for_each.iter().for_each(|e| self.expr(e, nowhere));
            call.when.iter().chain(call.arguments.values()).for_each(|e| self.expr(e, place));
            for (name, expr) in &call.connections {
                self.connection(expr, name, place);
            }
            call.depends_on.iter().for_each(|e| self.dependency(e));
            call.rollout.iter().for_each(|rollout| self.body(&rollout.block.body, place));
        }
        for import in &module.imports {
            self.expr(&import.id, nowhere);
        }
    }

    fn root(&mut self) {
        let configuration = self.configuration;
        let connections = configuration.kubernetes.values().chain(configuration.aws.values());
        for connection in connections {
            connection.for_each.iter().for_each(|e| self.expr(e, Place::default()));
            self.body(&connection.body, Place { each: connection.for_each.is_some(), own: false });
        }
        for fixture in configuration.fixtures.values() {
            self.body(&fixture.body, Place::default());
        }
        for phase in &configuration.phases {
            self.verify(&phase.verify, Place::default());
        }
    }

    fn resource(&mut self, resource: &Resource) {
        let kind = self.kind(&resource.kind);
        let each = resource.for_each.is_some();
        let place = Place { each, own: kind.is_some_and(|k| k.rollout) };
        let own = Place { each, own: true };
        resource.for_each.iter().for_each(|e| self.expr(e, Place::default()));
        resource.when.iter().for_each(|e| self.expr(e, Place { each, own: false }));
        resource.controls.iter().for_each(|e| self.expr(e, Place { each, own: false }));
        resource.depends_on.iter().for_each(|e| self.dependency(e));
        self.body(&resource.body, place);
        self.verify(&resource.verify, own);
        resource.rollout.iter().for_each(|rollout| self.body(&rollout.block.body, own));
        self.conditions(&resource.lifecycle.preconditions, own);
        self.conditions(&resource.lifecycle.postconditions, own);
        for expr in &resource.lifecycle.replace_triggered_by {
            self.expr(expr, Place { each, own: false });
        }
        match (&resource.connection, kind.map(|k| k.connection.of(&resource.body))) {
            (Some(expr), Some(ConnectionNeed::Aws)) => self.connection(expr, "aws", place),
            (Some(expr), Some(ConnectionNeed::Kubernetes)) => self.connection(expr, "kubernetes", place),
            (None, Some(ConnectionNeed::Kubernetes)) if resource.role == Role::Managed => {
                self.default_cluster(resource);
            }
            _ => {}
        }
    }

    /// Rule 6: one cluster is the default; of several, the one named `default`.
    fn default_cluster(&mut self, resource: &Resource) {
        let all = &self.configuration.kubernetes;
        if all.is_empty() {
            self.diagnostics.push(
                Diagnostic::error(
                    "missing_connection",
                    format!("`{}.{}` needs a cluster", resource.kind, resource.name),
                )
                .at(&resource.span, "")
                .because("the plan declares no connection to one")
                .hint("write kubernetes \"main\" { eks { name = ... } }, each block on its own lines"),
            );
        } else if self.is_root && all.len() > 1 && !all.contains_key("default") {
            let names: Vec<&str> = all.keys().map(|n| &**n).collect();
            self.diagnostics.push(
                Diagnostic::error(
                    "missing_connection",
                    format!("`{}.{}` does not say which cluster", resource.kind, resource.name),
                )
                .at(&resource.span, "")
                .because(format!(
                    "there are several connections, {}, and none is named `default`",
                    suggest::list(&names)
                ))
                .hint(format!("write kubernetes = kubernetes.{}", names[0])),
            );
        }
    }

    fn connection(&mut self, expr: &Expr, kind: &str, place: Place) {
        self.expr(expr, place);
        for reference in references(expr).iter().take(1) {
            if !matches!(&reference.target, Target::Connection(first, _) if &**first == kind) {
                self.diagnostics.push(
                    Diagnostic::error("wrong_type", "this names no connection")
                        .at(&expr.span, "")
                        .hint(format!("write {kind} = {kind}.NAME")),
                );
            }
        }
    }

    fn dependency(&mut self, expr: &Expr) {
        let found = references(expr);
        for reference in &found {
            self.reference(reference, Place::default());
        }
        if !matches!(
            found.as_slice(),
            [Reference { target: Target::Resource { .. } | Target::Module { .. } | Target::Unknown(_), .. }, ..]
        ) {
            self.diagnostics.push(
                Diagnostic::error("wrong_type", "`depends_on` names resources and modules")
                    .at(&expr.span, "")
                    .hint("write depends_on = [helm.istiod, module.observability]"),
            );
        }
    }

    fn conditions(&mut self, conditions: &[Condition], place: Place) {
        for condition in conditions {
            self.expr(&condition.condition, place);
            self.expr(&condition.error_message, place);
        }
    }

    fn verify(&mut self, blocks: &[Verify], place: Place) {
        for verify in blocks {
            self.body(&verify.probe.body, place);
        }
    }

    fn body(&mut self, body: &Body, place: Place) {
        for reference in references_of_body(body) {
            self.reference(&reference, place);
        }
    }

    fn expr(&mut self, expr: &Expr, place: Place) {
        for reference in references(expr) {
            self.reference(&reference, place);
        }
    }

    fn kind(&self, kind: &str) -> Option<&'static KindSchema> {
        match kind.strip_prefix("data.") {
            Some(name) => self.schema.data(name),
            None => self.schema.kind(kind),
        }
    }

    fn reference(&mut self, reference: &Reference, place: Place) {
        let module = self.module;
        let configuration = self.configuration;
        let span = &reference.span;
        match &reference.target {
            Target::Variable(name) if !module.variables.contains_key(name) => {
                self.undeclared("variable", name, span, module.variables.keys());
            }
            Target::Local(name) if !module.locals.contains_key(name) => {
                self.undeclared("local", name, span, module.locals.keys());
            }
            Target::Phase(name) => {
                let known = configuration.phases.iter().any(|p| p.name == *name);
                let why = if known || !self.is_root {
                    "a phase is no value; only `phase`, `phases` and `after` name one"
                } else {
                    ""
                };
                self.unknown(format!("`phase.{name}` has no value"), span, why, None);
            }
            Target::Environment(name) => self.unknown(
                format!("`environment.{name}` has no value"),
                span,
                "only `after` of an environment names another",
                Some("for the environment that is applied to, write env.name".to_owned()),
            ),
            Target::Connection(first, name) => {
                let known = if &**first == "aws" { &configuration.aws } else { &configuration.kubernetes };
                if !known.contains_key(name) {
                    self.undeclared(first, name, span, known.keys());
                }
            }
            Target::Fixture(kind, name) if !configuration.fixtures.contains_key(&(kind.clone(), name.clone())) => {
                let known: Vec<&Arc<str>> =
                    configuration.fixtures.keys().filter(|(k, _)| k == kind).map(|(_, n)| n).collect();
                self.undeclared(kind, name, span, known.into_iter());
            }
            Target::Each if !place.each => self.unknown(
                "`each` stands for nothing here".to_owned(),
                span,
                "there is an `each` only in a block with `for_each`, and not in `for_each` itself",
                None,
            ),
            Target::SelfValue if !place.own => self.unknown(
                "`self` stands for nothing here".to_owned(),
                span,
                "there is a `self` only in what takes a rollout, in `verify`, `precondition` and `postcondition`",
                None,
            ),
            Target::Env(name) => self.one_of("env", name, &["name", "region", "account_id"], span),
            Target::Path(name) => self.one_of("path", name, &["module", "root", "project"], span),
            Target::Resource { kind, name, key } => self.resource_reference(reference, kind, name, key.is_some()),
            Target::Module { name, output, key } => {
                self.module_reference(span, name, output.as_ref(), key.is_some());
            }
            Target::Unknown(name) => {
                let kinds = self.schema.kinds.iter().filter(|k| k.role != Role::Data).map(|k| k.name);
                let known = FIRST_NAMES.contains(&&**name) || kinds.clone().any(|k| k == &**name);
                let (summary, hint) = if known {
                    (format!("`{name}` alone names nothing"), Some(format!("write {name}.NAME")))
                } else {
                    let near = suggest::nearest(name, FIRST_NAMES.iter().copied().chain(kinds));
                    let hint = near.map_or_else(
                        || format!("if it is meant as text, put it in quotes: \"{name}\""),
                        |near| format!("did you mean `{near}`?"),
                    );
                    (format!("there is nothing called `{name}`"), Some(hint))
                };
                self.unknown(summary, span, "", hint);
            }
            _ => {}
        }
    }

    fn resource_reference(&mut self, reference: &Reference, kind: &Arc<str>, name: &Arc<str>, keyed: bool) {
        let span = &reference.span;
        if self.unsure.contains(&(kind.clone(), name.clone())) {
            return;
        }
        let Some(schema) = self.kind(kind) else {
            let data = kind.strip_prefix("data.");
            let known = self.schema.kinds.iter().filter(|k| (k.role == Role::Data) == data.is_some()).map(|k| k.name);
            let word = data.unwrap_or(kind);
            let names = known.chain(FIRST_NAMES.iter().copied().filter(|_| data.is_none()));
            let what = if data.is_some() { "data source" } else { "kind" };
            let hint = suggest::nearest(word, names).map(|near| format!("did you mean `{near}`?"));
            return self.unknown(format!("there is no {what} `{word}`"), span, "", hint);
        };
        let module = self.module;
        let Some(resource) = module.resources.get(&(kind.clone(), name.clone())) else {
            let same: Vec<&Arc<str>> = module.resources.keys().filter(|(k, _)| k == kind).map(|(_, n)| n).collect();
            if let Some((other, _)) = module.resources.keys().find(|(k, n)| n == name && k != kind)
                && suggest::nearest(name, same.iter().map(|n| &***n)).is_none()
            {
                let hint = Some(format!("did you mean `{other}.{name}`?"));
                return self.unknown(format!("there is no {kind} `{name}`"), span, "", hint);
            }
            return self.undeclared(kind, name, span, same.into_iter());
        };
        let what = format!("{kind}.{name}");
        if keyed && resource.for_each.is_none() {
            return self.no_keys(&what, span);
        }
        let Some(attribute) = reference.rest.first() else { return };
        let attributes = || schema.block.attributes.iter().chain(schema.exports).map(|a| a.name);
        let blocks = || schema.block.blocks.iter().map(|b| b.name);
        let known = attributes().chain(blocks()).any(|known| known == &**attribute);
        if resource.for_each.is_some() && !keyed {
            // `stack.topic.orders` names an instance as well, and which ones there are is not known yet.
            if known {
                self.unknown(
                    format!("`{what}` has `for_each`, so `{attribute}` is one of an instance"),
                    span,
                    "",
                    Some(format!("write {what}[\"key\"].{attribute}, or a `for` over {what}")),
                );
            }
            return;
        }
        if !known {
            let hint = suggest::hint(attribute, attributes());
            self.unknown(format!("`{kind}` has no attribute `{attribute}`"), span, "", hint);
        }
    }

    fn no_keys(&mut self, what: &str, span: &Span) {
        self.unknown(
            format!("`{what}` has no instances by key"),
            span,
            "it is declared without `for_each`",
            Some(format!("write {what}")),
        );
    }

    fn module_reference(&mut self, span: &Span, name: &Arc<str>, output: Option<&Arc<str>>, keyed: bool) {
        let module = self.module;
        if self.unsure.contains(&("module".into(), name.clone())) {
            return;
        }
        let Some(call) = module.calls.get(name) else {
            return self.undeclared("module", name, span, module.calls.keys());
        };
        if keyed && call.for_each.is_none() {
            return self.no_keys(&format!("module.{name}"), span);
        }
        if let Some(output) = output.filter(|_| keyed || call.for_each.is_none())
            && !call.module.outputs.contains_key(output)
        {
            let hint = suggest::hint(output, call.module.outputs.keys().map(|n| &**n));
            self.unknown(format!("`module.{name}` has no output `{output}`"), span, "", hint);
        }
    }

    fn one_of(&mut self, first: &str, name: &str, known: &[&str], span: &Span) {
        if !known.contains(&name) {
            let hint = suggest::hint(name, known.iter().copied());
            self.unknown(format!("`{first}` has no `{name}`"), span, "", hint);
        }
    }

    fn undeclared<'k>(&mut self, what: &str, name: &str, span: &Span, known: impl Iterator<Item = &'k Arc<str>>) {
        let hint = suggest::hint(name, known.map(|n| &**n));
        self.unknown(format!("there is no {what} `{name}`"), span, "", hint);
    }

    fn unknown(&mut self, summary: String, span: &Span, why: &str, hint: Option<String>) {
        let mut diagnostic = Diagnostic::error("unknown_reference", summary).at(span, "").because(why);
        diagnostic.hint = hint;
        self.diagnostics.push(diagnostic);
    }

    /// Locals that are made of themselves.
    fn cycles_of_locals(&mut self) {
        let locals = &self.module.locals;
        let needs: BTreeMap<&Arc<str>, Vec<(Arc<str>, Span)>> = locals
            .iter()
            .map(|(name, expr)| {
                let found = references(expr).into_iter().filter_map(|r| match r.target {
                    Target::Local(needed) if locals.contains_key(&needed) => Some((needed, r.span)),
                    _ => None,
                });
                (name, found.collect())
            })
            .collect();
        // Take away what stands on nothing, again and again: what is left are cycles and what stands on them.
        let mut users: BTreeMap<&str, Vec<&Arc<str>>> = BTreeMap::new();
        let mut open: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for (name, needed) in &needs {
            open.insert(name, needed.len());
            for (needed, _) in needed {
                users.entry(needed).or_default().push(name);
            }
        }
        let mut free: Vec<&Arc<str>> = open.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
        while let Some(name) = free.pop() {
            open.remove(name);
            for user in users.get(&**name).into_iter().flatten() {
                if let Some(left) = open.get_mut(user) {
                    *left -= 1;
                    if *left == 0 {
                        free.push(user);
                    }
                }
            }
        }
        while let Some((&start, _)) = open.iter().next() {
            let mut way: Vec<(&Arc<str>, Span)> = Vec::new();
            let mut at = start;
            let cycle = loop {
                if let Some(first) = way.iter().position(|(name, _)| *name == at) {
                    break way.split_off(first);
                }
                let step =
                    needs.get(at).and_then(|n| n.iter().find_map(|(to, span)| Some((open.get_key_value(to)?.0, span))));
                let Some((&next, span)) = step else { break Vec::new() };
                way.push((at, span.clone()));
                at = next;
            };
            if cycle.is_empty() {
                return;
            }
            let mut names: Vec<String> = cycle.iter().map(|(name, _)| format!("local.{name}")).collect();
            names.extend(names.first().cloned());
            let mut diagnostic = Diagnostic::error(
                "reference_cycle",
                format!("locals are made of each other: {}", names.join(" needs ")),
            );
            for (name, span) in &cycle {
                diagnostic = diagnostic.at(span, format!("needed by local.{name}"));
            }
            self.diagnostics.push(diagnostic);
            for (name, _) in cycle {
                open.remove(name);
            }
            // What is left may stand on the cycle only.
            open.retain(|name, _| needs.get(name).is_some_and(|n| !n.is_empty()));
            let names: BTreeSet<&Arc<str>> = open.keys().copied().collect();
            open.retain(|name, _| needs.get(name).is_some_and(|n| n.iter().any(|(to, _)| names.contains(to))));
        }
    }
}
