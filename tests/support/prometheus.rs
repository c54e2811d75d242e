//! A real Prometheus on a free port of loopback, ended by its id with whoever holds it. It scrapes one target every fifth of a
//! second, and has what a test says of the past.

use super::server::{Server, built, start};
use std::{fs, path::Path, process::Command};

/// The server, and the folder it keeps everything in.
pub(crate) struct Prometheus {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Where it is, like `http://127.0.0.1:9090`.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }
}

/// Starts one that scrapes `target` (`127.0.0.1:PORT`) and remembers `past`, in the form of OpenMetrics with a time to each
/// sample. `None` where it is not built, which is said.
pub(crate) fn prometheus(target: Option<&str>, past: &str) -> Option<Prometheus> {
    let program = built("prometheus")?;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    if !past.is_empty() {
        remember(&program, folder.path(), past);
    }
    let config = folder.path().join("prometheus.yml");
    let scrapes = target.map_or_else(String::new, |target| {
        format!("scrape_configs:\n  - job_name: test\n    static_configs:\n      - targets: ['{target}']\n")
    });
    let global = "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  evaluation_interval: 1h\n";
    fs::write(&config, format!("{global}{scrapes}")).unwrap();
    let server = start("prometheus", "/-/ready", None, |command, port| {
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            // A series that is not written any more is gone after a minute.
            .args(["--query.lookback-delta=1m", "--log.level=warn"]);
    })?;
    Some(Prometheus { server, _folder: folder })
}

/// Writes the past as Prometheus itself would have.
fn remember(program: &Path, folder: &Path, past: &str) {
    let text = folder.join("past.txt");
    fs::write(&text, past).unwrap();
    let mut command = Command::new(program.with_file_name("promtool"));
    command.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&text).arg(folder.join("data"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
