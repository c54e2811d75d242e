//! The probe `cloudwatch`: a metric and the bounds of its newest number, or an alarm and its state.
//!
//! A number counts once its period is over, and for two periods more, since CloudWatch has it late; older ones are no result.
//! Source: GetMetricData and DescribeAlarms of the CloudWatch API reference.

use super::{Measurement, bounds::Sample, compare::Span, map, text};
use crate::{
    base::{Finding, Value, parse_duration},
    kinds::Context,
    world::{Class, Datapoint, Failure, MetricQuery, Outcome},
};
use jiff::{SignedDuration, Timestamp};

/// A number counts for so many periods after it is complete.
const COUNTS_FOR: i64 = 2;

/// The alarm of a probe, where it asks one.
pub(super) fn alarm_of(body: &Value) -> Option<String> {
    text(body, "alarm")
}

/// What an alarm says.
///
/// # Errors
/// A call that failed; [`Class::NotFound`]: no such alarm.
pub(super) async fn alarm(context: &Context, name: &str) -> Outcome<Measurement> {
    let Some(alarm) = context.aws()?.metrics.alarm(name).await? else {
        let why = format!("there is no alarm {name:?}");
        return Err(Failure::new(Class::NotFound, "cloudwatch:DescribeAlarms", name, why));
    };
    let finding = match alarm.state.as_str() {
        "OK" => Finding::Passed,
        "ALARM" => Finding::Failed,
        _ => Finding::Inconclusive,
    };
    let reason = if alarm.reason.is_empty() { String::new() } else { format!(": {}", alarm.reason) };
    Ok(Measurement { finding, said: format!("the alarm {name} is {}{reason}", alarm.state), value: None })
}

/// In what an alarm is asked wrongly: it has no number, so there is nothing to hold bounds against.
pub(super) fn alarm_misses(body: &Value) -> Option<String> {
    const OF_METRICS: [&str; 11] = [
        "namespace",
        "dimensions",
        "statistic",
        "period",
        "min",
        "max",
        "fail_below",
        "fail_above",
        "max_ratio",
        "max_increase",
        "empty",
    ];
    let written = OF_METRICS.into_iter().find(|name| body.get(name).is_some_and(|value| !value.is_null()))?;
    Some(format!("`{written}` is for a metric, and an alarm is asked"))
}

/// The newest number; none where there is none.
///
/// # Errors
/// A call that failed; [`Class::Invalid`]: a metric that is not said whole.
pub(super) async fn now(context: &Context, body: &Value) -> Outcome<Vec<Sample>> {
    let now = context.clock.now();
    let found = data(context, body, now, now).await?;
    Ok(newest(&found, period(context, body)?, now))
}

/// The newest number at each moment of a span; none where there was none.
///
/// # Errors
/// As [`now`].
pub(super) async fn then(context: &Context, body: &Value, span: &Span) -> Outcome<Vec<Vec<Sample>>> {
    let times = span.times();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(Vec::new()) };
    let (period, found) = (period(context, body)?, data(context, body, *first, *last).await?);
    Ok(times.iter().map(|at| newest(&found, period, *at)).collect())
}

/// All numbers that may count from the first moment to the last.
async fn data(context: &Context, body: &Value, first: Timestamp, last: Timestamp) -> Outcome<Vec<Datapoint>> {
    let period = period(context, body)?;
    let need = |name: &str| {
        text(body, name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid(context, format!("a metric needs a `{name}`")))
    };
    let query = MetricQuery {
        namespace: need("namespace")?,
        metric: need("metric")?,
        dimensions: map(body, "dimensions"),
        statistic: text(body, "statistic").unwrap_or_else(|| "Average".to_owned()),
        period,
        from: earlier(first, period, COUNTS_FOR + 2),
        to: last,
    };
    context.aws()?.metrics.metric_data(&query).await
}

/// The start of the period so many before the one that holds this moment: CloudWatch wants ranges to begin with a period.
fn earlier(at: Timestamp, period: u32, periods: i64) -> Timestamp {
    let period = i64::from(period);
    let begun = at.as_second().div_euclid(period).saturating_sub(periods).saturating_mul(period);
    Timestamp::from_second(begun).unwrap_or(Timestamp::MIN)
}

/// The newest number that is complete at a moment and not too old.
fn newest(found: &[Datapoint], period: u32, at: Timestamp) -> Vec<Sample> {
    let period = i64::from(period);
    let age = |point: &Datapoint| at.duration_since(point.at);
    let counts = |point: &&Datapoint| {
        let age = age(point);
        age >= SignedDuration::from_secs(period) && age < SignedDuration::from_secs(period * (COUNTS_FOR + 2))
    };
    let newest = found.iter().filter(counts).max_by_key(|point| point.at);
    let sample =
        |point: &Datapoint| Sample { labels: String::new(), value: point.value, written: point.value.to_string() };
    newest.map(sample).into_iter().collect()
}

fn period(context: &Context, body: &Value) -> Outcome<u32> {
    let written = text(body, "period").unwrap_or_else(|| "1m".to_owned());
    seconds(&written).map_err(|why| invalid(context, why))
}

fn invalid(context: &Context, why: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, "verify", context.address.to_string(), why)
}

/// Reads a period, without asking anything by it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn is_period(written: &str) -> Result<(), String> {
    seconds(written).map(drop)
}

fn seconds(written: &str) -> Result<u32, String> {
    let period = parse_duration(written).map_err(|why| why.to_string())?;
    let whole = u32::try_from(period.as_secs()).ok().filter(|_| period.subsec_nanos() == 0);
    let known = |s: &u32| matches!(s, 1 | 5 | 10 | 20 | 30) || *s >= 60 && s.is_multiple_of(60) && *s <= 86_400;
    whole.filter(known).ok_or_else(|| {
        format!("{written:?} is no period of CloudWatch: it is 1s, 5s, 10s, 20s, 30s or whole minutes, up to a day")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn written(found: &[Datapoint], second: i64) -> Option<String> {
        newest(found, 60, at(second)).first().map(|sample| sample.written.clone())
    }

    #[test]
    fn a_number_counts_once_it_is_complete_and_not_for_ever() {
        let found = [Datapoint { at: at(60), value: 0.5 }, Datapoint { at: at(120), value: 2.0 }];
        assert_eq!(written(&found, 119), None, "its minute is not over");
        assert_eq!(written(&found, 120).as_deref(), Some("0.5"));
        assert_eq!(written(&found, 179).as_deref(), Some("0.5"), "the newer one is not complete");
        assert_eq!(written(&found, 180).as_deref(), Some("2"));
        assert_eq!(written(&found, 359).as_deref(), Some("2"));
        assert_eq!(written(&found, 360), None, "too old to say anything of now");
        assert_eq!(written(&[], 180), None);
    }

    #[test]
    fn a_range_begins_with_a_period_and_holds_all_that_counts() {
        assert_eq!(earlier(at(359), 60, COUNTS_FOR + 2), at(60));
        assert_eq!(earlier(at(-1), 60, 0), at(-60));
        assert_eq!(earlier(Timestamp::MIN, 60, 9), Timestamp::MIN);
    }

    #[test]
    fn periods_are_those_of_cloudwatch() {
        assert_eq!(["1s", "30s", "1m", "90m", "1d"].map(seconds), [1, 30, 60, 5_400, 86_400].map(Ok));
        for wrong in ["0s", "2s", "90s", "61s", "250ms", "2d", "x"] {
            assert!(is_period(wrong).is_err(), "{wrong}");
        }
    }
}
