//! Files of a project on disk, and a record of all that was read of them.
#![expect(clippy::disallowed_methods, reason = "this is the seam through which plan files are read")]

use crate::{
    cli::kustomize,
    lang::{SourceError, Sources},
    plan::SourceText,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A file that is larger is refused: nothing that a plan reads as text is, and a mistake in a path should not fill memory.
const FILE_LIMIT: u64 = 32 << 20;
/// More names in one folder are refused.
const NAMES_LIMIT: usize = 100_000;
/// What paths begin with that lead to packs of rules which were brought from elsewhere: a project has no such folder of its own, and a release
/// has one, with the packs that it took along.
pub(crate) const BROUGHT: &str = "@packs/";
/// Where those lie in a project.
pub(crate) const BROUGHT_TO: &str = ".terrace/packs";
/// Folders at the project's root that are Terrace's own or git's, and never part of a plan.
const HIDDEN: &[&str] = &[".terrace", ".git"];

/// The files under one folder. Links that lead out of it are refused.
#[derive(Debug, Clone)]
pub(crate) struct DiskSources {
    root: PathBuf,
}

impl DiskSources {
    /// The files under this folder, which must exist.
    ///
    /// # Errors
    /// A folder that cannot be found.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// The real place of a path; never outside the root.
    fn place(&self, path: &str) -> Result<PathBuf, SourceError> {
        let clean = crate::lang::normalize(".", path)?;
        let joined = if clean == "." { self.root.clone() } else { self.root.join(&clean) };
        // Nothing that a project has in such a folder is taken for a pack from elsewhere.
        let joined = clean.strip_prefix(BROUGHT).map_or(joined, |inside| self.root.join(BROUGHT_TO).join(inside));
        let real = fs::canonicalize(&joined).map_err(|e| error(path, &e))?;
        if real.starts_with(&self.root) { Ok(real) } else { Err(SourceError::Outside(path.to_owned())) }
    }
}

fn error(path: &str, e: &io::Error) -> SourceError {
    match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::Missing(path.to_owned()),
        _ => SourceError::Unreadable { path: path.to_owned(), why: e.to_string() },
    }
}

impl Sources for DiskSources {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, SourceError> {
        let place = self.place(path)?;
        let unreadable = |why: String| SourceError::Unreadable { path: path.to_owned(), why };
        let about = fs::metadata(&place).map_err(|e| error(path, &e))?;
        if about.is_dir() {
            return Err(unreadable("it is a folder".to_owned()));
        }
        if !about.is_file() {
            return Err(unreadable("it is no regular file".to_owned()));
        }
        if about.len() > FILE_LIMIT {
            return Err(unreadable(format!("it is larger than {} MiB", FILE_LIMIT >> 20)));
        }
        fs::read(&place).map(Into::into).map_err(|e| error(path, &e))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let place = self.place(folder)?;
        let top = place == self.root;
        let mut names = Vec::new();
        for entry in fs::read_dir(&place).map_err(|e| error(folder, &e))? {
            let entry = entry.map_err(|e| error(folder, &e))?;
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            if top && HIDDEN.contains(&name.as_str()) {
                continue;
            }
            // Behind a link lies what it leads to; one that leads nowhere is a file that cannot be read.
            if fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()) {
                name.push('/');
            }
            names.push(name);
            if names.len() > NAMES_LIMIT {
                let why = format!("it holds more than {NAMES_LIMIT} names");
                return Err(SourceError::Unreadable { path: folder.to_owned(), why });
            }
        }
        names.sort();
        Ok(names)
    }

    fn kustomize(&self, folder: &str) -> Result<Arc<[u8]>, SourceError> {
        let place = self.place(folder)?;
        let why = |why: String| SourceError::Unreadable { path: folder.to_owned(), why };
        kustomize::build(&self.root, &place).map(Into::into).map_err(why)
    }
}

/// The name under which a saved plan holds what kustomize made of a folder. No file has it: a name ends before a slash.
pub(crate) fn built(folder: &str) -> String {
    format!("{folder}/ built by kustomize")
}

/// Everything that was read, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    /// Files.
    pub(crate) files: BTreeMap<String, Arc<[u8]>>,
    /// Listings of folders.
    pub(crate) folders: BTreeMap<String, Vec<String>>,
}

/// Remembers what is read of other sources: for the digest of a configuration and for the saved plan. A file that is read
/// twice is the same both times, whatever happens on disk between.
pub(crate) struct RecordingSources {
    inner: Arc<dyn Sources>,
    seen: Mutex<Recorded>,
    builds_nothing: AtomicBool,
}

impl RecordingSources {
    /// A record of what is read of `inner` from now on.
    pub(crate) fn new(inner: Arc<dyn Sources>) -> Self {
        Self { inner, seen: Mutex::new(Recorded::default()), builds_nothing: AtomicBool::new(false) }
    }

    /// From now on no program builds a kustomization.
    pub(crate) fn build_nothing(&self) {
        self.builds_nothing.store(true, Ordering::Relaxed);
    }

    /// What was read so far.
    pub(crate) fn recorded(&self) -> Recorded {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources for RecordingSources {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, SourceError> {
        if let Some(known) = self.lock().files.get(path) {
            return Ok(known.clone());
        }
        let content = self.inner.read(path)?;
        Ok(self.lock().files.entry(path.to_owned()).or_insert(content).clone())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        if let Some(known) = self.lock().folders.get(folder) {
            return Ok(known.clone());
        }
        let names = self.inner.list(folder)?;
        Ok(self.lock().folders.entry(folder.to_owned()).or_insert(names).clone())
    }

    fn kustomize(&self, folder: &str) -> Result<Arc<[u8]>, SourceError> {
        if self.builds_nothing.load(Ordering::Relaxed) {
            let why = "a plan for a pull request builds no kustomization; --allow kustomize lets it".to_owned();
            return Err(SourceError::Unreadable { path: folder.to_owned(), why });
        }
        let name = built(folder);
        if let Some(known) = self.lock().files.get(&name) {
            return Ok(known.clone());
        }
        let content = self.inner.kustomize(folder)?;
        Ok(self.lock().files.entry(name).or_insert(content).clone())
    }
}

/// The files that a saved plan brings along: what it was made from, and nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct BundledSources(Recorded);

impl BundledSources {
    /// The files of a saved plan.
    ///
    /// # Errors
    /// A file that is not written as it should be.
    pub(crate) fn new(sources: &BTreeMap<String, SourceText>) -> Result<Self, SourceError> {
        let mut recorded = Recorded::default();
        for (path, source) in sources {
            match source {
                SourceText::Text(text) => {
                    recorded.files.insert(path.clone(), text.as_bytes().into());
                }
                SourceText::Base64(text) => {
                    let bytes = BASE64.decode(text).map_err(|e| SourceError::Unreadable {
                        path: path.clone(),
                        why: format!("the saved plan holds it damaged: {e}"),
                    })?;
                    recorded.files.insert(path.clone(), bytes.into());
                }
                SourceText::Folder(names) => {
                    recorded.folders.insert(path.clone(), names.clone());
                }
            }
        }
        Ok(Self(recorded))
    }
}

impl Sources for BundledSources {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, SourceError> {
        self.0.files.get(path).cloned().ok_or_else(|| SourceError::Missing(path.to_owned()))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        self.0.folders.get(folder).cloned().ok_or_else(|| SourceError::Missing(folder.to_owned()))
    }

    fn kustomize(&self, folder: &str) -> Result<Arc<[u8]>, SourceError> {
        self.read(&built(folder))
    }
}

impl Recorded {
    /// In the form that a saved plan holds.
    pub(crate) fn into_texts(self) -> BTreeMap<String, SourceText> {
        let file = |bytes: &Arc<[u8]>| match std::str::from_utf8(bytes) {
            Ok(text) => SourceText::Text(text.into()),
            Err(_) => SourceText::Base64(BASE64.encode(bytes)),
        };
        let folders = self.folders.into_iter().map(|(path, names)| (path, SourceText::Folder(names)));
        self.files.iter().map(|(path, bytes)| (path.clone(), file(bytes))).chain(folders).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, DiskSources) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("plans/a")).unwrap();
        fs::create_dir_all(folder.path().join(".terrace")).unwrap();
        fs::write(folder.path().join("plans/a/plan.hcl"), "plan \"a\" {}").unwrap();
        let sources = DiskSources::new(folder.path()).unwrap();
        (folder, sources)
    }

    #[test]
    fn files_and_folders_are_found_by_their_path_in_the_project() {
        let (_folder, sources) = project();
        assert_eq!(&*sources.read("plans/a/plan.hcl").unwrap(), b"plan \"a\" {}");
        assert_eq!(sources.list(".").unwrap(), ["plans/"]);
        assert_eq!(sources.list("plans").unwrap(), ["a/"]);
        assert_eq!(sources.read("plans/b"), Err(SourceError::Missing("plans/b".into())));
        assert!(matches!(sources.read("plans/a"), Err(SourceError::Unreadable { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_is_refused_and_one_within_is_followed() {
        let (folder, sources) = project();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("plans/a", folder.path().join("in")).unwrap();
        assert_eq!(sources.read("out"), Err(SourceError::Outside("out".into())));
        assert_eq!(sources.read("../x"), Err(SourceError::Outside("../x".into())));
        assert!(sources.read("in/plan.hcl").is_ok());
    }

    #[test]
    fn what_was_read_can_be_read_again_from_a_saved_plan() {
        let (folder, sources) = project();
        fs::write(folder.path().join("plans/a/logo"), [0xff, 0xfe, 0]).unwrap();
        let recording = RecordingSources::new(Arc::new(sources));
        let seen = [recording.read("plans/a/plan.hcl").unwrap(), recording.read("plans/a/logo").unwrap()];
        let names = recording.list("plans/a").unwrap();
        let bundle = BundledSources::new(&recording.recorded().into_texts()).unwrap();
        assert_eq!([bundle.read("plans/a/plan.hcl").unwrap(), bundle.read("plans/a/logo").unwrap()], seen);
        assert_eq!(bundle.list("plans/a").unwrap(), names);
        assert!(bundle.read("terrace.toml").is_err());
    }

    #[test]
    fn a_file_is_the_same_however_often_it_is_read() {
        let (folder, sources) = project();
        let recording = RecordingSources::new(Arc::new(sources));
        let first = recording.read("plans/a/plan.hcl").unwrap();
        fs::write(folder.path().join("plans/a/plan.hcl"), "other").unwrap();
        assert_eq!(recording.read("plans/a/plan.hcl").unwrap(), first);
        assert_eq!(recording.recorded().files.keys().collect::<Vec<_>>(), ["plans/a/plan.hcl"]);
        assert!(recording.read("missing").is_err());
    }
}
