//! Observe and diff into a [`Plan`]; the saved plan file; freshness; what apply may do.

mod model;

pub use model::{
    Attachment, Counts, DeferReason, Deferral, Drift, FORMAT, Header, Mode, Moment, OutputChange, Plan, Planned,
    PlannedPhase, Saved, SourceText, StateId, WorldId,
};
