//! What is told while a run goes on: every beginning has its end, and a view never waits in vain.

use crate::{
    apply::{Interrupt, Options, run, testing::Lab},
    base::{Event, Events, RunEnd},
    plan,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>, Option<Interrupt>);

impl Events for Heard {
    fn emit(&self, event: Event) {
        if let (Event::NodeStarted { .. }, Some(interrupt)) = (&event, &self.1) {
            interrupt.ask();
        }
        self.0.lock().unwrap().push(event);
    }
}

/// Applies, and says how often each thing was begun and ended, and how the run ended.
async fn told(lab: &Lab, parallelism: usize, interrupts: bool) -> (BTreeMap<String, (u32, u32)>, RunEnd) {
    let made = lab.plan().await;
    let saved = plan::saved(made.plan, made.attachment).unwrap();
    let interrupt = Interrupt::new();
    let heard = Arc::new(Heard(Mutex::default(), interrupts.then(|| interrupt.clone())));
    let options = Options { parallelism, interrupt, ..Lab::options() };
    let report = run(lab.subject().await, saved, lab.store().await, options, heard.clone()).await.unwrap();
    let mut out: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for event in heard.0.lock().unwrap().iter() {
        match event {
            Event::NodeStarted { address, .. } => out.entry(address.to_string()).or_default().0 += 1,
            Event::NodeEnded { address, .. } => out.entry(address.to_string()).or_default().1 += 1,
            Event::PhaseStarted { phase, .. } => out.entry(format!("phase {phase}")).or_default().0 += 1,
            Event::PhaseEnded { phase, .. } => out.entry(format!("phase {phase}")).or_default().1 += 1,
            _ => {}
        }
    }
    (out, report.end)
}

const PLAN: &str = r#"
value "a" { input = 1 }
value "b" { for_each = toset(["x", "y", "z"])
  input = "${value.a.id}${each.key}"
  verify "never" {
    expression {
      condition = each.key != "y"
      error_message = "it is y"
    }
    within = "1s"
  }
}
value "c" { input = [for b in value.b : b.id] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_ends_exactly_once_whatever_happens() {
    for parallelism in [1, 2, 10] {
        let (told, end) = told(&Lab::new(PLAN), parallelism, false).await;
        assert_eq!(end, RunEnd::Failed);
        assert!(told.iter().filter(|(a, _)| *a != "value.c").all(|(_, counts)| *counts == (1, 1)), "{told:?}");
        assert_eq!(told["value.c"], (0, 1), "what was skipped is told once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_stays_open_and_resume_finishes_it() {
    let mut lab = Lab::new(&PLAN.replace("each.key != \"y\"", "true"));
    let (told, end) = told(&lab, 10, true).await;
    assert_eq!(end, RunEnd::Interrupted);
    assert!(told.values().all(|(begun, ended)| begun <= ended && *ended <= 1), "{told:?}");
    let refused = lab.apply_made(lab.plan().await).await.unwrap_err();
    assert!(matches!(refused, crate::apply::Error::RunOpen { .. }), "{refused}");
    assert_eq!(lab.resumed().await.end, RunEnd::Succeeded);
    assert!(lab.changes().await.is_empty());
    assert!(matches!(lab.resume().await, Err(crate::apply::Error::NothingOpen)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_values_take_no_time() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for n in 0..2000 {
        let before = if n % 50 == 0 { "0".to_owned() } else { format!("value.v{}.id", n - 1) };
        writeln!(text, "value \"v{n}\" {{ input = {before} }}").unwrap();
    }
    let lab = Lab::new(&text);
    #[expect(clippy::disallowed_methods, reason = "this measures the machine")]
    let begun = std::time::Instant::now();
    lab.applied().await;
    assert!(!lab.plan().await.plan.has_changes());
    assert!(begun.elapsed().as_secs() < 20, "{:?} in an unoptimized build", begun.elapsed());
}
