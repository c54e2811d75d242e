//! A phase of all kinds that is undone: a stack, an add-on, a chart and a manifest, on MiniStack and on the testbed's cluster.

#![expect(clippy::disallowed_methods, reason = "writes a plan, and reads the state's log")]

use crate::support::{Account, cluster, ministack, platform::Platform, server::wait};
use serde_json::Value;
use std::{fs, path::Path};

const CLUSTER: &str = "
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: { Version: '2012-10-17', Statement: [{ Effect: Allow, Principal: { Service: eks.amazonaws.com }, Action: sts:AssumeRole }] }
  Cluster:
    Type: AWS::EKS::Cluster
    Properties: { Name: group, Version: '1.34', RoleArn: !GetAtt Role.Arn, ResourcesVpcConfig: { SubnetIds: [subnet-1, subnet-2] } }
Outputs:
  Name: { Value: !Ref Cluster }
";

const SETTINGS: &str = "
Parameters:
  Text: { Type: String }
Resources:
  Settings: { Type: AWS::SSM::Parameter, Properties: { Name: /group/settings, Type: String, Value: !Ref Text } }
";

/// Each stands on the one before; the last one's verification says of version two that it is not well.
const PLAN: &str = r#"
plan "group" {}
environment "dev" {
  aws {
    region     = "us-east-1"
    account_id = "111111111111"
  }
}
kubernetes "main" {
  kubeconfig {
    path = "KUBECONFIG"
  }
}
phase "cluster" {}
phase "services" {
  after      = [phase.cluster]
  on_failure = "rollback"
}
stack "cluster" {
  phase    = phase.cluster
  template = "${path.root}/cluster.yaml"
}
stack "settings" {
  phase      = phase.services
  template   = "${path.root}/settings.yaml"
  parameters = { Text = "TEXT" }
}
eks_addon "dns" {
  phase             = phase.services
  depends_on        = [stack.settings]
  cluster           = stack.cluster.outputs.Name
  addon             = "coredns"
  version           = "ADDON"
  resolve_conflicts = "overwrite"
}
helm "web" {
  phase      = phase.services
  depends_on = [eks_addon.dns]
  chart      = "./charts/web"
  namespace  = "NAMESPACE"
  values     = { text = "TEXT" }
}
manifest "note" {
  phase      = phase.services
  depends_on = [helm.web]
  object = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "note", namespace = "NAMESPACE" }
    data       = { text = "TEXT" }
  }
  verify "well" {
    command {
      program = ["test", "TEXT", "=", "one"]
    }
    every  = "100ms"
    within = "300ms"
  }
}
"#;

const ADDONS: [&str; 2] = ["v1.12.3-eksbuild.1", "v1.12.4-eksbuild.1"];

#[test]
fn a_phase_with_a_stack_an_addon_a_chart_and_a_manifest_is_undone_in_reverse_on_real_servers() {
    let (Some(cluster), Some(server)) = (cluster(), ministack()) else { return };
    let Some(platform) = Platform::new(cluster, server, "helm4") else { return };
    let namespace = cluster.namespace("group");
    let folder = platform.path().join("plans/group");
    fs::create_dir_all(&folder).unwrap();
    crate::support::proof::copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/web"),
        &platform.path().join("charts/web"),
    );
    let declare = |text: &str, addon: &str| {
        let kubeconfig = cluster.kubeconfig().to_string_lossy().into_owned();
        let plan = PLAN.replace("NAMESPACE", &namespace).replace("KUBECONFIG", &kubeconfig);
        let plan = plan.replace("TEXT", text).replace("ADDON", addon);
        for (name, text) in [("plan.hcl", &*plan), ("cluster.yaml", CLUSTER), ("settings.yaml", SETTINGS)] {
            fs::write(folder.join(name), text).unwrap();
        }
    };
    let account =
        Account { url: server.url.clone(), id: "111111111111".to_owned(), region: "us-east-1".to_owned() }.sdk();
    // What is there, in the order in which it came.
    let there = || -> [String; 4] {
        let parameter = aws_sdk_ssm::Client::new(&account).get_parameter().name("/group/settings");
        let parameter = wait(parameter.send()).unwrap().parameter.unwrap().value.unwrap();
        let addon = aws_sdk_eks::Client::new(&account).describe_addon().cluster_name("group").addon_name("coredns");
        let addon = wait(addon.send()).unwrap().addon.unwrap().addon_version.unwrap();
        let map = |name: &str| {
            let map = cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/{name}")).ok();
            map["data"]["text"].as_str().unwrap().to_owned()
        };
        [parameter, addon, map("web"), map("note")]
    };
    let apply = ["apply", "group", "--env", "dev", "--auto-approve"];
    declare("one", ADDONS[0]);
    platform.ends(&apply, 0);
    assert_eq!(there(), ["one", ADDONS[0], "one", "one"]);

    declare("two", ADDONS[1]);
    let said = platform.ends(&apply, 6).words();
    assert!(said.contains("manifest.note") && said.contains("well"), "{said}");
    assert_eq!(there(), ["one", ADDONS[0], "one", "one"], "{said}");
    assert_eq!(cluster.statuses(&namespace, "web"), ["superseded", "superseded", "deployed"], "{said}");
    // The journal says in which order.
    let log = log(&platform.path().join(".terrace/state/group"));
    let order = |purpose: &str| -> Vec<String> {
        let intents = log.iter().filter(|record| record["record"] == "intent" && record["purpose"] == purpose);
        intents.map(|record| record["address"].as_str().unwrap().to_owned()).collect()
    };
    let group = ["stack.settings", "eks_addon.dns", "helm.web", "manifest.note"];
    assert_eq!(order("apply")[1..], [group, group].concat());
    assert_eq!(order("undo"), group.into_iter().rev().collect::<Vec<_>>());
    declare("one", ADDONS[0]);
    // Nothing is left to be put back; only what was last found not to be well is asked again.
    let said = platform.ends(&["plan", "group", "--env", "dev"], 0);
    assert!(said.out.contains("Plan: 1 to verify."), "{}", said.out);
    platform.ends(&apply, 0);
    assert!(platform.ends(&["plan", "group", "--env", "dev"], 0).out.contains("No changes"));
}

/// The records of the state's log, wherever below the folder it is.
fn log(folder: &Path) -> Vec<Value> {
    let mut folders = vec![folder.to_owned()];
    let mut records = Vec::new();
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("log") {
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                records.extend(lines.map(|line| line["r"].clone()));
            }
        }
    }
    records
}
