//! What rules found in what a plan is made of and does.

use super::Page;
use crate::{
    cli::{
        style::{bold, dim, green, red, yellow},
        views::{diagnostics::plural, finding},
    },
    plan::{Finding, Plan},
};

/// So many warnings are told in full; denials always are, up to [`DENIED`].
const WARNED: usize = 5;
/// So many denials.
const DENIED: usize = 50;

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
    let mut list = |all: &mut dyn Iterator<Item = &Finding>, most: usize, word: &str| {
        let mut left = 0;
        for (n, one) in all.enumerate() {
            if n < most {
                for line in finding::lines(one).lines() {
                    page.line(&format!("  {line}"));
                }
            } else {
                left += 1;
            }
        }
        if left > 0 {
            page.line(&dim(format!("  and {left} more {word}: --json has them all")));
        }
    };
    list(&mut findings().filter(|one| one.denies()), DENIED, "that deny");
    list(&mut findings().filter(|one| one.is_waived()), DENIED, "that are waived");
    list(&mut findings().filter(|one| !one.denies() && !one.is_waived()), WARNED, "warnings");
    for name in &judgement.idle_waivers {
        page.line(&dim(format!(
            "  the waiver {name} lets nothing pass: lift it, or look whether its rule is still there"
        )));
    }
}
