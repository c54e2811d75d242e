//! Stacks and modules that are rolled out as a whole, on the sandbox (rule 38).

mod apart;
mod modules;
mod rolling;
mod targets;

use crate::{
    apply::{Report, testing::Lab},
    base::{Address, Color, Diagnostic, NoEvents, RunEnd},
    plan,
    world::{World as _, sandbox},
};

/// A template whose instances serve a colour.
const APP: &str = r#"
Parameters:
  Tag: { Type: String }
  Group: { Type: String }
Resources:
  Servers:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties:
      MinSize: "1"
      MaxSize: "4"
      DesiredCapacity: "2"
      TargetGroupARNs: [!Ref Group]
      Tags: [{ Key: tag, Value: !Ref Tag, PropagateAtLaunch: true }]
Outputs:
  Servers:
    Value: !Ref Servers
    Export: { Name: !Sub "${AWS::StackName}-servers" }
"#;

const BASE: &str = r#"
phase "base" {}
phase "services" {
  after      = [phase.base]
  on_failure = "rollback"
}
stack "cluster" {
  phase      = phase.base
  template   = "${path.root}/cluster.yaml"
  parameters = { ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }
}
stack "ingress" {
  phase      = phase.base
  template   = "${path.root}/ingress.yaml"
  parameters = { VpcId = "vpc-1", SubnetIds = "subnet-1,subnet-2" }
}
kubernetes "main" {
  eks { name = stack.cluster.outputs.ClusterName }
}
traffic "app" {
  phase = phase.services
  alb {
    listener = stack.ingress.outputs.ListenerArn
    priority = 100
    host     = "app.example.com"
    blue     = stack.ingress.outputs.BlueTargetGroupArn
    green    = stack.ingress.outputs.GreenTargetGroupArn
  }
}
locals {
  groups = { blue = stack.ingress.outputs.BlueTargetGroupArn, green = stack.ingress.outputs.GreenTargetGroupArn }
}
"#;

const ROLLOUT: &str = r#"
  rollout {
    strategy = "blue_green"
    traffic  = traffic.app
    steps    = [50, 100]
    bake     = "5m"
    keep     = "1h"
    verify "errors" {
      cloudwatch {
        alarm = "errors-${self.color}"
      }
      every       = "30s"
      consecutive = 2
    }
  }
"#;

fn stack(tag: &str) -> String {
    format!(
        r#"{BASE}
stack "app" {{
  phase      = phase.services
  template   = "${{path.root}}/app.yaml"
  parameters = {{ Tag = "{tag}", Group = local.groups[self.color] }}
{ROLLOUT}
}}
value "after" {{
  phase = phase.services
  input = stack.app.outputs.Servers
}}
"#
    )
}

fn module(tag: &str) -> String {
    format!(
        r#"{BASE}
module "app" {{
  source = "./app"
  phase  = phase.services
  color  = self.color
  group  = local.groups[self.color]
  tag    = "{tag}"
{ROLLOUT}
}}
value "after" {{
  phase = phase.services
  input = module.app.release
}}
"#
    )
}

/// What the module holds: a stack whose instances are the targets, and a chart that stands on it.
const INSIDE: &str = r#"
variable "color" {
  type    = string
  default = null
}
variable "group" { type = string }
variable "tag" { type = string }
stack "servers" {
  template   = "${path.module}/../app.yaml"
  parameters = { Tag = "same", Group = var.group }
}
helm "web" {
  chart      = "headlamp"
  repository = "https://kubernetes-sigs.github.io/headlamp"
  version    = "0.26.0"
  namespace  = "web"
  values     = { podLabels = { color = var.color, tag = var.tag, servers = stack.servers.outputs.Servers } }
}
output "release" { value = helm.web.name }
"#;

fn lab(plan: &str, inside: &str) -> Lab {
    let mut lab = Lab::new(plan);
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    lab.files.insert("p/ingress.yaml".to_owned(), include_str!("../../../cfn-templates/ingress.yaml").to_owned());
    lab.files.insert("p/app.yaml".to_owned(), APP.to_owned());
    lab.files.insert("p/app/main.hcl".to_owned(), inside.to_owned());
    for color in ["blue", "green"] {
        alarm(&lab, color, "OK");
    }
    lab
}

fn alarm(lab: &Lab, color: &str, state: &str) {
    let set = vec![("state".to_owned(), state.to_owned()), ("reason".to_owned(), "of the test".to_owned())];
    let target = format!("alarm/errors-{color}");
    lab.world.drift(&sandbox::Drift { target, set, ..sandbox::Drift::default() }).unwrap();
}

/// The colour that has the traffic by state's word, and the share of green by the load balancer's.
async fn traffic(lab: &Lab, unit: &str) -> (Option<Color>, u32) {
    let subject = lab.subject().await;
    let live = subject.state.live_color(&unit.parse().unwrap());
    let arn = subject.state.resources[&Address::root("traffic", "app")].exports.get("id").cloned().unwrap();
    let balancers = lab.world.aws(&subject.aws).unwrap().load_balancers;
    let rule = balancers.describe_rule(arn.as_str().unwrap()).await.unwrap().unwrap();
    let groups = rule.forward.unwrap().groups;
    let of = |name: &str| groups.iter().find(|(arn, _)| arn.contains(name)).map(|(_, weight)| *weight).unwrap();
    (live, of("Green") * 100 / (of("Green") + of("Blue")))
}

async fn after(lab: &Lab) -> String {
    let state = lab.subject().await.state;
    state.resources[&Address::root("value", "after")].inputs.get("input").and_then(|v| v.as_str()).unwrap().to_owned()
}

/// Stacks and releases of the thing by their names, without what all of them share.
fn there(lab: &Lab) -> Vec<String> {
    let rows = |table: &str| lab.world.show(Some(table)).unwrap().rows.into_iter().map(|row| row.name);
    let meant = |name: &String| ["blue", "green", "app", "web"].iter().any(|word| name.contains(word));
    let mut names: Vec<String> = rows("stack").chain(rows("release")).filter(meant).collect();
    names.sort();
    names
}

fn failure(report: &Report) -> String {
    format!("{:?} {:?} {:?}", report.failures, report.stuck, report.undone)
}

/// What is refused of a plan, whole or of some targets.
async fn refused(lab: &Lab, targets: &[&str]) -> Vec<Diagnostic> {
    match targeted(lab, targets).await {
        Err(plan::Error::Problems(problems)) => problems.iter().cloned().collect(),
        other => panic!("{:?}", other.map(|made| made.plan.nodes)),
    }
}

async fn targeted(lab: &Lab, targets: &[&str]) -> Result<plan::Made, plan::Error> {
    let targets = targets.iter().map(|target| target.parse().unwrap()).collect();
    plan::make(&lab.subject().await, &plan::Request { targets, ..plan::Request::default() }, &NoEvents).await
}

async fn codes(lab: &Lab) -> Vec<String> {
    refused(lab, &[]).await.iter().map(|p| p.code.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_comes_up_beside_the_old_one_and_goes_when_it_is_due() {
    let mut lab = lab(&stack("one"), INSIDE);
    lab.applied().await;
    assert_eq!(traffic(&lab, "stack.app").await, (Some(Color::Blue), 0));
    assert_eq!(lab.changes().await, Vec::<String>::new());
    let (blue, first) = (there(&lab), after(&lab).await);
    assert!(blue.len() == 1 && blue[0].ends_with("app-blue"), "{blue:?}");

    lab.write(&stack("two"));
    assert_eq!(lab.changes().await, ["stack.app@green: create", "stack.app: shift", "value.after: update"]);
    let plan = lab.plan().await.plan;
    let name = plan.node(&"stack.app@green".parse().unwrap()).unwrap().identity["name"].clone();
    assert_eq!(name, "p-dev-app-green", "the plan says what it will be called");
    let changed = lab.calls_of("cloudformation:ExecuteChangeSet");
    lab.applied().await;
    assert_eq!(lab.calls_of("cloudformation:ExecuteChangeSet") - changed, 1, "blue is not touched");
    assert_eq!(traffic(&lab, "stack.app").await, (Some(Color::Green), 100));
    assert_ne!(after(&lab).await, first, "what refers to it sees the new one");
    assert_eq!(there(&lab).len(), 2);
    let debts = lab.plan().await.plan.debts;
    assert_eq!(debts.iter().map(|d| d.address.to_string()).collect::<Vec<_>>(), ["stack.app@blue"]);

    // Still warm: going back is the switch, and no stack changes.
    lab.write(&stack("one"));
    assert!(lab.plan().await.plan.node(&"stack.app".parse().unwrap()).unwrap().rollout.as_ref().unwrap().switch);
    lab.applied().await;
    assert_eq!((traffic(&lab, "stack.app").await, after(&lab).await), ((Some(Color::Blue), 0), first));

    lab.world.advance(std::time::Duration::from_secs(2 * 3600)).unwrap();
    assert_eq!(lab.changes().await, ["stack.app@green: destroy"]);
    lab.applied().await;
    assert_eq!(there(&lab), blue);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_stack_gives_its_traffic_back_and_the_old_one_was_never_touched() {
    let mut lab = lab(&stack("one"), INSIDE);
    lab.applied().await;
    let blue = there(&lab);
    alarm(&lab, "green", "ALARM");
    lab.write(&stack("two"));
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert!(failure(&report).contains("all traffic is back on blue"), "{}", failure(&report));
    assert_eq!(traffic(&lab, "stack.app").await, (Some(Color::Blue), 0));
    assert_eq!(there(&lab), blue, "what this run made is undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_stand_twice_is_refused_before_anything_is_made() {
    let cases = [
        (
            "app.yaml",
            "  Servers:\n    Type: AWS::AutoScaling",
            "  Data: { Type: 'AWS::S3::Bucket' }\n  Servers:\n    Type: AWS::AutoScaling",
            "rollout_stateful",
        ),
        ("app.yaml", "!Sub \"${AWS::StackName}-servers\"", "servers", "rollout_export"),
        ("", "\"blue_green\"", "\"canary\"", "rollout_canary"),
        (
            "",
            "  phase      = phase.services\n  template   = \"${path.root}/app.yaml\"",
            "  phase      = phase.services\n  name       = \"app\"\n  template   = \"${path.root}/app.yaml\"",
            "rollout_name",
        ),
    ];
    for (file, from, to, code) in cases {
        let mut lab = lab(&stack("one"), INSIDE);
        if file.is_empty() {
            let text = stack("one");
            assert!(text.contains(from), "{from}");
            lab.write(&text.replace(from, to));
        } else {
            assert!(APP.contains(from), "{from}");
            lab.files.insert(format!("p/{file}"), APP.replace(from, to));
        }
        assert_eq!(codes(&lab).await, [code]);
    }
    // Data that may be lost, by its template's own word, may stand twice.
    let mut lab = lab(&stack("one"), INSIDE);
    let cache = "  Data: { Type: 'AWS::S3::Bucket', DeletionPolicy: Delete }\n  Servers:\n    Type: AWS::AutoScaling";
    lab.files.insert("p/app.yaml".to_owned(), APP.replace("  Servers:\n    Type: AWS::AutoScaling", cache));
    lab.applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_moved_takes_its_colours_with_it() {
    let mut lab = lab(&stack("one"), INSIDE);
    lab.applied().await;
    let renamed = |tag| {
        let text = stack(tag).replace("stack \"app\"", "stack \"shop\"").replace("stack.app.", "stack.shop.");
        format!("{text}\nmoved {{\n  from = stack.app\n  to   = stack.shop\n}}\n")
    };
    lab.write(&renamed("one"));
    assert_eq!(lab.changes().await, Vec::<String>::new());
    lab.write(&renamed("two"));
    assert_eq!(lab.changes().await, ["stack.shop@green: create", "stack.shop: shift", "value.after: update"]);
    // Without the block it would be another thing, on the route of the first.
    let hint = |problems: Vec<Diagnostic>| problems[0].hint.clone().unwrap();
    lab.write(renamed("two").split_once("moved {").unwrap().0);
    assert!(hint(refused(&lab, &[]).await).contains("`moved`"));
    let both = format!("{}{}", stack("two"), stack("two").split_once("stack \"app\"").unwrap().1);
    lab.write(&both.replacen(
        "value \"after\" {\n  phase = phase.services\n  input = stack.app.outputs.Servers\n}\n",
        "stack \"shop\"",
        1,
    ));
    let problems = refused(&lab, &[]).await;
    assert_eq!(&*problems[0].code, "rollout_shared_route");
    assert!(!hint(problems).contains("moved"));
    lab.write(&renamed("two"));
    lab.applied().await;
    assert_eq!(traffic(&lab, "stack.shop").await, (Some(Color::Green), 100));
    // And to the rolling strategy under one more name: nothing that has the traffic goes.
    let rolling = stack("two").replace("\"blue_green\"", "\"rolling\"").replace("self.color]", "\"green\"]");
    let rolling = rolling.replace("stack \"app\"", "stack \"last\"").replace("stack.app.", "stack.last.");
    lab.write(&format!("{rolling}\nmoved {{\n  from = stack.shop\n  to   = stack.last\n}}\n"));
    let plan = lab.plan().await.plan;
    let destroyed: Vec<String> =
        plan.nodes.iter().filter(|n| n.action.word() == "destroy").map(|n| n.address.to_string()).collect();
    assert_eq!(destroyed, ["stack.shop@blue"].map(|_| "stack.last@blue".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_has_to_choose_its_side_by_its_colour() {
    let lab_of = |text: String| lab(&text, INSIDE);
    assert_eq!(codes(&lab_of(stack("one").replace("self.color]", "\"blue\"]"))).await, ["rollout_side"]);
    let colorless =
        module("one").replace("groups[self.color]", "groups[\"blue\"]").replace("  color  = self.color\n", "");
    assert_eq!(codes(&lab_of(colorless)).await, ["rollout_side"]);
    let backend = "  backend {\n    service = \"x\"\n  }\n    verify \"errors\"";
    assert_eq!(codes(&lab_of(stack("one").replace("    verify \"errors\"", backend))).await, ["rollout_side"]);

    // What served the green side under the rolling strategy is not blue: its targets are not taken for the new one's.
    let rolling =
        module("one").replace("\"blue_green\"", "\"rolling\"").replace("groups[self.color]", "groups[\"green\"]");
    let mut lab = lab_of(rolling);
    lab.applied().await;
    lab.write(&module("two"));
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert!(failure(&report).contains("has to choose its side"), "{}", failure(&report));
    assert_eq!(traffic(&lab, "module.app").await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_installation_that_failed_half_way_is_gone_on_with() {
    let halts = module("one").replace("on_failure = \"rollback\"", "on_failure = \"halt\"");
    let lab = lab(&halts, INSIDE);
    lab.fail("helm:Install");
    assert_eq!(lab.apply().await.end, RunEnd::Failed);
    lab.world.clear_faults(None).unwrap();
    assert_eq!(lab.subject().await.state.live_color(&"module.app".parse().unwrap()), None);
    lab.applied().await;
    assert_eq!(traffic(&lab, "module.app").await, (Some(Color::Blue), 0));
    assert_eq!(there(&lab).len(), 2);
    assert_eq!(lab.changes().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_shows_where_the_traffic_goes() {
    let mut lab = lab(&stack("one"), INSIDE);
    lab.applied().await;
    lab.write(&stack("two"));
    lab.applied().await;
    let show = lab.world.show(None).unwrap();
    let row = |kind: &str, name: &str| {
        let of = |row: &&sandbox::Row| row.kind == kind && row.name.contains(name);
        show.rows.iter().find(of).unwrap_or_else(|| panic!("{kind} {name}: {:?}", show.rows)).clone()
    };
    let rule = row("rule", "/100");
    let (before, after) = rule.detail.split_once(" -> ").unwrap();
    assert_eq!(before, "app.example.com");
    let weights: Vec<&str> = after.split(", ").collect();
    assert!(weights.len() == 2 && weights[0].contains("Blue") && weights[0].ends_with(" 0"), "{weights:?}");
    assert!(weights[1].contains("Green") && weights[1].ends_with(" 100"), "{weights:?}");
    for side in ["Blue", "Green"] {
        assert_eq!(row("target-group", side).status, "2 healthy");
        assert_eq!(row("target-group", side).detail.split(", ").count(), 2);
    }
    assert_eq!(show.rules.len(), 1);
    assert_eq!(show.rules[0].weights.values().copied().collect::<Vec<_>>(), [0, 100]);
    assert_eq!(show.target_groups.len(), 2);
    assert!(show.target_groups.iter().all(|group| group.targets.iter().all(|target| target.state == "healthy")));
    // By kind, and only that.
    let only = lab.world.show(Some("target-group")).unwrap();
    assert_eq!((only.rows.len(), only.rules.len(), only.target_groups.len()), (2, 0, 2));
    assert_eq!(lab.world.show(Some("rule")).unwrap().rules.len(), 1);
}
