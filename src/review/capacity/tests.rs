//! What fits on which nodes: the first platform by its own table, the rest by cases and a property.

use super::*;
use crate::{
    kinds::{Held, Holdings},
    plan::testing::{node, plan},
};
use proptest::prelude::*;
use serde_json::json;

fn held(address: &str, parts: Vec<Holding>) -> Planned {
    Planned {
        holdings: Holdings::new(Held::default(), Held::of(parts)),
        ..node(address, "services", ActionWord::Create)
    }
}

fn part(kind: &str, name: &str, properties: Json) -> Holding {
    Holding { name: format!("{kind} x/{name}"), kind: kind.to_owned(), properties, retained: false }
}

fn workload(name: &str, cpu: &str, memory: &str, replicas: u64) -> Holding {
    part(
        "Deployment",
        name,
        json!({ "containers": [{ "cpu": cpu, "memory": memory }], "namespace": "x", "replicas": replicas }),
    )
}

fn daemon(name: &str, cpu: &str, memory: &str) -> Holding {
    part("DaemonSet", name, json!({ "containers": [{ "cpu": cpu, "memory": memory }], "namespace": "x" }))
}

fn nodes(kind: &str, many: u64) -> Planned {
    let properties = json!({ "InstanceTypes": [kind], "ScalingConfig": { "DesiredSize": many } });
    let group = Holding { name: "Nodes".into(), kind: "AWS::EKS::Nodegroup".into(), properties, retained: false };
    held("stack.cluster", vec![group])
}

fn of(plan: &Plan) -> Capacity {
    capacity(plan, &Book::shipped()).unwrap()
}

/// The table of the first platform: what each asks for and how often it runs.
const TABLE: &[(&str, &str, &str, u64)] = &[
    ("istiod", "500m", "2Gi", 2),
    ("istio-ingressgateway", "100m", "128Mi", 2),
    ("istio sidecars", "100m", "128Mi", 20),
    ("loki", "500m", "1Gi", 3),
    ("grafana", "250m", "512Mi", 2),
    ("prometheus", "100m", "512Mi", 1),
    ("mimir", "500m", "1Gi", 2),
    ("kiali", "50m", "128Mi", 1),
    ("trivy-operator", "100m", "256Mi", 1),
    ("velero", "100m", "256Mi", 1),
    ("kubecost", "200m", "512Mi", 1),
    ("headlamp", "100m", "128Mi", 1),
    ("aws-load-balancer-controller", "100m", "128Mi", 2),
    ("ebs-csi-controller", "100m", "128Mi", 2),
    ("coredns", "100m", "70Mi", 2),
];

fn table() -> Planned {
    let mut parts: Vec<Holding> =
        TABLE.iter().map(|(name, cpu, memory, many)| workload(name, cpu, memory, *many)).collect();
    parts.push(daemon("kube-proxy", "100m", "128Mi"));
    parts.push(daemon("aws-node", "25m", "64Mi"));
    held("helm.all", parts)
}

#[test]
fn the_platforms_table_sums_to_7_825_vcpu_and_15_7_gib_and_fits_on_its_nodes() {
    let found = of(&plan(vec![nodes("t3a.xlarge", 3), table()]));
    assert_eq!((found.asked.cpu, gib(found.asked.memory).as_str()), (7_825, "15.7"));
    assert_eq!((vcpu(found.with_buffer.cpu).as_str(), gib(found.with_buffer.memory).as_str()), ("10.17", "20.4"));
    assert_eq!((found.given.cpu, found.given.memory), (3 * 3_920, 3 * (16 * 1024 - 255 - 11 * 58 - 100)));
    assert_eq!((found.fits, found.because.as_slice()), (Some(true), &[][..]));
    let two = of(&plan(vec![nodes("t3a.xlarge", 2), table()]));
    assert_eq!(two.fits, Some(false));
    assert_eq!(two.because, ["2.17 vCPU are missing"]);
}

#[test]
fn the_cheapest_nodes_hold_it_and_no_cheaper_ones_do() {
    let found = of(&plan(vec![nodes("t3a.xlarge", 3), table()]));
    let cheapest = found.cheapest.unwrap();
    let Proposal { instance, nodes: many, monthly } = &cheapest;
    assert_eq!((instance.as_str(), *many, monthly.to_string().as_str()), ("t3a.medium", 7, "$192.14"));
    let book = Book::shipped();
    let prices = book.at("us-east-1").unwrap();
    let again = of(&plan(vec![nodes(&cheapest.instance, cheapest.nodes), table()]));
    assert_eq!(again.fits, Some(true), "{cheapest:?}");
    for (name, instance) in prices.instances.iter().filter(|(_, instance)| !instance.arm) {
        for many in LEAST_NODES..20 {
            let cheaper = instance.price.times(HOURS * many) < cheapest.monthly;
            if cheaper {
                assert_ne!(of(&plan(vec![nodes(name, many), table()])).fits, Some(true), "{many} × {name}");
            }
        }
    }
}

#[test]
fn a_node_gives_what_eks_leaves_of_it() {
    let book = Book::shipped();
    let instances = &book.at("us-east-1").unwrap().instances;
    // The cpu of t3a.xlarge and c5.4xlarge is what karpenter's reference of instance types has.
    for (name, cpu, memory, pods) in [
        ("t3a.medium", 1_930, 4096 - 255 - 11 * 17 - 100, 17),
        ("t3a.xlarge", 3_920, 16384 - 255 - 11 * 58 - 100, 58),
        ("c5.4xlarge", 15_890, 32768 - 255 - 11 * 234 - 100, 234),
    ] {
        assert_eq!(allocatable(&instances[name]), Room { cpu, memory, pods }, "{name}");
    }
}

#[test]
fn pods_on_every_node_count_for_each_and_first_ones_only_where_they_ask_for_more() {
    let first = part(
        "Deployment",
        "first",
        json!({ "containers": [{ "cpu": "100m", "memory": "1Gi" }, { "cpu": "1", "memory": "10Mi", "first": true }],
            "namespace": "x" }),
    );
    let found = of(&plan(vec![nodes("m5.large", 4), held("helm.a", vec![daemon("log", "50m", "100Mi"), first])]));
    assert_eq!((found.asked.cpu, found.asked.memory, found.asked.pods), (4 * 50 + 1_000, 4 * 100 + 1024, 5));
}

#[test]
fn proxies_autoscalers_and_add_ons_count() {
    let namespace = Holding {
        name: "Namespace x".into(),
        kind: "Namespace".into(),
        properties: json!({ "injects": true }),
        retained: false,
    };
    let mut without = workload("without", "100m", "100Mi", 1);
    without.properties["inject"] = json!("false");
    let scaled = part("HorizontalPodAutoscaler", "web", json!({ "target": "Deployment x/web", "min": 3 }));
    let addon = Holding { name: "coredns".into(), kind: "eks_addon".into(), properties: Json::Null, retained: false };
    let odd = Holding { name: "odd".into(), ..addon.clone() };
    let found = of(&plan(vec![
        held("helm.a", vec![namespace, workload("web", "100m", "100Mi", 1), without, scaled]),
        held("eks_addon.a", vec![addon]),
        held("eks_addon.b", vec![odd]),
    ]));
    // Three of web with a proxy each, one without, two of CoreDNS.
    assert_eq!((found.asked.cpu, found.asked.memory), (3 * 200 + 100 + 200, 3 * 228 + 100 + 140));
    assert_eq!(found.unknown.iter().map(|u| u.part.as_str()).collect::<Vec<_>>(), ["odd"]);
    assert_eq!((found.fits, found.because.as_slice()), (None, &["the plan has no node group".to_owned()][..]));
}

#[test]
fn both_colours_count_also_the_one_that_is_kept_warm() {
    let color = |address: &str| held(address, vec![workload("web", "100m", "100Mi", 2)]);
    let both = of(&plan(vec![color("helm.web@blue"), color("helm.web@green")]));
    assert_eq!(both.asked.cpu, 400);
    let mut warm = plan(vec![color("helm.web@green")]);
    let address: Address = "helm.web@blue".parse().unwrap();
    warm.debts.push(crate::plan::Debt { address, due: jiff::Timestamp::UNIX_EPOCH, failed: None });
    assert_eq!(of(&warm).asked.cpu, 400);
}

#[test]
fn what_does_not_say_what_it_needs_is_named() {
    let silent =
        part("Deployment", "silent", json!({ "containers": [{ "cpu": null, "memory": "1Gi" }], "namespace": "x" }));
    let later = workload("later", crate::kinds::NOT_KNOWN, "1Gi", 1);
    let mut chart = node("helm.b", "services", ActionWord::Defer);
    chart.holdings = Holdings::new(Held::default(), Held::unknown("its chart could not be rendered"));
    let found = of(&plan(vec![held("helm.a", vec![silent, later]), chart]));
    let named: Vec<(&str, &str)> = found.unknown.iter().map(|u| (u.part.as_str(), u.why.as_str())).collect();
    let says = "a container of it does not say what it needs";
    assert_eq!(
        named,
        [("Deployment x/later", says), ("Deployment x/silent", says), ("", "its chart could not be rendered")]
    );
    assert_eq!(found.asked.memory, 2048);
}

#[test]
fn a_pod_that_is_too_large_for_any_node_is_told_and_arm_nodes_stay_what_they_are() {
    let found = of(&plan(vec![nodes("t4g.large", 9), held("helm.a", vec![workload("big", "3", "1Gi", 1)])]));
    assert_eq!(
        (found.fits, found.because.as_slice()),
        (Some(false), &["1 of its pods find no node with enough room left".to_owned()][..])
    );
    let book = Book::shipped();
    assert!(book.at("us-east-1").unwrap().instances[&found.cheapest.unwrap().instance].arm);
    let unknown = of(&plan(vec![nodes("x9.huge", 2), held("helm.a", vec![workload("a", "1", "1Gi", 1)])]));
    assert_eq!((unknown.fits, unknown.because.len()), (None, 1));
}

#[test]
fn pods_that_do_not_fit_side_by_side_need_a_node_each_whatever_their_sum() {
    let pods = || held("helm.a", vec![workload("half", "1100m", "1Gi", 10)]);
    let on = |many| of(&plan(vec![nodes("t3a.large", many), pods()]));
    let (nine, ten) = (on(9), on(10));
    assert!(nine.with_buffer.fits(nine.given));
    assert_eq!(
        (nine.fits, nine.because[0].as_str()),
        (Some(false), "1 of its pods find no node with enough room left")
    );
    assert_eq!(ten.fits, Some(true));
}

#[test]
fn a_plan_without_pods_has_nothing_to_say() {
    assert_eq!(capacity(&plan(vec![nodes("m5.large", 2)]), &Book::shipped()), None);
}

proptest! {
    #[test]
    fn what_is_proposed_holds_it_and_one_node_less_does_not(
        all in prop::collection::vec((1_u64..4000, 1_u64..8000, 1_u64..20), 1..12), each in (0_u64..300, 0_u64..500),
    ) {
        let mut parts: Vec<Holding> = all
            .iter()
            .map(|(cpu, memory, many)| workload("w", &format!("{cpu}m"), &format!("{memory}Mi"), *many))
            .collect();
        parts.push(daemon("d", &format!("{}m", each.0), &format!("{}Mi", each.1)));
        let found = of(&plan(vec![held("helm.a", parts.clone())]));
        if let Some(proposal) = found.cheapest {
            let with = |many| of(&plan(vec![nodes(&proposal.instance, many), held("helm.a", parts.clone())])).fits;
            prop_assert_eq!(with(proposal.nodes), Some(true));
            if proposal.nodes > LEAST_NODES {
                prop_assert_eq!(with(proposal.nodes - 1), Some(false));
            }
        }
    }
}
