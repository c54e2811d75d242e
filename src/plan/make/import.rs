//! What is taken over: by `import` blocks, or by the request's own word.

use crate::plan::make::Maker;
use crate::{
    base::{ActionWord, Address, Diagnostic, Span},
    kinds::{Undo, kind},
    plan::{Mode, Planned},
};

impl Maker<'_> {
    pub(super) fn find_imports(&mut self) {
        match self.request.mode {
            Mode::RevertDrift => return self.find_reverts(),
            Mode::Import => return self.asked_imports(),
            _ => {}
        }
        for import in &self.subject.configuration.root.imports {
            if self.state.resources.contains_key(&import.to) {
                continue;
            }
            let id = match self.evaluator.expression(&[], &import.id) {
                Ok(value) => value,
                Err(problems) => {
                    self.problems.extend(problems);
                    continue;
                }
            };
            self.find_import(&import.to, id.as_str().unwrap_or_default(), Some(&import.span));
        }
    }

    fn find_import(&mut self, to: &Address, id: &str, span: Option<&Span>) {
        let Some(kind) = kind(to.kind()) else { return };
        match kind.import_identity(id) {
            Ok(identity) => drop(self.imports.insert(to.clone(), identity)),
            Err(why) => {
                let mut problem = Diagnostic::error("import_id", format!("{to}: this id is of the wrong form"));
                if let Some(span) = span {
                    problem = problem.at(span, "imported here");
                }
                self.problems.push(problem.because(why));
            }
        }
    }

    /// What the request itself names. Nothing that is remembered is taken over a second time.
    fn asked_imports(&mut self) {
        for (to, id) in &self.request.imports {
            if let Some(resource) = self.state.resources.get(to) {
                let known = crate::plan::decide::identity_text(&resource.identity);
                self.problems.push(
                    Diagnostic::error("imported_already", format!("{to} is remembered already, as `{known}`"))
                        .hint(format!("terrace plan shows how it differs; `terrace state rm {to}` forgets it")),
                );
                continue;
            }
            self.find_import(to, id, None);
        }
    }

    /// Whatever was asked to be taken over and is not declared: there would be nothing to compare it with.
    pub(super) fn undeclared_imports(&mut self) {
        if self.request.mode != Mode::Import || self.problems.has_errors() {
            return;
        }
        for (to, id) in &self.request.imports {
            if !self.declared.contains(to) {
                self.problems.push(
                    Diagnostic::error("import_undeclared", format!("{to} is not declared in this plan"))
                        .because("what is taken over is compared with its declaration")
                        .hint(format!("terrace import '{to}' '{id}' --generate writes one")),
                );
            }
        }
    }

    /// A take-over writes state and nothing else: what differs is told, and left to the next apply.
    pub(super) fn taken_over(&mut self, mut planned: Planned) -> Option<Planned> {
        match planned.action {
            ActionWord::Read | ActionWord::Import => return Some(planned),
            ActionWord::Update => {
                planned
                    .reasons
                    .push("it differs from its declaration; the next apply changes that, this does not".into());
            }
            ActionWord::Defer => {
                let address = &planned.address;
                self.problems.push(
                    Diagnostic::error("import_too_early", format!("{address} cannot be compared yet"))
                        .because("what it is declared with is known only after something else is applied")
                        .hint("apply that first"),
                );
                return None;
            }
            _ => {
                let address = &planned.address;
                self.problems.push(
                    Diagnostic::error("import_replaces", format!("{address}: the next apply would replace it"))
                        .because(planned.reasons.join("; "))
                        .hint("make the declaration say what is live, then import it"),
                );
                return None;
            }
        }
        planned.action = ActionWord::Import;
        planned.undo = Undo::Full;
        planned.stateful = false;
        planned.verify = Vec::new();
        Some(planned)
    }
}
