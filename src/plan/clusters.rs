//! The clusters of a process: which take the place of the plan's own, and which each connection met.
//!
//! A cluster is known by the uid of its namespace `kube-system`. It is asked for once a process and connection, recorded in
//! state when something is first applied there, and another one under the same connection is refused before any change.

use crate::{
    base::Address,
    lang::evaluate::ConnectionRef,
    plan::{Subject, connect::Connections, remembered_connections},
    state::Snapshot,
    world::{Class, ClusterConnection, ClusterHandle, Failure, Outcome},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// A cluster that did not answer is not asked again for so long: whoever else needs it meanwhile gets the same failure.
const SILENT: Duration = Duration::from_secs(5);

/// Clusters in the place of others, and those that were met. Cheap to clone; clones share what they met.
#[derive(Clone, Default)]
pub struct Clusters {
    /// By the name of the `kubernetes` block, or by name and key as a plan writes them: `main`, `fleet["a"]`.
    instead: Arc<BTreeMap<String, ClusterConnection>>,
    met: Arc<Mutex<BTreeMap<ClusterConnection, Arc<Mutex<Met>>>>>,
}

/// What became of asking a cluster who it is.
#[derive(Default)]
enum Met {
    #[default]
    Not,
    Is(Arc<str>),
    Failed(Timestamp, Failure),
}

impl Clusters {
    /// With these in the place of the plan's own, by label.
    #[must_use]
    pub fn with(instead: BTreeMap<String, ClusterConnection>) -> Self {
        Self { instead: Arc::new(instead), met: Arc::default() }
    }

    /// The cluster that takes the place of a connection's own.
    #[must_use]
    pub fn instead_of(&self, reference: &ConnectionRef) -> Option<&ClusterConnection> {
        let whole = reference.key.as_deref().and_then(|key| self.instead.get(&format!("{}[{key:?}]", reference.name)));
        whole.or_else(|| self.instead.get(&*reference.name))
    }

    /// Those that take another's place, by label.
    #[must_use]
    pub fn instead(&self) -> &BTreeMap<String, ClusterConnection> {
        &self.instead
    }

    /// Which cluster a connection meets. A failure counts for some seconds for all who ask.
    async fn identity(
        &self,
        connection: &ClusterConnection,
        handle: &ClusterHandle,
        now: impl Fn() -> Timestamp,
    ) -> Outcome<Arc<str>> {
        let one = self.met.lock().await.entry(connection.clone()).or_default().clone();
        let mut met = one.lock().await;
        match &*met {
            Met::Is(identity) => return Ok(identity.clone()),
            Met::Failed(at, failure) if now().duration_since(*at).unsigned_abs() < SILENT => {
                return Err(failure.clone());
            }
            Met::Not | Met::Failed(..) => {}
        }
        match handle.kubernetes.identity().await {
            Ok(identity) => {
                let identity: Arc<str> = identity.into();
                *met = Met::Is(identity.clone());
                Ok(identity)
            }
            Err(failure) => {
                *met = Met::Failed(now(), failure.clone());
                Err(failure)
            }
        }
    }
}

/// Meets the cluster that a thing lives in, before anything else is asked of it. Returns its identity where it is to be
/// recorded: when it was met for the first time. `Ok(None)` where there is no cluster, or none yet.
///
/// # Errors
/// A cluster that does not answer; another one than the recorded one.
pub async fn meet(
    subject: &Subject,
    state: &Snapshot,
    address: &Address,
    connections: &Connections,
) -> Outcome<Option<(String, Arc<str>)>> {
    let Some(connection) = &connections.cluster else { return Ok(None) };
    let handle = subject.world.cluster(connection)?;
    let clock = subject.world.clock();
    let identity = match subject.clusters.identity(connection, &handle, || clock.now()).await {
        Ok(identity) => identity,
        // Whoever needs it finds that out too, and can tell "not yet" from "gone".
        Err(failure) if failure.class == Class::NotFound => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let own = text(connection);
    let lives = |r: &crate::state::Resource| remembered_connections(subject, r).cluster;
    // The same thing under another connection is where it was, or it would be lost.
    if let Some(former) = state.resources.get(address).and_then(lives).filter(|former| former != connection)
        && let Some(recorded) = state.clusters.get(text(&former).as_str())
        && *recorded != identity
    {
        return Err(another(connection, recorded, &identity, Some(address)));
    }
    match state.clusters.get(own.as_str()) {
        Some(recorded) if *recorded == identity => Ok(None),
        // Where nothing is remembered to live there, nothing can be lost.
        Some(recorded) if state.resources.values().any(|r| lives(r).as_ref() == Some(connection)) => {
            Err(another(connection, recorded, &identity, None))
        }
        _ => Ok(Some((own, identity))),
    }
}

/// A connection as state keys it.
fn text(connection: &ClusterConnection) -> String {
    serde_json::to_string(connection).unwrap_or_default()
}

fn another(connection: &ClusterConnection, recorded: &str, found: &str, of: Option<&Address>) -> Failure {
    let name = connection.spoken();
    let whose = of.map_or_else(|| "what state remembers lives in".to_owned(), |a| format!("{a} lives in"));
    let what = format!(
        "this is another cluster: {whose} the one whose kube-system has the uid {recorded}, and that of {name} has {found}"
    );
    Failure::new(Class::Conflict, "kubernetes:Identity", name, what).hint(
        "check the context, path or name in the `kubernetes` block; where the old cluster is gone for good, \
         `terrace state rm` forgets what was in it",
    )
}
