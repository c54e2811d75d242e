//! What the process was started in: folder, environment, terminals. Read once, here and nowhere else.
#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]

use std::{collections::BTreeMap, io::IsTerminal as _, path::PathBuf};

/// What the process was started in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// The current folder.
    pub(crate) folder: PathBuf,
    /// Environment variables that are text.
    pub(crate) variables: BTreeMap<String, String>,
    /// Standard input is a terminal.
    pub(crate) stdin: bool,
    /// Standard output is a terminal.
    pub(crate) stdout: bool,
    /// Standard error is a terminal.
    pub(crate) stderr: bool,
    /// The terminal's width in columns, where there is one.
    pub(crate) width: Option<usize>,
}

impl Surroundings {
    /// Reads them.
    pub(crate) fn read() -> Self {
        let variables: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let columns = variables.get("COLUMNS").and_then(|c| c.parse().ok());
        Self {
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            stdin: std::io::stdin().is_terminal(),
            stdout: std::io::stdout().is_terminal(),
            stderr: std::io::stderr().is_terminal(),
            width: columns.or_else(terminal_width),
            variables,
        }
    }

    /// The words of the command line, the program's own name first.
    pub(crate) fn arguments() -> Vec<std::ffi::OsString> {
        std::env::args_os().collect()
    }

    /// Where this program lies.
    ///
    /// # Errors
    /// A machine that does not tell.
    pub(crate) fn program() -> std::io::Result<PathBuf> {
        std::env::current_exe()
    }

    /// Makes a folder the current one: paths of programs that a plan runs are relative to the project. What was read of
    /// the surroundings before stays as it was.
    ///
    /// # Errors
    /// A folder that cannot be entered.
    pub(crate) fn enter(folder: &std::path::Path) -> std::io::Result<()> {
        std::env::set_current_dir(folder)
    }

    /// The moment now, by the machine's clock.
    pub(crate) fn now() -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The process's id.
    pub(crate) fn process() -> u32 {
        std::process::id()
    }

    /// From where a command is given: the CI job, else the machine.
    pub(crate) fn origin(&self) -> String {
        self.ci().unwrap_or_else(|| self.host())
    }

    /// The machine's name, as far as the environment tells.
    pub(crate) fn host(&self) -> String {
        self.variable("HOSTNAME")
            .or_else(|| self.variable("COMPUTERNAME"))
            .map(str::to_owned)
            .or_else(|| std::fs::read_to_string("/etc/hostname").ok().map(|h| h.trim().to_owned()))
            .filter(|h| !h.is_empty())
            .unwrap_or_else(|| "unknown host".to_owned())
    }

    /// Who works here, as far as the environment tells.
    pub(crate) fn person(&self) -> Option<&str> {
        ["TERRACE_IDENTITY", "USER", "USERNAME", "LOGNAME"].iter().find_map(|name| self.variable(name))
    }

    /// The link to the CI job that runs this, where one does.
    pub(crate) fn ci(&self) -> Option<String> {
        if let (Some(server), Some(repository), Some(run)) =
            (self.variable("GITHUB_SERVER_URL"), self.variable("GITHUB_REPOSITORY"), self.variable("GITHUB_RUN_ID"))
        {
            return Some(format!("{server}/{repository}/actions/runs/{run}"));
        }
        ["CI_JOB_URL", "BUILD_URL", "CODEBUILD_BUILD_URL"]
            .iter()
            .find_map(|name| self.variable(name))
            .map(str::to_owned)
    }
}

#[cfg(unix)]
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stderr()))
        .ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(not(unix))]
fn terminal_width() -> Option<usize> {
    None
}
