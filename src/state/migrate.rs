//! A state moved from one storage to another: copied, read back and compared record for record, and only then given over.

use crate::{
    state::{
        Snapshot, WholeError, codec, store,
        whole::{compare_objects, copy_objects, keep, locked, same_lineage},
    },
    world::{Ledger, LockOwner, Moved},
};

/// What was moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Migration {
    /// The state, as it is there now.
    pub state: Snapshot,
    /// How many records of the log were compared; those in the snapshot were compared as one.
    pub records: usize,
    /// How many objects.
    pub objects: usize,
    /// What was there before, as an object.
    pub kept: Option<String>,
    /// Whether a line was left out that a kill had torn; it was never acknowledged.
    pub torn: bool,
}

/// Moves a state. Both sides are locked meanwhile. What is left behind stays as it is, marked as moved; a failure leaves it
/// unmarked, and the move can be tried again.
///
/// # Errors
/// A side that is locked, damaged or fails; nothing to move; a target that holds another state, or a newer one of the same
/// lineage; and a copy that differs.
pub async fn migrate(from: &dyn Ledger, to: &dyn Ledger, owner: &LockOwner) -> Result<Migration, WholeError> {
    locked(from, owner, async |from_epoch| {
        let moved = locked(to, owner, async |to_epoch| copy(from, to, to_epoch, owner).await).await?;
        // The target is whole and unlocked. From here on only it counts.
        let mark = Moved { to: to.place(), by: owner.who.clone(), at: owner.since };
        from.mark_moved(from_epoch, &mark).await?;
        Ok(moved)
    })
    .await
}

async fn copy(from: &dyn Ledger, to: &dyn Ledger, epoch: u64, owner: &LockOwner) -> Result<Migration, WholeError> {
    let source = from.load().await?;
    store::not_moved(from, &source)?;
    let state = store::fold(&source)?;
    let (Some(snapshot), false) = (source.snapshot, state.lineage.is_empty()) else {
        return Err(WholeError::Nothing(from.place()));
    };
    let target = to.load().await?;
    let there = store::fold(&target)?;
    same_lineage(to, &there, &state)?;
    if there.records > state.records {
        let (there, given) = (there.serial, state.serial);
        return Err(WholeError::Serial { place: to.place(), there, given });
    }
    let kept = if there.lineage.is_empty() { None } else { Some(keep(to, owner, &target).await?) };
    let lines = codec::whole_lines(&source.log);

    to.compact(epoch, snapshot.as_slice().into()).await?;
    if !lines.is_empty() {
        to.append(epoch, lines.as_slice().into()).await?;
    }
    let names = copy_objects(from, to).await?;

    let back = to.load().await?;
    if back.snapshot.as_ref() != Some(&snapshot) {
        return Err(WholeError::Differs("the snapshot".to_owned()));
    }
    let records = compare_lines(&lines, &back.log)?;
    if store::fold(&back)? != state {
        return Err(WholeError::Differs("the state".to_owned()));
    }
    compare_objects(from, to, &names).await?;
    let torn = lines.len() < source.log.len();
    Ok(Migration { state, records, objects: names.len(), kept, torn })
}

fn compare_lines(written: &[u8], read: &[u8]) -> Result<usize, WholeError> {
    let lines =
        |log: &[u8]| log.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (written, read) = (lines(written), lines(read));
    let at = written.iter().zip(&read).position(|(a, b)| a != b);
    match at.or_else(|| (written.len() != read.len()).then(|| written.len().min(read.len()))) {
        Some(at) => Err(WholeError::Differs(format!("record {} of the log", at + 1))),
        None => Ok(written.len()),
    }
}
