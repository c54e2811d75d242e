//! Routes that a rollout moves, on what they really are: rules of load balancers on moto.

use crate::{
    contract::place::{connection, live},
    routes::context,
    support::{
        Project, Proxy, cluster, moto,
        proof::alb::{BALANCER, balancer, register},
        server::wait,
    },
};
use aws_sdk_elasticloadbalancingv2::{Client, types as sdk};
use serde_json::json;
use std::{collections::BTreeMap, path::Path};
use terrace::{
    base::{Side, Value},
    kinds::{Context, traffic::open},
    world::{AwsConnection, Backend, Class, Weights, World as _},
};

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
    let made = wait(balancer(&account, "traffic-kept", BALANCER));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shift_of_a_rule_is_one_call_and_is_proved_by_reading_back_on_moto() {
    let (Some(server), Some(cluster)) = (moto(), cluster()) else { return };
    let account = server.account();
    let made = balancer(&account, "traffic-moved", BALANCER).await;
    let project = Project::new(&account, &declared(&made, 100));
    project.ends(&["apply", "--auto-approve"], 0);
    let client = Client::new(&account.sdk());
    let rules = client.describe_rules().listener_arn(&made["Listener"]).send().await.unwrap();
    let rule = rules.rules().iter().find(|rule| rule.is_default() != Some(true)).unwrap().rule_arn().unwrap();

    // As a rollout opens it, through a proxy that counts.
    let proxy = Proxy::new(&account.url);
    let (world, clusters) = (account.world(), live());
    let to = AwsConnection { endpoint_url: Some(proxy.url.clone()), ..account.connection() };
    let aws = world.aws(&to).unwrap();
    let block = Context { aws: Some((to, aws)), ..context(&*world) };
    let reached = clusters.cluster(&connection(cluster)).unwrap();
    let release = Context { cluster: Some((connection(cluster), reached)), ..context(&*clusters) };
    let inputs = json!({"listener": made["Listener"], "priority": 100, "host": "web.example.com", "blue": made["Blue"], "green": made["Green"]});
    let inputs = Value::from_json(&json!({ "alb": inputs }));
    let route = open(&block, &inputs, &json!({ "rule": rule }), Some(&release)).unwrap();
    for green in [10, 50, 100, 0] {
        let before = proxy.count("elasticloadbalancing:ModifyRule");
        route.shift(Weights::to(Side::Green, green)).await.unwrap();
        assert_eq!(proxy.count("elasticloadbalancing:ModifyRule"), before + 1);
        let told = route.read().await.unwrap();
        assert_eq!((told.weights.of(Side::Green), told.unproved), (green, None));
    }
    let changing = ["Modify", "Create", "Set", "Delete", "Register"];
    let changes = proxy.counts().into_iter().filter(|(name, _)| changing.iter().any(|verb| name.contains(verb)));
    assert_eq!(changes.collect::<Vec<_>>(), [("elasticloadbalancing:ModifyRule".to_owned(), 4)]);

    assert_eq!(route.health(Side::Green).await.unwrap().to_string(), "no targets");
    register(&account, &made["Green"], "10.0.0.7", 8080).await;
    register(&account, &made["Green"], "10.0.0.8", 8080).await;
    let health = route.health(Side::Green).await.unwrap();
    assert!(health.is_healthy() && health.to_string() == "2 healthy", "{health}");
    assert_eq!(route.drain(Side::Green).await.unwrap().as_secs(), 300);

    // Somebody forwards to a group that is neither side's: that is told.
    let group = |arn: &str| sdk::TargetGroupTuple::builder().target_group_arn(arn).weight(1).build();
    let other = client.create_target_group().name("traffic-moved-other").protocol(sdk::ProtocolEnum::Http).port(80);
    let vpc = client.describe_target_groups().target_group_arns(&made["Blue"]).send().await.unwrap();
    let other = other.vpc_id(vpc.target_groups()[0].vpc_id().unwrap()).send().await.unwrap();
    let other = other.target_groups()[0].target_group_arn().unwrap().to_owned();
    let config = sdk::ForwardActionConfig::builder().target_groups(group(&made["Blue"])).target_groups(group(&other));
    let action = sdk::Action::builder().r#type(sdk::ActionTypeEnum::Forward).forward_config(config.build()).build();
    client.modify_rule().rule_arn(rule).actions(action).send().await.unwrap();
    let why = route.read().await.unwrap().unproved.unwrap();
    assert!(why.contains(&other) && why.contains("neither blue nor green"), "{why}");

    // Targets are the controller's to register; what it goes by is bound in the release's namespace, and goes with the side.
    let types = "testbed/platform/charts/aws-load-balancer-controller/crds";
    let types = Path::new(env!("CARGO_MANIFEST_DIR")).join(types).to_string_lossy().into_owned();
    cluster.kubectl(&["apply", "--server-side", "-f", &types]);
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &types]);
    let namespace = cluster.namespace("bound");
    let backend =
        |color: &str| Backend { service: format!("web-{color}"), namespace: namespace.clone(), port: "80".into() };
    let missing = route.bind(Side::Blue, &backend("blue")).await.unwrap_err();
    assert!(missing.message.contains(&format!("there is no Service {namespace}/web-blue")), "{missing}");
    for color in ["blue", "green"] {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("web-{color}")},
            "spec": {"selector": {"color": color}, "ports": [{"port": 80}]}});
        cluster.post(&format!("/api/v1/namespaces/{namespace}/services"), &service).ok();
    }
    route.bind(Side::Blue, &backend("blue")).await.unwrap();
    route.bind(Side::Green, &backend("green")).await.unwrap();
    let bindings = format!("/apis/elbv2.k8s.aws/v1beta1/namespaces/{namespace}/targetgroupbindings");
    let spec = |side: &str| cluster.get(&format!("{bindings}/web-{side}")).ok()["spec"].clone();
    for (side, group) in [("blue", &made["Blue"]), ("green", &made["Green"])] {
        let reference = json!({"name": format!("web-{side}"), "port": 80});
        assert_eq!(spec(side), json!({"serviceRef": reference, "targetGroupARN": group, "targetType": "ip"}));
    }
    route.unbind(Side::Green).await.unwrap();
    route.unbind(Side::Green).await.unwrap();
    assert_eq!(cluster.get(&format!("{bindings}/web-green")).status, 404);
    let theirs = json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding", "metadata": {"name": "theirs"},
        "spec": {"serviceRef": {"name": "theirs", "port": 80}, "targetGroupARN": made["Green"]}});
    cluster.post(&bindings, &theirs).ok();
    let refused = route.bind(Side::Green, &backend("green")).await.unwrap_err();
    assert_eq!(refused.class, Class::Conflict, "{refused}");
    assert!(refused.message.contains("binds the same target group"), "{refused}");
    route.unbind(Side::Blue).await.unwrap();

    // A rule that somebody deleted is told as gone.
    client.delete_rule().rule_arn(rule).send().await.unwrap();
    assert_eq!(route.shift(Weights::to(Side::Blue, 100)).await.unwrap_err().class, Class::NotFound);
}
