//! AWS over its SDK: one session a connection, one file a service.

mod cloudformation;
mod cloudwatch;
mod convert;
mod describe;
mod eks;
mod eks_convert;
mod failure;
mod http;
#[cfg(test)]
mod import_tests;
mod keyring;
mod load_balancers;
mod objects;
#[cfg(test)]
mod recorded;
mod role;
mod secrets;
mod session;
mod templates;

pub(in crate::world::live) use failure::{cause, chain, failed, find, plain};
pub(in crate::world::live) use keyring::Keyring;
pub use role::AskMfa;
pub(in crate::world::live) use role::role_in_turn;
pub(in crate::world::live) use session::{Session, config};

use crate::world::{Aws, AwsConnection};
use aws_credential_types::provider::SharedCredentialsProvider;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// All connections of a process: the same connection is the same session, with one set of credentials and one rate a
/// service.
pub(super) struct Connections {
    keyring: Arc<Keyring>,
    known: Mutex<BTreeMap<AwsConnection, (Arc<Session>, Aws)>>,
}

impl Connections {
    /// The credentials are those of the environment and the profiles, unless there are others.
    pub(super) fn new(ask: AskMfa, credentials: Option<SharedCredentialsProvider>) -> Self {
        Self { keyring: Arc::new(Keyring::new(ask, credentials)), known: Mutex::new(BTreeMap::new()) }
    }

    /// Where credentials come from.
    pub(super) const fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// The handles of a connection. Makes no call.
    pub(super) fn handles(&self, connection: &AwsConnection) -> Aws {
        self.both(connection).1
    }

    /// The session of a connection. Makes no call.
    pub(super) fn session(&self, connection: &AwsConnection) -> Arc<Session> {
        self.both(connection).0
    }

    fn both(&self, connection: &AwsConnection) -> (Arc<Session>, Aws) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(connection.clone())
            .or_insert_with(|| {
                let session = Session::new(connection.clone(), self.keyring.clone());
                let aws = Aws {
                    cloudformation: Arc::new(cloudformation::LiveCloudFormation::new(session.clone())),
                    eks: Arc::new(eks::LiveEks(session.clone())),
                    load_balancers: Arc::new(load_balancers::LiveLoadBalancers(session.clone())),
                    secrets: Arc::new(secrets::LiveSecrets(session.clone())),
                    objects: Arc::new(objects::LiveObjects(session.clone())),
                    metrics: Arc::new(cloudwatch::LiveMetrics(session.clone())),
                    identity: Arc::new(secrets::LiveSecrets(session.clone())),
                };
                (session, aws)
            })
            .clone()
    }
}
