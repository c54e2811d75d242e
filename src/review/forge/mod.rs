//! What is done at a forge: one comment that is ours is found and kept, and a word is said on the commit.
//!
//! Over the trait `world::Forge`, so that nothing here knows of addresses or tokens. A comment is ours where its first line is our
//! marker **and** whoever holds our token wrote it; no other is ever touched.

#[cfg(test)]
mod tests;
mod verdict;

pub use verdict::{MOST, Verdict, verdict};

use crate::world::{
    ANNOTATIONS, Annotation, Author, Check, CheckRun, Class, Comment, Conclusion, Failure, Forge, Outcome,
};
use std::collections::BTreeSet;

/// How many pages of comments are read: three thousand comments, more than GitHub lets a conversation have.
const PAGES: usize = 30;
/// How often it is begun anew, where somebody else was faster.
const ROUNDS: usize = 4;

/// What became of the comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was not there.
    Created,
    /// It was there and says something else now.
    Edited,
    /// It said just this.
    Unchanged,
    /// It stays as it was, for it is about the pull request's newest commit, and this is about another.
    Superseded,
}

/// A comment that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// What became of it.
    pub done: Done,
    /// Its number.
    pub id: u64,
    /// Where people see it, where the forge tells.
    pub url: Option<String>,
    /// How many others of ours went.
    pub removed: usize,
    /// What should be said of it.
    pub notes: Vec<String>,
}

/// What became of the check run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It stands, with so many notes on lines.
    Stands {
        /// How many there are.
        annotations: usize,
        /// What should be said of it.
        notes: Vec<String>,
    },
    /// This forge, or this token, has none: a status has to do. Why.
    Unsupported(String),
}

/// Those of ours, the oldest first.
#[must_use]
pub fn ours(comments: &[Comment], marker: &str, me: &Author) -> Vec<Comment> {
    let mut found: Vec<Comment> = comments
        .iter()
        .filter(|comment| comment.author.as_ref().is_some_and(|author| author.is(me)))
        .filter(|comment| comment.body.lines().next().is_some_and(|first| first.trim_end() == marker))
        .cloned()
        .collect();
    found.sort_by_key(|comment| comment.id);
    found.dedup_by_key(|comment| comment.id);
    found
}

/// Whether a forge that keeps texts in its own way has this one already.
fn says(comment: &Comment, body: &str) -> bool {
    comment.body.trim_end().lines().eq(body.trim_end().lines())
}

/// Ours among all comments, and whether all were read.
async fn find(forge: &dyn Forge, marker: &str, me: &Author) -> Outcome<(Vec<Comment>, bool)> {
    let mut found = Vec::new();
    let mut next = None;
    for _ in 0..PAGES {
        let page = forge.comments(next.as_deref()).await?;
        found.extend(ours(&page.comments, marker, me));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    found.sort_by_key(|comment| comment.id);
    found.dedup_by_key(|comment| comment.id);
    Ok((found, next.is_none()))
}

/// How much a comment grows by the commit that it is about.
pub const COMMIT: usize = 160;

/// The text with the commit that it is about: behind the marker for whoever writes the next, at the end for people.
fn about(body: &str, commit: &str) -> String {
    let (marker, rest) = body.split_once('\n').unwrap_or((body, ""));
    let short: String = commit.chars().take(12).collect();
    format!("{marker}\n<!-- commit: {commit} -->\n{}\n\nOf commit `{short}`.\n", rest.trim_end_matches('\n'))
}

/// The commit that a comment of ours is about.
fn commit_of(body: &str) -> Option<&str> {
    body.lines().nth(1)?.trim_end().strip_prefix("<!-- commit: ")?.strip_suffix(" -->")
}

/// Has the pull request say this in one comment of ours, whatever was there before and whoever does the same at this moment. One that is
/// about the pull request's newest commit is left alone by what is about another: of two jobs that of the newest commit has the word,
/// whichever ends last.
///
/// # Errors
/// A forge that refuses, or more comments than are read, among which there is none of ours.
pub async fn post(forge: &dyn Forge, marker: &str, body: &str, commit: Option<&str>) -> Outcome<Posted> {
    let body = &commit.map_or_else(|| body.to_owned(), |commit| about(body, commit));
    let me = forge.myself().await?;
    let mut created: Option<Posted> = None;
    let mut last = None;
    for _ in 0..ROUNDS {
        let (found, all) = find(forge, marker, &me).await?;
        let Some(first) = found.first() else {
            // A forge may take a moment until it lists what it has.
            if let Some(made) = created {
                return Ok(made);
            }
            if !all {
                let what = format!("none of the first {PAGES} pages of comments has ours, and there are more");
                return Err(Failure::new(Class::Limit, format!("{}: list comments", forge.name()), "", what)
                    .hint("write it elsewhere: --summary or --out FILE"));
            }
            match forge.create(body).await {
                // Another job may have done the same: seen by whoever looks last.
                Ok(Comment { id, url, .. }) => {
                    created = Some(Posted { done: Done::Created, id, url, removed: 0, notes: Vec::new() });
                }
                // It may be there all the same.
                Err(failure) if failure.class.effect_unknown() => last = Some(failure),
                Err(failure) => return Err(failure),
            }
            continue;
        };
        let done = if created.as_ref().is_some_and(|made| made.id == first.id) {
            Done::Created
        } else if says(first, body) {
            Done::Unchanged
        } else if is_superseded(forge, first, commit).await {
            Done::Superseded
        } else {
            match forge.edit(first.id, body).await {
                Ok(()) => Done::Edited,
                // Somebody took it away since we saw it.
                Err(gone) if gone.class == Class::NotFound => {
                    (created, last) = (None, Some(gone));
                    continue;
                }
                Err(failure) => return Err(failure),
            }
        };
        let mut posted = Posted { done, id: first.id, url: first.url.clone(), removed: 0, notes: Vec::new() };
        if let Some(newest) = commit_of(&first.body).filter(|_| done == Done::Superseded) {
            let newest: String = newest.chars().take(12).collect();
            posted.notes.push(format!("it is about the pull request's newest commit, {newest}; this is about another"));
        }
        for other in found.iter().skip(1) {
            match forge.delete(other.id).await {
                Ok(()) => posted.removed += 1,
                Err(failure) => posted.notes.push(format!("a second comment of ours stays: {failure}")),
            }
        }
        if !all {
            posted.notes.push(format!("only the first {PAGES} pages of comments were looked at"));
        }
        return Ok(posted);
    }
    Err(last.unwrap_or_else(|| {
        let what = "the comment was written, and is not among the comments";
        Failure::new(Class::Failed, format!("{}: create comment", forge.name()), "", what)
    }))
}

/// Whether a comment is about the pull request's newest commit while this is about another. Asked just before it would be edited; a forge
/// that does not tell keeps nobody from it.
async fn is_superseded(forge: &dyn Forge, there: &Comment, mine: Option<&str>) -> bool {
    let Some(theirs) = commit_of(&there.body).filter(|theirs| mine.is_some_and(|mine| mine != *theirs)) else {
        return false;
    };
    forge.head().await.is_ok_and(|head| head == theirs)
}

/// Has the commit bear this check run: the one of ours that it has, where nothing on it is out of date, else a new one, which
/// takes its place.
///
/// # Errors
/// A forge that refuses for another reason than that it has none.
pub async fn check(forge: &dyn Forge, commit: &str, check: &Check) -> Outcome<Checked> {
    match put(forge, commit, check).await {
        Ok(()) => Ok(Checked::Stands { annotations: check.annotations.len(), notes: Vec::new() }),
        Err(failure) if failure.class == Class::Unsupported => Ok(Checked::Unsupported(failure.message)),
        // One line that the forge will not have spoils all of them; the verdict counts for more.
        Err(failure) if failure.class == Class::Invalid && !check.annotations.is_empty() => {
            put(forge, commit, &Check { annotations: Vec::new(), ..check.clone() }).await?;
            let note = format!("its findings do not stand on their lines: {failure}");
            Ok(Checked::Stands { annotations: 0, notes: vec![note] })
        }
        Err(failure) => Err(failure),
    }
}

async fn put(forge: &dyn Forge, commit: &str, check: &Check) -> Outcome<()> {
    let mut last = None;
    for _ in 0..ROUNDS {
        let runs = forge.checks(commit, &check.name).await?;
        let known = runs.iter().filter(|run| run.external_id == check.external_id).max_by_key(|run| run.id);
        let missing = match known {
            Some(run) => missing(&forge.annotations(run.id).await?, &check.annotations),
            None => None,
        };
        let put = match (known, missing) {
            (Some(run), Some(missing)) => add(forge, run, check, &missing).await,
            _ => create(forge, commit, check).await,
        };
        match put {
            Err(failure) if failure.class.effect_unknown() => last = Some(failure),
            // Another app made it, or it went away.
            Err(failure) if failure.class == Class::Unsupported && known.is_some() => {
                return create(forge, commit, check).await;
            }
            other => return other,
        }
    }
    last.map_or(Ok(()), Err)
}

/// Those that are not there yet; `None` where one is there that is wanted no more, for none can be taken away.
fn missing(there: &[Annotation], wanted: &[Annotation]) -> Option<Vec<Annotation>> {
    let key = |a: &Annotation| (a.path.clone(), a.line, a.level, a.title.clone());
    let there: BTreeSet<_> = there.iter().map(key).collect();
    let all: BTreeSet<_> = wanted.iter().map(key).collect();
    there.is_subset(&all).then(|| wanted.iter().filter(|a| !there.contains(&key(a))).cloned().collect())
}

async fn create(forge: &dyn Forge, commit: &str, check: &Check) -> Outcome<()> {
    let first: Vec<Annotation> = check.annotations.iter().take(ANNOTATIONS).cloned().collect();
    let rest = &check.annotations[first.len()..];
    let run = forge.create_check(commit, &Check { annotations: first, ..check.clone() }).await?;
    if rest.is_empty() { Ok(()) } else { add(forge, &run, check, rest).await }
}

/// Each time what it says is said again, so that whatever comes last is right.
async fn add(forge: &dyn Forge, run: &CheckRun, check: &Check, annotations: &[Annotation]) -> Outcome<()> {
    let some: Vec<&[Annotation]> =
        if annotations.is_empty() { vec![&[]] } else { annotations.chunks(ANNOTATIONS).collect() };
    for some in some {
        forge.update_check(run.id, &Check { annotations: some.to_vec(), ..check.clone() }).await?;
    }
    Ok(())
}

/// A conclusion in a word.
#[must_use]
pub const fn word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Success => "success",
        Conclusion::Neutral => "neutral",
        Conclusion::Failure => "failure",
    }
}
