//! What every storage of state holds, on a folder and on buckets of MiniStack and moto; and what only buckets can get wrong.

use crate::support::{Account, Proxy, Trouble, ministack, moto, server::wait, trouble::What};
use async_trait::async_trait;
use aws_sdk_s3::types::ServerSideEncryption;
use futures::future::join_all;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use terrace::world::{
    Class, Clock, Ledger, Lock, LockOwner, Moved,
    live::{Encryption, FileLedger, S3Ledger, S3Place},
};

/// Makes one more handle on the same state, as another process would have it.
type Opener<'a> = &'a dyn Fn() -> Arc<dyn Ledger>;

/// The machine's time.
struct WallClock;

#[async_trait]
#[expect(clippy::disallowed_methods, reason = "servers run by the machine's time")]
impl Clock for WallClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

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

fn in_bucket(account: &Account, bucket: &str, lease: Duration) -> S3Ledger {
    let config = aws_sdk_s3::config::Builder::from(&account.sdk()).force_path_style(true).build();
    let place =
        S3Place { bucket: bucket.to_owned(), prefix: "team/shop".to_owned(), encryption: Encryption::default() };
    S3Ledger::new(aws_sdk_s3::Client::from_conf(config), place, Arc::new(WallClock), lease)
}

async fn take(ledger: &dyn Ledger, id: &str) -> u64 {
    match ledger.lock(&owner(id)).await.unwrap() {
        Lock::Acquired { epoch, .. } => epoch,
        Lock::Held(holder) => panic!("held by {}", holder.id),
    }
}

fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

async fn contract(open: Opener<'_>) {
    objects_are_kept_by_name(open).await;
    lines_are_read_in_order_by_everybody(open).await;
    a_broken_owner_writes_nothing_that_is_read(open).await;
    a_snapshot_takes_the_place_of_what_was_before(open).await;
    a_moved_state_says_so_until_it_is_written_as_a_whole(open).await;
    of_many_at_once_one_wins(open).await;
    many_writers_in_turn_lose_no_line(open).await;
}

async fn objects_are_kept_by_name(open: Opener<'_>) {
    let (one, other) = (open(), open());
    assert_eq!(one.get("runs/1/plan.json").await.unwrap(), None);
    one.put("runs/1/plan.json", b"first").await.unwrap();
    one.put("runs/1/plan.json", b"second").await.unwrap();
    one.put("runs/2/a b=ü.json", b"").await.unwrap();
    assert_eq!(other.get("runs/1/plan.json").await.unwrap().as_deref(), Some(b"second".as_slice()));
    assert_eq!(other.list("runs/").await.unwrap(), ["runs/1/plan.json", "runs/2/a b=ü.json"]);
    assert_eq!(other.list("runs/2").await.unwrap(), ["runs/2/a b=ü.json"]);
    assert!(other.put_new("key", b"mine").await.unwrap());
    assert!(!one.put_new("key", b"yours").await.unwrap());
    assert_eq!(one.get("key").await.unwrap().as_deref(), Some(b"mine".as_slice()));
    for name in one.list("").await.unwrap() {
        other.delete(&name).await.unwrap();
        other.delete(&name).await.unwrap();
    }
    assert!(one.list("").await.unwrap().is_empty());
}

async fn lines_are_read_in_order_by_everybody(open: Opener<'_>) {
    let (one, other) = (open(), open());
    assert_eq!(other.load().await.unwrap(), terrace::world::Stored::default());
    let epoch = take(&*one, "a").await;
    assert_eq!(other.lock(&owner("b")).await.unwrap(), Lock::Held(owner("a")));
    assert_eq!(other.holder().await.unwrap(), Some(owner("a")));
    for n in 0..20 {
        one.append(epoch, bytes(&format!("{n}\n"))).await.unwrap();
        if n % 5 == 0 {
            let log = other.load().await.unwrap().log;
            assert_eq!(log.split_inclusive(|b| *b == b'\n').count(), n + 1);
        }
    }
    one.unlock(epoch).await.unwrap();
    assert_eq!(one.append(epoch, bytes("late\n")).await.unwrap_err().class, Class::Conflict);
    assert_eq!(other.holder().await.unwrap(), None);
    let log = String::from_utf8(other.load().await.unwrap().log).unwrap();
    assert_eq!(log.lines().collect::<Vec<_>>(), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

async fn a_broken_owner_writes_nothing_that_is_read(open: Opener<'_>) {
    let (one, other, third) = (open(), open(), open());
    let before = third.load().await.unwrap().log;
    let epoch = take(&*one, "broken").await;
    assert!(!other.break_lock("somebody else").await.unwrap());
    assert!(other.break_lock("broken").await.unwrap());
    assert!(!other.break_lock("broken").await.unwrap());
    let next = take(&*other, "next").await;
    assert!(next > epoch);
    assert_eq!(one.append(epoch, bytes("late\n")).await.unwrap_err().class, Class::Conflict);
    assert_eq!(one.compact(epoch, bytes("late")).await.unwrap_err().class, Class::Conflict);
    one.unlock(epoch).await.unwrap();
    assert_eq!(third.holder().await.unwrap(), Some(owner("next")), "it is not theirs to give back");
    other.append(next, bytes("next\n")).await.unwrap();
    other.unlock(next).await.unwrap();
    let log = third.load().await.unwrap().log;
    assert_eq!(log.strip_prefix(before.as_slice()), Some(b"next\n".as_slice()));
}

async fn a_snapshot_takes_the_place_of_what_was_before(open: Opener<'_>) {
    let (one, other) = (open(), open());
    let epoch = take(&*one, "a").await;
    one.compact(epoch, bytes("everything")).await.unwrap();
    one.append(epoch, bytes("after\n")).await.unwrap();
    one.unlock(epoch).await.unwrap();
    let stored = other.load().await.unwrap();
    assert_eq!((stored.snapshot.as_deref(), &*stored.log), (Some(b"everything".as_slice()), b"after\n".as_slice()));
}

async fn a_moved_state_says_so_until_it_is_written_as_a_whole(open: Opener<'_>) {
    let (one, other) = (open(), open());
    let epoch = take(&*one, "a").await;
    let moved = Moved { to: "elsewhere".into(), by: "ada".into(), at: jiff::Timestamp::UNIX_EPOCH };
    one.mark_moved(epoch, &moved).await.unwrap();
    assert_eq!(other.load().await.unwrap().moved, Some(moved));
    one.compact(epoch, bytes("back")).await.unwrap();
    one.unlock(epoch).await.unwrap();
    assert_eq!(other.load().await.unwrap().moved, None);
}

async fn of_many_at_once_one_wins(open: Opener<'_>) {
    let all: Vec<_> = (0..16).map(|n| (open(), owner(&format!("racer {n}")))).collect();
    let locks = join_all(all.iter().map(|(ledger, owner)| ledger.lock(owner))).await;
    let winners: Vec<_> = locks
        .iter()
        .zip(&all)
        .filter_map(|(lock, (ledger, owner))| match lock.as_ref().unwrap() {
            Lock::Acquired { epoch, .. } => Some((ledger, owner, *epoch)),
            Lock::Held(_) => None,
        })
        .collect();
    let [(ledger, owner, epoch)] = winners[..] else { panic!("{} winners", winners.len()) };
    assert_eq!(all[0].0.holder().await.unwrap().as_ref(), Some(owner));
    ledger.unlock(epoch).await.unwrap();

    let created = join_all(all.iter().map(|(ledger, owner)| ledger.put_new("race", owner.id.as_bytes()))).await;
    assert_eq!(created.into_iter().filter(|c| *c.as_ref().unwrap()).count(), 1);
}

async fn many_writers_in_turn_lose_no_line(open: Opener<'_>) {
    let before = open().load().await.unwrap().log.len();
    let turns = (0..16).map(|n| {
        let (ledger, owner) = (open(), owner(&format!("writer {n}")));
        async move {
            for _ in 0..400 {
                if let Lock::Acquired { epoch, .. } = ledger.lock(&owner).await.unwrap() {
                    ledger.append(epoch, bytes(&format!("{n}\n"))).await.unwrap();
                    ledger.unlock(epoch).await.unwrap();
                    return;
                }
                WallClock.sleep(Duration::from_millis(10)).await;
            }
            panic!("writer {n} never had its turn");
        }
    });
    join_all(turns).await;
    let log = open().load().await.unwrap().log;
    let lines: Vec<String> = String::from_utf8_lossy(&log[before..]).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 16, "{lines:?}");
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), 16, "{lines:?}");
}

const LEASE: Duration = Duration::from_secs(60);

#[test]
#[expect(clippy::disallowed_methods, reason = "a folder for the state")]
fn a_folder_holds_what_is_promised() {
    let folder = tempfile::tempdir().unwrap();
    wait(contract(&|| Arc::new(FileLedger::new(folder.path().join("state")))));
}

#[test]
fn a_bucket_of_ministack_holds_what_is_promised() {
    let Some(server) = ministack() else { return };
    let account = server.account();
    wait(async {
        account.bucket("contract").await;
        contract(&|| Arc::new(in_bucket(&account, "contract", LEASE))).await;
    });
}

#[test]
fn a_bucket_of_moto_holds_what_is_promised() {
    let Some(server) = moto() else { return };
    let account = server.account();
    wait(async {
        account.bucket("contract").await;
        contract(&|| Arc::new(in_bucket(&account, "contract", LEASE))).await;
    });
}

#[test]
fn a_versioned_bucket_serves_as_well_and_keeps_what_was_deleted() {
    let Some(server) = moto() else { return };
    let account = server.account();
    wait(async {
        use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
        let client = account.bucket("versioned").await;
        let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        client.put_bucket_versioning().bucket("versioned").versioning_configuration(on).send().await.unwrap();
        contract(&|| Arc::new(in_bucket(&account, "versioned", LEASE))).await;
        let versions = client.list_object_versions().bucket("versioned").send().await.unwrap();
        assert!(!versions.delete_markers().is_empty());
        let one = &versions.versions()[0];
        assert_eq!(one.key(), Some("team/shop/log/00000000000000000001"), "the first segment is still to be had");
    });
}

#[test]
fn answers_that_get_lost_lose_nothing_and_are_no_conflict() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let account = server.account();
    let through = account.at(&proxy.url);
    wait(async {
        account.bucket("lossy").await;
        let ledger = in_bucket(&through, "lossy", LEASE);
        proxy.trouble(Trouble::new("s3:PutObject", What::LoseAnswer).every(2));
        let epoch = take(&ledger, "a").await;
        for n in 0..10 {
            ledger.append(epoch, bytes(&format!("{n}\n"))).await.unwrap();
        }
        ledger.unlock(epoch).await.unwrap();
        proxy.peace();
        let log = ledger.load().await.unwrap().log;
        assert_eq!(String::from_utf8(log).unwrap().lines().collect::<Vec<_>>().concat(), "0123456789");
    });
}

#[test]
fn a_write_that_was_on_its_way_when_the_lock_was_taken_over_is_refused_by_the_store() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let account = server.account();
    wait(async {
        account.bucket("late").await;
        let (slow, other) = (in_bucket(&account.at(&proxy.url), "late", LEASE), in_bucket(&account, "late", LEASE));
        let epoch = take(&slow, "slow").await;
        slow.append(epoch, bytes("one\n")).await.unwrap();
        proxy.trouble(Trouble::new("s3:PutObject", What::Delay(Duration::from_secs(4))));
        let (late, ()) = tokio::join!(slow.append(epoch, bytes("late\n")), async {
            // The write is under way: nothing that its owner could still look at will stop it.
            WallClock.sleep(Duration::from_millis(500)).await;
            assert!(other.break_lock("slow").await.unwrap());
            let epoch = take(&other, "other").await;
            other.append(epoch, bytes("two\n")).await.unwrap();
        });
        let failure = late.unwrap_err();
        assert_eq!(failure.class, Class::Conflict, "{failure}");
        assert_eq!(other.load().await.unwrap().log, b"one\ntwo\n");
    });
}

#[test]
fn what_a_bucket_refuses_says_what_to_do() {
    let Some(server) = ministack() else { return };
    let proxy = Proxy::new(&server.url);
    let account = server.account();
    wait(async {
        let failure = in_bucket(&account, "nowhere", LEASE).load().await.unwrap_err();
        assert_eq!(failure.class, Class::NotFound, "{failure}");
        assert!(failure.message.contains("no bucket nowhere"), "{failure}");
        assert!(failure.hint.unwrap().contains("aws s3 mb s3://nowhere"));

        account.bucket("denied").await;
        let ledger = in_bucket(&account.at(&proxy.url), "denied", LEASE);
        let epoch = take(&ledger, "a").await;
        proxy.trouble(Trouble::new("s3:PutObject", What::Deny));
        let failure = ledger.append(epoch, bytes("one\n")).await.unwrap_err();
        assert_eq!(failure.class, Class::Denied, "{failure}");
        assert!(failure.hint.unwrap().contains("s3:PutObject on arn:aws:s3:::denied/team/shop/log/"));
        proxy.peace();
        proxy.trouble(Trouble::new("s3:ListObjectsV2", What::Deny));
        let failure = ledger.load().await.unwrap_err();
        assert!(failure.hint.unwrap().contains("s3:ListBucket on arn:aws:s3:::denied"));
        proxy.peace();
        proxy.trouble(Trouble::new("*", What::Html));
        let failure = in_bucket(&account.at(&proxy.url), "denied", LEASE).load().await.unwrap_err();
        assert!(matches!(failure.class, Class::Unsupported | Class::Unavailable), "{failure}");
    });
}

#[test]
fn objects_are_encrypted_as_the_settings_say() {
    let Some(server) = moto() else { return };
    let account = server.account();
    wait(async {
        let client = account.bucket("sealed").await;
        let ledger = in_bucket(&account, "sealed", LEASE);
        ledger.put("a", b"x").await.unwrap();
        let head = client.head_object().bucket("sealed").key("team/shop/objects/a").send().await.unwrap();
        assert_eq!(head.server_side_encryption().map(ServerSideEncryption::as_str), Some("AES256"));
        let encryption = Encryption::Kms { key: Some("alias/state".to_owned()) };
        let place = S3Place { bucket: "sealed".into(), prefix: "kms".into(), encryption };
        let ledger = S3Ledger::new(client.clone(), place, Arc::new(WallClock), LEASE);
        ledger.put("a", b"x").await.unwrap();
        let head = client.head_object().bucket("sealed").key("kms/objects/a").send().await.unwrap();
        assert_eq!(head.server_side_encryption().map(ServerSideEncryption::as_str), Some("aws:kms"));
        assert_eq!(head.ssekms_key_id(), Some("alias/state"));
    });
}
