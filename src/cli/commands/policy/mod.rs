//! `terrace policy`: what rules there are, what they find in a plan, and whether they find what they should.
#![expect(clippy::disallowed_methods, reason = "writes what rules look at, for whoever writes them")]

mod coverage;
mod waive;

use crate::{
    base::{Address, Severity as Loudness, few},
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::{Loaded, choose, load},
        made_of, packs, place,
        policies::{self, Packs},
        project::Project,
        registries,
        settings::Backend,
        style::{dim, green, red, yellow},
        surroundings::Surroundings,
        views::{
            diagnostics::{self, plural},
            finding,
            json::answer,
            table,
        },
    },
    lang::MemorySources,
    plan::{Finding, Judgement, Severity},
    policy::{self, Checked, Material, Proof},
    state::{Standing, facts},
    world::Failure,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) use waive::agree;

/// So many rules are named that had nothing to look at.
const IDLE: usize = 12;

/// Arguments of `policy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What the rules find in what a plan is made of in an environment
    Check {
        #[command(flatten)]
        plan: PlanArg,
        /// Write what rules look at into this folder, as they see it
        #[arg(long, value_name = "FOLDER")]
        write: Option<PathBuf>,
    },
    /// The rules of the project's packs
    List,
    /// Which controls are claimed, by what, and what proves them, at which run
    Coverage(coverage::Args),
    /// Hold the rules against the fixtures of their packs
    Test,
    /// Put a pack into a registry, and say how projects name it
    Push {
        /// Its folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// `oci://HOST/REPOSITORY:TAG`
        #[arg(value_name = "PLACE")]
        place: String,
    },
    /// Ask that what a rule finds be let pass for a time; it counts once somebody else agrees
    Waive(waive::Args),
    /// The waivers of an environment
    Waivers,
}

/// Does what is asked.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.what {
        What::Check { plan, write } => check(plan.plan.as_deref(), write.as_deref(), context).await,
        What::List => list(context).await,
        What::Coverage(args) => coverage::run(args, context).await,
        What::Push { folder, place } => push(&folder, &place, context).await,
        What::Test => test(context).await,
        What::Waive(args) => waive::run(args, context).await,
        What::Waivers => waive::list(context).await,
    }
}

/// Pushes a pack that holds what its fixtures say.
async fn push(folder: &Path, to: &str, context: &Context) -> Result<Exit> {
    let project = context.project()?;
    let (registry, tag) = registries::placed(&project, "policy push", to)?;
    let Some(tag) = tag.filter(|tag| !tag.starts_with("sha256:")) else {
        return Err(Error::usage("registry_place", format!("`{to}` names no tag"))
            .hint("write oci://HOST/REPOSITORY:TAG; the digest comes of what is pushed"));
    };
    let files = packs::files(&context.surroundings.folder.join(folder))?;
    let sources = files.iter().map(|(path, content)| (format!("pack/{path}"), content.as_slice().into()));
    let pack = policy::pack::read("pack", &MemorySources(sources.collect()))?;
    let digest = policy::push_pack(&*registry, &files, &tag).await?;
    let name = format!("{}@{digest}", registry.place());
    if context.terminal.json {
        let said =
            json!({ "pack": pack.name, "version": pack.version, "source": name, "tag": tag, "files": files.len() });
        context.terminal.json_line(&answer("policy_pushed", said));
        return Ok(Exit::Done);
    }
    context.terminal.data(&format!("{name}\n"));
    context.terminal.status(&format!("{} {} is there; projects name it so in [policy] packs", pack.name, pack.version));
    Ok(Exit::Done)
}

/// The packs of the project, of which there has to be one.
async fn packs(project: &Project, plan: Option<&str>, context: &Context) -> Result<Packs> {
    let packs = policies::read(project, plan, context).await?;
    if packs.all.is_empty() {
        return Err(Error::new("policy_no_packs", "the project has no pack of rules")
            .hint("name folders in terrace.toml: [policy] packs = [\"policies/own\"]"));
    }
    Ok(packs)
}

async fn check(plan: Option<&str>, write: Option<&Path>, context: &Context) -> Result<Exit> {
    let loaded = load(context, plan)?;
    let project = &loaded.place.project;
    let packs = packs(project, Some(&loaded.configuration.label), context).await?;
    let environment = loaded.environment(context)?;
    // Charts of the project are rendered from where they are declared.
    Surroundings::enter(&project.work)
        .map_err(|e| Error::new("file_unreadable", format!("{}: {e}", project.work.display())))?;
    let made_of = made_of::of_environment(context, &loaded, environment)?;
    let world = place::open_world(context, project, &choose(environment, context.global.sandbox))?;
    let material = policy::material(&*world.charts(), made_of).await;
    if let Some(folder) = write {
        write_out(&context.surroundings.folder.join(folder), &material)?;
    }
    let texts = loaded.texts();
    let guard = policies::guard()?;
    let checked = policy::check(&guard, &packs.all, &packs.strictness, &material, None, &texts).await;
    let checked = checked.map_err(|e| Error::from(e).with_sources(packs.texts.clone()))?;
    let checked = waived(checked, &loaded, context).await?;
    show(&checked, &material.unseen, &environment.name, context);
    if let Some((address, failure)) = material.unseen.first() {
        return Err(policies::unseen(address, failure));
    }
    Ok(if checked.denied() { Exit::Denied } else { Exit::Done })
}

/// Writes what rules look at, for whoever writes rules.
fn write_out(folder: &Path, material: &Material) -> Result<()> {
    for (path, document) in policy::as_files(material) {
        let path = folder.join(path);
        let written = fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| fs::write(&path, serde_json::to_vec_pretty(&document).unwrap_or_default()));
        written.map_err(|e| Error::new("file_unwritable", format!("{}: {e}", path.display())))?;
    }
    Ok(())
}

/// With the waivers that count, where they can be read without asking anybody: in a folder of this machine.
async fn waived(mut checked: Checked, loaded: &Loaded, context: &Context) -> Result<Checked> {
    if checked.findings.is_empty() {
        return Ok(checked);
    }
    let project = &loaded.place.project;
    let chosen = loaded.choose_unasked(context).ok();
    let Some(chosen) = chosen.filter(|chosen| place::backend(project, chosen) == Backend::File) else {
        context.terminal.status("waivers are not looked at here, since that would ask AWS: terrace plan does");
        return Ok(checked);
    };
    let ledger = place::ledger(context, loaded, &chosen)?;
    let world = place::open_world(context, project, &chosen)?;
    let standing = Standing::of(facts::all(&*ledger).await?);
    let mut judgement = Judgement { findings: checked.findings, ..Judgement::default() };
    policy::waive(&mut judgement, &standing.waivers, world.clock().now());
    checked.findings = judgement.findings;
    Ok(checked)
}

fn show(checked: &Checked, unseen: &[(Address, Failure)], environment: &str, context: &Context) {
    let terminal = &context.terminal;
    let of = |is: fn(&Finding) -> bool| checked.findings.iter().filter(|finding| is(finding)).count();
    let (denied, waived) = (of(Finding::denies), of(Finding::is_waived));
    let warned = checked.findings.len() - denied - waived;
    if terminal.json {
        let unseen: Vec<String> = unseen.iter().map(|(address, _)| address.to_string()).collect();
        terminal.json_line(&answer(
            "policy_checked",
            json!({
                "environment": environment, "denied": denied, "warned": warned, "waived": waived, "asked": checked.asked.len(),
                "templates": checked.templates, "objects": checked.objects, "over_plans": checked.waiting, "idle": checked.idle, "not_looked_at": unseen, "findings": checked.findings,
            }),
        ));
        return;
    }
    let mut out = String::new();
    for finding in &checked.findings {
        out.push_str(&finding::lines(finding));
    }
    terminal.data(&out);
    let rules = plural(checked.asked.len(), "rule");
    let said = match (denied, warned + waived) {
        (0, 0) => green("nothing found"),
        (0, _) => yellow(plural(warned, "warning")),
        _ => format!("{}, {}", red(format!("{denied} denied")), plural(warned, "warning")),
    };
    let said = if waived > 0 { format!("{said}, {waived} waived") } else { said };
    let (templates, objects) = (plural(checked.templates, "template"), plural(checked.objects, "object"));
    terminal.status(&format!("{said}: {rules} over {templates} and {objects} of {environment}"));
    if !checked.idle.is_empty() {
        let (rules, names) = (plural(checked.idle.len(), "rule"), few(&checked.idle, IDLE));
        terminal.status(&dim(format!("{rules} had nothing to look at: {names}")));
    }
    let looks = if checked.waiting == 1 { "looks" } else { "look" };
    if checked.waiting > 0 {
        let rules = plural(checked.waiting, "rule");
        terminal
            .status(&format!("{rules} {looks} at plans: terrace plan asks them, and what is applied is held to them"));
    }
}

async fn list(context: &Context) -> Result<Exit> {
    let packs = policies::read(&context.project()?, None, context).await?;
    let severity = |rule: &policy::pack::Rule| packs.strictness.get(&rule.name).copied().unwrap_or(rule.severity);
    if context.terminal.json {
        for pack in &packs.all {
            let rules: Vec<_> = pack
                .rules
                .values()
                .map(|rule| {
                    json!({
                        "name": rule.name, "severity": severity(rule), "controls": rule.controls, "on": rule.on,
                        "why": rule.why, "instead": rule.instead,
                    })
                })
                .collect();
            let said = json!({
                "name": pack.name, "version": pack.version, "description": pack.description, "folder": pack.folder,
                "rules": rules,
            });
            context.terminal.json_line(&answer("policy_pack", said));
        }
        let rules = policy::RULES.iter().map(|rule| {
            json!({
                "name": rule.name, "severity": rule.protected, "elsewhere": rule.elsewhere, "controls": rule.controls,
                "on": "plan", "why": rule.why, "instead": rule.instead,
            })
        });
        let said = json!({ "name": policy::OWN, "rules": rules.collect::<Vec<_>>() });
        context.terminal.json_line(&answer("policy_pack", said));
        return Ok(Exit::Done);
    }
    let word = |severity| match severity {
        Severity::Deny => red("deny"),
        Severity::Warn => yellow("warn"),
    };
    let own = policy::RULES.iter().map(|rule| {
        let severity = packs.strictness.get(rule.name).copied().unwrap_or(rule.protected);
        let (name, controls) = (rule.name.to_owned(), rule.controls.join(" "));
        vec![name, policy::OWN.to_owned(), word(severity), "plan".to_owned(), controls]
    });
    let rows: Vec<Vec<String>> = packs
        .all
        .iter()
        .flat_map(|pack| {
            pack.rules.values().map(|rule| {
                let on = format!("{:?}", rule.on).to_lowercase();
                vec![rule.name.clone(), pack.name.clone(), word(severity(rule)), on, rule.controls.join(" ")]
            })
        })
        .chain(own)
        .collect();
    context.terminal.data(&table::render(&["rule", "pack", "severity", "on", "controls"], &rows));
    Ok(Exit::Done)
}

async fn test(context: &Context) -> Result<Exit> {
    let packs = packs(&context.project()?, None, context).await?;
    let guard = policies::guard()?;
    let proofs = policy::prove(&guard, &packs.all).await;
    let proofs = proofs.map_err(|e| Error::from(e).with_sources(packs.texts.clone()))?;
    let terminal = &context.terminal;
    let wrong: Vec<&Proof> = proofs.iter().filter(|proof| proof.wrong.is_some()).collect();
    if terminal.json {
        let said = json!({ "fixtures": proofs, "wrong": wrong.len(), "without": packs.warnings.0.len() });
        terminal.json_line(&answer("policy_tested", said));
    } else {
        let line = |proof: &&Proof| {
            format!(
                "{}  {}: {}\n      {}\n",
                red("wrong"),
                proof.rule,
                proof.wrong.as_deref().unwrap_or_default(),
                proof.file
            )
        };
        terminal.data(&wrong.iter().map(line).collect::<String>());
        if packs.warnings.iter().any(|d| d.severity == Loudness::Warning) {
            terminal.complain(diagnostics::render(&packs.warnings, &packs.texts, terminal.width).trim_end());
        }
        let rules: usize = packs.all.iter().map(|pack| pack.rules.len()).sum();
        let said = if wrong.is_empty() { green("as they should be") } else { red(format!("{} wrong", wrong.len())) };
        terminal.status(&format!("{said}: {} of {}", plural(proofs.len(), "fixture"), plural(rules, "rule")));
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Error })
}
