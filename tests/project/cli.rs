//! The program as people run it: its words, its output, its exit codes, in projects of their own with nothing inherited.

#![expect(clippy::disallowed_methods, reason = "makes project folders and runs the program in them")]

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A project folder with one plan, `plans/app`, on the embedded world, where time does not pass.
pub(super) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// A project without any plan.
    pub(super) fn bare() -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        project.write("terrace.toml", "name = \"test\"\n");
        project
    }

    pub(super) fn new(plan: &str) -> Self {
        let project = Self::bare();
        project.write(
            "plans/app/plan.hcl",
            &format!("plan \"app\" {{}}\n\nenvironment \"dev\" {{\n  sandbox {{}}\n}}\n\n{plan}"),
        );
        project
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, words: &[&str]) -> assert_cmd::assert::Assert {
        self.command(words).assert()
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        command(self.path(), words)
    }

    /// Standard output, where the command ends with this code.
    pub(super) fn stdout(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words).code(code);
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    }

    /// Standard error, where the command ends with this code.
    pub(super) fn stderr(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words).code(code);
        String::from_utf8(output.get_output().stderr.clone()).unwrap()
    }

    /// Everything below the project's folder, as one text.
    fn everything(&self) -> String {
        let mut out = String::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    out.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap()));
                }
            }
        }
        out
    }
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("terrace").unwrap();
    command.env_clear().env("TERRACE_SANDBOX_SPEED", "instant").env("TERRACE_IDENTITY", "ada");
    command.current_dir(folder).args(words).timeout(std::time::Duration::from_secs(120));
    command
}

fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

const TWO_VALUES: &str = r#"
variable "size" {
  default = "small"
}

value "first" {
  input = var.size
}

value "second" {
  input = "after ${value.first.output}"
}

output "second" {
  value = value.second.output
}
"#;

const STACK: &str = r#"
stack "queue" {
  template = "${path.root}/queue.yaml"
}
"#;

const QUEUE: &str = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n  Other:\n    Type: AWS::SQS::Queue\n";

fn with_stack() -> Project {
    let project = Project::new(STACK);
    project.write("plans/app/queue.yaml", QUEUE);
    project
}

// --- A project's first hour

#[test]
fn a_new_project_plans_applies_and_destroys_at_once() {
    let folder = tempfile::tempdir().unwrap();
    command(folder.path(), &["init", "shop", "--yes"]).assert().success();
    let shop = folder.path().join("shop");
    command(&shop, &["validate"]).assert().success();
    command(&shop, &["fmt", "--check"]).assert().success().stdout("");
    let plan = command(&shop, &["plan", "--detailed-exitcode"]).assert().code(2);
    plan.stdout(predicate::str::starts_with("World  sandbox, account 000000000000, region us-east-1\n"));
    command(&shop, &["apply", "--auto-approve"]).assert().success();
    command(&shop, &["output", "bucket", "--raw"]).assert().success().stdout("shop-dev-files-000000000000");
    command(&shop, &["plan", "--detailed-exitcode"]).assert().success().stdout(predicate::str::contains("No changes."));
    command(&shop, &["destroy", "--auto-approve"]).assert().success();
    command(&shop, &["state", "list"]).assert().success().stdout("");
}

#[test]
fn init_overwrites_nothing_and_asks_nobody_who_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("terrace.toml"), "mine").unwrap();
    let refused = command(folder.path(), &["init", "--yes", "--name", "app"]).assert().code(1);
    refused.stderr(predicate::str::contains("error[already_there]").and(predicate::str::contains("terrace.toml")));
    assert_eq!(fs::read_to_string(folder.path().join("terrace.toml")).unwrap(), "mine");
    assert!(!folder.path().join("plans").exists());
    command(folder.path(), &["init", "x"]).assert().code(64).stderr(predicate::str::contains("--yes"));
}

// --- The words of the command line

#[test]
fn help_and_version_are_data_and_wrong_words_are_64() {
    let project = Project::new("");
    project
        .run(&["--help"])
        .success()
        .stdout(predicate::str::contains("\n  review").and(predicate::str::contains("\n  lsp").not()));
    project.run(&["--version"]).success().stdout(predicate::str::starts_with("terrace "));
    project.run(&["plna"]).code(64).stderr(predicate::str::contains("'plan'")); // spellchecker:disable-line
    project.run(&["plan", "--frobnicate"]).code(64);
    project.run(&["plan", "--target", "nonsense"]).code(64).stderr(predicate::str::contains("no address"));
    project.run(&["plan", "--env", "dve"]).code(64).stderr(predicate::str::contains("did you mean `dev`?"));
    project.run(&["--parallelism", "0", "plan"]).code(64);
    project.run(&[]).code(64);
}

#[test]
fn commands_of_later_versions_are_refused_by_name() {
    let project = Project::new("");
    for words in [&["modules", "check", "x"][..], &["lsp"], &["reap"]] {
        let said = project.stderr(words, 64);
        assert!(said.contains("not in this version") && said.contains(words[0]), "{said}");
    }
}

#[test]
fn a_plan_is_found_by_folder_by_name_and_from_within() {
    let project = Project::new(TWO_VALUES);
    for words in [&["validate"][..], &["validate", "app"], &["validate", "plans/app"], &["validate", "plans/app/"]] {
        project.run(words).success();
    }
    command(&project.path().join("plans/app"), &["validate"]).assert().success();
    command(&project.path().join("plans"), &["validate", "--project", ".."]).assert().success();
    assert!(project.stderr(&["validate", "ap"], 64).contains("did you mean `app`?"));
    project.write("plans/base/plan.hcl", "plan \"base\" {}\n");
    assert!(project.stderr(&["validate"], 64).contains("plans here: app, base"));
}

#[test]
fn settings_that_are_wrong_are_shown_where_they_stand() {
    let project = Project::new("");
    project.write("terrace.toml", "paralelism = 3\n"); // spellchecker:disable-line
    let said = project.stderr(&["plan"], 1);
    assert!(said.contains("terrace.toml:1:1") && said.contains("did you mean `parallelism`?"), "{said}");
}

// --- Checking

#[test]
fn everything_wrong_is_shown_at_once_with_its_place() {
    let project = Project::new("value \"a\" {\n  input = var.nope\n  colour = 1\n}\n\nhelmm \"b\" {}\n"); // spellchecker:disable-line
    let said = project.stderr(&["validate"], 1);
    for part in ["plans/app/plan.hcl:8:", "unknown_attribute", "unknown_reference", "unknown_kind", "3 errors"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let json = lines(&project.stdout(&["validate", "--json"], 1));
    assert_eq!(json.len(), 3);
    assert!(json.iter().all(|d| d["format"] == 1 && d["type"] == "diagnostic" && d["labels"][0]["line"].is_u64()));
}

#[test]
fn validate_reads_what_a_probe_is_written_in() {
    let probe = |name: &str, inside: &str| {
        format!("check \"{name}\" {{\n  http {{\n    url = \"http://127.0.0.1:1\"\n    {inside}\n  }}\n}}\n")
    };
    let condition = |name: &str, inside: &str| {
        format!(
            "check \"{name}\" {{\n  condition {{\n    api_version = \"v1\"\n    kind = \"Pod\"\n    name = \"a\"\n    {inside}\n  }}\n}}\n"
        )
    };
    let good = [
        probe("regex", "body_matches = \"^ok\""),
        probe("path", "json_path = \"data.items[0]\""),
        condition("cel", "cel = \"object.status.phase == 'Running'\""),
        "kubernetes \"main\" {\n  in_cluster {}\n}\n".to_owned(),
    ];
    let project = Project::new("");
    project.write("plans/app/app.hcl", &good.concat());
    project.stdout(&["validate"], 0);
    let bad = good
        .concat()
        .replace("^ok", "(ok")
        .replace("data.items[0]", "data.items[")
        .replace("object.status.phase == 'Running'", "object.status.phase ==");
    project.write("plans/app/app.hcl", &bad);
    let said = project.stderr(&["validate"], 1);
    for (at, what) in [("4:20", "no regular expression"), ("10:17", "no JSONPath"), ("18:11", "no CEL expression")] {
        assert!(said.contains(&format!("app.hcl:{at}")) && said.contains(what), "{at} {what}: {said}");
    }
}

#[test]
fn validate_looks_into_templates_and_into_every_environment() {
    let project = with_stack();
    project.write("plans/app/queue.yaml", "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    DependsOn: Nowhere\n");
    assert!(project.stderr(&["validate"], 1).contains("undefined_reference"));
    project.write("plans/app/queue.yaml", QUEUE);
    project.write(
        "plans/app/more.hcl",
        "environment \"tst\" {\n  sandbox {}\n}\n\nvariable \"n\" {\n  type = number\n}\n",
    );
    project.write("plans/app/environments/dev.toml", "n = 1\n");
    assert!(project.stderr(&["validate"], 1).contains("missing_variable"));
    project.run(&["validate", "--env", "dev"]).success();
    project.write("plans/app/environments/tst.toml", "n = \"x\"\n");
    assert!(project.stderr(&["validate"], 1).contains("error["));
}

#[test]
fn fmt_changes_layout_and_check_only_tells() {
    let project = Project::new("");
    project.write("plans/app/ugly.hcl", "value \"a\" {\ninput=1 # keep\n}\n");
    assert_eq!(project.stdout(&["fmt", "--check"], 1), "plans/app/ugly.hcl\n");
    assert_eq!(project.stdout(&["fmt"], 0), "plans/app/ugly.hcl\n");
    assert_eq!(
        fs::read_to_string(project.path().join("plans/app/ugly.hcl")).unwrap(),
        "value \"a\" {\n  input = 1 # keep\n}\n"
    );
    assert_eq!(project.stdout(&["fmt", "--check"], 0), "");
    project.command(&["fmt", "-"]).write_stdin("a=1\n").assert().success().stdout("a = 1\n");
    project
        .command(&["fmt", "-"])
        .write_stdin("a = = 1\n")
        .assert()
        .code(1)
        .stderr(predicate::str::contains("stdin:1:"));
}

#[test]
fn the_console_goes_on_after_an_error() {
    let project = Project::new(TWO_VALUES);
    let session = project.command(&["console"]).write_stdin("1 + 2\nvar.sizee\nupper(var.size)\n").assert().code(1); // spellchecker:disable-line
    session
        .stdout("3\n\"SMALL\"\n")
        .stderr(predicate::str::contains("did you mean").or(predicate::str::contains("size")));
    project
        .command(&["console", "--var", "size=big"])
        .write_stdin("[for n in [1, 2] : n * 2]\nvar.size\n")
        .assert()
        .success()
        .stdout("[2, 4]\n\"big\"\n");
}

#[test]
fn the_graph_comes_in_four_forms() {
    let project = Project::new(TWO_VALUES);
    for (format, part) in [("dot", "digraph"), ("mermaid", "flowchart"), ("svg", "<svg"), ("json", "{")] {
        assert!(project.stdout(&["graph", "--format", format], 0).contains(part), "{format}");
    }
}

// --- Planning and applying

#[test]
fn variables_win_in_the_order_of_the_rules() {
    let project = Project::new("variable \"v\" {\n  default = \"default\"\n}\n\noutput \"v\" {\n  value = var.v\n}\n");
    let shown = |words: &[&str], process: bool| {
        let mut command = project.command(words);
        if process {
            command.env("TERRACE_VAR_v", "process");
        }
        let output = command.assert().success();
        String::from_utf8_lossy(&output.get_output().stdout).into_owned()
    };
    assert!(shown(&["plan"], false).contains("\"default\""));
    assert!(shown(&["plan"], true).contains("\"process\""));
    project.write("plans/app/environments/dev.toml", "v = \"environment\"\n");
    assert!(shown(&["plan"], true).contains("\"environment\""));
    project.write("more.toml", "v = \"file\"\n");
    assert!(shown(&["plan", "--var-file", "more.toml"], true).contains("\"file\""));
    assert!(shown(&["plan", "--var-file", "more.toml", "--var", "v=flag"], true).contains("\"flag\""));
    assert!(project.stderr(&["plan", "--var", "w=1"], 1).contains("unknown_variable"));
}

#[cfg(unix)]
#[test]
fn what_comes_next_is_a_command_that_can_be_pasted_and_holds_no_secret() {
    let project = Project::new(&format!("variable \"token\" {{\n  sensitive = true\n}}\n{TWO_VALUES}"));
    project.write("it's more.toml", "size = \"of the file\"\n");
    let given = ["--var", "size=it's $HOME; \"x\"", "--var", "token=hunter2", "--var-file", "it's more.toml"];
    let words = [&["plan", "--project", ".", "--env", "dev", "--target", "value.second"][..], &given].concat();
    let said = project.stderr(&words, 0);
    assert!(!said.contains("hunter2") && said.contains("TERRACE_VAR_token"), "{said}");
    let next = said.lines().find_map(|l| l.strip_prefix("Next: ")).unwrap();
    let paste = |line: &str| {
        let program = assert_cmd::cargo::cargo_bin("terrace");
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().env("TERRACE_SANDBOX_SPEED", "instant").env("TERRACE_VAR_token", "hunter2").env("HOME", "/");
        shell.env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()));
        shell.current_dir(project.path()).args(["-c", line]).assert().success();
    };
    paste(&format!("{next} --auto-approve"));
    let made = project.stdout(&["state", "show", "value.second"], 0);
    assert!(made.contains("after it's $HOME; "), "{made}");

    let saved = project.stderr(&["plan", "--out", "a plan.tplan", "--var", "size=big", "--var", "token=hunter2"], 0);
    let next = saved.lines().find_map(|l| l.strip_prefix("Next: ")).unwrap();
    assert_eq!(next, "terrace apply 'a plan.tplan'");
    paste(&format!("{next} --auto-approve"));
    assert_eq!(project.stdout(&["output", "second", "--raw"], 0).trim_end(), "after big");
}

#[test]
fn applying_needs_somebody_who_agrees() {
    let project = Project::new(TWO_VALUES);
    let said = project.stderr(&["apply"], 64);
    assert!(said.contains("--auto-approve"), "{said}");
    assert_eq!(project.stdout(&["state", "list"], 0), "");
    project.run(&["apply", "--auto-approve", "--reason", "first"]).success();
    assert_eq!(project.stdout(&["state", "list"], 0), "value.first\nvalue.second\n");
    assert_eq!(project.stdout(&["output", "second"], 0), "\"after small\"\n");
    let history = project.stdout(&["history"], 0);
    assert!(history.contains("succeeded") && history.contains("first") && history.contains("ada"), "{history}");
    // Nothing to do needs nobody to agree.
    project.run(&["apply"]).success();
}

#[test]
fn a_saved_plan_is_applied_exactly_and_only_while_it_is_fresh() {
    let project = Project::new(TWO_VALUES);
    project.run(&["plan", "--out", "a.tplan"]).success();
    project.run(&["plan", "--out", "b.tplan"]).success();
    let content = |name: &str| -> Json {
        let bytes = fs::read(project.path().join(name)).unwrap();
        serde_json::from_slice::<Json>(&bytes).unwrap()["digest"].clone()
    };
    assert_eq!(content("a.tplan"), content("b.tplan"), "the same inputs give the same plan");
    assert!(project.stdout(&["show", "a.tplan"], 0).contains("value.first"));
    // What the folder says meanwhile does not matter.
    project.write("plans/app/plan.hcl", "plan \"app\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\n");
    assert!(
        project
            .stderr(&["apply", "a.tplan", "--auto-approve", "--target", "value.first"], 64)
            .contains("flags_with_plan")
    );
    project.run(&["apply", "a.tplan", "--auto-approve"]).success();
    assert_eq!(project.stdout(&["state", "list"], 0), "value.first\nvalue.second\n");
    let stale = project.stderr(&["apply", "b.tplan", "--auto-approve"], 5);
    assert!(stale.contains("plan_stale") && stale.contains("serial"), "{stale}");
}

#[test]
fn a_file_that_is_no_plan_is_refused() {
    let project = Project::new(TWO_VALUES);
    project.run(&["plan", "--out", "a.tplan"]).success();
    let text = fs::read_to_string(project.path().join("a.tplan")).unwrap();
    for (name, content) in [
        ("empty", String::new()),
        ("json", "{\"a\": 1}".to_owned()),
        ("altered", text.replace("small", "large")),
        ("cut", text[..text.len() / 2].to_owned()),
    ] {
        project.write(name, &content);
        assert!(project.stderr(&["apply", name, "--auto-approve"], 1).contains("plan_file"), "{name}");
    }
    project.write("newer", "{\"terrace_plan\": 99}");
    assert!(project.stderr(&["show", "newer"], 1).contains("plan_newer"));
    assert!(project.stderr(&["show", "missing"], 1).contains("file_unreadable"));
}

#[test]
fn secrets_are_in_no_output_no_plan_file_and_no_state() {
    let project = Project::new(
        "variable \"password\" {\n  sensitive = true\n}\n\nvalue \"a\" {\n  input = \"p=${var.password}\"\n}\n\noutput \"a\" {\n  value = value.a.output\n  sensitive = true\n}\n",
    );
    let secret = "hunter2-and-more";
    let with = |words: &[&str], code: i32| {
        let output = project.command(words).env("TERRACE_VAR_password", secret).assert().code(code);
        let output = output.get_output();
        let text = String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
        assert!(!text.contains(secret), "{words:?} shows the secret: {text}");
        text
    };
    assert!(with(&["plan", "--out", "p.tplan"], 0).contains("(sensitive)"));
    with(&["plan", "--json"], 0);
    let missing = project.stderr(&["apply", "p.tplan", "--auto-approve"], 64);
    assert!(missing.contains("TERRACE_VAR_password"), "{missing}");
    let wrong =
        project.command(&["apply", "p.tplan", "--auto-approve"]).env("TERRACE_VAR_password", "other").assert().code(5);
    wrong.stderr(predicate::str::contains("password"));
    with(&["apply", "p.tplan", "--auto-approve"], 0);
    assert!(with(&["output", "a"], 1).contains("sensitive_output"));
    with(&["output", "--json"], 0);
    with(&["state", "pull"], 0);
    assert!(!project.everything().contains(secret));
}

#[test]
fn targets_limit_what_is_done() {
    let project = Project::new(TWO_VALUES);
    project.run(&["apply", "--auto-approve", "--target", "value.first"]).success();
    assert_eq!(project.stdout(&["state", "list"], 0), "value.first\n");
    assert!(project.stderr(&["plan", "--target", "value.third"], 1).contains("unknown_target"));
    assert!(project.stdout(&["plan", "--replace", "value.first"], 0).contains("-/+ value.first"));
}

#[test]
fn protected_environments_want_more_than_a_yes() {
    let project = Project::new(TWO_VALUES);
    project.write(
        "plans/app/plan.hcl",
        &format!("plan \"app\" {{}}\nenvironment \"prd\" {{\n  protected = true\n  sandbox {{}}\n}}\n{TWO_VALUES}"),
    );
    project.run(&["apply", "--auto-approve"]).success().stdout(predicate::str::contains("(protected)"));
    let destroy = ["destroy", "--auto-approve", "--allow-destroy", "--confirm", "prd"];
    assert!(project.stderr(&destroy[..2], 4).contains("--allow-destroy"));
    assert!(project.stderr(&destroy[..3], 64).contains("--confirm prd"));
    assert!(
        project.stderr(&["destroy", "--auto-approve", "--allow-destroy", "--confirm", "dev"], 4).contains("protected")
    );
    assert_eq!(project.stdout(&["state", "list"], 0).lines().count(), 2);
    project.run(&destroy).success();
}

#[test]
fn an_environment_on_aws_never_falls_back_to_the_sandbox() {
    let project = Project::new(TWO_VALUES);
    project.write(
        "plans/app/plan.hcl",
        &format!("plan \"app\" {{}}\nenvironment \"dev\" {{\n  aws {{\n    region = \"eu-west-1\"\n    account_id = \"111111111111\"\n  }}\n}}\n{TWO_VALUES}"),
    );
    let mut command = project.command(&["plan"]);
    let assert = command.env("AWS_EC2_METADATA_DISABLED", "true").assert().code(1);
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(said.contains("there are no credentials") && said.contains("plans/app/plan.hcl:2"), "{said}");
    let plan = project.stdout(&["plan", "--sandbox"], 0);
    assert!(plan.starts_with("World  sandbox, account 111111111111, region eu-west-1\n"), "{plan}");
}

#[test]
fn a_plan_without_calls_needs_no_credentials_and_says_when_the_account_is_open() {
    let project = Project::new(TWO_VALUES);
    let plan = |account: &str| {
        project.write(
            "plans/app/plan.hcl",
            &format!("plan \"app\" {{}}\nenvironment \"dev\" {{\n  aws {{\n    region = \"eu-west-1\"{account}\n  }}\n}}\n{TWO_VALUES}"),
        );
    };
    plan("\n    account_id = \"111111111111\"");
    assert!(project.stdout(&["plan", "--offline"], 0).contains("account 111111111111"));
    plan("");
    assert!(project.stderr(&["plan", "--offline"], 1).contains("account_unknown"));
}

// --- When things go wrong

#[test]
fn a_failed_apply_says_why_and_what_is_next() {
    let project = with_stack();
    project
        .run(&["sandbox", "fault", "cloudformation:ExecuteChangeSet", "fail", "--reason", "no queues today"])
        .success();
    let said = project.stderr(&["apply", "--auto-approve"], 1);
    assert!(said.contains("no queues today") && said.contains("Failed"), "{said}");
    project.run(&["apply", "--auto-approve"]).success();
}

#[test]
fn a_phase_that_is_to_be_undone_ends_with_6() {
    let project = with_stack();
    let phase = "phase \"all\" {\n  on_failure = \"rollback\"\n}\n";
    let stack = |name: &str, after: &str| {
        format!(
            "stack \"{name}\" {{\n  phase = phase.all\n  depends_on = [{after}]\n  template = \"${{path.root}}/queue.yaml\"\n}}\n"
        )
    };
    let plan = format!("plan \"app\" {{}}\nenvironment \"dev\" {{\n  sandbox {{}}\n}}\n{phase}");
    project.write("plans/app/plan.hcl", &format!("{plan}{}{}", stack("first", ""), stack("second", "stack.first")));
    project.run(&["sandbox", "fault", "cloudformation:ExecuteChangeSet", "fail", "--on", "app-dev-second*"]).success();
    let said = project.stderr(&["apply", "--auto-approve"], 6);
    assert!(said.contains("rolled back") && said.contains("stack.first: deleted"), "{said}");
    assert!(!project.stdout(&["state", "list"], 0).contains("stack.first"));
    project.run(&["apply", "--auto-approve"]).success();
}

#[test]
fn a_run_that_was_cut_off_is_resumed() {
    let project = with_stack();
    project.run(&["sandbox", "fault", "cloudformation:ExecuteChangeSet", "crash-after"]).success();
    project.run(&["apply", "--auto-approve"]).code(137);
    assert!(project.stderr(&["plan"], 5).contains("terrace resume"));
    assert!(project.stderr(&["apply", "--auto-approve"], 5).contains("run_open"));
    assert!(project.stdout(&["doctor"], 1).contains("stack.queue"));
    assert!(project.stdout(&["status"], 0).contains("open run"));
    assert!(project.stderr(&["resume"], 64).contains("--auto-approve"));
    project.run(&["resume", "--auto-approve"]).success();
    project.run(&["plan", "--detailed-exitcode"]).success();
    assert!(project.stdout(&["doctor"], 0).contains("healthy"));
    assert!(project.stderr(&["resume", "--auto-approve"], 1).contains("nothing_open"));
}

#[test]
fn a_run_that_was_cut_off_can_be_taken_back() {
    let project = with_stack();
    project.run(&["sandbox", "fault", "cloudformation:ExecuteChangeSet", "crash-after"]).success();
    project.run(&["apply", "--auto-approve"]).code(137);
    project.run(&["resume", "--rollback", "--auto-approve"]).code(6);
    assert_eq!(project.stdout(&["state", "list"], 0), "");
}

#[test]
fn a_held_lock_names_its_holder_and_unlock_breaks_only_that() {
    use terrace::world::{Ledger as _, Lock, LockOwner, live::FileLedger};
    let project = Project::new(TWO_VALUES);
    project.run(&["apply", "--auto-approve"]).success();
    let ledger = FileLedger::new(project.path().join(".terrace/state/app/dev/sandbox"));
    let owner = LockOwner {
        id: "abc".to_owned(),
        who: "grace".to_owned(),
        host: "elsewhere".to_owned(),
        pid: 1,
        command: "apply".to_owned(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(matches!(runtime.block_on(ledger.lock(&owner)).unwrap(), Lock::Acquired { .. }));
    let said = project.stderr(&["apply", "--auto-approve", "--var", "size=big"], 5);
    assert!(said.contains("grace") && said.contains("terrace unlock abc"), "{said}");
    project.run(&["plan"]).success();
    project.run(&["unlock", "xyz"]).code(1).stderr(predicate::str::contains("abc"));
    project.run(&["unlock", "abc"]).success();
    project.run(&["apply", "--auto-approve", "--var", "size=big"]).success();
    project.run(&["unlock", "abc"]).code(1).stderr(predicate::str::contains("not_locked"));
}

#[test]
fn drift_is_found_ended_with_2_and_can_be_left_alone() {
    let project = with_stack();
    project.run(&["apply", "--auto-approve"]).success();
    project.run(&["drift", "--detailed-exitcode"]).success();
    project.run(&["sandbox", "drift", "stack/app-dev-queue/Queue", "--set", "DelaySeconds=7"]).success();
    let found = project.stdout(&["drift", "--detailed-exitcode"], 2);
    assert!(found.contains("stack.queue") && found.contains("DelaySeconds"), "{found}");
    project.run(&["drift", "--ignore", "stack.queue"]).code(64);
    project.run(&["drift", "--ignore", "stack.queue", "--reason", "a test"]).success();
    project.run(&["drift", "--detailed-exitcode"]).success().stdout(predicate::str::contains("a test"));
    project.run(&["drift", "--heed", "stack.queue"]).success();
    project.run(&["drift", "--detailed-exitcode"]).code(2);
}

#[cfg(unix)]
#[test]
fn an_interrupt_finishes_what_runs_and_resume_does_the_rest() {
    let project = with_stack();
    project.write("plans/app/more.hcl", "value \"later\" {\n  depends_on = [stack.queue]\n  input = 1\n}\n");
    let mut running = std::process::Command::new(assert_cmd::cargo::cargo_bin("terrace"));
    running.env_clear().env("TERRACE_SANDBOX_SPEED", "20").current_dir(project.path());
    running.args(["apply", "--auto-approve"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut child = running.spawn().unwrap();
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut err, "stack.queue: creating");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut err, &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("interrupted") && said.contains("terrace resume"), "{said}");
    assert_eq!(project.stdout(&["state", "list"], 0), "stack.queue\n");
    project.run(&["resume", "--auto-approve"]).success();
    assert_eq!(project.stdout(&["state", "list"], 0), "stack.queue\nvalue.later\n");
}

/// Starts the program on a world that takes its time, and reads what it says until a line with these words.
#[cfg(unix)]
fn started(project: &Project, words: &[&str], until: &str) -> (std::process::Child, impl std::io::BufRead + use<>) {
    let mut running = std::process::Command::new(assert_cmd::cargo::cargo_bin("terrace"));
    running.env_clear().env("TERRACE_SANDBOX_SPEED", "2").current_dir(project.path()).args(words);
    let mut child = running.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut said, until);
    (child, said)
}

#[cfg(unix)]
fn wait_for(said: &mut impl std::io::BufRead, until: &str) {
    let mut all = String::new();
    while !all.contains(until) {
        assert!(said.read_line(&mut all).unwrap() > 0, "it never says `{until}`: {all}");
    }
}

#[cfg(unix)]
#[test]
fn a_second_interrupt_stops_at_once_and_resume_finds_what_became_of_it() {
    let project = with_stack();
    let (mut child, mut said) = started(&project, &["apply", "--auto-approve"], "stack.queue: creating");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    wait_for(&mut said, "interrupted");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    wait_for(&mut said, "stopped");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(project.stdout(&["status"], 0).contains("open run"));
    project.run(&["resume", "--auto-approve"]).success();
    assert_eq!(project.stdout(&["state", "list"], 0), "stack.queue\n");
    project.run(&["plan", "--detailed-exitcode"]).success();
}

#[cfg(unix)]
#[test]
fn of_two_that_resume_one_run_at_once_one_does_and_the_other_is_told_who() {
    let project = with_stack();
    project.run(&["sandbox", "fault", "cloudformation:ExecuteChangeSet", "crash-after"]).success();
    project.run(&["apply", "--auto-approve"]).code(137);
    let (mut first, said) = started(&project, &["resume", "--auto-approve"], "was cut off after");
    let second = project.stderr(&["resume", "--auto-approve"], 5);
    assert!(second.contains("resume") && second.contains(&first.id().to_string()), "{second}");
    std::io::read_to_string(said).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(0));
    project.run(&["plan", "--detailed-exitcode"]).success();
}

#[cfg(unix)]
#[test]
fn what_to_do_about_a_program_that_was_cut_off_is_told_and_works() {
    for forget in [true, false] {
        // The program ends whoever started it, once.
        let project = Project::new(
            r#"
command "note" {
  create = ["/bin/sh", "-c", "echo create >> log; test -e begun && exit 0; echo > begun; kill -9 $PPID"]
  delete = ["/bin/sh", "-c", "echo delete >> log"]
}
"#,
        );
        project.run(&["apply", "--auto-approve"]).interrupted();
        let said = project.stderr(&["resume", "--auto-approve"], 7);
        assert!(said.contains("terrace state rm 'command.note'") && said.contains("run: terrace apply"), "{said}");
        assert!(!said.contains("terrace resume"), "{said}");
        if forget {
            project.run(&["state", "rm", "command.note"]).success();
        }
        project.run(&["apply", "--auto-approve"]).success();
        let log = fs::read_to_string(project.path().join("log")).unwrap();
        assert_eq!(log, if forget { "create\ncreate\n" } else { "create\ndelete\ncreate\n" });
        project.run(&["plan", "--detailed-exitcode"]).success();
    }
}

// --- State

#[test]
fn things_are_renamed_in_state_and_let_go_of() {
    let project = Project::new(TWO_VALUES);
    project.run(&["apply", "--auto-approve"]).success();
    project.run(&["state", "mv", "value.first", "value.renamed"]).success();
    project.run(&["state", "mv", "value.nope", "value.x"]).code(1).stderr(predicate::str::contains("not_in_state"));
    project
        .run(&["state", "mv", "value.second", "value.renamed"])
        .code(1)
        .stderr(predicate::str::contains("already_there"));
    project
        .run(&["state", "mv", "value.second", "helm.second"])
        .code(1)
        .stderr(predicate::str::contains("wrong_address"));
    assert!(project.stdout(&["state", "show", "app", "value.renamed"], 0).contains("value.renamed"));
    project.run(&["state", "rm", "app", "value.renamed", "value.second"]).success();
    assert_eq!(project.stdout(&["state", "list", "app"], 0), "");
    let state = &lines(&project.stdout(&["state", "pull"], 0))[0];
    assert_eq!((&state["format"], &state["type"]), (&Json::from(1), &Json::from("state")));
}

// --- For programs

#[test]
fn with_json_every_line_is_a_versioned_object() {
    let project = Project::new(TWO_VALUES);
    let plan = lines(&project.stdout(&["plan", "--json"], 0));
    let of = |kind: &str, lines: &[Json]| lines.iter().filter(|l| l["type"] == kind).count();
    assert_eq!(of("plan", &plan), 1);
    let apply = lines(&project.stdout(&["apply", "--auto-approve", "--json"], 0));
    assert!(apply.iter().all(|line| line["format"] == 1));
    assert_eq!((of("plan", &apply), of("report", &apply)), (1, 1));
    let ended = apply.iter().filter(|l| l["event"] == "node_ended").count();
    assert_eq!(ended, 2);
    assert_eq!(apply.last().unwrap()["outputs"]["second"]["value"], "after small");
    for words in [
        &["output"][..],
        &["status"],
        &["history"],
        &["state", "list"],
        &["sandbox", "show"],
        &["schema"],
        &["drift"],
        &["doctor"],
        &["explain", "syntax"],
        &["graph"],
    ] {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        assert!(!lines(&project.stdout(&words, 0)).is_empty(), "{words:?}");
    }
    let wrong = lines(&project.stdout(&["plan", "--json", "--env", "nope"], 64));
    assert_eq!(wrong[0]["code"], "unknown_environment");
    let words = lines(&project.stdout(&["plan", "--json", "--nope"], 64));
    assert_eq!(words[0]["code"], "usage");
}

#[test]
fn quiet_says_only_results_and_colour_comes_only_to_terminals() {
    let project = Project::new(TWO_VALUES);
    let output = project.run(&["apply", "--auto-approve", "--quiet"]).success();
    let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert_eq!(said.trim(), "Done: 2 created in 0.0s.");
    for words in [&["plan", "--var", "size=x"][..], &["status"], &["explain"]] {
        assert!(!project.stdout(words, 0).contains('\u{1b}'));
    }
    let forced = project.command(&["status"]).env("CLICOLOR_FORCE", "1").assert().success();
    assert!(String::from_utf8_lossy(&forced.get_output().stdout).contains('\u{1b}'));
    let refused = project.command(&["status", "--no-color"]).env("CLICOLOR_FORCE", "1").assert().success();
    assert!(!String::from_utf8_lossy(&refused.get_output().stdout).contains('\u{1b}'));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let project = Project::new(TWO_VALUES);
    let mut running = std::process::Command::new(assert_cmd::cargo::cargo_bin("terrace"));
    running.env_clear().env("TERRACE_SANDBOX_SPEED", "instant").current_dir(project.path());
    running.args(["apply", "--auto-approve"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = running.spawn().unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(project.stdout(&["state", "list"], 0).lines().count(), 2);
}

#[test]
fn codes_shells_and_blocks_are_described() {
    let project = Project::new("");
    assert!(project.stdout(&["explain", "state_locked"], 0).contains("terrace unlock"));
    assert!(project.stderr(&["explain", "state_loked"], 64).contains("did you mean `state_locked`?")); // spellchecker:disable-line
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(project.stdout(&["completions", shell], 0).contains("terrace"), "{shell}");
    }
    let schema: Json = serde_json::from_str(&project.stdout(&["schema"], 0)).unwrap();
    assert!(schema["kinds"].as_array().unwrap().iter().any(|k| k["name"] == "helm"));
    assert!(project.stderr(&["schema", "hlem"], 64).contains("did you mean `helm`?")); // spellchecker:disable-line
}

#[test]
fn the_embedded_world_is_shown_moved_on_and_forgotten() {
    let project = with_stack();
    project.run(&["apply", "--auto-approve"]).success();
    assert!(project.stdout(&["sandbox", "show", "stack"], 0).contains("app-dev-queue"));
    let id = project.stdout(&["sandbox", "fault", "helm:*", "throttle", "--times", "3"], 0);
    assert!(project.stdout(&["sandbox", "fault"], 0).contains(id.trim()));
    project.run(&["sandbox", "fault", "--clear", id.trim()]).success();
    project.run(&["sandbox", "fault", "--clear", id.trim()]).code(1);
    project.run(&["sandbox", "fault", "helm:*"]).code(64);
    project.run(&["sandbox", "advance", "24h"]).success();
    project.run(&["sandbox", "advance", "yesterday"]).code(64);
    project.run(&["sandbox", "drift", "stack/app-dev-queue/Nope", "--delete"]).code(1);
    project.run(&["sandbox", "drift", "stack/app-dev-queue/Queue"]).code(64);
    project.run(&["sandbox", "reset"]).success();
    assert!(!project.stdout(&["sandbox", "show"], 0).contains("app-dev-queue"));
    assert!(project.stdout(&["plan"], 0).contains("+ stack.queue"));
}

#[test]
fn what_exists_is_imported_into_a_stack_exactly_as_planned_through_a_kill() {
    let project = Project::new(
        "stack \"logs\" {\n  template = \"${path.root}/logs.yaml\"\n  import_resources = { Logs = { BucketName = \"shop-logs\" } }\n}\n",
    );
    let bucket = "Resources:\n  Logs:\n    Type: AWS::S3::Bucket\n    Properties: { BucketName: shop-logs }\n";
    project.write("plans/app/logs.yaml", bucket);
    let said = project.stderr(&["plan"], 1);
    assert!(said.contains("Logs is to be imported and has no DeletionPolicy"), "{said}");
    assert!(said.contains("plans/app/logs.yaml:2"), "{said}");
    project
        .write("plans/app/logs.yaml", &bucket.replace("    Properties", "    DeletionPolicy: Retain\n    Properties"));
    let said = project.stderr(&["plan"], 1);
    assert!(said.contains("with identifier 'shop-logs' was not found"), "{said}");
    assert!(said.contains("Logs (BucketName = shop-logs) at plans/app/logs.yaml:2"), "{said}");
    assert!(!project.stdout(&["sandbox", "show", "stack"], 0).contains("app-dev-logs"), "nothing is left in review");

    let versioned = ["--set", "VersioningConfiguration.Status=Enabled"];
    project.run(&[&["sandbox", "drift", "loose/AWS::S3::Bucket/shop-logs"][..], &versioned[..]].concat()).success();
    let shown = project.stdout(&["plan", "--out", "import.plan"], 0);
    assert!(shown.contains("& Logs  AWS::S3::Bucket  import"), "{shown}");
    assert!(shown.contains("BucketName") && shown.contains("shop-logs"), "{shown}");
    project.run(&["sandbox", "fault", "cloudformation:ExecuteChangeSet", "crash-after"]).success();
    let died = project.run(&["apply", "import.plan", "--auto-approve"]);
    assert_ne!(died.get_output().status.code(), Some(0));
    project.run(&["resume", "--auto-approve"]).success();
    assert!(project.stdout(&["sandbox", "show", "stack"], 0).contains("IMPORT_COMPLETE"));
    assert!(project.stdout(&["sandbox", "show", "resource"], 0).contains("AWS::S3::Bucket shop-logs"));
    assert!(project.stdout(&["plan"], 0).contains("No changes"));
    // What the template does not say of the bucket is drift of nobody; what it says otherwise would be.
    project.run(&["drift", "--detailed-exitcode"]).code(0);
    // Destroying the stack lets go of the bucket, and the next apply takes it in again.
    project.run(&["destroy", "--auto-approve"]).success();
    assert!(project.stdout(&["sandbox", "show", "loose"], 0).contains("shop-logs"));
    project.run(&["apply", "--auto-approve"]).success();
    assert!(!project.stdout(&["sandbox", "show", "loose"], 0).contains("shop-logs"));
}

#[test]
fn what_a_deletion_leaves_behind_is_named_with_its_stack_and_agreed_to() {
    let stack = |name: &str| format!("stack \"{name}\" {{\n  template = \"${{path.root}}/queue.yaml\"\n}}\n");
    let project = Project::new(&format!("{}{}", stack("a"), stack("b")));
    project.write("plans/app/queue.yaml", "Resources:\n  Queue: { Type: AWS::SQS::Queue }\n");
    project.run(&["apply", "--auto-approve"]).success();
    let fail = ["sandbox", "fault", "cloudformation:DeleteStack", "fail", "--part", "Queue", "--times", "2"];
    project.run(&fail).success();
    project.run(&["destroy", "--auto-approve"]).code(1);
    let said = project.stderr(&["doctor", "--fix", "--retain", "Queue"], 64);
    assert!(said.contains("2 stacks are in DELETE_FAILED") && said.contains("stack.a, stack.b"), "{said}");
    let said = project.stderr(&["doctor", "--fix", "--retain", "stack.c=Queue"], 64);
    assert!(said.contains("stack.c is not in DELETE_FAILED"), "{said}");
    let said = project.stderr(&["doctor", "--fix", "--skip", "Queue"], 64);
    assert!(said.contains("no stack is in UPDATE_ROLLBACK_FAILED"), "{said}");
    let said = project.stderr(&["doctor", "--fix", "--retain", "stack.b=Queue"], 64);
    assert!(said.contains("nobody is there to agree"), "{said}");
    assert!(project.stdout(&["sandbox", "show", "stack"], 0).contains("app-dev-b"));
    // The other one is stuck still.
    project.run(&["doctor", "--fix", "--retain", "stack.b=Queue", "--auto-approve"]).code(1);
    let left = project.stdout(&["sandbox", "show", "stack"], 0);
    assert!(left.contains("app-dev-a") && !left.contains("app-dev-b"), "{left}");
    // Where one is stuck, there is no need to say which.
    project.run(&["doctor", "--fix", "--retain", "Queue", "--auto-approve"]).code(0);
    assert_eq!(project.stdout(&["sandbox", "show", "loose"], 0).matches("AWS::SQS::Queue").count(), 2);
}

/// The shipped examples, and the platform in full, as a person would try them.
#[test]
fn the_examples_are_valid() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for plan in ["examples/quickstart", "examples/kinds/value", "examples/modules", "plans/eks-platform"] {
        command(&root, &["validate", plan]).assert().success();
    }
}
