//! Measuring until it holds: `verify` blocks, gates and checks (rule 20).

use crate::{
    base::{Address, Digest, Finding, Value, elapsed, later},
    kinds::{Context, Measurement, probe},
    plan::connect::Connections,
    state::{Reading, Verdict},
    world::Class,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// One thing to measure.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    /// How its verdict is stored: `helm.istiod/ready`, `phase.cluster/nodes`, `check.web`.
    pub subject: Arc<str>,
    /// The probe, decoded: one entry.
    pub probe: Value,
    /// Where it is asked.
    pub connections: Connections,
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

/// How many measurements a verdict keeps, the last ones.
const KEPT: usize = 10;

/// Measures until it passes often enough in a row, or its time is over. Misses, and failures to measure, are tried again; not so a probe
/// that is wrong itself, like an expression that is none: no waiting mends that.
pub(super) async fn measure(measure: &Measure, context: &Context) -> Verdict {
    let clock = &context.clock;
    let end = later(clock.now(), measure.within);
    let mut in_a_row = 0;
    let mut measurements = VecDeque::new();
    loop {
        let mut is_final = false;
        let Measurement { finding, said, value } = match context.bounded(probe(context, &measure.probe)).await {
            Ok(measured) => measured,
            Err(failure) => {
                is_final = failure.class == Class::Invalid;
                Measurement { finding: Finding::Error, said: failure.to_string(), value: None }
            }
        };
        // Rule 20: whatever is no pass is tried again.
        let passed = finding == Finding::Passed;
        in_a_row = if passed { in_a_row + 1 } else { 0 };
        let now = clock.now();
        if measurements.len() == KEPT {
            measurements.pop_front();
        }
        measurements.push_back(Reading { at: now, passed, said: said.clone(), value });
        let enough = in_a_row >= measure.consecutive.max(1);
        if enough || is_final || now >= end {
            let declaration = measure.declaration.clone();
            return Verdict { passed: enough, said, declaration, at: now, measurements: measurements.into() };
        }
        context.say(&format!("{}: {said}", measure.subject.rsplit('/').next().unwrap_or_default()));
        let left = elapsed(now, end);
        clock.sleep(measure.every.min(left)).await;
    }
}
