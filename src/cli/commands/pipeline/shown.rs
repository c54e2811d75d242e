//! How the pipeline is said: as a table with every reason below it, as JSON, and as lines about what changed.

use super::{Health, Row};
use crate::{
    base::format_duration,
    cli::{
        style::{bold, dim, green, red, yellow},
        views::{json::answer, rollout::debt, table},
    },
};
use serde_json::{Value as Json, json};
use std::{fmt::Write as _, time::Duration};

/// The whole of it for programs.
pub(super) fn whole(rows: &[Row]) -> Json {
    let rows: Vec<Json> = rows.iter().map(as_json).collect();
    answer("pipeline", json!({ "environments": rows }))
}

/// What changed between two looks, a line each; the first look tells all.
pub(super) fn changes(before: &[Row], after: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in after {
        let env = &row.env;
        let was = before.iter().find(|other| other.env == *env);
        let health = |row: &Row| match &row.health {
            Health::Empty => String::new(),
            Health::Verified => ", verified".to_owned(),
            Health::Unverified => ", not verified".to_owned(),
            Health::Failed(why) => format!(", failed: {why}"),
            Health::Unreadable(why) => format!(", unreadable: {why}"),
        };
        if was.is_none_or(|was| (&was.holds, &was.health) != (&row.holds, &row.health)) {
            lines.push(format!("{env} holds {}{}", row.holds, health(row)));
        }
        // What is still to be waited for passes by itself; only another kind of reason is news.
        let said = |row: &Row| {
            let next = row.next.as_ref()?;
            Some((next.0.clone(), next.1.iter().map(crate::gate::Reason::code).collect::<Vec<_>>()))
        };
        if was.and_then(said) != said(row)
            && let Some((release, reasons)) = &row.next
        {
            let why: Vec<String> = reasons.iter().map(crate::gate::Reason::sentence).collect();
            let why = if why.is_empty() { "is eligible".to_owned() } else { format!("waits: {}", why.join("; ")) };
            lines.push(format!("{env}: {} {why}", release.short()));
        }
        let news = row.notes.iter().filter(|note| was.is_none_or(|was| !was.notes.contains(note)));
        lines.extend(news.map(|note| format!("{env}: {note}")));
        let before: Vec<String> = was.map(|was| was.owed().collect()).unwrap_or_default();
        lines.extend(row.owed().filter(|debt| !before.contains(debt)).map(|debt| format!("{env}: {debt}")));
    }
    lines.into_iter().map(|line| crate::cli::style::clean(&line).into_owned()).collect()
}

/// A table, and below it why things are as they are.
pub(super) fn rendered(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let health = match &row.health {
            Health::Empty => dim("-"),
            Health::Verified => green("verified"),
            Health::Unverified => yellow("not verified"),
            Health::Failed(_) => red("failed"),
            Health::Unreadable(_) => red("unreadable"),
        };
        let next = match &row.next {
            None => String::new(),
            Some((release, reasons)) if reasons.is_empty() => format!("{} {}", release.short(), green("eligible")),
            Some((release, reasons)) => format!("{} {}", release.short(), yellow(format!("{} against", reasons.len()))),
        };
        let time = |d: Option<Duration>| d.map(format_duration).unwrap_or_default();
        vec![row.env.clone(), row.holds.clone(), time(row.age), health, time(row.soaked), next]
    });
    let cells: Vec<Vec<String>> = cells.collect();
    let mut out = table::render(&["environment", "holds", "for", "health", "soaked", "next"], &cells);
    for row in rows {
        let mut lines: Vec<String> = Vec::new();
        if let Health::Failed(why) | Health::Unreadable(why) = &row.health {
            lines.push(why.clone());
        }
        if let Some((release, reasons)) = &row.next {
            for reason in reasons {
                let lifted = reason.lifted_by(&row.env, release.short());
                lines.push(format!("{}: {} ({lifted})", release.short(), reason.sentence()));
            }
        }
        lines.extend(row.notes.iter().cloned());
        lines.extend(row.owed());
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{}", bold(&row.env));
            for line in lines {
                let _ = writeln!(out, "  {}", crate::cli::style::clean(&line));
            }
        }
    }
    out
}

fn as_json(row: &Row) -> Json {
    let (health, why) = match &row.health {
        Health::Empty => ("empty", None),
        Health::Verified => ("verified", None),
        Health::Unverified => ("unverified", None),
        Health::Failed(why) => ("failed", Some(why)),
        Health::Unreadable(why) => ("unreadable", Some(why)),
    };
    let next = row.next.as_ref().map(|(release, reasons)| {
        let reasons: Vec<Json> = reasons
            .iter()
            .map(|r| {
                let lifted = r.lifted_by(&row.env, release.short());
                json!({ "code": r.code(), "reason": r.sentence(), "lifted_by": lifted })
            })
            .collect();
        json!({ "release": release, "eligible": reasons.is_empty(), "reasons": reasons })
    });
    let debts: Vec<Json> = row
        .debts
        .iter()
        .map(|(address, kept, is_due)| {
            let mut told = debt(address, kept);
            told["is_due"] = json!(is_due);
            told
        })
        .collect();
    json!({
        "environment": row.env,
        "holds": row.holds,
        "age": row.age.map(|d| d.as_secs()),
        "health": health,
        "why": why,
        "soaked": row.soaked.map(|d| d.as_secs()),
        "next": next,
        "notes": row.notes,
        "debts": debts,
    })
}
