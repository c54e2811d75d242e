//! Builds a kustomization by the program that is there: `kustomize`, else `kubectl`.
#![expect(clippy::disallowed_methods, reason = "this is the seam through which plan files are read, built ones too")]

use std::{
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may take: bases may be fetched from elsewhere.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The longest text that is taken.
const BIGGEST: u64 = 64 << 20;

/// The documents that it makes of a folder; `root` is the project's.
///
/// # Errors
/// No program, one that fails, in its own words, or one that takes too long.
pub(crate) fn build(root: &Path, folder: &Path) -> Result<Vec<u8>, String> {
    let inside = folder.strip_prefix(root).unwrap_or(folder);
    let target = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    for (program, verb) in [("kustomize", "build"), ("kubectl", "kustomize")] {
        let mut command = Command::new(program);
        command.arg(verb).arg(target).current_dir(root);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => return ended(child, &format!("{program} {verb}")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(format!("{program} cannot be started: {e}")),
        }
    }
    Err("it is a kustomization, and neither kustomize nor kubectl is on PATH".to_owned())
}

/// What the program printed, once it ended well.
fn ended(mut child: Child, what: &str) -> Result<Vec<u8>, String> {
    let (out, complaint) = (child.stdout.take(), child.stderr.take());
    let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(stream) = stream {
                let _ = stream.take(BIGGEST).read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let out = read(out.map(|s| Box::new(s) as _));
    let complaint = read(complaint.map(|s| Box::new(s) as _));
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < TIMEOUT => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{what} did not end within {}", crate::base::format_duration(TIMEOUT)));
            }
            Err(e) => return Err(format!("{what}: {e}")),
        }
    };
    let (out, complaint) = (out.join().unwrap_or_default(), complaint.join().unwrap_or_default());
    if status.success() {
        return Ok(out);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let complaint: Vec<&str> = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(format!("{what} fails: {}", complaint.join("; ")))
}
