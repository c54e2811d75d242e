//! What rollouts ask: the new colour beside the old one, now, and over time in which nobody looked (rule 36).

use super::{Measurement, bounds::Bounds, cloudwatch, known, probe, prometheus};
use crate::{
    base::{Finding, Value, elapsed, format_duration, parse_duration},
    kinds::Context,
    world::{Class, Failure, Outcome},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A measurement is given up after this long, or after its own `timeout` where that is more.
const ONE_MEASUREMENT: Duration = Duration::from_secs(60);
/// Looking back makes at most so many measurements.
const MOST_TIMES: u64 = 200_000;

/// Moments of the past, one every so often, both ends included.
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) every: Duration,
}

impl Span {
    pub(super) fn times(&self) -> Vec<Timestamp> {
        let Ok(step) = SignedDuration::try_from(self.every) else { return vec![self.from] };
        std::iter::successors(Some(self.from), |at| at.checked_add(step).ok()).take_while(|at| *at <= self.to).collect()
    }

    /// Where there are too many, or they never come to an end: in words.
    fn refused(&self) -> Option<String> {
        let whole = elapsed(self.from, self.to);
        if self.every < Duration::from_millis(1) {
            return Some("it is measured without a pause, which cannot be looked back at".to_owned());
        }
        let many = whole.as_millis() / self.every.as_millis() >= u128::from(MOST_TIMES);
        let (whole, every) = (format_duration(whole), format_duration(self.every));
        many.then(|| format!("{whole} are too long to look back at, every {every}"))
    }
}

/// Asks a probe once, as a rollout does: of the new colour, and beside it of the old one where the probe compares. `old` is the
/// same probe evaluated for the old colour; without it only constants count, and what is said tells so. A comparison is of use
/// only while both colours have traffic.
///
/// Whatever keeps it from being asked is [`Finding::Error`], so that it counts apart from failures. It takes a minute at most,
/// or the probe's own `timeout`.
///
/// # Errors
/// [`Class::Invalid`] only: the probe itself is wrong, as an expression or a query that is none. No waiting mends that.
pub async fn compare(context: &Context, new: &Value, old: Option<&Value>) -> Outcome<Measurement> {
    let limit = timeout_of(new).max(ONE_MEASUREMENT);
    let until = context.clock.now().checked_add(limit).unwrap_or(context.deadline).min(context.deadline);
    let context = Context { deadline: until, ..context.clone() };
    match context.bounded(beside(&context, new, old)).await {
        Err(failure) if failure.class != Class::Invalid => Ok(Measurement::error(&failure)),
        other => other,
    }
}

async fn beside(context: &Context, new: &Value, old: Option<&Value>) -> Outcome<Measurement> {
    let (kind, body) = known(context, new)?;
    let Some((source, bounds)) = numbers(context, kind, body)? else { return probe(context, new).await };
    let own = source.now(context, body).await?;
    let other = match old.filter(|_| bounds.compares()) {
        Some(old) => Some(source.now(context, known(context, old)?.1).await?),
        None => None,
    };
    bounds.judge(&own, other.as_deref()).map_err(|why| invalid(context, why))
}

/// True where a probe can be asked about time that is past: `prometheus`, and metrics of `cloudwatch`. Asks nothing.
#[must_use]
pub fn looks_back(probe: &Value) -> bool {
    let body = |kind: &str| probe.get(kind).filter(|body| !body.is_null());
    body("prometheus").is_some() || body("cloudwatch").is_some_and(|body| cloudwatch::alarm_of(body).is_none())
}

/// Asks a probe about time that is past: what it would have found at `from`, and `every` so often up to `to`. `None` where it
/// [cannot be asked](looks_back). A moment without a number is one by the probe's rule for `empty`.
///
/// # Errors
/// [`Class::Invalid`]: the probe itself is wrong. [`Class::Limit`]: too many measurements. Others: it could not be asked; it may
/// be another time.
pub async fn look_back(
    context: &Context,
    probe: &Value,
    old: Option<&Value>,
    from: Timestamp,
    to: Timestamp,
    every: Duration,
) -> Outcome<Option<Vec<(Timestamp, Measurement)>>> {
    if !looks_back(probe) {
        return Ok(None);
    }
    let (kind, body) = known(context, probe)?;
    let Some((source, bounds)) = numbers(context, kind, body)? else { return Ok(None) };
    let span = Span { from, to, every };
    if let Some(why) = span.refused() {
        return Err(Failure::new(Class::Limit, "verify", context.address.to_string(), why));
    }
    let own = context.bounded(source.then(context, body, &span)).await?;
    let other = match old.filter(|_| bounds.compares()) {
        Some(old) => Some(context.bounded(source.then(context, known(context, old)?.1, &span)).await?),
        None => None,
    };
    let measured = span.times().into_iter().zip(own).enumerate().map(|(n, (at, own))| {
        let other = other.as_ref().map(|all| all.get(n).map_or(&[][..], Vec::as_slice));
        bounds.judge(&own, other).map(|measurement| (at, measurement)).map_err(|why| invalid(context, why))
    });
    measured.collect::<Outcome<Vec<_>>>().map(Some)
}

/// Where numbers come from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Prometheus,
    CloudWatch,
}

impl Source {
    pub(super) async fn now(self, context: &Context, body: &Value) -> Outcome<Vec<super::bounds::Sample>> {
        match self {
            Self::Prometheus => prometheus::now(context, body).await,
            Self::CloudWatch => cloudwatch::now(context, body).await,
        }
    }

    async fn then(self, context: &Context, body: &Value, span: &Span) -> Outcome<Vec<Vec<super::bounds::Sample>>> {
        match self {
            Self::Prometheus => prometheus::then(context, body, span).await,
            Self::CloudWatch => cloudwatch::then(context, body, span).await,
        }
    }
}

/// Where the numbers of a probe come from, and what they must be; `None` for a probe that has no numbers.
///
/// # Errors
/// [`Class::Invalid`]: bounds that contradict each other.
pub(super) fn numbers(context: &Context, kind: &str, body: &Value) -> Outcome<Option<(Source, Bounds)>> {
    let source = match kind {
        "prometheus" => Source::Prometheus,
        "cloudwatch" if cloudwatch::alarm_of(body).is_none() => Source::CloudWatch,
        _ => return Ok(None),
    };
    Bounds::of(body).map(|bounds| Some((source, bounds))).map_err(|why| invalid(context, why))
}

fn invalid(context: &Context, why: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, "verify", context.address.to_string(), why)
}

fn timeout_of(probe: &Value) -> Duration {
    let body = probe.as_map().and_then(|entries| entries.values().next());
    let written = body.and_then(|body| body.get("timeout")).and_then(Value::as_str);
    written.and_then(|text| parse_duration(text).ok()).unwrap_or_default()
}

impl Measurement {
    /// It could not be measured.
    pub(super) fn error(failure: &Failure) -> Self {
        Self { finding: Finding::Error, said: failure.to_string(), value: None }
    }
}
