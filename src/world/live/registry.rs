//! OCI registries: one host with its logins and tokens, and what is asked of a repository there.
//!
//! Source: the OCI distribution specification (manifests, blobs, uploads, tags, the Bearer challenge of its token service).

use super::helm::{
    credentials::{Credentials, Login, RepositoryEntry},
    mirror::{ChartMirror, mirrored},
    web::{Answer, client, refused, send},
};
use crate::{
    base::{Digest, Secret},
    world::{Class, Failure, MANIFEST, Outcome, Registry},
};
use reqwest::{
    Client, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE},
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How many pages of tags are read.
const PAGES: usize = 20;
/// What a tag may name: one image, or an index of several platforms, in OCI's form or in Docker's.
const IMAGES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// What refers to a manifest.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// How long reading one tag may take, however often it is tried.
const TAG_LIMIT: Duration = Duration::from_secs(60);
/// The media type of bytes.
const BYTES: &str = "application/octet-stream";

/// Host and path of an `oci://` address.
pub(super) fn parts(address: &str) -> Option<(String, String)> {
    let rest = address.strip_prefix("oci://").or_else(|| address.strip_prefix("oci+http://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some((host.to_owned(), path.trim_end_matches('/').to_owned()))
}

/// True for a host of this machine, which speaks plain HTTP.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether an `oci://` address, by the mirrors, leads to a registry of this machine.
#[must_use]
pub fn is_here(address: &str, mirrors: &[ChartMirror]) -> bool {
    let instead = mirrored(mirrors, address);
    parts(instead.as_deref().unwrap_or(address)).is_some_and(|(host, _)| is_loopback(&host))
}

/// A repository by its `oci://` address, with the logins of `helm registry login` and `docker login`. Nothing is asked yet.
///
/// # Errors
/// An address that is none; a network that cannot be set up.
pub fn repository(operation: &'static str, address: &str, mirrors: &[ChartMirror]) -> Outcome<Arc<dyn Registry>> {
    let instead = mirrored(mirrors, address);
    let used = instead.as_deref().unwrap_or(address);
    let found = parts(used).filter(|(host, path)| !host.is_empty() && !path.is_empty());
    let Some((host, path)) = found else {
        let what = format!("`{used}` is no place in a registry");
        return Err(Failure::new(Class::Invalid, operation, "", what).hint("write oci://HOST/REPOSITORY"));
    };
    let plain = used.starts_with("oci+http://") || is_loopback(&host);
    // Images are named by Docker's name, and kept under another.
    let host = if host == "docker.io" { "registry-1.docker.io".to_owned() } else { host };
    let host = Host::open(operation, host, plain, Credentials::of_registries())?;
    Ok(Arc::new(Repository { host, path }))
}

/// A registry's host.
pub(super) struct Host {
    operation: &'static str,
    /// With its port, where one is written.
    name: String,
    scheme: &'static str,
    client: Client,
    credentials: Credentials,
    /// What the token service gave, by path.
    tokens: Mutex<BTreeMap<String, Secret<String>>>,
}

/// What is asked of it.
struct Ask<'a> {
    method: Method,
    url: &'a str,
    headers: HeaderMap,
    body: &'a [u8],
}

impl Host {
    /// A registry; nothing is asked yet.
    pub(super) fn open(operation: &'static str, host: String, plain: bool, credentials: Credentials) -> Outcome<Self> {
        let client = client(&RepositoryEntry::default())?;
        let scheme = if plain { "http" } else { "https" };
        Ok(Self { operation, name: host, scheme, client, credentials, tokens: Mutex::default() })
    }

    /// Where a repository is, for messages.
    pub(super) fn place(&self, path: &str) -> String {
        format!("oci://{}/{path}", self.name)
    }

    /// All tags; none where there is no such repository.
    pub(super) async fn tags(&self, path: &str) -> Outcome<Vec<String>> {
        let mut found = Vec::new();
        let mut next = "tags/list?n=1000".to_owned();
        for _ in 0..PAGES {
            let answer = self.get(path, &next, "application/json").await?;
            if answer.status != StatusCode::OK {
                break;
            }
            let page: Json = serde_json::from_slice(&answer.body).unwrap_or(Json::Null);
            let tags = page["tags"].as_array().cloned().unwrap_or_default();
            found.extend(tags.iter().filter_map(|t| t.as_str().map(str::to_owned)));
            let link = answer.headers.get("link").and_then(|l| l.to_str().ok());
            let more = link.and_then(|l| l.split_once('?')?.1.split_once('>').map(|(query, _)| query.to_owned()));
            match more {
                Some(query) => next = format!("tags/list?{query}"),
                None => break,
            }
        }
        Ok(found)
    }

    /// Reads something of a repository.
    pub(super) async fn get(&self, path: &str, what: &str, accept: &str) -> Outcome<Answer> {
        let url = self.url(path, what);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap_or(HeaderValue::from_static("*/*")));
        self.call(path, Ask { method: Method::GET, url: &url, headers, body: &[] }).await
    }

    fn url(&self, path: &str, what: &str) -> String {
        format!("{}://{}/v2/{path}/{what}", self.scheme, self.name)
    }

    async fn call(&self, path: &str, ask: Ask<'_>) -> Outcome<Answer> {
        let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        let answer = self.send(&ask, known.as_ref(), None).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenge = answer.headers.get(WWW_AUTHENTICATE).and_then(|c| c.to_str().ok()).unwrap_or_default();
        let login = self.credentials.of(&self.name).await?;
        let (scheme, fields) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            let Some(token) = self.token(path, fields, login.as_ref()).await? else { return Ok(answer) };
            let answer = self.send(&ask, Some(&token), None).await?;
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), token);
            return Ok(answer);
        }
        match login {
            Some(login) => self.send(&ask, None, Some(&login)).await,
            None => Ok(answer),
        }
    }

    async fn send(&self, ask: &Ask<'_>, token: Option<&Secret<String>>, login: Option<&Login>) -> Outcome<Answer> {
        send(self.operation, ask.url, || {
            let request = self.client.request(ask.method.clone(), ask.url).headers(ask.headers.clone());
            let request = if ask.body.is_empty() { request } else { request.body(ask.body.to_vec()) };
            match (token, login) {
                (Some(token), _) => request.bearer_auth(token.expose()),
                (None, Some(login)) => request.basic_auth(&login.username, Some(login.password.expose())),
                (None, None) => request,
            }
        })
        .await
    }

    /// A token of the service that the challenge names; `None` where it gives none.
    async fn token(&self, path: &str, fields: &str, login: Option<&Login>) -> Outcome<Option<Secret<String>>> {
        let field = |name: &str| {
            let (_, rest) = fields.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let Some(realm) = field("realm") else { return Ok(None) };
        let scope = field("scope").unwrap_or_else(|| format!("repository:{path}:pull"));
        let service = field("service").unwrap_or_default();
        let Ok(mut url) = reqwest::Url::parse(&realm) else { return Ok(None) };
        if url.scheme() != "https" && self.scheme == "https" {
            let what = format!("{} sends logins to {realm}, which is not encrypted", self.name);
            return Err(Failure::new(Class::Denied, self.operation, "", what));
        }
        let answer = match login {
            // An identity token is given in exchange.
            Some(login) if login.username.is_empty() => {
                let mut form =
                    reqwest::Url::parse("form:").map_err(|_| self.refused(&realm, StatusCode::BAD_REQUEST))?;
                form.query_pairs_mut().extend_pairs([
                    ("grant_type", "refresh_token"),
                    ("service", service.as_str()),
                    ("scope", scope.as_str()),
                    ("client_id", "terrace"),
                    ("refresh_token", login.password.expose().as_str()),
                ]);
                let body = form.query().unwrap_or_default().to_owned();
                let kind = "application/x-www-form-urlencoded";
                send(self.operation, &realm, || {
                    self.client.post(url.clone()).header("content-type", kind).body(body.clone())
                })
                .await?
            }
            login => {
                url.query_pairs_mut().extend_pairs([("service", service.as_str()), ("scope", scope.as_str())]);
                send(self.operation, &realm, || {
                    let request = self.client.get(url.clone());
                    match login {
                        Some(login) => request.basic_auth(&login.username, Some(login.password.expose())),
                        None => request,
                    }
                })
                .await?
            }
        };
        if answer.status != StatusCode::OK {
            return Ok(None);
        }
        let answer: Json = serde_json::from_slice(&answer.body).unwrap_or(Json::Null);
        let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str());
        Ok(token.map(|token| Secret::new(token.to_owned())))
    }

    /// The failure of an answer that is not what was asked for.
    pub(super) fn refused(&self, place: &str, status: StatusCode) -> Failure {
        refused(self.operation, place, status, &format!("log in: helm registry login {}", self.name))
    }
}

/// A repository of a host.
struct Repository {
    host: Host,
    path: String,
}

impl Repository {
    /// By a HEAD, which registries that count requests do not count; by the manifest where that tells no digest.
    async fn digest_of(&self, tag: &str) -> Outcome<Option<Digest>> {
        let url = self.host.url(&self.path, &format!("manifests/{tag}"));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(IMAGES));
        let answer = self.host.call(&self.path, Ask { method: Method::HEAD, url: &url, headers, body: &[] }).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(self.host.refused(&self.place(), status)),
        }
        let told = answer.headers.get("docker-content-digest").and_then(|digest| digest.to_str().ok());
        if let Some(digest) = told.filter(|t| t.starts_with("sha256:")).and_then(Digest::parse_hex) {
            return Ok(Some(digest));
        }
        Ok(self.read(&format!("manifests/{tag}"), IMAGES).await?.map(|manifest| Digest::of(&manifest)))
    }

    async fn read(&self, what: &str, accept: &str) -> Outcome<Option<Vec<u8>>> {
        let answer = self.host.get(&self.path, what, accept).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(self.host.refused(&self.place(), status)),
        }
    }

    async fn call(&self, method: Method, url: &str, kind: &'static str, body: &[u8]) -> Outcome<Answer> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if body.is_empty() {
            headers.insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.host.call(&self.path, Ask { method, url, headers, body }).await
    }

    /// Where the bytes of an upload go.
    fn upload(&self, answer: &Answer, digest: &Digest) -> Option<String> {
        let base = reqwest::Url::parse(&self.host.url(&self.path, "blobs/uploads/")).ok()?;
        let mut url = base.join(answer.headers.get(LOCATION)?.to_str().ok()?).ok()?;
        // A login goes to nobody else.
        let same = url.host_str() == base.host_str() && url.port_or_known_default() == base.port_or_known_default();
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        same.then(|| url.to_string())
    }
}

#[async_trait::async_trait]
impl Registry for Repository {
    fn place(&self) -> String {
        self.host.place(&self.path)
    }

    async fn digest(&self, tag: &str) -> Outcome<Option<Digest>> {
        let read = tokio::time::timeout(TAG_LIMIT, self.digest_of(tag)).await;
        read.unwrap_or_else(|_| {
            let what = format!("{} does not answer within {} s", self.place(), TAG_LIMIT.as_secs());
            Err(Failure::new(Class::TimedOut, self.host.operation, "", what))
        })
    }

    async fn manifest(&self, reference: &str) -> Outcome<Option<Vec<u8>>> {
        self.read(&format!("manifests/{reference}"), MANIFEST).await
    }

    async fn referrers(&self, digest: &Digest, artifact_type: &str) -> Outcome<Option<Vec<u8>>> {
        let kind: String = form_urlencoded::byte_serialize(artifact_type.as_bytes()).collect();
        let answer = self.host.get(&self.path, &format!("referrers/{digest}?artifactType={kind}"), INDEX).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            // Registries that do not know that keep the index under a tag.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
                self.read(&format!("manifests/sha256-{}", digest.hex()), INDEX).await
            }
            status => Err(self.host.refused(&self.place(), status)),
        }
    }

    async fn blob(&self, digest: &Digest) -> Outcome<Option<Vec<u8>>> {
        self.read(&format!("blobs/{digest}"), "*/*").await
    }

    async fn put_blob(&self, digest: &Digest, content: &[u8]) -> Outcome<bool> {
        let url = self.host.url(&self.path, &format!("blobs/{digest}"));
        let head =
            self.host.call(&self.path, Ask { method: Method::HEAD, url: &url, headers: HeaderMap::new(), body: &[] });
        if head.await?.status == StatusCode::OK {
            return Ok(false);
        }
        let begun = self.call(Method::POST, &self.host.url(&self.path, "blobs/uploads/"), BYTES, &[]).await?;
        if begun.status != StatusCode::ACCEPTED {
            return Err(self.host.refused(&self.place(), begun.status));
        }
        let Some(url) = self.upload(&begun, digest) else {
            let what = format!("{} names no place of its own for an upload", self.place());
            return Err(Failure::new(Class::Failed, self.host.operation, "", what));
        };
        let put = self.call(Method::PUT, &url, BYTES, content).await?;
        if put.status != StatusCode::CREATED {
            return Err(self.host.refused(&self.place(), put.status));
        }
        Ok(true)
    }

    async fn put_manifest(&self, tag: &str, content: &[u8]) -> Outcome<()> {
        let url = self.host.url(&self.path, &format!("manifests/{tag}"));
        let put = self.call(Method::PUT, &url, MANIFEST, content).await?;
        if put.status != StatusCode::CREATED {
            return Err(self.host.refused(&self.place(), put.status));
        }
        Ok(())
    }

    async fn tags(&self) -> Outcome<Vec<String>> {
        self.host.tags(&self.path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_path_and_this_machine_speaks_plainly() {
        assert_eq!(parts("oci://127.0.0.1:5000/charts/web"), Some(("127.0.0.1:5000".into(), "charts/web".into())));
        assert_eq!(parts("https://x/y"), None);
        for (host, plain) in [("127.0.0.1:5000", true), ("localhost", true), ("[::1]:5000", true), ("ghcr.io", false)] {
            assert_eq!(is_loopback(host), plain, "{host}");
        }
    }
}
