//! The laws of analysis: by examples from Argo Rollouts' documentation, and by properties.

use super::*;
use Finding::{Error, Failed, Inconclusive, Passed};
use proptest::prelude::*;

const STARTED: Timestamp = Timestamp::UNIX_EPOCH;

fn limits() -> Limits {
    Limits {
        initial_delay: Duration::ZERO,
        every: Duration::from_secs(5),
        within: Duration::from_secs(300),
        count: None,
        consecutive: 1,
        failure_limit: 0,
        inconclusive_limit: 0,
        error_limit: 4,
        dry_run: false,
        mode: Mode::Step,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// Takes findings one after the other, each when it is due, and returns the tally and the moment of the last.
fn run(limits: &Limits, findings: &[Finding]) -> (Tally, Timestamp) {
    let (mut tally, mut now) = (Tally::new(STARTED), STARTED);
    for (n, finding) in findings.iter().enumerate() {
        now = tally.due(limits);
        tally.take(limits, now, *finding, format!("the {n}th"), Some(n.to_string()));
    }
    (tally, now)
}

fn verdict(limits: &Limits, findings: &[Finding]) -> Verdict {
    let (tally, now) = run(limits, findings);
    tally.verdict(limits, now)
}

/// The word of a verdict.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Running => "running",
        Verdict::Passed => "passed",
        Verdict::Failed { .. } => "failed",
        Verdict::Inconclusive { .. } => "inconclusive",
        Verdict::Errored { .. } => "errored",
    }
}

#[test]
fn one_pass_is_enough_and_one_failure_too_much_unless_told() {
    assert_eq!(verdict(&limits(), &[]), Verdict::Running);
    assert_eq!(verdict(&limits(), &[Passed]), Verdict::Passed);
    assert_eq!(
        verdict(&limits(), &[Failed]),
        Verdict::Failed { why: "one measurement failed, and none is borne: the 0th".into() }
    );
}

#[test]
fn failures_up_to_the_limit_are_borne_and_the_next_ends_it_at_once() {
    let limits = Limits { failure_limit: 2, consecutive: 3, ..limits() };
    assert_eq!(verdict(&limits, &[Failed, Passed, Failed, Passed, Passed]), Verdict::Running);
    assert_eq!(verdict(&limits, &[Failed, Passed, Failed, Passed, Passed, Passed]), Verdict::Passed);
    let failed = verdict(&limits, &[Failed, Passed, Failed, Passed, Passed, Failed]);
    assert_eq!(failed.why(), Some("3 measurements failed, and 2 are borne: the 5th"));
}

#[test]
fn passes_have_to_come_in_a_row_and_an_error_breaks_it() {
    let limits = Limits { failure_limit: 9, inconclusive_limit: 9, consecutive: 3, ..limits() };
    for breaks in [Failed, Inconclusive, Error] {
        assert_eq!(verdict(&limits, &[Passed, Passed, breaks, Passed, Passed]), Verdict::Running, "{breaks:?}");
        assert_eq!(verdict(&limits, &[Passed, Passed, breaks, Passed, Passed, Passed]), Verdict::Passed, "{breaks:?}");
    }
}

#[test]
fn errors_count_apart_and_only_those_in_a_row() {
    assert_eq!(verdict(&limits(), &[Error; 4]), Verdict::Running);
    let errored = verdict(&limits(), &[Error; 5]);
    assert_eq!(errored.why(), Some("5 measurements in a row could not be made, and 4 are borne: the 4th"));
    assert_eq!(word(&errored), "errored");
    let limits = Limits { failure_limit: 1, consecutive: 2, ..limits() };
    let mixed = [Error, Error, Error, Error, Passed, Error, Error, Error, Error, Failed, Error, Passed];
    assert_eq!(verdict(&limits, &mixed), Verdict::Running, "neither nine errors nor one failure are too much");
}

#[test]
fn inconclusive_measurements_have_a_limit_of_their_own() {
    assert_eq!(word(&verdict(&limits(), &[Inconclusive])), "inconclusive");
    let limits = Limits { inconclusive_limit: 1, ..limits() };
    assert_eq!(verdict(&limits, &[Inconclusive]), Verdict::Running);
    assert_eq!(word(&verdict(&limits, &[Inconclusive, Inconclusive])), "inconclusive");
    assert_eq!(verdict(&limits, &[Inconclusive, Passed]), Verdict::Passed);
}

#[test]
fn a_count_passes_when_it_is_reached_with_no_limit_crossed() {
    let limits = Limits { count: Some(4), failure_limit: 2, ..limits() };
    assert_eq!(verdict(&limits, &[Passed, Passed, Passed]), Verdict::Running, "one pass is not enough beside a count");
    assert_eq!(verdict(&limits, &[Passed, Failed, Error, Passed, Failed]), Verdict::Passed, "an error is none of them");
    assert_eq!(word(&verdict(&limits, &[Passed, Failed, Failed, Failed])), "failed");
}

#[test]
fn a_count_beside_passes_in_a_row_follows_the_table_of_argo() {
    let limits = Limits { count: Some(4), failure_limit: 2, consecutive: 3, ..limits() };
    assert_eq!(verdict(&limits, &[Passed, Passed, Passed]), Verdict::Passed, "reached before the count");
    assert_eq!(word(&verdict(&limits, &[Passed, Passed, Failed, Passed])), "inconclusive");
    assert_eq!(word(&verdict(&limits, &[Failed, Failed, Failed])), "failed");
}

#[test]
fn what_has_not_passed_by_its_deadline_has_failed() {
    let limits = Limits { consecutive: 2, failure_limit: 9, within: Duration::from_secs(12), ..limits() };
    let (mut tally, _) = run(&limits, &[Failed, Passed, Failed]);
    assert_eq!(tally.due(&limits), at(12), "the last one is due at the deadline, not after it");
    assert_eq!(tally.verdict(&limits, at(12)), Verdict::Running, "it is heard before it is judged");
    let mut unheard = tally.clone();
    tally.take(&limits, at(12), Passed, "5 ms", None);
    let why = "2 of 4 measurements passed within 12s, not enough; the last said: 5 ms";
    assert_eq!(tally.verdict(&limits, at(12)), Verdict::Failed { why: why.into() });
    assert_eq!(word(&unheard.verdict(&limits, at(17))), "failed", "nobody waits for ever for the last one");
    unheard.take(&limits, at(18), Passed, "", None);
    unheard.take(&limits, at(18), Passed, "", None);
    assert_eq!(word(&unheard.verdict(&limits, at(18))), "failed", "too late");
}

#[test]
fn a_deadline_without_any_answer_is_the_platforms_fault() {
    let limits = Limits { within: Duration::from_secs(6), ..limits() };
    assert_eq!(word(&verdict(&limits, &[Error, Error, Error])), "errored");
    assert_eq!(word(&Tally::new(STARTED).verdict(&limits, at(100))), "errored");
}

#[test]
fn the_first_measurement_waits_and_the_deadline_with_it() {
    let limits = Limits { initial_delay: Duration::from_secs(600), ..limits() };
    let tally = Tally::new(STARTED);
    assert_eq!((tally.due(&limits), tally.deadline(&limits)), (at(600), Some(at(900))));
    assert_eq!(tally.verdict(&limits, at(599)), Verdict::Running);
}

#[test]
fn after_an_error_it_is_tried_again_sooner() {
    let limits = Limits { every: Duration::from_secs(60), ..limits() };
    assert_eq!(run(&limits, &[Error]).0.due(&limits), at(10));
    let quick = Limits { every: Duration::from_secs(1), ..limits };
    assert_eq!(run(&quick, &[Error]).0.due(&quick), at(1));
}

#[test]
fn time_in_which_nobody_looked_is_added() {
    let limits = Limits { consecutive: 9, ..limits() };
    let (mut tally, _) = run(&limits, &[Passed, Passed]);
    assert_eq!(word(&tally.verdict(&limits, at(4_000))), "failed");
    tally.suspend(Duration::from_secs(3_900));
    assert_eq!(tally.verdict(&limits, at(4_000)), Verdict::Running);
    assert_eq!(tally.deadline(&limits), Some(at(4_200)));
}

#[test]
fn a_watch_ends_by_a_crossed_limit_only() {
    let limits = Limits { count: Some(2), within: Duration::from_secs(1), failure_limit: 1, ..limits() }.watching();
    let (tally, now) = run(&limits, &[Passed; 50]);
    assert_eq!((tally.verdict(&limits, now), tally.deadline(&limits)), (Verdict::Running, None));
    assert_eq!(tally.concluded(&limits), Verdict::Passed);
    assert_eq!((tally.readings.len(), tally.passed), (READINGS_KEPT, 50));
    assert_eq!(word(&verdict(&limits, &[Passed, Failed, Passed, Failed])), "failed");
    assert_eq!(word(&verdict(&limits, &[Error; 5])), "errored");
    assert_eq!(word(&verdict(&limits, &[Inconclusive])), "inconclusive");
}

#[test]
fn a_watch_in_which_nothing_could_be_measured_has_not_passed() {
    let limits = limits().watching();
    let (tally, _) = run(&limits, &[Error, Error]);
    let why = "nothing could be measured in 2 tries: the 1th";
    assert_eq!(tally.concluded(&limits), Verdict::Errored { why: why.into() });
    assert_eq!(word(&Tally::new(STARTED).concluded(&limits)), "errored");
}

#[test]
fn a_dry_run_is_told_and_decides_nothing() {
    let dry = Limits { dry_run: true, ..limits() };
    let (tally, now) = run(&dry, &[Failed]);
    assert_eq!((tally.verdict(&dry, now), word(&tally.opinion(&dry, now))), (Verdict::Passed, "failed"));
    assert_eq!(verdict(&dry, &[Error]), Verdict::Running, "it is measured to its end");
    let watch = dry.watching();
    let (tally, now) = run(&watch, &[Failed]);
    assert_eq!((tally.verdict(&watch, now), word(&tally.opinion(&watch, now))), (Verdict::Running, "failed"));
    assert_eq!(tally.concluded(&watch), Verdict::Passed);
}

#[test]
fn a_tally_at_the_ends_of_time_does_not_overflow() {
    let limits = Limits { initial_delay: Duration::MAX, within: Duration::MAX, every: Duration::MAX, ..limits() };
    let mut tally = Tally::new(Timestamp::MAX);
    tally.suspend(Duration::MAX);
    tally.suspend(Duration::MAX);
    assert_eq!(tally.due(&limits), Timestamp::MAX);
    tally.take(&limits, Timestamp::MAX, Error, "", None);
    assert_eq!(tally.due(&limits), Timestamp::MAX);
}

fn findings() -> impl Strategy<Value = Vec<Finding>> {
    prop::collection::vec(prop::sample::select(vec![Passed, Passed, Passed, Failed, Inconclusive, Error]), 0..40)
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let times = (0..20u64, 1..20u64, 0..200u64);
    let bounds = (prop::option::of(0..8u32), 0..5u32, 0..4u32, 0..4u32, 0..6u32);
    (times, bounds, any::<(bool, bool)>()).prop_map(
        |((delay, every, within), (count, row, failed, open, errors), (dry_run, watch))| Limits {
            initial_delay: Duration::from_secs(delay),
            every: Duration::from_secs(every),
            within: Duration::from_secs(within),
            count,
            consecutive: row,
            failure_limit: failed,
            inconclusive_limit: open,
            error_limit: errors,
            dry_run,
            mode: if watch { Mode::Watch } else { Mode::Step },
        },
    )
}

fn count_of(findings: &[Finding], which: Finding) -> u32 {
    u32::try_from(findings.iter().filter(|f| **f == which).count()).unwrap()
}

proptest! {
    #[test]
    fn a_tally_read_again_at_any_moment_goes_on_the_same(limits in any_limits(), all in findings()) {
        let (mut straight, mut again) = (Tally::new(STARTED), Tally::new(STARTED));
        for finding in all {
            let now = straight.due(&limits);
            straight.take(&limits, now, finding, "said", None);
            let text = serde_json::to_string(&again).unwrap();
            again = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(again.due(&limits), now);
            again.take(&limits, now, finding, "said", None);
            prop_assert_eq!(&again, &straight);
            prop_assert_eq!(again.verdict(&limits, now), straight.verdict(&limits, now));
        }
    }

    #[test]
    fn a_verdict_once_reached_stays(limits in any_limits(), all in findings(), late in 0..1_000i64) {
        let mut tally = Tally::new(STARTED);
        let mut decided = None;
        for finding in all {
            let now = tally.due(&limits);
            tally.take(&limits, now, finding, "said", None);
            let opinion = tally.opinion(&limits, now);
            if let Some(decided) = &decided {
                prop_assert_eq!(decided, &opinion);
            }
            if !opinion.is_running() {
                decided = Some(opinion);
            }
        }
        let now = tally.due(&limits);
        let (soon, later) = (tally.opinion(&limits, now), tally.opinion(&limits, super::later(now, Duration::from_secs(late.unsigned_abs()))));
        prop_assert!(soon.is_running() || soon == later);
    }

    #[test]
    fn nothing_passes_after_a_limit_was_crossed(limits in any_limits(), all in findings()) {
        let limits = Limits { dry_run: false, ..limits };
        let (mut tally, mut taken) = (Tally::new(STARTED), Vec::new());
        for finding in all {
            let now = tally.due(&limits);
            tally.take(&limits, now, finding, "said", None);
            taken.push(finding);
            let passed = tally.verdict(&limits, now) == Verdict::Passed;
            if passed {
                prop_assert!(count_of(&taken, Failed) <= limits.failure_limit);
                prop_assert!(count_of(&taken, Inconclusive) <= limits.inconclusive_limit);
                let errors = taken.split(|f| *f != Error).map(<[Finding]>::len).max().unwrap_or(0);
                prop_assert!(u32::try_from(errors).unwrap() <= limits.error_limit);
                prop_assert_eq!(limits.mode, Mode::Step);
                prop_assert_eq!(tally.concluded(&limits), Verdict::Passed);
                break;
            }
        }
    }

    #[test]
    fn with_a_count_alone_the_order_of_findings_does_not_matter(
        (all, mixed) in findings().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        failure_limit in 0..9u32, inconclusive_limit in 0..9u32,
    ) {
        // As many measurements as the count, none an error: what they come to depends on how many there are of each.
        let all: Vec<Finding> = all.into_iter().filter(|f| *f != Error).collect();
        let mixed: Vec<Finding> = mixed.into_iter().filter(|f| *f != Error).collect();
        let count = u32::try_from(all.len()).unwrap().max(1);
        let limits = Limits { count: Some(count), failure_limit, inconclusive_limit, ..limits() };
        let fine = |v: &Verdict| matches!(v, Verdict::Passed | Verdict::Running);
        prop_assert_eq!(fine(&verdict(&limits, &all)), fine(&verdict(&limits, &mixed)));
    }

    #[test]
    fn another_failure_never_makes_it_better(limits in any_limits(), all in findings(), place in 0..40usize) {
        let limits = Limits { dry_run: false, mode: Mode::Watch, ..limits };
        let mut worse = all.clone();
        worse.insert(place.min(all.len()), Failed);
        let (fine, not) = (verdict(&limits, &all), verdict(&limits, &worse));
        // A failure parts a row of errors, which it may thereby keep from crossing their limit; nothing else it mends.
        prop_assert!(!not.is_running() || fine.is_running() || word(&fine) == "errored", "{:?} {:?}", fine, not);
    }

    #[test]
    fn what_is_due_never_lies_before_what_was_measured(limits in any_limits(), all in findings()) {
        let (tally, _) = run(&limits, &all);
        if let Some(last) = tally.readings.back() {
            let past_deadline = tally.deadline(&limits).is_some_and(|deadline| last.at >= deadline);
            prop_assert!(past_deadline || tally.due(&limits) > last.at);
        }
    }
}
