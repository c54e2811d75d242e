//! Reading the log without the lock.

use super::{
    bucket::{Bucket, Object},
    ledger::AT_ONCE,
    segment::{self, Header, Kind, Segment},
};
use crate::world::{Broken, Class, Failure, Outcome, Stored};
use futures::{StreamExt as _, stream};

/// How often reading begins anew because segments were compacted away meanwhile.
const TRIES: usize = 10;

/// What every segment's key begins with.
pub(super) fn log(prefix: &str) -> String {
    format!("{prefix}log/")
}

/// The key of a segment. Twenty digits, so that the order of keys is the order of numbers.
pub(super) fn key(prefix: &str, number: u64) -> String {
    format!("{}{number:020}", log(prefix))
}

/// The number of a segment by its key; `None` for whatever else lies there.
pub(super) fn number(prefix: &str, key: &str) -> Option<u64> {
    let digits = key.strip_prefix(&log(prefix)).filter(|d| d.len() == 20)?;
    digits.parse().ok()
}

/// The last segment.
pub(super) struct Tail {
    /// What it says of itself.
    pub(super) header: Header,
    /// The object it was read from.
    pub(super) object: Object,
}

/// Reads the last segment; `None` where there never was one. Behind damaged ones it is what the last good one says, under
/// a number and an epoch that leave them behind.
///
/// # Errors
/// A storage that fails, a segment of a newer terrace, a log with nothing but damage.
pub(super) async fn tail(bucket: &dyn Bucket, prefix: &str) -> Outcome<Option<Tail>> {
    'again: for _ in 0..TRIES {
        let keys = bucket.list(&log(prefix)).await?;
        let numbers: Vec<u64> = keys.iter().filter_map(|k| number(prefix, k)).collect();
        let Some(&last) = numbers.last() else { return Ok(None) };
        let mut damage = None;
        for &number in numbers.iter().rev() {
            let key = key(prefix, number);
            let Some(object) = bucket.get(&key).await? else { continue 'again };
            match segment::decode(&key, number, &object.content) {
                Ok(Segment { mut header, .. }) => {
                    header.epoch += last - number;
                    header.number = last;
                    return Ok(Some(Tail { header, object }));
                }
                Err(failure) if failure.class == Class::Invalid => {
                    damage.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        return Err(damage.unwrap_or_else(|| unsettled(bucket, prefix)));
    }
    Err(unsettled(bucket, prefix))
}

/// Reads everything from the newest snapshot on.
///
/// # Errors
/// A storage that fails, a segment of a newer terrace. Damage is no error here but [`Stored::broken`].
pub(super) async fn stored(bucket: &dyn Bucket, prefix: &str) -> Outcome<Stored> {
    'again: for attempt in 1..=TRIES {
        let keys = bucket.list(&log(prefix)).await?;
        let numbers: Vec<u64> = keys.iter().filter_map(|k| number(prefix, k)).collect();
        let Some(&last) = numbers.last() else { return Ok(Stored::default()) };
        // From the last one that can be read we learn which snapshot the log stands on.
        let mut base = None;
        for &candidate in numbers.iter().rev() {
            match read(bucket, prefix, candidate).await {
                Ok(Some(found)) => {
                    base = Some(found.header.base);
                    break;
                }
                Ok(None) => continue 'again,
                Err(failure) if failure.class == Class::Invalid => {}
                Err(failure) => return Err(failure),
            }
        }
        let first = base.unwrap_or(last).max(1);
        let mut segments =
            stream::iter(first..=last).map(|n| async move { (n, read(bucket, prefix, n).await) }).buffered(AT_ONCE);
        let mut out = Stored::default();
        while let Some((number, found)) = segments.next().await {
            match found {
                Ok(Some(_)) if out.broken.is_some() => keep(bucket, prefix, number, &mut out).await,
                Ok(Some(found)) => fold(found, &mut out),
                // It was compacted away while we read, unless nothing newer stands there: then it is missing.
                Ok(None) if attempt < TRIES => continue 'again,
                Ok(None) => broken(&mut out, format!("{} is missing", key(prefix, number))),
                Err(failure) if failure.class == Class::Invalid => {
                    broken(&mut out, format!("{}: {}", failure.subject, failure.message));
                    keep(bucket, prefix, number, &mut out).await;
                }
                Err(failure) => return Err(failure),
            }
        }
        return Ok(out);
    }
    Err(unsettled(bucket, prefix))
}

async fn read(bucket: &dyn Bucket, prefix: &str, number: u64) -> Outcome<Option<Segment>> {
    let key = key(prefix, number);
    match bucket.get(&key).await? {
        Some(object) => segment::decode(&key, number, &object.content).map(Some),
        None => Ok(None),
    }
}

fn fold(segment: Segment, out: &mut Stored) {
    match segment.header.kind {
        Kind::Snapshot => {
            *out = Stored { snapshot: Some(segment.body), ..Stored::default() };
        }
        Kind::Records => out.log.extend_from_slice(&segment.body),
        Kind::Moved => out.moved = segment.header.moved,
        Kind::Lock | Kind::Unlock | Kind::Break => {}
    }
}

fn broken(out: &mut Stored, why: String) {
    out.broken.get_or_insert(Broken { why, rest: Vec::new() });
}

/// Keeps a segment aside as it is.
async fn keep(bucket: &dyn Bucket, prefix: &str, number: u64, out: &mut Stored) {
    let (Ok(Some(object)), Some(broken)) = (bucket.get(&key(prefix, number)).await, out.broken.as_mut()) else {
        return;
    };
    broken.rest.extend_from_slice(&object.content);
}

fn unsettled(bucket: &dyn Bucket, prefix: &str) -> Failure {
    let place = format!("s3://{}/{prefix}", bucket.name());
    Failure::new(Class::Unavailable, "read state", place, "segments went away again and again while they were read")
}
