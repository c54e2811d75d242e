//! One Markdown comment out of one or many saved plans, for whoever has two minutes before a pull request is merged.
//!
//! It opens with a hidden marker, by which it is found again, and never becomes longer than a forge takes. What comes from plan
//! files, charts or live systems stands in it as text that is read and never obeyed: see `text.rs`.

mod advice;
mod page;
mod parts;
#[cfg(test)]
mod tests;
pub(in crate::review) mod text;

use crate::{
    base::{Digest, Hidden},
    plan::{Plan, Planned, Saved},
    review::{Book, Cost, Risk, capacity, change::is_change, cost, risks, withheld::in_clear},
    state::audit::Anchor,
};
pub use advice::advice;
use page::Page;
use std::{collections::BTreeSet, sync::Arc};
pub(in crate::review) use text::line;

/// How much a comment may hold on GitHub, and on Gitea unless it is set otherwise.
pub const GITHUB: usize = 65_536;

/// Less than this holds no comment that says anything.
pub const LEAST: usize = 4_000;

/// What happened to a line of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is there for orientation.
    Same,
    /// It came.
    Added,
    /// It went.
    Removed,
    /// It changed.
    Changed,
}

/// A line that tells of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What happened to it.
    pub mark: Mark,
    /// Its text, without a sign.
    pub text: String,
}

/// How changes are told: the same as on a terminal, which is not known here.
pub trait Details {
    /// A change, line by line. No secret is in it.
    fn change(&self, plan: &Plan, node: &Planned) -> Vec<Line>;
    /// The outputs that change.
    fn outputs(&self, plan: &Plan) -> Vec<Line>;
}

/// Where the full report is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// A link of the web; nothing that could end it early, or say something else than where it leads.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let after = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let harmless = |c: char| c.is_ascii_alphanumeric() || "-._~/?&=%:+,;".contains(c);
        (!after.is_empty() && text.len() <= 1_000 && after.chars().all(harmless)).then(|| Self(text.to_owned()))
    }

    /// As it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// What a comment is to be like.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The most that it may hold, in bytes, which are never fewer than characters.
    pub limit: usize,
    /// Where the full report is.
    pub link: Option<Link>,
    /// The environments that there should be a plan of. Where one has none, nothing says what happens there, and the comment does.
    pub expected: Vec<Arc<str>>,
}

impl Wanted {
    /// The environments that should have a plan, and have none among these.
    pub(in crate::review) fn unplanned(&self, plans: &[&Plan]) -> Vec<&str> {
        let planned = |env: &&Arc<str>| plans.iter().any(|plan| plan.header.env == **env);
        let missing: BTreeSet<&str> = self.expected.iter().filter(|env| !planned(env)).map(|env| &**env).collect();
        missing.into_iter().collect()
    }
}

/// Why there can be no comment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing to speak of.
    #[error("a comment is made of at least one saved plan")]
    Nothing,
    /// Its marker could name only one of them.
    #[error("these are plans of {0} and of {1}, and a comment is about one")]
    Several(String, String),
    /// Only one of them can be what is approved.
    #[error("two plans are for the environment {0}")]
    Twice(Arc<str>),
    /// It could not even hold the verdict.
    #[error("a comment of at most {0} characters is too short: the least is {LEAST}")]
    Short(usize),
}

/// A plan with what is reckoned from it.
struct Sheet<'a> {
    plan: &'a Plan,
    digest: &'a Digest,
    /// Where the chain of audit ended when it was made.
    audit: Option<&'a Anchor>,
    risks: Vec<Risk>,
    cost: Cost,
    /// Why the nodes do not hold it, where that is so.
    too_small: Vec<String>,
    /// What is in clear under the name of a secret.
    hidden: Hidden,
}

impl Sheet<'_> {
    /// Lines as others may read them.
    fn readable(&self, mut lines: Vec<Line>) -> Vec<Line> {
        for line in &mut lines {
            line.text = self.hidden.out_of(&line.text);
        }
        lines
    }
}

/// What a comment is about, `PROJECT/PLAN`: two never have the same.
#[must_use]
pub fn subject(plan: &Plan) -> String {
    let bounded = |name: &str| {
        let name = text::marked(name);
        // Names are short; one that is not is known by its digest.
        if name.len() <= 100 { name } else { Digest::of(name.as_bytes()).hex().to_owned() }
    };
    format!("{}/{}", bounded(&plan.header.project), bounded(&plan.header.plan))
}

/// The first line of a comment, by which it is found again.
#[must_use]
pub fn marker(plan: &Plan) -> String {
    format!("<!-- terrace: {} -->", subject(plan))
}

/// The comment.
///
/// # Errors
/// Plans that are not of one thing, or a limit that holds nothing.
pub fn comment(plans: &[&Saved], book: &Book, details: &dyn Details, wanted: &Wanted) -> Result<String, Refused> {
    let first = plans.first().ok_or(Refused::Nothing)?;
    if wanted.limit < LEAST {
        return Err(Refused::Short(wanted.limit));
    }
    let named = |saved: &Saved| format!("{}/{}", saved.content.header.project, saved.content.header.plan);
    if let Some(other) = plans.iter().find(|saved| marker(&saved.content) != marker(&first.content)) {
        return Err(Refused::Several(named(first), named(other)));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = plans.iter().map(|saved| &saved.content.header.env).find(|env| !seen.insert(*env)) {
        return Err(Refused::Twice(twice.clone()));
    }
    let sheets = sheets(plans, book);
    let end = parts::end(&sheets, wanted);
    let mut page = Page::new(wanted.limit - end.len());
    parts::opening(&sheets, wanted, &mut page);
    let told = parts::risks(&sheets, details, wanted, &mut page);
    parts::policy(&sheets, wanted, &mut page);
    parts::costs(&sheets, wanted, &mut page);
    parts::lasting(&sheets, wanted, &mut page);
    parts::rest(&sheets, &told, details, wanted, &mut page);
    Ok(page.done() + &end)
}

/// What a comment begins with, and what rules found: without the marker, for where nothing is found again by it.
pub(crate) fn brief(plans: &[&Saved], book: &Book, wanted: &Wanted) -> String {
    let sheets = sheets(plans, book);
    let mut page = Page::new(wanted.limit);
    parts::opening(&sheets, wanted, &mut page);
    parts::policy(&sheets, wanted, &mut page);
    let text = page.done();
    text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
}

/// How many changes a plan has, as the comment counts them.
pub(crate) fn changes_of(plan: &Plan) -> usize {
    plan.nodes.iter().filter(|node| is_change(node)).count()
}

fn sheets<'a>(plans: &[&'a Saved], book: &Book) -> Vec<Sheet<'a>> {
    plans
        .iter()
        .map(|saved| {
            let plan = &saved.content;
            let capacity = capacity(plan, book).filter(|found| found.fits == Some(false));
            let whole = plan.header.mode == crate::plan::Mode::Normal && plan.header.targets.is_empty();
            Sheet {
                plan,
                digest: &saved.digest,
                audit: saved.attachment.audit.as_ref(),
                risks: risks(plan),
                hidden: in_clear(plan),
                cost: cost(plan, book),
                too_small: capacity.filter(|_| whole && plan.has_changes()).map(|c| c.because).unwrap_or_default(),
            }
        })
        .collect()
}
