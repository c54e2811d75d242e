//! Places in registries as people write them.

use crate::{
    base::Digest,
    cli::{
        error::{Error, Result},
        place,
        project::Project,
    },
    world::{Registry, live},
};
use std::sync::Arc;

/// A place in a registry: `oci://HOST/REPOSITORY[:TAG]` or `…@sha256:DIGEST`.
///
/// # Errors
/// What is no such place.
pub(crate) fn placed(
    project: &Project,
    operation: &'static str,
    text: &str,
) -> Result<(Arc<dyn Registry>, Option<String>)> {
    let wrong = |why: &str| {
        Error::usage("registry_place", format!("`{text}` is no place in a registry: {why}"))
            .hint("write oci://HOST/REPOSITORY or oci://HOST/REPOSITORY:TAG")
    };
    let Some(rest) = text.strip_prefix("oci://") else { return Err(wrong("it does not begin with oci://")) };
    let Some((host, path)) = rest.split_once('/') else { return Err(wrong("it names no repository")) };
    let (path, reference) = match (path.split_once('@'), path.split_once(':')) {
        (Some((path, digest)), _) if Digest::parse_hex(digest).is_some() => (path, Some(digest)),
        (Some(_), _) => return Err(wrong("what follows the @ is no digest")),
        (None, Some((path, tag))) => (path, Some(tag)),
        (None, None) => (path, None),
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    if path.is_empty() || !path.chars().all(plain) {
        return Err(wrong("a repository is written in lower-case letters, digits and . _ - /"));
    }
    let fits = |tag: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !tag.is_empty() && tag.len() <= 128 && tag.chars().all(inner) && !tag.starts_with(['.', '-'])
    };
    if reference.is_some_and(|tag| !tag.starts_with("sha256:") && !fits(tag)) {
        return Err(wrong("a tag is at most 128 letters, digits and . _ -"));
    }
    let mirrors = place::mirrors(project);
    let registry = live::repository(operation, &format!("oci://{host}/{path}"), &mirrors)?;
    Ok((registry, reference.map(str::to_owned)))
}
