//! `terrace release`: the immutable bundle that goes from one environment to the next.

mod create;
mod share;

use crate::{
    base::Digest,
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result, defect},
        exit::Exit,
        releases, signatures,
        style::{bold, clean, dim, green, red},
        views::{diagnostics::plural, json::answer, table},
    },
    promote::{Difference, difference, image_difference},
    state::{ImageStanding, ListedImage, StoredRelease, release},
};
use serde_json::{Value as Json, json};
use std::{fmt::Write as _, path::PathBuf};

/// Arguments of `release`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Freeze everything that a plan is made of, except environments and their values
    Create(PlanArg),
    /// The releases there are, the newest first
    List,
    /// What a release is made of
    Show {
        /// Its digest, the beginning of it, or `latest`
        release: String,
        /// Print its list alone, byte for byte: what its digest and its signatures are of
        #[arg(long)]
        list: bool,
    },
    /// Sign a release
    Sign {
        /// Its digest, the beginning of it, or `latest`
        release: String,
        /// A private key, ECDSA on P-256 in PEM; without it the text of TERRACE_SIGNING_KEY
        #[arg(long, value_name = "FILE", conflicts_with = "signature")]
        key: Option<PathBuf>,
        /// A signature in base64 that was made elsewhere, as by `cosign sign-blob`
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
    },
    /// Send a release to a registry
    Push {
        /// Its digest, the beginning of it, or `latest`
        release: String,
        /// Where to: oci://HOST/REPOSITORY, with :TAG for a name beside its digest
        to: String,
    },
    /// Have a release from a registry
    Pull {
        /// Where from: oci://HOST/REPOSITORY:TAG, where TAG may be the first digits of a release
        from: String,
    },
    /// What changes between two releases
    Diff {
        /// The one
        before: String,
        /// The other
        after: String,
    },
}

/// Makes releases, and shows them.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.what {
        What::Create(plan) => create::run(plan.plan.as_deref(), context).await,
        What::List => list(context).await,
        What::Show { release, list } => show(&release, list, context).await,
        What::Sign { release, key, signature } => {
            share::sign(&release, key.as_ref(), signature.as_ref(), context).await
        }
        What::Push { release, to } => share::push(&release, &to, context).await,
        What::Pull { from } => share::pull(&from, context).await,
        What::Diff { before, after } => diff(&before, &after, context).await,
    }
}

async fn list(context: &Context) -> Result<Exit> {
    let ledger = releases::store(context, &context.project()?)?;
    let all = release::releases(&*ledger).await?;
    if context.terminal.json {
        let all: Vec<Json> = all.iter().map(as_json).collect();
        context.terminal.json_line(&answer("releases", json!({ "releases": all })));
    } else if all.is_empty() {
        context.terminal.status("no releases yet; terrace release create makes one");
    } else {
        let rows: Vec<Vec<String>> = all.iter().map(row).collect();
        context.terminal.data(&table::render(&["release", "plan", "created", "by", "commit"], &rows));
    }
    Ok(Exit::Done)
}

fn row(found: &StoredRelease) -> Vec<String> {
    let first = found.makings.first();
    vec![
        found.digest.short().to_owned(),
        found.release.plan.to_string(),
        found.created().strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        first.map(|m| m.by.spoken().to_owned()).unwrap_or_default(),
        first.and_then(|m| m.commit.as_deref()).map(|c| c.chars().take(12).collect()).unwrap_or_default(),
    ]
}

fn as_json(found: &StoredRelease) -> Json {
    json!({
        "digest": found.digest,
        "plan": found.release.plan,
        "folder": found.release.folder,
        "created": found.created(),
        "made": found.makings,
        "files": found.release.files,
        "charts": found.release.charts,
        "images": found.images(),
    })
}

/// Says what of a release was not as it was put into the store, and is again.
fn healed(put_back: usize, context: &Context) {
    if put_back > 0 && !context.terminal.json {
        let what = plural(put_back, "object");
        context.terminal.status(&format!("{what} of it had been altered in the store, and was put back as it was"));
    }
}

pub(crate) async fn show(word: &str, list: bool, context: &Context) -> Result<Exit> {
    let project = context.project()?;
    let ledger = releases::store(context, &project)?;
    let found = releases::find(context, &*ledger, word).await?;
    // Reading its files holds each against its digest.
    release::bundle(&*ledger, &found.digest).await?;
    if list {
        context.terminal.bytes(&found.release.canonical().map_err(|e| defect(&e))?);
        return Ok(Exit::Done);
    }
    let keys = signatures::keys(&project, &project.settings.release_keys)?;
    let (signed_by, signatures) = signatures::signed_by(&keys, &*ledger, &found.digest, &found.release).await?;
    if context.terminal.json {
        let mut json = as_json(&found);
        json["signatures"] = json!(signatures);
        json["signed_by"] = json!(signed_by);
        context.terminal.json_line(&answer("release", json));
        return Ok(Exit::Done);
    }
    let mut out = format!("{} {}\n", bold("Release"), found.digest);
    let _ = write!(out, "of plan {} in {}\n\n", found.release.plan, found.release.folder);
    for making in &found.makings {
        let commit = making.commit.as_ref().map(|c| format!(" from {c}")).unwrap_or_default();
        let at = making.at.strftime("%Y-%m-%d %H:%M:%SZ");
        let _ = match &making.from {
            Some(from) => writeln!(out, "pulled {at} by {} from {from}", making.by.spoken()),
            None => writeln!(out, "made {at} by {}{commit}", making.by.spoken()),
        };
    }
    for signature in &signatures {
        let _ = writeln!(out, "a signature by the key {}, added by {}", signature.key.short(), signature.by.spoken());
    }
    if !project.settings.release_keys.is_empty() {
        let _ = match signed_by.as_slice() {
            [] => writeln!(out, "{}", red("signed by no key of [signatures]")),
            some => writeln!(out, "{} {}", green("signed by"), some.join(", ")),
        };
    }
    if !found.release.charts.is_empty() {
        let rows = found.release.charts.iter().map(|chart| {
            let from = chart.repository.clone().unwrap_or_default();
            let kept = if chart.archive.is_some() { "kept" } else { "of the catalogue" };
            vec![chart.chart.clone(), chart.version.clone(), from, chart.short().to_owned(), kept.to_owned()]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let _ = write!(out, "\n{}", table::render(&["chart", "version", "repository", "digest", "archive"], &rows));
    }
    if !found.images().is_empty() {
        let rows: Vec<Vec<String>> = found.images().iter().map(image_row).collect();
        let _ = write!(out, "\n{}", table::render(&["image", "digest", "run by", "in"], &rows));
    }
    let archives: Vec<&str> = found.release.charts.iter().filter_map(|c| c.archive.as_deref()).collect();
    let files = found.release.files.iter().filter(|(path, _)| !archives.contains(&path.as_str()));
    let rows: Vec<Vec<String>> = files.map(|(path, digest)| vec![path.clone(), digest.short().to_owned()]).collect();
    let _ = write!(out, "\n{}", table::render(&["file", "digest"], &rows));
    context.terminal.data(&out);
    Ok(Exit::Done)
}

/// An image as a row: what it is, and of what that is sure.
fn image_row(image: &ListedImage) -> Vec<String> {
    let digest = match (image.standing, &image.digest) {
        (ImageStanding::Floating, _) => "floating".to_owned(),
        (ImageStanding::Unknown, _) => "not known".to_owned(),
        (_, digest) => digest.as_ref().map(|d| d.short().to_owned()).unwrap_or_default(),
    };
    let name = match (&image.image, &image.why) {
        // The digest has a column of its own.
        (Some(name), _) => name.split_once('@').map_or(name.as_str(), |(name, _)| name).to_owned(),
        (None, why) => clean(why.as_deref().unwrap_or("?")).into_owned(),
    };
    vec![name, digest, image.of.join(", "), image.environments.join(", ")]
}

/// An image in a line: `docker.io/library/nginx:1 (helm.web in dev, prd)`.
fn image_line(image: &ListedImage) -> String {
    let (of, environments) = (image.of.join(", "), image.environments.join(", "));
    match (&image.image, &image.why) {
        (Some(name), _) => format!("{name} ({of} in {environments})"),
        (None, why) => format!("{of} in {environments}: {}", why.as_deref().unwrap_or("it is not said why")),
    }
}

async fn diff(before: &str, after: &str, context: &Context) -> Result<Exit> {
    let ledger = releases::store(context, &context.project()?)?;
    let (one, other) =
        (releases::find(context, &*ledger, before).await?, releases::find(context, &*ledger, after).await?);
    if one.release.plan != other.release.plan {
        let message = format!("one is a release of {}, the other of {}", one.release.plan, other.release.plan);
        return Err(Error::usage("release_of_other_plan", message).hint("compare two releases of one plan"));
    }
    let (old, new) = (release::bundle(&*ledger, &one.digest).await?, release::bundle(&*ledger, &other.digest).await?);
    let found = Difference { images: image_difference(one.images(), other.images()), ..difference(&old, &new) };
    if context.terminal.json {
        let both = json!({ "before": one.digest, "after": other.digest, "difference": found });
        context.terminal.json_line(&answer("release_diff", both));
    } else if found.is_empty() {
        context.terminal.data(&format!("{} and {} are the same\n", one.digest.short(), other.digest.short()));
    } else {
        context.terminal.data(&rendered(&one.digest, &other.digest, &found));
    }
    Ok(Exit::Done)
}

fn rendered(before: &Digest, after: &Digest, found: &Difference) -> String {
    let mut out = format!("{} {} to {}\n", bold("Release"), before.short(), after.short());
    let side = |versions: &[String]| if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
    for change in &found.charts {
        let _ = write!(out, "\nchart {}: {} to {}\n", change.chart, side(&change.before), side(&change.after));
    }
    for change in &found.images {
        let _ = write!(out, "\nimage {}: {} to {}\n", change.image, side(&change.before), side(&change.after));
    }
    for path in &found.added {
        let _ = write!(out, "\n{} {path}\n", green("+"));
    }
    for path in &found.removed {
        let _ = write!(out, "\n{} {path}\n", red("-"));
    }
    for (path, lines) in &found.changed {
        let _ = write!(out, "\n~ {path}\n");
        if lines.is_empty() {
            let _ = writeln!(out, "    {}", dim("no text"));
        }
        for line in lines.lines() {
            let line = clean(line);
            let shown = match line.chars().next() {
                Some('+') => green(line),
                Some('-') => red(line),
                _ => dim(line),
            };
            let _ = writeln!(out, "    {shown}");
        }
    }
    out
}
