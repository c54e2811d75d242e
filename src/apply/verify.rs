//! Measuring until it holds: `verify` blocks, gates and checks (rule 20).

use crate::{
    base::{Address, Digest, Value},
    kinds::{Context, probe},
    state::Verdict,
};
use std::{sync::Arc, time::Duration};

/// One thing to measure.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    /// How its verdict is stored: `helm.istiod/ready`, `phase.cluster/nodes`, `check.web`.
    pub subject: Arc<str>,
    /// The probe, decoded: one entry.
    pub probe: Value,
    /// Between tries.
    pub every: Duration,
    /// In all.
    pub within: Duration,
    /// Passes in a row.
    pub consecutive: u32,
    /// The digest of the declaration.
    pub declaration: Digest,
    /// Whose.
    pub address: Address,
}

/// Measures until it passes often enough in a row, or its time is over. Misses, and failures to measure, are tried again.
pub(super) async fn measure(measure: &Measure, context: &Context) -> Verdict {
    let clock = &context.clock;
    let end = clock.now().checked_add(measure.within).unwrap_or(jiff::Timestamp::MAX);
    let mut in_a_row = 0;
    loop {
        let (passed, said) = match context.bounded(probe(context, &measure.probe)).await {
            Ok(measured) => (measured.passed, measured.said),
            Err(failure) => (false, failure.to_string()),
        };
        in_a_row = if passed { in_a_row + 1 } else { 0 };
        let now = clock.now();
        let enough = in_a_row >= measure.consecutive.max(1);
        if enough || now >= end {
            return Verdict { passed: enough, said, declaration: measure.declaration.clone(), at: now };
        }
        context.say(&format!("{}: {said}", measure.subject.rsplit('/').next().unwrap_or_default()));
        let left = Duration::try_from(end.duration_since(now)).unwrap_or(Duration::ZERO);
        clock.sleep(measure.every.min(left)).await;
    }
}
