//! Where credentials come from: one session of a role for all connections that take it on in the same way, so that a person is
//! asked for a code once.

use super::role::{AskMfa, OidcToken, Right, RoleCredentials};
use crate::world::{AssumeRole, AwsConnection, Outcome};
use aws_config::identity::IdentityCache;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use std::collections::BTreeMap;

/// A role's credentials, and the cache that renews them before they end.
type Session = (SharedCredentialsProvider, SharedIdentityCache);

/// The credentials of a process.
pub(in crate::world::live) struct Keyring {
    pub(super) ask: AskMfa,
    /// Stands in for all that is found in the environment and the profiles.
    pub(super) given: Option<SharedCredentialsProvider>,
    /// Held while a role is taken on, so that two connections do not ask for a code each.
    roles: tokio::sync::Mutex<BTreeMap<String, Session>>,
}

impl Keyring {
    pub(super) fn new(ask: AskMfa, given: Option<SharedCredentialsProvider>) -> Self {
        Self { ask, given, roles: tokio::sync::Mutex::default() }
    }

    /// The session of the role that a connection takes on by `sts`; `None` where it takes on none.
    pub(super) async fn role(
        &self,
        connection: &AwsConnection,
        sts: impl FnOnce() -> aws_sdk_sts::Client,
    ) -> Outcome<Option<Session>> {
        let job = connection.ci_role_arn.as_ref().zip(OidcToken::of_job());
        let (role, right) = match (job, &connection.assume_role) {
            (Some((arn, token)), _) => {
                (AssumeRole { role_arn: arn.clone(), ..AssumeRole::default() }, Right::Oidc(token))
            }
            (None, Some(role)) => (role.clone(), Right::Caller(self.ask.clone())),
            (None, None) => return Ok(None),
        };
        let way =
            format!("{role:?} {:?} {:?} {:?}", connection.ci_role_arn, connection.profile, connection.endpoint_url);
        let mut roles = self.roles.lock().await;
        if let Some(session) = roles.get(&way) {
            return Ok(Some(session.clone()));
        }
        let provider = RoleCredentials::begun(role, right, sts()).await?;
        let session = (SharedCredentialsProvider::new(provider), IdentityCache::lazy().build());
        roles.insert(way, session.clone());
        Ok(Some(session))
    }
}
