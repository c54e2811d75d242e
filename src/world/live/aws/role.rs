//! Roles that are taken on: by the caller's own credentials, with MFA where the role wants it, or by CI's OIDC token.
//! Sessions live in memory only, and are renewed before they end.

use super::failure::failed;
use crate::{
    base::Secret,
    world::{AssumeRole, Class, Failure, Outcome},
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_sts::types::Tag;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Asks for the code of an MFA device, by its serial number or ARN.
pub type AskMfa = Arc<dyn Fn(&str) -> Outcome<Secret<String>> + Send + Sync>;

/// A role's session name where the plan gives none.
const SESSION: &str = "terrace";

/// Where CI's token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OidcToken {
    /// In a file, as AWS_WEB_IDENTITY_TOKEN_FILE names it; read anew for each session.
    File(String),
    /// At GitHub's token service.
    GitHub {
        /// ACTIONS_ID_TOKEN_REQUEST_URL.
        url: String,
        /// ACTIONS_ID_TOKEN_REQUEST_TOKEN.
        bearer: Secret<String>,
    },
}

/// By what right the role is taken on.
pub(super) enum Right {
    /// The caller's own credentials, which the STS client has, and maybe a code.
    Caller(AskMfa),
    /// CI's token.
    Oidc(OidcToken),
}

/// Credentials of a role.
pub(super) struct RoleCredentials {
    role: AssumeRole,
    right: Right,
    sts: aws_sdk_sts::Client,
    /// The session that was begun before anybody called: a person takes longer to give a code than a call may last.
    first: Mutex<Option<Credentials>>,
}

impl fmt::Debug for RoleCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleCredentials").field("role", &self.role.role_arn).finish_non_exhaustive()
    }
}

impl ProvideCredentials for RoleCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        future::ProvideCredentials::new(async {
            match first {
                Some(first) => Ok(first),
                None => self.session().await.map_err(CredentialsError::provider_error),
            }
        })
    }
}

impl RoleCredentials {
    /// The role, taken on.
    ///
    /// # Errors
    /// Whatever keeps it from being taken on, told as it is.
    pub(super) async fn begun(role: AssumeRole, right: Right, sts: aws_sdk_sts::Client) -> Outcome<Self> {
        let new = Self { role, right, sts, first: Mutex::default() };
        let first = new.session().await?;
        *new.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(first);
        Ok(new)
    }

    async fn session(&self) -> Outcome<Credentials> {
        let role = &self.role;
        let name = role.session_name.as_deref().unwrap_or(SESSION);
        let duration = role.duration_seconds.and_then(|s| i32::try_from(s).ok());
        let given = match &self.right {
            Right::Caller(ask) => {
                let mut call = self.sts.assume_role().role_arn(&role.role_arn).role_session_name(name);
                call = call.set_external_id(role.external_id.clone()).set_duration_seconds(duration);
                for (key, value) in &role.tags {
                    let tag = Tag::builder().key(key).value(value).build();
                    call = call.tags(tag.map_err(|e| self.failure(Class::Invalid, e.to_string()))?);
                }
                if let Some(serial) = &role.mfa_serial {
                    let (ask, device) = (ask.clone(), serial.clone());
                    let code = tokio::task::spawn_blocking(move || ask(&device))
                        .await
                        .map_err(|e| self.failure(Class::Local, e.to_string()))??;
                    call = call.serial_number(serial).token_code(code.expose());
                }
                call.send().await.map_err(failed("sts:AssumeRole", &role.role_arn))?.credentials
            }
            Right::Oidc(token) => {
                let token = token.read().await?;
                let call = self.sts.assume_role_with_web_identity().role_arn(&role.role_arn).role_session_name(name);
                let call = call.web_identity_token(token.expose()).set_duration_seconds(duration);
                call.send().await.map_err(failed("sts:AssumeRoleWithWebIdentity", &role.role_arn))?.credentials
            }
        };
        let given = given.ok_or_else(|| self.failure(Class::Unavailable, "STS gave no credentials".to_owned()))?;
        let ends = std::time::SystemTime::try_from(given.expiration).ok();
        let session = Some(given.session_token);
        Ok(Credentials::new(given.access_key_id, given.secret_access_key, session, ends, "terrace"))
    }

    fn failure(&self, class: Class, message: String) -> Failure {
        Failure::new(class, "sts:AssumeRole", self.role.role_arn.clone(), message)
    }
}

/// A role that is taken on with the credentials of a session, which may be a role's too: what an `eks` block's `role_arn`
/// names.
///
/// # Errors
/// Whatever keeps it from being taken on.
pub(in crate::world::live) async fn role_in_turn(
    role_arn: &str,
    keyring: &super::Keyring,
    config: &aws_config::SdkConfig,
) -> Outcome<aws_credential_types::provider::SharedCredentialsProvider> {
    let role = AssumeRole { role_arn: role_arn.to_owned(), ..AssumeRole::default() };
    let sts = aws_sdk_sts::Client::new(config);
    let begun = RoleCredentials::begun(role, Right::Caller(keyring.ask.clone()), sts).await?;
    Ok(aws_credential_types::provider::SharedCredentialsProvider::new(begun))
}

impl OidcToken {
    /// The token that this CI job has, where it has one.
    #[expect(clippy::disallowed_methods, reason = "what CI gives a job is in its environment")]
    pub(super) fn of_job() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        if let Some(path) = variable("AWS_WEB_IDENTITY_TOKEN_FILE") {
            return Some(Self::File(path));
        }
        let (url, bearer) = (variable("ACTIONS_ID_TOKEN_REQUEST_URL")?, variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?);
        Some(Self::GitHub { url, bearer: Secret::new(bearer) })
    }

    async fn read(&self) -> Outcome<Secret<String>> {
        match self {
            Self::File(path) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the file is renewed by the platform: it is read each time"
                )]
                let token = std::fs::read_to_string(path);
                token.map(|t| Secret::new(t.trim().to_owned())).map_err(|e| {
                    Failure::new(Class::Local, "read AWS_WEB_IDENTITY_TOKEN_FILE", path.clone(), e.to_string())
                })
            }
            Self::GitHub { url, bearer } => github(url, bearer).await,
        }
    }
}

/// Asks GitHub for a token for STS. Source: "OpenID Connect reference" of GitHub Actions.
async fn github(url: &str, bearer: &Secret<String>) -> Outcome<Secret<String>> {
    let fail = |message: String| {
        Failure::new(Class::Denied, "GitHub's OIDC token", "", message)
            .hint("give the job `permissions: id-token: write`")
    };
    #[expect(clippy::disallowed_methods, reason = "this is the seam to the network")]
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build();
    let client = client.map_err(|e| fail(e.to_string()))?;
    let separator = if url.contains('?') { '&' } else { '?' };
    let request = client.get(format!("{url}{separator}audience=sts.amazonaws.com")).bearer_auth(bearer.expose());
    let answer = request.send().await.map_err(|e| fail(e.without_url().to_string()))?;
    let status = answer.status();
    let body = answer.text().await.map_err(|e| fail(e.without_url().to_string()))?;
    let token =
        serde_json::from_str::<serde_json::Value>(&body).ok().and_then(|b| Some(b["value"].as_str()?.to_owned()));
    token.map(Secret::new).ok_or_else(|| fail(format!("HTTP {} without a token", status.as_u16())))
}

#[cfg(test)]
mod tests {
    use super::{super::recorded::Recorded, *};
    use crate::world::AwsConnection;
    use aws_config::identity::IdentityCache;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// AssumeRole's answer, by its page in the STS API reference.
    fn session(operation: &str, ends: &str) -> String {
        format!(
            "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result><Credentials>\
             <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>token</SessionToken>\
             <Expiration>{ends}</Expiration></Credentials></{operation}Result></{operation}Response>"
        )
    }

    fn role() -> AssumeRole {
        AssumeRole {
            role_arn: "arn:aws:iam::333333333333:role/jit".into(),
            session_name: Some("ada".into()),
            external_id: Some("x-1".into()),
            mfa_serial: Some("arn:aws:iam::333333333333:mfa/ada".into()),
            duration_seconds: Some(1800),
            tags: [("team".to_owned(), "platform".to_owned())].into(),
        }
    }

    fn asking(asked: &Arc<AtomicU32>) -> AskMfa {
        let asked = asked.clone();
        Arc::new(move |device| {
            assert_eq!(device, "arn:aws:iam::333333333333:mfa/ada");
            Ok(Secret::new(format!("12345{}", asked.fetch_add(1, Ordering::SeqCst))))
        })
    }

    #[tokio::test]
    async fn a_role_is_taken_on_with_all_that_is_declared() {
        let server = Recorded::new(vec![(200, session("AssumeRole", "2100-01-01T00:00:00Z"))]).await;
        let asked = Arc::new(AtomicU32::new(0));
        let sts = aws_sdk_sts::Client::new(&server.config());
        let provider = RoleCredentials::begun(role(), Right::Caller(asking(&asked)), sts).await.unwrap();
        let credentials = provider.provide_credentials().await.unwrap();
        assert_eq!(credentials.access_key_id(), "ASIAEXAMPLE");
        let request = server.asked().remove(0);
        for part in [
            "Action=AssumeRole&",
            "RoleArn=arn%3Aaws%3Aiam%3A%3A333333333333%3Arole%2Fjit",
            "RoleSessionName=ada",
            "ExternalId=x-1",
            "DurationSeconds=1800",
            "Tags.member.1.Key=team&Tags.member.1.Value=platform",
            "SerialNumber=arn%3Aaws%3Aiam%3A%3A333333333333%3Amfa%2Fada",
            "TokenCode=123450",
        ] {
            assert!(request.contains(part), "{part} in {request}");
        }
    }

    #[tokio::test]
    async fn a_session_that_ends_is_renewed_and_another_code_is_asked_for() {
        let soon = jiff::Timestamp::from_second(jiff::Timestamp::UNIX_EPOCH.as_second() + 60).unwrap();
        let identity = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult><Account>333333333333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
        let over = session("AssumeRole", &soon.to_string());
        let server = Recorded::new(vec![
            (200, over.clone()),
            (200, identity.to_owned()),
            (200, over),
            (200, identity.to_owned()),
        ])
        .await;
        let asked = Arc::new(AtomicU32::new(0));
        let sts = aws_sdk_sts::Client::new(&server.config());
        let provider = RoleCredentials::begun(role(), Right::Caller(asking(&asked)), sts).await.unwrap();
        let config = server
            .config()
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .identity_cache(IdentityCache::lazy().build())
            .build();
        let client = aws_sdk_sts::Client::new(&config);
        for _ in 0..2 {
            client.get_caller_identity().send().await.unwrap();
        }
        let actions: Vec<bool> = server.asked().iter().map(|r| r.contains("Action=AssumeRole&")).collect();
        assert_eq!(actions, [true, false, true, false]);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_keeps_a_code_from_being_given_is_told_as_it_is() {
        let server = Recorded::new(vec![(200, String::new())]).await;
        let ask: AskMfa =
            Arc::new(|device| Err(Failure::new(Class::Denied, "sts:AssumeRole", device, "nobody gave one")));
        let sts = aws_sdk_sts::Client::new(&server.config());
        let failure = RoleCredentials::begun(role(), Right::Caller(ask), sts).await.unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (Class::Denied, "nobody gave one"));
        assert!(server.asked().is_empty());
    }

    #[tokio::test]
    async fn connections_that_take_on_the_same_role_share_its_session() {
        let server = Recorded::new(vec![(200, session("AssumeRole", "2100-01-01T00:00:00Z"))]).await;
        let asked = Arc::new(AtomicU32::new(0));
        let keyring = super::super::keyring::Keyring::new(asking(&asked), None);
        for region in ["us-east-1", "us-west-2"] {
            let connection =
                AwsConnection { region: region.into(), assume_role: Some(role()), ..AwsConnection::default() };
            let sts = || aws_sdk_sts::Client::new(&server.config());
            assert!(keyring.role(&connection, sts).await.unwrap().is_some());
        }
        assert_eq!((asked.load(Ordering::SeqCst), server.asked().len()), (1, 1));
    }

    #[tokio::test]
    async fn a_ci_job_takes_its_role_on_with_its_token() {
        let token = "{\"value\":\"a.job.token\"}".to_owned();
        let github = Recorded::new(vec![(200, token)]).await;
        let server = Recorded::new(vec![(200, session("AssumeRoleWithWebIdentity", "2100-01-01T00:00:00Z"))]).await;
        let url = format!("{}/token?api=1", github.config().endpoint_url().unwrap());
        let right = Right::Oidc(OidcToken::GitHub { url, bearer: Secret::new("bearer".to_owned()) });
        let role = AssumeRole { role_arn: "arn:aws:iam::333333333333:role/ci".into(), ..AssumeRole::default() };
        let sts = aws_sdk_sts::Client::new(&server.config());
        RoleCredentials::begun(role, right, sts).await.unwrap();
        assert!(github.asked()[0].starts_with("GET /token?api=1&audience=sts.amazonaws.com "), "{:?}", github.asked());
        let request = server.asked().remove(0);
        assert!(
            request.contains("WebIdentityToken=a.job.token") && request.contains("RoleSessionName=terrace"),
            "{request}"
        );
    }
}
