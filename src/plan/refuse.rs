//! What this version plans and shows but does not do: refused before any effect, by name, never done half.

use crate::{
    base::{ActionWord, Diagnostic},
    lang::Configuration,
    plan::{Mode, Plan},
};

/// Whatever keeps an apply of this plan from being begun.
#[must_use]
pub fn refusals(configuration: &Configuration, plan: &Plan) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    if let Some(environment) = configuration.environments.get(&plan.header.env)
        && plan.header.mode != Mode::RefreshOnly
    {
        for (name, declared) in [("approval", environment.approval.is_some()), ("window", environment.window.is_some())]
        {
            if declared {
                out.push(
                    Diagnostic::error(
                        "gate_unsupported",
                        format!("environment {} declares `{name}`, which this version cannot honour", environment.name),
                    )
                    .at(&environment.span, "declared here")
                    .because("an apply that passed over it would do more than was allowed")
                    .hint("plan, review and promote in an environment without it, or take it out of the environment"),
                );
            }
        }
    }
    for node in &plan.nodes {
        let strategy = node.rollout.as_ref().and_then(|r| r["strategy"].as_str()).unwrap_or("rolling");
        let acts = !matches!(node.action, ActionWord::NoOp | ActionWord::Verify | ActionWord::Forget);
        if strategy != "rolling" && acts {
            out.push(
                Diagnostic::error(
                    "strategy_unsupported",
                    format!("{}: this version cannot roll out by `{strategy}`", node.address),
                )
                .because("replacing it in place instead would be another change than the one that was declared")
                .hint("use strategy = \"rolling\" in this environment"),
            );
        }
    }
    out
}
