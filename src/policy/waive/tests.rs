//! Whose word lets what pass, and until when.

use super::*;
use crate::{
    plan::Severity,
    state::{Actor, Decision, Fact, Standing},
};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
}

fn person(name: &str) -> Actor {
    Actor { arn: format!("arn:{name}"), id: String::new(), person: Some(name.to_owned()) }
}

fn fact(minute: i64, who: &str, what: Decision) -> Fact {
    Fact::new(at(minute), person(who), "until the new one is there".to_owned(), what)
}

fn asked(address: Option<&str>) -> Fact {
    let address = address.map(|address| address.parse().unwrap());
    fact(0, "ann", Decision::Waive { rule: "s3_named".to_owned(), address, until: at(60) })
}

fn agreed(waiver: &Fact, who: &str) -> Fact {
    fact(1, who, Decision::AgreeToWaiver { waiver: waiver.name() })
}

fn finding(address: &str) -> Finding {
    Finding {
        rule: "s3_named".to_owned(),
        pack: "own".to_owned(),
        severity: Severity::Deny,
        address: Some(address.parse().unwrap()),
        part: String::new(),
        path: String::new(),
        place: None,
        controls: Vec::new(),
        what: "it has no name".to_owned(),
        why: "nobody finds it".to_owned(),
        instead: "a name".to_owned(),
        waiver: None,
    }
}

/// What is denied, and what the waivers of findings are, after these facts.
fn judged(facts: Vec<Fact>, minute: i64) -> (bool, Vec<Option<WaiverStanding>>, usize) {
    let findings = vec![finding("stack.a"), finding("stack.b")];
    let mut judgement = Judgement { findings, ..Judgement::default() };
    waive(&mut judgement, &Standing::of(facts).waivers, at(minute));
    let standings = judgement.findings.iter().map(|f| f.waiver.as_ref().map(|w| w.standing)).collect();
    (judgement.denies(), standings, judgement.idle_waivers.len())
}

#[test]
fn a_waiver_counts_for_what_it_names_until_its_time_once_somebody_else_agreed() {
    use WaiverStanding::{Counts, Expired, Unapproved};
    let one = asked(Some("stack.a"));
    let all = asked(None);
    assert_eq!(judged(vec![one.clone()], 5), (true, vec![Some(Unapproved), None], 0));
    assert_eq!(judged(vec![one.clone(), agreed(&one, "bob")], 5), (true, vec![Some(Counts), None], 0));
    assert_eq!(judged(vec![all.clone(), agreed(&all, "bob")], 5), (false, vec![Some(Counts), Some(Counts)], 0));
    assert_eq!(judged(vec![all.clone(), agreed(&all, "bob")], 60), (true, vec![Some(Expired), Some(Expired)], 0));
}

#[test]
fn nobody_agrees_to_their_own_nor_does_somebody_who_may_be_the_same() {
    let all = asked(None);
    assert!(judged(vec![all.clone(), agreed(&all, "ann")], 5).0);
    let nobody = Actor { arn: "arn:other".to_owned(), id: String::new(), person: None };
    let by_nobody = Fact { by: nobody, ..agreed(&all, "bob") };
    assert!(judged(vec![all, by_nobody], 5).0);
}

#[test]
fn a_lifted_waiver_counts_no_more_and_one_that_lets_nothing_pass_is_told() {
    let all = asked(None);
    let lifted = fact(2, "ann", Decision::LiftWaiver { waiver: all.name() });
    assert_eq!(judged(vec![all.clone(), agreed(&all, "bob"), lifted], 5), (true, vec![None, None], 0));
    let gone = asked(Some("stack.gone"));
    assert_eq!(judged(vec![gone.clone()], 5).2, 1);
    assert_eq!(judged(vec![gone], 60).2, 0, "one that is over is no news");
}

#[test]
fn of_several_the_one_that_counts_is_shown() {
    let (one, all) = (asked(Some("stack.a")), asked(None));
    let facts = vec![one, all.clone(), agreed(&all, "bob")];
    assert_eq!(judged(facts, 5).1[0], Some(WaiverStanding::Counts));
}
