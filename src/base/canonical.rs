//! Canonical JSON: one byte sequence for one value, so that digests mean something.

use crate::base::Digest;

/// Serializes with keys in byte order and no white space. The same value gives the same bytes on any machine.
///
/// # Errors
/// Where the value does not serialize, which includes a sensitive leaf that was not sealed.
pub fn canonical_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    // serde_json's map is ordered by key, so a pass through its value sorts every object.
    serde_json::to_vec(&serde_json::to_value(value)?)
}

impl Digest {
    /// The digest of a value's canonical JSON.
    ///
    /// # Errors
    /// As [`canonical_json`].
    pub fn of_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        canonical_json(value).map(|bytes| Self::of(&bytes))
    }
}
