//! What a bucket does for state: five requests that every S3-compatible store has, one of them conditional.

use crate::world::Outcome;
use async_trait::async_trait;

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Its content.
    pub(super) content: Vec<u8>,
    /// When it was written, by the store's clock, in whole seconds.
    pub(super) modified: Option<jiff::Timestamp>,
    /// When it was read, by the store's clock.
    pub(super) now: Option<jiff::Timestamp>,
}

/// What became of creating an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    /// It was not there, and is now.
    New,
    /// Something is there already; nothing was written. After a lost answer it may be our own.
    Exists,
}

/// A bucket. Keys are whole, with every prefix.
#[async_trait]
pub(super) trait Bucket: Send + Sync {
    /// GetObject.
    async fn get(&self, key: &str) -> Outcome<Option<Object>>;
    /// PutObject, whatever is there.
    async fn put(&self, key: &str, content: &[u8]) -> Outcome<()>;
    /// PutObject with `If-None-Match: *`. A failure whose effect is unknown may have written.
    async fn create(&self, key: &str, content: &[u8]) -> Outcome<Created>;
    /// ListObjectsV2, all pages: keys that start so, in order.
    async fn list(&self, prefix: &str) -> Outcome<Vec<String>>;
    /// ListObjectsV2 with the delimiter `/`: names of the folders under a prefix that ends in `/`, in order.
    async fn folders(&self, prefix: &str) -> Outcome<Vec<String>>;
    /// DeleteObject; an absent one is no error.
    async fn delete(&self, key: &str) -> Outcome<()>;
    /// The bucket's name.
    fn name(&self) -> &str;
}
