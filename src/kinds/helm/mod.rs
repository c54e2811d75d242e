//! Kind.

mod schema;
pub(super) use schema::SCHEMA;
