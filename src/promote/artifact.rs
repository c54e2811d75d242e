//! A release in an OCI registry: one manifest, the list and each content a blob. The same release has the same manifest wherever
//! it is pushed from. Who made it and who signed it lie under a tag beside it.
//!
//! A registry is not trusted: whatever is pulled is held against the release's own digest before anything of it is stored.
//!
//! Source: the OCI image specification, "Guidelines for Artifact Usage".

use crate::{
    base::{Digest, few},
    state::{Bundle, MAKING_FORMAT, Making, Signature, release},
    world::{Class, EMPTY_CONFIG, Failure, Outcome, Registry, artifact_manifest, descriptor},
};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the artifact is.
const RELEASE: &str = "application/vnd.terrace.release.v1+json";
/// Its list.
const LIST: &str = "application/vnd.terrace.release.list.v1+json";
/// A content of its files.
const CONTENT: &str = "application/vnd.terrace.release.content.v1";
/// What lies beside it.
const BESIDE: &str = "application/vnd.terrace.release.beside.v1+json";
/// Who made it.
const MAKING: &str = "application/vnd.terrace.release.making.v1+json";
/// Who signed it.
const SIGNATURE: &str = "application/vnd.terrace.release.signature.v1+json";
/// How many blobs are sent or read at once.
const AT_ONCE: usize = 8;
/// How many layers a manifest may have: more than any plan has files.
const MOST: usize = 20_000;
/// How many a sentence lists.
const NAMED: usize = 5;

/// A release as it was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its name.
    pub digest: Digest,
    /// Its list and contents, verified.
    pub bundle: Bundle,
    /// Who is said to have made it.
    pub makings: Vec<Making>,
    /// Signatures, none of them verified.
    pub signatures: Vec<Signature>,
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest: the same for the same release.
    pub manifest: Digest,
    /// How many blobs were not there yet.
    pub sent: usize,
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn defect(error: serde_json::Error) -> Failure {
    Failure::new(Class::Local, "release push", "", error.to_string())
}

/// The tag under which lies who made and signed a release. Its own tag is its 64 digits.
fn tag_beside(release: &Digest) -> String {
    format!("{}.beside", release.hex())
}

/// Pushes a release under its digits and, where one is given, under another tag.
///
/// # Errors
/// A registry that refuses or cannot be reached.
pub async fn push(
    registry: &dyn Registry,
    bundle: &Bundle,
    makings: &[Making],
    signatures: &[Signature],
    tag: Option<&str>,
) -> Outcome<Pushed> {
    let list = bundle.release.canonical().map_err(defect)?;
    let name = Digest::of(&list);
    let mut layers = vec![descriptor(LIST, &name, list.len())];
    // In the order of their digests, each once.
    layers.extend(bundle.contents.iter().map(|(digest, content)| descriptor(CONTENT, digest, content.len())));
    let manifest = artifact_manifest(RELEASE, &layers)?;
    let config = Digest::of(EMPTY_CONFIG);
    let mut blobs: Vec<(&Digest, &[u8])> =
        bundle.contents.iter().map(|(digest, content)| (digest, &**content)).collect();
    blobs.extend([(&name, list.as_slice()), (&config, EMPTY_CONFIG)]);
    let sent: Vec<bool> = futures::stream::iter(blobs)
        .map(|(digest, content)| registry.put_blob(digest, content))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    registry.put_manifest(name.hex(), &manifest).await?;
    push_beside(registry, &name, makings, signatures).await?;
    // Last: whoever follows the tag finds all of it.
    if let Some(tag) = tag {
        registry.put_manifest(tag, &manifest).await?;
    }
    Ok(Pushed { manifest: Digest::of(&manifest), sent: sent.into_iter().filter(|sent| *sent).count() })
}

/// Adds what lies beside a release to what does already.
async fn push_beside(
    registry: &dyn Registry,
    name: &Digest,
    makings: &[Making],
    signatures: &[Signature],
) -> Outcome<()> {
    let mut all: BTreeMap<(&str, Digest), Vec<u8>> = BTreeMap::new();
    for (kind, content) in beside(registry, name).await? {
        all.insert((kind, Digest::of(&content)), content);
    }
    for making in makings {
        let content = serde_json::to_vec(making).map_err(defect)?;
        all.insert((MAKING, Digest::of(&content)), content);
    }
    for signature in signatures {
        let content = serde_json::to_vec(signature).map_err(defect)?;
        all.insert((SIGNATURE, Digest::of(&content)), content);
    }
    let layers = all.iter().map(|((kind, digest), content)| descriptor(kind, digest, content.len()));
    let layers: Vec<Json> = layers.collect();
    for ((_, digest), content) in &all {
        registry.put_blob(digest, content).await?;
    }
    registry.put_manifest(&tag_beside(name), &artifact_manifest(BESIDE, &layers)?).await
}

async fn beside(registry: &dyn Registry, name: &Digest) -> Outcome<Vec<(&'static str, Vec<u8>)>> {
    let Some(manifest) = registry.manifest(&tag_beside(name)).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (kind, digest) in layers(registry, &manifest, BESIDE)? {
        let kind = [MAKING, SIGNATURE].into_iter().find(|known| *known == kind);
        let kind = kind.ok_or_else(|| wrong(registry, "beside it lies what this terrace does not know".to_owned()))?;
        found.push((kind, blob(registry, &digest, "what lies beside it").await?));
    }
    Ok(found)
}

fn wrong(registry: &dyn Registry, what: String) -> Failure {
    Failure::new(Class::Invalid, "release pull", registry.place(), what)
}

/// The layers of a manifest, by kind and digest.
fn layers(registry: &dyn Registry, manifest: &[u8], kind: &str) -> Outcome<Vec<(String, Digest)>> {
    let manifest: Json =
        serde_json::from_slice(manifest).map_err(|_| wrong(registry, "its manifest is no JSON".to_owned()))?;
    if manifest["artifactType"] != kind {
        let what = match manifest["artifactType"].as_str() {
            Some(other) => format!("it is no release of terrace, but `{other}`"),
            None => "it is no release of terrace".to_owned(),
        };
        return Err(wrong(registry, what));
    }
    let all = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.len() > MOST {
        return Err(wrong(registry, format!("it has more than {MOST} parts")));
    }
    let layer =
        |layer: &Json| Some((layer["mediaType"].as_str()?.to_owned(), Digest::parse_hex(layer["digest"].as_str()?)?));
    let all: Option<Vec<(String, Digest)>> = all.iter().map(layer).collect();
    all.ok_or_else(|| wrong(registry, "a part of it has no digest".to_owned()))
}

/// A blob, held against its digest.
async fn blob(registry: &dyn Registry, digest: &Digest, what: &str) -> Outcome<Vec<u8>> {
    let content = registry.blob(digest).await?;
    let content = content.ok_or_else(|| wrong(registry, format!("{what} ({}) is not there", digest.short())))?;
    if Digest::of(&content) != *digest {
        let found = Digest::of(&content);
        let what =
            format!("it was altered: {what} has the digest {}, and {} was promised", found.short(), digest.short());
        return Err(wrong(registry, what));
    }
    Ok(content)
}

/// Pulls a release by a tag, by the first digits of its own digest, or by that of its manifest (`sha256:…`).
///
/// # Errors
/// No such release there; a part that is missing or altered; a registry that refuses or cannot be reached.
pub async fn pull(registry: &dyn Registry, reference: &str) -> Outcome<Pulled> {
    let manifest = match registry.manifest(reference).await? {
        Some(manifest) => manifest,
        None => by_digits(registry, reference).await?,
    };
    let found = Digest::of(&manifest);
    if reference.starts_with("sha256:") && found.as_str() != reference {
        return Err(wrong(registry, format!("it was altered: its manifest has the digest {found}")));
    }
    let layers = layers(registry, &manifest, RELEASE)?;
    let [(first, name), contents @ ..] = layers.as_slice() else {
        return Err(wrong(registry, "its manifest has no parts".to_owned()));
    };
    if first != LIST {
        return Err(wrong(registry, "its first part is no list of a release".to_owned()));
    }
    // A tag that is a release's name means that release.
    if let Some(asked) = Digest::parse_hex(reference).filter(|_| !reference.starts_with("sha256:"))
        && asked != *name
    {
        return Err(wrong(registry, format!("the tag {} holds another release: {name}", asked.short())));
    }
    let list = blob(registry, name, "its list").await?;
    let release = release::read_list(name, &list)?;
    let mut wanted: Vec<&Digest> = release.files.values().collect();
    wanted.sort();
    wanted.dedup();
    if !contents.iter().map(|(_, digest)| digest).eq(wanted.iter().copied()) {
        let there: BTreeSet<&Digest> = contents.iter().map(|(_, digest)| digest).collect();
        let missing: Vec<&str> =
            release.files.iter().filter(|(_, digest)| !there.contains(digest)).map(|(path, _)| path.as_str()).collect();
        let foreign: Vec<&str> =
            there.iter().filter(|digest| wanted.binary_search(*digest).is_err()).map(|digest| digest.short()).collect();
        let told = |word: &str, all: &[&str]| {
            if all.is_empty() { String::new() } else { format!("; {word}: {}", few(all, NAMED)) }
        };
        let (missing, foreign) = (told("it lacks", &missing), told("it has besides", &foreign));
        return Err(wrong(registry, format!("it was altered: its parts are not those of its list{missing}{foreign}")));
    }
    let paths: BTreeMap<&Digest, &String> = release.files.iter().map(|(path, digest)| (digest, path)).collect();
    let contents: BTreeMap<Digest, Arc<[u8]>> = futures::stream::iter(wanted)
        .map(|digest| {
            let path = paths.get(digest).map_or("a file", |path| path.as_str());
            async move { Ok::<_, Failure>((digest.clone(), Arc::from(blob(registry, digest, path).await?))) }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (mut makings, mut signatures): (Vec<Making>, Vec<Signature>) = (Vec::new(), Vec::new());
    for (kind, content) in beside(registry, name).await? {
        let unreadable = |e: serde_json::Error| wrong(registry, format!("what lies beside it cannot be read: {e}"));
        if kind == MAKING {
            makings.push(serde_json::from_slice(&content).map_err(unreadable)?);
        } else {
            signatures.push(serde_json::from_slice(&content).map_err(unreadable)?);
        }
    }
    let newest = makings.iter().map(|m| m.format).chain(signatures.iter().map(|s| s.format)).max();
    if newest.is_some_and(|format| format > MAKING_FORMAT) {
        return Err(wrong(registry, "a newer terrace wrote what lies beside it; use that".to_owned()));
    }
    let name = name.clone();
    Ok(Pulled { digest: name, bundle: Bundle { release, contents }, makings, signatures, manifest: found })
}

/// The manifest of the only release whose digest begins so.
async fn by_digits(registry: &dyn Registry, digits: &str) -> Outcome<Vec<u8>> {
    let tags = registry.tags().await?;
    let releases: Vec<&String> = tags.iter().filter(|tag| Digest::parse_hex(tag).is_some()).collect();
    let meant: Vec<&&String> = releases.iter().filter(|tag| digits.len() >= 6 && tag.starts_with(digits)).collect();
    if let [one] = meant.as_slice()
        && let Some(manifest) = registry.manifest(one).await?
    {
        return Ok(manifest);
    }
    let what = format!("there is no release `{digits}` in {}", registry.place());
    let named: Vec<String> =
        tags.iter().filter(|tag| !tag.contains('.')).map(|tag| tag.chars().take(12).collect()).collect();
    let hint = match named.as_slice() {
        [] => "nothing was pushed there: terrace release push RELEASE oci://HOST/REPOSITORY".to_owned(),
        some => format!("there are {}", some.iter().take(8).cloned().collect::<Vec<_>>().join(", ")),
    };
    Err(Failure::new(Class::NotFound, "release pull", "", what).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        promote::{Ingredients, freeze},
        state::Actor,
    };
    use serde_json::json;
    use std::sync::{Mutex, PoisonError};

    /// A registry in memory, whose content a test can alter.
    #[derive(Default)]
    struct Memory {
        manifests: Mutex<BTreeMap<String, Vec<u8>>>,
        blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
    }

    fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[async_trait::async_trait]
    impl Registry for Memory {
        fn place(&self) -> String {
            "oci://memory/releases".to_owned()
        }
        async fn digest(&self, tag: &str) -> Outcome<Option<Digest>> {
            Ok(held(&self.manifests).get(tag).map(|manifest| Digest::of(manifest)))
        }
        async fn manifest(&self, reference: &str) -> Outcome<Option<Vec<u8>>> {
            Ok(held(&self.manifests).get(reference).cloned())
        }
        async fn referrers(&self, _: &Digest, _: &str) -> Outcome<Option<Vec<u8>>> {
            Ok(None)
        }
        async fn blob(&self, digest: &Digest) -> Outcome<Option<Vec<u8>>> {
            Ok(held(&self.blobs).get(digest).cloned())
        }
        async fn put_blob(&self, digest: &Digest, content: &[u8]) -> Outcome<bool> {
            Ok(held(&self.blobs).insert(digest.clone(), content.to_vec()).is_none())
        }
        async fn put_manifest(&self, tag: &str, content: &[u8]) -> Outcome<()> {
            held(&self.manifests).insert(tag.to_owned(), content.to_vec());
            Ok(())
        }
        async fn tags(&self) -> Outcome<Vec<String>> {
            Ok(held(&self.manifests).keys().cloned().collect())
        }
    }

    fn bundle(text: &str) -> Bundle {
        let files = [("plans/p/plan.hcl", "plan \"p\" {}\n"), ("plans/p/motd.txt", text), ("plans/p/same.txt", text)];
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().into())).collect();
        freeze(&"p".into(), &"plans/p".into(), Ingredients { files, ..Ingredients::default() }).unwrap()
    }

    fn making(who: &str) -> Making {
        let by = Actor { arn: format!("arn:{who}"), id: String::new(), person: Some(who.to_owned()) };
        Making {
            format: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            by,
            commit: None,
            ci: None,
            from: None,
            images: Vec::new(),
        }
    }

    async fn pushed(bundle: &Bundle) -> (Memory, Pushed) {
        let registry = Memory::default();
        let pushed = push(&registry, bundle, &[making("ada")], &[], Some("v1")).await.unwrap();
        (registry, pushed)
    }

    #[tokio::test]
    async fn what_is_pulled_is_what_was_pushed_by_whatever_it_is_called() {
        let bundle = bundle("hello");
        let (registry, pushed) = pushed(&bundle).await;
        let name = bundle.release.digest().unwrap();
        for word in ["v1", name.hex(), name.short(), pushed.manifest.as_str()] {
            if word.starts_with("sha256:") {
                let manifest = held(&registry.manifests)["v1"].clone();
                held(&registry.manifests).insert(word.to_owned(), manifest);
            }
            let pulled = pull(&registry, word).await.unwrap();
            assert_eq!((&pulled.digest, &pulled.bundle), (&name, &bundle), "{word}");
            assert_eq!((pulled.makings, pulled.manifest), (vec![making("ada")], pushed.manifest.clone()));
        }
        let unknown = pull(&registry, "v2").await.unwrap_err();
        assert_eq!(unknown.class, Class::NotFound);
        assert!(unknown.hint.unwrap().contains("v1"));
    }

    #[tokio::test]
    async fn the_same_release_has_the_same_manifest_and_is_sent_once() {
        let bundle = bundle("hello");
        let (registry, first) = pushed(&bundle).await;
        let again = push(&registry, &bundle, &[making("ben")], &[], Some("v2")).await.unwrap();
        assert_eq!((again.manifest, again.sent), (first.manifest.clone(), 0));
        let (_, elsewhere) = pushed(&bundle).await;
        assert_eq!(elsewhere, first);
        let mut makers: Vec<String> =
            pull(&registry, "v1").await.unwrap().makings.into_iter().filter_map(|m| m.by.person).collect();
        makers.sort();
        assert_eq!(makers, ["ada", "ben"], "who pushes later takes nobody away");
    }

    #[tokio::test]
    async fn no_altered_part_comes_through_and_it_is_said_which() {
        let bundle = bundle("hello");
        let name = bundle.release.digest().unwrap();
        let motd = bundle.release.files["plans/p/motd.txt"].clone();
        for (part, said) in [(&name, "its list"), (&motd, "plans/p/")] {
            let (registry, _) = pushed(&bundle).await;
            held(&registry.blobs).insert(part.clone(), b"evil".to_vec());
            let failure = pull(&registry, "v1").await.unwrap_err();
            assert!(failure.message.contains("altered") && failure.message.contains(said), "{failure}");
            held(&registry.blobs).remove(part);
            let failure = pull(&registry, "v1").await.unwrap_err();
            assert!(failure.message.contains("is not there"), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_manifest_that_was_made_by_somebody_else_is_refused() {
        type Edit<'a> = &'a dyn Fn(&mut Json);
        let (one, other) = (bundle("hello"), bundle("bye"));
        let (registry, _) = pushed(&one).await;
        push(&registry, &other, &[], &[], Some("v2")).await.unwrap();
        let name = one.release.digest().unwrap();
        let wrong = held(&registry.manifests)["v2"].clone();
        // The tag of one release with the manifest of another.
        held(&registry.manifests).insert(name.hex().to_owned(), wrong);
        let failure = pull(&registry, name.hex()).await.unwrap_err();
        assert!(failure.message.contains("another release"), "{failure}");
        let manifest = |edit: &dyn Fn(&mut Json)| {
            let mut manifest: Json = serde_json::from_slice(&held(&registry.manifests)["v1"]).unwrap();
            edit(&mut manifest);
            held(&registry.manifests).insert("bad".to_owned(), manifest.to_string().into_bytes());
        };
        let cases: [(Edit<'_>, &str); 4] = [
            (&|m| m["artifactType"] = "application/vnd.cncf.helm.config.v1+json".into(), "no release of terrace"),
            (&|m| drop(m["layers"].as_array_mut().unwrap().pop()), "not those of its list"),
            (&|m| m["layers"] = json!([]), "no parts"),
            (&|m| m["layers"][1]["digest"] = "md5:x".into(), "no digest"),
        ];
        for (edit, said) in cases {
            manifest(edit);
            let failure = pull(&registry, "bad").await.unwrap_err();
            assert!(failure.message.contains(said), "{said}: {failure}");
        }
        held(&registry.manifests).insert("bad".to_owned(), b"no json".to_vec());
        assert!(pull(&registry, "bad").await.unwrap_err().message.contains("no JSON"));
    }
}
