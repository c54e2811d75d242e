//! The live world: the traits over AWS's SDK, over kube's client, the helm program and this machine.

mod advisor;
mod aws;
mod forge;
mod helm;
mod kubernetes;
mod ledger;
mod registry;
mod s3;

pub use advisor::ANTHROPIC;
pub use aws::AskMfa;
pub use forge::{ForgeKind, ForgePlace, Tell, open_forge};
pub use helm::{ChartMirror, HelmSettings, LockedArchive};
pub use ledger::FileLedger;
pub use registry::{is_here, repository};
pub use s3::{Encryption, S3Ledger, S3Place};

use crate::base::Secret;
use crate::world::{
    Advisor, Aws, AwsConnection, Charts, Clock, ClusterConnection, ClusterHandle, Command, Entropy, Http, Machine,
    Outcome, Registry, Terraform, World,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The world outside: AWS, by the connections that plans declare, and the programs and network of this machine.
pub struct Live {
    aws: aws::Connections,
    clusters: Mutex<BTreeMap<ClusterConnection, ClusterHandle>>,
    helm: Arc<helm::Shared>,
    machine: Arc<Machine>,
    /// No program of a kubeconfig that a plan names is started.
    spares_logins: AtomicBool,
}

impl Live {
    /// The live world. Nothing is called before something is asked for.
    #[must_use]
    pub fn new(ask: AskMfa) -> Arc<Self> {
        Self::over(aws::Connections::new(ask, None))
    }

    /// The same with credentials that the caller has, in place of those of the environment and the profiles. For programs
    /// that use Terrace as a library, and for tests, of which each has an account of its own.
    #[must_use]
    pub fn with_credentials(ask: AskMfa, credentials: SharedCredentialsProvider) -> Arc<Self> {
        Self::over(aws::Connections::new(ask, Some(credentials)))
    }

    fn over(aws: aws::Connections) -> Arc<Self> {
        // The first random bytes of a process take the library tens of milliseconds: they are had while plan files are read.
        std::thread::spawn(|| rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut [0; 1]));
        let (clusters, helm) = (Mutex::default(), Arc::default());
        Arc::new(Self { aws, clusters, helm, machine: Arc::new(Machine::new()), spares_logins: AtomicBool::new(false) })
    }

    /// Says which helm is used and where charts are had from, before the first chart is. The first time counts; without one
    /// it is the helm on PATH, and charts come from where plans say.
    pub fn use_helm(&self, settings: HelmSettings) {
        self.helm.settle(settings);
    }

    /// From now on a kubeconfig that is not this machine's own, but one that a plan names, starts no program for credentials and reads none
    /// from files: who wrote the plan may neither start a program here nor send away what lies here. This machine's own are those that
    /// kubectl reads.
    pub fn spare_logins(&self) {
        self.spares_logins.store(true, Ordering::SeqCst);
    }

    /// A model of Bedrock's, by a connection of its own. The endpoint takes the place of Bedrock's alone, not of what says who calls.
    #[must_use]
    pub fn bedrock(&self, connection: &AwsConnection, endpoint: Option<String>, model: String) -> Arc<dyn Advisor> {
        let region = connection.region.clone();
        Arc::new(advisor::Bedrock { session: self.aws.session(connection), region, endpoint, model })
    }

    /// A model of Anthropic's, at an address that speaks the Messages API.
    #[must_use]
    pub fn anthropic(&self, url: &str, model: String, key: Option<Secret<String>>) -> Arc<dyn Advisor> {
        Arc::new(advisor::Anthropic { url: url.trim_end_matches('/').to_owned(), model, key })
    }

    /// State in a bucket. `lease` is how long a process that holds its lock may be silent before others take it over.
    /// Nothing is called before the first use.
    #[must_use]
    pub fn state(&self, connection: AwsConnection, place: S3Place, lease: Duration) -> S3Ledger {
        S3Ledger::by(connection, self.aws.keyring().clone(), place, Arc::new(WallClock), lease)
    }
}

impl World for Live {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn aws(&self, connection: &AwsConnection) -> Outcome<Aws> {
        Ok(self.aws.handles(connection))
    }

    fn cluster(&self, connection: &ClusterConnection) -> Outcome<ClusterHandle> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let account = match connection {
                ClusterConnection::Eks { aws, .. } => {
                    Some(kubernetes::Account { session: self.aws.session(aws), eks: self.aws.handles(aws).eks })
                }
                ClusterConnection::Kubeconfig { .. } | ClusterConnection::InCluster { .. } => None,
            };
            let foreign = matches!(connection, ClusterConnection::Kubeconfig { path, .. } if !kubernetes::is_own(path));
            let logins = !(foreign && self.spares_logins.load(Ordering::SeqCst));
            let cluster = kubernetes::Cluster::new(connection.clone(), account, logins);
            let api = Arc::new(kubernetes::Api(cluster.clone()));
            let shared = self.helm.clone();
            ClusterHandle {
                kubernetes: api.clone(),
                helm: Arc::new(helm::LiveHelm { cluster, kubernetes: api, shared }),
            }
        };
        Ok(clusters.entry(connection.clone()).or_insert_with(made).clone())
    }

    fn charts(&self) -> Arc<dyn Charts> {
        self.helm.clone()
    }

    fn registry(&self, address: &str) -> Outcome<Arc<dyn Registry>> {
        repository("read image", address, &self.helm.settings().mirrors)
    }

    fn command(&self) -> Arc<dyn Command> {
        self.machine.clone()
    }

    fn terraform(&self) -> Arc<dyn Terraform> {
        self.machine.terraform()
    }

    fn http(&self) -> Arc<dyn Http> {
        self.machine.clone()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(WallClock)
    }

    fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::new(OsRandom)
    }
}

/// The machine's clock.
pub struct WallClock;

#[async_trait::async_trait]
#[expect(clippy::disallowed_methods, reason = "this is the clock that the core is given")]
impl Clock for WallClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The operating system's randomness.
pub struct OsRandom;

impl Entropy for OsRandom {
    #[expect(clippy::disallowed_methods, reason = "this is where randomness comes from")]
    fn next(&self) -> u64 {
        use std::{
            hash::{BuildHasher as _, Hasher as _},
            io::Read as _,
        };
        let mut bytes = [0; 8];
        match std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)) {
            Ok(()) => u64::from_be_bytes(bytes),
            // Where there is no such file, each of these is keyed by the operating system's randomness.
            Err(_) => std::collections::hash_map::RandomState::new().build_hasher().finish(),
        }
    }
}
