//! Over a rule of a load balancer.

use super::{
    CANARY, TWO, a_canary_fails, a_canary_settles, a_person_aborts, aborted, fails, goes_on_after_kills, steps,
};
use crate::support::{
    Trouble, cluster, moto,
    proof::{ONE, Route as _, Scene, Version, alb::Alb},
    trouble::What,
};
use std::{thread, time::Duration};
use terrace::base::Side;

const DRAINS: Duration = Duration::from_secs(4);
/// A request that is under way while its colour loses its traffic. The load balancer would bear it: it is over before the delay is.
const SLOW: &str = "/slow/3000";

fn scene(name: &str) -> Option<Scene<Alb>> {
    of(name, ONE)
}

fn of(name: &str, version: Version<'_>) -> Option<Scene<Alb>> {
    let (server, cluster) = (moto()?, cluster()?);
    let account = server.account();
    let make = Alb::new(&account, cluster, name, DRAINS);
    Scene::new(&account, cluster, version, make)
}

#[test]
fn traffic_goes_from_blue_to_green_and_back_to_a_new_blue_and_no_request_fails() {
    let Some(scene) = scene("proof-shift") else { return };
    let first = scene.route.moves();
    let mut run = scene.begins(Version { bake: "0s", ..TWO });
    steps(&scene, &mut run, Side::Green, &[10, 50]);
    for side in [Side::Blue, Side::Green] {
        let told = scene.route.told(side);
        assert!(told[0] == "initial" && told.last().unwrap() == "healthy", "{side}: {told:?}");
    }
    let split = scene.route.split();
    assert!(split.sticky, "{split:?}");

    // Somebody is served by blue while it loses its traffic, is unbound and destroyed.
    let mut visitor = scene.entrance.visitor();
    while visitor.get("/") != Ok(Side::Blue) {
        visitor = scene.entrance.visitor();
    }
    let slow = thread::spawn(move || visitor.get(SLOW));
    scene.until("nobody asks it", &mut run, || scene.colors.slow() == 1);
    scene.gate.open();
    scene.ends(run, 0);
    let moved = scene.route.moved().split_off(first);
    assert_eq!(moved.len(), 3, "one call a step");
    let sticky = |body: &String| body.contains("StickinessConfig.Enabled=true");
    assert_eq!(moved.iter().map(sticky).collect::<Vec<_>>(), [true, true, false], "{moved:?}");
    scene.project.ends(&["rollout", "finish", "--auto-approve"], 0);
    assert_eq!(slow.join().unwrap(), Ok(Side::Blue));
    scene.retired(Side::Blue);
    assert_eq!(scene.standing()["live"], "green");
    scene.shows(Side::Green, 100);

    // The next version is blue again, while the old blue's targets still drain.
    scene.route.drains(Duration::from_secs(60));
    let run = scene.begins(Version { text: "three", bake: "0s", keep: "1s", ..TWO });
    scene.ends(run, 0);
    let told = scene.route.told(Side::Blue);
    let last = |word: &str| told.iter().rposition(|state| state == word);
    assert!(last("draining").is_some() && last("initial") < last("healthy"), "{told:?}");
    assert_eq!(scene.route.moves(), first + 6);
    scene.shows(Side::Blue, 100);
    scene.route.drains(Duration::from_secs(1));

    // Once green is due, a plain apply retires it.
    let due = scene.standing()["kept"]["due"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    thread::sleep(Duration::try_from(due.duration_since(jiff::Timestamp::now())).unwrap_or_default());
    scene.project.ends(&["apply", "--auto-approve"], 0);
    scene.retired(Side::Green);
    scene.shows(Side::Blue, 100);
}

#[test]
fn a_failing_analysis_takes_all_traffic_back_within_two_seconds_by_one_call() {
    let Some(scene) = scene("proof-abort") else { return };
    let mut run = scene.begins(TWO);
    steps(&scene, &mut run, Side::Green, &[10, 50]);
    // Somebody was served by green and would be again, were stickiness not switched off by the same call.
    let mut faithful = scene.entrance.visitor();
    while faithful.get("/") != Ok(Side::Green) {
        faithful = scene.entrance.visitor();
    }
    assert_eq!([faithful.get("/"), faithful.get("/"), faithful.get("/")], [const { Ok(Side::Green) }; 3]);
    fails(&scene, run);
    assert!(!scene.route.split().sticky);
    assert_eq!([faithful.get("/"), faithful.get("/"), faithful.get("/")], [const { Ok(Side::Blue) }; 3]);
    assert_eq!(scene.standing()["last"]["aborted"][1], "release");
}

#[test]
fn a_person_aborts_the_bake_from_another_process() {
    let Some(scene) = scene("proof-person") else { return };
    a_person_aborts(&scene);
}

#[test]
fn killed_in_a_step_and_in_the_bake_a_rollout_goes_on_where_it_was() {
    let Some(scene) = scene("proof-kills") else { return };
    goes_on_after_kills(&scene, TWO);
}

#[test]
fn a_green_that_never_answers_never_gets_any_traffic() {
    let Some(scene) = scene("proof-mute") else { return };
    scene.colors.mute(Side::Green);
    let moves = scene.route.moves();
    let mut run = scene.begins(TWO);
    scene.until("green is never looked at", &mut run, || scene.route.told(Side::Green).len() >= 2);
    let told = scene.route.told(Side::Green);
    assert!(told[0] == "initial" && told.iter().all(|state| state != "healthy"), "{told:?}");
    let asked = scene.route.proxy.count("elasticloadbalancing:DescribeTargetHealth");
    scene.route.proxy.wait_for("elasticloadbalancing:DescribeTargetHealth", asked + 3);
    assert!(scene.pods(Side::Green) == 2, "its pods are ready, and that is not enough");
    scene.shows(Side::Blue, 100);
    scene.project.ends(&["rollout", "abort"], 0);
    let said = scene.ends(run, 1).words();
    assert!(said.contains("no traffic was moved"), "{said}");
    assert_eq!(scene.route.moves(), moves);
    aborted(&scene);
}

#[test]
fn a_green_that_the_load_balancer_no_longer_finds_healthy_gets_no_more_traffic() {
    let Some(scene) = scene("proof-sick") else { return };
    let moves = scene.route.moves();
    let mut run = scene.begins(TWO);
    steps(&scene, &mut run, Side::Green, &[10]);
    scene.route.sick(Side::Green, true);
    scene.gate.open();
    let said = scene.ends(run, 1).words();
    assert!(said.contains("before it gets 50 %, its targets are not healthy"), "{said}");
    assert!(said.contains("Target.FailedHealthChecks") && said.contains("all traffic is back on blue"), "{said}");
    assert_eq!(scene.route.moves() - moves, 2, "to 10 percent, and back");
    aborted(&scene);
}

#[test]
fn throttled_and_killed_on_the_way_back_the_traffic_still_comes_back_by_one_call() {
    let Some(scene) = scene("proof-throttled") else { return };
    let mut run = scene.begins(TWO);
    steps(&scene, &mut run, Side::Green, &[10, 50]);
    let (moves, tries) = (scene.route.moves(), scene.route.proxy.count("elasticloadbalancing:ModifyRule"));
    scene.route.proxy.trouble(Trouble::new("elasticloadbalancing:ModifyRule", What::Throttle));
    scene.gate.fail();
    scene.until("it does not try to go back", &mut run, || {
        scene.route.proxy.count("elasticloadbalancing:ModifyRule") > tries
    });
    scene.kills(run);
    assert_eq!(scene.standing()["going"]["stage"]["stage"], "back");
    scene.shows(Side::Green, 50);
    scene.route.proxy.peace();
    scene.route.proxy.trouble(Trouble::new("elasticloadbalancing:ModifyRule", What::Throttle).times(2));
    let said = scene.project.ends(&["resume", "--auto-approve"], 1).words();
    assert!(said.contains("all traffic is back on blue"), "{said}");
    assert_eq!(scene.route.moves() - moves, 1);
    aborted(&scene);
}

#[test]
fn killed_between_a_shift_and_its_answer_a_rollout_goes_on_and_can_still_go_back() {
    let Some(scene) = scene("proof-lost") else { return };
    let mut run = scene.begins(TWO);
    steps(&scene, &mut run, Side::Green, &[10]);
    let moves = scene.route.moves();
    scene.route.proxy.trouble(Trouble::new("elasticloadbalancing:ModifyRule", What::Withhold).times(1));
    scene.gate.pass();
    scene.until("it does not move", &mut run, || scene.route.moves() > moves);
    scene.kills(run);
    let going = scene.standing()["going"].clone();
    assert_eq!((&going["share"], &going["moving"]), (&10.into(), &50.into()), "{going}");
    scene.shows(Side::Green, 50);
    let mut run = scene.project.start(&["resume", "--auto-approve"]);
    scene.reached(&mut run);
    scene.shows(Side::Green, 50);
    fails(&scene, run);
}

#[test]
fn a_canary_takes_its_share_and_the_stable_one_gets_all_traffic_back_once_it_is_updated() {
    let Some(scene) = of("proof-canary", CANARY) else { return };
    a_canary_settles(&scene);
}

#[test]
fn a_canary_that_fails_loses_its_share_and_the_stable_one_was_never_touched() {
    let Some(scene) = of("proof-bird", CANARY) else { return };
    a_canary_fails(&scene);
}
