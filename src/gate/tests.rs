//! A thousand lives of a pipeline: whatever people and clocks do, nothing is in prd that was not verified, soaked and approved.

use crate::{
    base::Digest,
    gate::{Docket, Place, Reason, Way, judge},
    lang::gates::{ApprovalRule, Gates},
    state::{
        Actor, Approval, Decision, Delivered, Delivery, Fact, Held, Occupancy, Passage, Progress, RunId, Standing,
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, time::Duration};

/// Numbers by chance, from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(n).unwrap()).unwrap()
    }
}

const ENVS: [&str; 3] = ["dev", "tst", "prd"];
const HOUR: i64 = 3600;

/// One environment, and what an onlooker wrote down of it.
struct Env {
    gates: Gates,
    delivery: Delivery,
    facts: Vec<Fact>,
    /// What an onlooker saw: for each release, the moments from and until which it was verified there.
    seen: Vec<(Digest, Timestamp, Option<Timestamp>)>,
}

impl Env {
    fn place(&self, at: usize) -> Place {
        let after = at.checked_sub(1).map(|n| ENVS[n].into()).into_iter().collect();
        Place::new(ENVS[at].into(), after, self.gates.clone())
            .with_delivery(&self.delivery)
            .decided(Standing::of(self.facts.iter().cloned()))
    }

    /// Ends what the onlooker sees as verified.
    fn ends(&mut self, now: Timestamp) {
        for (_, _, until) in self.seen.iter_mut().filter(|(_, _, until)| until.is_none()) {
            *until = Some(now);
        }
    }
}

fn gates(soak: i64, approvals: u32) -> Gates {
    let approval = (approvals > 0).then(|| ApprovalRule {
        count: approvals,
        valid_for: Some(Duration::from_secs(12 * 3600)),
        own: false,
        approvers: Vec::new(),
    });
    Gates { soak: Duration::from_secs(u64::try_from(soak).unwrap()), approval, ..Gates::default() }
}

/// A release that comes.
fn came(release: &Digest, now: Timestamp) -> Occupancy {
    Occupancy {
        held: Held::Release(release.clone()),
        since: now,
        until: None,
        run: RunId("r".into()),
        values: Digest::of(b""),
        progress: Progress::Coming,
        verified: Vec::new(),
        failure: None,
        by: "ann".into(),
        passage: Passage::default(),
    }
}

fn actor(n: usize) -> Actor {
    let name = ["ann", "ben", "cat", "dan"][n];
    Actor { arn: format!("arn:aws:iam::333333333333:user/{name}"), id: String::new(), person: Some(name.to_owned()) }
}

struct Life {
    chance: Chance,
    now: Timestamp,
    envs: [Env; 3],
    releases: Vec<(Digest, Actor)>,
    approvals: BTreeMap<Digest, Vec<Approval>>,
    came_to_prd: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let env = |soak, approvals| Env {
            gates: gates(soak, approvals),
            delivery: Delivery::default(),
            facts: Vec::new(),
            seen: Vec::new(),
        };
        Self {
            chance: Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            now: Timestamp::from_second(1_790_000_000).unwrap(),
            envs: [env(0, 0), env(HOUR, 0), env(24 * HOUR, 2)],
            releases: Vec::new(),
            approvals: BTreeMap::new(),
            came_to_prd: 0,
        }
    }

    fn step(&mut self) {
        match self.chance.below(16) {
            0 if self.releases.len() < 3 => {
                let name = format!("release {}", self.releases.len());
                let author = actor(self.chance.below(4));
                self.releases.push((Digest::of(name.as_bytes()), author));
            }
            1..=2 => {
                let hours = [1, 2, 13, 25][self.chance.below(4)];
                self.now = self.now.checked_add(SignedDuration::from_hours(hours)).unwrap();
            }
            3..=8 => self.promotes(),
            9..=13 => self.approves(),
            14 => self.verifies(),
            _ => self.decides(),
        }
    }

    fn approves(&mut self) {
        let Some((release, _)) = self.any() else { return };
        let by = actor(self.chance.below(4));
        let given = Approval::new(release.clone(), by, self.now, None);
        self.approvals.entry(release).or_default().push(given);
    }

    fn any(&mut self) -> Option<(Digest, Actor)> {
        let count = self.releases.len();
        (count > 0).then(|| self.releases[self.chance.below(count)].clone())
    }

    fn verifies(&mut self) {
        let at = self.chance.below(3);
        let passes = self.chance.below(5) > 0;
        let env = &mut self.envs[at];
        let Some(held) = env.delivery.current().and_then(|c| c.held.release().cloned()) else { return };
        let complete = env.delivery.current().is_some_and(|c| c.progress == Progress::Complete);
        let failure = (!passes).then(|| "503".to_owned());
        env.delivery.apply(Delivered::Verified { at: self.now, failure });
        if !passes {
            env.ends(self.now);
            let what = Decision::Revoke { release: held };
            env.facts.push(Fact::new(self.now, actor(0), "503".into(), what));
        } else if complete && !env.seen.iter().any(|(_, _, until)| until.is_none()) {
            env.seen.push((held, self.now, None));
        }
    }

    fn decides(&mut self) {
        let at = self.chance.below(3);
        let Some((release, _)) = self.any() else { return };
        let what = match self.chance.below(5) {
            0 => Decision::Freeze { until: None },
            1 | 2 => Decision::Thaw,
            _ => Decision::UndoRevoke { release },
        };
        self.envs[at].facts.push(Fact::new(self.now, actor(1), "because".into(), what));
    }

    fn promotes(&mut self) {
        let Some((release, author)) = self.any() else { return };
        let at = self.chance.below(3);
        let places: Vec<Place> = (0..3).map(|n| self.envs[n].place(n)).collect();
        let upstream: Vec<&Place> = places[..at].iter().collect();
        let nobody = Vec::new();
        let approvals = self.approvals.get(&release).unwrap_or(&nobody);
        let way = Way::default();
        let authors = [author.clone()];
        let reasons = judge(&Docket {
            release: &release,
            authors: &authors,
            target: &places[at],
            upstream: &upstream,
            values: None,
            plan: Some((&release, approvals)),
            way: &way,
            now: self.now,
        });
        if !reasons.is_empty() {
            assert!(reasons.iter().all(|r| !r.sentence().is_empty() && !r.lifted_by("x", "y").is_empty()));
            return;
        }
        if at == 2 {
            self.came_to_prd += 1;
            self.onlooker(&release, &author);
        }
        // It comes; a part of them fails on the way, and a part is cut off for good.
        let fate = self.chance.below(6);
        let now = self.now;
        let env = &mut self.envs[at];
        let occupancy = came(&release, now);
        let gates = serde_json::to_value(&env.gates).unwrap();
        env.ends(now);
        env.delivery.apply(Delivered::Came { occupancy: Box::new(occupancy), gates });
        let progress = match fate {
            0 => return,
            1 => Progress::FailedAt("services".into()),
            _ => Progress::Complete,
        };
        let complete = progress == Progress::Complete;
        env.delivery.apply(Delivered::Settled { at: now, progress });
        let failure = (!complete).then(|| "failed".to_owned());
        env.delivery.apply(Delivered::Verified { at: now, failure });
        if complete {
            env.seen.push((release, now, None));
        }
    }

    /// What somebody who only watched says to a release in prd, without asking the gates.
    fn onlooker(&self, release: &Digest, author: &Actor) {
        let tst = &self.envs[1];
        let lasted = |from: &Timestamp, until: &Option<Timestamp>| until.unwrap_or(self.now).duration_since(*from);
        let soaked = tst
            .seen
            .iter()
            .any(|(seen, from, until)| seen == release && lasted(from, until) >= SignedDuration::from_hours(24));
        assert!(soaked, "it was never verified in tst for a day");
        for env in &self.envs[..2] {
            let last = env.facts.iter().rev().find(|f| {
                matches!(&f.what, Decision::Revoke { release: r } | Decision::UndoRevoke { release: r } if r == release)
            });
            assert!(!matches!(last.map(|f| &f.what), Some(Decision::Revoke { .. })), "it was revoked");
        }
        let frozen =
            self.envs[2].facts.iter().rev().find(|f| matches!(f.what, Decision::Freeze { .. } | Decision::Thaw));
        assert!(!matches!(frozen.map(|f| &f.what), Some(Decision::Freeze { .. })), "prd was frozen");
        let valid = |a: &&Approval| self.now.duration_since(a.at) < SignedDuration::from_hours(12);
        let given = self.approvals.get(release).into_iter().flatten().filter(valid);
        let people: std::collections::BTreeSet<&Option<String>> =
            given.map(|a| &a.by.person).filter(|person| **person != author.person).collect();
        assert!(people.len() >= 2, "too few approved it");
    }
}

#[test]
fn in_a_thousand_lives_nothing_is_in_prd_that_was_not_verified_soaked_and_approved() {
    let mut came = 0;
    for seed in 0..1000 {
        let mut life = Life::new(seed);
        for _ in 0..300 {
            life.step();
        }
        came += life.came_to_prd;
    }
    assert!(came > 500, "too little came to prd to show anything: {came}");
}

#[test]
fn a_release_that_moved_on_elsewhere_does_not_soak_for_this_one() {
    // Two environments side by side after dev: what soaked in one says nothing of the other.
    let release = Digest::of(b"r");
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let mut east = Delivery::default();
    let occupancy = Occupancy {
        progress: Progress::Complete,
        verified: vec![crate::state::Stretch { from: now, until: None }],
        ..came(&release, now)
    };
    east.apply(Delivered::Came { occupancy: Box::new(occupancy), gates: serde_json::Value::Null });
    let later = now.checked_add(SignedDuration::from_hours(48)).unwrap();
    let east = Place::new("east".into(), Vec::new(), Gates::default()).with_delivery(&east);
    let west = Place::new("west".into(), Vec::new(), Gates::default());
    let prd = Place::new("prd".into(), vec!["east".into(), "west".into()], gates(24 * HOUR, 0));
    let docket = Docket {
        release: &release,
        authors: &[],
        target: &prd,
        upstream: &[&east, &west],
        values: None,
        plan: None,
        way: &Way::default(),
        now: later,
    };
    assert_eq!(judge(&docket), [Reason::NeverIn("west".into())]);
}

/// What an environment held, one after the other, each verified; none for what is no release.
fn held(all: &[Option<&Digest>]) -> Env {
    let mut delivery = Delivery::default();
    for (hour, release) in (0..).zip(all) {
        let now = Timestamp::from_second(hour * HOUR).unwrap();
        let release = release.map_or(Held::Unreleased, |release| Held::Release(release.clone()));
        let occupancy = Occupancy { held: release, ..came(&Digest::of(b""), now) };
        let gates = serde_json::Value::Null;
        delivery.apply(Delivered::Came { occupancy: Box::new(occupancy), gates });
        delivery.apply(Delivered::Settled { at: now, progress: Progress::Complete });
        delivery.apply(Delivered::Verified { at: now, failure: None });
    }
    Env { gates: gates(0, 0), delivery, facts: Vec::new(), seen: Vec::new() }
}

fn three() -> [Digest; 3] {
    [b"1", b"2", b"3"].map(|content| Digest::of(content))
}

#[test]
fn the_way_back_is_to_what_was_verified_before_whatever_was_there_in_between() {
    let [one, two, three] = three();
    let unreleased = held(&[Some(&one), None, Some(&two)]);
    assert_eq!(unreleased.place(0).way_back(&[]), Some(&one), "what is no release is passed over");
    assert_eq!(held(&[Some(&one), None]).place(0).way_back(&[]), Some(&one));
    assert_eq!(held(&[Some(&one)]).place(0).way_back(&[]), None);
    // What was gone back from is nothing to go back to.
    let mut again = held(&[Some(&one), Some(&two), Some(&three), Some(&two)]);
    again.delivery.rolled_back.insert(three.clone());
    assert_eq!(again.place(0).way_back(&[]), Some(&one));
    // Nor is what is revoked upstream.
    let mut upstream = held(&[Some(&one), Some(&two), Some(&three)]);
    let revoke = Decision::Revoke { release: two.clone() };
    upstream.facts.push(Fact::new(Timestamp::UNIX_EPOCH, actor(0), "bad".to_owned(), revoke));
    let upstream = upstream.place(0);
    assert_eq!(held(&[Some(&one), Some(&two), Some(&three)]).place(1).way_back(&[&upstream]), Some(&one));
}

#[test]
fn nothing_older_than_what_is_there_is_a_candidate() {
    let [one, two, three] = three();
    let created = |n: i64| Timestamp::from_second(n).unwrap();
    let all = || {
        let all = [(&one, 1), (&two, 2), (&three, 3)];
        all.map(|(release, n)| crate::gate::Candidate { release, created: created(n) })
    };
    let upstream = held(&[Some(&one), Some(&two)]).place(0);
    let candidate = |target: &Place| {
        crate::gate::candidate(all(), target, &[&upstream], created(1_000_000)).map(|c| c.release.clone())
    };
    assert_eq!(candidate(&held(&[Some(&one)]).place(1)), Some(two.clone()));
    // The third came by a hotfix, past what lies upstream.
    assert_eq!(candidate(&held(&[Some(&three)]).place(1)), None);
    assert_eq!(candidate(&held(&[None]).place(1)), Some(two.clone()));
    assert_eq!(candidate(&held(&[Some(&two)]).place(1)), Some(two), "what is there stays one");
}

#[test]
fn a_glass_that_nobody_looked_at_bars_promotions_and_not_the_way_back() {
    let [one, two, _] = three();
    let mut env = held(&[Some(&one), Some(&two)]);
    if let Some(last) = env.delivery.occupancies.last_mut() {
        last.passage.break_glass = Some("fire".to_owned());
    }
    let target = env.place(0);
    let reasons = |release: &Digest, rollback: bool| {
        let way = Way { rollback, ..Way::default() };
        let now = Timestamp::from_second(5 * HOUR).unwrap();
        let (authors, upstream) = (&[], &[]);
        judge(&Docket { release, authors, target: &target, upstream, values: None, plan: None, way: &way, now })
    };
    assert!(matches!(reasons(&one, false).as_slice(), [Reason::ReviewDue(_)]), "{:?}", reasons(&one, false));
    assert_eq!(reasons(&one, true), []);
}
