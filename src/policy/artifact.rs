//! A pack of rules in an OCI registry: one manifest, a layer for each file, whose title is its path. So does `oras push` keep files, too.
//!
//! A registry is not trusted: what is pulled is named by the digest of its manifest, and each file by its own.
//!
//! Source: the OCI image specification, "Guidelines for Artifact Usage" and the annotation `org.opencontainers.image.title`.

use crate::{
    base::Digest,
    world::{Class, EMPTY_CONFIG, Failure, Outcome, Registry, artifact_manifest, descriptor},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// What the artifact is.
const PACK: &str = "application/vnd.terrace.policy.v1";
/// A file of it.
const FILE: &str = "application/vnd.terrace.policy.file.v1";
/// Where a layer says what its file is called.
const TITLE: &str = "org.opencontainers.image.title";
/// How large all files may be together: what is larger is no pack of rules.
const LARGEST: usize = 32 << 20;
/// How many files it may have.
const MOST: usize = 5_000;

/// The files of a pack, by their path in it.
pub type PackFiles = BTreeMap<String, Vec<u8>>;

/// Pushes a pack under a tag, and says what its manifest is called: the same for the same files.
///
/// # Errors
/// A registry that refuses or cannot be reached.
pub async fn push_pack(registry: &dyn Registry, files: &PackFiles, tag: &str) -> Outcome<Digest> {
    let mut layers = Vec::new();
    for (path, content) in files {
        let digest = Digest::of(content);
        registry.put_blob(&digest, content).await?;
        let mut layer = descriptor(FILE, &digest, content.len());
        layer["annotations"] = json!({ TITLE: path });
        layers.push(layer);
    }
    registry.put_blob(&Digest::of(EMPTY_CONFIG), EMPTY_CONFIG).await?;
    let manifest = artifact_manifest(PACK, &layers)?;
    registry.put_manifest(tag, &manifest).await?;
    Ok(Digest::of(&manifest))
}

/// Pulls the pack whose manifest has this digest.
///
/// # Errors
/// A registry that cannot be reached, that has no such manifest or serves another; a manifest of something else; files that are
/// larger than any pack, or that would lie outside of it.
pub async fn pull_pack(registry: &dyn Registry, digest: &Digest) -> Outcome<PackFiles> {
    let place = format!("{}@{digest}", registry.place());
    let wrong = |why: String| Failure::new(Class::Invalid, "read pack", place.as_str(), why);
    let manifest = registry.manifest(digest.as_str()).await?;
    let manifest = manifest.ok_or_else(|| {
        Failure::new(Class::NotFound, "read pack", place.as_str(), "the registry has no such manifest")
    })?;
    if Digest::of(&manifest) != *digest {
        return Err(wrong("the registry served another manifest than the one that was asked for".to_owned()));
    }
    let manifest: Json = serde_json::from_slice(&manifest).map_err(|e| wrong(format!("its manifest is none: {e}")))?;
    let layers = manifest["layers"].as_array().ok_or_else(|| wrong("its manifest has no layers".to_owned()))?;
    if layers.len() > MOST {
        return Err(wrong(format!("it has {} files, and a pack has at most {MOST}", layers.len())));
    }
    let (mut files, mut size) = (PackFiles::new(), 0);
    for layer in layers {
        let Some(path) = layer["annotations"][TITLE].as_str() else {
            return Err(wrong("a layer of it is no file".to_owned()).hint(
                "push the files of the pack, and no archive: terrace policy push FOLDER oci://HOST/REPOSITORY:TAG",
            ));
        };
        if !stays_inside(path) {
            return Err(wrong(format!("a file of it would lie outside of the pack: {path}")));
        }
        let archive = layer["annotations"]["io.deis.oras.content.unpack"] == "true";
        if archive {
            return Err(wrong(format!("{path} is an archive"))
                .hint("push its files, each by itself: terrace policy push FOLDER oci://HOST/REPOSITORY:TAG"));
        }
        size += layer["size"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(LARGEST);
        if size > LARGEST {
            return Err(wrong(format!("it is larger than {} MiB", LARGEST >> 20)));
        }
        let named = layer["digest"].as_str().and_then(Digest::parse_hex);
        let named = named.ok_or_else(|| wrong(format!("{path} has no sha256 digest")))?;
        let content = registry.blob(&named).await?.ok_or_else(|| wrong(format!("the registry lacks {path}")))?;
        if Digest::of(&content) != named {
            return Err(wrong(format!("the registry served something else for {path}")));
        }
        files.insert(path.to_owned(), content);
    }
    Ok(files)
}

/// Whether a path that somebody else wrote leads to somewhere below the folder that it is put into.
fn stays_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    path.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_pack_never_lies_outside_of_it() {
        for good in ["pack.toml", "tests/a/pass.yaml", "a..b"] {
            assert!(stays_inside(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\..\\b", "a\0"] {
            assert!(!stays_inside(bad), "{bad}");
        }
    }
}
