//! The sandbox's memory: tables of JSON kept in order in memory and appended to one log file.
//!
//! One transaction is one line, written with one write. It survives the death of the process at any instant, not the
//! loss of power: nothing is synced. Several processes may hold the same folder; a lock file serialises their
//! transactions, and each reads what the others appended before its own. A torn last line is dropped.

#![expect(clippy::disallowed_methods, reason = "the sandbox is the world, and its memory lies on the disk")]

use super::tx::{Tables, Tx, Write};
use crate::world::{Class, Failure, Outcome};
use jiff::Timestamp;
use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The version of the log's format.
const VERSION: u64 = 1;
/// A log below this size is never compacted.
const SMALL: u64 = 1 << 20;

/// The folder's log and what it says.
pub(super) struct Store {
    folder: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    lock: File,
    log: File,
    /// The content of the lock file when the log was opened: it moves when the log is replaced.
    generation: String,
    /// Up to here the log is in `tables`.
    offset: u64,
    /// The size at which the log is compacted next.
    compact_at: u64,
    /// False while memory may differ from the log (a panic or a failed write); then all is read again.
    in_step: bool,
    tables: Tables,
}

impl Store {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// A disk that refuses, a log written by a newer terrace, a damaged log.
    pub(super) fn open(folder: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder).map_err(|e| local(folder, &e))?;
        let lock = open(&folder.join("lock"))?;
        let log = open(&folder.join("world.log"))?;
        let inner = Inner {
            lock,
            log,
            generation: String::new(),
            offset: 0,
            compact_at: u64::MAX,
            in_step: false,
            tables: Tables::default(),
        };
        let store = Self { folder: folder.to_owned(), inner: Mutex::new(inner) };
        store.transact(Timestamp::UNIX_EPOCH, |_| ())?;
        Ok(store)
    }

    /// Runs `body` alone: no other thread or process sees the tables meanwhile. What it wrote is on disk afterwards.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub(super) fn transact<R>(&self, now: Timestamp, body: impl FnOnce(&mut Tx<'_>) -> R) -> Outcome<R> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let held = inner.lock.try_clone().map_err(|e| local(&self.folder, &e))?;
        held.lock().map_err(|e| local(&self.folder, &e))?;
        let _unlock = Unlock(&held);
        inner.catch_up(&self.folder)?;
        inner.in_step = false;
        let mut tx = Tx::new(&mut inner.tables, now);
        let result = body(&mut tx);
        let batch = tx.into_writes();
        if !batch.is_empty() {
            inner.append(&self.folder, &batch)?;
        }
        if inner.offset > inner.compact_at {
            inner.compact(&self.folder)?;
        }
        inner.in_step = true;
        Ok(result)
    }

    /// Forgets everything, a log that cannot be read included. Other processes start afresh with their next call.
    ///
    /// # Errors
    /// A disk that refuses.
    pub(super) fn erase(folder: &Path) -> Outcome<()> {
        if !folder.exists() {
            return Ok(());
        }
        let mut lock = open(&folder.join("lock"))?;
        lock.lock().map_err(|e| local(folder, &e))?;
        let generation = read_all(&mut lock, folder)?;
        advance_generation(&mut lock, &generation, folder)?;
        let log = folder.join("world.log");
        match fs::remove_file(&log) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(local(&log, &e)),
            _ => Ok(()),
        }
    }
}

struct Unlock<'a>(&'a File);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Inner {
    fn catch_up(&mut self, folder: &Path) -> Outcome<()> {
        let generation = read_all(&mut self.lock, folder)?;
        if !self.in_step || generation != self.generation {
            self.log = open(&folder.join("world.log"))?;
            self.generation = generation;
            self.offset = 0;
            self.tables = Tables::default();
        }
        let path = folder.join("world.log");
        let length = self.log.metadata().map_err(|e| local(&path, &e))?.len();
        if length > self.offset {
            self.log.seek(SeekFrom::Start(self.offset)).map_err(|e| local(&path, &e))?;
            let mut bytes = Vec::new();
            self.log.read_to_end(&mut bytes).map_err(|e| local(&path, &e))?;
            self.replay(&bytes, &path)?;
        }
        if self.offset == 0 {
            let header = format!("{{\"terrace_sandbox\":{VERSION}}}\n");
            self.write_at_end(header.as_bytes(), &path)?;
        }
        if self.compact_at == u64::MAX {
            self.compact_at = if self.offset > SMALL { self.live_bytes().saturating_mul(4).max(SMALL) } else { SMALL };
        }
        Ok(())
    }

    fn replay(&mut self, bytes: &[u8], path: &Path) -> Outcome<()> {
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            if line.last() != Some(&b'\n') {
                break; // torn: its writer died, and the next append overwrites it
            }
            if self.offset == 0 {
                check_header(line, path)?;
            } else {
                let batch: Vec<Write> = serde_json::from_slice(line).map_err(|e| {
                    failure(path, format!("the log is damaged at byte {}: {e}", self.offset))
                        .hint("`terrace sandbox reset` starts afresh")
                })?;
                self.tables.replay(batch);
            }
            self.offset += line.len() as u64;
        }
        Ok(())
    }

    fn append(&mut self, folder: &Path, batch: &[Write]) -> Outcome<()> {
        let mut line = serde_json::to_vec(batch).map_err(|e| failure(folder, e.to_string()))?;
        line.push(b'\n');
        self.write_at_end(&line, &folder.join("world.log"))
    }

    fn write_at_end(&mut self, bytes: &[u8], path: &Path) -> Outcome<()> {
        let length = self.log.metadata().map_err(|e| local(path, &e))?.len();
        if length > self.offset {
            self.log.set_len(self.offset).map_err(|e| local(path, &e))?;
        }
        self.log.seek(SeekFrom::Start(self.offset)).map_err(|e| local(path, &e))?;
        self.log.write_all(bytes).map_err(|e| local(path, &e))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn live_bytes(&self) -> u64 {
        self.tables.all().map(|w| serde_json::to_vec(&w).map_or(0, |v| v.len() as u64)).sum()
    }

    /// Writes what lives to a new log and puts it in the old one's place. The generation moves first: killed in
    /// between, the others read the old log once more, which is harmless.
    fn compact(&mut self, folder: &Path) -> Outcome<()> {
        let path = folder.join("world.log");
        let mut bytes = format!("{{\"terrace_sandbox\":{VERSION}}}\n").into_bytes();
        for write in self.tables.all() {
            bytes.extend(serde_json::to_vec(&[write]).map_err(|e| failure(&path, e.to_string()))?);
            bytes.push(b'\n');
        }
        let fresh = folder.join("world.log.new");
        fs::write(&fresh, &bytes).map_err(|e| local(&fresh, &e))?;
        self.generation = advance_generation(&mut self.lock, &self.generation, folder)?;
        fs::rename(&fresh, &path).map_err(|e| local(&path, &e))?;
        self.log = open(&path)?;
        self.offset = bytes.len() as u64;
        self.compact_at = self.offset.saturating_mul(4).max(SMALL);
        Ok(())
    }
}

fn check_header(line: &[u8], path: &Path) -> Outcome<()> {
    let version = serde_json::from_slice::<serde_json::Value>(line)
        .ok()
        .and_then(|header| header["terrace_sandbox"].as_u64())
        .ok_or_else(|| failure(path, "this is no sandbox log").hint("`terrace sandbox reset` starts afresh"))?;
    if version > VERSION {
        let message = format!("written by a newer terrace: format {version}, and this one reads up to {VERSION}");
        return Err(failure(path, message).hint("use that terrace, or `terrace sandbox reset`"));
    }
    Ok(())
}

fn advance_generation(lock: &mut File, generation: &str, folder: &Path) -> Outcome<String> {
    let next = format!("{:020}", generation.trim().parse::<u64>().unwrap_or(0) + 1);
    lock.seek(SeekFrom::Start(0)).map_err(|e| local(folder, &e))?;
    lock.write_all(next.as_bytes()).map_err(|e| local(folder, &e))?;
    Ok(next)
}

fn read_all(file: &mut File, folder: &Path) -> Outcome<String> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).map_err(|e| local(folder, &e))?;
    file.read_to_string(&mut text).map_err(|e| local(folder, &e))?;
    Ok(text)
}

fn open(path: &Path) -> Outcome<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(|e| local(path, &e))
}

fn local(path: &Path, error: &std::io::Error) -> Failure {
    failure(path, error.to_string())
}

fn failure(path: &Path, message: impl Into<String>) -> Failure {
    Failure::new(Class::Local, "sandbox:Store", path.display().to_string(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, key: &str, value: u64) {
        store.transact(Timestamp::UNIX_EPOCH, |tx| tx.put("t", key, &value)).unwrap();
    }

    fn get(store: &Store, key: &str) -> Option<u64> {
        store.transact(Timestamp::UNIX_EPOCH, |tx| tx.get("t", key)).unwrap()
    }

    #[test]
    fn what_was_written_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        put(&store, "a", 1);
        put(&store, "b", 2);
        store.transact(Timestamp::UNIX_EPOCH, |tx| tx.delete("t", "a")).unwrap();
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!((get(&store, "a"), get(&store, "b")), (None, Some(2)));
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        put(&store, "a", 1);
        put(&store, "a", 2);
        drop(store);
        let path = folder.path().join("world.log");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 3]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(get(&store, "a"), Some(1));
        put(&store, "b", 3);
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!((get(&store, "a"), get(&store, "b")), (Some(1), Some(3)));
    }

    #[test]
    fn two_handles_see_each_others_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
        put(&one, "a", 1);
        assert_eq!(get(&two, "a"), Some(1));
        put(&two, "a", 2);
        assert_eq!(get(&one, "a"), Some(2));
    }

    #[test]
    fn handles_that_count_at_once_lose_no_count() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = Store::open(folder.path()).unwrap();
                    for _ in 0..50 {
                        let add = |tx: &mut Tx<'_>| {
                            let n: u64 = tx.get("t", "n").unwrap_or(0);
                            tx.put("t", "n", &(n + 1));
                        };
                        store.transact(Timestamp::UNIX_EPOCH, add).unwrap();
                    }
                });
            }
        });
        assert_eq!(get(&Store::open(folder.path()).unwrap(), "n"), Some(200));
    }

    #[test]
    fn a_log_that_has_grown_is_compacted_under_the_feet_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
        let big = "x".repeat(10_000);
        for n in 0..300_u64 {
            one.transact(Timestamp::UNIX_EPOCH, |tx| tx.put("t", "big", &format!("{n}{big}"))).unwrap();
        }
        assert!(fs::metadata(folder.path().join("world.log")).unwrap().len() < SMALL * 2);
        put(&two, "a", 7);
        assert_eq!(get(&one, "a"), Some(7));
    }

    #[test]
    fn a_log_of_a_newer_format_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("world.log"), "{\"terrace_sandbox\":9}\n").unwrap();
        let failure = Store::open(folder.path()).err().unwrap();
        assert!(failure.message.contains("newer terrace: format 9"), "{failure}");
        Store::erase(folder.path()).unwrap();
        assert!(Store::open(folder.path()).is_ok());
    }

    #[test]
    fn erasing_reaches_a_handle_that_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        put(&store, "a", 1);
        Store::erase(folder.path()).unwrap();
        assert_eq!(get(&store, "a"), None);
        put(&store, "a", 5);
        assert_eq!(get(&Store::open(folder.path()).unwrap(), "a"), Some(5));
    }
}
