//! The page around its sections: what it may do, its verdict, its table of contents.

use super::{Sheet, changes, graph, html::Html, money, policy, provenance, rest};
use crate::{
    base::{Digest, plural},
    plan::{Counts, Judgement, Mode},
    review::{Rank, change::loss, cost::Money},
};
use base64::Engine as _;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// So many changes are told first.
const RISKIEST: usize = 3;

/// A section, and what it is called in the table of contents.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Html,
}

/// The whole of it.
pub(super) fn write(sheet: &Sheet<'_>) -> String {
    let sections: Vec<Section> = [
        ("risks", "What may go wrong", riskiest(sheet)),
        ("changes", "Changes", changes::write(sheet)),
        ("graph", "What waits for what", graph::write(sheet)),
        ("policy", "Policy", Some(policy::findings(sheet))),
        ("controls", "Controls", policy::controls(sheet)),
        ("cost", "Cost", money::cost(sheet)),
        ("capacity", "Capacity", money::capacity(sheet)),
        ("lasting", "What cannot be undone", rest::lasting(sheet)),
        ("drift", "Drift", rest::drift(sheet)),
        ("notes", "Notes", rest::notes(sheet)),
        ("provenance", "Provenance", Some(provenance::write(sheet))),
    ]
    .into_iter()
    .filter_map(|(id, title, body)| body.map(|body| Section { id, title, body }))
    .collect();
    let mut page = Html::default();
    head(sheet, &mut page);
    page.raw("<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n");
    opening(sheet, &mut page);
    page.raw("<nav aria-label=\"Contents\" class=\"contents\"><ul>\n");
    for section in &sections {
        page.raw("<li><a href=\"#").raw(section.id).raw("\">").raw(section.title).raw("</a></li>\n");
    }
    page.raw("</ul></nav>\n<main id=\"main\" tabindex=\"-1\">\n");
    for Section { id, title, body } in &sections {
        page.raw("<section id=\"").raw(id).raw("\" aria-labelledby=\"").raw(id).raw("-title\">\n<h2 id=\"");
        page.raw(id).raw("-title\">").raw(title).raw("</h2>\n").part(body).raw("</section>\n");
    }
    page.raw("</main>\n<footer><p>Made by terrace ").text(&sheet.plan.header.terrace);
    page.raw(". This file holds all of it and asks nobody for anything; no secret is in it.</p></footer>\n");
    page.raw("<script>").raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    page.done()
}

/// How a content policy names a script or a style.
fn source(text: &str) -> String {
    let digest = hex::decode(Digest::of(text.as_bytes()).hex()).unwrap_or_default();
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(digest))
}

fn head(sheet: &Sheet<'_>, page: &mut Html) {
    let header = &sheet.plan.header;
    // An icon that is nothing at all keeps browsers from asking a server for one.
    let allowed = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\"").attribute("content", &allowed).raw(">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<meta name=\"generator\"").attribute("content", &format!("terrace {}", header.terrace)).raw(">\n");
    page.raw("<link rel=\"icon\" href=\"data:,\">\n<title>");
    page.text(&header.plan).raw(" in ").text(&header.env).raw(": ").text(&verdict(sheet).1).raw("</title>\n");
    page.raw("<style>").raw(STYLE).raw("</style>\n</head>\n");
}

/// The class and the words of what becomes of the plan.
fn verdict(sheet: &Sheet<'_>) -> (&'static str, String) {
    let denied = sheet.plan.judgement.as_ref().map_or(0, |judgement| judgement.counts().0);
    if denied > 0 {
        let keeps = if denied == 1 { "keeps" } else { "keep" };
        return ("denied", format!("Denied by policy: {} {keeps} this from being applied", plural(denied, "finding")));
    }
    if sheet.changes.is_empty() && sheet.plan.outputs.is_empty() {
        return ("nothing", "No changes: everything is as declared".to_owned());
    }
    let mut words = plural(sheet.changes.len(), "change");
    if !sheet.plan.outputs.is_empty() {
        words = format!("{words}, {}", plural(sheet.plan.outputs.len(), "output"));
    }
    ("open", words)
}

fn opening(sheet: &Sheet<'_>, page: &mut Html) {
    let header = &sheet.plan.header;
    let (class, verdict) = verdict(sheet);
    page.raw("<header>\n<p class=\"eyebrow\">Terrace report of the project ").text(&header.project).raw("</p>\n<h1>");
    page.text(&header.plan).raw(" <span class=\"in\">in</span> ").text(&header.env);
    if header.protected {
        page.raw(" <span class=\"tag\">protected</span>");
    }
    let mode = match header.mode {
        Mode::Normal => None,
        Mode::Destroy => Some("destroys everything"),
        Mode::RevertDrift => Some("only puts back drift"),
        Mode::Verify => Some("only verifies"),
        Mode::Retire => Some("only retires colours"),
        Mode::Import => Some("only takes over"),
        Mode::RefreshOnly => Some("only takes over what is live"),
    };
    for (said, words) in [
        (mode.is_some(), mode.unwrap_or_default()),
        (header.offline, "offline: the world was not asked"),
        (!header.targets.is_empty() || !header.replace.is_empty(), "of chosen targets"),
    ] {
        if said {
            page.raw(" <span class=\"tag\">").raw(words).raw("</span>");
        }
    }
    page.raw("</h1>\n<p class=\"verdict ").raw(class).raw("\"><strong>").text(&verdict).raw(".</strong> ");
    if !sheet.changes.is_empty() {
        let risky = sheet.changes.iter().filter(|change| change.rank() >= Rank::High).count();
        let lasting = sheet.changes.iter().filter(|change| loss(change.node).is_some()).count();
        page.number(risky).raw(" of high risk or above, ").number(lasting).raw(" that cannot be undone.");
    }
    page.raw("</p>\n");
    tiles(sheet, page);
    let world = &header.world;
    page.raw("<dl class=\"facts\">\n");
    for (word, text) in [
        ("World", &*world.name),
        ("Account", &*world.account),
        ("Region", &*world.region),
        ("Plan", sheet.saved.digest.as_str()),
        ("Terrace", &header.terrace),
    ] {
        page.raw("<div><dt>").raw(word).raw("</dt><dd>").code(text).raw("</dd></div>\n");
    }
    if let Some(made) = sheet.saved.attachment.made {
        page.raw("<div><dt>Made</dt><dd>").text(&made.to_string()).raw("</dd></div>\n");
    }
    page.raw("</dl>\n</header>\n");
}

fn tiles(sheet: &Sheet<'_>, page: &mut Html) {
    let counts = sheet.plan.counts(None);
    let Counts { create, update, replace, destroy, import, forget, moved, deferred, verify, shift, .. } = counts;
    page.raw("<ul class=\"tiles\">\n");
    for (count, class, sign, word) in [
        (create, "create", "+", "create"),
        (update, "update", "~", "update"),
        (replace, "replace", "-/+", "replace"),
        (destroy, "delete", "-", "destroy"),
        (import, "import", "&amp;", "import"),
        (forget, "forget", ".", "forget"),
        (moved, "moved", "→", "moved"),
        (shift, "shift", "&gt;", "shift"),
        (verify, "verify", "=", "verify"),
        (deferred, "defer", "?", "later"),
    ] {
        // The four that everybody looks for are there even if they are none.
        if count > 0 || matches!(class, "create" | "update" | "replace" | "delete") {
            page.raw("<li class=\"").raw(class).raw("\"><span class=\"sign\" aria-hidden=\"true\">").raw(sign);
            page.raw("</span> <b>").number(count).raw("</b> ").raw(word);
            // A thing that is updated may lose a part.
            let parts = match class {
                "replace" => counts.parts_replace,
                "delete" => counts.parts_destroy,
                _ => 0,
            };
            if parts > 0 {
                page.raw(" and ").text(&plural(parts, "part"));
            }
            page.raw("</li>\n");
        }
    }
    if let Some((denied, warned, waived)) = sheet.plan.judgement.as_ref().map(Judgement::counts) {
        page.raw("<li>policy: <b>").number(denied).raw("</b> denied, <b>").number(warned);
        page.raw("</b> warned, <b>").number(waived).raw("</b> waived</li>\n");
    } else {
        page.raw("<li>policy: not asked</li>\n");
    }
    if !sheet.cost.is_empty() {
        page.raw("<li><b>").text(&delta(sheet.cost.delta)).raw("</b> a month</li>\n");
    }
    page.raw("</ul>\n");
}

/// By how much it differs, in words where it does not.
pub(super) fn delta(money: Money) -> String {
    if money.is_none() { "no difference".to_owned() } else { money.signed() }
}

fn riskiest(sheet: &Sheet<'_>) -> Option<Html> {
    let risky = |at: &&usize| sheet.changes[**at].rank() > Rank::Low;
    let first: Vec<usize> = sheet.riskiest.iter().filter(risky).take(RISKIEST).copied().collect();
    if sheet.changes.is_empty() {
        return None;
    }
    let mut page = Html::default();
    if first.is_empty() {
        page.raw("<p>Every change is of low risk.</p>\n");
        return Some(page);
    }
    page.raw("<ol class=\"cards\">\n");
    for at in first {
        let change = &sheet.changes[at];
        let Some(risk) = &change.risk else { continue };
        page.raw("<li>").part(&changes::rank(risk.rank)).raw(" ").part(&changes::link(sheet, at));
        page.raw(" <span class=\"word\">").raw(crate::review::change::word(change.node)).raw("</span>\n<ul>");
        for reason in &risk.reasons {
            page.raw("<li>").text(&reason.what).raw("</li>");
        }
        if let Some(lost) = rest::loss_in_words(change.node) {
            page.raw("<li class=\"lost\">").text(&lost).raw("</li>");
        }
        page.raw("</ul></li>\n");
    }
    page.raw("</ol>\n");
    let more = sheet.changes.iter().filter(|change| change.rank() > Rank::Low).count().saturating_sub(RISKIEST);
    if more > 0 {
        page.raw("<p class=\"more\">").number(more).raw(" more of moderate risk or above are among the changes.</p>\n");
    }
    Some(page)
}
