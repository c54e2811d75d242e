//! Rollouts on the sandbox: first installs, steps, failures, drift, undo, deaths in the middle, retiring.

use crate::{
    apply::{Report, testing::Lab},
    base::{ActionWord, Address, Color, NoEvents, RunEnd},
    plan::{self, Made, Mode, Request},
    rollout::{Going, Stage},
    world::{Forward, World as _, sandbox},
};

/// What varies from one version of the plan to the next.
#[derive(Clone, Copy)]
pub(super) struct Version<'a> {
    pub(super) tag: &'a str,
    pub(super) strategy: &'a str,
    pub(super) steps: &'a str,
    pub(super) bake: &'a str,
    /// More in the phase of the rollout.
    pub(super) beside: &'a str,
}

pub(super) const ONE: Version<'_> =
    Version { tag: "one", strategy: "blue_green", steps: "[10, 50, 100]", bake: "15m", beside: "" };

pub(super) fn text(version: Version<'_>) -> String {
    let Version { tag, strategy, steps, bake, beside } = version;
    format!(
        r#"
phase "base" {{}}
phase "services" {{
  after      = [phase.base]
  on_failure = "rollback"
}}
stack "cluster" {{
  phase = phase.base
  template = "${{path.root}}/cluster.yaml"
  parameters = {{ ClusterName = "c", SubnetIds = "subnet-1,subnet-2", Nodes = "2" }}
}}
stack "ingress" {{
  phase = phase.base
  template = "${{path.root}}/ingress.yaml"
  parameters = {{ VpcId = "vpc-1", SubnetIds = "subnet-1,subnet-2" }}
}}
kubernetes "main" {{
  eks {{ name = stack.cluster.outputs.ClusterName }}
}}
helm "controller" {{
  phase = phase.base
  chart = "aws-load-balancer-controller"
  repository = "https://aws.github.io/eks-charts"
  version = "1.11.0"
  namespace = "kube-system"
}}
traffic "web" {{
  phase = phase.services
  alb {{
    listener = stack.ingress.outputs.ListenerArn
    priority = 100
    host     = "web.example.com"
    blue     = stack.ingress.outputs.BlueTargetGroupArn
    green    = stack.ingress.outputs.GreenTargetGroupArn
  }}
}}
helm "web" {{
  phase      = phase.services
  depends_on = [helm.controller]
  chart      = "headlamp"
  repository = "https://kubernetes-sigs.github.io/headlamp"
  version    = "0.26.0"
  namespace  = "web"
  values     = {{ podLabels = {{ color = self.color, tag = "{tag}" }} }}
  verify "ready" {{
    http {{
      service = "web-headlamp"
      port    = 80
      path    = "/"
    }}
  }}
  rollout {{
    strategy = "{strategy}"
    traffic  = traffic.web
    steps    = {steps}
    bake     = "{bake}"
    keep     = "1h"
    backend {{
      service = "web-${{self.color}}-headlamp"
      port    = 80
    }}
    verify "errors" {{
      cloudwatch {{
        alarm = "errors-${{self.color}}"
      }}
      every       = "30s"
      consecutive = 2
    }}
  }}
}}
value "after" {{
  phase = phase.services
  input = helm.web.name
}}
{beside}
"#
    )
}

pub(super) fn lab(version: Version<'_>) -> Lab {
    let mut lab = Lab::new(&text(version));
    let cluster = include_str!("../../../examples/quickstart/templates/cluster.yaml");
    lab.files.insert("p/cluster.yaml".to_owned(), cluster.to_owned());
    lab.files.insert("p/ingress.yaml".to_owned(), include_str!("../../../cfn-templates/ingress.yaml").to_owned());
    for color in ["blue", "green", "stable", "canary"] {
        alarm(&lab, color, "OK");
    }
    lab
}

pub(super) fn alarm(lab: &Lab, color: &str, state: &str) {
    let set = vec![("state".to_owned(), state.to_owned()), ("reason".to_owned(), "of the test".to_owned())];
    let target = format!("alarm/errors-{color}");
    lab.world.drift(&sandbox::Drift { target, set, ..sandbox::Drift::default() }).unwrap();
}

pub(super) fn unit() -> Address {
    Address::root("helm", "web")
}

/// The share of green, as the load balancer has it.
pub(super) async fn green(lab: &Lab) -> u32 {
    let subject = lab.subject().await;
    let rule = &subject.state.resources[&Address::root("traffic", "web")];
    let arn = rule.exports.get("id").and_then(|id| id.as_str()).unwrap().to_owned();
    let balancers = lab.world.aws(&subject.aws).unwrap().load_balancers;
    let Forward { groups, .. } = balancers.describe_rule(&arn).await.unwrap().unwrap().forward.unwrap();
    let sum: u32 = groups.values().sum();
    let of = |name: &str| groups.iter().find(|(arn, _)| arn.contains(name)).map(|(_, weight)| *weight).unwrap();
    assert_eq!(sum, of("Green") + of("Blue"));
    of("Green") * 100 / sum
}

pub(super) async fn live(lab: &Lab) -> Option<Color> {
    lab.subject().await.state.live_color(&unit())
}

pub(super) fn releases(lab: &Lab) -> Vec<String> {
    let rows = lab.world.show(Some("release")).unwrap().rows;
    rows.into_iter().filter_map(|row| row.name.strip_prefix("web/").map(str::to_owned)).collect()
}

pub(super) fn failure(report: &Report) -> String {
    report.failures.iter().map(|(address, why)| format!("{address}: {why}")).collect::<Vec<_>>().join("\n")
}

/// Waits for a rollout that runs beside this to be somewhere.
pub(super) async fn until(lab: &Lab, there: impl Fn(&Going) -> bool) -> Going {
    loop {
        let state = crate::state::load(&*lab.ledger()).await.unwrap();
        let going = state.rollouts.get(&unit()).and_then(|standing| standing.going.as_deref()).cloned();
        if let Some(going) = going.filter(&there) {
            return going;
        }
        lab.world.clock().sleep(std::time::Duration::from_secs(1)).await;
    }
}

/// A second version comes up beside the first, whatever became of the run.
pub(super) async fn second(lab: &mut Lab, version: Version<'_>) -> Report {
    lab.write(&text(version));
    lab.apply().await
}

pub(super) const TWO: Version<'_> = Version { tag: "two", ..ONE };

#[tokio::test(flavor = "multi_thread")]
async fn a_first_installation_is_blue_with_all_traffic_and_no_steps() {
    let lab = lab(ONE);
    assert_eq!(
        lab.changes().await.into_iter().filter(|line| line.contains("web")).collect::<Vec<_>>(),
        ["traffic.web: defer", "helm.web@blue: defer", "helm.web: shift"]
    );
    lab.applied().await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
    assert_eq!(lab.changes().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_goes_from_blue_to_green_and_blue_stays_warm_until_it_is_due() {
    let mut lab = lab(ONE);
    lab.applied().await;
    let before = lab.world.clock().now();
    lab.write(&text(TWO));
    let plan = lab.plan().await.plan;
    let shift = plan.node(&unit()).unwrap();
    assert_eq!(shift.action, ActionWord::Shift);
    let rollout = shift.rollout.as_ref().unwrap();
    assert_eq!((rollout.from, rollout.to, rollout.switch), (Some(Color::Blue), Color::Green, false));
    assert_eq!(plan.node(&unit().with_color(Some(Color::Blue))).unwrap().action, ActionWord::NoOp);
    let moves = lab.calls_of("elasticloadbalancing:ModifyRule");
    lab.applied().await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Green), 100));
    assert_eq!(lab.calls_of("elasticloadbalancing:ModifyRule") - moves, 3, "one call a step");
    let took = lab.world.clock().now().duration_since(before).as_secs();
    assert!(took >= 3 * 30 + 15 * 60, "steps and bake: {took}");
    // What refers to it sees the new one.
    let state = lab.subject().await.state;
    let value = &state.resources[&Address::root("value", "after")];
    assert_eq!(value.inputs.get("input").and_then(|v| v.as_str()), Some("web-green"));
    // Blue is a debt that is shown, and nothing to do.
    let Made { plan, .. } = lab.plan().await;
    assert!(!plan.has_changes());
    assert_eq!(plan.debts.iter().map(|d| d.address.to_string()).collect::<Vec<_>>(), ["helm.web@blue"]);
    lab.world.advance(std::time::Duration::from_secs(3600)).unwrap();
    assert_eq!(lab.changes().await, ["helm.web@blue: destroy"]);
    lab.applied().await;
    assert_eq!(releases(&lab), ["web-green"]);
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Green), 100));
    // And the next one is blue again.
    second(&mut lab, Version { tag: "three", ..ONE }).await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_mended_in_place_and_a_change_of_the_rollout_alone_starts_nothing() {
    let mut lab = lab(ONE);
    lab.applied().await;
    let target = "object/web/Deployment/web-blue-headlamp".to_owned();
    let set = vec![("spec.replicas".to_owned(), "5".to_owned())];
    lab.world.drift(&sandbox::Drift { target, set, ..sandbox::Drift::default() }).unwrap();
    assert_eq!(lab.changes().await, ["helm.web@blue: update"]);
    lab.applied().await;
    lab.write(&text(Version { steps: "[30, 100]", bake: "1m", ..ONE }));
    // Its declaration is another text: what verifies it is asked again, and nothing else.
    assert_eq!(lab.changes().await, ["helm.web@blue: verify"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn back_to_what_is_still_warm_is_one_switch() {
    let mut lab = lab(ONE);
    lab.applied().await;
    assert_eq!(second(&mut lab, TWO).await.end, RunEnd::Succeeded);
    lab.write(&text(ONE));
    let plan = lab.plan().await.plan;
    assert!(plan.node(&unit()).unwrap().rollout.as_ref().unwrap().switch);
    let before = lab.world.clock().now();
    let moves = lab.calls_of("elasticloadbalancing:ModifyRule");
    lab.applied().await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
    assert_eq!(lab.calls_of("elasticloadbalancing:ModifyRule") - moves, 1);
    let took = lab.world.clock().now().duration_since(before).as_secs();
    assert!(took < 60, "{took}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolling_is_blue_under_its_old_name() {
    let mut lab = lab(Version { strategy: "rolling", ..ONE });
    lab.applied().await;
    assert_eq!(releases(&lab), ["web"]);
    lab.write(&text(TWO));
    let plan = lab.plan().await.plan;
    let blue = plan.node(&unit().with_color(Some(Color::Blue))).unwrap();
    assert_eq!((blue.action, blue.moved_from.as_ref()), (ActionWord::NoOp, Some(&unit())));
    lab.applied().await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Green), 100));
    assert_eq!(releases(&lab), ["web", "web-green"]);
    // And back again: what has the traffic is the thing, under the name that it has.
    lab.write(&text(Version { strategy: "rolling", ..TWO }));
    let plan = lab.plan().await.plan;
    assert_eq!(plan.node(&unit()).unwrap().moved_from, Some(unit().with_color(Some(Color::Green))));
    lab.applied().await;
    assert_eq!(releases(&lab), ["web-green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_back_to_rolling_as_green_is_green_again_and_a_stable_one_is_blue() {
    let mut lab = lab(ONE);
    lab.applied().await;
    assert_eq!(second(&mut lab, TWO).await.end, RunEnd::Succeeded);
    let rolling = Version { strategy: "rolling", ..TWO };
    lab.write(&text(rolling));
    let plan = lab.plan().await.plan;
    let gone = plan.node(&unit().with_color(Some(Color::Blue))).unwrap();
    assert!(gone.reasons.iter().any(|why| why.contains("rolled out by colours no more")), "{:?}", gone.reasons);
    let report = second(&mut lab, rolling).await;
    assert_eq!(report.end, RunEnd::Succeeded, "{}", failure(&report));
    // Its traffic is on the green side, and so is it.
    lab.write(&text(Version { tag: "three", strategy: "canary", ..ONE }));
    let Err(plan::Error::Problems(problems)) = lab.try_plan().await else { panic!("a stable one on the green side") };
    assert!(problems.iter().any(|p| p.code == "rollout_strategy"), "{problems:?}");
    let report = second(&mut lab, Version { tag: "three", ..ONE }).await;
    assert_eq!(report.end, RunEnd::Succeeded, "{}", failure(&report));
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
    assert_eq!(releases(&lab), ["web-blue", "web-green"]);
    // To another strategy only once the other side is free.
    let canary = Version { tag: "three", strategy: "canary", steps: "[20, 60]", bake: "1m", ..ONE };
    lab.write(&text(canary));
    let Err(plan::Error::Problems(problems)) = lab.try_plan().await else { panic!("green is still warm") };
    assert!(problems.iter().any(|p| p.hint.as_deref().is_some_and(|h| h.contains("rollout finish"))), "{problems:?}");
    let request =
        Request { mode: Mode::Retire, retire: vec![unit().with_color(Some(Color::Green))], ..Request::default() };
    let made = plan::make(&lab.subject().await, &request, &NoEvents).await.unwrap();
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
    // Its pods bear another word for its colour: that is a change, which the canary tries first.
    lab.applied().await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Stable), 0));
    assert_eq!(releases(&lab), ["web-blue", "web-canary"], "the stable one is what was blue");
    let report = second(&mut lab, Version { tag: "four", ..canary }).await;
    assert_eq!(report.end, RunEnd::Succeeded, "{}", failure(&report));
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Stable), 0));
}

/// The plan with another block in the place of what judges the rollout.
fn judged_by(version: Version<'_>, verify: &str) -> String {
    let text = text(version);
    let (before, rest) = text.split_once("    verify \"errors\"").unwrap();
    let (_, after) = rest.split_once("consecutive = 2\n    }\n").unwrap();
    format!("{before}{verify}{after}")
}

/// Rolls the second version out and stops the process ten minutes into its bake; when that began.
async fn stopped_in_the_bake(lab: &mut Lab, verify: &str) -> jiff::Timestamp {
    lab.write(&judged_by(ONE, verify));
    lab.applied().await;
    lab.write(&judged_by(TWO, verify));
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let (subject, store, options) = (lab.subject().await, lab.store().await, Lab::options());
    let interrupt = options.interrupt.clone();
    let run = crate::apply::run(subject, saved, store, options, std::sync::Arc::new(NoEvents));
    let person = async {
        let long = std::time::Duration::from_secs(10 * 60);
        let baked = |going: &Going| going.stage == Stage::Bake && going.in_stage(lab.world.clock().now()) > long;
        let going = until(lab, baked).await;
        interrupt.ask();
        going.entered
    };
    let (report, began) = futures::join!(Box::pin(run), person);
    assert_eq!(report.unwrap().end, RunEnd::Interrupted);
    began
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bake_that_nothing_judges_goes_on_where_it_was() {
    let mut lab = lab(ONE);
    let began = stopped_in_the_bake(&mut lab, "").await;
    assert_eq!(lab.resumed().await.end, RunEnd::Succeeded);
    let took = lab.world.clock().now().duration_since(began).as_secs();
    assert!((15 * 60..17 * 60).contains(&took), "the bake began again: {took}");
}

const METRIC: &str = r#"
    verify "errors" {
      cloudwatch {
        namespace  = "web"
        metric     = "errors"
        dimensions = { color = self.color }
        max        = 5
      }
      every = "1m"
    }
"#;
const ALARM: &str = r#"
    verify "errors" {
      cloudwatch {
        alarm = "errors-${self.color}"
      }
      every = "1m"
    }
"#;

/// Two hours in which no process ran: what they count for follows from what can be looked back at (rule 36).
#[tokio::test(flavor = "multi_thread")]
async fn time_in_which_nobody_looked_counts_only_where_it_can_be_looked_back_at() {
    let metric = |lab: &Lab, value: &str| {
        let set = vec![("value".to_owned(), value.to_owned())];
        lab.world
            .drift(&sandbox::Drift { target: "metric/errors".to_owned(), set, ..sandbox::Drift::default() })
            .unwrap();
    };
    let hours = std::time::Duration::from_secs(2 * 3600);
    // An alarm tells nothing of the time before: the rest of the bake is made up for.
    let mut away = lab(ONE);
    let began = stopped_in_the_bake(&mut away, ALARM).await;
    away.world.advance(hours).unwrap();
    assert_eq!(away.resumed().await.end, RunEnd::Succeeded);
    let took = away.world.clock().now().duration_since(began).as_secs();
    assert!((7200 + 15 * 60..7200 + 18 * 60).contains(&took), "{took}");

    // A metric that was well all the while: the bake is over.
    let mut well = lab(ONE);
    metric(&well, "1");
    let began = stopped_in_the_bake(&mut well, METRIC).await;
    well.world.advance(hours).unwrap();
    assert_eq!(well.resumed().await.end, RunEnd::Succeeded);
    let took = well.world.clock().now().duration_since(began).as_secs();
    assert!((7200 + 10 * 60..7200 + 13 * 60).contains(&took), "{took}");
    assert_eq!((live(&well).await, green(&well).await), (Some(Color::Green), 100));

    // One that was bad for a while in between, and is well again: what is found there aborts.
    let mut bad = lab(ONE);
    metric(&bad, "1");
    stopped_in_the_bake(&mut bad, METRIC).await;
    bad.world.advance(hours / 4).unwrap();
    metric(&bad, "9");
    bad.world.advance(hours / 4).unwrap();
    metric(&bad, "1");
    bad.world.advance(hours / 2).unwrap();
    let report = bad.resumed().await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert_eq!((live(&bad).await, green(&bad).await), (Some(Color::Blue), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_takes_a_share_then_the_stable_one_is_updated_and_the_canary_goes() {
    let first = Version { strategy: "canary", steps: "[20, 60]", bake: "5m", ..ONE };
    let mut lab = lab(first);
    lab.applied().await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Stable), 0));
    let report = second(&mut lab, Version { tag: "two", ..first }).await;
    assert_eq!(report.end, RunEnd::Succeeded, "{}", failure(&report));
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Stable), 0));
    assert_eq!(lab.changes().await, ["helm.web@canary: destroy"]);
    lab.applied().await;
    assert_eq!(releases(&lab), ["web-stable"]);
    assert_eq!(lab.changes().await, Vec::<String>::new());
}

/// The same with objects in the place of a chart, over a service that is switched.
pub(super) fn objects(tag: &str, name: &str) -> String {
    let chart = text(ONE);
    let (before, _) = chart.split_once("traffic \"web\"").unwrap();
    format!(
        r#"{before}
traffic "web" {{
  phase = phase.services
  service {{
    name      = "web"
    namespace = "default"
  }}
}}
manifest "web" {{
  phase = phase.services
  yaml  = <<-EOT
    apiVersion: apps/v1
    kind: Deployment
    metadata: {{ name: {name}, namespace: default }}
    spec:
      selector: {{ matchLabels: {{ app: web, color: "${{self.color}}" }} }}
      template:
        metadata: {{ labels: {{ app: web, color: "${{self.color}}" }} }}
        spec: {{ containers: [ {{ name: web, image: "web:{tag}", ports: [ {{ containerPort: 8080 }} ] }} ] }}
    ---
    apiVersion: v1
    kind: Service
    metadata: {{ name: {name}, namespace: default }}
    spec:
      selector: {{ app: web, color: "${{self.color}}" }}
      ports: [ {{ port: 80, targetPort: 8080 }} ]
  EOT
  rollout {{
    strategy = "blue_green"
    traffic  = traffic.web
    bake     = "1m"
    backend {{
      service   = "web-${{self.color}}"
      namespace = "default"
      port      = 80
    }}
    verify "errors" {{
      cloudwatch {{
        alarm = "errors-${{self.color}}"
      }}
      every = "10s"
    }}
  }}
}}
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_rolled_out_too_and_none_is_in_both_colours() {
    let mut lab = lab(ONE);
    lab.write(&objects("1", "web-${self.color}"));
    lab.applied().await;
    let unit = Address::root("manifest", "web");
    assert_eq!(lab.subject().await.state.live_color(&unit), Some(Color::Blue));
    lab.write(&objects("2", "web-${self.color}"));
    let shift = lab.plan().await.plan.node(&unit).unwrap().rollout.clone().unwrap();
    assert_eq!((shift.from, shift.to), (Some(Color::Blue), Color::Green));
    lab.applied().await;
    assert_eq!(lab.subject().await.state.live_color(&unit), Some(Color::Green));
    lab.write(&objects("3", "web"));
    let Err(plan::Error::Problems(problems)) = lab.try_plan().await else { panic!("one object in both colours") };
    assert!(problems.iter().all(|p| p.code == "rollout_shared_object"), "{problems:?}");
    assert!(problems.iter().any(|p| p.summary.contains("Service default/web, Deployment default/web")), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn destroying_takes_both_colours_and_then_the_route() {
    let mut lab = lab(ONE);
    lab.applied().await;
    assert_eq!(second(&mut lab, TWO).await.end, RunEnd::Succeeded);
    let report = lab.destroy().await;
    assert_eq!(report.end, RunEnd::Succeeded, "{:?}", (&report.failures, &report.stuck));
    assert_eq!(releases(&lab), Vec::<String>::new());
    assert!(lab.subject().await.state.rollouts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colour_is_retired_by_name_before_it_is_due() {
    let mut lab = lab(ONE);
    lab.applied().await;
    assert_eq!(second(&mut lab, TWO).await.end, RunEnd::Succeeded);
    let retire = vec![unit().with_color(Some(Color::Blue))];
    let request = Request { mode: Mode::Retire, retire, ..Request::default() };
    let made = plan::make(&lab.subject().await, &request, &NoEvents).await.unwrap();
    assert_eq!(made.plan.nodes.len(), 1);
    assert!(made.plan.nodes[0].reasons.iter().any(|why| why.contains("before")), "{:?}", made.plan.nodes[0].reasons);
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded);
    assert_eq!(releases(&lab), ["web-green"]);
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Green), 100));
}

/// Every call of a rollout at which the process may die, before or after it: it goes on where it was, traffic ends on green,
/// and the bake is not begun again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_call_it_goes_on_where_it_was() {
    let mut lab = lab(ONE);
    lab.applied().await;
    lab.write(&text(TWO));
    let kept = lab.keep();
    let before = lab.calls();
    lab.applied().await;
    let calls = lab.calls() - before;
    let took = lab.world.clock().now();
    let mut baked = 0;
    let step = usize::try_from(calls / 14).unwrap().max(1);
    for nth in (1..=calls).step_by(step) {
        for after in [false, true] {
            lab.restore(&kept);
            lab.crash(nth, after);
            let made = lab.until_crash(lab.try_plan()).await;
            let Some(Ok(made)) = made else {
                lab.reopen();
                continue;
            };
            let mut baking = false;
            if lab.until_crash(lab.apply_made(made)).await.is_none() {
                lab.reopen();
                let going = lab.subject().await.state.rollouts.get(&unit()).and_then(|s| s.going.clone());
                baking = going.is_some_and(|going| going.stage == Stage::Bake);
                if lab.subject().await.state.open_run().is_none() {
                    continue; // it died before its first record, or after its last
                }
                let report = lab.resumed().await;
                assert_eq!(report.end, RunEnd::Succeeded, "at {nth}, after: {after}: {}", failure(&report));
            }
            assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Green), 100), "at {nth}, after: {after}");
            assert_eq!(lab.changes().await, Vec::<String>::new(), "at {nth}, after: {after}");
            if baking {
                baked += 1;
                let late = lab.world.clock().now().duration_since(took).as_secs();
                assert!(late < 5 * 60, "at {nth}, after: {after}: the bake began again: {late}");
            }
        }
    }
    assert!(baked > 3, "it was hardly ever killed in the bake: {baked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_things_over_one_route_are_refused() {
    let mut lab = lab(ONE);
    let text = text(ONE);
    let (_, web) = text.split_once("helm \"web\"").unwrap();
    let (web, _) = web.split_once("value \"after\"").unwrap();
    lab.write(&format!("{text}\nhelm \"other\"{web}"));
    let Err(plan::Error::Problems(problems)) = lab.try_plan().await else { panic!("two on one route") };
    assert!(problems.iter().any(|p| p.code == "rollout_shared_route"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_nothing_verifies_or_moves_is_refused() {
    for (without, code) in [("traffic  = traffic.web", "rollout_traffic"), ("steps    = [10, 50, 100]", "")] {
        let mut lab = lab(ONE);
        lab.write(&text(ONE).replace(without, ""));
        let problems: Vec<String> = match lab.try_plan().await {
            Ok(_) => Vec::new(),
            Err(plan::Error::Problems(problems)) => problems.iter().map(|p| p.code.to_string()).collect(),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(problems, if code.is_empty() { Vec::new() } else { vec![code.to_owned()] });
    }
    for steps in [
        "[50, 10, 100]",
        "[10, 50]",
        "[0, 100]",
        "[10, 101]",
        "[]",
        "100",
        "[{ weight = 100, pauses = \"5m\" }]",
        "[\"a\"]",
    ] {
        let lab = lab(Version { steps, ..ONE });
        let Err(plan::Error::Problems(problems)) = lab.try_plan().await else { panic!("{steps}") };
        assert!(problems.iter().all(|p| p.code == "rollout_steps"), "{steps}: {problems:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_of_the_sandbox_carries_a_rollout_step_by_step() {
    let crd = |kind: &str, plural: &str| {
        format!(
            "    apiVersion: apiextensions.k8s.io/v1\n    kind: CustomResourceDefinition\n    metadata: {{ name: {plural}.gateway.networking.k8s.io }}\n    \
             spec: {{ group: gateway.networking.k8s.io, scope: Namespaced, names: {{ kind: {kind}, plural: {plural} }}, versions: [ {{ name: v1, served: true, storage: true }} ] }}\n    ---\n"
        )
    };
    let brings = format!(
        "manifest \"gateway\" {{\n  phase = phase.base\n  yaml  = <<-EOT\n{}{}    apiVersion: gateway.networking.k8s.io/v1\n    kind: Gateway\n    metadata: {{ name: edge, namespace: default }}\n    \
         spec: {{ gatewayClassName: any, listeners: [ {{ name: http, port: 80, protocol: HTTP }} ] }}\n  EOT\n}}\n",
        crd("HTTPRoute", "httproutes"),
        crd("Gateway", "gateways")
    );
    let over = |tag: &str| {
        let service = "  service {\n    name      = \"web\"\n    namespace = \"default\"\n  }";
        let gateway = "  gateway {\n    namespace = \"default\"\n    parent    = \"edge\"\n  }\n  depends_on = [manifest.gateway]";
        let declared = objects(tag, "web-${self.color}");
        assert!(declared.contains(service));
        let declared =
            declared.replace(service, gateway).replace("bake     = ", "steps    = [10, 50, 100]\n    bake     = ");
        format!("{declared}{brings}")
    };
    let mut lab = lab(ONE);
    lab.write(&over("1"));
    lab.applied().await;
    lab.write(&over("2"));
    lab.applied().await;
    assert_eq!(lab.subject().await.state.live_color(&Address::root("manifest", "web")), Some(Color::Green));
}
