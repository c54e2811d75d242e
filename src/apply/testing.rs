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
    state::{self, SealKey, Store},
    world::{
        AwsConnection, Ledger, LockOwner, World,
        live::FileLedger,
        sandbox::{self, Sandbox},
    },
};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) struct Lab {
    pub folder: tempfile::TempDir,
    pub files: BTreeMap<String, String>,
    pub plan: String,
    pub world: Arc<Sandbox>,
}

impl Lab {
    pub(crate) fn new(plan: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = sandbox::Options { speed: f64::INFINITY, ..sandbox::Options::default() };
        let world = Sandbox::open(&folder.path().join("world"), options).unwrap();
        let text = format!("plan \"p\" {{}}\nenvironment \"dev\" {{\n  sandbox {{}}\n}}\n{plan}");
        Self { folder, files: [("p/a.hcl".to_owned(), text)].into(), plan: "p".to_owned(), world }
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
        Arc::new(FileLedger::new(self.folder.path().join("state")))
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
        }
    }

    pub(crate) async fn plan(&self) -> Made {
        self.try_plan().await.unwrap_or_else(|e| panic!("{e:#?}"))
    }

    pub(crate) async fn try_plan(&self) -> Result<Made, plan::Error> {
        plan::make(&self.subject().await, &Request::default(), &NoEvents).await
    }

    pub(crate) async fn store(&self) -> Store {
        let owner = LockOwner {
            id: "lock".to_owned(),
            who: "ada".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            command: "apply".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        Store::open(self.ledger(), &owner, "lineage").await.unwrap()
    }

    pub(crate) fn options() -> Options {
        Options {
            parallelism: 10,
            interrupt: Interrupt::new(),
            check_fresh: false,
            record: RunFacts { command: "apply".to_owned(), ..RunFacts::default() },
        }
    }

    pub(crate) async fn apply(&self) -> Report {
        let made = self.plan().await;
        self.apply_made(made).await.unwrap_or_else(|e| panic!("{e:#?}"))
    }

    pub(crate) async fn apply_made(&self, made: Made) -> Result<Report, Error> {
        let saved = plan::saved(made.plan, made.attachment).unwrap();
        run(self.subject().await, saved, self.store().await, Self::options(), Arc::new(NoEvents)).await
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
        let plan = self.plan().await.plan;
        plan.nodes
            .iter()
            .filter(|n| !matches!(n.action, crate::base::ActionWord::NoOp | crate::base::ActionWord::Read))
            .map(|n| format!("{}: {}", n.address, n.action.word()))
            .collect()
    }
}
