//! What pods answer that speak Prometheus' query API: the value of the first pattern that a query contains, else zero.

use super::super::Tx;
use crate::world::HttpAnswer;
use serde_json::json;
use std::collections::BTreeMap;

const TABLE: &str = "metric";

/// Answers queries that contain `pattern` in a cluster with a value from now on; `None` is the default again.
pub(super) fn set(tx: &mut Tx<'_>, cluster: &str, pattern: &str, value: Option<&str>) {
    let key = format!("{cluster}|{pattern}");
    match value {
        Some(value) => tx.put(TABLE, &key, value),
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
    let patterns: Vec<(String, String)> = tx.scan(TABLE, &format!("{cluster}|"));
    let value = patterns
        .into_iter()
        .find(|(key, _)| key.rsplit_once('|').is_some_and(|(_, pattern)| asked.contains(pattern)))
        .map_or_else(|| "0".to_owned(), |(_, value)| value);
    let now = tx.now().as_second();
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<f64>().ok());
    let data = if value.is_empty() {
        json!({"resultType": if range { "matrix" } else { "vector" }, "result": []})
    } else if range {
        #[expect(clippy::cast_possible_truncation, reason = "times of a test world")]
        let (start, end) = (number("start").unwrap_or_default() as i64, number("end").map_or(now, |end| end as i64));
        #[expect(clippy::cast_possible_truncation, reason = "times of a test world")]
        let step = (number("step").unwrap_or(60.0) as i64).max(1);
        let mut samples = Vec::new();
        let mut at = start.max(end.saturating_sub(step.saturating_mul(1_000)));
        while at <= end {
            samples.push(json!([at, value]));
            at = at.saturating_add(step);
        }
        json!({"resultType": "matrix", "result": [{"metric": {}, "values": samples}]})
    } else {
        json!({"resultType": "vector", "result": [{"metric": {}, "value": [now, value]}]})
    };
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    Some(HttpAnswer { status: 200, headers, body: json!({"status": "success", "data": data}).to_string() })
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
