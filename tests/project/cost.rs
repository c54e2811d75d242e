//! What plans cost and need, by the program as people run it: the shipped platform from nothing to all of it and back, prices of a project's
//! own, and price files that are wrong.

use crate::{cli::Project, policy::shipped};
use serde_json::Value as Json;
use std::path::Path;

const TEMPLATE: &str = "Resources:\n  Gateway: { Type: AWS::EC2::NatGateway, Properties: { SubnetId: s } }\n  \
    Bucket: { Type: AWS::S3::Bucket }\n";
const STACK: &str = "stack \"network\" {\n  template = \"${path.project}/network.yaml\"\n}\n";

fn terrace(folder: &Path, words: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_terrace"));
    command.env("NO_COLOR", "1").env("TERRACE_SANDBOX_SPEED", "instant").current_dir(folder).args(words);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}\n{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The plan in what a command said.
fn planned(said: &str) -> Json {
    let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    lines.find(|line| line["type"] == "plan").unwrap_or_else(|| panic!("{said}"))
}

/// A month of one type, in all.
fn of_type(cost: &Json, kind: &str) -> f64 {
    let parts = cost["parts"].as_array().unwrap().iter().filter(|part| part["kind"] == kind);
    parts.map(|part| part["after"].as_str().unwrap().parse::<f64>().unwrap()).sum()
}

fn project() -> Project {
    let project = Project::new(STACK);
    project.write("network.yaml", TEMPLATE);
    project
}

#[test]
fn the_platform_is_reckoned_before_it_is_there_and_its_saved_plan_says_the_same() {
    let folder = shipped();
    let words = ["plan", "eks-platform", "--env", "dev", "--sandbox", "--out", "plan.json", "--json"];
    let plan = planned(&terrace(folder.path(), &words));
    let cost = &plan["cost"];
    let lines: f64 =
        ["AWS::EKS::Cluster", "AWS::EKS::Nodegroup", "AWS::EC2::NatGateway"].map(|k| of_type(cost, k)).iter().sum();
    assert!((lines - 459.0).abs() < 2.0, "{cost:#}");
    assert_eq!((&cost["before"], &cost["delta"]), (&Json::from("0.00"), &cost["after"]));
    // What charts claim is reckoned too, before there is a cluster to render them for.
    assert!(of_type(cost, "PersistentVolumeClaim") + of_type(cost, "StatefulSet") > 0.0, "{cost:#}");
    assert!(cost["per_use"].as_array().unwrap().iter().any(|one| one["kind"] == "AWS::S3::Bucket"), "{cost:#}");
    let capacity = &plan["capacity"];
    assert_eq!((&capacity["fits"], &capacity["groups"][0]["instance"]), (&true.into(), &"t3a.xlarge".into()));
    let asks = |name: &str| {
        let mut all = capacity["workloads"].as_array().unwrap().iter();
        all.find(|one| one["part"] == name).unwrap_or_else(|| panic!("{capacity:#}"))["each"]["cpu"].clone()
    };
    // Of a chart with values of its own, and of add-ons, of which no chart says it.
    assert_eq!((asks("Deployment istio-system/istiod"), asks("coredns")), (200.into(), 100.into()));
    let again = planned(&terrace(folder.path(), &["show", "plan.json", "--json"]));
    assert_eq!((&again["cost"], &again["capacity"]), (cost, capacity));
    let shown = terrace(folder.path(), &["show", "plan.json"]);
    assert!(shown.contains("3 × t3a.xlarge give") && shown.contains(": what is known of it fits"), "{shown}");
    assert!(shown.contains("What it costs") && shown.contains("3 × t3a.xlarge + 3 × 100 GiB gp3"), "{shown}");
}

#[test]
fn what_was_made_and_is_taken_away_costs_nothing_any_more() {
    let project = project();
    project.stdout(&["apply", "--env", "dev", "--auto-approve"], 0);
    let unchanged = planned(&project.stdout(&["plan", "--env", "dev", "--json"], 0));
    assert_eq!((&unchanged["cost"]["before"], &unchanged["cost"]["delta"]), (&"32.85".into(), &"0.00".into()));
    project.write(
        "network.yaml",
        &TEMPLATE.replace("  Bucket", "  Other: { Type: AWS::EC2::NatGateway, Properties: { SubnetId: t } }\n  Bucket"),
    );
    let more = planned(&project.stdout(&["plan", "--env", "dev", "--json"], 0));
    assert_eq!((&more["cost"]["after"], &more["cost"]["delta"]), (&"65.70".into(), &"32.85".into()));
    let gone = planned(&project.stdout(&["plan", "--env", "dev", "--destroy", "--json"], 0));
    assert_eq!(
        (&gone["cost"]["before"], &gone["cost"]["after"]),
        (&"32.85".into(), &"0.00".into()),
        "{:#}",
        gone["cost"]
    );
}

#[test]
fn prices_of_the_projects_own_take_the_place_of_the_shipped_ones() {
    let project = project();
    project.write("terrace.toml", "name = \"test\"\n[cost]\nprices = \"own.toml\"\n");
    let own = |name: &str| {
        format!(
            "format = 1\nregion = \"us-east-1\"\ncurrency = \"USD\"\n[source.us]\npage = \"https://example.com\"\n\
             read = \"2026-11-01\"\n[price]\n{name} = {{ usd = 0.01, per = \"hour\", source = \"us\" }}\n"
        )
    };
    project.write("own.toml", &own("nat_gateway"));
    let plan = planned(&project.stdout(&["plan", "--env", "dev", "--json"], 0));
    assert_eq!(plan["cost"]["after"], "7.30");
    assert_eq!(plan["cost"]["sources"]["us"]["read"], "2026-11-01");
    project.write("own.toml", &own("nat_gatway")); // spellchecker:disable-line
    let said = project.stderr(&["plan", "--env", "dev"], 1);
    for part in [
        "there is no price called",
        "own.toml:8",
        "nothing would ever be reckoned by it",
        "did you mean `nat_gateway`?",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    project.write("terrace.toml", "name = \"test\"\n[cost]\nprices = \"nowhere.toml\"\n");
    let said = project.stderr(&["plan", "--env", "dev"], 1);
    assert!(said.contains("the price file nowhere.toml cannot be read") && said.contains("terrace.toml:3"), "{said}");
}

#[test]
fn another_region_is_said_to_be_unpriced() {
    let project = Project::bare();
    project.write("network.yaml", TEMPLATE);
    let environment = "environment \"dev\" {\n  sandbox {\n    region = \"eu-west-1\"\n  }\n}\n";
    project.write("plans/app/plan.hcl", &format!("plan \"app\" {{}}\n\n{environment}\n{STACK}"));
    let shown = project.stdout(&["plan", "--env", "dev"], 0);
    assert!(shown.contains("not priced: 1 thing (stack.network)"), "{shown}");
    let plan = planned(&project.stdout(&["plan", "--env", "dev", "--json"], 0));
    assert_eq!(plan["cost"]["unpriced"][0]["why"], "there are no prices of the region eu-west-1");
    assert_eq!(plan["cost"]["after"], "0.00");
}
