//! Signatures of releases: which keys of terrace.toml must have signed, and whether one did.
#![expect(clippy::disallowed_methods, reason = "reads the files of keys")]

use crate::{
    base::{Digest, PublicKey, Secret, SigningKey},
    cli::{
        error::{Error, Result, defect},
        exit::Exit,
        project::Project,
    },
    state::{Release, Signature, release},
    world::Ledger,
};
use std::path::Path;

/// A key of terrace.toml, with the file that it is from.
pub(crate) type NamedKey = (String, PublicKey);

/// The keys of these files.
///
/// # Errors
/// A file that cannot be read, or holds no key that can be used.
pub(crate) fn keys(project: &Project, files: &[String]) -> Result<Vec<NamedKey>> {
    let key = |file: &String| {
        let text = read(&project.folder.join(file))?;
        let key = PublicKey::from_pem(&text).map_err(|why| {
            Error::new("signature_key", format!("{file} of [signatures] holds no public key: {why}")).hint(
                "keys are ECDSA on P-256 in PEM, as `cosign generate-key-pair` and `openssl ec -pubout` write them",
            )
        })?;
        Ok((file.clone(), key))
    };
    files.iter().map(key).collect()
}

/// The private key of a file.
///
/// # Errors
/// A file that cannot be read, or holds no key that can be used.
pub(crate) fn signing_key(path: &Path) -> Result<SigningKey> {
    signing_key_of(&Secret::new(read(path)?), &path.display().to_string())
}

/// A private key from its text; `place` is how messages name it.
///
/// # Errors
/// A text that holds no key that can be used.
pub(crate) fn signing_key_of(text: &Secret<String>, place: &str) -> Result<SigningKey> {
    SigningKey::from_pem(text).map_err(|why| {
        Error::new("signature_key", format!("{place} holds no private key: {why}")).hint(
            "keys are ECDSA on P-256 in PEM and not encrypted; with any other: \
             terrace release show RELEASE --list > list, cosign sign-blob --key KEY --output-signature sig list, \
             terrace release sign RELEASE --signature sig",
        )
    })
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::new("file_unreadable", format!("{}: {e}", path.display())))
}

/// By which keys of terrace.toml a release is signed.
///
/// # Errors
/// A storage that fails; keys that cannot be read.
pub(crate) async fn signed_by(
    keys: &[NamedKey],
    ledger: &dyn Ledger,
    digest: &Digest,
    release: &Release,
) -> Result<(Vec<String>, Vec<Signature>)> {
    let all = release::signatures(ledger, digest).await?;
    let list = release.canonical().map_err(|e| defect(&e))?;
    let signed = |(_, key): &&NamedKey| all.iter().any(|s| key.verifies(&list, &s.signature));
    let names = keys.iter().filter(signed).map(|(file, _)| file.clone()).collect();
    Ok((names, all))
}

/// Refuses a release that no key of `[signatures] releases` signed, where there are such.
///
/// # Errors
/// An unsigned or wrongly signed release (exit 4); keys that cannot be read.
pub(crate) async fn required(project: &Project, ledger: &dyn Ledger, digest: &Digest, release: &Release) -> Result<()> {
    let files = &project.settings.release_keys;
    if files.is_empty() {
        return Ok(());
    }
    let keys = keys(project, files)?;
    let (by, all) = signed_by(&keys, ledger, digest, release).await?;
    if !by.is_empty() {
        return Ok(());
    }
    let what = match all.len() {
        0 => "it has no signature".to_owned(),
        n => format!("none of its {n} signatures is of such a key"),
    };
    Err(Error::new(
        "release_unsigned",
        format!("the release {} is not signed by {}", digest.short(), files.join(" or ")),
    )
    .exit(Exit::NotEligible)
    .because(format!("[signatures] of terrace.toml asks for that, and {what}"))
    .hint(format!("whoever has the key: terrace release sign {} --key FILE", digest.short())))
}
