//! Chains that are whole, and chains that somebody had a hand in.

use super::*;
use crate::world::live::FileLedger;
use std::sync::Arc;

fn done(what: &str) -> Act {
    let by = Actor { arn: "arn:aws:iam::1:user/ann".to_owned(), id: String::new(), person: Some("ann".to_owned()) };
    Act::new("2026-03-01T12:00:00Z".parse().unwrap(), by, "a test", Deed::Decision, what)
}

type Bytes = BTreeMap<u64, Vec<u8>>;

async fn chain(length: u64) -> (tempfile::TempDir, Arc<FileLedger>, Anchor) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(FileLedger::new(folder.path()));
    let mut end = None;
    for n in 1..=length {
        end = Some(record(&*ledger, &done(&format!("deed {n}"))).await.unwrap());
    }
    (folder, ledger, end.unwrap())
}

#[tokio::test]
async fn each_record_names_the_one_before_it_and_the_end_is_found_without_a_list() {
    for length in [1, 2, 3, 7, 8, 9, 20] {
        let (_folder, ledger, last) = chain(length).await;
        assert_eq!(end(&*ledger).await.unwrap(), Some(last.clone()), "{length}");
        let links = follow(&load(&*ledger).await.unwrap(), Some(&last)).unwrap();
        assert_eq!(links.len() as u64, length);
        assert_eq!((links[0].number, &links[0].before), (1, &None));
        assert_eq!(links.last().unwrap().act.what, format!("deed {length}"));
    }
}

#[tokio::test]
async fn writers_at_once_have_a_number_each_and_none_is_lost() {
    let (_folder, ledger, _) = chain(1).await;
    let deeds: Vec<Act> = (0..12).map(|n| done(&format!("at once {n}"))).collect();
    let written = futures::future::join_all(deeds.iter().map(|deeds| record(&*ledger, deeds))).await;
    let mut numbers: Vec<u64> = written.into_iter().map(|anchor| anchor.unwrap().number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=13).collect::<Vec<_>>());
    assert_eq!(follow(&load(&*ledger).await.unwrap(), None).unwrap().len(), 13);
}

#[tokio::test]
async fn whatever_somebody_does_to_the_chain_is_found_and_the_first_broken_link_is_named() {
    let (_folder, ledger, last) = chain(6).await;
    let whole = load(&*ledger).await.unwrap();
    let broken = |change: &dyn Fn(&mut Bytes), anchor| {
        let mut chain = whole.clone();
        change(&mut chain);
        follow(&chain, anchor).unwrap_err()
    };
    let text = |chain: &Bytes, number| String::from_utf8(chain[&number].clone()).unwrap();
    // Another word in a record, with its bytes as Terrace would write them.
    let edited = broken(
        &|c| {
            c.insert(3, text(c, 3).replace("deed 3", "deed X").into_bytes());
        },
        None,
    );
    assert_eq!(edited, Broken::Spliced { number: 4, before: 3 });
    let spaced = broken(
        &|c| {
            c.insert(3, text(c, 3).replace("\":", "\": ").into_bytes());
        },
        None,
    );
    assert_eq!(spaced, Broken::Altered { number: 3 });
    let exchanged = broken(
        &|c| {
            let (two, three) = (c[&2].clone(), c[&3].clone());
            c.extend([(2, three), (3, two)]);
        },
        None,
    );
    assert_eq!(exchanged, Broken::Moved { number: 2, says: 3 });
    assert_eq!(broken(&|c| drop(c.remove(&2)), None), Broken::Missing { number: 2 });
    assert_eq!(broken(&|c| drop(c.remove(&1)), None), Broken::Missing { number: 1 });
    // The last one has nothing after it: only the anchor knows.
    let tail = |c: &mut Bytes| drop(c.remove(&6));
    let mut cut = whole.clone();
    tail(&mut cut);
    assert_eq!(follow(&cut, None).unwrap().len(), 5);
    assert_eq!(broken(&tail, Some(&last)), Broken::CutOff { last: 5, number: 6 });
    let last_edited = broken(
        &|c| {
            c.insert(6, text(c, 6).replace("deed 6", "deed Y").into_bytes());
        },
        Some(&last),
    );
    assert_eq!(last_edited, Broken::Rewritten { number: 6 });
    let newer = broken(
        &|c| {
            c.insert(2, text(c, 2).replace("\"format\":1", "\"format\":9").into_bytes());
        },
        None,
    );
    assert!(matches!(newer, Broken::Unreadable { number: 2, .. }), "{newer}");
}

#[tokio::test]
async fn a_whole_chain_written_anew_is_found_by_the_anchor() {
    let (_folder, _, last) = chain(4).await;
    let (_other, forged, _) = chain(3).await;
    record(&*forged, &done("something else")).await.unwrap();
    assert_eq!(follow(&load(&*forged).await.unwrap(), Some(&last)), Err(Broken::Rewritten { number: 4 }));
}

#[test]
fn every_deed_can_be_asked_for() {
    for deed in Deed::ALL {
        // A deed that is new does not compile here: it belongs into `ALL`.
        match deed {
            Deed::Plan
            | Deed::Approval
            | Deed::RunStarted
            | Deed::RunEnded
            | Deed::RunResumed
            | Deed::Decision
            | Deed::Rollout
            | Deed::Unlock
            | Deed::StateSurgery
            | Deed::Waiver => {}
        }
    }
    let words: std::collections::BTreeSet<&str> = Deed::ALL.iter().map(|deed| deed.word()).collect();
    assert_eq!(words.len(), 10);
}
