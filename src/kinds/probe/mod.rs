//! One measurement of one probe.

mod schema;

pub(super) use schema::PROBES;
