//! Signatures of images: whether one of some keys signed exactly this digest, in either form in which cosign stores that.
//!
//! A registry is not trusted: whatever it says counts only where a key vouches for it. Keyless signatures (certificates of Fulcio,
//! entries of Rekor) are not verified, and so count for nothing.
//!
//! Sources: cosign's `specs/SIGNATURE_SPEC.md` (the tag `sha256-DIGITS.sig`) and `specs/BUNDLE_SPEC.md` (bundles as OCI referrers), DSSE's
//! `protocol.md`, in-toto's Statement v1, and the referrers of the OCI distribution specification.

use crate::{
    base::{Digest, Image, PublicKey},
    world::{Outcome, Registry},
};
use base64::Engine as _;
use serde_json::Value as Json;

/// The payload of the older form.
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Where the older form has its signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The newer form.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What the newer form says of an image.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// What a bundle's payload is.
const STATEMENT: &str = "application/vnd.in-toto+json";
/// How many signatures of an image are looked at. What lies behind them counts as not there.
const MOST: usize = 50;
/// A longer payload is no signature's.
const LONGEST: usize = 1 << 20;

/// Whether one of these keys signed an image; if none did, why each signature that is there does not count.
///
/// # Errors
/// A registry that does not answer, or refuses.
pub async fn verified(
    registry: &dyn Registry,
    image: &Image,
    digest: &Digest,
    keys: &[PublicKey],
) -> Outcome<Result<(), Vec<String>>> {
    let mut why = Vec::new();
    for found in simple(registry, digest).await? {
        match found.and_then(|found| found.vouches(image, digest, keys)) {
            Ok(()) => return Ok(Ok(())),
            Err(reason) => why.push(reason),
        }
    }
    for found in bundles(registry, digest).await? {
        match found.and_then(|found| vouches(&found, digest, keys)) {
            Ok(()) => return Ok(Ok(())),
            Err(reason) => why.push(reason),
        }
    }
    Ok(Err(why))
}

/// A signature in the older form.
struct Simple {
    payload: Vec<u8>,
    signature: String,
}

type Read<T> = Result<T, String>;

async fn simple(registry: &dyn Registry, digest: &Digest) -> Outcome<Vec<Read<Simple>>> {
    let Some(manifest) = registry.manifest(&format!("sha256-{}.sig", digest.hex())).await? else {
        return Ok(Vec::new());
    };
    let Ok(manifest) = serde_json::from_slice::<Json>(&manifest) else {
        return Ok(vec![Err("what its tag of signatures names is no JSON".to_owned())]);
    };
    let mut found = Vec::new();
    for layer in manifest["layers"].as_array().into_iter().flatten().take(MOST) {
        if layer["mediaType"] != SIMPLE {
            found.push(Err("what lies there is no signature of cosign".to_owned()));
            continue;
        }
        let Some(signature) = layer["annotations"][SIGNATURE].as_str().map(str::to_owned) else {
            found.push(Err("a payload has no signature beside it".to_owned()));
            continue;
        };
        found.push(part(registry, layer).await?.map(|payload| Simple { payload, signature }));
    }
    if found.is_empty() {
        found.push(Err("its tag of signatures holds none".to_owned()));
    }
    Ok(found)
}

/// The content of a layer, held against its digest.
async fn part(registry: &dyn Registry, layer: &Json) -> Outcome<Read<Vec<u8>>> {
    let Some(digest) = layer["digest"].as_str().and_then(Digest::parse_hex) else {
        return Ok(Err("a signature has no digest".to_owned()));
    };
    let Some(content) = registry.blob(&digest).await? else {
        return Ok(Err(format!("what was signed ({}) is not in the registry", digest.short())));
    };
    if content.len() > LONGEST {
        return Ok(Err("what was signed is too long for a signature".to_owned()));
    }
    let same = Digest::of(&content) == digest;
    Ok(if same { Ok(content) } else { Err("what was signed was altered: it does not have its digest".to_owned()) })
}

impl Simple {
    /// Whether it says of this image, by one of these keys, that it is this digest.
    fn vouches(&self, image: &Image, digest: &Digest, keys: &[PublicKey]) -> Read<()> {
        // First the key: what nobody vouches for is not read.
        if !keys.iter().any(|key| key.verifies(&self.payload, &self.signature)) {
            return Err("a signature is of none of these keys, or of something else".to_owned());
        }
        let payload: Json =
            serde_json::from_slice(&self.payload).map_err(|_| "what was signed is no JSON".to_owned())?;
        let critical = &payload["critical"];
        if critical["type"] != "cosign container image signature" {
            return Err("what was signed is no image".to_owned());
        }
        let of = critical["image"]["docker-manifest-digest"].as_str().unwrap_or_default();
        if of != digest.as_str() {
            return Err(format!("a signature is of another digest: {of}"));
        }
        let identity = critical["identity"]["docker-reference"].as_str().unwrap_or_default();
        match Image::parse(identity) {
            Ok(named) if named.name() == image.name() => Ok(()),
            _ => Err(format!("a signature is of another repository: {identity}")),
        }
    }
}

async fn bundles(registry: &dyn Registry, digest: &Digest) -> Outcome<Vec<Read<Json>>> {
    let Some(index) = registry.referrers(digest, BUNDLE).await? else { return Ok(Vec::new()) };
    let Ok(index) = serde_json::from_slice::<Json>(&index) else {
        return Ok(vec![Err("what refers to it in the registry is no JSON".to_owned())]);
    };
    let all = index["manifests"].as_array().into_iter().flatten();
    let mut found = Vec::new();
    for entry in all.filter(|entry| entry["artifactType"] == BUNDLE).take(MOST) {
        found.push(bundle(registry, entry).await?);
    }
    Ok(found)
}

async fn bundle(registry: &dyn Registry, entry: &Json) -> Outcome<Read<Json>> {
    let Some(of) = entry["digest"].as_str().and_then(Digest::parse_hex) else {
        return Ok(Err("a bundle has no digest".to_owned()));
    };
    let Some(manifest) = registry.manifest(of.as_str()).await? else {
        return Ok(Err(format!("a bundle ({}) is not in the registry", of.short())));
    };
    let Ok(manifest) = serde_json::from_slice::<Json>(&manifest) else {
        return Ok(Err("a bundle's manifest is no JSON".to_owned()));
    };
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let Some(layer) = layers.into_iter().find(|layer| layer["mediaType"] == BUNDLE) else {
        return Ok(Err("a bundle holds nothing".to_owned()));
    };
    let content = part(registry, layer).await?;
    Ok(content.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|_| "a bundle is no JSON".to_owned())))
}

/// Whether a bundle says, by one of these keys, that this digest is signed. It does not say in which repository.
fn vouches(bundle: &Json, digest: &Digest, keys: &[PublicKey]) -> Read<()> {
    let envelope = &bundle["dsseEnvelope"];
    if envelope["payloadType"] != STATEMENT {
        return Err("a bundle holds no statement".to_owned());
    }
    let coded = envelope["payload"].as_str().unwrap_or_default();
    let payload = base64::engine::general_purpose::STANDARD.decode(coded);
    let payload = payload.map_err(|_| "a bundle's payload is no base64".to_owned())?;
    let signed = [format!("DSSEv1 {} {STATEMENT} {} ", STATEMENT.len(), payload.len()).into_bytes(), payload.clone()];
    let signed = signed.concat();
    let signatures = envelope["signatures"].as_array().into_iter().flatten().take(MOST);
    let mut signatures = signatures.filter_map(|signature| signature["sig"].as_str());
    if !signatures.any(|signature| keys.iter().any(|key| key.verifies(&signed, signature))) {
        return Err("a bundle is signed by none of these keys, or was altered".to_owned());
    }
    let statement: Json = serde_json::from_slice(&payload).map_err(|_| "a statement is no JSON".to_owned())?;
    // Attestations are signed alike, and say something else.
    if statement["predicateType"] != SIGNED {
        return Err(format!("a bundle says something else of it: {}", statement["predicateType"]));
    }
    let mut subjects = statement["subject"].as_array().into_iter().flatten();
    if subjects.any(|subject| subject["digest"]["sha256"] == digest.hex()) {
        return Ok(());
    }
    Err("a bundle is of another digest".to_owned())
}

#[cfg(test)]
mod tests;
