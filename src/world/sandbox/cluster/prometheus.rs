//! What pods answer that speak Prometheus' query API: the value that the first pattern that a query contains had at the time,
//! else zero.

use super::super::{Tx, series::Series};
use crate::world::HttpAnswer;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

const TABLE: &str = "metric-series";

/// Answers queries that contain `pattern` in a cluster with a value from now on; `None` is the default again.
pub(super) fn set(tx: &mut Tx<'_>, cluster: &str, pattern: &str, value: Option<&str>) {
    let key = format!("{cluster}|{pattern}");
    match value {
        Some(value) => {
            let mut series: Series = tx.get(TABLE, &key).unwrap_or_default();
            series.set(tx.now(), value);
            tx.put(TABLE, &key, &series);
        }
        None => {
            tx.delete(TABLE, &key);
        }
    }
}

/// The answer to a query, an instant one or one over a range; `None` where the path is no query.
pub(super) fn answer(tx: &Tx<'_>, cluster: &str, path: &str) -> Option<HttpAnswer> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let range = path.ends_with("/api/v1/query_range");
    if !range && !path.ends_with("/api/v1/query") {
        return None;
    }
    let query: BTreeMap<String, String> =
        query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), decode(v))).collect();
    let asked = query.get("query").map(String::as_str).unwrap_or_default();
    let patterns: Vec<(String, Series)> = tx.scan(TABLE, &format!("{cluster}|"));
    let series = patterns
        .into_iter()
        .find(|(key, _)| key.rsplit_once('|').is_some_and(|(_, pattern)| asked.contains(pattern)))
        .map(|(_, series)| series)
        .unwrap_or_default();
    let sample = |at: Timestamp| series.at(at, "0").map(|value| json!([seconds(at), value]));
    let data = if range {
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<f64>().ok());
        #[expect(clippy::cast_possible_truncation, reason = "a time of the API is a number of seconds")]
        let millis = |name: &str| number(name).map(|seconds| (seconds * 1_000.0).round() as i64);
        let now = tx.now().as_millisecond();
        let (start, end) = (millis("start").unwrap_or(now), millis("end").unwrap_or(now));
        let step = millis("step").unwrap_or(60_000).max(1);
        let times = (0..MOST_STEPS).map(|n| start.saturating_add(step.saturating_mul(n)));
        let times = times.take_while(|at| *at <= end).filter_map(|at| Timestamp::from_millisecond(at).ok());
        let samples: Vec<_> = times.filter_map(sample).collect();
        let result = if samples.is_empty() { json!([]) } else { json!([{"metric": {}, "values": samples}]) };
        json!({"resultType": "matrix", "result": result})
    } else {
        let result = sample(tx.now()).map(|sample| json!({"metric": {}, "value": sample}));
        json!({"resultType": "vector", "result": result.into_iter().collect::<Vec<_>>()})
    };
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    Some(HttpAnswer { status: 200, headers, body: json!({"status": "success", "data": data}).to_string() })
}

/// As many steps as Prometheus gives at most.
const MOST_STEPS: i64 = 11_000;

/// A moment as the API writes it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
