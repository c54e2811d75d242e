//! The chain of audit as people and CI use it: written by every command that changes something, followed offline, and broken by whoever touches it.

#![expect(clippy::disallowed_methods, reason = "damages what the program stored")]

use crate::cli::Project;
use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
};

const PLAN: &str = r#"plan "shop" {}

environment "dev" {
  sandbox {}
}

value "one" {
  input = "a"
}

value "two" {
  input = value.one.output
}
"#;

fn project() -> Project {
    let project = Project::bare();
    project.write("plans/shop/plan.hcl", PLAN);
    project
}

fn ends(project: &Project, words: &[&str], code: i32) -> String {
    let output = project.command(words).env("TERRACE_IDENTITY", "ann").output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{said}");
    said
}

fn records(project: &Project) -> Vec<Json> {
    let said = ends(project, &["audit", "log", "--json"], 0);
    let answer: Json = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    answer["records"].as_array().unwrap().clone()
}

fn deeds(project: &Project) -> Vec<String> {
    records(project).iter().map(|record| record["deed"].as_str().unwrap().to_owned()).collect()
}

/// Where the records lie.
fn folder(project: &Project) -> PathBuf {
    fn find(folder: &Path) -> Option<PathBuf> {
        let entries: Vec<PathBuf> = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
        let own = entries.iter().find(|path| path.is_dir() && path.file_name().is_some_and(|name| name == "audit"));
        own.cloned().or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path)))
    }
    find(project.path()).unwrap()
}

#[test]
fn whatever_is_done_is_in_the_chain_with_who_when_where_and_why() {
    let project = project();
    ends(&project, &["plan"], 0);
    ends(&project, &["apply", "--auto-approve", "--reason", "the first one"], 0);
    ends(&project, &["state", "mv", "value.two", "value.three"], 0);
    ends(&project, &["state", "rm", "value.three"], 0);
    ends(&project, &["freeze", "dev", "--reason", "holidays"], 0);
    assert_eq!(deeds(&project), ["plan", "run_started", "run_ended", "state_surgery", "state_surgery", "decision"]);
    let all = records(&project);
    let run = &all[1];
    assert_eq!((run["by"]["person"].as_str(), run["reason"].as_str()), (Some("ann"), Some("the first one")));
    assert!(run["plan"].is_string() && run["at"].is_string() && run["from"].is_string(), "{run}");
    assert_eq!((&all[2]["run"], all[2]["outcome"].as_str()), (&run["run"], Some("succeeded")));
    assert_eq!(all[3]["what"], "state mv value.two value.three");
    assert_eq!((all[5]["what"].as_str(), all[5]["reason"].as_str()), (Some("freeze"), Some("holidays")));
    let text = ends(&project, &["audit", "log", "--deed", "decision"], 0);
    assert!(text.contains("holidays") && !text.contains("state mv"), "{text}");
    let wrong = ends(&project, &["audit", "log", "--deed", "decisions"], 64);
    assert!(wrong.contains("possible values: plan, approval, run_started"), "{wrong}");
    assert!(ends(&project, &["audit", "log", "--by", "ben"], 0).contains("nothing is recorded"));
}

#[test]
fn a_chain_is_followed_offline_and_the_first_broken_link_is_named() {
    let project = project();
    for word in ["a", "b", "c"] {
        project.write("plans/shop/plan.hcl", &PLAN.replace("\"a\"", &format!("\"{word}\"")));
        ends(&project, &["apply", "--auto-approve"], 0);
    }
    assert!(ends(&project, &["audit", "verify"], 0).contains("6 records hang together"));
    let anchor = ends(&project, &["audit", "anchor"], 0);
    project.write("anchor.json", &anchor);
    let export = ends(&project, &["audit", "export"], 0);
    project.write("audit.jsonl", &export);
    assert_eq!(export.lines().count(), 6);
    let elsewhere = Project::bare();
    elsewhere.write("audit.jsonl", &export);
    assert!(ends(&elsewhere, &["audit", "verify", "--file", "audit.jsonl"], 0).contains("6 records"));
    let mut lines: Vec<&str> = export.lines().collect();
    lines.swap(2, 3);
    elsewhere.write("audit.jsonl", &lines.join("\n"));
    let said = ends(&elsewhere, &["audit", "verify", "--file", "audit.jsonl"], 1);
    assert!(said.contains("record 3 stands behind record 4"), "{said}");
    elsewhere.write("audit.jsonl", &format!("{export}{}\n", lines[5]));
    let said = ends(&elsewhere, &["audit", "verify", "--file", "audit.jsonl"], 1);
    assert!(said.contains("record 6 stands behind record 6"), "a line that stands twice: {said}");
    for line in ends(&project, &["audit", "export", "--cloudevents"], 0).lines() {
        let event: Json = serde_json::from_str(line).unwrap();
        assert_eq!((&event["specversion"], event["data"]["number"].is_u64()), (&"1.0".into(), true));
    }

    let third = folder(&project).join("0000000003.json");
    let whole = fs::read_to_string(&third).unwrap();
    fs::write(&third, whole.replace("\"apply\"", "\"plan\"")).unwrap();
    let said = ends(&project, &["audit", "verify"], 1);
    assert!(said.contains("audit_broken") && said.contains("record 4 was written after another record 3"), "{said}");
    assert!(ends(&project, &["audit", "log"], 0).contains("what follows it is not shown"));
    assert!(ends(&project, &["audit", "export"], 1).contains("audit_broken"));
    fs::write(&third, &whole).unwrap();

    // Whoever cuts its end off is found by the anchor alone.
    fs::remove_file(folder(&project).join("0000000006.json")).unwrap();
    ends(&project, &["audit", "verify"], 0);
    let said = ends(&project, &["audit", "verify", "--anchor", "anchor.json"], 1);
    assert!(said.contains("ends with record 5, and the anchor knows record 6"), "{said}");
    project.write("anchor.json", "{}");
    assert!(ends(&project, &["audit", "verify", "--anchor", "anchor.json"], 64).contains("audit_anchor"));
}

#[test]
fn what_cannot_be_recorded_does_not_take_place() {
    let project = project();
    ends(&project, &["apply", "--auto-approve"], 0);
    // Nothing can be written there any more: a file lies where the folder was.
    let audit = folder(&project);
    fs::remove_dir_all(&audit).unwrap();
    fs::write(&audit, "in the way").unwrap();
    project.write("plans/shop/plan.hcl", &PLAN.replace("\"a\"", "\"b\""));
    let said = ends(&project, &["apply", "--auto-approve"], 1);
    assert!(!said.contains("updating"), "{said}");
    ends(&project, &["freeze", "dev", "--reason", "holidays"], 1);
    fs::remove_file(&audit).unwrap();
    let said = ends(&project, &["apply", "--auto-approve"], 0);
    assert!(said.contains("1 updated") || said.contains("2 updated"), "{said}");
}

#[test]
fn a_comment_on_a_plan_keeps_an_anchor_outside_of_the_state() {
    let project = project();
    ends(&project, &["apply", "--auto-approve"], 0);
    ends(&project, &["plan", "--out", "next.plan"], 0);
    let comment = ends(&project, &["comment", "next.plan"], 0);
    let anchor = comment.split("Audit anchor: `").nth(1).unwrap().split('`').next().unwrap();
    project.write("anchor.json", anchor);
    assert_eq!(anchor, ends(&project, &["audit", "anchor"], 0).trim());
    ends(&project, &["apply", "next.plan", "--auto-approve"], 0);
    ends(&project, &["audit", "verify", "--anchor", "anchor.json"], 0);
    // Whoever cuts off the end, with the record of that plan, is found by it.
    let last: Json = serde_json::from_str(anchor).unwrap();
    let mut names: Vec<PathBuf> = fs::read_dir(folder(&project)).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for name in names.iter().skip(usize::try_from(last["number"].as_u64().unwrap()).unwrap() - 1) {
        fs::remove_file(name).unwrap();
    }
    ends(&project, &["audit", "verify"], 0);
    assert!(ends(&project, &["audit", "verify", "--anchor", "anchor.json"], 1).contains("audit_broken"));
}
