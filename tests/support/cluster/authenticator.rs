//! Says to the API server whom a token of EKS belongs to, as a cluster on AWS does it: the token is a presigned request to STS, and the
//! signature covers the cluster's name.
//!
//! It knows one secret key, [`SECRET`], so it can tell by itself whether a signature is right.

use crate::support::{
    message::Message,
    web::{Reply, Web},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

/// The secret access key of everybody.
pub(crate) const SECRET: &str = "test";

/// A token is good for so long after its time of signing, whatever it says itself.
const VALID: Duration = Duration::from_secs(15 * 60);

/// The server that the API server asks.
pub(crate) struct Authenticator {
    clusters: Arc<Mutex<BTreeSet<String>>>,
    refused: Arc<Mutex<Vec<String>>>,
    web: Web,
}

impl Authenticator {
    pub(super) fn new() -> Self {
        let (clusters, refused) = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (known, said) = (Arc::clone(&clusters), Arc::clone(&refused));
        let web = Web::new(move |request| {
            let status = match review(request, &known.lock().unwrap()) {
                Ok(user) => json!({ "authenticated": true, "user": user }),
                Err(why) => {
                    said.lock().unwrap().push(why.clone());
                    json!({ "authenticated": false, "error": why })
                }
            };
            Reply::json(&json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status }))
        });
        Self { clusters, refused, web }
    }

    /// From now on tokens are good, too, that are signed for an EKS cluster of this name.
    pub(crate) fn cluster(&self, name: &str) {
        self.clusters.lock().unwrap().insert(name.to_owned());
    }

    /// Why tokens were refused so far.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap().clone()
    }

    pub(super) fn url(&self) -> &str {
        &self.web.url
    }
}

/// Whom the token of a `TokenReview` belongs to.
fn review(request: &Message, clusters: &BTreeSet<String>) -> Result<Value, String> {
    let review: Value = serde_json::from_slice(&request.body).map_err(|e| e.to_string())?;
    let token = review["spec"]["token"].as_str().ok_or("no token")?;
    let encoded = token.strip_prefix("k8s-aws-v1.").ok_or("no token of EKS")?;
    let url = URL_SAFE_NO_PAD.decode(encoded).map_err(|e| e.to_string())?;
    let url = String::from_utf8(url).map_err(|e| e.to_string())?;
    let key = caller(&url, clusters)?;
    let name = format!("arn:aws:iam::{key}:user/test");
    Ok(json!({ "username": name, "groups": ["system:masters"] }))
}

/// The access key that presigned the request, where it is good for one of the clusters.
fn caller(url: &str, clusters: &BTreeSet<String>) -> Result<String, String> {
    let (address, query) = url.split_once('?').ok_or("no query")?;
    let address = address.split_once("://").ok_or("no URL")?.1;
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut raw: Vec<&str> = query.split('&').filter(|p| !p.starts_with("X-Amz-Signature=")).collect();
    raw.sort_unstable();
    let parsed = reqwest::Url::parse(url).map_err(|e| e.to_string())?;
    let of: BTreeMap<String, String> = parsed.query_pairs().into_owned().collect();
    let get = |name: &str| of.get(name).map(String::as_str).ok_or(format!("no {name}"));
    if get("Action")? != "GetCallerIdentity" || get("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
        return Err("another request than GetCallerIdentity".to_owned());
    }
    let headers = get("X-Amz-SignedHeaders")?;
    if headers != "host;x-k8s-aws-id" {
        return Err(format!("the signed headers are {headers}"));
    }
    let (credential, date) = (get("X-Amz-Credential")?, get("X-Amz-Date")?);
    let (key, scope) = credential.split_once('/').ok_or("no scope")?;
    let [day, region, service, _] = scope.split('/').collect::<Vec<_>>()[..] else { return Err("no scope".to_owned()) };
    in_time(date)?;
    let sum = |text: &str| hex::encode(Sha256::digest(text));
    for cluster in clusters {
        let signed = format!("host:{host}\nx-k8s-aws-id:{cluster}\n");
        let canonical = format!("GET\n/{path}\n{}\n{signed}\n{headers}\n{}", raw.join("&"), sum(""));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sum(&canonical));
        let mut secret = format!("AWS4{SECRET}").into_bytes();
        for part in [day, region, service, "aws4_request", &text] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("invariant: a key of any length will do");
            mac.update(part.as_bytes());
            secret = mac.finalize().into_bytes().to_vec();
        }
        if hex::encode(secret) == get("X-Amz-Signature")? {
            return Ok(key.to_owned());
        }
    }
    Err(format!("the signature is for none of {clusters:?}"))
}

/// Holds the time of signing, like `20260101T000000Z`, to now.
fn in_time(date: &str) -> Result<(), String> {
    let signed = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", date).and_then(|time| time.to_datetime());
    let signed = signed.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC)).map_err(|e| e.to_string())?;
    let signed = SystemTime::from(signed.timestamp());
    let age = SystemTime::now().duration_since(signed).unwrap_or_default();
    if age > VALID { Err(format!("it was signed {} seconds ago", age.as_secs())) } else { Ok(()) }
}
