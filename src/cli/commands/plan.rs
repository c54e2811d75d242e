//! `terrace plan`: the difference between what is declared and what is live.
#![expect(clippy::disallowed_methods, reason = "writes the plan's file")]

mod next;

use crate::{
    base::ActionWord,
    cli::{
        args::{PlanArg, Selection},
        audited,
        context::Context,
        error::{Error, Result, defect},
        exit::Exit,
        images,
        loaded::load_meant,
        note,
        notify::{self, Happening, What},
        place, policies, prices, pull_request,
        stage::{self, Stage},
        style::bold,
        variables,
        views::{self, json},
    },
    plan::{self, Judgement, Mode, Request, Saved},
    review::{
        Book,
        comment::{self, Wanted},
        report::report,
    },
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Save the plan, to apply exactly that
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Say in a Markdown file what the plan does, as `comment` does
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Say all of it in a page of HTML that needs nothing beside itself
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// A plan to destroy everything that is remembered
    #[arg(long, conflicts_with_all = ["refresh_only", "replace"])]
    destroy: bool,
    /// Only take over into state what is live
    #[arg(long, conflicts_with_all = ["replace", "offline"])]
    refresh_only: bool,
    /// Do not ask the world: state stands in for what is live
    #[arg(long)]
    offline: bool,
    /// Do not make change sets: what stacks would change is told from their templates
    #[arg(long)]
    no_change_sets: bool,
    /// Do not look for drift inside stacks
    #[arg(long)]
    no_drift: bool,
    /// A plan of this release: nothing of the working folder counts but environments and their values
    #[arg(long, value_name = "DIGEST")]
    release: Option<String>,
    /// Have a model say in plain words what the plan does, where terrace.toml names one
    #[arg(long)]
    annotate: bool,
    /// End with 2 where there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    guard: pull_request::ForPullRequest,
}

/// Makes and shows the plan.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let guarded = args.guard.guarded(&context.surroundings)?;
    let offline = args.offline || guarded.fork;
    if guarded.fork && args.release.is_some() {
        return Err(Error::usage("pull_request_fork", "a pull request from a fork is of no release")
            .hint("leave --release out: where releases are kept is not asked for a fork"));
    }
    let proposed = guarded != pull_request::Guarded::default();
    let context = &if proposed { context.for_a_proposal(&guarded) } else { context.clone() };
    let loaded = load_meant(context, args.plan.plan.as_deref(), args.release.as_deref()).await?;
    if guarded.spared.contains(&pull_request::Program::Kustomize) {
        loaded.sources.build_nothing();
    }
    let chosen = if offline { loaded.choose_unasked(context)? } else { loaded.choose(context).await? };
    let variables = variables::gather(context, &loaded, &chosen.environment.name)?;
    let stage = if offline {
        stage::set_unasked(context, loaded, chosen.clone(), variables).await?
    } else {
        stage::set(context, loaded, chosen.clone(), variables).await?
    };
    if !offline {
        Box::pin(images::hold(&stage, false, context)).await?;
    }
    // What a run that was cut off has begun would be told as somebody else's doing.
    place::no_open_run(&stage.subject.state)?;
    let request = Request {
        mode: match (args.destroy, args.refresh_only) {
            (true, _) => Mode::Destroy,
            (_, true) => Mode::RefreshOnly,
            _ => Mode::Normal,
        },
        targets: args.selection.target.clone(),
        replace: args.selection.replace.clone(),
        offline,
        spared: guarded.kinds(),
        change_sets: !args.no_change_sets && !offline,
        drift: !args.no_drift,
        ..Request::default()
    };
    // What is wrong with them is told before anything is left in the world.
    let book = prices::read(&stage.loaded.place.project)?;
    let mut made = Box::pin(stage.make_judged(context, &request)).await?;
    made.plan.notes.extend(guarded.told(&made.plan));
    let mut saved = stage::save(made)?;
    if args.out.is_none() {
        // Before anything is printed: whoever reads may go away in the middle.
        stage.discard(&saved.attachment, context).await;
    }
    show(&saved, &book, context);
    // What was made was made, wherever it is kept: a comment on its file tells where the chain ended.
    saved.attachment.audit = audited::planned(context, &stage, &chosen, &saved).await;
    if let Some(file) = &args.out {
        let path = context.surroundings.folder.join(file);
        if let Err(error) = write(&path, &saved) {
            stage.discard(&saved.attachment, context).await;
            return Err(error);
        }
    }
    // Where to is written in what somebody else proposes.
    if !guarded.fork {
        tell(&saved, What::Planned, &stage, context).await;
    }
    write_for_people(&saved, &book, args.markdown.as_deref(), args.html.as_deref(), context)?;
    if args.annotate {
        Box::pin(note::annotate(&saved, &book, &stage.loaded.place.project, context)).await;
    }
    let denied = saved.content.judgement.as_ref().is_some_and(Judgement::denies);
    if let Some(file) = args.out.as_ref().filter(|_| !context.terminal.json && saved.content.has_changes()) {
        context.terminal.status(&format!("Saved as {} ({})", file.display(), saved.digest.short()));
    }
    if !context.terminal.json && saved.content.has_changes() && !denied && !proposed {
        let next = next::command(&saved.content.header, &args, &stage.loaded, context);
        context.terminal.status(&format!("Next: {}", bold(&next.words)));
        if let Some(again) = next.again {
            context.terminal.status(&again);
        }
    }
    policies::hold(&saved.content, saved.content.judgement.as_ref(), false, context)?;
    Ok(if args.detailed_exitcode && saved.content.has_changes() { Exit::Changes } else { Exit::Done })
}

/// Tells whoever wants to know of a plan that changes something.
pub(crate) async fn tell(saved: &Saved, what: What, stage: &Stage, context: &Context) {
    if !saved.content.has_changes() {
        return;
    }
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for node in saved.content.nodes.iter().filter(|n| !matches!(n.action, ActionWord::NoOp | ActionWord::Read)) {
        *counts.entry(node.action.word()).or_default() += 1;
    }
    let data = json!({ "digest": saved.digest, "changes": counts });
    notify::tell(stage, context, &Happening { what, subject: saved.digest.short().to_owned(), data }).await;
}

/// Shows a plan: on screen, or as JSON.
pub(crate) fn show(saved: &Saved, book: &Book, context: &Context) {
    if context.terminal.json {
        context.terminal.json_line(&json::of_plan(saved, book));
    } else {
        context.terminal.data(&views::plan::render(&saved.content, book, context.terminal.width));
    }
}

/// Writes what a plan does into files that people read: in Markdown, as `comment` does, and as a page of HTML.
///
/// # Errors
/// A disk that refuses.
pub(crate) fn write_for_people(
    saved: &Saved,
    book: &Book,
    markdown: Option<&Path>,
    html: Option<&Path>,
    context: &Context,
) -> Result<()> {
    let folder = &context.surroundings.folder;
    if let Some(file) = markdown {
        let wanted = Wanted { limit: comment::GITHUB, link: None, expected: Vec::new() };
        super::comment::write(&folder.join(file), &super::comment::text(&[saved], book, &wanted)?)?;
    }
    if let Some(file) = html {
        super::comment::write(&folder.join(file), &report(saved, book, &views::Beside))?;
    }
    Ok(())
}

/// Writes a plan's file, which only its owner may read.
///
/// # Errors
/// A disk that refuses.
pub(crate) fn write(path: &Path, saved: &Saved) -> Result<()> {
    let bytes = plan::write(saved).map_err(|e| defect(&e))?;
    let unwritable = |e: &dyn std::fmt::Display| Error::new("file_unwritable", format!("{}: {e}", path.display()));
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| unwritable(&e))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| unwritable(&e))?;
    std::io::Write::write_all(&mut file, &bytes).map_err(|e| unwritable(&e))?;
    file.persist(path).map_err(|e| unwritable(&e.error))?;
    Ok(())
}
