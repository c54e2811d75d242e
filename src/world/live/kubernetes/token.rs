//! Tokens for EKS: a presigned request to STS that tells the cluster who calls. Source: "Cluster authentication" in the EKS
//! user guide, and aws-iam-authenticator, pkg/token.

use crate::{
    base::Secret,
    world::{
        Class, Failure, Outcome,
        live::aws::{Session, role_in_turn},
    },
};
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use aws_types::service_config::ServiceConfigKey;
use base64::Engine as _;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{Mutex, OnceCell};

/// How long a cluster takes a token for good after it was signed.
const LIFE: Duration = Duration::from_mins(15);
/// A token is renewed this long before that: a request takes its time, and clocks differ.
const BEFORE: Duration = Duration::from_mins(4);
/// What the signature itself is good for; the authenticator takes no more.
const SIGNED_FOR: Duration = Duration::from_mins(1);

/// Where a cluster's tokens come from; cheap to ask again and again.
pub(super) struct TokenSource {
    session: Arc<Session>,
    cluster: String,
    role_arn: Option<String>,
    role: OnceCell<SharedCredentialsProvider>,
    last: Mutex<Option<Token>>,
}

/// A token, and when it should no longer be begun with.
#[derive(Clone)]
pub(super) struct Token {
    /// The text behind `Bearer`.
    pub(super) text: Secret<String>,
    until: SystemTime,
}

impl TokenSource {
    /// Tokens for a cluster by the credentials of a session, or of a role that these take on.
    pub(super) fn new(session: Arc<Session>, cluster: &str, role_arn: Option<String>) -> Self {
        Self { session, cluster: cluster.to_owned(), role_arn, role: OnceCell::new(), last: Mutex::new(None) }
    }

    /// A token that is good for some minutes at least.
    ///
    /// # Errors
    /// No credentials; a role that cannot be taken on.
    pub(super) async fn token(&self) -> Outcome<Secret<String>> {
        let mut last = self.last.lock().await;
        let now = now();
        if let Some(token) = last.as_ref().filter(|t| t.until > now) {
            return Ok(token.text.clone());
        }
        let token = self.make(now).await?;
        Ok(last.insert(token).text.clone())
    }

    /// Forgets the last token, where a cluster did not take it.
    pub(super) async fn forget(&self) {
        *self.last.lock().await = None;
    }

    async fn make(&self, now: SystemTime) -> Outcome<Token> {
        let config = self.session.config().await?;
        let provider = match &self.role_arn {
            Some(arn) => {
                Some(self.role.get_or_try_init(|| role_in_turn(arn, self.session.keyring(), config)).await?.clone())
            }
            None => config.credentials_provider(),
        };
        let fail = |message: String| Failure::new(Class::Denied, "eks:token", self.cluster.clone(), message);
        let provider = provider.ok_or_else(|| fail("there are no credentials to sign a token with".to_owned()))?;
        let credentials =
            provider.provide_credentials().await.map_err(|e| match crate::world::live::aws::cause(&e) {
                Some(own) => own,
                None => fail(format!("there are no credentials to sign a token with: {e}")),
            })?;
        // A token is as good as the credentials that signed it, and no better.
        let until = (now + LIFE - BEFORE).min(credentials.expiry().unwrap_or(now + LIFE));
        let region = config.region().map(|r| r.as_ref().to_owned()).unwrap_or_default();
        let url = sts(config, &region);
        let text = signed(&url, &region, &self.cluster, credentials, now).map_err(fail)?;
        Ok(Token { text: Secret::new(text), until })
    }
}

#[expect(clippy::disallowed_methods, reason = "signatures bear the machine's own time, and a test gives it")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The STS of the region, or the endpoint that takes its place: what is signed must name the host that the cluster will ask.
fn sts(config: &SdkConfig, region: &str) -> String {
    let key = ServiceConfigKey::builder().service_id("STS").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let named = key.ok().and_then(|key| config.service_config()?.load_config(key));
    // As in the SDK's own clients: what the plan says, then what was set for STS alone, then for all services.
    let named = named.filter(|_| !config.get_origin("endpoint_url").is_client_config());
    if let Some(endpoint) = named.or_else(|| config.endpoint_url().map(str::to_owned)) {
        return endpoint.trim_end_matches('/').to_owned();
    }
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let service = if config.use_fips().unwrap_or(false) { "sts-fips" } else { "sts" };
    format!("https://{service}.{region}.amazonaws.com{suffix}")
}

/// `k8s-aws-v1.` and the presigned URL of GetCallerIdentity with the cluster's name signed along.
fn signed(
    sts: &str,
    region: &str,
    cluster: &str,
    credentials: aws_credential_types::Credentials,
    now: SystemTime,
) -> Result<String, String> {
    let url = format!("{sts}/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(SIGNED_FOR);
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|e| e.to_string())?
        .into();
    let headers = [("x-k8s-aws-id", cluster)].into_iter();
    let request =
        SignableRequest::new("GET", url.as_str(), headers, SignableBody::Bytes(&[])).map_err(|e| e.to_string())?;
    let (instructions, _) = sign(request, &params).map_err(|e| e.to_string())?.into_parts();
    let mut request = http::Request::builder().uri(&url).body(()).map_err(|e| e.to_string())?;
    instructions.apply_to_request_http1x(&mut request);
    let coded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(request.uri().to_string());
    Ok(format!("k8s-aws-v1.{coded}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;

    #[test]
    fn a_token_is_a_presigned_question_to_sts_that_names_the_cluster() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("session".into()), None, "test");
        let token = signed("https://sts.eu-central-1.amazonaws.com", "eu-central-1", "shop", credentials, at).unwrap();
        let coded = token.strip_prefix("k8s-aws-v1.").unwrap();
        assert!(!coded.contains('='));
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(coded).unwrap();
        let url = String::from_utf8(url).unwrap();
        for part in [
            "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "X-Amz-Expires=60",
            "X-Amz-Date=20260101T000000Z",
            "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
            "X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Feu-central-1%2Fsts%2Faws4_request",
            "X-Amz-Security-Token=session",
            "X-Amz-Signature=",
        ] {
            assert!(url.contains(part), "{part} in {url}");
        }
    }

    #[test]
    fn another_cluster_has_another_token() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let token = |cluster: &str| {
            let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
            signed("https://sts.us-east-1.amazonaws.com", "us-east-1", cluster, credentials, at).unwrap()
        };
        assert_ne!(token("a"), token("b"));
    }

    #[tokio::test]
    async fn the_signed_host_is_the_one_that_takes_the_place_of_sts() {
        let config = SdkConfig::builder().endpoint_url("http://127.0.0.1:5102/").build();
        assert_eq!(sts(&config, "us-east-1"), "http://127.0.0.1:5102");
        assert_eq!(sts(&SdkConfig::builder().build(), "cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn");
        let fips = SdkConfig::builder().use_fips(true).build();
        assert_eq!(sts(&fips, "us-east-1"), "https://sts-fips.us-east-1.amazonaws.com");
    }
}
