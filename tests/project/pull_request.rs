//! A plan for a pull request: what somebody proposes starts no program here, and what comes from outside asks nobody.

use crate::{cli::Project, support::project::Said};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

/// Leaves a mark where it is started.
const MARK: &str = "#!/bin/sh\ntouch \"$MARKS/$(basename \"$0\")\"\nexit 3\n";

fn program(folder: &Path, name: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), MARK).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A plan that would start a program of its own, and Terraform; and what else it is to have.
fn project(more: &str) -> Project {
    let project = Project::bare();
    project.write("terrace.toml", "name = \"x\"\n");
    let plan = "plan \"x\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n\ncommand \"seed\" {\n  create = [\"bin/seed\"]\n  \
        read   = [\"bin/seed\"]\n}\n\nterraform \"dns\" {\n  root = \"${path.project}/dns\"\n}\n\nstack \"topics\" {\n  \
        template = \"${path.root}/t.yaml\"\n}\n";
    project.write("plans/x/plan.hcl", &format!("{plan}{more}"));
    project.write("plans/x/t.yaml", "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n");
    project.write("dns/main.tf", "resource \"terraform_data\" \"a\" {}\n");
    fs::create_dir(project.path().join("marks")).unwrap();
    for name in ["seed", "terraform", "kustomize", "own-helm"] {
        program(&project.path().join("bin"), name);
    }
    project
}

/// Runs it where the project's own programs come first.
fn run(project: &Project, words: &[&str], variables: &[(&str, &str)]) -> Said {
    let path = format!("{}:/usr/bin:/bin", project.path().join("bin").display());
    let mut command = project.command(words);
    command.env("PATH", path).env("MARKS", project.path().join("marks"));
    Said::of(&command.envs(variables.iter().copied()).output().unwrap())
}

/// Which programs were started since.
fn started(project: &Project) -> Vec<String> {
    let marks = project.path().join("marks");
    let mut names: Vec<String> =
        fs::read_dir(&marks).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in &names {
        fs::remove_file(marks.join(name)).unwrap();
    }
    names
}

#[test]
fn no_program_is_started_for_a_pull_request_unless_it_is_allowed() {
    let project = project("");
    // The programs do leave marks where a plan starts them; this terraform can do nothing more.
    run(&project, &["plan", "x"], &[]);
    assert_eq!(started(&project), ["seed", "terraform"]);

    let said = run(&project, &["plan", "x", "--pull-request"], &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(started(&project), [""; 0]);
    let named = "the programs of command.seed, terraform.dns are not started";
    assert!(said.out.contains(named) && said.out.contains("stack.topics"), "{}", said.out);

    let said = run(&project, &["plan", "x", "--pull-request", "--allow", "command"], &[]);
    assert_eq!((said.code, started(&project)), (Some(0), vec!["seed".to_owned()]), "{said:?}");
    assert!(said.out.contains("the programs of terraform.dns are not started"), "{}", said.out);
}

#[test]
fn no_kustomization_is_built_for_a_pull_request_unless_it_is_allowed() {
    let built = "\nkubernetes \"main\" {\n  kubeconfig {\n    path = \"none\"\n  }\n}\n\nmanifest \"web\" {\n  kustomize = \"${path.root}/web\"\n}\n";
    let project = project(built);
    project.write("plans/x/web/kustomization.yaml", "resources: []\n");
    let said = run(&project, &["plan", "x", "--pull-request"], &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("a plan for a pull request builds no kustomization")
            && said.err.contains("--allow kustomize"),
        "{}",
        said.err
    );
    assert_eq!(started(&project), [""; 0]);
    run(&project, &["plan", "x", "--pull-request", "--allow", "kustomize"], &[]);
    assert_eq!(started(&project), ["kustomize"]);
}

#[test]
fn what_comes_from_a_fork_is_planned_without_asking_anybody() {
    let project = project("");
    let event = |head: &str| {
        format!(
            "{{\"pull_request\": {{\"head\": {{\"repo\": {{\"full_name\": \"{head}\"}}}}, \"base\": {{\"repo\": {{\"full_name\": \"acme/platform\"}}}}}}}}"
        )
    };
    project.write("event.json", &event("eve/platform"));
    let event_path = [("GITHUB_EVENT_PATH", "event.json")];
    // Its state is behind credentials, and so is AWS: neither is asked.
    let plan = fs::read_to_string(project.path().join("plans/x/plan.hcl")).unwrap();
    let live = "aws {\n    region = \"us-east-1\"\n    account_id = \"123456789012\"\n    endpoint_url = \"http://127.0.0.1:9\"\n  }";
    project.write("plans/x/plan.hcl", &plan.replace("sandbox {}", live));
    project.write("terrace.toml", "name = \"x\"\n[state]\nbackend = \"s3\"\nbucket = \"states\"\nregion = \"us-east-1\"\nendpoint_url = \"http://127.0.0.1:9\"\n");
    let said = run(&project, &["plan", "x", "--pull-request"], &event_path);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("comes from a fork") && said.out.contains("offline"), "{}", said.out);
    assert_eq!(started(&project), [""; 0]);
    assert!(
        !project.path().join(".terrace/not-read/log.jsonl").exists() && !said.err.contains("Next:"),
        "{}",
        said.err
    );

    let said = run(&project, &["plan", "x", "--pull-request", "--allow", "command"], &event_path);
    assert!(said.code == Some(64) && said.err.contains("run what they like"), "{said:?}");
    // Nor does what judges its charts start a helm of its own, or fetch from where it says.
    let event_of_eve = fs::read_to_string(project.path().join("event.json")).unwrap();
    let judged = live.replace("aws {", "protected = true\n  aws {");
    let charts = "\nkubernetes \"main\" {\n  kubeconfig {\n    path = \"none\"\n  }\n}\n\nhelm \"web\" {\n  chart = \"web\"\n  repository = \"http://127.0.0.1:9\"\n  version = \"1.0.0\"\n}\n";
    project.write("plans/x/plan.hcl", &(plan.replace("sandbox {}", &judged) + charts));
    let settings = fs::read_to_string(project.path().join("terrace.toml")).unwrap();
    project.write("terrace.toml", &format!("{settings}[helm]\nprogram = \"bin/own-helm\"\n"));
    let said = run(&project, &["plan", "x", "--pull-request"], &event_path);
    assert_eq!((said.code, started(&project)), (Some(0), Vec::new()), "{said:?}");
    project.write("terrace.toml", &settings);
    project.write("plans/x/plan.hcl", &plan.replace("sandbox {}", live));
    project.write("event.json", &event_of_eve);

    // From the repository itself, the same is asked for, and nobody answers there.
    project.write("event.json", &event("acme/platform"));
    let said = run(&project, &["plan", "x", "--pull-request"], &event_path);
    assert_eq!(said.code, Some(1), "{said:?}");
    project.write("event.json", "{");
    let said = run(&project, &["plan", "x", "--pull-request"], &event_path);
    assert!(said.code == Some(1) && said.err.contains("cannot be told"), "{said:?}");
}
