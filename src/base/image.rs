//! References to container images: `nginx`, `ghcr.io/org/app:v1`, `host:5000/app@sha256:…`, and what they mean in full.
//!
//! Source: github.com/distribution/reference (grammar and Docker's normalisation), which containerd and kubelet follow.

use crate::base::Digest;
use std::fmt;

/// The registry of what names none.
const DOCKER: &str = "docker.io";
/// How long registry and repository may be together.
const LONGEST: usize = 255;

/// A reference to an image, in full: what was left out is filled in as Docker does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    /// The registry, with its port where one is written: `docker.io`, `127.0.0.1:5000`.
    pub registry: String,
    /// The repository there: `library/nginx`.
    pub repository: String,
    /// The tag. `latest` where neither tag nor digest is written; `None` where only a digest is.
    pub tag: Option<String>,
    /// The digest that it is pinned by. What runs is chosen by it alone, whatever the tag.
    pub digest: Option<Digest>,
}

impl Image {
    /// A reference as it stands in a pod.
    ///
    /// # Errors
    /// In a few words, why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let found = Digest::parse_hex(digest).filter(|_| digest.starts_with("sha256:"));
                (rest, Some(found.ok_or("what follows the @ is no sha256 digest")?))
            }
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].split_once(':') {
            Some((last, tag)) => (&rest[..slash + last.len()], Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag is at most 128 letters, digits and . _ -".to_owned());
        }
        let (registry, path) = name.split_once('/').filter(|(first, _)| is_registry(first)).unwrap_or((DOCKER, name));
        // Names of one registry, as whoever pulls from it knows.
        let named = registry.contains(['.', ':']);
        let registry = if named { registry.to_ascii_lowercase() } else { registry.to_owned() };
        let registry = registry.strip_suffix(":443").unwrap_or(&registry);
        let registry = if matches!(registry, "index.docker.io" | "registry-1.docker.io") { DOCKER } else { registry };
        let short = registry == DOCKER && !path.contains('/');
        let repository = if short { format!("library/{path}") } else { path.to_owned() };
        if path.is_empty() {
            return Err("it names no repository".to_owned());
        }
        if !repository.split('/').all(is_part) {
            return Err("a repository is written in small letters, digits and . _ - between them".to_owned());
        }
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host).trim_matches(['[', ']']);
        if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c)) {
            return Err("it names no registry".to_owned());
        }
        if registry.len() + repository.len() >= LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// Registry and repository, without tag and digest: `docker.io/library/nginx`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Its repository as an address: `oci://docker.io/library/nginx`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("oci://{}", self.name())
    }

    /// The tag that decides what runs; `None` where a digest does.
    #[must_use]
    pub fn floats_by(&self) -> Option<&str> {
        self.tag.as_deref().filter(|_| self.digest.is_none())
    }
}

/// In full: `docker.io/library/nginx:latest`.
impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// Whether the first part of a name is a registry: it has a dot, a port or a capital letter, or is `localhost`.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// A part of a repository's path: runs of letters and digits with one dot, one or two underscores, or hyphens between them.
fn is_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let between = part.split(plain).filter(|run| !run.is_empty());
    let right = |run: &str| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-');
    part.starts_with(plain) && part.ends_with(plain) && between.into_iter().all(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_left_out_is_filled_in_as_docker_does() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("grafana/loki", "docker.io/grafana/loki:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
            ("ghcr.io/a/b/c:v1.2.3-rc_1", "ghcr.io/a/b/c:v1.2.3-rc_1"),
            ("localhost/app", "localhost/app:latest"),
            ("127.0.0.1:5000/app:v1", "127.0.0.1:5000/app:v1"),
            ("host:5000/a__b/c--d:x", "host:5000/a__b/c--d:x"),
            ("[::1]:5000/app:v1", "[::1]:5000/app:v1"),
            ("Host/app", "Host/app:latest"),
            ("GHCR.io:443/a/b:v1", "ghcr.io/a/b:v1"),
            ("registry-1.docker.io/a/b", "docker.io/a/b:latest"),
        ] {
            let image = Image::parse(text).unwrap();
            assert_eq!(image.to_string(), full, "{text}");
            assert!(image.floats_by().is_some(), "{text}");
            assert_eq!(Image::parse(full), Ok(image), "{text}");
        }
    }

    #[test]
    fn a_digest_decides_whatever_the_tag() {
        let image = Image::parse(&format!("quay.io/a/b:v1@sha256:{HEX}")).unwrap();
        assert_eq!((image.tag.as_deref(), image.floats_by()), (Some("v1"), None));
        assert_eq!(image.digest.as_ref().unwrap().hex(), HEX);
        let bare = Image::parse(&format!("quay.io/a/b@sha256:{HEX}")).unwrap();
        assert_eq!((bare.tag.as_deref(), bare.to_string()), (None, format!("quay.io/a/b@sha256:{HEX}")));
    }

    #[test]
    fn what_is_no_reference_is_said_to_be_none() {
        let long = format!("ghcr.io/{}", "a".repeat(250));
        for (text, said) in [
            ("", "no repository"),
            ("ghcr.io/", "no repository"),
            ("Nginx", "small letters"),
            ("a//b", "small letters"),
            ("a_-b", "small letters"),
            ("x/a..b", "small letters"),
            ("-a", "small letters"),
            ("nginx:", "a tag"),
            ("nginx:-x", "a tag"),
            ("nginx:a b", "a tag"),
            ("nginx@sha256:abc", "digest"),
            ("nginx@md5:abc", "digest"),
            ("${image}:v1", "small letters"),
            (&long, "longer"),
        ] {
            let why = Image::parse(text).unwrap_err();
            assert!(why.contains(said), "{text}: {why}");
        }
        assert!(Image::parse(&format!("nginx@{HEX}")).is_err(), "without sha256: it is none");
        assert!(Image::parse(&format!("a:{}", "t".repeat(129))).is_err());
    }
}
