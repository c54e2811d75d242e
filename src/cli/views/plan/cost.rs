//! What a plan comes to in a month, and what moves that most.

use super::Page;
use crate::{
    base::few,
    cli::{
        style::{bold, clean, dim, green, red},
        views::diagnostics::plural,
    },
    plan::{Mode, Plan},
    review::{Cost, cost::Money},
};
use std::collections::BTreeMap;

/// So many parts are named; those that move most.
const NAMED: usize = 4;

/// So many types without a price are named.
const TYPES: usize = 3;

pub(super) fn write(plan: &Plan, cost: &Cost, page: &mut Page) {
    // What a plan does not name is not in its sums.
    let partial = plan.header.mode.only_what_it_names() || plan.header.mode == Mode::RefreshOnly;
    if cost.is_empty() || !plan.has_changes() || partial && cost.delta.is_none() {
        return;
    }
    page.gap();
    let since = match cost.read() {
        Some((first, last)) if first == last => format!(", by prices of {first}"),
        Some((first, last)) => format!(", by prices of {first} to {last}"),
        None => String::new(),
    };
    let part = if partial || plan.header.targets.is_empty() { "" } else { " (of what the targets name)" };
    page.line(&format!("{}{}", bold("What it costs"), dim(format!("  a month in {}{since}{part}", cost.region))));
    page.line(&format!("  before {}, after {}, {}", cost.before, cost.after, moved(cost.delta)));
    let moves: Vec<_> = cost.parts.iter().filter(|part| !part.delta.is_none()).collect();
    let width = moves.iter().take(NAMED).map(|part| part.delta.signed().len()).max().unwrap_or(0);
    for part in moves.iter().take(NAMED) {
        let what: Vec<String> = part
            .lines
            .iter()
            .map(|line| match &line.assumed {
                Some(assumed) => format!("{}, {assumed} assumed", line.what),
                None => line.what.clone(),
            })
            .collect();
        let amount = format!("{:>width$}", part.delta.signed());
        page.prose(
            &format!("  {}  {} ", colored(part.delta, &amount), bold(clean(part.address.as_str()))),
            &format!("{}: {}", part.part, what.join(" + ")),
        );
    }
    if moves.len() > NAMED {
        let rest: Money = moves.iter().skip(NAMED).map(|part| part.delta).sum();
        page.line(&dim(format!("  and {} more: {}", moves.len() - NAMED, rest.signed())));
    }
    if !cost.unpriced.is_empty() {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &cost.unpriced {
            let named = if one.kind.is_empty() { one.address.as_str() } else { one.kind.as_str() };
            *kinds.entry(named).or_default() += 1;
        }
        let mut kinds: Vec<(&str, usize)> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let named: Vec<String> =
            kinds.iter().map(|(kind, n)| if *n == 1 { (*kind).to_owned() } else { format!("{n} × {kind}") }).collect();
        let count = plural(cost.unpriced.len(), "thing");
        page.prose("  ", &format!("not priced: {count} ({})", few(&named, TYPES)));
    }
    if !cost.per_use.is_empty() {
        let count = plural(cost.per_use.len(), "thing");
        page.line(&dim(format!("  paid by use, and not reckoned: {count}; --json names all of it")));
    }
}

fn moved(delta: Money) -> String {
    if delta.is_none() { "no difference".to_owned() } else { bold(delta.signed()) }
}

fn colored(delta: Money, text: &str) -> String {
    if delta > Money::NONE { red(text) } else { green(text) }
}
