//! What parts and plans come to: each service by a table, the first platform by its own estimate, sums by a property.

use super::*;
use crate::{
    base::ActionWord,
    kinds::{Held, Holdings, held_by_template, template_document},
    plan::{
        Plan, Planned,
        testing::{node, plan},
    },
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn part(name: &str, kind: &str, properties: Json) -> Holding {
    Holding { name: name.to_owned(), kind: kind.to_owned(), properties, retained: false }
}

fn with(address: &str, action: ActionWord, before: Vec<Holding>, after: Vec<Holding>) -> Planned {
    Planned { holdings: Holdings::new(Held::of(before), Held::of(after)), ..node(address, "foundation", action) }
}

fn created(parts: Vec<Holding>) -> Plan {
    plan(vec![with("stack.a", ActionWord::Create, Vec::new(), parts)])
}

/// What parts come to in a month, and what of them has no price.
fn of(parts: Vec<Holding>) -> (String, Vec<String>) {
    let cost = cost(&created(parts), &Book::shipped());
    let unpriced = cost.unpriced.iter().map(|one| format!("{}: {}", one.part, one.why)).collect();
    (cost.after.to_string(), unpriced)
}

fn alone(kind: &str, properties: Json) -> (String, Vec<String>) {
    of(vec![part("A", kind, properties)])
}

#[test]
fn each_service_comes_to_what_its_page_says() {
    let group = |replicas: u64| json!({"CacheNodeType": "cache.r6g.large", "Engine": "redis", "NumNodeGroups": 3, "ReplicasPerNodeGroup": replicas});
    let database = |several: bool| {
        json!({"Engine": "postgres", "DBInstanceClass": "db.r6g.large", "AllocatedStorage": "100",
        "StorageType": "gp3", "MultiAZ": several})
    };
    for (kind, properties, monthly) in [
        ("AWS::EKS::Cluster", json!({}), "$73.00"),
        ("AWS::EC2::NatGateway", json!({}), "$32.85"),
        ("AWS::EC2::EIP", json!({}), "$3.65"),
        ("AWS::EC2::Volume", json!({"Size": 100, "VolumeType": "gp3"}), "$8.00"),
        ("AWS::EC2::Volume", json!({"Size": "100", "VolumeType": "gp3", "Iops": 4000, "Throughput": 225}), "$17.00"),
        ("AWS::EC2::Volume", json!({"Size": 100}), "$10.00"),
        ("AWS::EC2::VPCEndpoint", json!({"VpcEndpointType": "Interface", "SubnetIds": ["a", "b", "c"]}), "$21.90"),
        ("AWS::EC2::VPCEndpoint", json!({"VpcEndpointType": "Gateway"}), "$0.00"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", json!({}), "$16.43"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", json!({"Type": "network"}), "$16.43"),
        ("AWS::ElasticLoadBalancing::LoadBalancer", json!({}), "$18.25"),
        ("AWS::RDS::DBInstance", database(false), "$175.75"),
        ("AWS::RDS::DBInstance", database(true), "$351.50"),
        ("AWS::ElastiCache::ReplicationGroup", group(0), "$451.14"),
        ("AWS::ElastiCache::ReplicationGroup", group(1), "$902.28"),
        (
            "AWS::ElastiCache::CacheCluster",
            json!({"CacheNodeType": "cache.t3.micro", "Engine": "redis", "NumCacheNodes": 1}),
            "$12.41",
        ),
        ("AWS::KMS::Key", json!({}), "$1.00"),
        ("AWS::SecretsManager::Secret", json!({}), "$0.40"),
        ("AWS::Logs::LogGroup", json!({}), "$0.50"),
        ("AWS::CloudWatch::Alarm", json!({}), "$0.10"),
        ("AWS::IAM::Role", json!({}), "$0.00"),
        ("AWS::SSM::Parameter", json!({"Tier": "Standard"}), "$0.00"),
        ("PersistentVolumeClaim", json!({"storage": "10Gi", "class": "gp3"}), "$0.80"),
        ("StatefulSet", json!({"replicas": 3, "claims": [{"storage": "10Gi", "class": "gp2"}]}), "$3.00"),
        ("Service", json!({"balancer": "nlb"}), "$16.43"),
        ("Ingress", json!({"group": null}), "$16.43"),
        ("Deployment", json!({"replicas": 3}), "$0.00"),
    ] {
        assert_eq!(alone(kind, properties.clone()), (monthly.to_owned(), Vec::new()), "{kind} {properties}");
    }
}

#[test]
fn nodes_have_the_type_and_the_volumes_of_their_launch_template_or_their_own() {
    let group = |more: Json| {
        let mut properties = json!({"ScalingConfig": {"DesiredSize": "3", "MinSize": 1}});
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        part("Nodes", "AWS::EKS::Nodegroup", properties)
    };
    let template = part(
        "Template",
        "AWS::EC2::LaunchTemplate",
        json!({"LaunchTemplateData/InstanceType": "t3a.xlarge", "LaunchTemplateData/BlockDeviceMappings":
            [{"Ebs": {"VolumeType": "gp3", "VolumeSize": "100", "Iops": 3000, "Throughput": 125}}]}),
    );
    let by_template = group(json!({"LaunchTemplate": {"Id": "${Template}", "Version": "${Template.Latest}"}}));
    assert_eq!(of(vec![template, by_template]), ("$353.38".to_owned(), Vec::new()));
    let own = group(json!({"InstanceTypes": ["t3a.xlarge", "m5.xlarge"], "DiskSize": 100}));
    assert_eq!(of(vec![own]), ("$353.38".to_owned(), Vec::new()));
    // Three of EKS's own choice, with 20 GiB each.
    assert_eq!(of(vec![group(json!({}))]), ("$95.90".to_owned(), Vec::new()));
    let spot = group(json!({"CapacityType": "SPOT", "DiskSize": 100, "InstanceTypes": ["t3a.xlarge"]}));
    assert_eq!(of(vec![spot]), ("$24.00".to_owned(), vec!["Nodes: prices of Spot instances move".to_owned()]));
}

#[test]
fn tasks_on_fargate_are_paid_by_their_size() {
    let task = part("Task", "AWS::ECS::TaskDefinition", json!({"Cpu": "256", "Memory": "512"}));
    let service = json!({"LaunchType": "FARGATE", "DesiredCount": 2, "TaskDefinition": "${Task}"});
    let (monthly, unpriced) = of(vec![task, part("Service", "AWS::ECS::Service", service)]);
    assert_eq!((monthly.as_str(), unpriced), ("$18.02", Vec::new()));
}

#[test]
fn what_cannot_be_told_is_unpriced_with_its_reason_and_never_guessed() {
    for (kind, properties, why) in [
        ("AWS::Neptune::DBCluster", json!({}), "the price file says nothing of this type"),
        ("AWS::EC2::Instance", json!({"InstanceType": "x1.huge", "BlockDeviceMappings": []}), "instance type x1.huge"),
        ("AWS::EC2::Instance", json!({"InstanceType": "${Type}", "BlockDeviceMappings": []}), "is not known"),
        ("AWS::EC2::VPCEndpoint", json!({"VpcEndpointType": "Interface", "SubnetIds": "${Subnets}"}), "how many zones"),
        ("AWS::EKS::Nodegroup", json!({"ScalingConfig": {"DesiredSize": "${Nodes}"}}), "how many nodes"),
        ("AWS::RDS::DBInstance", json!({"Engine": "oracle-ee"}), "class or its engine"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", json!({"Type": "gateway"}), "`gateway`"),
        ("AWS::DynamoDB::Table", json!({}), "provisioned capacity"),
        ("PersistentVolumeClaim", json!({"storage": "10Gi", "class": "fast"}), "storage class"),
        ("PersistentVolumeClaim", json!({"storage": null, "class": "gp3"}), "how much storage"),
    ] {
        let (monthly, unpriced) = alone(kind, properties.clone());
        assert_eq!((monthly.as_str(), unpriced.len()), ("$0.00", 1), "{kind} {properties} {unpriced:?}");
        assert!(unpriced[0].contains(why), "{unpriced:?}");
    }
}

#[test]
fn what_is_paid_by_use_is_named_and_what_is_assumed_of_it_is_said() {
    let parts = vec![part("Bucket", "AWS::S3::Bucket", Json::Null), part("Logs", "AWS::Logs::LogGroup", Json::Null)];
    let cost = cost(&created(parts), &Book::shipped());
    assert_eq!(cost.per_use.iter().map(|one| one.why.as_str()).collect::<Vec<_>>(), ["GB stored and requests"]);
    assert_eq!(cost.parts[0].lines[0].assumed.as_deref(), Some("1 GB taken in a month"));
    assert_eq!(cost.after.to_string(), "$0.50");
}

#[test]
fn ingresses_of_one_group_share_a_load_balancer_and_classes_say_what_claims_get() {
    let ingress = |name: &str, group: Json| part(name, "Ingress", json!({"group": group}));
    let parts = vec![
        ingress("a", json!("shop")),
        ingress("b", json!("shop")),
        ingress("c", Json::Null),
        part("StorageClass fast", "StorageClass", json!({"name": "fast", "type": "gp3"})),
        part("data", "PersistentVolumeClaim", json!({"storage": "100Gi", "class": "fast"})),
    ];
    assert_eq!(of(parts), ("$40.86".to_owned(), Vec::new()));
}

/// The lines of the first platform's own estimate for its smallest environment, without transfer: control plane, three workers,
/// NAT gateways, their volumes.
fn platform(nat_gateways: usize) -> Cost {
    let text = |file: &str| std::fs::read_to_string(file).unwrap();
    let network = text("cfn-templates/network.yaml")
        .replace("NatGateways:\n    Type: Number", "NatGateways:\n    Type: Number #")
        .replace(
            "    Default: 1\n    AllowedValues: [1, 3]",
            &format!("    Default: {nat_gateways}\n    AllowedValues: [1, 3]"),
        );
    let held = |file: &str, text: &str| held_by_template(&template_document(file, text));
    let cluster = text("cfn-templates/eks-cluster.yaml");
    cost(
        &plan(vec![
            with("stack.network", ActionWord::Create, Vec::new(), held("network.yaml", &network)),
            with("stack.cluster", ActionWord::Create, Vec::new(), held("eks-cluster.yaml", &cluster)),
        ]),
        &Book::shipped(),
    )
}

fn estimated(cost: &Cost) -> Money {
    const ESTIMATED: [&str; 3] = ["AWS::EKS::Cluster", "AWS::EKS::Nodegroup", "AWS::EC2::NatGateway"];
    cost.parts.iter().filter(|part| ESTIMATED.contains(&part.kind.as_str())).map(|part| part.after).sum()
}

#[test]
fn the_platform_comes_to_525_dollars_with_three_nat_gateways_and_to_459_with_one() {
    let within = |found: Money, dollars: i64| (found - Money::cents(dollars * 100)).size() <= Money::cents(200);
    let (three, one) = (platform(3), platform(1));
    assert_eq!((estimated(&three).to_string(), estimated(&one).to_string()), ("$524.93".into(), "$459.23".into()));
    assert!(within(estimated(&three), 525) && within(estimated(&one), 459));
    // What that estimate leaves out: a public address for each gateway, keys, secrets, logs, the bastion.
    assert!(three.after > estimated(&three));
    let addresses = |cost: &Cost| cost.parts.iter().filter(|part| part.kind == "AWS::EC2::EIP").count();
    assert_eq!((addresses(&three), addresses(&one)), (3, 1));
}

#[test]
fn another_region_than_the_price_files_is_unpriced_and_nothing_is_reckoned() {
    let mut plan = created(vec![part("A", "AWS::EKS::Cluster", Json::Null)]);
    plan.header.world.region = "eu-west-1".into();
    let cost = cost(&plan, &Book::shipped());
    assert_eq!((cost.after, cost.parts.len(), cost.unpriced.len()), (Money::NONE, 0, 1));
    assert_eq!(cost.unpriced[0].why, "there are no prices of the region eu-west-1");
}

#[test]
fn a_change_costs_the_difference_and_what_is_kept_goes_on_to_cost() {
    let nodes = |size: u64| part("Nodes", "AWS::EKS::Nodegroup", json!({"ScalingConfig": {"DesiredSize": size}}));
    let key = Holding { retained: true, ..part("Key", "AWS::KMS::Key", Json::Null) };
    let cost = cost(
        &plan(vec![
            with("stack.a", ActionWord::Update, vec![nodes(3)], vec![nodes(5)]),
            with("stack.b", ActionWord::Delete, vec![key, part("Nat", "AWS::EC2::NatGateway", Json::Null)], Vec::new()),
        ]),
        &Book::shipped(),
    );
    let moves: Vec<(String, String)> = cost.parts.iter().map(|part| (part.part.clone(), part.delta.signed())).collect();
    let expected = [("Nodes", "+$63.94"), ("Nat", "-$32.85"), ("Key", "$0.00")];
    assert_eq!(moves, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(cost.delta.signed(), "+$31.09");
}

#[test]
fn what_is_kept_warm_or_not_known_is_counted_as_unpriced() {
    let mut plan = plan(vec![Planned {
        holdings: Holdings::new(Held::default(), Held::unknown("its chart was not rendered")),
        ..node("helm.web", "services", ActionWord::Defer)
    }]);
    plan.debts.push(crate::plan::Debt {
        address: "stack.web".parse::<Address>().unwrap(),
        due: jiff::Timestamp::UNIX_EPOCH,
        failed: None,
    });
    let cost = cost(&plan, &Book::shipped());
    let why: Vec<&str> = cost.unpriced.iter().map(|one| one.why.as_str()).collect();
    assert_eq!(why, ["its chart was not rendered", "it is kept warm, and no part of this plan"]);
}

#[test]
fn quantities_are_read_as_kubernetes_writes_them() {
    for (text, thousandth) in
        [("100m", 100), ("1", 1000), ("0.5", 500), ("2Gi", 2 << 30), ("1k", 1_000_000), ("1.5Ki", 1536 * 1000)]
    {
        let expected = if text == "2Gi" { (2_u128 << 30) * 1000 } else { thousandth };
        assert_eq!(thousandths(text), Some(expected), "{text}");
    }
    for bad in ["", "x", "-1", "1e3x", "Gi", "1.2.3"] {
        assert_eq!(thousandths(bad), None, "{bad}");
    }
    assert_eq!((quantity("10Gi", 1 << 30), quantity("1M", 1 << 30)), (Some(10), Some(1)));
}

fn any_part() -> impl Strategy<Value = Holding> {
    const KINDS: &[&str] =
        &["AWS::EKS::Cluster", "AWS::EC2::NatGateway", "AWS::EC2::Volume", "AWS::S3::Bucket", "AWS::Odd::Thing"];
    ("[a-e]", prop::sample::select(KINDS), 1_u64..500)
        .prop_map(|(name, kind, size)| part(&name, kind, json!({"Size": size, "VolumeType": "gp3"})))
}

proptest! {
    #[test]
    fn after_less_before_is_the_difference_and_taking_away_what_was_made_gives_nothing(
        before in prop::collection::vec(any_part(), 0..8), after in prop::collection::vec(any_part(), 0..8),
    ) {
        let book = Book::shipped();
        let cost = |before: &[Holding], after: &[Holding]| {
            super::cost(&plan(vec![with("stack.a", ActionWord::Update, before.to_vec(), after.to_vec())]), &book)
        };
        let (there, back) = (cost(&before, &after), cost(&after, &before));
        prop_assert_eq!(there.after - there.before, there.delta);
        prop_assert_eq!(there.parts.iter().map(|part| part.delta).sum::<Money>(), there.delta);
        prop_assert_eq!((there.before, there.after), (back.after, back.before));
        let (made, gone) = (cost(&[], &after), cost(&after, &[]));
        prop_assert_eq!(made.delta + gone.delta, Money::NONE);
        prop_assert_eq!((made.before, gone.after), (Money::NONE, Money::NONE));
    }

    #[test]
    fn no_quantity_makes_reading_panic(text in "\\PC{0,40}") {
        let _ = (thousandths(&text), quantity(&text, 1 << 20));
    }
}
