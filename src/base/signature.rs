//! Signatures: ECDSA over P-256 with SHA-256, as cosign and openssl make and check them with a key.

use crate::base::{Digest, Secret};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use base64::Engine as _;

/// What a public key on P-256 begins with in DER (RFC 5480), before the 65 bytes of its point.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: Vec<u8>,
}

impl PublicKey {
    /// A key as `cosign generate-key-pair` and `openssl ec -pubout` write it.
    ///
    /// # Errors
    /// In a few words, why it is no such key.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let der = pem(text, "PUBLIC KEY")?;
        match der.strip_prefix(P256) {
            Some(point) if point.len() == 65 => Ok(Self { point: point.to_vec() }),
            _ => Err("it is no key on the curve P-256".to_owned()),
        }
    }

    /// What it is known by: the digest of its DER form.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&[P256, &self.point].concat())
    }

    /// Whether a signature in base64 is this key's, of this message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = base64::engine::general_purpose::STANDARD.decode(signature.trim()) else { return false };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point).verify(message, &signature).is_ok()
    }
}

/// A key that signs.
pub struct SigningKey(EcdsaKeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(sensitive)")
    }
}

impl SigningKey {
    /// An unencrypted key as `openssl genpkey` (PKCS #8) and `openssl ecparam -genkey` (SEC 1) write it.
    ///
    /// # Errors
    /// In a few words, why it is no such key. Nothing of it is said.
    pub fn from_pem(text: &Secret<String>) -> Result<Self, String> {
        let text = text.expose();
        if text.contains("ENCRYPTED") {
            return Err("it is encrypted".to_owned());
        }
        let pair = if text.contains("BEGIN EC PRIVATE KEY") {
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &pem(text, "EC PRIVATE KEY")?)
        } else {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pem(text, "PRIVATE KEY")?)
        };
        pair.map(Self).map_err(|_| "it is no private key on the curve P-256".to_owned())
    }

    /// The key that its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { point: self.0.public_key().as_ref().to_vec() }
    }

    /// Its signature of a message, in base64.
    ///
    /// # Errors
    /// No randomness.
    pub fn sign(&self, message: &[u8]) -> Result<String, String> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| "nothing can be signed".to_owned())?;
        Ok(base64::engine::general_purpose::STANDARD.encode(signature))
    }
}

/// The bytes of the first block of this kind.
fn pem(text: &str, kind: &str) -> Result<Vec<u8>, String> {
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    let inside = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(inside, _)| inside);
    let inside: String = inside.ok_or_else(|| format!("it has no line `{begin}`"))?.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(inside).map_err(|_| format!("what follows `{begin}` is no base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl ecparam -name prime256v1 -genkey -noout`, and of use to nobody.
    const PRIVATE: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIDL0fhsAw0PhSG8bhV/xNPVnPXxNe6sOR/YFCRf1iwBoAoGCCqGSM49\nAwEHoUQDQgAEfMDrf4y3YmisCFkTou+RTdr1NxjhYyw+MZ6QXSri+IJgEHetpBzg\nvrndIs0Vak6zDxTikGzV5SliQtXp7zTizA==\n-----END EC PRIVATE KEY-----\n";
    /// The same, by `openssl pkcs8 -topk8 -nocrypt`.
    const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggMvR+GwDDQ+FIbxu\nFX/E09Wc9fE17qw5H9gUJF/WLAGhRANCAAR8wOt/jLdiaKwIWROi75FN2vU3GOFj\nLD4xnpBdKuL4gmAQd62kHOC+ud0izRVqTrMPFOKQbNXlKWJC1envNOLM\n-----END PRIVATE KEY-----\n";
    /// The same, by `openssl ec -pubout`.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfMDrf4y3YmisCFkTou+RTdr1Nxjh\nYyw+MZ6QXSri+IJgEHetpBzgvrndIs0Vak6zDxTikGzV5SliQtXp7zTizA==\n-----END PUBLIC KEY-----\n";
    /// Made of "a release" by `openssl dgst -sha256 -sign key.pem | base64 -w0`.
    const BY_OPENSSL: &str =
        "MEUCIB9wJwjoJatGE7iD13pSXAiu9u9pMHirZLiJ6AlOWr05AiEA8hvhuGsHFq+pCXXqKuHQXy3rj1C9QFU+1DfyN6hVW8U=";

    #[test]
    fn what_openssl_signed_is_verified_and_nothing_else() {
        let key = PublicKey::from_pem(PUBLIC).unwrap();
        assert!(key.verifies(b"a release", BY_OPENSSL));
        assert!(!key.verifies(b"another release", BY_OPENSSL));
        assert!(!key.verifies(b"a release", "AAAA"));
        assert!(!key.verifies(b"a release", ""));
    }

    #[test]
    fn what_is_signed_with_a_key_in_either_form_is_verified_with_its_public_one() {
        for text in [PRIVATE, PKCS8] {
            let key = SigningKey::from_pem(&Secret::new(text.to_owned())).unwrap();
            assert_eq!(key.public(), PublicKey::from_pem(PUBLIC).unwrap());
            assert!(key.public().verifies(b"x", &key.sign(b"x").unwrap()));
            assert_eq!(format!("{key:?}"), "(sensitive)");
        }
    }

    #[test]
    fn what_is_no_such_key_is_said() {
        assert!(PublicKey::from_pem("nothing").unwrap_err().contains("BEGIN PUBLIC KEY"));
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert!(PublicKey::from_pem(ed25519).unwrap_err().contains("P-256"));
        let cosign =
            "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
        assert!(SigningKey::from_pem(&Secret::new(cosign.into())).unwrap_err().contains("encrypted"));
    }
}
