//! Objects and releases on a real API server: whole processes of Terrace, kubectl, helmfile and Helm with the same objects and the same
//! charts, each in namespaces of its own on one control plane. `make bench` calls it; it rewrites its section of `docs/benchmarks.md`,
//! which says how it is measured.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own: it starts processes, takes their time and prints"
)]

#[path = "../common/mod.rs"]
mod common;
mod objects;
mod releases;
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../../tests/support/mod.rs"]
mod support;

use common::{
    Measured, Stopwatch, machine, output, page,
    words::{mebibytes, seconds, times},
};
use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};
use support::{Account, cluster, cluster::ControlPlane, ministack};

/// What the programs of a run stand on.
struct Bench {
    cluster: &'static ControlPlane,
    account: Account,
    work: tempfile::TempDir,
    stopwatch: Stopwatch,
    helm: PathBuf,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kubernetes: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    for name in ["ministack", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"]
    {
        built(name)?;
    }
    let (helm, helmfile) = (built("helm4")?, built("helmfile")?);
    let server = ministack().ok_or("MiniStack does not start")?;
    let cluster = cluster().ok_or("the control plane does not start")?;
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|e| format!("no folder to work in: {e}"))?;
    let bench = Bench { cluster, account: server.account(), work, stopwatch: Stopwatch::find(), helm };

    let mut rows = objects::measure(&bench)?;
    rows.extend(releases::layers(&bench, &helmfile)?);
    rows.extend(releases::one(&bench)?);
    let table = table(&rows);
    println!("\n{table}");
    let of = |program: &Path, words: &[&str]| output(Command::new(program).args(words));
    let first = |said: String| said.lines().next().unwrap_or("?").to_owned();
    let versions = [
        ("kubectl", of(&built("kubectl")?, &["version", "--client"]).map(first)?),
        ("helm", of(&bench.helm, &["version", "--short"])?),
        ("helmfile", of(&helmfile, &["--version"])?),
    ];
    let facts = machine::facts(bench.work.path(), bench.stopwatch, &versions);
    page::write("kubernetes", &section(&table, &facts))
}

fn built(name: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/build");
    output(Command::new(script).arg(name)).map(PathBuf::from)
}

impl Bench {
    /// A folder with a project whose plan's connection is the cluster.
    fn project(&self, name: &str) -> PathBuf {
        let folder = self.work.path().join(name);
        write(&folder.join("terrace.toml"), "name = \"bench\"\n");
        let plan = format!(
            "plan \"bench\" {{}}\n\nenvironment \"dev\" {{\n  aws {{\n    region     = \"{}\"\n    account_id = \"{}\"\n  }}\n}}\n\n\
             kubernetes \"main\" {{\n  kubeconfig {{\n    path = \"{}\"\n  }}\n}}\n",
            self.account.region,
            self.account.id,
            self.cluster.kubeconfig().display()
        );
        write(&folder.join("plans/bench/plan.hcl"), &plan);
        folder
    }

    /// What a program took that has to succeed.
    fn step(&self, program: &Path, words: &[&str], folder: &Path) -> Result<Measured, String> {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if ["AWS_", "TERRACE_", "HELM", "KUBE"].iter().any(|p| name.to_string_lossy().starts_with(p)) {
                command.env_remove(name);
            }
        }
        let home = self.work.path().join("home");
        let path = format!("{}:{}", self.helm.parent().unwrap().display(), env::var("PATH").unwrap_or_default());
        command.envs(self.account.environment()).env("NO_COLOR", "1").env("HOME", &home).env("PATH", path);
        command.env("KUBECONFIG", self.cluster.kubeconfig()).env("HELMFILE_UPGRADE_NOTICE_DISABLED", "1");
        let (code, measured) = self.stopwatch.measure(&command, words, folder)?;
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if code != Some(0) {
            let said = fs::read_to_string(folder.join("stderr.txt")).unwrap_or_default();
            return Err(format!("{name} {} ended with {code:?}\n{said}", words.join(" ")));
        }
        eprintln!("{name} {}: {}, {}", words.join(" "), seconds(measured.wall), mebibytes(measured.peak_kib));
        Ok(measured)
    }

    fn terrace(&self, words: &[&str], folder: &Path) -> Result<Measured, String> {
        self.step(Path::new(env!("CARGO_BIN_EXE_terrace")), words, folder)
    }
}

/// What was measured of one piece of work, in several rounds.
struct Row {
    work: &'static str,
    beside: &'static str,
    own: Vec<Measured>,
    peer: Vec<Measured>,
    asked: Asked,
}

/// What is asked of Terrace's time.
#[derive(Clone, Copy)]
enum Asked {
    /// So many times faster, at least.
    Faster(f64),
    /// This share of the peer's time, at most.
    Share(f64),
}

impl Row {
    fn new(work: &'static str, beside: &'static str, asked: Asked) -> Self {
        Self { work, beside, own: Vec::new(), peer: Vec::new(), asked }
    }
}

fn median(rounds: &[Measured]) -> Duration {
    let mut walls: Vec<Duration> = rounds.iter().map(|m| m.wall).collect();
    walls.sort();
    walls.get(walls.len() / 2).copied().unwrap_or_default()
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| work | Terrace | its peak memory | beside | takes | Terrace is faster | its share of the time | asked | |\n|---|---|---|---|---|---|---|---|---|",
    );
    for row in rows {
        let (own, peer) = (median(&row.own), median(&row.peer));
        let share = own.as_secs_f64() / peer.as_secs_f64();
        let (asked, met) = match row.asked {
            Asked::Faster(least) => (format!("at least {least} times faster"), share * least <= 1.0),
            Asked::Share(most) => (format!("a share of at most {most:.2}"), share <= most),
        };
        let peak = mebibytes(row.own.iter().filter_map(|m| m.peak_kib).max());
        let _ = write!(
            table,
            "\n| {} | {} | {peak} | {} | {} | {} | {share:.2} | {asked} | {} |",
            row.work,
            seconds(own),
            row.beside,
            seconds(peer),
            times(1.0 / share),
            if met { "met" } else { "**missed**" }
        );
    }
    table.push('\n');
    table
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn section(table: &str, facts: &str) -> String {
    format!(
        "## Objects and releases, beside kubectl, helmfile and Helm\n\
         \n\
         The same objects and the same charts on the same control plane: a real API server with its controllers, and pods that are ready at\n\
         once because nothing runs in them (kwok). Seconds are the median of the rounds.\n\
         \n\
         {table}\n\
         ### How it is measured\n\
         \n\
         - {objects} objects are ConfigMaps, Services and ServiceAccounts in files of 100, in a namespace of each tool's own, new in each of\n  \
           {object_rounds} rounds. `apply` of Terrace is given no saved plan: it plans, applies, and waits until the objects are ready, which\n  \
           kubectl does not. kubectl is left at its defaults.\n\
         - {releases} releases of a chart with a Deployment, a Service and a ConfigMap, from a folder, in {layers} layers: each needs the one in\n  \
           its place in the layer before. helmfile runs `sync` with `wait: true` at its default concurrency, Terrace `apply` at its own;\n  \
           both wait, both run the same Helm. {layer_rounds} rounds, each in new namespaces.\n\
         - One release of that chart, {one_rounds} upgrades after its install, each of a changed value. Helm's render, get and upgrade are\n  \
           `helm template`, `helm get all` and `helm upgrade --install --wait`, added up.\n\
         - Tools take turns within each round.\n\
         \n\
         ### The machine then\n\
         \n\
         {facts}",
        objects = objects::COUNT,
        object_rounds = objects::ROUNDS,
        releases = releases::COUNT,
        layers = releases::LAYERS,
        layer_rounds = releases::ROUNDS,
        one_rounds = releases::UPGRADES,
    )
}
