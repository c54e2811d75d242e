//! Helm on a live cluster: not there yet, and said so by every call.

use crate::world::{Chart, ChartRef, Class, Failure, Helm, Outcome, Release, ReleaseRequest, Rendered};
use std::time::Duration;

/// Refuses everything.
pub(super) struct NoHelm;

fn none<T>(operation: &str, subject: &str) -> Outcome<T> {
    let what = "this version cannot run helm on a live cluster yet";
    Err(Failure::new(Class::Unsupported, operation, subject, what).hint("plan charts with --sandbox"))
}

#[async_trait::async_trait]
impl Helm for NoHelm {
    async fn resolve(&self, chart: &ChartRef) -> Outcome<Chart> {
        none("helm show", &chart.chart)
    }
    async fn template(&self, request: &ReleaseRequest) -> Outcome<Rendered> {
        none("helm template", &request.name)
    }
    async fn release(&self, name: &str, _namespace: &str) -> Outcome<Option<Release>> {
        none("helm status", name)
    }
    async fn history(&self, name: &str, _namespace: &str) -> Outcome<Vec<Release>> {
        none("helm history", name)
    }
    async fn install(&self, request: &ReleaseRequest) -> Outcome<Release> {
        none("helm install", &request.name)
    }
    async fn upgrade(&self, request: &ReleaseRequest) -> Outcome<Release> {
        none("helm upgrade", &request.name)
    }
    async fn rollback(
        &self,
        name: &str,
        _namespace: &str,
        _revision: u32,
        _wait: bool,
        _timeout: Duration,
        _description: &str,
    ) -> Outcome<Release> {
        none("helm rollback", name)
    }
    async fn uninstall(&self, name: &str, _namespace: &str, _wait: bool, _timeout: Duration) -> Outcome<()> {
        none("helm uninstall", name)
    }
    async fn mark_failed(&self, name: &str, _namespace: &str, _why: &str) -> Outcome<()> {
        none("helm", name)
    }
}
