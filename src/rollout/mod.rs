//! Rollouts: how a new version takes the place of the old one, as pure functions over what was recorded.
//!
//! Nothing here reads a clock or asks the world: whoever calls brings the moment, and what was measured.

mod analysis;

pub use analysis::{Limits, Mode, READINGS_KEPT, Reading, Tally, Verdict};
