//! What rules found, who lets it pass, and the controls that rules and declarations name.

use super::{Sheet, html::Html};
use crate::{
    base::{Address, plural},
    plan::{Finding, Judgement, Severity, Waiver, WaiverStanding},
    review::plain::cut,
};
use std::collections::{BTreeMap, BTreeSet};

/// So many findings are told one by one; of more only the count is said, rule by rule.
const FINDINGS: usize = 1_000;
/// So many things are named beside a control.
const NAMED: usize = 5;
/// So much of a control's id is on its one line: those of catalogs are much shorter.
const ID: usize = 24;

/// What becomes of a finding.
pub(super) fn standing(finding: &Finding) -> &'static str {
    match finding.severity {
        _ if finding.is_waived() => "Waived",
        Severity::Deny => "Denied",
        Severity::Warn => "Warning",
    }
}

/// The section of findings and waivers.
pub(super) fn findings(sheet: &Sheet<'_>) -> Html {
    let mut page = Html::default();
    let Some(judgement) = &sheet.plan.judgement else {
        page.raw("<p>No rules were asked.</p>\n");
        return page;
    };
    let (denied, warned, waived) = judgement.counts();
    let counts = format!("{denied} denied, {}, {waived} waived", plural(warned, "warning"));
    page.raw("<p>").text(&plural(judgement.rules, "rule")).raw(" looked: ").text(&counts).raw(".</p>\n");
    tables(sheet, judgement, &mut page);
    waivers(judgement, &mut page);
    packs(judgement, &mut page);
    page
}

fn tables(sheet: &Sheet<'_>, judgement: &Judgement, page: &mut Html) {
    let (warnings, weighty): (Vec<&Finding>, Vec<&Finding>) =
        judgement.findings.iter().partition(|finding| standing(finding) == "Warning");
    table(sheet, "Denied and waived", &weighty, page);
    if warnings.is_empty() {
        return;
    }
    // Hundreds of one sort say no more than one: they are there for whoever asks.
    let rules: BTreeSet<&str> = warnings.iter().map(|finding| finding.rule.as_str()).collect();
    page.raw("<details class=\"fold\"><summary>").text(&plural(warnings.len(), "warning")).raw(" of ");
    page.text(&plural(rules.len(), "rule")).raw("</summary>\n");
    table(sheet, "Warnings", &warnings, page);
    page.raw("</details>\n");
}

fn table(sheet: &Sheet<'_>, what: &'static str, findings: &[&Finding], page: &mut Html) {
    if findings.is_empty() {
        return;
    }
    page.raw("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"").raw(what);
    page.raw("\"><table class=\"list\"><caption>").raw(what).raw("</caption>\n<thead><tr>");
    page.raw("<th scope=\"col\">Standing</th><th scope=\"col\">Rule</th><th scope=\"col\">Where</th><th scope=\"col\">What, why, and what to write instead</th></tr></thead>\n<tbody>\n");
    for finding in findings.iter().take(FINDINGS) {
        one(sheet, finding, page);
    }
    page.raw("</tbody></table></div>\n");
    let rest = findings.get(FINDINGS..).unwrap_or_default();
    if !rest.is_empty() {
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in rest {
            *rules.entry(&finding.rule).or_default() += 1;
        }
        page.raw("<p class=\"more\">").number(rest.len()).raw(" more: ");
        let counted: Vec<String> = rules.iter().map(|(rule, count)| format!("{count} of {rule}")).collect();
        page.text(&counted.join(", ")).raw(". <code>terrace show --json</code> of the saved plan has them.</p>\n");
    }
}

fn one(sheet: &Sheet<'_>, finding: &Finding, page: &mut Html) {
    let word = standing(finding);
    page.raw("<tr><td><span class=\"flag");
    page.raw(if finding.denies() { " bad" } else { "" }).raw("\">").raw(word).raw("</span></td><td>");
    page.code(&finding.rule).raw(" <span class=\"kind\">").text(&finding.pack).raw("</span>");
    if !finding.controls.is_empty() {
        page.raw("<br><span class=\"kind\">");
        for (at, control) in finding.controls.iter().enumerate() {
            page.raw(if at > 0 { ", " } else { "" }).raw("<span class=\"id\">");
            page.text(&cut(control, ID)).raw("</span>");
        }
        page.raw("</span>");
    }
    page.raw("</td><td>");
    match &finding.address {
        None => {
            page.raw("the environment");
        }
        Some(address) => match sheet.place(address) {
            Some(at) => {
                page.part(&super::changes::link(sheet, at));
            }
            None => {
                page.code(address.as_str());
            }
        },
    }
    if !finding.part.is_empty() {
        page.raw(" ").code(&finding.part);
    }
    if !finding.path.is_empty() {
        page.raw(" ").code(&finding.path);
    }
    if let Some(place) = &finding.place {
        page.raw("<br>").code(&format!("{}:{}:{}", place.file, place.line, place.column));
    }
    page.raw("</td><td>").text(&finding.what).raw("<br><span class=\"kind\">").text(&finding.why).raw("</span>");
    if !finding.instead.is_empty() {
        page.raw("<br>Instead: ").text(&finding.instead);
    }
    if let Some(waiver) = &finding.waiver {
        page.raw("<br>").text(&waived(waiver));
    }
    page.raw("</td></tr>\n");
}

fn waived(waiver: &Waiver) -> String {
    let agreed = waiver.approved_by.as_ref().map_or(String::new(), |who| format!(", agreed to by {who}"));
    let (by, until, name) = (&waiver.by, waiver.until, &waiver.name);
    let words = match waiver.standing {
        WaiverStanding::Counts => format!("Waived until {until} by {by}{agreed}"),
        WaiverStanding::Expired => format!("Its waiver of {by}{agreed} ended on {until}"),
        WaiverStanding::Unapproved => {
            format!("{by} asks for a waiver until {until}, which counts once somebody else agrees")
        }
    };
    format!("{words} ({name}): {}", waiver.reason)
}

fn waivers(judgement: &Judgement, page: &mut Html) {
    if !judgement.remembered.is_empty() {
        list("Rules as they were, for they are given up and still count", &judgement.remembered, page);
    }
    if judgement.idle_waivers.is_empty() {
        return;
    }
    list("Waivers of nothing", &judgement.idle_waivers, page);
}

fn list(title: &'static str, all: &[String], page: &mut Html) {
    page.raw("<h3>").raw(title).raw("</h3>\n<ul>");
    for one in all {
        page.raw("<li>").text(one).raw("</li>");
    }
    page.raw("</ul>\n");
}

fn packs(judgement: &Judgement, page: &mut Html) {
    if judgement.packs.is_empty() {
        return;
    }
    page.raw("<table class=\"list\"><caption>Packs that judged, beside Terrace's own rules</caption>\n");
    page.raw("<thead><tr><th scope=\"col\">Pack</th><th scope=\"col\">Version</th><th scope=\"col\">From</th><th scope=\"col\">Digest</th></tr></thead>\n<tbody>\n");
    for pack in &judgement.packs {
        page.raw("<tr><th scope=\"row\">").text(&pack.pack).raw("</th><td>").text(&pack.version).raw("</td><td>");
        page.raw(match (pack.remembered, pack.released) {
            (true, _) => "given up, and still counts",
            (false, true) => "the release",
            (false, false) => "the project",
        });
        page.raw("</td><td>").code(pack.digest.as_str()).raw("</td></tr>\n");
    }
    page.raw("</tbody></table>\n");
}

#[derive(Default)]
struct Control<'a> {
    claimed: BTreeSet<&'a Address>,
    denied: usize,
    warned: usize,
    waived: usize,
}

/// The section of controls: who claims them, and what rules found of them.
pub(super) fn controls(sheet: &Sheet<'_>) -> Option<Html> {
    let mut all: BTreeMap<&str, Control> = BTreeMap::new();
    for node in &sheet.plan.nodes {
        for control in &node.controls {
            all.entry(control).or_default().claimed.insert(&node.address);
        }
    }
    for finding in sheet.plan.judgement.iter().flat_map(|judgement| &judgement.findings) {
        for control in &finding.controls {
            let control = all.entry(control).or_default();
            match finding {
                _ if finding.is_waived() => control.waived += 1,
                _ if finding.denies() => control.denied += 1,
                _ => control.warned += 1,
            }
        }
    }
    if all.is_empty() {
        return None;
    }
    let mut page = Html::default();
    page.raw("<p>What declarations claim, and what rules found. A rule that holds leaves no trace here.</p>\n");
    page.raw("<table class=\"list\"><caption>Controls</caption>\n<thead><tr><th scope=\"col\">Control</th><th scope=\"col\">Claimed by</th>");
    page.raw("<th scope=\"col\" class=\"n\">Denied</th><th scope=\"col\" class=\"n\">Warned</th><th scope=\"col\" class=\"n\">Waived</th></tr></thead>\n<tbody>\n");
    for (name, control) in &all {
        let claimed: Vec<&str> = control.claimed.iter().map(|address| address.as_str()).collect();
        page.raw("<tr><th scope=\"row\" class=\"id\">").text(&cut(name, ID)).raw("</th><td>");
        if claimed.is_empty() {
            page.raw("nobody");
        } else {
            page.text(&crate::base::few(&claimed, NAMED));
        }
        for count in [control.denied, control.warned, control.waived] {
            page.raw("</td><td class=\"n\">").number(count);
        }
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table>\n");
    Some(page)
}
