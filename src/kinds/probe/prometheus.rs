//! The probe `prometheus`: an instant query and the bounds of its result. Source: Prometheus' HTTP API, "Instant queries"; the
//! rules for what is empty or not a number are asked for by Argo Rollouts' users, whose conditions leave them open.

use super::{Measurement, namespace, text, timeout, unreached};
use crate::{
    base::Value,
    kinds::Context,
    world::{Class, Endpoint, Failure, HttpAnswer, Outcome, PodRequest},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

pub(super) async fn measure(context: &Context, body: &Value) -> Outcome<Measurement> {
    let invalid = |what: String| Failure::new(Class::Invalid, "verify", context.address.to_string(), what);
    let Some(server) = body.get("server").filter(|s| s.as_map().is_some()) else {
        return Err(invalid("the probe names no prometheus block".to_owned()));
    };
    let path = path(text(server, "path").as_deref().unwrap_or_default(), &text(body, "query").unwrap_or_default());
    let mut headers = BTreeMap::from([("accept".to_owned(), "application/json".to_owned())]);
    if let Some(token) = text(server, "token") {
        headers.insert("authorization".to_owned(), format!("Bearer {token}"));
    }
    let timeout = timeout(context, body, 10);
    let answer = if let Some(url) = text(server, "url") {
        context.http.request("GET", &format!("{}{path}", url.trim_end_matches('/')), &headers, timeout).await
    } else {
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
    };
    match answer {
        Ok(answer) => samples(&answer).map_or_else(
            |wrong| match wrong {
                Wrong::Query(why) => Err(invalid(why)),
                Wrong::Server(why) => Ok(Measurement::of(false, why)),
            },
            |samples| Ok(judge(&Rules::of(body), &samples)),
        ),
        Err(failure) => unreached(failure),
    }
}

/// The path of an instant query.
fn path(before: &str, query: &str) -> String {
    let before = before.trim_matches('/');
    let slash = if before.is_empty() { "" } else { "/" };
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("{slash}{before}/api/v1/query?query={query}")
}

/// One series of a result, at the moment that was asked about.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    /// `{code="500"}`; empty where it has no labels.
    labels: String,
    value: f64,
    /// As the server wrote it.
    written: String,
}

/// Why there are no samples.
#[derive(Debug, PartialEq)]
enum Wrong {
    /// The query itself.
    Query(String),
    /// What answered; it may be right another time.
    Server(String),
}

fn samples(answer: &HttpAnswer) -> Result<Vec<Sample>, Wrong> {
    let Ok(json) = serde_json::from_str::<Json>(&answer.body) else {
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
    let result = &json["data"]["result"];
    match json["data"]["resultType"].as_str() {
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

/// What a result must be.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rules {
    min: Option<f64>,
    max: Option<f64>,
    empty_passes: bool,
    nan_passes: bool,
}

impl Rules {
    fn of(body: &Value) -> Self {
        let number = |name: &str| body.get(name).and_then(Value::to_json).and_then(|n| n.as_f64());
        let passes = |name: &str| body.get(name).and_then(Value::as_str) == Some("pass");
        Self { min: number("min"), max: number("max"), empty_passes: passes("empty"), nan_passes: passes("nan") }
    }

    /// In what a value is wrong.
    fn against(&self, value: f64) -> Option<String> {
        if value.is_nan() {
            return (!self.nan_passes).then(|| "not a number".to_owned());
        }
        if let Some(min) = self.min.filter(|min| value < *min) {
            return Some(format!("less than {min}"));
        }
        self.max.filter(|max| value > *max).map(|max| format!("more than {max}"))
    }
}

/// Every series must pass.
fn judge(rules: &Rules, samples: &[Sample]) -> Measurement {
    let Some(first) = samples.first() else {
        return Measurement::of(rules.empty_passes, "the query has no result");
    };
    let wrong = samples.iter().find_map(|s| Some((s, rules.against(s.value)?)));
    let shown = wrong.as_ref().map_or(first, |(sample, _)| sample);
    let of = if samples.len() > 1 { format!(" (one of {} series)", samples.len()) } else { String::new() };
    let space = if shown.labels.is_empty() { "" } else { " " };
    let found = format!("{}{space}{}{of}", shown.written, shown.labels);
    let said = match &wrong {
        Some((_, why)) => format!("{found} is {why}"),
        None => found,
    };
    Measurement { passed: wrong.is_none(), said, value: Some(shown.written.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NO_RULES: Rules = Rules { min: None, max: None, empty_passes: false, nan_passes: false };

    fn answer(status: u16, body: &Json) -> HttpAnswer {
        HttpAnswer { status, headers: BTreeMap::new(), body: body.to_string() }
    }

    fn vector(values: &[&str]) -> HttpAnswer {
        let series = |(n, value): (usize, &&str)| json!({"metric": {"pod": format!("p{n}")}, "value": [1, value]});
        let result: Vec<Json> = values.iter().enumerate().map(series).collect();
        answer(200, &json!({"status": "success", "data": {"resultType": "vector", "result": result}}))
    }

    fn judged(rules: Rules, values: &[&str]) -> Measurement {
        judge(&rules, &samples(&vector(values)).unwrap())
    }

    #[test]
    fn every_series_lies_between_the_bounds() {
        let rules = Rules { min: Some(0.0), max: Some(0.01), ..NO_RULES };
        assert!(judged(rules, &["0.01", "0"]).passed);
        let high = judged(rules, &["0", "0.2"]);
        assert_eq!(high.said, r#"0.2 {pod="p1"} (one of 2 series) is more than 0.01"#);
        assert_eq!(high.value.as_deref(), Some("0.2"));
        assert!(!judged(rules, &["-1"]).passed);
        assert!(!judged(rules, &["+Inf"]).passed);
        assert!(judged(Rules { min: Some(1.0), ..NO_RULES }, &["+Inf"]).passed);
    }

    #[test]
    fn nothing_and_what_is_no_number_fail_unless_told() {
        assert_eq!(judged(NO_RULES, &[]).said, "the query has no result");
        assert!(!judged(NO_RULES, &[]).passed);
        assert!(judged(Rules { empty_passes: true, ..NO_RULES }, &[]).passed);
        let max = Rules { max: Some(1.0), ..NO_RULES };
        assert_eq!(judged(max, &["NaN"]).said, r#"NaN {pod="p0"} is not a number"#);
        assert!(judged(Rules { nan_passes: true, ..max }, &["NaN"]).passed);
        assert!(!judged(Rules { nan_passes: true, ..max }, &["NaN", "2"]).passed);
    }

    #[test]
    fn a_scalar_is_a_result_and_a_range_is_none() {
        let scalar = json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "4"]}});
        assert_eq!(samples(&answer(200, &scalar)).unwrap()[0].written, "4");
        let range = json!({"status": "success", "data": {"resultType": "matrix", "result": []}});
        assert!(matches!(samples(&answer(200, &range)), Err(Wrong::Query(_))));
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
        assert_eq!(path("", "up == 1"), "/api/v1/query?query=up+%3D%3D+1");
        assert_eq!(path("/prometheus/", "a"), "/prometheus/api/v1/query?query=a");
    }
}
