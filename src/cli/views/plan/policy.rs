//! What rules found in what a plan is made of and does.

use super::Page;
use crate::{
    base::{ActionWord, few},
    cli::{
        style::{bold, clean, dim, green, red, yellow},
        views::{diagnostics::plural, finding},
    },
    plan::{Finding, Plan},
};
use std::collections::{BTreeMap, BTreeSet};

/// So many denials and waivers are told one by one.
const TOLD: usize = 50;
/// So many rules that warn, each in a line however often it does.
const WARNING: usize = 8;
/// So many things that a rule warns of are named.
const NAMED: usize = 3;

pub(super) fn write(plan: &Plan, page: &mut Page) {
    let Some(judgement) = plan.judgement.as_ref().filter(|judgement| {
        !judgement.findings.is_empty() || !judgement.packs.is_empty() || !judgement.idle_waivers.is_empty()
    }) else {
        return;
    };
    let (denied, warned, waived) = judgement.counts();
    let told =
        |count: usize, text: String, color: fn(String) -> String| if count == 0 { dim(text) } else { color(text) };
    page.gap();
    page.line(&format!(
        "{}  {}, {}, {} waived  {}",
        bold("Policy"),
        told(denied, format!("{denied} denied"), red),
        told(warned, plural(warned, "warning"), yellow),
        told(waived, waived.to_string(), green),
        dim(format!("{} asked", plural(judgement.rules, "rule"))),
    ));
    let findings = || judgement.findings.iter();
    let mut list = |all: &mut dyn Iterator<Item = &Finding>, word: &str| {
        let all: Vec<&Finding> = all.collect();
        for one in all.iter().take(TOLD) {
            for line in finding::lines(one).lines() {
                page.line(&format!("  {line}"));
            }
        }
        if all.len() > TOLD {
            page.line(&dim(format!("  and {} more {word}: --json has them all", all.len() - TOLD)));
        }
    };
    list(&mut findings().filter(|one| one.denies()), "that deny");
    list(&mut findings().filter(|one| one.is_waived()), "that are waived");
    // Of what stays as it is somebody was warned when it came.
    let changes = |one: &&Finding| {
        let still = |action| matches!(action, ActionWord::NoOp | ActionWord::Read | ActionWord::Verify);
        one.address.as_ref().is_none_or(|address| {
            plan.nodes.iter().any(|node| !still(node.action) && address.plain() == node.address.plain())
        })
    };
    let (now, before): (Vec<&Finding>, Vec<&Finding>) =
        findings().filter(|one| !one.denies() && !one.is_waived()).partition(changes);
    warnings(&now, page);
    if !before.is_empty() {
        let what = plural(before.len(), "warning");
        page.line(&dim(format!("  {what} of what does not change here: --json has them")));
    }
    let packs = judgement.packs.iter().filter(|by| by.remembered).map(|by| format!("{} {}", by.pack, by.version));
    let given_up: Vec<String> = packs.chain(judgement.remembered.iter().cloned()).collect();
    if !given_up.is_empty() {
        let (env, named) = (&plan.header.env, few(&given_up, NAMED));
        page.line(&dim(format!("  given up, and still asked until a run in {env} has passed it: {named}")));
    }
    for name in &judgement.idle_waivers {
        page.line(&dim(format!(
            "  the waiver {name} lets nothing pass: lift it, or look whether its rule is still there"
        )));
    }
}

/// A line for each rule that warns, what it finds most often first.
fn warnings(all: &[&Finding], page: &mut Page) {
    let mut by_rule: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in all {
        by_rule.entry(&finding.rule).or_default().push(finding);
    }
    let mut rules: Vec<(&str, Vec<&Finding>)> = by_rule.into_iter().collect();
    rules.sort_by_key(|(_, found)| std::cmp::Reverse(found.len()));
    for (rule, found) in rules.iter().take(WARNING) {
        let of: BTreeSet<&str> = found.iter().filter_map(|one| Some(one.address.as_ref()?.as_str())).collect();
        let of: Vec<&str> = of.into_iter().collect();
        let of = if of.is_empty() { String::new() } else { format!(" ({})", few(&of, NAMED)) };
        let what = found.first().map(|one| one.what.as_str()).unwrap_or_default();
        let controls = match found.first() {
            Some(one) if !one.controls.is_empty() => format!(" ({})", clean(&one.controls.join(", "))),
            _ => String::new(),
        };
        let lead = format!("  {}  {:>3} × {}{controls}: ", yellow("warn"), found.len(), bold(rule));
        page.prose(&lead, &format!("{what}{of}"));
    }
    if rules.len() > WARNING {
        let more = plural(rules.len() - WARNING, "rule");
        page.line(&dim(format!("  and {more} more that warn: --json has them all, with what to write instead")));
    } else if !rules.is_empty() {
        page.line(&dim("  --json has each, with what to write instead"));
    }
}
