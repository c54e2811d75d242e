//! `terrace __guard`: the process in which rules are judged (rule 41). It limits itself, reads a request from stdin, writes the answer
//! to stdout, and ends. Only [`GuardProcess`](crate::world::GuardProcess) starts it.

use crate::{
    cli::exit::Exit,
    policy,
    world::{GUARD_AT, GuardRequest},
};
use std::io::{Read as _, Write as _};

/// The stack of the thread that judges: enough for any document, and not so much that rules in a circle take long.
const STACK: usize = 64 << 20;

/// Arguments of `__guard`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The address space that it may have, in bytes
    memory: u64,
    /// The seconds of a processor that it may take
    seconds: u64,
}

/// Judges what stdin asks for.
pub(crate) fn run(args: &Args) -> Exit {
    limit(args);
    let judging = std::thread::Builder::new().name("guard".to_owned()).stack_size(STACK).spawn(judge);
    match judging.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => Exit::Done,
        Ok(Ok(Err(why))) => {
            say(&why);
            Exit::Error
        }
        // What a thread panicked with stands on stderr.
        Ok(Err(_)) => Exit::Error,
        Err(why) => {
            say(&why.to_string());
            Exit::Error
        }
    }
}

fn judge() -> Result<(), String> {
    let mut input = Vec::new();
    std::io::stdin().lock().read_to_end(&mut input).map_err(|e| e.to_string())?;
    let request: GuardRequest = serde_json::from_slice(&input).map_err(|e| format!("this is no request: {e}"))?;
    drop(input);
    let answer = policy::judge(&request, &mut |name| say(&format!("{GUARD_AT}{name}")));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer(&mut out, &answer).map_err(|e| e.to_string())?;
    out.flush().map_err(|e| e.to_string())
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Limits this process, before it has read anything.
#[cfg(unix)]
fn limit(args: &Args) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = |n: u64| Rlimit { current: Some(n), maximum: Some(n) };
    for (resource, limit) in [
        (Resource::As, args.memory),
        // Where nobody waits for it any more, it ends by itself.
        (Resource::Cpu, args.seconds.saturating_add(5)),
        (Resource::Core, 0),
    ] {
        // A limit of the system's that is lower already stays.
        let _ = setrlimit(resource, most(limit));
    }
}

#[cfg(not(unix))]
fn limit(_args: &Args) {}
