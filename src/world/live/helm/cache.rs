//! A folder of the user's own for what may be had again: chart archives by digest, indexes of repositories, small notes.
//!
//! `$XDG_CACHE_HOME/terrace`, else `~/.cache/terrace`, else a folder for this process alone. Nobody else can read it.

#![expect(clippy::disallowed_methods, reason = "this is where charts are kept")]

use crate::{
    base::Digest,
    world::{Class, Failure, Outcome},
};
use std::{
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// What has not been kept or used for so long goes.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// The folder.
pub(super) struct Cache {
    root: PathBuf,
    /// Deleted with the process where there is no home.
    _own: Option<tempfile::TempDir>,
}

impl Cache {
    /// Opens it; makes nothing but the folder.
    pub(super) fn open(named: Option<&Path>) -> Outcome<Self> {
        if let Some(root) = named {
            private(root).map_err(|e| failed(root, &e))?;
            return Ok(Self { root: root.to_owned(), _own: None });
        }
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        if let Some(root) = home.map(|home| home.join("terrace"))
            && private(&root).is_ok()
        {
            return Ok(Self { root, _own: None });
        }
        let own = tempfile::tempdir().map_err(|e| Failure::new(Class::Local, "chart cache", "", e.to_string()))?;
        Ok(Self { root: own.path().to_owned(), _own: Some(own) })
    }

    /// A folder in it, there and private.
    pub(super) fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.root.join(name);
        private(&folder).map_err(|e| failed(&folder, &e))?;
        Ok(folder)
    }

    /// The folder of what knows which helm is at work.
    pub(super) fn running(&self) -> Outcome<PathBuf> {
        let folder = self.folder("running")?;
        tidy(&folder);
        Ok(folder)
    }

    /// The archive with this digest, where it is kept and still has it.
    pub(super) fn read_archive(&self, digest: &str) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.folder("charts").ok()?.join(format!("{}.tgz", digest.replace(':', "-")));
        let bytes = std::fs::read(&path).ok()?;
        if Digest::of(&bytes).as_str() != digest {
            let _ = std::fs::remove_file(&path);
            return None;
        }
        Some((path, bytes))
    }

    /// Keeps an archive under its digest.
    pub(super) fn keep_archive(&self, digest: &str, bytes: &[u8]) -> Outcome<PathBuf> {
        let folder = self.folder("charts")?;
        tidy(&folder);
        let path = folder.join(format!("{}.tgz", digest.replace(':', "-")));
        put(&path, bytes).map_err(|e| failed(&path, &e))?;
        Ok(path)
    }

    /// The folder in which a copy of a chart's folder with this digest lies or shall lie.
    pub(super) fn copy_of(&self, digest: &Digest) -> Outcome<PathBuf> {
        let folder = self.folder("charts")?;
        tidy(&folder);
        Ok(folder.join(digest.as_str().replace(':', "-")))
    }

    /// A small text by its key.
    pub(super) fn note(&self, key: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join("notes").join(key)).ok()
    }

    /// Keeps a small text; without one the answer is only asked for again.
    pub(super) fn keep_note(&self, key: &str, text: &str) {
        if let Ok(folder) = self.folder("notes") {
            let _ = put(&folder.join(key), text.as_bytes());
        }
    }
}

/// Makes a folder with all above it, readable by its owner alone.
fn private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// Puts a file in one step, so that nobody reads half of it.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

/// Deletes what is old.
fn tidy(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > KEPT_FOR) {
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Class::Local, "chart cache", path.display().to_string(), error.to_string())
}
