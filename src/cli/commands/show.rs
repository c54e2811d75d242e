//! `terrace show`: a saved plan again, a plan that waits for approval, or a release.
#![expect(clippy::disallowed_methods, reason = "reads the plan's file")]

use crate::{
    base::Digest,
    cli::{
        context::Context,
        delivery,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        prices, releases,
        style::dim,
    },
    plan::{self, Saved},
    promote::stored,
    review::Book,
    state::release,
};
use std::path::{Path, PathBuf};

/// How many digits of a digest are enough to look for it.
const DIGITS: usize = 4;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A saved plan's file; or the first digits of a plan that waits for approval, or of a release
    #[arg(value_name = "FILE|DIGEST")]
    what: String,
    /// Say in a Markdown file what the plan does, as `comment` does
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Say all of it in a page of HTML that needs nothing beside itself
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Shows it.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let path = context.surroundings.folder.join(&args.what);
    let digits = args.what.strip_prefix("sha256:").unwrap_or(&args.what);
    let is_digest = digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    // A file of that name is what somebody has before their eyes.
    if !path.exists() && is_digest {
        return by_digest(args, context).await;
    }
    let saved = read(&path)?;
    shown(&saved, args, context)?;
    Ok(Exit::Done)
}

fn shown(saved: &Saved, args: &Args, context: &Context) -> Result<()> {
    // A plan's file can be looked at anywhere.
    let book = match context.project() {
        Ok(project) => prices::read(&project)?,
        Err(_) => Book::shipped(),
    };
    super::plan::show(saved, &book, context);
    super::plan::write_for_people(saved, &book, args.markdown.as_deref(), args.html.as_deref(), context)?;
    if !context.terminal.json {
        let made = saved.attachment.made.map(|at| format!(", made {at}")).unwrap_or_default();
        context.terminal.status(&dim(format!("{}{made} by terrace {}", saved.digest, saved.content.header.terrace)));
    }
    Ok(())
}

/// A plan that waits in an environment, or a release.
async fn by_digest(args: &Args, context: &Context) -> Result<Exit> {
    let word = args.what.as_str();
    let project = context.project()?;
    let all = release::releases(&*releases::store(context, &project)?).await?;
    let is_release = all.iter().any(|r| r.digest.begins_with(word));
    let waiting = waiting(word, context).await;
    let plans = match waiting {
        Ok(plans) => plans,
        // A release is told whatever the plans of this folder are like.
        Err(_) if is_release => Vec::new(),
        Err(error) => return Err(error),
    };
    match (plans.as_slice(), is_release) {
        ([], true) if args.markdown.is_some() || args.html.is_some() => {
            Err(Error::usage("plan_unknown", format!("`{word}` is a release and no plan"))
                .hint("terrace plan --release DIGEST --html FILE says what it does to an environment"))
        }
        ([], true) => super::release::show(word, false, context).await,
        ([one], false) => {
            shown(one, args, context)?;
            Ok(Exit::Done)
        }
        ([], false) => {
            Err(Error::usage("plan_unknown", format!("`{word}` is no file, no plan that waits and no release"))
                .hint("terrace pipeline names the plans that wait, terrace release list the releases"))
        }
        (several, _) => {
            let plans = several.iter().map(|p| format!("the plan {} for {}", p.digest.short(), p.content.header.env));
            let releases = all.iter().filter(|r| r.digest.begins_with(word));
            let named: Vec<String> =
                plans.chain(releases.map(|r| format!("the release {}", r.digest.short()))).collect();
            Err(Error::usage("plan_unknown", format!("`{word}` means several things"))
                .hint(format!("write more of it: {}", named.join(", "))))
        }
    }
}

/// Plans that wait in any environment of the folder's plan.
async fn waiting(word: &str, context: &Context) -> Result<Vec<Saved>> {
    let loaded = load(context, None)?;
    let named = context.global.env.as_deref();
    let mut found: Vec<Saved> = Vec::new();
    for environment in loaded.configuration.environments.values() {
        if named.is_some_and(|env| *environment.name != *env) {
            continue;
        }
        let recorded = delivery::recorded(context, &loaded, environment).await;
        if let Some(ledger) = recorded.ledger {
            let begins = |digest: &Digest| digest.begins_with(word);
            found.extend(stored::waiting(&*ledger).await?.into_iter().filter(|saved| begins(&saved.digest)));
        }
    }
    Ok(found)
}

/// Reads a plan's file.
///
/// # Errors
/// A file that is not there, or is no plan that can be used.
pub(crate) fn read(path: &Path) -> Result<Saved> {
    let bytes = std::fs::read(path).map_err(|e| Error::new("file_unreadable", format!("{}: {e}", path.display())))?;
    Ok(plan::read(&bytes)?)
}
