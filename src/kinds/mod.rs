//! What can be declared, one folder a kind, each behind the trait [`Kind`].
//!
//! To add a kind: write its folder and one line of the table below.

mod context;
mod kind;

pub use context::{Context, FIRST_POLL, SLOWEST_POLL, backoff};
pub use kind::{
    Applied, Cause, Change, ChildChange, Condition, ConditionEffect, Desired, Difference, FieldChange, Finding, Kind,
    Marks, Observed, Owner, Prepare, Preview, Prior, Recovered, Step, Undo,
};

use crate::lang::schema::Schema;

/// The kind of this name, as it stands in an address (`helm`, `data.secret`).
#[must_use]
pub fn kind(name: &str) -> Option<&'static dyn Kind> {
    let _ = name;
    None
}

/// The table of all kinds, for the language.
#[must_use]
pub fn schema() -> &'static Schema {
    static SCHEMA: Schema = Schema { kinds: &[], probes: &[] };
    &SCHEMA
}
