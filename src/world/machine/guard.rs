//! Guard as a process: our own program, started with `__guard`, which sets its limits before it reads anything.

#![expect(clippy::disallowed_methods, reason = "this is the seam behind which rules are judged")]

use super::keep;
use crate::{
    base::{few, format_duration},
    world::{Class, Failure, Guard, GuardAnswer, GuardJob, GuardRequest, Outcome},
};
use std::{path::PathBuf, process::Stdio};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    time::{Instant, timeout_at},
};

/// What the process begins a line with that says which file of rules it is at.
pub const GUARD_AT: &str = "guard-at: ";
/// What of an answer is read.
const ANSWER_LIMIT: u64 = 256 << 20;
/// What of its complaints is kept.
const COMPLAINTS: usize = 1 << 20;

/// Our own program as the one that judges.
#[derive(Debug, Clone)]
pub struct GuardProcess {
    program: PathBuf,
}

/// How a process ended that gave no answer.
struct Ended {
    said: String,
    /// The file of rules that it was at, where it was at one.
    at: Option<String>,
}

impl GuardProcess {
    /// Judges by starting this program, which has to be ours.
    #[must_use]
    pub const fn new(program: PathBuf) -> Self {
        Self { program }
    }

    async fn run(&self, request: &GuardRequest, until: Instant) -> Outcome<Result<GuardAnswer, Ended>> {
        let fail = |class, what: String| Failure::new(class, "judge by rules", "", what);
        let input = serde_json::to_vec(request).map_err(|e| fail(Class::Local, e.to_string()))?;
        let mut command = Command::new(&self.program);
        command.arg("__guard").arg(request.memory.to_string()).arg(request.deadline.as_secs().max(1).to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // What it says where it panics is read, and no more than that is of use.
        command.env("RUST_BACKTRACE", "0");
        // It has no use for the terminal's signals: who waits for it ends it.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|e| fail(Class::Local, format!("it cannot be started: {e}")))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // One that ends before it has read all says why.
                let _ = stdin.write_all(&input).await;
            }
        };
        let answer = async {
            let mut bytes = Vec::new();
            if let Some(stdout) = stdout {
                let _ = stdout.take(ANSWER_LIMIT + 1).read_to_end(&mut bytes).await;
            }
            bytes
        };
        let work = async {
            let ((), answer, said) = tokio::join!(feed, answer, keep(stderr, COMPLAINTS));
            (child.wait().await, answer, said)
        };
        let (status, answer, said) = timeout_at(until, work).await.map_err(|_| late(request))?;
        let status = status.map_err(|e| fail(Class::Local, e.to_string()))?;
        if u64::try_from(answer.len()).is_ok_and(|n| n > ANSWER_LIMIT) {
            let what = format!("what the rules found is more than {} MiB", ANSWER_LIMIT >> 20);
            return Err(
                fail(Class::Limit, what).hint("judge less at once, or mend the rule that finds fault with everything")
            );
        }
        if status.success() {
            let read = serde_json::from_slice(&answer);
            return Ok(Ok(read.map_err(|e| fail(Class::Local, format!("the answer cannot be read: {e}")))?));
        }
        let at = said.lines().filter_map(|line| line.strip_prefix(GUARD_AT)).next_back();
        let at = at.filter(|at| !at.is_empty()).map(str::to_owned);
        let said = said.lines().filter(|line| !line.starts_with(GUARD_AT)).collect::<Vec<_>>().join("\n");
        let said = if said.trim().is_empty() { status.to_string() } else { said };
        Ok(Err(Ended { said, at }))
    }

    /// Which file of rules it is that ends the process: each is tried by itself.
    async fn culprit(&self, request: &GuardRequest, until: Instant) -> Option<Ended> {
        for job in &request.jobs {
            for file in &job.rules {
                let alone = GuardJob { rules: vec![file.clone()], data: job.data.clone() };
                let alone = GuardRequest { jobs: vec![alone], ..request.clone() };
                match self.run(&alone, until).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(ended)) => return Some(Ended { at: Some(file.name.clone()), ..ended }),
                    Err(_) => return None,
                }
            }
        }
        None
    }
}

#[async_trait::async_trait]
impl Guard for GuardProcess {
    async fn judge(&self, request: &GuardRequest) -> Outcome<GuardAnswer> {
        let until = Instant::now() + request.deadline;
        let ended = match self.run(request, until).await? {
            Ok(answer) => return Ok(answer),
            Err(ended) => ended,
        };
        let ended = match ended.at {
            Some(_) => ended,
            None => self.culprit(request, until).await.unwrap_or(ended),
        };
        Err(why(request, &ended))
    }
}

fn late(request: &GuardRequest) -> Failure {
    let what = format!("the rules took longer than {}, and were ended", format_duration(request.deadline));
    Failure::new(Class::TimedOut, "judge by rules", names(request), what)
        .hint("a rule that asks for every value of every document takes longest; try the packs one by one")
}

/// The files of rules, as far as they can be named in a line.
fn names(request: &GuardRequest) -> String {
    const SHOWN: usize = 5;
    let all: Vec<&str> = request.jobs.iter().flat_map(|job| &job.rules).map(|file| file.name.as_str()).collect();
    few(&all, SHOWN)
}

/// What the end of a process means.
fn why(request: &GuardRequest, ended: &Ended) -> Failure {
    let subject = ended.at.clone().unwrap_or_else(|| names(request));
    let fail = |class, what: String| Failure::new(class, "judge by rules", &subject, what);
    let said = &ended.said;
    if said.contains("has overflowed its stack") {
        return fail(Class::Invalid, "its rules never come to an end".to_owned())
            .hint("rules that name each other go round in a circle: take one of the names out");
    }
    if said.contains("memory allocation of") {
        let what = format!("judging takes more than {} MiB of memory", request.memory >> 20);
        return fail(Class::Limit, what).hint("the document is too large to be judged, or a rule copies all of it");
    }
    if let Some(at) = said.find("panicked at") {
        let words = said[at..].lines().nth(1).unwrap_or_default().trim();
        return fail(Class::Invalid, format!("Guard gives up with it: {words}")).hint(
            "Guard's regular expressions have neither look-ahead that backtracks without end nor back-references",
        );
    }
    let last = said.lines().next_back().unwrap_or_default();
    fail(Class::Invalid, format!("what judges by rules ended without an answer: {last}"))
}
