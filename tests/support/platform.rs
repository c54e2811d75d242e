//! `plans/eks-platform` over two real servers: the shipped project, led to MiniStack and to the cluster by `testbed/platform/up`.

use super::{
    cluster::ControlPlane,
    project::Said,
    server::{Server, built, kept},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A command that has not ended by then never will.
const AT_MOST: Duration = Duration::from_secs(900);

/// The project, and what it stands on beside the two servers.
pub(crate) struct Platform {
    folder: PathBuf,
    helm: PathBuf,
    environment: Vec<(String, String)>,
    keeper: Child,
}

impl Platform {
    /// Makes it ready; `None` where something of it is not built, which is said. `helm` is the testbed's Helm that it uses.
    pub(crate) fn new(cluster: &ControlPlane, server: &Server, helm: &str) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let helm = built(helm)?;
        built("helm4").and(built("registry"))?;
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers");
        let name = format!("platform.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = root.join(&name);
        let log = fs::File::create(root.join(format!("{name}.log"))).unwrap();
        let mut command = kept(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/platform/up"));
        command.arg(&folder).arg(&server.url).arg(cluster.kubeconfig());
        let mut keeper = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let started = Instant::now();
        while !folder.join("ready").exists() {
            let waiting = started.elapsed() < Duration::from_secs(120) && keeper.try_wait().unwrap().is_none();
            assert!(waiting, "the platform is not ready; see {}.log", folder.display());
            thread::sleep(Duration::from_millis(50));
        }
        let environment = fs::read_to_string(folder.join("environment")).unwrap();
        let environment = environment.lines().filter_map(|line| line.split_once('='));
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Self { folder, helm, environment, keeper })
    }

    /// The project's folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("project")
    }

    /// The program with these words, with nothing in its environment but what leads to MiniStack and to Helm.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_terrace"));
        let path = format!("{}:/usr/bin:/bin", self.helm.parent().unwrap().display());
        command.env_clear().envs(self.environment.clone()).env("PATH", path).env("HOME", &self.folder);
        command.env("NO_COLOR", "1").current_dir(self.path()).args(words).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end, which has to be this one.
    pub(crate) fn ends(&self, words: &[&str], code: i32) -> Said {
        let mut command = assert_cmd::Command::from_std(self.command(words));
        let said = Said::of(&command.timeout(AT_MOST).output().unwrap());
        assert_eq!(said.code, Some(code), "terrace {}\n{}{}", words.join(" "), said.out, said.err);
        said
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}
