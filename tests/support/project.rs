//! A project folder whose plans go to an account of a stand-in for AWS, and the program run in it as people run it.

use super::server::Account;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// A command that has not ended by then never will.
const AT_MOST: Duration = Duration::from_secs(300);

/// A project with one plan, `plans/app`, whose environment `dev` is an account.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    account: Account,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Project {
    /// A project whose plan holds these declarations.
    pub(crate) fn new(account: &Account, declarations: &str) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap(), account: account.clone() };
        project.write("terrace.toml", "name = \"test\"\n");
        project.environment(&format!("    region     = \"{}\"\n    account_id = \"{}\"\n", account.region, account.id));
        project.write("plans/app/app.hcl", declarations);
        project
    }

    /// Writes `environment "dev"` anew, with these lines in its `aws` block.
    pub(crate) fn environment(&self, lines: &str) {
        let environment = format!("environment \"dev\" {{\n  aws {{\n{lines}  }}\n}}\n");
        self.write("plans/app/plan.hcl", &format!("plan \"app\" {{}}\n\n{environment}"));
    }

    /// The project's folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Changes the plan's declarations.
    pub(crate) fn edit(&self, change: impl Fn(&str) -> String) {
        let path = "plans/app/app.hcl";
        self.write(path, &change(&fs::read_to_string(self.path().join(path)).unwrap()));
    }

    /// The program with these words, with nothing in its environment but what leads to the account.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_terrace"));
        command.env_clear().envs(self.account.environment()).env("HOME", self.path()).env("NO_COLOR", "1");
        command.current_dir(self.path()).args(words).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        let mut command = assert_cmd::Command::from_std(self.command(words));
        Said::of(&command.timeout(AT_MOST).output().unwrap())
    }

    /// Runs the program to its end, which has to be this one.
    pub(crate) fn ends(&self, words: &[&str], code: i32) -> Said {
        let said = self.run(words);
        assert_eq!(said.code, Some(code), "terrace {}\n{}{}", words.join(" "), said.out, said.err);
        said
    }

    /// Starts the program and does not wait for it.
    pub(crate) fn start(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

impl Said {
    /// All that it said, without the line breaks of its layout.
    pub(crate) fn words(&self) -> String {
        let all = format!("{} {}", self.out, self.err);
        all.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What a program that has ended left.
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
