//! What Terrace's own rules looked at in a plan: what a rule did not look at it says nothing about, and proves nothing of.
//!
//! Called by whoever keeps the judgement of a plan. It finds nothing; that is [`super::own`]'s.

use super::{OWN, RULES, goes, severity};
use crate::{
    base::{ActionWord, Address},
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
        "no_new_way_in" => nodes(|node| node.children.iter().any(|child| child.action != ActionWord::Delete)),
        "no_secret_in_clear" => {
            nodes(|node| !goes(node.action) && node.action != ActionWord::Read && !node.inputs.is_null())
        }
        "phases_are_gated" => return (BTreeSet::new(), plan.has_changes() && plan.phases.len() > 1),
        // Of any other it is only known that it was asked about the plan.
        _ => return (BTreeSet::new(), true),
    };
    (of, false)
}

fn is_rights(child: &ChildChange) -> bool {
    child.kind.starts_with("AWS::IAM::") && child.action != ActionWord::Delete
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{node, plan};

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
    fn a_plan_of_nothing_gives_rules_about_things_nothing_to_look_at() {
        let empty = plan(Vec::new());
        let blind = RULES.iter().filter(|rule| subjects(rule.name, &empty, None) == (BTreeSet::new(), false));
        assert_eq!(blind.count(), 8, "each arm names a rule that there is");
    }
}
