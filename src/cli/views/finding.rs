//! What a rule found, as a few lines.

use crate::{
    cli::style::{bold, clean, dim, green, red, yellow},
    plan::{Finding, Severity, Waiver, WaiverStanding},
};
use std::fmt::Write as _;

/// A finding as a few lines.
pub(crate) fn lines(finding: &Finding) -> String {
    let word = match finding.severity {
        _ if finding.is_waived() => green("waived"),
        Severity::Deny => red("deny"),
        Severity::Warn => yellow("warn"),
    };
    let of = if finding.part.is_empty() { String::new() } else { format!(" {}", clean(&finding.part)) };
    let address = finding.address.as_ref().map_or_else(|| "the environment:".to_owned(), ToString::to_string);
    let mut out = format!("{word}  {}{of}: {}\n", bold(address), clean(&finding.what));
    if let Some(place) = &finding.place {
        let _ = writeln!(out, "      {}:{}:{}", clean(&place.file), place.line, place.column);
    }
    let controls =
        if finding.controls.is_empty() { String::new() } else { format!(" ({})", finding.controls.join(", ")) };
    let _ = writeln!(out, "      {}{controls}: {}", finding.rule, clean(&finding.why));
    match &finding.waiver {
        Some(waiver) => {
            let _ = writeln!(out, "      {}", dim(clean(&spoken(waiver))));
        }
        None => {
            let _ = writeln!(out, "      instead: {}", clean(&finding.instead));
        }
    }
    out.push('\n');
    out
}

/// A waiver in a sentence.
pub(crate) fn spoken(waiver: &Waiver) -> String {
    let Waiver { name, standing, reason, by, approved_by, until } = waiver;
    let agreed = approved_by.as_ref().map_or(String::new(), |who| format!(", agreed to by {who}"));
    match standing {
        WaiverStanding::Counts => format!("waived until {until} by {by}{agreed}: {reason} ({name})"),
        WaiverStanding::Expired => format!("its waiver {name} of {by}{agreed} ended on {until}: {reason}"),
        WaiverStanding::Unapproved => {
            format!("{by} asks for a waiver until {until}, which counts once somebody else agrees: {reason} ({name})")
        }
    }
}
