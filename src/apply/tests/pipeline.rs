//! Lives of a pipeline over the real store and executor: faults, deaths, and two operators at once. Whatever happens, nothing comes
//! to prd that was not verified, soaked and approved, as somebody writes it down who never asks the gates.

use crate::{
    apply::{Error, Options, Warrant, run, testing::Lab},
    base::{Digest, NoEvents, RunEnd},
    gate::Place,
    lang::gates::{ApprovalRule, Gates},
    plan::{self, Attachment, Request, Saved, Subject},
    state::{self, Actor, Approval, Decision, Fact, Standing, StateError, Store, approval, facts},
    world::{
        Ledger, LockOwner, World as _,
        live::OsRandom,
        sandbox::{Fault, FaultKind, Halfway},
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const ENVS: [&str; 3] = ["dev", "tst", "prd"];
const HOUR: i64 = 3600;
const TEMPLATE: &str = "Parameters:\n  P: { Type: String }\nResources:\n  Q: { Type: AWS::SQS::Queue, Properties: { Tags: [{ Key: p, Value: !Ref P }] } }\n";

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(n).unwrap()).unwrap()
    }
}

fn gates(env: usize) -> Gates {
    let soak = [0, HOUR, 24 * HOUR][env];
    let rule =
        ApprovalRule { count: 2, valid_for: Some(Duration::from_secs(12 * 3600)), own: false, approvers: Vec::new() };
    let approval = (env == 2).then_some(rule);
    Gates { soak: Duration::from_secs(u64::try_from(soak).unwrap()), approval, ..Gates::default() }
}

fn after(env: usize) -> Vec<Arc<str>> {
    env.checked_sub(1).map(|n| ENVS[n].into()).into_iter().collect()
}

fn actor(n: usize) -> Actor {
    let name = ["ann", "ben", "cat", "dan"][n];
    Actor { arn: format!("arn:aws:iam::333333333333:user/{name}"), id: String::new(), person: Some(name.to_owned()) }
}

/// What became of somebody's attempt to bring a release somewhere.
#[derive(PartialEq, Eq)]
enum Attempt {
    /// A run was made.
    Ran,
    /// Nothing began: the lock, the gates, a stale plan, an open run.
    Refused,
}

/// A plan of a release that waits for prd.
struct Waiting {
    release: usize,
    saved: Saved,
}

/// A pipeline in one world: three environments, each with an account and a state of its own.
struct Pipeline {
    lab: Lab,
    dice: Dice,
    releases: Vec<(Digest, Actor)>,
    /// Plans for prd that wait.
    waiting: Vec<Waiting>,
    /// Who approved which plan, and when: two makings of the same plan are one.
    given: BTreeMap<Digest, Vec<(Actor, Timestamp)>>,
    /// What the onlooker wrote down: where which release was seen verified, from when until when.
    seen: Vec<(usize, Digest, Timestamp, Option<Timestamp>)>,
    revoked: BTreeMap<(usize, Digest), bool>,
    came_to_prd: usize,
    raced: usize,
    died: usize,
}

impl Pipeline {
    fn new(seed: u64) -> Self {
        let mut lab = Lab::new("");
        lab.files.insert("p/a.yaml".to_owned(), TEMPLATE.to_owned());
        Self {
            lab,
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            releases: Vec::new(),
            waiting: Vec::new(),
            given: BTreeMap::new(),
            seen: Vec::new(),
            revoked: BTreeMap::new(),
            came_to_prd: 0,
            raced: 0,
            died: 0,
        }
    }

    fn now(&self) -> Timestamp {
        self.lab.world.clock().now()
    }

    fn ledger(&self, env: usize) -> Arc<dyn Ledger> {
        self.lab.ledger_in(&self.lab.folder.path().join("states").join(ENVS[env]))
    }

    fn text(release: usize) -> String {
        format!("stack \"q\" {{\n  template = \"${{path.root}}/a.yaml\"\n  parameters = {{ P = \"{release}\" }}\n}}\n")
    }

    async fn subject(&mut self, env: usize, release: usize) -> Subject {
        self.lab.write(&Self::text(release));
        let mut subject = self.lab.subject().await;
        let account = format!("{}", 111_111_111_111_u64 * (u64::try_from(env).unwrap() + 1));
        subject.given.env.name = ENVS[env].into();
        subject.given.env.account_id = account.as_str().into();
        subject.aws.account_id = account;
        subject.ledger = self.ledger(env);
        subject.state = state::load(&*subject.ledger).await.unwrap();
        subject.release = Some(self.releases[release].0.clone());
        subject
    }

    async fn place(&self, env: usize) -> Place {
        let ledger = self.ledger(env);
        let state = state::load(&*ledger).await.unwrap();
        let standing = Standing::of(facts::all(&*ledger).await.unwrap());
        Place::new(ENVS[env].into(), after(env), gates(env)).with(&state, standing)
    }

    async fn options(&self, env: usize, release: usize, check_fresh: bool) -> Options {
        let mut upstream = Vec::new();
        for above in (0..env).rev() {
            upstream.push(self.place(above).await);
        }
        let warrant = Warrant {
            upstream,
            after: after(env),
            gates: gates(env),
            authors: vec![self.releases[release].1.clone()],
            by: Some(actor(3)),
            ..Warrant::default()
        };
        Options { check_fresh, warrant, ..Lab::options() }
    }

    /// Whether a run was cut off there.
    async fn is_open(&self, env: usize) -> bool {
        state::load(&*self.ledger(env)).await.unwrap().open_run().is_some()
    }

    async fn runs(&self, env: usize) -> usize {
        state::load(&*self.ledger(env)).await.unwrap().runs.len()
    }

    async fn step(&mut self, what: &str) {
        match self.dice.below(20) {
            0 if self.releases.len() < 2 => {
                let name = format!("release {}", self.releases.len());
                let author = actor(self.dice.below(4));
                self.releases.push((Digest::of(name.as_bytes()), author));
            }
            1..=3 => {
                let hours = [1, 2, 5, 25][self.dice.below(4)];
                self.lab.world.advance(Duration::from_secs(hours * 3600)).unwrap();
            }
            4..=8 => self.approves().await,
            9 if self.dice.below(3) == 0 => self.revokes().await,
            _ => Box::pin(self.promotes(what)).await,
        }
    }

    async fn approves(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (at, now) = (self.dice.below(self.waiting.len()), self.now());
        let (by, too) = (self.dice.below(4), self.dice.below(4));
        let ledger = self.ledger(2);
        let plan = self.waiting[at].saved.digest.clone();
        for by in [by, too].map(actor) {
            let approval = Approval::new(plan.clone(), by.clone(), now, None);
            approval::approve(&*ledger, &OsRandom, &approval, "a test").await.unwrap();
            self.given.entry(plan.clone()).or_default().push((by, now));
        }
    }

    async fn revokes(&mut self) {
        if self.releases.is_empty() {
            return;
        }
        let (env, at) = (self.dice.below(2), self.dice.below(self.releases.len()));
        let release = self.releases[at].0.clone();
        let again = self.dice.below(3) > 0;
        let of = release.clone();
        let decision = if again { Decision::UndoRevoke { release: of } } else { Decision::Revoke { release: of } };
        let fact = Fact::new(self.now(), actor(0), "because".to_owned(), decision);
        facts::record(&*self.ledger(env), &OsRandom, &fact, "a test").await.unwrap();
        self.revoked.insert((env, release), !again);
        // The next word is later than this one.
        self.lab.world.advance(Duration::from_secs(1)).unwrap();
    }

    /// One or two operators bring something somewhere, in good weather or bad.
    async fn promotes(&mut self, what: &str) {
        if self.releases.is_empty() {
            return;
        }
        // Mostly where it may go next: what is nowhere goes to dev, what is in dev to tst.
        let release = self.dice.below(self.releases.len());
        let held = |env: usize| self.seen.iter().any(|(of, seen, ..)| *of == env && *seen == self.releases[release].0);
        let further = (0..2).filter(|env| held(*env)).count();
        let env = if self.dice.below(4) == 0 { self.dice.below(3) } else { further };
        self.finish_open(env, what).await;
        // prd wants a plan that was stored and approved; elsewhere a plan is made for the occasion.
        let known = self.waiting.iter().position(|waiting| env == 2 && waiting.release == release);
        let subject = self.subject(env, release).await;
        let saved = if let Some(at) = known {
            self.waiting[at].saved.clone()
        } else {
            let made = plan::make(&subject, &Request::default(), &NoEvents).await;
            let made = made.unwrap_or_else(|e| panic!("{what}: {e:#?}"));
            plan::discard(&subject, &made.attachment.previews).await.unwrap();
            let attachment = Attachment { previews: BTreeMap::new(), ..made.attachment };
            plan::saved(made.plan, attachment).unwrap()
        };
        let given = self.given.get(&saved.digest).cloned().unwrap_or_default();
        if known.is_none() && env == 2 {
            self.waiting.push(Waiting { release, saved: saved.clone() });
        }
        let faults = self.dice.below(4).saturating_sub(1);
        for _ in 0..faults {
            let kinds = [
                FaultKind::Throttle,
                FaultKind::TimeoutAfter,
                FaultKind::Deny,
                FaultKind::FailHalfway(Halfway::default()),
                FaultKind::Crash { after: true },
                FaultKind::Crash { after: false },
            ];
            let kind = kinds[self.dice.below(kinds.len())].clone();
            let call = u64::try_from(1 + self.dice.below(12)).unwrap();
            self.lab.world.add_fault(&Fault::new("*", kind).from_call(call)).unwrap();
        }
        let (before, began) = (self.runs(env).await, self.now());
        let two = self.dice.below(3) == 0;
        let one = self.attempt(subject.clone(), saved.clone(), env, release, "ann");
        let work = async {
            if !two {
                return vec![one.await];
            }
            let other = self.attempt(subject, saved, env, release, "ben");
            let (one, other) = tokio::join!(one, other);
            vec![one, other]
        };
        let ended: Option<Vec<Attempt>> = Box::pin(self.lab.until_crash(Box::pin(work))).await;
        self.raced += usize::from(two);
        if ended.is_none() {
            self.died += 1;
            self.lab.reopen();
        }
        let ran = self.runs(env).await - before;
        assert!(ran <= 1, "{what}: {ran} runs in {} at once", ENVS[env]);
        let reports = ended.iter().flatten().filter(|attempt| **attempt == Attempt::Ran).count();
        assert!(reports <= ran, "{what}: a run that is not recorded");
        if ran == 1 {
            if env == 2 {
                self.came_to_prd += 1;
                self.onlooker(release, began, &given, what);
            }
            let end = self.last_end(env).await;
            self.saw(env, release, end, began);
            self.waiting.retain(|waiting| env != 2 || waiting.release != release);
        }
        self.lab.world.clear_faults(None).unwrap();
        self.lab.world.advance(Duration::from_secs(600)).unwrap();
    }

    /// How the last run there ended; nothing where it was cut off.
    async fn last_end(&self, env: usize) -> Option<(RunEnd, Timestamp)> {
        state::load(&*self.ledger(env)).await.unwrap().runs.last().and_then(|run| run.end)
    }

    /// Writes down what became of a run: what another release left, and whether this one is verified now.
    fn saw(&mut self, env: usize, release: usize, end: Option<(RunEnd, Timestamp)>, began: Timestamp) {
        let digest = self.releases[release].0.clone();
        let succeeded = end.map(|(end, _)| end == RunEnd::Succeeded);
        let at = end.map_or(began, |(_, at)| at);
        let mut there = false;
        for (of, seen, _, until) in &mut self.seen {
            if *of != env || until.is_some() {
                continue;
            }
            // The same thing applied again has not come again.
            match (*seen == digest, succeeded) {
                (false, _) => *until = Some(began),
                (true, Some(false)) => *until = Some(at),
                (true, _) => there = true,
            }
        }
        if succeeded == Some(true) && !there {
            self.seen.push((env, digest, at, None));
        }
    }

    async fn attempt(&self, mut subject: Subject, saved: Saved, env: usize, release: usize, who: &str) -> Attempt {
        let owner = LockOwner {
            id: who.to_owned(),
            who: who.to_owned(),
            host: "here".to_owned(),
            pid: 1,
            command: "promote".to_owned(),
            since: Timestamp::UNIX_EPOCH,
        };
        let options = self.options(env, release, true).await;
        let store = match Store::open(self.ledger(env), &owner, "lineage").await {
            Ok(store) => store,
            Err(StateError::Locked(_)) => return Attempt::Refused,
            Err(error) => panic!("{error}"),
        };
        subject.state = store.snapshot();
        match Box::pin(run(subject, saved, store, options, Arc::new(NoEvents))).await {
            Ok(_) => Attempt::Ran,
            Err(Error::NotEligible { reasons, .. }) => {
                assert!(!reasons.is_empty(), "refused without a reason");
                Attempt::Refused
            }
            Err(
                Error::Stale(_)
                | Error::Refused(_)
                | Error::RunOpen { .. }
                | Error::World(_)
                | Error::State(StateError::Locked(_) | StateError::Storage(_)),
            ) => Attempt::Refused,
            Err(error) => panic!("{error:#?}"),
        }
    }

    /// A run that was cut off is gone on with, by whoever comes next.
    async fn finish_open(&mut self, env: usize, what: &str) {
        for _ in 0..20 {
            if !self.is_open(env).await {
                return;
            }
            let state = state::load(&*self.ledger(env)).await.unwrap();
            let held = state.open_run().and_then(|run| run.release.clone());
            let release = self.releases.iter().position(|(digest, _)| Some(digest) == held.as_ref());
            let release = release.unwrap_or_else(|| panic!("{what}: an open run of no release"));
            let subject = self.subject(env, release).await;
            let owner = LockOwner {
                id: "resume".to_owned(),
                who: "cat".to_owned(),
                host: "here".to_owned(),
                pid: 1,
                command: "resume".to_owned(),
                since: Timestamp::UNIX_EPOCH,
            };
            let store = loop {
                match Store::open(self.ledger(env), &owner, "lineage").await {
                    Ok(store) => break store,
                    Err(StateError::Locked(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
                    Err(error) => panic!("{what}: {error}"),
                }
            };
            let work = crate::apply::resume(subject, store, Lab::options(), Arc::new(NoEvents), false);
            match self.lab.until_crash(Box::pin(work)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{what}: {error:#?}"),
                None => self.lab.reopen(),
            }
            let (end, now) = (self.last_end(env).await, self.now());
            self.saw(env, release, end, now);
        }
        panic!("{what}: it never ends")
    }

    /// What somebody who only watched says to a release that came to prd.
    fn onlooker(&self, release: usize, began: Timestamp, given: &[(Actor, Timestamp)], what: &str) {
        let (digest, author) = &self.releases[release];
        let now = self.now();
        let lasted = |from: &Timestamp, until: &Option<Timestamp>| until.unwrap_or(now).duration_since(*from);
        let soaked = self.seen.iter().any(|(env, seen, from, until)| {
            *env == 1 && seen == digest && lasted(from, until) >= SignedDuration::from_hours(24)
        });
        assert!(soaked, "{what}: it was never verified in tst for a day: {:#?}", self.seen);
        for (env, name) in ENVS.iter().enumerate().take(2) {
            assert_ne!(self.revoked.get(&(env, digest.clone())), Some(&true), "{what}: it was revoked in {name}");
        }
        let valid = |at: &Timestamp| began.duration_since(*at) < SignedDuration::from_hours(12);
        let people: std::collections::BTreeSet<&Option<String>> =
            given.iter().filter(|(by, at)| by.person != author.person && valid(at)).map(|(by, _)| &by.person).collect();
        assert!(people.len() >= 2, "{what}: {} approved it", people.len());
    }
}

/// What happened in lives that were all as they should be.
#[derive(Debug, Default)]
struct Happened {
    came: usize,
    raced: usize,
    died: usize,
}

async fn live(seeds: std::ops::Range<u64>) -> Happened {
    let mut happened = Happened::default();
    for seed in seeds {
        let mut life = Pipeline::new(seed);
        for step in 0..60 {
            Box::pin(life.step(&format!("life {seed}, step {step}"))).await;
        }
        happened.came += life.came_to_prd;
        happened.raced += life.raced;
        happened.died += life.died;
    }
    happened
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_no_life_with_faults_deaths_and_two_operators_is_a_release_in_prd_that_should_not_be() {
    let Happened { came, raced, died } = live(0..32).await;
    assert!(came >= 8 && raced >= 50 && died >= 20, "too little happened to show anything: {came} {raced} {died}");
}

/// The rest of a thousand, in two halves that run side by side: `make lives`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes or more"]
async fn in_none_of_a_thousand_lives_is_a_release_in_prd_that_should_not_be() {
    let Happened { came, died, .. } = live(32..516).await;
    assert!(came >= 120 && died >= 300, "too little happened to show anything: {came} {died}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes or more"]
async fn nor_in_the_other_half_of_a_thousand_lives() {
    let Happened { came, died, .. } = live(516..1_000).await;
    assert!(came >= 120 && died >= 300, "too little happened to show anything: {came} {died}");
}
