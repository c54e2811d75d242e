//! A request to a pod, over a stream that the API server forwards: real HTTP, from here to a port in the cluster.

use super::{api::Api, failure::Call};
use crate::world::{Class, Endpoint, Failure, HttpAnswer, Kubernetes as _, ObjectRef, Outcome, PodRequest};
use futures::TryStreamExt as _;
use http::Request;
use http_body_util::{BodyDataStream, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api as Pods;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What of an answer's body is kept.
const BODY_LIMIT: usize = 1 << 20;

/// Sends a request to a ready pod.
pub(super) async fn send(api: &Api, request: &PodRequest) -> Outcome<HttpAnswer> {
    let what = match &request.endpoint {
        Endpoint::Service(name) => name.clone(),
        Endpoint::Selector(labels) => written(labels),
    };
    let call = Call::new("kubernetes:GetPodProxy", format!("{}/{what}", request.namespace));
    let exchange = async {
        let target = target(api, request, &call).await?;
        exchange(api, request, &target, &call).await
    };
    tokio::time::timeout(request.timeout, exchange).await.unwrap_or_else(|_| {
        let within = crate::base::format_duration(request.timeout);
        Err(call.failure(Class::TimedOut, format!("no answer within {within}")))
    })
}

/// A pod and its port.
struct Target {
    pod: String,
    port: u16,
}

async fn target(api: &Api, request: &PodRequest, call: &Call) -> Outcome<Target> {
    let namespace = &request.namespace;
    let (labels, port) = match &request.endpoint {
        Endpoint::Selector(labels) => (labels.clone(), Port::Number(request.port)),
        Endpoint::Service(name) => {
            let reference = ObjectRef {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                namespace: Some(namespace.clone()),
                name: name.clone(),
            };
            let service = api.get(&reference).await?;
            let service = service.ok_or_else(|| {
                call.failure(Class::NotFound, format!("there is no service {name} in the namespace {namespace}"))
            })?;
            (selector(&service, call)?, behind(&service, request.port, call)?)
        }
    };
    let pods = api.list("v1", "Pod", Some(namespace), &labels).await?;
    let ready = pods.iter().find(|pod| is_ready(pod)).ok_or_else(|| {
        let (all, labels) = (pods.len(), written(&labels));
        let what = if all == 0 {
            format!("there are no pods with the labels {labels}")
        } else {
            format!("none of the {all} pods with the labels {labels} is ready")
        };
        call.failure(Class::Unavailable, what)
    })?;
    let pod = ready["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let port = match port {
        Port::Number(port) => port,
        Port::Name(name) => named(ready, &name)
            .ok_or_else(|| call.failure(Class::Unavailable, format!("the pod {pod} has no port named {name}")))?,
    };
    Ok(Target { pod, port })
}

/// A port of a pod.
enum Port {
    Number(u16),
    Name(String),
}

fn selector(service: &Json, call: &Call) -> Outcome<BTreeMap<String, String>> {
    let labels: BTreeMap<String, String> = service["spec"]["selector"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect();
    if labels.is_empty() {
        let what = "the service selects no pods, so there is none to ask";
        return Err(call.failure(Class::Invalid, what).hint("name the pods by their labels: selector = { ... }"));
    }
    Ok(labels)
}

/// The pod's port behind a service's.
fn behind(service: &Json, port: u16, call: &Call) -> Outcome<Port> {
    let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(found) = ports.iter().find(|p| p["port"].as_u64() == Some(u64::from(port))) else {
        let has: Vec<String> = ports.iter().map(|p| p["port"].to_string()).collect();
        let what = format!("the service has no port {port}");
        return Err(call.failure(Class::Invalid, what).hint(format!("it has {}", has.join(", "))));
    };
    Ok(match &found["targetPort"] {
        Json::String(name) => Port::Name(name.clone()),
        number => Port::Number(number.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(port)),
    })
}

fn named(pod: &Json, name: &str) -> Option<u16> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    ports.filter(|p| p["name"] == name).find_map(|p| u16::try_from(p["containerPort"].as_u64()?).ok())
}

fn is_ready(pod: &Json) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && pod["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

async fn exchange(api: &Api, request: &PodRequest, target: &Target, call: &Call) -> Outcome<HttpAnswer> {
    let met = api.0.met().await?;
    let pods: Pods<Pod> = Pods::namespaced(met.client.clone(), &request.namespace);
    let broken =
        |why: String| call.failure(Class::Unavailable, format!("pod {}, port {}: {why}", target.pod, target.port));
    let mut forward = pods.portforward(&target.pod, &[target.port]).await.map_err(|e| refused(call, &met.server, e))?;
    let stream = forward.take_stream(target.port).ok_or_else(|| broken("no stream".to_owned()))?;
    let failed = forward.take_error(target.port);
    let answer = async {
        if request.path.is_empty() {
            return connected(stream, failed).await.map_err(&broken);
        }
        http(stream, request).await.map_err(&broken)
    };
    let answer = answer.await;
    forward.abort();
    answer
}

/// A failed upgrade of the connection, in the server's own words where it has any.
fn refused(call: &Call, server: &str, error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => {
            let status_code = http::StatusCode::from_u16(status.code).unwrap_or(http::StatusCode::BAD_GATEWAY);
            let body = serde_json::json!({"kind": "Status", "reason": status.reason, "message": status.message});
            super::failure::Refused::new(status_code, &http::HeaderMap::new(), body.to_string().as_bytes())
                .failure(call)
        }
        other => super::failure::unsent(call, server, other),
    }
}

/// A bare connection: the server says where the pod refuses it, and nothing where it takes it.
async fn connected(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    failed: Option<impl Future<Output = Option<String>>>,
) -> Result<HttpAnswer, String> {
    use tokio::io::AsyncReadExt as _;
    /// How long a refusal takes to come back.
    const REFUSAL: std::time::Duration = std::time::Duration::from_millis(500);
    let open = HttpAnswer { status: 0, headers: BTreeMap::new(), body: String::new() };
    let Some(failed) = failed else { return Ok(open) };
    let mut byte = [0; 1];
    tokio::select! {
        said = failed => match said {
            Some(why) if !why.is_empty() => Err(why),
            _ => Err("the connection was closed".to_owned()),
        },
        read = stream.read(&mut byte) => match read {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) => Ok(open),
            Err(e) => Err(e.to_string()),
        },
        () = super::cluster::rest(REFUSAL) => Ok(open),
    }
}

async fn http(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: &PodRequest,
) -> Result<HttpAnswer, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| told(&e))?;
    let driving = tokio::spawn(connection);
    let host = match &request.endpoint {
        Endpoint::Service(name) => format!("{name}.{}.svc:{}", request.namespace, request.port),
        Endpoint::Selector(_) => format!("localhost:{}", request.port),
    };
    let method = if request.method.is_empty() { "GET" } else { &request.method };
    let mut built = Request::builder().method(method).uri(&request.path);
    if !request.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        built = built.header("host", host);
    }
    for (name, value) in &request.headers {
        built = built.header(name, value);
    }
    let built = built.header("connection", "close").body(Empty::<hyper::body::Bytes>::new());
    let exchange = async {
        let response = sender.send_request(built.map_err(|e| e.to_string())?).await.map_err(|e| told(&e))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let mut chunks = BodyDataStream::new(response.into_body());
        let mut body = Vec::new();
        while let Some(chunk) = chunks.try_next().await.map_err(|e| told(&e))? {
            let room = BODY_LIMIT.saturating_sub(body.len());
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if room <= chunk.len() {
                break;
            }
        }
        Ok(HttpAnswer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    };
    let answer = exchange.await;
    driving.abort();
    answer
}

fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn written(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_services_port_leads_to_the_pods() {
        let service = json!({"spec": {"selector": {"app": "web"}, "ports": [
            {"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "admin"}, {"port": 82}]}});
        let call = Call::new("kubernetes:GetPodProxy", "");
        let port = |n| match behind(&service, n, &call) {
            Ok(Port::Number(n)) => n.to_string(),
            Ok(Port::Name(name)) => name,
            Err(failure) => failure.hint.unwrap_or_default(),
        };
        assert_eq!((port(80), port(81), port(82)), ("8080".into(), "admin".into(), "82".into()));
        assert_eq!(port(9), "it has 80, 81, 82");
        let pod = json!({"spec": {"containers": [{"ports": [{"name": "admin", "containerPort": 9000}]}]}});
        assert_eq!((named(&pod, "admin"), named(&pod, "x")), (Some(9000), None));
    }

    #[tokio::test]
    async fn a_request_over_a_stream_is_plain_http() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (near, mut far) = tokio::io::duplex(4096);
        let server = tokio::spawn(async move {
            let mut asked = vec![0; 4096];
            let n = far.read(&mut asked).await.unwrap();
            far.write_all(b"HTTP/1.1 503 Down\r\nX-A: b\r\ncontent-length: 4\r\n\r\nnope").await.unwrap();
            String::from_utf8(asked[..n].to_vec()).unwrap()
        });
        let request = PodRequest {
            namespace: "shop".into(),
            endpoint: Endpoint::Service("web".into()),
            port: 80,
            path: "/health?x=1".into(),
            method: "GET".into(),
            headers: [("X-Probe".to_owned(), "1".to_owned())].into(),
            timeout: std::time::Duration::from_secs(5),
        };
        let answer = http(near, &request).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str(), answer.headers["x-a"].as_str()), (503, "nope", "b"));
        let asked = server.await.unwrap();
        assert!(asked.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("host: web.shop.svc:80\r\n") && asked.contains("x-probe: 1\r\n"), "{asked}");
    }
}
