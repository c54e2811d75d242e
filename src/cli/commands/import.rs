//! `terrace import`: takes over what exists; or writes the block that would declare it.
#![expect(clippy::disallowed_methods, reason = "writes the file that a generated block names")]

use crate::{
    base::Address,
    cli::{
        args::{Consent, PlanArg},
        commands::{
            apply::{Fresh, plan_and_apply_on},
            console::tell,
        },
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        stage::{self, Stage},
        style::bold,
        variables,
        views::json::answer,
    },
    kinds::{self, Block, Kind, Written},
    lang::Evaluator,
    plan::{Mode, Request, connect, look},
    world::Class,
};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How long reading what is to be declared may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where a generated block expects its file, unless `--out` says another folder.
const USUAL_FOLDER: &str = "cfn-templates";

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it becomes, like stack.network
    #[arg(value_name = "ADDR")]
    to: Address,
    /// What it is called where it lives: a stack's name or ARN, CLUSTER:ADDON, `apps/v1 Deployment shop/web`
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    plan: PlanArg,
    /// Print the block that declares it instead, and take nothing over
    #[arg(long)]
    generate: bool,
    /// Write the template that the block names into this folder
    #[arg(long, value_name = "DIR", requires = "generate")]
    out: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

/// Takes over, or writes.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let chosen = loaded.choose(context).await?;
    let variables = variables::gather(context, &loaded, &chosen.environment.name)?;
    let project = loaded.place.project.clone();
    let evaluator = if args.generate { Some(variables::evaluator(context, &loaded, &chosen)?.0) } else { None };
    let mut stage = stage::set(context, loaded, chosen, variables).await?;
    if let Some(evaluator) = evaluator {
        return generate(&args, &stage, evaluator, context).await;
    }
    let imports = BTreeMap::from([(args.to.clone(), args.id.clone())]);
    let request = Request { mode: Mode::Import, imports, ..Request::default() };
    let fresh = Fresh { command: "import", plan: None, release: None, request };
    let exit = Box::pin(plan_and_apply_on(&mut stage, &project, fresh, &args.consent, context)).await?;
    if exit == Exit::Done {
        context.terminal.status(&format!("Next: {} shows what still differs", bold("terrace plan")));
    }
    Ok(exit)
}

async fn generate(args: &Args, stage: &Stage, evaluator: Evaluator, context: &Context) -> Result<Exit> {
    let to = &args.to;
    if !to.module().is_empty() || to.key().is_some() {
        return Err(Error::usage("generate_address", format!("no block can be written for {to}"))
            .because("a block lies in the plan's own folder, and is one thing")
            .hint(format!("name it {}.{}, and move it where it belongs", to.kind(), to.name())));
    }
    let kind = kinds::kind(to.kind())
        .ok_or_else(|| Error::usage("unsupported_kind", format!("there is no kind `{}`", to.kind())))?;
    let written = described(kind, args, stage, evaluator).await?;
    let folder = folder(args, stage, context)?;
    let phases = &stage.loaded.configuration.phases;
    let declared = phases.len() > 1 || phases.iter().any(|p| &*p.name != "main" || p.description.is_some());
    let phase = phases.first().filter(|_| declared).map(|p| &*p.name);
    let block = Block { kind: to.kind(), name: to.name(), id: &args.id, phase, folder: &folder };
    let text = written.text(&block);
    let mut file = None;
    if let (Some((_, name, content)), Some(out)) = (&written.file, &args.out) {
        let path = context.surroundings.folder.join(out).join(name);
        write(&path, content)?;
        context.terminal.status(&format!("wrote {}", path.display()));
        file = Some(path);
    }
    for note in &written.notes {
        context.terminal.status(&format!("note: {note}"));
    }
    if let (Some((_, name, _)), None) = (&written.file, &args.out) {
        let message = format!("the template is not written: add --out {USUAL_FOLDER} for {USUAL_FOLDER}/{name}");
        context.terminal.status(&message);
    }
    if let Some(phase) = phase.filter(|_| phases.len() > 1) {
        context.terminal.status(&format!("put it into the phase that it belongs to; `{phase}` is only the first"));
    }
    if context.terminal.json {
        context.terminal.json_line(&answer("import", json!({ "hcl": text, "file": file, "notes": written.notes })));
    } else {
        context.terminal.data(&text);
    }
    Ok(Exit::Done)
}

async fn described(kind: &'static dyn Kind, args: &Args, stage: &Stage, evaluator: Evaluator) -> Result<Written> {
    let to = &args.to;
    let wrong =
        |why| Error::new("import_id", format!("{to}: this id is of the wrong form")).because(why).exit(Exit::Usage);
    let identity = kind.import_identity(&args.id).map_err(wrong)?;
    let connections = connections(kind, stage, evaluator)?;
    let world = connect::context(&stage.subject, to, &connections, PATIENCE, look::quiet())?;
    match kind.written(&world, &identity).await {
        Ok(Some(written)) => Ok(written),
        Ok(None) => Err(Error::new("import_absent", format!("{to}: there is nothing called `{}`", args.id))
            .hint("check the name, the account and the region")),
        Err(failure) if failure.class != Class::Unsupported => Err(failure.into()),
        Err(_) => Err(Error::new("generate_unsupported", format!("no block is written for `{}` yet", to.kind()))
            .because("what of it was given and what its platform made of that cannot be told apart")
            .hint(format!("declare {to}, then take it over with terrace import '{to}' '{}'", args.id))),
    }
}

/// Where a thing of this kind lives that names no connection, as far as state remembers what that needs.
fn connections(kind: &dyn Kind, stage: &Stage, mut evaluator: Evaluator) -> Result<connect::Connections> {
    tell(&mut evaluator, &stage.subject.state);
    let found = connect::connections(&stage.subject, &mut evaluator, None, kind.schema().connection, false);
    match found.map_err(|problems| Error::from(problems).with_sources(stage.loaded.texts()))? {
        Ok(connections) => Ok(connections),
        Err(waiting) => {
            let for_: Vec<String> = waiting.for_.iter().map(ToString::to_string).collect();
            Err(Error::new("no_cluster", format!("{} is not known yet", waiting.connection))
                .because(format!("it needs {}, which is not applied", for_.join(", ")))
                .hint("apply that first"))
        }
    }
}

/// The folder of the file that the block names, relative to the project.
fn folder(args: &Args, stage: &Stage, context: &Context) -> Result<String> {
    let Some(out) = &args.out else { return Ok(USUAL_FOLDER.to_owned()) };
    let project = &stage.loaded.place.project.folder;
    let outside = || {
        Error::usage("file_outside_project", format!("{} lies outside of the project", out.display()))
            .hint("a template is read from the project's own folder")
    };
    let mut clean = PathBuf::new();
    for part in context.surroundings.folder.join(out).components() {
        match part {
            std::path::Component::ParentDir => drop(clean.pop()),
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    let inside = clean.strip_prefix(project).map_err(|_| outside())?;
    Ok(inside.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/"))
}

/// Writes a file that is not there yet, or holds the same already.
fn write(path: &std::path::Path, content: &str) -> Result<()> {
    let unwritable = |e: &dyn std::fmt::Display| Error::new("file_unwritable", format!("{}: {e}", path.display()));
    match std::fs::read(path) {
        Ok(there) if there == content.as_bytes() => return Ok(()),
        Ok(_) => {
            return Err(Error::new(
                "already_there",
                format!("nothing is written: {} is there already", path.display()),
            )
            .hint("take it away, or name another folder with --out"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unwritable(&error)),
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| unwritable(&e))?;
    }
    std::fs::write(path, content).map_err(|e| unwritable(&e))
}
