//! What Terrace's own rules looked at in a plan: what a rule did not look at it says nothing about, and proves nothing of.
//!
//! Called by whoever keeps the judgement of a plan. It finds nothing; that is [`super::own`]'s.

use super::{OWN, RULES, goes, names_a_secret, severity};
use crate::{
    base::{ActionWord, Address, Path, Step},
    kinds::ChildChange,
    plan::{Asked, Mode, Plan, Planned},
    policy::{Material, Strictness},
};
use std::collections::BTreeSet;

/// Each rule that is asked about a plan, with what it looks at.
#[must_use]
pub fn looked(plan: &Plan, material: Option<&Material>, strictness: &Strictness) -> Vec<Asked> {
    if plan.header.mode != Mode::Normal {
        return Vec::new();
    }
    let asked = RULES.iter().filter(|rule| severity(rule, plan, strictness).is_some());
    asked
        .map(|rule| {
            let (of, whole) = subjects(rule.name, plan, material);
            let controls = rule.controls.iter().map(|control| (*control).to_owned()).collect();
            Asked { pack: OWN.to_owned(), rule: rule.name.to_owned(), controls, of, whole }
        })
        .collect()
}

/// What a rule looks at, and whether it looks at the plan as a whole.
fn subjects(rule: &str, plan: &Plan, material: Option<&Material>) -> (BTreeSet<Address>, bool) {
    let nodes = |wanted: fn(&Planned) -> bool| {
        plan.nodes.iter().filter(|node| wanted(node)).map(|node| node.address.clone()).collect()
    };
    let of = match rule {
        "data_stays" => nodes(|node| goes(node.action) || node.children.iter().any(|child| goes(child.action))),
        "users_stay" => nodes(|node| goes(node.action)),
        "charts_are_pinned" => nodes(|node| node.address.kind() == "helm" && !goes(node.action)),
        "images_are_pinned" => {
            let objects = material.map(|material| material.objects.as_slice()).unwrap_or_default();
            objects.iter().map(|object| object.address.clone()).collect()
        }
        "rights_stay_narrow" => nodes(|node| node.children.iter().any(is_rights)),
        "no_new_way_in" => nodes(|node| node.children.iter().any(is_way_in)),
        "no_secret_in_clear" => {
            nodes(|node| !goes(node.action) && node.action != ActionWord::Read && asks_secrets(node))
        }
        "phases_are_gated" => return (BTreeSet::new(), plan.has_changes() && plan.phases.len() > 1),
        "nodes_hold_it" => return (BTreeSet::new(), plan.nodes.iter().any(|node| !node.holdings.is_empty())),
        // Of any other it is only known that it was asked about the plan.
        _ => return (BTreeSet::new(), true),
    };
    (of, false)
}

fn is_rights(child: &ChildChange) -> bool {
    child.kind.starts_with("AWS::IAM::") && child.action != ActionWord::Delete
}

/// Whether somebody could come in by a part; what `no_new_way_in` asks about it is in [`super::opens`].
fn is_way_in(child: &ChildChange) -> bool {
    let kind = child.kind.as_str();
    let cloud = ["AWS::EC2::SecurityGroup", "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::EKS::Cluster"];
    let cluster = matches!(kind.rsplit(' ').next(), Some("Service" | "Ingress" | "Gateway"));
    child.action != ActionWord::Delete && (cluster || cloud.iter().any(|start| kind.starts_with(start)))
}

/// Whether an input is named as secrets are, in the clear or not.
fn asks_secrets(node: &Planned) -> bool {
    let mut any = false;
    node.inputs.each_leaf(&mut Path::default(), &mut |path, value| {
        if let Some(Step::Key(name)) = path.0.last() {
            any |= names_a_secret(name) || &**name == "name" && value.as_str().is_some_and(names_a_secret);
        }
    });
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::Value,
        plan::testing::{child, node, plan},
    };

    #[test]
    fn a_rule_about_what_changes_looked_at_nothing_where_nothing_does() {
        let of = |plan: &Plan, rule: &str| {
            let all = looked(plan, None, &Strictness::default());
            all.into_iter().find(|asked| asked.rule == rule).map(|asked| (asked.looked(), asked.of.len()))
        };
        let mut quiet = plan(vec![node("helm.web", "services", ActionWord::NoOp)]);
        quiet.header.protected = true;
        assert_eq!(of(&quiet, "data_stays"), Some((false, 0)));
        assert_eq!(of(&quiet, "phases_are_gated"), Some((false, 0)));
        assert_eq!(of(&quiet, "charts_are_pinned"), Some((true, 1)));
        let mut gone = plan(vec![node("stack.data", "services", ActionWord::Delete)]);
        gone.header.protected = true;
        assert_eq!(of(&gone, "data_stays"), Some((true, 1)));
        assert_eq!(of(&gone, "charts_are_pinned"), Some((false, 0)));
        // Where nobody asks it, it is not there.
        gone.header.protected = false;
        assert_eq!(of(&gone, "data_stays"), None);
        assert_eq!(of(&gone, "no_new_way_in"), Some((false, 0)));
    }

    #[test]
    fn a_rule_about_ways_in_or_secrets_looked_only_where_there_may_be_one() {
        let part = |kind: &str| child("Part", kind, ActionWord::Create);
        let stack = |name: &str, kind: &str| Planned {
            children: vec![part(kind)],
            ..node(name, "services", ActionWord::Create)
        };
        let input = |name: &str| Value::object([(name, Value::from("x"))]);
        let chart =
            |name: &str, field: &str| Planned { inputs: input(field), ..node(name, "services", ActionWord::Create) };
        let plan = plan(vec![
            stack("stack.topic", "AWS::SNS::Topic"),
            stack("stack.door", "AWS::EC2::SecurityGroupIngress"),
            chart("helm.plain", "replicas"),
            chart("helm.secret", "adminPassword"),
        ]);
        let of = |rule: &str| {
            let all = looked(&plan, None, &Strictness::default());
            let one = all.into_iter().find(|asked| asked.rule == rule).unwrap();
            one.of.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of("no_new_way_in"), ["stack.door"]);
        assert_eq!(of("no_secret_in_clear"), ["helm.secret"]);
    }

    #[test]
    fn a_plan_of_nothing_gives_rules_about_things_nothing_to_look_at() {
        let empty = plan(Vec::new());
        let blind = RULES.iter().filter(|rule| subjects(rule.name, &empty, None) == (BTreeSet::new(), false));
        assert_eq!(blind.count(), RULES.len(), "each arm names a rule that there is");
    }
}
