//! What `init --github` and `--gitlab` write: linted, held to what they may, and every script of theirs run, on the embedded world.

#![expect(clippy::disallowed_methods, reason = "runs the scripts as CI does")]

use crate::{
    cli::Project,
    forge::{
        gitlab::{self, Lab},
        hub::{HEAD, Hub, TOKEN},
    },
    support::server::built,
};
use serde_json::Value as Json;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use terrace::base::{Digest, yaml};

const PLAN: &str = "plan \"shop\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n\nenvironment \"tst\" {\n  after          = [environment.dev]\n  auto_promotion = true\n  sandbox {}\n}\n\nenvironment \"prd\" {\n  after     = [environment.tst]\n  protected = true\n  sandbox {}\n}\n\nvalue \"one\" {\n  input = \"a\"\n}\n";

/// A project, with a machine of CI's beside it.
struct Ci {
    project: Project,
    machine: tempfile::TempDir,
    sha256: String,
    /// Where GitHub is.
    github: RefCell<String>,
}

fn parsed(path: &Path) -> Json {
    yaml::documents(&fs::read_to_string(path).unwrap()).unwrap().remove(0)
}

impl Ci {
    fn new() -> Self {
        let project = Project::bare();
        project.write("plans/shop/plan.hcl", PLAN);
        let machine = tempfile::tempdir().unwrap();
        // A release archive whose program is the one under test.
        let work = machine.path().join("releases/v9.9.9");
        fs::create_dir_all(&work).unwrap();
        let program = work.join("terrace");
        fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_terrace"))).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let archive = work.join("terrace-9.9.9-x86_64-unknown-linux-gnu.tar.gz");
        let words = ["--create", "--gzip", "--file"];
        let tar = Command::new("tar").args(words).arg(&archive).arg("--directory").arg(&work).arg("terrace").status();
        assert!(tar.unwrap().success());
        let sha256 = Digest::of(&fs::read(&archive).unwrap()).hex().to_owned();
        Self { project, machine, sha256, github: RefCell::default() }
    }

    fn from(&self) -> String {
        format!("file://{}/releases", self.machine.path().display())
    }

    /// From now on what GitHub says of itself to its jobs leads there.
    fn on_github(&self, url: &str) {
        url.clone_into(&mut self.github.borrow_mut());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.machine.path().join(name)
    }

    /// What an expression of a workflow is here.
    fn meant(&self, text: &str, inputs: &BTreeMap<&str, String>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, behind) = after.split_once("}}").unwrap();
            let value = match expression.trim() {
                "vars.TERRACE_VERSION" => "9.9.9".to_owned(),
                "vars.TERRACE_SHA256" => self.sha256.clone(),
                "vars.TERRACE_FROM" => self.from(),
                name => inputs.get(name).unwrap_or_else(|| panic!("`{name}` is not known to the test")).clone(),
            };
            out.push_str(before);
            out.push_str(&value);
            rest = behind;
        }
        out + rest
    }

    /// Runs a script as a runner does: in a clean environment, with what steps before it put on the PATH.
    fn script(&self, script: &str, env: &BTreeMap<String, String>) -> (i32, String) {
        assert!(!script.contains("${{"), "an expression in a script can be made to run anything: {script}");
        let paths = fs::read_to_string(self.path("path")).unwrap_or_default();
        let path = paths.lines().rev().chain(["/usr/bin", "/bin"]).collect::<Vec<_>>().join(":");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-e", "-c", script]).current_dir(self.project.path()).env_clear();
        command.env("PATH", path).env("TERRACE_SANDBOX_SPEED", "instant").env("TERRACE_IDENTITY", "ci");
        command.env("GITHUB_PATH", self.path("path")).env("GITHUB_STEP_SUMMARY", self.path("summary"));
        command.env("RUNNER_TEMP", self.machine.path()).env("HOME", self.machine.path()).envs(env);
        if !self.github.borrow().is_empty() {
            command.env("GITHUB_API_URL", &*self.github.borrow()).env("GITHUB_REPOSITORY", "acme/shop");
            command.env("GITHUB_EVENT_PATH", self.path("event.json"));
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
        (output.status.code().unwrap_or(-1), said)
    }

    /// Runs all steps of a job; the code of the first that fails, and all that was said.
    fn job(&self, job: &Json, inputs: &BTreeMap<&str, String>) -> (i32, String) {
        let _ = fs::remove_file(self.path("path"));
        let mut all = String::new();
        for step in job["steps"].as_array().unwrap() {
            let of = |from: &Json, names: &BTreeMap<&str, String>| -> BTreeMap<String, String> {
                let each = from.as_object().into_iter().flatten();
                each.map(|(k, v)| (k.clone(), self.meant(v.as_str().unwrap_or_default(), names))).collect()
            };
            let runs = if step["uses"] == "./.github/actions/terrace" {
                let action = parsed(&self.project.path().join(".github/actions/terrace/action.yml"));
                let mut given: BTreeMap<String, String> = of(&step["with"], inputs);
                for (name, input) in action["inputs"].as_object().unwrap() {
                    if let Some(default) = input["default"].as_str() {
                        given.entry(name.clone()).or_insert_with(|| default.to_owned());
                    }
                    assert!(given.contains_key(name), "{name} is not given");
                }
                let names: Vec<(String, String)> = given.into_iter().map(|(k, v)| (format!("inputs.{k}"), v)).collect();
                let names = names.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
                let steps = action["runs"]["steps"].as_array().unwrap().clone();
                steps.iter().map(|s| (s["run"].as_str().unwrap().to_owned(), of(&s["env"], &names))).collect()
            } else if let Some(script) = step["run"].as_str() {
                vec![(script.to_owned(), of(&step["env"], inputs))]
            } else {
                Vec::new()
            };
            for (script, env) in runs {
                let (code, said) = self.script(&script, &env);
                all.push_str(&said);
                if code != 0 {
                    return (code, all);
                }
            }
        }
        (0, all)
    }

    fn workflow(&self, name: &str) -> Json {
        parsed(&self.project.path().join(format!(".github/workflows/terrace-{name}.yml")))
    }
}

#[test]
fn every_step_of_githubs_workflows_does_what_it_is_for() {
    let ci = Ci::new();
    ci.project.stdout(&["init", "--github"], 0);
    let none = BTreeMap::new();
    let ends = |workflow: &str, job: &str, inputs: &BTreeMap<&str, String>, code: i32| {
        let (found, said) = ci.job(&ci.workflow(workflow)["jobs"][job], inputs);
        assert_eq!(found, code, "{workflow} {job}\n{said}");
        said
    };
    ends("pull-request", "validate", &none, 0);
    let matrix = &ci.workflow("pull-request")["jobs"]["plan"]["strategy"]["matrix"]["environment"];
    assert_eq!(*matrix, serde_json::json!(["dev", "tst", "prd"]));
    for environment in matrix.as_array().unwrap() {
        let environment = environment.as_str().unwrap().to_owned();
        let said = ends("pull-request", "plan", &BTreeMap::from([("matrix.environment", environment.clone())]), 0);
        assert!(said.contains("value.one"), "{said}");
        let plan = ci.project.path().join(format!("plan-{environment}.txt"));
        assert!(fs::read_to_string(plan).unwrap().contains("value.one"));
    }
    // One comment on all of them, with nothing but the job's token.
    let hub = Hub::new();
    let event = ci.path("event.json");
    fs::write(&event, format!("{{\"pull_request\": {{\"number\": 7, \"head\": {{\"sha\": \"{HEAD}\"}}}}}}")).unwrap();
    ci.on_github(&hub.web.url);
    ends("pull-request", "comment", &BTreeMap::from([("github.token", TOKEN.to_owned())]), 0);
    {
        let state = hub.state();
        let body = state.bodies()[0];
        assert!(["dev", "tst", "prd"].iter().all(|env| body.contains(&format!("| `{env}`"))), "{body}");
        assert!((state.runs.len(), state.statuses.len()) == (1, 1));
        // A summary is of the commit whose job it is, and need not say of which.
        let (_, said) = body.split_once("## Terrace").unwrap();
        let (said, _) = said.rsplit_once("\n\nOf commit").unwrap();
        assert!(fs::read_to_string(ci.path("summary")).unwrap().contains(said));
    }
    hub.is_content();
    ends("release", "release", &none, 0);
    let summary = fs::read_to_string(ci.path("summary")).unwrap();
    let release = summary.rsplit("Release `").next().unwrap().split('`').next().unwrap().to_owned();
    assert!(summary.contains("`prd`") && release.starts_with("sha256:"), "{summary}");
    let said = ends("schedule", "promote", &none, 0);
    assert!(said.contains("tst"), "{said}");
    let named = |environment: &str, release: &str| {
        BTreeMap::from([("inputs.release", release.to_owned()), ("inputs.environment", environment.to_owned())])
    };
    ends("promote", "promote", &named("prd", &release), 0);
    let holds = ci.project.stdout(&["pipeline", "--json"], 0);
    assert_eq!(holds.matches("\"health\":\"verified\"").count(), 3, "{holds}");
    for environment in ["dev", "tst", "prd"] {
        ends("schedule", "drift", &BTreeMap::from([("matrix.environment", environment.to_owned())]), 0);
    }
    // What is wrong fails its job: a word that means to be a command, a file that is not laid out, a plan with an error.
    let said = ends("promote", "promote", &named("prd", "$(touch evil); x"), 64);
    assert!(said.contains("there is no release") && !ci.project.path().join("evil").exists(), "{said}");
    ci.project.write("plans/shop/more.hcl", "value   \"two\" {\n input=1\n}\n");
    assert_ne!(ci.job(&ci.workflow("pull-request")["jobs"]["validate"], &none).0, 0);
    ci.project.write("plans/shop/more.hcl", "value \"two\" {\n  input = var.nowhere\n}\n");
    let dev = BTreeMap::from([("matrix.environment", "dev".to_owned())]);
    assert_ne!(ci.job(&ci.workflow("pull-request")["jobs"]["plan"], &dev).0, 0, "tee hides no failure");
    assert_ne!(ci.job(&ci.workflow("release")["jobs"]["release"], &none).0, 0);
}

#[test]
fn githubs_workflows_are_linted_and_may_only_what_they_need() {
    let ci = Ci::new();
    ci.project.stdout(&["init", "--github"], 0);
    for name in ["pull-request", "release", "schedule", "promote"] {
        let workflow = ci.workflow(name);
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{name}: nothing by default");
        for (job, of_job) in workflow["jobs"].as_object().unwrap() {
            assert!(of_job["timeout-minutes"].is_number(), "{name} {job}");
            let may = of_job["permissions"].as_object().unwrap();
            assert_eq!(may["contents"], "read", "{name} {job}");
            let needs: &[&str] = match job.as_str() {
                "comment" => &["contents", "pull-requests", "checks", "statuses"],
                _ => &["contents", "id-token"],
            };
            assert!(may.keys().all(|k| needs.contains(&k.as_str())), "{name} {job}: {may:?}");
            let changes = !["validate", "plan", "comment", "drift"].contains(&job.as_str());
            let group = [&of_job["concurrency"]["group"], &workflow["concurrency"]["group"]];
            // Each has a group of its own: a job that waits would be dropped for a later one of the same group. What one
            // environment gets is one at a time by its lock, which all wait for.
            let own = group.iter().any(|g| g.as_str().is_some_and(|g| g.starts_with(&format!("terrace-{name}"))));
            assert!(!changes || own, "{name} {job}: one at a time");
            for step in of_job["steps"].as_array().unwrap() {
                let Some(uses) = step["uses"].as_str().filter(|uses| !uses.starts_with("./")) else { continue };
                let digest = uses.split_once('@').unwrap().1;
                assert!(digest.len() == 40 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{uses} is not pinned");
                assert!(!uses.starts_with("actions/checkout@") || step["with"]["persist-credentials"] == false);
            }
        }
    }
    for job in ["plan", "comment"] {
        assert!(ci.workflow("pull-request")["jobs"][job]["if"].as_str().unwrap().contains("head.repo.full_name"));
    }
    let Some(actionlint) = built("actionlint") else { return };
    let git = Command::new("git").args(["init", "--quiet"]).current_dir(ci.project.path()).status();
    assert!(git.unwrap().success());
    let lint =
        || Command::new(&actionlint).args(["-no-color", "-oneline"]).current_dir(ci.project.path()).output().unwrap();
    let found = lint();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    // It would say if something were wrong.
    let path = ci.project.path().join(".github/workflows/terrace-promote.yml");
    let broken = fs::read_to_string(&path).unwrap().replace("inputs.release }}", "inputs.relaese }}"); // spellchecker:disable-line
    fs::write(&path, broken).unwrap();
    assert!(!lint().status.success());
}

#[test]
fn another_archive_than_the_one_that_was_named_is_not_installed() {
    let mut ci = Ci::new();
    ci.project.stdout(&["init", "--github"], 0);
    let validate = ci.workflow("pull-request")["jobs"]["validate"].clone();
    let right = std::mem::replace(&mut ci.sha256, Digest::of(b"another").hex().to_owned());
    let (code, said) = ci.job(&validate, &BTreeMap::new());
    assert!(code != 0 && said.contains("terrace.tar.gz: FAILED") || said.contains("did NOT match"), "{said}");
    assert!(!ci.path("path").exists(), "nothing is on the PATH");
    for wrong in ["", "abc", "$(touch evil)"] {
        wrong.clone_into(&mut ci.sha256);
        let (code, said) = ci.job(&validate, &BTreeMap::new());
        assert!(code != 0 && said.contains("sha256 is no checksum"), "{said}");
    }
    ci.sha256 = right;
    assert_eq!(ci.job(&validate, &BTreeMap::new()).0, 0);
}

#[test]
fn every_job_of_gitlabs_pipeline_does_what_it_is_for() {
    let ci = Ci::new();
    ci.project.stdout(&["init", "--gitlab", "--name", "shop"], 0);
    let file = parsed(&ci.project.path().join(".gitlab-ci.yml"));
    let before: Vec<&str> =
        file[".terrace"]["before_script"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let ends = |job: &str, more: &[(&str, &str)], code: i32| {
        let job_ = &file[job];
        assert_eq!(job_["extends"], ".terrace", "{job}");
        let lines = job_["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        // GitLab runs the lines as one script that ends at the first failure.
        let script = before.iter().copied().chain(lines).collect::<Vec<_>>().join("\n");
        let mut env: BTreeMap<String, String> = more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        env.insert("TERRACE_VERSION".to_owned(), "9.9.9".to_owned());
        env.insert("TERRACE_SHA256".to_owned(), ci.sha256.clone());
        env.insert("TERRACE_FROM".to_owned(), ci.from());
        let (found, said) = ci.script(&script, &env);
        assert_eq!(found, code, "{job}\n{said}");
        said
    };
    ends("validate", &[], 0);
    for environment in ["dev", "tst", "prd"] {
        assert!(ends("plan", &[("ENVIRONMENT", environment)], 0).contains("value.one"));
    }
    // One note on all of them, which needs a token of the project and nothing else.
    let lab = Lab::new();
    let api = lab.api();
    let merge_request = [
        ("GITLAB_TOKEN", gitlab::TOKEN),
        ("CI_API_V4_URL", &api),
        ("CI_PROJECT_ID", "42"),
        ("CI_MERGE_REQUEST_IID", "3"),
        ("CI_COMMIT_SHA", gitlab::HEAD),
    ];
    ends("comment", &merge_request, 0);
    let note = lab.state().notes[0]["body"].as_str().unwrap().to_owned();
    assert!(["dev", "tst", "prd"].iter().all(|env| note.contains(&format!("| `{env}`"))), "{note}");
    assert!(file["comment"]["rules"][0]["if"].as_str().unwrap().starts_with("$GITLAB_TOKEN && "));
    ends("release", &[("TERRACE_ID_TOKEN", "token")], 0);
    assert!(ends("promote-auto", &[], 0).contains("tst"));
    ends("promote", &[("RELEASE", "latest"), ("ENVIRONMENT", "prd")], 0);
    ends("drift", &[("ENVIRONMENT", "prd")], 0);
    ends("promote", &[("RELEASE", "ffffffff"), ("ENVIRONMENT", "prd")], 64);
    for job in ["release", "promote-auto", "promote"] {
        assert_eq!(file[job]["resource_group"], "terrace-promotion", "{job}: one at a time");
    }
    for (job, of_job) in file.as_object().unwrap().iter().filter(|(_, j)| j["extends"] == ".terrace") {
        assert!(of_job["rules"].as_array().is_some_and(|rules| rules.iter().all(|r| r["if"].is_string())), "{job}");
    }
    for job in ["validate", "comment"] {
        assert_eq!(file[job]["id_tokens"], serde_json::json!({}), "{job}: who needs no credentials gets none");
    }
}

#[test]
fn workflows_of_several_plans_stand_side_by_side_and_name_theirs() {
    let ci = Ci::new();
    let plan = fs::read_to_string(ci.project.path().join("plans/shop/plan.hcl")).unwrap();
    ci.project.write("plans/base/plan.hcl", &plan.replace("plan \"shop\"", "plan \"base\""));
    ci.project.stdout(&["init", "--github", "--name", "shop"], 0);
    ci.project.stdout(&["init", "--github", "--name", "base"], 0);
    let text = |name: &str| fs::read_to_string(ci.project.path().join(".github/workflows").join(name)).unwrap();
    for plan in ["shop", "base"] {
        let schedule = text(&format!("terrace-schedule-{plan}.yml"));
        assert!(schedule.contains(&format!("promote --auto --plan \"{plan}\"")), "{schedule}");
        assert!(schedule.contains(&format!("group: terrace-schedule-{plan}")), "{schedule}");
        let release = ci.project.stdout(&["release", "create", plan, "--quiet"], 0);
        ci.project.stdout(&["promote", release.trim(), "--to", "dev", "--auto-approve", "--plan", plan], 0);
        ci.project.stdout(&["promote", "--auto", "--plan", plan], 0);
    }
    let said = ci.project.stderr(&["promote", "latest", "--to", "dev", "--auto-approve"], 64);
    assert!(said.contains("`latest` is of which plan?") && said.contains("base, shop"), "{said}");
    let said = ci.project.stderr(&["freeze", "dev", "--reason", "x"], 64);
    assert!(said.contains("--plan NAME; plans here: base, shop"), "{said}");
    ci.project.stdout(&["freeze", "dev", "--reason", "x", "--plan", "base"], 0);
    assert!(ci.project.stdout(&["pipeline", "base"], 0).contains("frozen by"));
    assert!(!ci.project.stdout(&["pipeline", "shop"], 0).contains("frozen by"));
}

#[test]
fn workflows_overwrite_nothing_and_want_a_plan() {
    let ci = Ci::new();
    ci.project.write(".github/workflows/terrace-promote.yml", "mine");
    let said = ci.project.stderr(&["init", "--github"], 1);
    assert!(said.contains("terrace-promote.yml is there already"), "{said}");
    assert!(!ci.project.path().join(".github/actions").exists(), "all or nothing");
    let empty = Project::bare();
    assert!(empty.stderr(&["init", "--github"], 64).contains("there is no plan"));
}
