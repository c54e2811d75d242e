//! What cannot be undone, what changed by hand, what is kept warm, and what a person should know besides.

use super::{
    Sheet,
    changes::{self, Table},
    html::Html,
};
use crate::{
    base::ActionWord,
    kinds::Undo,
    plan::{Drift, Planned},
    review::change::{loss, word},
};

/// So many of each are told; more are counted.
const ROWS: usize = 500;
/// So many bytes tell how one thing changed by hand.
const DRIFTED: usize = 4_000;

/// Why something does not come back as it was.
pub(super) fn loss_in_words(node: &Planned) -> Option<String> {
    let loss = loss(node)?;
    let mut why = Vec::new();
    if let [first, more @ ..] = loss.parts.as_slice() {
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        why.push(format!("{first}{more} holds data, which is lost"));
    } else if loss.data {
        why.push("it holds data, which is lost with it".to_owned());
    }
    why.extend(loss.why.map(str::to_owned));
    Some(why.join("; "))
}

/// The section of what cannot be undone, or only in part.
pub(super) fn lasting(sheet: &Sheet<'_>) -> Option<Html> {
    let mut all: Vec<(usize, &str, String)> = Vec::new();
    let mut partly: Vec<(usize, &str, String)> = Vec::new();
    for (at, change) in sheet.changes.iter().enumerate() {
        match (loss_in_words(change.node), &change.node.undo) {
            (Some(why), _) => all.push((at, "", why)),
            (None, Undo::Partly(why)) => partly.push((at, ", only in part", why.clone())),
            _ => {}
        }
    }
    all.append(&mut partly);
    if all.is_empty() {
        return None;
    }
    let mut page = Html::default();
    page.raw("<ul>\n");
    for (at, how, why) in all.iter().take(ROWS) {
        page.raw("<li>").part(&changes::link(sheet, *at)).raw(", ").raw(word(sheet.changes[*at].node));
        page.text(how).raw(": ").text(why).raw("</li>\n");
    }
    page.raw("</ul>\n");
    if all.len() > ROWS {
        page.raw("<p class=\"more\">").number(all.len() - ROWS).raw(" more are marked among the changes.</p>\n");
    }
    Some(page)
}

/// The section of what changed by hand and is left as it is.
pub(super) fn drift(sheet: &Sheet<'_>) -> Option<Html> {
    // What is gone and made again is not left as it is.
    let made_again = |drift: &Drift| {
        let made = |at: usize| sheet.changes[at].node.action == ActionWord::Create;
        drift.gone && sheet.place(&drift.address).is_some_and(made)
    };
    let left: Vec<&Drift> = sheet.plan.drift.iter().filter(|drift| !made_again(drift)).collect();
    if left.is_empty() {
        return None;
    }
    let mut page = Html::default();
    page.raw("<p>Changed by hand. Applying this plan leaves it as it is.</p>\n");
    for drift in left.iter().take(ROWS) {
        page.raw("<details class=\"fold\"><summary>").code(drift.address.as_str());
        page.raw(if drift.gone { " is gone" } else { "" });
        if let Some(why) = &drift.ignored {
            page.raw(" <span class=\"kind\">ignored: ").text(why).raw("</span>");
        }
        page.raw("</summary>\n");
        let mut table = Table::new(DRIFTED);
        table.fields(sheet, &drift.fields);
        for child in &drift.children {
            let mut head = Html::default();
            head.raw("<tr class=\"part\"><th scope=\"row\" colspan=\"3\">").text(&child.name);
            head.raw(" <span class=\"kind\">").text(&child.kind).raw("</span>");
            head.raw(if child.action == ActionWord::Delete { " is gone" } else { "" }).raw("</th></tr>\n");
            table.add(&head);
            table.fields(sheet, &child.fields);
        }
        table.write("What changed in ", drift.address.as_str(), &mut page);
        page.raw("</details>\n");
    }
    if left.len() > ROWS {
        page.raw("<p class=\"more\">")
            .number(left.len() - ROWS)
            .raw(" more: <code>terrace drift</code> tells them.</p>\n");
    }
    Some(page)
}

/// The section of warnings, and of what is kept warm.
pub(super) fn notes(sheet: &Sheet<'_>) -> Option<Html> {
    let kept = sheet.details.kept(sheet.plan);
    if sheet.plan.notes.is_empty() && kept.is_empty() {
        return None;
    }
    let mut page = Html::default();
    page.raw("<ul>\n");
    for note in sheet.plan.notes.iter().take(ROWS) {
        page.raw("<li>").text(&note.summary).raw(" (").code(&note.code).raw(")");
        if !note.detail.is_empty() {
            page.raw("<br><span class=\"kind\">").text(&note.detail).raw("</span>");
        }
        if let Some(hint) = &note.hint {
            page.raw("<br>").text(hint);
        }
        page.raw("</li>\n");
    }
    for kept in &kept {
        page.raw("<li>Kept warm: ").text(kept).raw("</li>\n");
    }
    page.raw("</ul>\n");
    Some(page)
}
