//! The requests for charts: a few tries, a bounded body, and a failure that says what to do. Forges read answers by it, too.

#![expect(clippy::disallowed_methods, reason = "this is where charts are fetched")]

use super::credentials::RepositoryEntry;
use crate::world::{Class, Failure, Outcome};
use reqwest::{Client, RequestBuilder, StatusCode, header::HeaderMap};
use std::time::Duration;

/// The biggest answer: an index of a big repository has some tens of megabytes.
const BIGGEST: usize = 256 << 20;
/// How often what may pass is tried.
const TRIES: u32 = 3;
/// The pause before the second try, doubled before the third.
const PAUSE: Duration = Duration::from_millis(300);

/// An answer.
pub(in crate::world::live) struct Answer {
    /// Its status.
    pub(in crate::world::live) status: StatusCode,
    /// Its headers.
    pub(in crate::world::live) headers: HeaderMap,
    /// Its body.
    pub(in crate::world::live) body: Vec<u8>,
}

/// Why there is no answer.
pub(in crate::world::live) struct NoAnswer {
    /// In a few words.
    pub(in crate::world::live) why: String,
    /// It would be the same again.
    pub(in crate::world::live) too_big: bool,
}

/// A client that honours proxies and CAs of the environment (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`), and what
/// repositories.yaml says beside.
pub(in crate::world::live) fn client(entry: &RepositoryEntry) -> Outcome<Client> {
    let fail = |e: reqwest::Error| Failure::new(Class::Local, "http client", "", e.to_string());
    let mut builder = Client::builder().connect_timeout(Duration::from_secs(20)).timeout(Duration::from_secs(300));
    if let Some(pem) = &entry.ca {
        builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem).map_err(fail)?);
    }
    if let Some(pem) = &entry.identity {
        builder = builder.identity(reqwest::Identity::from_pem(pem).map_err(fail)?);
    }
    builder.tls_danger_accept_invalid_certs(entry.insecure).build().map_err(fail)
}

/// Sends a request until it is answered by something else than "later". Any such answer is `Ok`.
pub(in crate::world::live) async fn send(
    operation: &str,
    url: &str,
    request: impl Fn() -> RequestBuilder,
) -> Outcome<Answer> {
    let mut tried = 0;
    loop {
        tried += 1;
        let (wrong, class) = match Box::pin(answered(request(), BIGGEST)).await {
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                ("it answers 429, too many requests".to_owned(), Class::Throttled)
            }
            Ok(answer) if answer.status.is_server_error() => (format!("it answers {}", answer.status), Class::Failed),
            Ok(answer) => return Ok(answer),
            Err(none) => (none.why, Class::Failed),
        };
        if tried == TRIES {
            let what = format!("{url} cannot be reached: {wrong}");
            return Err(Failure::new(class, operation, "", what)
                .hint("proxies come from HTTPS_PROXY and NO_PROXY, private CAs from SSL_CERT_FILE or the repository's caFile; another host from [[mirror]] in terrace.toml"));
        }
        tokio::time::sleep(PAUSE * tried).await;
    }
}

/// Sends it once, and reads no more than this of the answer; what went wrong where there is none. Its caller boxes it: with the client's own the futures would be nested deeper than the compiler goes.
pub(in crate::world::live) async fn answered(request: RequestBuilder, biggest: usize) -> Result<Answer, NoAnswer> {
    let cut = |e: &reqwest::Error| NoAnswer { why: told(e), too_big: false };
    let mut answer = request.send().await.map_err(|e| cut(&e))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    loop {
        let chunk = match answer.chunk().await {
            Ok(chunk) => chunk,
            // A refusal says enough by its status.
            Err(_) if !status.is_success() => None,
            Err(e) => return Err(cut(&e)),
        };
        let Some(chunk) = chunk else { break };
        if body.len() + chunk.len() > biggest {
            return Err(NoAnswer { why: format!("its answer is bigger than {biggest} bytes"), too_big: true });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

/// An error's innermost cause, which is the one that says something; addresses, which may hold passwords, are left out.
fn told(error: &reqwest::Error) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    match cause {
        Some(cause) => cause.to_string(),
        None if error.is_timeout() => "no answer in time".to_owned(),
        None => "the request failed".to_owned(),
    }
}

/// The failure of an answer that is not what was asked for.
pub(in crate::world::live) fn refused(operation: &str, url: &str, status: StatusCode, how: &str) -> Failure {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Failure::new(Class::Denied, operation, "", format!("{url} answers {status}")).hint(how)
        }
        _ => Failure::new(Class::Failed, operation, "", format!("{url} answers {status}")),
    }
}
