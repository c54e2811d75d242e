//! Routes that a rollout moves, on what they really are: rules of load balancers on moto.

use crate::support::{Account, Project, moto, server::wait};
use aws_sdk_elasticloadbalancingv2::{Client, types as sdk};
use std::collections::BTreeMap;

/// A load balancer of moto: its listener and its target groups.
pub(crate) async fn balancer(account: &Account, name: &str, template: &str) -> BTreeMap<String, String> {
    let stacks = aws_sdk_cloudformation::Client::new(&account.sdk());
    stacks.create_stack().stack_name(name).template_body(template).send().await.unwrap();
    let answer = stacks.describe_stacks().stack_name(name).send().await.unwrap();
    let outputs = answer.stacks()[0].outputs().iter();
    outputs.map(|o| (o.output_key().unwrap().to_owned(), o.output_value().unwrap().to_owned())).collect()
}

/// Registers a target with a group.
pub(crate) async fn register(account: &Account, group: &str, id: &str, port: i32) {
    let target = sdk::TargetDescription::builder().id(id).port(port).build();
    let client = Client::new(&account.sdk());
    client.register_targets().target_group_arn(group).targets(target).send().await.unwrap();
}

fn declared(made: &BTreeMap<String, String>, priority: u32) -> String {
    format!(
        "traffic \"web\" {{\n  alb {{\n    listener = \"{}\"\n    priority = {priority}\n    host     = \"web.example.com\"\n    \
         blue     = \"{}\"\n    green    = \"{}\"\n  }}\n}}\n",
        made["Listener"], made["Blue"], made["Green"]
    )
}

#[test]
fn a_rule_of_a_listener_is_made_and_kept_while_its_weights_move_on_moto() {
    let Some(server) = moto() else { return };
    let account = server.account();
    let made = wait(balancer(&account, "traffic-kept", crate::contract::BALANCER));
    let project = Project::new(&account, &declared(&made, 100));
    project.ends(&["apply", "--auto-approve"], 0);
    let client = Client::new(&account.sdk());
    let rules = || {
        let answer = wait(client.describe_rules().listener_arn(&made["Listener"]).send()).unwrap();
        answer.rules().iter().filter(|rule| rule.is_default() != Some(true)).cloned().collect::<Vec<_>>()
    };
    let weights = |rule: &sdk::Rule| -> BTreeMap<String, i32> {
        let config = rule.actions()[0].forward_config().unwrap();
        config.target_groups().iter().map(|g| (g.target_group_arn().unwrap().to_owned(), g.weight().unwrap())).collect()
    };
    let first = rules();
    assert_eq!(first.len(), 1);
    assert_eq!(weights(&first[0]), [(made["Blue"].clone(), 100), (made["Green"].clone(), 0)].into());

    // Somebody moves the traffic: that is no difference, and no update takes it back.
    let group = |arn: &str, weight| sdk::TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build();
    let config = sdk::ForwardActionConfig::builder()
        .target_groups(group(&made["Blue"], 30))
        .target_groups(group(&made["Green"], 70))
        .build();
    let action = sdk::Action::builder().r#type(sdk::ActionTypeEnum::Forward).forward_config(config).build();
    wait(client.modify_rule().rule_arn(first[0].rule_arn().unwrap()).actions(action).send()).unwrap();
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("No changes"), "{}", said.out);
    project.write("plans/app/app.hcl", &declared(&made, 200));
    let said = project.ends(&["apply", "--auto-approve"], 0);
    assert!(said.words().contains("alb.priority"), "{}", said.words());
    let second = rules();
    assert_eq!((second.len(), second[0].priority()), (1, Some("200")));
    assert_eq!(second[0].rule_arn(), first[0].rule_arn());
    assert_eq!(weights(&second[0]), [(made["Blue"].clone(), 30), (made["Green"].clone(), 70)].into());

    // Another plan's project finds the priority taken, by name.
    let other = Project::new(&account, &declared(&made, 200).replace("\"web\"", "\"other\""));
    let said = other.ends(&["plan"], 1);
    assert!(
        said.words().contains("exists and bears our marks") || said.words().contains("belongs to"),
        "{}",
        said.words()
    );
    project.ends(&["destroy", "--auto-approve"], 0);
    assert!(rules().is_empty());
}
