//! Where charts come from: an HTTP repository and an OCI registry on loopback, filled by a test.

use crate::support::{
    server::{built, free_port, kept},
    web::{Reply, Web},
};
use std::{
    env, fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// A chart repository that serves a folder with an `index.yaml`.
pub(crate) struct Repository {
    /// What a plan gives as `repository`.
    pub(crate) url: String,
    folder: tempfile::TempDir,
    _web: Web,
}

/// An OCI registry in memory, for plain HTTP.
pub(crate) struct Registry {
    /// Its host and port, like `localhost:40123`: `oci://HOST/charts` is a repository in it.
    pub(crate) host: String,
    _keeper: Child,
}

impl Repository {
    /// A repository with no chart in it; `None` where Helm 4 is not built, which is said.
    pub(crate) fn new() -> Option<Self> {
        built("helm4")?;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let web = Web::new(move |request| {
            let name = request.word(1).trim_start_matches('/').split('?').next().unwrap_or_default();
            let file = (!name.contains("..")).then(|| fs::read(root.join(name)).ok()).flatten();
            file.map_or_else(|| Reply::text(404, "no such chart"), |body| Reply::text(200, body))
        });
        let repository = Self { url: web.url.clone(), folder, _web: web };
        repository.index();
        Some(repository)
    }

    /// Packages a chart's folder and adds it; a version that is there is replaced. Returns the package.
    pub(crate) fn add(&self, chart: &Path) -> PathBuf {
        let package = package(chart, self.folder.path());
        self.index();
        package
    }

    fn index(&self) {
        helm(&["repo", "index", &self.folder.path().to_string_lossy()]);
    }
}

impl Registry {
    /// A registry with nothing in it; `None` where it or Helm 4 is not built, which is said.
    pub(crate) fn new() -> Option<Self> {
        let program = built("registry")?;
        built("helm4")?;
        let (port, started) = (free_port(), Instant::now());
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers");
        fs::create_dir_all(&logs).unwrap();
        let log = fs::File::create(logs.join(format!("registry.{port}.log"))).unwrap();
        let mut command = kept(&program);
        command.args(["-port", &port.to_string()]).stdout(log.try_clone().unwrap()).stderr(log);
        let keeper = command.spawn().unwrap();
        while TcpStream::connect(("localhost", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "the registry does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Some(Self { host: format!("localhost:{port}"), _keeper: keeper })
    }

    /// Packages a chart's folder and pushes it to `oci://HOST/FOLDER`; returns the digest, like `sha256:…`. The same chart packaged twice has
    /// two digests, so this also moves a tag.
    pub(crate) fn push(&self, chart: &Path, folder: &str) -> String {
        let work = tempfile::tempdir().unwrap();
        let package = package(chart, work.path());
        let to = format!("oci://{}/{folder}", self.host);
        let said = helm(&["push", &package.to_string_lossy(), &to, "--plain-http"]);
        let digest = said.lines().find_map(|line| line.strip_prefix("Digest:"));
        digest.unwrap_or_else(|| panic!("helm push says no digest: {said}")).trim().to_owned()
    }
}

/// Packages a chart's folder into another folder; returns the package.
pub(crate) fn package(chart: &Path, into: &Path) -> PathBuf {
    let said = helm(&["package", &chart.to_string_lossy(), "--destination", &into.to_string_lossy()]);
    let path = said.lines().find_map(|line| line.split_once("saved it to: "));
    PathBuf::from(path.unwrap_or_else(|| panic!("helm package says no path: {said}")).1.trim())
}

/// Runs Helm 4 away from any cluster; returns all that it says.
fn helm(words: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(built("helm4").unwrap());
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home.path());
    }
    let output = command.args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm {}: {said}", words.join(" "));
    said
}
