//! Rules of load balancers: made, changed, moved and deleted, with weights that are read back.

use super::bed::Bed;
use crate::support::proof::alb::BALANCER;
use std::{collections::BTreeMap, time::Duration};
use terrace::world::{Class, Forward, ListenerRule, LoadBalancers, RuleChange, RuleRequest};

/// A load balancer of its own: listener, blue, green.
async fn balancer(bed: &Bed, name: &str) -> BTreeMap<String, String> {
    bed.outputs_of(name, BALANCER).await
}

fn conditions(field: &str, value: &str) -> BTreeMap<String, Vec<String>> {
    [(field.to_owned(), vec![value.to_owned()])].into()
}

fn forward(made: &BTreeMap<String, String>, blue: u32, green: u32) -> Forward {
    Forward { groups: [(made["Blue"].clone(), blue), (made["Green"].clone(), green)].into(), stickiness: None }
}

fn request(made: &BTreeMap<String, String>, priority: u32) -> RuleRequest {
    RuleRequest {
        listener: made["Listener"].clone(),
        priority,
        conditions: conditions("host-header", "web.example.com"),
        forward: forward(made, 100, 0),
        tags: [("terrace:plan".to_owned(), "app".to_owned())].into(),
    }
}

async fn there(balancers: &dyn LoadBalancers, arn: &str) -> ListenerRule {
    balancers.describe_rule(arn).await.unwrap().expect("the rule is there")
}

pub(super) async fn a_rule_is_made_with_its_weights_and_tags_and_read_back(bed: &Bed) {
    let (made, balancers) = (balancer(bed, "rules-made").await, &*bed.aws.load_balancers);
    let rule = balancers.create_rule(&request(&made, 100)).await.unwrap();
    assert_eq!(ListenerRule::listener(&rule.arn).as_ref(), Some(&made["Listener"]));
    let told = there(balancers, &rule.arn).await;
    assert_eq!((told.priority, told.actions), (Some(100), vec!["forward".to_owned()]));
    assert_eq!(
        (told.conditions, told.forward),
        (conditions("host-header", "web.example.com"), Some(forward(&made, 100, 0)))
    );
    assert_eq!(told.tags["terrace:plan"], "app");
    let all = balancers.describe_rules(&made["Listener"]).await.unwrap();
    let priorities: Vec<_> = all.iter().map(|rule| rule.priority).collect();
    assert_eq!(priorities, [Some(100), None], "the default rule comes last");
    assert_eq!(all[0].tags["terrace:plan"], "app");
}

pub(super) async fn one_call_moves_all_weights_and_stickiness_and_leaves_the_conditions(bed: &Bed) {
    let (made, balancers) = (balancer(bed, "rules-moved").await, &*bed.aws.load_balancers);
    let rule = balancers.create_rule(&request(&made, 100)).await.unwrap().arn;
    for (green, sticky) in [(10, Some(600)), (50, Some(600)), (100, None), (0, None)] {
        let wanted = Forward { stickiness: sticky.map(Duration::from_secs), ..forward(&made, 100 - green, green) };
        let change = RuleChange { conditions: None, forward: Some(wanted.clone()) };
        balancers.modify_rule(&rule, &change).await.unwrap();
        let told = there(balancers, &rule).await;
        assert_eq!((told.forward, told.conditions.len()), (Some(wanted), 1), "{green}");
    }
    let change = RuleChange { conditions: Some(conditions("path-pattern", "/x/*")), forward: None };
    balancers.modify_rule(&rule, &change).await.unwrap();
    let told = there(balancers, &rule).await;
    assert_eq!((told.conditions, told.forward), (conditions("path-pattern", "/x/*"), Some(forward(&made, 100, 0))));
}

pub(super) async fn a_priority_is_of_one_rule_only(bed: &Bed) {
    let (made, balancers) = (balancer(bed, "rules-order").await, &*bed.aws.load_balancers);
    let first = balancers.create_rule(&request(&made, 1)).await.unwrap().arn;
    let second = balancers.create_rule(&request(&made, 2)).await.unwrap().arn;
    let taken = balancers.create_rule(&request(&made, 2)).await.unwrap_err();
    assert_eq!(taken.class, Class::AlreadyExists, "{taken}");
    assert_eq!(balancers.set_rule_priority(&first, 2).await.unwrap_err().class, Class::AlreadyExists);
    balancers.set_rule_priority(&first, 3).await.unwrap();
    let order: Vec<_> = balancers.describe_rules(&made["Listener"]).await.unwrap().into_iter().map(|r| r.arn).collect();
    assert_eq!(order[..2], [second, first]);
}

pub(super) async fn tags_come_and_go_and_a_deleted_rule_is_gone(bed: &Bed) {
    let (made, balancers) = (balancer(bed, "rules-gone").await, &*bed.aws.load_balancers);
    let rule = balancers.create_rule(&request(&made, 100)).await.unwrap().arn;
    balancers.add_tags(&rule, &[("a".to_owned(), "1".to_owned())].into()).await.unwrap();
    balancers.add_tags(&rule, &[("a".to_owned(), "2".to_owned())].into()).await.unwrap();
    balancers.remove_tags(&rule, &["terrace:plan".to_owned(), "absent".to_owned()]).await.unwrap();
    assert_eq!(there(balancers, &rule).await.tags, [("a".to_owned(), "2".to_owned())].into());
    balancers.delete_rule(&rule).await.unwrap();
    assert_eq!(balancers.describe_rule(&rule).await.unwrap(), None);
    balancers.delete_rule(&rule).await.unwrap();
    let change = RuleChange { conditions: None, forward: Some(forward(&made, 0, 100)) };
    assert_eq!(balancers.modify_rule(&rule, &change).await.unwrap_err().class, Class::NotFound);
    let listener = made["Listener"].replace("listener/app/", "listener/app/no-");
    assert_eq!(balancers.describe_rules(&listener).await.unwrap_err().class, Class::NotFound);
}

pub(super) async fn a_target_group_tells_its_settings_and_its_targets(bed: &Bed) {
    let (made, balancers) = (balancer(bed, "rules-health").await, &*bed.aws.load_balancers);
    let blue = balancers.describe_target_group(&made["Blue"]).await.unwrap().unwrap();
    assert_eq!((blue.protocol.as_str(), blue.target_type.as_str()), ("HTTP", "ip"));
    assert_eq!(
        (blue.health_check_path.as_str(), blue.deregistration_delay.as_secs(), blue.stickiness),
        ("/well", 300, false)
    );
    assert_eq!(balancers.describe_target_health(&made["Green"]).await.unwrap(), []);
    if bed.register(&made["Green"], "10.0.0.7", 80).await {
        let targets = balancers.describe_target_health(&made["Green"]).await.unwrap();
        let told: Vec<_> = targets.iter().map(|t| (t.target.as_str(), t.state.as_str())).collect();
        assert_eq!(told, [("10.0.0.7:80", "healthy")]);
    }
    let nowhere = made["Blue"].replace("targetgroup/", "targetgroup/no-");
    assert_eq!(balancers.describe_target_group(&nowhere).await.unwrap(), None);
    assert_eq!(balancers.describe_target_health(&nowhere).await.unwrap_err().class, Class::NotFound);
}
