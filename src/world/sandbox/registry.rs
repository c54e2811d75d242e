//! Registries of images, as the sandbox plays them: whatever is asked for is there, under a digest made up from its name, the same
//! every time, until somebody moves the tag (`sandbox drift image/REFERENCE --set content=TEXT`) or takes it away.
//!
//! Nothing can be stored here, and nothing is signed here: registries of this machine are the place for that (`[[mirror]]`).

use super::{Drift, Row, Sandbox, Tx};
use crate::{
    base::{Digest, Image},
    world::{Class, Failure, Outcome, Registry},
};
use serde_json::json;
use std::sync::Arc;

/// What somebody made of a tag, under its whole reference in the table `image`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
struct ImageRecord {
    /// What it holds now.
    content: String,
    /// Whether it was taken away.
    gone: bool,
}

/// One repository.
pub(super) struct Repository {
    /// The world.
    pub(super) sandbox: Arc<Sandbox>,
    /// Registry and repository: `ghcr.io/org/app`.
    pub(super) name: String,
}

/// The manifest behind a reference; `None` where it was taken away.
fn manifest(tx: &Tx<'_>, reference: &str) -> Option<Vec<u8>> {
    let record: ImageRecord = tx.get("image", reference).unwrap_or_default();
    let annotations = json!({ "dev.terrace.sandbox": reference, "content": record.content });
    let manifest = json!({ "schemaVersion": 2, "mediaType": crate::world::MANIFEST, "annotations": annotations });
    (!record.gone).then(|| manifest.to_string().into_bytes())
}

impl Repository {
    fn refused<T>(&self, operation: &str) -> Outcome<T> {
        let what = "the sandbox plays registries of images, and keeps nothing for anybody";
        let failure = Failure::new(Class::Invalid, operation, &self.name, what);
        Err(failure.hint("use a registry of this machine: [[mirror]] in terrace.toml"))
    }
}

#[async_trait::async_trait]
impl Registry for Repository {
    fn place(&self) -> String {
        format!("oci://{}", self.name)
    }

    async fn digest(&self, tag: &str) -> Outcome<Option<Digest>> {
        let reference = format!("{}:{tag}", self.name);
        let read = |tx: &mut Tx<'_>| Ok(manifest(tx, &reference).map(|bytes| Digest::of(&bytes)));
        self.sandbox.call("registry:GetTag", &reference, read).await
    }

    async fn manifest(&self, reference: &str) -> Outcome<Option<Vec<u8>>> {
        // What lies beside images, such as signatures, is nowhere here.
        let beside = reference.starts_with("sha256");
        let reference = format!("{}:{reference}", self.name);
        let read = |tx: &mut Tx<'_>| Ok(if beside { None } else { manifest(tx, &reference) });
        self.sandbox.call("registry:GetManifest", &reference, read).await
    }

    async fn referrers(&self, digest: &Digest, _artifact_type: &str) -> Outcome<Option<Vec<u8>>> {
        self.sandbox.call("registry:GetReferrers", &format!("{}@{digest}", self.name), |_| Ok(None)).await
    }

    async fn blob(&self, digest: &Digest) -> Outcome<Option<Vec<u8>>> {
        self.sandbox.call("registry:GetBlob", &format!("{}@{digest}", self.name), |_| Ok(None)).await
    }

    async fn put_blob(&self, _digest: &Digest, _content: &[u8]) -> Outcome<bool> {
        self.refused("registry:PutBlob")
    }

    async fn put_manifest(&self, _tag: &str, _content: &[u8]) -> Outcome<()> {
        self.refused("registry:PutManifest")
    }

    async fn tags(&self) -> Outcome<Vec<String>> {
        self.refused("registry:ListTags")
    }
}

/// Tags that somebody moved or took away.
pub(super) fn show(tx: &Tx<'_>) -> Vec<Row> {
    let row = |(reference, record): (String, ImageRecord)| Row {
        kind: "image".into(),
        place: "-".into(),
        name: reference,
        status: if record.gone { "gone".into() } else { String::new() },
        detail: record.content,
    };
    tx.scan::<ImageRecord>("image", "").into_iter().map(row).collect()
}

/// Moves a tag, or takes it away; `None` where the target is no image.
pub(super) fn drift(tx: &mut Tx<'_>, drift: &Drift) -> Option<Outcome<()>> {
    let name = drift.target.strip_prefix("image/")?;
    let wrong = |why: String| Failure::new(Class::Invalid, "sandbox:Drift", &drift.target, why);
    let done = Image::parse(name).map_err(|why| wrong(format!("`{name}` is no image: {why}"))).and_then(|image| {
        let content = match (drift.set.as_slice(), drift.delete, image.floats_by()) {
            (_, _, None) => return Err(wrong("a digest is what it is: name a tag".to_owned())),
            ([], true, _) => None,
            ([(path, content)], false, _) if path == "content" => Some(content.clone()),
            _ => return Err(wrong("set content=TEXT, or --delete".to_owned())),
        };
        let record = ImageRecord { gone: content.is_none(), content: content.unwrap_or_default() };
        tx.put("image", &image.to_string(), &record);
        Ok(())
    });
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{World as _, sandbox::Options};

    #[tokio::test]
    async fn a_tag_has_one_digest_until_somebody_moves_it() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::open(folder.path(), Options { speed: f64::INFINITY, ..Options::default() }).unwrap();
        let registry = sandbox.registry("oci://docker.io/library/nginx").unwrap();
        let first = registry.digest("1.27").await.unwrap().unwrap();
        assert_eq!(registry.digest("1.27").await.unwrap().as_ref(), Some(&first));
        assert_ne!(registry.digest("1.28").await.unwrap().as_ref(), Some(&first));
        assert_eq!(Digest::of(&registry.manifest("1.27").await.unwrap().unwrap()), first);
        assert_eq!(registry.manifest(&format!("sha256-{}.sig", first.hex())).await.unwrap(), None);
        let drift = |set: &[(&str, &str)], delete| {
            let set = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            sandbox.drift(&Drift { target: "image/nginx:1.27".to_owned(), set, delete, place: None })
        };
        drift(&[("content", "other")], false).unwrap();
        assert_ne!(registry.digest("1.27").await.unwrap().as_ref(), Some(&first));
        drift(&[], true).unwrap();
        assert_eq!(registry.digest("1.27").await.unwrap(), None);
        assert_eq!(sandbox.show(Some("image")).unwrap().rows[0].status, "gone");
        assert_eq!(drift(&[("tag", "x")], false).unwrap_err().class, Class::Invalid);
        assert_eq!(registry.put_blob(&first, b"").await.unwrap_err().class, Class::Invalid);
    }
}
