//! Helm over the sandbox: charts from a catalogue, releases with revisions, and the lock that a pending record is.
//!
//! An operation makes its record first, then changes objects, then waits, then closes the record: each a step of its own, so
//! that a process that dies in between leaves what Helm leaves. Source: helm.sh/helm/v4, `pkg/action`.

mod catalogue;
mod objects;
mod operation;
pub(super) mod release;
mod render;
mod template;
mod yaml;

use super::{
    super::{Sandbox, Tx},
    server,
};
use crate::world::{
    Chart, ChartRef, Charts, Class, Clock as _, Failure, Helm, ObjectRef, Outcome, Release, ReleaseRequest, Rendered,
};
use jiff::Timestamp;
use operation::Operation;
use release::Stored;
use std::{sync::Arc, time::Duration};

/// Helm against one cluster.
pub(super) struct Client {
    /// The world.
    pub(super) sandbox: Arc<Sandbox>,
    /// The cluster's key.
    pub(super) cluster: String,
}

/// The objects of an add-on that EKS manages, at a version.
pub(super) fn addon_objects(addon: &str, version: &str) -> Vec<serde_json::Value> {
    let found = catalogue::addon(addon, version);
    let values = serde_json::json!({});
    let whom = render::For { release: addon, namespace: "kube-system", values: &values, helm: false };
    let rendered = render::render(&found, whom);
    rendered.crds.into_iter().chain(rendered.objects).collect()
}

impl Client {
    fn fail(operation: &str, request: (&str, &str), class: Class, message: impl Into<String>) -> Failure {
        let (namespace, name) = request;
        Failure::new(class, operation, format!("{namespace}/{name}"), message)
    }

    fn find(&self, chart: &ChartRef) -> Outcome<catalogue::Found> {
        catalogue::find(chart, self.sandbox.options().charts.as_deref())
    }

    fn render(&self, request: &ReleaseRequest) -> Outcome<(Chart, Rendered)> {
        let found = self.find(&request.chart)?;
        let whom =
            render::For { release: &request.name, namespace: &request.namespace, values: &request.values, helm: true };
        let rendered = render::render(&found, whom);
        Ok((found.chart, rendered))
    }

    /// A new record of what was asked for.
    fn record(&self, request: &ReleaseRequest, revision: u32, status: &str, tx: &mut Tx<'_>) -> Outcome<Stored> {
        let (chart, rendered) = self.render(request)?;
        let release = Release {
            name: request.name.clone(),
            namespace: request.namespace.clone(),
            revision,
            status: status.to_owned(),
            chart: chart.name,
            version: chart.version,
            app_version: chart.app_version,
            values: request.values.clone(),
            manifest: rendered.objects,
            labels: request.labels.clone(),
            token: request.token.clone(),
            description: if revision == 1 { "Initial install underway" } else { "Preparing upgrade" }.to_owned(),
            updated: tx.now(),
        };
        Ok(Stored { release, halfway: tx.take_halfway(), crds: rendered.crds })
    }
}

/// Uninstalls behind everybody's back.
pub(super) fn uninstall_now(tx: &mut Tx<'_>, cluster: &str, namespace: &str, name: &str) -> Outcome<()> {
    if let Some(newest) = release::history(tx, cluster, namespace, name).into_iter().next() {
        objects::delete(tx, cluster, &newest.release)?;
        release::forget(tx, cluster, namespace, name);
    }
    Ok(())
}

#[async_trait::async_trait]
impl Charts for Client {
    async fn archive(&self, chart: &ChartRef) -> Outcome<(Chart, Option<Vec<u8>>)> {
        Ok((self.resolve(chart).await?, None))
    }

    async fn template(&self, request: &ReleaseRequest) -> Outcome<Rendered> {
        Helm::template(self, request).await
    }
}

#[async_trait::async_trait]
impl Helm for Client {
    async fn resolve(&self, chart: &ChartRef) -> Outcome<Chart> {
        self.sandbox.call("helm:Resolve", &chart.chart, |_| self.find(chart).map(|found| found.chart)).await
    }

    async fn template(&self, request: &ReleaseRequest) -> Outcome<Rendered> {
        let subject = format!("{}/{}", request.namespace, request.name);
        self.sandbox.call("helm:Template", &subject, |_| self.render(request).map(|(_, rendered)| rendered)).await
    }

    async fn release(&self, name: &str, namespace: &str) -> Outcome<Option<Release>> {
        let subject = format!("{namespace}/{name}");
        self.sandbox
            .call("helm:Release", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                let newest = release::history(tx, &self.cluster, namespace, name).into_iter().next();
                Ok(newest.map(|stored| stored.release))
            })
            .await
    }

    async fn history(&self, name: &str, namespace: &str) -> Outcome<Vec<Release>> {
        let subject = format!("{namespace}/{name}");
        self.sandbox
            .call("helm:History", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                let all = release::history(tx, &self.cluster, namespace, name);
                Ok(all.into_iter().map(|stored| stored.release).collect())
            })
            .await
    }

    async fn install(&self, request: &ReleaseRequest) -> Outcome<Release> {
        const NAME: &str = "helm:Install";
        let whom = (request.namespace.as_str(), request.name.as_str());
        let stored = self
            .sandbox
            .call(NAME, &format!("{}/{}", whom.0, whom.1), |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                if !release::history(tx, &self.cluster, whom.0, whom.1).is_empty() {
                    let message = "cannot re-use a name that is still in use";
                    return Err(Self::fail(NAME, whom, Class::AlreadyExists, message));
                }
                let namespace = ObjectRef {
                    api_version: "v1".into(),
                    kind: "Namespace".into(),
                    namespace: None,
                    name: whom.0.into(),
                };
                if server::get(tx, &self.cluster, &namespace)?.is_none() {
                    let message = format!("create: failed to create: namespaces {:?} not found", whom.0);
                    return Err(Self::fail(NAME, whom, Class::NotFound, message));
                }
                let stored = self.record(request, 1, "pending-install", tx)?;
                release::store(tx, &self.cluster, &stored);
                Ok(stored)
            })
            .await?;
        let operation = Operation { name: NAME, stored, before: None, wait: request.wait, timeout: request.timeout };
        self.carry_out(operation).await
    }

    async fn upgrade(&self, request: &ReleaseRequest) -> Outcome<Release> {
        const NAME: &str = "helm:Upgrade";
        let whom = (request.namespace.as_str(), request.name.as_str());
        let (stored, before) = self
            .sandbox
            .call(NAME, &format!("{}/{}", whom.0, whom.1), |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                let history = release::history(tx, &self.cluster, whom.0, whom.1);
                let Some(newest) = history.first() else {
                    let message = format!("{:?} has no deployed releases", whom.1);
                    return Err(Self::fail(NAME, whom, Class::NotFound, message));
                };
                check_lock(NAME, whom, &newest.release)?;
                let deployed = history.iter().find(|stored| stored.release.status == "deployed").unwrap_or(newest);
                let stored = self.record(request, newest.release.revision + 1, "pending-upgrade", tx)?;
                release::store(tx, &self.cluster, &stored);
                Ok((stored, deployed.release.clone()))
            })
            .await?;
        let operation =
            Operation { name: NAME, stored, before: Some(before), wait: request.wait, timeout: request.timeout };
        self.carry_out(operation).await
    }

    async fn rollback(
        &self,
        name: &str,
        namespace: &str,
        revision: u32,
        wait: bool,
        timeout: Duration,
    ) -> Outcome<Release> {
        const NAME: &str = "helm:Rollback";
        let whom = (namespace, name);
        let (stored, before) = self
            .sandbox
            .call(NAME, &format!("{namespace}/{name}"), |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                let history = release::history(tx, &self.cluster, namespace, name);
                let Some(newest) = history.first() else {
                    return Err(Self::fail(NAME, whom, Class::NotFound, "release: not found"));
                };
                let Some(target) = history.iter().find(|stored| stored.release.revision == revision) else {
                    let message = format!("release has no {revision} version");
                    return Err(Self::fail(NAME, whom, Class::NotFound, message));
                };
                let mut stored = target.clone();
                stored.release.token.clear();
                stored.crds = Vec::new();
                stored.halfway = tx.take_halfway();
                stored.release.revision = newest.release.revision + 1;
                "pending-rollback".clone_into(&mut stored.release.status);
                stored.release.description = format!("Rollback to {revision}");
                stored.release.updated = tx.now();
                release::store(tx, &self.cluster, &stored);
                Ok((stored, newest.release.clone()))
            })
            .await?;
        self.carry_out(Operation { name: NAME, stored, before: Some(before), wait, timeout }).await
    }

    async fn uninstall(&self, name: &str, namespace: &str, wait: bool, timeout: Duration) -> Outcome<()> {
        const NAME: &str = "helm:Uninstall";
        let whom = (namespace, name);
        let subject = format!("{namespace}/{name}");
        let clock = self.sandbox.virtual_clock();
        let deadline = clock.now().checked_add(timeout).unwrap_or(Timestamp::MAX);
        let found = self
            .sandbox
            .call(NAME, &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                let Some(mut newest) = release::history(tx, &self.cluster, namespace, name).into_iter().next() else {
                    return Ok(None);
                };
                "uninstalling".clone_into(&mut newest.release.status);
                release::store(tx, &self.cluster, &newest);
                Ok(Some((newest.release, tx.take_halfway())))
            })
            .await?;
        let Some((release, halfway)) = found else { return Ok(()) };
        if let Some(halfway) = halfway {
            let reason = halfway
                .reason
                .unwrap_or_else(|| "failed to delete release: the server was unable to return a response".into());
            return Err(Self::fail(NAME, whom, Class::Failed, reason));
        }
        self.sandbox
            .call("helm:Uninstall.objects", &subject, |tx| objects::delete(tx, &self.cluster, &release))
            .await?;
        if wait {
            self.wait_for_the_end(&subject, &release, deadline).await?;
        }
        let done = |tx: &mut Tx<'_>| {
            release::forget(tx, &self.cluster, namespace, name);
            Ok(())
        };
        self.sandbox.call("helm:Uninstall.done", &subject, done).await
    }

    async fn mark_failed(&self, name: &str, namespace: &str, why: &str) -> Outcome<()> {
        let subject = format!("{namespace}/{name}");
        self.sandbox
            .call("helm:MarkFailed", &subject, |tx| {
                super::ensure(tx, &self.cluster);
                server::reach(tx, &self.cluster)?;
                let newest = release::history(tx, &self.cluster, namespace, name).into_iter().next();
                if let Some(mut stored) = newest.filter(|stored| stored.release.is_pending()) {
                    "failed".clone_into(&mut stored.release.status);
                    why.clone_into(&mut stored.release.description);
                    stored.halfway = None;
                    release::store(tx, &self.cluster, &stored);
                }
                Ok(())
            })
            .await
    }
}

/// Refuses while another operation holds the release, or seems to.
fn check_lock(operation: &str, whom: (&str, &str), newest: &Release) -> Outcome<()> {
    if !newest.is_pending() {
        return Ok(());
    }
    let message = "another operation (install/upgrade/rollback) is in progress";
    let hint =
        format!("revision {} of {} is {}; if no helm runs, its process died", newest.revision, whom.1, newest.status);
    Err(Client::fail(operation, whom, Class::Stuck, message).hint(hint))
}

#[cfg(test)]
mod tests;
