//! A project whose plan has Terraform roots, on the sandbox, and the programs that run them.

use crate::support::{Said, server::built};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A command that has not ended by then never will.
const AT_MOST: Duration = Duration::from_secs(180);
/// Programs that provisioners call are here.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A project with one plan, `plans/app`, on the sandbox.
pub(super) struct Bed {
    folder: tempfile::TempDir,
    /// The program that runs the roots.
    pub(super) program: String,
}

impl Bed {
    pub(super) fn tofu() -> Option<Self> {
        Some(Self::of(&built("opentofu")?.display().to_string()))
    }

    pub(super) fn terraform() -> Option<Self> {
        let folders = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&folders).map(|f| f.join("terraform")).find(|p| p.is_file());
        if found.is_none() {
            eprintln!("not run: terraform is not on PATH");
        }
        Some(Self::of(&found?.display().to_string()))
    }

    pub(super) fn of(program: &str) -> Self {
        let bed = Self { folder: tempfile::tempdir().unwrap(), program: program.to_owned() };
        bed.write("terrace.toml", &format!("name = \"test\"\n\n[terraform]\nprogram = \"{program}\"\n"));
        bed
    }

    /// Writes what the plan declares beside its environment.
    pub(super) fn plan(&self, declarations: &str) {
        let head = "plan \"app\" {}\n\nenvironment \"dev\" {\n  sandbox {}\n}\n\n";
        self.write("plans/app/plan.hcl", &format!("{head}{declarations}"));
    }

    /// Writes a root's configuration.
    pub(super) fn root(&self, name: &str, text: &str) {
        self.write(&format!("{name}/main.tf"), text);
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap_or_default()
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_terrace"));
        command.env_clear().env("PATH", PATH).env("HOME", self.path()).env("NO_COLOR", "1");
        command.env("TERRACE_SANDBOX_SPEED", "instant").env("TERRACE_IDENTITY", "ada");
        command.current_dir(self.path()).args(words).stdin(Stdio::null());
        command
    }

    /// Runs terrace to its end, which has to be this one.
    pub(super) fn ends(&self, words: &[&str], code: i32) -> Said {
        let mut command = assert_cmd::Command::from_std(self.command(words));
        let said = Said::of(&command.timeout(AT_MOST).output().unwrap());
        assert_eq!(said.code, Some(code), "terrace {}\n{}{}", words.join(" "), said.out, said.err);
        said
    }

    /// Plans and applies.
    pub(super) fn apply(&self, code: i32) -> Said {
        self.ends(&["apply", "app", "--env", "dev", "--auto-approve"], code)
    }

    /// Starts terrace, and does not wait.
    pub(super) fn start(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the program by hand in a root, in the workspace that the environment has.
    pub(super) fn by_hand(&self, root: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", PATH).env("HOME", self.path()).env("CHECKPOINT_DISABLE", "1");
        command.env("TF_WORKSPACE", "dev-sandbox").env("TF_DATA_DIR", self.path().join("by-hand"));
        command.current_dir(self.path().join(root)).args(words).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Waits until there is such a file.
    pub(super) fn until(&self, path: &str) {
        let started = Instant::now();
        while !self.path().join(path).exists() {
            assert!(started.elapsed() < AT_MOST, "{path} never came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process of the program that applies a root of this bed.
    pub(super) fn applying(&self) -> rustix::process::Pid {
        let own = self.path().display().to_string();
        let started = Instant::now();
        loop {
            for entry in fs::read_dir("/proc").unwrap().flatten() {
                let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
                let words = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
                if words.contains("\0apply\0") && words.contains(&own) && words.contains(".tfplan") {
                    return rustix::process::Pid::from_raw(pid).unwrap();
                }
            }
            assert!(started.elapsed() < AT_MOST, "nothing applies");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All files below a folder of the project.
    pub(super) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut out = Vec::new();
        let mut folders = vec![self.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() { folders.push(entry.path()) } else { out.push(entry.path()) }
            }
        }
        out
    }
}

/// Ends a process the hard way.
pub(super) fn kill(pid: rustix::process::Pid) {
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
