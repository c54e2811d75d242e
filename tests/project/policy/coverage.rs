//! Controls as people see them: claimed in plan files, proved at runs, exported, and held to OSCAL's own models by compliance-trestle.
#![expect(clippy::disallowed_methods, reason = "writes a workspace of trestle and runs its program")]

use crate::{
    cli::Project,
    support::{project::Said, server::built},
};
use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn run(project: &Project, words: &[&str]) -> Said {
    Said::of(&project.command(words).output().unwrap())
}

const PACK: &str = "name = \"own\"\nversion = \"1.2.0\"\ndescription = \"what we agreed on\"\n\
    [[rule]]\nname = \"topics_named\"\nseverity = \"warn\"\ncontrols = [\"CM-8\"]\non = \"template\"\nwhy = \"nobody finds it\"\ninstead = \"TopicName: TEAM-PURPOSE\"\n\
    [[rule]]\nname = \"queues_sealed\"\nseverity = \"deny\"\ncontrols = [\"SC-12\", \"SC-12(1)\"]\non = \"template\"\nwhy = \"anybody reads it\"\ninstead = \"SqsManagedSseEnabled: true\"\n\
    [[rule]]\nname = \"buckets_kept\"\nseverity = \"deny\"\ncontrols = [\"CP-9\"]\non = \"template\"\nwhy = \"it is gone\"\ninstead = \"DeletionPolicy: Retain\"\n";
const RULES: &str = "let topics = Resources.*[ Type == 'AWS::SNS::Topic' ]\nrule topics_named when %topics !empty {\n  %topics.Properties.TopicName exists <<the topic has no name>>\n}\n\
    let queues = Resources.*[ Type == 'AWS::SQS::Queue' ]\nrule queues_sealed when %queues !empty {\n  %queues.Properties.SqsManagedSseEnabled == true <<the queue is not sealed>>\n}\n\
    let buckets = Resources.*[ Type == 'AWS::S3::Bucket' ]\nrule buckets_kept when %buckets !empty {\n  %buckets.DeletionPolicy exists <<the bucket goes>>\n}\n";
const PLAN: &str = r#"plan "x" {}

environment "dev" {
  sandbox {}
}

stack "queue" {
  template = "${path.root}/q.yaml"
  controls = ["SC-12", "AC-10", "AC-2"]
  verify "answers" {
    command {
      program = ["true"]
    }
    controls = ["AC-2"]
  }
}

stack "topics" {
  template = "${path.root}/t.yaml"
  controls = ["CM-8", "SC-12"]
}

check "logs" {
  command {
    program = ["true"]
  }
  controls = ["AU-2"]
}
"#;

fn project() -> Project {
    let project = Project::bare();
    project.write("terrace.toml", "name = \"x\"\n[policy]\npacks = [\"policies/own\"]\n");
    project.write("plans/x/plan.hcl", PLAN);
    project.write(
        "plans/x/q.yaml",
        "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties: { SqsManagedSseEnabled: true }\n",
    );
    project.write("plans/x/t.yaml", "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n");
    project.write("policies/own/pack.toml", PACK);
    project.write("policies/own/rules.guard", RULES);
    project
}

fn coverage(project: &Project, words: &[&str]) -> Json {
    let words: Vec<&str> = ["policy", "coverage"].iter().chain(words).chain(&["--json"]).copied().collect();
    serde_json::from_str(project.stdout(&words, 0).trim()).unwrap()
}

fn standing(coverage: &Json, control: &str) -> String {
    let all = coverage["controls"].as_array().unwrap();
    let found =
        all.iter().find(|one| one["control"] == control).unwrap_or_else(|| panic!("no {control}: {coverage:#}"));
    found["standing"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_run_proved_is_told_with_what_claims_it_and_what_nothing_proves() {
    let project = project();
    let none = run(&project, &["policy", "coverage", "x"]);
    assert!(none.code == Some(1) && none.err.contains("error[coverage_no_run]"), "{none:?}");

    // A plan by itself is judged, and nothing that runs was asked.
    project.stdout(&["plan", "x", "--out", "x.plan"], 0);
    let planned = coverage(&project, &["x.plan"]);
    assert_eq!((standing(&planned, "AC-2").as_str(), &planned["run"]), ("claimed_not_proved", &Json::Null));
    assert_eq!(standing(&planned, "SC-12"), "partly_proved");

    project.stdout(&["apply", "x.plan", "--auto-approve"], 0);
    let applied = coverage(&project, &["x"]);
    let all: Vec<&str> =
        applied["controls"].as_array().unwrap().iter().map(|one| one["control"].as_str().unwrap()).collect();
    let place = |control: &str| all.iter().position(|one| *one == control);
    assert!(place("AC-2") < place("AC-10") && place("SC-12") < place("SC-12(1)"), "{all:?}");
    for (control, expected) in [
        ("AC-2", "proved"),
        ("AC-10", "claimed_not_proved"),
        ("CM-8", "does_not_hold"),
        // The pack asks for it, and there is no bucket.
        ("CP-9", "not_asked"),
        // The rule looked at the queue, and at nothing of the topics.
        ("SC-12", "partly_proved"),
        ("SC-12(1)", "proved_not_claimed"),
        ("AU-2", "proved_not_claimed"),
    ] {
        assert_eq!(standing(&applied, control), expected, "{control}");
    }
    let said = project.stdout(&["policy", "coverage", "x"], 0);
    let run_id = applied["run"].as_str().unwrap();
    let line =
        |start: &str| said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {said}"));
    assert!(
        line("AC-2 ").contains("stack.queue/answers") && line("AC-2 ").contains(&format!("run {run_id}")),
        "{said}"
    );
    assert!(line("AC-10").contains("claimed, not proved"), "{said}");
    assert!(line("CM-8").contains("own/topics_named") && line("CM-8").contains("1 warning"), "{said}");
    assert!(said.contains("stack.topics (not proved)"), "{said}");

    // What the folder says now is not what ran.
    project.write("plans/x/plan.hcl", &PLAN.replace("\"AC-10\", ", ""));
    assert_eq!(standing(&coverage(&project, &["x"]), "AC-10"), "claimed_not_proved");
    // Nor is what was taken away.
    project.stdout(&["destroy", "x", "--auto-approve"], 0);
    assert!(run(&project, &["policy", "coverage", "x"]).err.contains("error[coverage_no_run]"));
}

#[test]
fn a_control_that_is_none_is_refused_with_what_was_meant() {
    let project = project();
    project.write("plans/x/plan.hcl", &PLAN.replace("\"AC-10\"", "\"ac-10\"").replace("\"AU-2\"", "\"logging\""));
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(1) && said.err.contains("error[control_id]: `ac-10` is no control"), "{said:?}");
    assert!(said.err.contains("did you mean `AC-10`?") && said.err.contains("`logging`"), "{}", said.err);
    project.write("plans/x/plan.hcl", &PLAN.replace("controls = [\"AC-2\"]", "controls = [\"AC2\"]"));
    let said = run(&project, &["validate", "x"]);
    assert!(said.code == Some(1) && said.err.contains("did you mean `AC-2`?"), "{said:?}");
}

/// A file of a workspace of trestle, and whether trestle takes it for valid.
fn valid(trestle: &Path, workspace: &Path, file: &Path) -> (bool, String) {
    let output = Command::new(trestle).args(["validate", "-f"]).arg(file).current_dir(workspace).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn what_is_exported_is_what_oscal_says_and_the_same_bytes_each_time() {
    let project = project();
    // Another list than NIST's is left out, and told.
    project.write("policies/own/pack.toml", &PACK.replace("\"SC-12(1)\"", "\"SC-12(1)\", \"PCI-8.2\""));
    project.stdout(&["apply", "x", "--auto-approve"], 0);
    let workspace = tempfile::tempdir().unwrap();
    let folder = workspace.path().to_str().unwrap();
    let export = || {
        let said = run(&project, &["policy", "coverage", "x", "--oscal", folder]);
        assert!(said.code == Some(0) && said.err.contains("left out") && said.err.contains("PCI-8.2"), "{said:?}");
        let named = |kinds: &str, kind: &str| workspace.path().join(kinds).join("x-x-dev").join(format!("{kind}.json"));
        [named("component-definitions", "component-definition"), named("assessment-results", "assessment-results")]
    };
    let read = |files: &[PathBuf; 2]| files.each_ref().map(|file| fs::read_to_string(file).unwrap());
    let first = read(&export());
    let files = export();
    assert_eq!(first, read(&files));

    let Some(trestle) = built("compliance-trestle") else { return };
    let made = Command::new(&trestle).args(["init", "--local"]).current_dir(workspace.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    for (file, text) in files.iter().zip(&first) {
        let (right, said) = valid(&trestle, workspace.path(), file);
        assert!(right, "{}: {said}", file.display());
        // Were trestle to take anything, this would not be seen.
        for (from, to) in [("\"metadata\"", "\"meta\""), ("\"uuid\": \"", "\"uuid\": \"x")] {
            let broken = text.replacen(from, to, 1);
            assert_ne!(&broken, text);
            fs::write(file, broken).unwrap();
            assert!(!valid(&trestle, workspace.path(), file).0, "{} with {to} is taken for valid", file.display());
        }
        fs::write(file, text).unwrap();
    }
}
