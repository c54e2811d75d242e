//! What Terrace remembers: resources, runs, the journal of intents and outcomes, and the lock.
//!
//! One log per state key holds it all. [`Record`]s are appended and checksummed; [`Snapshot`] is their fold; [`Store`] is the
//! only writer and commits in groups. The storage itself is behind [`crate::world::Ledger`].

pub mod approval;
pub mod audit;
mod codec;
mod control;
mod delivery;
pub mod facts;
mod migrate;
mod record;
pub mod release;
mod seal;
mod snapshot;
mod store;
mod whole;

pub use approval::Approval;
pub use codec::{CodecError, FORMAT};
pub use control::{Control, Verb};
pub use delivery::{Delivered, Delivery, Held, Occupancy, Passage, Progress, Stretch};
pub use facts::{Actor, Decision, Fact, Standing, Waived};
pub use migrate::{Migration, migrate};
pub use record::{
    AcceptedDrift, IgnoredDrift, IgnoredField, Intent, Outcome, Purpose, Reading, Record, Resource, Run, RunId, Status,
    Verdict,
};
pub use release::{
    Bundle, ImageStanding, ListedImage, LockedChart, MAKING_FORMAT, Making, Mark, RELEASE_FORMAT, Release, Signature,
    StoredRelease,
};
pub use seal::SealKey;
pub use snapshot::{Entry, Journal, Snapshot};
pub use store::{StateError, Store, fold, load, seal_key};
pub use whole::{Inspection, WholeError, from_text, inspect, push, repair};
