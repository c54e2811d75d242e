//! `terrace policy coverage`: which controls are claimed, by what, and what proves them; as a table, as JSON, as OSCAL.
#![expect(clippy::disallowed_methods, reason = "looks for a plan's file, and writes what is exported")]

use crate::{
    base::few,
    cli::{
        commands::show,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place,
        style::{bold, clean, dim, green, red, yellow},
        views::{diagnostics::plural, json::answer, table},
    },
    policy::{
        coverage::{Account, Basis, Coverage, Covered, Evidence, Outcome, Standing, coverage},
        oscal::{Documents, Export},
    },
    state::{Run, Snapshot},
    world::Ledger,
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// So many controls and runs are named in a sentence.
const NAMED: usize = 8;

/// Arguments of `policy coverage`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A plan's folder or name, for what its last whole run showed; or a saved plan
    #[arg(value_name = "PLAN|FILE")]
    what: Option<String>,
    /// Write a component definition and assessment results of OSCAL below this folder, where a trestle workspace has them
    #[arg(long, value_name = "FOLDER")]
    oscal: Option<PathBuf>,
}

/// Where a coverage comes from.
struct Found {
    account: Account,
    /// The state of the environment; an empty one for a saved plan.
    state: Snapshot,
    /// The run that the account is of, as its place among those of the state.
    run: Option<usize>,
}

/// Tells it.
pub(super) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let file = args.what.as_ref().map(|what| context.surroundings.folder.join(what)).filter(|file| file.is_file());
    let found = match file {
        Some(file) => of_file(&file)?,
        None => of_environment(args.what.as_deref(), context).await?,
    };
    let Found { account, state, run } = &found;
    let run = run.and_then(|at| state.runs.get(at).map(|run| (run, &state.runs[at + 1..])));
    let basis = Basis { account, run: run.map(|(run, _)| run), verdicts: &state.verdicts, runs: &state.runs };
    let covered = coverage(&basis);
    let later: Vec<&Run> = run.map_or_else(Vec::new, |(_, later)| later.iter().filter(|run| changes(run)).collect());
    if let Some(folder) = &args.oscal {
        return export(&context.surroundings.folder.join(folder), &basis, &covered, &later, context);
    }
    if context.terminal.json {
        let later: Vec<Json> = later.iter().map(|run| json!({ "run": run.id, "command": run.command })).collect();
        let said = json!({
            "environment": account.env, "plan": account.plan, "digest": account.digest, "release": account.release,
            "run": basis.run.map(|run| &run.id), "judged": account.made, "targeted": account.targeted,
            "packs": covered.packs, "told": covered.told, "later": later, "controls": covered.controls,
        });
        context.terminal.json_line(&answer("policy_coverage", said));
        return Ok(Exit::Done);
    }
    show(&basis, &covered, &later, context);
    Ok(Exit::Done)
}

fn of_file(file: &Path) -> Result<Found> {
    let saved = show::read(file)?;
    let account = Account::of(&saved.content, &saved.digest, saved.attachment.made);
    let account = account.ok_or_else(|| {
        Error::new("coverage_not_judged", format!("no rules were asked about {}", file.display()))
            .because("a plan that only takes away, takes over or looks is not judged")
            .hint("terrace plan --out FILE makes one that is")
    })?;
    Ok(Found { account, state: Snapshot::default(), run: None })
}

/// The last run that brought all of a plan, as far as state has kept what its plan claimed and rules found.
async fn of_environment(plan: Option<&str>, context: &Context) -> Result<Found> {
    let loaded = load(context, plan)?;
    let chosen = loaded.choose(context).await?;
    let ledger = place::ledger(context, &loaded, &chosen)?;
    let state = place::snapshot(&ledger).await?;
    let env = &chosen.environment.name;
    if !state.resources.is_empty()
        && let Some((at, account)) = last(&*ledger, &state).await?
    {
        return Ok(Found { account, state, run: Some(at) });
    }
    let why = if state.resources.is_empty() {
        "nothing is there"
    } else {
        "no run that came to its end is known to have brought all of its plan and been judged"
    };
    Err(Error::new("coverage_no_run", format!("nothing that runs in {env} was judged: {why}")).hint(
        "terrace plan --out FILE, then terrace policy coverage FILE tells what a plan claims before it is applied",
    ))
}

async fn last(ledger: &dyn Ledger, state: &Snapshot) -> Result<Option<(usize, Account)>> {
    for (at, run) in state.runs.iter().enumerate().rev() {
        if run.targeted || !matches!(run.end, Some((crate::base::RunEnd::Succeeded, _))) {
            continue;
        }
        if let Some(bytes) = ledger.get(&Account::name(&run.id)).await?
            && let Some(account) = Account::read(&bytes)
        {
            return Ok(Some((at, account)));
        }
    }
    Ok(None)
}

/// Whether a run may have changed what rules looked at before it.
fn changes(run: &Run) -> bool {
    run.command != "verify"
}

fn show(basis: &Basis<'_>, covered: &Coverage, later: &[&Run], context: &Context) {
    let terminal = &context.terminal;
    let idle = |one: &&Covered| one.standing == Standing::NotAsked;
    let rows: Vec<Vec<String>> = covered.controls.iter().filter(|one| !idle(one)).flat_map(rows).collect();
    if !rows.is_empty() {
        terminal.data(&table::render(&["control", "standing", "claimed by", "proved by", "said", "at"], &rows));
    }
    let account = basis.account;
    let of = match basis.run {
        Some(run) => format!("run {} of {}, {}", run.id, account.env, day(Some(run.started))),
        None => format!(
            "the plan {} for {}, which is not applied: nothing that runs was asked",
            account.digest.short(),
            account.env
        ),
    };
    let count = |wanted: Standing| covered.controls.iter().filter(|one| one.standing == wanted).count();
    let told = |count: usize, text: &str| (count > 0).then(|| format!("{count} {text}"));
    let counts: Vec<String> = [
        told(count(Standing::Proved), "proved"),
        told(count(Standing::PartlyProved), "proved in part"),
        told(count(Standing::ClaimedNotProved), "claimed and not proved"),
        told(count(Standing::DoesNotHold), "that do not hold"),
        told(count(Standing::Waived), "waived"),
        told(count(Standing::ProvedNotClaimed), "proved and not claimed"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let counts = if counts.is_empty() { "nothing is claimed or proved".to_owned() } else { counts.join(", ") };
    terminal.status(&format!("{}: {counts}; {of}", bold("Controls")));
    let idle: Vec<String> = covered.controls.iter().filter(idle).map(|one| one.control.to_string()).collect();
    if !idle.is_empty() {
        let text = format!("Not claimed, and their rules had nothing to look at: {}", few(&idle, NAMED));
        terminal.status(&dim(clean(&text)));
    }
    if !covered.told {
        terminal.status("warning: an older version of terrace judged, and kept only what was found: a rule that found nothing proves nothing here");
    }
    if account.targeted {
        terminal.status(
            "warning: the plan is of a part of what is declared (--target); what else is there claims nothing here",
        );
    }
    if !later.is_empty() {
        let runs: Vec<String> = later.iter().map(|run| format!("{} ({})", run.id, run.command)).collect();
        terminal.status(&format!("warning: later runs changed something, and are not in this: {}", few(&runs, NAMED)));
    }
}

fn day(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A control in lines: what claims it beside what proves it.
fn rows(one: &Covered) -> Vec<Vec<String>> {
    let standing = match one.standing {
        Standing::Proved => green("proved"),
        Standing::PartlyProved => yellow("proved in part"),
        Standing::DoesNotHold => red("does not hold"),
        Standing::Waived => yellow("waived"),
        Standing::ClaimedNotProved => yellow("claimed, not proved"),
        Standing::ProvedNotClaimed => dim("proved, not claimed"),
        Standing::NotAsked => dim("not asked"),
    };
    let part = one.standing == Standing::PartlyProved;
    let claims = one.claims.iter().map(|claim| {
        let mark = if part && !claim.proved { " (not proved)" } else { "" };
        format!("{}{mark}", clean(claim.address.as_str()))
    });
    let claims: Vec<String> = claims.collect();
    // What was not asked is only told where it stands in the place of a proof.
    let any = one.evidence.iter().any(|evidence| evidence.outcome.looked());
    let shown = |evidence: &&Evidence| !any || evidence.outcome != Outcome::NothingToLookAt;
    let proofs: Vec<[String; 3]> = one.evidence.iter().filter(shown).map(|evidence| proof(evidence, one)).collect();
    let lines = claims.len().max(proofs.len()).max(1);
    (0..lines)
        .map(|at| {
            let first = at == 0;
            let [by, said, when] = proofs.get(at).cloned().unwrap_or_default();
            vec![
                if first { bold(clean(&one.control.to_string())) } else { String::new() },
                if first { standing.clone() } else { String::new() },
                claims.get(at).cloned().unwrap_or_default(),
                by,
                said,
                when,
            ]
        })
        .collect()
}

/// Who proves it, what was said, and at which run.
fn proof(evidence: &Evidence, of: &Covered) -> [String; 3] {
    let others = !of.claims.is_empty() && of.claims.iter().all(|claim| !evidence.of.contains(&claim.address));
    let noun = if others { "other thing" } else { "thing" };
    let things = || if evidence.whole { String::new() } else { format!(", {}", plural(evidence.of.len(), noun)) };
    let said = match &evidence.outcome {
        Outcome::Passed => green(format!("passed{}", things())),
        Outcome::Denied { findings, .. } => red(format!("denied, {}", plural(*findings, "finding"))),
        Outcome::Warned { findings, .. } => yellow(plural(*findings, "warning")),
        Outcome::Waived { waivers, .. } => {
            let each = waivers.iter().map(|w| format!("waived by {} until {}", w.by, w.until.strftime("%Y-%m-%d")));
            yellow(clean(&each.collect::<Vec<_>>().join(", ")))
        }
        Outcome::Failed { .. } => red("did not pass"),
        Outcome::NothingToLookAt => dim("had nothing to look at"),
        Outcome::NotAsked => dim("not asked yet"),
    };
    let run = evidence.run.as_ref().map(|run| format!("run {run}"));
    let at = if evidence.outcome.looked() { run.unwrap_or_else(|| day(evidence.at)) } else { String::new() };
    [clean(&evidence.by.to_string()).into_owned(), said, at]
}

fn export(folder: &Path, basis: &Basis<'_>, covered: &Coverage, later: &[&Run], context: &Context) -> Result<Exit> {
    let asked = covered.controls.iter().flat_map(|one| &one.evidence).filter_map(|evidence| evidence.at);
    let started = basis.run.map(|run| run.end.map_or(run.started, |(_, at)| at));
    // The same run, judged the same, gives the same bytes.
    let at = asked.chain(started).chain(basis.account.made).max().unwrap_or(Timestamp::UNIX_EPOCH);
    let Some(documents) = (Export { coverage: covered, basis, later, at }).documents() else {
        return Err(Error::new("coverage_empty", "no control of NIST SP 800-53 is claimed or asked about")
            .hint("write controls = [\"SC-28\"] into what implements it, or name a pack of rules in terrace.toml"));
    };
    let Documents { name, components, results, left_out } = &documents;
    let files = [
        ("component-definition", "component-definitions", components),
        ("assessment-results", "assessment-results", results),
    ];
    let mut written = Vec::new();
    for (file, place, content) in files {
        let path = folder.join(place).join(name).join(format!("{file}.json"));
        let failed = |e: std::io::Error| Error::new("file_unwritable", format!("{}: {e}", path.display()));
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        std::fs::write(&path, format!("{content:#}\n")).map_err(failed)?;
        context.terminal.status(&format!("wrote {}", path.display()));
        written.push(path.display().to_string());
    }
    if !left_out.is_empty() {
        let named = few(left_out, NAMED);
        context
            .terminal
            .status(&format!("warning: left out, since they are no controls of NIST SP 800-53: {}", clean(&named)));
    }
    if context.terminal.json {
        let said = json!({ "files": written, "left_out": left_out });
        context.terminal.json_line(&answer("policy_oscal", said));
    }
    Ok(Exit::Done)
}
