//! Releases: everything that a plan is made of except environments' values, named by the digest of a canonical list.
//!
//! A release lies in one store that all environments share: its list, the content of its files by digest, and beside them who
//! made it and when. Nothing that is stored is ever changed, and whatever is read is held against its digest.

use crate::{
    base::Digest,
    state::Actor,
    world::{Class, Entropy, Failure, Ledger, Outcome},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// The version of the list that this build writes, and the newest that it reads.
pub const RELEASE_FORMAT: u32 = 1;
/// How many objects are written or read at once.
const AT_ONCE: usize = 16;

/// A chart as it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct LockedChart {
    /// A name in `repository`, or an `oci://` URL.
    pub chart: String,
    /// The repository's URL; `None` for OCI.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repository: Option<String>,
    /// The version.
    pub version: String,
    /// The digest that it was found to have.
    pub digest: String,
    /// Where its archive is among the release's files; `None` where the world keeps none, as the sandbox's catalogue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<String>,
}

impl LockedChart {
    /// The first digits of its digest, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or(&self.digest);
        hex.get(..12).unwrap_or(hex)
    }
}

/// What a release is made of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Release {
    /// The version of this list.
    pub format: u32,
    /// The plan's label.
    pub plan: Arc<str>,
    /// The plan's folder in the project.
    pub folder: Arc<str>,
    /// Files by their path in the project.
    pub files: BTreeMap<String, Digest>,
    /// Charts, in order.
    pub charts: Vec<LockedChart>,
}

/// Who made a release, when, and from what: beside it, not in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Making {
    /// The version of its format.
    pub format: u32,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// The commit, with `-dirty` where files differed from it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commit: Option<String>,
    /// The CI job.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci: Option<String>,
}

/// A release in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRelease {
    /// Its name.
    pub digest: Digest,
    /// What it is made of.
    pub release: Release,
    /// Who made it, the first first.
    pub makings: Vec<Making>,
}

impl StoredRelease {
    /// When it was first made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.makings.first().map_or(Timestamp::UNIX_EPOCH, |making| making.at)
    }

    /// Everybody who made it.
    #[must_use]
    pub fn authors(&self) -> Vec<Actor> {
        self.makings.iter().map(|making| making.by.clone()).collect()
    }
}

/// A release with the content of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What it is made of.
    pub release: Release,
    /// Contents by digest.
    pub contents: BTreeMap<Digest, Arc<[u8]>>,
}

impl Release {
    /// Its name: the digest of the canonical form of this list.
    ///
    /// # Errors
    /// A list that cannot be encoded: a defect.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }
}

impl Bundle {
    /// The content of one of its files.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&Arc<[u8]>> {
        self.contents.get(self.release.files.get(path)?)
    }
}

fn list_name(digest: &Digest) -> String {
    format!("releases/{}/release.json", digest.hex())
}

fn content_name(digest: &Digest) -> String {
    format!("contents/{}", digest.hex())
}

fn altered(digest: &Digest, why: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, "read release", digest.short(), why)
}

/// Stores a release. One that is there already is the same; only who made it is added.
///
/// # Errors
/// A storage that fails.
pub async fn store(ledger: &dyn Ledger, entropy: &dyn Entropy, bundle: &Bundle, making: &Making) -> Outcome<Digest> {
    use futures::TryStreamExt as _;
    let defect = |e: serde_json::Error| Failure::new(Class::Local, "store release", "", e.to_string());
    let digest = bundle.release.digest().map_err(defect)?;
    // Contents first, the list last: what is listed is there.
    futures::stream::iter(bundle.contents.iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(digest, content)| async move {
            ledger.put_new(&content_name(digest), content).await.map(drop)
        })
        .await?;
    let list = crate::base::canonical_json(&bundle.release).map_err(defect)?;
    ledger.put_new(&list_name(&digest), &list).await?;
    let making = serde_json::to_vec(making).map_err(defect)?;
    loop {
        let name = format!("releases/{}/made/{:08x}.json", digest.hex(), entropy.next() >> 32);
        if ledger.put_new(&name, &making).await? {
            return Ok(digest);
        }
    }
}

/// True where a release is in the store.
///
/// # Errors
/// A storage that fails.
pub async fn is_known(ledger: &dyn Ledger, digest: &Digest) -> Outcome<bool> {
    Ok(ledger.get(&list_name(digest)).await?.is_some())
}

/// All releases, the newest first by when they were first made.
///
/// # Errors
/// A storage that fails, or a release that is not what its name says.
pub async fn releases(ledger: &dyn Ledger) -> Outcome<Vec<StoredRelease>> {
    use futures::{StreamExt as _, TryStreamExt as _};
    let names = ledger.list("releases/").await?;
    let digests = names.iter().filter_map(|name| name.strip_prefix("releases/")?.strip_suffix("/release.json"));
    let digests: Vec<Digest> = digests.filter_map(Digest::parse_hex).collect();
    let names = &names;
    let mut found: Vec<StoredRelease> = futures::stream::iter(digests)
        .map(|digest| async move {
            let release = list(ledger, &digest).await?;
            let folder = format!("releases/{}/made/", digest.hex());
            let mut makings: Vec<Making> = Vec::new();
            for name in names.iter().filter(|name| name.starts_with(&folder)) {
                let content = ledger.get(name).await?.unwrap_or_default();
                makings.push(serde_json::from_slice(&content).map_err(|e| altered(&digest, e.to_string()))?);
            }
            makings.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.by.arn.cmp(&b.by.arn)));
            Ok::<_, Failure>(StoredRelease { digest, release, makings })
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    found.sort_by(|a, b| b.created().cmp(&a.created()).then_with(|| b.digest.cmp(&a.digest)));
    Ok(found)
}

async fn list(ledger: &dyn Ledger, digest: &Digest) -> Outcome<Release> {
    let content = ledger.get(&list_name(digest)).await?.ok_or_else(|| altered(digest, "it is not in the store"))?;
    if Digest::of(&content) != *digest {
        return Err(altered(digest, "it was altered: its list does not have the digest that it is named by"));
    }
    let json: serde_json::Value = serde_json::from_slice(&content).map_err(|e| altered(digest, e.to_string()))?;
    let format = json["format"].as_u64().unwrap_or_default();
    if format > u64::from(RELEASE_FORMAT) {
        let why =
            format!("it has format {format}, and this terrace reads up to {RELEASE_FORMAT}; use the newer terrace");
        return Err(altered(digest, why));
    }
    serde_json::from_value(json).map_err(|e| altered(digest, e.to_string()))
}

/// A release with its files, each held against its digest.
///
/// # Errors
/// A storage that fails, a release that is not there or was altered.
pub async fn bundle(ledger: &dyn Ledger, digest: &Digest) -> Outcome<Bundle> {
    use futures::{StreamExt as _, TryStreamExt as _};
    let release = list(ledger, digest).await?;
    let wanted: std::collections::BTreeSet<&Digest> = release.files.values().collect();
    let contents = futures::stream::iter(wanted)
        .map(|part| async move {
            let content = ledger.get(&content_name(part)).await?;
            let of = || release_file(part);
            let content = content.ok_or_else(|| altered(digest, format!("{} is not in the store", of())))?;
            if Digest::of(&content) != *part {
                return Err(altered(digest, format!("it was altered: {} does not have its digest", of())));
            }
            Ok((part.clone(), Arc::from(content)))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Bundle { release, contents })
}

fn release_file(digest: &Digest) -> String {
    format!("the content {}", digest.short())
}
