//! The helm program: found once, its version checked once, run with a deadline.
//!
//! What it reads and writes goes through files that have no name: values never stand on a disk under a path or in the list of
//! processes, and a helm whose Terrace was killed is not ended by a broken pipe in the middle of its work.

#![expect(clippy::disallowed_methods, reason = "this is where helm is found and started")]

use super::{Settings, cache::Cache};
use crate::{
    base::{Digest, format_duration},
    world::{Class, Failure, Outcome},
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{sync::OnceCell, time::timeout};

/// The oldest Helm 3 that has all that is asked of it: labels on releases came with it.
const OLDEST: semver::Version = semver::Version::new(3, 13, 0);
/// The newest major version whose flags are known.
const NEWEST_MAJOR: u64 = 4;
/// What of its output is read.
const OUTPUT_LIMIT: u64 = 64 << 20;
/// How long a helm that was asked to end may take to mark its release as failed.
const GRACE: Duration = Duration::from_secs(30);
/// Variables that would lead helm to another cluster than the connection's, or make it talk.
const NOT_INHERITED: &[&str] = &[
    "HELM_DEBUG",
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBEASUSER",
    "HELM_KUBECAFILE",
    "HELM_KUBECONTEXT",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_KUBETOKEN",
    "HELM_NAMESPACE",
];

/// A helm that can be used.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    /// Its version.
    pub(super) version: semver::Version,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub(super) code: Option<i32>,
    /// What it printed.
    pub(super) stdout: String,
    /// What it complained.
    pub(super) stderr: String,
    /// True where it was ended because its time was over.
    pub(super) late: bool,
}

/// A run of helm.
pub(super) struct Call<'a> {
    /// What it is asked for; nothing secret.
    pub(super) args: Vec<String>,
    /// What it reads.
    pub(super) stdin: &'a [u8],
    /// What it prints into, where that is to be more than a file without a name.
    pub(super) output: Option<File>,
    /// After this long it is ended: gently first, so that it closes its record.
    pub(super) limit: Duration,
}

/// Finds helm, once a process.
#[derive(Default)]
pub(super) struct Programs(OnceCell<Program>);

impl Programs {
    /// The program, its version checked.
    pub(super) async fn get(&self, settings: &Settings, cache: &Cache) -> Outcome<&Program> {
        self.0
            .get_or_try_init(|| async {
                let path = find(settings.program.as_deref())?;
                let version = version(&path, cache).await?;
                Ok(Program { path, version })
            })
            .await
    }
}

fn find(named: Option<&str>) -> Outcome<PathBuf> {
    let name = named.unwrap_or("helm");
    let missing = |what: String| {
        Failure::new(Class::Local, "helm", name, what)
            .hint("install Helm 3.13 or newer, or name it in terrace.toml: [helm] program = \"/path/to/helm\"")
    };
    if name.contains('/') {
        let path = std::path::absolute(name).map_err(|e| missing(e.to_string()))?;
        return if path.is_file() { Ok(path) } else { Err(missing(format!("there is no program {name}"))) };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| missing(format!("there is no `{name}` on PATH")))
}

/// The version, asked once for each file that helm is: starting it only to hear the same again costs more than a plan.
async fn version(path: &Path, cache: &Cache) -> Outcome<semver::Version> {
    let subject = path.display().to_string();
    let fail = |what: String| Failure::new(Class::Local, "helm version", subject.clone(), what);
    let file = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    let stamp = format!("{subject} {} {:?}", file.len(), file.modified().ok());
    let key = format!("version-{}", Digest::of(stamp.as_bytes()).short());
    let known = cache.note(&key).and_then(|text| semver::Version::parse(text.trim()).ok());
    let found = if let Some(known) = known {
        known
    } else {
        let args = ["version", "--template", "{{.Version}}"].map(str::to_owned).to_vec();
        let call = Call { args, stdin: b"", output: None, limit: Duration::from_secs(30) };
        let ended = start(path, call).await?;
        let text = ended.stdout.trim().trim_start_matches('v').to_owned();
        let parsed = semver::Version::parse(&text).map_err(|_| {
            let said = if ended.code == Some(0) { ended.stdout.trim() } else { ended.stderr.trim() };
            fail(format!("it does not tell its version: {said}")).hint("Terrace needs Helm 3.13 or newer, or Helm 4")
        })?;
        cache.keep_note(&key, &parsed.to_string());
        parsed
    };
    if found < OLDEST || found.major > NEWEST_MAJOR {
        let word = if found < OLDEST { "old" } else { "new" };
        let what = format!("helm {found} is too {word}; Terrace works with Helm 3 from {OLDEST} on and with Helm 4");
        return Err(fail(what).hint("name another one in terrace.toml: [helm] program = \"/path/to/helm\""));
    }
    Ok(found)
}

impl Program {
    /// True for Helm 4, whose flags differ.
    pub(super) fn is_four(&self) -> bool {
        self.version.major >= 4
    }

    /// Runs it to its end. Dropped before that (nobody waits any more), it is asked to end, and closes its record.
    pub(super) async fn run(&self, call: Call<'_>) -> Outcome<Ended> {
        start(&self.path, call).await
    }
}

async fn start(path: &Path, call: Call<'_>) -> Outcome<Ended> {
    let verb = call.args.first().cloned().unwrap_or_default();
    let fail = |e: std::io::Error| Failure::new(Class::Local, format!("helm {verb}"), "", e.to_string());
    let mut input = tempfile::tempfile().map_err(fail)?;
    input.write_all(call.stdin).and_then(|()| input.seek(SeekFrom::Start(0)).map(drop)).map_err(fail)?;
    let mut stdout = match call.output {
        Some(file) => file,
        None => tempfile::tempfile().map_err(fail)?,
    };
    let from = stdout.stream_position().map_err(fail)?;
    let mut stderr = tempfile::tempfile().map_err(fail)?;
    let (out, err) = (stdout.try_clone().map_err(fail)?, stderr.try_clone().map_err(fail)?);
    let mut command = tokio::process::Command::new(path);
    command.args(&call.args).stdin(Stdio::from(input)).stdout(Stdio::from(out)).stderr(Stdio::from(err));
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    // A Ctrl-C on the terminal is Terrace's to deal with.
    command.process_group(0);
    let mut child = command.spawn().map_err(fail)?;
    drop(command);
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (status, late) = if let Ok(status) = timeout(call.limit, child.wait()).await {
        (status, false)
    } else {
        group.signal(Signal::TERM);
        let Ok(status) = timeout(GRACE, child.wait()).await else {
            group.signal(Signal::KILL);
            group.0 = None;
            let what = format!("took longer than {} and did not end when asked to", format_duration(call.limit));
            return Err(Failure::new(Class::TimedOut, format!("helm {verb}"), "", what));
        };
        (status, true)
    };
    group.0 = None;
    let code = status.map_err(fail)?.code();
    let stdout = read(&mut stdout, from).map_err(fail)?;
    Ok(Ended { code, stdout, stderr: read(&mut stderr, 0).map_err(fail)?, late })
}

fn read(file: &mut File, from: u64) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A helm and what it started. Dropped before it has ended, it is asked to end; it then marks its release as failed.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}
