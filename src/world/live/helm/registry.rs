//! Charts of an OCI registry: a tag resolved to the digest of its manifest, the chart's layer held against its own.
//!
//! Sources: the OCI distribution specification (manifests, blobs, tags, the Bearer challenge of its token service) and
//! helm.sh/docs/topics/registries (media types, `+` in versions as `_` in tags).

use super::{
    cache::Cache,
    charts::{Packed, checked, no_version},
    credentials::{Credentials, Login, RepositoryEntry},
    web::{Answer, client, refused, send},
};
use crate::{
    base::{Digest, Secret},
    world::{Class, Failure, Outcome},
};
use reqwest::{
    Client, StatusCode,
    header::{ACCEPT, WWW_AUTHENTICATE},
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

const OPERATION: &str = "helm pull";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// How many pages of tags are read.
const PAGES: usize = 20;

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

/// A registry.
pub(super) struct Registry {
    host: String,
    scheme: &'static str,
    client: Client,
    credentials: Credentials,
    /// What the token service gave, by path.
    tokens: Mutex<BTreeMap<String, Secret<String>>>,
}

impl Registry {
    /// A registry; nothing is asked yet.
    pub(super) fn open(host: String, plain: bool, credentials: Credentials) -> Outcome<Self> {
        let client = client(&RepositoryEntry::default())?;
        let scheme = if plain { "http" } else { "https" };
        Ok(Self { host, scheme, client, credentials, tokens: Mutex::default() })
    }

    /// A chart at a version, from the cache where it is there.
    pub(super) async fn chart(&self, path: &str, version: &str, cache: &Cache) -> Outcome<Packed> {
        let place = format!("oci://{}/{path}", self.host);
        let tag = version.replace('+', "_");
        let answer = self.get(path, &format!("manifests/{tag}"), MANIFEST).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let name = path.rsplit('/').next().unwrap_or(path);
                return Err(no_version(name, version, &place, self.tags(path).await?));
            }
            status => return Err(self.refused(&place, status)),
        }
        let digest = Digest::of(&answer.body).to_string();
        let subject = format!("{place} {version}");
        if let Some(told) = answer.headers.get("docker-content-digest").and_then(|d| d.to_str().ok()) {
            checked(&answer.body, told, &subject)?;
        }
        let wrong = |why: &str| Failure::new(Class::Invalid, OPERATION, subject.clone(), why.to_owned());
        let manifest: Json = serde_json::from_slice(&answer.body).map_err(|_| wrong("its manifest is no JSON"))?;
        let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let layer = layers.iter().find(|layer| layer["mediaType"] == CHART);
        let layer = layer.and_then(|layer| layer["digest"].as_str());
        let layer = layer.ok_or_else(|| wrong("it is no chart: no layer of its manifest holds one"))?;
        if let Some((path, bytes)) = cache.read_archive(layer) {
            return Ok(Packed { path, digest, bytes });
        }
        let blob = self.get(path, &format!("blobs/{layer}"), "*/*").await?;
        if blob.status != StatusCode::OK {
            return Err(self.refused(&place, blob.status));
        }
        checked(&blob.body, layer, &subject)?;
        let path = cache.keep_archive(layer, &blob.body)?;
        Ok(Packed { path, digest, bytes: blob.body })
    }

    /// All tags, as versions; none where there is no such chart.
    async fn tags(&self, path: &str) -> Outcome<Vec<String>> {
        let mut found = Vec::new();
        let mut next = "tags/list?n=1000".to_owned();
        for _ in 0..PAGES {
            let answer = self.get(path, &next, "application/json").await?;
            if answer.status != StatusCode::OK {
                break;
            }
            let page: Json = serde_json::from_slice(&answer.body).unwrap_or(Json::Null);
            let tags = page["tags"].as_array().cloned().unwrap_or_default();
            found.extend(tags.iter().filter_map(|t| Some(t.as_str()?.replace('_', "+"))));
            let link = answer.headers.get("link").and_then(|l| l.to_str().ok());
            let more = link.and_then(|l| l.split_once('?')?.1.split_once('>').map(|(query, _)| query.to_owned()));
            match more {
                Some(query) => next = format!("tags/list?{query}"),
                None => break,
            }
        }
        Ok(found)
    }

    async fn get(&self, path: &str, what: &str, accept: &str) -> Outcome<Answer> {
        let url = format!("{}://{}/v2/{path}/{what}", self.scheme, self.host);
        let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        let answer = self.ask(&url, accept, known.as_ref(), None).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenge = answer.headers.get(WWW_AUTHENTICATE).and_then(|c| c.to_str().ok()).unwrap_or_default();
        let login = self.credentials.of(&self.host).await?;
        let (scheme, fields) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            let Some(token) = self.token(path, fields, login.as_ref()).await? else { return Ok(answer) };
            let answer = self.ask(&url, accept, Some(&token), None).await?;
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), token);
            return Ok(answer);
        }
        match login {
            Some(login) => self.ask(&url, accept, None, Some(&login)).await,
            None => Ok(answer),
        }
    }

    async fn ask(
        &self,
        url: &str,
        accept: &str,
        token: Option<&Secret<String>>,
        login: Option<&Login>,
    ) -> Outcome<Answer> {
        send(OPERATION, url, || {
            let request = self.client.get(url).header(ACCEPT, accept);
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
            let what = format!("{} sends logins to {realm}, which is not encrypted", self.host);
            return Err(Failure::new(Class::Denied, OPERATION, "", what));
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
                send(OPERATION, &realm, || {
                    self.client.post(url.clone()).header("content-type", kind).body(body.clone())
                })
                .await?
            }
            login => {
                url.query_pairs_mut().extend_pairs([("service", service.as_str()), ("scope", scope.as_str())]);
                send(OPERATION, &realm, || {
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

    fn refused(&self, place: &str, status: StatusCode) -> Failure {
        refused(OPERATION, place, status, &format!("log in: helm registry login {}", self.host))
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
