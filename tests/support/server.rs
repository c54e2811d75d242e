//! The stand-ins for AWS: MiniStack and moto, each started at most once by a process, on a free port of loopback, and
//! ended by process id with it, also when the process is killed.
//!
//! Tests share a server and so run at the same time: each has an [`Account`] of its own. Where a server is not built
//! (`testbed/build ministack`), a test says that it is not run; under CI that is a failure.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use terrace::world::{AwsConnection, Class, Failure, live::Live};

/// The region that tests work in, where they do not care.
pub(crate) const REGION: &str = "eu-central-1";

/// Where a server knows one account only, what tests make in it lies apart by region.
const REGIONS: [&str; 16] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];

/// Starts a server and lives until its standard input is closed, which happens when whoever holds the other end does not
/// live any more, however it ended. Then the server is ended by its id: asked, and after five seconds killed.
const KEEPER: &str = r#"
trap '' INT
"$@" </dev/null &
server=$!
cat >/dev/null
kill -TERM "$server" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$server" 2>/dev/null || exit 0
    sleep 0.5
done
kill -KILL "$server" 2>/dev/null
"#;

/// How long a server may take until it answers; it takes half a second on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A server that stands in for AWS.
pub(crate) struct Server {
    /// Where it is, like `http://127.0.0.1:4566`.
    pub(crate) url: String,
    /// The account of everybody, where the server does not tell callers apart.
    only_account: Option<&'static str>,
    /// The process that ends the server when our end of its standard input is closed.
    _keeper: Child,
}

/// MiniStack, the primary stand-in; `None` where it is not built, which is said.
pub(crate) fn ministack() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            start("ministack", "/_ministack/health", None, |command, port| {
                command
                    .env("GATEWAY_PORT", port)
                    .env("BIND_HOST", "127.0.0.1")
                    .env("MINISTACK_HOST", "127.0.0.1")
                    .env("SFTP_ENABLED", "0")
                    .env("IOT_MTLS_ENABLED", "0")
                    .env("LOG_LEVEL", "WARNING");
            })
        })
        .as_ref()
}

/// moto, the second opinion; `None` where it is not built, which is said.
pub(crate) fn moto() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            start("moto", "/moto-api/data.json", Some("123456789012"), |command, port| {
                command.args(["-H", "127.0.0.1", "-p", port]);
            })
        })
        .as_ref()
}

impl Server {
    /// An account that no other test of this process has, where the server tells accounts apart.
    pub(crate) fn account(&self) -> Account {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (id, region) = match self.only_account {
            None => (format!("{:012}", 210_000_000_000 + number), REGION),
            Some(id) => (id.to_owned(), REGIONS[usize::try_from(number).unwrap() % REGIONS.len()]),
        };
        Account { url: self.url.clone(), id, region: region.to_owned() }
    }
}

/// An account of a server, and where to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The endpoint of all services.
    pub(crate) url: String,
    /// The account's 12 digits. To MiniStack they are the access key, too.
    pub(crate) id: String,
    /// The region.
    pub(crate) region: String,
}

impl Account {
    /// The same account by way of another endpoint, such as a proxy's.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// What a program needs in its environment to work in this account, and to find no other.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// The configuration of an SDK client that works in this account, by which a test looks for itself.
    pub(crate) fn sdk(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                &self.id, "test", None, None, "test",
            )))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }
}

impl Account {
    /// The live world, in this account.
    pub(crate) fn world(&self) -> Arc<Live> {
        let nobody = |device: &str| Err(Failure::new(Class::Denied, "sts:AssumeRole", device, "nobody to ask"));
        Live::with_credentials(Arc::new(nobody), self.credentials())
    }

    /// The connection to it, as a plan declares it.
    pub(crate) fn connection(&self) -> AwsConnection {
        AwsConnection {
            region: self.region.clone(),
            account_id: self.id.clone(),
            endpoint_url: Some(self.url.clone()),
            ..AwsConnection::default()
        }
    }

    fn credentials(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Credentials::new(&self.id, "test", None, None, "test"))
    }

    /// A client of S3, and a new bucket of this name.
    pub(crate) async fn bucket(&self, name: &str) -> aws_sdk_s3::Client {
        use aws_sdk_s3::{
            error::ProvideErrorMetadata as _,
            types::{BucketLocationConstraint, CreateBucketConfiguration},
        };
        // A bucket's host name leads nowhere on loopback.
        let config = aws_sdk_s3::config::Builder::from(&self.sdk()).force_path_style(true).build();
        let client = aws_sdk_s3::Client::from_conf(config);
        // The first region's name is no location.
        let place = Some(self.region.as_str()).filter(|r| *r != "us-east-1").map(BucketLocationConstraint::from);
        let place = place.map(|place| CreateBucketConfiguration::builder().location_constraint(place).build());
        // moto learns the regions at its first bucket, and refuses others that come at that moment.
        for tries in 1.. {
            let made = client.create_bucket().bucket(name).set_create_bucket_configuration(place.clone()).send().await;
            match made {
                Err(error) if tries < 50 && error.code() == Some("InvalidLocationConstraint") => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                made => {
                    made.unwrap();
                    break;
                }
            }
        }
        client
    }
}

/// Runs a future to its end, for tests that are not asynchronous themselves.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Where the testbed has built a program; `None` where it has not. Under CI that is a failure.
pub(crate) fn built(name: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/build");
    let output = Command::new(&script).args(["--path", name]).output();
    let path = output.ok().filter(|o| o.status.success()).and_then(|o| String::from_utf8(o.stdout).ok());
    let path = path.map(|p| PathBuf::from(p.trim()));
    // A build that was cut off leaves no such mark.
    let complete = |p: &PathBuf| p.ancestors().nth(2).is_some_and(|folder| folder.join(".built").exists());
    let path = path.filter(complete);
    if path.is_none() {
        let missing = format!("{name} is not built; have it with: testbed/build {name}");
        assert!(!env::var("CI").is_ok_and(|ci| ci == "true"), "{missing}");
        eprintln!("not run: {missing}");
    }
    path
}

/// A port of loopback that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The command that starts a program and ends it when the other end of its standard input is closed.
pub(crate) fn kept(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", KEEPER, "keeper"]).arg(program).stdin(Stdio::piped());
    command
}

/// Starts a program that serves on a free port and answers `ready` once it does.
pub(crate) fn start(
    name: &str,
    ready: &str,
    only_account: Option<&'static str>,
    set_up: impl Fn(&mut Command, &str),
) -> Option<Server> {
    let program = built(name)?;
    // Between our letting go of a port and the server's taking it somebody else may have it.
    for _ in 0..5 {
        let port = free_port();
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers");
        fs::create_dir_all(&logs).unwrap();
        let log = fs::File::create(logs.join(format!("{name}.{port}.log"))).unwrap();
        let mut command = kept(&program);
        set_up(&mut command, &port.to_string());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut keeper = command.spawn().unwrap();
        if answers(&mut keeper, port, ready) {
            return Some(Server { url: format!("http://127.0.0.1:{port}"), only_account, _keeper: keeper });
        }
        drop(keeper.stdin.take());
        keeper.wait().unwrap();
    }
    panic!("{name} does not start; what it says is in {}/servers", env!("CARGO_TARGET_TMPDIR"));
}

/// True once the server answers; false where it does not in time.
fn answers(keeper: &mut Child, port: u16, path: &str) -> bool {
    let started = Instant::now();
    while started.elapsed() < READY_WITHIN && keeper.try_wait().unwrap().is_none() {
        let said = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
            let mut said = String::new();
            stream.take(100).read_to_string(&mut said)?;
            Ok(said)
        });
        if said.is_ok_and(|said| said.split(' ').nth(1) == Some("200")) {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}
