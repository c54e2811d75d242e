//! CloudWatch: numbers of a metric over a span of time, and the state of an alarm.

use crate::world::Outcome;
use async_trait::async_trait;
use jiff::Timestamp;
use std::{collections::BTreeMap, fmt};

/// One statistic of one metric over a span of time.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricQuery {
    /// The namespace, like `AWS/ApplicationELB`.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// Its dimensions, all of them: CloudWatch takes each set of dimensions for a metric of its own.
    pub dimensions: BTreeMap<String, String>,
    /// `Average`, `Sum`, `Minimum`, `Maximum`, `SampleCount`, a percentile like `p99`, ...
    pub statistic: String,
    /// The seconds that one number is made of: 1, 5, 10, 20, 30 or a multiple of 60.
    pub period: u32,
    /// The first moment, inclusive.
    pub from: Timestamp,
    /// The last one, exclusive.
    pub to: Timestamp,
}

impl fmt::Display for MetricQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.metric)?;
        let all: Vec<String> = self.dimensions.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        if all.is_empty() { Ok(()) } else { write!(f, "{{{}}}", all.join(", ")) }
    }
}

/// One number of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datapoint {
    /// Where its period begins.
    pub at: Timestamp,
    /// The number.
    pub value: f64,
}

/// An alarm, of a metric or composite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
    /// Why it is in that state; may be empty.
    pub reason: String,
}

/// CloudWatch in one account and region.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// The numbers of a metric, all pages, oldest first. A period without data has none; so has a metric that nobody ever
    /// wrote. Source: GetMetricData.
    async fn metric_data(&self, query: &MetricQuery) -> Outcome<Vec<Datapoint>>;
    /// An alarm by name; `None` where there is none. Source: DescribeAlarms.
    async fn alarm(&self, name: &str) -> Outcome<Option<Alarm>>;
}
