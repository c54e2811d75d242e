//! Rollouts with traffic: while a chart goes from one colour to the other, or back, visitors come all the time, and a thousand at each step. None of
//! them is left without an answer, and each step's share is its weight's. The route is a rule on moto (`alb`) or an object of the control
//! plane (`objects`).

#![expect(clippy::disallowed_methods, reason = "takes the time of what processes do")]

mod alb;
mod objects;

use crate::support::proof::{ONE, Route, Scene, Version};
use serde_json::Value;
use std::{
    process::Child,
    time::{Duration, Instant},
};
use terrace::base::Side;

/// How long it may take at most from the failing measurement until all traffic is back.
const BACK_WITHIN: Duration = Duration::from_secs(2);

const TWO: Version<'_> = Version { text: "two", bake: "1s", ..ONE };
const CANARY: Version<'_> = Version { strategy: "canary", steps: "steps = [10, 50]", ..ONE };

/// Through these steps, each proved by a thousand requests; what asks at the last one is still held.
fn steps<R: Route>(scene: &Scene<R>, run: &mut Child, to: Side, steps: &[usize]) {
    for (at, share) in steps.iter().enumerate() {
        if at == 0 {
            scene.reached(run);
        } else {
            next(scene, run);
        }
        scene.shows(to, *share);
    }
}

/// Lets a step pass, and waits for the next one.
fn next<R: Route>(scene: &Scene<R>, run: &mut Child) {
    let asked = scene.gate.asked();
    scene.gate.pass();
    scene.until("the next step does not come", run, || scene.gate.asked() > asked);
}

/// The next measurement fails; all traffic is back in time and by one call.
fn fails<R: Route>(scene: &Scene<R>, run: Child) {
    let moves = scene.route.moves();
    let (back, proved, said) = scene.aborts(run);
    assert!(back < BACK_WITHIN && proved < BACK_WITHIN, "{back:?}, proved after {proved:?}");
    assert!(said.words().contains("all traffic is back on blue"), "{}", said.words());
    assert_eq!(scene.route.moves() - moves, 1, "an abort is one call");
    aborted(scene);
}

/// All traffic is on blue again; green has none, and is kept to be looked at.
fn aborted<R: Route>(scene: &Scene<R>) {
    scene.shows(Side::Blue, 100);
    let standing = scene.standing();
    assert_eq!((&standing["live"], &standing["kept"]["color"]), (&"blue".into(), &"green".into()), "{standing}");
    assert!(standing["last"]["aborted"].is_array(), "{standing}");
    assert!(scene.pods(Side::Blue) == 2 && scene.pods(Side::Green) == 2);
}

/// Killed in a step and in the bake, it goes on where it was: nothing is moved twice, and the bake does not begin again.
fn goes_on_after_kills<R: Route>(scene: &Scene<R>, version: Version<'_>) {
    let mut run = scene.begins(Version { bake: "4s", ..version });
    steps(scene, &mut run, Side::Green, &[10, 50]);
    let moves = scene.route.moves();
    scene.kills(run);
    scene.shows(Side::Green, 50);
    let mut run = scene.project.start(&["resume", "--auto-approve"]);
    scene.reached(&mut run);
    assert_eq!(scene.route.moves(), moves, "its step was in force already");
    next(scene, &mut run);
    scene.shows(Side::Green, 100);

    scene.gate.open();
    scene.until("it never bakes", &mut run, || scene.standing()["going"]["stage"]["stage"] == "bake");
    let moves = scene.route.moves();
    scene.kills(run);
    let killed = Instant::now();
    let entered = scene.standing()["going"]["entered"].clone();
    scene.shows(Side::Green, 100);
    scene.gate.open();
    let nobody = killed.elapsed().as_secs_f64();
    let run = scene.project.start(&["resume", "--auto-approve"]);
    let said = scene.ends(run, 0).words();
    assert_eq!(scene.route.moves(), moves);
    let standing = scene.standing();
    assert_eq!((&standing["live"], &standing["kept"]["color"]), (&"green".into(), &"blue".into()), "{standing}");
    let at = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let baked = at(&standing["last"]["at"]).duration_since(at(&entered)).as_secs_f64();
    assert!((4.0..4.0 + nobody).contains(&baked), "{baked} s, of which {nobody} s without anybody: {said}");
    scene.shows(Side::Green, 100);
}

/// While it bakes, a person takes all traffic back from another process.
fn a_person_aborts<R: Route>(scene: &Scene<R>) {
    scene.gate.open();
    let mut run = scene.begins(Version { bake: "1h", ..TWO });
    scene.until("it never bakes", &mut run, || scene.route.split().is_all(Side::Green));
    scene.until("it never bakes", &mut run, || scene.standing()["going"]["stage"]["stage"] == "bake");
    scene.shows(Side::Green, 100);
    let moves = scene.route.moves();
    scene.project.ends(&["rollout", "abort", "--reason", "people complain"], 0);
    let took = scene.back(Side::Blue, Instant::now());
    assert!(took < BACK_WITHIN, "{took:?}");
    let said = scene.ends(run, 1).words();
    assert!(said.contains("people complain") && said.contains("all traffic is back on blue"), "{said}");
    assert_eq!(scene.route.moves() - moves, 1);
    aborted(scene);
    assert_eq!(scene.standing()["last"]["aborted"][1], "person");
}

/// The canary goes through its steps, then the stable one is updated beside it, gets all traffic back by one call, and the canary goes.
fn a_canary_settles<R: Route>(scene: &Scene<R>) {
    let mut run = scene.begins(Version { text: "two", ..CANARY });
    steps(scene, &mut run, Side::Green, &[10, 50]);
    assert_eq!(scene.text(Side::Blue), "one", "the stable one is not touched before the canary has proved itself");
    let moves = scene.route.moves();
    scene.gate.open();
    scene.ends(run, 0);
    assert_eq!(scene.route.moves() - moves, 1);
    scene.shows(Side::Blue, 100);
    assert_eq!(scene.text(Side::Blue), "two");
    assert_eq!(scene.standing()["live"], "stable");
    scene.project.ends(&["apply", "--auto-approve"], 0);
    scene.retired(Side::Green);
    scene.shows(Side::Blue, 100);
}

/// The canary fails at its second step: all traffic is on the stable one again, which is what it was.
fn a_canary_fails<R: Route>(scene: &Scene<R>) {
    let mut run = scene.begins(Version { text: "two", ..CANARY });
    steps(scene, &mut run, Side::Green, &[10, 50]);
    let moves = scene.route.moves();
    let (back, proved, said) = scene.aborts(run);
    assert!(back < BACK_WITHIN && proved < BACK_WITHIN, "{back:?}, proved after {proved:?}");
    assert!(said.words().contains("all traffic is back on stable"), "{}", said.words());
    assert_eq!(scene.route.moves() - moves, 1);
    scene.shows(Side::Blue, 100);
    assert_eq!(scene.text(Side::Blue), "one");
    let standing = scene.standing();
    assert_eq!((&standing["live"], &standing["kept"]["color"]), (&"stable".into(), &"canary".into()), "{standing}");
}
