//! A rule of a load balancer on moto, with the AWS Load Balancer Controller played by the test: pods of a service that is bound become targets,
//! and moto is told. Moto calls every target healthy at once, so what Terrace hears of their health is made here, from what is so.

use super::{Route, Split, colors::Colors};
use crate::support::{Account, Proxy, action::value, cluster::ControlPlane, message::Message};
use aws_sdk_elasticloadbalancingv2::{Client, types as sdk};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use terrace::base::Side;

/// A listener, and three target groups.
pub(crate) const BALANCER: &str = "
Resources:
  Vpc: { Type: AWS::EC2::VPC, Properties: { CidrBlock: 10.0.0.0/16 } }
  One: { Type: AWS::EC2::Subnet, Properties: { VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24, AvailabilityZone: !Select [0, !GetAZs ''] } }
  Two: { Type: AWS::EC2::Subnet, Properties: { VpcId: !Ref Vpc, CidrBlock: 10.0.1.0/24, AvailabilityZone: !Select [1, !GetAZs ''] } }
  Balancer: { Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: { Name: !Ref AWS::StackName, Subnets: [!Ref One, !Ref Two] } }
  Listener:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties: { LoadBalancerArn: !Ref Balancer, Port: 80, Protocol: HTTP, DefaultActions: [{ Type: fixed-response, FixedResponseConfig: { StatusCode: '404' } }] }
  Blue: { Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: { Name: !Sub '${AWS::StackName}-blue', VpcId: !Ref Vpc, TargetType: ip, Protocol: HTTP, Port: 80, HealthCheckPath: /well } }
  Green: { Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: { Name: !Sub '${AWS::StackName}-green', VpcId: !Ref Vpc, TargetType: ip, Protocol: HTTP, Port: 80 } }
Outputs:
  Listener: { Value: !Ref Listener }
  Blue: { Value: !Ref Blue }
  Green: { Value: !Ref Green }
";

/// How long a target is looked at before it is called anything.
const INITIAL: Duration = Duration::from_secs(1);
const PORT: i32 = 8080;

/// A load balancer of moto: its listener and its target groups.
pub(crate) async fn balancer(account: &Account, name: &str, template: &str) -> BTreeMap<String, String> {
    let stacks = aws_sdk_cloudformation::Client::new(&account.sdk());
    stacks.create_stack().stack_name(name).template_body(template).send().await.unwrap();
    let answer = stacks.describe_stacks().stack_name(name).send().await.unwrap();
    let outputs = answer.stacks()[0].outputs().iter();
    outputs.map(|o| (o.output_key().unwrap().to_owned(), o.output_value().unwrap().to_owned())).collect()
}

fn target(id: &str, port: i32) -> sdk::TargetDescription {
    sdk::TargetDescription::builder().id(id).port(port).build()
}

/// Registers a target with a group.
pub(crate) async fn register(account: &Account, group: &str, id: &str, port: i32) {
    let client = Client::new(&account.sdk());
    client.register_targets().target_group_arn(group).targets(target(id, port)).send().await.unwrap();
}

/// The rule, and what the controller keeps.
pub(crate) struct Alb {
    /// What Terrace calls AWS through.
    pub(crate) proxy: Proxy,
    truth: Arc<Truth>,
    made: BTreeMap<String, String>,
    client: Client,
    runtime: tokio::runtime::Runtime,
    cluster: &'static ControlPlane,
    namespace: String,
    moved: Arc<Mutex<Vec<String>>>,
}

/// How the targets really are.
struct Truth {
    colors: Arc<Colors>,
    /// By group and address.
    targets: Mutex<BTreeMap<(String, String), Target>>,
    groups: BTreeMap<String, Side>,
    sick: [AtomicBool; 2],
    drains: Mutex<Duration>,
    /// What was said of a side's targets, each word once in a row.
    told: Mutex<Vec<(Side, String)>>,
}

struct Target {
    since: Instant,
    gone: Option<Instant>,
}

impl Alb {
    /// A load balancer with this name, whose targets drain for so long.
    pub(crate) fn new(
        account: &Account,
        cluster: &'static ControlPlane,
        name: &str,
        drains: Duration,
    ) -> impl FnOnce(&str, &Arc<Colors>) -> Self + use<> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let made = runtime.block_on(balancer(account, name, BALANCER));
        let (proxy, client) = (Proxy::new(&account.url), Client::new(&account.sdk()));
        types(cluster);
        move |namespace, colors| {
            let groups = [(made["Blue"].clone(), Side::Blue), (made["Green"].clone(), Side::Green)].into();
            let truth = Arc::new(Truth {
                colors: Arc::clone(colors),
                targets: Mutex::default(),
                groups,
                sick: Default::default(),
                drains: Mutex::new(drains),
                told: Mutex::default(),
            });
            let moved = Arc::<Mutex<Vec<String>>>::default();
            let (shim, noted) = (Arc::clone(&truth), Arc::clone(&moved));
            proxy.rewrite("elasticloadbalancing:DescribeTargetHealth", move |request, _| shim.health(request));
            proxy.rewrite("elasticloadbalancing:ModifyRule", move |request, answer| {
                noted.lock().unwrap().push(String::from_utf8_lossy(&request.body).into_owned());
                answer
            });
            let alb = Self { proxy, truth, made, client, runtime, cluster, namespace: namespace.to_owned(), moved };
            alb.drains(drains);
            alb
        }
    }

    /// How long targets drain from now on.
    pub(crate) fn drains(&self, time: Duration) {
        for group in [&self.made["Blue"], &self.made["Green"]] {
            let delay = sdk::TargetGroupAttribute::builder().key("deregistration_delay.timeout_seconds");
            let delay = delay.value(time.as_secs().to_string()).build();
            let call = self.client.modify_target_group_attributes().target_group_arn(group).attributes(delay);
            self.runtime.block_on(call.send()).unwrap();
        }
        *self.truth.drains.lock().unwrap() = time;
    }

    /// The load balancer finds a side's targets unhealthy from now on, whatever they answer; or not any more.
    pub(crate) fn sick(&self, side: Side, sick: bool) {
        self.truth.sick[side as usize].store(sick, Ordering::Relaxed);
    }

    /// What Terrace was told of a side's targets, each word once in a row.
    pub(crate) fn told(&self, side: Side) -> Vec<String> {
        let told = self.truth.told.lock().unwrap();
        told.iter().filter(|(of, _)| *of == side).map(|(_, state)| state.clone()).collect()
    }

    /// The bodies of the calls that moved it.
    pub(crate) fn moved(&self) -> Vec<String> {
        self.moved.lock().unwrap().clone()
    }

    fn bindings(&self) -> String {
        format!("/apis/elbv2.k8s.aws/v1beta1/namespaces/{}/targetgroupbindings", self.namespace)
    }
}

impl Route for Alb {
    fn split(&self) -> Split {
        let call = self.client.describe_rules().listener_arn(&self.made["Listener"]).send();
        let answer = self.runtime.block_on(call).unwrap();
        let Some(rule) = answer.rules().iter().find(|rule| rule.is_default() != Some(true)) else {
            return Split::default();
        };
        let forward = rule.actions()[0].forward_config().unwrap();
        let weight = |group: &String| {
            let found = forward.target_groups().iter().find(|one| one.target_group_arn() == Some(group));
            found.and_then(|one| u32::try_from(one.weight()?).ok()).unwrap_or_default()
        };
        Split {
            weights: [weight(&self.made["Blue"]), weight(&self.made["Green"])],
            sticky: forward.target_group_stickiness_config().is_some_and(|sticky| sticky.enabled() == Some(true)),
        }
    }

    fn moves(&self) -> usize {
        self.moved.lock().unwrap().len()
    }

    fn tend(&self, ready: &[Vec<String>; 2]) {
        // A server that is not able to say it now is asked again next time.
        let found = self.cluster.get(&self.bindings());
        let (200, found) = (found.status, found.body) else { return };
        let bindings = found["items"].as_array().map_or(&[][..], Vec::as_slice);
        let mut wanted = BTreeSet::new();
        for binding in bindings.iter().filter(|binding| binding["metadata"]["deletionTimestamp"].is_null()) {
            let name = binding["metadata"]["name"].as_str().unwrap();
            if binding["metadata"]["finalizers"].is_null() {
                let ours = json!({ "metadata": { "finalizers": ["elbv2.k8s.aws/resources"] } });
                self.cluster.patch(&format!("{}/{name}", self.bindings()), &ours);
            }
            let group = binding["spec"]["targetGroupARN"].as_str().unwrap();
            let service = binding["spec"]["serviceRef"]["name"].as_str();
            let side = service.and_then(super::side_of_name);
            let pods = side.map_or(&[][..], |side| &ready[side as usize]);
            wanted.extend(pods.iter().map(|ip| (group.to_owned(), ip.clone())));
        }
        self.truth.becomes(&wanted, |(group, id), comes| {
            let client = &self.client;
            if comes {
                let call = client.register_targets().target_group_arn(group).targets(target(id, PORT));
                self.runtime.block_on(call.send()).unwrap();
            } else {
                let call = client.deregister_targets().target_group_arn(group).targets(target(id, PORT));
                self.runtime.block_on(call.send()).unwrap();
            }
        });
        for binding in bindings.iter().filter(|binding| !binding["metadata"]["deletionTimestamp"].is_null()) {
            let path = format!("{}/{}", self.bindings(), binding["metadata"]["name"].as_str().unwrap());
            self.cluster.patch(&path, &json!({ "metadata": { "finalizers": Value::Null } }));
        }
    }

    fn way(&self) -> Option<&str> {
        Some(&self.proxy.url)
    }

    fn declared(&self) -> String {
        format!(
            "traffic \"web\" {{\n  alb {{\n    listener   = \"{}\"\n    priority   = 100\n    host       = \"web.example.com\"\n    \
             blue       = \"{}\"\n    green      = \"{}\"\n    stickiness = \"10m\"\n  }}\n}}\n",
            self.made["Listener"], self.made["Blue"], self.made["Green"]
        )
    }
}

impl Truth {
    /// These are registered, and no others; what comes and goes is said.
    fn becomes(&self, wanted: &BTreeSet<(String, String)>, say: impl Fn(&(String, String), bool)) {
        let mut targets = self.targets.lock().unwrap();
        for (key, target) in targets.iter_mut() {
            if target.gone.is_none() && !wanted.contains(key) {
                say(key, false);
                target.gone = Some(Instant::now());
            }
        }
        for key in wanted {
            if targets.get(key).is_none_or(|target| target.gone.is_some()) {
                say(key, true);
                // kwok gives an address to the next pod at once; the VPC CNI gives it some rest, so that the old target drains beside the new one.
                if let Some(old) = targets.remove(key) {
                    targets.insert((key.0.clone(), format!("before-{}", key.1)), old);
                }
                targets.insert(key.clone(), Target { since: Instant::now(), gone: None });
            }
        }
    }

    /// What a load balancer says of the targets of the group that is asked for.
    fn health(&self, request: &Message) -> Message {
        let group = value(&String::from_utf8_lossy(&request.body), "TargetGroupArn").unwrap();
        let side = self.groups[&group];
        let answers = !self.sick[side as usize].load(Ordering::Relaxed) && self.colors.ask(side, "/well").is_ok();
        let mut members = String::new();
        for ((of, id), target) in &*self.targets.lock().unwrap() {
            let drained = target.gone.is_some_and(|gone| gone.elapsed() > *self.drains.lock().unwrap());
            if *of != group || drained {
                continue;
            }
            let (state, reason) = match target.gone {
                Some(_) => ("draining", "Target.DeregistrationInProgress"),
                None if target.since.elapsed() < INITIAL => ("initial", "Elb.InitialHealthChecking"),
                None if answers => ("healthy", ""),
                None => ("unhealthy", "Target.FailedHealthChecks"),
            };
            let mut told = self.told.lock().unwrap();
            if told.iter().rev().find(|(of, _)| *of == side).is_none_or(|(_, last)| last != state) {
                told.push((side, state.to_owned()));
            }
            let reason = if reason.is_empty() { String::new() } else { format!("<Reason>{reason}</Reason>") };
            let target = format!("<Target><Id>{id}</Id><Port>{PORT}</Port></Target>");
            let health = format!("<TargetHealth><State>{state}</State>{reason}</TargetHealth>");
            let _ = write!(members, "<member>{target}{health}</member>");
        }
        let inner = format!("<TargetHealthDescriptions>{members}</TargetHealthDescriptions>");
        let body = format!(
            "<DescribeTargetHealthResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
             <DescribeTargetHealthResult>{inner}</DescribeTargetHealthResult><ResponseMetadata><RequestId>r</RequestId>\
             </ResponseMetadata></DescribeTargetHealthResponse>"
        );
        // moto ends a connection with its answer.
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n",
            body.len()
        );
        Message { head, body: body.into_bytes() }
    }
}

/// Makes the controller's types known to the cluster.
fn types(cluster: &ControlPlane) {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let types = "testbed/platform/charts/aws-load-balancer-controller/crds";
        let types = Path::new(env!("CARGO_MANIFEST_DIR")).join(types).to_string_lossy().into_owned();
        cluster.kubectl(&["apply", "--server-side", "-f", &types]);
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &types]);
        let all = "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings";
        cluster.until(all, |answer| answer.status == 200);
    });
}
