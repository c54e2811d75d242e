//! A colour that lost its traffic keeps the requests that it has: it is retired once they are over.

use super::{
    rollouts::{ONE, TWO, Version, alarm, green, lab, objects, releases, text, unit},
    shared::put,
};
use crate::{
    apply::{Interrupt, Options, testing::Lab},
    base::{Address, Color, Event, Events, RunEnd},
    plan,
    world::World as _,
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// What is said of one address; a person stops the run at the first word.
struct Heard {
    of: Address,
    said: Mutex<Vec<String>>,
    stop: Option<Interrupt>,
}

impl Events for Heard {
    fn emit(&self, event: Event) {
        if let Event::NodeProgress { address, message } = event
            && address == self.of
            && message.contains("it lost its traffic")
        {
            self.said.lock().unwrap().push(message);
            self.stop.iter().for_each(Interrupt::ask);
        }
    }
}

/// Applies what is to be done now; how it ended, and what was said of blue.
async fn heard(lab: &Lab, stop: bool) -> (RunEnd, Vec<String>) {
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let interrupt = Interrupt::new();
    let options = Options { interrupt: interrupt.clone(), ..Lab::options() };
    let of = unit().with_color(Some(Color::Blue));
    let events = Arc::new(Heard { of, said: Mutex::default(), stop: stop.then_some(interrupt) });
    let report = crate::apply::run(lab.subject().await, saved, lab.store().await, options, events.clone());
    let end = report.await.unwrap().end;
    let said = events.said.lock().unwrap().clone();
    (end, said)
}

/// Kept for a second only: what its targets are given is longer.
fn hasty(version: Version<'_>) -> String {
    text(version).replace("keep     = \"1h\"", "keep     = \"1s\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_colour_goes_only_once_the_requests_that_it_had_are_over() {
    let mut lab = lab(ONE);
    lab.write(&hasty(ONE));
    lab.applied().await;
    lab.write(&hasty(TWO));
    lab.applied().await;
    let since = lab.subject().await.state.rollouts[&unit()].kept.clone().unwrap().since;
    lab.world.advance(Duration::from_secs(2)).unwrap();
    assert_eq!(lab.changes().await, ["helm.web@blue: destroy"]);

    // Somebody who does not want to wait: it stays, and so does the traffic.
    let (end, said) = heard(&lab, true).await;
    assert_eq!((end, said.len()), (RunEnd::Interrupted, 1), "{said:?}");
    assert_eq!(releases(&lab), ["web-blue", "web-green"]);
    let report = lab.resumed().await;
    assert_eq!(report.end, RunEnd::Succeeded, "{:?}", report.failures);
    let waited = lab.world.clock().now().duration_since(since).as_secs();
    assert!((30..120).contains(&waited), "{waited}");
    assert_eq!((releases(&lab), green(&lab).await), (vec!["web-green".to_owned()], 100));

    // What had no traffic for longer is not waited for.
    lab.write(&hasty(Version { tag: "three", ..ONE }));
    lab.applied().await;
    lab.world.advance(Duration::from_secs(600)).unwrap();
    let before = lab.world.clock().now();
    lab.applied().await;
    let waited = lab.world.clock().now().duration_since(before).as_secs();
    assert!(waited < 30, "{waited}");
    assert_eq!(releases(&lab), ["web-blue"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_colour_that_was_changed_is_changed_back_once_its_requests_are_over() {
    let mut lab = lab(ONE);
    lab.applied().await;
    lab.write(&text(TWO));
    lab.applied().await;
    // The third version comes up where the first one is kept, has a share, and is not good.
    alarm(&lab, "blue", "ALARM");
    lab.write(&text(Version { tag: "three", ..ONE }));
    let (end, said) = heard(&lab, false).await;
    assert_eq!((end, green(&lab).await), (RunEnd::RolledBack, 100));
    assert!(!said.is_empty(), "it was changed back under the requests that it had");
    assert_eq!(releases(&lab), ["web-blue", "web-green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_colour_that_had_a_share_is_undone_once_its_requests_are_over() {
    for (bad, waits) in [(false, true), (true, false)] {
        let mut lab = lab(ONE);
        lab.applied().await;
        let mut next = text(TWO);
        if bad {
            // A service that is there and selects nothing: its targets are never well, so that it never gets any traffic.
            put(
                &lab,
                &json!({
                    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-none", "namespace": "web"},
                    "spec": {"selector": {"nobody": "here"}, "ports": [{"port": 80}]},
                }),
            )
            .await;
            next = next.replace("web-${self.color}-headlamp\"\n      port    = 80", "web-none\"\n      port    = 80");
        } else {
            alarm(&lab, "green", "ALARM");
        }
        lab.write(&next);
        let before = lab.world.clock().now();
        let report = lab.apply().await;
        assert_eq!(report.end, RunEnd::RolledBack, "{:?}", report.failures);
        let took = lab.world.clock().now().duration_since(before).as_secs();
        // Waiting for targets takes ten minutes, the requests of the green group thirty seconds more.
        assert_eq!(releases(&lab), ["web-blue"]);
        assert!(report.undone.iter().all(|(.., ok)| *ok), "{:?}", report.undone);
        if waits {
            assert!(took >= 30, "{took}");
        } else {
            assert!(took < 10 * 60 + 30, "{took}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_takes_no_weights_which_is_told_before_anything_is_done() {
    for (strategy, steps, told) in [
        ("blue_green", "[10, 100]", "traffic.web takes no weights for a step of 10 percent"),
        ("canary", "[10, 50]", "traffic.web takes no weights for a canary"),
    ] {
        let mut lab = lab(ONE);
        let declared = objects("1", "web-${self.color}")
            .replace("strategy = \"blue_green\"", &format!("strategy = \"{strategy}\"\n    steps    = {steps}"));
        lab.write(&declared);
        let Err(plan::Error::Problems(problems)) = lab.try_plan().await else { panic!("{strategy} over a service") };
        let problem = problems.iter().find(|p| p.code == "rollout_unweighted").unwrap();
        assert!(problem.summary.contains(told), "{problem:?}");
        let text = &lab.files["p/a.hcl"];
        let places: Vec<&str> = problem.labels.iter().map(|label| &text[label.span.range()]).collect();
        assert_eq!(places, [if strategy == "canary" { "\"canary\"" } else { steps }, "service"]);
        // One switch it makes.
        lab.write(&declared.replace(strategy, "blue_green").replace(steps, "[100]"));
        lab.plan().await;
    }
}
