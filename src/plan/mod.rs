//! Observe and diff into a [`Plan`]; the saved plan file; freshness; what apply may do.
//!
//! Reading order: [`Plan`] and its parts, [`Subject`] and [`Request`], [`make()`], then the rules: `decide`, `removal`,
//! `envelope`, `fresh`.

pub mod backend;
pub mod clusters;
pub mod connect;
pub mod decide;
pub mod envelope;
mod file;
mod fresh;
pub mod gone;
mod ingredients;
pub mod instance;
mod judgement;
pub mod look;
mod make;
mod model;
mod moves;
pub mod removal;
pub mod selection;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
mod upgrade;

pub use clusters::Clusters;
pub use file::{ReadError, read, saved, write};
pub use fresh::{Moved, moved, pinned, spent};
pub use ingredients::{Ingredients, ingredients, rendered, rendered_matter};
pub use judgement::{Asked, Finding, JudgedBy, Judgement, Place, Severity, Waiver, WaiverStanding};
pub use look::discard;
pub use make::{DRAIN, Made, accepted_part, make, remembered_connections};
pub use model::{
    Attachment, Counts, Debt, DeferReason, Deferral, Drift, FORMAT, Header, Left, Mode, Moment, OutputChange, Plan,
    Planned, PlannedPhase, Saved, Shift, SourceText, StateId, WorldId,
};
pub use moves::Moves;
pub use selection::Selection;
pub use subject::{Error, Request, Subject, values_digest, world_problem};
