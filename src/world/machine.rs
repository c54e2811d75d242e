//! The machine's own programs and network: serves the live world and the sandbox alike (rule 24).

#![expect(clippy::disallowed_methods, reason = "this is the seam behind which programs and the network are used")]

mod guard;
mod terraform;

pub use guard::{GUARD_AT, GuardProcess};

use crate::{
    base::format_duration,
    world::{Class, Command, Failure, Http, HttpAnswer, Outcome, Program, ProgramEnd, Terraform},
};
use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout as within,
};

/// What of a program's output is kept.
const STDOUT_LIMIT: usize = 1 << 20;
/// What of a program's complaints is kept.
const STDERR_LIMIT: usize = 64 << 10;
/// What of an answer's body is kept.
const BODY_LIMIT: usize = 1 << 20;
/// How long a program that was asked to end may take to do so.
const GRACE: Duration = Duration::from_secs(5);

/// Programs, HTTP and TCP from this machine, by real time.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Made at the first request: reading the machine's certificates takes longer than most commands without any.
    client: OnceLock<reqwest::Client>,
    roots: Arc<terraform::Roots>,
}

impl Machine {
    /// A machine with a connection pool of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The client, set up at its first use; `Local` where no TLS can be.
    fn client(&self) -> Outcome<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Failure::new(Class::Local, "http client", "", chain(&e)))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Terraform and OpenTofu.
    #[must_use]
    pub fn terraform(&self) -> Arc<dyn Terraform> {
        self.roots.clone()
    }
}

#[async_trait::async_trait]
impl Command for Machine {
    async fn run(&self, program: &Program) -> Outcome<ProgramEnd> {
        let name = program.argv.first().map(String::as_str).unwrap_or_default();
        let fail = |class, message: String| Failure::new(class, "command", name, message);
        if name.is_empty() {
            return Err(fail(Class::Invalid, "the command is empty".to_owned()));
        }
        let mut command = tokio::process::Command::new(located(name));
        command.args(&program.argv[1..]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(program.environment.iter().map(|(k, v)| (k, v.expose())));
        if !program.directory.is_empty() {
            command.current_dir(&program.directory);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|e| {
            let missing = e.kind() == std::io::ErrorKind::NotFound;
            let failure = fail(Class::Local, format!("`{name}` cannot be started: {e}"));
            if missing { failure.hint(format!("install `{name}`, or see to it that it is on PATH")) } else { failure }
        })?;
        let group = Group(child.id());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input is none of our business.
                let _ = stdin.write_all(program.stdin.expose().as_bytes()).await;
            }
        };
        let run = async {
            let ((), out, err) = tokio::join!(feed, keep(stdout, STDOUT_LIMIT), keep(stderr, STDERR_LIMIT));
            (child.wait().await, out, err)
        };
        tokio::pin!(run);
        let Ok((status, stdout, stderr)) = within(program.timeout, &mut run).await else {
            group.signal(false);
            let _ = within(GRACE, &mut run).await;
            let after = format_duration(program.timeout);
            return Err(fail(Class::TimedOut, format!("took longer than it may and was ended after {after}")));
        };
        group.gone();
        let status = status.map_err(|e| fail(Class::Local, e.to_string()))?;
        Ok(ProgramEnd { code: status.code(), stdout, stderr })
    }
}

/// The program as the machine looks for it: one with a slash lies in the current folder, where the project is, and not in the
/// folder that it runs in; where nothing lies there, the name is left as it is.
fn located(name: &str) -> std::path::PathBuf {
    let path = std::path::PathBuf::from(name);
    let there = name.contains('/').then(|| std::path::absolute(&path).ok()).flatten().filter(|p| p.exists());
    there.unwrap_or(path)
}

/// A program and what it started. Dropped before it has ended (its time is over, or nobody waits any more), it is ended
/// altogether.
struct Group(Option<u32>);

impl Group {
    /// It has ended by itself. What it left running on purpose is its own affair.
    fn gone(mut self) {
        self.0 = None;
    }

    /// Ends it: gently, or not.
    fn signal(&self, hard: bool) {
        #[cfg(unix)]
        if let Some(pid) = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
            let signal = if hard { rustix::process::Signal::KILL } else { rustix::process::Signal::TERM };
            let _ = rustix::process::kill_process_group(pid, signal);
        }
        #[cfg(not(unix))]
        let _ = hard;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(true);
    }
}

/// Reads to the end and keeps the beginning.
async fn keep(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 16 << 10]);
    while let Ok(n @ 1..) = stream.read(&mut chunk).await {
        let room = limit.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..n.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[async_trait::async_trait]
impl Http for Machine {
    async fn request(
        &self,
        method: &str,
        url: &str,
        headers: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Outcome<HttpAnswer> {
        let operation = format!("http {method}");
        let fail = |e: &reqwest::Error| {
            let class = match e {
                e if e.is_timeout() => Class::TimedOut,
                e if e.is_builder() => Class::Invalid,
                _ => Class::Unavailable,
            };
            Failure::new(class, &operation, url, chain(&e))
        };
        let verb = reqwest::Method::from_bytes(method.as_bytes())
            .map_err(|_| Failure::new(Class::Invalid, &operation, url, format!("`{method}` is no method")))?;
        let mut request = self.client()?.request(verb, url).timeout(timeout);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut answer = request.send().await.map_err(|e| fail(&e))?;
        let status = answer.status().as_u16();
        let mut found = BTreeMap::new();
        for (name, value) in answer.headers() {
            found.insert(name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        let mut body = Vec::new();
        while body.len() < BODY_LIMIT {
            let Some(chunk) = answer.chunk().await.map_err(|e| fail(&e))? else { break };
            body.extend_from_slice(&chunk[..chunk.len().min(BODY_LIMIT - body.len())]);
        }
        Ok(HttpAnswer { status, headers: found, body: String::from_utf8_lossy(&body).into_owned() })
    }

    async fn connect(&self, host: &str, port: u16, timeout: Duration) -> Outcome<()> {
        let subject = format!("{host}:{port}");
        let fail = |class, message| Failure::new(class, "tcp connect", &subject, message);
        match within(timeout, tokio::net::TcpStream::connect((host, port))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(fail(Class::Unavailable, e.to_string())),
            Err(_) => Err(fail(Class::TimedOut, format!("no connection within {} s", timeout.as_secs_f64()))),
        }
    }
}

/// An error and what caused it, on one line: reqwest's own text names only the outermost.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    fn program(argv: &[&str]) -> Program {
        Program {
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            directory: String::new(),
            environment: BTreeMap::from([("GREETING".to_owned(), Secret::new("hello".to_owned()))]),
            stdin: Secret::new("from stdin".to_owned()),
            timeout: Duration::from_secs(20),
        }
    }

    #[tokio::test]
    async fn a_program_gets_its_input_and_leaves_its_output_and_code() {
        let machine = Machine::new();
        let end = machine.run(&program(&["sh", "-c", "echo $GREETING; cat; echo bad >&2; exit 3"])).await.unwrap();
        assert_eq!(end, ProgramEnd { code: Some(3), stdout: "hello\nfrom stdin".into(), stderr: "bad\n".into() });
    }

    #[tokio::test]
    async fn a_missing_program_is_local_and_says_how_to_mend_it() {
        let failure = Machine::new().run(&program(&["no-such-program-here"])).await.unwrap_err();
        assert_eq!(failure.class, Class::Local);
        assert!(failure.hint.unwrap().contains("PATH"));
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_ended_with_what_it_started() {
        let mut slow = program(&["sh", "-c", "sleep 30 | sleep 30"]);
        slow.timeout = Duration::from_millis(100);
        let before = std::time::Instant::now();
        let failure = Machine::new().run(&slow).await.unwrap_err();
        assert_eq!(failure.class, Class::TimedOut);
        assert!(failure.message.ends_with("ended after 0.1s"), "{failure}");
        assert!(before.elapsed() < GRACE);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut slow = program(&["sh", "-c", "echo > begun; (sleep 1; echo > late) & wait"]);
        slow.directory = folder.path().display().to_string();
        let begun = folder.path().join("begun");
        let machine = Machine::new();
        tokio::select! {
            end = machine.run(&slow) => panic!("{end:?}"),
            () = async { while !begun.exists() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!folder.path().join("late").exists());
    }

    #[tokio::test]
    async fn a_program_with_a_slash_is_found_from_where_terrace_runs_whatever_folder_it_runs_in() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let tool = folder.path().join("tool");
        std::fs::write(&tool, "#!/bin/sh\npwd\n").unwrap();
        std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let relative = format!("./{}/tool", folder.path().file_name().unwrap().display());
        let mut asked = program(&[&relative]);
        asked.directory = "/".to_owned();
        assert_eq!(Machine::new().run(&asked).await.unwrap().stdout, "/\n");
    }

    #[tokio::test]
    async fn output_is_cut_at_its_limit() {
        let end = Machine::new().run(&program(&["sh", "-c", "yes | head -c 3000000"])).await.unwrap();
        assert_eq!(end.stdout.len(), STDOUT_LIMIT);
    }

    #[tokio::test]
    async fn an_answer_is_an_answer_whatever_its_status_and_no_answer_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(b"HTTP/1.1 503 Down\r\nX-Why: test\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        });
        let machine = Machine::new();
        let url = format!("http://127.0.0.1:{port}/");
        let answer = machine.request("GET", &url, &BTreeMap::new(), Duration::from_secs(5)).await.unwrap();
        assert_eq!((answer.status, answer.headers["x-why"].as_str(), answer.body.as_str()), (503, "test", "no"));
        server.await.unwrap();
        let failure = machine.request("GET", &url, &BTreeMap::new(), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(failure.class, Class::Unavailable);
        assert_eq!(
            machine.connect("127.0.0.1", port, Duration::from_secs(5)).await.unwrap_err().class,
            Class::Unavailable
        );
    }
}
