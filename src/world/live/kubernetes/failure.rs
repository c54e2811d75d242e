//! From the API server's answers to classes. Source: "Kubernetes API Concepts", and the reasons of
//! k8s.io/apimachinery/pkg/apis/meta/v1.

use crate::world::{
    Class, Failure,
    live::aws::{cause, chain, find, plain},
};
use http::StatusCode;
use serde_json::Value as Json;
use std::time::Duration;

/// What a server says of an object that it cannot read as one of its type, as an internal error or without a reason.
const UNREADABLE: [&str; 5] = [
    "failed to create typed",
    "field not declared in schema",
    "failed to convert new object",
    "unable to convert unstructured object",
    "error decoding from json",
];

/// What a call is: as the sandbox and IAM-like messages name it, and about what.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// `kubernetes:Apply`.
    pub(super) operation: &'static str,
    /// `Deployment shop/web`.
    pub(super) subject: String,
}

impl Call {
    /// A call about something.
    pub(super) fn new(operation: &'static str, subject: impl Into<String>) -> Self {
        Self { operation, subject: subject.into() }
    }

    /// A failure of it.
    pub(super) fn failure(&self, class: Class, message: impl Into<String>) -> Failure {
        Failure::new(class, self.operation, self.subject.clone(), message)
    }
}

/// An answer that is no success.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// The `Status` object; null where the body is none.
    pub(super) said: Json,
    /// The body as text on one line, where it is no `Status`.
    pub(super) text: String,
}

impl Refused {
    /// Reads an answer.
    pub(super) fn new(status: StatusCode, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let said = serde_json::from_slice::<Json>(body).ok().filter(|b| b["kind"] == "Status").unwrap_or_default();
        let header = headers.get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let seconds = header.or_else(|| said["details"]["retryAfterSeconds"].as_u64()).filter(|s| *s > 0);
        let text = if said.is_null() { plain(&String::from_utf8_lossy(body)) } else { String::new() };
        Self { status, retry_after: seconds.map(Duration::from_secs), said, text }
    }

    /// The server's own words.
    pub(super) fn message(&self) -> &str {
        self.said["message"].as_str().filter(|m| !m.is_empty()).unwrap_or(&self.text)
    }

    fn reason(&self) -> &str {
        self.said["reason"].as_str().unwrap_or_default()
    }

    fn has_cause(&self, reason: &str) -> bool {
        self.said["details"]["causes"].as_array().is_some_and(|all| all.iter().any(|c| c["reason"] == reason))
    }

    /// True where the very same request may be sent again after a while. What has not been begun: too many requests, or a
    /// server that is about to go.
    pub(super) fn passes(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.retry_after.is_some() && self.status.is_server_error())
            || (self.status == StatusCode::SERVICE_UNAVAILABLE && self.said.is_null())
    }

    /// True where the object is not there, by an API server's own word.
    pub(super) fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
            && (self.reason() == "NotFound" || (self.said.is_null() && self.text.starts_with("404 page not found")))
    }

    /// True where a list's or watch's place in time is forgotten.
    pub(super) fn is_expired(&self) -> bool {
        self.status == StatusCode::GONE || matches!(self.reason(), "Expired" | "Gone")
    }

    /// What it means.
    pub(super) fn failure(&self, call: &Call) -> Failure {
        if self.said.is_null() && !self.is_absent() {
            return self.no_answer_of_a_cluster(call);
        }
        let (class, hint) = self.classify();
        let message = match self.message() {
            "" => format!("HTTP {}", self.status.as_u16()),
            message => message.to_owned(),
        };
        let failure = call.failure(class, message);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    fn classify(&self) -> (Class, Option<&'static str>) {
        let message = self.message();
        let within = |part: &str| message.contains(part);
        // A webhook chooses the code itself; it is no matter of the caller's rights.
        if within("denied the request") || within("denied request:") {
            return (Class::Invalid, Some("an admission webhook or policy of the cluster refuses it: mend the object"));
        }
        if self.has_cause("NamespaceTerminating") || within("because it is being terminated") {
            let hint = "the namespace is going away: wait until it is gone; `kubectl get namespace -o yaml` of it says what holds it";
            return (Class::Conflict, Some(hint));
        }
        match self.reason() {
            "Unauthorized" => (
                Class::Denied,
                Some(
                    "the cluster does not know the caller, or the credentials have run out: log in again; on EKS the caller \
                     needs an access entry",
                ),
            ),
            "Forbidden" if within("exceeded quota") || within("is forbidden: maximum") => (Class::Limit, None),
            "Forbidden" if within("violates PodSecurity") => {
                (Class::Invalid, Some("the namespace's Pod Security level refuses it"))
            }
            "Forbidden" => (
                Class::Denied,
                Some(
                    "allow it in a Role or ClusterRole that is bound to the caller; docs/kubernetes.md has those that are needed",
                ),
            ),
            "NotFound" => (Class::NotFound, None),
            "AlreadyExists" => (Class::AlreadyExists, None),
            "Conflict" => (Class::Conflict, None),
            "Invalid" | "BadRequest" | "NotAcceptable" => (Class::Invalid, None),
            "MethodNotAllowed" | "UnsupportedMediaType" => (
                Class::Unsupported,
                Some("this server does not have the operation: server-side apply needs Kubernetes 1.22"),
            ),
            "RequestEntityTooLarge" => (Class::Limit, Some("an object of a cluster holds 1.5 MiB at most")),
            "TooManyRequests" => (Class::Throttled, None),
            "Timeout" | "ServerTimeout" => (Class::Unavailable, None),
            // What cannot be read as an object of its type is told as an internal error.
            "InternalError" | "" if UNREADABLE.into_iter().any(within) => (Class::Invalid, None),
            "InternalError" if within("failed calling webhook") => (
                Class::Unavailable,
                Some("a webhook of the cluster does not answer: see whether the pods behind it are ready"),
            ),
            _ => match self.status.as_u16() {
                401 | 403 => (Class::Denied, None),
                404 => (Class::NotFound, None),
                405 | 415 => (Class::Unsupported, None),
                409 => (Class::Conflict, None),
                429 => (Class::Throttled, None),
                500.. => (Class::Unavailable, None),
                _ => (Class::Invalid, None),
            },
        }
    }

    /// A page of a proxy, or another server than a cluster's.
    fn no_answer_of_a_cluster(&self, call: &Call) -> Failure {
        let status = self.status.as_u16();
        let shown = if self.text.is_empty() { String::new() } else { format!(": {}", self.text) };
        let (class, hint) = match status {
            429 => (Class::Throttled, None),
            502..=504 => (Class::Unavailable, None),
            401 => (Class::Denied, Some("the credentials are not known there, or have run out")),
            403 | 407 => {
                (Class::Denied, Some("no answer of a cluster's own: a proxy or gateway on the way may refuse"))
            }
            _ => (Class::Unsupported, Some("check the cluster's address, HTTPS_PROXY and NO_PROXY")),
        };
        let what = format!("HTTP {status}, which is no answer of a Kubernetes API server{shown}");
        let failure = call.failure(class, what);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// A request that was not sent, or whose answer never came.
pub(super) fn unsent(call: &Call, server: &str, error: kube::Error) -> Failure {
    let error: Box<dyn std::error::Error + Send + Sync> = match error {
        kube::Error::Service(inner) => inner,
        other => Box::new(other),
    };
    if let Some(own) = cause(&*error) {
        return own;
    }
    let (own, causes) = (error.to_string(), chain(&*error));
    let said = if causes.contains(&own) || own.contains(&causes) { causes } else { format!("{own}: {causes}") };
    let kind = find::<std::io::Error>(&*error).map(std::io::Error::kind);
    if said.contains("certificate") {
        return call.failure(Class::Invalid, format!("{server} shows a certificate that is not trusted: {said}")).hint(
            "the cluster's CA belongs into certificate-authority-data of the kubeconfig; beside an EKS cluster's own CA that \
             of a proxy may stand in AWS_CA_BUNDLE; a name that does not match needs tls-server-name",
        );
    }
    if matches!(find::<kube::Error>(&*error), Some(kube::Error::Auth(_))) || said.contains("auth exec") {
        return call
            .failure(Class::Denied, format!("there are no credentials for {server}: {said}"))
            .hint("run the kubeconfig's own login or exec plugin by hand and see what it says");
    }
    let timed_out = kind == Some(std::io::ErrorKind::TimedOut) || said.contains("timed out");
    let class = if timed_out { Class::TimedOut } else { Class::Unavailable };
    call.failure(class, format!("{server} cannot be reached: {said}"))
        .hint("see whether the cluster runs and lets this network in, and check HTTPS_PROXY and NO_PROXY")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &Json) -> Failure {
        raw(status, body.to_string().as_bytes())
    }

    fn raw(status: u16, body: &[u8]) -> Failure {
        let refused = Refused::new(StatusCode::from_u16(status).unwrap(), &http::HeaderMap::new(), body);
        refused.failure(&Call::new("kubernetes:Apply", "Deployment shop/web"))
    }

    fn status(reason: &str, message: &str) -> Json {
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message})
    }

    #[test]
    fn each_reason_has_its_class() {
        for (code, reason, message, class) in [
            (
                403,
                "Forbidden",
                "deployments.apps \"web\" is forbidden: User \"ada\" cannot patch resource \"deployments\"",
                Class::Denied,
            ),
            (403, "Forbidden", "pods \"x\" is forbidden: exceeded quota: q", Class::Limit),
            (403, "Forbidden", "admission webhook \"v.x\" denied the request: no", Class::Invalid),
            (
                403,
                "Forbidden",
                "unable to create new content in namespace a because it is being terminated",
                Class::Conflict,
            ),
            (401, "Unauthorized", "Unauthorized", Class::Denied),
            (404, "NotFound", "namespaces \"a\" not found", Class::NotFound),
            (409, "Conflict", "Apply failed with 1 conflict: conflict with \"helm\": .spec.replicas", Class::Conflict),
            (422, "Invalid", "Deployment.apps \"web\" is invalid: spec.selector: field is immutable", Class::Invalid),
            (
                500,
                "InternalError",
                "failed to create typed patch object: .spec.foo: field not declared in schema",
                Class::Invalid,
            ),
            (500, "InternalError", "Internal error occurred: failed calling webhook \"x\"", Class::Unavailable),
            (500, "InternalError", "etcdserver: leader changed", Class::Unavailable),
            (429, "TooManyRequests", "too many", Class::Throttled),
            (413, "RequestEntityTooLarge", "limit is 3145728", Class::Limit),
        ] {
            let failure = answer(code, &status(reason, message));
            assert_eq!((failure.class, failure.message.as_str()), (class, message));
        }
    }

    #[test]
    fn a_page_is_no_answer_of_a_cluster() {
        let failure = raw(403, b"<html><body><h1>Blocked</h1> by policy</body></html>");
        assert_eq!(failure.class, Class::Denied);
        assert!(failure.message.contains("no answer of a Kubernetes API server: Blocked by policy"), "{failure}");
        assert_eq!(raw(503, b"<b>down</b>").class, Class::Unavailable);
        assert_eq!(raw(404, b"<b>nothing here</b>").class, Class::Unsupported);
    }

    #[test]
    fn only_an_api_server_can_say_that_an_object_is_absent() {
        let absent = |status: u16, body: &[u8]| {
            Refused::new(StatusCode::from_u16(status).unwrap(), &http::HeaderMap::new(), body).is_absent()
        };
        assert!(absent(404, status("NotFound", "x").to_string().as_bytes()));
        assert!(absent(404, b"404 page not found\n"));
        assert!(!absent(404, b"<html>nothing here</html>") && !absent(503, b""));
    }
}
