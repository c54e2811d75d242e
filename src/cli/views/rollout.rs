//! A rollout as it stands: its weights as a bar, its step and clock, each analysis with its last values.

use crate::{
    base::{Address, Finding, elapsed, format_duration},
    cli::style::{bold, clean, cyan, dim, green, red, yellow},
    rollout::{Fault, Going, Kept, Part, Pause, Stage, Standing, Tally},
};
use jiff::Timestamp;
use std::fmt::Write as _;

/// How many characters stand for all traffic.
const BAR: usize = 30;
/// How many of the last readings are shown.
const READINGS: usize = 5;

/// Everything about one unit.
pub(crate) fn standing(unit: &Address, standing: &Standing, now: Timestamp) -> String {
    let mut out = String::new();
    let traffic = standing.traffic.as_ref().map(|traffic| format!("  over {traffic}")).unwrap_or_default();
    let live = standing.live.map_or("nothing has its traffic yet".to_owned(), |live| format!("{live} is live"));
    let _ = writeln!(out, "{}  {live}{}", bold(clean(unit.as_str())), dim(traffic));
    if let Some(going) = &standing.going {
        self::going(going, now, &mut out);
    } else if let Some(last) = &standing.last {
        let ended = match &last.aborted {
            None => green(format!("{} got its traffic", last.to)),
            Some((why, fault)) => {
                red(format!("the rollout of {} was aborted{}: {}", last.to, spoken(*fault), clean(why)))
            }
        };
        let _ = writeln!(out, "  last    {ended}, {} ago", format_duration(elapsed(last.at, now)));
    }
    if let Some(kept) = &standing.kept {
        self::kept(kept, now, &mut out);
    }
    out
}

/// A colour that is kept warm, and what becomes of it. Where `now` is not known, only when that is due.
pub(crate) fn owed(address: &Address, due: Timestamp, failed: Option<&str>, now: Option<Timestamp>) -> String {
    let why = failed.map(|why| format!(", to be looked at: {why}")).unwrap_or_default();
    let at = due.strftime("%Y-%m-%d %H:%M:%SZ");
    match now {
        Some(now) if due <= now => {
            format!(
                "{address} is due to be retired since {at}{why}: the next apply, `promote --auto` or `rollout finish` does it"
            )
        }
        _ => format!("{address} until {at}{why}; then the next apply retires it"),
    }
}

/// The same for programs.
pub(crate) fn debt(address: &Address, kept: &Kept) -> serde_json::Value {
    serde_json::json!({ "address": address, "since": kept.since, "due": kept.due, "failed": kept.failed })
}

fn kept(kept: &Kept, now: Timestamp, out: &mut String) {
    let why = kept.failed.as_ref().map(|why| format!(", to be looked at: {}", clean(why))).unwrap_or_default();
    let due = if kept.due <= now {
        yellow("due to be retired: the next apply, `promote --auto` or `rollout finish` does it")
    } else {
        format!("for {} more, until {}", format_duration(elapsed(now, kept.due)), kept.due.strftime("%H:%M:%SZ"))
    };
    let _ = writeln!(out, "  kept    {} is warm {due}{why}", kept.color);
}

fn going(going: &Going, now: Timestamp, out: &mut String) {
    let from = going.from.map_or("nothing".to_owned(), |from| from.to_string());
    let _ = writeln!(
        out,
        "  going   {from} to {}, run {}, for {}",
        going.to,
        going.run,
        format_duration(elapsed(going.began, now))
    );
    let _ =
        writeln!(out, "  traffic {}  {} % {}, {} % {from}", bar(going.share), going.share, going.to, 100 - going.share);
    let _ = writeln!(out, "  step    {}", step(going, now));
    if let Some(paused) = &going.paused {
        let since = format_duration(elapsed(paused.at, now));
        let _ = writeln!(out, "  {}  for {since}: {}", yellow("paused"), clean(&paused.why));
    }
    for (name, tally) in &going.tallies {
        let Some(limits) = going.spec.analyses.get(name) else { continue };
        let row = format!(
            "{} passed, {} failed, {} unclear, {} errors",
            tally.passed, tally.failed, tally.inconclusive, tally.errors
        );
        let due = format_duration(elapsed(now, tally.due(limits)));
        let _ = writeln!(out, "  {}  {row}; next in {due}", cyan(clean(name)));
        readings(tally, out);
    }
}

fn readings(tally: &Tally, out: &mut String) {
    for reading in tally.readings.iter().rev().take(READINGS) {
        let word = match reading.finding {
            Finding::Passed => green("passed"),
            Finding::Failed => red("failed"),
            Finding::Inconclusive => yellow("unclear"),
            Finding::Error => red("error"),
        };
        let _ = writeln!(
            out,
            "      {} {word}  {}",
            dim(reading.at.strftime("%H:%M:%SZ").to_string()),
            clean(&reading.said)
        );
    }
}

/// `[######------------------------]`.
fn bar(share: u8) -> String {
    let filled = usize::from(share) * BAR / 100;
    format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR - filled))
}

fn step(going: &Going, now: Timestamp) -> String {
    let passed = format_duration(going.in_stage(now));
    let of = going.spec.steps.len();
    match &going.stage {
        Stage::Targets => format!("waits for healthy targets, {passed}"),
        Stage::Step { at, part } => {
            let pause = going.spec.steps.get(*at).and_then(|step| step.pause);
            let doing = match (part, pause) {
                (Part::Shift, _) => "its weights are not in force yet".to_owned(),
                (Part::Judge, _) => "is judged".to_owned(),
                (Part::Hold, Some(Pause::For(pause))) => format!("is held for {}", format_duration(pause)),
                (Part::Hold, _) => "waits for a person".to_owned(),
                (Part::LetGo, _) => "was let go".to_owned(),
            };
            format!("{} of {of}: {doing}, {passed}", at + 1)
        }
        Stage::Bake => format!("bakes: {passed} of {}", format_duration(going.spec.bake)),
        Stage::Settling { .. } => format!("the stable one is updated, {passed}"),
        Stage::Back { why, fault } => red(format!("goes back{}: {}", spoken(*fault), clean(why))),
        Stage::Over => "over".to_owned(),
    }
}

const fn spoken(fault: Fault) -> &'static str {
    match fault {
        Fault::Release => "",
        Fault::Platform => " (the platform's fault)",
        Fault::Person => " (a person's word)",
        Fault::Sibling => " (something beside it failed)",
    }
}
