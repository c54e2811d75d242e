//! The probe `prometheus`: a query and the bounds of its result, now or over a range of time that is past. Source: Prometheus'
//! HTTP API, "Instant queries" and "Range queries".

use super::{bounds::Sample, compare::Span, namespace, text, timeout};
use crate::{
    base::Value,
    kinds::Context,
    world::{Class, Endpoint, Failure, HttpAnswer, Outcome, PodRequest},
};
use jiff::Timestamp;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Prometheus refuses more than 11,000 steps in one query.
const STEPS_AT_ONCE: usize = 10_000;

/// The numbers of this moment.
///
/// # Errors
/// [`Class::Invalid`]: a query that is none. [`Class::Unavailable`] and others: a server that does not answer as it should.
pub(super) async fn now(context: &Context, body: &Value) -> Outcome<Vec<Sample>> {
    let answer = ask(context, body, "query", &[]).await?;
    samples(&answer).map_err(|wrong| wrong.told(context))
}

/// The numbers of each moment of a span; none where there were none.
///
/// # Errors
/// As [`now`].
pub(super) async fn then(context: &Context, body: &Value, span: &Span) -> Outcome<Vec<Vec<Sample>>> {
    let times = span.times();
    let mut found: BTreeMap<i64, Vec<Sample>> = BTreeMap::new();
    for part in times.chunks(STEPS_AT_ONCE) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { break };
        let step = format!("{}.{:03}", span.every.as_secs(), span.every.subsec_millis());
        let range = [("start", seconds(*first)), ("end", seconds(*last)), ("step", step)];
        let answer = ask(context, body, "query_range", &range).await?;
        for (at, sample) in matrix(&answer).map_err(|wrong| wrong.told(context))? {
            found.entry(at).or_default().push(sample);
        }
    }
    Ok(times.iter().map(|at| found.remove(&at.as_millisecond()).unwrap_or_default()).collect())
}

fn invalid(context: &Context, why: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, "verify", context.address.to_string(), why)
}

async fn ask(context: &Context, body: &Value, endpoint: &str, more: &[(&str, String)]) -> Outcome<HttpAnswer> {
    let Some(server) = body.get("server").filter(|s| s.as_map().is_some()) else {
        return Err(invalid(context, "the probe names no prometheus block"));
    };
    let query = text(body, "query").unwrap_or_default();
    let path = path(text(server, "path").as_deref().unwrap_or_default(), endpoint, &query, more);
    let mut headers = BTreeMap::from([("accept".to_owned(), "application/json".to_owned())]);
    if let Some(token) = text(server, "token") {
        headers.insert("authorization".to_owned(), format!("Bearer {token}"));
    }
    let timeout = timeout(context, body, 10);
    if let Some(url) = text(server, "url") {
        return context.http.request("GET", &format!("{}{path}", url.trim_end_matches('/')), &headers, timeout).await;
    }
    let request = PodRequest {
        namespace: namespace(server),
        endpoint: Endpoint::Service(text(server, "service").unwrap_or_default()),
        port: super::port(server),
        path,
        method: "GET".to_owned(),
        headers,
        timeout,
    };
    context.cluster()?.kubernetes.pod_request(&request).await
}

/// The path of a query.
fn path(before: &str, endpoint: &str, query: &str, more: &[(&str, String)]) -> String {
    let before = before.trim_matches('/');
    let slash = if before.is_empty() { "" } else { "/" };
    let mut asked = form_urlencoded::Serializer::new(String::new());
    asked.append_pair("query", query);
    for (name, value) in more {
        asked.append_pair(name, value);
    }
    format!("{slash}{before}/api/v1/{endpoint}?{}", asked.finish())
}

/// A moment as the API takes it.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_millisecond();
    format!("{}.{:03}", millis.div_euclid(1_000), millis.rem_euclid(1_000))
}

/// Why there are no samples.
#[derive(Debug, PartialEq)]
enum Wrong {
    /// The query itself.
    Query(String),
    /// What answered; it may be right another time.
    Server(String),
}

impl Wrong {
    fn told(self, context: &Context) -> Failure {
        match self {
            Self::Query(why) => invalid(context, why),
            Self::Server(why) => Failure::new(Class::Unavailable, "verify", context.address.to_string(), why),
        }
    }
}

/// The `data` of an answer.
fn data(answer: &HttpAnswer) -> Result<Json, Wrong> {
    let Ok(mut json) = serde_json::from_str::<Json>(&answer.body) else {
        let what = format!("status {}, and not the JSON of Prometheus: is this its address?", answer.status);
        return Err(Wrong::Server(what));
    };
    if json["status"] == "error" {
        let why = format!("{}: {}", word(&json["errorType"]), word(&json["error"]));
        return Err(if json["errorType"] == "bad_data" { Wrong::Query(why) } else { Wrong::Server(why) });
    }
    if !(200..300).contains(&answer.status) || json["status"] != "success" {
        return Err(Wrong::Server(format!("status {}, and no result of Prometheus", answer.status)));
    }
    Ok(json["data"].take())
}

fn samples(answer: &HttpAnswer) -> Result<Vec<Sample>, Wrong> {
    let data = data(answer)?;
    let result = &data["result"];
    match data["resultType"].as_str() {
        Some("scalar") => Ok(sample(&Json::Null, result).into_iter().collect()),
        Some("vector") => {
            Ok(result.as_array().into_iter().flatten().filter_map(|s| sample(&s["metric"], &s["value"])).collect())
        }
        other => Err(Wrong::Query(format!(
            "the result is a {}, and one number a series is needed: ask for a rate, a sum or the like",
            other.unwrap_or("thing without a type")
        ))),
    }
}

/// The samples of a range, each with its moment in milliseconds.
fn matrix(answer: &HttpAnswer) -> Result<Vec<(i64, Sample)>, Wrong> {
    let data = data(answer)?;
    if data["resultType"] != "matrix" {
        return Err(Wrong::Server("no range came back for a query over a range".to_owned()));
    }
    let series = data["result"].as_array().into_iter().flatten();
    let values = series.flat_map(|s| s["values"].as_array().into_iter().flatten().map(|pair| (&s["metric"], pair)));
    #[expect(clippy::cast_possible_truncation, reason = "a time of the API is a number of seconds")]
    let millis = |pair: &Json| pair[0].as_f64().map(|seconds| (seconds * 1_000.0).round() as i64);
    Ok(values.filter_map(|(labels, pair)| Some((millis(pair)?, sample(labels, pair)?))).collect())
}

fn sample(labels: &Json, pair: &Json) -> Option<Sample> {
    let written = pair[1].as_str()?.to_owned();
    // Prometheus writes NaN, +Inf and -Inf, which Rust reads.
    let value = written.parse().ok()?;
    let labels: Vec<String> =
        labels.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={:?}", v.as_str().unwrap_or("?"))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(", ")) };
    Some(Sample { labels, value, written })
}

fn word(json: &Json) -> &str {
    json.as_str().unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: &Json) -> HttpAnswer {
        HttpAnswer { status, headers: BTreeMap::new(), body: body.to_string() }
    }

    #[test]
    fn each_series_of_a_vector_is_a_sample_with_its_labels() {
        let result = json!([{"metric": {"pod": "p0"}, "value": [1, "NaN"]}, {"metric": {}, "value": [1, "+Inf"]}]);
        let found = answer(200, &json!({"status": "success", "data": {"resultType": "vector", "result": result}}));
        let found = samples(&found).unwrap();
        assert_eq!((found[0].labels.as_str(), found[0].written.as_str()), (r#"{pod="p0"}"#, "NaN"));
        assert_eq!((found[1].labels.as_str(), found[1].value), ("", f64::INFINITY));
    }

    #[test]
    fn a_scalar_is_a_result_and_a_range_is_none() {
        let scalar = json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "4"]}});
        assert_eq!(samples(&answer(200, &scalar)).unwrap()[0].written, "4");
        let range = json!({"status": "success", "data": {"resultType": "matrix", "result": []}});
        assert!(matches!(samples(&answer(200, &range)), Err(Wrong::Query(_))));
    }

    #[test]
    fn the_samples_of_a_range_have_their_moments() {
        let result = json!([{"metric": {}, "values": [[1.5, "1"], [2, "NaN"]]}]);
        let found = answer(200, &json!({"status": "success", "data": {"resultType": "matrix", "result": result}}));
        let found: Vec<(i64, String)> = matrix(&found).unwrap().into_iter().map(|(at, s)| (at, s.written)).collect();
        assert_eq!(found, [(1_500, "1".to_owned()), (2_000, "NaN".to_owned())]);
        let vector = json!({"status": "success", "data": {"resultType": "vector", "result": []}});
        assert!(matches!(matrix(&answer(200, &vector)), Err(Wrong::Server(_))));
    }

    #[test]
    fn a_query_that_is_wrong_is_told_apart_from_a_server_that_is() {
        let bad = json!({"status": "error", "errorType": "bad_data", "error": "1:3: parse error"});
        assert_eq!(samples(&answer(400, &bad)), Err(Wrong::Query("bad_data: 1:3: parse error".into())));
        let slow = json!({"status": "error", "errorType": "timeout", "error": "query timed out"});
        assert_eq!(samples(&answer(503, &slow)), Err(Wrong::Server("timeout: query timed out".into())));
        let html = HttpAnswer { status: 502, headers: BTreeMap::new(), body: "<html>".into() };
        assert!(matches!(samples(&html), Err(Wrong::Server(why)) if why.contains("502")));
    }

    #[test]
    fn a_query_is_part_of_a_path() {
        assert_eq!(path("", "query", "up == 1", &[]), "/api/v1/query?query=up+%3D%3D+1");
        let range = [("start", seconds(Timestamp::from_millisecond(-1_500).unwrap())), ("step", "5.000".to_owned())];
        assert_eq!(
            path("/prometheus/", "query_range", "a", &range),
            "/prometheus/api/v1/query_range?query=a&start=-2.500&step=5.000"
        );
    }
}
