//! What a check run and a commit status say of saved plans: pure, in text that a forge shows as it is.

use crate::{
    base::plural,
    plan::{Finding, Saved, Severity},
    review::{
        Book,
        comment::{self, Wanted, text::line},
        plain::cut,
    },
    world::{Annotation, Check, CommitStatus, Conclusion, Level},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// So many notes are made on lines; a reader has seen enough by then, and each fifty are a request.
pub const MOST: usize = 300;
/// A check run's summary holds at most 65,535 characters, by GitHub's reference.
const SUMMARY: usize = 60_000;
/// A commit status holds so many, by GitHub's reference.
const DESCRIPTION: usize = 140;

/// What is said of the plans' commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// With notes on lines.
    pub check: Check,
    /// In a line.
    pub status: CommitStatus,
}

/// The verdict on these plans.
///
/// `beside` is where the project lies in its repository, like `infra/`, or nothing; `url` is where more of it is.
#[must_use]
pub fn verdict(plans: &[&Saved], book: &Book, beside: &str, wanted: &Wanted, url: Option<&str>) -> Verdict {
    let subject = plans.first().map(|first| comment::subject(&first.content)).unwrap_or_default();
    let (mut denied, mut warned, mut waived) = (0, 0, 0);
    let mut asked = !plans.is_empty();
    for plan in plans {
        match &plan.content.judgement {
            None => asked = false,
            Some(judgement) => {
                let (deny, warn, waive) = judgement.counts();
                denied += deny;
                warned += warn;
                waived += waive;
            }
        }
    }
    let unplanned = wanted.unplanned(&plans.iter().map(|plan| &plan.content).collect::<Vec<_>>());
    let conclusion = match (denied + unplanned.len(), warned) {
        (1.., _) => Conclusion::Failure,
        (0, 0) if asked => Conclusion::Success,
        _ => Conclusion::Neutral,
    };
    let changes: usize = plans.iter().map(|plan| comment::changes_of(&plan.content)).sum();
    let what = if changes == 0 { "no changes".to_owned() } else { plural(changes, "change") };
    let mut said = format!("{what} in {}", plural(plans.len(), "environment"));
    if denied > 0 {
        said = format!("denied by policy ({}): {said}", plural(denied, "finding"));
    } else if !asked {
        said.push_str("; policy was not asked");
    }
    if warned > 0 {
        let _ = write!(said, "; {}", plural(warned, "warning"));
    }
    if waived > 0 {
        let _ = write!(said, "; {waived} waived");
    }
    if !unplanned.is_empty() {
        said = format!("no plan of {}; {said}", line(&crate::base::few(&unplanned, 5)));
    }
    let mut annotations = notes(plans, beside);
    let all = annotations.len();
    annotations.truncate(MOST);
    let mut summary = comment::brief(plans, book, &Wanted { limit: SUMMARY, ..wanted.clone() });
    if all > MOST {
        let _ = write!(summary, "\nThe first {MOST} of {all} findings stand on their lines.\n");
    }
    let name = format!("terrace/{subject}");
    let description: String = said.chars().take(DESCRIPTION).collect();
    let url = url.map(str::to_owned);
    Verdict {
        status: CommitStatus { context: name.clone(), conclusion, description, url: url.clone() },
        check: Check {
            external_id: format!("terrace: {subject}"),
            name,
            conclusion,
            title: said,
            summary,
            annotations,
            url,
        },
    }
}

/// A note for each line of a finding, the gravest first; environments that find the same share one.
fn notes(plans: &[&Saved], beside: &str) -> Vec<Annotation> {
    let mut found: BTreeMap<Annotation, BTreeSet<&str>> = BTreeMap::new();
    for plan in plans {
        for one in plan.content.judgement.iter().flat_map(|judgement| &judgement.findings) {
            if let Some(note) = note(one, beside) {
                found.entry(note).or_default().insert(&plan.content.header.env);
            }
        }
    }
    let mut notes: Vec<Annotation> = found
        .into_iter()
        .map(|(mut note, envs)| {
            let envs: Vec<&str> = envs.into_iter().collect();
            let _ = write!(note.message, "\nIn {}.", line(&crate::base::few(&envs, 10)));
            note
        })
        .collect();
    notes.sort();
    notes
}

/// A finding on its line; none where it is written outside of the repository, or nobody knows where.
fn note(one: &Finding, beside: &str) -> Option<Annotation> {
    let place = one.place.as_ref()?;
    let inside =
        !place.file.is_empty() && !place.file.starts_with('/') && !place.file.split('/').any(|part| part == "..");
    if !inside || place.line == 0 {
        return None;
    }
    let level = match one.severity {
        _ if one.is_waived() => Level::Notice,
        Severity::Deny => Level::Failure,
        Severity::Warn => Level::Warning,
    };
    let of = one.address.as_ref().map_or_else(|| "the environment".to_owned(), ToString::to_string);
    let part = if one.part.is_empty() { String::new() } else { format!(" {}", one.part) };
    let sentence = |text: &str| cut(&line(text.trim_end_matches('.')), 2_000);
    let mut message = format!("{}.\n{}.", sentence(&one.what), sentence(&one.why));
    match &one.waiver {
        Some(waiver) if one.is_waived() => {
            let _ = write!(
                message,
                "\nWaived until {} by {}: {}.",
                waiver.until,
                line(&waiver.by),
                sentence(&waiver.reason)
            );
        }
        _ => {
            let _ = write!(message, "\nInstead: {}.", sentence(&one.instead));
        }
    }
    if !one.controls.is_empty() {
        let _ = write!(message, "\nControls: {}.", line(&one.controls.join(", ")));
    }
    let title = cut(&line(&format!("{}: {of}{part}", one.rule)), 200);
    Some(Annotation { level, path: format!("{beside}{}", place.file), line: place.line, title, message })
}
