//! Content digests.

use sha2::{Digest as _, Sha256};
use std::{fmt, sync::Arc};

/// A SHA-256 digest of some content, shown as `sha256:` and 64 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Digest(Arc<str>);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(bytes))).into())
    }

    /// The text, with its prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A digest from its 64 hex digits, with or without the prefix; `None` for anything else.
    #[must_use]
    pub fn parse_hex(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let right = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        right.then(|| Self(format!("sha256:{hex}").into()))
    }

    /// Its 64 hex digits, without the prefix.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// Whether these are its first digits, written with or without the prefix; false for none.
    #[must_use]
    pub fn begins_with(&self, digits: &str) -> bool {
        let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
        !digits.is_empty() && self.hex().starts_with(digits)
    }

    /// Twelve hex digits, enough for a person to recognise it.
    #[must_use]
    pub fn short(&self) -> &str {
        let hex = self.hex();
        &hex[..hex.len().min(12)]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
