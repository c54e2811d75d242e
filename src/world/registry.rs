//! A repository of an OCI registry: manifests by tag or digest, blobs by digest.
//!
//! Source: the OCI distribution specification, and the image specification's guidance for artifacts.

use crate::{
    base::{Digest, canonical_json},
    world::{Class, Failure, Outcome},
};
use serde_json::{Value as Json, json};

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The configuration of an artifact that has none.
pub const EMPTY_CONFIG: &[u8] = b"{}";

/// What a manifest says of a blob.
#[must_use]
pub fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Json {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// The manifest of an artifact that is no image: the same bytes for the same layers.
///
/// # Errors
/// None that a caller could do something about.
pub fn artifact_manifest(artifact_type: &str, layers: &[Json]) -> Outcome<Vec<u8>> {
    let empty = descriptor("application/vnd.oci.empty.v1+json", &Digest::of(EMPTY_CONFIG), EMPTY_CONFIG.len());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": empty,
        "layers": layers,
    });
    canonical_json(&manifest).map_err(|e| Failure::new(Class::Local, "write manifest", "", e.to_string()))
}

/// One repository of a registry. What is read is not yet held against any digest but the one it was asked by.
#[async_trait::async_trait]
pub trait Registry: Send + Sync {
    /// Where it is, for messages: `oci://HOST/REPOSITORY`.
    fn place(&self) -> String;
    /// The digest of what a tag names: one image, or an index of several platforms, as it is. `None` where there is no such tag.
    async fn digest(&self, tag: &str) -> Outcome<Option<Digest>>;
    /// A manifest by its tag or digest; `None` where there is none.
    async fn manifest(&self, reference: &str) -> Outcome<Option<Vec<u8>>>;
    /// The index of what refers to a manifest and is of this type; `None` where nothing does.
    async fn referrers(&self, digest: &Digest, artifact_type: &str) -> Outcome<Option<Vec<u8>>>;
    /// A blob; `None` where there is none.
    async fn blob(&self, digest: &Digest) -> Outcome<Option<Vec<u8>>>;
    /// Stores a blob where there is none of this digest; `false` where there was.
    async fn put_blob(&self, digest: &Digest, content: &[u8]) -> Outcome<bool>;
    /// Stores a manifest under a tag; one that is there is replaced.
    async fn put_manifest(&self, tag: &str, content: &[u8]) -> Outcome<()>;
    /// The tags there are, as far as they can be listed; none where there is no such repository.
    async fn tags(&self) -> Outcome<Vec<String>>;
}
