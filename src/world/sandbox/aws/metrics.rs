//! CloudWatch: metrics have the value that `sandbox drift metric/TEXT` gave them at the time, else no data; alarms that a stack
//! made are `OK` until `sandbox drift alarm/NAME` says something else.

use super::{Scope, record::ResourceRecord};
use crate::world::{
    Alarm, Class, Datapoint, Failure, MetricQuery, Metrics, Outcome,
    sandbox::{Drift, Sandbox, Tx, series::Series},
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Values of what has a text in its name, by `PLACE|TEXT`; an empty place is everywhere.
const METRICS: &str = "cloudwatch";
/// States of alarms, by `PLACE|NAME`.
const ALARMS: &str = "alarm";
/// As many numbers are given at most.
const MOST: usize = 100_000;

/// The state of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct AlarmRecord {
    state: String,
    reason: String,
}

/// The service in one account and region.
pub(super) struct CloudWatch {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) scope: Scope,
}

#[async_trait::async_trait]
impl Metrics for CloudWatch {
    async fn metric_data(&self, query: &MetricQuery) -> Outcome<Vec<Datapoint>> {
        let name = query.to_string();
        let period = i64::from(query.period);
        let wrong = |why: &str| Failure::new(Class::Invalid, "cloudwatch:GetMetricData", &name, why);
        if !matches!(period, 1 | 5 | 10 | 20 | 30) && (period < 60 || period % 60 != 0) {
            return Err(wrong("The period must be 1, 5, 10, 20, 30 or a multiple of 60"));
        }
        if query.from >= query.to {
            return Err(wrong("The parameter StartTime must be less than the parameter EndTime."));
        }
        let read = |tx: &mut Tx<'_>| {
            let series = found::<Series>(tx, METRICS, &self.scope, |text| name.contains(text)).unwrap_or_default();
            let first = query.from.as_second().div_euclid(period) * period;
            let times = (0..).map_while(|n: i64| first.checked_add(n.checked_mul(period)?)).take(MOST);
            let times = times.filter_map(|second| Timestamp::from_second(second).ok());
            let times = times.take_while(|at| *at < query.to && *at <= tx.now()).filter(|at| *at >= query.from);
            // What holds within a period counts for it, as a gauge that is written all the time.
            let end = |at: Timestamp| at.checked_add(SignedDuration::from_secs(period - 1)).unwrap_or(at);
            Ok(times.filter_map(|at| Some(Datapoint { at, value: series.at(end(at), "")?.parse().ok()? })).collect())
        };
        self.sandbox.call("cloudwatch:GetMetricData", &name, read).await
    }

    async fn alarm(&self, name: &str) -> Outcome<Option<Alarm>> {
        let read = |tx: &mut Tx<'_>| {
            let told = found::<AlarmRecord>(tx, ALARMS, &self.scope, |own| own == name);
            let of_stack = || {
                let made = tx.scan::<ResourceRecord>("resource", "").into_iter().map(|(_, resource)| resource);
                let mut alarms = made.filter(|r| r.resource_type.starts_with("AWS::CloudWatch::") && !r.gone);
                alarms
                    .any(|r| r.physical == name)
                    .then(|| AlarmRecord { state: "OK".to_owned(), reason: String::new() })
            };
            Ok(told.or_else(of_stack).map(|found| Alarm { state: found.state, reason: found.reason }))
        };
        self.sandbox.call("cloudwatch:DescribeAlarms", name, read).await
    }
}

/// What was told of this place first, by the order of the texts.
fn found<T: serde::de::DeserializeOwned>(
    tx: &Tx<'_>,
    table: &str,
    scope: &Scope,
    is_meant: impl Fn(&str) -> bool,
) -> Option<T> {
    let place = scope.to_string();
    tx.scan::<T>(table, "").into_iter().find_map(|(key, told)| {
        let (of, text) = key.split_once('|')?;
        (place.contains(of) && is_meant(text)).then_some(told)
    })
}

fn key(drift: &Drift, name: &str) -> String {
    format!("{}|{name}", drift.place.as_deref().unwrap_or_default())
}

/// What has this text in its name has a value from now on.
pub(super) fn drift_metric(tx: &mut Tx<'_>, drift: &Drift, text: &str) {
    let key = key(drift, text);
    if drift.delete {
        tx.delete(METRICS, &key);
        return;
    }
    let Some((_, value)) = drift.set.iter().find(|(path, _)| path == "value") else { return };
    let mut series: Series = tx.get(METRICS, &key).unwrap_or_default();
    series.set(tx.now(), value);
    tx.put(METRICS, &key, &series);
}

/// An alarm is in another state from now on.
pub(super) fn drift_alarm(tx: &mut Tx<'_>, drift: &Drift, name: &str) -> Outcome<()> {
    let key = key(drift, name);
    if drift.delete {
        tx.delete(ALARMS, &key);
        return Ok(());
    }
    let said = |what: &str| drift.set.iter().find(|(path, _)| path == what).map(|(_, value)| value.clone());
    let state = said("state").filter(|state| ["OK", "ALARM", "INSUFFICIENT_DATA"].contains(&state.as_str()));
    let Some(state) = state else {
        let message = "set state=OK, state=ALARM or state=INSUFFICIENT_DATA";
        return Err(Failure::new(Class::Invalid, "sandbox:Drift", &drift.target, message));
    };
    tx.put(ALARMS, &key, &AlarmRecord { state, reason: said("reason").unwrap_or_default() });
    Ok(())
}
