//! The parts of a comment, in the order in which they matter.

use super::{
    Details, Line, Mark, Sheet, Wanted, marker,
    page::{List, Page},
    text::{code, code_in_table, cut, fence, html_code, line, prose, shell},
};
use crate::{
    base::{few, plural},
    kinds::Undo,
    plan::{Counts, Finding, Mode, Planned, Severity, WaiverStanding},
    review::{
        Rank, Risk,
        change::{is_change, loss, word},
        cost::Money,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// So many changes are told first, with all that differs.
const RISKIEST: usize = 5;
/// So many lines are shown of one change.
const LINES: usize = 60;
/// So many characters of a line.
const WIDTH: usize = 240;
/// So many parts are named that move costs.
const MOVERS: usize = 3;
/// So many things are named that a rule warns of.
const WARNED: usize = 3;

/// What is said of what had no room.
fn more(count: usize, what: &str, wanted: &Wanted) -> String {
    let report = match &wanted.link {
        Some(link) => format!("[the full report](<{}>) has them", link.0),
        None => "the full report has them (`terrace show` of the saved plan)".to_owned(),
    };
    format!("\nand {count} more {what}: {report}\n\n")
}

fn changes<'a>(sheet: &'a Sheet<'_>) -> impl Iterator<Item = &'a Planned> {
    sheet.plan.nodes.iter().filter(|node| is_change(node))
}

/// The marker, the verdict, and a row for each environment.
pub(super) fn opening(sheets: &[Sheet<'_>], wanted: &Wanted, page: &mut Page) {
    let Some(first) = sheets.first() else { return };
    let header = &first.plan.header;
    let (project, plan) = (cut(&header.project, 60), cut(&header.plan, 60));
    page.add(&format!("{}\n## Terrace: {} of {}\n\n", marker(first.plan), code(&plan), code(&project)));
    let unplanned = wanted.unplanned(&sheets.iter().map(|sheet| sheet.plan).collect::<Vec<_>>());
    page.add(&format!("{}{}\n\n", without(&unplanned), verdict(sheets)));
    let head = "| environment | create | update | replace | destroy | other | later | policy | a month |\n\
                |---|--:|--:|--:|--:|--:|--:|---|--:|\n";
    page.list(&List {
        head,
        foot: "\n",
        count: unplanned.len() + sheets.len(),
        share: wanted.limit / 4,
        // What is missing has room before what is there.
        each: &|at, _| match unplanned.get(at) {
            Some(env) => Some(format!("| {} | **no plan** | | | | | | | |\n", code_in_table(&cut(env, 60)))),
            None => sheets.get(at - unplanned.len()).map(row),
        },
        more: &|count| more(count, "environments", wanted),
    });
}

/// What is said of environments that have no plan, before anything else.
fn without(unplanned: &[&str]) -> String {
    if unplanned.is_empty() {
        return String::new();
    }
    let envs: Vec<String> = unplanned.iter().map(|env| code(&cut(env, 60))).collect();
    format!("**No plan of {}.** What changes there is not known. ", few(&envs, 10))
}

fn verdict(sheets: &[Sheet<'_>]) -> String {
    let denied: usize = sheets.iter().map(|sheet| sheet.plan.judgement.as_ref().map_or(0, |j| j.counts().0)).sum();
    let all: usize = sheets.iter().map(|sheet| changes(sheet).count()).sum();
    let outputs: usize = sheets.iter().map(|sheet| sheet.plan.outputs.len()).sum();
    let mut out = String::new();
    if denied > 0 {
        let keeps = if denied == 1 { "keeps" } else { "keep" };
        let _ = write!(out, "**Denied by policy.** {} {keeps} this from being applied. ", plural(denied, "finding"));
    }
    if all == 0 && outputs == 0 {
        out.push_str("**No changes.** Everything is as declared.");
        return out;
    }
    let risky = sheets.iter().flat_map(|sheet| &sheet.risks).filter(|risk| risk.rank >= Rank::High).count();
    let lasting: usize = sheets.iter().map(|sheet| changes(sheet).filter(|node| gone(node).is_some()).count()).sum();
    let _ = write!(out, "**{} in {}**", plural(all, "change"), plural(sheets.len(), "environment"));
    if outputs > 0 {
        let _ = write!(out, ", {}", plural(outputs, "output"));
    }
    let _ = write!(out, "; {risky} of high risk or above; {lasting} that cannot be undone.");
    out
}

fn row(sheet: &Sheet<'_>) -> String {
    let header = &sheet.plan.header;
    let world = &header.world;
    let place = format!("{}, {}, {}", cut(&world.name, 30), cut(&world.account, 30), cut(&world.region, 30));
    let mut env = format!("{} ({})", code_in_table(&cut(&header.env, 60)), code_in_table(&place));
    let mode = match header.mode {
        Mode::Normal => "",
        Mode::Destroy => ", **destroys everything**",
        Mode::RevertDrift => ", only puts back drift",
        Mode::Verify => ", only verifies",
        Mode::Retire => ", only retires colours",
        Mode::Import => ", only takes over",
        Mode::RefreshOnly => ", only takes over what is live",
    };
    env.push_str(mode);
    for (is_so, word) in [
        (header.protected, ", protected"),
        (header.offline, ", offline"),
        (!header.targets.is_empty() || !header.replace.is_empty(), ", of chosen targets"),
    ] {
        env.push_str(if is_so { word } else { "" });
    }
    let counts = sheet.plan.counts(None);
    let Counts { create, update, import, forget, moved, deferred, verify, shift, .. } = counts;
    // A thing that is updated may lose a part.
    let with = |count: usize, parts: usize| {
        if parts > 0 { format!("{count} (+ {})", plural(parts, "part")) } else { count.to_string() }
    };
    let (replace, destroy) = (with(counts.replace, counts.parts_replace), with(counts.destroy, counts.parts_destroy));
    let other = import + forget + moved + verify + shift;
    let policy = match &sheet.plan.judgement {
        None => "not asked".to_owned(),
        Some(judgement) => {
            let (denied, warned, waived) = judgement.counts();
            let denied = if denied > 0 { format!("**{denied} denied**") } else { "0 denied".to_owned() };
            format!("{denied}, {}, {waived} waived", plural(warned, "warning"))
        }
    };
    let cost = if sheet.cost.is_empty() { String::new() } else { delta(sheet.cost.delta) };
    format!("| {env} | {create} | {update} | {replace} | {destroy} | {other} | {deferred} | {policy} | {cost} |\n")
}

fn delta(money: Money) -> String {
    if money.is_none() { "no difference".to_owned() } else { money.signed().replace('$', "\\$") }
}

/// The changes that may go wrong most, with what differs; which ones they were.
pub(super) fn risks(
    sheets: &[Sheet<'_>],
    details: &dyn Details,
    wanted: &Wanted,
    page: &mut Page,
) -> BTreeSet<(usize, usize)> {
    let mut all: Vec<(usize, &Risk)> =
        sheets.iter().enumerate().flat_map(|(at, sheet)| sheet.risks.iter().map(move |risk| (at, risk))).collect();
    all.retain(|(_, risk)| risk.rank > Rank::Low);
    all.sort_by_key(|(_, risk)| std::cmp::Reverse(risk.points));
    let top: Vec<(usize, usize, &Risk)> = all
        .into_iter()
        .take(RISKIEST)
        .filter_map(|(at, risk)| {
            let place = sheets[at].plan.nodes.iter().position(|node| node.address == risk.address)?;
            Some((at, place, risk))
        })
        .collect();
    let told = std::cell::RefCell::new(BTreeSet::new());
    let share = page.left() / 2;
    page.list(&List {
        head: "### What may go wrong\n\n",
        foot: "",
        count: top.len(),
        share,
        each: &|n, room| {
            let (at, place, risk) = top.get(n)?;
            let sheet = &sheets[*at];
            let why: Vec<&str> = risk.reasons.iter().map(|reason| reason.what.as_str()).collect();
            let lead = format!(
                "**{}** {} in {}: {}; {}\n\n",
                risk.rank.word(),
                code(risk.address.as_str()),
                code(&sheet.plan.header.env),
                risk.action.word(),
                prose(&why.join("; ")),
            );
            // Each gets its part of the room, so that a long one leaves some to the others.
            let room = room / (top.len() - n);
            let node = &sheet.plan.nodes[*place];
            let lines = diff(&sheet.readable(details.change(sheet.plan, node)), room.checked_sub(lead.len() + 2)?)?;
            told.borrow_mut().insert((*at, *place));
            Some(format!("{lead}{lines}\n"))
        },
        more: &|count| more(count, "changes that may go wrong most", wanted),
    });
    told.into_inner()
}

/// Lines as a difference in a fence, cut to a room; `None` where that is not enough for anything.
fn diff(lines: &[Line], room: usize) -> Option<String> {
    const AROUND: usize = 80;
    let mut body = String::new();
    let mut ticks = 3;
    let mut shown = 0;
    for one in lines.iter().take(LINES) {
        let sign = match one.mark {
            Mark::Same => ' ',
            Mark::Added => '+',
            Mark::Removed => '-',
            Mark::Changed => '!',
        };
        let text = format!("{sign} {}\n", cut(&line(one.text.trim_end()), WIDTH));
        let run = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let longer = ticks.max(run + 1);
        if body.len() + text.len() + 2 * longer + AROUND > room {
            break;
        }
        ticks = longer;
        body.push_str(&text);
        shown += 1;
    }
    if shown == 0 && (!lines.is_empty() || room < AROUND) {
        return None;
    }
    if shown < lines.len() {
        let _ = writeln!(body, "  … and {}", plural(lines.len() - shown, "more line"));
    }
    Some(fence("diff", &body))
}

/// What rules found: what denies, what is waived, what warns.
pub(super) fn policy(sheets: &[Sheet<'_>], wanted: &Wanted, page: &mut Page) {
    let mut all: Vec<(&Sheet, &Finding)> = Vec::new();
    for sheet in sheets {
        all.extend(sheet.plan.judgement.iter().flat_map(|j| &j.findings).map(|one| (sheet, one)));
    }
    let all = || all.iter().copied();
    let denied = all().filter(|(_, one)| one.denies());
    let waived = all().filter(|(_, one)| one.is_waived());
    let mut lines: Vec<String> = denied.chain(waived).map(|(sheet, one)| finding(sheet, one)).collect();
    // Of warnings a line for each rule: hundreds of one sort say no more than one.
    let mut warnings: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    for (sheet, one) in all().filter(|(_, one)| !one.denies() && !one.is_waived()) {
        warnings.entry((&sheet.plan.header.env, &one.rule)).or_default().push(one);
    }
    lines.extend(warnings.iter().map(|((env, rule), found)| warning(env, rule, found)));
    let share = page.left() / 2;
    page.list(&List {
        head: "### Policy\n\n",
        foot: "\n",
        count: lines.len(),
        share,
        each: &|n, _| lines.get(n).cloned(),
        more: &|count| more(count, "findings", wanted),
    });
}

fn warning(env: &str, rule: &str, found: &[&Finding]) -> String {
    let of: BTreeSet<&str> = found.iter().filter_map(|one| Some(one.address.as_ref()?.as_str())).collect();
    let mut named: Vec<String> = of.iter().take(WARNED).map(|address| code(address)).collect();
    if of.len() > WARNED {
        named.push(format!("{} more", of.len() - WARNED));
    }
    let of = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    let first = found.first();
    let what = first.map(|one| prose(&one.what)).unwrap_or_default();
    let instead = first.map(|one| prose(&one.instead)).unwrap_or_default();
    let controls = match first {
        Some(one) if !one.controls.is_empty() => format!(" ({})", prose(&one.controls.join(", "))),
        _ => String::new(),
    };
    let (count, rule, env) = (found.len(), code(rule), code(env));
    format!("- **warning** {count} × {rule}{controls} in {env}: {what}{of}. Instead: {instead}\n")
}

fn finding(sheet: &Sheet<'_>, one: &Finding) -> String {
    let word = match one.severity {
        _ if one.is_waived() => "waived",
        Severity::Deny => "denied",
        Severity::Warn => "warning",
    };
    let address = one.address.as_ref().map_or_else(|| "the environment".to_owned(), |a| code(a.as_str()));
    let mut out = format!("- **{word}** {address}");
    if !one.part.is_empty() {
        let _ = write!(out, " {}", code(&one.part));
    }
    let _ = write!(out, " in {}: {} ({}", code(&sheet.plan.header.env), prose(&one.what), code(&one.rule));
    if !one.controls.is_empty() {
        let _ = write!(out, ", {}", prose(&one.controls.join(", ")));
    }
    out.push(')');
    if let Some(place) = &one.place {
        let _ = write!(out, " at {}", code(&format!("{}:{}:{}", place.file, place.line, place.column)));
    }
    let _ = write!(out, ". {}.", prose(one.why.trim_end_matches('.')));
    match &one.waiver {
        None => {
            let _ = write!(out, " Instead: {}", prose(&one.instead));
        }
        Some(waiver) => {
            let by = code(&waiver.by);
            let agreed =
                waiver.approved_by.as_ref().map_or(String::new(), |who| format!(", agreed to by {}", code(who)));
            let (until, name) = (waiver.until, code(&waiver.name));
            let words = match waiver.standing {
                WaiverStanding::Counts => format!(" Waived until {until} by {by}{agreed}"),
                WaiverStanding::Expired => format!(" Its waiver of {by}{agreed} ended on {until}"),
                WaiverStanding::Unapproved => {
                    format!(" {by} asks for a waiver until {until}, which counts once somebody else agrees")
                }
            };
            let _ = write!(out, "{words} ({name}): {}", prose(&waiver.reason));
        }
    }
    out.push('\n');
    out
}

/// What it comes to in a month, and where the nodes do not hold it.
pub(super) fn costs(sheets: &[Sheet<'_>], wanted: &Wanted, page: &mut Page) {
    let mut all: Vec<String> = Vec::new();
    for sheet in sheets {
        let env = code(&sheet.plan.header.env);
        if !sheet.cost.is_empty() && sheet.plan.has_changes() {
            all.push(cost(sheet, &env));
        }
        if !sheet.too_small.is_empty() {
            all.push(format!("- {env}: **the nodes do not hold it**: {}\n", prose(&sheet.too_small.join("; "))));
        }
    }
    let share = page.left() / 4;
    page.list(&List {
        head: "### What it costs in a month\n\n",
        foot: "\n",
        count: all.len(),
        share,
        each: &|n, _| all.get(n).cloned(),
        more: &|count| more(count, "costs", wanted),
    });
}

fn cost(sheet: &Sheet<'_>, env: &str) -> String {
    let cost = &sheet.cost;
    let dollars = |money: Money| money.to_string().replace('$', "\\$");
    let mut out =
        format!("- {env}: before {}, after {}, {}", dollars(cost.before), dollars(cost.after), delta(cost.delta));
    match cost.read() {
        Some((first, last)) if first == last => {
            let _ = write!(out, ", by prices of {}", prose(first));
        }
        Some((first, last)) => {
            let _ = write!(out, ", by prices of {} to {}", prose(first), prose(last));
        }
        None => {}
    }
    let moves: Vec<_> = cost.parts.iter().filter(|part| !part.delta.is_none()).collect();
    for (at, part) in moves.iter().take(MOVERS).enumerate() {
        let lead = if at == 0 { "; most by" } else { "," };
        let part_of = if part.part.is_empty() { String::new() } else { format!(" {}", code(&part.part)) };
        let _ = write!(out, "{lead} {}{part_of} {}", code(part.address.as_str()), delta(part.delta));
    }
    if moves.len() > MOVERS {
        let _ = write!(out, " and {} more", moves.len() - MOVERS);
    }
    if !cost.unpriced.is_empty() {
        let _ = write!(out, "; {} not priced", plural(cost.unpriced.len(), "thing"));
    }
    out.push('\n');
    out
}

/// Why something does not come back as it was; `None` where it does, or does but for a part.
fn gone(node: &Planned) -> Option<String> {
    let loss = loss(node)?;
    let mut why = Vec::new();
    if let [first, more @ ..] = loss.parts.as_slice() {
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        why.push(format!("{}{more} holds data, which is lost", code(first)));
    } else if loss.data {
        why.push("it holds data, which is lost with it".to_owned());
    }
    why.extend(loss.why.map(prose));
    Some(why.join("; "))
}

/// What cannot be undone, or only in part.
pub(super) fn lasting(sheets: &[Sheet<'_>], wanted: &Wanted, page: &mut Page) {
    let mut all: Vec<String> = Vec::new();
    let mut partly: Vec<String> = Vec::new();
    for sheet in sheets {
        let env = code(&sheet.plan.header.env);
        for node in changes(sheet) {
            let lead = format!("- {} in {env}, {}", code(node.address.as_str()), node.action.word());
            match (gone(node), &node.undo) {
                (Some(why), _) => all.push(format!("{lead}: {why}\n")),
                (None, Undo::Partly(why)) => partly.push(format!("{lead}, only in part: {}\n", prose(why))),
                _ => {}
            }
        }
    }
    all.append(&mut partly);
    let share = page.left() / 3;
    page.list(&List {
        head: "### What cannot be undone\n\n",
        foot: "\n",
        count: all.len(),
        share,
        each: &|n, _| all.get(n).cloned(),
        more: &|count| more(count, "that cannot be undone", wanted),
    });
}

/// Every other change, folded.
pub(super) fn rest(
    sheets: &[Sheet<'_>],
    told: &BTreeSet<(usize, usize)>,
    details: &dyn Details,
    wanted: &Wanted,
    page: &mut Page,
) {
    enum Other<'a> {
        Node(&'a Sheet<'a>, &'a Planned),
        Outputs(&'a Sheet<'a>),
        Drift(&'a Sheet<'a>),
    }
    let mut all: Vec<Other> = Vec::new();
    for (at, sheet) in sheets.iter().enumerate() {
        let nodes = sheet.plan.nodes.iter().enumerate();
        let others = nodes.filter(|(place, node)| is_change(node) && !told.contains(&(at, *place)));
        all.extend(others.map(|(_, node)| Other::Node(sheet, node)));
        all.extend((!sheet.plan.outputs.is_empty()).then_some(Other::Outputs(sheet)));
        all.extend((!sheet.plan.drift.is_empty()).then_some(Other::Drift(sheet)));
    }
    let share = page.left();
    page.list(&List {
        head: "### All other changes\n\n",
        foot: "",
        count: all.len(),
        share,
        each: &|n, room| {
            let (summary, lines) = match all.get(n)? {
                Other::Node(sheet, node) => {
                    let word = word(node);
                    let (address, env) = (html_code(node.address.as_str()), html_code(&sheet.plan.header.env));
                    (format!("{address} {word} in {env}"), sheet.readable(details.change(sheet.plan, node)))
                }
                Other::Outputs(sheet) => {
                    let count = plural(sheet.plan.outputs.len(), "output");
                    (
                        format!("{count} in {}", html_code(&sheet.plan.header.env)),
                        sheet.readable(details.outputs(sheet.plan)),
                    )
                }
                Other::Drift(sheet) => {
                    let lines = sheet.plan.drift.iter().map(|drift| {
                        let why = drift.ignored.as_ref().map_or(String::new(), |why| format!(" (ignored: {why})"));
                        Line { mark: Mark::Same, text: format!("{}{why}", drift.address) }
                    });
                    let count = plural(sheet.plan.drift.len(), "thing");
                    let env = html_code(&sheet.plan.header.env);
                    (format!("{count} changed by hand and left as is in {env}"), lines.collect())
                }
            };
            let open = format!("<details><summary>{summary}</summary>\n\n");
            let close = "\n</details>\n\n";
            let lines = diff(&lines, room.checked_sub(open.len() + close.len())?)?;
            Some(format!("{open}{lines}{close}"))
        },
        more: &|count| more(count, "changes", wanted),
    });
}

/// Digests and commands: what is approved, and how it goes on. At most a quarter of the limit.
pub(super) fn end(sheets: &[Sheet<'_>], wanted: &Wanted) -> String {
    let mut page = Page::new(wanted.limit / 4);
    let share = page.left() - 600;
    page.list(&List {
        head: "### How it goes on\n\n",
        foot: "",
        count: sheets.len(),
        share,
        each: &|n, left| {
            let sheet = sheets.get(n)?;
            let (plan, anchor) = (next(sheet), anchor(sheet));
            Some(if plan.len() + anchor.len() <= left { plan + &anchor } else { plan })
        },
        more: &|count| more(count, "plans", wanted),
    });
    let plain = |sheet: &Sheet| sheet.plan.header.release.is_none() && sheet.plan.has_changes();
    if sheets.iter().any(plain) {
        page.add(
            "A plan of a working folder is not approved: what is approved is a plan of a release, made of what was merged. \
             After the merge:\n\n```sh\nterrace release create\nterrace promote RELEASE --to ENV\n```\n",
        );
    }
    page.done()
}

/// Where the chain of audit ended: as `audit verify --anchor` takes it, kept outside of the state.
fn anchor(sheet: &Sheet<'_>) -> String {
    let Some(end) = sheet.audit else { return String::new() };
    format!("  Audit anchor: `{{\"digest\":\"{}\",\"number\":{}}}`\n\n", end.digest, end.number)
}

fn next(sheet: &Sheet<'_>) -> String {
    let header = &sheet.plan.header;
    let env = cut(&header.env, 100);
    let mut out = format!("- {}: plan `{}`", code(&env), sheet.digest);
    let denied = sheet.plan.judgement.as_ref().is_some_and(crate::plan::Judgement::denies);
    let release = header.release.as_ref().filter(|_| header.mode == Mode::Normal);
    if !sheet.plan.has_changes() {
        out.push_str(", nothing to apply\n\n");
    } else if denied {
        out.push_str(", denied: nothing to approve before its rules hold, or a waiver of them counts\n\n");
    } else if header.offline {
        out.push_str(", made offline: only to be looked at\n\n");
    } else if let Some(release) = release {
        let _ = write!(
            out,
            " of the release `{release}`; where somebody has to approve it, promoting it first stores the plan and ends with 4:\n\n"
        );
        let env = shell(&env);
        let promote = format!("terrace promote {release} --to {env}\n");
        let commands = format!("{promote}terrace approve {} --env {env}\n{promote}", sheet.digest);
        let _ = writeln!(out, "{}", fence("sh", &commands));
    } else {
        out.push_str(", made from a working folder\n\n");
    }
    out
}
