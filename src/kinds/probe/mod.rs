//! One measurement of one probe: asked once, it passes or says why not. Pace, patience and limits are the executor's.

mod bounds;
mod cloudwatch;
mod compare;
mod condition;
mod http;
mod json_path;
mod prometheus;
mod schema;
mod under_test;

pub use compare::{compare, look_back, looks_back};
pub(super) use schema::PROBES;
pub use under_test::under_test;

use crate::{
    base::{Finding, Secret, Value, parse_duration},
    kinds::{Context, reason},
    world::{Class, Endpoint, Failure, Outcome, PodRequest, Program},
};
use std::{collections::BTreeMap, time::Duration};

/// What one measurement found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Measurement {
    /// What it comes to.
    pub finding: Finding,
    /// What was found: `200 OK`, `1 of 2 pods are ready: ...`.
    pub said: String,
    /// The number, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

impl Measurement {
    fn of(passed: bool, said: impl Into<String>) -> Self {
        Self { finding: Finding::passed_if(passed), said: said.into(), value: None }
    }

    /// Whether it passed; anything else is tried again by plain verification.
    #[must_use]
    pub const fn passed(&self) -> bool {
        matches!(self.finding, Finding::Passed)
    }
}

/// The one probe of a `check` or `verify` body, as an object with one entry: its name and what is written in it.
#[must_use]
pub(super) fn probe_of(body: &Value) -> Value {
    let found = PROBES.iter().find_map(|p| Some((p.name, body.get(p.name).filter(|v| !v.is_null())?.clone())));
    found.map_or(Value::NULL, |(name, inside)| Value::object([(name, inside)]))
}

/// The cluster that a probe names itself, as it is written: that of its server of metrics.
#[must_use]
pub fn probe_cluster(probe: &Value) -> Option<&str> {
    probe.get("prometheus")?.get("server")?.get("kubernetes")?.as_str()
}

/// The account and region that a probe names itself, as it is written: `aws.NAME`.
#[must_use]
pub fn probe_aws(probe: &Value) -> Option<&str> {
    probe.get("cloudwatch")?.get("aws")?.as_str()
}

/// True where a probe cannot be asked without a cluster.
#[must_use]
pub fn probe_needs_cluster(probe: &Value) -> bool {
    let has = |kind: &str, names: &[&str]| {
        probe.get(kind).is_some_and(|inside| names.iter().any(|n| inside.get(n).is_some_and(|v| !v.is_null())))
    };
    probe.get("pods").is_some()
        || probe.get("condition").is_some()
        || has("http", &["service", "selector"])
        || has("tcp", &["service", "selector"])
        || probe.get("prometheus").and_then(|p| p.get("server")?.get("service")).is_some_and(|v| !v.is_null())
}

/// The probe with the namespace of the resource that it belongs to, where it names none: a release's `namespace`, or that of
/// a manifest's object.
#[must_use]
pub fn probe_defaults(probe: &Value, resource: &Value) -> Value {
    let own = resource.get("namespace").filter(|v| !v.is_null());
    let inside = || resource.get("object")?.get("metadata")?.get("namespace");
    let (Some(namespace), Some(entries)) = (own.or_else(inside), probe.as_map()) else { return probe.clone() };
    Value::object(entries.iter().map(|(kind, body)| {
        let takes = matches!(&**kind, "http" | "tcp" | "pods" | "condition") && probe_needs_cluster(probe);
        let body = match body.as_map() {
            Some(fields) if takes && fields.get("namespace").is_none_or(Value::is_null) => {
                let mut fields = (**fields).clone();
                fields.insert("namespace".into(), namespace.clone());
                Value::object(fields)
            }
            _ => body.clone(),
        };
        (kind.clone(), body)
    }))
}

/// Asks a probe once. `probe` is an object with one entry, as `probe_of` makes it, every leaf known.
///
/// What is asked and does not pass is an answer, a connection that is refused included.
///
/// # Errors
/// Where asking itself is wrong or failed: a probe of no kind, a leaf that is not known, an expression or a query that is
/// none, a cluster that does not answer, a program that is missing.
pub async fn probe(context: &Context, probe: &Value) -> Outcome<Measurement> {
    let (kind, body) = known(context, probe)?;
    if let Some((source, bounds)) = compare::numbers(context, kind, body)? {
        return match source.now(context, body).await {
            Ok(found) => bounds
                .judge(&found, None)
                .map_err(|why| Failure::new(Class::Invalid, "verify", context.address.to_string(), why)),
            Err(failure) if is_unreached(&failure) => {
                Ok(Measurement { finding: Finding::Error, said: failure.message, value: None })
            }
            Err(failure) => Err(failure),
        };
    }
    match kind {
        "http" => http::measure(context, body).await,
        "tcp" => tcp(context, body).await,
        "pods" => pods(context, body).await,
        "condition" => condition::measure(context, body).await,
        "command" => command(context, body).await,
        "expression" => Ok(expression(body)),
        "cloudwatch" => match cloudwatch::alarm_misses(body) {
            None => cloudwatch::alarm(context, &cloudwatch::alarm_of(body).unwrap_or_default()).await,
            Some(why) => Err(Failure::new(Class::Invalid, "verify", context.address.to_string(), why)),
        },
        other => {
            Err(Failure::new(Class::Invalid, "verify", context.address.to_string(), format!("`{other}` is no probe")))
        }
    }
}

/// The name of a probe and what is in it, once all of that is known.
fn known<'p>(context: &Context, probe: &'p Value) -> Outcome<(&'p str, &'p Value)> {
    let invalid = |what: &str| Failure::new(Class::Invalid, "verify", context.address.to_string(), what);
    let Some((kind, body)) = probe.as_map().and_then(|m| m.iter().next()) else {
        return Err(invalid("there is no probe in it"));
    };
    if body.has_unknown() || body.has_sealed() {
        return Err(invalid("a part of the probe is not known"));
    }
    Ok((&**kind, body))
}

fn text(body: &Value, name: &str) -> Option<String> {
    body.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn map(body: &Value, name: &str) -> BTreeMap<String, String> {
    let entries = body.get(name).and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    entries.filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned()))).collect()
}

fn timeout(context: &Context, body: &Value, default: u64) -> Duration {
    let given = body.get("timeout").and_then(Value::as_str).and_then(|t| parse_duration(t).ok());
    given.unwrap_or(Duration::from_secs(default)).min(context.time_left().max(Duration::from_secs(1)))
}

fn port(body: &Value) -> u16 {
    body.get("port").and_then(Value::as_i64).and_then(|p| u16::try_from(p).ok()).unwrap_or(80)
}

fn namespace(body: &Value) -> String {
    text(body, "namespace").unwrap_or_else(|| "default".to_owned())
}

fn endpoint(body: &Value) -> Endpoint {
    match text(body, "service") {
        Some(service) => Endpoint::Service(service),
        None => Endpoint::Selector(map(body, "selector")),
    }
}

/// What is asked and does not answer is the answer "no"; anything else is a failure to ask.
fn unreached(failure: Failure) -> Outcome<Measurement> {
    if is_unreached(&failure) { Ok(Measurement::of(false, failure.message)) } else { Err(failure) }
}

const fn is_unreached(failure: &Failure) -> bool {
    matches!(failure.class, Class::Unavailable | Class::TimedOut | Class::NotFound)
}

async fn tcp(context: &Context, body: &Value) -> Outcome<Measurement> {
    let (port, timeout) = (port(body), timeout(context, body, 10));
    let done = if let Some(host) = text(body, "host") {
        context.http.connect(&host, port, timeout).await
    } else {
        let request = PodRequest {
            namespace: namespace(body),
            endpoint: endpoint(body),
            port,
            path: String::new(),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            timeout,
        };
        context.cluster()?.kubernetes.pod_request(&request).await.map(drop)
    };
    done.map(|()| Measurement::of(true, format!("port {port} takes connections"))).or_else(unreached)
}

async fn pods(context: &Context, body: &Value) -> Outcome<Measurement> {
    let (namespace, selector) = (namespace(body), map(body, "selector"));
    let wanted = body.get("min_ready").and_then(Value::as_i64).unwrap_or(1);
    let kubernetes = &context.cluster()?.kubernetes;
    let pods = context.patiently(|| kubernetes.list("v1", "Pod", Some(&namespace), &selector)).await?;
    let ready =
        pods.iter().filter(|pod| reason::is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null()).count();
    let ready = i64::try_from(ready).unwrap_or(i64::MAX);
    let found = format!("{ready} of at least {wanted} pods are ready");
    if ready >= wanted {
        return Ok(Measurement::of(true, found));
    }
    Ok(Measurement::of(
        false,
        match reason::of_pods(context, &namespace, &selector).await {
            Some(why) => format!("{found}; {why}"),
            None if pods.is_empty() => format!("{found}; no pod in {namespace} has these labels"),
            None => found,
        },
    ))
}

async fn command(context: &Context, body: &Value) -> Outcome<Measurement> {
    let argv: Vec<String> = body
        .get("program")
        .and_then(Value::as_seq)
        .into_iter()
        .flat_map(|s| s.iter())
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    let program = Program {
        argv,
        directory: text(body, "working_dir").unwrap_or_else(|| ".".to_owned()),
        environment: map(body, "environment").into_iter().map(|(k, v)| (k, Secret::new(v))).collect(),
        stdin: Secret::new(String::new()),
        timeout: timeout(context, body, 30),
    };
    let end = match context.command.run(&program).await {
        Ok(end) => end,
        Err(failure) if failure.class == Class::TimedOut => return Ok(Measurement::of(false, failure.message)),
        Err(failure) => return Err(failure),
    };
    let line = |text: &str| text.trim_end().lines().last().unwrap_or_default().to_owned();
    let said = if end.code == Some(0) {
        line(&end.stdout)
    } else {
        line(if end.stderr.trim().is_empty() { &end.stdout } else { &end.stderr })
    };
    let code = end.code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"));
    let said = if said.is_empty() { code } else { format!("{code}: {said}") };
    // Somebody else ended it: it said nothing of what it asks about.
    let finding = if end.code.is_none() { Finding::Error } else { Finding::passed_if(end.code == Some(0)) };
    Ok(Measurement { finding, said, value: None })
}

fn expression(body: &Value) -> Measurement {
    if body.get("condition").and_then(Value::as_bool) == Some(true) {
        Measurement::of(true, "holds")
    } else {
        Measurement::of(false, text(body, "error_message").unwrap_or_else(|| "does not hold".to_owned()))
    }
}

#[cfg(test)]
mod tests;
