//! Whole processes: started, timed, and asked how much memory they took.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What one process took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// The most memory it held, in KiB, where that can be read.
    pub(crate) peak_kib: Option<u64>,
}

/// Runs a command to its end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{name}: {}\n{said}", done.status));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// How the peak memory of a process is read. The time is always taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopwatch {
    /// GNU time starts the process and is told by the kernel when it ends.
    GnuTime,
    /// `/proc` is read every millisecond; a peak of the last one may be missed.
    Proc,
}

impl Stopwatch {
    const GNU_TIME: &str = "/usr/bin/time";

    pub(crate) fn find() -> Self {
        let asked = Command::new(Self::GNU_TIME).arg("--version").output();
        let gnu = asked.is_ok_and(|done| {
            [done.stdout, done.stderr].iter().any(|text| String::from_utf8_lossy(text).contains("GNU"))
        });
        if gnu { Self::GnuTime } else { Self::Proc }
    }

    /// Runs the command to its end; returns its exit code, its time and its peak memory.
    pub(crate) fn measure(
        self,
        program: &Command,
        arguments: &[&str],
        folder: &Path,
    ) -> Result<(Option<i32>, Measured), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", program.get_program().display());
        let report = folder.join("peak.txt");
        let mut command = match self {
            Self::Proc => Command::new(program.get_program()),
            Self::GnuTime => {
                let mut command = Command::new(Self::GNU_TIME);
                command.args(["--format", "%M", "--output"]).arg(&report).arg(program.get_program());
                command
            }
        };
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let errors = fs::File::create(folder.join("stderr.txt")).map_err(failed)?;
        command.args(arguments).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);

        let start = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        let mut peak_kib = None;
        let status = match self {
            Self::GnuTime => child.wait().map_err(failed)?,
            Self::Proc => loop {
                if let Some(status) = child.try_wait().map_err(failed)? {
                    break status;
                }
                peak_kib = high_water_mark(child.id()).or(peak_kib);
                std::thread::sleep(Duration::from_millis(1));
            },
        };
        let wall = start.elapsed();
        if self == Self::GnuTime {
            let text = fs::read_to_string(&report).map_err(failed)?;
            peak_kib = text.lines().last().and_then(|line| line.trim().parse().ok());
        }
        Ok((status.code(), Measured { wall, peak_kib }))
    }
}

pub(crate) fn high_water_mark(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The median time of an append that is on disk when it returns.
pub(crate) fn durable_write(folder: &Path) -> Option<Duration> {
    use std::io::Write as _;
    let mut file = fs::File::create(folder.join("durable")).ok()?;
    let mut taken = Vec::new();
    for _ in 0..101 {
        let start = Instant::now();
        file.write_all(&[b'x'; 256]).and_then(|()| file.sync_data()).ok()?;
        taken.push(start.elapsed());
    }
    taken.sort();
    taken.get(taken.len() / 2).copied()
}
