//! State in a folder of this machine.
//!
//! `log` is appended and synced; `snapshot` is replaced by rename; `lock.json` tells owner and epoch; `owner` is a file whose
//! OS lock lives exactly as long as the owning process. An OS lock on `guard` is held around every append, together with a
//! check of the epoch, so that a process whose lock was broken can't write.
#![expect(clippy::disallowed_methods, reason = "this is the seam to the disk")]

use crate::world::{Class, Failure, Ledger, Lock, LockOwner, Moved, Outcome, Stored};
use async_trait::async_trait;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// State under one folder. See the module's description for its files.
pub struct FileLedger(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// Holds the OS lock of `owner` while this process owns the ledger.
    owner: Mutex<Option<Held>>,
}

/// An OS lock, given back by name: a child between its fork and its exec holds the file open too, and would keep the lock.
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[derive(serde::Serialize, serde::Deserialize, Default)]
struct LockFile {
    version: u32,
    epoch: u64,
    owner: Option<LockOwner>,
}

/// Whoever lets go of the ledger owns it no longer, though a write may still be on its way: that is refused by its epoch or
/// done before the next owner.
impl Drop for FileLedger {
    fn drop(&mut self) {
        self.0.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl FileLedger {
    /// A ledger in this folder; nothing is touched before the first write.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Inner { folder: folder.into(), owner: Mutex::new(None) }))
    }

    /// Whether there is a state that was not moved elsewhere.
    #[must_use]
    pub fn holds_state(&self) -> bool {
        let there = |name| self.0.path(name).exists();
        (there("snapshot") || there("log")) && !there("moved.json")
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> Outcome<T> {
        let inner = self.0.clone();
        let folder = inner.folder.display().to_string();
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|e| Failure::new(Class::Local, what, folder.clone(), e.to_string()))?
            .map_err(|e| {
                let class = if e.kind() == io::ErrorKind::ResourceBusy { Class::Conflict } else { Class::Local };
                Failure::new(class, what, folder, e.to_string())
            })
    }
}

impl Inner {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn guard(&self) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let file = OpenOptions::new().create(true).append(true).open(self.path("guard"))?;
        file.lock()?;
        Ok(file)
    }

    fn lock_file(&self) -> io::Result<LockFile> {
        match fs::read(self.path("lock.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| io::Error::other(format!("lock.json: {e}"))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(LockFile { version: 1, ..LockFile::default() }),
            Err(e) => Err(e),
        }
    }

    fn write_lock_file(&self, lock: &LockFile) -> io::Result<()> {
        replace(&self.path("lock.json"), &serde_json::to_vec_pretty(lock)?)
    }

    fn check_epoch(&self, epoch: u64) -> io::Result<()> {
        let lock = self.lock_file()?;
        if lock.epoch == epoch && lock.owner.is_some() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the lock was broken or taken over by somebody else; nothing was written",
        ))
    }

    /// Whether the process that owns the lock is still there: it holds the OS lock of `owner` as long as it lives.
    fn owner_lives(&self) -> io::Result<bool> {
        let mine = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if mine.is_some() {
            return Ok(true);
        }
        let file = OpenOptions::new().create(true).append(true).open(self.path("owner"))?;
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }
}

/// Writes beside, syncs, renames.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    written(path, bytes)?.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// A synced file beside the one that it will be.
fn written(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    Ok(file)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn read_or_empty(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[async_trait]
impl Ledger for FileLedger {
    async fn load(&self) -> Outcome<Stored> {
        self.blocking("read state", |inner| {
            if !inner.folder.exists() {
                return Ok(Stored::default());
            }
            // The guard keeps a compaction from happening between the two reads.
            let _guard = inner.guard()?;
            Ok(Stored {
                snapshot: read_or_empty(&inner.path("snapshot"))?,
                log: read_or_empty(&inner.path("log"))?.unwrap_or_default(),
                moved: match read_or_empty(&inner.path("moved.json"))? {
                    Some(bytes) => {
                        Some(serde_json::from_slice(&bytes).map_err(|e| io::Error::other(format!("moved.json: {e}")))?)
                    }
                    None => None,
                },
                broken: None,
            })
        })
        .await
    }

    async fn lock(&self, owner: &LockOwner) -> Outcome<Lock> {
        let owner = owner.clone();
        self.blocking("lock state", move |inner| {
            let _guard = inner.guard()?;
            let mut lock = inner.lock_file()?;
            if let Some(holder) = &lock.owner
                && inner.owner_lives()?
            {
                return Ok(Lock::Held(holder.clone()));
            }
            let file = OpenOptions::new().create(true).append(true).open(inner.path("owner"))?;
            file.lock()?;
            let taken_from = lock.owner.take();
            lock.version = 1;
            lock.epoch += 1;
            lock.owner = Some(owner);
            inner.write_lock_file(&lock)?;
            *inner.owner.lock().unwrap_or_else(PoisonError::into_inner) = Some(Held(file));
            Ok(Lock::Acquired { epoch: lock.epoch, taken_from })
        })
        .await
    }

    async fn unlock(&self, epoch: u64) -> Outcome<()> {
        self.blocking("unlock state", move |inner| {
            let _guard = inner.guard()?;
            let mut lock = inner.lock_file()?;
            if lock.epoch == epoch {
                lock.owner = None;
                inner.write_lock_file(&lock)?;
            }
            *inner.owner.lock().unwrap_or_else(PoisonError::into_inner) = None;
            Ok(())
        })
        .await
    }

    async fn break_lock(&self, id: &str) -> Outcome<bool> {
        let id = id.to_owned();
        self.blocking("break the lock", move |inner| {
            let _guard = inner.guard()?;
            let mut lock = inner.lock_file()?;
            if lock.owner.as_ref().is_none_or(|o| o.id != id) {
                return Ok(false);
            }
            lock.owner = None;
            lock.epoch += 1;
            inner.write_lock_file(&lock)?;
            // The broken owner still holds the OS lock of its file: give the next owner another one.
            let _ = fs::remove_file(inner.path("owner"));
            Ok(true)
        })
        .await
    }

    async fn is_driven(&self) -> Outcome<bool> {
        self.blocking("read the lock", |inner| {
            if !inner.folder.exists() {
                return Ok(false);
            }
            let _guard = inner.guard()?;
            Ok(inner.lock_file()?.owner.is_some() && inner.owner_lives()?)
        })
        .await
    }

    async fn holder(&self) -> Outcome<Option<LockOwner>> {
        self.blocking("read the lock", |inner| {
            if !inner.folder.exists() {
                return Ok(None);
            }
            let _guard = inner.guard()?;
            Ok(inner.lock_file()?.owner)
        })
        .await
    }

    async fn append(&self, epoch: u64, lines: Arc<[u8]>) -> Outcome<()> {
        self.blocking("write state", move |inner| {
            let _guard = inner.guard()?;
            inner.check_epoch(epoch)?;
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(inner.path("log"))?;
            end_torn_line(&mut file)?;
            file.write_all(&lines)?;
            file.sync_data()
        })
        .await
    }

    async fn compact(&self, epoch: u64, snapshot: Arc<[u8]>) -> Outcome<()> {
        self.blocking("compact state", move |inner| {
            let _guard = inner.guard()?;
            inner.check_epoch(epoch)?;
            replace(&inner.path("snapshot"), &snapshot)?;
            // A kill here leaves records in the log that the snapshot holds already; replaying skips them by serial.
            replace(&inner.path("log"), b"")?;
            remove(&inner.path("moved.json"))
        })
        .await
    }

    async fn mark_moved(&self, epoch: u64, moved: &Moved) -> Outcome<()> {
        let moved = serde_json::to_vec_pretty(moved).unwrap_or_default();
        self.blocking("mark state as moved", move |inner| {
            let _guard = inner.guard()?;
            inner.check_epoch(epoch)?;
            replace(&inner.path("moved.json"), &moved)
        })
        .await
    }

    fn place(&self) -> String {
        self.0.folder.display().to_string()
    }

    async fn put(&self, name: &str, content: &[u8]) -> Outcome<()> {
        let (name, content) = (name.to_owned(), content.to_owned());
        self.blocking("write an object", move |inner| replace(&inner.path("objects").join(name), &content)).await
    }

    async fn put_new(&self, name: &str, content: &[u8]) -> Outcome<bool> {
        let (name, content) = (name.to_owned(), content.to_owned());
        self.blocking("write an object", move |inner| {
            let path = inner.path("objects").join(name);
            match written(&path, &content)?.persist_noclobber(&path) {
                Ok(_) => Ok(true),
                Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(e) => Err(e.error),
            }
        })
        .await
    }

    async fn get(&self, name: &str) -> Outcome<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.blocking("read an object", move |inner| read_or_empty(&inner.path("objects").join(name))).await
    }

    async fn list(&self, prefix: &str) -> Outcome<Vec<String>> {
        let prefix = prefix.to_owned();
        self.blocking("list objects", move |inner| {
            let root = inner.path("objects");
            let mut names = Vec::new();
            let mut folders = vec![root.clone()];
            while let Some(folder) = folders.pop() {
                let entries = match fs::read_dir(&folder) {
                    Ok(entries) => entries,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(e),
                };
                for entry in entries {
                    let path = entry?.path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if let Ok(name) = path.strip_prefix(&root) {
                        names.push(name.to_string_lossy().into_owned());
                    }
                }
            }
            names.retain(|n| n.starts_with(&prefix));
            names.sort();
            Ok(names)
        })
        .await
    }

    async fn delete(&self, name: &str) -> Outcome<()> {
        let name = name.to_owned();
        self.blocking("delete an object", move |inner| remove(&inner.path("objects").join(name))).await
    }
}

/// Ends a line that a kill tore, so that the next record starts on its own.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0u8];
    file.read_exact(&mut last)?;
    if last[0] != b'\n' {
        file.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: &str) -> LockOwner {
        LockOwner {
            id: id.to_owned(),
            who: "ada".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            command: "apply".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn a_held_lock_names_its_owner_and_a_dead_owners_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let first = FileLedger::new(folder.path());
        let second = FileLedger::new(folder.path());
        let Lock::Acquired { epoch, taken_from: None } = first.lock(&owner("a")).await.unwrap() else { panic!() };
        assert_eq!(second.lock(&owner("b")).await.unwrap(), Lock::Held(owner("a")));
        first.append(epoch, b"one\n".as_slice().into()).await.unwrap();
        drop(first); // as a killed process does: its OS lock goes, lock.json stays
        let Lock::Acquired { epoch: later, taken_from } = second.lock(&owner("b")).await.unwrap() else { panic!() };
        assert!(later > epoch);
        assert_eq!(taken_from, Some(owner("a")));
    }

    #[tokio::test]
    async fn a_process_whose_lock_was_broken_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let first = FileLedger::new(folder.path());
        let second = FileLedger::new(folder.path());
        let Lock::Acquired { epoch, .. } = first.lock(&owner("a")).await.unwrap() else { panic!() };
        assert!(!second.break_lock("other").await.unwrap());
        assert!(second.break_lock("a").await.unwrap());
        assert!(matches!(second.lock(&owner("b")).await.unwrap(), Lock::Acquired { .. }));
        let failure = first.append(epoch, b"late\n".as_slice().into()).await.unwrap_err();
        assert_eq!(failure.class, Class::Conflict);
        assert_eq!(second.load().await.unwrap().log, b"");
    }

    #[tokio::test]
    async fn a_torn_line_is_ended_before_the_next_record() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = FileLedger::new(folder.path());
        let Lock::Acquired { epoch, .. } = ledger.lock(&owner("a")).await.unwrap() else { panic!() };
        fs::write(folder.path().join("log"), b"whole\nto").unwrap();
        ledger.append(epoch, b"next\n".as_slice().into()).await.unwrap();
        assert_eq!(ledger.load().await.unwrap().log, b"whole\nto\nnext\n");
    }
}
