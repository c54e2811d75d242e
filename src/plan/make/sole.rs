//! What only one declaration may have: the state of a Terraform root. Two with one would be planned as two creations, and then
//! undo each other's work.

use crate::{
    base::{Diagnostic, Span},
    lang::Declaration,
    plan::{instance::Instance, make::Maker},
};

impl Maker<'_> {
    /// Notes what an instance has to have alone; told with both addresses where another one has it.
    pub(super) fn alone(&mut self, instance: &Instance) -> Result<(), Diagnostic> {
        let Some((key, what)) = instance.kind.sole(&instance.desired) else { return Ok(()) };
        let first = self.sole.entry(key).or_insert_with(|| instance.address.clone()).clone();
        if first == instance.address {
            return Ok(());
        }
        let (here, there) = (Declaration::from(&instance.address), Declaration::from(&first));
        let mut both = [&first, &instance.address];
        both.sort();
        let mut problem = Diagnostic::error("state_twice", format!("{} and {} both have {what}", both[0], both[1]))
            .because("each would take what the other one made for its own, and destroy what is not in its own inputs")
            .hint("give each its own `workspace`, or `backend` settings of its own");
        let place = |declaration: &Declaration| -> Option<Span> {
            self.subject.configuration.resource(declaration).map(|r| r.span.clone())
        };
        if let Some(span) = place(&here) {
            problem = problem.at(&span, "declared here");
        }
        if let Some(span) = place(&there).filter(|_| here != there) {
            problem = problem.at(&span, "and here");
        }
        Err(problem)
    }
}
