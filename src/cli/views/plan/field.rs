//! Fields of a node: what differs, why, and what forces a replacement.

use super::Page;
use crate::{
    cli::{
        style::{self, dim, red},
        views::difference,
    },
    kinds::{Cause, FieldChange},
};

/// Names are lined up to this width.
const NAME_WIDTH: usize = 28;

/// Writes fields at an indentation: what was asked for first, then drift by what becomes of it.
pub(super) fn write(fields: &[FieldChange], indent: usize, page: &mut Page) {
    let of = |cause: Cause| -> Vec<&FieldChange> { fields.iter().filter(|f| f.cause == cause).collect() };
    group(&of(Cause::Declared), indent, page);
    for (cause, heading) in [
        (Cause::Drift, "changed behind Terrace's back, and put back:"),
        (Cause::DriftLeft, "changed behind Terrace's back, and left as it is:"),
    ] {
        let fields = of(cause);
        if !fields.is_empty() {
            page.line(&format!("{}{}", " ".repeat(indent), dim(heading)));
            group(&fields, indent + 2, page);
        }
    }
}

/// Writes fields one after the other, whatever their cause.
pub(super) fn plain(fields: &[FieldChange], indent: usize, page: &mut Page) {
    group(&fields.iter().collect::<Vec<_>>(), indent, page);
}

fn group(fields: &[&FieldChange], indent: usize, page: &mut Page) {
    let one_sided = |f: &&&FieldChange| f.before.is_none() || f.after.is_none();
    let longest = fields.iter().filter(one_sided).map(|f| f.path.chars().count()).filter(|n| *n <= NAME_WIDTH).max();
    for field in fields {
        one(field, longest.unwrap_or(0), indent, page);
    }
}

fn one(field: &FieldChange, longest: usize, indent: usize, page: &mut Page) {
    let one_sided = field.before.is_none() || field.after.is_none();
    let name = style::one_line(&field.path);
    let path = if one_sided { format!("{name:longest$}") } else { name.clone() };
    let room = page.width.saturating_sub(indent);
    let mut lines = difference::lines(&path, field.before.as_ref(), field.after.as_ref(), room);
    if lines.is_empty() && (field.before.is_some() || field.after.is_some()) {
        // The same to look at, yet the platform says that it changes.
        let value = field.after.as_ref().or(field.before.as_ref()).map(crate::cli::views::value::inline);
        let text = format!("{name} = {}", value.unwrap_or_default());
        lines.push(difference::Line { sign: difference::Sign::Changed, depth: 0, text });
    }
    if lines.is_empty() {
        let text = format!("{name} changes");
        lines.push(difference::Line { sign: difference::Sign::Changed, depth: 0, text });
    }
    for (at, line) in lines.iter().enumerate() {
        let mut text = line.paint(indent);
        if at == 0 {
            if field.forces_replacement {
                text.push_str(&red("  # forces replacement"));
            }
            if let Some(because) = &field.because {
                // Of what drifted it tells who set it.
                let word = if field.cause == Cause::Drift { "set by" } else { "because of" };
                text.push_str(&dim(format!("  # {word} {}", style::one_line(because))));
            }
        }
        page.line(&text);
    }
}
