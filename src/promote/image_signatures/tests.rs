//! Signatures that cosign made, and what an attacker may make of them. How they came to be: tests/project/delivery/signed.

use super::*;
use crate::base::{Secret, SigningKey};
use serde_json::json;
use std::collections::BTreeMap;

macro_rules! signed {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/project/delivery/signed/", $file))
    };
}

/// A registry in memory that says whatever it is told to.
#[derive(Default, Clone)]
struct Memory {
    manifests: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    index: Option<Vec<u8>>,
}

#[async_trait::async_trait]
impl Registry for Memory {
    fn place(&self) -> String {
        "oci://memory/app".to_owned()
    }
    async fn digest(&self, _: &str) -> Outcome<Option<Digest>> {
        Ok(None)
    }
    async fn manifest(&self, reference: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.manifests.get(reference).cloned())
    }
    async fn referrers(&self, _: &Digest, _: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.index.clone())
    }
    async fn blob(&self, digest: &Digest) -> Outcome<Option<Vec<u8>>> {
        Ok(self.blobs.get(digest).cloned())
    }
    async fn put_blob(&self, _: &Digest, _: &[u8]) -> Outcome<bool> {
        Ok(false)
    }
    async fn put_manifest(&self, _: &str, _: &[u8]) -> Outcome<()> {
        Ok(())
    }
    async fn tags(&self) -> Outcome<Vec<String>> {
        Ok(Vec::new())
    }
}

fn image() -> Image {
    Image::parse("registry.example.com/ours/app:one").unwrap()
}

fn one() -> Digest {
    Digest::of(signed!("one.image.json").as_bytes())
}

fn ours() -> PublicKey {
    PublicKey::from_pem(signed!("ours.pub")).unwrap()
}

/// A registry with a signature of the older form under the tag of image one.
fn with_simple(manifest: &str, payload: &str) -> Memory {
    let mut registry = Memory::default();
    registry.manifests.insert(format!("sha256-{}.sig", one().hex()), manifest.as_bytes().to_vec());
    registry.blobs.insert(Digest::of(payload.as_bytes()), payload.as_bytes().to_vec());
    registry
}

/// A registry in which a bundle refers to image one.
fn with_bundle(index: &str, manifest: &str, payload: &str) -> Memory {
    let mut registry = Memory { index: Some(index.as_bytes().to_vec()), ..Memory::default() };
    registry.manifests.insert(Digest::of(manifest.as_bytes()).to_string(), manifest.as_bytes().to_vec());
    registry.blobs.insert(Digest::of(payload.as_bytes()), payload.as_bytes().to_vec());
    registry
}

/// A registry with a bundle of these bytes.
fn with_payload(payload: &str) -> Memory {
    let layer = json!({ "mediaType": BUNDLE, "digest": Digest::of(payload.as_bytes()), "size": payload.len() });
    let manifest = json!({ "layers": [layer] }).to_string();
    let entry = json!({ "artifactType": BUNDLE, "digest": Digest::of(manifest.as_bytes()) });
    with_bundle(&json!({ "manifests": [entry] }).to_string(), &manifest, payload)
}

async fn why(registry: &Memory, keys: &[PublicKey]) -> Result<(), Vec<String>> {
    verified(registry, &image(), &one(), keys).await.unwrap()
}

#[tokio::test]
async fn what_cosign_signed_counts_in_either_form() {
    let other = PublicKey::from_pem(signed!("other.pub")).unwrap();
    let simple = with_simple(signed!("simple.manifest.json"), signed!("simple.payload.json"));
    let bundle =
        with_bundle(signed!("bundle.index.json"), signed!("bundle.manifest.json"), signed!("bundle.payload.json"));
    for registry in [&simple, &bundle] {
        assert_eq!(why(registry, &[ours()]).await, Ok(()));
        assert_eq!(why(registry, &[other.clone(), ours()]).await, Ok(()), "one of the keys is enough");
        assert_eq!(why(registry, std::slice::from_ref(&other)).await.unwrap_err().len(), 1);
        assert!(why(registry, &[]).await.is_err());
    }
    assert_eq!(why(&Memory::default(), &[ours()]).await, Err(Vec::new()), "none is there");
}

#[tokio::test]
async fn a_signature_of_anything_else_does_not_count() {
    let manifest = signed!("simple.manifest.json");
    let altered = signed!("simple.payload.json").replace("registry.example.com", "registry.example.net");
    let of_altered = {
        let mut json: Json = serde_json::from_str(manifest).unwrap();
        json["layers"][0]["digest"] = Digest::of(altered.as_bytes()).as_str().into();
        json.to_string()
    };
    let mut swapped = with_simple(manifest, "");
    let named: Json = serde_json::from_str(manifest).unwrap();
    let named = Digest::parse_hex(named["layers"][0]["digest"].as_str().unwrap()).unwrap();
    swapped.blobs.insert(named, altered.clone().into_bytes());
    let edited = |edit: &dyn Fn(&mut Json)| {
        let mut json: Json = serde_json::from_str(manifest).unwrap();
        edit(&mut json["layers"]);
        with_simple(&json.to_string(), signed!("simple.payload.json"))
    };
    let cases = [
        (with_simple(signed!("simple-two.manifest.json"), signed!("simple-two.payload.json")), "another digest"),
        (
            with_simple(signed!("simple-other.manifest.json"), signed!("simple-other.payload.json")),
            "none of these keys",
        ),
        (
            with_simple(signed!("simple-elsewhere.manifest.json"), signed!("simple-elsewhere.payload.json")),
            "another repository: registry.example.com/theirs/app",
        ),
        (with_simple(&of_altered, &altered), "none of these keys"),
        (swapped, "was altered"),
        (with_simple(manifest, "{}"), "is not in the registry"),
        (edited(&|layers| *layers = json!([])), "holds none"),
        (edited(&|layers| layers[0]["annotations"] = json!({})), "no signature beside it"),
        (edited(&|layers| layers[0]["mediaType"] = "text/plain".into()), "no signature of cosign"),
        (edited(&|layers| layers[0]["digest"] = "md5:x".into()), "no digest"),
        (with_simple("no json", ""), "no JSON"),
    ];
    for (registry, said) in cases {
        let why = why(&registry, &[ours()]).await.unwrap_err();
        assert!(why.len() == 1 && why[0].contains(said), "{said}: {why:?}");
    }
}

#[tokio::test]
async fn a_bundle_of_anything_else_does_not_count() {
    let bundle: Json = serde_json::from_str(signed!("bundle.payload.json")).unwrap();
    let two: Json = serde_json::from_str(signed!("bundle-two.payload.json")).unwrap();
    let edited = |edit: &dyn Fn(&mut Json)| {
        let mut json = bundle.clone();
        edit(&mut json["dsseEnvelope"]);
        with_payload(&json.to_string())
    };
    let mut missing = with_payload("{}");
    missing.blobs.clear();
    let mut unreadable = with_payload("{}");
    unreadable.index = Some(b"no json".to_vec());
    let cases = [
        (with_payload(signed!("bundle-two.payload.json")), "another digest"),
        (with_payload(signed!("bundle-other.payload.json")), "none of these keys"),
        // The statement of one with the signature of the other.
        (edited(&|e| e["payload"] = two["dsseEnvelope"]["payload"].clone()), "none of these keys"),
        (edited(&|e| e["signatures"] = json!([])), "none of these keys"),
        (edited(&|e| e["payloadType"] = "text/plain".into()), "no statement"),
        (edited(&|e| e["payload"] = "%".into()), "no base64"),
        (with_payload("no json"), "no JSON"),
        (missing, "is not in the registry"),
        (unreadable, "no JSON"),
    ];
    for (registry, said) in cases {
        let why = why(&registry, &[ours()]).await.unwrap_err();
        assert!(why.len() == 1 && why[0].contains(said), "{said}: {why:?}");
    }
}

#[tokio::test]
async fn an_attestation_by_the_right_key_is_no_signature_of_the_image() {
    // Made by `openssl ecparam -name prime256v1 -genkey -noout`, and of use to nobody.
    const PRIVATE: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIDL0fhsAw0PhSG8bhV/xNPVnPXxNe6sOR/YFCRf1iwBoAoGCCqGSM49\nAwEHoUQDQgAEfMDrf4y3YmisCFkTou+RTdr1NxjhYyw+MZ6QXSri+IJgEHetpBzg\nvrndIs0Vak6zDxTikGzV5SliQtXp7zTizA==\n-----END EC PRIVATE KEY-----\n";
    let key = SigningKey::from_pem(&Secret::new(PRIVATE.to_owned())).unwrap();
    let coder = base64::engine::general_purpose::STANDARD;
    let bundle = |predicate: &str| {
        let subject = json!([{ "digest": { "sha256": one().hex() } }]);
        let statement = json!({ "subject": subject, "predicateType": predicate, "predicate": {} }).to_string();
        let signed = format!("DSSEv1 {} {STATEMENT} {} {statement}", STATEMENT.len(), statement.len());
        let signature = key.sign(signed.as_bytes()).unwrap();
        let envelope = json!({
            "payload": coder.encode(&statement), "payloadType": STATEMENT, "signatures": [{ "sig": signature }],
        });
        with_payload(&json!({ "dsseEnvelope": envelope }).to_string())
    };
    assert_eq!(why(&bundle(SIGNED), &[key.public()]).await, Ok(()));
    let said = why(&bundle("https://slsa.dev/provenance/v1"), &[key.public()]).await.unwrap_err();
    assert!(said[0].contains("something else"), "{said:?}");
}
