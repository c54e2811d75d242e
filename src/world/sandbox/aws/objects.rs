//! Buckets of the sandbox, as far as templates need them: every bucket exists, and an object is kept under its URL.

use super::Scope;
use crate::world::{
    Objects, Outcome,
    sandbox::{Sandbox, Tx},
};
use std::sync::Arc;

/// The buckets of one account and region.
pub(super) struct Buckets {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) scope: Scope,
}

#[async_trait::async_trait]
impl Objects for Buckets {
    async fn put_absent(&self, bucket: &str, key: &str, content: &[u8]) -> Outcome<String> {
        let url = format!("https://s3.{}.amazonaws.com/{bucket}/{key}", self.scope.region);
        let content = String::from_utf8_lossy(content).into_owned();
        self.sandbox
            .call("s3:PutObject", bucket, |tx| {
                if !tx.has("object", &url) {
                    tx.put("object", &url, &content);
                }
                Ok(url)
            })
            .await
    }
}

/// The object under a URL.
pub(super) fn read(tx: &Tx<'_>, url: &str) -> Option<String> {
    tx.get("object", url)
}
