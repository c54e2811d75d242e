//! Forges over their REST interfaces: one line to one host, with the token, patience and bounds that all of them need.
//!
//! `github.rs` speaks to GitHub, GitHub Enterprise and Gitea, `gitlab.rs` to GitLab. The token goes to the host of the base
//! address and to no other: a redirect to elsewhere is refused, and so is a page that lies elsewhere.
#![expect(clippy::disallowed_methods, reason = "this is where forges are spoken to")]

mod github;
mod gitlab;

use super::{
    helm::web::{Answer, answered},
    registry::is_loopback,
};
use crate::{
    base::{Secret, canonical_json, format_duration},
    world::{Class, Clock, Failure, Forge, Outcome},
};
use jiff::{SignedDuration, Timestamp};
use reqwest::{
    Client, Method, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION, RETRY_AFTER},
};
use serde_json::Value as Json;
use std::{fmt::Write as _, sync::Arc, time::Duration};

/// How often what may pass is tried.
const TRIES: u32 = 5;
/// The pause before the second try, doubled before each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long all calls may take together, waiting included.
const LIMIT: SignedDuration = SignedDuration::from_mins(5);
/// How long to wait where a forge says that it is too much and not for how long: "at least one minute".
const A_MINUTE: Duration = Duration::from_secs(60);
/// The biggest answer: a hundred comments of full length, in the longest way to write them.
const BIGGEST: usize = 64 << 20;
/// How many redirects are followed.
const REDIRECTS: usize = 3;
/// So much of a forge's own words is told.
const WORDS: usize = 300;

/// Which forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgeKind {
    /// GitHub, or GitHub Enterprise.
    GitHub,
    /// Gitea, which speaks as GitHub does, without check runs.
    Gitea,
    /// GitLab.
    GitLab,
}

impl ForgeKind {
    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::Gitea => "Gitea",
            Self::GitLab => "GitLab",
        }
    }

    /// How many characters a comment may have there.
    ///
    /// Sources: GitHub answers "Body is too long (maximum is 65536 characters)"; GitLab's `Note` is validated to a million;
    /// Gitea keeps comments in a column without a limit to speak of, and a reader has one.
    #[must_use]
    pub const fn longest(self) -> usize {
        match self {
            Self::GitHub => 65_536,
            Self::Gitea => 262_144,
            Self::GitLab => 1_000_000,
        }
    }
}

/// Where a pull request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgePlace {
    /// At which forge.
    pub kind: ForgeKind,
    /// The base address of its interface, like `https://api.github.com`.
    pub api: String,
    /// The repository: `OWNER/NAME`, of GitLab also a project's number.
    pub repository: String,
    /// The number of the pull request.
    pub number: u64,
}

/// A pull request, with a token. Nothing is asked yet.
///
/// # Errors
/// An address that is none or is not encrypted, a token that no header can hold.
pub fn open_forge(
    place: &ForgePlace,
    token: Secret<String>,
    clock: Arc<dyn Clock>,
    tell: Tell,
) -> Outcome<Arc<dyn Forge>> {
    let line = Line::open(place, token, clock, tell)?;
    let (repository, number) = (place.repository.clone(), place.number);
    Ok(match place.kind {
        ForgeKind::GitHub | ForgeKind::Gitea => Arc::new(github::GitHub::new(line, repository, number)),
        ForgeKind::GitLab => Arc::new(gitlab::GitLab::new(line, &repository, number)),
    })
}

/// Who is told, in a line, that something is tried again and why.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// The connection to one forge.
struct Line {
    kind: ForgeKind,
    base: Url,
    client: Client,
    headers: HeaderMap,
    token: Secret<String>,
    clock: Arc<dyn Clock>,
    tell: Tell,
    /// When the time of all calls is over.
    until: Timestamp,
}

/// What is asked of a forge.
struct Ask<'a> {
    method: Method,
    /// Behind the base address, or a whole address of the same host.
    path: &'a str,
    body: Option<Json>,
    /// Doing it twice does no harm.
    again: bool,
    /// What is done, for messages: `create comment`.
    what: &'static str,
    /// The permission that it needs, for messages.
    needs: &'static str,
}

impl<'a> Ask<'a> {
    fn get(path: &'a str, what: &'static str, needs: &'static str) -> Self {
        Self { method: Method::GET, path, body: None, again: true, what, needs }
    }

    fn send(method: Method, path: &'a str, body: Json, what: &'static str, needs: &'static str) -> Self {
        let again = method != Method::POST;
        Self { method, path, body: Some(body), again, what, needs }
    }
}

impl Line {
    fn open(place: &ForgePlace, token: Secret<String>, clock: Arc<dyn Clock>, tell: Tell) -> Outcome<Self> {
        let operation = place.kind.name();
        let invalid = |what: String| Failure::new(Class::Invalid, operation, "", what);
        let base = Url::parse(place.api.trim_end_matches('/')).ok().filter(|url| {
            url.has_host() && url.username().is_empty() && url.password().is_none() && url.query().is_none()
        });
        let base = base.ok_or_else(|| {
            // It may hold a password.
            invalid("the address of its interface is none".to_owned()).hint("write --api-url https://HOST/PATH")
        })?;
        let host = base.host_str().unwrap_or_default();
        if base.scheme() != "https" && !(base.scheme() == "http" && is_loopback(host)) {
            let what = format!("{base} is not encrypted, and a token would go there");
            return Err(invalid(what).hint("write --api-url https://…; http:// goes only to this machine"));
        }
        let (header, value) = match place.kind {
            ForgeKind::GitHub | ForgeKind::Gitea => ("authorization", format!("Bearer {}", token.expose())),
            ForgeKind::GitLab => ("private-token", token.expose().clone()),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            invalid("the token has characters in it that no token has".to_owned())
                .hint("look for a line break or a space at its end where it is set")
        })?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(header), value);
        let accept = match place.kind {
            ForgeKind::GitHub => "application/vnd.github+json",
            ForgeKind::Gitea | ForgeKind::GitLab => "application/json",
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if place.kind == ForgeKind::GitHub {
            headers.insert(HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28"));
        }
        let client = Client::builder()
            .user_agent(concat!("terrace/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|e| Failure::new(Class::Local, operation, "", e.to_string()))?;
        let until = clock.now().saturating_add(LIMIT).unwrap_or(Timestamp::MAX);
        Ok(Self { kind: place.kind, base, client, headers, token, clock, tell, until })
    }

    fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Asks, until there is an answer that means something. Whatever is not 2xx is a failure.
    async fn call(&self, ask: &Ask<'_>) -> Outcome<Answer> {
        let answer = self.answer(ask).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(ask, &answer)) }
    }

    /// The same, read as JSON.
    async fn json(&self, ask: &Ask<'_>) -> Outcome<(Json, HeaderMap)> {
        let answer = self.call(ask).await?;
        match serde_json::from_slice(&answer.body) {
            Ok(json) => Ok((json, answer.headers)),
            Err(_) => Err(self.not_json(ask)),
        }
    }

    /// Takes something away; what is gone already is.
    async fn delete(&self, path: &str, what: &'static str, needs: &'static str) -> Outcome<()> {
        let mut ask = Ask::get(path, what, needs);
        ask.method = Method::DELETE;
        match self.call(&ask).await {
            Err(gone) if gone.class == Class::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    fn not_json(&self, ask: &Ask<'_>) -> Failure {
        let what = format!("{} answers with something that is no JSON", self.name());
        self.failure(Class::Failed, ask, what).hint(format!(
            "something between may have answered, a proxy or a sign-on; or {} is not where the interface is: --api-url",
            self.base
        ))
    }

    fn failure(&self, class: Class, ask: &Ask<'_>, what: impl Into<String>) -> Failure {
        Failure::new(class, format!("{}: {}", self.name(), ask.what), "", what)
    }

    /// Any answer, after whatever patience it takes.
    async fn answer(&self, ask: &Ask<'_>) -> Outcome<Answer> {
        let mut url = self.url(ask, ask.path)?;
        let mut method = ask.method.clone();
        let (mut tried, mut redirected) = (0, 0);
        loop {
            tried += 1;
            let left = self.until.duration_since(self.clock.now());
            let Some(left) = Duration::try_from(left).ok().filter(|left| !left.is_zero()) else {
                let what = format!("{} took more than {} minutes altogether", self.name(), LIMIT.as_mins());
                return Err(self.failure(Class::TimedOut, ask, what));
            };
            let mut request = self.client.request(method.clone(), url.clone()).headers(self.headers.clone());
            if let Some(body) = ask.body.as_ref().filter(|_| method == ask.method) {
                let bytes = canonical_json(body).map_err(|e| self.failure(Class::Local, ask, e.to_string()))?;
                request = request.header(CONTENT_TYPE, "application/json").body(bytes);
            }
            let told = Box::pin(answered(request.timeout(left.min(PATIENCE)), BIGGEST)).await;
            let backoff = PAUSE * 2_u32.pow(tried - 1);
            let (failure, pause) = match told {
                Ok(answer) if answer.status.is_redirection() && answer.headers.contains_key(LOCATION) => {
                    redirected += 1;
                    tried -= 1;
                    if redirected > REDIRECTS {
                        return Err(self.failure(Class::Failed, ask, format!("{} redirects for ever", self.name())));
                    }
                    let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                    let to = url.join(to).map_or_else(|_| to.to_owned(), String::from);
                    url = self.url(ask, &to)?;
                    // Only these two say that the same is to be done there.
                    if ![307, 308].contains(&answer.status.as_u16()) && method != Method::GET {
                        if answer.status != StatusCode::SEE_OTHER {
                            let what = format!("the repository is at {url} now");
                            return Err(self
                                .failure(Class::Invalid, ask, what)
                                .hint("name it: --repository OWNER/NAME"));
                        }
                        method = Method::GET;
                    }
                    continue;
                }
                Ok(answer) => match limited(&answer, self.clock.now()) {
                    Some((words, pause)) => {
                        (self.failure(Class::Throttled, ask, self.with_words(&words, &answer)), pause)
                    }
                    None if answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED => {
                        let what = self.with_words(&format!("{} answers {}", self.name(), answer.status), &answer);
                        let failure = self.failure(Class::Unavailable, ask, what);
                        if !ask.again {
                            return Err(failure);
                        }
                        (failure, backoff)
                    }
                    None => return Ok(answer),
                },
                Err(none) => {
                    let what = format!("{} cannot be reached: {}", self.name(), self.clean(&none.why));
                    let class = if none.too_big { Class::Limit } else { Class::Unavailable };
                    let failure = self.failure(class, ask, what).hint(format!(
                        "its address is {}; proxies come from HTTPS_PROXY and NO_PROXY, private CAs from SSL_CERT_FILE",
                        self.base
                    ));
                    if none.too_big || !ask.again {
                        return Err(failure);
                    }
                    (failure, backoff)
                }
            };
            let after = self.clock.now().saturating_add(SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX));
            if tried == TRIES || after.is_ok_and(|after| after >= self.until) {
                return Err(failure);
            }
            (self.tell)(&format!("{}; it is tried again in {}", failure.message, format_duration(pause)));
            self.clock.sleep(pause).await;
        }
    }

    /// An address of the forge itself: whatever is elsewhere gets no token.
    fn url(&self, ask: &Ask<'_>, path: &str) -> Outcome<Url> {
        let whole = if path.contains("://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base.as_str().trim_end_matches('/'))
        };
        let url =
            Url::parse(&whole).map_err(|_| self.failure(Class::Invalid, ask, format!("{whole} is no address")))?;
        if url.origin() != self.base.origin() {
            let elsewhere = url.origin().ascii_serialization();
            let what = format!(
                "{} sends to {elsewhere}, and the token goes to {} alone",
                self.name(),
                self.base.origin().ascii_serialization()
            );
            return Err(self.failure(Class::Denied, ask, what).hint("give the address that it has itself: --api-url"));
        }
        Ok(url)
    }

    /// The failure of an answer that is no success.
    fn refused(&self, ask: &Ask<'_>, answer: &Answer) -> Failure {
        let name = self.name();
        let status = answer.status.as_u16();
        let said = |what: String| self.with_words(&what, answer);
        match status {
            401 => self.failure(Class::Denied, ask, said(format!("{name} does not take the token (401)"))).hint(
                "it may have expired, or be another host's; a job's own token counts as long as the job runs",
            ),
            403 if words(answer).is_some_and(|words| words.contains("locked")) => {
                self.failure(Class::Denied, ask, said("the conversation is locked (403)".to_owned()))
                    .hint("unlock it, or use a token of somebody who may write there; --summary and --out write it without a forge")
            }
            403 => self.failure(Class::Denied, ask, said(format!("the token may not do this (403): it needs {}", ask.needs))).hint(
                "give the job that permission; where the pull request comes from a fork its token may only read, \
                 and --summary or --out write the comment without any",
            ),
            404 => self.failure(Class::NotFound, ask, said(format!("{name} knows nothing there (404): {}", self.clean(ask.path)))).hint(
                "either the repository or the number is wrong, or the token does not see it: a forge says the same of both. \
                 --repository and --pull-request name them",
            ),
            410 => self.failure(Class::NotFound, ask, said(format!("{name} says that it is gone (410): {}", self.clean(ask.path))))
                .hint("the pull request or the repository was deleted, or its issues are switched off"),
            405 | 501 => self.failure(Class::Unsupported, ask, said(format!("{name} has nothing of the kind ({status})"))),
            409 => self.failure(Class::Conflict, ask, said(format!("{name} answers 409"))),
            400 | 413 | 414 | 422 => {
                self.failure(Class::Invalid, ask, said(format!("{name} does not take it ({status})")))
            }
            _ => self.failure(Class::Failed, ask, said(format!("{name} answers {}", answer.status))),
        }
    }

    /// What happened, with the forge's own words behind it.
    fn with_words(&self, what: &str, answer: &Answer) -> String {
        match words(answer) {
            Some(words) => format!("{what}: {}", self.clean(&words)),
            None if answer.body.trim_ascii_start().starts_with(b"<") => {
                format!("{what}, with a page for people, so something between may have answered")
            }
            None => what.to_owned(),
        }
    }

    /// Words of others on one line, of a bearable length, and without the token, should it be in them.
    fn clean(&self, text: &str) -> String {
        let text = text.replace(self.token.expose().as_str(), "(sensitive)");
        let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
        if text.chars().nth(WORDS).is_some() {
            out.push('…');
        }
        out
    }
}

/// Where an answer says that it was too much: what to say of it, and for how long to wait.
///
/// Sources: "Rate limits for the REST API" of GitHub (primary limits by `x-ratelimit-remaining: 0` until `x-ratelimit-reset`;
/// secondary ones by `retry-after`, else at least a minute), and GitLab's `RateLimit-Reset` and `Retry-After`.
fn limited(answer: &Answer, now: Timestamp) -> Option<(String, Duration)> {
    let status = answer.status.as_u16();
    if status != 403 && status != 429 {
        return None;
    }
    let number = |names: &[&str]| {
        names.iter().find_map(|name| answer.headers.get(*name)?.to_str().ok()?.trim().parse::<i64>().ok())
    };
    let used_up = number(&["x-ratelimit-remaining", "ratelimit-remaining"]) == Some(0);
    let reset = number(&["x-ratelimit-reset", "ratelimit-reset"]).and_then(|at| Timestamp::from_second(at).ok());
    if let Some(reset) = reset.filter(|_| used_up) {
        let wait = Duration::try_from(reset.duration_since(now)).unwrap_or_default() + Duration::from_secs(1);
        return Some((format!("the limit of requests is used up until {reset}"), wait));
    }
    let said = words(answer).unwrap_or_default().to_ascii_lowercase();
    let secondary = said.contains("secondary rate limit")
        || said.contains("abuse detection")
        || said.contains("rate limit exceeded");
    let after = answer.headers.get(RETRY_AFTER);
    if status == 429 || after.is_some() || secondary {
        // A date instead of seconds is so rare that a minute will do.
        let seconds = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
        let wait = seconds.map_or(A_MINUTE, Duration::from_secs);
        return Some((format!("too many requests in a short time; it asks to wait {} s", wait.as_secs()), wait));
    }
    None
}

/// What a forge says of itself in an answer: `message` and `errors` of GitHub, `message` or `error` of GitLab, in any form.
fn words(answer: &Answer) -> Option<String> {
    let body: Json = serde_json::from_slice(&answer.body).ok()?;
    let mut out = String::new();
    for field in ["message", "error", "errors"] {
        let text = match &body[field] {
            Json::Null => continue,
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let between = if out.is_empty() { "" } else { ": " };
        let _ = write!(out, "{between}{text}");
    }
    (!out.is_empty()).then_some(out)
}

/// The address of the next page (RFC 8288).
fn next_page(headers: &HeaderMap) -> Option<String> {
    let all = headers.get(LINK)?.to_str().ok()?;
    all.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters.split(';').any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"));
        next.then(|| address.to_owned())
    })
}

/// One part of a path, whatever is in it.
fn part(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The first so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
