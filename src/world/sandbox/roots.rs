//! The machine's own Terraform and OpenTofu; virtual time is real while they are at work (rule 24).

use super::Sandbox;
use crate::{
    base::Digest,
    world::{Kept, Outcome, Progress, Root, RootAim, RootEnd, RootLock, RootPlan, RootState, Terraform},
};
use std::{sync::Arc, time::Duration};

/// The real programs, in a world whose time is not.
pub(super) struct RealRoots(pub(super) Arc<Sandbox>);

#[async_trait::async_trait]
impl Terraform for RealRoots {
    async fn state(&self, root: &Root, limit: Duration) -> Outcome<RootState> {
        let _busy = self.0.clock.busy();
        self.0.machine.terraform().state(root, limit).await
    }

    async fn plan(&self, root: &Root, aim: RootAim, name: &str, limit: Duration) -> Outcome<RootPlan> {
        let _busy = self.0.clock.busy();
        self.0.machine.terraform().plan(root, aim, name, limit).await
    }

    async fn kept(&self, key: &str, name: &str, digest: &Digest) -> Outcome<Kept> {
        self.0.machine.terraform().kept(key, name, digest).await
    }

    async fn apply(
        &self,
        root: &Root,
        name: &str,
        token: &str,
        progress: Progress<'_>,
        limit: Duration,
    ) -> Outcome<RootEnd> {
        let _busy = self.0.clock.busy();
        self.0.machine.terraform().apply(root, name, token, progress, limit).await
    }

    async fn ended(&self, root: &Root, token: &str, progress: Progress<'_>, limit: Duration) -> Outcome<RootEnd> {
        let _busy = self.0.clock.busy();
        self.0.machine.terraform().ended(root, token, progress, limit).await
    }

    async fn lock(&self, root: &Root, limit: Duration) -> Outcome<Option<RootLock>> {
        let _busy = self.0.clock.busy();
        self.0.machine.terraform().lock(root, limit).await
    }

    async fn discard(&self, key: &str, name: &str) -> Outcome<()> {
        self.0.machine.terraform().discard(key, name).await
    }

    fn by_hand(&self, root: &Root, words: &str) -> String {
        self.0.machine.terraform().by_hand(root, words)
    }
}
