//! Drift that applying leaves alone: apart from what was asked for, so that nobody takes it for part of the change.

use super::{Page, field};
use crate::{
    base::ActionWord,
    cli::style::{bold, clean, dim, of_action, red, yellow},
    plan::{Drift, Plan},
};

pub(super) fn write(plan: &Plan, page: &mut Page) {
    // What is gone and made again is not left as it is.
    let made_again = |drift: &Drift| {
        drift.gone && plan.nodes.iter().any(|n| n.address == drift.address && n.action == ActionWord::Create)
    };
    let left: Vec<&Drift> = plan.drift.iter().filter(|drift| !made_again(drift)).collect();
    if left.is_empty() {
        return;
    }
    page.gap();
    page.line(&format!("{}  {}", bold("Changed behind Terrace's back"), dim("applying this plan leaves it as it is")));
    for drift in left {
        one(drift, page);
    }
}

/// The drift of one thing.
pub(super) fn one(drift: &Drift, page: &mut Page) {
    let mut text = format!("  {} {}", yellow("  !"), bold(clean(drift.address.as_str())));
    if drift.gone {
        text.push_str(&red("  is gone"));
    }
    page.line(&text);
    if let Some(reason) = &drift.ignored {
        page.prose(&format!("        {} ", dim("ignored:")), reason);
    }
    field::plain(&drift.fields, 8, page);
    for child in &drift.children {
        let gone = if child.action == ActionWord::Delete { red("  is gone") } else { String::new() };
        let mark = of_action(child.action, format!("{:>3}", child.action.sign()));
        page.line(&format!("        {mark} {}{}{gone}", clean(&child.name), dim(format!("  {}", clean(&child.kind)))));
        field::plain(&child.fields, 14, page);
    }
}
