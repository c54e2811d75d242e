//! Packs of rules that lie elsewhere: in a repository of git, in a registry.

use crate::{
    cli::Project,
    support::{cluster::charts::Registry, project::Said},
};
use std::{fs, path::Path, process::Command};

const PACK: &str = "name = \"own\"\nversion = \"1.0.0\"\ndescription = \"ours\"\n[[rule]]\nname = \"topics_named\"\nseverity = \"deny\"\ncontrols = [\"CM-8\"]\non = \"template\"\nwhy = \"nobody finds it\"\ninstead = \"TopicName: TEAM-PURPOSE\"\n";
const RULE: &str = "let topics = Resources.*[ Type == 'AWS::SNS::Topic' ]\nrule topics_named when %topics !empty {\n  %topics.Properties.TopicName exists <<the topic has no name>>\n}\n";

fn run(project: &Project, words: &[&str]) -> Said {
    Said::of(&project.command(words).env("PATH", "/usr/bin:/bin").output().unwrap())
}

fn git(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]).args(words);
    let output = command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn project() -> Project {
    let project = Project::bare();
    project.write("plans/x/plan.hcl", "plan \"x\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n\nstack \"topics\" {\n  template = \"${path.root}/t.yaml\"\n}\n");
    project.write("plans/x/t.yaml", "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n");
    project
}

fn names(project: &Project, pack: &str) {
    project.write("terrace.toml", &format!("name = \"x\"\n[policy]\npacks = [\"{pack}\"]\n"));
}

#[test]
fn a_pack_comes_from_a_commit_of_a_repository_once_and_goes_along_with_releases() {
    let (project, rules) = (project(), tempfile::tempdir().unwrap());
    let pack = rules.path().join("packs/own");
    fs::create_dir_all(&pack).unwrap();
    fs::write(pack.join("pack.toml"), PACK).unwrap();
    fs::write(pack.join("named.guard"), RULE).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", pack.join("passwd")).unwrap();
    git(rules.path(), &["init", "--quiet"]);
    git(rules.path(), &["add", "."]);
    git(rules.path(), &["commit", "--quiet", "-m", "rules"]);
    let commit = git(rules.path(), &["rev-parse", "HEAD"]);
    // What is there now is not what was there then.
    fs::write(pack.join("named.guard"), RULE.replace("exists", "empty")).unwrap();
    git(rules.path(), &["commit", "--quiet", "-am", "other rules"]);

    let url = format!("git::file://{}", rules.path().display());
    for floating in [format!("{url}//packs/own"), format!("{url}//packs/own?ref=main")] {
        names(&project, &floating);
        let said = run(&project, &["plan", "x"]);
        assert!(
            said.code != Some(0) && said.err.contains("terrace.toml") && said.err.contains("git ls-remote"),
            "{said:?}"
        );
    }
    names(&project, &format!("{url}//packs/none?ref={commit}"));
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(1) && said.err.contains("is no pack"), "{said:?}");

    names(&project, &format!("{url}//packs/own?ref={commit}"));
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(3) && said.err.contains("the topic has no name"), "{said:?}");
    assert!(said.err.contains("Fetching the pack"), "{}", said.err);
    let release = project.stdout(&["release", "create", "x", "--quiet"], 0);

    // It is here now: nobody is asked again.
    fs::remove_dir_all(rules.path()).unwrap();
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(3) && !said.err.contains("Fetching"), "{said:?}");
    let brought: Vec<_> =
        fs::read_dir(project.path().join(".terrace/packs")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(brought.len() == 1 && !brought[0].join("passwd").is_symlink(), "{brought:?}");

    // A release has it along, wherever it is judged.
    fs::remove_dir_all(project.path().join(".terrace/packs")).unwrap();
    project.write("terrace.toml", "name = \"x\"\n");
    let said = run(&project, &["plan", "x", "--release", release.trim()]);
    assert!(said.code == Some(3) && said.err.contains("the topic has no name"), "{said:?}");
}

#[test]
fn a_pack_is_pushed_to_a_registry_and_named_by_its_digest() {
    let Some(registry) = Registry::new() else { return };
    let project = project();
    project.write("policies/own/pack.toml", PACK);
    project.write("policies/own/named.guard", RULE);
    project.write(
        "policies/own/tests/topics_named/pass.yaml",
        "Resources:\n  T: { Type: 'AWS::SNS::Topic', Properties: { TopicName: a } }\n",
    );
    let place = format!("oci://{}/rules/own", registry.host);
    let pushed = run(&project, &["policy", "push", "policies/own", &format!("{place}:v1"), "--quiet"]);
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    let source = pushed.out.trim();
    assert!(source.starts_with(&format!("{place}@sha256:")), "{source}");
    let again = run(&project, &["policy", "push", "policies/own", &format!("{place}:v2"), "--quiet"]);
    assert_eq!(again.out.trim(), source, "the same files have the same name");
    // What is no pack is not pushed, nor is one whose place names no tag.
    project.write("policies/broken/pack.toml", "name = 1\n");
    assert_eq!(run(&project, &["policy", "push", "policies/broken", &format!("{place}:v3")]).code, Some(1));
    assert_eq!(run(&project, &["policy", "push", "policies/own", source]).code, Some(64));

    fs::remove_dir_all(project.path().join("policies")).unwrap();
    names(&project, &format!("{place}:v1"));
    let said = run(&project, &["plan", "x"]);
    assert!(said.code != Some(0) && said.err.contains("names no digest"), "{said:?}");
    names(&project, source);
    let said = run(&project, &["plan", "x"]);
    assert!(said.code == Some(3) && said.err.contains("the topic has no name"), "{said:?}");
    let listed = run(&project, &["policy", "test"]);
    assert!(listed.err.contains("no fixture that fails"), "fixtures come along: {listed:?}");
    // It is here: the registry is asked no more.
    drop(registry);
    assert_eq!(run(&project, &["plan", "x"]).code, Some(3));
}

#[test]
fn a_registry_that_serves_something_else_is_not_believed() {
    let Some(registry) = Registry::new() else { return };
    let project = project();
    let none = format!("oci://{}/rules/own@sha256:{}", registry.host, "0".repeat(64));
    names(&project, &none);
    let said = run(&project, &["plan", "x"]);
    assert!(
        said.code == Some(1) && said.err.contains("no such manifest") && said.err.contains("named here"),
        "{said:?}"
    );
    assert!(
        !project.path().join(".terrace/packs").read_dir().is_ok_and(|mut all| all.next().is_some()),
        "nothing is kept"
    );
}

#[test]
fn what_the_repository_has_in_the_place_of_a_pack_is_not_taken_for_it() {
    let (project, rules) = (project(), tempfile::tempdir().unwrap());
    fs::write(rules.path().join("pack.toml"), PACK).unwrap();
    fs::write(rules.path().join("named.guard"), RULE).unwrap();
    git(rules.path(), &["init", "--quiet"]);
    git(rules.path(), &["add", "."]);
    git(rules.path(), &["commit", "--quiet", "-m", "rules"]);
    let commit = git(rules.path(), &["rev-parse", "HEAD"]);
    names(&project, &format!("git::file://{}?ref={commit}", rules.path().display()));
    assert_eq!(run(&project, &["plan", "x"]).code, Some(3));
    let brought = fs::read_dir(project.path().join(".terrace/packs")).unwrap().next().unwrap().unwrap();
    // A folder that is called like it.
    let empty = "name = \"own\"\nversion = \"1.0.0\"\ndescription = \"ours\"\n";
    project.write(&format!("@packs/{}/pack.toml", brought.file_name().to_string_lossy()), empty);
    assert_eq!(run(&project, &["plan", "x"]).code, Some(3));
    // The very folder, altered and committed.
    git(project.path(), &["init", "--quiet"]);
    project.write(&format!(".terrace/packs/{}/pack.toml", brought.file_name().to_string_lossy()), empty);
    git(project.path(), &["add", "--force", ".terrace/packs"]);
    let said = run(&project, &["plan", "x"]);
    assert!(said.code != Some(0) && said.err.contains("is part of the repository"), "{said:?}");
}
