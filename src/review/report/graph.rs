//! What waits for what: as data from which the script draws a picture, and in words, phase by phase.
//!
//! Edges go between declarations, so that there are never more of them than the graph has: instances of a declaration share its.

use super::{Sheet, changes, declaration, html::Html};
use crate::{base::Address, plan::Moment, review::change::word};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// More things than these are not drawn: nobody would find anything.
const MOST: usize = 5_000;

/// The section.
pub(super) fn write(sheet: &Sheet<'_>) -> Option<Html> {
    if sheet.changes.is_empty() {
        return None;
    }
    let mut page = Html::default();
    page.raw("<p id=\"graph-help\">Phases from left to right; within one, what comes first stands higher. Choose a thing to see what it waits for (solid lines) and what waits for it (dashed lines): by a click, or with the arrow keys and Enter. Each change above says the same in words.</p>\n");
    page.raw("<noscript><p>The picture needs the page's script; what it shows is among the changes in words.</p></noscript>\n");
    page.raw("<div id=\"picture\" class=\"picture\" hidden></div>\n<div id=\"chosen\" class=\"chosen\" role=\"status\"></div>\n");
    let left = sheet.plan.nodes.len().saturating_sub(MOST);
    if left > 0 {
        page.raw("<p class=\"more\">").number(left).raw(" more are not drawn.</p>\n");
    }
    if sheet.plan.phases.len() > 1 {
        phases(sheet, &mut page);
    }
    page.raw("<script type=\"application/json\" id=\"graph-data\">").json(&data(sheet)).raw("</script>\n");
    Some(page)
}

fn phases(sheet: &Sheet<'_>, page: &mut Html) {
    page.raw("<table class=\"list\"><caption>Phases</caption>\n<thead><tr><th scope=\"col\">Phase</th><th scope=\"col\">After</th><th scope=\"col\" class=\"n\">Changes</th><th scope=\"col\" class=\"n\">As declared</th></tr></thead>\n<tbody>\n");
    for phase in &sheet.plan.phases {
        let of = || sheet.plan.nodes.iter().filter(|node| node.phase == phase.name && node.moment == Moment::Phase);
        let changed = of().filter(|node| crate::review::change::is_change(node)).count();
        page.raw("<tr><th scope=\"row\">").text(&phase.name).raw("</th><td>");
        page.text(&if phase.after.is_empty() { "nothing".to_owned() } else { phase.after.join(", ") });
        page.raw("</td><td class=\"n\">").number(changed).raw("</td><td class=\"n\">").number(of().count() - changed);
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table>\n");
}

/// `{phases: [{name, after: [place]}], declarations: [[place]], nodes: [[name, phase, declaration, class, sign, word, points, change?]]}`
fn data(sheet: &Sheet<'_>) -> Json {
    let names: Vec<&str> = sheet.plan.phases.iter().map(|phase| &*phase.name).collect();
    let place_of = |name: &str| names.iter().position(|one| *one == name);
    let mut phases: Vec<Json> = sheet
        .plan
        .phases
        .iter()
        .map(|phase| {
            let after: Vec<usize> = phase.after.iter().filter_map(|name| place_of(name)).collect();
            json!({ "name": shown(&phase.name), "after": after })
        })
        .collect();
    phases.push(json!({ "name": "read", "after": [] }));
    phases.push(json!({ "name": "after all phases", "after": [] }));
    let (loose, removals) = (phases.len() - 2, phases.len() - 1);
    let changed: BTreeMap<&Address, usize> =
        sheet.changes.iter().enumerate().map(|(at, change)| (&change.node.address, at)).collect();
    // Changes first: where not everything has room, they have.
    let mut nodes: Vec<&crate::plan::Planned> = sheet.plan.nodes.iter().collect();
    nodes.sort_by_key(|node| !changed.contains_key(&node.address));
    nodes.truncate(MOST);
    let mut declared: BTreeMap<Address, usize> = BTreeMap::new();
    for node in &nodes {
        let next = declared.len();
        declared.entry(declaration(&node.address)).or_insert(next);
    }
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); declared.len()];
    let mut told = Vec::new();
    for node in &nodes {
        let own = declared[&declaration(&node.address)];
        if after[own].is_empty() {
            after[own] =
                node.after.iter().filter_map(|used| declared.get(used).copied()).filter(|at| *at != own).collect();
        }
        let phase = match node.moment {
            Moment::Removal => removals,
            Moment::Phase => place_of(&node.phase).unwrap_or(loose),
        };
        let change = changed.get(&node.address).copied();
        let points = change.and_then(|at| sheet.changes[at].risk.as_ref()).map_or(0, |risk| risk.points);
        let mut one = json!([shown(node.address.as_str()), phase, own, changes::class(node)]);
        if let (Some(one), Some(at)) = (one.as_array_mut(), change) {
            one.extend([json!(changes::sign(node.action)), json!(word(node)), json!(points), json!(at)]);
        }
        told.push(one);
    }
    json!({ "phases": phases, "declarations": after, "nodes": told })
}

fn shown(text: &str) -> String {
    crate::review::plain::cut(&crate::review::plain::visible(text), 400)
}
