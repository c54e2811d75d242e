//! `terrace audit`: who did what to an environment, as a chain of records that shows when somebody had a hand in it.

use crate::{
    base::{Digest, canonical_json},
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result, defect},
        exit::Exit,
        loaded::load,
        place,
        style::{clean, dim},
        views::{diagnostics::plural, json::answer, table},
    },
    state::audit::{self, Anchor, Broken, Deed, Link},
};
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Who did what, oldest first
    Log {
        #[command(flatten)]
        plan: PlanArg,
        #[command(flatten)]
        filter: Filter,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Follow the chain from its first record to its last, and name the first broken link
    Verify {
        #[command(flatten)]
        plan: PlanArg,
        /// The end of the chain as it was once, by `audit anchor`: a chain whose end was cut off does not have it
        #[arg(long, value_name = "FILE")]
        anchor: Option<PathBuf>,
        /// What `audit export` wrote, in the place of the environment's own
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// The end of the chain, to be kept elsewhere
    Anchor {
        #[command(flatten)]
        plan: PlanArg,
    },
    /// All records as JSON Lines
    Export {
        #[command(flatten)]
        plan: PlanArg,
        /// Only what is about this release
        #[arg(long, value_name = "DIGEST")]
        release: Option<String>,
        /// Each as a `CloudEvent`
        #[arg(long)]
        cloudevents: bool,
    },
}

/// Which records are meant.
#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// Only this
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(Deed::ALL.map(Deed::word)))]
    deed: Option<String>,
    /// Only by this person or caller
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Only since this moment, like 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what is about this release
    #[arg(long, value_name = "DIGEST")]
    release: Option<String>,
    /// Only what is about this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

impl Filter {
    fn takes(&self, link: &Link) -> bool {
        let act = &link.act;
        let by = |who: &String| act.by.spoken().contains(who.as_str()) || act.by.arn.contains(who.as_str());
        self.deed.as_ref().is_none_or(|deed| act.deed.word() == deed)
            && self.by.as_ref().is_none_or(by)
            && self.since.is_none_or(|since| act.at >= since)
            && self.release.as_ref().is_none_or(|word| act.release.as_ref().is_some_and(|d| d.begins_with(word)))
            && self.run.as_ref().is_none_or(|run| act.run.as_ref().is_some_and(|own| *own.0 == **run))
    }
}

/// Looks at the chain.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.what {
        What::Log { plan, filter, limit } => {
            let (links, broken) = readable(&chain(&plan, context).await?);
            let mut links: Vec<Link> = links.into_iter().filter(|link| filter.takes(link)).collect();
            links.drain(..limit.map_or(0, |limit| links.len().saturating_sub(limit)));
            log(&links, context);
            if let Some(broken) = broken {
                context.terminal.status(&format!("warning: {broken}; what follows it is not shown"));
            }
        }
        What::Verify { plan, anchor, file } => {
            let anchor = anchor.map(|file| read_anchor(&file, context)).transpose()?;
            let chain = match file {
                Some(file) => read_export(&file, context)?,
                None => chain(&plan, context).await?,
            };
            return verify(&chain, anchor.as_ref(), context);
        }
        What::Anchor { plan } => {
            let loaded = load(context, plan.plan.as_deref())?;
            let chosen = loaded.choose(context).await?;
            let end = audit::end(&*place::ledger(context, &loaded, &chosen)?).await?;
            let end = end.ok_or_else(|| Error::new("audit_empty", "nothing was recorded here yet"))?;
            context.terminal.json_line(&end);
        }
        What::Export { plan, release, cloudevents } => {
            let chain = chain(&plan, context).await?;
            let links = audit::follow(&chain, None).map_err(|broken| refused(&broken))?;
            let filter = Filter { release, ..Filter::default() };
            for link in links.iter().filter(|link| filter.takes(link)) {
                if cloudevents {
                    context.terminal.json_line(&event(link));
                } else {
                    context.terminal.json_line(link);
                }
            }
        }
    }
    Ok(Exit::Done)
}

async fn chain(plan: &PlanArg, context: &Context) -> Result<BTreeMap<u64, Vec<u8>>> {
    let loaded = load(context, plan.plan.as_deref())?;
    let chosen = loaded.choose(context).await?;
    Ok(audit::load(&*place::ledger(context, &loaded, &chosen)?).await?)
}

/// As many records from the first on as hang together, and why no more do.
fn readable(chain: &BTreeMap<u64, Vec<u8>>) -> (Vec<Link>, Option<Broken>) {
    match audit::follow(chain, None) {
        Ok(links) => (links, None),
        Err(broken) => {
            let whole: BTreeMap<u64, Vec<u8>> =
                chain.range(..broken.number()).map(|(number, bytes)| (*number, bytes.clone())).collect();
            (audit::follow(&whole, None).unwrap_or_default(), Some(broken))
        }
    }
}

fn log(links: &[Link], context: &Context) {
    if context.terminal.json {
        return context.terminal.json_line(&answer("audit", json!({ "records": links })));
    }
    if links.is_empty() {
        return context.terminal.status("nothing is recorded");
    }
    let row = |link: &Link| {
        let act = &link.act;
        let about = act.run.as_ref().map(ToString::to_string);
        let about = about.or_else(|| act.plan.as_ref().map(|plan| plan.short().to_owned()));
        let passed = act.passed.iter().map(|(what, why)| format!("{what}: {why}"));
        let why: Vec<String> = act.reason.iter().cloned().chain(passed).collect();
        [
            link.number.to_string(),
            act.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            act.by.spoken().to_owned(),
            act.deed.word().to_owned(),
            act.what.clone(),
            about.unwrap_or_default(),
            act.release.as_ref().map(|release| release.short().to_owned()).unwrap_or_default(),
            act.outcome.clone().unwrap_or_default(),
            why.join("; "),
        ]
        .iter()
        .map(|cell| clean(cell).to_string())
        .collect()
    };
    let rows: Vec<Vec<String>> = links.iter().map(row).collect();
    let heading = ["no", "when", "by", "deed", "what", "run or plan", "release", "outcome", "why"];
    context.terminal.data(&table::render(&heading, &rows));
}

fn verify(chain: &BTreeMap<u64, Vec<u8>>, anchor: Option<&Anchor>, context: &Context) -> Result<Exit> {
    let links = audit::follow(chain, anchor).map_err(|broken| refused(&broken))?;
    let end = chain.last_key_value().map(|(number, bytes)| Anchor { number: *number, digest: Digest::of(bytes) });
    if context.terminal.json {
        context.terminal.json_line(&answer("audit_verified", json!({ "records": links.len(), "end": end })));
        return Ok(Exit::Done);
    }
    let Some(end) = end else {
        context.terminal.status("nothing is recorded");
        return Ok(Exit::Done);
    };
    let whole = format!("{} hang together; the last is {}", plural(links.len(), "record"), end.digest.short());
    context.terminal.status(&whole);
    match anchor {
        Some(anchor) => context.terminal.status(&format!("record {} is the one that the anchor knows", anchor.number)),
        None => context.terminal.status(&dim(
            "whether its end was cut off only an anchor tells: terrace audit anchor > FILE, kept elsewhere",
        )),
    }
    Ok(Exit::Done)
}

fn refused(broken: &Broken) -> Error {
    Error::new("audit_broken", broken.to_string())
        .because("each record names the digest of the one before it, and Terrace never changes one")
        .hint("compare with a copy: versions of the bucket, or what `audit export` wrote earlier")
}

#[expect(clippy::disallowed_methods, reason = "reads a file that a person names")]
fn text_of(file: &Path, context: &Context) -> Result<String> {
    let path = context.surroundings.folder.join(file);
    std::fs::read_to_string(&path).map_err(|e| Error::new("file_unreadable", format!("{}: {e}", path.display())))
}

fn read_anchor(file: &Path, context: &Context) -> Result<Anchor> {
    let wrong = |why: serde_json::Error| {
        Error::usage("audit_anchor", format!("{} is no anchor: {why}", file.display()))
            .hint("terrace audit anchor > FILE writes one")
    };
    serde_json::from_str(&text_of(file, context)?).map_err(wrong)
}

/// The records of an export, with the bytes that they have in the chain.
fn read_export(file: &Path, context: &Context) -> Result<BTreeMap<u64, Vec<u8>>> {
    let text = text_of(file, context)?;
    let mut chain = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: &dyn std::fmt::Display| {
            let what = format!("{}, line {}: {why}", file.display(), at + 1);
            Error::usage("audit_export", what).hint("terrace audit export > FILE writes one, without --release")
        };
        let json: Json = serde_json::from_str(line).map_err(|why| wrong(&why))?;
        let number = json["number"].as_u64().ok_or_else(|| wrong(&"it has no number"))?;
        if let Some((&behind, _)) = chain.last_key_value().filter(|(last, _)| **last >= number) {
            return Err(refused(&Broken::Misplaced { number, behind }));
        }
        chain.insert(number, canonical_json(&json).map_err(|e| defect(&e))?);
    }
    Ok(chain)
}

/// A record as an event. Source: `CloudEvents` 1.0.
fn event(link: &Link) -> Json {
    let subject = link.act.run.as_ref().map(ToString::to_string);
    let subject = subject.or_else(|| link.act.plan.as_ref().map(ToString::to_string));
    json!({
        "specversion": "1.0",
        "id": format!("audit-{}", link.number),
        "source": "/terrace/audit",
        "type": format!("dev.terrace.audit.{}", link.act.deed.word()),
        "subject": subject,
        "time": link.act.at.to_string(),
        "datacontenttype": "application/json",
        "data": link,
    })
}
