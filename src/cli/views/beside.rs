//! Changes side by side, for the report: values and differences as a terminal tells them, without its colours and signs.

use super::{
    difference::{self, Line, Piece, Sign},
    plan::told,
    value::inline,
};
use crate::{
    base::Value,
    plan::{Plan, Planned},
    review::report::{Details, Mark, Row},
};

/// The columns that a value may take on either side.
const WIDTH: usize = 64;

/// Changes as a terminal tells them.
pub(crate) struct Beside;

impl Details for Beside {
    fn value(&self, value: &Value) -> String {
        inline(value)
    }

    fn rows(&self, path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Row> {
        difference::pieces(path, before, after, WIDTH).into_iter().map(row).collect()
    }

    fn told(&self, plan: &Plan, node: &Planned) -> Vec<String> {
        told(plan, node)
    }

    fn kept(&self, plan: &Plan) -> Vec<String> {
        plan.debts
            .iter()
            .map(|debt| super::rollout::owed(&debt.address, debt.due, debt.failed.as_deref(), None))
            .collect()
    }
}

fn mark(sign: Sign) -> Mark {
    match sign {
        Sign::Same => Mark::Same,
        Sign::Added => Mark::Added,
        Sign::Removed => Mark::Removed,
        Sign::Changed => Mark::Changed,
    }
}

fn row(piece: Piece) -> Row {
    match piece {
        Piece::Changed { depth, path, before, after } => {
            Row { mark: Mark::Changed, depth, path, before: Some(before), after: Some(after) }
        }
        Piece::Whole { sign, depth, path, lines } => {
            let lines: Vec<String> =
                lines.into_iter().map(|(depth, text)| format!("{}{text}", "  ".repeat(depth))).collect();
            one_side(sign, depth, path, lines.join("\n"))
        }
        // The one line that has changed and no sides is a heading.
        Piece::Line(Line { sign: Sign::Changed, depth, text }) => {
            Row { mark: Mark::Heading, depth, path: text, before: None, after: None }
        }
        Piece::Line(Line { sign, depth, text }) => one_side(sign, depth, String::new(), text),
    }
}

fn one_side(sign: Sign, depth: usize, path: String, text: String) -> Row {
    let (before, after) = match sign {
        Sign::Removed => (Some(text), None),
        Sign::Added | Sign::Same | Sign::Changed => (None, Some(text)),
    };
    Row { mark: mark(sign), depth, path, before, after }
}
