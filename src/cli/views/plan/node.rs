//! One node: what is done with it, why, what differs in it and in its parts, and what cannot be undone.

use super::{
    Page, field,
    fold::{Folded, fold},
    rollout,
    screen::Screen,
};
use crate::{
    base::{ActionWord, Value, few},
    cli::{
        style::{bold, clean, cyan, dim, of_action, one_line, red, width, yellow},
        views::diagnostics::plural,
    },
    kinds::{Cause, ChildChange, ConditionEffect, FieldChange, Undo},
    plan::{DeferReason, Deferral, Planned},
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// So many parts that are only created, or only deleted, are listed; more are counted by type.
const CHILDREN_LISTED: usize = 40;
/// So many of a big chart, of which more than that changes.
const FEW: usize = 10;
/// So many lines are shown of what a resource is created with.
const ATTRIBUTES: usize = 10;
/// So many names are listed in a row.
const NAMES_LISTED: usize = 12;

/// All about one node. `undone` says whether its phase is undone as a whole where something fails.
pub(super) fn write(node: &Planned, undone: bool, page: &mut Page) {
    if let Some(deferral) = &node.deferral {
        return deferred(node, deferral, undone, page);
    }
    head(node, page);
    for reason in &node.reasons {
        page.prose(&format!("        {} ", dim("because")), reason);
    }
    warnings(node, page);
    field::write(&node.fields, 8, page);
    children(node, page);
    apart(node, page);
    after(node, undone, page);
}

/// What a chart has beside its objects, and where it comes from.
fn apart(node: &Planned, page: &mut Page) {
    if node.address.kind() != "helm" || matches!(node.action, ActionWord::Delete | ActionWord::NoOp) {
        return;
    }
    for (fact, word) in [("mirror", "chart"), ("lookup", "note"), ("crds", "CRDs"), ("hooks", "hooks")] {
        let text = match node.facts.get(fact) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Array(names)) => {
                let names: Vec<&str> = names.iter().filter_map(serde_json::Value::as_str).collect();
                few(&names, NAMES_LISTED)
            }
            _ => continue,
        };
        page.prose(&format!("        {} ", dim(word)), &text);
    }
}

fn head(node: &Planned, page: &mut Page) {
    let mut text = format!(
        "  {} {}",
        of_action(node.action, format!("{:>3}", node.action.sign())),
        bold(clean(node.address.as_str()))
    );
    let word = match (node.action, &node.moved_from) {
        (ActionWord::NoOp, Some(_)) => "moved",
        (action, _) => action.word(),
    };
    let _ = write!(text, "  {}", of_action(node.action, word));
    if let Some(place) = &node.place {
        let account =
            if place.account_id.is_empty() { String::new() } else { format!("account {}, ", place.account_id) };
        let _ = write!(text, "  in {account}{}", place.region);
    }
    if let Some(name) = name_of_a_color(node) {
        let _ = write!(text, "  called {}", clean(name));
    }
    if let Some(from) = &node.moved_from {
        let _ = write!(text, "  (moved from {from})");
    }
    if let Some(id) = &node.import {
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let _ = write!(text, "  (id {})", clean(&id));
    }
    if node.action == ActionWord::Verify && !node.verify.is_empty() {
        let labels: Vec<&str> = node.verify.iter().map(|v| &**v).collect();
        let _ = write!(text, " again: {}", labels.join(", "));
    }
    page.line(&text);
}

/// What a new colour is called in its world: its address alone does not say that.
fn name_of_a_color(node: &Planned) -> Option<&str> {
    node.address.unit().filter(|_| node.action == ActionWord::Create)?;
    let shown = node.fields.iter().any(|field| field.path == "name");
    node.identity["name"].as_str().filter(|_| !shown)
}

fn warnings(node: &Planned, page: &mut Page) {
    if let Some(condition) = &node.condition {
        let word = match condition.effect {
            ConditionEffect::Note => dim("is now"),
            ConditionEffect::MustReplace => yellow("is now"),
            ConditionEffect::Blocks => red("blocked by"),
        };
        let hint = condition.hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default();
        page.prose(&format!("        {word} "), &format!("{}{hint}", condition.word));
    }
    let destroys = matches!(node.action, ActionWord::Replace | ActionWord::Delete);
    if node.stateful && destroys {
        // What a policy keeps is not lost: the thing leaves the stack, and stays.
        let keeps =
            |c: &&ChildChange| c.policy.as_deref().is_some_and(|p| p.contains("Retain") || p.contains("Snapshot"));
        let kept: Vec<&str> = node.children.iter().filter(keeps).map(|c| c.name.as_str()).collect();
        let lost = kept.is_empty() || node.children.iter().any(|c| c.stateful && !keeps(&c));
        if lost {
            page.line(&format!("      {}", red("! holds data, which is lost with it")));
        } else {
            page.line(&format!("      {} {}", yellow("! holds data, which a DeletionPolicy keeps:"), kept.join(", ")));
        }
    }
    match &node.undo {
        // Everybody knows that what is destroyed is gone; the summary counts it.
        Undo::Full => {}
        Undo::None(_) if node.action == ActionWord::Delete => {}
        Undo::None(why) => page.prose(&format!("      {} ", red("! cannot be undone:")), why),
        Undo::Partly(why) => page.prose(&format!("      {} ", yellow("! undone only in part:")), why),
    }
}

fn children(node: &Planned, page: &mut Page) {
    if node.children.is_empty() {
        return;
    }
    let noun = match node.address.kind() {
        "stack" | "terraform" => "resource",
        "eks_upgrade" => "hop",
        _ => "object",
    };
    let plain = |c: &&ChildChange| c.action == ActionWord::Create && !c.maybe_replace;
    let dropped = |c: &&ChildChange| c.action == ActionWord::Delete && !c.stateful && c.policy.is_none();
    page.line(&format!("        {}", dim(format!("{}:", plural(node.children.len(), noun)))));
    let (many_created, many_dropped) =
        (counted(node, ActionWord::Create, &plain, page), counted(node, ActionWord::Delete, &dropped, page));
    let folded = if node.address.kind() == "helm" {
        fold(&node.children)
    } else {
        Folded { rest: node.children.clone(), ..Folded::default() }
    };
    let mut screen = Screen::new(node.address.kind() == "helm");
    for (field, count) in &folded.common {
        let head = format!("        {} {}", of_action(ActionWord::Update, "  ~"), dim(format!("in {count} objects:")));
        screen.lines(page, false, &|page| {
            page.line(&head);
            field::plain(std::slice::from_ref(field), 14, page);
        });
    }
    if folded.nothing_else > 0 {
        let verb = if folded.nothing_else == 1 { "object changes" } else { "objects change" };
        let text = format!("{} {verb} in nothing else", folded.nothing_else);
        page.line(&format!("            {}", dim(text)));
    }
    let listed = |c: &&ChildChange| !(many_created && plain(c) || many_dropped && dropped(c));
    for child in folded.rest.iter().filter(listed) {
        let details = node.address.kind() == "terraform" && child.action == ActionWord::Create;
        screen.part(child, page, &|child, page| {
            one_child(child, page);
            if details {
                attributes(child, page);
            }
        });
    }
    screen.end(page);
}

/// Counts these parts by type where they are too many to be listed, and says whether they are.
fn counted(node: &Planned, action: ActionWord, those: &dyn Fn(&&ChildChange) -> bool, page: &mut Page) -> bool {
    let many = node.address.kind() == "helm" && node.children.len() > CHILDREN_LISTED;
    if node.children.iter().filter(those).count() <= if many { FEW } else { CHILDREN_LISTED } {
        return false;
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    node.children.iter().filter(those).for_each(|c| *kinds.entry(&c.kind).or_default() += 1);
    for (kind, count) in kinds {
        page.line(&format!("        {} {count} x {}", of_action(action, format!("{:>3}", action.sign())), clean(kind)));
    }
    true
}

fn one_child(child: &ChildChange, page: &mut Page) {
    let action = child.action;
    let mut text = format!("        {} {}", of_action(action, format!("{:>3}", action.sign())), one_line(&child.name));
    if !child.kind.is_empty() {
        text.push_str(&dim(format!("  {}", one_line(&child.kind))));
    }
    if child.maybe_replace {
        text.push_str(&yellow("  may be replaced"));
    } else if matches!(action, ActionWord::Replace | ActionWord::Delete | ActionWord::Import) {
        let _ = write!(text, "  {}", of_action(action, action.word()));
    }
    let goes = child.maybe_replace || matches!(action, ActionWord::Replace | ActionWord::Delete);
    let was_there = action == ActionWord::Create && !child.fields.is_empty();
    if was_there && child.fields.iter().all(|f| f.cause == Cause::Drift) {
        text.push_str(&yellow("  deleted behind Terrace's back, and made again"));
    }
    match (goes, child.policy.as_deref()) {
        (true, Some("Retain")) => text.push_str("  (the old one is kept)"),
        (true, Some("Snapshot")) => text.push_str("  (a snapshot of the old one is kept)"),
        (true, _) if child.stateful => text.push_str(&red("  ! holds data")),
        _ => {}
    }
    page.line(&text);
    if matches!(action, ActionWord::Update | ActionWord::Replace | ActionWord::NoOp | ActionWord::Import) {
        field::write(&child.fields, 14, page);
    }
}

/// What a resource is created with, as far as it is known, in a few lines.
fn attributes(child: &ChildChange, page: &mut Page) {
    let (later, known): (Vec<FieldChange>, Vec<FieldChange>) =
        child.fields.iter().cloned().partition(|field| field.after.as_ref().is_some_and(Value::is_unknown));
    let mut own = Page { text: String::new(), width: page.width };
    field::plain(&known, 14, &mut own);
    let lines: Vec<&str> = own.text.lines().collect();
    let shown = if lines.len() > ATTRIBUTES { ATTRIBUTES - 1 } else { lines.len() };
    lines[..shown].iter().for_each(|line| page.line(line));
    let mut rest = Vec::new();
    if shown < lines.len() {
        rest.push(format!("{} more lines", lines.len() - shown));
    }
    if !later.is_empty() {
        rest.push(format!("{} known after apply", plural(later.len(), "attribute")));
    }
    if !rest.is_empty() {
        page.line(&format!("              {}", dim(format!("... and {}", rest.join(", ")))));
    }
}

fn after(node: &Planned, undone: bool, page: &mut Page) {
    if matches!(node.action, ActionWord::Delete | ActionWord::Forget | ActionWord::Verify | ActionWord::NoOp) {
        return;
    }
    if let Some(shift) = &node.rollout {
        return rollout::write(shift, undone, page);
    }
    if !node.verify.is_empty() {
        let labels: Vec<&str> = node.verify.iter().map(|v| &**v).collect();
        page.prose(&format!("        {} ", dim("then verifies")), &labels.join(", "));
    }
}

/// What there is to say of a node beside its fields and parts: when it is planned, what a chart holds, how traffic moves.
pub(super) fn told(node: &Planned, undone: bool, page: &mut Page) {
    if let Some(deferral) = &node.deferral {
        page.prose("        ", &later(deferral));
    }
    apart(node, page);
    if let Some(shift) = &node.rollout {
        rollout::write(shift, undone, page);
    }
}

/// Why something is planned later, and what may come of it.
fn later(deferral: &Deferral) -> String {
    let ceiling: Vec<&str> = deferral.ceiling.iter().map(|a| a.word()).collect();
    let waits: Vec<&str> = deferral.waits_for.iter().map(crate::base::Address::as_str).collect();
    let reason = match &deferral.reason {
        DeferReason::Connection { connection } => format!("its connection {connection} is not known before"),
        DeferReason::Instances => "its instances are not known before".to_owned(),
        DeferReason::Identity => "what identifies it is not known before".to_owned(),
        DeferReason::AbsentPrerequisite { what } => what.clone(),
        DeferReason::DeferredPrerequisite => "what it depends on is itself planned later".to_owned(),
        DeferReason::NotAsked => "the world was not asked".to_owned(),
    };
    let mut words = "planned later".to_owned();
    if !waits.is_empty() {
        let _ = write!(words, ", once {} {} applied", waits.join(" and "), if waits.len() == 1 { "is" } else { "are" });
    }
    let _ = write!(words, ": {reason}");
    if !ceiling.is_empty() {
        let _ = write!(words, "; at most: {}", ceiling.join(", "));
    }
    words
}

fn deferred(node: &Planned, deferral: &Deferral, undone: bool, page: &mut Page) {
    let mark = of_action(ActionWord::Defer, format!("{:>3}", ActionWord::Defer.sign()));
    let lead = format!("  {mark} {}  ", bold(clean(node.address.as_str())));
    let words = later(deferral);
    if width(&lead) + words.chars().count() <= page.width {
        page.line(&format!("{lead}{}", cyan(words)));
    } else {
        page.line(&lead);
        page.prose("        ", &words);
    }
    if let Some(from) = &node.moved_from {
        page.line(&format!("        moved from {from}"));
    }
    after(node, undone, page);
}
