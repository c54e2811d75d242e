//! The probe `http`: a request to a URL from here, or to a pod through the API server, and what its answer must be.

use super::{Measurement, endpoint, json_path, map, namespace, port, text, timeout, unreached};
use crate::{
    base::Value,
    kinds::Context,
    world::{HttpAnswer, Outcome, PodRequest},
};
use serde_json::Value as Json;

pub(super) async fn measure(context: &Context, body: &Value) -> Outcome<Measurement> {
    let method = text(body, "method").unwrap_or_else(|| "GET".to_owned());
    let (headers, timeout) = (map(body, "headers"), timeout(context, body, 10));
    let answer = if let Some(url) = text(body, "url") {
        context.http.request(&method, &url, &headers, timeout).await
    } else {
        let path = text(body, "path").unwrap_or_else(|| "/".to_owned());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let request = PodRequest {
            namespace: namespace(body),
            endpoint: endpoint(body),
            port: port(body),
            path,
            method,
            headers,
            timeout,
        };
        context.cluster()?.kubernetes.pod_request(&request).await
    };
    match answer {
        Ok(answer) => Ok(judge(body, &answer)),
        Err(failure) => unreached(failure),
    }
}

/// Whether an answer passes, and in what it does not.
fn judge(body: &Value, answer: &HttpAnswer) -> Measurement {
    let status = i64::from(answer.status);
    let wanted: Vec<i64> = match body.get("status") {
        Some(one) if one.as_i64().is_some() => one.as_i64().into_iter().collect(),
        Some(many) => many.as_seq().into_iter().flat_map(|s| s.iter()).filter_map(Value::as_i64).collect(),
        None => Vec::new(),
    };
    let passed = if wanted.is_empty() { (200..300).contains(&status) } else { wanted.contains(&status) };
    let fail = |why: String| Measurement::of(false, format!("status {status}{why}"));
    if !passed {
        let line = answer.body.trim().lines().next().unwrap_or_default();
        let line: String = line.chars().take(120).collect();
        return fail(if line.is_empty() { String::new() } else { format!(": {line}") });
    }
    if let Some(part) = text(body, "body_contains")
        && !answer.body.contains(&part)
    {
        return fail(format!(", but the body does not contain {part:?}"));
    }
    if let Some(pattern) = text(body, "body_matches") {
        match regex::Regex::new(&pattern) {
            Ok(regex) if regex.is_match(&answer.body) => {}
            Ok(_) => return fail(format!(", but the body does not match {pattern:?}")),
            Err(error) => return fail(format!(", and {pattern:?} is no regular expression: {error}")),
        }
    }
    for (name, wanted) in map(body, "response_headers") {
        match answer.headers.get(&name.to_lowercase()) {
            Some(found) if *found == wanted => {}
            Some(found) => return fail(format!(", but the header {name} is {found:?} and not {wanted:?}")),
            None => return fail(format!(", but there is no header {name}")),
        }
    }
    if let Some(way) = text(body, "json_path") {
        let Ok(json) = serde_json::from_str::<Json>(&answer.body) else {
            return fail(format!(", but the body is no JSON, so it has no {way}"));
        };
        let wanted = body.get("json_value").filter(|v| !v.is_null()).and_then(Value::to_json);
        if let Err(why) = json_path::holds(&json, &way, wanted.as_ref()) {
            return fail(format!(", but {why}"));
        }
    }
    Measurement::of(true, format!("status {status}"))
}

/// Reads a regular expression, without asking anything by it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn is_regex(pattern: &str) -> Result<(), String> {
    regex::Regex::new(pattern).map(drop).map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn judged(body: &Json, status: u16, text: &str) -> Measurement {
        judge(&Value::from_json(body), &HttpAnswer { status, headers: BTreeMap::new(), body: text.into() })
    }

    #[test]
    fn any_status_of_the_two_hundreds_passes_unless_told() {
        assert!(judged(&json!({}), 204, "").passed());
        assert_eq!(judged(&json!({}), 503, "upstream\nmore").said, "status 503: upstream");
        assert!(judged(&json!({"status": 401}), 401, "").passed());
        assert!(judged(&json!({"status": [200, 302]}), 302, "").passed());
        assert!(!judged(&json!({"status": [200, 302]}), 204, "").passed());
    }

    #[test]
    fn the_body_is_looked_at_where_it_is_asked_for() {
        let text = r#"{"data": {"items": [{"state": "ok"}]}}"#;
        assert!(judged(&json!({"json_path": "data.items[0].state", "json_value": "ok"}), 200, text).passed());
        assert!(judged(&json!({"json_path": "$.data.items"}), 200, text).passed());
        assert!(!judged(&json!({"json_path": "data.items[0].state", "json_value": "no"}), 200, text).passed());
        assert!(!judged(&json!({"json_path": "data.none"}), 200, text).passed());
        assert!(!judged(&json!({"json_path": "data"}), 200, "<html>").passed());
        assert!(judged(&json!({"body_contains": "items", "body_matches": "st.te"}), 200, text).passed());
        assert!(!judged(&json!({"body_matches": "("}), 200, text).passed());
    }

    #[test]
    fn a_header_must_be_there_and_be_what_is_asked() {
        let headers = BTreeMap::from([("content-type".to_owned(), "text/html".to_owned())]);
        let answer = HttpAnswer { status: 200, headers, body: String::new() };
        let judged = |json: &Json| judge(&Value::from_json(json), &answer);
        assert!(judged(&json!({"response_headers": {"Content-Type": "text/html"}})).passed());
        let other = judged(&json!({"response_headers": {"Content-Type": "text/plain"}})).said;
        assert_eq!(other, r#"status 200, but the header Content-Type is "text/html" and not "text/plain""#);
        assert!(!judged(&json!({"response_headers": {"x-none": ""}})).passed());
    }
}
