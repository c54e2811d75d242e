//! Random plans with random edits, faults and deaths: whatever happens, nothing is lost from sight.

use crate::{
    apply::testing::Lab,
    base::RunEnd,
    plan,
    world::sandbox::{Fault, FaultKind},
};
use std::fmt::Write as _;

/// A small generator of numbers, so that a seed is a life.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Some stacks and values; what is later refers to what is earlier.
fn plan(dice: &mut Dice) -> String {
    let mut text =
        format!("phase \"one\" {{ {} }}\n", ["", "on_failure = \"rollback\""][usize::from(dice.below(2) == 0)]);
    let mut known: Vec<String> = Vec::new();
    for n in 0..5 {
        if dice.below(4) == 0 {
            continue;
        }
        let input = match known.last() {
            Some(former) if dice.below(2) == 0 => format!("\"${{{former}}}\""),
            _ => format!("\"{}\"", dice.below(3)),
        };
        if n % 2 == 0 {
            let trigger = dice.below(2);
            writeln!(
                text,
                "value \"v{n}\" {{\n  phase = phase.one\n  input = {input}\n  triggers_replace = {trigger}\n}}"
            )
            .unwrap();
            known.push(format!("value.v{n}.id"));
        } else {
            writeln!(text, "stack \"s{n}\" {{\n  phase = phase.one\n  template = \"${{path.root}}/a.yaml\"\n  parameters = {{ P = {input} }}\n}}").unwrap();
            known.push(format!("stack.s{n}.outputs.Url"));
        }
    }
    text
}

const TEMPLATE: &str = "Parameters:\n  P: { Type: String }\nResources:\n  Q: { Type: AWS::SQS::Queue, Properties: { Tags: [{ Key: p, Value: !Ref P }] } }\nOutputs:\n  Url: { Value: !Ref Q }\n";

fn fault(dice: &mut Dice) -> Fault {
    let kinds = [
        FaultKind::Throttle,
        FaultKind::TimeoutBefore,
        FaultKind::TimeoutAfter,
        FaultKind::Deny,
        FaultKind::FailHalfway(crate::world::sandbox::Halfway::default()),
        FaultKind::StaleRead,
        FaultKind::Crash { after: true },
        FaultKind::Crash { after: false },
    ];
    let kind = kinds[usize::try_from(dice.below(kinds.len() as u64)).unwrap()].clone();
    Fault::new("*", kind).from_call(1 + dice.below(25))
}

/// Everything live is in state, and whatever state remembers of the past only grew.
async fn sound(lab: &Lab, serial: &mut u64, what: &str) {
    let state = lab.subject().await.state;
    assert!(state.serial >= *serial, "{what}: the serial went back");
    *serial = state.serial;
    if state.open_run().is_some() {
        return;
    }
    for row in lab.world.show(Some("stack")).unwrap().rows {
        let gone = row.status == "DELETE_COMPLETE" || row.status == "REVIEW_IN_PROGRESS";
        let known = state.resources.values().any(|r| r.identity["name"] == row.name.as_str());
        assert!(gone || known, "{what}: {} ({}) is an orphan", row.name, row.status);
    }
}

async fn life(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut lab = Lab::new("");
    lab.files.insert("p/a.yaml".to_owned(), TEMPLATE.to_owned());
    let mut serial = 0;
    for step in 0..3 {
        let text = plan(&mut dice);
        lab.write(&text);
        let made = match lab.try_plan().await {
            Ok(made) => made,
            Err(error) => panic!("life {seed}, step {step}: {error:#?}\n{text}"),
        };
        for _ in 0..dice.below(3) {
            lab.world.add_fault(&fault(&mut dice)).unwrap();
        }
        let what = format!("life {seed}, step {step}, {:?}\n{text}", lab.world.faults().unwrap());
        let ended = match lab.until_crash(lab.apply_made(made)).await {
            Some(Ok(report)) => Some(report),
            // Who is calling could not be asked: nothing was begun.
            Some(Err(crate::apply::Error::World(_))) => None,
            Some(Err(error)) => panic!("{what}: {error:#?}"),
            None => {
                lab.reopen();
                match lab.subject().await.state.open_run() {
                    Some(_) => Some(lab.resumed().await),
                    None => None,
                }
            }
        };
        sound(&lab, &mut serial, &what).await;
        lab.world.clear_faults(None).unwrap();
        // What a run had to leave in progress comes to its end.
        lab.world.advance(std::time::Duration::from_secs(3600)).unwrap();
        if ended.is_some_and(|r| r.end == RunEnd::Succeeded) {
            assert_eq!(lab.changes().await, Vec::<String>::new(), "{what}");
        }
    }
    // In the end, without faults, all is as declared; and then all is gone.
    let report = lab.apply().await;
    assert_eq!(report.end, RunEnd::Succeeded, "life {seed}: {:?}", (&report.failures, &report.beyond, &report.stuck));
    assert!(lab.changes().await.is_empty(), "life {seed}");
    let request = plan::Request { mode: plan::Mode::Destroy, ..plan::Request::default() };
    let made = plan::make(&lab.subject().await, &request, &crate::base::NoEvents).await.unwrap();
    assert_eq!(lab.apply_made(made).await.unwrap().end, RunEnd::Succeeded, "life {seed}");
    assert!(lab.subject().await.state.resources.is_empty(), "life {seed}");
    let rows = lab.world.show(Some("stack")).unwrap().rows;
    let left: Vec<_> =
        rows.iter().filter(|r| r.status != "DELETE_COMPLETE" && r.status != "REVIEW_IN_PROGRESS").collect();
    assert!(left.is_empty(), "life {seed}: {left:?}");
}

/// How many lives, over how many threads.
const LIVES: u64 = 80;
const THREADS: u64 = 4;

#[test]
fn nothing_is_lost_in_any_life() {
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
                for seed in (1..=LIVES).filter(|seed| seed % THREADS == thread) {
                    runtime.block_on(life(seed));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
