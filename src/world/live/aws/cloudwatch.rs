//! CloudWatch by the SDK.

use super::{convert::moment, failure::failed, session::Session};
use crate::world::{Alarm, Class, Datapoint, Failure, MetricQuery, Metrics, Outcome};
use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StateValue, StatusCode,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use std::sync::Arc;

/// No answer has more pages than this: 100,000 numbers lie on each.
const MOST_PAGES: usize = 100;

/// Metrics and alarms over a session.
pub(super) struct LiveMetrics(pub(super) Arc<Session>);

const GET: &str = "cloudwatch:GetMetricData";
const DESCRIBE: &str = "cloudwatch:DescribeAlarms";

#[async_trait]
impl Metrics for LiveMetrics {
    async fn metric_data(&self, query: &MetricQuery) -> Outcome<Vec<Datapoint>> {
        let client = &self.0.clients().await?.cloudwatch;
        let subject = query.to_string();
        let asked = asked(query);
        let mut found = Vec::new();
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let call = client
                .get_metric_data()
                .metric_data_queries(asked.clone())
                .start_time(time(query.from))
                .end_time(time(query.to))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(next);
            let answer = call.send().await.map_err(failed(GET, &subject))?;
            for result in answer.metric_data_results() {
                found.extend(datapoints(result, &subject)?);
            }
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                found.sort_by_key(|point: &Datapoint| point.at);
                return Ok(found);
            }
        }
        Err(Failure::new(Class::Limit, GET, subject, format!("more than {MOST_PAGES} pages of numbers")))
    }

    async fn alarm(&self, name: &str) -> Outcome<Option<Alarm>> {
        let client = &self.0.clients().await?.cloudwatch;
        let call = client
            .describe_alarms()
            .alarm_names(name)
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm);
        let answer = call.send().await.map_err(failed(DESCRIBE, name))?;
        let alarm = |state: Option<&StateValue>, reason: Option<&str>| Alarm {
            state: state.map_or("INSUFFICIENT_DATA", StateValue::as_str).to_owned(),
            reason: reason.unwrap_or_default().to_owned(),
        };
        // Whatever an endpoint makes of the filter, only the alarm of this name is meant.
        let simple = answer.metric_alarms().iter().find(|a| a.alarm_name() == Some(name));
        let composite = answer.composite_alarms().iter().find(|a| a.alarm_name() == Some(name));
        Ok(simple
            .map(|a| alarm(a.state_value(), a.state_reason()))
            .or_else(|| composite.map(|a| alarm(a.state_value(), a.state_reason()))))
    }
}

fn asked(query: &MetricQuery) -> MetricDataQuery {
    let dimensions = query.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let metric = Metric::builder()
        .namespace(&query.namespace)
        .metric_name(&query.metric)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let period = i32::try_from(query.period).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(metric).period(period).stat(&query.statistic).build();
    MetricDataQuery::builder().id("asked").metric_stat(stat).return_data(true).build()
}

/// The numbers of one result; what could not be had is a failure and not an absence.
fn datapoints(result: &MetricDataResult, subject: &str) -> Outcome<Vec<Datapoint>> {
    let said = || {
        let messages = result.messages().iter().filter_map(|m| m.value());
        messages.collect::<Vec<_>>().join("; ")
    };
    match result.status_code() {
        Some(StatusCode::Forbidden) => {
            return Err(Failure::new(Class::Denied, GET, subject, format!("the metric may not be read: {}", said())));
        }
        Some(StatusCode::InternalError) => {
            return Err(Failure::new(Class::Unavailable, GET, subject, format!("CloudWatch failed: {}", said())));
        }
        _ => {}
    }
    let pairs = result.timestamps().iter().zip(result.values());
    Ok(pairs.map(|(at, value)| Datapoint { at: moment(Some(at)), value: *value }).collect())
}

fn time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}
