//! The Rules section: assertions over parameters, decided before any service is asked.
//!
//! `Fn::RefAll`, `Fn::ValueOf` and `Fn::ValueOfAll` ask the account; an assertion that hangs on one is left to the
//! service.

use super::evaluate::Evaluator;
use crate::{
    base::{Diagnostic, Diagnostics},
    cfn::{Context, Template},
};
use std::collections::BTreeMap;

/// Checks the rules against the values.
pub(super) fn check(template: &Template, given: &BTreeMap<String, String>, problems: &mut Diagnostics) {
    if template.rules.is_empty() {
        return;
    }
    let mut context = Context::offline("", "", "");
    context.parameters.clone_from(given);
    let mut evaluator = Evaluator::new(template, &context);
    for (name, rule) in &template.rules {
        if rule.condition.as_ref().is_some_and(|c| evaluator.decide(c) != Some(true)) {
            continue;
        }
        for assertion in &rule.assertions {
            if evaluator.decide(&assertion.assert) == Some(false) {
                let mut problem = Diagnostic::error("rule_violated", format!("the parameters break the rule `{name}`"))
                    .at(&assertion.assert.span, "this does not hold");
                if !assertion.description.is_empty() {
                    problem = problem.because(assertion.description.clone());
                }
                problems.push(problem);
            }
        }
    }
    problems.extend(evaluator.finish());
}
