//! What may go wrong most, before anything else of a plan.

use super::Page;
use crate::{
    cli::style::{bold, dim, red, yellow},
    plan::Plan,
    review::{Rank, Risk, risks},
};

/// So many changes are named; those that matter most.
const NAMED: usize = 3;

pub(super) fn write(plan: &Plan, page: &mut Page) {
    let all = risks(plan);
    let matter: Vec<&Risk> = all.iter().filter(|risk| risk.rank > Rank::Low).collect();
    if matter.is_empty() {
        return;
    }
    page.gap();
    let more = matter.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { dim(format!("  and {more} more of moderate risk or above")) };
    page.line(&format!("{}{more}", bold("What may go wrong")));
    for risk in matter.into_iter().take(NAMED) {
        let rank = match risk.rank {
            Rank::Severe | Rank::High => red(format!("{:<8}", risk.rank.word())),
            Rank::Moderate | Rank::Low => yellow(format!("{:<8}", risk.rank.word())),
        };
        let why: Vec<&str> = risk.reasons.iter().map(|reason| reason.what.as_str()).collect();
        page.prose(&format!("  {rank} {}  ", bold(risk.address.as_str())), &why.join("; "));
    }
}
