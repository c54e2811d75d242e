//! Templates in a bucket, over S3. Source: PutObject with `If-None-Match`, "Conditional writes" of the S3 user guide.

use super::{failure::failed, session::Session};
use crate::world::{Objects, Outcome};
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use std::sync::Arc;

/// The buckets that a connection can write to.
pub(super) struct LiveObjects(pub(super) Arc<Session>);

#[async_trait]
impl Objects for LiveObjects {
    async fn put_absent(&self, bucket: &str, key: &str, content: &[u8]) -> Outcome<String> {
        let client = &self.0.clients().await?.s3;
        let call = client.put_object().bucket(bucket).key(key).body(ByteStream::from(content.to_vec()));
        match call.if_none_match("*").send().await {
            Ok(_) => {}
            // It is there already: the key is the digest of what it holds.
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 412) => {}
            Err(error) => return Err(failed("s3:PutObject", bucket)(error)),
        }
        Ok(format!("{}/{bucket}/{key}", self.0.template_host().await?))
    }
}
