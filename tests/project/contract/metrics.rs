//! CloudWatch: numbers of metrics, and alarms.

use super::bed::Bed;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use terrace::world::{Datapoint, MetricQuery};

/// The last ten minutes of a metric, minute by minute.
fn query(now: Timestamp, metric: &str, color: &str) -> MetricQuery {
    MetricQuery {
        namespace: "web".to_owned(),
        metric: metric.to_owned(),
        dimensions: BTreeMap::from([("color".to_owned(), color.to_owned())]),
        statistic: "Maximum".to_owned(),
        period: 60,
        from: Timestamp::from_second(now.as_second().div_euclid(60) * 60 - 600).unwrap(),
        to: now,
    }
}

pub(super) async fn a_metric_has_its_numbers_oldest_first_and_others_have_none(bed: &Bed) {
    bed.write_metric("green", 0.5).await;
    bed.write_metric("blue", 7.0).await;
    let ask = async |query: MetricQuery| bed.aws.metrics.metric_data(&query).await.unwrap();
    let values = |found: &[Datapoint]| found.iter().map(|point| point.value).collect::<Vec<_>>();
    let found = ask(query(bed.now(), "errors", "green")).await;
    assert_eq!(values(&found).last(), Some(&0.5), "{found:?}");
    assert!(found.windows(2).all(|pair| pair[0].at < pair[1].at), "{found:?}");
    assert!(found.iter().all(|point| point.at.as_second() % 60 == 0 && point.at <= bed.now()), "{found:?}");
    let of_blue = ask(query(bed.now(), "errors", "blue")).await;
    assert_eq!(values(&of_blue).last(), Some(&7.0), "each set of dimensions is a metric of its own");
    let percentile = ask(MetricQuery { statistic: "p99".to_owned(), ..query(bed.now(), "errors", "green") }).await;
    assert_eq!(values(&percentile), values(&found));
    for (metric, color) in [("errors", "red"), ("none", "green")] {
        assert_eq!(ask(query(bed.now(), metric, color)).await, []);
    }
    let long_ago = bed.now() - SignedDuration::from_hours(24);
    assert_eq!(ask(query(long_ago, "errors", "green")).await, []);
}

pub(super) async fn an_alarm_tells_its_state_and_why(bed: &Bed) {
    bed.alarm("too-many-errors", "3 of the last 3 were over 1").await;
    let found = bed.aws.metrics.alarm("too-many-errors").await.unwrap().unwrap();
    assert_eq!((found.state.as_str(), found.reason.as_str()), ("ALARM", "3 of the last 3 were over 1"));
    assert_eq!(bed.aws.metrics.alarm("too-many").await.unwrap(), None, "a part of the name is another name");
}
