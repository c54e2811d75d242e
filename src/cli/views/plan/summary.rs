//! The last lines of a plan: how many of what, and what cannot be undone.

use super::{Page, shown};
use crate::{
    base::ActionWord,
    cli::{
        style::{bold, red},
        views::diagnostics::plural,
    },
    kinds::Undo,
    plan::{Mode, Plan, Planned},
};

/// `2 to create, 1 to update`; `nothing to do` where there is nothing. What goes of things that stay is said: a thing that is updated may lose
/// a part that holds data.
pub(super) fn counted<'a>(nodes: impl IntoIterator<Item = &'a Planned>) -> String {
    let nodes: Vec<&Planned> = nodes.into_iter().collect();
    let count = |action| nodes.iter().filter(|n| n.action == action).count();
    let moved = nodes.iter().filter(|n| n.moved_from.is_some()).count();
    let parts: Vec<String> = [
        (count(ActionWord::Create), "to create"),
        (count(ActionWord::Update), "to update"),
        (count(ActionWord::Replace), "to replace"),
        (count(ActionWord::Delete), "to destroy"),
        (count(ActionWord::Import), "to import"),
        (count(ActionWord::Forget), "to forget"),
        (moved, "moved"),
        (count(ActionWord::Shift), "to shift"),
        (count(ActionWord::Verify), "to verify"),
        (count(ActionWord::Defer), "planned later"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    if parts.is_empty() {
        return "nothing to do".to_owned();
    }
    let within = |action| nodes.iter().map(|node| node.parts_that(action)).sum::<usize>();
    let within: Vec<String> = [(within(ActionWord::Replace), "to replace"), (within(ActionWord::Delete), "to destroy")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", plural(count, "part")))
        .collect();
    if within.is_empty() { parts.join(", ") } else { format!("{} (with {})", parts.join(", "), within.join(", ")) }
}

pub(super) fn write(plan: &Plan, page: &mut Page) {
    page.gap();
    if !plan.has_changes() {
        if plan.header.mode == Mode::RevertDrift {
            return page.line(&format!("{} There is no drift to put back.", bold("No changes.")));
        }
        let unchanged = plan.nodes.iter().filter(|n| n.action == ActionWord::NoOp).count();
        page.line(&format!("{} {} as declared.", bold("No changes."), plural_is(unchanged)));
        return;
    }
    let mut line = counted(plan.nodes.iter().filter(|n| shown(n)));
    if !plan.outputs.is_empty() {
        let outputs = plural(plan.outputs.len(), "output");
        let verb = if plan.outputs.len() == 1 { "changes" } else { "change" };
        line = if line == "nothing to do" { format!("{outputs} {verb}") } else { format!("{line}; {outputs} {verb}") };
    }
    page.line(&format!("{} {line}.", bold("Plan:")));
    let lasting = plan.nodes.iter().filter(|n| shown(n) && matches!(n.undo, Undo::None(_))).count();
    if lasting > 0 {
        let which = if lasting == 1 { "One of these".to_owned() } else { format!("{lasting} of these") };
        page.line(&red(format!("{which} cannot be undone.")));
    }
}

fn plural_is(count: usize) -> String {
    if count == 1 { "1 thing is".to_owned() } else { format!("{count} things are") }
}
