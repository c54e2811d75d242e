//! The yardstick: whole processes of Terrace and its peers on the same graph, in the same
//! run, on the same machine. `make bench` calls it; it prints what it saw and rewrites
//! its section of `docs/benchmarks.md`, which says how it is measured.
//!
//! It measures no function of the library and judges nothing but the targets it states.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program of its own: it starts processes, takes their time and prints"
)]

mod common;

use common::{
    Measured, Stopwatch, machine, output, page,
    words::{mebibytes, seconds, times},
};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

const USAGE: &str = "\
usage: cargo bench --bench yardstick -- [OPTION]...

  --nodes N          nodes of the graph that all tools run (1000)
  --rounds N         rounds, each tool once in each (5)
  --slow-rounds N    rounds in which Terraform takes part (3)
  --scaling N,N,..   sizes that Terrace runs alone (1000,5000,20000)
  --only NAME        terrace, peers: measure these only, leave the page as it is";

/// How many times faster than the better peer Terrace is asked to be at each step.
const STEPS: [Step; 3] = [
    Step { name: "plan", asked: 20.0, verb: "plan", changes: true },
    Step { name: "apply", asked: 5.0, verb: "apply", changes: true },
    Step { name: "plan again", asked: 20.0, verb: "plan", changes: false },
];

/// How many times more a further node may cost in the largest graph than in the smallest.
const GROWTH_ASKED: f64 = 2.0;

/// Any number: it only has to be the same one every time.
const SEED: u64 = 20_260_101;

const NODES_A_FILE: usize = 500;
const WINDOW: usize = 200;
const REFERENCES: usize = 3;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("yardstick: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .map_err(|error| format!("no folder to work in under target: {error}"))?;
    let stopwatch = Stopwatch::find();
    let mut tools = Vec::new();
    if options.only != Some(Only::Peers) {
        tools.push(Tool::terrace(options.rounds)?);
    }
    if options.only != Some(Only::Terrace) {
        tools.push(Tool::opentofu(options.rounds)?);
        tools.extend(Tool::terraform(options.rounds.min(options.slow_rounds)));
    }

    let graph = Graph::new(options.nodes);
    let mut comparison: Vec<Vec<Run>> = vec![Vec::new(); tools.len()];
    for round in 0..options.rounds {
        for (tool, runs) in tools.iter().zip(&mut comparison) {
            if tool.takes_part(round, options.rounds) {
                runs.push(tool.run(&graph, &work.path().join(format!("{}-{round}", tool.name)), stopwatch)?);
            }
        }
    }

    let mut scaling = Vec::new();
    if let Some(terrace) = tools.iter().find(|tool| tool.language == Language::Terrace) {
        for &nodes in &options.scaling {
            let graph = Graph::new(nodes);
            let mut runs = Vec::new();
            for round in 0..options.rounds.min(3) {
                runs.push(terrace.run(&graph, &work.path().join(format!("{nodes}-{round}")), stopwatch)?);
            }
            scaling.push((nodes, runs));
        }
    }

    let compared = comparison_table(&tools, &comparison);
    println!("\n{compared}");
    if scaling.is_empty() {
        return Ok(());
    }
    let scaled = scaling_table(&scaling);
    println!("{scaled}");
    if options.only.is_none() {
        let facts = machine::facts(work.path(), stopwatch, &programs(&tools, options));
        page::write("graph", &page_text(&graph, &compared, &scaled, &facts))?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Terrace,
    Peers,
}

struct Options {
    nodes: usize,
    rounds: usize,
    slow_rounds: usize,
    scaling: Vec<usize>,
    only: Option<Only>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { nodes: 1000, rounds: 5, slow_rounds: 3, scaling: vec![1000, 5000, 20_000], only: None };
        // `cargo bench` adds a flag of its own.
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
            match name.as_str() {
                "--nodes" => options.nodes = number(&value()?)?,
                "--rounds" => options.rounds = number(&value()?)?,
                "--slow-rounds" => options.slow_rounds = number(&value()?)?,
                "--scaling" => options.scaling = value()?.split(',').map(number).collect::<Result<_, _>>()?,
                "--only" => {
                    options.only = Some(match value()?.as_str() {
                        "terrace" => Only::Terrace,
                        "peers" => Only::Peers,
                        other => return Err(format!("--only {other}?\n{USAGE}")),
                    });
                }
                _ => return Err(format!("{name}?\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("`{text}` is no number above 0\n{USAGE}"))
}

/// For each node, the earlier nodes whose ids it quotes.
struct Graph(Vec<Vec<usize>>);

impl Graph {
    /// Draws the same graph every time: node i quotes up to three distinct nodes of the 200
    /// before it. Ids and not outputs: an output that quotes three outputs grows without end.
    fn new(nodes: usize) -> Self {
        let mut random = SplitMix64(SEED);
        let mut graph = Vec::with_capacity(nodes);
        for node in 0..nodes {
            let first = node.saturating_sub(WINDOW);
            let mut quoted = BTreeSet::new();
            while quoted.len() < REFERENCES.min(node) {
                quoted.insert(first + random.below(node - first));
            }
            graph.push(quoted.into_iter().collect());
        }
        Self(graph)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn edges(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The nodes on the longest path.
    fn depth(&self) -> usize {
        let mut depths: Vec<usize> = Vec::with_capacity(self.len());
        for quoted in &self.0 {
            depths.push(1 + quoted.iter().map(|&earlier| depths[earlier]).max().unwrap_or(0));
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// Writes the graph into a new folder as a project of the language.
    fn write(&self, folder: &Path, language: Language) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let (extension, block, reference) = match language {
            Language::Terrace => {
                fs::write(folder.join("terrace.toml"), "")?;
                fs::write(
                    folder.join("plan.hcl"),
                    "plan \"yardstick\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n",
                )?;
                ("hcl", "value", "value")
            }
            Language::Terraform => ("tf", "resource \"terraform_data\"", "terraform_data"),
        };
        for (file, nodes) in self.0.chunks(NODES_A_FILE).enumerate() {
            let mut text = String::new();
            for (offset, quoted) in nodes.iter().enumerate() {
                let node = file * NODES_A_FILE + offset;
                let _ = write!(text, "{block} \"n{node:04}\" {{\n  input = \"x");
                for earlier in quoted {
                    let _ = write!(text, "-${{{reference}.n{earlier:04}.id}}");
                }
                text.push_str("\"\n}\n\n");
            }
            fs::write(folder.join(format!("nodes-{file:03}.{extension}")), text)?;
        }
        Ok(())
    }
}

/// Steele, Lea and Flood's generator: enough for a graph, and the same on every machine.
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).expect("invariant: below a usize")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Terrace,
    Terraform,
}

struct Step {
    name: &'static str,
    asked: f64,
    verb: &'static str,
    /// The step starts from a world that differs from what is declared.
    changes: bool,
}

/// What one tool took for each of the steps, in their order.
type Run = [Measured; STEPS.len()];

struct Tool {
    name: &'static str,
    version: String,
    program: PathBuf,
    language: Language,
    rounds: usize,
}

impl Tool {
    fn terrace(rounds: usize) -> Result<Self, String> {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_terrace"));
        let version = output(Command::new(&program).arg("--version"))?;
        let version = version.split_whitespace().last().unwrap_or("?").to_owned();
        Ok(Self { name: "Terrace", version, program, language: Language::Terrace, rounds })
    }

    fn opentofu(rounds: usize) -> Result<Self, String> {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/build");
        let program = PathBuf::from(output(Command::new(build).arg("opentofu"))?);
        let version = terraform_version(&program)?;
        Ok(Self { name: "OpenTofu", version, program, language: Language::Terraform, rounds })
    }

    /// The testbed does not build Terraform, so it takes part where it is installed.
    fn terraform(rounds: usize) -> Option<Self> {
        let program = PathBuf::from("terraform");
        match terraform_version(&program) {
            Ok(version) => Some(Self { name: "Terraform", version, program, language: Language::Terraform, rounds }),
            Err(why) => {
                eprintln!("yardstick: going on without Terraform: {why}");
                None
            }
        }
    }

    /// Spreads the tool's rounds evenly over all of them.
    fn takes_part(&self, round: usize, of: usize) -> bool {
        (round + 1) * self.rounds / of > round * self.rounds / of
    }

    /// Plans, applies and plans again in a new folder, and makes sure that each did it.
    fn run(&self, graph: &Graph, folder: &Path, stopwatch: Stopwatch) -> Result<Run, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        graph.write(folder, self.language).map_err(failed)?;
        if self.language == Language::Terraform {
            output(self.command().current_dir(folder).args(["init", "-input=false", "-no-color"]))?;
        }
        let mut run = Run::default();
        for (step, measured) in STEPS.iter().zip(&mut run) {
            let mut arguments = vec![step.verb];
            match (self.language, step.verb) {
                (Language::Terrace, "apply") => arguments.extend([".", "--env", "dev", "--auto-approve"]),
                (Language::Terrace, _) => arguments.extend([".", "--env", "dev", "--detailed-exitcode"]),
                (Language::Terraform, "apply") => arguments.extend(["-input=false", "-auto-approve"]),
                (Language::Terraform, _) => arguments.extend(["-input=false", "-detailed-exitcode"]),
            }
            eprint!("{} {}, {} nodes: ", self.name, step.name, graph.len());
            let (code, seen) = stopwatch.measure(&self.command(), &arguments, folder)?;
            eprintln!("{}, {}", seconds(seen.wall), mebibytes(seen.peak_kib));
            let wanted = if step.verb == "plan" && step.changes { 2 } else { 0 };
            if code != Some(wanted) {
                let said = fs::read_to_string(folder.join("stderr.txt")).unwrap_or_default();
                return Err(format!(
                    "{} {} ended with {code:?} where {wanted} was due, in a run of {} nodes\n{said}",
                    self.name,
                    arguments.join(" "),
                    graph.len(),
                ));
            }
            *measured = seen;
        }
        fs::remove_dir_all(folder).map_err(failed)?;
        Ok(run)
    }

    /// The program in an environment that has no settings for any of the tools.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        without_settings(&mut command);
        command
    }
}

fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["TERRACE_", "TF_", "TOFU_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    // Terraform asks its maker for news otherwise, and is measured waiting for an answer.
    command.env("CHECKPOINT_DISABLE", "1").env("NO_COLOR", "1");
}

fn terraform_version(program: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    without_settings(&mut command);
    let text = output(command.args(["version", "-json"]))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(json["terraform_version"].as_str().unwrap_or("?").to_owned())
}

fn median_wall(runs: &[Run], step: usize) -> Duration {
    let mut walls: Vec<Duration> = runs.iter().map(|run| run[step].wall).collect();
    walls.sort();
    match walls.len() {
        0 => Duration::ZERO,
        length if length % 2 == 1 => walls[length / 2],
        length => (walls[length / 2 - 1] + walls[length / 2]) / 2,
    }
}

/// The most memory that any of the runs took.
fn peak(runs: &[Run], step: usize) -> Option<u64> {
    runs.iter().filter_map(|run| run[step].peak_kib).max()
}

fn comparison_table(tools: &[Tool], runs: &[Vec<Run>]) -> String {
    let (own, peers): (Vec<_>, Vec<_>) =
        tools.iter().zip(runs).partition(|(tool, _)| tool.language == Language::Terrace);
    let mut table = String::from("| |");
    for tool in tools {
        let _ = write!(table, " {} {} |", tool.name, tool.version);
    }
    table.push_str(" against the better peer | asked | |\n|---|");
    table.push_str(&"---|".repeat(tools.len() + 3));
    for (index, step) in STEPS.iter().enumerate() {
        let _ = write!(table, "\n| {} |", step.name);
        for runs in runs {
            let walls = || runs.iter().map(|run| run[index].wall);
            let least = walls().min().unwrap_or_default();
            let most = walls().max().unwrap_or_default();
            let median = median_wall(runs, index);
            let _ = write!(table, " {} ({} to {}) |", seconds(median), seconds(least), seconds(most));
        }
        let best = peers.iter().map(|(_, runs)| median_wall(runs, index)).min();
        match (own.first(), best) {
            (Some((_, own)), Some(best)) => {
                let ratio = best.as_secs_f64() / median_wall(own, index).as_secs_f64();
                let verdict = if ratio >= step.asked { "met" } else { "**missed**" };
                let _ = write!(table, " {} | {}x | {verdict} |", times(ratio), step.asked);
            }
            _ => {
                let _ = write!(table, " | {}x | |", step.asked);
            }
        }
    }
    for (index, step) in STEPS.iter().enumerate() {
        let _ = write!(table, "\n| peak memory, {} |", step.name);
        for runs in runs {
            let _ = write!(table, " {} |", mebibytes(peak(runs, index)));
        }
        let best = peers.iter().filter_map(|(_, runs)| peak(runs, index)).min();
        let own = own.first().and_then(|(_, runs)| peak(runs, index));
        let share = own.zip(best).map(|(own, best)| format!("{} less", times(ratio(best, own))));
        let _ = write!(table, " {} | | |", share.unwrap_or_default());
    }
    let _ = write!(table, "\n| rounds |");
    for runs in runs {
        let _ = write!(table, " {} |", runs.len());
    }
    table.push_str(" | | |\n");
    table
}

fn scaling_table(scaling: &[(usize, Vec<Run>)]) -> String {
    let mut table = String::from("| nodes |");
    for step in &STEPS {
        let _ = write!(table, " {} | a node | peak memory |", step.name);
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(3 * STEPS.len()));
    let a_node = |nodes: usize, runs: &[Run], step: usize| micros(median_wall(runs, step)) / float(nodes);
    for (nodes, runs) in scaling {
        let _ = write!(table, "\n| {} |", thousands(*nodes));
        for step in 0..STEPS.len() {
            let wall = seconds(median_wall(runs, step));
            let each = a_node(*nodes, runs, step);
            let _ = write!(table, " {wall} | {each:.0} µs | {} |", mebibytes(peak(runs, step)));
        }
    }
    table.push('\n');
    // What a process costs at its start would hide growth, so compare what further nodes cost.
    if let [first, second, .., before, last] | [first, second @ before, last] = scaling {
        let (from, to) = (thousands(before.0), thousands(last.0));
        let _ = write!(table, "\nFrom {from} to {to} nodes, each further node takes");
        for (step, name) in STEPS.iter().map(|step| step.name).enumerate() {
            let further = |less: &(usize, Vec<Run>), more: &(usize, Vec<Run>)| {
                let wall = median_wall(&more.1, step).saturating_sub(median_wall(&less.1, step));
                micros(wall) / float(more.0.abs_diff(less.0).max(1))
            };
            let (early, late) = (further(first, second), further(before, last));
            let growth = late / early.max(0.1);
            let verdict = if growth <= GROWTH_ASKED { "" } else { ", **missed**" };
            let comma = if step == 0 { "" } else { "," };
            let _ = write!(
                table,
                "{comma} {late:.0} µs to {name} ({growth:.2} times as much as in the smallest graphs{verdict})"
            );
        }
        let _ = writeln!(table, "; asked is at most {GROWTH_ASKED} times.");
    }
    table
}

/// The programs and how often each ran.
fn programs(tools: &[Tool], options: &Options) -> Vec<(&'static str, String)> {
    let slow = options.rounds.min(options.slow_rounds);
    let mut rows: Vec<_> = tools.iter().map(|tool| (tool.name, tool.version.clone())).collect();
    rows.push(("rounds", format!("{}; Terraform {slow}, for its time", options.rounds)));
    rows
}

fn page_text(graph: &Graph, compared: &str, scaled: &str, facts: &str) -> String {
    let (nodes, edges, depth) = (thousands(graph.len()), thousands(graph.edges()), graph.depth());
    format!(
        "## A graph of {nodes} nodes, beside OpenTofu and Terraform\n\
         \n\
         Seconds are the median of the rounds, with the least and the most; memory is the most of any round.\n\
         \n\
         {compared}\n\
         ### Growth\n\
         \n\
         Terrace alone, on larger graphs drawn in the same way; the median of up to three rounds.\n\
         \n\
         {scaled}\n\
         ### How it is measured\n\
         \n\
         - The graph: {nodes} nodes and {edges} edges in files of {NODES_A_FILE}, {depth} nodes on its longest path. Node i quotes the ids\n  \
           of three nodes (fewer at the start) drawn from the 200 before it, by a generator with a fixed seed. For the peers\n  \
           a node is a `terraform_data`, for Terrace a `value`: neither reaches anything outside the process, so what is\n  \
           left is the tool itself. An id is unknown until its node is applied.\n\
         - What is timed is a whole process, from its start to its end: `plan` in a new folder, `apply` with approval given,\n  \
           `plan` again. `apply` is given no saved plan, so that it plans first, for all three. What a tool prints is thrown\n  \
           away. `init` of the peers is not timed; Terrace has no such step.\n\
         - Each plan is told to report by its exit code whether there are changes, and the run fails if the first sees none\n  \
           or the second sees any.\n\
         - All three keep state in the project's folder, on disk. A `value` touches nothing outside the process, so Terrace writes\n  \
           its records in order without waiting for the disk at each; whatever has an effect outside waits, and is not\n  \
           measured here. The peers write their state as they see fit. All use their default parallelism.\n\
         - Tools take turns within a round, so that a slow minute of the machine meets them all.\n\
         - \"Against the better peer\" is the lower median of the two peers divided by Terrace's.\n\
         - Terraform is measured where it is installed. OpenTofu is built from source at a pinned version ([testbed](../testbed/README.md)).\n\
         \n\
         ### The machine\n\
         \n\
         {facts}"
    )
}

fn micros(wall: Duration) -> f64 {
    wall.as_secs_f64() * 1e6
}

fn ratio(of: u64, to: u64) -> f64 {
    Duration::from_micros(of).as_secs_f64() / Duration::from_micros(to.max(1)).as_secs_f64()
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
