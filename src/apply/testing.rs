//! A small laboratory: a plan's text, the sandbox, a state folder, and the commands over them as tests need them.

use super::*;
use crate::{
    base::{NoEvents, RunEnd},
    lang::{
        MemorySources,
        evaluate::{EnvValues, Given},
        load,
    },
    plan::{self, Made, Request, Subject},
    state::{self, SealKey, StateError, Store},
    world::{
        AwsConnection, Ledger, LockOwner, World,
        live::FileLedger,
        sandbox::{self, CrashBy, Fault, FaultKind, Halfway, Sandbox},
    },
};
use std::{collections::BTreeMap, sync::Arc};

fn open_world(folder: &std::path::Path) -> Arc<Sandbox> {
    let options = sandbox::Options {
        speed: f64::INFINITY,
        start: Some("2026-08-01T00:00:00Z".parse().unwrap()),
        crash: CrashBy::Halt,
        ..sandbox::Options::default()
    };
    Sandbox::open(&folder.join("world"), options).unwrap()
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if path.is_dir() {
            std::fs::create_dir_all(to.join(&name)).unwrap();
            copy(&path, &to.join(&name));
        } else {
            std::fs::copy(&path, to.join(&name)).unwrap();
        }
    }
}

pub(crate) struct Lab {
    pub folder: tempfile::TempDir,
    pub files: BTreeMap<String, String>,
    pub plan: String,
    pub world: Arc<Sandbox>,
}

impl Lab {
    pub(crate) fn new(plan: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = open_world(folder.path());
        let mut lab = Self { folder, files: BTreeMap::new(), plan: "p".to_owned(), world };
        lab.write(plan);
        lab
    }

    /// The process has died, and another one begins: nothing is left of what was in memory.
    pub(crate) fn reopen(&mut self) {
        self.world = open_world(self.folder.path());
    }

    /// A copy of world, state and files, to come back to.
    pub(crate) fn keep(&self) -> tempfile::TempDir {
        let kept = tempfile::tempdir().unwrap();
        copy(self.folder.path(), kept.path());
        kept
    }

    /// Back to a copy.
    pub(crate) fn restore(&mut self, kept: &tempfile::TempDir) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
        }
        copy(kept.path(), self.folder.path());
        self.reopen();
    }

    pub(crate) fn fault(&self, operation: &str, kind: FaultKind) {
        self.world.add_fault(&Fault::new(operation, kind)).unwrap();
    }

    /// Starting what this operation starts fails part-way.
    pub(crate) fn fail(&self, operation: &str) {
        self.fault(operation, FaultKind::FailHalfway(Halfway::default()));
    }

    /// The process dies at the `nth` call from now.
    pub(crate) fn crash(&self, nth: u64, after: bool) {
        self.world.add_fault(&Fault::new("*", FaultKind::Crash { after }).from_call(nth)).unwrap();
    }

    /// How many calls the world has had.
    pub(crate) fn calls(&self) -> u64 {
        self.world.show(None).unwrap().calls.values().sum()
    }

    /// How often one operation was called.
    pub(crate) fn calls_of(&self, operation: &str) -> u64 {
        self.world.show(None).unwrap().calls.get(operation).copied().unwrap_or(0)
    }

    /// What is in the world: kind, name, status and the rest, one line a thing.
    pub(crate) fn live(&self) -> Vec<String> {
        let rows = self.world.show(None).unwrap().rows;
        rows.iter().map(|r| format!("{} {} {} {}", r.kind, r.name, r.status, r.detail)).collect()
    }

    /// The files that the project ships, and one of its plans.
    pub(crate) fn shipped(plan: &str) -> Self {
        fn read(root: &std::path::Path, folder: &str, files: &mut BTreeMap<String, String>) {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let entry = entry.unwrap();
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    read(root, &path, files);
                } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
                    files.insert(path, text);
                }
            }
        }
        let mut lab = Self::new("");
        lab.files.clear();
        plan.clone_into(&mut lab.plan);
        for folder in ["plans", "modules", "cfn-templates", "examples"] {
            read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), folder, &mut lab.files);
        }
        lab
    }

    pub(crate) fn write(&mut self, plan: &str) {
        let text = format!("plan \"p\" {{}}\nenvironment \"dev\" {{\n  sandbox {{}}\n}}\n{plan}");
        self.files.insert("p/a.hcl".to_owned(), text);
    }

    pub(crate) fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger_in(&self.folder.path().join("state"))
    }

    /// A ledger in this folder, for whose disk the world's time waits.
    pub(crate) fn ledger_in(&self, folder: &std::path::Path) -> Arc<dyn Ledger> {
        self.world.waited(Arc::new(FileLedger::new(folder)))
    }

    pub(crate) async fn subject(&self) -> Subject {
        let sources: BTreeMap<String, Arc<[u8]>> =
            self.files.iter().map(|(p, t)| (p.clone(), t.as_bytes().into())).collect();
        let sources = Arc::new(MemorySources(sources));
        let (configuration, problems) = load(&*sources, &self.plan, crate::kinds::schema());
        assert!(!problems.has_errors(), "{problems:#?}");
        let configuration = Arc::new(configuration.unwrap());
        let (graph, problems) = crate::graph::build(&configuration, crate::kinds::schema());
        assert!(!problems.has_errors(), "{problems:#?}");
        let ledger = self.ledger();
        let mut texts = crate::base::SourceMap::default();
        let (values, problems) = crate::lang::values::of_environment(&*sources, &configuration, "dev", &mut texts);
        assert!(!problems.has_errors(), "{problems:#?}");
        let account = "000000000000";
        Subject {
            configuration,
            graph: Arc::new(graph),
            given: Given {
                env: EnvValues { name: "dev".into(), region: "us-east-1".into(), account_id: account.into() },
                variables: values.into_iter().map(|(k, v)| (k, v.value)).collect(),
                plan_time: self.world.clock().now(),
            },
            sources,
            world: self.world.clone(),
            aws: AwsConnection {
                region: "us-east-1".to_owned(),
                account_id: account.to_owned(),
                ..AwsConnection::default()
            },
            project: "lab".into(),
            protected: false,
            state: state::load(&*ledger).await.unwrap(),
            seal: SealKey::new([7; 32]),
            ledger,
            plan_outputs: Arc::new(|_| Ok(None)),
            clusters: crate::plan::Clusters::default(),
            programs: crate::kinds::Programs::default(),
            release: None,
        }
    }

    pub(crate) async fn plan(&self) -> Made {
        self.try_plan().await.unwrap_or_else(|e| panic!("{e:#?}"))
    }

    pub(crate) async fn try_plan(&self) -> Result<Made, plan::Error> {
        plan::make(&self.subject().await, &Request::default(), &NoEvents).await
    }

    pub(crate) async fn store(&self) -> Store {
        self.try_store().await.unwrap()
    }

    pub(crate) async fn try_store(&self) -> Result<Store, StateError> {
        let owner = LockOwner {
            id: "lock".to_owned(),
            who: "ada".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            command: "apply".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        Store::open(self.ledger(), &owner, "lineage").await
    }

    /// The state, once the writes of a process that died are through.
    async fn patient_store(&self) -> Store {
        for _ in 0..500 {
            match self.try_store().await {
                Ok(store) => return store,
                Err(StateError::Locked(_)) => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the lock of a dead process is held")
    }

    /// Runs until it ends or the process dies; `None` where it died.
    pub(crate) async fn until_crash<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            () = self.world.crashed() => None,
            done = work => Some(done),
        }
    }

    pub(crate) async fn resume(&self) -> Result<Report, Error> {
        resume(self.subject().await, self.patient_store().await, Self::options(), Arc::new(NoEvents), false).await
    }

    /// Resumes until the run has ended, however often the process dies.
    pub(crate) async fn resumed(&mut self) -> Report {
        for _ in 0..50 {
            self.reopen();
            // A process that died before the first record of the run, or after the last, left nothing open.
            let this = &*self;
            if let Some(report) = this.until_crash(this.resume()).await {
                return report.unwrap_or_else(|e| panic!("{e:#?}"));
            }
        }
        panic!("it never ends")
    }

    pub(crate) fn options() -> Options {
        Options {
            parallelism: 10,
            interrupt: Interrupt::new(),
            check_fresh: false,
            record: RunFacts { command: "apply".to_owned(), ..RunFacts::default() },
            warrant: crate::apply::Warrant::default(),
        }
    }

    pub(crate) async fn apply(&self) -> Report {
        let made = self.plan().await;
        self.apply_made(made).await.unwrap_or_else(|e| panic!("{e:#?}"))
    }

    pub(crate) async fn apply_made(&self, made: Made) -> Result<Report, Error> {
        let saved = plan::saved(made.plan, made.attachment).unwrap();
        // Every apply is of a plan that went through its file.
        let saved = plan::read(&plan::write(&saved).unwrap()).unwrap();
        Box::pin(run(self.subject().await, saved, self.store().await, Self::options(), Arc::new(NoEvents))).await
    }

    pub(crate) async fn applied(&self) -> Report {
        let report = self.apply().await;
        assert_eq!(
            report.end,
            RunEnd::Succeeded,
            "{:#?}",
            (&report.failures, &report.beyond, &report.stuck, &report.undone)
        );
        report
    }

    pub(crate) async fn destroy(&self) -> Report {
        let request = Request { mode: plan::Mode::Destroy, ..Request::default() };
        let made = plan::make(&self.subject().await, &request, &NoEvents).await.unwrap_or_else(|e| panic!("{e:#?}"));
        self.apply_made(made).await.unwrap_or_else(|e| panic!("{e:#?}"))
    }

    /// What a plan would do: `address: word` for each node that does something.
    pub(crate) async fn changes(&self) -> Vec<String> {
        let Made { plan, attachment } = self.plan().await;
        plan::discard(&self.subject().await, &attachment.previews).await.unwrap();
        plan.nodes
            .iter()
            .filter(|n| !matches!(n.action, crate::base::ActionWord::NoOp | crate::base::ActionWord::Read))
            .map(|n| format!("{}: {}", n.address, n.action.word()))
            .collect()
    }
}
