//! A rollout with real traffic: the program applies a chart to the control plane, two servers listen only while their colour's pods are
//! ready, and visitors reach them through a proxy that goes by the weights of the route. Nothing of it knows what Terrace means to do.
//!
//! [`Scene`] is all of it together. What the route is, is behind [`Route`]: a rule of a load balancer ([`alb`]) or an object of the cluster
//! ([`object`]), each with the controllers that a cluster on AWS would have.

mod again;
pub(crate) mod alb;
mod colors;
mod entrance;
mod gate;
pub(crate) mod object;

use super::{Account, Project, Said, cluster::ControlPlane, server::built};
use again::Again;
use colors::Colors;
use entrance::{Entrance, Trickle};
use gate::Gate;
use jiff::Timestamp;
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::Child,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use terrace::base::Side;

/// How often the controllers look.
const TENDED_EVERY: Duration = Duration::from_millis(100);
/// How long anything may take that is waited for.
const SOON: Duration = Duration::from_secs(60);
/// How far a share may be from its weight, in requests of a thousand.
const OFF: usize = 20;

/// How a route spreads requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Split {
    /// By side: blue, green.
    pub(crate) weights: [u32; 2],
    /// Whether who has been at a side goes there again, whatever the weights are.
    pub(crate) sticky: bool,
}

impl Split {
    /// Whether all of it is on one side, and nobody goes to the other one for old times' sake.
    pub(crate) fn is_all(self, side: Side) -> bool {
        self.weights[side as usize] > 0 && self.weights[side.other() as usize] == 0 && !self.sticky
    }
}

/// What is in front of the two servers, and the controllers that belong to it.
pub(crate) trait Route: Send + Sync + 'static {
    /// How it spreads requests at the moment, by its own word; no weights where it is not there yet.
    fn split(&self) -> Split;

    /// How often it was changed so far.
    fn moves(&self) -> usize;

    /// A round of its controllers, with the addresses of the pods that are ready, by side.
    fn tend(&self, ready: &[Vec<String>; 2]);

    /// `traffic "web"`, as the plan declares it.
    fn declared(&self) -> String;

    /// The way that Terrace takes to AWS, where it is not the straight one.
    fn way(&self) -> Option<&str> {
        None
    }
}

/// All of it together. What goes on by itself ends first.
pub(crate) struct Scene<R> {
    trickle: Option<Trickle>,
    pub(crate) entrance: Entrance,
    controllers: Again,
    pub(crate) gate: Gate,
    pub(crate) route: Arc<R>,
    pub(crate) colors: Arc<Colors>,
    pub(crate) project: Project,
    cluster: &'static ControlPlane,
    namespace: String,
}

/// What a version declares.
#[derive(Clone, Copy)]
pub(crate) struct Version<'a> {
    pub(crate) text: &'a str,
    pub(crate) bake: &'a str,
    pub(crate) keep: &'a str,
    pub(crate) strategy: &'a str,
    /// The line that says the steps, where there are any.
    pub(crate) steps: &'a str,
    /// The chart is in a module that is rolled out as a whole.
    pub(crate) whole: bool,
}

/// What is there first.
pub(crate) const ONE: Version<'_> = Version {
    text: "one",
    bake: "0s",
    keep: "1h",
    strategy: "blue_green",
    steps: "steps = [10, 50, 100]",
    whole: false,
};

impl<R: Route> Scene<R> {
    /// A scene whose plan goes to this account; its first version, on the blue side, has all traffic. `None` where something is not built, which is said.
    pub(crate) fn new(
        account: &Account,
        cluster: &'static ControlPlane,
        version: Version<'_>,
        route: impl FnOnce(&str, &Arc<Colors>) -> R,
    ) -> Option<Self> {
        let helm = built("helm4")?;
        let namespace = cluster.namespace("proof");
        let colors = Arc::<Colors>::default();
        let route = Arc::new(route(&namespace, &colors));
        let project = Project::new(&account.at(route.way().unwrap_or(&account.url)), "");
        // A name of its own: what bears another scene's marks in the same cluster would be taken for its own.
        let settings = format!("name = \"{namespace}\"\n[helm]\nprogram = \"{}\"\n", helm.display());
        project.write("terrace.toml", &settings);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/web"), &project.path().join("charts/web"));
        let (servers, tended, place) = (Arc::clone(&colors), Arc::clone(&route), namespace.clone());
        let controllers = Again::every(TENDED_EVERY, move || {
            let ready = ready(cluster, &place);
            for side in [Side::Blue, Side::Green] {
                servers.ready(side, !ready[side as usize].is_empty());
            }
            tended.tend(&ready);
        });
        let entrance = Entrance::new(Arc::clone(&route) as Arc<dyn Route>, Arc::clone(&colors));
        let gate = Gate::new();
        let mut scene = Self { trickle: None, entrance, controllers, gate, route, colors, project, cluster, namespace };
        scene.declare(version);
        let first = scene.project.start(&["apply", "--auto-approve"]);
        scene.ends(first, 0);
        scene.shows(Side::Blue, 100);
        scene.trickle = Some(scene.entrance.trickle());
        Some(scene)
    }

    /// Another version of the plan.
    pub(crate) fn declare(&self, version: Version<'_>) {
        let Version { text, bake, keep, strategy, steps, whole } = version;
        let (namespace, kubeconfig) = (&self.namespace, self.cluster.kubeconfig());
        let (route, judge) = (self.route.declared(), self.gate.url());
        let connection =
            format!("kubernetes \"main\" {{\n  kubeconfig {{\n    path = \"{}\"\n  }}\n}}\n", kubeconfig.display());
        let rollout = format!(
            r#"
  rollout {{
    strategy = "{strategy}"
    traffic  = traffic.web
    {steps}
    bake     = "{bake}"
    keep     = "{keep}"
    backend {{
      service = "web-${{self.color}}"
      port    = 80
      {place}
    }}
    verify "judge" {{
      http {{
        url     = "{judge}"
        timeout = "50s"
      }}
      every  = "200ms"
      within = "50s"
    }}
  }}
"#,
            place = if whole { format!("namespace = \"{namespace}\"") } else { String::new() }
        );
        let chart = |more: &str| {
            format!(
                "helm \"web\" {{\n  chart     = \"./charts/web\"\n  namespace = \"{namespace}\"\n  \
                 values    = {{ replicas = 2, service = true, text = \"{text}\" }}\n  {more}\n}}\n"
            )
        };
        let (unit, module) = if whole {
            let call = format!("module \"web\" {{\n  source = \"./web\"\n  color  = self.color\n{rollout}}}\n");
            let variable = "variable \"color\" {\n  type    = string\n  default = null\n}\n";
            (call, format!("{variable}{}", chart("name = \"web-${var.color}\"")))
        } else {
            (chart(&rollout), String::new())
        };
        if whole {
            self.project.write("plans/app/web/web.hcl", &module);
        }
        self.project.write("plans/app/app.hcl", &format!("{connection}{route}{unit}"));
    }

    /// Starts to apply another version.
    pub(crate) fn begins(&self, version: Version<'_>) -> Child {
        self.declare(version);
        self.project.start(&["apply", "--auto-approve"])
    }

    /// Waits until a step's weights were read back and the rollout asks how all is.
    pub(crate) fn reached(&self, run: &mut Child) {
        self.until("nobody asks how all is", run, || self.gate.is_asked());
    }

    /// Waits until something is so, while a process runs.
    pub(crate) fn until(&self, otherwise: &str, run: &mut Child, mut so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !so() {
            let over = run.try_wait().unwrap().is_some();
            self.waits(started, over.then_some(otherwise), run);
        }
    }

    /// A process comes to its end, which has to be this one.
    pub(crate) fn ends(&self, mut run: Child, code: i32) -> Said {
        let started = Instant::now();
        while run.try_wait().unwrap().is_none() {
            self.waits(started, None, &mut run);
        }
        let said = Said::of(&run.wait_with_output().unwrap());
        assert_eq!(said.code, Some(code), "{}{}", said.out, said.err);
        said
    }

    /// A moment of waiting; panics where it has no sense any more.
    fn waits(&self, started: Instant, wrong: Option<&str>, run: &mut Child) {
        let late = (started.elapsed() > SOON).then_some("it takes too long");
        let broken = self.controllers.is_broken().then_some("the controllers are broken");
        if let Some(why) = wrong.or(late).or(broken) {
            drop(run.kill());
            panic!("{why}: {}", told(run));
        }
        thread::sleep(Duration::from_millis(10));
    }

    /// SIGKILL. What it asked is forgotten.
    pub(crate) fn kills(&self, mut run: Child) {
        run.kill().unwrap();
        run.wait().unwrap();
        self.gate.shut();
    }

    /// A thousand requests, of which a side gets this share and none fails; nor has any of those failed who come all the time.
    pub(crate) fn shows(&self, side: Side, percent: usize) {
        let counts = self.entrance.thousand();
        assert_eq!(counts.failed, Vec::<String>::new());
        assert_eq!(counts.by.iter().sum::<usize>(), 1000);
        let (got, wanted) = (counts.by[side as usize], percent * 10);
        let off = if matches!(percent, 0 | 100) { 0 } else { OFF };
        assert!(got.abs_diff(wanted) <= off, "{side} has {percent} %, and got {got} of 1000 requests");
        self.nobody_failed();
    }

    /// Nobody who came was left without an answer.
    pub(crate) fn nobody_failed(&self) {
        if let Some(trickle) = &self.trickle {
            let counts = trickle.counts();
            assert_eq!(counts.failed, Vec::<String>::new(), "beside {:?} that went well", counts.by);
        }
    }

    /// How long after that moment all traffic is on one side, by the route's own word.
    pub(crate) fn back(&self, side: Side, since: Instant) -> Duration {
        while !self.route.split().is_all(side) {
            assert!(since.elapsed() < SOON, "the traffic is not back: {:?}", self.route.split());
            thread::sleep(Duration::from_millis(5));
        }
        since.elapsed()
    }

    /// The next measurement fails, and the run ends with all traffic back on blue: how long after the measurement that is so by the route's own word,
    /// and how long until Terrace has proved it.
    pub(crate) fn aborts(&self, run: Child) -> (Duration, Duration, Said) {
        self.gate.fail();
        let (instant, time) = self.gate.failed();
        let back = self.back(Side::Blue, instant);
        let said = self.ends(run, 1);
        let proved = self.standing()["last"]["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let proved = proved.and_then(|at| Duration::try_from(at.duration_since(time)).ok());
        (back, proved.expect("it is proved after it failed"), said)
    }

    /// Waits until a colour's pods are gone, and so is its server.
    pub(crate) fn retired(&self, side: Side) {
        let started = Instant::now();
        while self.pods(side) > 0 || self.colors.listens(side) {
            assert!(started.elapsed() < SOON, "{side} is still there");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What stands of it, by `rollout status`.
    pub(crate) fn standing(&self) -> Value {
        let said = self.project.ends(&["rollout", "status", "--json"], 0);
        let line = said.out.lines().next().unwrap_or_default();
        serde_json::from_str::<Value>(line).unwrap()["standing"].clone()
    }

    /// What the release on a side says: its config map's text.
    pub(crate) fn text(&self, side: Side) -> String {
        let path = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let maps = self.cluster.get(&path).ok()["items"].as_array().cloned().unwrap_or_default();
        let own = maps.iter().find(|map| map["metadata"]["name"].as_str().and_then(side_of_name) == Some(side));
        own.and_then(|map| map["data"]["text"].as_str()).unwrap_or_default().to_owned()
    }

    /// How many pods of a colour there are, ready or not.
    pub(crate) fn pods(&self, side: Side) -> usize {
        let pods = pods(self.cluster, &self.namespace);
        pods.iter().filter(|pod| side_of(pod) == Some(side)).count()
    }
}

/// What a process said that has ended.
fn told(run: &mut Child) -> String {
    use std::io::Read as _;
    let mut said = String::new();
    run.stdout.take().map(|mut out| out.read_to_string(&mut said));
    run.stderr.take().map(|mut err| err.read_to_string(&mut said));
    said
}

fn pods(cluster: &ControlPlane, namespace: &str) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app.kubernetes.io%2Fname%3Dweb");
    cluster.get(&path).ok()["items"].as_array().cloned().unwrap_or_default()
}

fn side_of(pod: &Value) -> Option<Side> {
    pod["metadata"]["labels"]["app.kubernetes.io/instance"].as_str().and_then(side_of_name)
}

/// The side of a release or of its service, by its name.
fn side_of_name(name: &str) -> Option<Side> {
    match name.strip_prefix("web-")? {
        "blue" | "stable" => Some(Side::Blue),
        "green" | "canary" => Some(Side::Green),
        _ => None,
    }
}

/// The addresses of the pods that are ready, by side, by the API server's word.
fn ready(cluster: &ControlPlane, namespace: &str) -> [Vec<String>; 2] {
    let mut ready: [Vec<String>; 2] = Default::default();
    for pod in pods(cluster, namespace) {
        let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        let is_ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        if let (Some(side), Some(ip)) = (side_of(&pod), pod["status"]["podIP"].as_str())
            && is_ready
            && pod["metadata"]["deletionTimestamp"].is_null()
        {
            ready[side as usize].push(ip.to_owned());
        }
    }
    ready
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { fs::copy(entry.path(), to).map(drop).unwrap() }
    }
}
