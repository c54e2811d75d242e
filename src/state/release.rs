//! Releases: everything that a plan is made of except environments' values, named by the digest of a canonical list.
//!
//! A release lies in one store that all environments share: its list, the content of its files by digest, and beside them who
//! made it and when, and who signed it. Nothing that is stored is ever changed, and whatever is read is held against its digest.
//! A mark for each, whose name says plan, time and digest, tells with one listing which there are.

use crate::{
    base::Digest,
    state::Actor,
    world::{Class, Entropy, Failure, Ledger, Outcome},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// The version of the list that is written where packs of rules are part of it, and the newest that this build reads.
pub const RELEASE_FORMAT: u32 = 3;
/// The version of what lies beside a release: who made it, who signed it.
pub const MAKING_FORMAT: u32 = 1;
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
    /// Tags of images, written in full, with the digests that they were resolved to, all of them; `None` where tags were left alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub images: Option<BTreeMap<String, Digest>>,
    /// The folders of the packs of rules that it was made under, among its files.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub packs: Vec<String>,
}

/// Whether it is known what an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageStanding {
    /// The plan itself names its digest.
    Pinned,
    /// Its tag was resolved to a digest.
    Resolved,
    /// A tag, which may name something else tomorrow.
    Floating,
    /// It is known only when something was applied, or not even then.
    Unknown,
}

/// An image that a release runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ListedImage {
    /// Its reference in full; `None` where it is not known.
    pub image: Option<String>,
    /// Whether it is known what it is.
    pub standing: ImageStanding,
    /// The digest, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// What runs it, by address.
    pub of: Vec<String>,
    /// In which environments.
    pub environments: Vec<String>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
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
    /// Where it was pulled from, by whoever brought it to this store.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The images that it runs, as they were found by whoever made it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub images: Vec<ListedImage>,
}

/// A signature of a release: of the bytes of its list, which its digest is of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Signature {
    /// The version of its format.
    pub format: u32,
    /// The key that it is said to be of, by the digest of its public half.
    pub key: Digest,
    /// The signature, in base64: ECDSA over P-256 with SHA-256.
    pub signature: String,
    /// When it was added.
    pub at: Timestamp,
    /// Who added it.
    pub by: Actor,
}

impl Signature {
    /// A signature, added now.
    #[must_use]
    pub const fn new(key: Digest, signature: String, at: Timestamp, by: Actor) -> Self {
        Self { format: MAKING_FORMAT, key, signature, at, by }
    }
}

/// A release as its mark tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub digest: Digest,
    /// When it was first made.
    pub created: Timestamp,
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

    /// The images that it runs, as whoever made it last found them.
    #[must_use]
    pub fn images(&self) -> &[ListedImage] {
        let listed = self.makings.iter().rev().find(|making| !making.images.is_empty());
        listed.map(|making| making.images.as_slice()).unwrap_or_default()
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
    /// The version of a list of this content: the oldest that can say it, so that what says no more keeps the name that it had.
    #[must_use]
    pub const fn format_of(images: Option<&BTreeMap<String, Digest>>, packs: &[String]) -> u32 {
        match (images, packs) {
            (None, []) => 1,
            (Some(_), []) => 2,
            (_, _) => RELEASE_FORMAT,
        }
    }

    /// The canonical form of this list, which its name and signatures are of.
    ///
    /// # Errors
    /// A list that cannot be encoded: a defect.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        crate::base::canonical_json(self)
    }

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

/// What a store does not have as it was put there, and what mends that.
fn damaged(digest: &Digest, why: impl Into<String>) -> Failure {
    altered(digest, why).hint(
        "terrace release create in the files that it was made of, or terrace release pull, puts back what was altered",
    )
}

/// Puts an object whose content its name is the digest of; true where another content stood there.
async fn put_back(ledger: &dyn Ledger, name: &str, content: &[u8]) -> Outcome<bool> {
    if ledger.put_new(name, content).await? || ledger.get(name).await?.is_some_and(|there| there == content) {
        return Ok(false);
    }
    ledger.put(name, content).await?;
    Ok(true)
}

/// Stores a release. One that is there already is the same; only who made it is added, and what was altered of it is put back. Tells
/// its name, and how many of its objects were put back.
///
/// # Errors
/// A storage that fails.
pub async fn store(
    ledger: &dyn Ledger,
    entropy: &dyn Entropy,
    bundle: &Bundle,
    making: &Making,
) -> Outcome<(Digest, usize)> {
    use futures::{StreamExt as _, TryStreamExt as _};
    let defect = |e: serde_json::Error| Failure::new(Class::Local, "store release", "", e.to_string());
    let digest = bundle.release.digest().map_err(defect)?;
    // Contents first, the list last: what is listed is there.
    let putting = bundle.contents.iter().map(|(digest, content)| async move {
        put_back(ledger, &content_name(digest), content).await.map(usize::from)
    });
    let put: Vec<usize> = futures::stream::iter(putting).buffer_unordered(AT_ONCE).try_collect().await?;
    let list = crate::base::canonical_json(&bundle.release).map_err(defect)?;
    let put = put.iter().sum::<usize>() + usize::from(put_back(ledger, &list_name(&digest), &list).await?);
    let content = serde_json::to_vec(making).map_err(defect)?;
    loop {
        let name = format!("{}{:08x}.json", makings_of(&digest), entropy.next() >> 32);
        if ledger.put_new(&name, &content).await? {
            break;
        }
    }
    mark(ledger, &bundle.release.plan, &digest, making.at).await?;
    Ok((digest, put))
}

/// Adds somebody who made it elsewhere; one that is known is not added again.
///
/// # Errors
/// A storage that fails.
pub async fn add_making(ledger: &dyn Ledger, plan: &str, digest: &Digest, making: &Making) -> Outcome<()> {
    beside(ledger, &makings_of(digest), making).await?;
    mark(ledger, plan, digest, making.at).await
}

/// Adds a signature; one that is known is not added again.
///
/// # Errors
/// A storage that fails.
pub async fn add_signature(ledger: &dyn Ledger, digest: &Digest, signature: &Signature) -> Outcome<()> {
    beside(ledger, &signatures_of(digest), signature).await
}

/// The signatures that lie beside a release, in no order that means anything. None of them was verified.
///
/// # Errors
/// A storage that fails, or one that cannot be read.
pub async fn signatures(ledger: &dyn Ledger, digest: &Digest) -> Outcome<Vec<Signature>> {
    let mut found: Vec<Signature> = Vec::new();
    for name in ledger.list(&signatures_of(digest)).await? {
        let content = ledger.get(&name).await?.unwrap_or_default();
        found.push(serde_json::from_slice(&content).map_err(|e| altered(digest, format!("its signature: {e}")))?);
    }
    Ok(found)
}

/// An object named by its content.
async fn beside(ledger: &dyn Ledger, folder: &str, what: &impl serde::Serialize) -> Outcome<()> {
    let defect = |e: serde_json::Error| Failure::new(Class::Local, "store release", "", e.to_string());
    let content = serde_json::to_vec(what).map_err(defect)?;
    // As long as those of `store`, which are drawn, so that both sort alike.
    let name = format!("{folder}{}.json", Digest::of(&content).short());
    ledger.put_new(&name, &content).await.map(drop)
}

fn makings_of(digest: &Digest) -> String {
    format!("releases/{}/made/", digest.hex())
}

fn signatures_of(digest: &Digest) -> String {
    format!("releases/{}/signed/", digest.hex())
}

/// What marks of a plan's releases begin with. A label has no slash.
fn marks_of(plan: &str) -> String {
    format!("marks/{plan}/")
}

/// What says that no release is without a mark.
const ALL_MARKED: &str = "all-marked";

/// Marks a release. A store of before marks gets those of all its releases first. What is cut off in between has no mark, and
/// gets it when it is made again; [`releases`] knows it meanwhile.
async fn mark(ledger: &dyn Ledger, plan: &str, digest: &Digest, at: Timestamp) -> Outcome<()> {
    let name = |plan: &str, digest: &Digest, at: Timestamp| {
        format!("{}{:020}-{}", marks_of(plan), at.as_nanosecond().max(0), digest.hex())
    };
    if ledger.get(ALL_MARKED).await?.is_none() {
        for known in releases(ledger).await? {
            ledger.put_new(&name(&known.release.plan, &known.digest, known.created()), b"").await?;
        }
        ledger.put_new(ALL_MARKED, b"1").await?;
    }
    ledger.put_new(&name(plan, digest, at), b"").await.map(drop)
}

/// The releases of a plan, the newest first, by one listing. What they are made of is not looked at: [`stored`] does.
///
/// # Errors
/// A storage that fails.
pub async fn marks(ledger: &dyn Ledger, plan: &str) -> Outcome<Vec<Mark>> {
    if ledger.get(ALL_MARKED).await?.is_none() {
        let all = releases(ledger).await?.into_iter().filter(|r| *r.release.plan == *plan);
        return Ok(all.map(|r| Mark { created: r.created(), digest: r.digest }).collect());
    }
    let prefix = marks_of(plan);
    let names = ledger.list(&prefix).await?;
    // In the order of time: the first mark of each counts.
    let mut first: BTreeMap<Digest, Timestamp> = BTreeMap::new();
    for name in &names {
        let parts = name.strip_prefix(&prefix).and_then(|rest| rest.split_once('-'));
        let Some((Ok(at), Some(digest))) = parts.map(|(at, hex)| (at.parse(), Digest::parse_hex(hex))) else {
            continue;
        };
        let Ok(at) = Timestamp::from_nanosecond(at) else { continue };
        first.entry(digest).or_insert(at);
    }
    let mut found: Vec<Mark> = first.into_iter().map(|(digest, created)| Mark { digest, created }).collect();
    found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.digest.cmp(&a.digest)));
    Ok(found)
}

/// One release as it is stored.
///
/// # Errors
/// A storage that fails, a release that is not there or was altered.
pub async fn stored(ledger: &dyn Ledger, digest: &Digest) -> Outcome<StoredRelease> {
    let folder = makings_of(digest);
    let (release, names) = futures::try_join!(list(ledger, digest), ledger.list(&folder))?;
    Ok(StoredRelease { digest: digest.clone(), release, makings: makings(ledger, digest, names.iter()).await? })
}

async fn makings(ledger: &dyn Ledger, digest: &Digest, names: impl Iterator<Item = &String>) -> Outcome<Vec<Making>> {
    let mut makings: Vec<Making> = Vec::new();
    for name in names {
        let content = ledger.get(name).await?.unwrap_or_default();
        makings.push(serde_json::from_slice(&content).map_err(|e| altered(digest, e.to_string()))?);
    }
    makings.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.by.arn.cmp(&b.by.arn)));
    Ok(makings)
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
            let folder = makings_of(&digest);
            let of_it = names.iter().filter(|name| name.starts_with(&folder));
            let makings = makings(ledger, &digest, of_it).await?;
            Ok::<_, Failure>(StoredRelease { digest, release, makings })
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    found.sort_by(|a, b| b.created().cmp(&a.created()).then_with(|| b.digest.cmp(&a.digest)));
    Ok(found)
}

async fn list(ledger: &dyn Ledger, digest: &Digest) -> Outcome<Release> {
    let content = ledger.get(&list_name(digest)).await?.ok_or_else(|| damaged(digest, "it is not in the store"))?;
    read_list(digest, &content)
}

/// A release's list from its bytes, held against the digest that it is named by.
///
/// # Errors
/// Bytes of another digest, or of a format that this build does not read.
pub fn read_list(digest: &Digest, content: &[u8]) -> Outcome<Release> {
    if Digest::of(content) != *digest {
        return Err(damaged(digest, "it was altered: its list does not have the digest that it is named by"));
    }
    let json: serde_json::Value = serde_json::from_slice(content).map_err(|e| altered(digest, e.to_string()))?;
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
            let content = content.ok_or_else(|| damaged(digest, format!("{} is not in the store", of())))?;
            if Digest::of(&content) != *part {
                return Err(damaged(digest, format!("it was altered: {} does not have its digest", of())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::live::{FileLedger, OsRandom};

    fn bundle(text: &str) -> Bundle {
        let content: Arc<[u8]> = text.as_bytes().into();
        let digest = Digest::of(&content);
        let files = [("plan.hcl".to_owned(), digest.clone())].into();
        let release = Release {
            format: 1,
            plan: "p".into(),
            folder: ".".into(),
            files,
            charts: Vec::new(),
            images: None,
            packs: Vec::new(),
        };
        Bundle { release, contents: [(digest, content)].into() }
    }

    fn making(second: i64) -> Making {
        let by = Actor { arn: "arn:ada".into(), id: String::new(), person: None };
        Making {
            format: 1,
            at: Timestamp::from_second(second).unwrap(),
            by,
            commit: None,
            ci: None,
            from: None,
            images: Vec::new(),
        }
    }

    #[tokio::test]
    async fn one_listing_tells_the_same_as_reading_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = FileLedger::new(folder.path());
        for (text, second) in [("a", 30), ("b", 10), ("c", 20), ("b", 5), ("a", 99)] {
            store(&ledger, &OsRandom, &bundle(text), &making(second)).await.unwrap();
        }
        let told = |all: Vec<Mark>| all.into_iter().map(|m| (m.digest, m.created.as_second())).collect::<Vec<_>>();
        let read = releases(&ledger).await.unwrap();
        let read: Vec<_> = read.iter().map(|r| (r.digest.clone(), r.created().as_second())).collect();
        assert_eq!(read.iter().map(|r| r.1).collect::<Vec<_>>(), [30, 20, 5]);
        assert_eq!(told(marks(&ledger, "p").await.unwrap()), read);
        assert_eq!(told(marks(&ledger, "other").await.unwrap()), []);
        // A store of before there were marks, and one whose writer was cut off before the last.
        for name in ledger.list("marks/").await.unwrap() {
            ledger.delete(&name).await.unwrap();
        }
        ledger.delete(ALL_MARKED).await.unwrap();
        assert_eq!(told(marks(&ledger, "p").await.unwrap()), read);
        store(&ledger, &OsRandom, &bundle("d"), &making(40)).await.unwrap();
        assert_eq!(told(marks(&ledger, "p").await.unwrap()).len(), 4);
        let one = stored(&ledger, &bundle("b").release.digest().unwrap()).await.unwrap();
        assert_eq!((one.makings.len(), one.created().as_second()), (2, 5));
    }

    #[tokio::test]
    async fn what_lies_beside_a_release_is_added_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = FileLedger::new(folder.path());
        let (digest, _) = store(&ledger, &OsRandom, &bundle("a"), &making(30)).await.unwrap();
        let signature = Signature::new(Digest::of(b"key"), "AAAA".into(), Timestamp::UNIX_EPOCH, making(1).by);
        for _ in 0..2 {
            add_making(&ledger, "p", &digest, &making(7)).await.unwrap();
            add_signature(&ledger, &digest, &signature).await.unwrap();
        }
        assert_eq!(signatures(&ledger, &digest).await.unwrap(), [signature]);
        let one = stored(&ledger, &digest).await.unwrap();
        assert_eq!((one.makings.len(), one.created().as_second()), (2, 7));
        assert_eq!(marks(&ledger, "p").await.unwrap()[0].created.as_second(), 7);
    }
}
