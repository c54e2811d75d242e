//! Every change, by phase, with what differs side by side. What is searched and filtered is in the page as text and attributes.

use super::{Change, Mark, Row, Sheet, html::Html, policy, rest};
use crate::{
    base::{ActionWord, Address, plural},
    kinds::{Cause, ConditionEffect, FieldChange},
    lang::configuration::OnFailure,
    plan::{Moment, Planned, PlannedPhase},
    review::{Rank, change::word},
};
use std::collections::BTreeMap;

/// All differences together take at most so many bytes, and those of a change a share of it.
const ROOM: usize = 1_100_000;
/// What one change may take of it, however few there are.
const SHARE: usize = 96_000;
/// The least that one may take, however many there are.
const LEAST: usize = 300;
/// So many times the average is there for one that is riskier than others.
const RISKIER: usize = 2;
/// So many characters of a value.
const VALUE: usize = 4_000;
/// So many things are named that something waits for.
const NAMED: usize = 12;
/// How deep rows are indented at most.
const DEEPEST: usize = 4;

/// A group of changes that have their turn together.
struct Group<'a> {
    title: &'static str,
    name: &'a str,
    phase: Option<&'a PlannedPhase>,
    changes: Vec<usize>,
}

/// The section.
pub(super) fn write(sheet: &Sheet<'_>) -> Option<Html> {
    if sheet.changes.is_empty() && sheet.plan.outputs.is_empty() {
        return None;
    }
    let groups = groups(sheet);
    let differences = differences(sheet);
    let mut page = Html::default();
    if !sheet.changes.is_empty() {
        controls(sheet, &groups, &mut page);
    }
    for (at, group) in groups.iter().enumerate() {
        page.raw("<section class=\"phase\"").attribute("data-phase", &at.to_string());
        page.raw(" aria-labelledby=\"phase-").number(at).raw("\">\n<h3 id=\"phase-").number(at).raw("\">");
        page.raw(group.title).text(group.name).raw(" <span class=\"count\">").number(group.changes.len());
        page.raw("</span></h3>\n");
        if let Some(phase) = group.phase {
            about(phase, &mut page);
        }
        for change in &group.changes {
            one(sheet, *change, at, &differences[*change], &mut page);
        }
        page.raw("</section>\n");
    }
    outputs(sheet, &mut page);
    Some(page)
}

/// In the order in which they have their turn.
fn groups<'a>(sheet: &Sheet<'a>) -> Vec<Group<'a>> {
    let mut of: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    let mut removals = Vec::new();
    for (at, Change { node, .. }) in sheet.changes.iter().enumerate() {
        if node.moment == Moment::Removal {
            removals.push(at);
        } else {
            let phase = sheet.plan.phases.iter().find(|phase| phase.name == node.phase);
            of.entry(phase.map(|phase| &*phase.name)).or_default().push(at);
        }
    }
    let loose = of.remove(&None).unwrap_or_default();
    let mut groups = vec![Group { title: "Read later", name: "", phase: None, changes: loose }];
    for phase in &sheet.plan.phases {
        let changes = of.remove(&Some(&*phase.name)).unwrap_or_default();
        groups.push(Group { title: "Phase ", name: &phase.name, phase: Some(phase), changes });
    }
    let destroys = sheet.plan.header.mode == crate::plan::Mode::Destroy;
    let title = if destroys { "In this order" } else { "After all phases" };
    groups.push(Group { title, name: "", phase: None, changes: removals });
    groups.retain(|group| !group.changes.is_empty());
    groups
}

fn about(phase: &PlannedPhase, page: &mut Html) {
    let mut facts = Vec::new();
    facts.extend(phase.description.clone());
    if !phase.after.is_empty() {
        facts.push(format!("after {}", phase.after.join(", ")));
    }
    if !phase.gate.is_empty() {
        facts.push(format!("gate: {}", phase.gate.join(", ")));
    }
    if phase.on_failure == OnFailure::Rollback {
        facts.push("undone as a whole where something fails".to_owned());
    }
    if !facts.is_empty() {
        page.raw("<p class=\"about\">").text(&facts.join("; ")).raw("</p>\n");
    }
}

/// What searches and filters; it does nothing without the script, which shows it.
fn controls(sheet: &Sheet<'_>, groups: &[Group<'_>], page: &mut Html) {
    let mut actions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ranks: BTreeMap<Rank, usize> = BTreeMap::new();
    for change in &sheet.changes {
        *actions.entry(word(change.node)).or_default() += 1;
        *ranks.entry(change.rank()).or_default() += 1;
    }
    page.raw("<form class=\"controls\" role=\"search\" aria-label=\"Changes\" hidden>\n");
    page.raw("<label class=\"wide\">Search <input type=\"search\" id=\"search\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"address, part, value\"><kbd aria-hidden=\"true\">/</kbd></label>\n");
    page.raw("<label>Action <select id=\"by-action\"><option value=\"\">all</option>");
    for (action, count) in &actions {
        page.raw("<option").attribute("value", action).raw(">").text(&format!("{action} ({count})")).raw("</option>");
    }
    page.raw("</select></label>\n<label>Phase <select id=\"by-phase\"><option value=\"\">all</option>");
    for (at, group) in groups.iter().enumerate() {
        page.raw("<option").attribute("value", &at.to_string()).raw(">");
        page.text(if group.name.is_empty() { group.title } else { group.name });
        page.raw(" (").number(group.changes.len()).raw(")</option>");
    }
    page.raw("</select></label>\n<label>Risk <select id=\"by-rank\"><option value=\"\">all</option>");
    for (rank, count) in ranks.iter().rev() {
        page.raw("<option").attribute("value", rank.word()).raw(">").raw(rank.word());
        page.raw(" (").number(*count).raw(")</option>");
    }
    page.raw("</select></label>\n<label class=\"check\"><input type=\"checkbox\" id=\"by-findings\"> with findings</label>\n");
    page.raw("<span class=\"buttons\"><button type=\"button\" id=\"open-all\">Open all</button> <button type=\"button\" id=\"close-all\">Close all</button> <button type=\"reset\">Clear</button></span>\n");
    page.raw("<p role=\"status\" id=\"matches\"></p>\n</form>\n");
}

/// A class for each action, the same in the list and in the picture.
pub(super) const fn class(node: &Planned) -> &'static str {
    match node.action {
        ActionWord::NoOp if node.moved_from.is_some() => "moved",
        ActionWord::NoOp => "noop",
        ActionWord::Create => "create",
        ActionWord::Update => "update",
        ActionWord::Replace => "replace",
        ActionWord::Delete => "delete",
        ActionWord::Read => "read",
        ActionWord::Import => "import",
        ActionWord::Forget => "forget",
        ActionWord::Defer => "defer",
        ActionWord::Verify => "verify",
        ActionWord::Shift => "shift",
    }
}

/// The sign of an action, as plans on a terminal have it.
pub(super) const fn sign(action: ActionWord) -> &'static str {
    match action {
        // What only moves to another address.
        ActionWord::NoOp => "→",
        _ => action.sign(),
    }
}

/// A rank, as a chip.
pub(super) fn rank(rank: Rank) -> Html {
    let mut page = Html::default();
    page.raw("<span class=\"rank ").raw(rank.word()).raw("\">").raw(rank.word()).raw("</span>");
    page
}

/// A link to a change.
pub(super) fn link(sheet: &Sheet<'_>, at: usize) -> Html {
    let mut page = Html::default();
    page.raw("<a href=\"#c").number(at).raw("\">").code(sheet.changes[at].node.address.as_str()).raw("</a>");
    page
}

fn one(sheet: &Sheet<'_>, at: usize, phase: usize, difference: &Html, page: &mut Html) {
    let change = &sheet.changes[at];
    let node = change.node;
    page.raw("<details class=\"change ").raw(class(node)).raw("\" id=\"c").number(at).raw("\"");
    page.attribute("data-action", word(node)).raw(" data-phase=\"").number(phase).raw("\"");
    page.attribute("data-rank", change.rank().word());
    if !change.findings.is_empty() {
        page.raw(" data-findings");
    }
    page.raw(">\n<summary><span class=\"sign\" aria-hidden=\"true\">").text(sign(node.action)).raw("</span> ");
    page.code(node.address.as_str()).raw(" <span class=\"word\">").raw(word(node)).raw("</span>");
    if let Some(risk) = &change.risk {
        page.raw(" ").part(&rank(risk.rank));
    }
    let denied = change.findings.iter().filter(|finding| finding.denies()).count();
    if denied > 0 {
        page.raw(" <span class=\"flag bad\">").number(denied).raw(" denied</span>");
    } else if !change.findings.is_empty() {
        page.raw(" <span class=\"flag\">").text(&plural(change.findings.len(), "finding")).raw("</span>");
    }
    if crate::review::change::loss(node).is_some() {
        page.raw(" <span class=\"flag bad\">no way back</span>");
    }
    page.raw("</summary>\n<div class=\"body\">\n");
    facts(sheet, change, page);
    page.part(difference).raw("</div>\n</details>\n");
}

/// A line of the list of facts.
fn fact(word: &'static str, text: &str, page: &mut Html) {
    page.raw("<dt>").raw(word).raw("</dt><dd>").text(text).raw("</dd>\n");
}

fn facts(sheet: &Sheet<'_>, change: &Change<'_>, page: &mut Html) {
    let node = change.node;
    let mut list = Html::default();
    if let Some(risk) = change.risk.as_ref().filter(|risk| risk.points > 0) {
        let why: Vec<String> =
            risk.reasons.iter().map(|reason| format!("{} ({})", reason.what, reason.points)).collect();
        fact("Risk", &format!("{}, {}: {}", risk.rank, plural_points(risk.points), why.join("; ")), &mut list);
    }
    for reason in &node.reasons {
        fact("Because", reason, &mut list);
    }
    if let Some(condition) = &node.condition {
        let word = if condition.effect == ConditionEffect::Blocks { "Blocked by" } else { "Is now" };
        let hint = condition.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        fact(word, &format!("{}{hint}", condition.word), &mut list);
    }
    match (rest::loss_in_words(node), &node.undo) {
        (Some(why), _) => fact("No way back", &why, &mut list),
        (None, crate::kinds::Undo::Partly(why)) => fact("Undone in part", why, &mut list),
        _ => {}
    }
    if let Some(from) = &node.moved_from {
        fact("Moved from", from.as_str(), &mut list);
    }
    if let Some(id) = &node.import {
        fact("Taken over", &id.as_str().map_or_else(|| id.to_string(), str::to_owned), &mut list);
    }
    if let Some(place) = &node.place {
        let account =
            if place.account_id.is_empty() { String::new() } else { format!("account {}, ", place.account_id) };
        fact("Lives in", &format!("{account}{}", place.region), &mut list);
    }
    if !node.verify.is_empty() {
        fact("Verified by", &node.verify.join(", "), &mut list);
    }
    if !node.controls.is_empty() {
        fact("Controls", &node.controls.join(", "), &mut list);
    }
    waits("Waits for", sheet, &node.after, &mut list);
    let users = sheet.users.get(&change.declaration).map(Vec::as_slice).unwrap_or_default();
    waits("Waited for by", sheet, users, &mut list);
    for finding in change.findings.iter().take(NAMED) {
        list.raw("<dt>").raw(policy::standing(finding)).raw("</dt><dd>").text(&finding.what);
        list.raw(" (").code(&finding.rule).raw(")</dd>\n");
    }
    if change.findings.len() > NAMED {
        fact("And", &format!("{} more findings", change.findings.len() - NAMED), &mut list);
    }
    if list.len() > 0 {
        page.raw("<dl>\n").part(&list).raw("</dl>\n");
    }
    let told = sheet.told(node);
    if !told.is_empty() {
        page.raw("<pre class=\"told\" tabindex=\"0\">").lines(&told.join("\n")).raw("</pre>\n");
    }
}

fn plural_points(points: u32) -> String {
    plural(usize::try_from(points).unwrap_or(usize::MAX), "point")
}

/// Declarations, each with a link to what changes of it.
fn waits(word: &'static str, sheet: &Sheet<'_>, others: &[Address], page: &mut Html) {
    if others.is_empty() {
        return;
    }
    page.raw("<dt>").raw(word).raw("</dt><dd>");
    for (at, other) in others.iter().take(NAMED).enumerate() {
        if at > 0 {
            page.raw(", ");
        }
        match sheet.declared.get(other).map(Vec::as_slice) {
            Some([first, more @ ..]) => {
                page.part(&link(sheet, *first));
                if !more.is_empty() {
                    page.raw(" and ").number(more.len()).raw(" more of it");
                }
            }
            _ => {
                page.code(other.as_str());
            }
        }
    }
    if others.len() > NAMED {
        page.raw(" and ").number(others.len() - NAMED).raw(" more");
    }
    page.raw("</dd>\n");
}

/// The differences of all changes, each within its share of the room: the riskier, the larger.
fn differences(sheet: &Sheet<'_>) -> Vec<Html> {
    let mut all: Vec<Html> = sheet.changes.iter().map(|_| Html::default()).collect();
    let mut left = ROOM;
    for (done, at) in sheet.riskiest.iter().enumerate() {
        // So much is kept for each of those that come after it.
        let rest = (sheet.changes.len() - done).max(1);
        let over = left.saturating_sub(rest * LEAST);
        let room = LEAST + over / rest * RISKIER;
        all[*at] = difference(sheet, sheet.changes[*at].node, room.min(SHARE));
        left = left.saturating_sub(all[*at].len());
    }
    all
}

/// A table of differences that grows as long as there is room.
pub(super) struct Table {
    page: Html,
    room: usize,
    /// What had no room.
    missing: usize,
}

impl Table {
    /// An empty one.
    pub(super) fn new(room: usize) -> Self {
        Self { page: Html::default(), room, missing: 0 }
    }

    /// Adds a part where it has room. Once one has none, none has: what is shown is the beginning.
    pub(super) fn add(&mut self, part: &Html) {
        if self.missing == 0 && self.page.len() + part.len() <= self.room {
            self.page.part(part);
        } else {
            self.missing += 1;
        }
    }

    /// Adds fields.
    pub(super) fn fields(&mut self, sheet: &Sheet<'_>, fields: &[FieldChange]) {
        for field in fields {
            if self.missing > 0 {
                // Not worth the work: nothing more of it is shown.
                self.missing += 1;
            } else {
                self.add(&field_rows(sheet, field));
            }
        }
    }

    /// Writes it, and how much is not in it.
    pub(super) fn write(&self, what: &'static str, of: &str, page: &mut Html) {
        if self.page.len() > 0 {
            open_table(what, of, page);
            page.part(&self.page).raw("</tbody></table>\n");
        }
        if self.missing > 0 {
            page.raw("<p class=\"more\">").text(&plural(self.missing, "more difference"));
            page.raw(": <code>terrace show</code> of the saved plan has them.</p>\n");
        }
    }
}

fn difference(sheet: &Sheet<'_>, node: &Planned, room: usize) -> Html {
    let mut table = Table::new(room);
    table.fields(sheet, &node.fields);
    for child in &node.children {
        let mut head = Html::default();
        head.raw("<tr class=\"part ")
            .raw(child_class(child.action))
            .raw("\"><th scope=\"row\" colspan=\"3\"><span class=\"sign\" aria-hidden=\"true\">");
        head.text(sign(child.action)).raw("</span> ").text(&child.name);
        head.raw(" <span class=\"kind\">")
            .text(&child.kind)
            .raw("</span> <span class=\"word\">")
            .raw(child.action.word());
        head.raw("</span>");
        for (said, words) in [
            (child.maybe_replace, "may be replaced"),
            (child.stateful && matches!(child.action, ActionWord::Replace | ActionWord::Delete), "holds data"),
        ] {
            if said {
                head.raw(" <span class=\"flag bad\">").raw(words).raw("</span>");
            }
        }
        let policy = child.policy.as_deref().unwrap_or_default();
        for (said, words) in [
            (policy.contains("Retain"), "the old one is kept"),
            (policy.contains("Snapshot"), "a snapshot of the old one is kept"),
        ] {
            if said {
                head.raw(" <span class=\"flag\">").raw(words).raw("</span>");
            }
        }
        head.raw("</th></tr>\n");
        table.add(&head);
        table.fields(sheet, &child.fields);
    }
    let mut page = Html::default();
    table.write("What differs in ", node.address.as_str(), &mut page);
    page
}

fn child_class(action: ActionWord) -> &'static str {
    match action {
        ActionWord::Create | ActionWord::Import => "create",
        ActionWord::Update => "update",
        ActionWord::Replace => "replace",
        ActionWord::Delete | ActionWord::Forget => "delete",
        _ => "noop",
    }
}

/// The begin of a table of differences, as far as its body.
fn open_table(what: &'static str, of: &str, page: &mut Html) {
    page.raw("<table class=\"diff\"><caption>").raw(what).text(of).raw("</caption>\n");
    page.raw("<thead><tr><th scope=\"col\">Field</th><th scope=\"col\">Before</th><th scope=\"col\">After</th></tr></thead>\n<tbody>\n");
}

/// The rows of a field, with why it differs.
fn field_rows(sheet: &Sheet<'_>, field: &FieldChange) -> Html {
    let mut rows = sheet.rows(&field.path, field.before.as_ref(), field.after.as_ref());
    if rows.is_empty() {
        // The same to look at, yet the platform says that it changes.
        let value = field.after.as_ref().or(field.before.as_ref()).map(|value| sheet.value(value));
        let (path, after) = (field.path.clone(), Some(value.unwrap_or_else(|| "changes".to_owned())));
        rows.push(Row { mark: Mark::Changed, depth: 0, path, before: None, after });
    }
    let mut why = Vec::new();
    match field.cause {
        Cause::Declared => {}
        Cause::Drift => why.push("changed by hand, and put back".to_owned()),
        Cause::DriftLeft => why.push("changed by hand, and left".to_owned()),
    }
    if field.forces_replacement {
        why.push("forces replacement".to_owned());
    }
    if let Some(because) = &field.because {
        let word = if field.cause == Cause::Drift { "set by" } else { "because of" };
        why.push(format!("{word} {because}"));
    }
    let mut page = Html::default();
    self::rows(&rows, &why.join("; "), &mut page);
    page
}

/// Rows of a table; `why` stands beside the first.
fn rows(rows: &[Row], why: &str, page: &mut Html) {
    let mut at = 0;
    while let Some(row) = rows.get(at) {
        let why = if at == 0 { why } else { "" };
        if !row.path.is_empty() || row.mark == Mark::Heading {
            named(row, why, page);
            at += 1;
            continue;
        }
        // Lines of a text: what went stands beside what came in its place.
        let run = |from: usize, mark: Mark| {
            rows[from..].iter().take_while(|row| row.path.is_empty() && row.mark == mark).count()
        };
        let went = run(at, Mark::Removed);
        let came = run(at + went, Mark::Added);
        if went + came == 0 {
            line(row.mark, Some(row), Some(row), page);
            at += 1;
            continue;
        }
        for n in 0..went.max(came) {
            let old = (n < went).then(|| &rows[at + n]);
            let new = (n < came).then(|| &rows[at + went + n]);
            line(Mark::Changed, old, new, page);
        }
        at += went + came;
    }
}

fn line(mark: Mark, old: Option<&Row>, new: Option<&Row>, page: &mut Html) {
    let said =
        |row: Option<&Row>| row.and_then(|row| row.before.as_deref().or(row.after.as_deref()).map(str::to_owned));
    page.raw("<tr class=\"line\"><td></td>");
    let same = mark == Mark::Same;
    cell(if same { "" } else { "old" }, said(old).as_deref(), page);
    cell(if same { "" } else { "new" }, said(new).as_deref(), page);
    page.raw("</tr>\n");
}

fn named(row: &Row, why: &str, page: &mut Html) {
    let depth = ["", " d1", " d2", " d3", " d4"][row.depth.min(DEEPEST)];
    page.raw("<tr class=\"").raw(match row.mark {
        Mark::Heading => "heading",
        Mark::Same => "same",
        Mark::Added => "added",
        Mark::Removed => "removed",
        Mark::Changed => "changed",
    });
    page.raw(depth).raw("\"><th scope=\"row\"");
    if row.mark == Mark::Heading {
        page.raw(" colspan=\"3\"");
    }
    page.raw(">").text(if row.path.is_empty() { "the whole" } else { &row.path });
    if !why.is_empty() {
        page.raw(" <span class=\"why\">").text(why).raw("</span>");
    }
    page.raw("</th>");
    if row.mark != Mark::Heading {
        cell("old", row.before.as_deref(), page);
        cell("new", row.after.as_deref(), page);
    }
    page.raw("</tr>\n");
}

fn cell(class: &'static str, text: Option<&str>, page: &mut Html) {
    let Some(text) = text else {
        page.raw("<td></td>");
        return;
    };
    page.raw("<td");
    if !class.is_empty() {
        page.raw(" class=\"").raw(class).raw("\"");
    }
    page.raw(">").lines(&crate::review::plain::cut(text, VALUE)).raw("</td>");
}

fn outputs(sheet: &Sheet<'_>, page: &mut Html) {
    if sheet.plan.outputs.is_empty() {
        return;
    }
    page.raw("<h3>Outputs <span class=\"count\">").number(sheet.plan.outputs.len()).raw("</span></h3>\n");
    open_table("Outputs that change", "", page);
    for (name, change) in &sheet.plan.outputs {
        rows(&sheet.rows(name, change.before.as_ref(), change.after.as_ref()), "", page);
    }
    page.raw("</tbody></table>\n");
}
