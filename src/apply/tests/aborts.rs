//! Rollouts that end badly: what takes their traffic back, whose fault that was, and what undoing their phase leaves.

use super::rollouts::{ONE, TWO, Version, alarm, failure, green, lab, live, releases, second, text, unit, until};
use crate::{
    apply::testing::Lab,
    base::{Color, NoEvents, RunEnd},
    plan,
    rollout::{Fault, Going},
    state::{Actor, Control, Verb},
    world::{World as _, live::OsRandom, sandbox},
};

fn aborted(state: &crate::state::Snapshot) -> (String, Fault) {
    state.rollouts[&unit()].last.clone().unwrap().aborted.unwrap()
}

/// A person lets it go back.
async fn abort(lab: &Lab, going: &Going) {
    let arn = "arn:aws:sts::1:assumed-role/x/ann".to_owned();
    let by = Actor { arn, id: String::new(), person: Some("ann".to_owned()) };
    let now = lab.world.clock().now();
    let word = Control::new(unit(), going.run.to_string(), now, by, Some("not today".to_owned()), Verb::Abort);
    word.record(&*lab.ledger(), &OsRandom, "a test").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_one_gives_all_traffic_back_and_is_kept_to_be_looked_at() {
    let mut lab = lab(ONE);
    lab.applied().await;
    alarm(&lab, "green", "ALARM");
    let moves = lab.calls_of("elasticloadbalancing:ModifyRule");
    let report = second(&mut lab, TWO).await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert!(failure(&report).contains("all traffic is back on blue"), "{}", failure(&report));
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
    assert_eq!(lab.calls_of("elasticloadbalancing:ModifyRule") - moves, 2, "one call there, one call back");
    assert_eq!(aborted(&lab.subject().await.state).1, Fault::Release);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_alarm_waits_for_a_person_whose_word_is_taken_in() {
    let mut lab = lab(ONE);
    lab.applied().await;
    alarm(&lab, "green", "INSUFFICIENT_DATA");
    lab.write(&text(TWO));
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let options = Lab::options();
    let (subject, store) = (lab.subject().await, lab.store().await);
    let run = crate::apply::run(subject, saved, store, options, std::sync::Arc::new(NoEvents));
    let person = async {
        let going = until(&lab, |going| going.paused.is_some()).await;
        assert_eq!(going.share, 10, "traffic stays where it was");
        abort(&lab, &going).await;
    };
    let (report, ()) = futures::join!(Box::pin(run), person);
    let report = report.unwrap();
    assert!(failure(&report).contains("ann aborted it: not today"), "{}", failure(&report));
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
    assert_eq!(aborted(&lab.subject().await.state).1, Fault::Person);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_beside_it_takes_its_traffic_back() {
    let mut lab = lab(ONE);
    lab.applied().await;
    let beside = r#"
check "bad" {
  phase = phase.services
  expression {
    condition     = self_is_bad
    error_message = "no"
  }
}
"#
    .replace("self_is_bad", "1 == 2");
    let report = second(&mut lab, Version { beside: &beside, ..TWO }).await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
    assert_eq!(releases(&lab), ["web-blue"], "what this run made is undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_does_not_go_back_to_where_nobody_answers() {
    let mut lab = lab(ONE);
    lab.applied().await;
    // Blue loses its pods while green is tried, and then green is found to be bad.
    lab.write(&text(Version { steps: "[{ weight = 10, pause = true }, 100]", ..TWO }));
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let (subject, store) = (lab.subject().await, lab.store().await);
    let run = crate::apply::run(subject, saved, store, Lab::options(), std::sync::Arc::new(NoEvents));
    let meanwhile = async {
        until(&lab, |going| going.paused.is_some()).await;
        let target = "object/web/Deployment/web-blue-headlamp".to_owned();
        let set = vec![("spec.replicas".to_owned(), "0".to_owned())];
        lab.world.drift(&sandbox::Drift { target, set, ..sandbox::Drift::default() }).unwrap();
        alarm(&lab, "green", "ALARM");
    };
    let (report, ()) = futures::join!(Box::pin(run), meanwhile);
    let report = report.unwrap();
    assert_eq!(report.end, RunEnd::Stuck, "{}", failure(&report));
    assert!(failure(&report).contains("blue has no healthy target"), "{}", failure(&report));
    assert_eq!(green(&lab).await, 10, "it stays where it was");
    assert_eq!(releases(&lab), ["web-blue", "web-green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn undoing_a_rollout_that_was_cut_off_takes_its_traffic_back_first() {
    let mut lab = lab(ONE);
    lab.applied().await;
    lab.write(&text(TWO));
    let kept = lab.keep();
    let mut shares = std::collections::BTreeSet::new();
    let mut cut_off = 0;
    let undone = async |lab: &Lab, roll_back: bool| {
        let events = std::sync::Arc::new(NoEvents);
        let (subject, store) = (lab.subject().await, lab.store().await);
        crate::apply::resume(subject, store, Lab::options(), events, roll_back).await.unwrap()
    };
    for nth in (60..140).step_by(4) {
        lab.restore(&kept);
        lab.crash(nth, true);
        let Some(Ok(made)) = lab.until_crash(lab.try_plan()).await else { continue };
        if lab.until_crash(lab.apply_made(made)).await.is_some() {
            continue;
        }
        lab.reopen();
        let going = lab.subject().await.state.rollouts.get(&unit()).and_then(|s| s.going.clone());
        let Some(going) = going else { continue };
        shares.insert(going.share);
        // Whoever goes on with it need not say so again, and it stays what that person wanted.
        if nth % 8 == 0 {
            lab.crash(4, true);
            let ended = lab.until_crash(undone(&lab, true)).await;
            lab.reopen();
            cut_off += usize::from(ended.is_none() && lab.subject().await.state.journal.undoing.is_some());
        }
        let report = undone(&lab, lab.subject().await.state.journal.undoing.is_none()).await;
        assert_eq!(report.end, RunEnd::RolledBack, "at {nth}: {:?}", report.stuck);
        assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0), "at {nth}");
        assert_eq!(aborted(&lab.subject().await.state).1, Fault::Person, "at {nth}");
        assert_eq!(releases(&lab), ["web-blue"], "at {nth}");
    }
    assert!(shares.contains(&50) && shares.len() > 2, "{shares:?}");
    assert!(cut_off > 2, "{cut_off}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_stable_one_cannot_be_updated_gives_its_traffic_back() {
    for on_failure in ["rollback", "halt"] {
        let first = Version { strategy: "canary", steps: "[20, 60]", bake: "1m", ..ONE };
        let plan = |version| text(version).replace("\"rollback\"", &format!("\"{on_failure}\""));
        let mut lab = lab(first);
        lab.write(&plan(first));
        lab.applied().await;
        lab.write(&plan(Version { tag: "two", ..first }));
        lab.fail("helm:Upgrade");
        let report = lab.apply().await;
        assert_ne!(report.end, RunEnd::Succeeded);
        assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Stable), 0), "{on_failure}");
        assert!(lab.subject().await.state.rollouts[&unit()].going.is_none(), "{on_failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_heard_while_something_is_measured() {
    let mut lab = lab(ONE);
    lab.applied().await;
    lab.fault("cloudwatch:DescribeAlarms", sandbox::FaultKind::Hang);
    lab.write(&text(TWO));
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let (subject, store) = (lab.subject().await, lab.store().await);
    let run = crate::apply::run(subject, saved, store, Lab::options(), std::sync::Arc::new(NoEvents));
    let person = async {
        let going = until(&lab, |going| going.share == 10).await;
        abort(&lab, &going).await;
        lab.world.clock().now()
    };
    let (report, said) = futures::join!(Box::pin(run), person);
    let report = report.unwrap();
    assert!(failure(&report).contains("ann aborted it"), "{}", failure(&report));
    let last = lab.subject().await.state.rollouts[&unit()].last.clone().unwrap();
    let took = last.at.duration_since(said).as_secs();
    assert!(took < 15, "it waited for the measurement: {took} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_colour_whose_rollout_was_undone_is_warm_again() {
    let mut lab = lab(ONE);
    lab.applied().await;
    assert_eq!(second(&mut lab, TWO).await.end, RunEnd::Succeeded);
    let warm = lab.subject().await.state.rollouts[&unit()].kept.clone().unwrap();
    // The third version comes up where the first one is kept, and fails: its phase is undone.
    alarm(&lab, "blue", "ALARM");
    let report = second(&mut lab, Version { tag: "three", ..ONE }).await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    let state = lab.subject().await.state;
    assert_eq!(aborted(&state).1, Fault::Release);
    let kept = state.rollouts[&unit()].kept.clone().unwrap();
    assert_eq!((kept.due, kept.failed), (warm.due, None), "it is as it was");
    assert!(kept.since > warm.since && !kept.unused, "and had some traffic just now");
    // To go back to the first version is one switch.
    alarm(&lab, "blue", "OK");
    lab.write(&text(ONE));
    let plan = lab.plan().await.plan;
    assert!(plan.node(&unit()).unwrap().rollout.as_ref().unwrap().switch);
    lab.applied().await;
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Blue), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_came_through_and_is_undone_leaves_the_warm_colour_as_it_was() {
    let mut lab = lab(ONE);
    lab.applied().await;
    assert_eq!(second(&mut lab, TWO).await.end, RunEnd::Succeeded);
    let warm = lab.subject().await.state.rollouts[&unit()].kept.clone().unwrap();
    // What comes after it in its phase fails.
    let beside = r#"
check "bad" {
  phase      = phase.services
  depends_on = [value.after]
  expression {
    condition     = 1 == 2
    error_message = "no"
  }
}
"#;
    let report = second(&mut lab, Version { tag: "three", beside, ..ONE }).await;
    assert_eq!(report.end, RunEnd::RolledBack, "{}", failure(&report));
    assert_eq!((live(&lab).await, green(&lab).await), (Some(Color::Green), 100));
    let kept = lab.subject().await.state.rollouts[&unit()].kept.clone().unwrap();
    assert_eq!((kept.color, kept.due, kept.failed), (Color::Blue, warm.due, None), "it is as it was");
}
