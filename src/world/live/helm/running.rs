//! Which helm of this machine is at work on which release: a file that helm holds as its output, locked while helm lives.
//!
//! A lock ends with the last process that holds it, however that ends. So a Terrace that comes after one that was killed can
//! tell a helm that is still at work from one that is gone, and no two helms of one machine ever work on one release. The file
//! stays after its helm: by the word in it, one that was killed alone is known to be gone.

#![expect(clippy::disallowed_methods, reason = "this is where the locks are")]

use crate::{
    base::Digest,
    world::{Class, Failure, Outcome},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The lock of one release.
pub(super) struct Running {
    path: PathBuf,
    subject: String,
}

impl Running {
    /// Of a release in a cluster.
    pub(super) fn of(folder: &Path, cluster: &str, namespace: &str, name: &str) -> Self {
        let key = Digest::of(format!("{cluster}\n{namespace}\n{name}").as_bytes());
        Self { path: folder.join(key.short()), subject: format!("{namespace}/{name}") }
    }

    /// Takes it for a helm that is about to begin; `word` is what it can be known by. The file becomes helm's output.
    ///
    /// # Errors
    /// [`Class::Stuck`] where another helm holds it.
    pub(super) fn begin(&self, word: &str) -> Outcome<File> {
        let fail = |e: std::io::Error| Failure::new(Class::Local, "helm", self.subject.clone(), e.to_string());
        let mut file = self.open(true).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = "another helm of this machine is at work on the release";
                return Err(Failure::new(Class::Stuck, "helm", self.subject.clone(), what)
                    .hint("wait until it has ended; a helm that an earlier Terrace left ends by itself"));
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{word}")).map_err(fail)?;
        Ok(file)
    }

    /// Whether the helm known by this word, or any, is at work; `None` where this machine knows of none.
    pub(super) fn at_work(&self, word: Option<&str>) -> Option<bool> {
        let file = self.open(false).ok()?;
        let held = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        let mut line = String::new();
        BufReader::new(&file).read_line(&mut line).ok()?;
        (held || Some(line.trim_end()) == word).then_some(held)
    }

    fn open(&self, make: bool) -> std::io::Result<File> {
        OpenOptions::new().read(true).write(true).create(make).mode(0o600).open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helm_is_at_work_as_long_as_its_output_is_held_and_known_by_its_word_after() {
        let folder = tempfile::tempdir().unwrap();
        let of = || Running::of(folder.path(), "cluster", "apps", "web");
        assert_eq!(of().at_work(Some("one")), None);
        let held = of().begin("one").unwrap();
        assert_eq!(of().at_work(Some("one")), Some(true));
        assert_eq!(of().at_work(Some("two")), Some(true));
        assert_eq!(of().at_work(None), Some(true));
        assert_eq!(of().begin("two").unwrap_err().class, Class::Stuck);
        drop(held);
        assert_eq!(of().at_work(Some("one")), Some(false));
        assert_eq!(of().at_work(Some("two")), None);
        drop(of().begin("two").unwrap());
        assert_eq!(of().at_work(Some("one")), None);
    }
}
