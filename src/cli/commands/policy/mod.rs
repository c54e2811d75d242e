//! `terrace policy`: what rules there are, what they find in a plan, and whether they find what they should.

mod waive;

use crate::{
    base::{Address, Severity as Loudness},
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::{choose, load},
        made_of, place,
        policies::{self, Packs},
        style::{green, red, yellow},
        surroundings::Surroundings,
        views::{
            diagnostics::{self, plural},
            finding,
            json::answer,
            table,
        },
    },
    plan::Severity,
    policy::{self, Checked, Proof},
    world::Failure,
};
use serde_json::json;

pub(crate) use waive::agree;

/// Arguments of `policy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What the rules find in what a plan is made of in an environment
    Check(PlanArg),
    /// The rules of the project's packs
    List,
    /// Hold the rules against the fixtures of their packs
    Test,
    /// Ask that what a rule finds be let pass for a time; it counts once somebody else agrees
    Waive(waive::Args),
    /// The waivers of an environment
    Waivers,
}

/// Does what is asked.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.what {
        What::Check(plan) => check(plan.plan.as_deref(), context).await,
        What::List => list(context),
        What::Test => test(context).await,
        What::Waive(args) => waive::run(args, context).await,
        What::Waivers => waive::list(context).await,
    }
}

/// The packs of the project, of which there has to be one.
fn packs(project: &crate::cli::project::Project, plan: Option<&str>) -> Result<Packs> {
    let packs = policies::read(project, plan)?;
    if packs.all.is_empty() {
        return Err(Error::new("policy_no_packs", "the project has no pack of rules")
            .hint("name folders in terrace.toml: [policy] packs = [\"policies/own\"]"));
    }
    Ok(packs)
}

async fn check(plan: Option<&str>, context: &Context) -> Result<Exit> {
    let loaded = load(context, plan)?;
    let project = &loaded.place.project;
    let packs = packs(project, Some(&loaded.configuration.label))?;
    let environment = loaded.environment(context)?;
    // Charts of the project are rendered from where they are declared.
    Surroundings::enter(&project.work)
        .map_err(|e| Error::new("file_unreadable", format!("{}: {e}", project.work.display())))?;
    let made_of = made_of::of_environment(context, &loaded, environment)?;
    let world = place::open_world(context, project, &choose(environment, context.global.sandbox))?;
    let material = policy::material(&*world.charts(), made_of).await;
    let texts = loaded.texts();
    let guard = policies::guard()?;
    let checked = policy::check(&guard, &packs.all, &packs.strictness, &material, &texts).await;
    let checked = checked.map_err(|e| Error::from(e).with_sources(packs.texts.clone()))?;
    show(&checked, &material.unseen, &environment.name, context);
    if let Some((address, failure)) = material.unseen.first() {
        return Err(policies::unseen(address, failure));
    }
    Ok(if checked.denied() { Exit::Denied } else { Exit::Done })
}

fn show(checked: &Checked, unseen: &[(Address, Failure)], environment: &str, context: &Context) {
    let terminal = &context.terminal;
    let count = |severity| checked.findings.iter().filter(|f| f.severity == severity).count();
    let (denied, warned) = (count(Severity::Deny), count(Severity::Warn));
    if terminal.json {
        let unseen: Vec<String> = unseen.iter().map(|(address, _)| address.to_string()).collect();
        terminal.json_line(&answer(
            "policy_checked",
            json!({
                "environment": environment, "denied": denied, "warned": warned, "asked": checked.asked.len(),
                "templates": checked.templates, "objects": checked.objects, "not_looked_at": unseen, "findings": checked.findings,
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
    let said = match (denied, warned) {
        (0, 0) => green("nothing found"),
        (0, _) => yellow(plural(warned, "warning")),
        _ => format!("{}, {}", red(format!("{denied} denied")), plural(warned, "warning")),
    };
    let (templates, objects) = (plural(checked.templates, "template"), plural(checked.objects, "object"));
    terminal.status(&format!("{said}: {rules} over {templates} and {objects} of {environment}"));
}

fn list(context: &Context) -> Result<Exit> {
    let packs = policies::read(&context.project()?, None)?;
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
    let packs = packs(&context.project()?, None)?;
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
