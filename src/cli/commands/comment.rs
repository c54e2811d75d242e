//! `terrace comment`: one Markdown comment out of saved plans, for a pull request or the summary of a CI job, and posted there.
#![expect(clippy::disallowed_methods, reason = "writes the comment's file, and behind what a CI job says of itself")]

use crate::{
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        forge,
        loaded::load,
        note::Desk,
        prices,
        views::plan::Marked,
    },
    plan::Saved,
    review::{
        Book,
        comment::{self, Link, Refused, Wanted},
        forge::COMMIT,
    },
};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// Where a job of GitHub Actions says what its summary is.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Arguments of `comment`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Saved plans, one for each environment
    #[arg(value_name = "PLANFILE", required = true)]
    plans: Vec<PathBuf>,
    /// Write it into this file; `-` is stdout, where it goes if nothing else is said
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write it behind the summary of the CI job (GITHUB_STEP_SUMMARY)
    #[arg(long)]
    summary: bool,
    /// Show the notes that `review` or `plan --annotate` made here; nothing is asked
    #[arg(long)]
    note: bool,
    /// The full report, for what has no room
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// The most characters that it may have; what the forge takes where it is left out, and GitHub's 65536 without one
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The environments that there should be a plan of: without one the comment says so, and the verdict is a failure
    #[arg(long, value_name = "ENV", value_delimiter = ',')]
    expect: Vec<String>,
    #[command(flatten)]
    forge: forge::Aim,
}

/// Writes it, and posts it where that is asked for: in this order, so that a forge that refuses costs nothing that was written.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let link = match &args.link {
        None => None,
        Some(text) => Some(Link::parse(text).ok_or_else(|| {
            Error::usage("comment_link", "`--link` is no link that a comment can hold".to_owned())
                .hint("write https://…, with whatever is no letter, digit or -._~/?&=%:+,; encoded as %XX")
        })?),
    };
    let summary = match (args.summary, context.surroundings.variable(SUMMARY)) {
        (false, _) => None,
        (true, Some(file)) => Some(context.surroundings.folder.join(file)),
        (true, None) => {
            return Err(Error::usage("comment_summary", format!("there is no summary to write: {SUMMARY} is not set"))
                .hint("--summary is for jobs of GitHub Actions; --out FILE writes it anywhere"));
        }
    };
    let folder = &context.surroundings.folder;
    let plans = args.plans.iter().map(|file| super::show::read(&folder.join(file))).collect::<Result<Vec<Saved>>>()?;
    // A plan's file can be looked at anywhere.
    let book = match context.project() {
        Ok(project) => prices::read(&project)?,
        Err(_) => Book::shipped(),
    };
    let kind = args.forge.kind();
    let longest = kind.map_or(comment::GITHUB, crate::world::live::ForgeKind::longest);
    // A forge is told of which commit it is.
    let commit = if kind.is_some() { COMMIT } else { 0 };
    let most = args.limit.unwrap_or(longest).saturating_sub(commit);
    let notes = if args.note { notes(&plans, &book, context)? } else { String::new() };
    // What was worked out comes first: a note gets no room that it would need.
    let (notes, limit) = match most.checked_sub(notes.len()).filter(|left| *left >= most / 2) {
        Some(left) => (notes, left),
        None => (String::new(), most),
    };
    let plans: Vec<&Saved> = plans.iter().collect();
    let expected =
        args.expect.iter().map(|env| env.trim().into()).filter(|env: &std::sync::Arc<str>| !env.is_empty()).collect();
    let wanted = Wanted { limit, link, expected };
    known(&wanted, &plans, context)?;
    let text = text(&plans, &book, &wanted)? + &notes;
    if let Some(file) = &summary {
        append(file, &text)?;
    }
    match &args.out {
        Some(file) if file.as_os_str() != "-" => write(&folder.join(file), &text)?,
        None if summary.is_some() || kind.is_some() => {}
        _ => context.terminal.data(&text),
    }
    if let Some(kind) = kind {
        let target = args.forge.target(kind, &context.surroundings)?;
        Box::pin(forge::post(&target, &text, &plans, &book, &wanted, context)).await?;
    }
    Ok(Exit::Done)
}

/// Refuses an expected environment that the plan does not have, where this is the folder of its project: it would never be planned.
fn known(wanted: &Wanted, plans: &[&Saved], context: &Context) -> Result<()> {
    let Some(header) = plans.first().map(|plan| &plan.content.header).filter(|_| !wanted.expected.is_empty()) else {
        return Ok(());
    };
    let Ok(loaded) = load(context, Some(&header.plan)) else { return Ok(()) };
    if *loaded.configuration.label != *header.plan {
        return Ok(());
    }
    wanted.expected.iter().try_for_each(|env| loaded.named_environment(env).map(drop))
}

/// What models said of these plans before.
fn notes(plans: &[Saved], book: &Book, context: &Context) -> Result<String> {
    let desk = Desk::open(&context.project()?, context)?;
    let mut out = String::new();
    for saved in plans {
        let env = &saved.content.header.env;
        if let Some(written) = desk.made_before(saved, book) {
            out.push_str(&comment::advice(&written.note, &written.model, env));
        } else {
            let what = format!("note: there is none on this plan of {env}; terrace review makes one");
            context.terminal.status(&what);
        }
    }
    Ok(out)
}

/// The comment on these plans.
///
/// # Errors
/// Plans that are not of one thing.
pub(crate) fn text(plans: &[&Saved], book: &Book, wanted: &Wanted) -> Result<String> {
    comment::comment(plans, book, &Marked, wanted).map_err(|refused| {
        let hint = match &refused {
            Refused::Nothing => "terrace plan --out FILE makes a saved plan",
            Refused::Several(..) => "write a comment for each; they do not get into each other's way",
            Refused::Twice(_) => "give one plan for each environment: the newest",
            Refused::Short(_) => "leave --limit out for what the forge takes",
        };
        Error::usage("comment_plans", refused.to_string()).hint(hint)
    })
}

/// Writes a comment's file.
///
/// # Errors
/// A disk that refuses.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::new("file_unwritable", format!("{}: {e}", path.display())))
}

fn append(path: &Path, text: &str) -> Result<()> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(format!("\n{text}").as_bytes()))
        .map_err(|e| Error::new("file_unwritable", format!("{}: {e}", path.display())))
}
