//! What a plan costs in a month, and whether its nodes hold it.

use super::{Sheet, html::Html, page::delta};
use crate::{
    plan::Mode,
    review::{
        capacity::{Room, gib, vcpu},
        cost::{PartCost, Unpriced},
    },
};

/// So many rows are shown of a table; more are counted.
const ROWS: usize = 200;

/// The section of costs.
pub(super) fn cost(sheet: &Sheet<'_>) -> Option<Html> {
    let cost = &sheet.cost;
    if cost.is_empty() {
        return None;
    }
    let mut page = Html::default();
    page.raw("<p>Of a month of ").text(&cost.hours.to_string()).raw(" hours, in US dollars, by prices of ");
    page.text(&cost.region).raw(".</p>\n");
    let (moving, still): (Vec<&PartCost>, Vec<&PartCost>) = cost.parts.iter().partition(|part| !part.delta.is_none());
    page.raw("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Costs\"><table class=\"list\"><caption>What it costs in a month</caption>\n");
    page.raw("<thead><tr><th scope=\"col\">Part</th><th scope=\"col\">Paid for</th><th scope=\"col\" class=\"n\">Before</th><th scope=\"col\" class=\"n\">After</th><th scope=\"col\" class=\"n\">Difference</th></tr></thead>\n<tbody>\n");
    for part in moving.iter().take(ROWS) {
        row(part, &mut page);
    }
    page.raw("</tbody>\n<tfoot><tr><th scope=\"row\" colspan=\"2\">All that has a price</th>");
    for amount in [cost.before.to_string(), cost.after.to_string(), delta(cost.delta)] {
        page.raw("<td class=\"n\">").text(&amount).raw("</td>");
    }
    page.raw("</tr></tfoot></table></div>\n");
    if moving.len() > ROWS {
        page.raw("<p class=\"more\">")
            .number(moving.len() - ROWS)
            .raw(" more parts cost more or less than before.</p>\n");
    }
    if !still.is_empty() {
        page.raw("<details class=\"fold\"><summary>").number(still.len()).raw(" parts cost what they did</summary>\n");
        page.raw("<table class=\"list\"><caption>Parts that cost what they did</caption>\n<thead><tr><th scope=\"col\">Part</th><th scope=\"col\">Paid for</th><th scope=\"col\" class=\"n\">A month</th></tr></thead>\n<tbody>\n");
        for part in still.iter().take(ROWS) {
            name(part, &mut page);
            page.raw("<td class=\"n\">").text(&part.after.to_string()).raw("</td></tr>\n");
        }
        page.raw("</tbody></table>\n</details>\n");
    }
    unpriced("things without a price", &cost.unpriced, &mut page);
    unpriced("things paid by use, of which nothing is assumed", &cost.per_use, &mut page);
    if !cost.sources.is_empty() {
        page.raw("<details class=\"fold\"><summary>Where the prices are from</summary>\n<ul>");
        for source in cost.sources.values() {
            page.raw("<li>").text(&source.page).raw(", read ").text(&source.read);
            if let Some(by) = &source.by {
                page.raw(", by way of ").text(by);
            }
            page.raw("</li>");
        }
        page.raw("</ul>\n</details>\n");
    }
    Some(page)
}

fn name(part: &PartCost, page: &mut Html) {
    page.raw("<tr><th scope=\"row\">").code(part.address.as_str());
    if !part.part.is_empty() {
        page.raw(" ").code(&part.part);
    }
    page.raw(" <span class=\"kind\">").text(&part.kind).raw("</span></th><td>");
    let lines: Vec<&str> = part.lines.iter().map(|line| line.what.as_str()).collect();
    page.text(&lines.join(" + ")).raw("</td>");
}

fn row(part: &PartCost, page: &mut Html) {
    name(part, page);
    for amount in [part.before.to_string(), part.after.to_string(), delta(part.delta)] {
        page.raw("<td class=\"n\">").text(&amount).raw("</td>");
    }
    page.raw("</tr>\n");
}

fn unpriced(what: &'static str, all: &[Unpriced], page: &mut Html) {
    if all.is_empty() {
        return;
    }
    page.raw("<details class=\"fold\"><summary>").number(all.len()).raw(" ").raw(what).raw("</summary>\n<ul>");
    for one in all.iter().take(ROWS) {
        page.raw("<li>").code(one.address.as_str());
        if !one.part.is_empty() {
            page.raw(" ").code(&one.part);
        }
        page.raw(": ").text(&one.why).raw("</li>");
    }
    if all.len() > ROWS {
        page.raw("<li>and ").number(all.len() - ROWS).raw(" more</li>");
    }
    page.raw("</ul>\n</details>\n");
}

/// The section of what it needs.
pub(super) fn capacity(sheet: &Sheet<'_>) -> Option<Html> {
    // What a plan does not name is not in its sums.
    let whole = sheet.plan.header.mode == Mode::Normal && sheet.plan.header.targets.is_empty();
    let found = sheet.capacity.as_ref().filter(|found| whole && found.has_nodes())?;
    let mut page = Html::default();
    let groups: Vec<String> =
        found.groups.iter().map(|group| format!("{} × {}", group.nodes, group.instance)).collect();
    let because = found.because.join("; ");
    let (class, verdict) = match found.fits {
        Some(true) if found.unknown.is_empty() => ("", "It fits.".to_owned()),
        Some(true) => ("", "What is known of it fits.".to_owned()),
        Some(false) => ("lost", format!("It does not fit: {because}.")),
        None => ("", format!("Whether it fits cannot be told: {because}.")),
    };
    page.raw("<p class=\"").raw(class).raw("\"><strong>").text(&verdict).raw("</strong></p>\n");
    page.raw("<table class=\"list\"><caption>What pods ask for, and what nodes give</caption>\n<thead><tr><th scope=\"col\">Room</th><th scope=\"col\" class=\"n\">vCPU</th><th scope=\"col\" class=\"n\">GiB</th><th scope=\"col\" class=\"n\">Pods</th></tr></thead>\n<tbody>\n");
    let given = format!("given by {}", if groups.is_empty() { "nodes".to_owned() } else { groups.join(" + ") });
    for (what, room) in [
        ("asked for", found.asked),
        (&format!("with {} % to spare", found.buffer), found.with_buffer),
        (&given, found.given),
    ] {
        page.raw("<tr><th scope=\"row\">").text(what).raw("</th>");
        self::room(room, &mut page);
        page.raw("</tr>\n");
    }
    page.raw("</tbody></table>\n");
    if let Some(cheapest) = &found.cheapest {
        let words = format!("{} × {}, {} a month", cheapest.nodes, cheapest.instance, cheapest.monthly);
        page.raw("<p>The cheapest that would hold it: ").text(&words).raw(".</p>\n");
    }
    page.raw("<details class=\"fold\"><summary>").number(found.workloads.len()).raw(" workloads</summary>\n");
    page.raw("<table class=\"list\"><caption>What each pod asks for</caption>\n<thead><tr><th scope=\"col\">Workload</th><th scope=\"col\" class=\"n\">vCPU</th><th scope=\"col\" class=\"n\">GiB</th><th scope=\"col\" class=\"n\">Pods</th></tr></thead>\n<tbody>\n");
    for workload in found.workloads.iter().take(ROWS) {
        page.raw("<tr><th scope=\"row\">").code(workload.address.as_str()).raw(" ").text(&workload.part).raw("</th>");
        page.raw("<td class=\"n\">").text(&vcpu(workload.each.cpu)).raw("</td><td class=\"n\">");
        page.text(&gib(workload.each.memory)).raw("</td><td class=\"n\">");
        page.text(&workload.replicas.map_or_else(|| "one a node".to_owned(), |pods| pods.to_string()));
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table>\n</details>\n");
    if !found.unknown.is_empty() {
        page.raw("<details class=\"fold\"><summary>Not known of ").number(found.unknown.len()).raw("</summary>\n<ul>");
        for one in found.unknown.iter().take(ROWS) {
            page.raw("<li>").code(one.address.as_str()).raw(" ").text(&one.part).raw(": ").text(&one.why).raw("</li>");
        }
        page.raw("</ul>\n</details>\n");
    }
    Some(page)
}

fn room(room: Room, page: &mut Html) {
    for amount in [vcpu(room.cpu), gib(room.memory), room.pods.to_string()] {
        page.raw("<td class=\"n\">").text(&amount).raw("</td>");
    }
}
