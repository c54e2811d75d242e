//! Rules as people meet them: the process that judges and whatever may become of it, the packs that are shipped, what the program says.

mod coverage;
mod denied;
mod elsewhere;

use crate::support::project::Said;
use serde_json::{Value as Json, json};
use std::{fs, path::Path, process::Stdio, time::Duration};
use terrace::world::{Class, Guard as _, GuardAnswer, GuardJob, GuardProcess, GuardRequest, GuardText, Outcome};

fn text(name: &str, text: impl Into<String>) -> GuardText {
    GuardText { name: name.to_owned(), text: text.into() }
}

fn request(rules: &[(&str, &str)], data: Vec<GuardText>) -> GuardRequest {
    let rules = rules.iter().map(|(name, rule)| text(name, *rule)).collect();
    GuardRequest::new(vec![GuardJob { rules, data }])
}

async fn judged(request: &GuardRequest) -> Outcome<GuardAnswer> {
    GuardProcess::new(env!("CARGO_BIN_EXE_terrace").into()).judge(request).await
}

const GOOD: (&str, &str) =
    ("good.guard", "rule all_named {\n  Resources.*.Properties.Name exists <<give it a name>>\n}\n");

fn topics(count: usize) -> String {
    let all: serde_json::Map<String, Json> =
        (0..count).map(|n| (format!("T{n}"), json!({ "Type": "AWS::SNS::Topic", "Properties": {} }))).collect();
    json!({ "Resources": all }).to_string()
}

#[tokio::test]
async fn ten_thousand_violations_come_back_complete() {
    let answer = judged(&request(&[GOOD], vec![text("a", topics(10_000))])).await.unwrap();
    let found = &answer.jobs[0][0];
    assert_eq!((found.violations.len(), found.failed.len()), (10_000, 1));
    assert_eq!(found.violations[9_999].message, "give it a name");
    assert!(found.violations[0].path.starts_with("/Resources/T"), "{:?}", found.violations[0]);
}

#[tokio::test]
async fn rules_that_name_each_other_are_an_error_that_names_their_file() {
    let circle = ("circle.guard", "rule one {\n  two\n}\nrule two {\n  one\n}\n");
    let failure = judged(&request(&[GOOD, circle], vec![text("a", topics(1))])).await.unwrap_err();
    assert_eq!((failure.class, &*failure.subject), (Class::Invalid, "circle.guard"), "{failure}");
    assert!(failure.message.contains("never come to an end") && failure.hint.is_some(), "{failure}");
}

#[tokio::test]
async fn a_rule_that_guard_gives_up_with_is_an_error_that_names_its_file() {
    // It backtracks without end over such a text.
    let panics = ("regex.guard", "rule ends {\n  Name == /^(?:(?=a)a+)+$/\n}\n");
    let name = format!("{}b", "a".repeat(60));
    let document = text("a", json!({ "Name": name }).to_string());
    let failure = judged(&request(&[GOOD, panics], vec![document])).await.unwrap_err();
    assert_eq!((failure.class, &*failure.subject), (Class::Invalid, "regex.guard"), "{failure}");
    assert!(failure.message.contains("gives up"), "{failure}");
}

#[tokio::test]
async fn a_file_that_does_not_parse_is_named_and_nothing_is_judged() {
    let broken = ("broken.guard", "rule broken {\n  Resources exists\n");
    let answer = judged(&request(&[GOOD, broken], vec![text("a", topics(1))])).await.unwrap();
    assert_eq!((answer.faults.len(), &*answer.faults[0].name, answer.jobs.len()), (1, "broken.guard", 0));
}

#[tokio::test]
async fn what_takes_too_long_or_too_much_is_ended_with_a_word() {
    let mut late = request(&[GOOD], vec![text("a", topics(10_000))]);
    late.deadline = Duration::from_millis(1);
    let failure = judged(&late).await.unwrap_err();
    assert_eq!((failure.class, &*failure.subject), (Class::TimedOut, "good.guard"), "{failure}");

    let mut large = request(&[GOOD], vec![text("a", json!({ "Name": "x".repeat(50 << 20) }).to_string())]);
    large.memory = 384 << 20;
    let failure = judged(&large).await.unwrap_err();
    assert_eq!(failure.class, Class::Limit, "{failure}");
    assert!(failure.message.contains("384 MiB"), "{failure}");
}

#[tokio::test]
async fn a_document_of_fifty_megabytes_is_judged_or_refused_with_a_word_in_bounded_time() {
    let long = json!({ "Resources": { "A": { "Properties": { "Name": "x".repeat(50 << 20) } } } }).to_string();
    match judged(&request(&[GOOD], vec![text("a", long)])).await {
        Ok(answer) => assert_eq!(answer.jobs[0][0].passed, ["all_named"]),
        Err(failure) => assert!(matches!(failure.class, Class::Limit | Class::TimedOut), "{failure}"),
    }
}

/// The program with these words in a folder.
fn terrace(folder: &Path, words: &[&str]) -> Said {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_terrace"));
    command.env("NO_COLOR", "1").current_dir(folder).args(words).stdin(Stdio::null());
    Said::of(&command.output().unwrap())
}

/// Copies of the shipped packs and whatever else a test wants, as a project.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

const PACK: &str = "name = \"own\"\nversion = \"1.0.0\"\ndescription = \"ours\"\n\n[[rule]]\nname = \"bucket_versioned\"\n\
    severity = \"deny\"\ncontrols = [\"CP-9\"]\non = \"template\"\nwhy = \"what is overwritten is gone\"\n\
    instead = \"VersioningConfiguration: { Status: Enabled }\"\n\n[[rule]]\nname = \"not_default\"\nseverity = \"warn\"\n\
    controls = []\non = \"object\"\nwhy = \"nobody owns that namespace\"\ninstead = \"a namespace of its own\"\n";
const TEMPLATES: &str = "let buckets = Resources.*[ Type == 'AWS::S3::Bucket' ]\nrule bucket_versioned when %buckets !empty {\n  \
    %buckets.Properties.VersioningConfiguration.Status == 'Enabled' <<the bucket keeps no versions>>\n}\n";
const OBJECTS: &str = "rule not_default when metadata exists {\n  metadata.namespace != 'default' <<it is in the namespace default>>\n}\n";
const PLAN: &str = "plan \"app\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\nstack \"data\" {\n  template = \"${path.module}/data.yaml\"\n}\n\
    manifest \"settings\" {\n  object = {\n    apiVersion = \"v1\"\n    kind = \"ConfigMap\"\n    metadata = { name = \"a\", namespace = \"default\" }\n  }\n}\n\
    kubernetes \"main\" {\n  kubeconfig {\n    path = \"none\"\n  }\n}\n";
const DATA: &str = "Resources:\n  Kept:\n    Type: AWS::S3::Bucket\n    Properties:\n      VersioningConfiguration: { Status: Enabled }\n  \
    Lost:\n    Type: AWS::S3::Bucket\n    Properties:\n      VersioningConfiguration:\n        Status: Suspended\n";

fn own_project(settings: &str) -> tempfile::TempDir {
    project(&[
        ("terrace.toml", settings),
        ("policies/own/pack.toml", PACK),
        ("policies/own/templates.guard", TEMPLATES),
        ("policies/own/objects.guard", OBJECTS),
        (
            "policies/own/tests/bucket_versioned/pass.yaml",
            "Resources:\n  A: { Type: AWS::S3::Bucket, Properties: { VersioningConfiguration: { Status: Enabled } } }\n",
        ),
        ("policies/own/tests/bucket_versioned/fail.yaml", "Resources:\n  A: { Type: AWS::S3::Bucket }\n"),
        ("policies/own/tests/not_default/pass.yaml", "{ kind: ConfigMap, metadata: { name: a, namespace: b } }\n"),
        (
            "policies/own/tests/not_default/fail.yaml",
            "{ kind: ConfigMap, metadata: { name: a, namespace: default } }\n",
        ),
        ("plans/app/plan.hcl", PLAN),
        ("plans/app/data.yaml", DATA),
    ])
}

#[test]
fn a_check_names_what_is_denied_with_its_file_and_line_and_ends_with_3() {
    let folder = own_project("name = \"x\"\n[policy]\npacks = [\"policies/own\"]\n");
    let said = terrace(folder.path(), &["policy", "check", "app", "--env", "dev", "--json"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    let answer: Json = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!((&answer["denied"], &answer["warned"]), (&json!(1), &json!(1)), "{answer}");
    let [denied, warned] = answer["findings"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&denied["address"], &denied["part"]), (&json!("stack.data"), &json!("Lost")));
    assert_eq!(denied["place"], json!({ "file": "plans/app/data.yaml", "line": 10, "column": 9 }));
    assert_eq!((&denied["what"], &denied["controls"]), (&json!("the bucket keeps no versions"), &json!(["CP-9"])));
    assert_eq!((&warned["address"], &warned["part"]), (&json!("manifest.settings"), &json!("ConfigMap default/a")));
    assert_eq!(warned["place"]["file"], "plans/app/plan.hcl");
    let said = terrace(folder.path(), &["policy", "check", "app", "--write", "seen"]);
    assert_eq!(said.code, Some(3));
    let seen = |path: &str| -> Json {
        serde_json::from_slice(&fs::read(folder.path().join("seen").join(path)).unwrap()).unwrap()
    };
    assert_eq!(seen("templates/stack.data-data.yaml.json")["Resources"]["Lost"]["Type"], "AWS::S3::Bucket");
    assert_eq!(seen("objects/0000-manifest.settings-ConfigMap-default-a.json")["metadata"]["name"], "a");
    assert_eq!(seen("objects.json")["objects"].as_array().map(Vec::len), Some(1));
    for word in
        ["stack.data Lost: the bucket keeps no versions", "plans/app/data.yaml:10:", "instead:", "1 denied, 1 warning"]
    {
        assert!(said.words().contains(word), "{word}: {said:?}");
    }
}

#[test]
fn a_project_says_how_bad_a_rule_is_and_a_rule_that_is_not_there_is_an_error() {
    let settings = "name = \"x\"\n[policy]\npacks = [\"policies/own\"]\n[policy.severity]\n";
    let folder = own_project(&format!("{settings}bucket_versioned = \"warn\"\n"));
    assert_eq!(terrace(folder.path(), &["policy", "check", "app"]).code, Some(0));
    let folder = own_project(&format!("{settings}bucket_version = \"warn\"\n")); // spellchecker:disable-line
    let said = terrace(folder.path(), &["policy", "check", "app"]);
    assert_eq!(said.code, Some(1));
    assert!(said.words().contains("did you mean `bucket_versioned`?"), "{said:?}");
}

#[test]
fn rules_are_listed_and_held_against_their_fixtures() {
    let folder = own_project("name = \"x\"\n[policy]\npacks = [\"policies/own\"]\n");
    let said = terrace(folder.path(), &["policy", "list"]);
    assert!(said.code == Some(0) && said.out.contains("bucket_versioned") && said.out.contains("CP-9"), "{said:?}");
    let said = terrace(folder.path(), &["policy", "test"]);
    assert!(said.code == Some(0) && said.words().contains("4 fixtures of 2 rules"), "{said:?}");
    fs::write(folder.path().join("policies/own/tests/not_default/fail.yaml"), "{ metadata: { namespace: b } }\n")
        .unwrap();
    fs::write(folder.path().join("policies/own/tests/bucket_versioned/pass.yaml"), "Resources: {}\n").unwrap();
    let said = terrace(folder.path(), &["policy", "test"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.words().contains("it has to fail, and does not"), "{said:?}");
    assert!(said.words().contains("the rule asks for nothing in it"), "{said:?}");
}

#[test]
fn a_project_without_packs_is_told_how_to_have_one() {
    let folder = own_project("name = \"x\"\n");
    let said = terrace(folder.path(), &["policy", "check", "app"]);
    assert!(said.code == Some(1) && said.words().contains("[policy] packs"), "{said:?}");
}

/// The shipped project, without what this machine's runs left in it.
pub(crate) fn shipped() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["terrace.toml", "plans", "cfn-templates", "modules", "policies"] {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name), &folder.path().join(name));
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

#[test]
fn every_shipped_rule_lets_its_good_fixture_through_and_finds_its_bad_one() {
    let said = terrace(shipped().path(), &["policy", "test", "--json"]);
    let answer: Json =
        serde_json::from_str(said.out.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{said:?}"));
    let wrong: Vec<&Json> =
        answer["fixtures"].as_array().unwrap().iter().filter(|fixture| !fixture["wrong"].is_null()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((said.code, &answer["without"]), (Some(0), &json!(0)), "each rule has a fixture of both kinds");
    assert!(answer["fixtures"].as_array().unwrap().len() >= 120);
}

#[test]
fn the_shipped_platform_is_denied_nothing_by_the_shipped_packs() {
    let folder = shipped();
    for env in ["dev", "prd"] {
        let said = terrace(folder.path(), &["policy", "check", "eks-platform", "--env", env, "--sandbox", "--json"]);
        let answer: Json =
            serde_json::from_str(said.out.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{said:?}"));
        let denied: Vec<&Json> =
            answer["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "deny").collect();
        assert!(denied.is_empty(), "{denied:#?}");
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(
            answer["templates"].as_u64().unwrap() > 5
                && answer["objects"].as_u64().unwrap() > 50
                && answer["asked"].as_u64().unwrap() > 30,
            "{answer}"
        );
    }
}
