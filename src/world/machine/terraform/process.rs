//! A program at work on a root: started under the lock of the root's own folder, which it holds as its standard input for as
//! long as it lives, whoever started it; asked to end where its time is over, so that it gives back the state's lock.

#![expect(clippy::disallowed_methods, reason = "this is the seam behind which programs work on roots")]

use crate::{
    base::format_duration,
    world::{Class, Failure, Outcome, Progress, Root},
};
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// Folders of roots lie in here, relative to the project.
const FOLDER: &str = ".terrace/terraform";
/// What a program may print where all of it is read.
const OUTPUT_LIMIT: u64 = 256 << 20;
/// How often a log that grows is looked at.
const PACE: Duration = Duration::from_millis(100);
/// How often the lock of a folder is asked for again.
const LOCK_PACE: Duration = Duration::from_millis(200);
/// How long a call waits for another that is at work in the same folder.
const BUSY: Duration = Duration::from_secs(60);
/// How long a program that was asked to end may take: it waits for what it has begun, writes the state, unlocks it.
const GRACE: Duration = Duration::from_secs(30);

/// Files for one call that are older than this were left by a process that was killed.
const BRIEF: Duration = Duration::from_secs(60 * 60);

/// Arguments of the environment that would make a program do something else than it is asked for.
const SET_BY_US: &[&str] = &[
    "TF_CLI_ARGS",
    "TF_CLI_ARGS_apply",
    "TF_CLI_ARGS_init",
    "TF_CLI_ARGS_plan",
    "TF_CLI_ARGS_show",
    "TF_CLI_ARGS_state",
    "TF_CLI_ARGS_state_pull",
    "TF_CLI_ARGS_version",
    "TF_DATA_DIR",
    "TF_WORKSPACE",
];

/// The folder of its own that a root's program works in; nobody else may look into it.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(key: &str) -> Outcome<Self> {
        let folder = std::path::absolute(FOLDER).map_err(|e| local(key, &e))?.join(key);
        make_folder(&folder)?;
        Ok(Self(folder))
    }

    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// A file for one call, of which no other process has one of the same name.
    pub(super) fn brief(&self, ending: &str) -> PathBuf {
        let moment = jiff::Timestamp::now().as_nanosecond();
        self.0.join("brief").join(format!("{}-{moment}.{ending}", std::process::id()))
    }

    /// Waits until nobody is at work in the folder, and takes away what runs before this one left.
    pub(super) async fn clear(&self, root: &Root, limit: Duration) -> Outcome<()> {
        let _held = self.lock(root, limit).await?;
        let _ = std::fs::remove_dir_all(self.0.join("runs"));
        let old = |entry: &std::fs::DirEntry| {
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
            age.is_some_and(|age| age > BRIEF)
        };
        let left = std::fs::read_dir(self.0.join("brief")).into_iter().flatten().flatten().filter(old);
        left.for_each(|entry| drop(std::fs::remove_file(entry.path())));
        Ok(())
    }

    pub(super) fn saved(&self, name: &str) -> PathBuf {
        self.0.join("plans").join(format!("{name}.tfplan"))
    }

    pub(super) fn run(&self, token: &str) -> PathBuf {
        self.0.join("runs").join(token)
    }

    /// The lock of the folder: held by whoever is at work in it, and by every program that was started under it.
    async fn lock(&self, root: &Root, limit: Duration) -> Outcome<File> {
        let path = self.0.join("lock");
        let file = File::options().create(true).append(true).open(&path).map_err(|e| local(&root.folder, &e))?;
        let until = Instant::now() + limit;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::WouldBlock) if Instant::now() < until => sleep(LOCK_PACE).await,
                Err(std::fs::TryLockError::WouldBlock) => {
                    let what = "another process is at work on this root: an apply that was cut off, or another terrace"
                        .to_owned();
                    return Err(Failure::new(Class::Conflict, "wait for the root", &root.folder, what)
                        .hint("wait until it has ended; `terrace resume` waits for the apply of its own run"));
                }
                Err(std::fs::TryLockError::Error(e)) => return Err(local(&root.folder, &e)),
            }
        }
    }

    /// Waits until no program is at work in the folder any more.
    pub(super) async fn quiet(&self, root: &Root, log: &Path, progress: Progress<'_>, limit: Duration) -> Outcome<()> {
        let lock = self.lock(root, limit);
        tokio::pin!(lock);
        let mut tail = Tail::new(log);
        loop {
            tokio::select! {
                held = &mut lock => return held.map(|_| tail.say(progress)),
                () = sleep(PACE) => tail.say(progress),
            }
        }
    }
}

/// One call of a program.
pub(super) struct Call<'a> {
    pub(super) root: &'a Root,
    pub(super) place: &'a Place,
    pub(super) arguments: Vec<String>,
    pub(super) limit: Duration,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    /// Its exit code; `None` where a signal ended it.
    pub(super) code: Option<i32>,
    /// Standard output.
    pub(super) out: String,
    /// Standard error.
    pub(super) err: String,
    /// True where it was asked to end, since its time was over.
    pub(super) stopped: bool,
}

impl Call<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.root.program, self.arguments.first().map_or("", String::as_str))
    }

    async fn start(&self, out: Stdio, err: Stdio) -> Outcome<Running> {
        let folder = std::path::absolute(&self.root.folder).map_err(|e| local(&self.root.folder, &e))?;
        if !folder.is_dir() {
            let what = format!("the root's folder `{}` is not there", self.root.folder);
            return Err(Failure::new(Class::Invalid, self.name(), &self.root.folder, what)
                .hint("put it back; or let go of what it made with a `removed` block"));
        }
        let lock = self.place.lock(self.root, self.limit.min(BUSY)).await?;
        let mut command = Command::new(super::super::located(&self.root.program));
        command.args(&self.arguments).current_dir(folder).stdin(lock).stdout(out).stderr(err);
        for name in SET_BY_US {
            command.env_remove(name);
        }
        command.envs(self.root.environment.iter().map(|(k, v)| (k, v.expose())));
        command.env("TF_DATA_DIR", self.place.data()).env("TF_WORKSPACE", &self.root.workspace);
        command.env("TF_IN_AUTOMATION", "1").env("TF_INPUT", "0").env("CHECKPOINT_DISABLE", "1");
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|e| missing(&self.root.program, &e))?;
        Ok(Running { pid: child.id(), child, asked: false })
    }

    /// Runs a command that only reads, and returns what it printed.
    pub(super) async fn read(&self) -> Outcome<End> {
        let mut running = self.start(Stdio::piped(), Stdio::piped()).await?;
        let (out, err) = (running.child.stdout.take(), running.child.stderr.take());
        let work = async {
            let (out, err) = tokio::join!(all(out), all(err));
            (running.wait(self.limit).await, out, err)
        };
        let (ended, out, err) = timeout(self.limit + GRACE, work).await.map_err(|_| self.late())?;
        let (status, stopped) = ended.map_err(|e| local(&self.root.folder, &e))?;
        if stopped || status.is_none() {
            return Err(self.late());
        }
        let status = status.and_then(|s| s.code());
        Ok(End { code: status, out, err, stopped })
    }

    /// Runs a command that may hold the state's lock. What it prints goes to a file, so that it goes on undisturbed where
    /// nobody reads any more.
    pub(super) async fn log(&self, log: &Path, progress: Progress<'_>) -> Outcome<End> {
        let errors = log.with_extension("err");
        let (out, err) = (private_file(log)?, private_file(&errors)?);
        let mut running = self.start(Stdio::from(out), Stdio::from(err)).await?;
        let mut tail = Tail::new(log);
        let (status, stopped) = {
            let wait = running.wait(self.limit);
            tokio::pin!(wait);
            loop {
                tokio::select! {
                    ended = &mut wait => break ended.map_err(|e| local(&self.root.folder, &e))?,
                    () = sleep(PACE) => tail.say(progress),
                }
            }
        };
        tail.say(progress);
        let Some(status) = status else { return Err(self.late()) };
        Ok(End { code: status.code(), out: whole(log)?, err: whole(&errors)?, stopped })
    }

    fn late(&self) -> Failure {
        let after = format_duration(self.limit);
        let what = format!("took longer than {after}; it was asked to end, and ends when it has written the state");
        Failure::new(Class::TimedOut, self.name(), &self.root.folder, what)
    }
}

/// A program that was started. Dropped before it has ended, it is asked to end.
struct Running {
    child: Child,
    pid: Option<u32>,
    asked: bool,
}

impl Running {
    /// Waits for its end. Where its time is over, it is asked to end; `None` where it has not by then.
    async fn wait(&mut self, limit: Duration) -> std::io::Result<(Option<std::process::ExitStatus>, bool)> {
        if let Ok(status) = timeout(limit, self.child.wait()).await {
            self.pid = None;
            return status.map(|s| (Some(s), false));
        }
        self.ask();
        if let Ok(status) = timeout(GRACE, self.child.wait()).await {
            self.pid = None;
            return status.map(|s| (Some(s), true));
        }
        // Killed, it would leave the state locked, and forget what it has made. It holds the folder's lock until it ends.
        Ok((None, true))
    }

    /// Asks once: a second time, it would end at once and lose what it has not written.
    fn ask(&mut self) {
        if std::mem::replace(&mut self.asked, true) {
            return;
        }
        #[cfg(unix)]
        if let Some(pid) = self.pid.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ask();
    }
}

/// The end of a log that grows.
struct Tail<'p> {
    path: &'p Path,
    at: u64,
}

impl<'p> Tail<'p> {
    const fn new(path: &'p Path) -> Self {
        Self { path, at: 0 }
    }

    /// Says what whole lines came since the last time.
    fn say(&mut self, progress: Progress<'_>) {
        let Ok(mut file) = File::open(self.path) else { return };
        let mut bytes = Vec::new();
        if file.seek(SeekFrom::Start(self.at)).is_err() || file.take(OUTPUT_LIMIT).read_to_end(&mut bytes).is_err() {
            return;
        }
        let Some(end) = bytes.iter().rposition(|b| *b == b'\n') else { return };
        self.at += u64::try_from(end + 1).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..end]);
        text.lines().filter_map(super::words::progress).for_each(|line| progress(&line));
    }
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let _ = stream.take(OUTPUT_LIMIT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text of a file; empty where there is none.
pub(super) fn whole(path: &Path) -> Outcome<String> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(e) => return Err(local(&path.display().to_string(), &e)),
        Ok(file) => {
            file.take(OUTPUT_LIMIT).read_to_end(&mut bytes).map_err(|e| local(&path.display().to_string(), &e))?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// An empty file that nobody else may read.
pub(super) fn private_file(path: &Path) -> Outcome<File> {
    let subject = path.display().to_string();
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(local(&subject, &e)),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| local(&subject, &e))
}

/// A folder that nobody else may look into.
pub(super) fn make_folder(folder: &Path) -> Outcome<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| local(&folder.display().to_string(), &e))
}

pub(super) fn local(subject: &str, error: &std::io::Error) -> Failure {
    Failure::new(Class::Local, "terraform", subject, error.to_string())
}

fn missing(program: &str, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Class::Local, "terraform", program, format!("`{program}` cannot be started: {error}"));
    if error.kind() != std::io::ErrorKind::NotFound {
        return failure;
    }
    failure.hint(format!(
        "install it, or name where it lies in terrace.toml: [terraform] program = \"…\"; `program = \"tofu\"` in the block runs OpenTofu{}",
        if program == "tofu" { ", which terrace.toml names under [tofu]" } else { "" }
    ))
}
