//! What every operation of Helm does after its record is there: objects, readiness, the record's end.

use super::{
    super::super::Tx,
    Client, objects,
    release::{self, Stored},
};
use crate::world::{Class, Clock as _, Failure, Outcome, Release};
use jiff::Timestamp;
use std::time::Duration;

/// How long it takes to fetch and render a chart.
const FETCH: Duration = Duration::from_secs(4);
/// How long new CRDs take until objects of theirs can be made.
const ESTABLISH: Duration = Duration::from_secs(3);
/// How often readiness is looked at.
const POLL: Duration = Duration::from_secs(2);
/// How many revisions are kept.
const HISTORY_MAX: usize = 10;

/// One operation on a release.
pub(super) struct Operation {
    /// Its call.
    pub(super) name: &'static str,
    /// The pending record.
    pub(super) stored: Stored,
    /// The revision whose objects are there.
    pub(super) before: Option<Release>,
    /// Wait until all is ready.
    pub(super) wait: bool,
    /// For so long.
    pub(super) timeout: Duration,
}

impl Client {
    /// Carries an operation out after its record is there.
    pub(super) async fn carry_out(&self, operation: Operation) -> Outcome<Release> {
        let Operation { name, stored, before, wait, timeout } = operation;
        let clock = &self.sandbox.virtual_clock();
        let deadline = clock.now().checked_add(timeout).unwrap_or(Timestamp::MAX);
        let subject = format!("{}/{}", stored.release.namespace, stored.release.name);
        clock.sleep(FETCH).await;
        let result = self.change_objects(name, &subject, &stored, before.as_ref()).await;
        let result = match result {
            Ok(()) if wait => self.wait(name, &subject, &stored.release, deadline).await,
            other => other,
        };
        let stuck = result.is_err() && stored.halfway.as_ref().is_some_and(|halfway| halfway.stuck);
        if stuck {
            return result.map(|()| stored.release);
        }
        // The record is there: that Helm was told "later" is no longer a reason to begin again.
        let result = result.map_err(|failure| match failure.class {
            Class::Throttled => Failure { class: Class::Failed, ..failure },
            _ => failure,
        });
        let failure = result.as_ref().err();
        let closed = self
            .sandbox
            .call(&format!("{name}.done"), &subject, |tx| Ok(close(tx, &self.cluster, &stored, failure)))
            .await;
        result?;
        closed
    }

    async fn change_objects(
        &self,
        name: &str,
        subject: &str,
        stored: &Stored,
        before: Option<&Release>,
    ) -> Outcome<()> {
        let cluster = &self.cluster;
        if !stored.crds.is_empty() {
            let new = self
                .sandbox
                .call(&format!("{name}.crds"), subject, |tx| objects::apply_crds(tx, cluster, &stored.crds))
                .await?;
            if new {
                self.sandbox.virtual_clock().sleep(ESTABLISH).await;
            }
        }
        self.sandbox
            .call(&format!("{name}.objects"), subject, |tx| {
                objects::apply(tx, cluster, &stored.release, before, stored.halfway.as_ref())
            })
            .await
            .map_err(|failure| Failure { operation: name.to_owned(), subject: subject.to_owned(), ..failure })
    }

    async fn wait(&self, name: &str, subject: &str, release: &Release, deadline: Timestamp) -> Outcome<()> {
        let clock = self.sandbox.virtual_clock();
        loop {
            let waits = self.sandbox.transact(|tx| objects::waits_for(tx, &self.cluster, release))?;
            let Some(waits) = waits else { return Ok(()) };
            if clock.now() >= deadline {
                let message = format!("context deadline exceeded: {waits}");
                return Err(Failure::new(Class::Failed, name, subject, message));
            }
            clock.sleep(POLL).await;
        }
    }
}

impl Client {
    /// Waits until nothing of an uninstalled release is left.
    pub(super) async fn wait_for_the_end(&self, subject: &str, release: &Release, deadline: Timestamp) -> Outcome<()> {
        let clock = self.sandbox.virtual_clock();
        loop {
            let left = self.sandbox.transact(|tx| objects::still_there(tx, &self.cluster, release))?;
            let Some(left) = left else { return Ok(()) };
            if clock.now() >= deadline {
                let message = format!("context deadline exceeded: {left} is still there");
                return Err(Failure::new(Class::Failed, "helm:Uninstall", subject, message));
            }
            clock.sleep(POLL).await;
        }
    }
}

/// Closes a pending record as deployed or failed.
fn close(tx: &mut Tx<'_>, cluster: &str, stored: &Stored, failure: Option<&Failure>) -> Release {
    let mut stored = stored.clone();
    stored.halfway = None;
    stored.release.updated = tx.now();
    let (namespace, name) = (stored.release.namespace.clone(), stored.release.name.clone());
    let underway = stored.release.status.clone();
    if let Some(failure) = failure {
        let what = match underway.as_str() {
            "pending-install" => "Release",
            "pending-rollback" => "Rollback",
            _ => "Upgrade",
        };
        stored.release.description = format!("{what} {name:?} failed: {}", failure.message);
        "failed".clone_into(&mut stored.release.status);
    } else {
        match underway.as_str() {
            "pending-install" => "Install complete".clone_into(&mut stored.release.description),
            "pending-upgrade" => "Upgrade complete".clone_into(&mut stored.release.description),
            _ => {}
        }
        for mut old in release::history(tx, cluster, &namespace, &name) {
            if old.release.status == "deployed" {
                "superseded".clone_into(&mut old.release.status);
                release::store(tx, cluster, &old);
            }
        }
        "deployed".clone_into(&mut stored.release.status);
    }
    release::store(tx, cluster, &stored);
    release::trim(tx, cluster, &namespace, &name, HISTORY_MAX);
    stored.release
}
