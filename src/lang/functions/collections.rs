//! To be filled.
use super::Function;
pub(super) const TABLE: &[Function] = &[];
