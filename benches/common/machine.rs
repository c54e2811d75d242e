//! What figures depend on, as the rows of a table.

use super::{
    measure::{Stopwatch, durable_write},
    words::millis,
};
use std::{fmt::Write as _, fs, path::Path};

/// The machine, the programs, and whatever else counts.
pub(crate) fn facts(folder: &Path, stopwatch: Stopwatch, more: &[(&str, String)]) -> String {
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?.split_once(':')?.1.trim().to_owned();
        Some(line)
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map_or_else(|| "unknown".to_owned(), |kib| format!("{} GiB", kib.div_ceil(1024 * 1024)));
    let mut rows = String::from("| | |\n|---|---|\n");
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(rows, "| {name} | {value} |");
    };
    row("date", &jiff::Timestamp::now().strftime("%Y-%m-%d").to_string());
    row("processor", &format!("{cores} cores, {processor}"));
    row("memory", &memory);
    row("system", std::env::consts::OS);
    row("a durable write of 256 bytes", &durable_write(folder).map_or_else(|| "unknown".to_owned(), millis));
    for (name, value) in more {
        row(name, value);
    }
    let how = match stopwatch {
        Stopwatch::GnuTime => "the kernel's figure for the ended process, by GNU time",
        Stopwatch::Proc => "the process's own high-water mark in /proc, read every millisecond",
    };
    row("peak memory", how);
    rows
}
