//! A rule's life on the sandbox: made, changed, moved, taken, refused, deleted.

use super::*;
use crate::{
    base::{ActionWord, Address, Side},
    kinds::{
        Cause, Kind as _,
        testing::{Bench, CLUSTER},
        traffic::{TrafficKind, open},
    },
    lang::MemorySources,
    world::{ApplyOptions, Aws, Backend, ListenerRule, RuleChange, RuleRequest, Traffic, Weights, World as _},
};

const TEMPLATE: &str = "
Resources:
  Listener: { Type: AWS::ElasticLoadBalancingV2::Listener, Properties: { Port: 80, Protocol: HTTP, LoadBalancerArn: a, DefaultActions: [{ Type: fixed-response }] } }
  Other: { Type: AWS::ElasticLoadBalancingV2::Listener, Properties: { Port: 81, Protocol: HTTP, LoadBalancerArn: a, DefaultActions: [{ Type: fixed-response }] } }
  Blue: { Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: { TargetType: ip, Protocol: HTTP, Port: 80, TargetGroupAttributes: [{ Key: deregistration_delay.timeout_seconds, Value: '30' }] } }
  Green: { Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: { TargetType: ip, Protocol: HTTP, Port: 80 } }
  Third: { Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: { TargetType: ip, Protocol: HTTP, Port: 80 } }
  Rule:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties: { ListenerArn: !Ref Listener, Priority: 7, Conditions: [{ Field: path-pattern, Values: [/seven] }], Actions: [{ Type: forward, TargetGroupArn: !Ref Blue }] }
Outputs:
  Listener: { Value: !Ref Listener }
  Other: { Value: !Ref Other }
  Blue: { Value: !Ref Blue }
  Green: { Value: !Ref Green }
  Third: { Value: !Ref Third }
  Rule: { Value: !Ref Rule }
";

struct Ingress {
    bench: Bench,
    outputs: BTreeMap<String, String>,
}

impl Ingress {
    async fn new() -> Self {
        let mut bench = Bench::with_cluster().await;
        bench.file("ingress.yaml", TEMPLATE);
        let stack = Address::root("stack", "ingress");
        bench.apply(&stack, &Value::from_json(&json!({"template": "ingress.yaml"}))).await.unwrap();
        let exports = bench.prior(&stack).unwrap().exports;
        let outputs = exports.get("outputs").unwrap().to_json().unwrap();
        Self { bench, outputs: serde_json::from_value(outputs).unwrap() }
    }

    fn arn(&self, name: &str) -> &str {
        &self.outputs[name]
    }

    fn aws(&self) -> Aws {
        self.bench.context(&web()).aws.unwrap().1
    }

    /// The inputs of a rule of our own, with these in the place of what it has else.
    fn own(&self, other: &Json) -> Value {
        let mut block = json!({
            "listener": self.arn("Listener"), "priority": 100, "host": "web.example.com",
            "blue": self.arn("Blue"), "green": self.arn("Green"),
        });
        block.as_object_mut().unwrap().extend(other.as_object().cloned().unwrap());
        Value::from_json(&json!({ "alb": block }))
    }

    fn taking(&self, rule: &str) -> Value {
        Value::from_json(&json!({"alb": { "rule": rule, "blue": self.arn("Blue"), "green": self.arn("Green") }}))
    }

    async fn rule(&self) -> ListenerRule {
        let identity = self.bench.prior(&web()).unwrap().identity;
        self.aws().load_balancers.describe_rule(identity["rule"].as_str().unwrap()).await.unwrap().unwrap()
    }

    fn weights(&self, rule: &ListenerRule) -> (u32, u32) {
        let groups = &rule.forward.as_ref().unwrap().groups;
        (groups[self.arn("Blue")], groups[self.arn("Green")])
    }

    fn open(&self, inputs: &Value) -> Box<dyn Traffic> {
        let context = self.bench.context(&web());
        open(&context, inputs, &self.bench.prior(&web()).unwrap().identity, Some(&context)).unwrap()
    }

    /// Somebody's rule, made by hand.
    async fn by_hand(&self, priority: u32, group: &str, tags: BTreeMap<String, String>) -> ListenerRule {
        let request = RuleRequest {
            listener: self.arn("Listener").to_owned(),
            priority,
            conditions: [("path-pattern".to_owned(), vec!["/theirs".to_owned()])].into(),
            forward: crate::world::Forward { groups: [(self.arn(group).to_owned(), 1)].into(), stickiness: None },
            tags,
        };
        self.aws().load_balancers.create_rule(&request).await.unwrap()
    }
}

fn web() -> Address {
    Address::root("traffic", "web")
}

fn problems(inputs: &Json) -> String {
    let (address, inputs) = (web(), Value::from_json(&json!({ "alb": inputs })));
    let request = Prepare {
        address: &address,
        inputs: &inputs,
        place: &|_| None,
        sources: &MemorySources::default(),
        marks: &crate::kinds::testing::marks(),
        fixed: None,
    };
    TrafficKind.prepare(&request).err().map(|problems| format!("{problems:?}")).unwrap_or_default()
}

#[test]
fn what_makes_no_rule_is_refused_before_anything_is_asked() {
    let listener = "arn:aws:elasticloadbalancing:eu-west-1:1:listener/app/a/b/c";
    let rule = "arn:aws:elasticloadbalancing:eu-west-1:1:listener-rule/app/a/b/c/d";
    let (blue, green) = (
        "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b",
        "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/c",
    );
    for (block, told) in [
        (json!({"listener": listener, "priority": 1, "blue": blue, "green": green}), "neither `host` nor `path`"),
        (json!({"listener": listener, "host": "a", "blue": blue, "green": green}), "no `priority`"),
        (json!({"listener": listener, "host": "a", "priority": 0, "blue": blue, "green": green}), "no priority"),
        (
            json!({"listener": listener, "host": "a", "priority": 1, "blue": blue, "green": blue}),
            "the same target group",
        ),
        (
            json!({"listener": rule, "host": "a", "priority": 1, "blue": blue, "green": green}),
            "is no ARN of a listener",
        ),
        (json!({"rule": rule, "host": "a", "blue": blue, "green": green}), "`host` is not for an existing rule"),
        (json!({"rule": rule, "stickiness": "8d", "blue": blue, "green": green}), "no time to keep"),
    ] {
        assert!(problems(&block).contains(told), "{block}: {}", problems(&block));
    }
    assert_eq!(problems(&json!({"listener": listener, "host": "a", "priority": 1, "blue": blue, "green": green})), "");
    assert_eq!(problems(&json!({"rule": rule, "blue": blue, "green": green})), "");
}

#[tokio::test]
async fn a_rule_is_made_changed_in_place_and_deleted_and_its_weights_are_never_a_difference() {
    let ingress = Ingress::new().await;
    let bench = &ingress.bench;
    let inputs = ingress.own(&json!({}));
    assert_eq!(bench.apply(&web(), &inputs).await.unwrap().change.action, ActionWord::Create);
    let rule = ingress.rule().await;
    assert_eq!((rule.priority, ingress.weights(&rule)), (Some(100), (100, 0)));
    assert_eq!(rule.tags["terrace:address"], "traffic.web");
    assert_eq!(rule.conditions, [("host-header".to_owned(), vec!["web.example.com".to_owned()])].into());

    // A rollout moves it: nothing of that is in a plan, nor makes it stale.
    let before = bench.plan(&web(), &inputs).await.unwrap();
    ingress.open(&inputs).shift(Weights::to(Side::Green, 30)).await.unwrap();
    let after = bench.plan(&web(), &inputs).await.unwrap();
    assert_eq!((before.change.action, after.change.action), (ActionWord::NoOp, ActionWord::NoOp));
    assert_eq!(before.observed.unwrap().fingerprint, after.observed.unwrap().fingerprint);

    // Priority and conditions change in place, and leave the traffic where it is.
    let other = ingress.own(&json!({"priority": 200, "path": "/x/*"}));
    let planned = bench.apply(&web(), &other).await.unwrap();
    let fields: Vec<&str> = planned.change.fields.iter().map(|f| f.path.as_str()).collect();
    assert_eq!((planned.change.action, fields), (ActionWord::Update, vec!["alb.path", "alb.priority"]));
    let changed = ingress.rule().await;
    assert_eq!((&changed.arn, changed.priority, ingress.weights(&changed)), (&rule.arn, Some(200), (70, 30)));
    assert_eq!(changed.conditions["path-pattern"], ["/x/*"]);

    // Undone, it is as it was; the traffic stays where a rollout had it.
    assert_eq!(bench.undo(&web(), &planned).await.unwrap(), "put back");
    let back = ingress.rule().await;
    assert_eq!((back.priority, back.conditions.len(), ingress.weights(&back)), (Some(100), 1, (70, 30)));

    let planned = bench.plan(&web(), &inputs).await.unwrap();
    bench.delete(&web(), &planned).await.unwrap();
    assert_eq!(ingress.aws().load_balancers.describe_rule(&rule.arn).await.unwrap(), None);
}

#[tokio::test]
async fn another_listener_is_another_rule() {
    let ingress = Ingress::new().await;
    ingress.bench.apply(&web(), &ingress.own(&json!({}))).await.unwrap();
    let planned = ingress.bench.apply(&web(), &ingress.own(&json!({"listener": ingress.arn("Other")}))).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Replace);
    assert_eq!(ListenerRule::listener(&ingress.rule().await.arn).as_deref(), Some(ingress.arn("Other")));
}

#[tokio::test]
async fn a_forward_to_a_foreign_group_is_drift_that_is_put_back_with_the_shares_it_had() {
    let ingress = Ingress::new().await;
    let inputs = ingress.own(&json!({}));
    ingress.bench.apply(&web(), &inputs).await.unwrap();
    let rule = ingress.rule().await;
    let groups =
        [("Third", 10), ("Blue", 1), ("Green", 3)].map(|(name, weight)| (ingress.arn(name).to_owned(), weight));
    let forward = Some(crate::world::Forward { groups: groups.into(), stickiness: None });
    let balancers = ingress.aws().load_balancers;
    balancers.modify_rule(&rule.arn, &RuleChange { conditions: None, forward }).await.unwrap();
    let told = ingress.open(&inputs).read().await.unwrap();
    assert!(told.unproved.is_some_and(|why| why.contains("neither blue nor green")));

    let planned = ingress.bench.apply(&web(), &inputs).await.unwrap();
    let fields: Vec<_> = planned.change.fields.iter().map(|f| (f.path.as_str(), f.cause)).collect();
    assert_eq!(fields, [("alb.others", Cause::Drift)]);
    assert_eq!(ingress.weights(&ingress.rule().await), (25, 75));
    assert_eq!(ingress.bench.plan(&web(), &inputs).await.unwrap().change.action, ActionWord::NoOp);
}

#[tokio::test]
async fn a_priority_that_somebody_has_is_refused_by_name() {
    let ingress = Ingress::new().await;
    let inputs = ingress.own(&json!({}));
    // Planned before somebody took it.
    let planned = ingress.bench.plan(&web(), &inputs).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Create);
    let theirs = ingress.by_hand(100, "Third", BTreeMap::new()).await;
    let step = crate::kinds::Step {
        action: ActionWord::Create,
        desired: Some(&planned.desired),
        observed: None,
        identity: None,
        token: "t",
        attachment: None,
        facts: &BTreeMap::new(),
    };
    let refused = TrafficKind.apply(&ingress.bench.context(&web()), &step).await.unwrap_err();
    let hint = refused.hint.clone().unwrap();
    assert!(refused.message.contains(&theirs.arn) && refused.message.contains("/theirs"), "{refused}");
    assert!(hint.contains("101 is free"), "{hint}");
    // Planned after it, it is a thing that is there and that nobody owns.
    let planned = ingress.bench.plan(&web(), &inputs).await.unwrap();
    assert_eq!(planned.observed.unwrap().owner, crate::kinds::Owner::Nobody);
}

#[tokio::test]
async fn a_rule_whose_answer_was_lost_is_found_by_its_tags_and_not_made_twice() {
    let ingress = Ingress::new().await;
    ingress.bench.fault("elasticloadbalancing:CreateRule", crate::world::sandbox::FaultKind::TimeoutAfter);
    ingress.bench.apply(&web(), &ingress.own(&json!({}))).await.unwrap();
    let rules = ingress.aws().load_balancers.describe_rules(ingress.arn("Listener")).await.unwrap();
    assert_eq!(rules.iter().filter(|rule| rule.tags.contains_key("terrace:address")).count(), 1);
    assert_eq!(rules.len(), 3, "the stack's rule, ours and the default one");
}

#[tokio::test]
async fn a_rule_that_is_there_is_taken_with_its_traffic_and_let_go_of() {
    let ingress = Ingress::new().await;
    let theirs = ingress.by_hand(50, "Blue", BTreeMap::new()).await;
    let inputs = ingress.taking(&theirs.arn);
    let planned = ingress.bench.apply(&web(), &inputs).await.unwrap();
    assert_eq!(planned.change.action, ActionWord::Create);
    let taken = ingress.rule().await;
    assert_eq!((ingress.weights(&taken), taken.priority), ((100, 0), Some(50)));
    assert_eq!(taken.conditions, theirs.conditions);
    assert_eq!(ingress.bench.plan(&web(), &inputs).await.unwrap().change.action, ActionWord::NoOp);
    ingress.open(&inputs).shift(Weights::to(Side::Green, 100)).await.unwrap();
    let planned = ingress.bench.plan(&web(), &inputs).await.unwrap();
    ingress.bench.delete(&web(), &planned).await.unwrap();
    let left = ingress.aws().load_balancers.describe_rule(&theirs.arn).await.unwrap().unwrap();
    assert_eq!((left.tags.len(), ingress.weights(&left)), (0, (0, 100)), "it stays as it is");
}

#[tokio::test]
async fn a_rule_of_a_stack_of_somebody_else_or_with_other_traffic_is_not_taken() {
    let ingress = Ingress::new().await;
    let others = crate::kinds::Marks { plan: "other".into(), ..crate::kinds::testing::marks() };
    let marked = ingress.by_hand(60, "Blue", others.tags(&web())).await;
    let elsewhere = ingress.by_hand(61, "Third", BTreeMap::new()).await;
    for (rule, told) in [
        (ingress.arn("Rule"), "is Rule of the stack platform-dev-ingress, which sets its actions"),
        (&elsewhere.arn, "which is neither blue nor green"),
        ("arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/a/b/c/d", "there is no rule"),
    ] {
        let planned = ingress.bench.plan(&web(), &ingress.taking(rule)).await.unwrap();
        let remarks = format!("{:?}", planned.preview.unwrap().remarks);
        assert!(remarks.contains(told), "{remarks}");
        let refused = ingress.bench.apply(&web(), &ingress.taking(rule)).await.err().unwrap();
        assert!(refused.message.contains(told) || refused.class == Class::NotFound, "{refused}");
    }
    let planned = ingress.bench.plan(&web(), &ingress.taking(&marked.arn)).await.unwrap();
    assert!(matches!(planned.observed.unwrap().owner, crate::kinds::Owner::Other(who) if who.contains("other")));
}

#[tokio::test]
async fn a_target_group_that_is_not_there_is_told_before_anything_is_made() {
    let ingress = Ingress::new().await;
    let nowhere = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/none/1";
    let planned = ingress.bench.plan(&web(), &ingress.own(&json!({"green": nowhere}))).await.unwrap();
    let remarks = planned.preview.unwrap().remarks;
    assert_eq!(remarks.len(), 1);
    assert_eq!(remarks[0].0.to_string(), "alb.green");
}

#[tokio::test]
async fn a_shift_is_one_call_that_switches_stickiness_off_when_all_goes_to_one_side() {
    let ingress = Ingress::new().await;
    let inputs = ingress.own(&json!({"stickiness": "10m"}));
    ingress.bench.apply(&web(), &inputs).await.unwrap();
    let route = ingress.open(&inputs);
    let calls = || ingress.bench.sandbox.show(None).unwrap().calls["elasticloadbalancing:ModifyRule"];
    for (percent, sticky) in [(10, Some(600)), (100, None), (50, Some(600)), (0, None)] {
        let before = ingress.bench.sandbox.show(None).unwrap().calls.get("elasticloadbalancing:ModifyRule").copied();
        route.shift(Weights::to(Side::Green, percent)).await.unwrap();
        assert_eq!(calls(), before.unwrap_or_default() + 1);
        let told = route.read().await.unwrap();
        assert_eq!((told.weights, told.unproved), (Weights::to(Side::Green, percent), None));
        let forward = ingress.rule().await.forward.unwrap();
        assert_eq!(forward.stickiness.map(|time| time.as_secs()), sticky, "{percent}");
    }
    assert_eq!(route.drain(Side::Blue).await.unwrap().as_secs(), 30);
    assert_eq!(route.drain(Side::Green).await.unwrap().as_secs(), 300);
}

#[tokio::test]
async fn a_new_rule_begins_on_blue_unless_only_green_has_targets_that_are_well() {
    let ingress = Ingress::new().await;
    let inputs = ingress.own(&json!({}));
    ingress.bench.apply(&web(), &inputs).await.unwrap();
    let route = ingress.open(&inputs);
    let backend = Backend { service: "web".into(), namespace: "default".into(), port: "http".into() };
    let missing = route.bind(Side::Green, &backend).await.unwrap_err();
    assert!(missing.message.contains("there is no Service default/web to send traffic to; default has"), "{missing}");
    let cluster = ingress.bench.context(&web()).cluster.unwrap().1.kubernetes;
    let apply = async |object: Json| {
        let options = ApplyOptions { manager: "test".into(), force: false, dry_run: false };
        cluster.apply(&object, &options).await.unwrap();
    };
    let labels = json!({"app": "web"});
    apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
    }))
    .await;
    let wrong = Backend { port: "8081".into(), ..backend.clone() };
    let missing = route.bind(Side::Green, &wrong).await.unwrap_err();
    assert!(missing.message.contains("Service default/web has no port 8081; it has 80"), "{missing}");
    let missing = route.bind(Side::Green, &backend).await.unwrap_err();
    assert!(missing.hint.is_some_and(|hint| hint.contains("aws-load-balancer-controller")), "{}", missing.message);

    apply(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "targetgroupbindings.elbv2.k8s.aws"},
        "spec": {"group": "elbv2.k8s.aws", "scope": "Namespaced",
            "names": {"kind": "TargetGroupBinding", "plural": "targetgroupbindings"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true}]},
    }))
    .await;
    apply(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels, "annotations": {"sandbox.terrace.dev/ready-after": "20s"}},
            "spec": {"containers": [{"name": "web", "image": "web", "ports": [{"name": "web", "containerPort": 8080}]}]}}},
    }))
    .await;
    let pass = async |seconds| ingress.bench.sandbox.clock().sleep(Duration::from_secs(seconds)).await;
    pass(3).await;
    assert_eq!(route.health(Side::Green).await.unwrap().to_string(), "no targets");
    route.bind(Side::Green, &backend).await.unwrap();
    route.bind(Side::Green, &backend).await.unwrap();
    let told = route.health(Side::Green).await.unwrap();
    assert_eq!((told.initial, told.is_healthy()), (2, false));
    pass(6).await;
    let told = route.health(Side::Green).await.unwrap();
    assert_eq!((told.unhealthy.len(), told.is_healthy()), (2, false), "{told}");
    pass(20).await;
    assert!(route.health(Side::Green).await.unwrap().is_healthy());

    // Somebody destroys the rule: the one in its place begins where somebody answers.
    let rule = ingress.rule().await;
    ingress.aws().load_balancers.delete_rule(&rule.arn).await.unwrap();
    ingress.bench.apply(&web(), &inputs).await.unwrap();
    assert_eq!(ingress.weights(&ingress.rule().await), (0, 100));

    let route = ingress.open(&inputs);
    route.unbind(Side::Green).await.unwrap();
    route.unbind(Side::Green).await.unwrap();
    assert_eq!(route.health(Side::Green).await.unwrap().to_string(), "no targets");
    // Somebody else binds the same group.
    apply(json!({
        "apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding",
        "metadata": {"name": "theirs", "namespace": "default"},
        "spec": {"serviceRef": {"name": "web", "port": 80}, "targetGroupARN": ingress.arn("Green")},
    }))
    .await;
    let refused = route.bind(Side::Green, &backend).await.unwrap_err();
    assert_eq!(refused.class, Class::Conflict);
    assert!(refused.message.contains("TargetGroupBinding default/theirs"), "{refused} on {CLUSTER}");
}
