//! Releases and the pipeline: `release create` of the shipped platform in two folders, and `pipeline` over 50 environments and 1,000
//! releases. And a rollout that fails: how soon all traffic is back. `make bench` calls it; it rewrites its sections of `docs/benchmarks.md`, which
//! say how it is measured.

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
    words::{mebibytes, seconds},
};
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};
use support::proof::{ONE, Route, Scene, Version, alb::Alb, object::Object};
use terrace::{
    base::Digest,
    state::{Actor, Bundle, Making, Release, release},
    world::live::{FileLedger, OsRandom},
};

/// Rollouts that fail, over each route.
const ABORTS: usize = 7;
/// How long it may take from the failing measurement until the traffic is proved back.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// Rounds of each measurement.
const ROUNDS: usize = 11;
const ENVIRONMENTS: usize = 50;
const RELEASES: usize = 1_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("delivery: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|e| format!("no folder to work in: {e}"))?;
    let stopwatch = Stopwatch::find();

    let mut creates = Vec::new();
    let mut names = Vec::new();
    for round in 0..ROUNDS {
        for folder in ["one", "other"] {
            let folder = work.path().join(format!("{folder}-{round}"));
            copy_project(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            let words = ["release", "create", "eks-platform", "--quiet", "--sandbox"];
            creates.push(measured(stopwatch, &words, &folder)?);
            names.push(output(terrace(&folder).args(["release", "list", "--json", "--sandbox"]))?);
        }
    }
    let digest = |said: &String| {
        let json: serde_json::Value = serde_json::from_str(said).map_err(|e| e.to_string())?;
        json["releases"][0]["digest"].as_str().map(str::to_owned).ok_or_else(|| format!("no release in {said}"))
    };
    let digests: Vec<String> = names.iter().map(digest).collect::<Result<_, _>>()?;
    if digests.iter().any(|digest| *digest != digests[0]) {
        return Err(format!("the same content has several names: {digests:?}"));
    }

    let shop = work.path().join("shop");
    pipeline(&shop)?;
    let shown: Result<Vec<Measured>, String> =
        (0..ROUNDS).map(|_| measured(stopwatch, &["pipeline", "--quiet"], &shop)).collect();
    let rows = output(terrace(&shop).args(["pipeline", "--json"]))?;
    let rows: serde_json::Value = serde_json::from_str(&rows).map_err(|e| e.to_string())?;
    let there = rows["environments"].as_array().map_or(0, Vec::len);
    if there != ENVIRONMENTS {
        return Err(format!("the pipeline has {there} environments"));
    }

    let table = table(&[
        ("`release create` of plans/eks-platform", &creates, Duration::from_secs(1)),
        ("`pipeline`, 50 environments and 1,000 releases", &shown?, Duration::from_millis(100)),
    ]);
    println!("\n{table}");
    let facts = machine::facts(work.path(), stopwatch, &[]);
    page::write("delivery", &section(&table, &digests[0][..19], &facts))?;
    page::write("rollouts", &rollouts()?)
}

/// Rollouts that fail at 10 percent, over each route; how soon all traffic is back.
fn rollouts() -> Result<String, String> {
    let missing = || "what the testbed builds is missing: see testbed/README.md".to_owned();
    let cluster = support::cluster().ok_or_else(missing)?;
    let account = support::moto().ok_or_else(missing)?.account();
    let rule = Scene::new(&account, cluster, ONE, Alb::new(&account, cluster, "bench", Duration::from_secs(1)));
    let rule = aborts(&rule.ok_or_else(missing)?);
    let types = support::server::built("gateway-api-crds").ok_or_else(missing)?.to_string_lossy().into_owned();
    cluster.kubectl(&["apply", "--server-side", "-f", &types]);
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &types]);
    let object =
        Scene::new(&account, cluster, ONE, |namespace, _| Object::gateway(cluster, namespace)).ok_or_else(missing)?;
    let object = aborts(&object);
    let mut table = String::from(
        "| route | traffic is back, by its own word | and Terrace has proved it | asked | | calls that moved it |\n|---|---|---|---|---|---|\n",
    );
    for (name, mut all) in [("a rule on moto", rule), ("an `HTTPRoute` on the control plane", object)] {
        all.sort_by_key(|(_, proved, _)| *proved);
        let spread = |of: &dyn Fn(&(Duration, Duration, usize)) -> Duration| {
            let mut times: Vec<Duration> = all.iter().map(of).collect();
            times.sort();
            format!(
                "{} ({} to {})",
                seconds(times[times.len() / 2]),
                seconds(times[0]),
                seconds(times[times.len() - 1])
            )
        };
        let (back, proved) = (spread(&|one| one.0), spread(&|one| one.1));
        let calls = all.iter().map(|one| one.2).max().unwrap_or_default();
        let met = if all[all.len() - 1].1 <= BACK_WITHIN && calls == 1 { "met" } else { "not met" };
        let _ = writeln!(table, "| {name} | {back} | {proved} | {} | {met} | {calls} |", seconds(BACK_WITHIN));
    }
    println!("\n{table}");
    Ok(format!(
        "## A rollout that fails\n\
         \n\
         From the moment when the server of a `verify` block answered that all is not well: the median of {ABORTS}, with the least and the most.\n\
         \n\
         {table}\n\
         Argo Rollouts was not measured. By the defaults in its source (`utils/defaults/defaults.go`), target groups are not verified, and what could not be\n\
         verified is looked at again after 10 s.\n\
         \n\
         ### How it is measured\n\
         \n\
         - `apply` of a chart with `steps = [10, 50, 100]` on the testbed's control plane; at 10 percent the measurement fails. While that goes on, visitors come\n  \
           through a proxy that goes by the route's weights. A request that fails ends the benchmark.\n\
         - The route is asked every 5 ms; Terrace has proved it when it has read it back and recorded that. The gateway's controller takes a change up after\n  \
           0.2 to 0.3 s, which is part of the time.\n\
         - Nothing is throttled.\n"
    ))
}

/// One rollout after the other that fails at its first step: how soon its traffic was back, how soon that was proved, and by how many calls.
fn aborts<R: Route>(scene: &Scene<R>) -> Vec<(Duration, Duration, usize)> {
    let one = |nth: usize| {
        let text = format!("version {nth}");
        let mut run = scene.begins(Version { text: &text, ..ONE });
        scene.reached(&mut run);
        let moves = scene.route.moves();
        let (back, proved, _) = scene.aborts(run);
        scene.shows(terrace::base::Side::Blue, 100);
        (back, proved, scene.route.moves() - moves)
    };
    (2..2 + ABORTS).map(one).collect()
}

fn terrace(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terrace"));
    command.env("TERRACE_SANDBOX_SPEED", "instant").env("TERRACE_IDENTITY", "ada").current_dir(folder);
    command
}

fn measured(stopwatch: Stopwatch, words: &[&str], folder: &Path) -> Result<Measured, String> {
    match stopwatch.measure(&terrace(folder), words, folder)? {
        (Some(0), measured) => Ok(measured),
        (code, _) => Err(format!("terrace {}: ended with {code:?}", words.join(" "))),
    }
}

/// The project that is shipped, without what was made in it.
fn copy_project(to: &Path) -> std::io::Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(to)?;
    fs::copy(from.join("terrace.toml"), to.join("terrace.toml"))?;
    for folder in ["plans", "modules", "cfn-templates", "policies"] {
        folder::copy(&from.join(folder), &to.join(folder))?;
    }
    Ok(())
}

/// Fifty environments that all hold a release, and a thousand releases of which the newest is on its way.
fn pipeline(shop: &Path) -> Result<(), String> {
    let unwritable = |e: std::io::Error| format!("{}: {e}", shop.display());
    let name = |n: usize| format!("e{n:02}");
    let mut environments = String::new();
    for n in 0..ENVIRONMENTS {
        let after = match n {
            0 => String::new(),
            1 => "  after = [environment.e00]\n".to_owned(),
            _ => "  after = [environment.e01]\n".to_owned(),
        };
        let _ = write!(environments, "environment \"{}\" {{\n{after}  sandbox {{}}\n}}\n\n", name(n));
    }
    fs::create_dir_all(shop.join("plans/shop")).map_err(unwritable)?;
    fs::write(shop.join("terrace.toml"), "name = \"shop\"\n").map_err(unwritable)?;
    let plan = format!("plan \"shop\" {{}}\n\n{environments}value \"one\" {{\n  input = 1\n}}\n");
    fs::write(shop.join("plans/shop/plan.hcl"), plan).map_err(unwritable)?;
    output(terrace(shop).args(["release", "create", "--quiet"]))?;
    for n in 0..ENVIRONMENTS {
        output(terrace(shop).args(["promote", "latest", "--to", &name(n), "--auto-approve"]))?;
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let ledger = FileLedger::new(shop.join(".terrace/releases"));
        let by = Actor { arn: "arn:ada".to_owned(), id: String::new(), person: Some("ada".to_owned()) };
        for n in 1..RELEASES {
            let content: Arc<[u8]> =
                format!("plan \"shop\" {{}}\n\nvalue \"one\" {{\n  input = {n}\n}}\n").into_bytes().into();
            let digest = Digest::of(&content);
            let files = [("plans/shop/plan.hcl".to_owned(), digest.clone())].into();
            let (plan, folder) = ("shop".into(), "plans/shop".into());
            let list = Release { format: 1, plan, folder, files, charts: Vec::new(), images: None, packs: Vec::new() };
            let bundle = Bundle { release: list, contents: [(digest, content)].into() };
            let at = jiff::Timestamp::now();
            let making =
                Making { format: 1, at, by: by.clone(), commit: None, ci: None, from: None, images: Vec::new() };
            release::store(&ledger, &OsRandom, &bundle, &making).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    })
}

fn table(rows: &[(&str, &[Measured], Duration)]) -> String {
    let mut out = String::from("| | Terrace | peak memory | asked | |\n|---|---|---|---|---|\n");
    for (name, all, asked) in rows {
        let mut walls: Vec<Duration> = all.iter().map(|m| m.wall).collect();
        walls.sort();
        let median = walls[walls.len() / 2];
        let (least, most) = (walls[0], walls[walls.len() - 1]);
        let peak = all.iter().filter_map(|m| m.peak_kib).max();
        let verdict = if median <= *asked { "met" } else { "not met" };
        let _ = writeln!(
            out,
            "| {name} | {} ({} to {}) | {} | {} | {verdict} |",
            seconds(median),
            seconds(least),
            seconds(most),
            mebibytes(peak),
            seconds(*asked)
        );
    }
    out
}

fn section(table: &str, digest: &str, facts: &str) -> String {
    format!(
        "## Releases and the pipeline\n\
         \n\
         Whole processes of Terrace alone: no peer has these in one program. The median of {ROUNDS} rounds or more, with the least and the most.\n\
         \n\
         {table}\n\
         `release create` made {digest}… in all {} folders.\n\
         \n\
         ### How it is measured\n\
         \n\
         - The shipped platform is copied into a new folder for each run, two a round, and frozen on the sandbox: three environments are\n  \
           evaluated, and all that they are made of is written to disk.\n\
         - The pipeline has {ENVIRONMENTS} environments, {} of them after the second, each holding a release that was promoted there by a run of its own, and\n  \
           {RELEASES} releases in the store in the project's folder. Every environment is judged anew each time.\n\
         \n\
         ### The machine then\n\
         \n\
         {facts}",
        2 * ROUNDS,
        ENVIRONMENTS - 2,
    )
}
