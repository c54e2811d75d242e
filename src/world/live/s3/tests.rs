//! What the ledger holds whatever happens to single requests. Real servers are in the project's tests.

use super::{
    memory::{Fate, Memory},
    *,
};
use crate::world::{Class, Ledger, Lock, LockOwner, Moved};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const LEASE: Duration = Duration::from_secs(30);

fn owner(id: &str) -> LockOwner {
    LockOwner {
        id: id.to_owned(),
        who: "ada".to_owned(),
        host: "here".to_owned(),
        pid: 1,
        command: "apply".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn ledger(memory: &Memory) -> S3Ledger {
    S3Ledger::over(Arc::new(memory.clone()), "team/shop", Arc::new(memory.clone()), LEASE)
}

async fn take(ledger: &S3Ledger, id: &str) -> u64 {
    match ledger.lock(&owner(id)).await.unwrap() {
        Lock::Acquired { epoch, .. } => epoch,
        Lock::Held(holder) => panic!("held by {}", holder.id),
    }
}

fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

async fn log(memory: &Memory) -> String {
    let stored = ledger(memory).load().await.unwrap();
    assert_eq!(stored.broken, None);
    String::from_utf8(stored.log).unwrap()
}

#[tokio::test]
async fn a_commit_is_one_request() {
    let memory = Memory::default();
    let ledger = ledger(&memory);
    let epoch = take(&ledger, "a").await;
    memory.inside().requests.clear();
    ledger.append(epoch, bytes("one\n")).await.unwrap();
    assert_eq!(memory.inside().requests.clone(), [("create", 1)].into());
    assert_eq!(log(&memory).await, "one\n");
}

#[tokio::test]
async fn a_lost_answer_is_no_conflict_and_writes_nothing_twice() {
    for fate in [Fate::AnswerLost, Fate::Lost, Fate::Doubled] {
        let memory = Memory::default();
        let ledger = ledger(&memory);
        memory.inside().fates = [fate].into();
        let epoch = take(&ledger, "a").await;
        memory.inside().fates = [fate, fate].into();
        ledger.append(epoch, bytes("one\n")).await.unwrap();
        ledger.append(epoch, bytes("two\n")).await.unwrap();
        memory.inside().fates = [fate].into();
        ledger.unlock(epoch).await.unwrap();
        assert_eq!(log(&memory).await, "one\ntwo\n", "{fate:?}");
        assert_eq!(ledger.holder().await.unwrap(), None, "{fate:?}");
    }
}

#[tokio::test]
async fn a_write_that_nobody_answers_ends_what_this_owner_writes() {
    let memory = Memory::default();
    let ledger = ledger(&memory);
    let epoch = take(&ledger, "a").await;
    memory.inside().fates = [Fate::Lost; 6].into();
    assert_eq!(ledger.append(epoch, bytes("one\n")).await.unwrap_err().class, Class::TimedOut);
    assert_eq!(ledger.append(epoch, bytes("two\n")).await.unwrap_err().class, Class::TimedOut, "order would be lost");
    ledger.unlock(epoch).await.unwrap();
    assert_eq!(log(&memory).await, "");
    take(&self::ledger(&memory), "b").await;
}

#[tokio::test]
async fn the_lock_can_be_given_back_behind_a_write_of_unknown_end() {
    let memory = Memory::default();
    let ledger = ledger(&memory);
    let epoch = take(&ledger, "a").await;
    let key = read::key("team/shop/", 2);
    memory.inside().fates = [Fate::Lost; 6].into();
    ledger.append(epoch, bytes("one\n")).await.unwrap_err();
    // It comes late, after everybody gave it up.
    let mut header = segment::Header::new(segment::Kind::Records, 2, epoch);
    header.owner = Some(owner("a"));
    let late = header.encode(b"one\n");
    memory.inside().objects.insert(key, (late, jiff::Timestamp::UNIX_EPOCH));
    ledger.unlock(epoch).await.unwrap();
    assert_eq!(ledger.holder().await.unwrap(), None);
    assert_eq!(log(&memory).await, "one\n");
}

#[tokio::test]
async fn an_owner_that_sleeps_between_deciding_and_writing_cannot_write_when_it_wakes() {
    let memory = Memory::default();
    let (first, second) = (Arc::new(ledger(&memory)), ledger(&memory));
    let epoch = take(&first, "a").await;
    first.append(epoch, bytes("one\n")).await.unwrap();
    // The write is on its way, and the process stops.
    let gate = memory.close_gate();
    let sleeper = first.clone();
    let late = tokio::spawn(async move { sleeper.append(epoch, bytes("late\n")).await });
    while memory.inside().requests["create"] < 4 {
        tokio::task::yield_now().await;
    }
    memory.open_gate();
    memory.pass(LEASE * 2);
    // The lease was renewed when time passed, as it is by a living process; a stopped one would not have.
    memory.inside().objects.retain(|key, _| !key.contains("/lease/"));
    let epoch = take(&second, "b").await;
    second.append(epoch, bytes("two\n")).await.unwrap();
    second.compact(epoch, bytes("all")).await.unwrap();
    second.append(epoch, bytes("three\n")).await.unwrap();
    second.compact(epoch, bytes("all of it")).await.unwrap();
    gate.notify_one();
    let failure = late.await.unwrap().unwrap_err();
    assert_eq!(failure.class, Class::Conflict);
    assert!(failure.message.contains("taken over by ada"), "{failure}");
    let stored = second.load().await.unwrap();
    assert_eq!((stored.snapshot.as_deref(), stored.log.as_slice()), (Some(b"all of it".as_slice()), b"".as_slice()));
    // It does not give back what is no longer its own either.
    first.unlock(1).await.unwrap();
    assert_eq!(second.holder().await.unwrap(), Some(owner("b")));
}

#[tokio::test]
async fn a_living_owner_keeps_the_lock_and_a_silent_one_loses_it() {
    for timeless in [false, true] {
        let memory = Memory::default();
        memory.inside().timeless = timeless;
        let (first, second) = (ledger(&memory), ledger(&memory));
        take(&first, "a").await;
        for _ in 0..12 {
            tokio::task::yield_now().await;
            memory.pass(LEASE / 3);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(second.lock(&owner("b")).await.unwrap(), Lock::Held(owner("a")));
        }
        drop(first);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        // By the store's clock a stranger sees it at once; where the store has none, only who has watched for so long.
        assert_eq!(second.lock(&owner("b")).await.unwrap(), Lock::Held(owner("a")));
        memory.pass(LEASE + Duration::from_secs(4));
        let stranger = ledger(&memory).lock(&owner("c")).await.unwrap();
        if timeless {
            assert_eq!(stranger, Lock::Held(owner("a")));
            let taken = second.lock(&owner("b")).await.unwrap();
            assert_eq!(taken, Lock::Acquired { epoch: 2, taken_from: Some(owner("a")) });
        } else {
            assert_eq!(stranger, Lock::Acquired { epoch: 2, taken_from: Some(owner("a")) });
        }
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_at_first_contact() {
    let memory = Memory::default();
    memory.inside().careless = true;
    let failure = ledger(&memory).lock(&owner("a")).await.unwrap_err();
    assert_eq!(failure.class, Class::Unsupported);
    assert!(failure.hint.is_some());
    assert_eq!(ledger(&memory).holder().await.unwrap(), None, "and the lock does not stay behind");
}

#[tokio::test]
async fn compaction_deletes_what_it_replaced_and_stands_without_the_right_to_delete() {
    for no_deletes in [false, true] {
        let memory = Memory::default();
        memory.inside().no_deletes = no_deletes;
        let ledger = ledger(&memory);
        let epoch = take(&ledger, "a").await;
        for n in 0..5 {
            ledger.append(epoch, bytes(&format!("{n}\n"))).await.unwrap();
        }
        assert_eq!(ledger.pieces(), 6);
        ledger.compact(epoch, bytes("all")).await.unwrap();
        assert_eq!(ledger.pieces(), 0);
        ledger.append(epoch, bytes("after\n")).await.unwrap();
        let stored = ledger.load().await.unwrap();
        assert_eq!(
            (stored.snapshot.as_deref(), stored.log.as_slice()),
            (Some(b"all".as_slice()), b"after\n".as_slice())
        );
        let left = memory.inside().objects.keys().filter(|k| k.contains("/log/")).count();
        assert_eq!(left, if no_deletes { 8 } else { 2 });
    }
}

#[tokio::test]
async fn damage_and_gaps_are_named_and_what_is_before_them_is_read() {
    let memory = Memory::default();
    let ledger = ledger(&memory);
    let epoch = take(&ledger, "a").await;
    for n in 0..4 {
        ledger.append(epoch, bytes(&format!("{n}\n"))).await.unwrap();
    }
    let key = read::key("team/shop/", 3);
    let whole = memory.inside().objects.clone();
    memory.inside().objects.get_mut(&key).unwrap().0.truncate(200);
    let stored = ledger.load().await.unwrap();
    assert_eq!(stored.log, b"0\n");
    let broken = stored.broken.unwrap();
    assert!(broken.why.contains(&key), "{}", broken.why);
    assert!(String::from_utf8_lossy(&broken.rest).ends_with("3\n"), "what follows is there to be kept");

    memory.inside().objects = whole;
    memory.inside().objects.remove(&key);
    let stored = ledger.load().await.unwrap();
    assert_eq!(stored.log, b"0\n");
    assert!(stored.broken.unwrap().why.contains("missing"));
}

#[tokio::test]
async fn a_damaged_end_can_be_taken_over_by_whoever_repairs() {
    let memory = Memory::default();
    let first = ledger(&memory);
    let epoch = take(&first, "a").await;
    first.append(epoch, bytes("one\n")).await.unwrap();
    first.append(epoch, bytes("two\n")).await.unwrap();
    first.unlock(epoch).await.unwrap();
    let keys: Vec<String> = memory.inside().objects.keys().filter(|k| k.contains("/log/")).cloned().collect();
    memory.inside().objects.get_mut(&keys[2]).unwrap().0[90] ^= 1;
    memory.inside().objects.get_mut(&keys[3]).unwrap().0[90] ^= 1;
    memory.pass(LEASE * 2);
    let second = ledger(&memory);
    let later = take(&second, "b").await;
    assert!(later > epoch);
    assert!(second.load().await.unwrap().broken.is_some());
    second.compact(later, bytes("mended")).await.unwrap();
    let stored = second.load().await.unwrap();
    assert_eq!((stored.snapshot.as_deref(), stored.broken), (Some(b"mended".as_slice()), None));
}

#[tokio::test]
async fn a_moved_state_says_where_to_until_it_is_written_as_a_whole_again() {
    let memory = Memory::default();
    let ledger = ledger(&memory);
    let epoch = take(&ledger, "a").await;
    let moved = Moved { to: "elsewhere".into(), by: "ada".into(), at: jiff::Timestamp::UNIX_EPOCH };
    ledger.mark_moved(epoch, &moved).await.unwrap();
    ledger.unlock(epoch).await.unwrap();
    assert_eq!(ledger.load().await.unwrap().moved, Some(moved));
    let epoch = take(&ledger, "b").await;
    ledger.compact(epoch, bytes("back")).await.unwrap();
    assert_eq!(ledger.load().await.unwrap().moved, None);
}

/// One step of a life with several owners.
#[derive(Debug, Clone)]
enum Step {
    Lock(usize),
    Append(usize),
    Compact(usize),
    Unlock(usize),
    Break,
    Silence,
    Fates(Vec<Fate>),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..3;
    let fate = prop_oneof![Just(Fate::Fine), Just(Fate::AnswerLost), Just(Fate::Lost), Just(Fate::Doubled)];
    prop_oneof![
        3 => who.clone().prop_map(Step::Lock),
        6 => who.clone().prop_map(Step::Append),
        1 => who.clone().prop_map(Step::Compact),
        1 => who.prop_map(Step::Unlock),
        1 => Just(Step::Break),
        2 => Just(Step::Silence),
        2 => proptest::collection::vec(fate, 1..9).prop_map(Step::Fates),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever was acknowledged is read by everybody ever after, in order; nothing is read twice; and what failed by
    /// conflict is never read.
    #[test]
    fn acknowledged_writes_stay_and_refused_ones_never_appear(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let memory = Memory::default();
            let owners: Vec<S3Ledger> = (0..3).map(|_| ledger(&memory)).collect();
            let mut epochs = [0u64; 3];
            let (mut acknowledged, mut refused) = (Vec::new(), BTreeSet::new());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Lock(who) => {
                        let asked = owners[who].lock(&owner(&format!("{who}-{n}"))).await;
                        if let Ok(Lock::Acquired { epoch, .. }) = asked {
                            epochs[who] = epoch;
                        }
                    }
                    Step::Append(who) => {
                        let line = format!("{n}");
                        match owners[who].append(epochs[who], bytes(&format!("{line}\n"))).await {
                            Ok(()) => acknowledged.push(line),
                            Err(failure) if failure.class == Class::Conflict => {
                                refused.insert(line);
                            }
                            Err(_) => {}
                        }
                    }
                    Step::Compact(who) => {
                        // As the store does: what is stored is a function of what was stored.
                        let stored = ledger(&memory).load().await.unwrap();
                        let mut all = stored.snapshot.unwrap_or_default();
                        all.extend(stored.log);
                        let before = owners[who].held_epoch().await;
                        if before == Some(epochs[who]) && ledger(&memory).holder().await.unwrap().is_some_and(|o| o.id.starts_with(&format!("{who}-"))) {
                            let _ = owners[who].compact(epochs[who], all.into()).await;
                        }
                    }
                    Step::Unlock(who) => {
                        let _ = owners[who].unlock(epochs[who]).await;
                    }
                    Step::Break => {
                        if let Some(holder) = ledger(&memory).holder().await.unwrap() {
                            let _ = ledger(&memory).break_lock(&holder.id).await;
                        }
                    }
                    Step::Silence => {
                        memory.pass(LEASE * 2);
                        memory.inside().objects.retain(|key, _| !key.contains("/lease/"));
                    }
                    Step::Fates(fates) => memory.inside().fates = fates.into(),
                }
                let stored = ledger(&memory).load().await.unwrap();
                assert_eq!(stored.broken, None);
                let mut all = stored.snapshot.unwrap_or_default();
                all.extend(stored.log);
                let text = String::from_utf8(all).unwrap();
                let seen: Vec<&str> = text.lines().collect();
                let places: Vec<usize> =
                    acknowledged.iter().map(|a| seen.iter().position(|s| s == a).expect("an acknowledged write is lost")).collect();
                assert!(places.is_sorted(), "out of order");
                assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "written twice");
                assert!(!seen.iter().any(|s| refused.contains(*s)), "a refused write is read");
            }
        });
    }
}
