//! Ranks of changes in plans made by hand.

use super::*;
use crate::plan::testing::{child, field, node, plan};

fn only(plan: &Plan) -> Risk {
    let mut all = risks(plan);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn why(risk: &Risk) -> Vec<&str> {
    risk.reasons.iter().map(|reason| reason.what.as_str()).collect()
}

#[test]
fn what_is_new_and_closed_is_of_low_risk_and_what_only_is_read_of_none() {
    let nodes = vec![
        node("stack.net", "foundation", ActionWord::Create),
        node("helm.web", "services", ActionWord::NoOp),
        node("data.secret.key", "", ActionWord::Read),
    ];
    let risk = only(&plan(nodes));
    assert_eq!((risk.rank, risk.points, risk.reasons.len()), (Rank::Low, 0, 0));
}

#[test]
fn losing_data_in_a_protected_environment_is_severe_and_says_what_weighs_most_first() {
    let mut stack = node("stack.db", "foundation", ActionWord::Delete);
    stack.children =
        vec![ChildChange { stateful: true, ..child("Database", "AWS::RDS::DBInstance", ActionWord::Delete) }];
    stack.undo = Undo::None("what it held is gone".to_owned());
    let mut plan = plan(vec![stack]);
    plan.header.protected = true;
    let risk = only(&plan);
    assert_eq!((risk.rank, risk.points), (Rank::Severe, 17));
    assert_eq!(
        why(&risk),
        [
            "Database holds data, which is lost",
            "it is destroyed",
            "a failure does not bring it back: what it held is gone",
            "dev is protected"
        ]
    );
    // Where the template keeps it, it is not lost.
    plan.nodes[0].children[0].policy = Some("Retain".to_owned());
    assert_eq!(only(&plan).points, 11);
}

#[test]
fn what_lets_the_internet_in_is_told_by_the_part_that_does() {
    let rule = |cidr: &str, path: &str| {
        let mut stack = node("stack.net", "foundation", ActionWord::Update);
        let changed = field(path, None, Some(cidr.into()));
        stack.children =
            vec![ChildChange { fields: vec![changed], ..child("Door", "AWS::EC2::SecurityGroup", ActionWord::Update) }];
        only(&plan(vec![stack]))
    };
    let open = rule("0.0.0.0/0", "SecurityGroupIngress[0].CidrIp");
    assert_eq!(why(&open), ["the internet reaches it (Door)", "it changes in place"]);
    assert_eq!(rule("10.0.0.0/8", "SecurityGroupIngress[0].CidrIp").rank, Rank::Low);
    assert_eq!(rule("0.0.0.0/0", "SecurityGroupEgress[0].CidrIp").rank, Rank::Low, "going out is nobody's way in");
}

#[test]
fn who_stands_on_it_weighs_also_by_way_of_others() {
    let mut nodes = vec![node("stack.net", "foundation", ActionWord::Update)];
    for n in 0..6 {
        let mut user = node(&format!("helm.chart{n}"), "services", ActionWord::NoOp);
        let before = if n == 0 { "stack.net".to_owned() } else { format!("helm.chart{}", n - 1) };
        user.after = vec![before.parse().unwrap()];
        nodes.push(user);
    }
    let risk = only(&plan(nodes));
    assert_eq!(why(&risk), ["it changes in place", "6 things stand on it"]);
    assert_eq!((risk.rank, risk.points), (Rank::Moderate, 4));
}

#[test]
fn the_most_that_is_approved_of_what_is_planned_later_is_what_weighs() {
    use crate::{
        base::Digest,
        plan::{DeferReason, Deferral},
    };
    let mut later = node("helm.web", "services", ActionWord::Defer);
    later.deferral = Some(Deferral {
        reason: DeferReason::Identity,
        waits_for: Vec::new(),
        ceiling: vec![ActionWord::Update, ActionWord::Replace],
        declaration: Digest::of(b""),
    });
    let risk = only(&plan(vec![later]));
    assert_eq!(risk.action, ActionWord::Defer);
    assert!(why(&risk).contains(&"it is made anew, and the former one goes"), "{risk:?}");
}

#[test]
fn what_may_go_wrong_most_comes_first_and_the_rest_as_the_plan_has_it() {
    let nodes = vec![
        node("helm.a", "services", ActionWord::Create),
        node("helm.b", "services", ActionWord::Delete),
        node("helm.c", "services", ActionWord::Create),
        node("helm.d", "services", ActionWord::Update),
    ];
    let order: Vec<String> = risks(&plan(nodes)).iter().map(|risk| risk.address.to_string()).collect();
    assert_eq!(order, ["helm.b", "helm.d", "helm.a", "helm.c"]);
}

#[test]
fn a_plan_of_many_changes_that_stand_on_each_other_is_ranked_at_once() {
    let mut nodes = Vec::new();
    for n in 0..5_000 {
        let mut one = node(&format!("helm.chart{n}"), "services", ActionWord::Update);
        one.after = (n.max(3) - 3..n).map(|before| format!("helm.chart{before}").parse().unwrap()).collect();
        nodes.push(one);
    }
    let all = risks(&plan(nodes));
    assert_eq!(all.len(), 5_000);
    assert!(why(&all[0]).contains(&"50 or more things stand on it"), "{:?}", all[0]);
}
