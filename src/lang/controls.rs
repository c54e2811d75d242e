//! Lists of controls as plans write them: each has to be the id of one.

use crate::base::{Control, Diagnostic, Diagnostics, Span};

/// What is no id of a control.
#[must_use]
pub(super) fn problems(ids: &[String], span: &Span) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for id in ids.iter().filter(|id| Control::parse(id).is_none()) {
        let problem = Diagnostic::error("control_id", format!("`{id}` is no control of NIST SP 800-53, Rev. 5"))
            .at(span, "")
            .because("what is claimed under another name is counted nowhere");
        problems.push(match Control::meant(id) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint("write its id, like AC-2, or AC-2(1) for an enhancement"),
        });
    }
    problems
}
