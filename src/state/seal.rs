//! Seals: keyed hashes that stand for sensitive leaves in whatever is stored (rule 9).

use crate::base::{Secret, Value};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::sync::Arc;

/// The key of one state. Two states seal the same secret differently.
#[derive(Debug, Clone)]
pub struct SealKey(Secret<[u8; 32]>);

impl SealKey {
    /// A key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The key from its stored text.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(text.trim()).ok()?;
        Some(Self::new(bytes.try_into().ok()?))
    }

    /// The key's text, for storing it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0.expose())
    }

    /// The seal of one value's plain JSON.
    #[must_use]
    pub fn seal(&self, plain: &serde_json::Value) -> Arc<str> {
        let mut mac = <Hmac<Sha256>>::new_from_slice(self.0.expose()).unwrap_or_else(|_| {
            // HMAC takes keys of any length, so this arm is never taken; an empty key keeps it total.
            <Hmac<Sha256> as hmac::KeyInit>::new(&hmac::digest::Key::<Hmac<Sha256>>::default())
        });
        mac.update(crate::base::canonical_text(plain).as_bytes());
        format!("hmac-sha256:{}", hex::encode(mac.finalize().into_bytes())).into()
    }

    /// A value with every sensitive part sealed.
    #[must_use]
    pub fn seal_value(&self, value: &Value) -> Value {
        value.sealed(&|plain| self.seal(plain))
    }
}
