//! `[images]` and `[[signatures.images]]`: what terrace.toml asks of container images.

use super::{Reader, Spanned};
use crate::base::{Diagnostic, Image};
use toml::de::DeValue;

/// `[images]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ImageSettings {
    /// `resolve`: whether tags are resolved to digests when a release is made.
    pub(crate) resolve: bool,
}

/// One `[[signatures.images]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SignedImages {
    /// `repositories`: which, in full, with `*` for any text: `ghcr.io/ours/*`.
    pub(crate) repositories: Vec<String>,
    /// `keys`: files of public keys, of which one must have signed.
    pub(crate) keys: Vec<String>,
}

impl Reader {
    pub(super) fn images(&mut self, value: &Spanned<DeValue<'_>>) -> ImageSettings {
        let mut images = ImageSettings::default();
        for entry @ (key, value) in self.table(value) {
            match &**key.get_ref() {
                "resolve" => match value.get_ref().as_bool() {
                    Some(resolve) => images.resolve = resolve,
                    None => self.wrong(value, "true or false"),
                },
                _ => self.unknown(entry, "[images]", &["resolve"]),
            }
        }
        images
    }

    pub(super) fn signed_images(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<SignedImages> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(value, "[[signatures.images]] tables");
            return Vec::new();
        };
        let mut all = Vec::new();
        for value in array {
            let mut one = SignedImages::default();
            for entry @ (key, value) in self.table(value) {
                match &**key.get_ref() {
                    "repositories" => one.repositories = self.repositories(value),
                    "keys" => one.keys = self.keys(value),
                    _ => self.unknown(entry, "[[signatures.images]]", &["keys", "repositories"]),
                }
            }
            // Without either it would ask for nothing, and look as if it did.
            if one.repositories.is_empty() || one.keys.is_empty() {
                let what = "[[signatures.images]] needs both `repositories` and `keys`";
                let span = self.span(value.span());
                self.problems.push(Diagnostic::error("settings_missing", what).at(&span, ""));
            }
            all.push(one);
        }
        all
    }

    fn repositories(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let all = value.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>()).unwrap_or_default();
        if all.is_empty() {
            self.wrong(value, "a list of repositories, like [\"ghcr.io/ours/*\"]");
        }
        let mut found = Vec::new();
        for value in all {
            let Some(pattern) = self.string(value) else { continue };
            match in_full(&pattern) {
                Ok(pattern) => found.push(pattern),
                Err(why) => {
                    let what = format!("`{pattern}` is no repository: {why}");
                    let span = self.span(value.span());
                    let problem = Diagnostic::error("settings_type", what);
                    self.problems
                        .push(problem.at(&span, "").hint("write registry and repository, like ghcr.io/ours/*"));
                }
            }
        }
        found
    }
}

/// A pattern of repositories in full, as images are compared with it: `nginx` is `docker.io/library/nginx`.
fn in_full(pattern: &str) -> Result<String, String> {
    if pattern.trim_matches('*').is_empty() && !pattern.is_empty() {
        return Ok("*".to_owned());
    }
    let first = pattern.split_once('/').map_or(pattern, |(first, _)| first);
    if first.contains('*') && !first.contains(['.', ':']) {
        return Err("where the registry is a pattern, it has a dot or a port, like `*.example.com/ours/*`; `*` alone is every image".to_owned());
    }
    // A star takes the place of letters in what is otherwise a name.
    let named = Image::parse(&pattern.replace('*', "0star0"))?;
    if named.digest.is_some() || pattern.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        return Err("a tag or a digest is no part of a repository's name".to_owned());
    }
    Ok(named.name().replace("0star0", "*"))
}

#[cfg(test)]
mod tests {
    use crate::cli::settings::parse;

    #[test]
    fn images_are_resolved_where_it_is_asked_for_and_repositories_are_written_in_full() {
        let (settings, problems) = parse(
            "[images]\nresolve = true\n[[signatures.images]]\nrepositories = [\"ghcr.io/ours/*\", \"nginx\", \"*\"]\n\
             keys = [\"a.pub\"]\n[[signatures.images]]\nrepositories = [\"127.0.0.1:5000/x\"]\nkeys = [\"b.pub\", \"c.pub\"]\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        assert!(settings.images.resolve);
        let [one, other] = settings.signed_images.as_slice() else { panic!("{settings:?}") };
        assert_eq!(one.repositories, ["ghcr.io/ours/*", "docker.io/library/nginx", "*"]);
        assert_eq!((other.repositories.as_slice(), other.keys.len()), (["127.0.0.1:5000/x".to_owned()].as_slice(), 2));
        assert!(!parse("").0.images.resolve);
    }

    #[test]
    fn what_would_ask_for_nothing_is_refused() {
        for (bad, code) in [
            ("[images]\nresolve = \"yes\"", "settings_type"),
            ("[images]\nresolv = true", "settings_unknown"), // spellchecker:disable-line
            ("[signatures]\nimages = [\"a.pub\"]", "settings_type"),
            ("[[signatures.images]]\nkeys = [\"a.pub\"]", "settings_missing"),
            ("[[signatures.images]]\nrepositories = [\"a/*\"]", "settings_missing"),
            ("[[signatures.images]]\nrepositories = []\nkeys = [\"a\"]", "settings_type"),
            ("[[signatures.images]]\nrepositories = [\"a:v1\"]\nkeys = [\"a\"]", "settings_type"),
            ("[[signatures.images]]\nrepositories = [\"A/b c\"]\nkeys = [\"a\"]", "settings_type"),
            ("[[signatures.images]]\nrepositories = [\"a/*\"]\nkeys = [\"a\"]\nkeyless = true", "settings_unknown"),
        ] {
            let codes: Vec<String> = parse(bad).1.iter().map(|d| d.code.to_string()).collect();
            assert!(codes.iter().any(|found| found == code), "{bad}: {codes:?}");
        }
    }
}
