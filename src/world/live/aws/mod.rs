//! AWS over its SDK: one session a connection, one file a service.

mod cloudformation;
mod convert;
mod describe;
mod eks;
mod failure;
mod http;
mod role;
mod secrets;
mod session;

pub use role::AskMfa;

use crate::world::{Aws, AwsConnection};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// All connections of a process: the same connection is the same session, with one set of credentials and one rate a
/// service.
pub(super) struct Connections {
    ask: AskMfa,
    known: Mutex<BTreeMap<AwsConnection, Aws>>,
}

impl Connections {
    pub(super) fn new(ask: AskMfa) -> Self {
        Self { ask, known: Mutex::new(BTreeMap::new()) }
    }

    /// The handles of a connection. Makes no call.
    pub(super) fn handles(&self, connection: &AwsConnection) -> Aws {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(connection.clone())
            .or_insert_with(|| {
                let session = session::Session::new(connection.clone(), self.ask.clone());
                Aws {
                    cloudformation: Arc::new(cloudformation::LiveCloudFormation::new(session.clone())),
                    eks: Arc::new(eks::LiveEks(session.clone())),
                    secrets: Arc::new(secrets::LiveSecrets(session.clone())),
                    identity: Arc::new(secrets::LiveSecrets(session)),
                }
            })
            .clone()
    }
}
