//! Canonical JSON: one byte sequence for one value, so that digests mean something.

use crate::base::Digest;

/// Serializes with keys in byte order and no white space. The same value gives the same bytes on any machine.
///
/// # Errors
/// Where the value does not serialize, which includes a sensitive leaf that was not sealed.
pub fn canonical_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut value = serde_json::to_value(value)?;
    // Maps keep the order in which they were filled: a library asks that of serde_json for the whole program.
    value.sort_all_objects();
    serde_json::to_vec(&value)
}

/// The canonical text of a value of JSON.
#[must_use]
pub fn canonical_text(value: &serde_json::Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

impl Digest {
    /// The digest of a value's canonical JSON.
    ///
    /// # Errors
    /// As [`canonical_json`].
    pub fn of_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        canonical_json(value).map(|bytes| Self::of(&bytes))
    }

    /// The digest of a value's canonical JSON, where it is a value of JSON already.
    #[must_use]
    pub fn of_value(value: &serde_json::Value) -> Self {
        Self::of(canonical_text(value).as_bytes())
    }
}
