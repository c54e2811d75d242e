//! State in a bucket, on S3 and whatever speaks its protocol.
//!
//! The log is a row of numbered objects, *segments*, and the log is the lock as well: taking the lock, appending, compacting
//! and giving the lock back are each one segment, created under the next number on the condition that there is none. So of
//! several writers one wins each number, and an owner that was taken over finds its next number taken, however long it slept
//! and wherever it woke up: the write itself is refused, not a check before it. What was compacted away is deleted, but the
//! segments that stand in the way of former owners are kept.
//!
//! `log/NUMBER` is a segment, `lease/EPOCH` tells that the owner of an epoch lives, `objects/NAME` is an object. Only GetObject,
//! PutObject (with `If-None-Match: *` where it counts), ListObjectsV2 and DeleteObject are used.

mod bucket;
mod lease;
mod ledger;
#[cfg(test)]
mod memory;
mod owner;
mod read;
mod sdk;
mod segment;
#[cfg(test)]
mod tests;

pub use ledger::S3Ledger;
pub use sdk::{Encryption, S3Place};
