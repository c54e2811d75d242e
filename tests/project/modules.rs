//! A module that is rolled out as a whole, by the program on the embedded world: what its plan says, what `--target` takes of it, where its
//! traffic is shown, and the way back to the rolling strategy.

use crate::cli::Project;
use serde_json::Value as Json;

const APP: &str = r#"
Parameters:
  Tag: { Type: String }
  Group: { Type: String }
Resources:
  Servers:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties:
      MinSize: "1"
      MaxSize: "2"
      DesiredCapacity: "2"
      TargetGroupARNs: [!Ref Group]
      Tags: [{ Key: tag, Value: !Ref Tag, PropagateAtLaunch: true }]
"#;

const INSIDE: &str = r#"
variable "color" {
  type    = string
  default = null
}
variable "group" { type = string }
variable "tag" { type = string }
stack "servers" {
  template   = "${path.module}/app.yaml"
  parameters = { Tag = var.tag, Group = var.group }
}
"#;

fn plan(tag: &str) -> String {
    format!(
        r#"plan "app" {{}}

environment "dev" {{
  sandbox {{}}
}}

stack "ingress" {{
  template   = "${{path.root}}/ingress.yaml"
  parameters = {{ VpcId = "vpc-1", SubnetIds = "subnet-1,subnet-2" }}
}}
traffic "app" {{
  alb {{
    listener = stack.ingress.outputs.ListenerArn
    priority = 100
    host     = "app.example.com"
    blue     = stack.ingress.outputs.BlueTargetGroupArn
    green    = stack.ingress.outputs.GreenTargetGroupArn
  }}
}}
locals {{
  groups = {{ blue = stack.ingress.outputs.BlueTargetGroupArn, green = stack.ingress.outputs.GreenTargetGroupArn }}
}}
module "app" {{
  source = "./app"
  color  = self.color
  group  = local.groups[self.color]
  tag    = "{tag}"
  rollout {{
    strategy = "blue_green"
    traffic  = traffic.app
    verify "there" {{
      expression {{
        condition     = self.color != null
        error_message = "no"
      }}
    }}
  }}
}}
value "apart" {{ input = "{tag}" }}
"#
    )
}

/// The share of green, by what the world tells; all targets are well.
fn green(project: &Project) -> u64 {
    let shown: Json = serde_json::from_str(&project.stdout(&["sandbox", "show", "--json"], 0)).unwrap();
    let (rules, groups) = (&shown["sandbox"]["rules"], &shown["sandbox"]["target_groups"]);
    let weights = rules[0]["weights"].as_object().unwrap();
    let of = |side: &str| weights.iter().find(|(group, _)| group.contains(side)).unwrap().1.as_u64().unwrap();
    assert_eq!(of("Blue") + of("Green"), 100, "{rules}");
    let states = groups.as_array().unwrap().iter().flat_map(|group| group["targets"].as_array().unwrap());
    assert!(states.map(|target| &target["state"]).all(|state| state == "healthy"), "{groups}");
    of("Green")
}

#[test]
fn a_module_is_targeted_rolled_out_shown_and_not_led_astray() {
    let project = Project::bare();
    project.write("plans/app/ingress.yaml", include_str!("../../cfn-templates/ingress.yaml"));
    project.write("plans/app/app/main.hcl", INSIDE);
    project.write("plans/app/app/app.yaml", APP);
    let write = |text: &str| project.write("plans/app/plan.hcl", text);
    write(&plan("one"));
    let shown = project.stdout(&["plan", "--target", "module.app"], 0);
    assert!(shown.contains("module.app@blue.stack.servers") && shown.contains("stack.ingress"), "{shown}");
    assert!(!shown.contains("value.apart"), "{shown}");
    let refused = project.stderr(&["plan", "--target", "module.app.stack.servers"], 1);
    assert!(refused.contains("rollout_module") && refused.contains("--target module.app"), "{refused}");
    assert!(!refused.contains("null"), "{refused}");
    project.stdout(&["apply", "--auto-approve"], 0);
    assert_eq!(green(&project), 0);

    write(&plan("two"));
    let shown = project.stdout(&["plan"], 0);
    assert!(shown.contains("module.app@green.stack.servers  create  called app-dev-app-green-servers"), "{shown}");
    project.stdout(&["apply", "--auto-approve"], 0);
    assert_eq!(green(&project), 100);
    let table = project.stdout(&["sandbox", "show", "rule"], 0);
    assert!(table.contains("app.example.com -> ") && table.contains(" 100"), "{table}");
    assert_eq!(project.stdout(&["sandbox", "show", "target-group"], 0).matches("2 healthy").count(), 2);

    let rolling = |side: &str| {
        let text = plan("two").replace("\"blue_green\"", "\"rolling\"");
        text.replace("groups[self.color]", &format!("groups[\"{side}\"]"))
    };
    write(&rolling("blue"));
    let refused = project.stderr(&["apply", "--auto-approve"], 1);
    assert!(refused.contains("rollout_strategy") && refused.contains("its traffic is on green"), "{refused}");
    write(&rolling("green"));
    project.stdout(&["apply", "--auto-approve"], 0);
    assert_eq!(green(&project), 100);
}
