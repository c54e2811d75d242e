//! What a review costs: all rules over the shipped platform beside the programs `cfn-guard` and `checkov` on the same files, and the comment and the
//! report of a plan with 2,000 changes. `make bench` calls it; it rewrites its section of `docs/benchmarks.md`, which says how it is measured.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own: it starts processes, takes their time and prints"
)]

#[allow(dead_code, unused_imports, reason = "the other benchmarks use the rest")]
mod common;
#[path = "common/folder.rs"]
mod folder;
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../tests/support/mod.rs"]
mod support;

use common::{
    Measured, Stopwatch, machine, output, page,
    words::{mebibytes, millis, seconds, times},
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};
use support::server::built;
use terrace::{
    lang::MemorySources,
    policy::{On, Pack, pack},
    world::{Guard as _, GuardJob, GuardProcess, GuardRequest, GuardText},
};

/// Rounds of each measurement.
const ROUNDS: usize = 7;
/// The packs that are shipped.
const PACKS: [&str; 3] = ["policies/nist-800-53", "policies/eks-baseline", "policies/zero-trust"];
/// Stacks of the large plan, and resources of each: 2,000 changes.
const STACKS: usize = 400;
const RESOURCES: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("review: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|e| format!("no folder to work in: {e}"))?;
    let rules = rules(work.path())?;
    let texts = texts(work.path())?;
    let facts = machine::facts(work.path(), Stopwatch::find(), &[]);
    println!("\n{rules}\n{texts}");
    let section = format!(
        "## A review\n\
         \n\
         The rules of all three shipped packs over the templates and rendered charts of plans/eks-platform, as `terrace policy check --write` lays them out: rendering is not in it. Terrace's time is that of the process that judges, from its \
         start to its last word; `cfn-guard` is started once for each thing that rules look at, with the same files of rules, and its times are added; `checkov` runs all that it has for CloudFormation and Kubernetes, which are other rules, and \
         downloads nothing. The median of {ROUNDS} rounds, in turn.\n\
         \n\
         {rules}\n\
         A plan of {STACKS} stacks with {RESOURCES} resources each, all of which change: its comment and its report, made of the saved plan. Whole processes, the median of {ROUNDS}.\n\
         \n\
         {texts}\n\
         {facts}"
    );
    page::write("review", &section)
}

fn terrace() -> Command {
    Command::new(env!("CARGO_BIN_EXE_terrace"))
}

fn missing(what: &str) -> String {
    format!("{what} is not built: testbed/build {what}")
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

fn project(to: &Path) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["plans/eks-platform", "modules", "cfn-templates", "policies"] {
        folder::copy(&root.join(folder), &to.join(folder)).map_err(failed(to))?;
    }
    let packs = PACKS.map(|pack| format!("{pack:?}")).join(", ");
    let settings = format!("name = \"bench\"\n[policy]\npacks = [{packs}]\n");
    fs::write(to.join("terrace.toml"), settings).map_err(failed(to))
}

fn packs() -> Result<Vec<Pack>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = MemorySources::default();
    for folder in PACKS {
        for path in below(&root.join(folder))? {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.0.insert(name, fs::read(&path).map_err(failed(&path))?.into());
        }
    }
    let read = |folder: &&str| pack::read(folder, &files).map_err(|wrong| format!("{folder}: {wrong:?}"));
    PACKS.iter().map(read).collect()
}

/// The files below a folder, in order.
fn below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.is_dir() { all.extend(below(&path)?) } else { all.push(path) }
    }
    all.sort();
    Ok(all)
}

fn rules(work: &Path) -> Result<String, String> {
    let guard = built("cfn-guard").ok_or_else(|| missing("cfn-guard"))?;
    let checkov = built("checkov").ok_or_else(|| missing("checkov"))?;
    let (folder, seen) = (work.join("platform"), work.join("seen"));
    project(&folder)?;
    let words = ["policy", "check", "eks-platform", "--env", "prd", "--sandbox", "--quiet", "--write"];
    // What rules deny is no matter here.
    timed(terrace().args(words).arg(&seen).current_dir(&folder), &[0, 3])?;
    let data = [(On::Template, "templates"), (On::Object, "objects"), (On::Objects, "objects.json")];
    let packs = packs()?;
    let text = |path: &PathBuf| {
        let text = fs::read_to_string(path).map_err(failed(path))?;
        Ok(GuardText { name: path.display().to_string(), text })
    };
    let (mut jobs, mut runs) = (Vec::new(), Vec::new());
    for (on, name) in data {
        let files: Vec<_> = packs.iter().flat_map(|pack| &pack.files).filter(|file| file.on == on).collect();
        let place = seen.join(name);
        let documents = if place.is_dir() { below(&place)? } else { vec![place.clone()] };
        let data = documents.iter().map(text).collect::<Result<Vec<GuardText>, String>>()?;
        let rules = files.iter().map(|file| GuardText { name: file.path.clone(), text: file.text.to_string() });
        jobs.push(GuardJob { rules: rules.collect(), data });
        let mut run = Command::new(&guard);
        run.arg("validate").arg("--data").arg(&place).arg("--rules");
        run.args(files.iter().map(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(&file.path)));
        run.args(["--show-summary", "none", "--output-format", "json", "--structured"]);
        runs.push(run);
    }
    let documents: usize = jobs.iter().map(|job| job.data.len()).sum();
    let request = GuardRequest::new(jobs);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let judge = GuardProcess::new(env!("CARGO_BIN_EXE_terrace").into());
    let (mut ours, mut theirs, mut checkovs) = (Vec::new(), Vec::new(), Vec::new());
    let mut asked = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let answer = runtime.block_on(judge.judge(&request)).map_err(|e| e.to_string())?;
        ours.push(start.elapsed());
        let judged = answer.jobs.iter().flatten();
        asked = judged.map(|judged| judged.passed.len() + judged.failed.len()).sum();
        if !answer.faults.is_empty() || asked == 0 {
            return Err(format!("the rules were not judged: {:?}", answer.faults));
        }
        let mut all = Duration::ZERO;
        for run in &mut runs {
            // 0 is that all holds, 19 that something does not.
            all += timed(run, &[0, 19])?;
        }
        theirs.push(all);
        let mut run = Command::new(&checkov);
        run.args(["--framework", "cloudformation", "kubernetes", "--compact", "--quiet", "--skip-download", "-d"]);
        checkovs.push(timed(run.arg(&seen), &[0, 1])?);
    }
    let (ours, theirs, checkovs) = (median(&mut ours), median(&mut theirs), median(&mut checkovs));
    let row = |name: &str, wall: Duration, share: String, asked: &str, met: bool| {
        format!("| {name} | {} | {share} | {asked} | {} |\n", seconds(wall), if met { "met" } else { "**missed**" })
    };
    let share = ours.as_secs_f64() / theirs.as_secs_f64();
    let faster = checkovs.as_secs_f64() / ours.as_secs_f64();
    let mut table = format!(
        "| {documents} documents, {asked} answers of rules | takes | Terrace beside it | asked | |\n|---|---|---|---|---|\n\
         | Terrace | {} | | | |\n",
        seconds(ours)
    );
    table += &row("`cfn-guard` 3.2.1", theirs, format!("{share:.2} of its time"), "at most 1.10", share <= 1.1);
    table += &row("`checkov` 3.3.30", checkovs, format!("{} faster", times(faster)), "5 times", faster >= 5.0);
    Ok(table)
}

fn timed(command: &mut Command, good: &[i32]) -> Result<Duration, String> {
    let start = Instant::now();
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let ended = ended.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let wall = start.elapsed();
    match ended.status.code() {
        Some(code) if good.contains(&code) => Ok(wall),
        code => Err(format!("{command:?} ends with {code:?}: {}", String::from_utf8_lossy(&ended.stderr))),
    }
}

fn median(all: &mut [Duration]) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// The large plan: everything in it is there, and changes.
fn large(folder: &Path) -> Result<(), String> {
    let mut plan = String::from("plan \"large\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n");
    for stack in 0..STACKS {
        let _ = write!(
            plan,
            "\nstack \"s{stack}\" {{\n  template = \"${{path.root}}/t.yaml\"\n  parameters = {{ Of = \"s{stack}\" }}\n}}\n"
        );
    }
    let template = |seconds: usize| {
        let mut text = String::from("Parameters:\n  Of: { Type: String }\nResources:\n");
        for resource in 0..RESOURCES {
            let _ = write!(
                text,
                "  Queue{resource}:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: !Sub '${{Of}}-{resource}'\n      VisibilityTimeout: {seconds}\n"
            );
        }
        text
    };
    let home = folder.join("plans/large");
    fs::create_dir_all(&home).map_err(failed(&home))?;
    fs::write(folder.join("terrace.toml"), "name = \"bench\"\n").map_err(failed(folder))?;
    fs::write(home.join("plan.hcl"), plan).map_err(failed(&home))?;
    fs::write(home.join("t.yaml"), template(30)).map_err(failed(&home))?;
    let instant = |words: &[&str]| {
        let mut command = terrace();
        output(command.args(words).current_dir(folder).env("TERRACE_SANDBOX_SPEED", "instant"))
    };
    instant(&["apply", "large", "--auto-approve", "--quiet"])?;
    fs::write(home.join("t.yaml"), template(60)).map_err(failed(&home))?;
    instant(&["plan", "large", "--out", "large.plan", "--quiet"])?;
    Ok(())
}

fn texts(work: &Path) -> Result<String, String> {
    let folder = work.join("large");
    large(&folder)?;
    let stopwatch = Stopwatch::find();
    let mut table = String::from("| of 2,000 changes | takes | peak | it is | asked | |\n|---|---|---|---|---|---|\n");
    let rows: [(&str, &[&str], &str, Option<u64>); 2] = [
        ("the comment", &["comment", "large.plan", "--out", "large.md"], "large.md", None),
        ("the report", &["show", "large.plan", "--html", "large.html", "--quiet"], "large.html", Some(3 << 20)),
    ];
    for (name, words, file, most) in rows {
        let mut all: Vec<Measured> = Vec::new();
        for _ in 0..ROUNDS {
            let (code, measured) = stopwatch.measure(&terrace(), words, &folder)?;
            if code != Some(0) {
                return Err(format!("{words:?} ends with {code:?}"));
            }
            all.push(measured);
        }
        let wall = median(&mut all.iter().map(|one| one.wall).collect::<Vec<_>>());
        let peak = all.iter().filter_map(|one| one.peak_kib).max();
        let path = folder.join(file);
        let size = fs::metadata(&path).map_err(failed(&path))?.len();
        let met = wall < Duration::from_millis(200)
            && peak.is_some_and(|peak| peak < 50 << 10)
            && most.is_none_or(|most| size < most);
        let asked = if most.is_some() { "200 ms, 50 MiB, 3 MiB" } else { "200 ms, 50 MiB" };
        let _ = writeln!(
            table,
            "| {name} | {} | {} | {:.2} MiB | {asked} | {} |",
            millis(wall),
            mebibytes(peak),
            f64::from(u32::try_from(size).unwrap_or(u32::MAX)) / f64::from(1 << 20),
            if met { "met" } else { "**missed**" }
        );
    }
    Ok(table)
}
