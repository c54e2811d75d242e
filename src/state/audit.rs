//! Who did what: a chain of records beside the log, each of which names the digest of the one before it.
//!
//! Each record is an object of its own under its number, created where there is none: of two that write at once one has the number, and the other one
//! takes the next. So no lock is needed, and the state's serial does not move (rule 28). What is altered, exchanged, moved or taken out breaks the chain at a
//! place that can be named; that its end was cut off shows only against an [`Anchor`] that is kept elsewhere.

use crate::{
    base::{Digest, canonical_json},
    state::{Actor, RunId},
    world::{Class, Failure, Ledger, Outcome},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The version of these objects that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// What their names begin with.
const PREFIX: &str = "audit/";
/// How often somebody else may have the number that is tried; each time the next one is.
const RACES: usize = 200;
/// How many records are read at once.
const READ_AT_ONCE: usize = 16;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A plan was made and kept.
    Plan,
    /// A plan was approved.
    Approval,
    /// A run began: `apply`, `destroy`, `promote`, `rollback`, `drift --revert`.
    RunStarted,
    /// It ended, or was cut off in an orderly way.
    RunEnded,
    /// It was taken up again.
    RunResumed,
    /// A hold, a freeze, a revocation, a review, and their ends.
    Decision,
    /// A person's word to a rollout.
    Rollout,
    /// Somebody's lock was broken.
    Unlock,
    /// State was changed by hand.
    StateSurgery,
    /// A rule of policy was waived.
    Waiver,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Plan,
        Self::Approval,
        Self::RunStarted,
        Self::RunEnded,
        Self::RunResumed,
        Self::Decision,
        Self::Rollout,
        Self::Unlock,
        Self::StateSurgery,
        Self::Waiver,
    ];

    /// In a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Approval => "approval",
            Self::RunStarted => "run_started",
            Self::RunEnded => "run_ended",
            Self::RunResumed => "run_resumed",
            Self::Decision => "decision",
            Self::Rollout => "rollout",
            Self::Unlock => "unlock",
            Self::StateSurgery => "state_surgery",
            Self::Waiver => "waiver",
        }
    }
}

/// What is to be recorded; its number and what comes before it are the chain's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// What.
    pub deed: Deed,
    /// The command, and whatever else tells it from others of its sort.
    pub what: String,
    /// From where: the machine's name, or the address of the CI job.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The plan.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plan: Option<Digest>,
    /// The release.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<Digest>,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<RunId>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<String>,
    /// `--reason`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The version of terrace.
    pub version: String,
    /// What it passed: `hotfix`, `break_glass`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub passed: BTreeMap<String, String>,
}

impl Act {
    /// Something that is done now, by somebody, from somewhere.
    #[must_use]
    pub fn new(at: Timestamp, by: Actor, from: &str, deed: Deed, what: impl Into<String>) -> Self {
        Self {
            at,
            by,
            deed,
            what: what.into(),
            from: Some(from.to_owned()).filter(|from| !from.is_empty()),
            plan: None,
            release: None,
            run: None,
            outcome: None,
            reason: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            passed: BTreeMap::new(),
        }
    }
}

/// A record of the chain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Link {
    /// The version of its format.
    pub format: u32,
    /// Its number, from 1.
    pub number: u64,
    /// The digest of the record before it; none of the first one.
    pub before: Option<Digest>,
    /// What was done.
    #[serde(flatten)]
    pub act: Act,
}

/// The end of a chain as it was once: kept elsewhere, it shows that the chain still has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Anchor {
    /// The last record's number.
    pub number: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is not there, and later ones are.
    #[error("record {number} is missing, and there are later ones")]
    Missing {
        /// Its number.
        number: u64,
    },
    /// It cannot be read.
    #[error("record {number} cannot be read: {why}")]
    Unreadable {
        /// Its number.
        number: u64,
        /// Why.
        why: String,
    },
    /// It says that it is another one.
    #[error("record {number} says that it is record {says}: it was moved")]
    Moved {
        /// Its number.
        number: u64,
        /// What it says.
        says: u64,
    },
    /// It stands, in what was exported, behind one that is not the one before it.
    #[error("record {number} stands behind record {behind}: lines were exchanged, or doubled")]
    Misplaced {
        /// Its number.
        number: u64,
        /// The number of the one that it stands behind.
        behind: u64,
    },
    /// Its bytes are not those that a record of its content has.
    #[error("record {number} was altered: its bytes are not those that Terrace writes")]
    Altered {
        /// Its number.
        number: u64,
    },
    /// The record before it is not the one that it was written after.
    #[error(
        "record {number} was written after another record {before} than the one that is there: one of the two was altered or exchanged"
    )]
    Spliced {
        /// Its number.
        number: u64,
        /// The number before it.
        before: u64,
    },
    /// The chain ends before the anchor.
    #[error("the chain ends with record {last}, and the anchor knows record {number}: its end was cut off")]
    CutOff {
        /// The last record that is there; 0 where there is none.
        last: u64,
        /// The anchor's.
        number: u64,
    },
    /// The chain has another record at the anchor.
    #[error("record {number} is another one than the anchor knows: the chain was written anew")]
    Rewritten {
        /// Its number.
        number: u64,
    },
}

impl Broken {
    /// The number of the first record that does not hang together with those before it.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Missing { number }
            | Self::Unreadable { number, .. }
            | Self::Moved { number, .. }
            | Self::Misplaced { number, .. }
            | Self::Altered { number }
            | Self::Spliced { number, .. }
            | Self::Rewritten { number } => *number,
            Self::CutOff { last, .. } => *last + 1,
        }
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:010}.json")
}

/// The bytes of a record, which its digest is of.
///
/// # Errors
/// A defect: it does not serialize.
fn bytes(link: &Link) -> Outcome<Vec<u8>> {
    canonical_json(link)
        .map_err(|error| Failure::new(Class::Invalid, "audit:Record", name(link.number), error.to_string()))
}

/// Records something at the end of the chain, and returns the chain's end.
///
/// # Errors
/// Those of the storage, and where so many others write that no number is to be had.
pub async fn record(ledger: &dyn Ledger, act: &Act) -> Outcome<Anchor> {
    let mut end = end(ledger).await?;
    for _ in 0..RACES {
        let number = end.as_ref().map_or(1, |end| end.number + 1);
        let before = end.map(|end| end.digest);
        let link = Link { format: FORMAT, number, before, act: act.clone() };
        let content = bytes(&link)?;
        if ledger.put_new(&name(number), &content).await? {
            return Ok(Anchor { number, digest: Digest::of(&content) });
        }
        // Somebody else has this number; perhaps we do, where the answer to an earlier try was lost.
        let Some(there) = ledger.get(&name(number)).await? else {
            let why = "it is there and cannot be read";
            return Err(Failure::new(Class::Unavailable, "audit:Record", name(number), why));
        };
        if there == content {
            return Ok(Anchor { number, digest: Digest::of(&content) });
        }
        end = Some(Anchor { number, digest: Digest::of(&there) });
    }
    let why = format!("{RACES} others were always first");
    Err(Failure::new(Class::Unavailable, "audit:Record", ledger.place(), why))
}

/// The end of the chain; nothing where there is none. Looked for by doubling the number, since numbers have no gaps.
///
/// # Errors
/// Those of the storage.
pub async fn end(ledger: &dyn Ledger) -> Outcome<Option<Anchor>> {
    let there = async |number: u64| Ok::<_, Failure>(ledger.get(&name(number)).await?.map(|bytes| Digest::of(&bytes)));
    let Some(mut digest) = there(1).await? else { return Ok(None) };
    let (mut low, mut step) = (1, 1);
    // `low` is there always; `high` is not.
    let mut high = loop {
        match there(low + step).await? {
            Some(found) => (low, digest, step) = (low + step, found, step * 2),
            None => break low + step,
        }
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match there(middle).await? {
            Some(found) => (low, digest) = (middle, found),
            None => high = middle,
        }
    }
    Ok(Some(Anchor { number: low, digest }))
}

/// Everything that is there, by number, as its bytes are.
///
/// # Errors
/// Those of the storage.
pub async fn load(ledger: &dyn Ledger) -> Outcome<BTreeMap<u64, Vec<u8>>> {
    let names = ledger.list(PREFIX).await?;
    let reading =
        names.into_iter().filter_map(|name| Some((number_of(&name)?, name))).map(|(number, name)| async move {
            Ok::<_, Failure>(ledger.get(&name).await?.map(|content| (number, content)))
        });
    let all: Vec<Option<(u64, Vec<u8>)>> = stream::iter(reading).buffered(READ_AT_ONCE).try_collect().await?;
    Ok(all.into_iter().flatten().collect())
}

fn number_of(name: &str) -> Option<u64> {
    name.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}

/// Follows the chain from its first record to its last, and to an anchor where one is given. Needs nothing but the bytes.
///
/// # Errors
/// The first place at which it is broken.
pub fn follow(chain: &BTreeMap<u64, Vec<u8>>, anchor: Option<&Anchor>) -> Result<Vec<Link>, Broken> {
    let mut links: Vec<Link> = Vec::with_capacity(chain.len());
    let mut before: Option<Digest> = None;
    for (number, (found, content)) in (1..).zip(chain) {
        if *found != number {
            return Err(Broken::Missing { number });
        }
        let unreadable = |why: String| Broken::Unreadable { number, why };
        let link: Link = serde_json::from_slice(content).map_err(|error| unreadable(error.to_string()))?;
        if link.format > FORMAT {
            return Err(unreadable(format!("a newer terrace wrote it (format {})", link.format)));
        }
        if link.number != number {
            return Err(Broken::Moved { number, says: link.number });
        }
        if bytes(&link).is_ok_and(|own| own != *content) {
            return Err(Broken::Altered { number });
        }
        if link.before != before {
            return Err(Broken::Spliced { number, before: number - 1 });
        }
        let digest = Digest::of(content);
        if anchor.is_some_and(|anchor| anchor.number == number && anchor.digest != digest) {
            return Err(Broken::Rewritten { number });
        }
        before = Some(digest);
        links.push(link);
    }
    match (anchor, links.last().map_or(0, |link| link.number)) {
        (Some(anchor), last) if anchor.number > last => Err(Broken::CutOff { last, number: anchor.number }),
        _ => Ok(links),
    }
}

#[cfg(test)]
mod tests;
