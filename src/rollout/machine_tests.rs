//! Lives of rollouts: whatever happens, weights add up, there is a way back, and nothing is finished that was not proved.

use super::*;
use crate::rollout::{Mode, Standing, Step};
use proptest::{
    prelude::{Just, ProptestConfig, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    strategy::Strategy as _,
};

fn limits(consecutive: u32, failure_limit: u32) -> Limits {
    Limits {
        initial_delay: Duration::ZERO,
        every: Duration::from_secs(30),
        within: Duration::from_secs(300),
        count: None,
        consecutive,
        failure_limit,
        inconclusive_limit: 0,
        error_limit: 4,
        dry_run: false,
        mode: Mode::Step,
    }
}

fn spec(strategy: Strategy) -> Spec {
    let step = |weight, pause| Step { weight, pause };
    let mut steps = vec![step(10, None), step(50, Some(Pause::For(Duration::from_secs(120))))];
    if strategy == Strategy::BlueGreen {
        steps.push(step(100, None));
    }
    Spec {
        strategy,
        traffic: "traffic.web".parse().unwrap(),
        steps,
        bake: Duration::from_secs(900),
        keep: Duration::from_secs(3600),
        analyses: [("errors".into(), limits(2, 0))].into(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn colors(strategy: Strategy) -> (Color, Color) {
    match strategy {
        Strategy::BlueGreen => (Color::Blue, Color::Green),
        Strategy::Canary => (Color::Stable, Color::Canary),
    }
}

/// What the world does to one rollout.
#[derive(Debug, Clone, Copy)]
struct Luck {
    /// Of a hundred measurements so many fail.
    fails: u8,
    unclear: u8,
    errors: u8,
    /// Of a hundred moves so many are not proved.
    unproved: u8,
}

/// A rollout in a world of its own, driven as the executor drives one.
struct Life {
    standing: Standing,
    now: i64,
    /// The share of the new one, as the load balancer has it.
    share: u8,
    shares: Vec<u8>,
    seed: u64,
    luck: Luck,
}

impl Life {
    fn new(spec: Spec, luck: Luck, seed: u64) -> Self {
        let (from, to) = colors(spec.strategy);
        let standing = Standing { live: Some(from), ..Standing::default() };
        let mut life = Self { standing, now: 0, share: 0, shares: vec![0], seed, luck };
        life.take(&Fact::Began { run: "r".into(), spec: Box::new(spec), from: Some(from), to, undo: false });
        life
    }

    fn take(&mut self, fact: &Fact) {
        // A kill between any two facts loses nothing: what is read back is what was written.
        let text = serde_json::to_string(&self.standing).unwrap();
        self.standing = serde_json::from_str(&text).unwrap();
        self.standing.take(at(self.now), fact);
    }

    fn chance(&mut self, of_a_hundred: u8) -> bool {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % 100 < u64::from(of_a_hundred)
    }

    /// One turn; false once it is over.
    fn turn(&mut self) -> bool {
        let Some(going) = self.standing.going.clone() else { return false };
        match going.next(at(self.now)) {
            Next::AwaitTargets { .. } => self.take(&Fact::TargetsHealthy),
            Next::Shift { share, .. } => {
                self.take(&Fact::Moving { share });
                self.share = share;
                self.shares.push(share);
                if self.chance(self.luck.unproved) {
                    self.take(&Fact::Aborting { why: "not proved".into(), fault: Fault::Platform });
                } else {
                    self.take(&Fact::Moved { share });
                }
            }
            Next::Watch { due, until } => {
                for analysis in due {
                    let finding = if self.chance(self.luck.fails) {
                        Finding::Failed
                    } else if self.chance(self.luck.unclear) {
                        Finding::Inconclusive
                    } else if self.chance(self.luck.errors) {
                        Finding::Error
                    } else {
                        Finding::Passed
                    };
                    self.take(&Fact::Measured { analysis, finding, said: String::new(), value: None });
                }
                self.now = (until.as_second() - at(0).as_second()).max(self.now + 1);
            }
            Next::Pause { why } => self.take(&Fact::Paused { why, by: None }),
            Next::AwaitPerson => {
                self.now += 600;
                self.take(&Fact::Promoted { by: "ann".into(), full: false });
            }
            Next::Note(fact) => self.take(&fact),
            Next::Abort { why, fault } => self.take(&Fact::Aborting { why, fault }),
            Next::Back => {
                self.share = 0;
                self.shares.push(0);
                self.take(&Fact::Aborted);
            }
            Next::Settle => self.take(&Fact::Settled),
            Next::Finish => self.take(&Fact::Finished),
            Next::Over => return false,
        }
        true
    }

    fn live_on(&mut self) {
        for _ in 0..5_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("it does not end: {:?}", self.standing.going);
    }
}

const GOOD: Luck = Luck { fails: 0, unclear: 0, errors: 0, unproved: 0 };

#[test]
fn a_good_one_goes_through_its_steps_bakes_and_keeps_the_old_colour() {
    let mut life = Life::new(spec(Strategy::BlueGreen), GOOD, 1);
    life.live_on();
    assert_eq!(life.shares, [0, 10, 50, 100]);
    assert_eq!(life.standing.live, Some(Color::Green));
    let kept = life.standing.kept.unwrap();
    assert_eq!((kept.color, kept.failed), (Color::Blue, None));
    assert_eq!(kept.due, kept.since.checked_add(Duration::from_secs(3600)).unwrap());
    // Two measurements 30 s apart a step, a pause of two minutes, and the bake.
    assert!(life.now >= 3 * 30 + 120 + 900, "{}", life.now);
}

#[test]
fn a_good_canary_gives_all_traffic_to_the_stable_one_that_was_updated() {
    let mut life = Life::new(spec(Strategy::Canary), GOOD, 1);
    life.live_on();
    assert_eq!(life.shares, [0, 10, 50, 0]);
    assert_eq!(life.standing.live, Some(Color::Stable));
    let kept = life.standing.kept.unwrap();
    assert_eq!(kept.color, Color::Canary);
    assert_eq!(kept.due, kept.since, "there is nothing to keep it for");
}

#[test]
fn one_failed_measurement_takes_all_traffic_back() {
    let mut life = Life::new(spec(Strategy::BlueGreen), Luck { fails: 100, ..GOOD }, 1);
    life.live_on();
    assert_eq!(life.shares, [0, 10, 0]);
    assert_eq!(life.standing.live, Some(Color::Blue));
    assert_eq!(life.standing.kept.unwrap().color, Color::Green);
    assert_eq!(life.standing.last.unwrap().aborted.unwrap().1, Fault::Release);
}

#[test]
fn errors_are_the_platforms_fault_and_unclear_results_wait_for_a_person() {
    let mut life = Life::new(spec(Strategy::BlueGreen), Luck { errors: 100, ..GOOD }, 1);
    life.live_on();
    assert_eq!(life.standing.last.unwrap().aborted.unwrap().1, Fault::Platform);
    let mut life = Life::new(spec(Strategy::BlueGreen), Luck { unclear: 100, ..GOOD }, 1);
    while life.standing.going.as_ref().is_some_and(|going| going.paused.is_none()) {
        assert!(life.turn());
    }
    let going = life.standing.going.as_ref().unwrap();
    assert_eq!(going.next(at(life.now)), Next::AwaitPerson);
    assert_eq!(life.share, 10, "traffic stays where it was");
    life.take(&Fact::Aborting { why: "no".into(), fault: Fault::Person });
    life.live_on();
    assert_eq!((life.share, life.standing.live), (0, Some(Color::Blue)));
}

#[test]
fn a_bake_does_not_begin_again_and_time_away_does_not_count() {
    let mut life = Life::new(spec(Strategy::BlueGreen), GOOD, 1);
    while life.standing.going.as_ref().is_some_and(|going| going.stage != Stage::Bake) {
        assert!(life.turn());
    }
    let baking = life.now;
    while life.now < baking + 600 {
        assert!(life.turn());
    }
    let before = life.standing.going.as_ref().unwrap().in_stage(at(life.now));
    let gap = Duration::from_secs(7200);
    life.now += 7200;
    life.take(&Fact::Away { time: gap });
    assert_eq!(life.standing.going.as_ref().unwrap().in_stage(at(life.now)), before);
    life.live_on();
    assert!((baking + 7200 + 900..baking + 7200 + 960).contains(&life.now), "{} of {baking}", life.now);
    assert_eq!(life.standing.live, Some(Color::Green));
}

#[test]
fn a_machine_whose_clock_is_behind_bakes_no_shorter() {
    let spec = Spec { analyses: BTreeMap::new(), ..spec(Strategy::BlueGreen) };
    let mut going = Going::new("r".into(), spec.at_once(), Some(Color::Blue), Color::Green, at(0));
    going.spec.bake = Duration::from_secs(900);
    for (second, fact) in
        [(0, Fact::TargetsHealthy), (0, Fact::Moved { share: 100 }), (0, Fact::Judged), (0, Fact::Baking)]
    {
        going.take(at(second), &fact);
    }
    going.take(at(300), &Fact::Looked);
    // Another machine goes on with it, an hour behind.
    for behind in [-3300, -3299, -1, 0, 899] {
        going.take(at(behind), &Fact::Looked);
        assert!(matches!(going.next(at(behind)), Next::Watch { .. }), "at {behind}");
    }
    assert_eq!(going.next(at(900)), Next::Finish);
    assert_eq!(going.looked, at(899), "what was seen later is not unseen");
}

#[test]
fn a_person_pauses_lets_go_and_skips() {
    let mut paused = spec(Strategy::BlueGreen);
    paused.steps[0].pause = Some(Pause::Person);
    let mut life = Life::new(paused, GOOD, 1);
    while life.standing.going.as_ref().is_some_and(|going| going.paused.is_none()) {
        assert!(life.turn());
    }
    assert_eq!(life.share, 10);
    life.now += 86_400;
    life.take(&Fact::Resumed { by: "ann".into() });
    while life.standing.going.as_ref().is_some_and(|going| going.paused.is_none()) {
        assert!(life.turn(), "to resume does not let a step go that waits for a person");
    }
    life.take(&Fact::Promoted { by: "ann".into(), full: true });
    let skipped = life.now;
    life.live_on();
    assert_eq!((life.share, life.standing.live), (100, Some(Color::Green)));
    assert!(life.now - skipped < 60, "neither steps nor bake: {}", life.now - skipped);
}

/// Facts as they could come in any order, from a damaged log or a hand that wrote them.
fn any_fact() -> impl proptest::strategy::Strategy<Value = Fact> {
    prop_oneof![
        Just(Fact::TargetsHealthy),
        (0u8..=100).prop_map(|share| Fact::Moving { share }),
        (0u8..=100).prop_map(|share| Fact::Moved { share }),
        Just(Fact::Judged),
        Just(Fact::Baking),
        Just(Fact::Settled),
        Just(Fact::Looked),
        Just(Fact::Paused { why: "w".into(), by: None }),
        Just(Fact::Resumed { by: "b".into() }),
        any::<bool>().prop_map(|full| Fact::Promoted { by: "b".into(), full }),
        (0u64..100_000).prop_map(|time| Fact::Away { time: Duration::from_secs(time) }),
        prop_oneof![Just(Finding::Passed), Just(Finding::Failed), Just(Finding::Inconclusive), Just(Finding::Error)]
            .prop_map(|finding| Fact::Measured { analysis: "errors".into(), finding, said: "s".into(), value: None }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_traffic_ends_where_the_standing_says(
        canary in any::<bool>(),
        fails in 0u8..30,
        unclear in 0u8..10,
        errors in 0u8..60,
        unproved in 0u8..20,
        seed in any::<u64>(),
    ) {
        let strategy = if canary { Strategy::Canary } else { Strategy::BlueGreen };
        let (from, to) = colors(strategy);
        let mut life = Life::new(spec(strategy), Luck { fails, unclear, errors, unproved }, seed);
        life.live_on();
        let last = life.standing.last.clone().unwrap();
        let live = life.standing.live.unwrap();
        match &last.aborted {
            Some(_) => prop_assert_eq!((live, life.share), (from, 0)),
            None if canary => prop_assert_eq!((live, life.share), (from, 0)),
            None => prop_assert_eq!((live, life.share), (to, 100)),
        }
        // Never both retired: what is kept is not what has the traffic.
        prop_assert!(life.standing.kept.is_some_and(|kept| kept.color != live));
        // Traffic never jumps over a step on its way there.
        let steps: Vec<u8> = spec(strategy).steps.iter().map(|s| s.weight).collect();
        let there: Vec<u8> = life.shares.iter().copied().filter(|share| *share > 0).collect();
        prop_assert_eq!(&there[..], &steps[..there.len()]);
    }

    #[test]
    fn from_wherever_it_is_there_is_a_way_back_by_one_move(
        canary in any::<bool>(),
        facts in proptest::collection::vec((any_fact(), 0i64..4_000), 0..40),
    ) {
        let strategy = if canary { Strategy::Canary } else { Strategy::BlueGreen };
        let (from, to) = colors(strategy);
        let mut going = Going::new("r".into(), spec(strategy), Some(from), to, at(0));
        let mut now = 0;
        for (fact, later) in &facts {
            now += later;
            going.take(at(now), fact);
            let _ = going.next(at(now));
            prop_assert!(going.share <= 100);
        }
        if going.stage != Stage::Over {
            going.take(at(now), &Fact::Aborting { why: "w".into(), fault: Fault::Person });
            prop_assert_eq!(going.next(at(now)), Next::Back);
            going.take(at(now), &Fact::Aborted);
        }
        prop_assert_eq!(going.next(at(now)), Next::Over);
    }
}
