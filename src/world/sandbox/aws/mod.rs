//! AWS in the sandbox: CloudFormation, EKS, Secrets Manager, SSM and STS, by account and region.
//!
//! Everything is stored under its [`Scope`], so that accounts and regions are apart as they are in AWS.

mod addon_schema;
mod change_set;
mod cloudformation;
mod delete;
mod effect;
mod eks;
mod engine;
mod events;
mod insights;
mod inspect;
mod load_balancers;
mod loose;
mod metrics;
mod objects;
mod physical;
mod record;
mod request;
mod routes;
mod secrets;
mod stage;
mod updates;
mod versions;
mod work;

pub(super) use inspect::{drift, show};
pub(super) use routes::show as routes;
pub use routes::{Rule, Target, TargetGroup};

use super::{Sandbox, Tx};
use crate::world::{Aws, AwsConnection, Caller, Identity, Outcome};
use std::{fmt, sync::Arc};

/// An account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct Scope {
    pub(super) account: String,
    pub(super) region: String,
}

impl Scope {
    /// Where a connection leads; what it leaves out is the account of zeros and `us-east-1`.
    pub(super) fn of(connection: &AwsConnection) -> Self {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        Self { account: or(&connection.account_id, "000000000000"), region: or(&connection.region, "us-east-1") }
    }

    /// A key of this scope.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{self}/{name}")
    }

    /// The scope of a key that [`Scope::key`] made, and the rest.
    pub(super) fn split(key: &str) -> Option<(Self, &str)> {
        let mut parts = key.splitn(3, '/');
        let scope = Self { account: parts.next()?.to_owned(), region: parts.next()?.to_owned() };
        Some((scope, parts.next()?))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// The services behind a connection.
pub(super) fn handles(sandbox: &Arc<Sandbox>, connection: &AwsConnection) -> Aws {
    let scope = Scope::of(connection);
    Aws {
        cloudformation: Arc::new(cloudformation::Stacks { sandbox: Arc::clone(sandbox), scope: scope.clone() }),
        eks: Arc::new(eks::Clusters { sandbox: Arc::clone(sandbox), scope: scope.clone() }),
        load_balancers: Arc::new(load_balancers::Balancers { sandbox: Arc::clone(sandbox), scope: scope.clone() }),
        secrets: Arc::new(secrets::Store { sandbox: Arc::clone(sandbox), scope: scope.clone() }),
        metrics: Arc::new(metrics::CloudWatch { sandbox: Arc::clone(sandbox), scope: scope.clone() }),
        objects: Arc::new(objects::Buckets { sandbox: Arc::clone(sandbox), scope: scope.clone() }),
        identity: Arc::new(Sts { sandbox: Arc::clone(sandbox), connection: connection.clone(), scope }),
    }
}

/// What was scheduled with one of AWS's parts is due. False where the part is none of these.
pub(super) fn wake(tx: &mut Tx<'_>, part: &str, id: &str) -> bool {
    match part {
        "stack" => engine::tick(tx, id),
        "change-set" => change_set::finish(tx, id),
        "addon" => eks::finish_addon(tx, id),
        "eks-update" => updates::finish(tx, id),
        _ => return false,
    }
    true
}

struct Sts {
    sandbox: Arc<Sandbox>,
    connection: AwsConnection,
    scope: Scope,
}

#[async_trait::async_trait]
impl Identity for Sts {
    async fn caller(&self) -> Outcome<Caller> {
        let role = self.connection.assume_role.as_ref();
        let name = role.and_then(|r| r.role_arn.rsplit('/').next()).unwrap_or("terrace-sandbox");
        let session =
            role.and_then(|r| r.session_name.as_deref()).or(self.connection.profile.as_deref()).unwrap_or("terrace");
        let account = self.scope.account.clone();
        let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
        self.sandbox.call("sts:GetCallerIdentity", "", |_| Ok(Caller { account, arn, user_id: String::new() })).await
    }
}

#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod tests;
