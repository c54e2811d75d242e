//! A Kubernetes cluster for a whole test process: a real control plane on loopback, with nodes and pods that are kwok's, started at
//! first use by `testbed/control-plane` and ended by process id with the process, however that ends.
//!
//! Tests share it and run at the same time: each works in a [namespace](ControlPlane::namespace) of its own, and gives what is not in a
//! namespace names of its own. Pods do as `testbed/cluster/kwok.yaml` says: they are Ready at once unless an annotation says otherwise.
//! What their ports answer and their containers log is for a test to say ([`pods`]).

pub(crate) mod authenticator;
pub(crate) mod charts;
pub(crate) mod pods;
pub(crate) mod releases;

use super::server::{built, free_port, kept};
use authenticator::Authenticator;
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// The programs that it is made of.
const PROGRAMS: [&str; 6] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"];

/// How long it may take to be ready; it takes five seconds on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// How long a test waits for what a controller is to do.
const SOON: Duration = Duration::from_secs(60);

/// A running control plane.
pub(crate) struct ControlPlane {
    /// Where its API server is, like `https://127.0.0.1:40123`.
    pub(crate) url: String,
    /// The certificate of the authority that signed the API server's, in PEM.
    pub(crate) ca: String,
    /// Who says whom a token of EKS belongs to.
    pub(crate) authenticator: Authenticator,
    /// How long it took to be ready.
    pub(crate) took: Duration,
    folder: PathBuf,
    token: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    _keeper: Child,
}

/// What the API server answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Like 200.
    pub(crate) status: u16,
    /// The object, or the `Status` that says why there is none.
    pub(crate) body: Value,
}

/// The cluster of this process; `None` where its programs are not built, which is said.
pub(crate) fn cluster() -> Option<&'static ControlPlane> {
    static CLUSTER: OnceLock<Option<ControlPlane>> = OnceLock::new();
    CLUSTER.get_or_init(cluster_of_its_own).as_ref()
}

/// A cluster that a test has for itself, because what it does concerns all that is in it; it ends with the value.
pub(crate) fn cluster_of_its_own() -> Option<ControlPlane> {
    PROGRAMS.iter().all(|name| built(name).is_some()).then(ControlPlane::start)
}

impl ControlPlane {
    fn start() -> Self {
        let authenticator = Authenticator::new();
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers");
        fs::create_dir_all(&root).unwrap();
        // Between our letting go of a port and a server's taking it somebody else may have it.
        for _ in 0..3 {
            let started = Instant::now();
            let (port, node_port) = (free_port(), free_port());
            let folder = root.join(format!("cluster.{port}"));
            let log = fs::File::create(root.join(format!("cluster.{port}.log"))).unwrap();
            let mut command = kept(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/control-plane"));
            command.arg(&folder).args([port.to_string(), node_port.to_string()]);
            command.env("AUTHENTICATOR", authenticator.url()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut keeper = command.spawn().unwrap();
            while started.elapsed() < READY_WITHIN && !folder.join("ready").exists() && ended(&mut keeper).is_none() {
                thread::sleep(Duration::from_millis(50));
            }
            if folder.join("ready").exists() {
                return Self::of(authenticator, folder, port, started.elapsed(), keeper);
            }
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
        panic!("the control plane does not start; what it says is in {}", root.display());
    }

    fn of(authenticator: Authenticator, folder: PathBuf, port: u16, took: Duration, keeper: Child) -> Self {
        let ca = fs::read_to_string(folder.join("ca.crt")).unwrap();
        let tokens = fs::read_to_string(folder.join("tokens.csv")).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
            .timeout(SOON)
            .build()
            .unwrap();
        Self {
            url: format!("https://127.0.0.1:{port}"),
            ca,
            authenticator,
            took,
            token: tokens.split(',').next().unwrap().to_owned(),
            folder,
            client,
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
            _keeper: keeper,
        }
    }

    /// The kubeconfig of somebody who may do everything.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// The kubeconfig of user `nobody`, who may do nothing but what a test grants by a RoleBinding in its namespace.
    pub(crate) fn kubeconfig_of_nobody(&self) -> PathBuf {
        self.folder.join("nobody.kubeconfig")
    }

    /// A kubeconfig with this token, such as a [service account's](Self::service_account) or one that is not valid.
    pub(crate) fn kubeconfig_with(&self, token: &str) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let path = self.folder.join(format!("{}.kubeconfig", NEXT.fetch_add(1, Ordering::Relaxed)));
        let admin = fs::read_to_string(self.kubeconfig()).unwrap();
        fs::write(&path, admin.replace(&self.token, token)).unwrap();
        path
    }

    /// A new service account, and a token of its own for an hour.
    pub(crate) fn service_account(&self, namespace: &str, name: &str) -> String {
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.post(&accounts, &json!({ "metadata": { "name": name } })).ok();
        let asked = json!({ "spec": { "expirationSeconds": 3600 } });
        let token = self.post(&format!("{accounts}/{name}/token"), &asked).ok();
        token["status"]["token"].as_str().unwrap().to_owned()
    }

    /// A new namespace that no other test has, in which pods can be made.
    pub(crate) fn namespace(&self, prefix: &str) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.post("/api/v1/namespaces", &json!({ "metadata": { "name": name } })).ok();
        self.until(&format!("/api/v1/namespaces/{name}/serviceaccounts/default"), |answer| answer.status == 200);
        name
    }

    /// What is at a path, like `/api/v1/namespaces/default/configmaps/a`.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(reqwest::Method::GET, path, None, "application/json")
    }

    /// Makes an object.
    pub(crate) fn post(&self, path: &str, object: &Value) -> Answer {
        self.ask(reqwest::Method::POST, path, Some(object), "application/json")
    }

    /// Replaces an object.
    pub(crate) fn put(&self, path: &str, object: &Value) -> Answer {
        self.ask(reqwest::Method::PUT, path, Some(object), "application/json")
    }

    /// Changes some fields of an object, as another field manager than Terrace: `?fieldManager=somebody`.
    pub(crate) fn patch(&self, path: &str, fields: &Value) -> Answer {
        self.ask(reqwest::Method::PATCH, path, Some(fields), "application/merge-patch+json")
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.ask(reqwest::Method::DELETE, path, None, "application/json")
    }

    /// Asks for a path again and again until the answer is as wanted; at most a minute.
    pub(crate) fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let started = Instant::now();
        loop {
            let answer = self.get(path);
            if wanted(&answer) {
                return answer;
            }
            assert!(started.elapsed() < SOON, "{path} is not as wanted: {answer:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs kubectl as admin, and returns what it says; it has to succeed.
    pub(crate) fn kubectl(&self, words: &[&str]) -> String {
        let output = self.program("kubectl").args(words).output().unwrap();
        let (said, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {}: {said}{err}", words.join(" "));
        said.into_owned()
    }

    /// Helm 3 as admin, with folders of its own; `None` where it is not built, which is said.
    pub(crate) fn helm3(&self) -> Option<Command> {
        built("helm3").map(|_| self.program("helm3"))
    }

    /// Helm 4 as admin, with folders of its own; `None` where it is not built, which is said.
    pub(crate) fn helm4(&self) -> Option<Command> {
        built("helm4").map(|_| self.program("helm4"))
    }

    /// A program of the testbed as admin, with folders of its own. It has to be built.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(built(name).unwrap());
        command.env("KUBECONFIG", self.kubeconfig()).env("KUBECACHEDIR", self.folder.join("cache"));
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.folder.join(name).join(folder));
        }
        command
    }

    fn ask(&self, method: reqwest::Method, path: &str, body: Option<&Value>, kind: &str) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", kind).body(body.to_string());
        }
        // On threads of its own, so that tests may ask that are asynchronous themselves.
        let (sender, answer) = mpsc::channel();
        self.runtime.spawn(async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            drop(sender.send(Answer { status, body }));
        });
        answer.recv().expect("the API server answers")
    }
}

impl Answer {
    /// The object; there has to be one.
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }
}

fn ended(keeper: &mut Child) -> Option<std::process::ExitStatus> {
    keeper.try_wait().unwrap()
}
