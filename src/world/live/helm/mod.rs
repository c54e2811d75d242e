//! Helm over the helm program, versions 3 and 4, found on PATH or named in terrace.toml.
//!
//! The program renders and changes; everything else is done without it. Charts are found and pinned here (`charts`, over
//! `repository`, `registry` and `archive`), records of releases are read from the API server (`record`), and `running` knows
//! which helm of this machine is still at work. Why the program and no library is told in docs/adr.

mod archive;
mod cache;
mod charts;
pub(super) mod credentials;
mod failure;
pub(super) mod mirror;
mod program;
mod record;
mod registry;
mod rendered;
mod repository;
mod running;
pub(super) mod web;

pub use mirror::ChartMirror;

use super::kubernetes::Cluster;
use crate::world::{
    Chart, ChartRef, Class, Failure, Helm, Kubernetes, Outcome, Release, ReleaseRequest, Rendered, TOKEN_LABEL,
};
use cache::Cache;
use charts::{Charts, Pinned};
use program::{Call, Program, Programs};
use record::{Driver, Record, Records};
use running::Running;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How many revisions are kept, as helm does by itself.
const HISTORY: &str = "10";
/// How much longer than it was told helm may take before it is ended: it has its own deadline for each thing it waits for.
const MARGIN: Duration = Duration::from_secs(60);
/// How long rendering may take.
const RENDER: Duration = Duration::from_secs(120);
/// The version of Kubernetes that charts are rendered for where no cluster is asked: the same whatever helm does it.
const NO_CLUSTER: &str = "1.34.0";
/// The word by which an uninstall is known, which has no token.
const UNINSTALL: &str = "uninstall";

/// How helm is used, by terrace.toml.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HelmSettings {
    /// `[helm] program`: another helm than the one on PATH.
    pub program: Option<String>,
    /// `[[mirror]]`.
    pub mirrors: Vec<ChartMirror>,
    /// Charts that a release brings along, in the place of where they are declared to be.
    pub archives: Vec<LockedArchive>,
    /// Where charts are kept; `terrace` in the user's folder of caches where `None`.
    pub cache: Option<PathBuf>,
}

/// A chart that a release brings along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedArchive {
    /// The chart as it is declared.
    pub chart: ChartRef,
    /// The digest that it is pinned by: its archive's, and of a registry's chart its manifest's.
    pub digest: String,
    /// The digest that its archive must have.
    pub archive: crate::base::Digest,
    /// Its archive.
    pub file: PathBuf,
}

use HelmSettings as Settings;

/// What all clusters of a process share: the program, its charts and their cache.
#[derive(Default)]
pub(super) struct Shared {
    settings: OnceLock<Settings>,
    cache: OnceLock<Cache>,
    programs: Programs,
    charts: Charts,
}

impl Shared {
    /// Says how helm is used; the first time counts.
    pub(super) fn settle(&self, settings: Settings) {
        let _ = self.settings.set(settings);
    }

    pub(super) fn settings(&self) -> &Settings {
        self.settings.get_or_init(Settings::default)
    }

    fn cache(&self) -> Outcome<&Cache> {
        if let Some(cache) = self.cache.get() {
            return Ok(cache);
        }
        let cache = Cache::open(self.settings().cache.as_deref())?;
        Ok(self.cache.get_or_init(|| cache))
    }

    async fn program(&self) -> Outcome<&Program> {
        self.programs.get(self.settings(), self.cache()?).await
    }

    async fn pinned(&self, chart: &ChartRef) -> Outcome<Pinned> {
        self.charts.pinned(chart, self.settings(), self.cache()?).await
    }
}

#[async_trait::async_trait]
#[expect(clippy::disallowed_methods, reason = "reads the archive that was pinned")]
impl crate::world::Charts for Shared {
    async fn archive(&self, chart: &ChartRef) -> Outcome<(Chart, Option<Vec<u8>>)> {
        let pinned = self.pinned(chart).await?;
        let unreadable = |e: std::io::Error| Failure::new(Class::Local, "helm pull", &chart.chart, e.to_string());
        // A chart of the project is a folder, and part of what is frozen by its files.
        let archive =
            if pinned.path.is_dir() { None } else { Some(tokio::fs::read(&pinned.path).await.map_err(unreadable)?) };
        Ok((pinned.chart, archive))
    }

    async fn template(&self, request: &ReleaseRequest) -> Outcome<Rendered> {
        self.render(request, &["--kube-version".to_owned(), NO_CLUSTER.to_owned()]).await
    }
}

impl Shared {
    /// Renders for a cluster that can do this, said in helm's own flags.
    async fn render(&self, request: &ReleaseRequest, capabilities: &[String]) -> Outcome<Rendered> {
        let (program, pinned) = (self.program().await?, self.pinned(&request.chart).await?);
        let mut args = vec!["template".to_owned(), request.name.clone(), pinned.path.display().to_string()];
        args.extend(["--namespace".to_owned(), request.namespace.clone()]);
        args.extend(["--values", "-", "--include-crds", "--skip-tests"].map(str::to_owned));
        args.extend_from_slice(capabilities);
        if request.upgrade {
            args.push("--is-upgrade".to_owned());
        }
        let call = Call { args, stdin: &values(request), output: None, limit: RENDER };
        let ended = program.run(call).await?;
        let subject = format!("{}/{}", request.namespace, request.name);
        if ended.code != Some(0) {
            let failure = failure::failed("template", &subject, &ended);
            // Rendering changes nothing: whatever is wrong is wrong with what it was given.
            let class = if ended.late { Class::TimedOut } else { Class::Invalid };
            return Err(Failure { class, ..failure });
        }
        rendered::rendered(&ended.stdout).map_err(|why| {
            Failure::new(Class::Invalid, "helm template", subject, format!("the chart renders no YAML: {why}"))
        })
    }
}

/// Helm against one cluster.
pub(super) struct LiveHelm {
    /// The cluster, for the program.
    pub(super) cluster: Arc<Cluster>,
    /// The same, for reading.
    pub(super) kubernetes: Arc<dyn Kubernetes>,
    /// What all clusters share.
    pub(super) shared: Arc<Shared>,
}

impl LiveHelm {
    fn records(&self) -> Outcome<Records> {
        Ok(Records { kubernetes: self.kubernetes.clone(), driver: Driver::chosen()? })
    }

    async fn newest(&self, name: &str, namespace: &str) -> Outcome<Option<Record>> {
        Ok(self.records()?.of(name, namespace).await?.into_iter().next())
    }

    async fn running(&self, name: &str, namespace: &str) -> Outcome<Running> {
        let cluster = self.kubernetes.identity().await?;
        Ok(Running::of(&self.shared.cache()?.running()?, &cluster, namespace, name))
    }

    /// Runs what changes a release, so that a Terrace that comes after this one can tell whether it still runs.
    async fn change(&self, call: Change<'_>) -> Outcome<()> {
        let Change { verb, name, namespace, word, mut args, stdin, limit } = call;
        let program = self.shared.program().await?;
        let running = self.running(name, namespace).await?;
        // Boxed, as below: with the client's own the futures would be nested deeper than the compiler goes.
        let kubeconfig = Box::pin(self.cluster.kubeconfig()).await?;
        args.extend(["--namespace".to_owned(), namespace.to_owned()]);
        args.extend(["--kubeconfig".to_owned(), kubeconfig.path().display().to_string()]);
        args.extend(["--timeout".to_owned(), format!("{}s", limit.as_secs().max(1))]);
        let output = Some(running.begin(word)?);
        let limit = limit.saturating_mul(2) + MARGIN;
        let ended = program.run(Call { args, stdin, output, limit }).await?;
        if ended.code == Some(0) {
            return Ok(());
        }
        Err(failure::failed(verb, &format!("{namespace}/{name}"), &ended))
    }

    /// Makes a revision of what was asked for.
    async fn made(&self, verb: &str, request: &ReleaseRequest, args: Vec<String>) -> Outcome<Release> {
        let change = Change {
            verb,
            name: &request.name,
            namespace: &request.namespace,
            word: &request.token,
            args,
            stdin: &values(request),
            limit: request.timeout,
        };
        let done = self.change(change).await;
        self.ended(request, done).await
    }

    /// What became of a call that bears a token: the record tells it, whatever helm said.
    async fn ended(&self, request: &ReleaseRequest, done: Outcome<()>) -> Outcome<Release> {
        let records = self.records()?;
        let (name, namespace) = (&request.name, &request.namespace);
        let newest = records.of(name, namespace).await;
        match (done, newest) {
            (Ok(()), newest) => {
                let record = newest?.into_iter().next().ok_or_else(|| {
                    let what = "helm says that it is done, and there is no release";
                    Failure::new(Class::Conflict, "helm", format!("{namespace}/{name}"), what)
                })?;
                Ok(records.open(&record)?.0)
            }
            (Err(failure), Ok(all)) => {
                let ours = all.first().filter(|r| r.token() == request.token);
                let class = match ours {
                    // Helm is gone and its record still open.
                    Some(record) if record.is_pending() => Class::Unavailable,
                    Some(_) => Class::Failed,
                    // It never began.
                    None if failure.class == Class::Failed => Class::Invalid,
                    None => failure.class,
                };
                Err(Failure { class, ..failure })
            }
            (Err(failure), Err(_)) => Err(Failure { class: Class::Unavailable, ..failure }),
        }
    }

    /// The flags that wait until what was made is ready.
    fn waiting(program: &Program, wait: bool) -> Option<String> {
        match (program.is_four(), wait) {
            (true, true) => Some("--wait=watcher".to_owned()),
            (true, false) => Some("--wait=hookOnly".to_owned()),
            (false, true) => Some("--wait".to_owned()),
            (false, false) => None,
        }
    }

    /// What install and upgrade are both given.
    fn given(program: &Program, request: &ReleaseRequest, pinned: &Pinned, revision: u32) -> Vec<String> {
        let mut labels: Vec<String> = request.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        labels.push(format!("{TOKEN_LABEL}={}", record::token_of(&request.token, revision)));
        let mut args = vec![request.name.clone(), pinned.path.display().to_string()];
        args.extend(["--values", "-", "--labels"].map(str::to_owned));
        args.push(labels.join(","));
        args.extend(Self::waiting(program, request.wait));
        if program.version >= semver::Version::new(3, 17, 0) {
            args.push("--hide-notes".to_owned());
        }
        args
    }
}

/// A change of a release.
struct Change<'a> {
    verb: &'a str,
    name: &'a str,
    namespace: &'a str,
    /// What it is known by.
    word: &'a str,
    args: Vec<String>,
    stdin: &'a [u8],
    limit: Duration,
}

/// Values as helm reads them: JSON is YAML.
fn values(request: &ReleaseRequest) -> Vec<u8> {
    request.values.to_string().into_bytes()
}

#[async_trait::async_trait]
impl Helm for LiveHelm {
    async fn resolve(&self, chart: &ChartRef) -> Outcome<Chart> {
        Ok(self.shared.pinned(chart).await?.chart)
    }

    async fn template(&self, request: &ReleaseRequest) -> Outcome<Rendered> {
        let (version, apis) = Box::pin(self.cluster.capabilities()).await?;
        let mut capabilities = vec!["--kube-version".to_owned(), version];
        for api in apis {
            capabilities.extend(["--api-versions".to_owned(), api]);
        }
        self.shared.render(request, &capabilities).await
    }

    async fn release(&self, name: &str, namespace: &str) -> Outcome<Option<Release>> {
        let records = self.records()?;
        let newest = records.of(name, namespace).await?.into_iter().next();
        newest.map(|record| Ok(records.open(&record)?.0)).transpose()
    }

    async fn history(&self, name: &str, namespace: &str) -> Outcome<Vec<Release>> {
        let records = self.records()?;
        let all = records.of(name, namespace).await?;
        all.iter().map(|record| Ok(records.open(record)?.0)).collect()
    }

    async fn install(&self, request: &ReleaseRequest) -> Outcome<Release> {
        let (program, pinned) = (self.shared.program().await?, self.shared.pinned(&request.chart).await?);
        let last = self.records()?.all(&request.name, &request.namespace).await?.into_iter().next();
        let mut args = vec!["install".to_owned()];
        args.extend(Self::given(program, request, &pinned, last.as_ref().map_or(1, |last| last.revision + 1)));
        // A name whose history was kept is taken until it is used again.
        if last.is_some_and(|last| last.status == "uninstalled") {
            args.push("--replace".to_owned());
        }
        self.made("install", request, args).await
    }

    async fn upgrade(&self, request: &ReleaseRequest) -> Outcome<Release> {
        let (program, pinned) = (self.shared.program().await?, self.shared.pinned(&request.chart).await?);
        let last = self.newest(&request.name, &request.namespace).await?;
        let mut args = vec!["upgrade".to_owned()];
        args.extend(Self::given(program, request, &pinned, last.as_ref().map_or(1, |last| last.revision + 1)));
        // Without it helm takes the former values where the new ones are empty.
        args.extend(["--reset-values", "--history-max", HISTORY].map(str::to_owned));
        if program.is_four() && self.applies_on_the_server(last.as_ref())? {
            // What somebody else took of the release's fields was shown by the plan, and is taken back.
            args.push("--force-conflicts".to_owned());
        }
        self.made("upgrade", request, args).await
    }

    async fn rollback(
        &self,
        name: &str,
        namespace: &str,
        revision: u32,
        wait: bool,
        timeout: Duration,
    ) -> Outcome<Release> {
        let program = self.shared.program().await?;
        let mut args = vec!["rollback".to_owned(), name.to_owned(), revision.to_string()];
        args.extend(Self::waiting(program, wait));
        args.extend(["--history-max", HISTORY].map(str::to_owned));
        let all = if program.is_four() { self.records()?.of(name, namespace).await? } else { Vec::new() };
        if self.applies_on_the_server(all.iter().find(|record| record.revision == revision))? {
            args.push("--force-conflicts".to_owned());
        }
        let word = format!("rollback {revision}");
        let change = Change { verb: "rollback", name, namespace, word: &word, args, stdin: b"", limit: timeout };
        let done = self.change(change).await;
        let newest = self.release(name, namespace).await?;
        match (done, newest) {
            (Ok(()), Some(release)) => Ok(release),
            (Err(failure), Some(release)) if release.is_pending() => {
                Err(Failure { class: Class::Unavailable, ..failure })
            }
            (Err(failure), _) => Err(failure),
            (Ok(()), None) => {
                let what = "helm says that it went back, and there is no release";
                Err(Failure::new(Class::Conflict, "helm rollback", format!("{namespace}/{name}"), what))
            }
        }
    }

    async fn uninstall(&self, name: &str, namespace: &str, wait: bool, timeout: Duration) -> Outcome<()> {
        if self.newest(name, namespace).await?.is_none() {
            return Ok(());
        }
        let program = self.shared.program().await?;
        let mut args = vec!["uninstall".to_owned(), name.to_owned()];
        args.extend(Self::waiting(program, wait));
        let change = Change { verb: "uninstall", name, namespace, word: UNINSTALL, args, stdin: b"", limit: timeout };
        match self.change(change).await {
            Err(failure) if failure.class == Class::NotFound => Ok(()),
            other => other,
        }
    }

    async fn mark_failed(&self, name: &str, namespace: &str, why: &str) -> Outcome<()> {
        let records = self.records()?;
        match records.of(name, namespace).await?.into_iter().next() {
            Some(record) if record.is_pending() => records.close(&record, "failed", why).await,
            _ => Ok(()),
        }
    }

    async fn at_work(&self, name: &str, namespace: &str, pending: Option<&Release>) -> Outcome<Option<bool>> {
        let running = self.running(name, namespace).await?;
        let word = pending.map(|release| match release.status.as_str() {
            "uninstalling" => UNINSTALL.to_owned(),
            "pending-rollback" => release.description.replace("Rollback to ", "rollback "),
            _ => release.token.clone(),
        });
        Ok(running.at_work(word.as_deref()))
    }

    async fn known_repository(&self, chart: &str, version: &str) -> Outcome<Option<String>> {
        Ok(credentials::known_repository(chart, version))
    }
}

impl LiveHelm {
    /// True where a revision was applied on the server's side: helm goes on as it began.
    fn applies_on_the_server(&self, record: Option<&Record>) -> Outcome<bool> {
        let records = self.records()?;
        record.map_or(Ok(false), |record| Ok(record::method(&records.open(record)?.1) == "ssa"))
    }
}
