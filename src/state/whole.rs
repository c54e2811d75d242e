//! A state as a whole: is it sound, and what to do with one that is not; one put in place of another.

use crate::{
    state::{
        CodecError, Snapshot, StateError,
        codec::{self, Read},
        store,
    },
    world::{Failure, Ledger, Lock, LockOwner, Stored},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// How many objects are read or written at once.
const AT_ONCE: usize = 16;

/// Why a state could not be put in another's place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WholeError {
    /// State could not be read or written, or is locked.
    #[error("{0}")]
    State(#[from] StateError),
    /// There is nothing to work on.
    #[error("there is no state in {0}")]
    Nothing(String),
    /// The two states have nothing to do with each other.
    #[error("the state in {place} is another one: its lineage is {there}, not {given}")]
    Lineage {
        /// Where.
        place: String,
        /// The lineage there.
        there: String,
        /// The lineage that would replace it.
        given: String,
    },
    /// The state there is newer.
    #[error("the state in {place} has serial {there}, and this one has {given}")]
    Serial {
        /// Where.
        place: String,
        /// The serial there.
        there: u64,
        /// The serial of what would replace it.
        given: u64,
    },
    /// A run is open.
    #[error("the run {0} has not ended")]
    RunOpen(String),
    /// What was read back is not what was written.
    #[error("{0} was read back otherwise than it was written")]
    Differs(String),
}

impl From<Failure> for WholeError {
    fn from(failure: Failure) -> Self {
        Self::State(failure.into())
    }
}

impl From<CodecError> for WholeError {
    fn from(error: CodecError) -> Self {
        Self::State(error.into())
    }
}

/// How a state was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What can be read of it.
    pub readable: Snapshot,
    /// How many records of the log were read.
    pub records: usize,
    /// The first thing that is damaged.
    pub damaged: Option<CodecError>,
    /// Bytes behind the last good record: damaged, or torn by a kill.
    pub rest: Vec<u8>,
    /// Objects that were read, and those that are wrong, each with why.
    pub objects: usize,
    /// What is wrong with objects.
    pub wrong: Vec<String>,
}

impl Inspection {
    /// True where nothing is damaged. A torn last line is no damage: it was never acknowledged.
    #[must_use]
    pub const fn sound(&self) -> bool {
        self.damaged.is_none() && self.wrong.is_empty()
    }
}

/// Reads all of a state and says what is wrong with it. Needs no lock.
///
/// # Errors
/// A storage that fails; a state of a newer terrace. Damage is none.
pub async fn inspect(ledger: &dyn Ledger) -> Result<Inspection, StateError> {
    let (mut inspection, _) = read(ledger).await?;
    for name in ledger.list("").await? {
        match ledger.get(&name).await? {
            Some(content) if content.is_empty() => inspection.wrong.push(format!("the object {name} is empty")),
            Some(_) => inspection.objects += 1,
            // It was deleted meanwhile: a run that ended takes its plan away.
            None => {}
        }
    }
    let state = &inspection.readable;
    if !state.resources.is_empty() && ledger.get(store::KEY).await?.is_none() {
        let why = "the key of the seals is missing: every sensitive value will seem changed";
        inspection.wrong.push(why.to_owned());
    }
    Ok(inspection)
}

async fn read(ledger: &dyn Ledger) -> Result<(Inspection, Stored), StateError> {
    let stored = ledger.load().await?;
    let mut out = Inspection {
        readable: Snapshot::default(),
        records: 0,
        damaged: None,
        rest: Vec::new(),
        objects: 0,
        wrong: Vec::new(),
    };
    match stored.snapshot.as_deref().map(codec::decode_snapshot) {
        Some(Ok(snapshot)) => out.readable = snapshot,
        Some(Err(newer @ CodecError::Newer { .. })) => return Err(newer.into()),
        Some(Err(error)) => {
            out.damaged = Some(error);
            return Ok((out, stored));
        }
        None => {}
    }
    let Read { good, records, error } = codec::read(&stored.log, &mut out.readable);
    if let Some(newer @ CodecError::Newer { .. }) = error {
        return Err(newer.into());
    }
    out.records = records;
    out.damaged = error.or_else(|| stored.broken.as_ref().map(|b| CodecError::Piece(b.why.clone())));
    out.rest = stored.log[good..].to_vec();
    if let Some(broken) = &stored.broken {
        out.rest.extend_from_slice(&broken.rest);
    }
    Ok((out, stored))
}

/// Cuts what is behind the last good record and keeps it as an object, whose name is returned. `None` where there is
/// nothing to cut.
///
/// # Errors
/// The lock is held; a storage that fails; a snapshot that is damaged, for then there is nothing to go on from.
pub async fn repair(ledger: &dyn Ledger, owner: &LockOwner) -> Result<Option<String>, WholeError> {
    locked(ledger, owner, async |epoch| {
        let (inspection, stored) = read(ledger).await?;
        store::not_moved(ledger, &stored)?;
        if inspection.damaged.is_none() && inspection.rest.is_empty() {
            return Ok(None);
        }
        if inspection.readable.lineage.is_empty() {
            return Err(inspection.damaged.map_or_else(|| WholeError::Nothing(ledger.place()), WholeError::from));
        }
        let name = format!("cut/{}", stamp(owner));
        ledger.put(&name, &inspection.rest).await?;
        ledger.compact(epoch, store::encode_snapshot(&inspection.readable)?).await?;
        Ok(Some(name))
    })
    .await
}

/// Puts a state in place of what is there; what is replaced is kept as an object. The serial moves on, so that no plan made
/// before is fresh. Returns the new serial, and the object's name.
///
/// # Errors
/// The lock is held; a storage that fails. Without `force` also: an open run, another lineage, a serial that is not newer.
pub async fn push(
    ledger: &dyn Ledger,
    owner: &LockOwner,
    mut given: Snapshot,
    force: bool,
) -> Result<(u64, Option<String>), WholeError> {
    locked(ledger, owner, async |epoch| {
        let stored = ledger.load().await?;
        store::not_moved(ledger, &stored)?;
        let there = match store::fold(&stored) {
            Ok(there) => there,
            Err(damaged) if !force || matches!(damaged, CodecError::Newer { .. }) => return Err(damaged.into()),
            Err(_) => read(ledger).await?.0.readable,
        };
        if !force {
            if let Some(run) = there.open_run() {
                return Err(WholeError::RunOpen(run.id.to_string()));
            }
            same_lineage(ledger, &there, &given)?;
            if there.serial > given.serial {
                let (there, given) = (there.serial, given.serial);
                return Err(WholeError::Serial { place: ledger.place(), there, given });
            }
        }
        let empty = stored.snapshot.is_none() && stored.log.is_empty();
        let kept = if empty { None } else { Some(keep(ledger, owner, &stored).await?) };
        given.serial = given.serial.max(there.serial) + 1;
        given.records = given.records.max(there.records);
        ledger.compact(epoch, store::encode_snapshot(&given)?).await?;
        Ok((given.serial, kept))
    })
    .await
}

/// Reads a state from the text of `state pull`.
///
/// # Errors
/// Text that is none, or of a newer terrace.
pub fn from_text(text: &[u8]) -> Result<Snapshot, CodecError> {
    #[derive(serde::Deserialize)]
    struct Pulled {
        format: u64,
        state: Option<Snapshot>,
    }
    let bad = |why: String| CodecError::Snapshot(why);
    let whole: serde_json::Value = serde_json::from_slice(text).map_err(|e| bad(e.to_string()))?;
    if let Some(found) = whole.get("format").and_then(serde_json::Value::as_u64)
        && found > u64::from(codec::FORMAT)
    {
        return Err(CodecError::Newer { found });
    }
    let pulled: Pulled = serde_json::from_value(whole).map_err(|e| bad(e.to_string()))?;
    match pulled.state {
        Some(state) if pulled.format > 0 && !state.lineage.is_empty() => Ok(state),
        _ => Err(bad("it is not what terrace state pull writes".to_owned())),
    }
}

/// Two states of different origin are not put in each other's place.
pub(super) fn same_lineage(ledger: &dyn Ledger, there: &Snapshot, given: &Snapshot) -> Result<(), WholeError> {
    if there.lineage.is_empty() || there.lineage == given.lineage {
        return Ok(());
    }
    let (there, given) = (there.lineage.to_string(), given.lineage.to_string());
    Err(WholeError::Lineage { place: ledger.place(), there, given })
}

/// Keeps what is about to be replaced.
pub(super) async fn keep(ledger: &dyn Ledger, owner: &LockOwner, stored: &Stored) -> Result<String, WholeError> {
    let name = format!("replaced/{}", stamp(owner));
    let mut content = stored.snapshot.clone().unwrap_or_default();
    content.extend_from_slice(&stored.log);
    if let Some(broken) = &stored.broken {
        content.extend_from_slice(&broken.rest);
    }
    ledger.put(&name, &content).await?;
    Ok(name)
}

/// A name that no other has: the moment, and the lock's id.
fn stamp(owner: &LockOwner) -> String {
    let moment: String = owner.since.to_string().chars().filter(|c| !":.".contains(*c)).collect();
    format!("{moment}-{}", owner.id)
}

/// Copies every object. Returns how many there are.
pub(super) async fn copy_objects(from: &dyn Ledger, to: &dyn Ledger) -> Result<Vec<String>, WholeError> {
    let names = from.list("").await?;
    let copies = names.iter().map(|name| async move {
        match from.get(name).await? {
            Some(content) => to.put(name, &content).await,
            None => Ok(()),
        }
    });
    stream::iter(copies).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(names)
}

/// Reads every object back from both sides.
pub(super) async fn compare_objects(from: &dyn Ledger, to: &dyn Ledger, names: &[String]) -> Result<(), WholeError> {
    let checks = names.iter().map(|name| async move {
        let (mine, other) = futures::try_join!(from.get(name), to.get(name))?;
        if mine == other { Ok(()) } else { Err(WholeError::Differs(format!("the object {name}"))) }
    });
    stream::iter(checks).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// Does something under the lock, and gives it back however that ends.
pub(super) async fn locked<T>(
    ledger: &dyn Ledger,
    owner: &LockOwner,
    work: impl AsyncFnOnce(u64) -> Result<T, WholeError>,
) -> Result<T, WholeError> {
    let epoch = match ledger.lock(owner).await? {
        Lock::Acquired { epoch, .. } => epoch,
        Lock::Held(holder) => return Err(StateError::Locked(Box::new(holder)).into()),
    };
    let result = work(epoch).await;
    let unlocked = ledger.unlock(epoch).await;
    let value = result?;
    unlocked?;
    Ok(value)
}
