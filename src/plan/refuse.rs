//! What this version plans and shows but does not do: refused before any effect, by name, never done half.

use crate::{
    base::{ActionWord, Diagnostic},
    plan::Plan,
};

/// Whatever keeps an apply of this plan from being begun.
#[must_use]
pub fn refusals(plan: &Plan) -> Vec<Diagnostic> {
    let mut out = Vec::new();
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
