//! Stacks that are rolled out by colours: on CloudFormation as MiniStack has it, over a load balancer of moto's, each server for what it does truly.

use crate::support::{
    Account, Project, ministack, moto,
    proof::alb::{BALANCER, balancer, register},
    server::wait,
    web::{Reply, Web},
};
use aws_sdk_elasticloadbalancingv2::{Client, types as sdk};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

const TEMPLATE: &str = "
Parameters:
  Tag: { Type: String }
  Group: { Type: String }
Resources:
  Topic: { Type: AWS::SNS::Topic, Properties: { Tags: [{ Key: tag, Value: !Ref Tag }, { Key: group, Value: !Ref Group }] } }
Outputs:
  Topic: { Value: !Ref Topic }
";

fn declared(balancers: &Account, made: &BTreeMap<String, String>, judge: &Web, tag: &str) -> String {
    let (listener, blue, green, port) = (&made["Listener"], &made["Blue"], &made["Green"], judge.port());
    let (endpoint, region, id) = (&balancers.url, &balancers.region, &balancers.id);
    format!(
        r#"
aws "balancers" {{
  region       = "{region}"
  account_id   = "{id}"
  endpoint_url = "{endpoint}"
}}
traffic "app" {{
  aws = aws.balancers
  alb {{
    listener = "{listener}"
    priority = 100
    host     = "app.example.com"
    blue     = "{blue}"
    green    = "{green}"
  }}
}}
locals {{
  groups = {{ blue = "{blue}", green = "{green}" }}
}}
stack "app" {{
  template   = "${{path.root}}/app.yaml"
  parameters = {{ Tag = "{tag}", Group = local.groups[self.color] }}
  rollout {{
    strategy = "blue_green"
    traffic  = traffic.app
    steps    = [50, 100]
    keep     = "1h"
    verify "judge" {{
      http {{
        url = "http://127.0.0.1:{port}/"
      }}
      every = "100ms"
    }}
  }}
}}
output "topic" {{
  value = stack.app.outputs.Topic
}}
"#
    )
}

#[test]
fn a_stack_comes_up_beside_the_one_that_has_the_traffic_and_goes_where_it_fails() {
    let (Some(server), Some(other)) = (ministack(), moto()) else { return };
    let account = server.account();
    let balancers = other.account();
    let made = wait(balancer(&balancers, "wholes", BALANCER));
    let answers = Arc::new(AtomicU16::new(200));
    let says = Arc::clone(&answers);
    let judge = Web::new(move |_| Reply::text(says.load(Ordering::Relaxed), "by the test"));
    let project = Project::new(&account, &declared(&balancers, &made, &judge, "one"));
    project.write("plans/app/app.yaml", TEMPLATE);
    // The instances of a stack would register themselves.
    for side in ["Blue", "Green"] {
        wait(register(&balancers, &made[side], "10.0.0.10", 8080));
    }
    let client = Client::new(&balancers.sdk());
    for side in ["Blue", "Green"] {
        let delay = sdk::TargetGroupAttribute::builder().key("deregistration_delay.timeout_seconds").value("0").build();
        wait(client.modify_target_group_attributes().target_group_arn(&made[side]).attributes(delay).send()).unwrap();
    }
    let green = || {
        let answer = wait(client.describe_rules().listener_arn(&made["Listener"]).send()).unwrap();
        let rule = answer.rules().iter().find(|rule| rule.is_default() != Some(true)).unwrap().clone();
        let forward = rule.actions()[0].forward_config().unwrap().clone();
        forward.target_groups().iter().find(|one| one.target_group_arn() == Some(&made["Green"])).unwrap().weight()
    };
    let stacks = || {
        let client = aws_sdk_cloudformation::Client::new(&account.sdk());
        let answer = wait(client.describe_stacks().send()).unwrap();
        let names = answer.stacks().iter().filter_map(|stack| stack.stack_name());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    };
    let standing = || {
        let said = project.ends(&["rollout", "status", "--json"], 0);
        serde_json::from_str::<Value>(said.out.lines().next().unwrap_or_default()).unwrap()["standing"].clone()
    };
    let topic = || project.ends(&["output", "topic"], 0).out.trim().to_owned();

    project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!((stacks(), green()), (vec!["app-dev-app-blue".to_owned()], Some(0)));
    let first = topic();

    project.write("plans/app/app.hcl", &declared(&balancers, &made, &judge, "two"));
    project.ends(&["apply", "--auto-approve"], 0);
    let both = vec!["app-dev-app-blue".to_owned(), "app-dev-app-green".to_owned()];
    assert_eq!((stacks(), green()), (both.clone(), Some(100)));
    assert_eq!(standing()["live"], "green");
    assert_ne!(topic(), first, "what refers to it means the one that has the traffic");
    assert!(project.ends(&["plan"], 0).out.contains("No changes"));

    // The third version comes up where the first one is kept warm, and is not well.
    project.write("plans/app/app.hcl", &declared(&balancers, &made, &judge, "three"));
    answers.store(500, Ordering::Relaxed);
    let said = project.ends(&["apply", "--auto-approve"], 1).words();
    assert!(said.contains("all traffic is back on green"), "{said}");
    assert_eq!((stacks(), green()), (both, Some(100)));
    assert_eq!((&standing()["live"], &standing()["kept"]["color"]), (&"green".into(), &"blue".into()));

    answers.store(200, Ordering::Relaxed);
    project.ends(&["rollout", "finish", "--auto-approve"], 0);
    assert_eq!((stacks(), green()), (vec!["app-dev-app-green".to_owned()], Some(100)));
    project.ends(&["destroy", "--auto-approve"], 0);
    assert_eq!(stacks(), Vec::<String>::new());
}
