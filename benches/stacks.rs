//! Stacks on an emulator of AWS: whole processes of Terrace, Sceptre and the CDK with the same stacks, each tool in an
//! account of its own, behind a proxy that counts calls. `make bench` calls it; it rewrites its section of
//! `docs/benchmarks.md`, which says how it is measured.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own: it starts processes, takes their time and prints"
)]

mod common;
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../tests/support/mod.rs"]
mod support;

use common::{
    Measured, Stopwatch, machine, output, page,
    words::{mebibytes, seconds, times},
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};
use support::{Account, Proxy, Trouble, ministack};

/// Rounds of the comparison; each tool once in each, in a new account.
const ROUNDS: usize = 3;
const LAYERS: usize = 4;
/// Calls of CloudFormation that the throttled run may make in a second; what is beyond is refused.
const RATE: f64 = 50.0;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("stacks: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|e| format!("no folder to work in: {e}"))?;
    let stopwatch = Stopwatch::find();
    output(Command::new(testbed()).arg("ministack"))?;
    let server = ministack().ok_or("MiniStack does not start")?;
    let tools = [Tool::terrace()?, Tool::peer("Sceptre", "sceptre")?, Tool::peer("CDK", "aws-cdk")?];

    let mut deploys: Vec<Vec<[Step; 3]>> = vec![Vec::new(); tools.len()];
    let mut plans: Vec<Vec<Step>> = vec![Vec::new(); tools.len()];
    for round in 0..ROUNDS {
        for (index, tool) in tools.iter().enumerate() {
            let bench = Bench::new(tool, 20, &server.account(), work.path(), stopwatch)?;
            deploys[index].push([
                bench.step("deploy", &Deploy { size: "small" })?,
                bench.step("change one", &Deploy { size: "large" })?,
                bench.step("again", &Deploy { size: "large" })?,
            ]);
            if tool.plans() && round == 0 {
                let bench = Bench::new(tool, 100, &server.account(), work.path(), stopwatch)?;
                bench.step("deploy 100", &Deploy { size: "small" })?;
                for _ in 0..ROUNDS {
                    plans[index].push(bench.step("plan 100", &Plan)?);
                }
            }
        }
    }
    let large = Bench::new(&tools[0], 300, &server.account(), work.path(), stopwatch)?;
    let calm = large.step("deploy 300", &Deploy { size: "small" })?;
    let again = large.step("300 again", &Deploy { size: "small" })?;
    let throttled = Bench::new(&tools[0], 300, &server.account(), work.path(), stopwatch)?;
    throttled.proxy.trouble(Trouble::limit("cloudformation:*", RATE));
    let stormy = throttled.step("deploy 300, throttled", &Deploy { size: "small" })?;

    let table = comparison(&tools, &deploys, &plans);
    let alone = alone(&calm, &again, &stormy);
    println!("\n{table}\n{alone}");
    let versions: Vec<_> = tools.iter().map(|tool| (tool.name, tool.version.clone())).collect();
    let facts = machine::facts(work.path(), stopwatch, &versions);
    page::write("stacks", &section(&table, &alone, &facts))
}

fn testbed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/build")
}

/// What one process took, and how often it called.
#[derive(Debug, Clone, Copy)]
struct Step {
    measured: Measured,
    calls: usize,
}

/// A tool that deploys stacks.
struct Tool {
    name: &'static str,
    version: String,
    program: PathBuf,
}

impl Tool {
    fn terrace() -> Result<Self, String> {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_terrace"));
        Self { name: "Terrace", version: String::new(), program }.with_version()
    }

    fn peer(name: &'static str, built: &str) -> Result<Self, String> {
        let program = PathBuf::from(output(Command::new(testbed()).arg(built))?);
        Self { name, version: String::new(), program }.with_version()
    }

    fn with_version(mut self) -> Result<Self, String> {
        let said = output(Command::new(&self.program).arg("--version"))?;
        let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        said.split_whitespace().find(number).unwrap_or("?").clone_into(&mut self.version);
        Ok(self)
    }

    /// Sceptre's `diff` fails on the emulator.
    fn plans(&self) -> bool {
        self.name != "Sceptre"
    }
}

/// What a tool is asked to do.
trait Work {
    fn prepare(&self, bench: &Bench<'_>) -> std::io::Result<()>;
    fn words(&self, tool: &str) -> Vec<String>;
}

/// Deploys all stacks, the first with a parameter of this value.
struct Deploy {
    size: &'static str,
}

/// Says what would change.
struct Plan;

impl Work for Deploy {
    fn prepare(&self, bench: &Bench<'_>) -> std::io::Result<()> {
        bench.write(self.size)
    }

    fn words(&self, tool: &str) -> Vec<String> {
        let words: &[&str] = match tool {
            // The peers do not look for drift either.
            "Terrace" => &["apply", "--auto-approve", "--no-drift", "--parallelism", "50"],
            "Sceptre" => &["launch", "-y", "dev"],
            _ => &["deploy", "--app", ".", "--require-approval", "never", "--all", "--concurrency", "50"],
        };
        words.iter().map(|w| (*w).to_owned()).collect()
    }
}

impl Work for Plan {
    fn prepare(&self, _bench: &Bench<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn words(&self, tool: &str) -> Vec<String> {
        let words: &[&str] = if tool == "Terrace" { &["plan", "--no-drift"] } else { &["diff", "--app", "."] };
        words.iter().map(|w| (*w).to_owned()).collect()
    }
}

/// One tool with its stacks in an account of its own.
struct Bench<'t> {
    tool: &'t Tool,
    stacks: usize,
    account: Account,
    proxy: Proxy,
    folder: tempfile::TempDir,
    stopwatch: Stopwatch,
}

impl<'t> Bench<'t> {
    fn new(
        tool: &'t Tool,
        stacks: usize,
        account: &Account,
        work: &Path,
        stopwatch: Stopwatch,
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir_in(work).map_err(|e| e.to_string())?;
        let proxy = Proxy::new(&account.url);
        let account = account.at(&proxy.url);
        Ok(Self { tool, stacks, account, proxy, folder, stopwatch })
    }

    fn step(&self, name: &str, work: &impl Work) -> Result<Step, String> {
        work.prepare(self).map_err(|e| e.to_string())?;
        self.proxy.forget();
        let mut command = Command::new(&self.tool.program);
        for (name, _) in std::env::vars_os() {
            if ["AWS_", "TERRACE_", "CDK_"].iter().any(|p| name.to_string_lossy().starts_with(p)) {
                command.env_remove(name);
            }
        }
        command.envs(self.account.environment()).env("NO_COLOR", "1").env("CDK_DISABLE_VERSION_CHECK", "1");
        command.env("AWS_DEFAULT_REGION", &self.account.region).env("CDK_DISABLE_CLI_TELEMETRY", "true");
        let words = work.words(self.tool.name);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (code, measured) = self.stopwatch.measure(&command, &words, self.folder.path())?;
        if code != Some(0) {
            let said = fs::read_to_string(self.folder.path().join("stderr.txt")).unwrap_or_default();
            return Err(format!("{} {} ended with {code:?}\n{said}", self.tool.name, words.join(" ")));
        }
        let calls = self.proxy.calls().len();
        eprintln!(
            "{} {name}: {}, {}, {calls} calls",
            self.tool.name,
            seconds(measured.wall),
            mebibytes(measured.peak_kib)
        );
        eprintln!("    {:?}", self.proxy.counts());
        Ok(Step { measured, calls })
    }

    /// The stack that a stack takes an output of: the one in its place in the layer before.
    fn before(&self, stack: usize) -> Option<usize> {
        stack.checked_sub(self.stacks.div_ceil(LAYERS))
    }

    /// Writes the tool's own files.
    fn write(&self, size: &str) -> std::io::Result<()> {
        match self.tool.name {
            "Terrace" => self.write_terrace(size),
            "Sceptre" => self.write_sceptre(size),
            _ => self.write_cdk(size),
        }
    }

    fn size(stack: usize, size: &str) -> &str {
        if stack == 0 { size } else { "small" }
    }

    fn file(&self, path: &str, text: &str) -> std::io::Result<()> {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, text)
    }

    fn write_terrace(&self, size: &str) -> std::io::Result<()> {
        let (account, region) = (&self.account.id, &self.account.region);
        let mut plan = format!(
            "plan \"shop\" {{}}\n\nenvironment \"dev\" {{\n  aws {{\n    region     = \"{region}\"\n    account_id = \"{account}\"\n  }}\n}}\n"
        );
        for stack in 0..self.stacks {
            let size = Self::size(stack, size);
            let _ = write!(
                plan,
                "\nstack \"n{stack:03}\" {{\n  template   = \"${{path.module}}/stack.yaml\"\n  parameters = {{ Size = \"{size}\""
            );
            if let Some(before) = self.before(stack) {
                let _ = write!(plan, ", Before = stack.n{before:03}.outputs.Name");
            }
            plan.push_str(" }\n}\n");
        }
        self.file("terrace.toml", "name = \"bench\"\n")?;
        self.file("plans/shop/stack.yaml", TEMPLATE)?;
        self.file("plans/shop/plan.hcl", &plan)
    }

    fn write_sceptre(&self, size: &str) -> std::io::Result<()> {
        self.file("config/config.yaml", &format!("project_code: bench\nregion: {}\n", self.account.region))?;
        self.file("config/dev/config.yaml", "")?;
        self.file("templates/stack.yaml", TEMPLATE)?;
        for stack in 0..self.stacks {
            let size = Self::size(stack, size);
            let mut text = format!("template:\n  type: file\n  path: stack.yaml\nparameters:\n  Size: {size}\n");
            if let Some(before) = self.before(stack) {
                let _ = writeln!(text, "  Before: !stack_output dev/n{before:03}.yaml::Name");
            }
            self.file(&format!("config/dev/n{stack:03}.yaml"), &text)?;
        }
        Ok(())
    }

    /// A cloud assembly as the CDK writes it; outputs are joined by exports, as it joins them.
    fn write_cdk(&self, size: &str) -> std::io::Result<()> {
        let mut artifacts = serde_json::Map::new();
        for stack in 0..self.stacks {
            let before = self.before(stack);
            let described = before.map_or_else(
                || serde_json::json!("none"),
                |before| serde_json::json!({ "Fn::ImportValue": format!("n{before:03}") }),
            );
            let template = serde_json::json!({
                "Parameters": { "Size": { "Type": "String", "Default": Self::size(stack, size) } },
                "Resources": {
                    "Parameter": { "Type": "AWS::SSM::Parameter", "Properties": {
                        "Type": "String", "Value": { "Ref": "Size" }, "Description": described } },
                    "Topic": { "Type": "AWS::SNS::Topic", "Properties": { "DisplayName": described } },
                },
                "Outputs": { "Name": {
                    "Value": { "Ref": "Parameter" }, "Export": { "Name": format!("n{stack:03}") } } },
            });
            let file = format!("n{stack:03}.template.json");
            self.file(&file, &template.to_string())?;
            let artifact = serde_json::json!({
                "type": "aws:cloudformation:stack",
                "environment": format!("aws://{}/{}", self.account.id, self.account.region),
                "properties": { "templateFile": file, "validateOnSynth": false },
                "dependencies": before.iter().map(|b| format!("n{b:03}")).collect::<Vec<_>>(),
                "displayName": format!("n{stack:03}"),
            });
            artifacts.insert(format!("n{stack:03}"), artifact);
        }
        let manifest = serde_json::json!({ "version": "36.0.0", "artifacts": artifacts });
        self.file("manifest.json", &manifest.to_string())
    }
}

const TEMPLATE: &str = "\
Parameters:
  Size: { Type: String }
  Before: { Type: String, Default: none }
Resources:
  Parameter:
    Type: AWS::SSM::Parameter
    Properties: { Type: String, Value: !Ref Size, Description: !Ref Before }
  Topic:
    Type: AWS::SNS::Topic
    Properties: { DisplayName: !Ref Before }
Outputs:
  Name: { Value: !Ref Parameter }
";

fn median(steps: &[Step]) -> (Duration, usize) {
    let mut walls: Vec<Duration> = steps.iter().map(|s| s.measured.wall).collect();
    let mut calls: Vec<usize> = steps.iter().map(|s| s.calls).collect();
    walls.sort();
    calls.sort_unstable();
    (walls.get(walls.len() / 2).copied().unwrap_or_default(), calls.get(calls.len() / 2).copied().unwrap_or_default())
}

fn comparison(tools: &[Tool], deploys: &[Vec<[Step; 3]>], plans: &[Vec<Step>]) -> String {
    let mut table = String::from("| |");
    for tool in tools {
        let _ = write!(table, " {} {} |", tool.name, tool.version);
    }
    table.push_str(" time, of the better peer's | asked | | calls, asked | |\n|---|");
    table.push_str(&"---|".repeat(tools.len() + 5));
    let rows: [(&str, f64, &str); 4] = [
        ("deploy 20 stacks in 4 layers", 0.5, "no more than CDK's"),
        ("change one parameter in the first layer", 0.5, "no more than CDK's"),
        ("the same again, nothing changed", 0.5, "half of the better's"),
        ("plan of 100 existing stacks", 0.25, ""),
    ];
    for (row, (name, asked, calls_asked)) in rows.iter().enumerate() {
        let _ = write!(table, "\n| {name} |");
        let mut seen = Vec::new();
        for (deploys, plans) in deploys.iter().zip(plans) {
            let steps: Vec<Step> = if row < 3 { deploys.iter().map(|d| d[row]).collect() } else { plans.clone() };
            if steps.is_empty() {
                table.push_str(" - |");
                seen.push(None);
            } else {
                let (wall, calls) = median(&steps);
                let _ = write!(table, " {}, {calls} calls |", seconds(wall));
                seen.push(Some((wall, calls)));
            }
        }
        let own = seen[0].unwrap_or_default();
        let peers: Vec<(Duration, usize)> = seen[1..].iter().flatten().copied().collect();
        let best = peers.iter().map(|p| p.0).min().unwrap_or_default();
        let share = own.0.as_secs_f64() / best.as_secs_f64();
        let verdict = |met: bool| if met { "met" } else { "**missed**" };
        let _ = write!(table, " {share:.2} | {asked} | {} | {calls_asked} |", verdict(share <= *asked));
        let met = match *calls_asked {
            "" => "",
            "half of the better's" => verdict(2 * own.1 <= peers.iter().map(|p| p.1).min().unwrap_or_default()),
            _ => verdict(own.1 <= seen.last().copied().flatten().unwrap_or_default().1),
        };
        let _ = write!(table, " {met} |");
    }
    table.push('\n');
    table
}

fn alone(calm: &Step, again: &Step, stormy: &Step) -> String {
    let mut table =
        String::from("| 300 stacks, 50 at once | time | calls | peak memory | asked |\n|---|---|---|---|---|");
    let slower = times(stormy.measured.wall.as_secs_f64() / calm.measured.wall.as_secs_f64());
    for (name, step) in [
        ("deploy".to_owned(), calm),
        ("again, nothing changed".to_owned(), again),
        (format!("deploy, calls of CloudFormation beyond {RATE} a second throttled ({slower} the time)"), stormy),
    ] {
        let met = step.measured.peak_kib.is_some_and(|kib| kib < 100 * 1024);
        let verdict = if met { "under 100 MiB: met" } else { "under 100 MiB: **missed**" };
        let (wall, peak) = (seconds(step.measured.wall), mebibytes(step.measured.peak_kib));
        let _ = write!(table, "\n| {name} | {wall} | {} | {peak} | {verdict} |", step.calls);
    }
    table.push('\n');
    table
}

fn section(table: &str, alone: &str, facts: &str) -> String {
    format!(
        "## Stacks, beside Sceptre and the CDK\n\
         \n\
         The same stacks on the same emulator of AWS (MiniStack). Seconds and calls are the median of {ROUNDS} rounds.\n\
         \n\
         {table}\n\
         {alone}\n\
         ### How it is measured\n\
         \n\
         - Each stack is one template with two resources, and from the second layer on takes an output of the stack in its\n  \
           place in the layer before: by a reference (Terrace), `!stack_output` (Sceptre) or an export (CDK, whose cloud\n  \
           assembly is written by hand, so that no synthesis is timed).\n\
         - Each tool has an account of its own, new in each round, behind a proxy that counts its calls. Tools take turns.\n\
         - Terrace is given `--no-drift`, since the peers look for none, and works on 50 things at once, as the CDK is told to\n  \
           (`--concurrency 50`). Sceptre has no such setting.\n\
         - `apply` is given no saved plan: it plans, by change sets, and applies. The CDK deploys by its change-set path.\n\
         - The emulator finishes each operation at once: what is left is the tools and the calls that they make.\n\
         - Sceptre's `diff` fails on this emulator.\n\
         \n\
         ### The machine then\n\
         \n\
         {facts}"
    )
}
